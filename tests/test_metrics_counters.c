/* SPDX-License-Identifier: MIT */
/* What threads count of themselves: each number once, exactly, saturating. */
#define _GNU_SOURCE
#include "lane_fixture.h"
#include "test_support.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#define RING 4096u
#define RING_EVENTS 112u /* what fits below a small ring's reserve */

static void metrics_counter__increment__then_increases(void)
{
    ada_thread_metrics_t metrics;
    ada_lane_metrics_t *lane = &metrics.lanes[ADA_LANE_INDEX];

    memset(&metrics, 0xff, sizeof(metrics));
    metrics_init(&metrics);
    CU_ASSERT_EQUAL(metrics_dropped(lane), 0);
    CU_ASSERT_EQUAL(metrics_swap_average(lane), 0);
    CU_ASSERT_EQUAL(metrics.rates.window_start, 0);
    metrics_increment_written(lane, 3, 96);
    metrics_increment_written(lane, 2, 64);
    CU_ASSERT_EQUAL(lane->counters.written, 5);
    CU_ASSERT_EQUAL(lane->counters.written_bytes, 160);
    metrics_increment_dropped(lane, METRICS_DROP_FULL, 1);
    metrics_increment_dropped(lane, METRICS_DROP_NESTED, 2);
    metrics_increment_dropped(lane, METRICS_DROP_OVERWRITTEN, 4);
    metrics_increment_dropped(lane, METRICS_DROP_RECYCLED, 8);
    CU_ASSERT_EQUAL(lane->counters.dropped_full, 1);
    CU_ASSERT_EQUAL(lane->counters.dropped_nested, 2);
    CU_ASSERT_EQUAL(lane->counters.overwritten, 4);
    CU_ASSERT_EQUAL(lane->counters.recycled, 8);
    CU_ASSERT_EQUAL(metrics_dropped(lane), 15);
    metrics_increment_pool_exhausted(lane);
    metrics_stall_begin(lane);
    metrics_stall_end(lane, 77);
    CU_ASSERT_EQUAL(lane->pressure.pool_exhausted, 1);
    CU_ASSERT_EQUAL(lane->pressure.stalls, 1);
    CU_ASSERT_EQUAL(lane->pressure.stall_ns, 77);
    CU_ASSERT_EQUAL(metrics_dropped(&metrics.lanes[ADA_LANE_DETAIL]), 0);
}

static void metrics_counter__at_its_maximum__then_saturates(void)
{
    ada_thread_metrics_t metrics;
    ada_lane_metrics_t *lane = &metrics.lanes[ADA_LANE_DETAIL];

    metrics_init(&metrics);
    lane->counters.written = lane->counters.written_bytes = UINT64_MAX - 1;
    lane->counters.dropped_full = lane->counters.dropped_nested = UINT64_MAX - 1;
    lane->counters.overwritten = lane->counters.recycled = UINT64_MAX - 1;
    lane->pressure.stall_ns = UINT64_MAX - 1;
    for (int i = 0; i < 3; i++) {
        metrics_increment_written(lane, 2, 2);
        metrics_increment_dropped(lane, METRICS_DROP_FULL, 2);
        metrics_increment_dropped(lane, METRICS_DROP_NESTED, 2);
        metrics_increment_dropped(lane, METRICS_DROP_OVERWRITTEN, 2);
        metrics_increment_dropped(lane, METRICS_DROP_RECYCLED, 2);
        metrics_stall_end(lane, UINT64_MAX);
    }
    CU_ASSERT_EQUAL(lane->counters.written, UINT64_MAX);
    CU_ASSERT_EQUAL(lane->counters.written_bytes, UINT64_MAX);
    CU_ASSERT_EQUAL(lane->counters.dropped_full, UINT64_MAX);
    CU_ASSERT_EQUAL(lane->counters.dropped_nested, UINT64_MAX);
    CU_ASSERT_EQUAL(lane->counters.overwritten, UINT64_MAX);
    CU_ASSERT_EQUAL(lane->counters.recycled, UINT64_MAX);
    CU_ASSERT_EQUAL(lane->pressure.stall_ns, UINT64_MAX);
    CU_ASSERT_EQUAL(metrics_dropped(lane), UINT64_MAX);
    CU_ASSERT_EQUAL(metrics_read_bytes(lane, UINT64_MAX, 100), UINT64_MAX);
}

#define WRITERS 8u
#define ROUNDS 100000u

typedef struct Writer {
    ada_thread_metrics_t metrics;
    uint32_t done;
} Writer;

static void *count_up(void *context)
{
    Writer *writer = context;

    for (uint64_t i = 0; i < ROUNDS; i++) {
        metrics_increment_written(&writer->metrics.lanes[ADA_LANE_INDEX], 1, 32);
        metrics_increment_dropped(&writer->metrics.lanes[ADA_LANE_INDEX], METRICS_DROP_FULL, 1);
    }
    ada_store_release(&writer->done, 1u); /* pairs with the acquire in the test */
    return NULL;
}

/* One writer each, read all the while: no value is ever torn, lost or backwards. */
static void metrics_counter__concurrent_updates__then_accurate_total(void)
{
    static Writer writers[WRITERS];
    uint64_t last[WRITERS] = {0};
    pthread_t threads[WRITERS];
    uint64_t backwards = 0, impossible = 0, total = 0;
    uint32_t done = 0;

    for (uint32_t i = 0; i < WRITERS; i++) {
        metrics_init(&writers[i].metrics);
        writers[i].done = 0;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, count_up, &writers[i]), 0);
    }
    while (done < WRITERS) {
        done = 0;
        for (uint32_t i = 0; i < WRITERS; i++) {
            const ada_metrics_counters_t *counters = &writers[i].metrics.lanes[ADA_LANE_INDEX].counters;
            uint64_t bytes, records;

            done += ada_load_acquire(&writers[i].done);
            bytes = ada_load_acquire(&counters->written_bytes);
            records = ada_load_relaxed(&counters->written);
            backwards += records < last[i];
            impossible += records > ROUNDS || records * 32 < bytes;
            last[i] = records;
        }
    }
    CU_ASSERT_EQUAL(backwards, 0);
    CU_ASSERT_EQUAL(impossible, 0);
    for (uint32_t i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        total += writers[i].metrics.lanes[ADA_LANE_INDEX].counters.written;
        CU_ASSERT_EQUAL(metrics_dropped(&writers[i].metrics.lanes[ADA_LANE_INDEX]), ROUNDS);
    }
    CU_ASSERT_EQUAL(total, WRITERS * (uint64_t)ROUNDS);
}

static uint64_t bytes_of(const LaneFixture *fixture)
{
    const RingControl *ring = &fixture->lane.rings[fixture->lane.active_ring_index];

    return metrics_read_bytes(&fixture->metrics, ring->base_record, ADA_POSITION_BYTES(ring->published));
}

static void write_event__success__then_metrics_updated(void)
{
    LaneFixture *fixture = lane_fixture_create(ADA_LANE_INDEX, ADA_INDEX_RINGS, RING);

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    for (uint32_t i = 1; i <= 3 * RING_EVENTS; i++) {
        CU_ASSERT_EQUAL(lane_fixture_write(fixture, 1, i), 0);
        CU_ASSERT_EQUAL(lane_events_written(&fixture->lane), i);
        CU_ASSERT_EQUAL(bytes_of(fixture), i * (uint64_t)ADA_INDEX_EVENT_SIZE);
        CU_ASSERT_EQUAL(fixture->metrics.counters.written, (i - 1) / RING_EVENTS * RING_EVENTS);
    }
    CU_ASSERT_EQUAL(fixture->metrics.swaps.count, 2);
    CU_ASSERT_TRUE(fixture->metrics.swaps.ticks >= fixture->metrics.swaps.max_ticks);
    CU_ASSERT_TRUE(fixture->metrics.swaps.max_ticks >= metrics_swap_average(&fixture->metrics));
    CU_ASSERT_EQUAL(metrics_dropped(&fixture->metrics), 0);
    CU_ASSERT_EQUAL(fixture->metrics.pressure.pool_exhausted, 0);
    lane_fixture_destroy(fixture);
}

static void write_event__dropped__then_drop_count_increases(void)
{
    LaneFixture *fixture = lane_fixture_create(ADA_LANE_INDEX, ADA_INDEX_RINGS, RING);

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    for (uint32_t i = 0; i < ADA_INDEX_RINGS * RING_EVENTS; i++)
        CU_ASSERT_EQUAL(lane_fixture_write(fixture, 1, i), 0);
    for (uint32_t i = 1; i <= 10; i++) {
        CU_ASSERT_TRUE(lane_fixture_write(fixture, 1, i) < 0);
        CU_ASSERT_EQUAL(fixture->metrics.counters.dropped_full, i);
        CU_ASSERT_EQUAL(fixture->metrics.pressure.pool_exhausted, i);
    }
    CU_ASSERT_EQUAL(metrics_dropped(&fixture->metrics), 10);
    CU_ASSERT_EQUAL(lane_events_written(&fixture->lane), ADA_INDEX_RINGS * RING_EVENTS);
    CU_ASSERT_EQUAL(fixture->metrics.swaps.count, ADA_INDEX_RINGS - 1);
    lane_fixture_destroy(fixture);
}

/*
 * Metrics cost the event path nothing at all: it neither reads nor writes them, or it would end here. What the path
 * itself costs is counted in instructions (tools/check-instructions) and measured in bench_event.
 */
static void event_write__with_metrics__then_under_5ns(void)
{
    LaneFixture *fixture = lane_fixture_create(ADA_LANE_INDEX, ADA_INDEX_RINGS, RING);
    long page = sysconf(_SC_PAGESIZE);
    ada_lane_metrics_t *metrics =
        mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    CU_ASSERT_PTR_NOT_EQUAL_FATAL(metrics, MAP_FAILED);
    fixture->producer.metrics = metrics;
    CU_ASSERT_EQUAL_FATAL(mprotect(metrics, (size_t)page, PROT_NONE), 0);
    for (uint32_t i = 0; i < RING_EVENTS; i++)
        CU_ASSERT_TRUE(lane_write_index(&fixture->producer, ADA_WORD(ADA_KIND_INSTANT, 0, 0), 1, i, 0));
    CU_ASSERT_EQUAL(lane_events_written(&fixture->lane), RING_EVENTS);
    CU_ASSERT_EQUAL_FATAL(mprotect(metrics, (size_t)page, PROT_READ | PROT_WRITE), 0);
    /* The next one swaps: now the ring is counted. */
    CU_ASSERT_EQUAL(lane_fixture_write(fixture, 1, RING_EVENTS), 0);
    CU_ASSERT_EQUAL(metrics->counters.written, RING_EVENTS);
    CU_ASSERT_EQUAL(metrics->counters.written_bytes, RING_EVENTS * ADA_INDEX_EVENT_SIZE);
    CU_ASSERT_EQUAL(metrics->swaps.count, 1);
    (void)munmap(metrics, (size_t)page);
    lane_fixture_destroy(fixture);
}

static void swap__measured__then_count_total_maximum_and_average(void)
{
    ada_thread_metrics_t metrics;
    ada_lane_metrics_t *lane = &metrics.lanes[ADA_LANE_INDEX];
    uint64_t begin;

    metrics_init(&metrics);
    begin = metrics_swap_begin();
    metrics_swap_end(lane, begin - 1000000000);
    metrics_swap_end(lane, metrics_swap_begin());
    CU_ASSERT_EQUAL(lane->swaps.count, 2);
    CU_ASSERT_TRUE(lane->swaps.max_ticks >= 1000000000);
    CU_ASSERT_TRUE(lane->swaps.ticks >= lane->swaps.max_ticks);
    CU_ASSERT_EQUAL(metrics_swap_average(lane), lane->swaps.ticks / 2);
}

static const TestCase tests[] = {
    TEST(metrics_counter__increment__then_increases),
    TEST(metrics_counter__at_its_maximum__then_saturates),
    TEST(metrics_counter__concurrent_updates__then_accurate_total),
    TEST(write_event__success__then_metrics_updated),
    TEST(write_event__dropped__then_drop_count_increases),
    TEST(event_write__with_metrics__then_under_5ns),
    TEST(swap__measured__then_count_total_maximum_and_average),
};
TEST_MAIN("metrics_counters", tests)
