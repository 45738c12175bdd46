/* SPDX-License-Identifier: MIT */
/*
 * What an event costs the thread that records it, through the public interface.
 *
 *     bench_event                                     nobody records: the price of being ready
 *     adatrace record --policy block -- bench_event   with a collector that drains into a file
 *     bench_event --callgrind N [--label event|fields|functions]
 *                                                     N events and nothing else (see bench_segment.c)
 *
 * Recorded, it also prints how many events it has emitted, so that the file can be checked against it: what
 * is measured must not be the cost of losing events. The collector belongs on the other core (taskset).
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <adatrace/adatrace.h>

#include "tests/bench/bench_load.h"

#define SPACED_EVENTS 20000u
#define NEW_THREADS 40u /* fewer than the slots of a segment by default */

static uint64_t events_emitted;

static void emit_instant(void *context, uint64_t operations)
{
    (void)context;
    for (uint64_t i = 0; i < operations; i++)
        ADA_INSTANT("bench.instant", i);
    events_emitted += operations;
}

static void emit_directly(void *context, uint64_t operations)
{
    static ada_event event = {.name = "bench.direct", .kind = ADA_EVENT_INSTANT};

    (void)context;
    for (uint64_t i = 0; i < operations; i++)
        (void)ada_emit(&event, ADA_EVENT_INSTANT, i);
    events_emitted += operations;
}

static void emit_fields(void *context, uint64_t operations)
{
    (void)context;
    for (uint64_t i = 0; i < operations; i++)
        ADA_EVENT("bench.fields", (u64, id, 1), (u64, argument, i), (u64, word, 5));
    events_emitted += operations;
}

static void emit_functions(void *context, uint64_t operations)
{
    (void)context;
    for (uint64_t i = 0; i < operations; i++) {
        ada_function_entry(&events_emitted, &operations);
        ada_function_exit(&events_emitted, &operations);
    }
    events_emitted += 2 * operations;
}

static void wait_until(uint64_t due)
{
    while (bench_read_ticks() < due)
        ;
}

/*
 * One event a microsecond, evenly: the clock is read before and after. The floor takes its turn half a
 * microsecond later.
 */
static void measure_spaced(BenchReport *report)
{
    static double samples[2][SPACED_EVENTS];
    BenchCase floors[BENCH_FLOORS];
    double ns_per_tick = 1e9 / bench_ticks_per_second();
    uint64_t half = (uint64_t)(500 / ns_per_tick);
    uint64_t due = bench_read_ticks();

    bench_floor_cases(floors);
    const BenchCase *store = &floors[BENCH_FLOOR_STORE];
    for (uint32_t i = 0; i < SPACED_EVENTS; i++) {
        uint64_t start, end;
        wait_until(due += half);
        start = bench_read_ticks();
        store->body(store->context, 1);
        end = bench_read_ticks();
        samples[0][i] = (double)(end - start) * ns_per_tick;
        wait_until(due += half);
        start = bench_read_ticks();
        emit_instant(NULL, 1);
        end = bench_read_ticks();
        samples[1][i] = (double)(end - start) * ns_per_tick;
    }
    BenchCase cases[] = {
        {.name = "rdtsc + 32-byte store, evenly spaced", .samples = samples[0], .rounds = SPACED_EVENTS},
        {.name = "event, evenly spaced, between two rdtsc", .samples = samples[1], .rounds = SPACED_EVENTS},
    };
    bench_report_add_case(report, &cases[0], NULL, BENCH_TARGET_NONE, 0);
    bench_report_add_case(report, &cases[1], &cases[0], BENCH_TARGET_NONE, 0);
}

static void *time_thread_init(void *sample)
{
    bench_pin_thread(BENCH_PRODUCER_CPU);
    uint64_t start = bench_now_ns();
    int result = ada_thread_init();
    *(double *)sample = (double)(bench_now_ns() - start);
    bench_check(result, "ada_thread_init()");
    return NULL;
}

static void measure_thread_init(BenchReport *report)
{
    double samples[NEW_THREADS];

    for (size_t i = 0; i < NEW_THREADS; i++) {
        pthread_t thread;
        bench_check(-pthread_create(&thread, NULL, time_thread_init, &samples[i]), "starting a thread");
        (void)pthread_join(thread, NULL);
    }
    BenchRow row = {.name = "ada_thread_init() of a new thread",
                    .unit = "ns",
                    .summary = bench_summarize(samples, NEW_THREADS)};
    bench_report_add(report, &row);
}

static void measure_recorded(BenchReport *report, const BenchOptions *options)
{
    BenchLoad load = {.name = "event",
                      .body = emit_instant,
                      .target = BENCH_TARGET_RATIO_AT_MOST,
                      .limit = 1.15,
                      .undisturbed = "event, core undisturbed"};

    bench_load_paced(report, &load, options->rounds);
    load.name = "event, flat out";
    load.limit = 1.3;
    bench_load_flat_out(report, &load, options->rounds / 50 + 1, options->operations);

    BenchLoad fields = {.name = "event with three fields", .body = emit_fields};
    bench_load_paced(report, &fields, options->rounds);
    fields.name = "event with three fields, flat out";
    bench_load_flat_out(report, &fields, options->rounds / 100 + 1, options->operations / 10 + 1);

    measure_spaced(report);
    measure_thread_init(report);
    bench_report_add_value(report, "events emitted", "events", (double)events_emitted, BENCH_TARGET_NONE, 0);
}

static void measure_off(BenchReport *report, const BenchOptions *options)
{
    BenchLoad load = {.name = "event, not attached, over the empty loop",
                      .body = emit_instant,
                      .target = BENCH_TARGET_MEDIAN_AT_MOST,
                      .limit = 1.0};

    bench_load_off(report, &load, options->rounds);
    load = (BenchLoad){.name = "ada_emit() without its macro, not attached, over the empty loop",
                       .body = emit_directly};
    bench_load_off(report, &load, options->rounds);
}

/* Room does not come back where nobody drains: if the last event gets its place, all did. */
static void emit_for_callgrind(const BenchOptions *options)
{
    static ada_event last = {.name = "bench.last", .kind = ADA_EVENT_INSTANT};

    if (strcmp(options->label, "fields") == 0)
        emit_fields(NULL, options->callgrind);
    else if (strcmp(options->label, "functions") == 0)
        emit_functions(NULL, options->callgrind);
    else
        emit_instant(NULL, options->callgrind);
    bench_check(ada_emit(&last, ADA_EVENT_INSTANT, 0), "recording the last event");
}

int main(int argc, char **argv)
{
    BenchOptions options = {.rounds = 1000, .operations = 1000000, .label = "event"};
    BenchReport report;

    bench_parse_options(argc, argv, &options);
    if (options.callgrind) {
        emit_for_callgrind(&options);
        return 0;
    }

    bench_pin_thread(BENCH_PRODUCER_CPU);
    bench_report_init(&report, ada_enabled() ? "event" : "event-off");
    if (ada_enabled())
        measure_recorded(&report, &options);
    else
        measure_off(&report, &options);
    bench_report_print(&report, options.json);
    return 0;
}
