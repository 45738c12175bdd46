/* SPDX-License-Identifier: MIT */
/*
 * One traced process as the drain thread sees it: its segment, the threads found in it, and what the
 * file must be told about it (identity, event descriptors, modules, death).
 *
 * A process is *attached* (its segment checked and mapped), *ended* once somebody who can know says so,
 * and *finished* once everything it published is in the file, its accounts are closed and the segment is
 * unmapped. Values in the segment that cannot be right *quarantine* it: it is read no more, its accounts
 * close with what was taken, and the reason is kept for the user. All functions are for the drain thread.
 */
#ifndef ADA_COLLECTOR_TRACED_PROCESS_H
#define ADA_COLLECTOR_TRACED_PROCESS_H

#include <sys/types.h>

#include "user/collector/account.h"
#include "user/drain/thread_drain.h"

typedef struct TracedProcess TracedProcess;

/* How a process ended: as AdatDeath. */
typedef struct ProcessEnd {
    uint32_t kind; /* ADAT_DEATH_*; 0 = it has not */
    int32_t code;
} ProcessEnd;

/*
 * Takes over a mapped segment. `number` is its number in the file; `pid` what the kernel attests (0: not known yet);
 * `thread_counter` is the session's counter of thread numbers. -ENOMEM.
 */
int traced_process_create(const Segment *segment, uint32_t number, pid_t pid, uint32_t *thread_counter,
                          TracedProcess **process_out);

/* Unmaps and frees; NULL is allowed. */
void traced_process_destroy(TracedProcess *process);

/* Sets the pid that the kernel attests. */
void traced_process_identify(TracedProcess *process, pid_t pid);

pid_t traced_process_pid(const TracedProcess *process);
uint32_t traced_process_number(const TracedProcess *process);

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
 * Finds new threads, drains all of them (`in_place` as in drain_thread_lanes()) and writes what else the file should know. 1: there may be
 * more at once; 0: all that was published is in the batch.
 */
int traced_process_drain(TracedProcess *process, DrainBatch *batch, bool in_place);

/*
 * After a flush: closes the accounts of threads that ended and gives their slots back; for a process that ended
 * closes them all. True: the process is finished, and may be destroyed.
 */
bool traced_process_settle(TracedProcess *process, AccountList *accounts);

/* Writes the death record of a finished process. */
void traced_process_write_death(const TracedProcess *process, DrainBatch *batch);

/* ACTIVE slots of threads that the kernel no longer knows become DRAINING: threads that ended without destructors. */
void traced_process_check_threads(TracedProcess *process);

/* Threads found so far. */
uint32_t traced_process_threads(const TracedProcess *process);

/* Whether a full ring waits to be drained. */
bool traced_process_submitted(const TracedProcess *process);

/* The doorbell protocol (lane_producer.c): says that the collector is about to sleep, and returns the word to sleep on and its value. */
void traced_process_prepare_sleep(TracedProcess *process, uint32_t **word_out, uint32_t *value_out);
void traced_process_awake(TracedProcess *process);

#endif
