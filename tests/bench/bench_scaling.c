/* SPDX-License-Identifier: MIT */
/*
 * Events per second of many threads at once, until the last one was taken over by the recorder.
 *
 *     adatrace record --policy block -- bench_scaling --threads N [--operations EVENTS_IN_ALL] [--json]
 *
 * Nothing is pinned: the threads and the collector share the machine as they would. Prints how many events it
 * has emitted, to be checked against the file.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <adatrace/adatrace.h>

#include "tests/bench/bench_support.h"

#define FLUSH_TIMEOUT_MS 60000u

typedef struct Scaling {
    pthread_barrier_t ready;
    uint64_t events_per_thread;
} Scaling;

static void *emit_events(void *argument)
{
    Scaling *scaling = argument;

    bench_check(ada_thread_init(), "ada_thread_init()");
    (void)pthread_barrier_wait(&scaling->ready);
    for (uint64_t i = 0; i < scaling->events_per_thread; i++)
        ADA_INSTANT("bench.scaling", i);
    bench_check(ada_flush(FLUSH_TIMEOUT_MS), "ada_flush()");
    return NULL;
}

int main(int argc, char **argv)
{
    BenchOptions options = {.rounds = 1, .operations = 20000000, .threads = 1};
    Scaling scaling;
    BenchReport report;
    char name[64];

    bench_parse_options(argc, argv, &options);
    bench_check(ada_enabled() ? 0 : -EAGAIN, "run it under adatrace record: nobody records");
    scaling.events_per_thread = options.operations / options.threads;
    pthread_t *threads = calloc(options.threads, sizeof(*threads));
    bench_check(threads ? 0 : -ENOMEM, "allocating threads");
    int error = pthread_barrier_init(&scaling.ready, NULL, (unsigned)options.threads + 1);
    bench_check(-error, "making a barrier");
    for (size_t i = 0; i < options.threads; i++)
        bench_check(-pthread_create(&threads[i], NULL, emit_events, &scaling), "starting a thread");

    (void)pthread_barrier_wait(&scaling.ready);
    uint64_t start = bench_now_ns();
    for (size_t i = 0; i < options.threads; i++)
        (void)pthread_join(threads[i], NULL);
    double elapsed_ns = (double)(bench_now_ns() - start);
    double events = (double)(scaling.events_per_thread * options.threads);

    (void)snprintf(name, sizeof(name), "%zu thread%s", options.threads, options.threads == 1 ? "" : "s");
    bench_report_init(&report, "scaling");
    bench_report_add_value(&report, name, "M events/s", events * 1e3 / elapsed_ns,
                           options.threads == 64 ? BENCH_TARGET_MEDIAN_AT_LEAST : BENCH_TARGET_NONE, 10);
    bench_report_add_value(&report, "events emitted", "events", events, BENCH_TARGET_NONE, 0);
    bench_report_print(&report, options.json);
    (void)pthread_barrier_destroy(&scaling.ready);
    free(threads);
    return 0;
}
