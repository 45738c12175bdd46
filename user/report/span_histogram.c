/* SPDX-License-Identifier: MIT */
#include "user/report/span_histogram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Values below SPAN_HISTOGRAM_BUCKETS have a bucket each, in the first group; above, the highest bits say which. */
static uint32_t bucket_of(uint64_t value)
{
    uint32_t shift;

    if (value < SPAN_HISTOGRAM_BUCKETS)
        return (uint32_t)value;
    shift = 63u - (uint32_t)__builtin_clzll(value) - SPAN_HISTOGRAM_BITS;
    return (shift + 1) * SPAN_HISTOGRAM_BUCKETS + ((uint32_t)(value >> shift) & (SPAN_HISTOGRAM_BUCKETS - 1));
}

static uint64_t bucket_middle(uint32_t bucket)
{
    uint32_t group = bucket / SPAN_HISTOGRAM_BUCKETS;
    uint64_t first;

    if (group == 0)
        return bucket;
    first = (uint64_t)(SPAN_HISTOGRAM_BUCKETS + bucket % SPAN_HISTOGRAM_BUCKETS) << (group - 1);
    return first + ((UINT64_C(1) << (group - 1)) - 1) / 2;
}

/* Adds to a bucket. 0 or -ENOMEM. */
static int add_to(SpanHistogram *histogram, uint32_t bucket, uint64_t count)
{
    uint8_t *place = &histogram->places[bucket / SPAN_HISTOGRAM_BUCKETS];

    if (*place == 0) {
        uint64_t(*groups)[SPAN_HISTOGRAM_BUCKETS] =
            reallocarray(histogram->groups, histogram->group_count + 1u, sizeof(*groups));

        if (!groups)
            return -ENOMEM;
        memset(groups[histogram->group_count], 0, sizeof(*groups));
        histogram->groups = groups;
        *place = ++histogram->group_count;
    }
    histogram->groups[*place - 1][bucket % SPAN_HISTOGRAM_BUCKETS] += count;
    return 0;
}

/* The kept values go into buckets, for there will be more of them than are kept. */
static int spread(SpanHistogram *histogram)
{
    uint64_t count = histogram->groups ? 0 : histogram->count;

    for (uint64_t i = 0; i < count; i++) {
        if (add_to(histogram, bucket_of(histogram->exact[i]), 1)) {
            span_histogram_fini(histogram); /* keeps the values */
            histogram->count = count;
            return -ENOMEM;
        }
    }
    return 0;
}

/* Counts `count` values more, of which these are the extremes. */
static void note_range(SpanHistogram *histogram, uint64_t count, uint64_t min, uint64_t max)
{
    if (count == 0)
        return;
    if (histogram->count == 0 || histogram->min > min)
        histogram->min = min;
    if (histogram->count == 0 || histogram->max < max)
        histogram->max = max;
    histogram->count += count;
}

int span_histogram_add(SpanHistogram *histogram, uint64_t value)
{
    if (histogram->count < SPAN_HISTOGRAM_EXACT && !histogram->groups)
        histogram->exact[histogram->count] = value;
    else if ((!histogram->groups && spread(histogram)) || add_to(histogram, bucket_of(value), 1))
        return -ENOMEM;
    note_range(histogram, 1, value, value);
    return 0;
}

int span_histogram_merge(SpanHistogram *to, const SpanHistogram *from)
{
    if (!from->groups) {
        for (uint64_t i = 0; i < from->count; i++)
            if (span_histogram_add(to, from->exact[i]))
                return -ENOMEM;
        return 0;
    }
    if (spread(to))
        return -ENOMEM;
    for (uint32_t bucket = 0; bucket < SPAN_HISTOGRAM_ALL; bucket++) {
        uint64_t count = span_histogram_bucket(from, bucket);

        if (count > 0 && add_to(to, bucket, count))
            return -ENOMEM;
    }
    note_range(to, from->count, from->min, from->max);
    return 0;
}

static int compare_values(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

uint64_t span_histogram_percentile(const SpanHistogram *histogram, double share)
{
    double wanted = share * (double)histogram->count;
    uint64_t seen = 0, last = 0;

    if (!histogram->groups) {
        uint64_t sorted[SPAN_HISTOGRAM_EXACT];

        memcpy(sorted, histogram->exact, sizeof(sorted));
        qsort(sorted, histogram->count, sizeof(sorted[0]), compare_values);
        for (uint64_t i = 0; i < histogram->count; i++) {
            last = sorted[i];
            if ((double)(i + 1) >= wanted)
                break;
        }
        return last;
    }
    for (uint32_t bucket = 0; bucket < SPAN_HISTOGRAM_ALL; bucket++) {
        uint64_t count = span_histogram_bucket(histogram, bucket);

        seen += count;
        if (count > 0)
            last = bucket_middle(bucket);
        if (count > 0 && (double)seen >= wanted)
            break;
    }
    if (last < histogram->min)
        return histogram->min;
    return last < histogram->max ? last : histogram->max;
}

uint64_t span_histogram_bucket(const SpanHistogram *histogram, uint32_t bucket)
{
    uint8_t place = histogram->places[bucket / SPAN_HISTOGRAM_BUCKETS];
    uint64_t count = 0;

    if (histogram->groups)
        return place ? histogram->groups[place - 1][bucket % SPAN_HISTOGRAM_BUCKETS] : 0;
    for (uint64_t i = 0; i < histogram->count; i++)
        count += bucket_of(histogram->exact[i]) == bucket;
    return count;
}

void span_histogram_fini(SpanHistogram *histogram)
{
    free(histogram->groups);
    histogram->groups = NULL;
    histogram->group_count = 0;
    memset(histogram->places, 0, sizeof(histogram->places));
    histogram->count = 0;
}
