/* SPDX-License-Identifier: MIT */
/*
 * Draining one thread: from its two lanes into blocks of a batch, with an exact account.
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
#include "user/file/adat_account.h"

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

/*
 * One lane's account in this file. `final`: the producer is gone and the lane is drained, so nothing is pending.
 * The batch must have been flushed.
 */
void thread_drain_account(const ThreadDrainState *state, uint32_t lane_kind, bool final,
                          AdatAccount *account_out);

/*
 * The present account of a lane in use, which is to go into the batch. What was taken back beyond where this collector has come to is
 * pending: should it die now, the one after it goes on from there. Nothing of the thread is in the batch.
 */
void thread_drain_tell(ThreadDrainState *state, uint32_t lane_kind, AdatAccount *account_out);

/* Both are in the batch: settled with its write. */
void thread_drain_told(ThreadDrainState *state);

/*
 * What the file tells, the collector that comes after this one need not: it begins behind that. Only after the write that has it; what is
 * noted is never more than what is in a file. If this collector is killed between the two, the one after it finds
 * in the file what was not noted: thread_drain_recover().
 */
void thread_drain_settle(LaneDrain *drain);
void thread_drain_settle_lane(Lane *lane, const AdatLaneProgress *progress);

/*
 * Notes what the files of a collector that was killed have of a lane, as that collector would have. Before any thread_drain_init(), by
 * who has the claim. False, and nothing is noted: there cannot be so many records.
 */
bool thread_drain_recover(ThreadLaneSet *lanes, uint32_t lane_kind, const AdatLaneProgress *in_file);

/* Notes where the lanes of a thread that may go on are when it is left; and whether all up to there was taken over. */
void thread_drain_note_end(ThreadDrainState *state);
bool thread_drain_reached_end(const ThreadDrainState *state);

/* Whether all that an ended thread recorded or lost is in the account of a collector before us. */
bool thread_drain_is_settled(const ThreadLaneSet *lanes);

/* Closes one lane's account as above, `final`. It is to be settled once it is in the file. */
void thread_drain_end(ThreadDrainState *state, uint32_t lane_kind, AdatAccount *account_out);

/*
 * Closes one lane's account though its thread may go on: it ends with the last record that was taken over, and nothing is
 * pending. What the thread records after that belongs to the account of the next collector. To be settled once it is in the file. As above,
 * the batch must have been flushed.
 */
void thread_drain_leave(ThreadDrainState *state, uint32_t lane_kind, AdatAccount *account_out);

/*
 * Closes one lane's account in this file, as above; what its thread records after that belongs to the next file of the same
 * recording. The batch must have been flushed.
 */
void thread_drain_next_file(ThreadDrainState *state, uint32_t lane_kind, AdatAccount *account_out);

/* Adds what the accounts in earlier files of the recording came to, to one that is of the present file. */
void thread_drain_add_earlier(const ThreadDrainState *state, uint32_t lane_kind, AdatAccount *account);

#endif
