/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tests/bench/bench_support.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/lane/atomic.h"

/* ---- program ---------------------------------------------------------------------------------- */

void bench_check(int result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "bench: %s: %s\n", what, strerror(-result));
    exit(1);
}

void bench_pin_thread(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    (void)sched_setaffinity(0, sizeof(set), &set);
}

void bench_parse_options(int argc, char **argv, BenchOptions *options)
{
    static const struct option known[] = {
        {"json", no_argument, NULL, 'j'},          {"disabled", no_argument, NULL, 'd'},
        {"rounds", required_argument, NULL, 'r'},  {"operations", required_argument, NULL, 'o'},
        {"threads", required_argument, NULL, 't'}, {"callgrind", required_argument, NULL, 'c'},
        {"label", required_argument, NULL, 'l'},   {0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 'j')
            options->json = true;
        else if (option == 'd')
            options->disabled = true;
        else if (option == 'r')
            options->rounds = strtoul(optarg, NULL, 10);
        else if (option == 'o')
            options->operations = strtoul(optarg, NULL, 10);
        else if (option == 't')
            options->threads = strtoul(optarg, NULL, 10);
        else if (option == 'c')
            options->callgrind = strtoul(optarg, NULL, 10);
        else if (option == 'l')
            options->label = optarg;
        else
            exit(2);
    }
    if (optind != argc || options->rounds == 0 || options->operations == 0) {
        fprintf(stderr, "%s: bad arguments\n", argv[0]);
        exit(2);
    }
}

double bench_ticks_per_second(void)
{
    static double measured;

    if (measured == 0.0) {
        uint64_t start_ns = bench_now_ns();
        uint64_t start = bench_read_ticks();
        uint64_t now_ns;
        do
            now_ns = bench_now_ns();
        while (now_ns - start_ns < 20000000u);
        measured = (double)(bench_read_ticks() - start) * 1e9 / (double)(now_ns - start_ns);
    }
    return measured;
}

static double *samples_alloc(size_t count)
{
    double *samples = calloc(count ? count : 1, sizeof(*samples));

    bench_check(samples ? 0 : -ENOMEM, "allocating samples");
    return samples;
}

/* ---- summaries -------------------------------------------------------------------------------- */

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;

    return (a > b) - (a < b);
}

BenchSummary bench_summarize(double *samples, size_t count)
{
    BenchSummary summary = {0};

    if (count == 0)
        return summary;
    qsort(samples, count, sizeof(*samples), compare_doubles);
    summary.minimum = samples[0];
    summary.p10 = samples[(count - 1) / 10];
    summary.median = (samples[(count - 1) / 2] + samples[count / 2]) / 2.0;
    summary.p90 = samples[(count - 1) - (count - 1) / 10];
    summary.samples = count;
    return summary;
}

/* ---- cases ------------------------------------------------------------------------------------ */

static double run_batch(const BenchCase *subject)
{
    uint64_t start = bench_now_ns();

    subject->body(subject->context, subject->operations);
    return (double)(bench_now_ns() - start) / (double)subject->operations;
}

/* The quickest of a few tries decides: one that was interrupted would make the batches too small. */
static void calibrate(BenchCase *subject)
{
    uint64_t operations = 16;

    for (;;) {
        double best = INFINITY;
        subject->operations = operations;
        for (int i = 0; i < 5; i++)
            best = fmin(best, run_batch(subject) * (double)operations);
        if (best >= BENCH_BATCH_NS / 4.0) {
            double scaled = (double)operations * BENCH_BATCH_NS / best;
            subject->operations = scaled < 1.0 ? 1 : (uint64_t)scaled;
            return;
        }
        operations *= 2;
    }
}

void bench_cases_run(BenchCase *cases, size_t count, const BenchRun *run)
{
    for (size_t i = 0; i < count; i++) {
        if (cases[i].operations == 0)
            calibrate(&cases[i]);
        cases[i].samples = samples_alloc(run->rounds);
        cases[i].rounds = run->rounds;
        (void)run_batch(&cases[i]);
    }

    uint64_t due = bench_now_ns();
    for (size_t round = 0; round < run->rounds; round++) {
        if (run->between)
            run->between(run->context);
        while (bench_now_ns() < due)
            bench_pause();
        due += run->period_ns;
        for (size_t i = 0; i < count; i++)
            cases[i].samples[round] = run_batch(&cases[i]);
    }
}

void bench_cases_free(BenchCase *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(cases[i].samples);
        cases[i].samples = NULL;
    }
}

double bench_case_minimum(const BenchCase *subject)
{
    double least = INFINITY;

    for (size_t i = 0; i < subject->rounds; i++)
        least = fmin(least, subject->samples[i]);
    return least;
}

void bench_cases_fold(BenchCase *cases, size_t count, size_t group)
{
    for (size_t i = 0; i < count; i++) {
        double *samples = cases[i].samples;
        size_t folded = cases[i].rounds / group;
        for (size_t to = 0; to < folded; to++) {
            double sum = 0;
            for (size_t from = 0; from < group; from++)
                sum += samples[to * group + from];
            samples[to] = sum / (double)group;
        }
        cases[i].rounds = folded;
    }
}

void bench_cases_keep_undisturbed(BenchCase *cases, size_t count, const BenchCase *loop, double quickest_ns)
{
    size_t kept = 0;
    size_t rounds = loop->rounds;

    for (size_t round = 0; round < rounds; round++) {
        bool undisturbed = loop->samples[round] <= quickest_ns * 1.5;
        for (size_t i = 0; undisturbed && i < count; i++)
            cases[i].samples[kept] = cases[i].samples[round];
        kept += undisturbed;
    }
    for (size_t i = 0; i < count; i++)
        cases[i].rounds = kept;
}

typedef enum Combination { SUBJECT_ALONE, RATIO, DIFFERENCE } Combination;

/*
 * The minimum of a ratio or difference is that of the two minima: the smallest sample would show the
 * reference's worst moment.
 */
static BenchSummary summarize_cases(const BenchCase *subject, const BenchCase *reference, Combination how)
{
    double *samples = samples_alloc(subject->rounds);

    for (size_t i = 0; i < subject->rounds; i++) {
        samples[i] = subject->samples[i];
        if (how == RATIO)
            samples[i] /= reference->samples[i];
        else if (how == DIFFERENCE)
            samples[i] -= reference->samples[i];
    }
    BenchSummary summary = bench_summarize(samples, subject->rounds);
    if (how == RATIO)
        summary.minimum = bench_case_minimum(subject) / bench_case_minimum(reference);
    else if (how == DIFFERENCE)
        summary.minimum = bench_case_minimum(subject) - bench_case_minimum(reference);
    free(samples);
    return summary;
}

BenchSummary bench_case_summary(const BenchCase *subject)
{
    return summarize_cases(subject, NULL, SUBJECT_ALONE);
}

BenchSummary bench_case_ratio(const BenchCase *subject, const BenchCase *reference)
{
    return summarize_cases(subject, reference, RATIO);
}

BenchSummary bench_case_difference(const BenchCase *subject, const BenchCase *reference)
{
    return summarize_cases(subject, reference, DIFFERENCE);
}

/* ---- floors ----------------------------------------------------------------------------------- */

#define FLOOR_RING_WORDS (65536u / sizeof(uint64_t))

static struct FloorRing {
    _Alignas(128) uint64_t words[FLOOR_RING_WORDS];
    _Alignas(128) uint64_t position;
} floor_ring;

static void floor_loop(void *context, uint64_t operations)
{
    (void)context;
    for (uint64_t i = 0; i < operations; i++)
        BENCH_KEEP(i);
}

static void floor_clock(void *context, uint64_t operations)
{
    (void)context;
    for (uint64_t i = 0; i < operations; i++)
        BENCH_KEEP(bench_read_ticks());
}

static inline void store_event(uint64_t *words, uint64_t argument)
{
    words[0] = bench_read_ticks();
    words[1] = (uint64_t)(uintptr_t)words;
    words[2] = argument;
    words[3] = 5;
}

static void floor_store(void *context, uint64_t operations)
{
    struct FloorRing *ring = context;
    uint64_t place = 0;

    for (uint64_t i = 0; i < operations; i++) {
        store_event(&ring->words[place], i);
        BENCH_KEEP_MEMORY(ring);
        place = (place + 4) & (FLOOR_RING_WORDS - 1);
    }
}

static void floor_release(void *context, uint64_t operations)
{
    struct FloorRing *ring = context;
    uint64_t place = 0;

    for (uint64_t i = 0; i < operations; i++) {
        store_event(&ring->words[place], i);
        place = (place + 4) & (FLOOR_RING_WORDS - 1);
        ada_store_release(&ring->position, place); /* as an event does; nobody acquires it */
        BENCH_KEEP_MEMORY(ring);
    }
}

void bench_floor_cases(BenchCase *cases)
{
    cases[BENCH_FLOOR_LOOP] = (BenchCase){.name = "empty loop", .body = floor_loop};
    cases[BENCH_FLOOR_CLOCK] = (BenchCase){.name = "rdtsc", .body = floor_clock};
    cases[BENCH_FLOOR_STORE] =
        (BenchCase){.name = "rdtsc + 32-byte store", .body = floor_store, .context = &floor_ring};
    cases[BENCH_FLOOR_RELEASE] =
        (BenchCase){.name = "rdtsc + 32-byte store + release", .body = floor_release, .context = &floor_ring};
}

/* ---- report ----------------------------------------------------------------------------------- */

void bench_report_init(BenchReport *report, const char *benchmark)
{
    memset(report, 0, sizeof(*report));
    report->benchmark = benchmark;
}

void bench_report_add(BenchReport *report, const BenchRow *row)
{
    bench_check(report->count < BENCH_ROWS_MAX ? 0 : -ENOSPC, "adding a row to the report");
    report->rows[report->count++] = *row;
}

void bench_report_add_case(BenchReport *report, const BenchCase *subject, const BenchCase *reference,
                           BenchTarget target, double limit)
{
    BenchRow row = {.name = subject->name,
                    .unit = "ns",
                    .summary = bench_case_summary(subject),
                    .target = target,
                    .limit = limit};

    if (reference) {
        row.reference = reference->name;
        row.ratio = bench_case_ratio(subject, reference).median;
    }
    bench_report_add(report, &row);
}

void bench_report_add_value(BenchReport *report, const char *name, const char *unit, double value,
                            BenchTarget target, double limit)
{
    BenchRow row = {.name = name,
                    .unit = unit,
                    .summary = {.median = value, .minimum = value, .p10 = value, .p90 = value, .samples = 1},
                    .target = target,
                    .limit = limit};

    bench_report_add(report, &row);
}

static bool target_is_met(const BenchRow *row)
{
    switch (row->target) {
    case BENCH_TARGET_MEDIAN_AT_MOST:
        return row->summary.median <= row->limit;
    case BENCH_TARGET_MEDIAN_AT_LEAST:
        return row->summary.median >= row->limit;
    case BENCH_TARGET_RATIO_AT_MOST:
        return row->ratio <= row->limit;
    case BENCH_TARGET_RATIO_AT_LEAST:
        return row->ratio >= row->limit;
    case BENCH_TARGET_NONE:
        break;
    }
    return true;
}

static const char *const target_names[] = {
    [BENCH_TARGET_NONE] = "none",
    [BENCH_TARGET_MEDIAN_AT_MOST] = "median <=",
    [BENCH_TARGET_MEDIAN_AT_LEAST] = "median >=",
    [BENCH_TARGET_RATIO_AT_MOST] = "ratio <=",
    [BENCH_TARGET_RATIO_AT_LEAST] = "ratio >=",
};

static void print_table(const BenchReport *report)
{
    printf("%s\n  %-46s %-9s %10s %10s %10s %10s   %s\n", report->benchmark, "", "unit", "median", "min",
           "p10", "p90", "ratio to");
    for (size_t i = 0; i < report->count; i++) {
        const BenchRow *row = &report->rows[i];
        printf("  %-46s %-9s %10.2f %10.2f %10.2f %10.2f", row->name, row->unit, row->summary.median,
               row->summary.minimum, row->summary.p10, row->summary.p90);
        if (row->reference)
            printf("   %.2f x %s", row->ratio, row->reference);
        if (row->target != BENCH_TARGET_NONE)
            printf("   [%s %g: %s]", target_names[row->target], row->limit,
                   target_is_met(row) ? "met" : "MISSED");
        printf("\n");
    }
}

/* Names are the benchmarks' own literals: they need no escapes. */
static void print_json(const BenchReport *report)
{
    printf("{\"version\":1,\"benchmark\":\"%s\",\"rows\":[", report->benchmark);
    for (size_t i = 0; i < report->count; i++) {
        const BenchRow *row = &report->rows[i];
        printf("%s{\"name\":\"%s\",\"unit\":\"%s\",\"median\":%.4f,\"minimum\":%.4f,\"p10\":%.4f,"
               "\"p90\":%.4f,\"samples\":%zu",
               i ? "," : "", row->name, row->unit, row->summary.median, row->summary.minimum,
               row->summary.p10, row->summary.p90, row->summary.samples);
        if (row->reference)
            printf(",\"ratio\":%.4f,\"reference\":\"%s\"", row->ratio, row->reference);
        if (row->target != BENCH_TARGET_NONE)
            printf(",\"target\":\"%s\",\"limit\":%g,\"met\":%s", target_names[row->target], row->limit,
                   target_is_met(row) ? "true" : "false");
        printf("}");
    }
    printf("]}\n");
}

void bench_report_print(const BenchReport *report, bool json)
{
    if (json)
        print_json(report);
    else
        print_table(report);
    fflush(stdout);
}
