/* SPDX-License-Identifier: MIT */
/*
 * Reads .adat files: what was recorded, by which threads, in which order, and what was lost.
 *
 *   adat_reader_open()     one pass over the file finds the longest prefix of whole, intact blocks
 *   adat_reader_*()        strings, processes, threads, accounts, clocks: collected by that pass
 *   adat_cursor_*()        the events of all threads in the order of time (adat_cursor.h)
 *   adat_verify()          every check there is, with what it found (adat_verify.h)
 *
 * A file is never trusted: lengths and counts are checked against what is there, blocks are
 * checksummed again whenever they are read, text is terminated here. Memory is proportional to the
 * number of blocks, threads and descriptors, not to that of events.
 *
 * A reader is constant after opening, so threads may share it; each cursor belongs to one thread.
 * Everything that a reader hands out lives as long as the reader. Functions return 0 or -errno;
 * nothing is printed.
 */
#ifndef ADA_READER_ADAT_READER_H
#define ADA_READER_ADAT_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/file/adat_account.h"
#include "user/file/block_scan.h"

typedef struct AdatReader AdatReader;

/* ---- opening ---------------------------------------------------------------------------------- */

typedef struct AdatFileInfo {
    AdatFileHeader header;
    uint64_t file_bytes;  /* when it was opened */
    uint64_t valid_bytes; /* of the valid prefix */
    uint64_t blocks;      /* in it, parts of the index included */
    AdatCut cut; /* why the other file_bytes - valid_bytes are cut off; NONE: they are room for more blocks */
    bool closed; /* the footer is there */
    bool has_ledger;      /* all accounts are the recorder's final ones; else some come from the blocks */
    uint64_t bad_padding; /* offset of a block whose padding is not zero; 0 = none */
} AdatFileInfo;

/*
 * Opens a trace and scans it. -EINVAL: not a trace; -ENODATA: nothing in it yet: it ends before its first block;
 * -EPROTONOSUPPORT: its format is none that this reader knows; -EBADMSG: its file header is damaged;
 * -EISDIR, -ENOTSUP: not a regular file; -ENOMEM; those of open(2) and read(2).
 */
int adat_reader_open(const char *path, AdatReader **reader_out);

/* The same for an open file, which the reader takes over if it succeeds. */
int adat_reader_open_fd(int fd, AdatReader **reader_out);

/* NULL is allowed. */
void adat_reader_close(AdatReader *reader);

/* What an error of adat_reader_open() means to a user: why, and what to do. */
const char *adat_reader_error_text(int err);

/* How many bytes are cut off. */
static inline uint64_t adat_cut_bytes(const AdatFileInfo *info)
{
    return info->cut == ADAT_CUT_NONE ? 0 : info->file_bytes - info->valid_bytes;
}

/* What a cut means to a user. */
const char *adat_cut_text(AdatCut cut);

#define ADAT_ID_SIZE 37u

/* A uuid as text, NUL-terminated. */
void adat_id_format(const uint8_t *uuid, char text[ADAT_ID_SIZE]);

/* ---- what is in the file ---------------------------------------------------------------------- */

const AdatFileInfo *adat_reader_info(const AdatReader *reader);

typedef struct AdatString {
    const char *key;
    const char *value;
} AdatString;

/* A list of keys and values, as SESSION and PROCESS blocks have them. */
typedef struct AdatStrings {
    const AdatString *items;
    size_t count;
} AdatStrings;

AdatStrings adat_reader_session(const AdatReader *reader);

/* The value of `key`, or NULL. */
const char *adat_strings_find(AdatStrings strings, const char *key);

typedef struct AdatProcessInfo {
    AdatProcess process; /* .process is its number; all else is 0 when the file lacks its PROCESS block */
    bool described;      /* there is a PROCESS block */
    AdatStrings strings;
    bool died; /* `death` is valid */
    AdatDeath death;
    AdatAccount unregistered; /* events of threads that got no slot */
} AdatProcessInfo;

/* How a thread fared with the recorder's drain; see AdatLedgerEntry. */
typedef struct AdatThreadDrain {
    uint64_t visits;
    uint64_t skips;
    uint64_t bytes;
    uint64_t wait_total;
    uint64_t wait_max;
} AdatThreadDrain;

typedef struct AdatThreadInfo {
    AdatThread thread; /* .thread is its number; all else is 0 when the file lacks its THREAD block */
    AdatThreadStart start;
    bool described; /* there is a THREAD block */
    bool observed;  /* not accounted, but the recorder looked at it shortly before it was killed */
    bool accounted; /* `events` is the recorder's final account, and `drain` is known; else what the blocks say */
    size_t process;     /* index of its process */
    AdatAccount events; /* of its index lane */
    AdatAccount detail; /* of its detail lane */
    AdatThreadDrain drain;
    bool died;              /* `death` is valid: only with kernel assistance */
    AdatKernelThread death; /* and what it did on CPUs, if its flags have ADAT_KERNEL_CONTEXT */
} AdatThreadInfo;

/* Processes and threads by ascending number. NULL beyond the last. */
const AdatProcessInfo *adat_reader_process(const AdatReader *reader, size_t index);
const AdatThreadInfo *adat_reader_thread(const AdatReader *reader, size_t index);

/* Sums over all threads; `events` includes the events of unregistered threads. */
AdatAccount adat_reader_events(const AdatReader *reader);
AdatAccount adat_reader_detail(const AdatReader *reader);

/* How the recorder's drain did, as of the last ledger. false: the file has none. */
bool adat_reader_drain(const AdatReader *reader, AdatDrainSummary *out);

/* What became of kernel assistance, as of the last block that tells. false: the file has none. */
bool adat_reader_kernel(const AdatReader *reader, AdatKernelSummary *out);

/* A mark that the recorder set, or something odd that it noticed. */
typedef struct AdatMarkInfo {
    AdatMark mark;
    int64_t time_ns;                /* since the first clock anchor */
    const AdatThreadInfo *thread;   /* NULL: of no thread, or of one that is not in the file */
    const AdatProcessInfo *process; /* NULL likewise */
    bool anomaly;                   /* it tells of the recording itself: see ADAT_FLAG_ANOMALY */
} AdatMarkInfo;

/* Marks in the order of time. NULL beyond the last. */
const AdatMarkInfo *adat_reader_mark(const AdatReader *reader, size_t index);
size_t adat_reader_mark_count(const AdatReader *reader);

/* The descriptor of a registered event of a process (by its number in the file), or NULL. */
const AdaEventDescriptor *adat_reader_descriptor(const AdatReader *reader, uint32_t process, uint64_t id);

/* The module that a code address of a process belongs to, or NULL. */
const AdaModule *adat_reader_module(const AdatReader *reader, uint32_t process, uint64_t address);

/* How many functions have their names in the trace itself, and of how many modules. */
size_t adat_reader_embedded(const AdatReader *reader, size_t *modules_out);

#define ADAT_NAME_MAX 320u

/*
 * Writes the name of an event, NUL-terminated, at most ADAT_NAME_MAX bytes: of a registered event its name
 * or "event#ID"; of a function "module+0xOFFSET", or its address. Returns the length.
 */
size_t adat_reader_event_name(const AdatReader *reader, uint32_t process, const AdaIndexEvent *event,
                              char *name);

/* ---- time ------------------------------------------------------------------------------------- */

typedef enum AdatClockQuality {
    ADAT_CLOCK_ANCHORED, /* ticks are interpolated between clock anchors, or are nanoseconds */
    ADAT_CLOCK_GUESSED,  /* cycle counter, but fewer than two anchors: a tick is taken for a nanosecond */
} AdatClockQuality;

AdatClockQuality adat_reader_clock_quality(const AdatReader *reader);

/*
 * By how much times that are cycles of the counter may be out of step with those that are nanoseconds of CLOCK_MONOTONIC, in ns: what a
 * program tells, and what the kernel tells of it.
 */
uint64_t adat_reader_clock_error(const AdatReader *reader);

/*
 * Ticks of a process (by index) to nanoseconds since the first clock anchor; negative before it. Never
 * decreases with the ticks.
 */
int64_t adat_reader_time(const AdatReader *reader, size_t process, uint64_t ticks);

/* The same of CLOCK_MONOTONIC in ns, which deaths are told in. */
int64_t adat_reader_monotonic_time(const AdatReader *reader, uint64_t monotonic_ns);

/* Such a time to nanoseconds of CLOCK_REALTIME since 1970. */
uint64_t adat_reader_realtime(const AdatReader *reader, int64_t time_ns);

/* From the first to the last thing that the file has a time for. */
uint64_t adat_reader_duration(const AdatReader *reader);

#endif
