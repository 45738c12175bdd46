/* SPDX-License-Identifier: MIT */
/*
 * What an iteration of the drain costs, and of what: the visits of N threads that have recorded since the last one,
 * and the write. Nothing else happens meanwhile: no thread sleeps or wakes, no timer fires for the load.
 *
 *     bench_visit [--threads N] [--operations EVENTS_PER_THREAD_AND_ITERATION] [--rounds N] [--json]
 *     valgrind --tool=callgrind bench_visit [--threads N] --callgrind VISITS
 *
 * The events are written on one core and drained on the other, to a file in the working directory that is removed. They
 * come in two bursts, as of a thread that has run twice. With --callgrind one thread does both in turn.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/bench/bench_support.h"
#include "user/drain/drain_iterator.h"
#include "user/lane/atomic.h"
#include "user/lane/lane_producer.h"
#include "user/registry/thread_registry.h"

#define BURST_PAUSE_NS 40000u

typedef struct Producer {
    LaneWriter writer;
    LaneProducer index;
} Producer;

typedef struct Visit {
    BenchOptions options;
    Segment segment;
    Producer *producers;
    DrainSource source;
    DrainMetrics metrics;
    DrainBatch batch;
    DrainIterator *iterator;
    uint64_t before_write; /* ticks */
    uint32_t filled;       /* iterations that there are events for */
    uint32_t drained;      /* iterations done */
    double *visits_us, *write_us;
} Visit;

static void before_write(void *context)
{
    ((Visit *)context)->before_write = bench_read_ticks();
}

static void add_thread(Visit *visit, uint32_t number)
{
    Producer *producer = &visit->producers[number];
    ThreadDrainState *state;
    ThreadLaneSet *lanes;
    int error = 0;

    lanes = thread_registry_register(&visit->segment, 1000 + number, 1, &error);
    bench_check(lanes ? 0 : error, "registering a thread");
    lane_producer_init(&producer->index, &producer->writer, &lanes->index,
                       &lanes->metrics.lanes[ADA_LANE_INDEX],
                       segment_at(&visit->segment, lanes->index.ring_pool_offset), visit->segment.header);
    lane_producer_set_hint(&producer->index, segment_registry(&visit->segment), lanes->slot_index);
    bench_check(
        register_thread_for_drain(visit->iterator, &visit->source, lanes->slot_index, number + 1, &state),
        "registering a thread for the drain");
}

static void set_up(Visit *visit)
{
    const DrainIteratorConfig drain = {
        .callbacks = {.before_write = before_write, .context = visit},
        .in_place_ns = 1,
        .scheduler = {.kind = DRAIN_SCHEDULER_ADAPTIVE},
    };
    const AdatWriterConfig writer_config = {0};
    char name[] = "bench_visit.XXXXXX";
    SegmentConfig config;
    AdatWriter *writer;
    int segment_fd, file;

    segment_config_init(&config);
    config.threads = (uint32_t)visit->options.threads;
    config.clock_kind = ada_clock_detect();
    config.enabled = 1;
    bench_check(segment_create(&config, &visit->segment, &segment_fd), "creating a segment");
    file = mkstemp(name);
    bench_check(file < 0 ? -errno : 0, "creating a file");
    (void)unlink(name);
    bench_check(adat_writer_create(file, &writer_config, &writer), "creating a trace");
    drain_batch_init(&visit->batch, writer, &visit->metrics);
    visit->batch.ns_per_cycle = 1e9 / bench_ticks_per_second();
    visit->source = (DrainSource){.segment = &visit->segment, .process = 1, .clock_kind = config.clock_kind};
    bench_check(drain_iterator_create(&drain, &visit->batch, &visit->iterator), "creating a drain");
    visit->producers = calloc(visit->options.threads, sizeof(visit->producers[0]));
    visit->visits_us = calloc(visit->options.rounds, sizeof(double));
    visit->write_us = calloc(visit->options.rounds, sizeof(double));
    bench_check(visit->producers && visit->visits_us && visit->write_us ? 0 : -ENOMEM, "allocating");
    for (uint32_t i = 0; i < visit->options.threads; i++)
        add_thread(visit, i);
}

static void burst(Visit *visit, size_t events)
{
    for (size_t i = 0; i < visit->options.threads; i++) {
        LaneProducer *index = &visit->producers[i].index;

        for (size_t event = 0; event < events; event++) {
            if (!lane_write_index(index, ADA_WORD(ADA_KIND_INSTANT, 0, 0), 5, event, 0))
                bench_check(lane_write_index_slow(index, ADA_WORD(ADA_KIND_INSTANT, 0, 0), 5, event, 0),
                            "recording");
        }
    }
}

static void pause_ns(uint64_t ns)
{
    uint64_t until = bench_now_ns() + ns;

    while (bench_now_ns() < until)
        bench_pause();
}

static void fill(Visit *visit)
{
    size_t first = visit->options.operations / 2;

    burst(visit, first);
    if (!visit->options.callgrind)
        pause_ns(BURST_PAUSE_NS);
    burst(visit, visit->options.operations - first);
}

static void *produce(void *argument)
{
    Visit *visit = argument;

    bench_pin_thread(BENCH_PRODUCER_CPU);
    for (uint32_t i = 0; i < visit->options.rounds; i++) {
        fill(visit);
        ada_store_release(&visit->filled, i + 1);
        while (ada_load_acquire(&visit->drained) <= i)
            bench_pause();
    }
    return NULL;
}

static void iterate(Visit *visit, size_t round, double us_per_tick)
{
    uint64_t begin = bench_read_ticks();
    DrainIteration iteration;
    uint64_t end;

    drain_iteration(visit->iterator, false, &iteration);
    end = bench_read_ticks();
    bench_check(iteration.write_error, "writing");
    visit->visits_us[round] = (double)(visit->before_write - begin) * us_per_tick;
    visit->write_us[round] = (double)(end - visit->before_write) * us_per_tick;
}

static void measure(Visit *visit)
{
    double us_per_tick = 1e6 / bench_ticks_per_second();
    pthread_t producer;

    bench_check(-pthread_create(&producer, NULL, produce, visit), "starting a thread");
    bench_pin_thread(BENCH_COLLECTOR_CPU);
    for (uint32_t i = 0; i < visit->options.rounds; i++) {
        while (ada_load_acquire(&visit->filled) <= i)
            bench_pause();
        iterate(visit, i, us_per_tick);
        ada_store_release(&visit->drained, i + 1);
    }
    (void)pthread_join(producer, NULL);
}

static void report(Visit *visit)
{
    BenchRow row = {.unit = "us"};
    BenchReport report;

    bench_report_init(&report, "visit");
    row.name = "iteration up to the write";
    row.summary = bench_summarize(visit->visits_us, visit->options.rounds);
    bench_report_add(&report, &row);
    row.name = "write";
    row.summary = bench_summarize(visit->write_us, visit->options.rounds);
    bench_report_add(&report, &row);
    bench_report_add_value(&report, "bytes of an iteration", "bytes",
                           (double)adat_writer_bytes(visit->batch.writer) / (double)visit->options.rounds,
                           BENCH_TARGET_NONE, 0);
    bench_report_print(&report, visit->options.json);
}

int main(int argc, char **argv)
{
    static Visit visit = {.options = {.rounds = 20000, .threads = 64, .operations = 27}};

    bench_parse_options(argc, argv, &visit.options);
    set_up(&visit);
    if (visit.options.callgrind) {
        for (size_t i = 0; i < visit.options.callgrind / visit.options.threads; i++) {
            fill(&visit);
            iterate(&visit, 0, 1);
        }
        return 0;
    }
    measure(&visit);
    report(&visit);
    return 0;
}
