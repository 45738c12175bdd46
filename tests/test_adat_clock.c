/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <unistd.h>

#include "adat_check.h"
#include "test_support.h"

static AdatReader *open_clocks(const AdatClock *anchors, size_t count, uint32_t clock_kind)
{
    int fd = sample_file();
    AdatWriter *writer = sample_writer(dup(fd));
    AdatReader *reader;

    for (size_t i = 0; i < count; i++)
        sample_put_clock(writer, anchors[i].tsc, anchors[i].monotonic_ns, anchors[i].realtime_ns);
    sample_put_process(writer, 1, 1, clock_kind);
    sample_put_thread(writer, 1, 1, 1, "main");
    sample_put_index(writer, 1, 1, 0, ticks_from(500, 2), 2, NULL);
    end_unclosed(writer);
    reader = open_trace(fd);
    close(fd);
    return reader;
}

static void clock__between_and_beyond_anchors__then_piecewise_linear(void)
{
    /* 2 ticks a ns, then 4; 8000 ticks in 3000 ns beyond the ends */
    static const AdatClock anchors[] = {
        {10000, 1000, 50000, 1}, {14000, 3000, 52000, 1}, {18000, 4000, 53100, 1}};
    AdatReader *reader = open_clocks(anchors, 3, ADA_CLOCK_TSC);

    CU_ASSERT_EQUAL(adat_reader_clock_quality(reader), ADAT_CLOCK_ANCHORED);
    CU_ASSERT_EQUAL(adat_reader_time(reader, 0, 10000), 0);
    CU_ASSERT_EQUAL(adat_reader_time(reader, 0, 12000), 1000);
    CU_ASSERT_EQUAL(adat_reader_time(reader, 0, 14000), 2000);
    CU_ASSERT_EQUAL(adat_reader_time(reader, 0, 16000), 2500);
    CU_ASSERT_EQUAL(adat_reader_time(reader, 0, 18000), 3000);
    CU_ASSERT_EQUAL(adat_reader_time(reader, 0, 26000), 6000);
    CU_ASSERT_EQUAL(adat_reader_time(reader, 0, 2000), -3000);
    CU_ASSERT_EQUAL(adat_reader_realtime(reader, 0), 50000);
    CU_ASSERT_EQUAL(adat_reader_realtime(reader, 1000), 51000);
    CU_ASSERT_EQUAL(adat_reader_realtime(reader, 2500), 52550); /* realtime gained 100 ns on the way */
    CU_ASSERT_EQUAL(adat_reader_realtime(reader, 4000), 54100);
    CU_ASSERT_EQUAL(adat_reader_realtime(reader, -1000), 49000);
    CU_ASSERT_EQUAL(adat_reader_realtime(reader, -60000), 0);
    CU_ASSERT_EQUAL(adat_reader_realtime(reader, INT64_MAX), 0); /* absurd, but no overflow */
    /* The one in the middle is 500 ns off the line between the others; all were read within what the sample says. */
    CU_ASSERT_EQUAL(adat_reader_clock_error(reader), 500 + SAMPLE_CLOCK_ERROR);
    adat_reader_close(reader);
}

static void clock__monotonic_process__then_passes_through(void)
{
    static const AdatClock anchors[] = {{10000, 1000, 50000, 1}, {14000, 3000, 52000, 1}};
    AdatReader *reader = open_clocks(anchors, 2, ADA_CLOCK_MONOTONIC);

    CU_ASSERT_EQUAL(adat_reader_time(reader, 0, 1000), 0);
    CU_ASSERT_EQUAL(adat_reader_time(reader, 0, 1234), 234);
    CU_ASSERT_EQUAL(adat_reader_time(reader, 0, 400), -600);
    CU_ASSERT_EQUAL(adat_reader_clock_error(reader), SAMPLE_CLOCK_ERROR);
    adat_reader_close(reader);
}

static void clock__without_enough_anchors__then_guessed(void)
{
    static const AdatClock one = {10000, 1000, 50000, 1};
    AdatReader *reader = open_clocks(&one, 1, ADA_CLOCK_TSC);

    CU_ASSERT_EQUAL(adat_reader_clock_quality(reader), ADAT_CLOCK_GUESSED);
    CU_ASSERT_EQUAL(adat_reader_time(reader, 0, 10500), 500);
    CU_ASSERT_EQUAL(adat_reader_time(reader, 0, 9500), -500);
    adat_reader_close(reader);

    reader = open_clocks(NULL, 0, ADA_CLOCK_TSC);
    CU_ASSERT_EQUAL(adat_reader_clock_quality(reader), ADAT_CLOCK_GUESSED);
    CU_ASSERT_EQUAL(adat_reader_time(reader, 0, 510), 10); /* from the first event on */
    CU_ASSERT_EQUAL(adat_reader_time(reader, 0, 490), -10);
    CU_ASSERT_EQUAL(adat_reader_realtime(reader, 10),
                    adat_reader_info(reader)->header.created_realtime_ns + 10);
    CU_ASSERT_EQUAL(adat_reader_realtime(reader, INT64_MIN), 0);
    CU_ASSERT_EQUAL(adat_reader_duration(reader), 1);
    adat_reader_close(reader);
}

static void clock__absurd_anchors_and_ticks__then_no_overflow_and_never_decreasing(void)
{
    static const AdatClock anchors[] = {
        {5, 1000, 50000, 1},   {4, 2000, 50000, 1},                          /* tsc goes back */
        {6, 900, 50000, 1},                                                  /* monotonic goes back */
        {7, UINT64_MAX, 0, 1},                                               /* beyond all time */
        {8, 0, UINT64_MAX, 1}, {9, (uint64_t)1 << 61, (uint64_t)1 << 61, 1}, /* 10^17 ns a tick */
    };
    static const uint64_t ticks[] = {
        0, 1, 4, 5, 6, 8, 9, 10, 1000, UINT32_MAX, INT64_MAX, UINT64_MAX - 1, UINT64_MAX};
    static const uint32_t kinds[] = {ADA_CLOCK_TSC, ADA_CLOCK_MONOTONIC};

    for (size_t k = 0; k < 2; k++) {
        AdatReader *reader = open_clocks(anchors, sizeof(anchors) / sizeof(anchors[0]), kinds[k]);
        int64_t last = INT64_MIN;

        for (size_t i = 0; i < sizeof(ticks) / sizeof(ticks[0]); i++) {
            int64_t time = adat_reader_time(reader, 0, ticks[i]);

            CU_ASSERT(time >= last);
            last = time;
            adat_reader_realtime(reader, time);
        }
        CU_ASSERT(count_problems(reader) > 0);
        CU_ASSERT(adat_reader_clock_error(reader) < (uint64_t)1 << 63);
        CU_ASSERT(adat_reader_duration(reader) < (uint64_t)1 << 63);
        adat_reader_close(reader);
    }
}

static void clock__many_anchors_with_jitter__then_never_decreasing_and_exact_at_anchors(void)
{
    AdatClock anchors[200];
    AdatReader *reader;
    int64_t last = INT64_MIN;
    uint32_t seed = 1;

    for (uint32_t i = 0; i < 200; i++) {
        seed = seed * 1664525u + 1013904223u;
        anchors[i] =
            (AdatClock){1000000u + i * 30011u, 500000u + i * 10000u + seed % 997, 900000u + i * 10000u, 9};
    }
    reader = open_clocks(anchors, 200, ADA_CLOCK_TSC);
    for (uint64_t ticks = 990000; ticks < 1000000u + 201u * 30011u; ticks += 7) {
        int64_t time = adat_reader_time(reader, 0, ticks);

        if (time < last)
            CU_FAIL("time went back");
        last = time;
    }
    for (size_t i = 0; i < 200; i++)
        CU_ASSERT_EQUAL(adat_reader_time(reader, 0, anchors[i].tsc),
                        (int64_t)(anchors[i].monotonic_ns - anchors[0].monotonic_ns));
    adat_reader_close(reader);
}

static const TestCase tests[] = {
    TEST(clock__between_and_beyond_anchors__then_piecewise_linear),
    TEST(clock__monotonic_process__then_passes_through),
    TEST(clock__without_enough_anchors__then_guessed),
    TEST(clock__absurd_anchors_and_ticks__then_no_overflow_and_never_decreasing),
    TEST(clock__many_anchors_with_jitter__then_never_decreasing_and_exact_at_anchors),
};
TEST_MAIN("adat_clock", tests)
