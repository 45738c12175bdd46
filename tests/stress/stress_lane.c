/* SPDX-License-Identifier: MIT */
/*
 * Many threads write, one reads, under each policy; every event is checked by its content.
 *
 *     stress_lane [THREADS [EVENTS]]      default: 64 threads with 50,000 events each
 */
#define _GNU_SOURCE
#include "lane_collector.h"
#include "test_support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* CUnit's tests take no arguments. */
static uint32_t thread_total = ADA_THREADS_DEFAULT;
static uint64_t events_each = 50000;

typedef struct Writer {
    const Segment *segment;
    pthread_t thread;
    uint32_t number;
} Writer;

static void *write_all(void *argument)
{
    const Writer *writer = argument;

    lane_collector_run_thread(writer->segment, writer->number, events_each);
    return NULL;
}

/* Runs the threads to their end; the caller checks the accounts and destroys the collector. */
static LaneCollector *run(uint32_t policy, uint32_t limit)
{
    Writer writers[ADA_THREADS_DEFAULT];
    LaneCollector *collector;
    SegmentConfig config;
    Segment segment;
    int fd = -1;

    segment_config_init(&config);
    config.ring_bytes = ADA_RING_BYTES_MIN;
    config.policy = policy;
    config.clock_kind = ada_clock_kind;
    CU_ASSERT_EQUAL_FATAL(segment_create(&config, &segment, &fd), 0);
    segment.header->attached = 1;
    collector = lane_collector_create(&segment, thread_total);
    CU_ASSERT_PTR_NOT_NULL_FATAL(collector);
    for (uint32_t i = 0; i < thread_total; i++) {
        writers[i] = (Writer){.segment = &segment, .number = i};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&writers[i].thread, NULL, write_all, &writers[i]), 0);
    }
    while (collector->released < thread_total && collector->protocol_errors == 0)
        lane_collector_visit(collector, limit);
    CU_ASSERT_EQUAL_FATAL(collector->protocol_errors, 0); /* else the threads may wait for ever */
    for (uint32_t i = 0; i < thread_total; i++)
        CU_ASSERT_EQUAL(pthread_join(writers[i].thread, NULL), 0);
    CU_ASSERT_EQUAL(segment_registry(&segment)->thread_count, 0);
    segment_unmap(&segment);
    (void)close(fd);
    return collector;
}

static void lane__many_threads_block__then_nothing_lost(void)
{
    LaneCollector *collector = run(ADA_POLICY_BLOCK, UINT32_MAX);

    for (uint32_t i = 0; i < thread_total; i++) {
        CU_ASSERT_EQUAL(collector->threads[i].taken, events_each);
        CU_ASSERT_EQUAL(collector->threads[i].next, events_each);
        CU_ASSERT_EQUAL(collector->threads[i].dropped, 0);
        CU_ASSERT_EQUAL(collector->threads[i].overwritten, 0);
        CU_ASSERT_EQUAL(collector->threads[i].wrong, 0);
    }
    lane_collector_destroy(collector);
}

static void lane__many_threads_discard_slow_reader__then_taken_and_dropped_are_all(void)
{
    LaneCollector *collector = run(ADA_POLICY_DISCARD, 20);
    uint64_t dropped = 0;

    for (uint32_t i = 0; i < thread_total; i++) {
        CU_ASSERT_EQUAL(collector->threads[i].taken + collector->threads[i].dropped, events_each);
        CU_ASSERT_EQUAL(collector->threads[i].overwritten, 0);
        CU_ASSERT_EQUAL(collector->threads[i].wrong, 0);
        dropped += collector->threads[i].dropped;
    }
    CU_ASSERT_TRUE(dropped > 0); /* else the reader was not slow */
    lane_collector_destroy(collector);
}

static void lane__many_threads_overwrite__then_taken_and_overwritten_are_all(void)
{
    LaneCollector *collector = run(ADA_POLICY_OVERWRITE, 20);
    uint64_t overwritten = 0;

    for (uint32_t i = 0; i < thread_total; i++) {
        const CollectedThread *thread = &collector->threads[i];

        /* Dropped: when a thread wanted a ring back while the reader was at the lane. */
        CU_ASSERT_EQUAL(thread->taken + thread->overwritten + thread->dropped, events_each);
        CU_ASSERT_EQUAL(thread->wrong, 0);
        overwritten += thread->overwritten;
    }
    CU_ASSERT_TRUE(overwritten > 0);
    lane_collector_destroy(collector);
}

static const TestCase tests[] = {
    TEST(lane__many_threads_block__then_nothing_lost),
    TEST(lane__many_threads_discard_slow_reader__then_taken_and_dropped_are_all),
    TEST(lane__many_threads_overwrite__then_taken_and_overwritten_are_all),
};

int main(int argc, char **argv)
{
    if (argc > 1)
        thread_total = (uint32_t)strtoul(argv[1], NULL, 10);
    if (argc > 2)
        events_each = strtoull(argv[2], NULL, 10);
    if (thread_total < 1 || thread_total > ADA_THREADS_DEFAULT) {
        fprintf(stderr, "stress_lane: threads: 1..%u\n", ADA_THREADS_DEFAULT);
        return 2;
    }
    return test_run("stress_lane", tests, sizeof(tests) / sizeof(tests[0]), 1, argv);
}
