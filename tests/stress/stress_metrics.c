/* SPDX-License-Identifier: MIT */
/*
 * A thread that records a million events a second, a drain, and metrics that are collected all the while: at
 * any moment the account closes, and at the end every number is exact.
 *
 *     stress_metrics [SECONDS]      default: 3
 */
#define _GNU_SOURCE
#include "test_support.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "drain_fixture.h"
#include "user/lane/clock.h"
#include "user/metrics/global_metrics.h"

#define NS_PER_S 1000000000ull
#define BURST 1000u /* events, each millisecond */
#define WRITERS 4u  /* they share the million */

/* CUnit's tests take no arguments. */
static uint64_t seconds = 3;

typedef struct Writer {
    DrainFixture *fixture;
    uint32_t number;
    uint64_t bursts;
    uint32_t *running;
    pthread_t thread;
} Writer;

/* An open loop: when each burst comes is fixed; a writer that is late catches up. */
static void *write_paced(void *context)
{
    Writer *writer = context;
    uint64_t next = ada_clock_monotonic_ns();

    for (uint64_t i = 0; i < writer->bursts; i++, next += NS_PER_S / 1000) {
        struct timespec until = {.tv_sec = (time_t)(next / NS_PER_S), .tv_nsec = (long)(next % NS_PER_S)};

        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        drain_fixture_write(writer->fixture, writer->number, 1, BURST / WRITERS);
    }
    (void)ada_fetch_sub_acq_rel(writer->running, 1u); /* pairs with the acquire in run() */
    return NULL;
}

/* What is collected from. */
static void count_threads(void *context, size_t *processes_out, size_t *threads_out)
{
    (void)context;
    *processes_out = 0;
    *threads_out = WRITERS;
}

static void take(void *context, MetricsWindow *window, MetricsSnapshot *snapshot)
{
    DrainFixture *fixture = context;

    for (uint32_t i = 0; i < WRITERS; i++) {
        MetricsThread *thread = &snapshot->threads[snapshot->thread_count++];

        *thread = (MetricsThread){.tid = i};
        thread_figures_take(fixture->threads[i].state, window, &thread->figures);
        metrics_figures_add(&snapshot->total, &thread->figures);
    }
}

typedef struct Observed {
    uint64_t snapshots;
    uint64_t wrong;
    uint64_t at; /* CLOCK_MONOTONIC, ns: of the last snapshot */
    uint64_t attempted;
    double by_rate; /* events that the rates tell of: rate times time, summed up */
} Observed;

static void observe(MetricsHub *hub, Observed *observed)
{
    const MetricsSnapshot *snapshot = metrics_hub_acquire(hub);
    const AdatAccount *events = &snapshot->total.index;

    observed->wrong += events->attempted != adat_account_sum(events) || events->attempted < observed->attempted;
    if (observed->snapshots++ > 0)
        observed->by_rate +=
            snapshot->total.events_per_second * (double)(snapshot->monotonic_ns - observed->at) / 1e9;
    observed->at = snapshot->monotonic_ns;
    observed->attempted = events->attempted;
    metrics_snapshot_release(snapshot);
}

static void drain_some(DrainFixture *fixture)
{
    drain_fixture_take_hints(fixture);
    (void)drain_fixture_iterate(fixture);
}

static void run(DrainFixture *fixture, ada_global_metrics_t *global, MetricsHub *hub, Observed *observed)
{
    static const struct timespec tick = {.tv_nsec = 200000};
    uint32_t running = WRITERS;
    Writer writers[WRITERS];

    for (uint32_t i = 0; i < WRITERS; i++) {
        writers[i] = (Writer){.fixture = fixture, .number = i, .bursts = 1000 * seconds, .running = &running};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&writers[i].thread, NULL, write_paced, &writers[i]), 0);
    }
    while (ada_load_acquire(&running) > 0) {
        drain_some(fixture);
        if (metrics_collect_global(global, ada_clock_monotonic_ns()))
            observe(hub, observed);
        (void)nanosleep(&tick, NULL);
    }
    for (uint32_t i = 0; i < WRITERS; i++)
        CU_ASSERT_EQUAL(pthread_join(writers[i].thread, NULL), 0);
}

static uint64_t written_by_position(const Lane *lane, const ada_lane_metrics_t *metrics)
{
    return metrics->counters.written + ADA_POSITION_RECORDS(lane->rings[lane->active_ring_index].published);
}

static void events_1m_per_sec__sustained__then_accurate(void)
{
    DrainFixture *fixture = drain_fixture_create(NULL, WRITERS, ADA_POLICY_DISCARD, ADA_DETAIL_OFF);
    MetricsSource source = {.count = count_threads, .take = take, .context = fixture};
    ada_global_metrics_t global;
    Observed observed = {0};
    const MetricsSnapshot *last;
    MetricsHub hub;
    uint64_t emitted = WRITERS * (uint64_t)(BURST / WRITERS) * 1000 * seconds;

    for (uint32_t i = 0; i < WRITERS; i++)
        drain_fixture_register(fixture, i);
    metrics_hub_init(&hub);
    metrics_global_init(&global, &source, &hub, NS_PER_S / 10, ada_clock_monotonic_ns());
    /* Before anything is written: the rates of all windows then tell of all events. */
    CU_ASSERT_FATAL(metrics_collect_global(&global, ada_clock_monotonic_ns()));
    observe(&hub, &observed);
    run(fixture, &global, &hub, &observed);
    for (uint32_t i = 0; i < 16; i++)
        drain_some(fixture);
    metrics_collect_last(&global, ada_clock_monotonic_ns());
    observe(&hub, &observed);
    CU_ASSERT_EQUAL(observed.wrong, 0);
    CU_ASSERT(observed.snapshots >= 2);
    CU_ASSERT_DOUBLE_EQUAL(observed.by_rate / (double)emitted, 1, 1e-6);

    last = metrics_hub_acquire(&hub);
    CU_ASSERT_EQUAL(last->total.index.attempted, emitted);
    CU_ASSERT_EQUAL(last->total.index.pending, 0);
    CU_ASSERT_EQUAL(last->total.bytes, last->total.index.in_file * ADA_INDEX_EVENT_SIZE);
    for (uint32_t i = 0; i < WRITERS; i++) {
        const FixtureThread *thread = &fixture->threads[i];
        const ada_lane_metrics_t *metrics = &thread->lanes->metrics.lanes[ADA_LANE_INDEX];
        const MetricsFigures *figures = &last->threads[i].figures;

        CU_ASSERT_EQUAL(thread->written + thread->refused, emitted / WRITERS);
        CU_ASSERT_EQUAL(figures->index.in_file, thread->written);
        CU_ASSERT_EQUAL(figures->index.dropped_full, thread->refused);
        CU_ASSERT_EQUAL(metrics->counters.dropped_full, thread->refused);
        CU_ASSERT_EQUAL(written_by_position(&thread->lanes->index, metrics), thread->written);
        CU_ASSERT_EQUAL(metrics->swaps.count,
                        thread->lanes->index.rings[thread->lanes->index.active_ring_index].sequence);
        CU_ASSERT_EQUAL(figures->swaps, metrics->swaps.count);
    }
    metrics_snapshot_release(last);
    metrics_global_fini(&global);
    metrics_hub_fini(&hub);
    drain_fixture_destroy(fixture);
}

static const TestCase tests[] = {
    TEST(events_1m_per_sec__sustained__then_accurate),
};

int main(int argc, char **argv)
{
    if (argc > 1)
        seconds = strtoull(argv[1], NULL, 10);
    return test_run("stress_metrics", tests, sizeof(tests) / sizeof(tests[0]), 1, argv);
}
