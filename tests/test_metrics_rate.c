/* SPDX-License-Identifier: MIT */
/* Rates over windows of 100 ms, updated by one of those who come. */
#include "test_support.h"

#include <pthread.h>
#include <string.h>

#include "user/lane/atomic.h"
#include "user/lane/test_point.h"
#include "user/metrics/metrics_rate.h"

#define MS 1000000ull
#define BEGIN (5000 * MS)

static bool is_near(double value, double wanted)
{
    return value > wanted * 0.99 && value < wanted * 1.01;
}

/* A steady second, looked at every 7 ms: each window is within 1 %. */
static void metrics_rate__steady_second__then_within_one_percent(void)
{
    static const uint64_t per_second[] = {3, 1000, 1000000, 40000000};

    for (size_t i = 0; i < sizeof(per_second) / sizeof(per_second[0]); i++) {
        ada_metrics_rates_t rates = {0};
        uint32_t updates = 0;

        for (uint64_t ms = 0; ms <= 1000; ms += per_second[i] == 3 ? 1000 : 7) {
            uint64_t events = per_second[i] * ms / 1000;

            if (!metrics_update_rate(&rates, events, events * 32, BEGIN + ms * MS) || updates++ == 0)
                continue;
            CU_ASSERT_TRUE(is_near(metrics_events_per_second(&rates), (double)per_second[i]));
            CU_ASSERT_TRUE(is_near(metrics_bytes_per_second(&rates), (double)per_second[i] * 32));
        }
        CU_ASSERT_EQUAL(updates, per_second[i] == 3 ? 2 : 10);
    }
}

static void metrics_rate__within_the_window__then_unchanged(void)
{
    ada_metrics_rates_t rates = {0};

    CU_ASSERT_TRUE(metrics_update_rate(&rates, 10, 320, BEGIN));
    CU_ASSERT_EQUAL(metrics_events_per_second(&rates), 0);
    CU_ASSERT_FALSE(metrics_update_rate(&rates, 20, 640, BEGIN + 100 * MS - 1));
    CU_ASSERT_FALSE(metrics_update_rate(&rates, 20, 640, BEGIN - 1));
    CU_ASSERT_TRUE(metrics_update_rate(&rates, 20, 640, BEGIN + 100 * MS));
    CU_ASSERT_EQUAL(metrics_events_per_second(&rates), 100);
}

static void metrics_rate__impossible_totals__then_bounded(void)
{
    ada_metrics_rates_t rates = {0};

    CU_ASSERT_TRUE(metrics_update_rate(&rates, 10, 0, BEGIN));
    CU_ASSERT_TRUE(metrics_update_rate(&rates, 9, UINT64_MAX, BEGIN + 100 * MS));
    CU_ASSERT_EQUAL(rates.millievents_per_second, 0);
    CU_ASSERT_EQUAL(rates.millibytes_per_second, UINT64_MAX);
    rates.window_start = UINT64_MAX;
    CU_ASSERT_FALSE(metrics_update_rate(&rates, 9, 0, BEGIN + 200 * MS));
}

static ada_metrics_rates_t contended;

static void come_first(const char *point)
{
    (void)point;
    ada_test_point_hook = NULL;
    CU_ASSERT_TRUE(metrics_update_rate(&contended, 300, 9600, BEGIN + 200 * MS));
}

/* Both found it due. */
static void metrics_rate__another_was_faster__then_its_window_stays(void)
{
    memset(&contended, 0, sizeof(contended));
    CU_ASSERT_TRUE(metrics_update_rate(&contended, 100, 3200, BEGIN));
    ada_test_point_hook = come_first;
    CU_ASSERT_FALSE(metrics_update_rate(&contended, 900, 28800, BEGIN + 201 * MS));
    CU_ASSERT_PTR_NULL(ada_test_point_hook);
    CU_ASSERT_EQUAL(metrics_events_per_second(&contended), 1000);
    CU_ASSERT_EQUAL(contended.window_start, BEGIN + 200 * MS);
    CU_ASSERT_EQUAL(contended.window_events, 300);
}

#define COLLECTORS 8u
#define WINDOWS 20000u

typedef struct Collector {
    ada_metrics_rates_t *rates;
    uint64_t *claims;
} Collector;

static void *collect(void *context)
{
    Collector *collector = context;

    for (uint64_t i = 0; i < WINDOWS; i++) {
        if (metrics_update_rate(collector->rates, i * 100, i * 3200, BEGIN + i * 100 * MS))
            (void)ada_fetch_add_relaxed(collector->claims, 1ull);
    }
    return NULL;
}

/* Each window has one winner at most, and what it saw is of one moment. */
static void metrics_rate__eight_at_once__then_one_claims_each_window(void)
{
    ada_metrics_rates_t rates = {0};
    uint64_t claims = 0;
    Collector collector = {.rates = &rates, .claims = &claims};
    pthread_t threads[COLLECTORS];

    for (uint32_t i = 0; i < COLLECTORS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, collect, &collector), 0);
    for (uint32_t i = 0; i < COLLECTORS; i++)
        pthread_join(threads[i], NULL);
    CU_ASSERT_TRUE(claims >= 1 && claims <= WINDOWS);
    CU_ASSERT_EQUAL((rates.window_start - BEGIN) / (100 * MS) * 100, rates.window_events);
    CU_ASSERT_EQUAL(rates.window_events * 32, rates.window_bytes);
    CU_ASSERT_TRUE(claims < 2 || is_near(metrics_events_per_second(&rates), 1000));
}

static const TestCase tests[] = {
    TEST(metrics_rate__steady_second__then_within_one_percent),
    TEST(metrics_rate__within_the_window__then_unchanged),
    TEST(metrics_rate__impossible_totals__then_bounded),
    TEST(metrics_rate__another_was_faster__then_its_window_stays),
    TEST(metrics_rate__eight_at_once__then_one_claims_each_window),
};
TEST_MAIN("metrics_rate", tests)
