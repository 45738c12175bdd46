/* SPDX-License-Identifier: MIT */
/*
 * Durations of spans, for percentiles: buckets that get wider with the value, of which only those powers of two take memory that occur. The
 * first SPAN_HISTOGRAM_EXACT values are kept as they are.
 *
 * Error: a power of two has 64 buckets, and a percentile is the middle of its bucket, but not beyond the least and the greatest value, so it is off by at most 1/128 (0.8 %) of itself; below 128, and among
 * the values that are kept, not at all. Memory: 512 bytes for each power of two, 30 KB at most. (That of user/drain/latency_histogram.h is
 * twice as coarse, takes 15 KB for each name, and is the drain's.)
 *
 * All zero is an empty one. Values are in nanoseconds, the unit is nowhere used.
 */
#ifndef ADA_REPORT_SPAN_HISTOGRAM_H
#define ADA_REPORT_SPAN_HISTOGRAM_H

#include <stdint.h>

#define SPAN_HISTOGRAM_BITS 6u
#define SPAN_HISTOGRAM_BUCKETS (1u << SPAN_HISTOGRAM_BITS) /* of a group */
#define SPAN_HISTOGRAM_GROUPS (64u - SPAN_HISTOGRAM_BITS + 1u)
#define SPAN_HISTOGRAM_EXACT 4u

typedef struct SpanHistogram {
    uint64_t count;
    uint64_t min; /* of all values, if there are any */
    uint64_t max;
    uint64_t exact[SPAN_HISTOGRAM_EXACT]; /* the first values, until there are more: then they are in the groups, too */
    uint64_t (*groups)[SPAN_HISTOGRAM_BUCKETS];
    uint8_t group_count;
    uint8_t places[SPAN_HISTOGRAM_GROUPS]; /* of a power of two: its group + 1; 0: none */
} SpanHistogram;

/* 0, or -ENOMEM with everything as before. */
int span_histogram_add(SpanHistogram *histogram, uint64_t value);

/* Adds all of `from`. 0 or -ENOMEM: then some may be missing. */
int span_histogram_merge(SpanHistogram *to, const SpanHistogram *from);

/* The value that a share of all, in (0, 1], do not exceed. 0 when there are none. */
uint64_t span_histogram_percentile(const SpanHistogram *histogram, double share);

/*
 * How many values are in a bucket, by ascending values; `bucket` is below SPAN_HISTOGRAM_ALL. The same value is in the same bucket of
 * any histogram.
 */
#define SPAN_HISTOGRAM_ALL (SPAN_HISTOGRAM_GROUPS * SPAN_HISTOGRAM_BUCKETS)
uint64_t span_histogram_bucket(const SpanHistogram *histogram, uint32_t bucket);

void span_histogram_fini(SpanHistogram *histogram);

#endif
