/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/lane/test_point.h"
#include "user/registry/thread_registry.h"

typedef struct Fixture {
    Segment segment;
    int fd;
} Fixture;

static void setup(Fixture *fixture, uint32_t threads)
{
    SegmentConfig config;

    segment_config_init(&config);
    config.threads = threads;
    config.ring_bytes = ADA_RING_BYTES_MIN;
    CU_ASSERT_EQUAL_FATAL(segment_create(&config, &fixture->segment, &fixture->fd), 0);
}

static void teardown(Fixture *fixture)
{
    segment_unmap(&fixture->segment);
    CU_ASSERT_EQUAL(close(fixture->fd), 0);
}

static ThreadLaneSet *register_thread(Fixture *fixture, uint32_t thread_id)
{
    int error = 0;

    return thread_registry_register(&fixture->segment, thread_id, 1000 + thread_id, &error);
}

static void release(Fixture *fixture, ThreadLaneSet *set)
{
    CU_ASSERT_TRUE(thread_registry_unregister(&fixture->segment, set));
    CU_ASSERT_TRUE(thread_registry_release(&fixture->segment, set));
}

/* Slots whose bit says free, and that agree by their state. SIZE_MAX: they contradict. */
static size_t free_slots(const Segment *segment)
{
    const ThreadRegistry *registry = segment_registry(segment);
    size_t count = 0;

    for (uint32_t slot = 0; slot < segment->geometry.slot_capacity; slot++) {
        bool free = registry->free_slots[slot / 64] >> slot % 64 & 1;

        if (free != (segment_lane_set(segment, slot)->state == ADA_SLOT_FREE))
            return SIZE_MAX;
        count += free;
    }
    return count;
}

/* ---- one thread --------------------------------------------------------------------------------- */

static void test_thread_registry__single_registration__then_succeeds(void)
{
    ThreadRegistry *registry;
    ThreadLaneSet *set;
    Fixture fixture;
    int error = 4711;

    setup(&fixture, ADA_THREADS_DEFAULT);
    registry = segment_registry(&fixture.segment);
    set = thread_registry_register(&fixture.segment, 4242, 777, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(set);
    CU_ASSERT_EQUAL(error, 4711);
    CU_ASSERT_EQUAL(set->state, ADA_SLOT_ACTIVE);
    CU_ASSERT_EQUAL(set->thread_id, 4242);
    CU_ASSERT_EQUAL(set->slot_index, 0);
    CU_ASSERT_EQUAL(set->registered_at, 777);
    CU_ASSERT_EQUAL(set->generation, 1);
    CU_ASSERT_EQUAL(set->index.kind, ADA_LANE_INDEX);
    CU_ASSERT_EQUAL(set->index.ring_count, 4);
    CU_ASSERT_EQUAL(set->index.free_queue.tail, 3);
    CU_ASSERT_EQUAL(set->detail.kind, ADA_LANE_DETAIL);
    CU_ASSERT_EQUAL(set->detail.ring_count, 2);
    CU_ASSERT_EQUAL(set->detail.free_queue.tail, 1);
    CU_ASSERT_EQUAL(set->index.ring_pool_offset,
                    segment_rings_offset(&fixture.segment.geometry, 0, ADA_LANE_INDEX));
    CU_ASSERT_EQUAL(set->detail.ring_pool_offset,
                    segment_rings_offset(&fixture.segment.geometry, 0, ADA_LANE_DETAIL));
    CU_ASSERT_EQUAL(registry->thread_count, 1);
    CU_ASSERT_EQUAL(registry->registrations, 1);
    CU_ASSERT_EQUAL(registry->rejected, 0);
    CU_ASSERT_EQUAL(registry->high_water, 1);
    CU_ASSERT_EQUAL(free_slots(&fixture.segment), 63);
    teardown(&fixture);
}

static void thread_registry__states__then_only_in_their_order(void)
{
    Fixture fixture;
    ThreadLaneSet *set;

    setup(&fixture, 1);
    set = segment_lane_set(&fixture.segment, 0);
    CU_ASSERT_FALSE(thread_registry_unregister(&fixture.segment, set));
    CU_ASSERT_FALSE(thread_registry_release(&fixture.segment, set));
    CU_ASSERT_PTR_EQUAL(register_thread(&fixture, 1), set);
    CU_ASSERT_FALSE(thread_registry_release(&fixture.segment, set));
    CU_ASSERT_TRUE(thread_registry_unregister(&fixture.segment, set));
    CU_ASSERT_EQUAL(set->state, ADA_SLOT_DRAINING);
    CU_ASSERT_FALSE(thread_registry_unregister(&fixture.segment, set));
    CU_ASSERT_TRUE(thread_registry_release(&fixture.segment, set));
    CU_ASSERT_EQUAL(set->state, ADA_SLOT_FREE);
    CU_ASSERT_FALSE(thread_registry_release(&fixture.segment, set));
    CU_ASSERT_EQUAL(segment_registry(&fixture.segment)->thread_count, 0);
    teardown(&fixture);
}

static void thread_registry__slot_recycled__then_new_generation_and_fresh_lanes(void)
{
    Fixture fixture;
    ThreadLaneSet *set;

    setup(&fixture, 2);
    set = register_thread(&fixture, 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(set);
    thread_lane_set_write_name(set, "first");
    set->metrics.lanes[ADA_LANE_INDEX].counters.dropped_full = 5;
    set->index.active_ring_index = 3;
    set->detail.marked = 1;
    set->index.submit_queue.tail = 7;
    CU_ASSERT_TRUE(thread_registry_unregister(&fixture.segment, set));
    /* While it is drained, another thread gets another slot. */
    CU_ASSERT_PTR_EQUAL(register_thread(&fixture, 2), segment_lane_set(&fixture.segment, 1));
    CU_ASSERT_PTR_NULL(register_thread(&fixture, 3));
    CU_ASSERT_TRUE(thread_registry_release(&fixture.segment, set));
    CU_ASSERT_PTR_EQUAL(register_thread(&fixture, 3), set);
    CU_ASSERT_EQUAL(set->generation, 2);
    CU_ASSERT_EQUAL(set->thread_id, 3);
    CU_ASSERT_STRING_EQUAL(set->name, "");
    CU_ASSERT_EQUAL(set->metrics.lanes[ADA_LANE_INDEX].counters.dropped_full, 0);
    CU_ASSERT_EQUAL(set->index.active_ring_index, 0);
    CU_ASSERT_EQUAL(set->index.submit_queue.tail, 0);
    CU_ASSERT_EQUAL(set->detail.marked, 0);
    teardown(&fixture);
}

/* Whatever the slot's last thread left: a thread begins with nothing counted, and with lines of its own. */
static void thread_registry__with_metrics__then_initialized(void)
{
    static const ada_thread_metrics_t nothing;
    Fixture fixture;
    ThreadLaneSet *set;

    setup(&fixture, 2);
    for (uint32_t i = 0; i < 2; i++)
        memset(&segment_lane_set(&fixture.segment, i)->metrics, 0xff, sizeof(nothing));
    for (uint32_t round = 0; round < 3; round++) {
        set = register_thread(&fixture, 1 + round);
        CU_ASSERT_PTR_NOT_NULL_FATAL(set);
        for (uint32_t lane = 0; lane < 2; lane++) {
            const ada_lane_metrics_t *metrics = &set->metrics.lanes[lane];

            CU_ASSERT_EQUAL(memcmp(&metrics->counters, &nothing, offsetof(ada_metrics_counters_t, reserved)),
                            0);
            CU_ASSERT_EQUAL(memcmp(&metrics->swaps, &nothing, offsetof(ada_metrics_swaps_t, reserved)), 0);
            CU_ASSERT_EQUAL(memcmp(&metrics->pressure, &nothing, offsetof(ada_metrics_pressure_t, reserved)),
                            0);
        }
        CU_ASSERT_EQUAL(memcmp(&set->metrics.rates, &nothing, offsetof(ada_metrics_rates_t, reserved)), 0);
        CU_ASSERT_EQUAL((uintptr_t)&set->metrics % 128, 0);
        metrics_increment_dropped(&set->metrics.lanes[ADA_LANE_INDEX], METRICS_DROP_FULL, 5);
        set->metrics.rates.window_start = 77;
        release(&fixture, set);
    }
    teardown(&fixture);
}

/* ---- capacity ----------------------------------------------------------------------------------- */

static void test_thread_registry__max_threads_exceeded__then_returns_null(void)
{
    ThreadRegistry *registry;
    Fixture fixture;
    int error = 0;

    setup(&fixture, ADA_THREADS_DEFAULT);
    registry = segment_registry(&fixture.segment);
    for (uint32_t i = 0; i < ADA_THREADS_DEFAULT; i++) {
        CU_ASSERT_TRUE(thread_registry_has_room(&fixture.segment));
        CU_ASSERT_PTR_NOT_NULL_FATAL(register_thread(&fixture, i + 1));
    }
    CU_ASSERT_FALSE(thread_registry_has_room(&fixture.segment));
    CU_ASSERT_PTR_NULL(thread_registry_register(&fixture.segment, 65, 0, &error));
    CU_ASSERT_EQUAL(error, -ENOSPC);
    CU_ASSERT_EQUAL(registry->thread_count, 64);
    CU_ASSERT_EQUAL(registry->rejected, 1);
    CU_ASSERT_EQUAL(registry->registrations, 64);

    release(&fixture, segment_lane_set(&fixture.segment, 17));
    CU_ASSERT_TRUE(thread_registry_has_room(&fixture.segment));
    CU_ASSERT_PTR_EQUAL(register_thread(&fixture, 65), segment_lane_set(&fixture.segment, 17));
    CU_ASSERT_PTR_NULL(register_thread(&fixture, 66));
    teardown(&fixture);
}

static void thread_registry__any_capacity__then_exactly_so_many_slots(void)
{
    static const uint32_t capacities[] = {1, 2, 63, 64, 65, 100, ADA_THREADS_MAX};

    for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
        uint32_t capacity = capacities[i];
        Fixture fixture;

        setup(&fixture, capacity);
        for (uint32_t n = 0; n < capacity; n++) {
            ThreadLaneSet *set = register_thread(&fixture, n + 1);

            CU_ASSERT_PTR_EQUAL_FATAL(set, segment_lane_set(&fixture.segment, n));
            CU_ASSERT_EQUAL(set->slot_index, n);
        }
        CU_ASSERT_PTR_NULL(register_thread(&fixture, capacity + 1));
        CU_ASSERT_EQUAL(free_slots(&fixture.segment), 0);
        CU_ASSERT_EQUAL(segment_registry(&fixture.segment)->high_water, capacity);
        for (uint32_t n = 0; n < capacity; n++)
            release(&fixture, segment_lane_set(&fixture.segment, n));
        CU_ASSERT_EQUAL(free_slots(&fixture.segment), capacity);
        CU_ASSERT_EQUAL(segment_registry(&fixture.segment)->thread_count, 0);
        teardown(&fixture);
    }
}

static void thread_registry__closed__then_refused(void)
{
    ThreadRegistry *registry;
    Fixture fixture;
    int error = 0;

    setup(&fixture, 2);
    registry = segment_registry(&fixture.segment);
    registry->accepting_registrations = 0;
    CU_ASSERT_PTR_NULL(thread_registry_register(&fixture.segment, 1, 0, &error));
    CU_ASSERT_EQUAL(error, -ESHUTDOWN);
    CU_ASSERT_FALSE(thread_registry_has_room(&fixture.segment));
    registry->accepting_registrations = 1;
    registry->shutdown_requested = 1;
    error = 0;
    CU_ASSERT_PTR_NULL(thread_registry_register(&fixture.segment, 1, 0, &error));
    CU_ASSERT_EQUAL(error, -ESHUTDOWN);
    CU_ASSERT_FALSE(thread_registry_has_room(&fixture.segment));
    CU_ASSERT_EQUAL(registry->rejected, 2);
    CU_ASSERT_EQUAL(registry->thread_count, 0);
    registry->shutdown_requested = 0;
    CU_ASSERT_PTR_NOT_NULL(register_thread(&fixture, 1));
    teardown(&fixture);
}

/* What a hostile or broken process leaves in the registry makes nobody look outside it. */
static void thread_registry__contradictory__then_refused(void)
{
    ThreadRegistry *registry;
    uint32_t slot = 99;
    Fixture fixture;
    int error = 0;

    setup(&fixture, 3);
    registry = segment_registry(&fixture.segment);
    /* Free by its bit, taken by its state. */
    segment_lane_set(&fixture.segment, 0)->state = ADA_SLOT_ACTIVE;
    CU_ASSERT_PTR_NULL(thread_registry_register(&fixture.segment, 1, 0, &error));
    CU_ASSERT_EQUAL(error, -ENOSPC);
    CU_ASSERT_EQUAL(segment_lane_set(&fixture.segment, 0)->state, ADA_SLOT_ACTIVE);
    CU_ASSERT_EQUAL(registry->thread_count, 0);
    /* Bits of slots that do not exist. */
    registry->free_slots[0] = UINT64_MAX << 3;
    error = 0;
    CU_ASSERT_PTR_NULL(thread_registry_register(&fixture.segment, 1, 0, &error));
    CU_ASSERT_EQUAL(error, -ENOSPC);
    /* A high water mark above the capacity, and states that do not exist. */
    registry->high_water = UINT32_MAX;
    segment_lane_set(&fixture.segment, 0)->state = 4711;
    segment_lane_set(&fixture.segment, 2)->state = ADA_SLOT_DRAINING;
    CU_ASSERT_PTR_EQUAL(thread_registry_next(&fixture.segment, 0, &slot),
                        segment_lane_set(&fixture.segment, 2));
    CU_ASSERT_EQUAL(slot, 2);
    CU_ASSERT_PTR_NULL(thread_registry_next(&fixture.segment, 3, &slot));
    CU_ASSERT_PTR_NULL(thread_registry_next(&fixture.segment, UINT32_MAX, &slot));
    teardown(&fixture);
}

static void thread_registry__counters_at_their_end__then_wrap(void)
{
    ThreadRegistry *registry;
    ThreadLaneSet *set;
    Fixture fixture;

    setup(&fixture, 1);
    registry = segment_registry(&fixture.segment);
    set = segment_lane_set(&fixture.segment, 0);
    registry->registrations = UINT64_MAX;
    registry->rejected = UINT64_MAX;
    set->generation = UINT32_MAX;
    set->name_version = UINT32_MAX - 1;
    CU_ASSERT_PTR_EQUAL(register_thread(&fixture, 1), set);
    CU_ASSERT_PTR_NULL(register_thread(&fixture, 2));
    CU_ASSERT_EQUAL(registry->registrations, 0);
    CU_ASSERT_EQUAL(registry->rejected, 0);
    CU_ASSERT_EQUAL(set->generation, 0);
    CU_ASSERT_EQUAL(set->name_version, 0);
    teardown(&fixture);
}

/* ---- finding ------------------------------------------------------------------------------------ */

static void thread_registry_find__threads_come_and_go__then_active_one_found(void)
{
    Fixture fixture;

    setup(&fixture, 80);
    for (uint32_t i = 0; i < 80; i++)
        CU_ASSERT_PTR_NOT_NULL(register_thread(&fixture, 1000 + i));
    for (uint32_t i = 0; i < 80; i++)
        CU_ASSERT_PTR_EQUAL(thread_registry_find(&fixture.segment, 1000 + i),
                            segment_lane_set(&fixture.segment, i));
    CU_ASSERT_PTR_NULL(thread_registry_find(&fixture.segment, 999));
    CU_ASSERT_TRUE(thread_registry_unregister(&fixture.segment, segment_lane_set(&fixture.segment, 40)));
    CU_ASSERT_PTR_NULL(thread_registry_find(&fixture.segment, 1040));
    CU_ASSERT_TRUE(thread_registry_release(&fixture.segment, segment_lane_set(&fixture.segment, 40)));
    CU_ASSERT_PTR_NULL(thread_registry_find(&fixture.segment, 1040));
    CU_ASSERT_PTR_EQUAL(register_thread(&fixture, 2000), segment_lane_set(&fixture.segment, 40));
    CU_ASSERT_PTR_EQUAL(thread_registry_find(&fixture.segment, 2000), segment_lane_set(&fixture.segment, 40));
    teardown(&fixture);
}

static void thread_registry_next__slots_in_all_states__then_active_and_draining(void)
{
    Fixture fixture;
    uint32_t slot = 99;

    setup(&fixture, 8);
    for (uint32_t i = 0; i < 6; i++)
        CU_ASSERT_PTR_NOT_NULL(register_thread(&fixture, i));
    release(&fixture, segment_lane_set(&fixture.segment, 0));
    CU_ASSERT_TRUE(thread_registry_unregister(&fixture.segment, segment_lane_set(&fixture.segment, 2)));
    segment_lane_set(&fixture.segment, 4)->state = ADA_SLOT_REGISTERING;
    for (uint32_t from = 0, found = 0; thread_registry_next(&fixture.segment, from, &slot);
         from = slot + 1, found++) {
        static const uint32_t expected[] = {1, 2, 3, 5};

        CU_ASSERT_TRUE_FATAL(found < 4);
        CU_ASSERT_EQUAL(slot, expected[found]);
    }
    CU_ASSERT_EQUAL(slot, 5);
    teardown(&fixture);
}

/* ---- many threads ------------------------------------------------------------------------------- */

#define CROWD 64u

typedef struct Crowd {
    Fixture fixture;
    pthread_barrier_t start;
    uint32_t taken[ADA_THREADS_MAX]; /* how many threads hold the slot */
    uint32_t failures;
    uint32_t rounds;
    uint32_t finished;
} Crowd;

static void *register_in_crowd(void *argument)
{
    Crowd *crowd = argument;
    ThreadLaneSet *set;

    pthread_barrier_wait(&crowd->start);
    set = register_thread(&crowd->fixture, (uint32_t)gettid());
    if (!set || ada_fetch_add_acq_rel(&crowd->taken[set->slot_index], 1u) != 0 ||
        set->thread_id != (uint32_t)gettid())
        (void)ada_fetch_add_relaxed(&crowd->failures, 1u);
    return NULL;
}

static void run_crowd(Crowd *crowd, void *(*run)(void *), uint32_t count, void (*meanwhile)(Crowd *))
{
    pthread_t threads[CROWD];

    CU_ASSERT_EQUAL_FATAL(pthread_barrier_init(&crowd->start, NULL, count), 0);
    for (uint32_t i = 0; i < count; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, run, crowd), 0);
    if (meanwhile)
        meanwhile(crowd);
    for (uint32_t i = 0; i < count; i++)
        CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
    pthread_barrier_destroy(&crowd->start);
}

static void test_thread_registry__concurrent_registration__then_unique_slots(void)
{
    for (uint32_t round = 0; round < 20; round++) {
        static Crowd crowd;

        memset(&crowd, 0, sizeof(crowd));
        setup(&crowd.fixture, CROWD);
        run_crowd(&crowd, register_in_crowd, CROWD, NULL);
        CU_ASSERT_EQUAL(crowd.failures, 0);
        for (uint32_t slot = 0; slot < CROWD; slot++)
            CU_ASSERT_EQUAL(crowd.taken[slot], 1);
        CU_ASSERT_EQUAL(segment_registry(&crowd.fixture.segment)->thread_count, CROWD);
        CU_ASSERT_EQUAL(segment_registry(&crowd.fixture.segment)->registrations, CROWD);
        CU_ASSERT_EQUAL(segment_registry(&crowd.fixture.segment)->high_water, CROWD);
        CU_ASSERT_EQUAL(free_slots(&crowd.fixture.segment), 0);
        teardown(&crowd.fixture);
    }
}

static void thread_registry__more_threads_than_slots__then_exactly_the_slots_taken(void)
{
    static Crowd crowd;

    memset(&crowd, 0, sizeof(crowd));
    setup(&crowd.fixture, 5);
    run_crowd(&crowd, register_in_crowd, CROWD, NULL);
    CU_ASSERT_EQUAL(crowd.failures, CROWD - 5);
    CU_ASSERT_EQUAL(segment_registry(&crowd.fixture.segment)->thread_count, 5);
    CU_ASSERT_EQUAL(segment_registry(&crowd.fixture.segment)->rejected, CROWD - 5);
    CU_ASSERT_EQUAL(free_slots(&crowd.fixture.segment), 0);
    teardown(&crowd.fixture);
}

#define CHURN_THREADS 8u
#define CHURN_ROUNDS 12500u /* 100,000 registrations */

static void *come_and_go(void *argument)
{
    Crowd *crowd = argument;

    pthread_barrier_wait(&crowd->start);
    for (uint32_t i = 0; i < CHURN_ROUNDS; i++) {
        ThreadLaneSet *set;

        while (!(set = register_thread(&crowd->fixture, (uint32_t)gettid())))
            sched_yield(); /* until the collector has released one */
        if (ada_fetch_add_acq_rel(&crowd->taken[set->slot_index], 1u) != 0)
            (void)ada_fetch_add_relaxed(&crowd->failures, 1u);
        (void)ada_fetch_sub_acq_rel(&crowd->taken[set->slot_index], 1u);
        if (!thread_registry_unregister(&crowd->fixture.segment, set))
            (void)ada_fetch_add_relaxed(&crowd->failures, 1u);
    }
    (void)ada_fetch_add_acq_rel(&crowd->finished, 1u);
    return NULL;
}

static void release_draining(Crowd *crowd)
{
    uint64_t released = 0;

    while (released < CHURN_THREADS * CHURN_ROUNDS) {
        uint32_t slot = 0;
        ThreadLaneSet *set;

        for (uint32_t from = 0; (set = thread_registry_next(&crowd->fixture.segment, from, &slot));
             from = slot + 1)
            released += thread_registry_release(&crowd->fixture.segment, set);
        sched_yield();
    }
}

static void thread_registry__churn__then_no_slot_lost(void)
{
    static Crowd crowd;
    uint64_t generations = 0;

    memset(&crowd, 0, sizeof(crowd));
    setup(&crowd.fixture, 6); /* fewer than threads */
    run_crowd(&crowd, come_and_go, CHURN_THREADS, release_draining);
    CU_ASSERT_EQUAL(crowd.failures, 0);
    CU_ASSERT_EQUAL(free_slots(&crowd.fixture.segment), 6);
    CU_ASSERT_EQUAL(segment_registry(&crowd.fixture.segment)->thread_count, 0);
    CU_ASSERT_EQUAL(segment_registry(&crowd.fixture.segment)->registrations, CHURN_THREADS * CHURN_ROUNDS);
    for (uint32_t slot = 0; slot < 6; slot++)
        generations += segment_lane_set(&crowd.fixture.segment, slot)->generation;
    CU_ASSERT_EQUAL(generations, CHURN_THREADS * CHURN_ROUNDS);
    teardown(&crowd.fixture);
}

/*
 * The drain sees a slot ACTIVE, and with it everything that was written before: see the fields that it
 * compares.
 */
static void *register_and_wait(void *argument)
{
    Crowd *crowd = argument;

    pthread_barrier_wait(&crowd->start);
    for (uint32_t i = 0; i < 2000; i++) {
        ThreadLaneSet *set;

        while (!(set = register_thread(&crowd->fixture, 70000 + i)))
            sched_yield();
        if (!thread_registry_unregister(&crowd->fixture.segment, set))
            (void)ada_fetch_add_relaxed(&crowd->failures, 1u);
    }
    return NULL;
}

static void look_as_drain(Crowd *crowd)
{
    const Segment *segment = &crowd->fixture.segment;
    uint32_t seen = 0;

    while (seen < 4 * 2000) {
        uint32_t slot = 0;
        ThreadLaneSet *set;

        for (uint32_t from = 0; (set = thread_registry_next(segment, from, &slot)); from = slot + 1) {
            uint32_t thread_id = ada_load_relaxed(&set->thread_id);

            CU_ASSERT_TRUE(thread_id >= 70000 && thread_id < 72000);
            CU_ASSERT_EQUAL(ada_load_relaxed(&set->registered_at), 1000 + thread_id);
            CU_ASSERT_EQUAL(ada_load_relaxed(&set->slot_index), slot);
            CU_ASSERT_EQUAL(set->index.ring_count, ADA_INDEX_RINGS);
            CU_ASSERT_EQUAL(set->index.ring_pool_offset,
                            segment_rings_offset(&segment->geometry, slot, ADA_LANE_INDEX));
            CU_ASSERT_EQUAL(set->detail.kind, ADA_LANE_DETAIL);
            CU_ASSERT_EQUAL(ada_load_relaxed(&set->index.free_queue.tail), 3);
            CU_ASSERT_EQUAL(ada_load_relaxed(&set->index.free_queue.slots[2]), 3);
            /* The release of the drain scribbles over them, so that what is seen next time is new. */
            if (ada_load_acquire(&set->state) != ADA_SLOT_DRAINING)
                continue;
            ada_store_relaxed(&set->thread_id, 0u);
            ada_store_relaxed(&set->registered_at, 0ull);
            set->index.ring_count = 0;
            set->index.ring_pool_offset = 0;
            set->detail.kind = 99;
            ada_store_relaxed(&set->index.free_queue.tail, 99ull);
            seen += thread_registry_release(segment, set);
        }
        sched_yield();
    }
}

static void test_memory_ordering__registration__then_visible_to_drain(void)
{
    static Crowd crowd;

    memset(&crowd, 0, sizeof(crowd));
    setup(&crowd.fixture, 4);
    run_crowd(&crowd, register_and_wait, 4, look_as_drain);
    CU_ASSERT_EQUAL(crowd.failures, 0);
    CU_ASSERT_EQUAL(free_slots(&crowd.fixture.segment), 4);
    teardown(&crowd.fixture);
}

static void thread_registry__two_processes__then_unique_slots(void)
{
    pid_t children[2];
    Fixture fixture;

    setup(&fixture, 200);
    for (uint32_t c = 0; c < 2; c++) {
        children[c] = fork();
        CU_ASSERT_TRUE_FATAL(children[c] >= 0);
        if (children[c] == 0) {
            Segment segment = {0};

            if (segment_attach(fixture.fd, &segment) != 0)
                _exit(1);
            for (uint32_t i = 0; i < 100; i++) {
                int error = 0;

                if (!thread_registry_register(&segment, 1000 * (c + 1) + i, 0, &error))
                    _exit(1);
            }
            _exit(0);
        }
    }
    for (uint32_t c = 0; c < 2; c++) {
        int status = 1;

        CU_ASSERT_EQUAL(waitpid(children[c], &status, 0), children[c]);
        CU_ASSERT_EQUAL(status, 0);
    }
    CU_ASSERT_EQUAL(segment_registry(&fixture.segment)->thread_count, 200);
    for (uint32_t c = 0; c < 2; c++)
        for (uint32_t i = 0; i < 100; i++)
            CU_ASSERT_PTR_NOT_NULL(thread_registry_find(&fixture.segment, 1000 * (c + 1) + i));
    teardown(&fixture);
}

/* ---- death while registering -------------------------------------------------------------------- */

static const char *death_point;

static void die_here(const char *point)
{
    if (strcmp(point, death_point) == 0)
        (void)kill(getpid(), SIGKILL);
}

/* Whatever it left, the collector finds no thread there, others register, and nobody gets the same slot. */
static void thread_registry__killed_while_registering__then_slot_never_seen(void)
{
    static const char *const points[] = {"register.counted", "register.claimed", "name.writing",
                                         "register.initialized"};

    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        uint32_t slot = 99;
        int status = 0;
        Fixture fixture;
        pid_t child;

        setup(&fixture, 3);
        child = fork();
        CU_ASSERT_TRUE_FATAL(child >= 0);
        if (child == 0) {
            death_point = points[i];
            ada_test_point_hook = die_here;
            (void)register_thread(&fixture, 1);
            _exit(0);
        }
        CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
        CU_ASSERT_TRUE(WIFSIGNALED(status));
        CU_ASSERT_PTR_NULL(thread_registry_next(&fixture.segment, 0, &slot));
        CU_ASSERT_PTR_NOT_NULL(register_thread(&fixture, 2));
        CU_ASSERT_PTR_NOT_NULL(register_thread(&fixture, 3));
        CU_ASSERT_PTR_NULL(register_thread(&fixture, 4));
        teardown(&fixture);
    }
}

/* ---- names -------------------------------------------------------------------------------------- */

static void thread_name__of_any_length__then_cut_and_terminated(void)
{
    static const char *const names[][2] = {
        {"", ""}, {"a", "a"}, {"exactly-fifteen", "exactly-fifteen"}, {"one more than fits", "one more than f"}};
    char name[ADA_THREAD_NAME_SIZE];
    ThreadLaneSet *set;
    Fixture fixture;

    setup(&fixture, 1);
    set = register_thread(&fixture, 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(set);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        thread_lane_set_write_name(set, names[i][0]);
        CU_ASSERT_TRUE(thread_lane_set_read_name(set, name));
        CU_ASSERT_STRING_EQUAL(name, names[i][1]);
    }
    /* A process that terminates nothing. */
    memset(set->name, 'x', sizeof(set->name));
    CU_ASSERT_TRUE(thread_lane_set_read_name(set, name));
    CU_ASSERT_STRING_EQUAL(name, "xxxxxxxxxxxxxxx");
    /* Being written: nothing is copied. */
    set->name_version |= 1;
    memset(name, 'y', sizeof(name));
    CU_ASSERT_FALSE(thread_lane_set_read_name(set, name));
    CU_ASSERT_EQUAL(name[0], 'y');
    /* Its thread ended then: the next one has a name again. */
    release(&fixture, set);
    CU_ASSERT_PTR_EQUAL(register_thread(&fixture, 2), set);
    CU_ASSERT_TRUE(thread_lane_set_read_name(set, name));
    CU_ASSERT_STRING_EQUAL(name, "");
    teardown(&fixture);
}

static ThreadLaneSet *interrupted_set;
static uint32_t interruptions;

static void rename_in_handler(const char *point)
{
    char name[ADA_THREAD_NAME_SIZE];

    if (strcmp(point, "name.writing") != 0 || ++interruptions != 5)
        return;
    thread_lane_set_write_name(interrupted_set, "handler-handler");
    CU_ASSERT_FALSE(thread_lane_set_read_name(interrupted_set, name));
}

static void thread_name__written_by_handler_amid_writing__then_never_mixed(void)
{
    char name[ADA_THREAD_NAME_SIZE] = "";
    Fixture fixture;

    setup(&fixture, 1);
    interrupted_set = register_thread(&fixture, 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(interrupted_set);
    interruptions = 0;
    ada_test_point_hook = rename_in_handler;
    thread_lane_set_write_name(interrupted_set, "interrupted-one");
    ada_test_point_hook = NULL;
    CU_ASSERT_TRUE(thread_lane_set_read_name(interrupted_set, name));
    CU_ASSERT_STRING_EQUAL(name, "interrupted-one");
    teardown(&fixture);
}

typedef struct Namer {
    ThreadLaneSet *set;
    uint32_t stop;
} Namer;

static void *write_names(void *argument)
{
    Namer *namer = argument;

    for (uint32_t i = 0; !ada_load_relaxed(&namer->stop); i++) {
        char name[ADA_THREAD_NAME_SIZE];

        memset(name, 'a' + (int)(i % 26), sizeof(name));
        name[ADA_THREAD_NAME_SIZE - 1] = '\0';
        thread_lane_set_write_name(namer->set, name);
    }
    return NULL;
}

static void thread_name__read_while_written__then_never_torn(void)
{
    Namer namer = {0};
    uint32_t whole = 0;
    pthread_t writer;
    Fixture fixture;

    setup(&fixture, 1);
    namer.set = register_thread(&fixture, 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(namer.set);
    thread_lane_set_write_name(namer.set, "aaaaaaaaaaaaaaa");
    CU_ASSERT_EQUAL_FATAL(pthread_create(&writer, NULL, write_names, &namer), 0);
    while (whole < 20000) {
        char name[ADA_THREAD_NAME_SIZE];

        if (!thread_lane_set_read_name(namer.set, name))
            continue;
        whole++;
        for (uint32_t i = 1; i < ADA_THREAD_NAME_SIZE - 1; i++)
            if (name[i] != name[0])
                CU_FAIL_FATAL("torn name");
    }
    ada_store_relaxed(&namer.stop, 1u);
    CU_ASSERT_EQUAL(pthread_join(writer, NULL), 0);
    CU_ASSERT_EQUAL(whole, 20000);
    teardown(&fixture);
}

/* ---- dump --------------------------------------------------------------------------------------- */

static void thread_registry_dump__slots_in_all_states__then_described(void)
{
    char text[4096];
    char small[64];
    ThreadLaneSet *set;
    Fixture fixture;
    size_t length;

    setup(&fixture, 8);
    for (uint32_t i = 0; i < 5; i++) {
        set = register_thread(&fixture, 500 + i);
        CU_ASSERT_PTR_NOT_NULL_FATAL(set);
        thread_lane_set_write_name(set, "worker");
    }
    release(&fixture, segment_lane_set(&fixture.segment, 0));
    CU_ASSERT_TRUE(thread_registry_unregister(&fixture.segment, segment_lane_set(&fixture.segment, 1)));
    segment_lane_set(&fixture.segment, 2)->state = 77;
    segment_lane_set(&fixture.segment, 3)->name_version |= 1;
    segment_lane_set(&fixture.segment, 4)->state = ADA_SLOT_REGISTERING;
    segment_registry(&fixture.segment)->accepting_registrations = 0;

    length = thread_registry_dump(&fixture.segment, text, sizeof(text));
    CU_ASSERT_EQUAL(length, strlen(text));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "registry: 4 of 8 slots taken, 5 registrations, 0 rejected, closed\n"));
    CU_ASSERT_PTR_NULL(strstr(text, "slot 0"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "  slot 1: draining, thread 501 \"worker\", generation 1\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "  slot 2: invalid, thread 502 \"worker\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "  slot 3: active, thread 503 \"?\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "  slot 4: registering, thread 504"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "    index  ring 0, written 0, drained 0, dropped 0, swaps 0\n"));
    CU_ASSERT_PTR_NULL(strstr(text, "slot 5"));

    /* Cut to what fits, the whole length returned, nothing written behind. */
    for (size_t size = 0; size < sizeof(small); size++) {
        memset(small, '#', sizeof(small));
        CU_ASSERT_EQUAL(thread_registry_dump(&fixture.segment, small, size), length);
        CU_ASSERT_EQUAL(small[size], '#');
        if (size > 0) {
            CU_ASSERT_EQUAL(strlen(small), size - 1);
            CU_ASSERT_EQUAL(strncmp(small, text, size - 1), 0);
        }
    }
    teardown(&fixture);
}

static const TestCase tests[] = {
    TEST(test_thread_registry__single_registration__then_succeeds),
    TEST(test_thread_registry__concurrent_registration__then_unique_slots),
    TEST(test_thread_registry__max_threads_exceeded__then_returns_null),
    TEST(test_memory_ordering__registration__then_visible_to_drain),
    TEST(thread_registry__states__then_only_in_their_order),
    TEST(thread_registry__slot_recycled__then_new_generation_and_fresh_lanes),
    TEST(thread_registry__with_metrics__then_initialized),
    TEST(thread_registry__any_capacity__then_exactly_so_many_slots),
    TEST(thread_registry__closed__then_refused),
    TEST(thread_registry__contradictory__then_refused),
    TEST(thread_registry__counters_at_their_end__then_wrap),
    TEST(thread_registry_find__threads_come_and_go__then_active_one_found),
    TEST(thread_registry_next__slots_in_all_states__then_active_and_draining),
    TEST(thread_registry__more_threads_than_slots__then_exactly_the_slots_taken),
    TEST(thread_registry__churn__then_no_slot_lost),
    TEST(thread_registry__two_processes__then_unique_slots),
    TEST(thread_registry__killed_while_registering__then_slot_never_seen),
    TEST(thread_name__of_any_length__then_cut_and_terminated),
    TEST(thread_name__written_by_handler_amid_writing__then_never_mixed),
    TEST(thread_name__read_while_written__then_never_torn),
    TEST(thread_registry_dump__slots_in_all_states__then_described),
};
TEST_MAIN("thread_registry", tests)
