/* SPDX-License-Identifier: MIT */
/*
 * A traced process from within. Every part reads all of the structure; each member is written where it is said here.
 *
 *   traced_process.c          its life, the threads that come, what the kernel tells, the iteration: all that is not named below
 *   traced_process_account.c  what the ledger says of it, and its end: `quarantine`, `done`, `torn`, `closed`, closed_*,
 *                             unregistered_told, unregistered_entries; takes a thread that is done with out of `threads`, `known`,
 *                             threads_here and `kernel`
 *   traced_process_metrics.c  its figures: `last`, `average`, `measured`, and `ended`, to which the accounts add what had no slot
 *
 * Whoever puts something about the process into the batch calls process_description_write() first, which keeps `description`.
 */
#ifndef ADA_COLLECTOR_TRACED_PROCESS_INTERNAL_H
#define ADA_COLLECTOR_TRACED_PROCESS_INTERNAL_H

#include "user/collector/process_description.h"
#include "user/collector/process_kernel.h"
#include "user/collector/traced_process.h"

/* A thread whose account is closed, but maybe not in the file yet. */
typedef struct ClosedThread {
    uint64_t entries; /* of the account book, up to its own */
    ThreadLaneSet *lanes;
    uint32_t slot;
    bool gives_back; /* the slot */
    AdatLaneProgress told[2];
} ClosedThread;

struct TracedProcess {
    Segment segment;
    DrainSource source;
    DrainIterator *iterator; /* the session's */
    uint32_t process;
    pid_t pid;
    uint32_t *thread_counter;   /* the session's */
    ThreadDrainState **threads; /* by slot; NULL = nobody known there */
    uint32_t threads_found;
    uint32_t threads_here; /* not NULL in `threads` */
    uint64_t known[ADA_BITMAP_WORDS]; /* the same as bits: in each iteration as many words are looked at, and not as many threads */
    uint64_t done[ADA_BITMAP_WORDS]; /* slots that were drained and not given back: not to be looked at again */
    ClosedThread *closed_threads;    /* in the order of their entries */
    size_t closed_count;
    size_t closed_capacity;
    AccountBook *accounts;         /* the session's */
    const uint32_t *epoch;         /* of the session's batch */
    ada_global_metrics_t *metrics; /* the session's */
    ProcessEnd end;
    const char *quarantine;
    uint32_t next_check;           /* slot: see traced_process_check_threads() */
    uint64_t unregistered_before;  /* events without a slot that are in another collector's account */
    uint64_t unregistered_told;    /* the same, in the account book */
    uint64_t unregistered_entries; /* as ClosedThread.entries; 0: nothing is to be settled */
    bool closed;                   /* the accounts of an ended process were closed */
    bool visited;                  /* in the present iteration */
    bool mark_requested;
    bool is_view; /* what the kernel saw of the process with that pid; see kernel_view.h */
    uint64_t torn;
    MetricsFigures ended; /* of threads that are done with */
    double average;       /* events a second */
    uint64_t measured;    /* events attempted, when metrics were last collected */
    MetricsThread *last; /* by slot: figures as they were then; NULL: they never were, or there was no memory */
    ProcessDescription description;
    DeathBook *deaths; /* the session's; NULL: the kernel tells nothing */
    ProcessKernel kernel;
    KernelHints *hints;    /* the session's */
    SegmentReaper *reaper; /* the same */
};

/* Metrics: takes the last figures of a thread whose account is closed, for the sums and for the next snapshot. */
void traced_process_measure_ended(TracedProcess *process, const ThreadDrainState *state,
                                  const ThreadAccount *account);

/* The same, for each slot of a walk over all: has the states of threads some slots ahead fetched into the cache. */
void traced_process_expect_threads(const TracedProcess *process, uint32_t slot);

#endif
