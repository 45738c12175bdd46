/* SPDX-License-Identifier: MIT */
/*
 * One traced process as the drain thread sees it: its segment, the threads found in it, and what the
 * file must be told about it (identity, event descriptors, modules, death).
 *
 * A process is *attached* (its segment checked and mapped), *ended* once somebody who can know says so,
 * and *finished* once everything it published is in the file, its accounts are closed and the segment is
 * unmapped. Values in the segment that cannot be right *quarantine* it: it is read no more, its accounts
 * close with what was taken, and the reason is kept for the user. All functions are for the drain thread,
 * but traced_process_create() and traced_process_destroy() of one that it does not know.
 */
#ifndef ADA_COLLECTOR_TRACED_PROCESS_H
#define ADA_COLLECTOR_TRACED_PROCESS_H

#include <sys/types.h>

#include "user/collector/account.h"
#include "user/collector/death_book.h"
#include "user/collector/kernel_hints.h"
#include "user/collector/segment_reaper.h"
#include "user/drain/drain_iterator.h"
#include "user/metrics/global_metrics.h"

typedef struct TracedProcess TracedProcess;

/* How a process ended: as AdatDeath. */
typedef struct ProcessEnd {
    uint32_t kind; /* ADAT_DEATH_*; 0 = it has not */
    int32_t code;
} ProcessEnd;

/* What all processes of a session share; it outlives them. */
typedef struct TracedProcessConfig {
    DrainIterator *iterator;
    AccountBook *accounts;         /* takes those of threads that are drained */
    uint32_t *thread_counter;      /* numbers of threads in the file */
    const uint32_t *epoch;         /* of the batch that they are drained into: see DrainBatch */
    const double *ns_per_cycle;    /* the same */
    const MarkRules *rules;        /* NULL: none */
    const WeightRules *weights;    /* NULL: none */
    ada_global_metrics_t *metrics; /* takes the last figures of threads that ended */
    DeathBook *deaths;             /* takes the ends of threads; NULL: the kernel tells of none */
    KernelHints *hints;            /* learns of threads */
    SegmentReaper *reaper;         /* unmaps segments; NULL: they are unmapped at once */
    bool is_view; /* the segment is a KernelView's: its threads are known to be the kernel's, and what it tells is not about them */
} TracedProcessConfig;

/*
 * Takes over a mapped segment. `number` is its number in the file; `pid` what the kernel attests (0: not known yet).
 * -ENOMEM: the segment stays the caller's.
 */
int traced_process_create(const TracedProcessConfig *config, const Segment *segment, uint32_t number,
                          pid_t pid, TracedProcess **process_out);

/* Unmaps and frees; NULL is allowed. Its threads must be gone from the iterator. */
void traced_process_destroy(TracedProcess *process);

/*
 * Opens the gate, unless it has ended: from here on its threads record. What they recorded before is left to the account of the collector that was
 * there before, but for what that had not settled when it was killed. `wants_children`: children of fork() record from their first event
 * on, and are to be found. `recovered`: what the files of collectors before this one have of it; NULL: nobody has looked.
 */
void traced_process_begin(TracedProcess *process, bool wants_children, const AdatRecovery *recovered);

/* Sets the pid that the kernel attests. */
void traced_process_identify(TracedProcess *process, pid_t pid);

pid_t traced_process_pid(const TracedProcess *process);
bool traced_process_is_view(const TracedProcess *process);
uint32_t traced_process_number(const TracedProcess *process);

/* ADA_CLOCK_*: of its timestamps. */
uint32_t traced_process_clock(const TracedProcess *process);

/* Now, by the clock of its timestamps. */
uint64_t traced_process_ticks(const TracedProcess *process);

/* Whether a process ever took the segment over. */
bool traced_process_claimed(const TracedProcess *process);

/* Notes that the process is gone: the next drains are the last. */
void traced_process_end(TracedProcess *process, ProcessEnd end);

/* Leaves a process that still runs alone: shuts its gate, and the next drain is the last. */
void traced_process_detach(TracedProcess *process);

/* How it ended; kind 0: it has not. */
ProcessEnd traced_process_ended(const TracedProcess *process);

/* NULL, or why the process is in quarantine. */
const char *traced_process_quarantine(const TracedProcess *process);

/*
 * Before an iteration of the drain: writes what the file should know, registers new threads with the iterator and
 * deregisters those that ended, passes hints on. A process whose threads are quiet mostly has nothing done to it.
 */
void traced_process_prepare(TracedProcess *process, DrainBatch *batch);

/* After the visits of an iteration, before its write. */
void traced_process_complete(TracedProcess *process, DrainBatch *batch);

/*
 * Adds the present accounts of its threads, as far as they changed since they were last told, to *entries, which are to go into the batch,
 * where the threads are described. Without memory some are missing.
 */
void traced_process_tell_accounts(TracedProcess *process, DrainBatch *batch, LedgerEntries *entries);

/* Entries of a thread are in the batch. */
void traced_process_told_account(ThreadDrainState *state, const AdatLedgerEntry entries[2], DrainBatch *batch);

/*
 * The file ends here, and another follows: what its threads' accounts came to in this one goes into the account book. The batch must have
 * been flushed. Once the file has them: traced_process_settle_file().
 */
void traced_process_next_file(TracedProcess *process);
void traced_process_settle_file(TracedProcess *process);

/* The process that a thread belongs to. */
TracedProcess *traced_process_of(const ThreadDrainState *state);

/*
 * Closes the account of a thread that is drained. `final`: the thread writes no more. What was closed is noted in the segment, and the slot given
 * back, when the account is in the file; so a collector that is killed between leaves it to the next one.
 */
void traced_process_close_thread(TracedProcess *process, ThreadDrainState *state, bool final);

/* So many entries of the account book, of all that were ever added, are in the file, or could not be written. */
void traced_process_settle_closed(TracedProcess *process, uint64_t entries);

/* A lane of it holds impossible values: quarantine. */
void traced_process_give_up(TracedProcess *process);

/* Marks all its threads, in the next iteration: their payloads around that moment are kept. */
void traced_process_mark(TracedProcess *process);

/* Marks one thread, by its id in its own pid namespace, for a moment that the kernel saw; nothing happens if it has no slot. */
void traced_process_mark_thread(TracedProcess *process, DrainBatch *batch, uint32_t tid, uint64_t ticks,
                                const char *reason);

/* After an iteration. True: the process is finished, all accounts are closed and settled, and it may be destroyed. */
bool traced_process_settle(TracedProcess *process);

/* Whether its threads can write no more. */
bool traced_process_gone(const TracedProcess *process);

/* Writes the death record of a finished process. */
void traced_process_write_death(TracedProcess *process, DrainBatch *batch);

/*
 * ACTIVE slots of threads that the kernel no longer knows become DRAINING: threads that ended without destructors. Asks after
 * at most so many of them, the others have their turn next time.
 */
void traced_process_check_threads(TracedProcess *process, uint32_t most);

/* The kernel told of a thread of it: a birth, or an end. Takes the event over. */
void traced_process_tell(TracedProcess *process, KernelEvent *event);

/* When the process took its segment over, in CLOCK_MONOTONIC. Cycles are converted by way of an anchor of the past. */
uint64_t traced_process_started_ns(const TracedProcess *process, const AdatClock *anchor);

/* Threads found so far. */
uint32_t traced_process_threads(const TracedProcess *process);

/* Threads known at the moment. */
uint32_t traced_process_threads_here(const TracedProcess *process);

/*
 * Takes its figures and those of its threads: adds them to the snapshot, which has room for one more process and for
 * traced_process_threads_here() more threads.
 */
void traced_process_measure(TracedProcess *process, MetricsWindow *window, MetricsSnapshot *snapshot);

/* The sum over its threads that are done with. */
const MetricsFigures *traced_process_ended_figures(const TracedProcess *process);

/* Whether threads of it have told of full rings, or of their end, since the last look. */
bool traced_process_has_hints(const TracedProcess *process);

/* The doorbell protocol (lane_producer.c): says that the collector is about to sleep (`how`: ADA_COLLECTOR_NAPS or _SLEEPS), and returns the word to sleep on and its value. */
void traced_process_prepare_sleep(TracedProcess *process, uint32_t how, uint32_t **word_out,
                                  uint32_t *value_out);
void traced_process_awake(TracedProcess *process);

#endif
