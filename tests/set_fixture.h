/* SPDX-License-Identifier: MIT */
/*
 * What the tests of sets share: a directory, and files of recordings in it, made by the writer. One test at a time; failures
 * are CUnit's.
 */
#ifndef ADA_TESTS_SET_FIXTURE_H
#define ADA_TESTS_SET_FIXTURE_H

#include "adat_sample.h"

#define FIRST_ID "11111111-1111-4111-8111-111111111111"
#define SECOND_ID "22222222-2222-4222-8222-222222222222"
#define NS_PER_S UINT64_C(1000000000)

/* ---- a directory ------------------------------------------------------------------------------ */

extern char set_directory[64];

/* Makes an empty one, in set_directory; removes it with the files in it. */
void begin_directory(void);
void end_directory(void);

/* Of a file in it; valid until the next call. */
const char *path_of(const char *name);

void write_file(const char *name, const void *bytes, size_t size);

/* That this process has open. */
size_t open_descriptors(void);

/* ---- files of recordings ---------------------------------------------------------------------- */

/* What a file has of one thread: ticks, one each 1000 ns, whose argument is their number; and the ledger's losses behind them. */
typedef struct ThreadPart {
    uint32_t thread;
    uint64_t first;   /* where the file's account begins, and the first record of it */
    uint32_t count;   /* records in the file, behind each other */
    uint64_t skipped; /* numbers without a record before the first one */
    uint64_t lost;    /* what the ledger says was dropped */
} ThreadPart;

typedef struct FileShape {
    const char *recording; /* NULL: it does not say */
    uint32_t number;       /* 0: likewise */
    uint64_t boot_ns;      /* time of day when CLOCK_MONOTONIC was 0 */
    uint64_t begins_ns;    /* CLOCK_MONOTONIC when the recording began, after that of the samples */
    bool unclosed;         /* its recorder was killed */
    ThreadPart parts[3];   /* ended by thread 0 */
} FileShape;

void make_file(const char *name, const FileShape *shape);

/* Three files of a recording: thread 1 is in all of them, thread 2 in the first and the last. */
extern const FileShape three[3];

/* "trace-000001.adat" and so on. */
void make_three(void);

#endif
