/* SPDX-License-Identifier: MIT */
#include "user/base/parse.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits up to the first other character. A value beyond 2^64-1 sets *too_big and reads on. */
static int parse_digits(const char **text, uint64_t *value_out, bool *too_big)
{
    const char *next = *text;
    uint64_t value = 0;

    if (!is_digit(*next))
        return -EINVAL;
    for (; is_digit(*next); next++) {
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*next - '0'), &value))
            *too_big = true;
    }
    *text = next;
    *value_out = value;
    return 0;
}

static int check_range(uint64_t value, bool too_big, uint64_t min, uint64_t max, uint64_t *value_out)
{
    if (too_big || value < min || value > max)
        return -ERANGE;
    *value_out = value;
    return 0;
}

int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *value_out)
{
    bool too_big = false;
    uint64_t value;

    if (parse_digits(&text, &value, &too_big) || *text)
        return -EINVAL;
    return check_range(value, too_big, min, max, value_out);
}

int parse_bytes(const char *text, uint64_t min, uint64_t max, uint64_t *bytes_out)
{
    static const char suffixes[] = "kmgKMG";
    bool too_big = false;
    uint64_t value;

    if (parse_digits(&text, &value, &too_big))
        return -EINVAL;
    if (*text) {
        const char *suffix = strchr(suffixes, *text);

        if (!suffix || text[1])
            return -EINVAL;
        if (__builtin_mul_overflow(value, (uint64_t)1 << 10 * (1 + (suffix - suffixes) % 3), &value))
            too_big = true;
    }
    return check_range(value, too_big, min, max, bytes_out);
}

typedef struct TimeUnit {
    const char *suffix;
    uint64_t ns;
} TimeUnit;

static const TimeUnit time_units[] = {
    {"", 1000000000u}, {"s", 1000000000u},  {"ms", 1000000u},      {"us", 1000u},
    {"ns", 1u},        {"m", 60000000000u}, {"h", 3600000000000u}, {"d", 86400000000000u},
};
#define TIME_UNITS (sizeof(time_units) / sizeof(time_units[0]))
#define TIME_UNITS_SHORT 5u /* up to the first that is longer than a second */

/* In one of the first `units`. */
static int parse_time(const char *text, size_t units, uint64_t min, uint64_t max, uint64_t *ns_out)
{
    const char *fraction = NULL;
    bool too_big = false;
    uint64_t value, unit = 0;

    if (parse_digits(&text, &value, &too_big))
        return -EINVAL;
    if (*text == '.') {
        fraction = ++text;
        while (is_digit(*text))
            text++;
        if (text == fraction)
            return -EINVAL;
    }
    for (size_t i = 0; i < units; i++)
        if (strcmp(text, time_units[i].suffix) == 0)
            unit = time_units[i].ns;
    if (unit == 0)
        return -EINVAL;

    if (__builtin_mul_overflow(value, unit, &value))
        too_big = true;
    for (; fraction && is_digit(*fraction); fraction++) {
        if ((unit == 0 || unit % 10 != 0) && *fraction != '0')
            return -EINVAL;
        unit /= 10;
        if (__builtin_add_overflow(value, unit * (uint64_t)(*fraction - '0'), &value))
            too_big = true;
    }
    return check_range(value, too_big, min, max, ns_out);
}

int parse_duration(const char *text, uint64_t min, uint64_t max, uint64_t *ns_out)
{
    return parse_time(text, TIME_UNITS_SHORT, min, max, ns_out);
}

int parse_long_duration(const char *text, uint64_t min, uint64_t max, uint64_t *ns_out)
{
    return parse_time(text, TIME_UNITS, min, max, ns_out);
}
