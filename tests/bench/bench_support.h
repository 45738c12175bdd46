/* SPDX-License-Identifier: MIT */
/*
 * Measuring harness of the benchmarks.
 *
 * A *case* is a body that performs a number of operations. bench_cases_run() runs batches of all its cases in
 * turn, A B C A B C ..., each batch sized to last about BENCH_BATCH_NS: whatever disturbs the machine meets
 * all of them alike. A case ends with one sample per round, in ns per operation, so that ratios and
 * differences of two cases are taken round by round and summarized afterwards; a ratio of two medians
 * would mix moments in which the machine was differently fast.
 *
 * A *report* holds the rows that a benchmark prints: as a table, or as one JSON object on one line. A row may
 * have a ratio to another row, and a target for its median or for the ratio.
 *
 * The floors are what no traced event can go below on the machine at hand: an empty loop, the reading of the
 * clock, and the clock with 32 bytes stored. bench_floor_cases() makes them, for the same run.
 *
 * Not thread-safe: one thread measures and reports. Errors end the program; this is for main files.
 */
#ifndef ADA_BENCH_SUPPORT_H
#define ADA_BENCH_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_BATCH_NS 30000u
#define BENCH_PRODUCER_CPU 0
#define BENCH_COLLECTOR_CPU 1

/* The compiler must have `value` in a register here: the work that made it stays. Costs no instruction. */
#define BENCH_KEEP(value) __asm__ volatile("" : : "r"(value))
/* As BENCH_KEEP, and whatever memory holds may have been read and changed. */
#define BENCH_KEEP_MEMORY(pointer) __asm__ volatile("" : : "r"(pointer) : "memory")

/* The cycle counter that events are stamped with. */
static inline uint64_t bench_read_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
#error "no cycle counter known for this architecture"
#endif
}

static inline uint64_t bench_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline void bench_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Ticks of bench_read_ticks() in one second, measured once over some milliseconds. */
double bench_ticks_per_second(void);

/* ---- summaries -------------------------------------------------------------------------------- */

typedef struct BenchSummary {
    double median;
    double minimum;
    double p10;
    double p90;
    size_t samples;
} BenchSummary;

/* Sorts `samples` in place. */
BenchSummary bench_summarize(double *samples, size_t count);

/* ---- cases ------------------------------------------------------------------------------------ */

typedef void BenchBody(void *context, uint64_t operations);

typedef struct BenchCase {
    const char *name;
    BenchBody *body;
    void *context;
    uint64_t operations; /* in one batch; 0: calibrated so that a batch takes BENCH_BATCH_NS */
    double *samples;     /* the harness's: ns per operation, one for each round */
    size_t rounds;
} BenchCase;

typedef struct BenchRun {
    size_t rounds;
    uint64_t period_ns; /* a round starts every so often (open loop); 0: as soon as the last one ended */
    void (*between)(void *context); /* called outside the measured batches, once a round; may be NULL */
    void *context;
} BenchRun;

void bench_cases_run(BenchCase *cases, size_t count, const BenchRun *run);
void bench_cases_free(BenchCase *cases, size_t count);

/*
 * Replaces each `group` samples that follow each other by their mean: for costs that come once in several
 * batches, as a full ring does, which a median of batches would not show.
 */
void bench_cases_fold(BenchCase *cases, size_t count, size_t group);

/*
 * Keeps the samples of the rounds in which `loop`, one of the cases, took at most half as long again as
 * `quickest_ns`. Its iterations take a cycle of a core that nobody shares, and two where another virtual machine
 * runs on the core's other half: there the reading of the clock takes as long as ever, and all else
 * twice as long. No round may be left.
 */
void bench_cases_keep_undisturbed(BenchCase *cases, size_t count, const BenchCase *loop, double quickest_ns);
double bench_case_minimum(const BenchCase *subject);

BenchSummary bench_case_summary(const BenchCase *subject);

/* Of subject / reference, and of subject - reference, round by round. */
BenchSummary bench_case_ratio(const BenchCase *subject, const BenchCase *reference);
BenchSummary bench_case_difference(const BenchCase *subject, const BenchCase *reference);

enum {
    BENCH_FLOOR_LOOP,    /* for (i < n): nothing */
    BENCH_FLOOR_CLOCK,   /* reading the cycle counter */
    BENCH_FLOOR_STORE,   /* the same, and 32 bytes stored to the next place of a 64 KiB ring */
    BENCH_FLOOR_RELEASE, /* the same, and the position published by a release store */
    BENCH_FLOORS,
};

/* Fills cases[0 .. BENCH_FLOORS - 1]. Call once: they share one static ring. */
void bench_floor_cases(BenchCase *cases);

/* ---- report ----------------------------------------------------------------------------------- */

typedef enum BenchTarget {
    BENCH_TARGET_NONE,
    BENCH_TARGET_MEDIAN_AT_MOST,
    BENCH_TARGET_MEDIAN_AT_LEAST,
    BENCH_TARGET_RATIO_AT_MOST,
    BENCH_TARGET_RATIO_AT_LEAST,
} BenchTarget;

typedef struct BenchRow {
    const char *name;
    const char *unit;
    BenchSummary summary;
    const char *reference; /* name of the row that `ratio` compares to; NULL: no ratio */
    double ratio;
    BenchTarget target;
    double limit;
} BenchRow;

#define BENCH_ROWS_MAX 64

typedef struct BenchReport {
    const char *benchmark;
    BenchRow rows[BENCH_ROWS_MAX];
    size_t count;
} BenchReport;

void bench_report_init(BenchReport *report, const char *benchmark);
/* `row` is copied; its strings must outlive the report. */
void bench_report_add(BenchReport *report, const BenchRow *row);
/* Adds a row for a case; `reference` may be NULL. */
void bench_report_add_case(BenchReport *report, const BenchCase *subject, const BenchCase *reference,
                           BenchTarget target, double limit);
/* Adds a row that has one value only. */
void bench_report_add_value(BenchReport *report, const char *name, const char *unit, double value,
                            BenchTarget target, double limit);
void bench_report_print(const BenchReport *report, bool json);

/* ---- program ---------------------------------------------------------------------------------- */

/* Ends the program with a message when `result` (0 or -errno) is an error. */
void bench_check(int result, const char *what);

typedef struct BenchOptions {
    bool json;
    bool disabled;     /* measure what is not recorded */
    size_t rounds;     /* of interleaved batches */
    size_t operations; /* of one long batch, or in all: the benchmark says */
    size_t threads;
    size_t callgrind;  /* only emit so many events, to have their instructions counted */
    const char *label; /* names what is measured in the rows */
} BenchOptions;

/*
 * Reads --json, --disabled, --rounds N, --operations N, --threads N, --callgrind N and --label NAME over what
 * *options holds. Usage errors end the program with status 2.
 */
void bench_parse_options(int argc, char **argv, BenchOptions *options);

/* Pins the calling thread to a core; where there is no such core it stays where it is. */
void bench_pin_thread(int cpu);

#ifdef __cplusplus
}
#endif

#endif
