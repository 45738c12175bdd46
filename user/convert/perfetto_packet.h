/* SPDX-License-Identifier: MIT */
/*
 * Packets of a Perfetto trace, one after the other in a stream, and the names that they refer to by number.
 *
 * A name is told once, with the first packet that has it; then its number stands for it. After PERFETTO_NAMES_MAX of them all are
 * forgotten, which the next packet says, so that names are bounded on both sides. Numbers are never used again.
 */
#ifndef ADA_CONVERT_PERFETTO_PACKET_H
#define ADA_CONVERT_PERFETTO_PACKET_H

#include "perfetto.pb-c.h"
#include "user/base/id_map.h"
#include "user/base/out_buffer.h"
#include "user/reader/adat_reader.h"

#define PERFETTO_NAMES_MAX 65536u
#define PERFETTO_ANNOTATIONS_MAX (ADA_EVENT_FIELDS_MAX + 8u)

/* One kind of names. */
typedef struct PerfettoNames {
    IdMap numbers;
    uint64_t forgotten; /* numbers of names that were forgotten are not above it */
} PerfettoNames;

typedef struct PerfettoWriter {
    OutBuffer *out;
    PerfettoNames events;
    PerfettoNames annotations;
    bool begun;  /* a packet was written */
    bool forget; /* the next packet begins anew with names */
    /* names that the next packet tells */
    Perfetto__InternedData interned;
    Perfetto__InternedName event_name;
    Perfetto__InternedName *event_names[1];
    Perfetto__InternedName annotation_name[PERFETTO_ANNOTATIONS_MAX];
    Perfetto__InternedName *annotation_names[PERFETTO_ANNOTATIONS_MAX];
    char event_text[3 * ADAT_NAME_MAX + 1];
    char annotation_text[PERFETTO_ANNOTATIONS_MAX][3 * ADA_FIELD_NAME_SIZE + 1];
} PerfettoWriter;

void perfetto_writer_init(PerfettoWriter *writer, OutBuffer *out);
void perfetto_writer_fini(PerfettoWriter *writer);

/* To be called before the names of a packet are asked for. */
void perfetto_writer_begin_names(PerfettoWriter *writer);

/* The number of the name of an event, at most one for a packet, or of an annotation, told with the next packet if it is new. The key stands for
 * the name. 0 or -ENOMEM. */
int perfetto_writer_event_name(PerfettoWriter *writer, const void *owner, uint64_t key, const char *name,
                               size_t length, uint64_t *number_out);
int perfetto_writer_annotation_name(PerfettoWriter *writer, const void *owner, uint64_t key, const char *name,
                                    uint64_t *number_out);

/* Writes a packet, of at most OUT_RESERVE_MAX - 8 bytes. Its sequence, flags and interned names are set here. Errors stay in the buffer. */
void perfetto_writer_put(PerfettoWriter *writer, Perfetto__TracePacket *packet);

#endif
