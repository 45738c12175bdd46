/* SPDX-License-Identifier: MIT */
/*
 * A lane: a small pool of rings that one thread fills and the collector empties.
 *
 *             +-- submit queue: full rings ---->+
 *   producer -|                                 |- collector
 *             +<-- free queue: empty rings -----+
 *
 * At any time a ring is in exactly one place: active (the producer fills it from its start to its
 * end), in the submit queue, with the collector, in the free queue, or - for the length of a swap - in
 * the producer's hands. The collector reads the active ring in place up to its published position, so
 * no event waits for a ring to fill.
 *
 * Records of a lane are numbered from 0 in the order of their reservation. RingControl.base_record is
 * the number of a ring's first record, so numbers never repeat and a hole in what the collector took over is exactly
 * what was lost.
 *
 * The two sides are lane_producer.h and lane_reader.h. Here is what both need: initialization,
 * derived counts, and the right to take rings out of the submit queue.
 *
 * drain_owner. Under `overwrite`, and for unmarked detail rings, the producer itself takes the oldest
 * submitted ring back. That makes two consumers of the submit queue; whoever holds drain_owner is the
 * one. Both only ever try: the collector visits the lane later, the producer drops its newest event.
 *   acquire: compare-exchange FREE -> self (acquire; pairs with the other's release)
 *   release: store FREE (release): grants submit_queue.head and drained_records as the holder left them
 */
#ifndef ADA_LANE_LANE_H
#define ADA_LANE_LANE_H

#include "user/lane/atomic.h"
#include "user/lane/spsc_queue.h"

/*
 * Makes a lane as a new thread finds it: ring 0 active and empty, the others in the free queue.
 * For the thread that owns the slot, before the slot becomes ACTIVE (that release
 * store publishes everything here).
 */
void lane_init(Lane *lane, uint32_t kind, uint32_t ring_count, uint32_t ring_bytes, uint64_t ring_pool_offset);

/* Takes the right to consume the submit queue, without waiting. `self`: ADA_DRAIN_COLLECTOR or ADA_DRAIN_PRODUCER. */
bool submit_queue_try_acquire_drain(Lane *lane, uint32_t self);

/*
 * For the collector when the producer is known to be gone (slot DRAINING or process dead): takes the right
 * even from a producer that died holding it. What such a producer had changed is read anew by
 * spsc_consumer_resync() and by position.
 */
void submit_queue_force_acquire_drain(Lane *lane);

void submit_queue_release_drain(Lane *lane);

/* Records that were completed in this lane so far, whatever became of them. Any thread, any time. */
uint64_t lane_events_written(const Lane *lane);

/* Records begun, completed or not: what the ledger calls attempted, less those refused. Exact once the producer is gone. */
uint64_t lane_events_reserved(const Lane *lane);

#endif
