/* SPDX-License-Identifier: MIT */
/*
 * What the scheduler did with a thread, made of the kernel's events: one state after the other. Each event ends a state, and says for how long
 * that had been; so the time before the first event, and behind a loss, is known as well.
 */
#ifndef ADA_VIEW_SCHED_STATES_H
#define ADA_VIEW_SCHED_STATES_H

#include "user/reader/adat_cursor.h"
#include "user/view/view_event_names.h"
#include "user/view/view_row.h"

typedef enum SchedState {
    SCHED_UNKNOWN,
    SCHED_RUNNING,   /* item: first = CPU, second = thread id of who ran next */
    SCHED_RUNNABLE,  /* it was woken and waits for a CPU; second = thread id of who woke it */
    SCHED_PREEMPTED, /* it was taken off its CPU, and waits for one */
    SCHED_SLEEPING,  /* second = thread id of who woke it, 0 = not known */
    SCHED_BLOCKED,   /* the same, and not to be interrupted: mostly for a disk */
    SCHED_STATES
} SchedState;

typedef struct SchedThread {
    int64_t since; /* the state began, as far as it is known */
    SchedState state;
    uint64_t cpu;
    uint64_t waker;
} SchedThread;

const char *sched_state_name(SchedState state);

/* What an event has in its fields: 0, where they are lost. */
typedef struct SchedFields {
    uint64_t cpu;
    uint64_t other; /* "next", "before", "by" */
    SchedState why; /* of a switch out; SCHED_SLEEPING if it is not known */
} SchedFields;

SchedFields sched_fields(const AdatField *fields, size_t count);

/* Events between this and the next one were lost. */
void sched_thread_forget(SchedThread *thread);

/* The state that the event ends; its item has no name yet. SCHED_UNKNOWN: none. */
SchedState sched_thread_event(SchedThread *thread, ViewEventClass class, int64_t time_ns, uint64_t ended_ns,
                              const SchedFields *fields, ViewItem *item_out);

/* The state that it is in when nothing more is known, until `end_ns`. SCHED_UNKNOWN: none. */
SchedState sched_thread_end(const SchedThread *thread, int64_t end_ns, ViewItem *item_out);

#endif
