/* SPDX-License-Identifier: MIT */
/*
 * What one event looks like, in a lane and in a file: data only.
 *
 * An *index event* is 32 bytes and says that something happened. A *detail record* is the same
 * header followed by up to ADA_PAYLOAD_MAX bytes of payload, padded to 8 bytes. An *event
 * descriptor* gives a registered event its name and the names and types of its fields. A *module
 * entry* says where an ELF object was loaded, so that code addresses can be resolved later.
 *
 * All fields are little-endian and of fixed width. Included by the lane code, the file format, the
 * reader and (later) the BPF programs, so nothing here may need libc.
 */
#ifndef ADA_SHARED_EVENT_ABI_H
#define ADA_SHARED_EVENT_ABI_H

#ifdef __cplusplus
#define ADA_ABI_ASSERT(cond, text) static_assert(cond, text)
#else
#define ADA_ABI_ASSERT(cond, text) _Static_assert(cond, text)
#endif

#if !defined(__VMLINUX_H__)
#include <stdint.h>
#endif

/* ---- the word that says what a record is: kind | flags << 8 | depth << 16 ---------------------- */

/*
 * Kinds. Values are part of the file format: never reuse one. An event id is that of an AdaEventDescriptor; 0: the event has no name, as its
 * process had ADA_EVENTS_MAX already, or the thread was interrupted by a handler that forked while it registered it.
 */
#define ADA_KIND_NONE 0u
#define ADA_KIND_FUNCTION_ENTRY 1u /* id = function address, argument = call site */
#define ADA_KIND_FUNCTION_EXIT 2u  /* id = function address, argument = call site */
#define ADA_KIND_SPAN_BEGIN 3u     /* id = event id, argument = the user's */
#define ADA_KIND_SPAN_END 4u       /* id = event id, argument = the user's */
#define ADA_KIND_INSTANT 5u        /* id = event id, argument = the user's */
#define ADA_KIND_COUNTER 6u        /* id = event id, argument = value, as int64_t */
#define ADA_KIND_TYPED 7u          /* id = event id, argument = the user's, fields in the detail record */
#define ADA_KIND_MARK 8u /* id = event id, argument = the user's; the detail lane is kept around it */
#define ADA_KIND_COUNT 9u

/* Flags. */
#define ADA_FLAG_DETAIL 0x01u      /* `link` is the low 32 bits of the number of this event's detail record */
#define ADA_FLAG_DETAIL_LOST 0x02u /* there was a payload, but the detail lane had no room for it */
#define ADA_FLAG_NESTED 0x04u /* written by a signal handler that interrupted the writing of another event */
#define ADA_FLAG_EARLIER \
    0x08u /* of a begin: it began earlier, nobody knows when; the time is that of who saw it first */

#define ADA_WORD(kind, flags, depth) ((uint32_t)(kind) | (uint32_t)(flags) << 8 | (uint32_t)(depth) << 16)
#define ADA_WORD_KIND(word) ((uint32_t)(word)&0xffu)
#define ADA_WORD_FLAGS(word) ((uint32_t)(word) >> 8 & 0xffu)
#define ADA_WORD_DEPTH(word) ((uint32_t)(word) >> 16)

/* ---- records ---------------------------------------------------------------------------------- */

typedef struct AdaIndexEvent {
    uint64_t timestamp; /* in ticks of the process's clock (ADA_CLOCK_*); never decreases within a lane */
    uint64_t id;        /* code address, or id of a registered event: the kind says which */
    uint64_t argument;
    uint32_t word; /* ADA_WORD() */
    uint32_t link; /* with ADA_FLAG_DETAIL: number of the detail record, modulo 2^32; else 0 */
} AdaIndexEvent;

#define ADA_INDEX_EVENT_SIZE 32u
ADA_ABI_ASSERT(sizeof(AdaIndexEvent) == ADA_INDEX_EVENT_SIZE, "index event is 32 bytes");
ADA_ABI_ASSERT(__builtin_offsetof(AdaIndexEvent, id) == 8, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaIndexEvent, argument) == 16, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaIndexEvent, word) == 24, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaIndexEvent, link) == 28, "");

typedef struct AdaDetailRecord {
    uint64_t timestamp; /* when its writing began: not later than that of the index event it belongs to */
    uint64_t id;
    uint64_t argument;
    uint32_t word;         /* ADA_WORD() */
    uint32_t payload_size; /* bytes that follow, before padding to 8; <= ADA_PAYLOAD_MAX */
} AdaDetailRecord;

#define ADA_DETAIL_HEADER_SIZE 32u
#define ADA_PAYLOAD_MAX 4096u
#define ADA_DETAIL_RECORD_MAX (ADA_DETAIL_HEADER_SIZE + ADA_PAYLOAD_MAX)
/* Bytes that a detail record with `payload` bytes takes in a ring and in a file. */
#define ADA_DETAIL_RECORD_SIZE(payload) (ADA_DETAIL_HEADER_SIZE + (((uint32_t)(payload) + 7u) & ~7u))
ADA_ABI_ASSERT(sizeof(AdaDetailRecord) == ADA_DETAIL_HEADER_SIZE, "detail header is 32 bytes");
ADA_ABI_ASSERT(__builtin_offsetof(AdaDetailRecord, word) == 24, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaDetailRecord, payload_size) == 28, "");

/* ---- event descriptors ------------------------------------------------------------------------ */

/*
 * Types of fields. In the payload the fields stand one after the other in the descriptor's order:
 * numbers take 8 bytes; a string is a uint32_t length followed by its bytes (no NUL), the whole
 * padded to 8 bytes.
 */
#define ADA_TYPE_U64 1u
#define ADA_TYPE_I64 2u
#define ADA_TYPE_F64 3u
#define ADA_TYPE_POINTER 4u
#define ADA_TYPE_STRING 5u
#define ADA_TYPE_COUNT 6u

#define ADA_FIELD_NAME_SIZE 23u
#define ADA_EVENT_NAME_SIZE 64u
#define ADA_EVENT_FIELDS_MAX 16u

typedef struct AdaFieldDescriptor {
    char name[ADA_FIELD_NAME_SIZE]; /* NUL-terminated, cut to fit */
    uint8_t type;                   /* ADA_TYPE_* */
} AdaFieldDescriptor;
ADA_ABI_ASSERT(sizeof(AdaFieldDescriptor) == 24, "field descriptor is 24 bytes");

typedef struct AdaEventDescriptor {
    uint32_t ready; /* in a segment: 0 until the entry is complete (release by the registrar, acquire by the collector) */
    uint32_t id;   /* 1.. */
    uint32_t kind; /* ADA_KIND_* the call site emits; informative */
    uint32_t field_count;
    uint8_t reserved[48];
    char name[ADA_EVENT_NAME_SIZE]; /* NUL-terminated, cut to fit */
    AdaFieldDescriptor fields[ADA_EVENT_FIELDS_MAX];
} AdaEventDescriptor;
ADA_ABI_ASSERT(sizeof(AdaEventDescriptor) == 512, "event descriptor is 512 bytes");
ADA_ABI_ASSERT(__builtin_offsetof(AdaEventDescriptor, name) == 64, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaEventDescriptor, fields) == 128, "");

/* ---- modules ---------------------------------------------------------------------------------- */

#define ADA_BUILD_ID_MAX 20u
#define ADA_MODULE_PATH_SIZE 208u

typedef struct AdaModule {
    uint32_t ready; /* as in AdaEventDescriptor */
    uint32_t build_id_size;
    uint64_t base; /* load bias: address in memory = base + p_vaddr */
    uint64_t size; /* bytes from base to the end of the last segment */
    uint8_t build_id[ADA_BUILD_ID_MAX];
    uint32_t reserved;
    char path[ADA_MODULE_PATH_SIZE]; /* NUL-terminated, cut to fit; empty for the program itself when unknown */
} AdaModule;
ADA_ABI_ASSERT(sizeof(AdaModule) == 256, "module entry is 256 bytes");
ADA_ABI_ASSERT(__builtin_offsetof(AdaModule, base) == 8, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaModule, build_id) == 24, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaModule, path) == 48, "");

/* ---- lanes, clocks, policies, modes: values used in segments and files alike -------------------- */

#define ADA_LANE_INDEX 0u
#define ADA_LANE_DETAIL 1u

#define ADA_CLOCK_MONOTONIC 1u /* CLOCK_MONOTONIC in ns */
#define ADA_CLOCK_TSC 2u       /* raw cycle counter: rdtsc, cntvct_el0 */

#define ADA_POLICY_DISCARD 0u   /* pool empty: the new event is dropped and counted */
#define ADA_POLICY_BLOCK 1u     /* pool empty: the producer waits, for a bounded time */
#define ADA_POLICY_OVERWRITE 2u /* pool empty: the oldest submitted ring is taken back */
#define ADA_POLICY_COUNT 3u

#define ADA_DETAIL_MARKED 0u /* captured always, kept around marks */
#define ADA_DETAIL_ALWAYS 1u
#define ADA_DETAIL_OFF 2u
#define ADA_DETAIL_COUNT 3u

#endif
