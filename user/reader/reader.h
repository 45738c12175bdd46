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
#include "user/reader/trace_files.h"

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
    uint64_t order; /* of its block, over all files; 0 for one that is only referred to */
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
    bool replaced; /* another one was in its place at another time: which of them an address is of is not known */
} ModuleEntry;

typedef struct EmbeddedSymbol {
    uint64_t start; /* from the module's base */
    uint64_t function;
    uint32_t size;
    uint32_t text; /* index of the text that the name is in */
    const char *name;
} EmbeddedSymbol;

/* Symbols of one module that are in the trace: of one block, or of all of them once they are packed. */
typedef struct EmbeddedModule {
    AdatModuleSymbols head; /* which module it is */
    uint64_t order;
    EmbeddedSymbol *symbols; /* ascending, apart from each other */
    size_t count;
    bool known; /* the trace has such a module */
} EmbeddedModule;

/* Names of one block. */
typedef struct EmbeddedText {
    char *text; /* NULL: nobody needs it any more */
    size_t users;
} EmbeddedText;

typedef struct LedgerNote {
    AdatLedgerEntry entry;
    uint64_t order;
} LedgerNote;

/* What is known of a lane from one file, or from several together. */
typedef struct LaneSum {
    uint32_t thread;
    uint32_t lane;
    AdatAccount account;
    AdatThreadDrain drain;
    bool accounted; /* in each of the files: the account is the recorder's own */
    bool observed;
} LaneSum;

/* The same of events of a process's threads that got no slot. */
typedef struct UnregisteredSum {
    uint32_t process;
    AdatAccount account;
} UnregisteredSum;

typedef struct ReaderFile {
    size_t place; /* in AdatReader.sources */
    int fd;       /* -1: it is opened when it is needed */
    AdatFileInfo info;
    int error; /* it could not be read: nothing is known of it */
    AdatAccount events;
    AdatAccount detail;
} ReaderFile;

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
    const TraceFiles *sources; /* where the files come from; NULL: the one is open */
    TABLE(ReaderFile) files;   /* in the order in which they were written */
    uint64_t base;             /* bytes of files before the one that is scanned: its blocks' order */
    AdatFileInfo info;         /* of the file that is scanned; then of all together */
    size_t packed_size;        /* items of the tables after pack_tables() */
    StringTable session;
    TABLE(ProcessEntry) processes;      /* by number */
    TABLE(ThreadEntry) threads;         /* by number */
    TABLE(BlockRef) blocks;             /* of events, by thread, lane, file, offset */
    TABLE(BlockLosses) losses;          /* as blocks name them */
    TABLE(DescriptorEntry) descriptors; /* by process, id */
    TABLE(ModuleEntry) modules;         /* by process, base */
    TABLE(EmbeddedModule) embedded;     /* by identity */
    TABLE(EmbeddedText) embedded_texts;
    size_t embedded_symbols;               /* of all modules */
    size_t embedded_packed;                /* after embedded_pack() */
    TABLE(AdatDeath) deaths;               /* in the file's order */
    TABLE(AdatKernelThread) thread_deaths; /* until they are connected */
    TABLE(LedgerNote) ledger;              /* final entries of one file, until its accounts are settled */
    TABLE(LedgerNote) looks;               /* entries of its snapshots, likewise */
    TABLE(LaneSum) sums;                   /* of the files that are done with, until they are connected */
    TABLE(UnregisteredSum) unregistered;   /* likewise */
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

/*
 * Reads the files [first, end) of `sources`, which must outlive the reader and be of one recording. A file that is gone or cannot be read
 * has that as its error. `before`: the recording before it, whose time it shares; NULL: it begins its own. `may_hold`: so many descriptors
 * may stay open; what is taken of them is subtracted. 0; -ENOENT: no file could be read; -ENOMEM.
 */
int reader_open_files(const TraceFiles *sources, size_t first, size_t end, const AdatReader *before,
                      size_t *may_hold, AdatReader **reader_out);

/* collect.c: takes in what a block says. 0 or -ENOMEM. */
int collect_block(AdatReader *reader, const Block *block);

int collect_add_thread(AdatReader *reader, const ThreadEntry *entry);
void collect_free(AdatReader *reader);
int string_table_parse(const uint8_t *bytes, size_t size, StringTable *strings_out);
void string_table_free(StringTable *strings);

/* last_look.c: notes an entry of a ledger that is a snapshot. 0 or -ENOMEM. */
int last_look_add(AdatReader *reader, const AdatLedgerEntry *entry);

/* Keeps the last of each lane, sorted by thread and lane. */
void last_look_sort(AdatReader *reader);

/* For qsort(3): by thread, lane, order. */
int ledger_note_compare(const void *a, const void *b);

/* Adds to what blocks say of a lane what the recorder knew besides, if it never closed it. */
void last_look_merge(AdatAccount *account, const AdatLedgerEntry *seen);

/*
 * accounts.c: the file that was scanned last, whose blocks of events are those from `first_block` on, is done with: what became of its
 * lanes. 0 or -ENOMEM.
 */
int accounts_settle_file(AdatReader *reader, ReaderFile *file, size_t first_block);

/* All that is known of each lane and process, once; and to the threads and processes, once these are connected. */
void accounts_pack(AdatReader *reader);
void accounts_apply(AdatReader *reader);

/* embedded.c: what is wrong with a block of symbols, or NULL: nothing. */
const char *embedded_check(const uint8_t *payload, size_t size);

/* Takes a block of symbols in; one with something wrong in it is left out. 0 or -ENOMEM. */
int embedded_collect(AdatReader *reader, const Block *block);

/* Makes one table of each module, without what several blocks say. `always`, or when there is much of it. 0 or -ENOMEM. */
int embedded_pack(AdatReader *reader, bool always);
void embedded_free(AdatReader *reader);

/* The name of the function that a place of a module is in, and where that begins; NULL: there is none. The table is packed. */
const char *embedded_find(const AdatReader *reader, const AdaModule *module, uint64_t place,
                          uint64_t *function_out);

/* Once modules are connected, and symbols packed: whether a block of symbols is about a module of the trace. */
void embedded_connect(AdatReader *reader);
bool embedded_is_known(const AdatReader *reader, const AdatModuleSymbols *head);

/* What a block's lane had lost up to it. */
static inline BlockLosses reader_losses(const AdatReader *reader, const BlockRef *block)
{
    return block->losses ? reader->losses.items[block->losses - 1] : (BlockLosses){0};
}

/* connect.c: orders blocks by thread, lane, file, offset. */
void sort_blocks(BlockRef *blocks, size_t count);

/* Forgets what later files say again, when there is much of it. 0 or -ENOMEM. */
int pack_tables(AdatReader *reader);

/* Sorts and connects the tables once all blocks are in. `before` as for reader_open_files(). 0 or -ENOMEM. */
int connect_tables(AdatReader *reader, const AdatReader *before);

/* Index of the process with this number, or -1. */
ptrdiff_t reader_find_process(const AdatReader *reader, uint32_t number);
ThreadEntry *reader_find_thread(const AdatReader *reader, uint32_t number);

/* names.c: the path of a module, and a function as "module+0xOFFSET" or its address; see adat_reader_event_name(). */
const char *reader_module_path(const AdatReader *reader, uint32_t process, const AdaModule *module);
size_t reader_function_name(const AdatReader *reader, uint32_t process, uint64_t address, char *name);

uint32_t reader_clock_kind(const AdatReader *reader, size_t process);

#endif
