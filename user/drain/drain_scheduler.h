/* SPDX-License-Identifier: MIT */
/*
 * Who is drained when, and how much at a time.
 *
 * In each iteration the iterator hands over the threads that have work. The scheduler puts them in the order
 * of their visits and sets how many bytes each visit may take; every one of them is visited, so nobody waits
 * longer than one iteration, whatever the order. It hears what each visit came to, and at the end says how long
 * the drain may rest.
 *
 *   round-robin  equal budgets; who is first moves on by one
 *   weighted     deficit round robin: each thread with work is granted weight x quantum bytes per iteration
 *                and may save what it could not use while its work lasts
 *   priority     who was skipped or has little room left rises; ends of threads come first
 *   adaptive     as priority, and from the load it chooses the quantum (large while there is time, small when
 *                all need their turn) and the tick (as long as the median latency allows, shorter when rings
 *                fill quickly)
 *
 * A scheduler belongs to the drain thread. It never sees a thread that has no work, and keeps nothing about
 * threads but what stands in their states.
 */
#ifndef ADA_DRAIN_DRAIN_SCHEDULER_H
#define ADA_DRAIN_DRAIN_SCHEDULER_H

#include <stddef.h>

#include "user/drain/thread_drain_state.h"

enum drain_scheduler_kind {
    DRAIN_SCHEDULER_ROUND_ROBIN,
    DRAIN_SCHEDULER_WEIGHTED,
    DRAIN_SCHEDULER_PRIORITY,
    DRAIN_SCHEDULER_ADAPTIVE,
    DRAIN_SCHEDULER_KINDS,
};

/* Zero fields stand for the defaults. */
typedef struct DrainSchedulerConfig {
    enum drain_scheduler_kind kind;
    uint64_t quantum_max; /* bytes of one visit while there is time: 512 KiB */
    uint64_t quantum_min; /* and of one visit, however many wait: 4 KiB, a record of the largest size and some */
    uint64_t iteration_bytes; /* what one iteration should move at most: 4 MiB, some milliseconds */
    uint64_t tick_ns; /* from one iteration to the next when there is no hurry: 1 ms. Adaptive: see there */
} DrainSchedulerConfig;

/* What a visit came to. */
typedef struct DrainVisit {
    uint64_t bytes;    /* taken */
    bool more;         /* the budget ended it, not the work */
    bool more_details; /* the same, of payloads */
    bool skipped;      /* in vain: the producer held the drain */
} DrainVisit;

/* What an iteration came to. */
typedef struct DrainLoad {
    uint64_t bytes;
    size_t visited;
    uint32_t fullest; /* of the visited threads: rings found full, in percent of the lane's */
    uint64_t timed; /* events that came into the file with the iteration before, as far as their latency is known */
    uint64_t late; /* of them those that waited longer than drain_scheduler_latency_goal() */
} DrainLoad;

typedef struct DrainScheduler DrainScheduler;

typedef struct DrainSchedulerOps {
    const char *name;
    /* Orders the threads and sets their budgets. */
    void (*plan)(DrainScheduler *self, ThreadDrainState **threads, size_t count);
    /* NULL: nothing to note. */
    void (*visited)(DrainScheduler *self, ThreadDrainState *thread, const DrainVisit *visit);
    /* Sets self->tick_ns for the next rest. NULL: it stays. */
    void (*ended)(DrainScheduler *self, const DrainLoad *load);
} DrainSchedulerOps;

struct DrainScheduler {
    const DrainSchedulerOps *ops;
    DrainSchedulerConfig config;
    uint64_t tick_ns;
    uint64_t quantum; /* of the present iteration */
    uint64_t turn;    /* iterations planned: who is first moves on */
};

extern const DrainSchedulerOps drain_scheduler_round_robin;
extern const DrainSchedulerOps drain_scheduler_weighted;
extern const DrainSchedulerOps drain_scheduler_priority;
extern const DrainSchedulerOps drain_scheduler_adaptive;

/* -EINVAL: no such kind, or quantum_min > quantum_max. */
int drain_scheduler_init(DrainScheduler *scheduler, const DrainSchedulerConfig *config);

/* The median latency that the adaptive scheduler's tick aims at, in ns: a little below config.tick_ns. */
uint64_t drain_scheduler_latency_goal(const DrainScheduler *scheduler);

/* "round-robin", "weighted", "priority", "adaptive"; NULL: no such kind. */
const char *drain_scheduler_name(enum drain_scheduler_kind kind);

/* The kind of that name, or DRAIN_SCHEDULER_KINDS. */
enum drain_scheduler_kind drain_scheduler_kind_of(const char *name);

/* ---- for the implementations -------------------------------------------------------------------- */

/* Turns the list so that each thread is first in its turn. */
void drain_scheduler_rotate(DrainScheduler *self, ThreadDrainState **threads, size_t count);

/* The budget of one visit when `count` threads share an iteration. */
uint64_t drain_scheduler_share(const DrainScheduler *self, size_t count);

/* Orders by falling urgency (see urgency() in drain_scheduler.c); threads of the same priority keep their turns. */
void drain_scheduler_by_urgency(DrainScheduler *self, ThreadDrainState **threads, size_t count);

#endif
