/* SPDX-License-Identifier: MIT */
#include "user/registry/thread_registry.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "user/lane/test_point.h"

static bool move_state(ThreadLaneSet *set, uint32_t from, uint32_t to)
{
    /* Each step pairs with the acquire of whoever acts on the new state: the next compare-exchange, or thread_registry_next(). */
    return ada_compare_exchange_acq_rel(&set->state, &from, to);
}

/* Takes a set bit out of one word of the bitmap. -1: it has none. */
static int claim_bit(uint64_t *word)
{
    uint64_t bits = ada_load_relaxed(word);

    while (bits != 0) {
        int bit = __builtin_ctzll(bits);
        /* Acquire pairs with the release in thread_registry_release(): the slot's last user is done with it. */
        if (ada_compare_exchange_acq_rel(word, &bits, bits & (bits - 1)))
            return bit;
    }
    return -1;
}

/* The caller was counted in thread_count, so a free slot exists or is about to; others may snatch what we pass. */
static ThreadLaneSet *claim_slot(const Segment *segment, uint32_t *slot_out)
{
    ThreadRegistry *registry = segment_registry(segment);
    uint32_t words = (segment->geometry.slot_capacity + 63) / 64;

    for (uint32_t round = 0; round < ADA_THREADS_MAX; round++) {
        for (uint32_t word = 0; word < words; word++) {
            int bit = claim_bit(&registry->free_slots[word]);
            uint32_t slot = word * 64 + (uint32_t)bit;

            if (bit < 0 || slot >= segment->geometry.slot_capacity)
                continue;
            *slot_out = slot;
            return segment_lane_set(segment, slot);
        }
    }
    return NULL;
}

static void raise_high_water(ThreadRegistry *registry, uint32_t slot)
{
    uint32_t seen = ada_load_relaxed(&registry->high_water);

    while (seen <= slot && !ada_compare_exchange_acq_rel(&registry->high_water, &seen, slot + 1)) {
    }
}

static void init_lane_set(const Segment *segment, ThreadLaneSet *set, uint32_t slot, uint32_t thread_id,
                          uint64_t now)
{
    const SegmentGeometry *geometry = &segment->geometry;

    ada_store_relaxed(&set->generation, ada_load_relaxed(&set->generation) + 1);
    ada_store_relaxed(&set->thread_id, thread_id);
    ada_store_relaxed(&set->slot_index, slot);
    ada_store_relaxed(&set->registered_at, now);
    ada_store_relaxed(&set->name_version, ada_load_relaxed(&set->name_version) &
                                              ~1u); /* odd: its last thread ended amid writing */
    thread_lane_set_write_name(set, "");
    metrics_init(&set->metrics);
    lane_init(&set->index, ADA_LANE_INDEX, geometry->index_ring_count, geometry->index_ring_bytes,
              segment_rings_offset(geometry, slot, ADA_LANE_INDEX));
    lane_init(&set->detail, ADA_LANE_DETAIL, geometry->detail_ring_count, geometry->detail_ring_bytes,
              segment_rings_offset(geometry, slot, ADA_LANE_DETAIL));
}

ThreadLaneSet *thread_registry_register(const Segment *segment, uint32_t thread_id, uint64_t now, int *error_out)
{
    ThreadRegistry *registry = segment_registry(segment);
    ThreadLaneSet *set;
    uint32_t slot;

    /* Hints of the collector: a thread that just misses a change is refused or accepted one event later. */
    if (!ada_load_relaxed(&registry->accepting_registrations) ||
        ada_load_relaxed(&registry->shutdown_requested)) {
        *error_out = -ESHUTDOWN;
        goto rejected;
    }
    /* Counting first bounds the threads that look for a slot by the slots there are. */
    if (ada_fetch_add_acq_rel(&registry->thread_count, 1u) >= segment->geometry.slot_capacity)
        goto full;
    ADA_TEST_POINT("register.counted");
    set = claim_slot(segment, &slot);
    if (!set)
        goto full;
    if (!move_state(set, ADA_SLOT_FREE, ADA_SLOT_REGISTERING))
        goto full; /* the bitmap contradicts the slot: leave both alone */
    ADA_TEST_POINT("register.claimed");

    init_lane_set(segment, set, slot, thread_id, now);
    raise_high_water(registry, slot);
    (void)ada_fetch_add_relaxed(&registry->registrations, 1ull);
    ADA_TEST_POINT("register.initialized");
    /* Pairs with the acquire in thread_registry_next(): grants the drain everything above. */
    ada_store_release(&set->state, ADA_SLOT_ACTIVE);
    /* Pairs with thread_registry_take_hints(): who looks finds the slot ACTIVE. */
    (void)ada_fetch_or_release(&registry->dirty_slots[slot / 64], 1ull << slot % 64);
    return set;

full:
    (void)ada_fetch_sub_acq_rel(&registry->thread_count, 1u);
    *error_out = -ENOSPC;
rejected:
    (void)ada_fetch_add_relaxed(&registry->rejected, 1ull);
    return NULL;
}

/* Which slot a lane set of this segment is. */
static uint32_t slot_of(const Segment *segment, const ThreadLaneSet *set)
{
    return (uint32_t)(((uintptr_t)set - (uintptr_t)segment_lane_set(segment, 0)) /
                      segment->geometry.slot_stride);
}

bool thread_registry_unregister(const Segment *segment, ThreadLaneSet *set)
{
    uint32_t slot = slot_of(segment, set);

    if (!move_state(set, ADA_SLOT_ACTIVE, ADA_SLOT_DRAINING))
        return false;
    /* Pairs with thread_registry_take_hints(). The slot may be another thread's by now: it is only a hint. */
    (void)ada_fetch_or_release(&segment_registry(segment)->ended_slots[slot / 64], 1ull << slot % 64);
    return true;
}

bool thread_registry_release(const Segment *segment, ThreadLaneSet *set)
{
    ThreadRegistry *registry = segment_registry(segment);
    uint32_t slot = slot_of(segment, set);

    if (!move_state(set, ADA_SLOT_DRAINING, ADA_SLOT_FREE))
        return false;
    /* The bit before the count: who is admitted by the count finds a bit. Pairs with claim_bit(). */
    (void)ada_fetch_or_release(&registry->free_slots[slot / 64], 1ull << slot % 64);
    (void)ada_fetch_sub_acq_rel(&registry->thread_count, 1u);
    return true;
}

/* Slots ever taken, bounded by what we know to exist. */
static uint32_t taken_bound(const Segment *segment)
{
    uint32_t bound = ada_load_relaxed(&segment_registry(segment)->high_water);

    return bound < segment->geometry.slot_capacity ? bound : segment->geometry.slot_capacity;
}

ThreadLaneSet *thread_registry_at(const Segment *segment, uint32_t slot)
{
    ThreadLaneSet *set = segment_lane_set(segment, slot);
    uint32_t state = ada_load_acquire(&set->state); /* pairs with thread_registry_register() and _unregister() */

    return state == ADA_SLOT_ACTIVE || state == ADA_SLOT_DRAINING ? set : NULL;
}

ThreadLaneSet *thread_registry_next(const Segment *segment, uint32_t from, uint32_t *slot_out)
{
    uint32_t bound = taken_bound(segment);

    for (uint32_t slot = from; slot < bound; slot++) {
        ThreadLaneSet *set = thread_registry_at(segment, slot);

        if (set) {
            *slot_out = slot;
            return set;
        }
    }
    return NULL;
}

uint32_t thread_registry_words(const Segment *segment)
{
    return (taken_bound(segment) + 63) / 64;
}

/* Takes the bits of a word that is mostly 0: then nothing is written, and its line stays where it is. */
static uint64_t take_bits(uint64_t *word)
{
    /* Pairs with the fetch-or of who set a bit. */
    return ada_load_relaxed(word) ? ada_exchange_acquire(word, 0ull) : 0;
}

SlotHints thread_registry_take_hints(const Segment *segment, uint32_t word)
{
    ThreadRegistry *registry = segment_registry(segment);
    uint32_t slots = segment->geometry.slot_capacity - word * 64;
    uint64_t valid = slots < 64 ? (1ull << slots) - 1 : UINT64_MAX;

    return (SlotHints){
        /* Relaxed: a slot that looks free yet is found on the next visit, and its state is read with acquire. */
        .taken = ~ada_load_relaxed(&registry->free_slots[word]) & valid,
        .dirty = take_bits(&registry->dirty_slots[word]) & valid,
        .ended = take_bits(&registry->ended_slots[word]) & valid,
    };
}

ThreadLaneSet *thread_registry_find(const Segment *segment, uint32_t thread_id)
{
    ThreadLaneSet *set;
    uint32_t slot = 0;

    while ((set = thread_registry_next(segment, slot, &slot)) != NULL) {
        if (ada_load_relaxed(&set->thread_id) == thread_id && ada_load_relaxed(&set->state) == ADA_SLOT_ACTIVE)
            return set;
        slot++;
    }
    return NULL;
}

bool thread_registry_has_room(const Segment *segment)
{
    const ThreadRegistry *registry = segment_registry(segment);

    return ada_load_relaxed(&registry->thread_count) < segment->geometry.slot_capacity &&
           ada_load_relaxed(&registry->accepting_registrations) &&
           !ada_load_relaxed(&registry->shutdown_requested);
}

/* ---- names: a sequence lock, because 16 bytes cannot be stored at once ---------------------------- */

void thread_lane_set_write_name(ThreadLaneSet *set, const char *name)
{
    uint32_t version = ada_load_relaxed(&set->name_version);
    bool ended = false;

    if (version % 2 != 0)
        return; /* in a handler that interrupted us: two names would mix */
    ada_store_relaxed(&set->name_version, version + 1);
    ada_signal_fence();
    for (uint32_t i = 0; i < ADA_THREAD_NAME_SIZE; i++) {
        ended = ended || name[i] == '\0' || i == ADA_THREAD_NAME_SIZE - 1;
        /* Release: who reads a new byte (acquire) then reads the odd version, or a newer one. */
        ada_store_release(&set->name[i], (char)(ended ? '\0' : name[i]));
        ADA_TEST_POINT("name.writing");
    }
    ada_signal_fence();
    /* Pairs with the first acquire in the reader: grants the bytes. */
    ada_store_release(&set->name_version, version + 2);
}

bool thread_lane_set_read_name(const ThreadLaneSet *set, char name_out[ADA_THREAD_NAME_SIZE])
{
    uint32_t version = ada_load_acquire(&set->name_version);
    char name[ADA_THREAD_NAME_SIZE];

    for (uint32_t i = 0; i < ADA_THREAD_NAME_SIZE; i++)
        name[i] = ada_load_acquire(&set->name[i]);
    if (version % 2 != 0 || ada_load_relaxed(&set->name_version) != version)
        return false;
    name[ADA_THREAD_NAME_SIZE - 1] = '\0';
    memcpy(name_out, name, sizeof(name));
    return true;
}

/* ---- debugging -------------------------------------------------------------------------------- */

static const char *state_name(uint32_t state)
{
    static const char *const names[] = {"free", "registering", "active", "draining"};
    _Static_assert(sizeof(names) / sizeof(names[0]) == ADA_SLOT_STATES, "a name for each state");

    return state < ADA_SLOT_STATES ? names[state] : "invalid";
}

/* Appends to text, counting what does not fit. */
static size_t append(char *text, size_t size, size_t at, const char *addition)
{
    size_t length = strlen(addition);

    if (at < size) {
        size_t room = size - at - 1;
        size_t part = length < room ? length : room;

        memcpy(text + at, addition, part);
        text[at + part] = '\0';
    }
    return at + length;
}

static size_t append_lane(char *text, size_t size, size_t at, const char *name, const Lane *lane,
                          const ada_lane_metrics_t *metrics)
{
    char line[160];

    (void)snprintf(line, sizeof(line),
                   "    %-6s ring %u, written %llu, drained %llu, dropped %llu, swaps %llu\n", name,
                   ada_load_relaxed(&lane->active_ring_index), (unsigned long long)lane_events_written(lane),
                   (unsigned long long)ada_load_relaxed(&lane->drained_records),
                   (unsigned long long)metrics_dropped(metrics),
                   (unsigned long long)ada_load_relaxed(&metrics->swaps.count));
    return append(text, size, at, line);
}

size_t thread_registry_dump(const Segment *segment, char *text, size_t size)
{
    const ThreadRegistry *registry = segment_registry(segment);
    char line[160];
    size_t at = 0;

    (void)snprintf(line, sizeof(line), "registry: %u of %u slots taken, %llu registrations, %llu rejected%s\n",
                   ada_load_relaxed(&registry->thread_count), segment->geometry.slot_capacity,
                   (unsigned long long)ada_load_relaxed(&registry->registrations),
                   (unsigned long long)ada_load_relaxed(&registry->rejected),
                   ada_load_relaxed(&registry->accepting_registrations) ? "" : ", closed");
    at = append(text, size, at, line);
    for (uint32_t slot = 0; slot < taken_bound(segment); slot++) {
        const ThreadLaneSet *set = segment_lane_set(segment, slot);
        uint32_t state = ada_load_acquire(&set->state); /* pairs with thread_registry_register() */
        char name[ADA_THREAD_NAME_SIZE] = "?";

        if (state == ADA_SLOT_FREE)
            continue;
        (void)thread_lane_set_read_name(set, name);
        (void)snprintf(line, sizeof(line), "  slot %u: %s, thread %u \"%s\", generation %u\n", slot,
                       state_name(state), ada_load_relaxed(&set->thread_id), name,
                       ada_load_relaxed(&set->generation));
        at = append(text, size, at, line);
        at = append_lane(text, size, at, "index", &set->index, &set->metrics.lanes[ADA_LANE_INDEX]);
        at = append_lane(text, size, at, "detail", &set->detail, &set->metrics.lanes[ADA_LANE_DETAIL]);
    }
    return at;
}
