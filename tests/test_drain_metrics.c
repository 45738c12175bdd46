/* SPDX-License-Identifier: MIT */
/* What the drain measures about itself: the histogram of latencies and the index of fairness. */
#include "test_support.h"

#include <math.h>
#include <string.h>

#include "user/drain/drain_metrics.h"

static LatencyHistogram histogram;

static void reset(void)
{
    memset(&histogram, 0, sizeof(histogram));
}

static void latency_histogram__empty__then_zero(void)
{
    reset();
    CU_ASSERT_EQUAL(latency_histogram_percentile(&histogram, 0.5), 0);
    latency_histogram_add(&histogram, 77, 0);
    CU_ASSERT_EQUAL(histogram.max, 0);
    CU_ASSERT_EQUAL(latency_histogram_percentile(&histogram, 1), 0);
}

/* Each value alone, over the whole range: found again within 1/32 of it. */
static void latency_histogram__any_value__then_relative_error_below_a_thirty_second(void)
{
    for (uint32_t shift = 0; shift < 64; shift++) {
        for (uint64_t offset = 0; offset < 3; offset++) {
            uint64_t value = (1ull << shift) + offset * (1ull << shift) / 3 - (offset == 0);
            uint64_t found;

            reset();
            latency_histogram_add(&histogram, value, 1);
            latency_histogram_add(&histogram, UINT64_MAX, 1); /* so that the maximum does not bound it */
            found = latency_histogram_percentile(&histogram, 0.5);
            CU_ASSERT(found >= value);
            CU_ASSERT(found - value <= value / 32);
        }
    }
}

static void latency_histogram__percentiles__then_by_weight_and_at_most_the_maximum(void)
{
    reset();
    latency_histogram_add(&histogram, 10, 900);
    latency_histogram_add(&histogram, 20, 90);
    latency_histogram_add(&histogram, 1000000, 10);
    CU_ASSERT_EQUAL(histogram.count, 1000);
    CU_ASSERT_EQUAL(latency_histogram_percentile(&histogram, 0.5), 10);
    CU_ASSERT_EQUAL(latency_histogram_percentile(&histogram, 0.9), 10);
    CU_ASSERT_EQUAL(latency_histogram_percentile(&histogram, 0.901), 20);
    CU_ASSERT_EQUAL(latency_histogram_percentile(&histogram, 0.99), 20);
    CU_ASSERT_EQUAL(latency_histogram_percentile(&histogram, 0.999), 1000000);
    CU_ASSERT_EQUAL(latency_histogram_percentile(&histogram, 1), 1000000);
    CU_ASSERT_EQUAL(histogram.max, 1000000);
    CU_ASSERT_EQUAL(latency_histogram_percentile(&histogram, 2), 1000000);
}

static void jain_index__shares__then_as_the_formula_says(void)
{
    JainIndex jain = {0};

    CU_ASSERT_DOUBLE_EQUAL(jain_index_value(&jain), 1, 1e-12);
    jain_index_add(&jain, 0);
    CU_ASSERT_DOUBLE_EQUAL(jain_index_value(&jain), 1, 1e-12);
    for (int i = 0; i < 3; i++)
        jain_index_add(&jain, 0);
    jain_index_add(&jain, 1); /* one of five has all */
    CU_ASSERT_DOUBLE_EQUAL(jain_index_value(&jain), 0.2, 1e-12);
    jain = (JainIndex){0};
    for (int i = 0; i < 64; i++)
        jain_index_add(&jain, 0.37);
    CU_ASSERT_DOUBLE_EQUAL(jain_index_value(&jain), 1, 1e-12);
    jain = (JainIndex){0};
    jain_index_add(&jain, 1);
    jain_index_add(&jain, 0.5);
    CU_ASSERT_DOUBLE_EQUAL(jain_index_value(&jain), 0.9, 1e-12);
}

static void latency_histogram__below_and_sum__then_by_whole_buckets(void)
{
    LatencyHistogram times = {0};

    latency_histogram_add(&times, 10, 3);
    latency_histogram_add(&times, 1000000, 2);
    latency_histogram_add(&times, UINT64_MAX, 1);
    CU_ASSERT_EQUAL(latency_histogram_below(&times, 9), 0);
    CU_ASSERT_EQUAL(latency_histogram_below(&times, 10), 3);
    CU_ASSERT_EQUAL(latency_histogram_below(&times, 900000), 3);
    CU_ASSERT_EQUAL(latency_histogram_below(&times, 1100000), 5);
    CU_ASSERT_EQUAL(latency_histogram_below(&times, UINT64_MAX), 6);
    times = (LatencyHistogram){0};
    latency_histogram_add(&times, 10, 3);
    CU_ASSERT_DOUBLE_EQUAL(latency_histogram_sum(&times), 30, 1e-9);
    latency_histogram_add(&times, 1000000, 2);
    CU_ASSERT_DOUBLE_EQUAL(latency_histogram_sum(&times), 2000030, 2000030.0 / 32);
}

static void latency_histogram__since__then_only_what_came_after(void)
{
    LatencyHistogram before = {0}, now, since;

    LatencyHistogram copy = {0};

    latency_histogram_add(&before, 50000000, 5);
    now = before;
    latency_histogram_since(&now, &before, &since);
    CU_ASSERT_EQUAL(since.count, 0);
    CU_ASSERT_EQUAL(since.max, 0);
    latency_histogram_add(&now, 1000, 4);
    latency_histogram_add(&now, 2000, 1);
    latency_histogram_since(&now, &before, &since);
    CU_ASSERT_EQUAL(since.count, 5);
    CU_ASSERT(since.max >= 2000 && since.max < 2100);
    CU_ASSERT(latency_histogram_percentile(&since, 0.5) < 1100);
    latency_histogram_add(&now, 60000000, 1);
    latency_histogram_since(&now, &before, &since);
    CU_ASSERT_EQUAL(since.max, 60000000);
    latency_histogram_copy(&copy, &before);
    CU_ASSERT_EQUAL(memcmp(&copy, &before, sizeof(copy)), 0);
    latency_histogram_copy(&copy, &now);
    CU_ASSERT_EQUAL(memcmp(&copy, &now, sizeof(copy)), 0);
}

static const TestCase tests[] = {
    TEST(latency_histogram__empty__then_zero),
    TEST(latency_histogram__any_value__then_relative_error_below_a_thirty_second),
    TEST(latency_histogram__percentiles__then_by_weight_and_at_most_the_maximum),
    TEST(latency_histogram__below_and_sum__then_by_whole_buckets),
    TEST(latency_histogram__since__then_only_what_came_after),
    TEST(jain_index__shares__then_as_the_formula_says),
};
TEST_MAIN("drain_metrics", tests)
