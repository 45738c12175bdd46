/* SPDX-License-Identifier: MIT */
/* Figures of threads: exact, whole at any moment, and they never go backwards. */
#define _GNU_SOURCE
#include "test_support.h"

#include <pthread.h>
#include <sched.h>

#include "drain_fixture.h"
#include "user/drain/thread_drain_account.h"
#include "user/metrics/thread_figures.h"

#define BEGIN 1000000000ull
#define MS 1000000ull

static bool closes(const AdatAccount *account)
{
    return account->attempted == adat_account_sum(account);
}

static MetricsFigures take(DrainFixture *fixture, uint32_t number, MetricsWindow *window)
{
    MetricsFigures figures;

    thread_figures_take(fixture->threads[number].state, window, &figures);
    CU_ASSERT(closes(&figures.index));
    CU_ASSERT(closes(&figures.detail));
    return figures;
}

static void thread_figures__second_window__then_rate_average_and_share(void)
{
    DrainFixture *fixture = drain_fixture_create(NULL, 2, ADA_POLICY_DISCARD, ADA_DETAIL_OFF);
    MetricsWindow window = metrics_window_begin(BEGIN, 0);
    MetricsFigures figures;

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    drain_fixture_register(fixture, 0);
    drain_fixture_register(fixture, 1);
    drain_fixture_write(fixture, 0, 1, 50);
    figures = take(fixture, 0, &window);
    CU_ASSERT_EQUAL(figures.index.attempted, 50);
    CU_ASSERT_EQUAL(figures.index.pending, 50);
    CU_ASSERT_EQUAL(figures.bytes, 50 * ADA_INDEX_EVENT_SIZE);
    CU_ASSERT_EQUAL(figures.events_per_second, 0);                   /* there is no window yet */
    CU_ASSERT(figures.occupancy > 0.09 && figures.occupancy < 0.11); /* 1,600 bytes of 16 KiB */
    (void)drain_fixture_iterate(fixture);

    drain_fixture_write(fixture, 0, 1, 40);
    (void)drain_fixture_iterate(fixture);
    window = metrics_window_begin(BEGIN + 500 * MS, BEGIN);
    figures = take(fixture, 0, &window);
    CU_ASSERT_EQUAL(figures.index.attempted, 90);
    CU_ASSERT_EQUAL(figures.index.in_file, 90);
    CU_ASSERT_EQUAL(figures.index.pending, 0);
    CU_ASSERT_DOUBLE_EQUAL(figures.events_per_second, 80, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(figures.bytes_per_second, 80 * ADA_INDEX_EVENT_SIZE, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(figures.events_per_second_average, 80, 1e-9); /* it begins with the first rate */
    CU_ASSERT_EQUAL(figures.occupancy, 0);
    CU_ASSERT_EQUAL(window.drained, 90 * ADA_INDEX_EVENT_SIZE);
    CU_ASSERT_EQUAL(window.jain.count, 1);
    CU_ASSERT_DOUBLE_EQUAL(jain_index_value(&window.jain), 1, 1e-9);
    CU_ASSERT_EQUAL(window.stalled, 0);

    /* Silence: the rate falls at once, the average over ten seconds. */
    window = metrics_window_begin(BEGIN + 10500 * MS, BEGIN + 500 * MS);
    figures = take(fixture, 0, &window);
    CU_ASSERT_EQUAL(figures.events_per_second, 0);
    CU_ASSERT_DOUBLE_EQUAL(figures.events_per_second_average, 80 * 0.36788, 0.01);
    CU_ASSERT_EQUAL(window.jain.count, 0); /* it offered nothing */
    drain_fixture_destroy(fixture);
}

static void thread_figures__drops_and_waits__then_from_the_producers_counters(void)
{
    DrainFixture *fixture = drain_fixture_create(NULL, 1, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);
    MetricsWindow window = metrics_window_begin(BEGIN, 0);
    MetricsFigures figures;
    FixtureThread *thread;
    ada_lane_metrics_t *metrics;
    const double rate = 0.5;

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    drain_fixture_register(fixture, 0);
    thread = &fixture->threads[0];
    drain_fixture_write(fixture, 0, 1, 10000);
    CU_ASSERT(thread->refused > 0);
    figures = take(fixture, 0, &window);
    CU_ASSERT_EQUAL(figures.index.attempted, 10000);
    CU_ASSERT_EQUAL(figures.index.dropped_full, thread->refused);
    CU_ASSERT_EQUAL(figures.index.pending, thread->written);
    CU_ASSERT_EQUAL(figures.swaps, 3);
    CU_ASSERT(figures.occupancy > 0.8);
    /* Nothing was taken from then on: the lane stalls. */
    window = metrics_window_begin(BEGIN + 1000 * MS, BEGIN);
    (void)take(fixture, 0, &window);
    CU_ASSERT_EQUAL(window.stalled, 1);
    while (drain_fixture_in_file(fixture, 0) < thread->written)
        (void)drain_fixture_iterate(fixture);
    window = metrics_window_begin(BEGIN + 1000 * MS, BEGIN);
    figures = take(fixture, 0, &window);
    CU_ASSERT_EQUAL(window.stalled, 0);
    CU_ASSERT_EQUAL(figures.index.in_file, thread->written);
    CU_ASSERT_EQUAL(figures.index.pending, 0);
    metrics = thread->lanes->metrics.lanes;
    ada_store_relaxed(&metrics[ADA_LANE_INDEX].pressure.stalls, 3ull);
    ada_store_relaxed(&metrics[ADA_LANE_DETAIL].pressure.stalls, 4ull);
    ada_store_relaxed(&metrics[ADA_LANE_INDEX].pressure.stall_ns, 500ull);
    ada_store_relaxed(&metrics[ADA_LANE_INDEX].swaps.ticks, 900ull);
    ada_store_relaxed(&metrics[ADA_LANE_DETAIL].swaps.ticks, 90ull);
    ada_store_relaxed(&metrics[ADA_LANE_INDEX].swaps.max_ticks, 400ull);
    ada_store_relaxed(&metrics[ADA_LANE_DETAIL].swaps.max_ticks, 80ull);
    fixture->source.clock_kind = ADA_CLOCK_MONOTONIC;
    figures = take(fixture, 0, &window);
    CU_ASSERT(figures.pool_exhausted >= 1);
    CU_ASSERT_EQUAL(figures.swap_ns, 990);
    CU_ASSERT_EQUAL(figures.swap_max_ns, 400);
    fixture->source.clock_kind = ADA_CLOCK_TSC;
    fixture->source.ns_per_cycle = &rate;
    figures = take(fixture, 0, &window);
    CU_ASSERT_EQUAL(figures.swap_ns, 495);
    CU_ASSERT_EQUAL(figures.swap_max_ns, 200);
    ada_store_relaxed(&metrics[ADA_LANE_DETAIL].swaps.max_ticks, 600ull);
    CU_ASSERT_EQUAL(take(fixture, 0, &window).swap_max_ns, 300); /* the longest of both lanes */
    CU_ASSERT_EQUAL(figures.stalls, 7);
    CU_ASSERT_EQUAL(figures.stall_ns, 500);
    drain_fixture_destroy(fixture);
}

/* Shared memory may say anything: what was shown is not taken back. */
static void thread_figures__positions_go_backwards__then_totals_do_not(void)
{
    DrainFixture *fixture = drain_fixture_create(NULL, 1, ADA_POLICY_DISCARD, ADA_DETAIL_OFF);
    MetricsWindow window = metrics_window_begin(BEGIN, 0);
    MetricsFigures figures;
    RingControl *ring;

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    drain_fixture_register(fixture, 0);
    drain_fixture_write(fixture, 0, 1, 60);
    (void)take(fixture, 0, &window);
    ring = &fixture->threads[0].lanes->index.rings[0];
    ada_store_relaxed(&ring->published, ADA_POSITION(20, 20 * ADA_INDEX_EVENT_SIZE));
    ada_store_relaxed(&ring->reserved, ADA_POSITION(20, 20 * ADA_INDEX_EVENT_SIZE));
    window = metrics_window_begin(BEGIN + 1000 * MS, BEGIN);
    figures = take(fixture, 0, &window);
    CU_ASSERT_EQUAL(figures.index.attempted, 60);
    CU_ASSERT_EQUAL(figures.bytes, 60 * ADA_INDEX_EVENT_SIZE);
    CU_ASSERT_EQUAL(figures.events_per_second, 0);
    drain_fixture_destroy(fixture);
}

/* A loss after the fact: what waited, and was shown as bytes that will come, is taken back by the producer. */
static void thread_figures__ring_overwritten__then_bytes_stay_and_account_closes(void)
{
    DrainFixture *fixture = drain_fixture_create(NULL, 1, ADA_POLICY_OVERWRITE, ADA_DETAIL_OFF);
    const uint32_t all = ADA_INDEX_RINGS * FIXTURE_RING_EVENTS;
    MetricsWindow window = metrics_window_begin(BEGIN, 0);
    AdatLedgerEntry index, detail = {.lane = ADA_LANE_DETAIL};
    MetricsFigures figures;
    AdatAccount account;

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    drain_fixture_register(fixture, 0);
    drain_fixture_write(fixture, 0, 1, all);
    CU_ASSERT_EQUAL(take(fixture, 0, &window).bytes, all * ADA_INDEX_EVENT_SIZE);
    drain_fixture_write(fixture, 0, 1, 1); /* takes the oldest ring back */
    window = metrics_window_begin(BEGIN + 1000 * MS, BEGIN);
    figures = take(fixture, 0, &window);
    CU_ASSERT_EQUAL(figures.index.attempted, all + 1);
    CU_ASSERT_EQUAL(figures.index.dropped_full, FIXTURE_RING_EVENTS);
    CU_ASSERT_EQUAL(figures.bytes, all * ADA_INDEX_EVENT_SIZE);
    thread_drain_account(fixture->threads[0].state, ADA_LANE_INDEX, false, &account);
    index = adat_account_entry(&account, 1, 1, ADA_LANE_INDEX);
    thread_figures_close(fixture->threads[0].state, &index, &detail, &figures);
    CU_ASSERT_EQUAL(figures.bytes, all * ADA_INDEX_EVENT_SIZE);
    CU_ASSERT(closes(&figures.index));
    CU_ASSERT_EQUAL(figures.events_per_second, 0);

    /* Counters in shared memory that go backwards: what was settled stays so. */
    ada_store_relaxed(&fixture->threads[0].lanes->metrics.lanes[ADA_LANE_INDEX].counters.overwritten, 0ull);
    ada_store_relaxed(&fixture->threads[0].lanes->metrics.lanes[ADA_LANE_INDEX].counters.dropped_full, 0ull);
    window = metrics_window_begin(BEGIN + 2000 * MS, BEGIN + 1000 * MS);
    figures = take(fixture, 0, &window);
    CU_ASSERT_EQUAL(figures.index.attempted, all + 1);
    CU_ASSERT_EQUAL(fixture->threads[0].state->measured.settled, FIXTURE_RING_EVENTS);
    CU_ASSERT_EQUAL(window.jain.count, 0);
    drain_fixture_destroy(fixture);
}

static void metrics_figures__added__then_sums_and_largest(void)
{
    MetricsFigures a = {.index = {.attempted = 3, .in_file = 3},
                        .bytes = 10,
                        .events_per_second = 1.5,
                        .swaps = 1,
                        .swap_ns = 5,
                        .swap_max_ns = 5,
                        .pool_exhausted = 2,
                        .occupancy = 0.25};
    MetricsFigures b = {.index = {.attempted = 4, .in_file = 2, .pending = 2},
                        .bytes = 7,
                        .events_per_second = 2,
                        .swaps = 2,
                        .swap_ns = 9,
                        .swap_max_ns = 8,
                        .stalls = 1,
                        .stall_ns = 4,
                        .occupancy = 0.5,
                        .drained_bytes = 3,
                        .drain_share = 1};
    MetricsFigures sum = {0};

    metrics_figures_add(&sum, &b);
    metrics_figures_add(&sum, &a);
    CU_ASSERT_EQUAL(sum.index.attempted, 7);
    CU_ASSERT(closes(&sum.index));
    CU_ASSERT_EQUAL(sum.bytes, 17);
    CU_ASSERT_DOUBLE_EQUAL(sum.events_per_second, 3.5, 1e-12);
    CU_ASSERT_EQUAL(sum.swaps, 3);
    CU_ASSERT_EQUAL(sum.swap_ns, 14);
    CU_ASSERT_EQUAL(sum.swap_max_ns, 8);
    CU_ASSERT_EQUAL(sum.pool_exhausted, 2);
    CU_ASSERT_EQUAL(sum.stalls, 1);
    CU_ASSERT_EQUAL(sum.stall_ns, 4);
    CU_ASSERT_DOUBLE_EQUAL(sum.occupancy, 0.5, 1e-12);
    CU_ASSERT_EQUAL(sum.drained_bytes, 3);
    CU_ASSERT_DOUBLE_EQUAL(metrics_per_second(5, 9, 1), 0, 1e-12);
}

/* ---- while the thread goes on ------------------------------------------------------------------ */

typedef struct Writer {
    DrainFixture *fixture;
    uint32_t done;
} Writer;

static void *write_on(void *context)
{
    Writer *writer = context;

    for (int i = 0; i < 300; i++)
        drain_fixture_write(writer->fixture, 0, 1, 1000);
    ada_store_release(&writer->done, 1u);
    return NULL;
}

static void thread_figures__taken_while_written__then_close_and_never_go_backwards(void)
{
    DrainFixture *fixture = drain_fixture_create(NULL, 1, ADA_POLICY_OVERWRITE, ADA_DETAIL_OFF);
    Writer writer = {.fixture = fixture};
    MetricsWindow window;
    MetricsFigures figures;
    uint64_t attempted = 0, bytes = 0;
    pthread_t thread;

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    drain_fixture_register(fixture, 0);
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, write_on, &writer), 0);
    while (!ada_load_acquire(&writer.done)) {
        window = metrics_window_begin(BEGIN + MS, BEGIN);
        figures = take(fixture, 0, &window);
        CU_ASSERT(figures.index.attempted >= attempted);
        CU_ASSERT(figures.bytes >= bytes);
        attempted = figures.index.attempted;
        bytes = figures.bytes;
        (void)drain_fixture_iterate(fixture);
    }
    pthread_join(thread, NULL);
    for (int i = 0; i < 8; i++) {
        drain_fixture_take_hints(fixture); /* it may have been quiet for long enough to be watched */
        (void)drain_fixture_iterate(fixture);
    }
    window = metrics_window_begin(BEGIN + 1000 * MS, BEGIN);
    figures = take(fixture, 0, &window);
    CU_ASSERT_EQUAL(figures.index.attempted, 300000);
    CU_ASSERT_EQUAL(figures.index.pending, 0);
    drain_fixture_destroy(fixture);
}

static const TestCase tests[] = {
    TEST(thread_figures__second_window__then_rate_average_and_share),
    TEST(thread_figures__drops_and_waits__then_from_the_producers_counters),
    TEST(thread_figures__positions_go_backwards__then_totals_do_not),
    TEST(thread_figures__ring_overwritten__then_bytes_stay_and_account_closes),
    TEST(metrics_figures__added__then_sums_and_largest),
    TEST(thread_figures__taken_while_written__then_close_and_never_go_backwards),
};
TEST_MAIN("thread_figures", tests)
