/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "test_support.h"
#include "user/base/number.h"
#include "user/base/parse.h"

#define UNTOUCHED 12345u

typedef int (*Parse)(const char *text, uint64_t min, uint64_t max, uint64_t *value_out);

static void expect(Parse parse, const char *text, int result, uint64_t value)
{
    uint64_t got = UNTOUCHED;
    int err = parse(text, 0, UINT64_MAX, &got);

    if (err != result || got != (result ? UNTOUCHED : value))
        printf("  '%s': %d %llu\n", text, err, (unsigned long long)got);
    CU_ASSERT_EQUAL(err, result);
    CU_ASSERT_EQUAL(got, result ? UNTOUCHED : value);
}

static void parse_u64__numbers__then_exact(void)
{
    expect(parse_u64, "0", 0, 0);
    expect(parse_u64, "007", 0, 7);
    expect(parse_u64, "18446744073709551615", 0, UINT64_MAX);
}

static void parse_u64__not_numbers__then_einval(void)
{
    static const char *const bad[] = {
        "", " 1", "1 ", "-1", "+1", "0x10", "1e3", "1.0", "abc", "1K", "99999999999999999999x"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect(parse_u64, bad[i], -EINVAL, 0);
}

static void parse_u64__out_of_range__then_erange(void)
{
    uint64_t value = UNTOUCHED;

    expect(parse_u64, "18446744073709551616", -ERANGE, 0);
    expect(parse_u64, "99999999999999999999999999", -ERANGE, 0);
    CU_ASSERT_EQUAL(parse_u64("4", 5, 10, &value), -ERANGE);
    CU_ASSERT_EQUAL(parse_u64("11", 5, 10, &value), -ERANGE);
    CU_ASSERT_EQUAL(value, UNTOUCHED);
    CU_ASSERT_EQUAL(parse_u64("5", 5, 10, &value), 0);
    CU_ASSERT_EQUAL(parse_u64("10", 5, 10, &value), 0);
    CU_ASSERT_EQUAL(value, 10);
}

static void parse_bytes__sizes__then_powers_of_1024(void)
{
    expect(parse_bytes, "4096", 0, 4096);
    expect(parse_bytes, "64K", 0, 65536);
    expect(parse_bytes, "64k", 0, 65536);
    expect(parse_bytes, "3M", 0, UINT64_C(3) << 20);
    expect(parse_bytes, "3m", 0, UINT64_C(3) << 20);
    expect(parse_bytes, "2G", 0, UINT64_C(2) << 30);
    expect(parse_bytes, "2g", 0, UINT64_C(2) << 30);
    expect(parse_bytes, "17179869183G", 0, UINT64_C(17179869183) << 30);
}

static void parse_bytes__nonsense__then_einval_or_erange(void)
{
    expect(parse_bytes, "", -EINVAL, 0);
    expect(parse_bytes, "K", -EINVAL, 0);
    expect(parse_bytes, "1T", -EINVAL, 0);
    expect(parse_bytes, "1KB", -EINVAL, 0);
    expect(parse_bytes, "1.5K", -EINVAL, 0);
    expect(parse_bytes, "17179869184G", -ERANGE, 0);
    expect(parse_bytes, "99999999999999999999K", -ERANGE, 0);
}

static void parse_duration__units__then_nanoseconds(void)
{
    expect(parse_duration, "0", 0, 0);
    expect(parse_duration, "2", 0, 2000000000u);
    expect(parse_duration, "2s", 0, 2000000000u);
    expect(parse_duration, "15ms", 0, 15000000u);
    expect(parse_duration, "7us", 0, 7000u);
    expect(parse_duration, "9ns", 0, 9u);
    expect(parse_duration, "0.000000001", 0, 1u);
    expect(parse_duration, "1.5ms", 0, 1500000u);
    expect(parse_duration, "1.000000000s", 0, 1000000000u);
    expect(parse_duration, "18446744073.709551615s", 0, UINT64_MAX);
    expect(parse_duration, "3.000ns", 0, 3u);
}

static void parse_duration__nonsense__then_einval_or_erange(void)
{
    static const char *const bad[] = {"",   "s",   "1.",  ".5",  "1.s",   "1m",
                                      "1h", "1 s", "1ss", "-1s", "1.5ns", "0.0000000001"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect(parse_duration, bad[i], -EINVAL, 0);
    expect(parse_duration, "18446744074s", -ERANGE, 0);
    expect(parse_duration, "18446744073.709551616s", -ERANGE, 0);
}

static void parse_long_duration__longer_units__then_nanoseconds(void)
{
    expect(parse_long_duration, "2", 0, UINT64_C(2000000000));
    expect(parse_long_duration, "5ms", 0, 5000000u);
    expect(parse_long_duration, "1m", 0, UINT64_C(60000000000));
    expect(parse_long_duration, "1.5h", 0, UINT64_C(5400000000000));
    expect(parse_long_duration, "7d", 0, UINT64_C(604800000000000));
    expect(parse_long_duration, "0.0000000005m", 0, 30u);
    expect(parse_long_duration, "213503d", 0, UINT64_C(18446659200000000000));
}

static void parse_long_duration__nonsense__then_einval_or_erange(void)
{
    static const char *const bad[] = {
        "1w", "m", "1.m", "1 d", "1.05ns", "0.00000000005m", "0.00000000000001d"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect(parse_long_duration, bad[i], -EINVAL, 0);
    expect(parse_long_duration, "213504d", -ERANGE, 0);
}

static void expect_text(const char *expected, const char *text, size_t length)
{
    CU_ASSERT_EQUAL(length, strlen(expected));
    CU_ASSERT_EQUAL(strncmp(text, expected, length), 0);
}

static void number_format__extremes__then_as_printf(void)
{
    static const uint64_t values[] = {
        0,         1, 9, 10, 15, 16, 99, 255, 256, 4095, 4096, UINT32_MAX, INT64_MAX, (uint64_t)INT64_MAX + 1,
        UINT64_MAX};
    char expected[32], text[NUMBER_CHARS_MAX];

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        unsigned long long value = values[i];

        snprintf(expected, sizeof(expected), "%llu", value);
        expect_text(expected, text, number_format_u64(text, value));
        snprintf(expected, sizeof(expected), "%lld", (long long)value);
        expect_text(expected, text, number_format_i64(text, (int64_t)value));
        snprintf(expected, sizeof(expected), "%09llu", value);
        expect_text(expected, text, number_format_padded(text, value, 9));
        snprintf(expected, sizeof(expected), "0x%llx", value);
        expect_text(expected, text, number_format_hex(text, value));
    }
}

static const TestCase tests[] = {
    TEST(parse_u64__numbers__then_exact),
    TEST(parse_u64__not_numbers__then_einval),
    TEST(parse_u64__out_of_range__then_erange),
    TEST(parse_bytes__sizes__then_powers_of_1024),
    TEST(parse_bytes__nonsense__then_einval_or_erange),
    TEST(parse_duration__units__then_nanoseconds),
    TEST(parse_duration__nonsense__then_einval_or_erange),
    TEST(parse_long_duration__longer_units__then_nanoseconds),
    TEST(parse_long_duration__nonsense__then_einval_or_erange),
    TEST(number_format__extremes__then_as_printf),
};
TEST_MAIN("parse", tests)
