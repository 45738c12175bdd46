/* SPDX-License-Identifier: MIT */
/*
 * Draining one thread: from its two lanes into blocks of a batch, with an exact account (thread_drain_account.h).
 *
 * drain_thread_lanes() copies what is published into the batch's buffer and checks the copy: the index lane
 * always, the detail lane as far as somebody wants it - all of it with `--detail always`; else around marks,
 * which the thread set itself, or which rules find here while the records pass.
 *
 * Everything belongs to the drain thread.
 */
#ifndef ADA_DRAIN_THREAD_DRAIN_H
#define ADA_DRAIN_THREAD_DRAIN_H

#include "user/drain/drain_batch.h"
#include "user/drain/drain_scheduler.h"
#include "user/drain/mark_matcher.h"
#include "user/drain/weight_rule.h"
#include "user/file/adat_format.h"

/* A process, for the drain of its threads. It is there as long as one of them is. */
struct DrainSource {
    const Segment *segment;
    uint32_t process;           /* number in the file */
    uint32_t clock_kind;        /* ADA_CLOCK_*, of its timestamps */
    const double *ns_per_cycle; /* of the cycle counter, 0 while it is not known; NULL: nobody measures it */
    const MarkRules *rules;
    MarkMatcher *matcher;               /* of the rules; NULL: there are none */
    uint32_t learned;                   /* descriptors that the matcher knows, of SegmentHeader.event_count */
    void (*learn)(DrainSource *source); /* teaches the matcher those that came since; with a matcher */
    uint64_t last_found;                /* iteration in which one of its threads had something */
    const WeightRules *weights;         /* NULL: all threads have the same */
    void *owner;
};

/* What of a thread a visit may take. */
typedef struct DrainLimits {
    uint64_t bytes; /* of each lane, about */
    /*
     * Also from the ring that is being written. Reading it takes its lines away from the producer, so it is only worth
     * it now and then. A thread that is gone is drained whole.
     */
    bool in_place;
} DrainLimits;

/* Starts draining the thread that occupies `slot`; its state must be ACTIVE or DRAINING. `thread` is its number in the file. */
void thread_drain_init(ThreadDrainState *state, DrainSource *source, uint32_t slot, uint32_t thread);

/* What the file is told of the thread. `start` only of one that was drained before, by another collector. */
typedef struct ThreadDescription {
    AdatThread thread;
    AdatThreadStart start;
} ThreadDescription;
ThreadDescription thread_drain_description(const ThreadDrainState *state);
size_t thread_description_bytes(const ThreadDescription *description);

/* Whether a visit would find something that is wanted, as far as a few loads can tell. */
bool thread_drain_has_work(const ThreadDrainState *state, bool in_place);

/* The same for a thread that was quiet: one load; ring swaps give hints of their own. */
bool thread_drain_stirred(const ThreadDrainState *state);

/* Whether all was taken over that the thread had recorded when thread_drain_note_end() noted it. */
bool thread_drain_reached_end(const ThreadDrainState *state);

/*
 * One visit. 0 and *visit_out; -EPROTO: a lane holds impossible values, drain it no more.
 */
int drain_thread_lanes(ThreadDrainState *state, DrainBatch *batch, const DrainLimits *limits,
                       DrainVisit *visit_out);

/*
 * Counts the whole records in a private copy of detail records, and sets the times of the first and the last in *header.
 * Returns the bytes they take, or -EPROTO when a record's size is impossible.
 */
int64_t thread_drain_walk_details(const char *copy, size_t size, uint32_t *records_out,
                                  AdatBlockHeader *header);

/* Writes the THREAD block if it was not written yet, was lost, or says another name. */
void thread_drain_describe(ThreadDrainState *state, DrainBatch *batch);

#endif
