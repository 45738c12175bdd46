/* SPDX-License-Identifier: MIT */
#include "user/base/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "00", "01" ... "99" */
static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                            "25262728293031323334353637383940414243444546474849"
                            "50515253545556575859606162636465666768697071727374"
                            "75767778798081828384858687888990919293949596979899";

size_t number_format_padded(char *out, uint64_t value, size_t digits)
{
    char text[NUMBER_CHARS_MAX];
    size_t at = sizeof(text);

    for (; value >= 10; value /= 100) {
        at -= 2;
        memcpy(text + at, pairs + 2 * (value % 100), 2);
    }
    if (value > 0)
        text[--at] = (char)('0' + value);
    while (sizeof(text) - at < digits)
        text[--at] = '0';
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

/*
 * Most numbers that people record have few digits behind the point. If the nearest one of at most six is the number, it is the shortest
 * text, in no more than 15 digits, which printf() would write the same. 0: it is none of these.
 */
static size_t format_short_f64(char *out, double value)
{
    double size = fabs(value), scaled = rint(size * 1e6);
    uint64_t digits;
    size_t length = 0;

    /* below, printf() would write an exponent; also no NaN, no zero, which may be negative */
    if (!(size >= 1e-4 && size < 1e9) || scaled / 1e6 != size)
        return 0;
    digits = (uint64_t)scaled;
    if (value < 0)
        out[length++] = '-';
    length += number_format_u64(out + length, digits / 1000000u);
    if (digits % 1000000u == 0)
        return length;
    out[length++] = '.';
    length += number_format_padded(out + length, digits % 1000000u, 6);
    while (out[length - 1] == '0')
        length--;
    return length;
}

size_t number_format_f64(char *out, double value)
{
    int length = (int)format_short_f64(out, value);

    if (length > 0)
        return (size_t)length;

    for (int digits = 15; digits <= 17; digits++) {
        length = snprintf(out, NUMBER_CHARS_MAX, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    return (size_t)length;
}
