/* SPDX-License-Identifier: MIT */
#include "tests/bench/bench_load.h"

#define PACED_EVENTS 1000u

static BenchCase load_case(const BenchLoad *load, uint64_t operations)
{
    return (BenchCase){
        .name = load->name, .body = load->body, .context = load->context, .operations = operations};
}

void bench_load_paced(BenchReport *report, const BenchLoad *load, size_t rounds)
{
    BenchCase cases[BENCH_FLOORS + 1];
    BenchRun run = {.rounds = rounds, .period_ns = PACED_PERIOD_NS};
    const BenchCase *reference = &cases[BENCH_FLOOR_STORE];
    double quickest_loop;

    bench_floor_cases(cases);
    cases[BENCH_FLOORS] = load_case(load, PACED_EVENTS);
    bench_cases_run(cases, BENCH_FLOORS + 1, &run);
    quickest_loop = bench_case_minimum(&cases[BENCH_FLOOR_LOOP]);
    bench_cases_fold(cases, BENCH_FLOORS + 1, PACED_GROUP);
    for (size_t i = 0; i < BENCH_FLOORS; i++)
        bench_report_add_case(report, &cases[i], NULL, BENCH_TARGET_NONE, 0);
    bench_report_add_case(report, &cases[BENCH_FLOORS], reference, load->target, load->limit);
    if (load->undisturbed) {
        bench_cases_keep_undisturbed(cases, BENCH_FLOORS + 1, &cases[BENCH_FLOOR_LOOP], quickest_loop);
        cases[BENCH_FLOORS].name = load->undisturbed;
        if (cases[BENCH_FLOORS].rounds > 0)
            bench_report_add_case(report, &cases[BENCH_FLOORS], reference, load->target, load->limit);
    }
    bench_cases_free(cases, BENCH_FLOORS + 1);
}

void bench_load_flat_out(BenchReport *report, const BenchLoad *load, size_t rounds, uint64_t operations)
{
    BenchCase floors[BENCH_FLOORS];
    BenchRun run = {.rounds = rounds};

    bench_floor_cases(floors);
    BenchCase cases[] = {floors[BENCH_FLOOR_STORE], load_case(load, operations)};
    cases[0].operations = operations;
    bench_cases_run(cases, 2, &run);
    bench_report_add_case(report, &cases[1], &cases[0], load->target, load->limit);
    bench_cases_free(cases, 2);
}

void bench_load_off(BenchReport *report, const BenchLoad *load, size_t rounds)
{
    BenchCase floors[BENCH_FLOORS];
    BenchRun run = {.rounds = rounds};

    bench_floor_cases(floors);
    BenchCase cases[] = {floors[BENCH_FLOOR_LOOP], load_case(load, 0)};
    bench_cases_run(cases, 2, &run);
    BenchRow row = {.name = load->name,
                    .unit = "ns",
                    .summary = bench_case_difference(&cases[1], &cases[0]),
                    .target = load->target,
                    .limit = load->limit};
    bench_report_add(report, &row);
    bench_cases_free(cases, 2);
}
