/* SPDX-License-Identifier: MIT */
/*
 * The drain of many threads: who takes part when, that all of it gets into the file, that nobody is treated
 * unfairly, and that quiet threads cost next to nothing.
 */
#define _GNU_SOURCE
#include "drain_fixture.h"
#include "test_support.h"
#include "user/drain/thread_drain_account.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* ---- faults ------------------------------------------------------------------------------------- */

static long allocations = -1; /* that still succeed; -1 = all */

static bool may_allocate(void)
{
    if (allocations == 0) {
        errno = ENOMEM;
        return false;
    }
    if (allocations > 0)
        allocations--;
    return true;
}

/* The linker puts these in the place of libc's (see CMakeLists.txt), and libc's under the other name. */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_reallocarray(void *memory, size_t count, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);

void *__wrap_malloc(size_t size)
{
    return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return may_allocate() ? __real_calloc(count, size) : NULL;
}

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
    return may_allocate() ? __real_reallocarray(memory, count, size) : NULL;
}

/* ---- life of an iterator (task 1.1) ------------------------------------------------------------- */

static void drain_iterator__created_and_destroyed__then_configured(void)
{
    DrainIteratorConfig config = {.scheduler = {.kind = DRAIN_SCHEDULER_ADAPTIVE, .tick_ns = 2000000}};
    DrainFixture *fixture = drain_fixture_create(&config, 4, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);

    CU_ASSERT_EQUAL(drain_iterator_threads(fixture->iterator), 0);
    CU_ASSERT_EQUAL(drain_iterator_count(fixture->iterator), 0);
    CU_ASSERT_EQUAL(drain_iterator_tick(fixture->iterator), 2000000);
    CU_ASSERT(drain_iterator_is_quiet(fixture->iterator));
    drain_fixture_register(fixture, 0); /* never takes part: freed with the iterator */
    drain_fixture_destroy(fixture);
    drain_iterator_destroy(NULL);
}

static void drain_iterator__bad_config__then_refused(void)
{
    DrainIteratorConfig config = {.scheduler = {.kind = DRAIN_SCHEDULER_KINDS}};
    DrainIterator *iterator = NULL;

    CU_ASSERT_EQUAL(drain_iterator_create(&config, NULL, &iterator), -EINVAL);
    CU_ASSERT_PTR_NULL(iterator);
}

static void drain_iterator__no_memory__then_refused(void)
{
    DrainIteratorConfig config = {0};
    DrainIterator *iterator = NULL;
    int error = -ENOMEM;
    long enough;

    for (enough = 0; error == -ENOMEM && enough < 20; enough++) {
        CU_ASSERT_PTR_NULL(iterator);
        allocations = enough;
        error = drain_iterator_create(&config, NULL, &iterator);
        allocations = -1;
    }
    CU_ASSERT_EQUAL(error, 0);
    CU_ASSERT_EQUAL(enough, 6); /* itself and its four lists */
    drain_iterator_destroy(iterator);
}

static void drain_iteration__no_threads__then_nothing_happens(void)
{
    DrainFixture *fixture = drain_fixture_create(NULL, 1, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);
    DrainIteration iteration = drain_fixture_iterate(fixture);

    CU_ASSERT_EQUAL(iteration.bytes, 0);
    CU_ASSERT_EQUAL(iteration.visited, 0);
    CU_ASSERT_FALSE(iteration.more);
    CU_ASSERT_EQUAL(fixture->log.writes, 1);
    CU_ASSERT_EQUAL(fixture->metrics.iterations, 1);
    drain_fixture_destroy(fixture);
}

/* ---- threads come and go (tasks 1.2, 2.4, 3.1) ------------------------------------------------------ */

static void register_thread_for_drain__new_thread__then_in_the_next_iteration(void)
{
    DrainFixture *fixture = drain_fixture_create(NULL, 3, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);

    drain_fixture_register(fixture, 0);
    drain_fixture_write(fixture, 0, 1, 10);
    CU_ASSERT_EQUAL(fixture->log.registered, 0);
    CU_ASSERT_EQUAL(fixture->threads[0].state->phase, THREAD_DRAIN_REGISTERED);
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(fixture->log.registered, 1);
    CU_ASSERT_EQUAL(drain_fixture_in_file(fixture, 0), 10);
    CU_ASSERT_EQUAL(fixture->threads[0].state->phase, THREAD_DRAIN_ACTIVE);
    for (uint32_t i = 1; i < 3; i++) {
        drain_fixture_register(fixture, i);
        drain_fixture_write(fixture, i, 1, 7);
    }
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(drain_iterator_threads(fixture->iterator), 3);
    CU_ASSERT_EQUAL(drain_fixture_in_file(fixture, 1) + drain_fixture_in_file(fixture, 2), 14);
    drain_fixture_destroy(fixture);
}

static void register_thread_for_drain__no_memory__then_refused(void)
{
    DrainFixture *fixture = drain_fixture_create(NULL, 1, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);
    ThreadDrainState *state = NULL;

    allocations = 0;
    CU_ASSERT_EQUAL(register_thread_for_drain(fixture->iterator, &fixture->source, 0, 1, &state), -ENOMEM);
    allocations = -1;
    CU_ASSERT_PTR_NULL(state);
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(drain_iterator_threads(fixture->iterator), 0);
    drain_fixture_destroy(fixture);
}

#define FIRST_CAPACITY 64u /* threads that a new iterator has room for */

/* Some threads more than there is room for, and no memory for more room: the rest could not arrive. */
static DrainFixture *crowd(uint32_t threads)
{
    DrainFixture *fixture = drain_fixture_create(NULL, threads, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);

    for (uint32_t i = 0; i < threads; i++) {
        drain_fixture_register(fixture, i);
        drain_fixture_write(fixture, i, 1, 10);
    }
    allocations = 0;
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(fixture->log.registered, FIRST_CAPACITY);
    CU_ASSERT_EQUAL(drain_iterator_threads(fixture->iterator), FIRST_CAPACITY);
    for (uint32_t i = 0; i < threads; i++)
        CU_ASSERT_EQUAL(drain_fixture_in_file(fixture, i), i < FIRST_CAPACITY ? 10 : 0);
    CU_ASSERT_FALSE(drain_iterator_is_quiet(fixture->iterator));
    return fixture;
}

static void register_thread_for_drain__no_memory_for_the_lists__then_arrives_later(void)
{
    DrainFixture *fixture = crowd(FIRST_CAPACITY + 3);

    drain_fixture_end(fixture, FIRST_CAPACITY + 1);
    /* Its end waits until it has arrived, and a hint is not needed: who arrives is looked at. */
    drain_iterator_hint(fixture->iterator, fixture->threads[FIRST_CAPACITY].state);
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(fixture->log.registered, FIRST_CAPACITY);
    CU_ASSERT_EQUAL(fixture->log.deregistered, 0);
    allocations = -1;
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(fixture->log.registered, FIRST_CAPACITY + 3);
    CU_ASSERT_EQUAL(fixture->log.deregistered, 1);
    CU_ASSERT_EQUAL(fixture->log.in_file, 10);
    CU_ASSERT_EQUAL(drain_fixture_in_file(fixture, FIRST_CAPACITY), 10);
    CU_ASSERT_EQUAL(drain_fixture_in_file(fixture, FIRST_CAPACITY + 2), 10);
    drain_fixture_destroy(fixture);
}

static void drain_iterator_abandon__could_not_arrive__then_gone_and_others_arrive(void)
{
    DrainFixture *fixture = crowd(FIRST_CAPACITY + 3);

    drain_fixture_end(fixture, FIRST_CAPACITY);
    drain_fixture_end(fixture, FIRST_CAPACITY + 1);
    drain_iterator_abandon(fixture->iterator, fixture->threads[FIRST_CAPACITY + 1].state);
    fixture->threads[FIRST_CAPACITY + 1].state = NULL;
    allocations = -1;
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(fixture->log.registered, FIRST_CAPACITY + 2);
    CU_ASSERT_EQUAL(fixture->log.deregistered, 1); /* of the other that ended */
    CU_ASSERT_EQUAL(fixture->log.in_file, 10);
    CU_ASSERT_PTR_NULL(fixture->threads[FIRST_CAPACITY].state);
    CU_ASSERT_EQUAL(drain_fixture_in_file(fixture, FIRST_CAPACITY + 2), 10);
    CU_ASSERT_EQUAL(drain_iterator_threads(fixture->iterator), FIRST_CAPACITY + 1);
    drain_fixture_destroy(fixture);
}

static void deregister_thread_from_drain__ended_thread__then_drained_to_the_last_event(void)
{
    DrainSchedulerConfig slow = {.kind = DRAIN_SCHEDULER_ROUND_ROBIN, .quantum_max = 1024, .quantum_min = 1024};
    DrainIteratorConfig config = {.scheduler = slow};
    DrainFixture *fixture = drain_fixture_create(&config, 2, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);
    uint32_t iterations = 0;

    drain_fixture_register(fixture, 0);
    drain_fixture_register(fixture, 1);
    (void)drain_fixture_iterate(fixture);
    drain_fixture_write(fixture, 0, 1, 400); /* three rings and a half: some visits of 32 events */
    drain_fixture_end(fixture, 0);
    deregister_thread_from_drain(fixture->iterator, fixture->threads[0].state, THREAD_DETACHED); /* too late */
    while (fixture->threads[0].state && iterations++ < 100) {
        DrainIteration iteration = drain_fixture_iterate(fixture);

        CU_ASSERT_EQUAL(iteration.drained, fixture->threads[0].state == NULL);
        if (fixture->threads[0].state)
            CU_ASSERT_EQUAL(fixture->threads[0].state->phase, THREAD_DRAIN_FINAL);
    }
    CU_ASSERT_EQUAL(iterations, 400 / 32 + 1);
    CU_ASSERT_EQUAL(fixture->log.deregistered, 1);
    CU_ASSERT_EQUAL(fixture->log.in_file, 400);
    CU_ASSERT_EQUAL(drain_iterator_threads(fixture->iterator), 1);
    drain_fixture_destroy(fixture);
}

static void deregister_thread_from_drain__at_once_after_registration__then_both_count(void)
{
    DrainFixture *fixture = drain_fixture_create(NULL, 1, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);

    drain_fixture_register(fixture, 0);
    drain_fixture_write(fixture, 0, 1, 5);
    drain_fixture_end(fixture, 0);
    CU_ASSERT_EQUAL(drain_fixture_iterate(fixture).drained, 1);
    CU_ASSERT_EQUAL(fixture->log.registered, 1);
    CU_ASSERT_EQUAL(fixture->log.in_file, 5);
    drain_fixture_destroy(fixture);
}

static void deregister_thread_from_drain__quiet_thread__then_handed_back_in_the_next_iteration(void)
{
    DrainIteratorConfig config = {.hot_iterations = 1};
    DrainFixture *fixture = drain_fixture_create(&config, 2, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);

    drain_fixture_register(fixture, 0);
    drain_fixture_register(fixture, 1);
    for (int i = 0; i < 4; i++)
        (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(fixture->threads[1].state->phase, THREAD_DRAIN_IDLE);
    drain_fixture_end(fixture, 1);
    CU_ASSERT_EQUAL(drain_fixture_iterate(fixture).drained, 1);
    CU_ASSERT_PTR_NULL(fixture->threads[1].state);
    drain_fixture_destroy(fixture);
}

/* Who may still run gets one visit, even if it never stops writing. */
static void deregister_thread_from_drain__detached__then_drained_to_where_it_was(void)
{
    DrainSchedulerConfig slow = {.quantum_max = 1024, .quantum_min = 1024};
    DrainIteratorConfig config = {.scheduler = slow};
    DrainFixture *fixture = drain_fixture_create(&config, 1, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);

    drain_fixture_register(fixture, 0);
    (void)drain_fixture_iterate(fixture);
    drain_fixture_write(fixture, 0, 1, 100);
    deregister_thread_from_drain(fixture->iterator, fixture->threads[0].state, THREAD_DETACHED);
    CU_ASSERT_EQUAL(drain_fixture_iterate(fixture).drained, 0); /* 32 at a time */
    drain_fixture_write(fixture, 0, 2, 60);
    CU_ASSERT_EQUAL(drain_fixture_iterate(fixture).drained, 0);
    CU_ASSERT_EQUAL(drain_fixture_iterate(fixture).drained, 0);
    for (uint32_t i = 0; i < 5 && fixture->log.deregistered == 0; i++)
        (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(fixture->log.deregistered, 1);
    CU_ASSERT(fixture->log.in_file >= 100 && fixture->log.in_file < 160);
    drain_fixture_destroy(fixture);
}

static void drain_iterator_abandon__any_thread__then_gone_unvisited(void)
{
    DrainFixture *fixture = drain_fixture_create(NULL, 3, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);

    for (uint32_t i = 0; i < 3; i++)
        drain_fixture_register(fixture, i);
    drain_iterator_abandon(fixture->iterator, fixture->threads[2].state); /* it just arrived */
    (void)drain_fixture_iterate(fixture);
    drain_fixture_write(fixture, 0, 1, 10);
    drain_fixture_write(fixture, 1, 1, 10);
    deregister_thread_from_drain(fixture->iterator, fixture->threads[1].state, THREAD_ENDED);
    drain_iterator_abandon(fixture->iterator, fixture->threads[1].state); /* amid its end */
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(drain_iterator_threads(fixture->iterator), 1);
    CU_ASSERT_EQUAL(drain_fixture_in_file(fixture, 0), 10);
    CU_ASSERT_EQUAL(fixture->log.deregistered, 0);
    drain_fixture_destroy(fixture);
}

static void drain_iteration__hostile_lane__then_told_once_and_others_unharmed(void)
{
    DrainFixture *fixture = drain_fixture_create(NULL, 2, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);

    drain_fixture_register(fixture, 0);
    drain_fixture_register(fixture, 1);
    drain_fixture_write(fixture, 1, 1, 50);
    ada_store_release(&fixture->threads[0].lanes->index.rings[0].published, UINT64_MAX);
    for (int i = 0; i < 3; i++)
        (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(fixture->log.hostile, 1);
    CU_ASSERT_PTR_EQUAL(fixture->log.last, fixture->threads[0].state);
    CU_ASSERT_EQUAL(drain_fixture_in_file(fixture, 1), 50);
    drain_iterator_abandon(fixture->iterator, fixture->threads[0].state);
    CU_ASSERT_EQUAL(drain_iterator_threads(fixture->iterator), 1);
    drain_fixture_destroy(fixture);
}

/* As with the threads of a process that is given up. */
static void drain_iteration__hostile_process__then_no_thread_of_it_is_visited_any_more(void)
{
    DrainFixture *fixture = drain_fixture_create(NULL, 2, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);

    for (uint32_t i = 0; i < 2; i++) {
        drain_fixture_register(fixture, i);
        ada_store_release(&fixture->threads[i].lanes->index.rings[0].published, UINT64_MAX);
    }
    fixture->all_hostile = true;
    for (int i = 0; i < 3; i++)
        (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(fixture->log.hostile, 1); /* the other one has the same values, and was not looked at */
    for (uint32_t i = 0; i < 2; i++)
        drain_iterator_abandon(fixture->iterator, fixture->threads[i].state);
    drain_fixture_destroy(fixture);
}

typedef struct Comer {
    DrainFixture *fixture;
    uint32_t first;
    uint32_t failures;
} Comer;

#define COMERS 4u
#define COMER_THREADS 16u

/* Registers threads, writes, and deregisters them, while another thread drains. */
static void *come_and_go(void *argument)
{
    Comer *comer = argument;
    DrainFixture *fixture = comer->fixture;

    for (uint32_t i = comer->first; i < comer->first + COMER_THREADS; i++) {
        FixtureThread *thread = &fixture->threads[i];
        int error = 0;

        thread->lanes = thread_registry_register(&fixture->segment, 1000 + i, 1, &error);
        if (!thread->lanes || register_thread_for_drain(fixture->iterator, &fixture->source,
                                                        thread->lanes->slot_index, i + 1, &thread->state) != 0) {
            comer->failures++;
            continue;
        }
        lane_producer_init(&thread->index, &thread->index_writer, &thread->lanes->index,
                           &thread->lanes->metrics.lanes[ADA_LANE_INDEX],
                           segment_at(&fixture->segment, thread->lanes->index.ring_pool_offset),
                           fixture->segment.header);
        drain_fixture_write(fixture, i, 1, 100);
        (void)thread_registry_unregister(&fixture->segment, thread->lanes);
        deregister_thread_from_drain(fixture->iterator, thread->state, THREAD_ENDED);
    }
    return NULL;
}

static void register_thread_for_drain__many_threads_at_once__then_none_lost(void)
{
    DrainFixture *fixture =
        drain_fixture_create(NULL, COMERS * COMER_THREADS, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);
    pthread_t threads[COMERS];
    Comer comers[COMERS];

    fixture->thread_count = 0; /* states are theirs: on_deregistered() is not to look for them */
    for (uint32_t i = 0; i < COMERS; i++) {
        comers[i] = (Comer){.fixture = fixture, .first = i * COMER_THREADS};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, come_and_go, &comers[i]), 0);
    }
    while (fixture->log.deregistered < COMERS * COMER_THREADS) {
        (void)drain_fixture_iterate(fixture);
        sched_yield();
    }
    for (uint32_t i = 0; i < COMERS; i++) {
        CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
        CU_ASSERT_EQUAL(comers[i].failures, 0);
    }
    CU_ASSERT_EQUAL(fixture->log.registered, COMERS * COMER_THREADS);
    CU_ASSERT_EQUAL(fixture->log.in_file, 100 * COMERS * COMER_THREADS);
    CU_ASSERT_EQUAL(drain_iterator_threads(fixture->iterator), 0);
    drain_fixture_destroy(fixture);
}

/* ---- quiet threads (tick policy) ------------------------------------------------------------------ */

/* What the threads of the process tell, as the collector passes it on. */
static void pass_hints_on(DrainFixture *fixture)
{
    uint64_t dirty = thread_registry_take_hints(&fixture->segment, 0).dirty;

    for (; dirty != 0; dirty &= dirty - 1) {
        uint32_t slot = (uint32_t)__builtin_ctzll(dirty);

        for (uint32_t i = 0; i < fixture->thread_count; i++) {
            if (fixture->threads[i].lanes && fixture->threads[i].lanes->slot_index == slot)
                drain_iterator_hint(fixture->iterator, fixture->threads[i].state);
        }
    }
}

static void drain_iteration__quiet_thread__then_watched_and_found_by_its_hint(void)
{
    DrainIteratorConfig config = {.hot_iterations = 4, .cold_turns = 1000};
    DrainFixture *fixture = drain_fixture_create(&config, 32, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);

    for (uint32_t i = 0; i < 32; i++) {
        drain_fixture_register(fixture, i);
        drain_fixture_write(fixture, i, 1, 3);
    }
    for (int i = 0; i < 6; i++) {
        CU_ASSERT_FALSE(drain_iterator_is_quiet(fixture->iterator));
        (void)drain_fixture_iterate(fixture);
    }
    CU_ASSERT(drain_iterator_is_quiet(fixture->iterator));
    CU_ASSERT_EQUAL(fixture->threads[5].state->phase, THREAD_DRAIN_IDLE);
    pass_hints_on(fixture);
    CU_ASSERT_EQUAL(drain_fixture_iterate(fixture).visited, 0);
    for (uint32_t round = 0; round < 3; round++) {
        uint32_t doorbell = fixture->segment.header->doorbell;

        drain_fixture_write(fixture, 20, 1, 5);
        CU_ASSERT_EQUAL(fixture->segment.header->doorbell, doorbell + 1); /* for the first of them */
        pass_hints_on(fixture);
        CU_ASSERT_EQUAL(drain_fixture_iterate(fixture).visited, 1);
        CU_ASSERT_EQUAL(drain_fixture_in_file(fixture, 20), 3 + 5 * (round + 1));
        for (int i = 0; i < 7; i++)
            (void)drain_fixture_iterate(fixture);
        CU_ASSERT(drain_iterator_is_quiet(fixture->iterator));
    }
    drain_fixture_destroy(fixture);
}

/* A record whose writer has not seen that it is watched: found all the same, before the thread counts as quiet. */
static void drain_iteration__recorded_while_becoming_watched__then_not_quiet(void)
{
    DrainIteratorConfig config = {.hot_iterations = 3, .cold_turns = 1000};
    DrainFixture *fixture = drain_fixture_create(&config, 1, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);
    RingControl *ring;

    drain_fixture_register(fixture, 0);
    (void)thread_registry_take_hints(&fixture->segment, 0); /* of its registration */
    ring = &fixture->threads[0].lanes->index.rings[0];
    while (!ada_load_relaxed(&ring->watch))
        (void)drain_fixture_iterate(fixture);
    ada_store_relaxed(&ring->watch, 0u); /* as it looks to the writer */
    drain_fixture_write(fixture, 0, 1, 1);
    ada_store_relaxed(&ring->watch, 1u);
    CU_ASSERT_EQUAL(thread_registry_take_hints(&fixture->segment, 0).dirty, 0);
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(drain_fixture_in_file(fixture, 0), 1);
    CU_ASSERT_FALSE(drain_iterator_is_quiet(fixture->iterator));
    drain_fixture_destroy(fixture);
}

/* It saw an earlier flag, was delayed, and clears the one that was set meanwhile: only its hint tells. */
static void drain_iterator_hint__flag_cleared_while_becoming_quiet__then_watched_anew(void)
{
    DrainIteratorConfig config = {.hot_iterations = 3, .cold_turns = 1000};
    DrainFixture *fixture = drain_fixture_create(&config, 1, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);
    RingControl *ring;

    drain_fixture_register(fixture, 0);
    ring = &fixture->threads[0].lanes->index.rings[0];
    while (!ada_load_relaxed(&ring->watch))
        (void)drain_fixture_iterate(fixture);
    CU_ASSERT_FALSE(drain_iterator_is_quiet(fixture->iterator));
    ada_store_relaxed(&ring->watch, 0u);
    drain_iterator_hint(fixture->iterator, fixture->threads[0].state);
    for (int i = 0; i < 10 && !drain_iterator_is_quiet(fixture->iterator); i++)
        (void)drain_fixture_iterate(fixture);
    CU_ASSERT(drain_iterator_is_quiet(fixture->iterator));
    CU_ASSERT_EQUAL(ada_load_relaxed(&ring->watch), 1);
    drain_fixture_destroy(fixture);
}

/* A thread that died between publishing and giving its hint. */
static void drain_iteration__lost_hint__then_found_in_its_turn(void)
{
    DrainIteratorConfig config = {.hot_iterations = 1, .cold_turns = 8};
    DrainFixture *fixture = drain_fixture_create(&config, 32, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);
    uint32_t turns = 0;

    for (uint32_t i = 0; i < 32; i++)
        drain_fixture_register(fixture, i);
    for (int i = 0; i < 6; i++)
        (void)drain_fixture_iterate(fixture);
    CU_ASSERT(drain_iterator_is_quiet(fixture->iterator));
    drain_fixture_write(fixture, 17, 1, 1);
    while (drain_fixture_in_file(fixture, 17) == 0 && turns++ < 20)
        (void)drain_fixture_iterate(fixture);
    CU_ASSERT(turns <= 8);
    drain_fixture_destroy(fixture);
}

/* A ring that was exactly full when it was last seen is left behind by the swap: its position tells nothing. */
static void drain_iteration__swap_behind_a_quiet_ring__then_the_hint_tells(void)
{
    DrainIteratorConfig config = {.hot_iterations = 1, .cold_turns = 1000};
    DrainFixture *fixture = drain_fixture_create(&config, 1, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);

    drain_fixture_register(fixture, 0);
    drain_fixture_write(fixture, 0, 1, FIXTURE_RING_EVENTS);
    for (int i = 0; i < 5; i++)
        (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(drain_fixture_in_file(fixture, 0), FIXTURE_RING_EVENTS);
    (void)thread_registry_take_hints(&fixture->segment, 0); /* of its registration */
    drain_fixture_write(fixture, 0, 1, 1);
    CU_ASSERT_EQUAL(thread_registry_take_hints(&fixture->segment, 0).dirty, 1);
    drain_iterator_hint(fixture->iterator, fixture->threads[0].state);
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(drain_fixture_in_file(fixture, 0), FIXTURE_RING_EVENTS + 1);
    drain_fixture_destroy(fixture);
}

static uint32_t may_have_run; /* by the thread's number in the file, a bit */
static uint32_t questions;

static bool has_run(void *context, ThreadDrainState *state)
{
    (void)context;
    questions++;
    return may_have_run & 1u << state->thread;
}

/* Quiet threads of which somebody knows that they have not run are left alone; others have their turn. */
static void iterator__quiet_threads_that_have_not_run__then_not_looked_at(void)
{
    const DrainIteratorConfig config = {.callbacks = {.has_run = has_run}, .hot_iterations = 2, .cold_turns = 1};
    DrainFixture *fixture = drain_fixture_create(&config, 2, ADA_POLICY_DISCARD, ADA_DETAIL_OFF);
    uint64_t sweeps, spared;

    may_have_run = 0;
    questions = 0;
    drain_fixture_register(fixture, 0);
    drain_fixture_register(fixture, 1);
    for (int i = 0; i < 10; i++)
        (void)drain_fixture_iterate(fixture);
    CU_ASSERT_TRUE(drain_iterator_is_quiet(fixture->iterator));
    CU_ASSERT(fixture->metrics.spared > 0);
    CU_ASSERT_EQUAL(fixture->metrics.sweeps, 0);

    /* Whatever it recorded, who says that it has not run is believed. */
    drain_fixture_write(fixture, 0, 7, 3);
    spared = fixture->metrics.spared;
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(fixture->metrics.spared, spared + 2);
    CU_ASSERT_EQUAL(drain_fixture_in_file(fixture, 0), 0);

    may_have_run = 1u << fixture->threads[0].state->thread;
    sweeps = fixture->metrics.sweeps;
    (void)drain_fixture_iterate(fixture);
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(drain_fixture_in_file(fixture, 0), 3);
    CU_ASSERT_EQUAL(fixture->metrics.sweeps, sweeps + 1);
    CU_ASSERT(questions > 0);
    drain_fixture_destroy(fixture);
}

/* ---- fairness (tasks 1.3, 2.2) -------------------------------------------------------------------- */

/*
 * 16 threads, one of which offers a hundred times as much as each other; there is time to move three times of what is
 * offered, in visits that are short against the large offer. A thread's share is what was drained of what it offered.
 */
static void skewed_load(enum drain_scheduler_kind kind)
{
    DrainIteratorConfig config = {
        .scheduler = {.kind = kind, .quantum_min = 1024, .quantum_max = 16384, .iteration_bytes = 32768}};
    DrainFixture *fixture = drain_fixture_create(&config, 16, ADA_POLICY_BLOCK, ADA_DETAIL_MARKED);
    uint32_t wait_max = 0;
    JainIndex jain = {0};

    for (uint32_t i = 0; i < 16; i++)
        drain_fixture_register(fixture, i);
    for (uint32_t round = 0; round < 300; round++) {
        drain_fixture_write(fixture, 0, 1, 300);
        for (uint32_t i = 1; i < 16; i++)
            drain_fixture_write(fixture, i, 1, 3);
        for (uint64_t moved = 0; moved < 32768;) {
            DrainIteration iteration = drain_fixture_iterate(fixture);

            moved += iteration.bytes;
            if (!iteration.more)
                break;
        }
    }
    for (uint32_t i = 0; i < 16; i++) {
        const FixtureThread *thread = &fixture->threads[i];

        jain_index_add(&jain, (double)drain_fixture_in_file(fixture, i) /
                                  (double)(thread->written + thread->refused));
        if (thread->state->stats.wait_max > wait_max)
            wait_max = thread->state->stats.wait_max;
    }
    CU_ASSERT(jain_index_value(&jain) >= 0.99);
    CU_ASSERT(wait_max <= 2);
    drain_fixture_destroy(fixture);
}

static void drain_scheduler__100_to_1_skew__then_jain_above_99_percent(void)
{
    for (uint32_t kind = 0; kind < DRAIN_SCHEDULER_KINDS; kind++)
        skewed_load((enum drain_scheduler_kind)kind);
}

/* Three threads that always have more than is drained, with real lanes: service by weight. */
static void weighted_scheduler__real_lanes_1_2_4__then_service_1_2_4(void)
{
    DrainIteratorConfig config = {
        .scheduler = {
            .kind = DRAIN_SCHEDULER_WEIGHTED, .quantum_min = 512, .quantum_max = 512, .iteration_bytes = 1536}};
    DrainFixture *fixture = drain_fixture_create(&config, 3, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);
    double one;

    for (uint32_t i = 0; i < 3; i++) {
        drain_fixture_register(fixture, i);
        fixture->threads[i].state->weight = 1u << i;
    }
    for (uint32_t round = 0; round < 500; round++) {
        for (uint32_t i = 0; i < 3; i++)
            drain_fixture_write(fixture, i, 1, 100);
        (void)drain_fixture_iterate(fixture);
    }
    one = (double)drain_fixture_in_file(fixture, 0);
    CU_ASSERT(one > 1000);
    CU_ASSERT_DOUBLE_EQUAL((double)drain_fixture_in_file(fixture, 1) / one, 2, 0.1);
    CU_ASSERT_DOUBLE_EQUAL((double)drain_fixture_in_file(fixture, 2) / one, 4, 0.2);
    drain_fixture_destroy(fixture);
}

/* A visit takes a detail record whole, however large: what that is beyond the grant, the next grants pay. */
static void weighted_scheduler__in_debt__then_waits_until_paid(void)
{
    DrainIteratorConfig config = {
        .scheduler = {
            .kind = DRAIN_SCHEDULER_WEIGHTED, .quantum_min = 512, .quantum_max = 512, .iteration_bytes = 512}};
    DrainFixture *fixture = drain_fixture_create(&config, 1, ADA_POLICY_DISCARD, ADA_DETAIL_ALWAYS);
    char payload[2000] = "";
    uint32_t waited = 0;
    ThreadDrainState *state;
    DrainIteration first;

    drain_fixture_register(fixture, 0);
    (void)drain_fixture_iterate(fixture);
    for (int i = 0; i < 4; i++)
        CU_ASSERT(drain_fixture_write_detail(fixture, 0, 1, payload, sizeof(payload)));
    state = fixture->threads[0].state;
    first = drain_fixture_iterate(fixture);
    CU_ASSERT(first.bytes > 2000);
    CU_ASSERT(state->credit < 0);
    while (state->credit + 512 <= 0) {
        int64_t credit = state->credit;
        DrainIteration iteration = drain_fixture_iterate(fixture);

        CU_ASSERT_EQUAL(iteration.bytes, 0);
        CU_ASSERT(iteration.more);
        CU_ASSERT_EQUAL(state->phase, THREAD_DRAIN_PENDING);
        CU_ASSERT_EQUAL_FATAL(state->credit, credit + 512);
        waited++;
    }
    CU_ASSERT(waited >= 2);
    CU_ASSERT(drain_fixture_iterate(fixture).bytes > 0);
    drain_fixture_destroy(fixture);
}

/* A thread that the drain cannot have waits, is counted, and is served when it can. */
static void submit_queue_try_acquire_drain__producer_holds_it__then_skipped_and_raised(void)
{
    DrainIteratorConfig config = {.scheduler = {.kind = DRAIN_SCHEDULER_PRIORITY}};
    DrainFixture *fixture = drain_fixture_create(&config, 2, ADA_POLICY_OVERWRITE, ADA_DETAIL_MARKED);
    Lane *lane;

    drain_fixture_register(fixture, 0);
    drain_fixture_register(fixture, 1);
    lane = &fixture->threads[0].lanes->index;
    drain_fixture_write(fixture, 0, 1, 10);
    CU_ASSERT(submit_queue_try_acquire_drain(lane, ADA_DRAIN_PRODUCER));
    CU_ASSERT_FALSE(submit_queue_try_acquire_drain(lane, ADA_DRAIN_COLLECTOR));
    for (uint32_t i = 1; i <= 3; i++) {
        DrainIteration iteration = drain_fixture_iterate(fixture);

        CU_ASSERT(iteration.more);
        CU_ASSERT_EQUAL(fixture->threads[0].state->phase, THREAD_DRAIN_PENDING);
        CU_ASSERT_EQUAL(fixture->threads[0].state->stats.wait, i);
    }
    CU_ASSERT_EQUAL(fixture->metrics.skips, 3);
    CU_ASSERT_EQUAL(fixture->metrics.wait_max, 3);
    submit_queue_release_drain(lane);
    drain_fixture_write(fixture, 1, 1, 10);
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(drain_fixture_in_file(fixture, 0), 10);
    CU_ASSERT_EQUAL(fixture->threads[0].state->stats.wait, 0);
    CU_ASSERT_EQUAL(fixture->threads[0].state->stats.skips, 3);
    /* One that ended while holding it is drained all the same. */
    drain_fixture_write(fixture, 0, 1, 5);
    CU_ASSERT(submit_queue_try_acquire_drain(lane, ADA_DRAIN_PRODUCER));
    drain_fixture_end(fixture, 0);
    CU_ASSERT_EQUAL(drain_fixture_iterate(fixture).drained, 1);
    CU_ASSERT_EQUAL(fixture->log.in_file, 15);
    drain_fixture_destroy(fixture);
}

/* ---- batches (task 2.3) --------------------------------------------------------------------------- */

static void drain_iteration__many_threads__then_one_write(void)
{
    DrainFixture *fixture = drain_fixture_create(NULL, 32, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);

    for (uint32_t i = 0; i < 32; i++)
        drain_fixture_register(fixture, i);
    (void)drain_fixture_iterate(fixture);
    for (uint32_t round = 1; round <= 10; round++) {
        for (uint32_t i = 0; i < 32; i++)
            drain_fixture_write(fixture, i, 1, 20);
        (void)drain_fixture_iterate(fixture);
        CU_ASSERT_EQUAL(fixture->metrics.flushes, 1 + round);
    }
    CU_ASSERT_EQUAL(fixture->metrics.records, 10 * 32 * 20);
    CU_ASSERT_EQUAL(fixture->metrics.latency.count, 10 * 32 * 20);
    CU_ASSERT(latency_histogram_percentile(&fixture->metrics.latency, 0.5) > 0);
    drain_fixture_destroy(fixture);
}

static void drain_iteration__disk_full_and_free_again__then_goes_on_with_exact_loss(void)
{
    DrainFixture *fixture = drain_fixture_create(NULL, 2, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);
    AdatAccount entry;

    drain_fixture_register(fixture, 0);
    drain_fixture_write(fixture, 0, 1, 10);
    CU_ASSERT_EQUAL(drain_fixture_iterate(fixture).write_error, 0);
    fixture->write_fails = true;
    for (uint32_t i = 0; i < 50; i++) { /* far more than the rings hold: draining goes on */
        drain_fixture_write(fixture, 0, 1, 20);
        CU_ASSERT_EQUAL(drain_fixture_iterate(fixture).write_error, -ENOSPC);
    }
    CU_ASSERT_EQUAL(fixture->threads[0].refused, 0);
    fixture->write_fails = false;
    drain_fixture_write(fixture, 0, 1, 10);
    CU_ASSERT_EQUAL(drain_fixture_iterate(fixture).write_error, 0);
    thread_drain_account(fixture->threads[0].state, ADA_LANE_INDEX, true, &entry);
    CU_ASSERT_EQUAL(entry.attempted, 1020);
    CU_ASSERT_EQUAL(entry.in_file, 20);
    CU_ASSERT_EQUAL(entry.dropped_io, 1000);
    drain_fixture_destroy(fixture);
}

static const TestCase tests[] = {
    TEST(drain_iterator__created_and_destroyed__then_configured),
    TEST(drain_iterator__bad_config__then_refused),
    TEST(drain_iterator__no_memory__then_refused),
    TEST(drain_iteration__no_threads__then_nothing_happens),
    TEST(register_thread_for_drain__new_thread__then_in_the_next_iteration),
    TEST(register_thread_for_drain__no_memory__then_refused),
    TEST(register_thread_for_drain__no_memory_for_the_lists__then_arrives_later),
    TEST(deregister_thread_from_drain__ended_thread__then_drained_to_the_last_event),
    TEST(deregister_thread_from_drain__at_once_after_registration__then_both_count),
    TEST(deregister_thread_from_drain__quiet_thread__then_handed_back_in_the_next_iteration),
    TEST(deregister_thread_from_drain__detached__then_drained_to_where_it_was),
    TEST(drain_iterator_abandon__any_thread__then_gone_unvisited),
    TEST(drain_iterator_abandon__could_not_arrive__then_gone_and_others_arrive),
    TEST(drain_iteration__hostile_lane__then_told_once_and_others_unharmed),
    TEST(drain_iteration__hostile_process__then_no_thread_of_it_is_visited_any_more),
    TEST(register_thread_for_drain__many_threads_at_once__then_none_lost),
    TEST(drain_iteration__quiet_thread__then_watched_and_found_by_its_hint),
    TEST(drain_iteration__recorded_while_becoming_watched__then_not_quiet),
    TEST(drain_iterator_hint__flag_cleared_while_becoming_quiet__then_watched_anew),
    TEST(drain_iteration__lost_hint__then_found_in_its_turn),
    TEST(drain_iteration__swap_behind_a_quiet_ring__then_the_hint_tells),
    TEST(iterator__quiet_threads_that_have_not_run__then_not_looked_at),
    TEST(drain_scheduler__100_to_1_skew__then_jain_above_99_percent),
    TEST(weighted_scheduler__real_lanes_1_2_4__then_service_1_2_4),
    TEST(weighted_scheduler__in_debt__then_waits_until_paid),
    TEST(submit_queue_try_acquire_drain__producer_holds_it__then_skipped_and_raised),
    TEST(drain_iteration__many_threads__then_one_write),
    TEST(drain_iteration__disk_full_and_free_again__then_goes_on_with_exact_loss),
};
TEST_MAIN("drain_iterator", tests)
