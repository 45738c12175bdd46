/* SPDX-License-Identifier: MIT */
#include "user/report/span_diff.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TAIL_SHARE 0.01
#define SQRT_2 1.41421356237309504880

/* ---- tests ------------------------------------------------------------------------------------ */

/* That a normal deviate is as far from 0 as `z`, on either side. */
static double normal_probability(double z)
{
    return erfc(fabs(z) / SQRT_2);
}

double span_diff_inflation(const SpanWindows *windows)
{
    double count = 0, sum = 0, between = 0, within, used = 0;

    if (!windows)
        return 1;
    for (size_t i = 0; i < SPAN_WINDOWS; i++) {
        if (windows->counts[i] == 0)
            continue;
        count += windows->counts[i];
        sum += windows->sums[i];
        between += windows->sums[i] * windows->sums[i] / windows->counts[i];
        used++;
    }
    if (used < 2 || count <= used)
        return 1;
    within = (windows->squares - between) / (count - used);
    between = (between - sum * sum / count) / (used - 1);
    if (between <= 0)
        return 1;
    if (within <= 0)
        return HUGE_VAL;
    return between > within ? between / within : 1;
}

SpanDiffResult span_diff_shift(const SpanHistogram *a, const SpanHistogram *b, double inflation)
{
    double count_a = (double)a->count, count_b = (double)b->count, all = count_a + count_b;
    double below_a = 0, wins = 0, ties = 0, variance;
    SpanDiffResult result = {.effect = 0.5, .probability = 1};

    if (a->count < SPAN_DIFF_LEAST || b->count < SPAN_DIFF_LEAST)
        return result;
    result.known = true;
    for (uint32_t bucket = 0; bucket < SPAN_HISTOGRAM_ALL; bucket++) {
        double in_a = (double)span_histogram_bucket(a, bucket), in_b = (double)span_histogram_bucket(b, bucket);
        double tied = in_a + in_b;

        wins += in_b * (below_a + in_a / 2);
        below_a += in_a;
        ties += tied * tied * tied - tied;
    }
    result.effect = wins / (count_a * count_b);
    variance = count_a * count_b / 12 * (all + 1 - ties / (all * (all - 1)));
    if (variance > 0)
        result.probability = normal_probability((wins - count_a * count_b / 2) / sqrt(variance * inflation));
    return result;
}

static double ratio(double a, double b)
{
    return a > 0 ? b / a : b > 0 ? HUGE_VAL : 1;
}

SpanDiffResult span_diff_tail(const SpanHistogram *a, const SpanHistogram *b, double inflation)
{
    double count_a = (double)a->count, count_b = (double)b->count, all = count_a + count_b;
    double tail_a = 0, tail_b = 0, pooled, variance;
    SpanDiffResult result = {.effect = 1, .probability = 1};

    if (a->count < SPAN_DIFF_LEAST || b->count < SPAN_DIFF_LEAST)
        return result;
    for (uint32_t bucket = SPAN_HISTOGRAM_ALL; bucket > 0; bucket--) {
        double in_a = (double)span_histogram_bucket(a, bucket - 1);
        double in_b = (double)span_histogram_bucket(b, bucket - 1);

        if (tail_a + in_a + tail_b + in_b > TAIL_SHARE * all)
            break;
        tail_a += in_a;
        tail_b += in_b;
    }
    if (tail_a + tail_b < SPAN_DIFF_TAIL_LEAST)
        return result;
    result.known = true;
    result.effect = ratio(tail_a / count_a, tail_b / count_b);
    pooled = (tail_a + tail_b) / all;
    variance = pooled * (1 - pooled) * (1 / count_a + 1 / count_b);
    result.probability = normal_probability((tail_b / count_b - tail_a / count_a) / sqrt(variance * inflation));
    return result;
}

static SpanDiffResult test_count(uint64_t a, uint64_t b)
{
    double count_a = (double)a, count_b = (double)b;
    SpanDiffResult result = {.effect = ratio(count_a, count_b), .probability = 1};

    if (count_a + count_b < SPAN_DIFF_TAIL_LEAST)
        return result;
    result.known = true;
    result.probability = normal_probability((count_b - count_a) / sqrt(count_a + count_b));
    return result;
}

static bool is_large(SpanDiffTest test, double effect)
{
    switch (test) {
    case SPAN_DIFF_TAIL:
        return effect >= SPAN_DIFF_TAIL_RATIO || effect <= 1 / SPAN_DIFF_TAIL_RATIO;
    case SPAN_DIFF_COUNT:
        return effect >= SPAN_DIFF_COUNT_RATIO || effect <= 1 / SPAN_DIFF_COUNT_RATIO;
    default:
        return fabs(effect - 0.5) >= SPAN_DIFF_SHIFT;
    }
}

static void test_row(SpanDiffRow *row)
{
    static const SpanStat none;
    const SpanStat *a = row->a ? &row->a->stat : &none, *b = row->b ? &row->b->stat : &none;

    double inflation = fmax(span_diff_inflation(a->windows), span_diff_inflation(b->windows));

    row->tests[SPAN_DIFF_TOTAL] = span_diff_shift(&a->durations, &b->durations, inflation);
    row->tests[SPAN_DIFF_SELF] = span_diff_shift(&a->selves, &b->selves, inflation);
    row->tests[SPAN_DIFF_TAIL] = span_diff_tail(&a->durations, &b->durations, inflation);
    row->tests[SPAN_DIFF_COUNT] = test_count(a->count, b->count);
}

/* ---- all tests together ------------------------------------------------------------------------ */

static int compare_probabilities(const void *a, const void *b)
{
    double left = (*(SpanDiffResult *const *)a)->probability,
           right = (*(SpanDiffResult *const *)b)->probability;

    return (left > right) - (left < right);
}

/* Benjamini and Hochberg: from the least probable difference on, how many are at least so improbable. */
static void adjust(SpanDiffResult **results, size_t count)
{
    double least = 1;

    qsort((void *)results, count, sizeof(*results), compare_probabilities);
    for (size_t i = count; i > 0; i--) {
        double adjusted = results[i - 1]->probability * (double)count / (double)i;

        if (least > adjusted)
            least = adjusted;
        results[i - 1]->adjusted = least;
    }
}

static int adjust_all(SpanDiff *diff)
{
    SpanDiffResult **results = calloc(diff->count * SPAN_DIFF_TESTS + 1, sizeof(*results));
    size_t count = 0;

    if (!results)
        return -ENOMEM;
    for (size_t i = 0; i < diff->count; i++) {
        SpanDiffRow *row = &diff->rows[i];

        for (size_t test = 0; test < SPAN_DIFF_TESTS; test++) {
            row->tests[test].adjusted = 1;
            if (row->tests[test].known)
                results[count++] = &row->tests[test];
        }
    }
    adjust(results, count);
    for (size_t i = 0; i < diff->count; i++) {
        SpanDiffRow *row = &diff->rows[i];

        row->significant = !row->a || !row->b;
        for (size_t test = 0; test < SPAN_DIFF_TESTS; test++) {
            SpanDiffResult *result = &row->tests[test];

            result->significant =
                result->adjusted < SPAN_DIFF_FDR && is_large((SpanDiffTest)test, result->effect);
            row->significant |= result->significant;
        }
    }
    free((void *)results);
    return 0;
}

/* ---- rows ------------------------------------------------------------------------------------- */

static int compare_names(const SpanRow *a, const SpanRow *b)
{
    int order = strcmp(a->name, b->name);

    if (order == 0)
        order = strcmp(a->module, b->module);
    return order ? order : (a->kind > b->kind) - (a->kind < b->kind);
}

/* Rows of both tables by name, side by side. Two of the same name in one table are not there: they are one. */
static void pair_rows(SpanDiff *diff, const SpanTable *a, const SpanTable *b)
{
    size_t at_a = 0, at_b = 0;

    for (;;) {
        const SpanRow *row_a = span_table_row(a, at_a), *row_b = span_table_row(b, at_b);
        int order;

        if (!row_a && !row_b)
            return;
        order = !row_a ? 1 : !row_b ? -1 : compare_names(row_a, row_b);
        diff->rows[diff->count++] = (SpanDiffRow){.a = order <= 0 ? row_a : NULL,
                                                  .b = order >= 0 ? row_b : NULL,
                                                  .named = order <= 0 ? row_a : row_b};
        at_a += order <= 0;
        at_b += order >= 0;
    }
}

static uint64_t self_difference(const SpanDiffRow *row)
{
    uint64_t a = row->a ? row->a->stat.self_ns : 0, b = row->b ? row->b->stat.self_ns : 0;

    return a > b ? a - b : b - a;
}

static int compare_rows(const void *a, const void *b)
{
    const SpanDiffRow *left = a, *right = b;
    uint64_t left_ns = self_difference(left), right_ns = self_difference(right);

    if (left_ns != right_ns)
        return left_ns < right_ns ? 1 : -1;
    return compare_names(left->named, right->named);
}

int span_diff_init(SpanDiff *diff, SpanTable *a, SpanTable *b)
{
    int err;

    *diff = (SpanDiff){0};
    diff->rows = calloc(span_table_count(a) + span_table_count(b) + 1, sizeof(*diff->rows));
    if (!diff->rows)
        return -ENOMEM;
    span_table_sort(a, SPAN_SORT_NAME);
    span_table_sort(b, SPAN_SORT_NAME);
    pair_rows(diff, a, b);
    for (size_t i = 0; i < diff->count; i++)
        test_row(&diff->rows[i]);
    err = adjust_all(diff);
    qsort(diff->rows, diff->count, sizeof(*diff->rows), compare_rows);
    if (err)
        span_diff_fini(diff);
    return err;
}

void span_diff_fini(SpanDiff *diff)
{
    free(diff->rows);
    *diff = (SpanDiff){0};
}
