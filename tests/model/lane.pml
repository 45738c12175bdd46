/* SPDX-License-Identifier: MIT */
/*
 * A lane between one producer and one collector under C11's memory model: see memory.inc for what that means here.
 *
 *     memory.inc      atomics and plain memory, with everything that their orders allow
 *     lane.inc        the lane's words, the sizes, the barriers by name
 *     producer.inc    lane_producer.c
 *     collector.inc   lane_reader.c, thread_drain.c, thread_drain_account.c
 *
 * -DRINGS=, -DRECORDS= (that a ring holds), -DATTEMPTS= (to write one); -DOVERWRITE=1: the producer takes its oldest
 * submitted ring back, so both try for drain_owner; -DDEATH=1: it dies at any step; -DHANDOVER=1: the collector is
 * killed at any step, and another one goes on with what it finds (lane_reader_init()). Left out: signal handlers, and
 * counters that wrap (tests/test_lane_signals.c, test_spsc_queue.c).
 *
 * What holds, by assertion:
 *     each record is taken once, in order, with its own content, and what is missing is what was counted   account()
 *     no record, number or queue slot is read while it may be written                                       memory.inc
 *     a ring is in one place, and is read only while it is active or submitted                              move()
 *     no queue is overrun; nothing that the collector takes for hostile ever happens                        collector.inc
 *     both sides end: none waits for the other                                                              Spin
 *
 * Each -DMUTATE_ takes one barrier (lane.inc) or one step away:
 *     MUTATE_SEQUENCE_CHECK       the active ring is read without comparing its sequence
 *     MUTATE_ACTIVE_BEFORE_PUSH   the new ring is made active before the old one is submitted
 *     MUTATE_RETURN_BEFORE_COPY   a ring is given back before its records are read
 *     MUTATE_NO_DRAIN             the collector takes rings without holding drain_owner
 *     MUTATE_COUNT_WHOLE_RING     a ring that is taken back is counted whole, whatever was taken of it
 *
 *     MUTATE_NOTE_LATE            a ring that is taken is noted afterwards (HANDOVER)
 *     MUTATE_INHERIT_BY_ONE       the notes are read off by one (HANDOVER)
 *     MUTATE_SETTLE_LATE          what was written is settled after the rings were given back (HANDOVER)
 *     MUTATE_FREE_DRAIN_FIRST     the drain is freed before the last note is compared with the queue (HANDOVER)
 *
 * Not needed in a lane, as the model goes through without them:
 *     SUBMIT_HEAD_RELEASE, SUBMIT_HEAD_ACQUIRE, FREE_HEAD_RELEASE, FREE_HEAD_ACQUIRE, TAKE_BACK_RELEASE. A queue
 *         has more places than there are rings. Who reuses one holds a ring that came back through the other queue after
 *         the place was read, and that queue's tail granted it. They belong to the queue as such: queue.pml.
 *     SUBMITTED_ACQUIRE. The tail of the submit queue granted `published` and what is below it.
 *     ACTIVE_BEFORE_PUSH, as long as the producer lives: a ring whose sequence is ahead of the queue is not read. If it dies
 *         between the two, the submitted ring would be lost.
 */
#include "lane.inc"
#include "producer.inc"
#include "collector.inc"

init
{
    atomic {
        lane_init();
        run producer();
        run collector()
    }
}
