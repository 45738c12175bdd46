/* SPDX-License-Identifier: MIT */
/*
 * The metadata of a CTF 1.8 trace: which classes of events there are and what their bytes mean. It is written at the end, when all
 * classes are known.
 *
 *   event header    uint32 id, uint64 timestamp: nanoseconds of the trace's clock
 *   event context   int32 vpid, int32 vtid, string procname, enum uint8 kind, uint8 flags, uint16 depth
 *   fields          by class:
 *     a described event    arg (signed or not, by its kind), then those of its fields that there are
 *     another event        id, arg
 *     a function           addr, arg, name, enum uint32 module, offset
 *     a mark               reason, record
 *
 * Everything is aligned to bytes. A class is an event's descriptor, its kind, and how many of its fields there are: mostly all or, where
 * the payload was lost or not kept, none.
 */
#ifndef ADA_CONVERT_CTF_METADATA_H
#define ADA_CONVERT_CTF_METADATA_H

#include <stdio.h>

#include "user/base/id_map.h"
#include "user/convert/convert.h"

/* Kinds beyond those of events, of marks that the recorder set. */
#define CTF_KIND_MARKED 254u
#define CTF_KIND_ANOMALY 255u

typedef struct CtfClass {
    const AdaEventDescriptor *descriptor; /* NULL: a function, a mark, or an event that was never described */
    uint8_t kind;
    uint8_t field_count;
} CtfClass;

typedef struct CtfMetadata {
    uint8_t uuid[16];
    uint64_t origin_realtime; /* ns since 1970 at which the clock is 0 */
    uint64_t precision_ns;
    AdatStrings session;
    IdMap class_numbers;
    CtfClass *classes;
    size_t class_capacity;
    IdMap module_numbers;
    const AdaModule **modules; /* number 1 is the first */
    size_t module_capacity;
} CtfMetadata;

void ctf_metadata_fini(CtfMetadata *metadata);

/* The number of a class, which is new or not. 0 or -ENOMEM. */
int ctf_metadata_class(CtfMetadata *metadata, const AdaEventDescriptor *descriptor, uint8_t kind,
                       uint8_t field_count, uint32_t *number_out);

/* The same of a module; 0 is none. */
int ctf_metadata_module(CtfMetadata *metadata, const AdaModule *module, uint32_t *number_out);

/* Everything, as text. Errors stay in the stream. */
void ctf_metadata_write(const CtfMetadata *metadata, FILE *out);

#endif
