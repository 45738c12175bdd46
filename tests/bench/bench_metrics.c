/* SPDX-License-Identifier: MIT */
/*
 * What metrics cost: the threads that record, and the drain thread that collects.
 *
 * Metrics add nothing to an event; that the path doesn't touch them is tested (test_metrics_counters). They are
 * counted when a ring is exchanged, so an event's part is that of a ring's events. What collecting costs says
 * a real session's snapshots themselves, with all threads recording between two of them.
 *
 *     bench_metrics [--json] [--rounds COLLECTIONS] [--threads N]      default: 64, then 4,096 threads
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/bench/bench_support.h"
#include "user/collector/session.h"
#include "user/lane/lane_producer.h"
#include "user/lane/thread_metrics.h"
#include "user/drain/drain_iterator.h"
#include "user/registry/thread_registry.h"

#define INTERVAL_NS 5000000ull
#define EVENTS 3u /* of each thread, between two collections */

typedef struct Thread {
    LaneWriter writer;
    LaneProducer producer;
} Thread;

typedef struct Program {
    Segment segment;
    int fd;
    uint32_t count;
    Thread *threads;
} Program;

static void start_program(Program *program, uint32_t count)
{
    SegmentConfig config;

    segment_config_init(&config);
    config.threads = count;
    config.ring_bytes = ADA_RING_BYTES_MIN;
    config.enabled = 1;
    bench_check(segment_create(&config, &program->segment, &program->fd), "creating a segment");
    program->segment.header->owner_pid = (uint32_t)getpid();
    ada_store_release(&program->segment.header->owner_ready, 1u);
    program->count = count;
    program->threads = calloc(count, sizeof(program->threads[0]));
    bench_check(program->threads ? 0 : -ENOMEM, "making threads");
    for (uint32_t i = 0; i < count; i++) {
        Thread *thread = &program->threads[i];
        int error = 0;
        ThreadLaneSet *lanes = thread_registry_register(&program->segment, (uint32_t)gettid(), 1, &error);

        bench_check(lanes ? 0 : error, "registering a thread");
        lane_producer_init(
            &thread->producer, &thread->writer, &lanes->index, &lanes->metrics.lanes[ADA_LANE_INDEX],
            segment_at(&program->segment, lanes->index.ring_pool_offset), program->segment.header);
        lane_producer_set_hint(&thread->producer, segment_registry(&program->segment), lanes->slot_index);
    }
}

static void stop_program(Program *program)
{
    segment_unmap(&program->segment);
    close(program->fd);
    free(program->threads);
}

static void record(Program *program)
{
    const uint32_t word = ADA_WORD(ADA_KIND_INSTANT, 0, 0);

    for (uint32_t i = 0; i < program->count; i++) {
        LaneProducer *producer = &program->threads[i].producer;

        for (uint32_t event = 0; event < EVENTS; event++)
            (void)(lane_write_index(producer, word, 1, event, 0) ||
                   lane_write_index_slow(producer, word, 1, event, 0) == 0);
    }
}

static Session *start_session(Program *program, MetricsHub *hub)
{
    static const char *const strings[] = {"command", "bench", NULL};
    SessionConfig config = {
        .strings = strings, .metrics_hub = hub, .metrics_interval_ns = INTERVAL_NS, .state_fd = -1};
    Session *session = NULL;
    uint32_t number;
    Segment mapping;

    bench_check(session_create(memfd_create("trace", MFD_CLOEXEC), &config, &session), "creating a session");
    bench_check(session_start(session), "starting a session");
    bench_check(segment_attach(program->fd, &mapping), "attaching the segment");
    bench_check(session_attach(session, &mapping, getpid(), &number), "attaching the program");
    return session;
}

/* ---- amid a recording: after a sleep, with lines that another core wrote ----------------------------- */

/* The cost of so many collections, in ns. */
static void collect_samples(Program *program, MetricsHub *hub, double *samples, size_t wanted)
{
    uint64_t sequence = 0;

    for (size_t count = 0; count < wanted;) {
        const MetricsSnapshot *snapshot = metrics_hub_acquire(hub);

        if (snapshot && snapshot->sequence > sequence && snapshot->threads_alive == program->count) {
            if (sequence != 0) /* the first ones of new threads touch new memory */
                samples[count++] = (double)snapshot->collect_ns;
            sequence = snapshot->sequence;
            record(program);
        }
        metrics_snapshot_release(snapshot);
        (void)usleep(500);
    }
}

static void measure(BenchReport *report, const char *name, uint32_t threads, double limit_ns, size_t collections)
{
    double *samples = calloc(collections, sizeof(*samples));
    BenchRow row = {.name = name,
                    .unit = "ns",
                    .target = limit_ns > 0 ? BENCH_TARGET_MEDIAN_AT_MOST : BENCH_TARGET_NONE,
                    .limit = limit_ns};
    Program program = {0};
    MetricsHub hub;
    Session *session;

    bench_check(samples ? 0 : -ENOMEM, "making room for samples");
    metrics_hub_init(&hub);
    start_program(&program, threads);
    session = start_session(&program, &hub);
    collect_samples(&program, &hub, samples, collections);
    bench_check(session_stop(session), "stopping the session");
    session_destroy(session);
    metrics_hub_fini(&hub);
    stop_program(&program);
    row.summary = bench_summarize(samples, collections);
    bench_report_add(report, &row);
    free(samples);
}

/* ---- aggregation: collecting by itself, one after the other --------------------------------------- */

typedef struct Aggregation {
    Program program;
    DrainMetrics metrics;
    DrainBatch batch;
    DrainSource source;
    DrainIterator *iterator;
    ThreadDrainState **states;
} Aggregation;

static void count_threads(void *context, size_t *processes_out, size_t *threads_out)
{
    const Aggregation *aggregation = context;

    *processes_out = 0;
    *threads_out = aggregation->program.count;
}

static void take(void *context, MetricsWindow *window, MetricsSnapshot *snapshot)
{
    Aggregation *aggregation = context;

    for (uint32_t i = 0; i < aggregation->program.count; i++) {
        MetricsThread *thread = &snapshot->threads[snapshot->thread_count++];

        thread_figures_take(aggregation->states[i], window, &thread->figures);
        metrics_figures_add(&snapshot->total, &thread->figures);
    }
}

static void start_aggregation(Aggregation *aggregation, uint32_t threads)
{
    AdatWriterConfig writer_config = {0};
    DrainIteratorConfig config = {.in_place_ns = 1};
    AdatWriter *writer = NULL;

    start_program(&aggregation->program, threads);
    aggregation->source = (DrainSource){
        .segment = &aggregation->program.segment, .process = 1, .clock_kind = ADA_CLOCK_MONOTONIC};
    bench_check(adat_writer_create(memfd_create("trace", MFD_CLOEXEC), &writer_config, &writer), "a trace");
    drain_batch_init(&aggregation->batch, writer, &aggregation->metrics);
    bench_check(drain_iterator_create(&config, &aggregation->batch, &aggregation->iterator), "a drain");
    aggregation->states = calloc(threads, sizeof(aggregation->states[0]));
    bench_check(aggregation->states ? 0 : -ENOMEM, "making states");
    for (uint32_t i = 0; i < threads; i++)
        bench_check(register_thread_for_drain(aggregation->iterator, &aggregation->source, i, i + 1,
                                              &aggregation->states[i]),
                    "registering a thread for the drain");
}

static void stop_aggregation(Aggregation *aggregation)
{
    drain_iterator_destroy(aggregation->iterator);
    adat_writer_destroy(aggregation->batch.writer);
    free(aggregation->states);
    stop_program(&aggregation->program);
}

static void measure_aggregation(BenchReport *report, uint32_t threads, size_t rounds)
{
    double *samples = calloc(rounds, sizeof(*samples));
    BenchRow row = {.name = "aggregation of 64 threads, in a row",
                    .unit = "ns",
                    .target = BENCH_TARGET_MEDIAN_AT_MOST,
                    .limit = 1e4};
    Aggregation aggregation = {0};
    MetricsSource source = {.count = count_threads, .take = take, .context = &aggregation};
    ada_global_metrics_t global;
    MetricsHub hub;

    bench_check(samples ? 0 : -ENOMEM, "making room for samples");
    metrics_hub_init(&hub);
    start_aggregation(&aggregation, threads);
    metrics_global_init(&global, &source, &hub, 1, bench_now_ns());
    for (size_t i = 0; i < rounds; i++) {
        DrainIteration iteration;
        uint64_t begin;

        record(&aggregation.program);
        drain_iteration(aggregation.iterator, true, &iteration);
        record(&aggregation.program); /* something is pending, something is in the file */
        begin = bench_now_ns();
        bench_check(metrics_collect_global(&global, begin) ? 0 : -EBUSY, "collecting");
        samples[i] = (double)(bench_now_ns() - begin);
    }
    row.summary = bench_summarize(samples, rounds);
    bench_report_add(report, &row);
    metrics_global_fini(&global);
    metrics_hub_fini(&hub);
    stop_aggregation(&aggregation);
    free(samples);
}

/* ---- counting ----------------------------------------------------------------------------------- */

/* All that metrics do when a ring is exchanged. */
static void count_swaps(void *context, uint64_t operations)
{
    ada_lane_metrics_t *metrics = context;

    for (uint64_t i = 0; i < operations; i++) {
        uint64_t begin = metrics_swap_begin();

        metrics_increment_written(metrics, 1, ADA_INDEX_EVENT_SIZE);
        metrics_swap_end(metrics, begin);
    }
}

static void measure_counting(BenchReport *report, size_t rounds)
{
    static ada_thread_metrics_t metrics;
    BenchCase swaps = {
        .name = "counting, for a ring", .body = count_swaps, .context = &metrics.lanes[ADA_LANE_INDEX]};
    BenchRow row = {
        .name = "counting, for an event", .unit = "ns", .target = BENCH_TARGET_MEDIAN_AT_MOST, .limit = 0.5};
    SegmentConfig config;
    BenchRun run = {.rounds = rounds};

    segment_config_init(&config);
    metrics_init(&metrics);
    bench_cases_run(&swaps, 1, &run);
    bench_report_add(report,
                     &(BenchRow){.name = swaps.name, .unit = "ns", .summary = bench_case_summary(&swaps)});
    for (size_t i = 0; i < swaps.rounds; i++)
        swaps.samples[i] /= (double)config.ring_bytes / ADA_INDEX_EVENT_SIZE * 7 / 8; /* an eighth is reserved */
    row.summary = bench_summarize(swaps.samples, swaps.rounds);
    bench_report_add(report, &row);
    bench_cases_free(&swaps, 1);
}

int main(int argc, char **argv)
{
    BenchOptions options = {.rounds = 300, .operations = 1};
    BenchReport report;

    bench_parse_options(argc, argv, &options);
    bench_report_init(&report, "metrics");
    measure_counting(&report, options.rounds);
    if (options.threads > 0) {
        measure(&report, "a collection", (uint32_t)options.threads, 1e6, options.rounds);
    } else {
        measure_aggregation(&report, 64, options.rounds);
        measure(&report, "amid a recording, 64 threads", 64, 0, options.rounds);
        measure(&report, "amid a recording, 4,096 threads", 4096, 1e6, options.rounds);
    }
    bench_report_print(&report, options.json);
    return 0;
}
