/* SPDX-License-Identifier: MIT */
/*
 * Looking through /proc for processes of a kind that is not told from outside, so that each has to be looked at: a new one at once, and again
 * after 1, 2, 4 ... 64 s and then each 64 s, as it may become one. A pid that is another's since the last round goes on as the old one.
 */
#ifndef ADA_COLLECTOR_PROC_LOOK_H
#define ADA_COLLECTOR_PROC_LOOK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_LOOK_PAUSE_NS 1000000000ull
#define PROC_LOOK_DOUBLED_MAX 6u

typedef struct ProcSeen {
    pid_t pid;
    uint32_t pauses;
    uint64_t due_ns; /* CLOCK_MONOTONIC */
} ProcSeen;

/* All zeros: nobody was looked at. */
typedef struct ProcLook {
    ProcSeen *items; /* of the last round, by pid */
    size_t count;
    size_t capacity;
} ProcLook;

typedef void (*proc_look_fn)(void *context, pid_t pid);

/* Calls `look_at` for each process that is due. Errors of opendir(3); without memory some are looked at as new ones the next time. */
int proc_look_round(ProcLook *look, uint64_t now, proc_look_fn look_at, void *context);

/* All are new again. */
void proc_look_forget(ProcLook *look);

#endif
