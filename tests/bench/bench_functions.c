/* SPDX-License-Identifier: MIT */
/*
 * What the entry and the exit of an instrumented function cost, for whoever serves -finstrument-functions:
 *
 *     bench_functions --label none                                     libc's empty hooks
 *     uftrace record bench_functions --label uftrace
 *     LD_PRELOAD=libadatrace-functions.so adatrace record -- bench_functions --label adatrace
 *
 * One program for all of them. A call makes two events; figures are per call, above a call that is not
 * instrumented.
 */
#include <stdio.h>

#include "tests/bench/bench_load.h"
#include "tests/bench/functions_traced.h"

static uint64_t events_emitted;

static void call_traced(void *context, uint64_t operations)
{
    (void)context;
    for (uint64_t i = 0; i < operations; i++)
        BENCH_KEEP(functions_traced(i));
    events_emitted += 2 * operations;
}

static void call_plain(void *context, uint64_t operations)
{
    (void)context;
    for (uint64_t i = 0; i < operations; i++)
        BENCH_KEEP(functions_plain(i));
}

static void measure(BenchReport *report, const char *name, size_t rounds, uint64_t operations,
                    uint64_t period_ns)
{
    BenchCase floors[BENCH_FLOORS];
    BenchRun run = {.rounds = rounds, .period_ns = period_ns};

    bench_floor_cases(floors);
    BenchCase cases[] = {
        floors[BENCH_FLOOR_STORE],
        {.name = "call, not instrumented", .body = call_plain, .operations = operations},
        {.name = name, .body = call_traced, .operations = operations},
    };
    cases[0].operations = operations;
    bench_cases_run(cases, 3, &run);
    if (period_ns)
        bench_cases_fold(cases, 3, PACED_GROUP);
    BenchRow row = {.name = name,
                    .unit = "ns",
                    .summary = bench_case_difference(&cases[2], &cases[1]),
                    .reference = cases[0].name};
    row.ratio = row.summary.median / bench_case_summary(&cases[0]).median;
    bench_report_add(report, &row);
    bench_cases_free(cases, 3);
}

int main(int argc, char **argv)
{
    BenchOptions options = {.rounds = 1000, .operations = 200000, .label = "none"};
    BenchReport report;
    char benchmark[64];
    char paced[64];
    char flat_out[64];

    bench_parse_options(argc, argv, &options);
    bench_pin_thread(BENCH_PRODUCER_CPU);
    (void)snprintf(benchmark, sizeof(benchmark), "functions-%s", options.label);
    (void)snprintf(paced, sizeof(paced), "function entry + exit, %s", options.label);
    (void)snprintf(flat_out, sizeof(flat_out), "function entry + exit, %s, flat out", options.label);
    bench_report_init(&report, benchmark);
    measure(&report, paced, options.rounds, 500, PACED_PERIOD_NS); /* 1 M events/s */
    measure(&report, flat_out, options.rounds / 20 + 1, options.operations, 0);
    bench_report_add_value(&report, "events emitted", "events", (double)events_emitted, BENCH_TARGET_NONE, 0);
    bench_report_print(&report, options.json);
    return 0;
}
