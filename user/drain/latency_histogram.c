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
    uint64_t seen = 0;

    if (histogram->count == 0)
        return 0;
    for (uint32_t bucket = 0; bucket < LATENCY_BUCKETS; bucket++) {
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
    uint64_t count = 0;

    for (uint32_t bucket = 0; bucket < LATENCY_BUCKETS && bucket_end(bucket) <= ns; bucket++)
        count += histogram->buckets[bucket];
    return count;
}

double latency_histogram_sum(const LatencyHistogram *histogram)
{
    double sum = 0;

    for (uint32_t bucket = 0; bucket < LATENCY_BUCKETS; bucket++) {
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
    memcpy(to->buckets, from->buckets, (bucket_of(from->max) + 1) * sizeof(from->buckets[0]));
}

void latency_histogram_since(const LatencyHistogram *now, const LatencyHistogram *before,
                             LatencyHistogram *since_out)
{
    uint32_t used = bucket_of(now->max) + 1; /* those above are empty */
    uint32_t last = 0;

    since_out->count = now->count - before->count;
    for (uint32_t bucket = 0; bucket < used; bucket++) {
        since_out->buckets[bucket] = now->buckets[bucket] - before->buckets[bucket];
        last = since_out->buckets[bucket] > 0 ? bucket : last;
    }
    memset(since_out->buckets + used, 0, (LATENCY_BUCKETS - used) * sizeof(since_out->buckets[0]));
    since_out->max = since_out->buckets[last] == 0 ? 0 : bucket_end(last);
    if (since_out->max > now->max)
        since_out->max = now->max;
}
