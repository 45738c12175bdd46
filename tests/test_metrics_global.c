/* SPDX-License-Identifier: MIT */
/* Collecting from all threads: when it is time, by one of those who come, and whole. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drain_fixture.h"
#include "user/lane/clock.h"
#include "user/metrics/global_metrics.h"
#include "user/metrics/metrics_feed.h"

#define MS 1000000ull
#define BEGIN (5000 * MS)
#define INTERVAL (100 * MS)

static bool out_of_memory;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    return ada_load_relaxed(&out_of_memory) ? NULL : __real_malloc(size);
}

/* A drain's threads as what is collected from. */
typedef struct Bench {
    DrainFixture *fixture;
    MetricsHub hub;
    ada_global_metrics_t global;
    uint64_t taken;
    uint64_t now; /* of the last take() */
    uint32_t noticed;
} Bench;

static void count_threads(void *context, size_t *processes_out, size_t *threads_out)
{
    const Bench *bench = context;

    *processes_out = 1;
    *threads_out = bench->fixture->thread_count;
}

static void take(void *context, MetricsWindow *window, MetricsSnapshot *snapshot)
{
    Bench *bench = context;
    MetricsFigures *sum = &snapshot->processes[0].figures;

    bench->taken++; /* not atomic: who has claimed the collection is alone here */
    bench->now = window->now;
    for (uint32_t i = 0; i < bench->fixture->thread_count; i++) {
        MetricsThread *thread = &snapshot->threads[snapshot->thread_count];

        if (!bench->fixture->threads[i].state)
            continue;
        snapshot->thread_count++;
        *thread = (MetricsThread){.tid = 1000 + i};
        thread_figures_take(bench->fixture->threads[i].state, window, &thread->figures);
        metrics_figures_add(sum, &thread->figures);
    }
    snapshot->process_count = 1;
    metrics_figures_add(&snapshot->total, sum);
}

static void notice(void *context, uint32_t anomalies, const MetricsSnapshot *snapshot)
{
    Bench *bench = context;

    CU_ASSERT_EQUAL(snapshot->sequence, bench->taken);
    CU_ASSERT_NOT_EQUAL(anomalies, 0);
    bench->noticed |= anomalies;
}

static Bench *bench_create_with(uint32_t threads, uint32_t policy)
{
    Bench *bench = calloc(1, sizeof(*bench));
    MetricsSource source = {.count = count_threads, .take = take, .notice = notice, .context = bench};

    CU_ASSERT_PTR_NOT_NULL_FATAL(bench);
    bench->fixture = drain_fixture_create(NULL, threads, policy, ADA_DETAIL_OFF);
    for (uint32_t i = 0; i < threads; i++)
        drain_fixture_register(bench->fixture, i);
    metrics_hub_init(&bench->hub);
    metrics_global_init(&bench->global, &source, &bench->hub, INTERVAL, BEGIN);
    return bench;
}

static Bench *bench_create(uint32_t threads)
{
    return bench_create_with(threads, ADA_POLICY_DISCARD);
}

static void bench_destroy(Bench *bench)
{
    metrics_global_fini(&bench->global);
    metrics_hub_fini(&bench->hub);
    drain_fixture_destroy(bench->fixture);
    free(bench);
}

/* Its account closes, and it is the sum of its threads'. */
static bool is_whole(const MetricsSnapshot *snapshot)
{
    MetricsFigures sum = {0};

    for (size_t i = 0; i < snapshot->thread_count; i++) {
        if (snapshot->threads[i].figures.index.attempted !=
            adat_account_sum(&snapshot->threads[i].figures.index))
            return false;
        metrics_figures_add(&sum, &snapshot->threads[i].figures);
    }
    return memcmp(&sum.index, &snapshot->total.index, sizeof(sum.index)) == 0 &&
           sum.bytes == snapshot->total.bytes &&
           snapshot->total.index.attempted == adat_account_sum(&snapshot->total.index);
}

static void global_metrics__collect__then_sums_all_threads(void)
{
    Bench *bench = bench_create(64);
    const MetricsSnapshot *snapshot;
    uint64_t events = 0;

    for (uint32_t i = 0; i < 64; i++) {
        drain_fixture_write(bench->fixture, i, 1, i + 1);
        events += i + 1;
    }
    CU_ASSERT_TRUE(metrics_collect_global(&bench->global, BEGIN));
    snapshot = metrics_hub_acquire(&bench->hub);
    CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
    CU_ASSERT_EQUAL(snapshot->thread_count, 64);
    for (uint32_t i = 0; i < 64; i++)
        CU_ASSERT_EQUAL(snapshot->threads[i].figures.index.attempted, i + 1);
    CU_ASSERT_EQUAL(snapshot->total.index.attempted, events);
    CU_ASSERT_EQUAL(snapshot->total.index.pending, events);
    CU_ASSERT_EQUAL(snapshot->total.bytes, events * ADA_INDEX_EVENT_SIZE);
    CU_ASSERT_EQUAL(snapshot->total.events_per_second, 0); /* there is no window yet */
    CU_ASSERT(is_whole(snapshot));
    metrics_snapshot_release(snapshot);

    (void)drain_fixture_iterate(bench->fixture);
    for (uint32_t i = 0; i < 64; i++)
        drain_fixture_write(bench->fixture, i, 1, 10);
    CU_ASSERT_TRUE(metrics_collect_global(&bench->global, BEGIN + INTERVAL));
    snapshot = metrics_hub_acquire(&bench->hub);
    CU_ASSERT_EQUAL(snapshot->total.index.in_file, events);
    CU_ASSERT_EQUAL(snapshot->total.index.pending, 640);
    CU_ASSERT_DOUBLE_EQUAL(snapshot->total.events_per_second, 6400, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(snapshot->total.events_per_second_average, 6400, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(snapshot->threads[63].figures.events_per_second, 100, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(snapshot->total.drain_share, 1, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(snapshot->threads[63].figures.drain_share, 64.0 / (double)events, 1e-9);
    CU_ASSERT_EQUAL(snapshot->drop_rate, 0);
    CU_ASSERT(is_whole(snapshot));
    metrics_snapshot_release(snapshot);
    bench_destroy(bench);
}

/* What a reader holds does not change, whatever threads and collectors do. */
static void global_metrics__snapshot__then_point_in_time(void)
{
    Bench *bench = bench_create(2);
    const MetricsSnapshot *first, *second;

    drain_fixture_write(bench->fixture, 0, 1, 10);
    CU_ASSERT_TRUE(metrics_collect_global(&bench->global, BEGIN));
    first = metrics_hub_acquire(&bench->hub);
    drain_fixture_write(bench->fixture, 0, 1, 100000);
    CU_ASSERT_EQUAL(first->total.index.attempted, 10);
    CU_ASSERT_TRUE(metrics_collect_global(&bench->global, BEGIN + INTERVAL));
    second = metrics_hub_acquire(&bench->hub);
    CU_ASSERT_EQUAL(first->sequence, 1);
    CU_ASSERT_EQUAL(first->monotonic_ns, BEGIN);
    CU_ASSERT_EQUAL(first->started_at, BEGIN);
    CU_ASSERT_EQUAL(first->interval_ns, INTERVAL);
    CU_ASSERT_EQUAL(first->total.index.attempted, 10);
    CU_ASSERT_EQUAL(first->threads[0].figures.index.pending, 10);
    CU_ASSERT(is_whole(first));
    CU_ASSERT_EQUAL(second->sequence, 2);
    CU_ASSERT_EQUAL(second->total.index.attempted, 100010);
    CU_ASSERT_EQUAL(second->total.index.dropped_full, bench->fixture->threads[0].refused);
    CU_ASSERT_DOUBLE_EQUAL(second->drop_rate, (double)bench->fixture->threads[0].refused / 100000, 1e-9);
    CU_ASSERT_EQUAL(bench->noticed, 1u << METRICS_ANOMALY_DROP_BURST);
    CU_ASSERT(is_whole(second));
    metrics_snapshot_release(first);
    metrics_snapshot_release(second);
    bench_destroy(bench);
}

static void global_metrics__interval__then_enforced_and_set_at_run_time(void)
{
    Bench *bench = bench_create(1);
    ada_global_metrics_t *global = &bench->global;

    CU_ASSERT_EQUAL(metrics_global_due(global), INTERVAL); /* at once */
    CU_ASSERT_TRUE(metrics_collect_global(global, BEGIN));
    CU_ASSERT_EQUAL(metrics_global_due(global), BEGIN + INTERVAL);
    CU_ASSERT_FALSE(metrics_collect_global(global, BEGIN + INTERVAL - 1));
    CU_ASSERT_FALSE(metrics_collect_global(global, BEGIN - INTERVAL)); /* somebody whose clock reading is old */
    CU_ASSERT_TRUE(metrics_collect_global(global, BEGIN + INTERVAL));
    metrics_global_set_interval(global, 10 * MS);
    CU_ASSERT_TRUE(metrics_collect_global(global, BEGIN + INTERVAL + 10 * MS));
    metrics_global_set_interval(global, 0);
    CU_ASSERT_EQUAL(metrics_global_due(global), 0);
    CU_ASSERT_FALSE(metrics_collect_global(global, BEGIN + 100 * INTERVAL));
    metrics_collect_last(global, BEGIN + 100 * INTERVAL);
    metrics_global_set_interval(global, INTERVAL);
    global->collected_at = UINT64_MAX;
    CU_ASSERT_EQUAL(metrics_global_due(global), UINT64_MAX);
    CU_ASSERT_FALSE(metrics_collect_global(global, BEGIN + 100 * INTERVAL)); /* somebody is at it */
    CU_ASSERT_EQUAL(bench->taken, 3);
    bench_destroy(bench);
}

static void global_metrics__no_memory__then_next_interval(void)
{
    Bench *bench = bench_create(1);

    ada_store_relaxed(&out_of_memory, true);
    CU_ASSERT_FALSE(metrics_collect_global(&bench->global, BEGIN));
    ada_store_relaxed(&out_of_memory, false);
    CU_ASSERT_FALSE(metrics_collect_global(&bench->global, BEGIN + INTERVAL / 2));
    CU_ASSERT_TRUE(metrics_collect_global(&bench->global, BEGIN + INTERVAL));
    bench_destroy(bench);
}

/* A reader that holds the lock delays nobody: the snapshot is published at the next call, due or not. */
static void global_metrics__reader_holds_the_lock__then_published_later(void)
{
    Bench *bench = bench_create(1);
    const MetricsSnapshot *snapshot;

    pthread_mutex_lock(&bench->hub.lock);
    CU_ASSERT_TRUE(metrics_collect_global(&bench->global, BEGIN));
    CU_ASSERT_TRUE(metrics_collect_global(&bench->global, BEGIN + INTERVAL)); /* it replaces the one before */
    pthread_mutex_unlock(&bench->hub.lock);
    CU_ASSERT_PTR_NULL(metrics_hub_acquire(&bench->hub));
    CU_ASSERT_FALSE(metrics_collect_global(&bench->global, BEGIN + INTERVAL + 1));
    snapshot = metrics_hub_acquire(&bench->hub);
    CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
    CU_ASSERT_EQUAL(snapshot->sequence, 2);
    metrics_snapshot_release(snapshot);
    bench_destroy(bench);
}

typedef struct LastCollector {
    Bench *bench;
    uint32_t done;
} LastCollector;

static void *collect_last(void *context)
{
    LastCollector *collector = context;

    metrics_collect_last(&collector->bench->global, BEGIN);
    ada_store_release(&collector->done, 1u); /* pairs with the acquire in the test */
    return NULL;
}

static void global_metrics__last__then_waits_until_it_is_published(void)
{
    Bench *bench = bench_create(1);
    LastCollector collector = {.bench = bench};
    const MetricsSnapshot *snapshot;
    pthread_t thread;

    pthread_mutex_lock(&bench->hub.lock);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, collect_last, &collector), 0);
    while (!ada_load_relaxed(&bench->global.unpublished))
        sched_yield();
    for (int i = 0; i < 100; i++)
        sched_yield();
    CU_ASSERT_EQUAL(ada_load_acquire(&collector.done), 0);
    pthread_mutex_unlock(&bench->hub.lock);
    pthread_join(thread, NULL);
    snapshot = metrics_hub_acquire(&bench->hub);
    CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
    CU_ASSERT_EQUAL(snapshot->sequence, 1);
    metrics_snapshot_release(snapshot);
    bench_destroy(bench);
}

static void global_metrics__threads_ended__then_shown_once_and_bounded(void)
{
    Bench *bench = bench_create(1);
    MetricsThread ended = {.tid = 7, .ended = true};
    const MetricsSnapshot *snapshot;

    for (uint32_t round = 1; round <= 3; round++) {
        for (uint32_t i = 0; i < (round == 1 ? METRICS_ENDED_MAX + 5 : round == 2 ? 1u : 0u); i++)
            metrics_global_add_ended(&bench->global, &ended);
        CU_ASSERT_TRUE(metrics_collect_global(&bench->global, BEGIN + round * INTERVAL));
        snapshot = metrics_hub_acquire(&bench->hub);
        CU_ASSERT_EQUAL(snapshot->thread_count, 1 + (round == 1 ? METRICS_ENDED_MAX : round == 2 ? 1u : 0u));
        CU_ASSERT_FALSE(snapshot->threads[0].ended);
        CU_ASSERT(round == 3 || snapshot->threads[1].tid == 7);
        metrics_snapshot_release(snapshot);
    }
    metrics_global_set_interval(&bench->global, 0);
    metrics_global_add_ended(&bench->global, &ended);
    CU_ASSERT_EQUAL(bench->global.ended_count, 0);
    bench_destroy(bench);
}

/* Positions in shared memory that go backwards spoil the figures of that thread alone, and no total. */
static void global_metrics__positions_go_backwards__then_totals_do_not(void)
{
    Bench *bench = bench_create(2);
    const MetricsSnapshot *snapshot;
    MetricsThread none = {0};

    drain_fixture_write(bench->fixture, 0, 1, 60);
    drain_fixture_write(bench->fixture, 1, 1, 30);
    CU_ASSERT_TRUE(metrics_collect_global(&bench->global, BEGIN));
    /* A thread that is not there any more, and whose account has less than was shown. */
    bench->fixture->threads[0].state->measured = (ThreadMeasured){0};
    ada_store_relaxed(&bench->fixture->threads[0].lanes->index.rings[0].published, 0ull);
    ada_store_relaxed(&bench->fixture->threads[0].lanes->index.rings[0].reserved, 0ull);
    CU_ASSERT_TRUE(metrics_collect_global(&bench->global, BEGIN + INTERVAL));
    snapshot = metrics_hub_acquire(&bench->hub);
    CU_ASSERT_EQUAL(snapshot->threads[1].figures.index.attempted, 30);
    CU_ASSERT_EQUAL(snapshot->total.index.attempted, 90);
    CU_ASSERT_EQUAL(snapshot->total.index.attempted, adat_account_sum(&snapshot->total.index));
    CU_ASSERT_EQUAL(snapshot->total.bytes, 90 * ADA_INDEX_EVENT_SIZE);
    CU_ASSERT_EQUAL(snapshot->total.events_per_second, 0);
    metrics_snapshot_release(snapshot);
    metrics_global_add_ended(&bench->global, &none);
    bench_destroy(bench);
}

/* Lost in this interval, attempted in those before: the share of what was lost is no more than all. */
static void global_metrics__old_events_overwritten__then_drop_rate_is_one(void)
{
    Bench *bench = bench_create_with(1, ADA_POLICY_OVERWRITE);
    const MetricsSnapshot *snapshot;

    drain_fixture_write(bench->fixture, 0, 1, ADA_INDEX_RINGS * FIXTURE_RING_EVENTS);
    CU_ASSERT_TRUE(metrics_collect_global(&bench->global, BEGIN));
    drain_fixture_write(bench->fixture, 0, 1, 1); /* takes a ring back, with all that is in it */
    CU_ASSERT_TRUE(metrics_collect_global(&bench->global, BEGIN + INTERVAL));
    snapshot = metrics_hub_acquire(&bench->hub);
    CU_ASSERT_EQUAL(snapshot->total.index.dropped_full, FIXTURE_RING_EVENTS);
    CU_ASSERT_DOUBLE_EQUAL(snapshot->drop_rate, 1, 1e-12);
    metrics_snapshot_release(snapshot);
    bench_destroy(bench);
}

/* ---- many at once ------------------------------------------------------------------------------- */

#define COLLECTORS 8u
#define ROUNDS 500u

typedef struct Contest {
    Bench *bench;
    uint64_t round; /* the time */
    uint64_t won[COLLECTORS];
    uint32_t next;
    uint32_t stop;
    uint64_t torn;
} Contest;

static void *collect_all(void *context)
{
    Contest *contest = context;
    uint32_t me = ada_fetch_add_relaxed(&contest->next, 1u);
    uint64_t attempted = 0, sequence = 0;

    while (!ada_load_acquire(&contest->stop)) { /* pairs with the release in the test */
        const MetricsSnapshot *snapshot;

        contest->won[me] += metrics_collect_global(&contest->bench->global,
                                                   BEGIN + ada_load_relaxed(&contest->round) * INTERVAL);
        snapshot = metrics_hub_acquire(&contest->bench->hub);
        if (!snapshot)
            continue;
        if (!is_whole(snapshot) || snapshot->sequence < sequence || snapshot->total.index.attempted < attempted)
            (void)ada_fetch_add_relaxed(&contest->torn, 1ull);
        sequence = snapshot->sequence;
        attempted = snapshot->total.index.attempted;
        metrics_snapshot_release(snapshot);
    }
    return NULL;
}

static void *write_on(void *context)
{
    Contest *contest = context;

    while (!ada_load_acquire(&contest->stop)) /* as above */
        drain_fixture_write(contest->bench->fixture, 0, 1, 10);
    return NULL;
}

static void global_metrics__eight_collectors_at_once__then_one_wins_each_interval(void)
{
    Bench *bench = bench_create(4);
    Contest contest = {.bench = bench, .round = 1};
    pthread_t threads[COLLECTORS], writer;
    uint64_t won = 0;

    CU_ASSERT_EQUAL_FATAL(pthread_create(&writer, NULL, write_on, &contest), 0);
    for (uint32_t i = 0; i < COLLECTORS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, collect_all, &contest), 0);
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        ada_store_relaxed(&contest.round, i);
        while (ada_load_acquire(&bench->global.collected_at) != BEGIN + i * INTERVAL)
            sched_yield(); /* pairs with the release of who collects */
    }
    ada_store_release(&contest.stop, 1u); /* pairs with the acquires of the others */
    pthread_join(writer, NULL);
    for (uint32_t i = 0; i < COLLECTORS; i++) {
        pthread_join(threads[i], NULL);
        won += contest.won[i];
    }
    CU_ASSERT_EQUAL(contest.torn, 0);
    CU_ASSERT_EQUAL(bench->taken, won);
    CU_ASSERT_EQUAL(bench->global.sequence, won);
    CU_ASSERT_EQUAL(won, ROUNDS);
    bench_destroy(bench);
}

/* ---- what it costs ------------------------------------------------------------------------------ */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/*
 * Against what nobody can do without: to look at each thread's lines and to write its figures down. The quickest of
 * many on both sides, so that a busy machine does not count; on a quiet one 100 us are twenty times the collection,
 * see tests/bench/bench_metrics.c.
 */
static void aggregation__64_threads__then_under_100us(void)
{
    Bench *bench = bench_create(64);
    uint64_t floor = UINT64_MAX, collection = UINT64_MAX;

    for (uint32_t i = 0; i < 64; i++)
        drain_fixture_write(bench->fixture, i, 1, 50);
    for (uint64_t round = 1; round <= 300; round++) {
        static MetricsThread threads[64];
        static ThreadLaneSet lanes[64];
        uint64_t begin = ada_clock_monotonic_ns();

        for (uint32_t i = 0; i < 64; i++) {
            memcpy(&lanes[i], bench->fixture->threads[i].lanes, sizeof(lanes[i]));
            memset(&threads[i], (int)round, sizeof(threads[i]));
        }
        floor = least(floor, ada_clock_monotonic_ns() - begin);
        begin = ada_clock_monotonic_ns();
        CU_ASSERT_TRUE(metrics_collect_global(&bench->global, BEGIN + round * INTERVAL));
        collection = least(collection, ada_clock_monotonic_ns() - begin);
    }
    printf("# 64 threads: %.1f us, the floor %.1f us\n", (double)collection / 1e3, (double)floor / 1e3);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
    CU_ASSERT(collection > 0); /* not the code that is shipped */
#else
    CU_ASSERT(collection < 100000 || collection < 100 * floor);
#endif
    bench_destroy(bench);
}

static void metrics_hub_feed__no_memory__then_said_and_nothing_kept(void)
{
    MetricsSnapshot *snapshot = metrics_snapshot_create(0, 0);
    MetricsView view = {.session_count = 0};
    MetricsFeed feed;
    MetricsHub hub;

    metrics_hub_init(&hub);
    feed = metrics_hub_feed(&hub);
    CU_ASSERT_EQUAL(feed.acquire(feed.context, &view), -ENODATA);
    CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
    CU_ASSERT_TRUE_FATAL(metrics_hub_try_publish(&hub, snapshot));
    ada_store_relaxed(&out_of_memory, 1u);
    CU_ASSERT_EQUAL(feed.acquire(feed.context, &view), -ENOMEM);
    ada_store_relaxed(&out_of_memory, 0u);
    CU_ASSERT_EQUAL(snapshot->references, 1);
    CU_ASSERT_EQUAL(feed.acquire(feed.context, &view), 0);
    CU_ASSERT_PTR_EQUAL(view.sessions[0].snapshot, snapshot);
    metrics_view_release(&view);
    metrics_hub_fini(&hub);
}

static const TestCase tests[] = {
    TEST(metrics_hub_feed__no_memory__then_said_and_nothing_kept),
    TEST(global_metrics__collect__then_sums_all_threads),
    TEST(global_metrics__snapshot__then_point_in_time),
    TEST(global_metrics__interval__then_enforced_and_set_at_run_time),
    TEST(global_metrics__no_memory__then_next_interval),
    TEST(global_metrics__reader_holds_the_lock__then_published_later),
    TEST(global_metrics__last__then_waits_until_it_is_published),
    TEST(global_metrics__threads_ended__then_shown_once_and_bounded),
    TEST(global_metrics__positions_go_backwards__then_totals_do_not),
    TEST(global_metrics__old_events_overwritten__then_drop_rate_is_one),
    TEST(global_metrics__eight_collectors_at_once__then_one_wins_each_interval),
    TEST(aggregation__64_threads__then_under_100us),
};
TEST_MAIN("metrics_global", tests)
