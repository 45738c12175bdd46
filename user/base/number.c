/* SPDX-License-Identifier: MIT */
#include "user/base/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t number_format_padded(char *out, uint64_t value, size_t digits)
{
    char text[NUMBER_CHARS_MAX];
    size_t at = sizeof(text);

    while (value > 0 || sizeof(text) - at < digits) {
        text[--at] = (char)('0' + value % 10);
        value /= 10;
    }
    memcpy(out, text + at, sizeof(text) - at);
    return sizeof(text) - at;
}

size_t number_format_u64(char *out, uint64_t value)
{
    return number_format_padded(out, value, 1);
}

size_t number_format_i64(char *out, int64_t value)
{
    if (value >= 0)
        return number_format_u64(out, (uint64_t)value);
    *out = '-';
    return 1 + number_format_u64(out + 1, -(uint64_t)value);
}

size_t number_format_hex(char *out, uint64_t value)
{
    size_t digits = value ? (67u - (size_t)__builtin_clzll(value)) / 4 : 1;

    out[0] = '0';
    out[1] = 'x';
    for (size_t i = digits; i > 0; i--, value >>= 4)
        out[1 + i] = "0123456789abcdef"[value & 15];
    return 2 + digits;
}

size_t number_format_f64(char *out, double value)
{
    int length = 0;

    for (int digits = 15; digits <= 17; digits++) {
        length = snprintf(out, NUMBER_CHARS_MAX, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    return (size_t)length;
}
