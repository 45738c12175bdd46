/* SPDX-License-Identifier: MIT */
/*
 * What differs between two traces: rows of two tables with the same kind, name and module, and how sure it is that they differ.
 *
 * Durations are skewed, with long tails and several modes, and they are many; so nothing here supposes a shape:
 *
 *   total, self   Mann-Whitney test of the durations, and of the times without inner spans, of complete spans, by their histograms: is a span of B
 *                 longer than one of A more often than the other way round? Values of one bucket (1.6 %) are ties, for which the variance
 *                 is corrected. `effect` is the probability that it is longer, ties counted half: 0.5 is no difference
 *   tail          are spans that are longer than 99 % of both together more frequent in one of them? Two proportions, by the normal
 *                 approximation: what a test of the whole distribution does not see. `effect`: share in B / share in A
 *   count         is one more often called than the other? As for counts of independent events. `effect`: count of B / count of A
 *
 * Spans that are near in time have much in common: caches, load, the input of the moment. So they tell less than as many independent ones
 * would. How much less is estimated from the trace itself: of SPAN_WINDOWS parts of its time the mean logarithms of the durations are compared, and the variance
 * of the first three tests is multiplied by what these vary too much (span_diff_inflation(), the greater one of A's and B's).
 *
 * A difference is significant if it is improbable by chance and large enough to matter. By chance: the probabilities of all tests together are
 * adjusted by Benjamini and Hochberg's procedure, so that of what is called significant at most SPAN_DIFF_FDR is expected not to be. Large enough: with
 * millions of spans any difference is improbable, so `effect` must be beyond the limits below (0.56 and 0.44 are those from which Vargha
 * and Delaney call an effect small).
 *
 * What it does not say: that another run would show the same. What is the same throughout a run - where memory lies, the machine's
 * speed - differs from run to run, and of that two traces tell nothing.
 */
#ifndef ADA_REPORT_SPAN_DIFF_H
#define ADA_REPORT_SPAN_DIFF_H

#include "user/report/span_table.h"

#define SPAN_DIFF_FDR 0.01
#define SPAN_DIFF_LEAST 8u       /* spans on both sides, for the tests of durations */
#define SPAN_DIFF_TAIL_LEAST 20u /* spans in both tails together; counts together */
#define SPAN_DIFF_SHIFT 0.06     /* of 0.5 */
#define SPAN_DIFF_TAIL_RATIO 2.0
#define SPAN_DIFF_COUNT_RATIO 1.05

typedef enum SpanDiffTest {
    SPAN_DIFF_TOTAL,
    SPAN_DIFF_SELF,
    SPAN_DIFF_TAIL,
    SPAN_DIFF_COUNT,
    SPAN_DIFF_TESTS
} SpanDiffTest;

typedef struct SpanDiffResult {
    bool known; /* there are enough spans for the test */
    double effect;
    double probability; /* that chance alone makes such a difference */
    double adjusted;    /* the same, for all tests of all rows together */
    bool significant;
} SpanDiffResult;

typedef struct SpanDiffRow {
    const SpanRow *a;     /* NULL: it is new in B */
    const SpanRow *b;     /* NULL: it is gone */
    const SpanRow *named; /* either of them, for kind, name and module */
    SpanDiffResult tests[SPAN_DIFF_TESTS];
    bool significant; /* one of the tests, or it is new or gone */
} SpanDiffRow;

typedef struct SpanDiff {
    SpanDiffRow *rows; /* by how much the times without inner spans differ in all, the most first */
    size_t count;
} SpanDiff;

/* Both tables are finished, have self times, and must outlive it; their order is changed. -ENOMEM. */
int span_diff_init(SpanDiff *diff, SpanTable *a, SpanTable *b);
void span_diff_fini(SpanDiff *diff);

/*
 * By how much the means of the windows vary more than they would if spans were independent, at least 1: mean square between windows over
 * that within. NULL: 1.
 */
double span_diff_inflation(const SpanWindows *windows);

/* Mann-Whitney test of two histograms; the variance is multiplied by `inflation`, at least 1. */
SpanDiffResult span_diff_shift(const SpanHistogram *a, const SpanHistogram *b, double inflation);

/* Of long values, as above. */
SpanDiffResult span_diff_tail(const SpanHistogram *a, const SpanHistogram *b, double inflation);

#endif
