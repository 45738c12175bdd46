/* SPDX-License-Identifier: MIT */
/* What is odd is noticed, once a minute, and nothing else. */
#include "test_support.h"

#include "user/metrics/anomaly.h"

#define NS_PER_S 1000000000ull

typedef struct Bench {
    AnomalyState state;
    AdatAccount total;
    LatencyHistogram latency;
    AnomalyInput input;
} Bench;

static Bench *calm(void)
{
    static Bench bench;

    bench = (Bench){
        .input = {.now = 1, .total = &bench.total, .rate = 5000, .average = 5000, .latency = &bench.latency}};
    latency_histogram_add(&bench.latency, 1000000, 1000);
    return &bench;
}

/* One second later. */
static uint32_t next(Bench *bench)
{
    bench->total.attempted += 5000;
    bench->input.now += NS_PER_S;
    return anomaly_check(&bench->state, &bench->input);
}

static void anomaly__calm__then_nothing(void)
{
    Bench *bench = calm();

    for (int i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(next(bench), 0);
    for (int i = 0; i < METRICS_ANOMALIES; i++)
        CU_ASSERT_EQUAL(bench->state.counts[i], 0);
}

static void anomaly__drops__then_burst_only_if_many(void)
{
    Bench *bench = calm();

    bench->total.dropped_full += 99; /* few */
    CU_ASSERT_EQUAL(next(bench), 0);
    bench->total.dropped_io += 100;
    bench->total.attempted += 5001; /* 100 of 10,001: below 1 % */
    CU_ASSERT_EQUAL(next(bench), 0);
    bench->total.dropped_nested += 100;
    CU_ASSERT_EQUAL(next(bench), 1u << METRICS_ANOMALY_DROP_BURST);
    CU_ASSERT_EQUAL(bench->state.counts[METRICS_ANOMALY_DROP_BURST], 1);
}

static void anomaly__lasts__then_counted_once_a_minute(void)
{
    Bench *bench = calm();

    bench->input.stalled = 1;
    for (int i = 0; i < 120; i++)
        (void)next(bench);
    CU_ASSERT_EQUAL(bench->state.counts[METRICS_ANOMALY_STALLED_LANE], 2);
    CU_ASSERT_EQUAL(next(bench), 1u << METRICS_ANOMALY_STALLED_LANE);
}

static void anomaly__rate_leaps__then_noticed_once_there_is_an_average(void)
{
    Bench *bench = calm();

    bench->input.rate = 20001;
    for (int i = 0; i < 10; i++)
        CU_ASSERT_EQUAL(next(bench), 0);
    bench->input.rate = 20000;
    CU_ASSERT_EQUAL(next(bench), 0);
    bench->input.rate = 20001;
    CU_ASSERT_EQUAL(next(bench), 1u << METRICS_ANOMALY_RATE);
    bench->input.now += 60 * NS_PER_S;
    bench->input.rate = 1249;
    CU_ASSERT_EQUAL(next(bench), 1u << METRICS_ANOMALY_RATE);
    bench->input.now += 60 * NS_PER_S;
    bench->input.average = 999;
    CU_ASSERT_EQUAL(next(bench), 0);
}

static void anomaly__latency__then_above_ten_milliseconds(void)
{
    Bench *bench = calm();

    latency_histogram_add(&bench->latency, 11000000, 9);
    CU_ASSERT_EQUAL(next(bench), 0);
    latency_histogram_add(&bench->latency, 11000000, 10);
    CU_ASSERT_EQUAL(next(bench), 1u << METRICS_ANOMALY_LATENCY);
    bench = calm();
    bench->latency = (LatencyHistogram){0};
    latency_histogram_add(&bench->latency, 50000000, 99); /* too few to tell */
    CU_ASSERT_EQUAL(next(bench), 0);
}

static const TestCase tests[] = {
    TEST(anomaly__calm__then_nothing),
    TEST(anomaly__drops__then_burst_only_if_many),
    TEST(anomaly__lasts__then_counted_once_a_minute),
    TEST(anomaly__rate_leaps__then_noticed_once_there_is_an_average),
    TEST(anomaly__latency__then_above_ten_milliseconds),
};
TEST_MAIN("anomaly", tests)
