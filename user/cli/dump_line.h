/* SPDX-License-Identifier: MIT */
/* Lines of `adatrace dump`, on stdout: one event or mark as text, or as a JSON object. */
#ifndef ADA_CLI_DUMP_LINE_H
#define ADA_CLI_DUMP_LINE_H

#include "user/reader/adat_cursor.h"

typedef struct DumpedEvent {
    const AdatEvent *event;
    const AdaModule *module; /* of a function; NULL: it is in none, or this is none */
    const char *name;        /* at most ADAT_NAME_MAX bytes, with the NUL */
    size_t name_length;
    const AdatField *fields;
    size_t field_count;
} DumpedEvent;

void dump_event_text(const DumpedEvent *dumped);
void dump_event_json(const AdatReader *reader, const DumpedEvent *dumped);

void dump_mark_text(const AdatMarkInfo *info);
void dump_mark_json(const AdatReader *reader, const AdatMarkInfo *info);

#endif
