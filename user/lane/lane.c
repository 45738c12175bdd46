/* SPDX-License-Identifier: MIT */
#include "user/lane/lane.h"

#include <string.h>

void lane_init(Lane *lane, uint32_t kind, uint32_t ring_count, uint32_t ring_bytes, uint64_t ring_pool_offset)
{
    SpscProducer free_rings;

    lane->kind = kind;
    lane->ring_count = ring_count;
    lane->ring_bytes = ring_bytes;
    lane->ring_pool_offset = ring_pool_offset;

    ada_store_relaxed(&lane->active_ring_index, 0u);
    ada_store_relaxed(&lane->waiting, 0u);
    ada_store_relaxed(&lane->mark_until, 0ull);
    ada_store_relaxed(&lane->marked, 0u);
    for (uint32_t ring = 0; ring < ADA_RINGS_MAX; ring++) {
        ada_store_relaxed(&lane->rings[ring].base_record, 0ull);
        ada_store_relaxed(&lane->rings[ring].sequence, 0ull);
        ada_store_relaxed(&lane->rings[ring].reserved, 0ull);
        ada_store_relaxed(&lane->rings[ring].published, 0ull);
        ada_store_relaxed(&lane->rings[ring].watch, 0u);
    }
    ada_store_relaxed(&lane->drained_records, 0ull);
    ada_store_relaxed(&lane->collector_mark_until, 0ull);
    ada_store_relaxed(&lane->taken, 0ull);
    ada_store_relaxed(&lane->settled_records, 0ull);
    ada_store_relaxed(&lane->settled_full, 0ull);
    ada_store_relaxed(&lane->settled_nested, 0ull);
    ada_store_relaxed(&lane->settled_overwritten, 0ull);
    ada_store_relaxed(&lane->settled_recycled, 0ull);
    ada_store_relaxed(&lane->drain_owner, ADA_DRAIN_FREE);

    spsc_queue_init(&lane->submit_queue, 0);
    spsc_queue_init(&lane->free_queue, 0);
    spsc_producer_init(&free_rings, &lane->free_queue, NULL, 0);
    for (uint32_t ring = 1; ring < ring_count; ring++)
        (void)spsc_queue_push(&free_rings, ring); /* cannot be full: ADA_QUEUE_SLOTS > ADA_RINGS_MAX */
}

bool submit_queue_try_acquire_drain(Lane *lane, uint32_t self)
{
    uint32_t expected = ADA_DRAIN_FREE;

    /* Pairs with submit_queue_release_drain() of the other side. */
    return ada_compare_exchange_acq_rel(&lane->drain_owner, &expected, self);
}

void submit_queue_force_acquire_drain(Lane *lane)
{
    (void)ada_exchange_acq_rel(&lane->drain_owner, ADA_DRAIN_COLLECTOR);
}

void submit_queue_release_drain(Lane *lane)
{
    /* Pairs with submit_queue_try_acquire_drain() of the other side. */
    ada_store_release(&lane->drain_owner, ADA_DRAIN_FREE);
}

/* The active ring's control; the index may come from a hostile process. */
static const RingControl *active_ring(const Lane *lane)
{
    /* Pairs with the release in lane_swap_active_ring(): grants base_record of that ring. */
    return &lane->rings[ada_load_acquire(&lane->active_ring_index) % ADA_RINGS_MAX];
}

uint64_t lane_events_written(const Lane *lane)
{
    const RingControl *ring = active_ring(lane);

    return ada_load_relaxed(&ring->base_record) + ADA_POSITION_RECORDS(ada_load_relaxed(&ring->published));
}

uint64_t lane_events_reserved(const Lane *lane)
{
    const RingControl *active = active_ring(lane);
    uint64_t total = ada_load_relaxed(&active->base_record);

    total += ADA_POSITION_RECORDS(ada_load_relaxed(&active->reserved));
    /* A swap that was cut short leaves begun records in a ring that is not active yet. */
    for (uint32_t i = 0; i < ADA_RINGS_MAX; i++) {
        const RingControl *ring = &lane->rings[i];
        uint32_t reserved = ADA_POSITION_RECORDS(ada_load_relaxed(&ring->reserved));
        uint32_t published = ADA_POSITION_RECORDS(ada_load_relaxed(&ring->published));

        if (ring != active && reserved > published)
            total += reserved - published;
    }
    return total;
}
