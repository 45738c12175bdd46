/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "test_support.h"
#include "user/report/span_histogram.h"

static const double shares[] = {0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1};

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

/* The value that a share of sorted values do not exceed. */
static uint64_t exact_percentile(const uint64_t *values, size_t count, double share)
{
    for (size_t i = 0; i < count; i++)
        if ((double)(i + 1) >= share * (double)count)
            return values[i];
    return values[count - 1];
}

/* Off by at most 1/128, against the sorted values. */
static void expect_percentiles(uint64_t *values, size_t count)
{
    SpanHistogram histogram = {0};

    for (size_t i = 0; i < count; i++)
        CU_ASSERT_EQUAL(span_histogram_add(&histogram, values[i]), 0);
    qsort(values, count, sizeof(*values), compare);
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        uint64_t exact = exact_percentile(values, count, shares[i]);
        uint64_t got = span_histogram_percentile(&histogram, shares[i]);
        uint64_t off = got > exact ? got - exact : exact - got;

        CU_ASSERT(off <= exact / 128);
    }
    CU_ASSERT_EQUAL(histogram.count, count);
    CU_ASSERT_EQUAL(histogram.min, values[0]);
    CU_ASSERT_EQUAL(histogram.max, values[count - 1]);
    span_histogram_fini(&histogram);
}

static void histogram__few_values__then_exact(void)
{
    uint64_t values[] = {UINT64_MAX, 1000003, 0, 77777777777};
    SpanHistogram histogram = {0};

    CU_ASSERT_EQUAL(span_histogram_percentile(&histogram, 0.5), 0);
    for (size_t i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(span_histogram_add(&histogram, values[i]), 0);
    CU_ASSERT_EQUAL(span_histogram_percentile(&histogram, 0.25), 0);
    CU_ASSERT_EQUAL(span_histogram_percentile(&histogram, 0.5), 1000003);
    CU_ASSERT_EQUAL(span_histogram_percentile(&histogram, 0.75), 77777777777);
    CU_ASSERT_EQUAL(span_histogram_percentile(&histogram, 1), UINT64_MAX);
    CU_ASSERT_PTR_NULL(histogram.groups);
}

static void histogram__values_of_all_sizes__then_within_a_128th(void)
{
    enum { COUNT = 20000 };
    uint64_t *values = calloc(COUNT, sizeof(*values));
    uint64_t state = 1;

    for (size_t bits = 1; bits <= 64; bits += 7) {
        for (size_t i = 0; i < COUNT; i++) {
            state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
            values[i] = state >> (64 - bits) >> (i % 3);
        }
        expect_percentiles(values, COUNT);
    }
    for (size_t i = 0; i < COUNT; i++)
        values[i] = 123456789;
    expect_percentiles(values, COUNT);
    for (size_t i = 0; i < 100; i++)
        values[i] = i;
    expect_percentiles(values, 100);
    free(values);
}

/* The parts of values in several histograms, merged in any state, are as one histogram of all. */
static void histogram__merged__then_as_of_all_values(void)
{
    static const size_t splits[] = {0, 2, 4, 5, 500};

    for (size_t s = 0; s < sizeof(splits) / sizeof(splits[0]); s++) {
        for (size_t count = 4; count <= 1000; count += 249) {
            SpanHistogram whole = {0}, first = {0}, second = {0};

            for (size_t i = 0; i < count; i++) {
                uint64_t value = i * i * 37;

                CU_ASSERT_EQUAL(span_histogram_add(&whole, value), 0);
                CU_ASSERT_EQUAL(span_histogram_add(i < splits[s] ? &first : &second, value), 0);
            }
            CU_ASSERT_EQUAL(span_histogram_merge(&first, &second), 0);
            CU_ASSERT_EQUAL(first.count, whole.count);
            CU_ASSERT_EQUAL(first.min, whole.min);
            CU_ASSERT_EQUAL(first.max, whole.max);
            for (uint32_t bucket = 0; bucket < SPAN_HISTOGRAM_ALL; bucket++)
                if (span_histogram_bucket(&first, bucket) != span_histogram_bucket(&whole, bucket))
                    CU_FAIL("bucket");
            span_histogram_fini(&whole);
            span_histogram_fini(&first);
            span_histogram_fini(&second);
        }
    }
}

static const TestCase tests[] = {
    TEST(histogram__few_values__then_exact),
    TEST(histogram__values_of_all_sizes__then_within_a_128th),
    TEST(histogram__merged__then_as_of_all_values),
};
TEST_MAIN("span_histogram", tests)
