/* SPDX-License-Identifier: MIT */
/*
 * Threads that come and go: each registers, writes a little, and ends; at most 64 live at a time.
 *
 *     stress_registry [THREADS]      default: 100,000
 */
#define _GNU_SOURCE
#include "lane_collector.h"
#include "test_support.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ALIVE ADA_THREADS_DEFAULT
#define EVENTS_EACH 10u

/* CUnit's tests take no arguments. */
static uint32_t thread_total = 100000;

typedef struct Life {
    const Segment *segment;
    pthread_t thread;
    uint32_t number;
} Life;

static void *live(void *argument)
{
    const Life *life = argument;

    lane_collector_run_thread(life->segment, life->number, EVENTS_EACH);
    return NULL;
}

static void *collect(void *argument)
{
    LaneCollector *collector = argument;

    while (collector->released < collector->thread_count) {
        lane_collector_visit(collector, UINT32_MAX);
        sched_yield();
    }
    return NULL;
}

static void thread_registry__100000_threads__then_every_event_and_no_slot_lost(void)
{
    static Life lives[ALIVE];
    LaneCollector *collector;
    SegmentConfig config;
    pthread_t thread;
    Segment segment;
    uint32_t bad = 0;
    int fd = -1;

    segment_config_init(&config);
    config.ring_bytes = ADA_RING_BYTES_MIN;
    CU_ASSERT_EQUAL_FATAL(segment_create(&config, &segment, &fd), 0);
    collector = lane_collector_create(&segment, thread_total);
    CU_ASSERT_PTR_NOT_NULL_FATAL(collector);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, collect, collector), 0);
    for (uint32_t i = 0; i < thread_total + ALIVE; i++) {
        Life *life = &lives[i % ALIVE];

        if (i >= ALIVE && i - ALIVE < thread_total)
            CU_ASSERT_EQUAL_FATAL(pthread_join(life->thread, NULL), 0);
        if (i < thread_total) {
            *life = (Life){.segment = &segment, .number = i};
            CU_ASSERT_EQUAL_FATAL(pthread_create(&life->thread, NULL, live, life), 0);
        }
    }
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);

    for (uint32_t i = 0; i < thread_total; i++) {
        const CollectedThread *one = &collector->threads[i];

        bad += one->taken != EVENTS_EACH || one->next != EVENTS_EACH || one->wrong != 0 || one->ended != 1;
    }
    CU_ASSERT_EQUAL(bad, 0);
    CU_ASSERT_EQUAL(collector->protocol_errors, 0);
    CU_ASSERT_EQUAL(segment_registry(&segment)->thread_count, 0);
    CU_ASSERT_EQUAL(segment_registry(&segment)->registrations, thread_total);
    CU_ASSERT_EQUAL(segment_registry(&segment)->free_slots[0], UINT64_MAX);
    lane_collector_destroy(collector);
    segment_unmap(&segment);
    (void)close(fd);
}

static const TestCase tests[] = {
    TEST(thread_registry__100000_threads__then_every_event_and_no_slot_lost),
};

int main(int argc, char **argv)
{
    if (argc > 1)
        thread_total = (uint32_t)strtoul(argv[1], NULL, 10);
    if (thread_total < 1) {
        fprintf(stderr, "stress_registry: threads: 1 or more\n");
        return 2;
    }
    return test_run("stress_registry", tests, sizeof(tests) / sizeof(tests[0]), 1, argv);
}
