/* SPDX-License-Identifier: MIT */
/*
 * Inside of AdatReader, for the files of this folder. Tables are filled in the order of the file
 * while it is scanned (collect.c), then sorted and connected (connect.c), so that every look-up is a
 * binary search and no input makes any of it slower than sorting.
 */
#ifndef ADA_READER_READER_H
#define ADA_READER_READER_H

#include "user/reader/adat_reader.h"
#include "user/reader/block.h"
#include "user/reader/clock.h"

#define LANES 2u /* ADA_LANE_INDEX, ADA_LANE_DETAIL */

typedef struct StringTable {
    char *text; /* a private copy of the block's strings; `items` point into it */
    AdatString *items;
    size_t count;
} StringTable;

/* Some of the blocks of a sorted list. */
typedef struct BlockRange {
    const BlockRef *blocks;
    size_t count;
} BlockRange;

typedef struct ProcessEntry {
    AdatProcessInfo info;
    StringTable strings;
    uint64_t order; /* offset of its block; 0 for one that is only referred to */
} ProcessEntry;

typedef struct ThreadEntry {
    AdatThreadInfo info;
    BlockRange lanes[LANES];
    uint64_t order;
} ThreadEntry;

typedef struct DescriptorEntry {
    uint32_t process;
    uint64_t order;
    AdaEventDescriptor descriptor;
} DescriptorEntry;

typedef struct ModuleEntry {
    uint32_t process;
    uint64_t order;
    AdaModule module;
} ModuleEntry;

typedef struct LastLook {
    AdatLedgerEntry entry;
    uint64_t order;
} LastLook;

typedef struct MarkEntry {
    AdatMarkInfo info;
    uint64_t order;
} MarkEntry;

/* An array of any of these; `items` is typed where it is used. */
#define TABLE(type)      \
    struct {             \
        type *items;     \
        size_t count;    \
        size_t capacity; \
    }

struct AdatReader {
    int fd;
    AdatFileInfo info;
    StringTable session;
    TABLE(ProcessEntry) processes;         /* by number */
    TABLE(ThreadEntry) threads;            /* by number */
    TABLE(BlockRef) blocks;                /* of events, by thread, lane, offset */
    TABLE(DescriptorEntry) descriptors;    /* by process, id */
    TABLE(ModuleEntry) modules;            /* by process, base */
    TABLE(AdatDeath) deaths;               /* in the file's order */
    TABLE(AdatKernelThread) thread_deaths; /* until they are connected */
    TABLE(AdatLedgerEntry) ledger;         /* final entries, until they are applied */
    TABLE(LastLook) looks;                 /* entries of snapshots, until they are applied */
    size_t looks_limit;                    /* see last_look_add() */
    uint64_t looks_seen;
    TABLE(MarkEntry) marks; /* by time */
    AdatDrainSummary drain; /* of the last ledger */
    bool has_drain;
    AdatKernelSummary kernel; /* of the last KERNEL block */
    bool has_kernel;
    ClockLine clock;
    int64_t last_time; /* latest moment in the file, in nanoseconds since the base */
    int64_t first_time;
};

/* Takes in what a block says. 0 or -ENOMEM. */
int collect_block(AdatReader *reader, const Block *block);

int collect_add_thread(AdatReader *reader, const ThreadEntry *entry);
void collect_free(AdatReader *reader);
void string_table_free(StringTable *strings);

/* Notes an entry of a ledger that is a snapshot. 0 or -ENOMEM. */
int last_look_add(AdatReader *reader, const AdatLedgerEntry *entry);

/* Once accounts are what blocks and ledgers say: adds what the recorder knew besides of lanes that it never closed. */
void last_look_apply(AdatReader *reader);

/* Sorts and connects the tables once all blocks are in. 0 or -errno. */
int connect_tables(AdatReader *reader);

/* Index of the process with this number, or -1. */
ptrdiff_t reader_find_process(const AdatReader *reader, uint32_t number);
ThreadEntry *reader_find_thread(const AdatReader *reader, uint32_t number);

uint32_t reader_clock_kind(const AdatReader *reader, size_t process);

#endif
