/* SPDX-License-Identifier: MIT */
/* A collector with its session and its files is killed at every step; the ones after it, together with it, have everything once. */
#include "restart_fixture.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_support.h"
#include "user/lane/clock.h"

#define THREADS 3u
#define FIRST_TID 100u
#define FILE_BYTES (24u << 10)
#define ROUNDS_MAX 40u
#define PATIENCE_NS 20000000ull

static const char *const points[] = {
    "restart.scanned", "restart.recovered", "restart.completed",   "pwrite.before",   "pwrite.amid",
    "pwrite.after",    "reader.noted",      "reader.taken",        "reader.returned", "drain.taken",
    "batch.full",      "batch.written",     "batch.settled",       "settle.records",  "settle.full",
    "closed.index",    "closed.settled",    "closed.unregistered", "files.closing",   "files.accounted",
    "files.closed",    "files.settled",
};
#define POINT_COUNT (sizeof(points) / sizeof(points[0]))

typedef struct Traced {
    RestartFixture fixture;
    RestartThread threads[THREADS];
    uint32_t next_tid;
    pid_t collector;
} Traced;

/* True: it died instead. */
static bool await_attached(Traced *traced)
{
    while (!ada_load_acquire(&traced->fixture.segment.header->attached)) {
        if (restart_is_dead(&traced->fixture, traced->collector))
            return true;
        sched_yield();
    }
    return false;
}

/* Until the collector has taken over what the threads wrote, or is dead, or has had its time. True: it is dead. */
static bool await_drain(Traced *traced)
{
    uint64_t until = ada_clock_monotonic_ns() + PATIENCE_NS;
    bool behind = true;

    while (behind && ada_clock_monotonic_ns() < until) {
        if (restart_is_dead(&traced->fixture, traced->collector))
            return true;
        sched_yield();
        behind = false;
        for (uint32_t i = 0; i < THREADS; i++) {
            const Lane *lane = &traced->threads[i].lanes->index;

            behind = behind || ada_load_acquire(&lane->drained_records) < lane_events_written(lane);
        }
    }
    return false;
}

static void begin_thread(Traced *traced, uint32_t number)
{
    CU_ASSERT_TRUE_FATAL(restart_thread_begin(&traced->fixture, &traced->threads[number], traced->next_tid++));
}

/* Events in bursts that now and then overrun the rings; threads come and go; some find no slot. */
static bool write_round(Traced *traced, uint32_t round)
{
    for (uint32_t i = 0; i < THREADS; i++)
        restart_thread_write(&traced->threads[i], 20 + (round * 197 + i * 331) % 700);
    if (round % 5 == 4) {
        restart_thread_end(&traced->threads[round % THREADS]);
        begin_thread(traced, round % THREADS);
        (void)ada_fetch_add_relaxed(&segment_registry(&traced->fixture.segment)->unregistered_events,
                                    (uint64_t)round);
    }
    return await_drain(traced);
}

/* One collector, which may die. Then it is gone in either case. True: it died. */
static bool live_through(Traced *traced, const char *point, uint32_t occurrence, uint32_t rounds)
{
    uint64_t deaths = traced->fixture.shared->deaths;
    bool dead;

    traced->collector = restart_collector(&traced->fixture, point, occurrence, false);
    dead = await_attached(traced);
    for (uint32_t round = 0; round < rounds && !dead; round++)
        dead = write_round(traced, round);
    if (!dead)
        restart_stop(&traced->fixture, traced->collector, RESTART_STOP_DETACH);
    return traced->fixture.shared->deaths > deaths;
}

/* The process ends, and the last collector is told before or after it is handed over. */
static void live_to_the_end(Traced *traced, bool gone)
{
    if (!gone) {
        traced->collector = restart_collector(&traced->fixture, NULL, 0, false);
        CU_ASSERT_FALSE(await_attached(traced));
        for (uint32_t round = 0; round < 3; round++)
            CU_ASSERT_FALSE(write_round(traced, round));
    }
    restart_note_killed(&traced->fixture); /* whoever still has a slot */
    if (gone)
        traced->collector = restart_collector(&traced->fixture, NULL, 0, true);
    restart_stop(&traced->fixture, traced->collector, RESTART_STOP_ENDED);
}

static void write_unseen(Traced *traced, uint32_t count)
{
    for (uint32_t i = 0; i < THREADS; i++)
        restart_thread_write(&traced->threads[i], count + i);
}

/* How many of the first two collectors died. */
static uint32_t die_and_succeed(uint32_t policy, uint32_t detail, const char *point, uint32_t occurrence)
{
    Traced traced = {.next_tid = FIRST_TID};
    uint32_t deaths = 0;

    restart_init(&traced.fixture, policy, detail, FILE_BYTES);
    for (uint32_t i = 0; i < THREADS; i++)
        begin_thread(&traced, i);
    deaths += live_through(&traced, point, occurrence, ROUNDS_MAX);
    write_unseen(&traced, occurrence * 17);
    deaths += live_through(&traced, point, occurrence % 3 + 1, ROUNDS_MAX / 4);
    write_unseen(&traced, occurrence * 29);
    live_to_the_end(&traced, occurrence % 2 == 0);
    CU_ASSERT(restart_check(&traced.fixture) > 0);
    restart_fini(&traced.fixture);
    return deaths;
}

static void die_everywhere(uint32_t policy, uint32_t detail)
{
    static const uint32_t occurrences[] = {1, 5, 2, 12};
    const char *sanitizer = getenv("ADA_SANITIZE");
    /* With a sanitizer a process takes ten times as long to start. */
    size_t count = sanitizer && sanitizer[0] ? 2 : sizeof(occurrences) / sizeof(occurrences[0]);

    for (size_t p = 0; p < POINT_COUNT; p++) {
        uint32_t deaths = 0;

        for (size_t i = 0; i < count; i++) {
            uint32_t failures = CU_get_number_of_failures();

            deaths += die_and_succeed(policy, detail, points[p], occurrences[i]);
            if (CU_get_number_of_failures() != failures)
                printf("  killed at %s, %u times there\n", points[p], occurrences[i]);
        }
        CU_ASSERT(deaths > 0);
    }
}

static void collector__killed_at_any_step_under_discard__then_everything_once(void)
{
    die_everywhere(ADA_POLICY_DISCARD, ADA_DETAIL_ALWAYS);
}

static void collector__killed_at_any_step_under_overwrite__then_everything_once(void)
{
    die_everywhere(ADA_POLICY_OVERWRITE, ADA_DETAIL_MARKED);
}

static void collector__killed_at_any_step_under_block__then_everything_once(void)
{
    die_everywhere(ADA_POLICY_BLOCK, ADA_DETAIL_ALWAYS);
}

static const TestCase tests[] = {
    TEST(collector__killed_at_any_step_under_discard__then_everything_once),
    TEST(collector__killed_at_any_step_under_overwrite__then_everything_once),
    TEST(collector__killed_at_any_step_under_block__then_everything_once),
};
TEST_MAIN("restart", tests)
