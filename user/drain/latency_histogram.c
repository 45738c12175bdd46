/* SPDX-License-Identifier: MIT */
#include "user/drain/latency_histogram.h"

#include <string.h>

/* Values below LATENCY_SUBBUCKETS have a bucket each; above, the highest bits say which. */
static uint32_t bucket_of(uint64_t ns)
{
    uint32_t highest, shift;

    if (ns < LATENCY_SUBBUCKETS)
        return (uint32_t)ns;
    highest = 63u - (uint32_t)__builtin_clzll(ns);
    shift = highest - LATENCY_SUBBUCKET_BITS;
    return (shift + 1) * LATENCY_SUBBUCKETS + ((uint32_t)(ns >> shift) & (LATENCY_SUBBUCKETS - 1));
}

/* The largest value of a bucket. */
static uint64_t bucket_end(uint32_t bucket)
{
    uint32_t group = bucket / LATENCY_SUBBUCKETS;
    uint64_t place = bucket % LATENCY_SUBBUCKETS;

    if (group == 0)
        return place;
    return ((LATENCY_SUBBUCKETS + place + 1) << (group - 1)) - 1; /* the last one wraps to 2^64 - 1 */
}

/* How many buckets may be in use. */
static uint32_t buckets_used(const LatencyHistogram *histogram)
{
    return histogram->count == 0 ? 0 : bucket_of(histogram->max) + 1;
}

void latency_histogram_add(LatencyHistogram *histogram, uint64_t ns, uint64_t weight)
{
    histogram->buckets[bucket_of(ns)] += weight;
    histogram->count += weight;
    if (ns > histogram->max && weight > 0)
        histogram->max = ns;
}

uint64_t latency_histogram_percentile(const LatencyHistogram *histogram, double share)
{
    double wanted = share * (double)histogram->count;
    uint32_t used = buckets_used(histogram);
    uint64_t seen = 0;

    if (used == 0)
        return 0;
    for (uint32_t bucket = 0; bucket < used; bucket++) {
        seen += histogram->buckets[bucket];
        if (histogram->buckets[bucket] > 0 && (double)seen >= wanted) {
            uint64_t end = bucket_end(bucket);

            return end < histogram->max ? end : histogram->max;
        }
    }
    return histogram->max;
}

uint64_t latency_histogram_below(const LatencyHistogram *histogram, uint64_t ns)
{
    uint32_t used = buckets_used(histogram);
    uint64_t count = 0;

    for (uint32_t bucket = 0; bucket < used && bucket_end(bucket) <= ns; bucket++)
        count += histogram->buckets[bucket];
    return count;
}

double latency_histogram_sum(const LatencyHistogram *histogram)
{
    uint32_t used = buckets_used(histogram);
    double sum = 0;

    for (uint32_t bucket = 0; bucket < used; bucket++) {
        double begin = bucket ? (double)bucket_end(bucket - 1) + 1 : 0;

        if (histogram->buckets[bucket] > 0)
            sum += (double)histogram->buckets[bucket] * (begin + (double)bucket_end(bucket)) / 2;
    }
    return sum;
}

void latency_histogram_copy(LatencyHistogram *to, const LatencyHistogram *from)
{
    to->count = from->count;
    to->max = from->max;
    memcpy(to->buckets, from->buckets, buckets_used(from) * sizeof(from->buckets[0]));
}

void latency_histogram_since(const LatencyHistogram *now, const LatencyHistogram *before,
                             LatencyHistogram *since_out)
{
    uint32_t used = buckets_used(now), had = buckets_used(before);
    uint32_t last = 0;

    since_out->count = now->count - before->count;
    since_out->max = 0;
    for (uint32_t bucket = 0; bucket < used; bucket++) {
        since_out->buckets[bucket] = now->buckets[bucket] - (bucket < had ? before->buckets[bucket] : 0);
        last = since_out->buckets[bucket] > 0 ? bucket : last;
    }
    if (since_out->count > 0)
        since_out->max = bucket_end(last) < now->max ? bucket_end(last) : now->max;
}
