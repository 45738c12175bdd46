/* SPDX-License-Identifier: MIT */
/*
 * Draining one thread: from its two lanes into blocks of the trace file, with an exact account.
 *
 *     drain_thread_lanes()    copies what is published into the writer's buffer, checks the copy
 *     drain_batch_flush()     one write for all threads; then the records count as in the file (or, if
 *                             the write failed, as dropped_io) and the rings go back to their producers
 *
 * A ring is given back only after the write returned, so that a collector that dies loses nothing
 * that it had not written. Everything here belongs to the drain thread.
 */
#ifndef ADA_DRAIN_THREAD_DRAIN_H
#define ADA_DRAIN_THREAD_DRAIN_H

#include "user/file/adat_writer.h"
#include "user/lane/lane_reader.h"
#include "user/lane/segment.h"

typedef struct LaneDrain {
    LaneReader reader;
    uint64_t in_file;
    uint64_t dropped_io;
    uint32_t batched; /* records copied into the batch, not written yet */
} LaneDrain;

typedef struct ThreadDrainState {
    ThreadLaneSet *lanes;        /* shared */
    const SegmentHeader *header; /* shared: detail mode */
    uint32_t process;            /* numbers in the file */
    uint32_t thread;
    uint32_t slot;
    uint32_t generation;
    uint32_t tid;
    uint64_t registered_at;
    char name[ADA_THREAD_NAME_SIZE];
    uint32_t described; /* batch epoch in which the THREAD block was written; 0 = never */
    bool producer_gone; /* the thread ended: nothing more will be published */
    bool drained;       /* producer_gone, and the last visit took everything that is wanted */
    bool touched;       /* in the batch's list */
    struct ThreadDrainState *next_touched;
    LaneDrain index;
    LaneDrain detail;
} ThreadDrainState;

typedef struct DrainBatch {
    AdatWriter *writer;
    ThreadDrainState *touched;
    uint32_t epoch; /* 1..; one more after each failed flush: what the failed blocks described must be written again */
    uint64_t failures; /* flushes that failed */
    int last_error;    /* of the last failed flush, as -errno; 0 = none yet */
    bool failing;      /* the last flush failed */
} DrainBatch;

void drain_batch_init(DrainBatch *batch, AdatWriter *writer);

/* Writes the batch and settles the accounts. 0 or -errno of the write. */
int drain_batch_flush(DrainBatch *batch);

/*
 * Adds one block without lane data to the batch, flushing first if there is no room. Returns 0; a failed write is
 * the batch's matter (failing, epoch).
 */
void drain_batch_put(DrainBatch *batch, const AdatBlockHeader *header, const void *payload, size_t bytes);

/* Starts draining the thread that occupies `slot`; its state must be ACTIVE or DRAINING. `process` and `thread` are its numbers in the file. */
void thread_drain_init(ThreadDrainState *state, const Segment *segment, uint32_t slot, uint32_t process,
                       uint32_t thread);

/*
 * Drains the index lane, and the detail lane as far as it is wanted (always, or marked), up to about
 * `budget_bytes`. Without `in_place` only full rings are taken: reading the ring that is being written takes its
 * lines away from the producer, and is only worth it now and then. A thread that is gone is drained whole. 1: there may be more; 0: all that was published is in the batch; -EPROTO: the lane holds
 * impossible values, drain it no more.
 */
int drain_thread_lanes(ThreadDrainState *state, DrainBatch *batch, uint64_t budget_bytes, bool in_place);

/*
 * One lane's account. `final`: the producer is gone and the lane is drained, so nothing is pending.
 * The batch must have been flushed.
 */
void thread_drain_account(const ThreadDrainState *state, uint32_t lane_kind, bool final,
                          AdatLedgerEntry *entry);

#endif
