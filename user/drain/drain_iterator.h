/* SPDX-License-Identifier: MIT */
/*
 * The drain of all threads: one iteration after the other.
 *
 *     1. threads that were registered since the last iteration join; those that were deregistered turn to
 *        their final drain
 *     2. who has work? active threads are asked in every iteration. Quiet ones are not: their rings are watched
 *        (lane_reader_watch()), and they give a hint when they record. So an iteration costs what the threads
 *        cost that ran, not what there are. (A few of them are looked at all the same, in turns.)
 *     3. the scheduler orders those who have, and each is visited once, within its budget
 *     4. one write; rings go back
 *     5. threads that are drained are handed back to whoever registered them
 *
 * register_thread_for_drain() and deregister_thread_from_drain() may be called by any thread at any time;
 * everything else is the drain thread's.
 */
#ifndef ADA_DRAIN_DRAIN_ITERATOR_H
#define ADA_DRAIN_DRAIN_ITERATOR_H

#include "user/drain/drain_topology.h"
#include "user/drain/thread_drain.h"

typedef struct DrainIterator DrainIterator;

/* What the iterator tells, on the drain thread. NULL: not wanted. */
typedef struct DrainCallbacks {
    /* The thread takes part from this iteration on. */
    void (*on_registered)(void *context, ThreadDrainState *state);
    /*
     * It was deregistered, and all that it published is in a batch that was written, or counted as lost. The state
     * is freed when this returns.
     */
    void (*on_deregistered)(void *context, ThreadDrainState *state);
    /* One of its lanes holds impossible values: it is visited no more, until drain_iterator_abandon(). */
    void (*on_hostile)(void *context, ThreadDrainState *state);
    /* All visits were made, the write follows: a last chance for blocks that belong to their records. */
    void (*before_write)(void *context);
    /*
     * Whether a quiet thread was on a CPU since this was last asked, or may have been; if not, it is not looked at.
     * NULL: nobody knows.
     */
    bool (*has_run)(void *context, ThreadDrainState *state);
    void *context;
} DrainCallbacks;

/* Zero fields stand for the defaults. */
typedef struct DrainIteratorConfig {
    DrainSchedulerConfig scheduler;
    DrainCallbacks callbacks;
    const DrainTopology *topology; /* NULL: one node. Outlives the iterator */
    uint32_t hot_iterations;       /* that a thread stays active without work: 16 */
    uint32_t cold_turns;           /* iterations in which all quiet threads have their turn: 1,024 */
    /*
     * Rings that are being written are read at most this often, however busy full ones keep us: 0.5 ms. It is also what a thread has
     * to see that it is watched.
     */
    uint64_t in_place_ns;
} DrainIteratorConfig;

/* What an iteration came to. */
typedef struct DrainIteration {
    uint64_t bytes;  /* taken over */
    size_t visited;  /* threads */
    size_t drained;  /* threads handed back */
    bool more;       /* work is left for the next iteration, which should follow at once */
    bool pressed;    /* a lane had half of its rings full or more: the next will not be long in coming */
    int write_error; /* of the write, as -errno */
} DrainIteration;

/* The batch stays the caller's. 0; -EINVAL: config; -ENOMEM. */
int drain_iterator_create(const DrainIteratorConfig *config, DrainBatch *batch, DrainIterator **iterator_out);

/* Frees the states that are left, too. NULL is allowed. */
void drain_iterator_destroy(DrainIterator *iterator);

/*
 * Makes the thread in `slot` take part from the next iteration on. `thread` is its number in the file; the
 * source outlives the state, which the caller may pass to deregister_thread_from_drain(), once. 0 or -ENOMEM.
 */
int register_thread_for_drain(DrainIterator *iterator, DrainSource *source, uint32_t slot, uint32_t thread,
                              ThreadDrainState **state_out);

enum thread_leaving {
    THREAD_STAYS,
    THREAD_ENDED, /* it writes no more: its lanes are drained to the last byte */
    THREAD_DETACHED, /* it may still run: it is drained to where it is now, and what it writes after that stays where it is */
};

/* The thread's final drain begins with the next iteration. Only the first call for a thread counts. */
void deregister_thread_from_drain(DrainIterator *iterator, ThreadDrainState *state, enum thread_leaving how);

/* Looks at a quiet thread in the next iteration. */
void drain_iterator_hint(DrainIterator *iterator, ThreadDrainState *state);

/* Drops a thread at once, without another look at its lanes. The state is freed. */
void drain_iterator_abandon(DrainIterator *iterator, ThreadDrainState *state);

/*
 * One iteration. `final`: nobody will write any more, or nobody waits for what is written: rings that are being
 * written are read regardless of the time of the last such look.
 */
void drain_iteration(DrainIterator *iterator, bool final, DrainIteration *iteration_out);

/* How long to rest until the next iteration, in ns. */
uint64_t drain_iterator_tick(const DrainIterator *iterator);

/* Threads that take part. */
size_t drain_iterator_threads(const DrainIterator *iterator);

/* Whether all threads are quiet and watched: whatever they do next, they give a hint. */
bool drain_iterator_is_quiet(const DrainIterator *iterator);

/* Iterations so far, the present one included: DrainSource.last_found is one of these. */
uint64_t drain_iterator_count(const DrainIterator *iterator);

#endif
