/* SPDX-License-Identifier: MIT */
/*
 * Marks that rules set while a thread is drained (mark_rule.h), and those that somebody asks for.
 *
 * A hit is found while the lane's drain is held, and acted upon when it is not: marking writes a block, and writing may
 * flush. All for the drain thread.
 */
#ifndef ADA_DRAIN_THREAD_MARKS_H
#define ADA_DRAIN_THREAD_MARKS_H

#include "user/drain/thread_drain.h"

/*
 * Looks for rules' moments in `records` index events, a private copy; they are those from `offset` on of the block with this
 * header.
 */
void thread_marks_scan(ThreadDrainState *state, const void *copy, uint32_t records,
                       const AdatBlockHeader *header, uint32_t offset);

/*
 * Looks for them in the detail records that came since the last visit. Field rules decide about records before those may be
 * taken back, so the rings are looked at on every visit; what nobody wants stays where it is. 0 or -EPROTO.
 */
int thread_marks_scan_details(ThreadDrainState *state, DrainBatch *batch);

/*
 * The same in detail records that are taken: `bytes` of a chunk, a private copy of whole records. Those that came after this
 * visit's look would never be looked at.
 */
void thread_marks_scan_taken(ThreadDrainState *state, const LaneChunk *chunk, const char *copy,
                             uint32_t records, uint32_t bytes);

/* Marks the thread if something was found. */
void thread_marks_act(ThreadDrainState *state, DrainBatch *batch);

/* Marks the thread: what its detail rings hold, and what follows, is to be kept. `reason` goes to the file. */
void thread_drain_mark(ThreadDrainState *state, DrainBatch *batch, const char *reason, uint64_t timestamp,
                       uint64_t record);

#endif
