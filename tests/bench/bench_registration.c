/* SPDX-License-Identifier: MIT */
/*
 * What it costs a thread to get its lanes: thread_registry_register() and the binding of both lanes to the
 * producer's side, in slots whose pages exist already (segment_prefault_slot()). No system call is in it:
 * what a thread asks of the kernel besides (gettid, its name) is in bench_event's ada_thread_init().
 *
 *     bench_registration [--json] [--rounds N]
 *
 *   recycled  64 slots, taken and given back again and again: their lines are in the cache
 *   fresh     4,096 slots, each taken for the first time: more than the cache holds
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/bench/bench_support.h"
#include "user/lane/lane_producer.h"
#include "user/registry/thread_registry.h"

#define BATCH 64u

typedef struct Registration {
    Segment segment;
    ThreadLaneSet *sets[BATCH];
    LaneProducer producers[2];
    LaneWriter writers[2];
} Registration;

static void open_segment(Segment *segment, uint32_t threads)
{
    SegmentConfig config;
    int fd;

    segment_config_init(&config);
    config.threads = threads;
    config.ring_bytes = ADA_RING_BYTES_MIN;
    config.enabled = 1;
    bench_check(segment_create(&config, segment, &fd), "creating a segment");
    for (uint32_t slot = 0; slot < threads; slot++)
        bench_check(segment_prefault_slot(segment, slot), "prefaulting a slot");
    (void)close(fd);
}

static void register_thread(Registration *self, uint32_t index)
{
    const SegmentGeometry *geometry = &self->segment.geometry;
    ThreadLaneSet *set;
    int error = 0;

    set = thread_registry_register(&self->segment, 1000 + index, bench_read_ticks(), &error);
    bench_check(set ? 0 : error, "registering");
    uint32_t slot = set->slot_index;
    lane_producer_init(&self->producers[0], &self->writers[0], &set->index, &set->metrics.lanes[ADA_LANE_INDEX],
                       segment_at(&self->segment, segment_rings_offset(geometry, slot, ADA_LANE_INDEX)),
                       self->segment.header);
    lane_producer_init(&self->producers[1], &self->writers[1], &set->detail,
                       &set->metrics.lanes[ADA_LANE_DETAIL],
                       segment_at(&self->segment, segment_rings_offset(geometry, slot, ADA_LANE_DETAIL)),
                       self->segment.header);
    BENCH_KEEP_MEMORY(self->producers);
    self->sets[index] = set;
}

static double register_batch(Registration *self)
{
    uint64_t start = bench_now_ns();

    for (uint32_t i = 0; i < BATCH; i++)
        register_thread(self, i);
    return (double)(bench_now_ns() - start) / BATCH;
}

static void release_batch(const Registration *self)
{
    for (uint32_t i = 0; i < BATCH; i++)
        if (!thread_registry_unregister(&self->segment, self->sets[i]) ||
            !thread_registry_release(&self->segment, self->sets[i]))
            bench_check(-EPROTO, "releasing a slot");
}

static void measure(Registration *self, BenchReport *report, const char *name, uint32_t slots, size_t rounds)
{
    double *samples = calloc(rounds, sizeof(*samples));
    BenchRow row = {.name = name, .unit = "ns", .target = BENCH_TARGET_MEDIAN_AT_MOST, .limit = 500};

    bench_check(samples ? 0 : -ENOMEM, "allocating samples");
    open_segment(&self->segment, slots);
    if (slots == BATCH) {
        for (size_t round = 0; round < rounds; round++) {
            samples[round] = register_batch(self);
            release_batch(self);
        }
    } else {
        rounds = slots / BATCH < rounds ? slots / BATCH : rounds;
        for (size_t round = 0; round < rounds; round++)
            samples[round] = register_batch(self);
    }
    row.summary = bench_summarize(samples, rounds);
    bench_report_add(report, &row);
    segment_unmap(&self->segment);
    free(samples);
}

int main(int argc, char **argv)
{
    static Registration registration;
    BenchOptions options = {.rounds = 1000, .operations = 1};
    BenchReport report;

    bench_parse_options(argc, argv, &options);
    bench_pin_thread(BENCH_PRODUCER_CPU);
    bench_report_init(&report, "registration");
    measure(&registration, &report, "registration, recycled slot", BATCH, options.rounds);
    measure(&registration, &report, "registration, fresh prefaulted slot", ADA_THREADS_MAX, options.rounds);
    bench_report_print(&report, options.json);
    return 0;
}
