/* SPDX-License-Identifier: MIT */
/*
 * What collecting metrics costs the drain thread: a real session whose snapshots say so themselves, with all
 * threads recording between two of them.
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
    BenchRow row = {.name = name, .unit = "ns", .target = BENCH_TARGET_MEDIAN_AT_MOST, .limit = limit_ns};
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
    segment_unmap(&program.segment);
    close(program.fd);
    free(program.threads);
    row.summary = bench_summarize(samples, collections);
    bench_report_add(report, &row);
    free(samples);
}

int main(int argc, char **argv)
{
    BenchOptions options = {.rounds = 300, .operations = 1};
    BenchReport report;

    bench_parse_options(argc, argv, &options);
    bench_report_init(&report, "metrics");
    if (options.threads > 0) {
        measure(&report, "a collection", (uint32_t)options.threads, 1e6, options.rounds);
    } else {
        measure(&report, "a collection, 64 threads", 64, 1e4, options.rounds);
        measure(&report, "a collection, 4,096 threads", 4096, 1e6, options.rounds);
    }
    bench_report_print(&report, options.json);
    return 0;
}
