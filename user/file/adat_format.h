/* SPDX-License-Identifier: MIT */
/*
 * The .adat file: a header, then self-contained blocks, parts of their index among them; on a clean close, the
 * last part of the index and a footer.
 *
 *   AdatFileHeader | AdatBlockHeader payload | AdatBlockHeader payload | ... | TRAILER block | AdatFooter
 *
 * Little-endian, fixed width, payloads padded with zeros to 8 bytes (`payload_bytes` is without the
 * padding). A block's crc32 (zlib's polynomial) covers its header, with the crc field as 0, and its
 * payload, without the padding. A file may end anywhere: what counts is the longest prefix of whole
 * blocks. A file that is being written, or whose writer was killed, may end in up to ADAT_AHEAD_BYTES zeros: room for
 * blocks that did not come. Readers skip block types they don't know.
 *
 * Threads and processes are named by small numbers that are unique in the file (`thread`,
 * `process`, from 1; 0 = none). A thread is one occupation of one slot; its lanes' records are
 * numbered from 0, or from where another file ends (AdatThreadStart). A block of events says which records it holds; a hole between a block and the next
 * one of the same lane is records that were lost, and the ledger says why.
 */
#ifndef ADA_FILE_ADAT_FORMAT_H
#define ADA_FILE_ADAT_FORMAT_H

#include "shared/event_abi.h"

#define ADAT_MAGIC "ADATRACE" /* 8 bytes, no NUL */
#define ADAT_MAJOR 3u
#define ADAT_OLDEST 3u /* readers of this format can read what is written */
#define ADAT_OLDEST_READ \
    2u /* files of formats before it are refused: their events are packed in another way */
#define ADAT_BLOCK_MAGIC 0x42414441u  /* "ADAB" */
#define ADAT_FOOTER_MAGIC 0x46414441u /* "ADAF" */
#define ADAT_PAYLOAD_MAX (64u << 20)  /* a reader refuses longer ones */
#define ADAT_EVENTS_MAX \
    (ADAT_PAYLOAD_MAX / (uint32_t)sizeof(AdaIndexEvent)) /* of a block; a reader takes no more */
#define ADAT_AHEAD_BYTES (512u << 10) /* at most so many zeros stand behind the last block */

typedef struct AdatFileHeader {
    uint8_t magic[8];
    uint16_t major;
    uint16_t oldest_compatible;
    uint32_t header_bytes; /* sizeof(AdatFileHeader): where the first block starts */
    uint8_t uuid[16];
    uint64_t created_realtime_ns;
    uint32_t chunk; /* 1.. */
    uint32_t flags; /* none defined: 0 */
    uint32_t reserved[3];
    uint32_t crc32; /* of this header with this field 0 */
} AdatFileHeader;
ADA_ABI_ASSERT(sizeof(AdatFileHeader) == 64, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatFileHeader, uuid) == 16, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatFileHeader, crc32) == 60, "");

/* Block types. Never reuse a value. */
#define ADAT_BLOCK_SESSION 1u /* strings: see below */
#define ADAT_BLOCK_PROCESS 2u /* AdatProcess, then its strings */
#define ADAT_BLOCK_THREAD \
    3u /* AdatThread, maybe AdatThreadStart; a later one for the same thread replaces the earlier */
#define ADAT_BLOCK_INDEX 4u    /* record_count events: AdaIndexEvent[], or packed */
#define ADAT_BLOCK_DETAIL 5u   /* record_count detail records, each ADA_DETAIL_RECORD_SIZE() long */
#define ADAT_BLOCK_EVENTS 6u   /* AdaEventDescriptor[] of `process` */
#define ADAT_BLOCK_MODULES 7u  /* AdaModule[] of `process` */
#define ADAT_BLOCK_CLOCK 8u    /* AdatClock */
#define ADAT_BLOCK_DEATH 9u    /* AdatDeath */
#define ADAT_BLOCK_LEDGER 10u  /* AdatDrainSummary, then AdatLedgerEntry[] */
#define ADAT_BLOCK_KERNEL 11u  /* AdatKernelSummary, then AdatKernelThread[] */
#define ADAT_BLOCK_TRAILER 12u /* AdatTrailerEntry[]: a part of the index */
#define ADAT_BLOCK_MARK 13u    /* AdatMark */
#define ADAT_BLOCK_SYMBOLS 14u /* AdatModuleSymbols, AdatSymbol[], then the names */
#define ADAT_BLOCK_LANES \
    15u /* record_count blocks of type INDEX and DETAIL as one: see user/file/lane_blocks.h */
#define ADAT_BLOCK_TYPES 16u

/* Block flags. */
#define ADAT_FLAG_FINAL 0x1u  /* ledger: the session is over, nothing is pending */
#define ADAT_FLAG_CLOSED 0x2u /* ledger: of lanes that are done with; others follow in later ledgers */
#define ADAT_FLAG_ANOMALY \
    0x4u /* mark: nothing is kept for it; `reason` says what was odd with the recording itself */
#define ADAT_FLAG_PACKED 0x10u /* index events: see user/file/event_pack.h */

typedef struct AdatBlockHeader {
    uint32_t magic;
    uint16_t type;
    uint16_t flags;
    uint32_t payload_bytes;
    uint32_t crc32;
    uint64_t sequence; /* 0, 1, 2 ... in the file */
    uint32_t process;  /* 0 where it has no meaning */
    uint32_t thread;   /* 0 where it has no meaning */
    /* INDEX and DETAIL; else 0, but first_record of TRAILER and record_count of LANES */
    uint64_t first_record; /* number of the first record within its lane; of a part of the index, see below */
    uint32_t record_count;
    uint32_t records_bytes; /* of LANES: its payload's part before the entries; else 0 */
    uint64_t first_time;    /* ticks: timestamp of the first and of the last record */
    uint64_t last_time;
    /* losses of this lane up to now */
    uint64_t dropped_full;
    uint64_t dropped_nested;
    uint64_t dropped_io;
    uint64_t recycled;
} AdatBlockHeader;
ADA_ABI_ASSERT(sizeof(AdatBlockHeader) == 96, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatBlockHeader, sequence) == 16, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatBlockHeader, first_record) == 32, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatBlockHeader, first_time) == 48, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatBlockHeader, dropped_full) == 64, "");

/*
 * Strings: "key\0value\0key\0value\0". Session keys: host, kernel, adatrace (version), command, policy, detail, threads, ring_size; and
 * if the recording may be of several files: recording (a uuid, the same in all of them) and file_number (1..). The numbers of processes and threads are the same in all of them; a file describes those that
 * it has something of, and its accounts are of what happened while it was written. A death record may name a thread of an
 * earlier file.
 */

typedef struct AdatProcess {
    uint32_t process;
    uint32_t pid;
    uint32_t parent_pid;
    uint32_t clock_kind; /* ADA_CLOCK_*: of all timestamps of this process */
    uint64_t started_at; /* ticks: when the segment was taken over */
    /* strings follow: program, command (arguments joined by a blank); namespace_pid, if it has another pid in its own namespace */
} AdatProcess;
ADA_ABI_ASSERT(sizeof(AdatProcess) == 24, "");

typedef struct AdatThread {
    uint32_t thread;
    uint32_t process;
    uint32_t tid;
    uint32_t slot;
    uint32_t generation;
    uint32_t reserved;
    uint64_t registered_at; /* ticks */
    char name[16];          /* NUL-terminated */
} AdatThread;
ADA_ABI_ASSERT(sizeof(AdatThread) == 48, "");

/* What a thread had counted as lost of one lane, since it took its slot. */
typedef struct AdatLaneLosses {
    uint64_t full; /* refused for want of room */
    uint64_t nested;
    uint64_t overwritten;
    uint64_t recycled;
} AdatLaneLosses;
ADA_ABI_ASSERT(sizeof(AdatLaneLosses) == 32, "");

/*
 * Follows AdatThread if the thread had recorded, or lost, something before this file was begun: where the file's accounts of its lanes
 * begin (ADA_LANE_*). With it the file tells how far the lanes are, whatever other files there are: see user/file/adat_recover.h.
 */
typedef struct AdatThreadStart {
    uint64_t first_record[2]; /* numbers of the first records that are the file's; earlier ones are in another file, or were lost */
    AdatLaneLosses losses[2];
} AdatThreadStart;
ADA_ABI_ASSERT(sizeof(AdatThreadStart) == 80, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatThreadStart, losses) == 16, "");

/* One instant on three clocks: readers interpolate between anchors. */
typedef struct AdatClock {
    uint64_t tsc;          /* 0 where there is no usable one */
    uint64_t monotonic_ns; /* CLOCK_MONOTONIC */
    uint64_t realtime_ns;  /* CLOCK_REALTIME */
    uint64_t error_ns;     /* the three were read within this time */
} AdatClock;
ADA_ABI_ASSERT(sizeof(AdatClock) == 32, "");

/* How a process ended, as far as the recorder knows. */
#define ADAT_DEATH_EXIT 1u     /* code = exit status */
#define ADAT_DEATH_SIGNAL 2u   /* code = signal number */
#define ADAT_DEATH_EXEC 3u     /* the process runs another program now */
#define ADAT_DEATH_UNKNOWN 4u  /* gone, nobody could say how */
#define ADAT_DEATH_DETACHED 5u /* it still ran when recording ended */

typedef struct AdatDeath {
    uint32_t process;
    uint32_t kind; /* ADAT_DEATH_* */
    int32_t code;
    uint32_t drain_complete; /* 1: everything it had published is in the file or in the ledger */
    uint64_t torn;           /* records begun but never completed, all lanes */
    uint64_t monotonic_ns;   /* when the recorder learnt of it */
} AdatDeath;
ADA_ABI_ASSERT(sizeof(AdatDeath) == 32, "");

/*
 * A mark that the recorder set: from this event on, and as far back as the rings held, the detail records of the thread
 * were kept. Marks that the program sets are events (ADA_KIND_MARK).
 */
typedef struct AdatMark {
    uint32_t process;
    uint32_t thread;
    uint64_t timestamp; /* ticks; of the event that a rule found, or when the command came */
    uint64_t record;    /* number of that event in its lane; UINT64_MAX: no event */
    char reason[104];   /* the rule as the user wrote it, cut to fit, NUL-terminated */
} AdatMark;
ADA_ABI_ASSERT(sizeof(AdatMark) == 128, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatMark, reason) == 24, "");

/*
 * How the recorder's drain did, up to this ledger. Times in ns. Percentiles are of the time from an event to the return of
 * the write that has it, over a sample that stands for all.
 */
typedef struct AdatDrainSummary {
    char scheduler[16]; /* NUL-terminated */
    uint64_t iterations;
    uint64_t iteration_ns;
    uint64_t iteration_max_ns;
    uint64_t visits; /* of threads that had work */
    uint64_t skips;  /* of them in vain */
    uint64_t sweeps; /* looks at quiet threads */
    uint64_t wakeups;
    uint64_t records;
    uint64_t bytes;
    uint64_t flushes;
    uint64_t failed_writes;
    uint64_t marks;
    uint64_t wait_total; /* iterations that threads with work waited, in all */
    uint64_t wait_max;
    uint64_t cpu_ns;
    uint64_t latency_count; /* events that the percentiles stand for; 0: they are not known */
    uint64_t latency_p50_ns;
    uint64_t latency_p90_ns;
    uint64_t latency_p99_ns;
    uint64_t latency_max_ns;
    uint64_t jain_ppb; /* Jain's fairness index over drained / offered of all threads, in 1e-9 */
    uint64_t spared;   /* looks at quiet threads left out, as the kernel knew that they had not run */
    uint64_t reserved[8];
} AdatDrainSummary;
ADA_ABI_ASSERT(sizeof(AdatDrainSummary) == 256, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatDrainSummary, iterations) == 16, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatDrainSummary, cpu_ns) == 128, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatDrainSummary, jain_ppb) == 176, "");

/*
 * One lane's account, in records. For each entry:
 *   attempted = in_file + dropped_full + dropped_nested + dropped_io + recycled_unmarked + torn + pending
 * Each lane has one entry, in a ledger that is CLOSED or FINAL, behind all of its blocks; nothing is pending in it.
 * Entries of a ledger that is neither are a snapshot, of lanes that are in use and whose accounts changed since the snapshot
 * before: should the recorder be killed, the last of them is what is known. thread 0 of a process collects the
 * events of threads that got no slot.
 */
typedef struct AdatLedgerEntry {
    uint32_t process;
    uint32_t thread;
    uint32_t lane; /* ADA_LANE_* */
    uint32_t reserved;
    uint64_t attempted;
    uint64_t in_file;
    uint64_t dropped_full; /* no room: refused, or overwritten under `overwrite` */
    uint64_t dropped_nested;
    uint64_t dropped_io; /* drained, but the file could not be written */
    uint64_t recycled_unmarked;
    uint64_t torn;
    uint64_t pending;
    /* of the thread's visits; in its index lane's entry, else 0 */
    uint64_t visits;
    uint64_t skips;
    uint64_t bytes; /* taken over, both lanes */
    uint64_t wait_total;
    uint64_t wait_max; /* iterations */
    uint64_t next_record; /* records of the lane below this one are in the account; of thread 0: events that its process had counted */
} AdatLedgerEntry;
ADA_ABI_ASSERT(sizeof(AdatLedgerEntry) == 128, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatLedgerEntry, attempted) == 16, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatLedgerEntry, visits) == 80, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatLedgerEntry, next_record) == 120, "");

/* What became of kernel assistance up to this block. */
typedef struct AdatKernelSummary {
    uint32_t enabled; /* 1: the kernel told of threads; 0: `reason` says why not */
    uint32_t reserved0;
    uint64_t lifecycle_attempted; /* births, ends, new programs of threads */
    uint64_t lifecycle_lost;      /* of them for want of room */
    uint64_t sched_attempted;     /* the same of switches and wakeups */
    uint64_t sched_lost;
    uint64_t threads_refused; /* threads without context */
    uint64_t targets_refused; /* processes that the kernel told nothing of */
    uint64_t reserved[1];
    char reason[192]; /* NUL-terminated */
} AdatKernelSummary;
ADA_ABI_ASSERT(sizeof(AdatKernelSummary) == 256, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatKernelSummary, lifecycle_attempted) == 8, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatKernelSummary, reason) == 64, "");

#define ADAT_KERNEL_CONTEXT 0x1u /* AdatKernelThread: what it did on CPUs is known */

/*
 * The death record of one thread. Times are CLOCK_MONOTONIC in ns, 0: not known. Sums are of its life as far as
 * it was watched.
 */
typedef struct AdatKernelThread {
    uint32_t process;
    uint32_t thread;
    uint32_t tid;
    uint32_t flags; /* ADAT_KERNEL_* */
    uint32_t kind; /* ADAT_DEATH_*; _EXEC: it is the one that went on as another program; _UNKNOWN: what the kernel said was lost */
    int32_t code;  /* as in AdatDeath */
    uint32_t drain_complete; /* 1: everything that it had published is in the file or in the ledger */
    uint32_t last_cpu;
    uint64_t torn; /* records begun but never completed, both lanes */
    uint64_t started_ns;
    uint64_t ended_ns;
    uint64_t freed_ns; /* everything was in the file, and its slot free for another */
    uint64_t run_ns;
    uint64_t runqueue_ns;  /* runnable, and on no CPU */
    uint64_t preempted_ns; /* the part of it after preemption */
    uint64_t sleep_ns;
    uint64_t blocked_ns; /* off CPU, and not to be interrupted: mostly for a disk */
    uint64_t switches_voluntary;
    uint64_t switches_involuntary;
    uint64_t migrations;
    uint64_t wakeups;
    uint64_t reserved;
} AdatKernelThread;
ADA_ABI_ASSERT(sizeof(AdatKernelThread) == 144, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatKernelThread, torn) == 32, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatKernelThread, run_ns) == 64, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatKernelThread, wakeups) == 128, "");

/*
 * What functions of one module are called: those that addresses of the file's events are in, so that it can be read where the module's file is
 * not. Added once the file is complete (user/file/adat_append.h). A module may have several such blocks. Symbols ascend, and lie apart.
 */
#define ADAT_EMBEDDED_MAX (1u << 20) /* symbols in one block: a reader refuses more */
#define ADAT_EMBEDDED_NAME_MAX 4096u /* bytes of a name with its NUL: likewise */

typedef struct AdatModuleSymbols {
    uint32_t symbol_count;
    uint32_t names_bytes; /* of all names, each with its NUL */
    uint32_t build_id_size; /* as in AdaModule: which module it is. Without a build-id it is known by size and path */
    uint8_t build_id[ADA_BUILD_ID_MAX];
    uint64_t module_size;
    char path[ADA_MODULE_PATH_SIZE]; /* NUL-terminated */
    uint64_t reserved;
} AdatModuleSymbols;
ADA_ABI_ASSERT(sizeof(AdatModuleSymbols) == 256, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatModuleSymbols, build_id) == 12, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatModuleSymbols, module_size) == 32, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatModuleSymbols, path) == 40, "");

/* Where one function is the innermost. Places are from the module's base. */
typedef struct AdatSymbol {
    uint64_t start;
    uint64_t function; /* where it begins: not behind `start` */
    uint32_t size;     /* bytes from `start` on, at least 1 */
    uint32_t name;     /* offset in the names; as it stands in the module's file, mangled */
} AdatSymbol;
ADA_ABI_ASSERT(sizeof(AdatSymbol) == 24, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdatSymbol, size) == 16, "");

/*
 * The index: one entry for each block that is not a part of the index itself, in the file's order. It is
 * written in parts, so that a recorder need not keep it: each part has the blocks since the part before, whose
 * offset is in its header's `first_record` (0: it is the first). The footer names the last part, and follows
 * it directly; there is at least one part then, maybe without entries.
 */
typedef struct AdatTrailerEntry {
    uint64_t offset; /* of the block in the file */
    uint32_t payload_bytes;
    uint16_t type;
    uint16_t reserved;
    uint32_t process;
    uint32_t thread;
} AdatTrailerEntry;
ADA_ABI_ASSERT(sizeof(AdatTrailerEntry) == 24, "");

typedef struct AdatFooter {
    uint64_t trailer_offset; /* of the last part of the index */
    uint32_t magic;
    uint32_t crc32; /* of the 12 bytes before */
} AdatFooter;
ADA_ABI_ASSERT(sizeof(AdatFooter) == 16, "");

#define ADAT_PADDED(bytes) (((bytes) + 7u) & ~(__typeof__(bytes))7u)

#endif
