/* SPDX-License-Identifier: MIT */
/*
 * The account of a thread that is drained (thread_drain.h), lane by lane: while it runs, when it ended or is left, and when the
 * recording goes on in another file; and what of it the next collector is told, which goes on from there.
 *
 * Everything belongs to the drain thread.
 */
#ifndef ADA_DRAIN_THREAD_DRAIN_ACCOUNT_H
#define ADA_DRAIN_THREAD_DRAIN_ACCOUNT_H

#include "user/drain/thread_drain_state.h"
#include "user/file/adat_account.h"

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

/* Whether all that an ended thread recorded or lost is in the account of a collector before us. */
bool thread_drain_is_settled(const ThreadLaneSet *lanes);

/* Notes where the lanes of a thread that may go on are when it is left, for thread_drain_reached_end(). */
void thread_drain_note_end(ThreadDrainState *state);

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
