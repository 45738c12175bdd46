/* SPDX-License-Identifier: MIT */
/*
 * A histogram of times over the whole range of 64 bits, with a relative error below 1/32: buckets are
 * linear up to 32, then each power of two is divided into 32. Adding costs a few instructions, merging a
 * loop; nothing is allocated. It begins all zero. One thread writes; a copy is consistent when that thread makes it,
 * and is not added to.
 */
#ifndef ADA_DRAIN_LATENCY_HISTOGRAM_H
#define ADA_DRAIN_LATENCY_HISTOGRAM_H

#include <stdint.h>

#define LATENCY_SUBBUCKET_BITS 5u
#define LATENCY_SUBBUCKETS (1u << LATENCY_SUBBUCKET_BITS)
#define LATENCY_BUCKETS ((64u - LATENCY_SUBBUCKET_BITS + 1u) * LATENCY_SUBBUCKETS)

/* Values are in nanoseconds. Buckets above that of `max` are empty: no function looks at those of its arguments. */
typedef struct LatencyHistogram {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[LATENCY_BUCKETS];
} LatencyHistogram;

/* Counts `weight` events that took `ns` each. */
void latency_histogram_add(LatencyHistogram *histogram, uint64_t ns, uint64_t weight);

/*
 * The time that a share of all events did not exceed, `share` in (0, 1]: the upper end of its bucket, but
 * never more than the maximum. 0 when nothing was counted.
 */
uint64_t latency_histogram_percentile(const LatencyHistogram *histogram, double share);

/* How many took at most `ns`: whole buckets, so up to 1/32 of those around `ns` are missed. */
uint64_t latency_histogram_below(const LatencyHistogram *histogram, uint64_t ns);

/* `to` becomes a copy, whatever it was; its buckets above that of `max` stay as they are. */
void latency_histogram_copy(LatencyHistogram *to, const LatencyHistogram *from);

/* What was counted since `before`, an earlier copy of `now`, or all zero. Its maximum is the end of its highest bucket, at most that of `now`. */
void latency_histogram_since(const LatencyHistogram *now, const LatencyHistogram *before,
                             LatencyHistogram *since_out);

/* The sum of all times, each taken for the middle of its bucket, in nanoseconds. */
double latency_histogram_sum(const LatencyHistogram *histogram);

#endif
