/* SPDX-License-Identifier: MIT */
/*
 * For tests of kernel assistance with the real kernel: programs (children of the test) that are watched from their first
 * instruction on, and what the kernel tells of them.
 */
#ifndef ADA_TESTS_KERNEL_FIXTURE_H
#define ADA_TESTS_KERNEL_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "user/kernel/kernel_assist.h"

/* A lifecycle record, and the context that came with it (generation 0: none). */
typedef struct SeenRecord {
    AdaKernelLifecycle record;
    AdaKernelThread thread;
} SeenRecord;

typedef struct SeenRecords {
    SeenRecord *items;
    size_t count;
    size_t capacity;
} SeenRecords;

/* Loads with a configuration. False after skipping the test: it cannot be had here, and why. */
bool kernel_fixture_start(const KernelAssistConfig *config, KernelAssist **assist_out);

typedef struct WatchedProgram {
    pid_t pid;
    int go;      /* written to: the program begins, or goes on */
    int message; /* what it writes */
} WatchedProgram;

/*
 * Forks a program that waits in `program_pause()` before it calls `run`, with `argument`; the result is its exit status.
 * Not watched yet.
 */
WatchedProgram program_start(int (*run)(void *argument), void *argument);

/* In the program: waits for program_continue(). Tells the test that it is here if `tell`. */
void program_pause(bool tell);

/* In the program: writes a number for program_read(). */
void program_write(uint64_t number);

void program_continue(const WatchedProgram *program);
uint64_t program_read(const WatchedProgram *program);

/* Reaps it. The status as of wait(2). */
int program_wait(const WatchedProgram *program);

/* Takes what is there. */
void seen_consume(KernelAssist *assist, SeenRecords *seen);

/* Takes records until there are `count` of this type of the process; 0: of any process. */
void seen_await(KernelAssist *assist, SeenRecords *seen, uint32_t type, uint32_t tgid, size_t count);

size_t seen_count(const SeenRecords *seen, uint32_t type, uint32_t tgid);

/* The nth record (0, 1 ...) of this type of a thread; NULL: there is none. */
const SeenRecord *seen_find(const SeenRecords *seen, uint32_t type, uint32_t tid, size_t nth);

void seen_free(SeenRecords *seen);

#endif
