/* SPDX-License-Identifier: MIT */
#include "user/cli/format.h"

#include <stdio.h>

void format_bytes(uint64_t bytes, char *text, size_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1000;
        unit++;
    }
    (void)snprintf(text, size, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

void format_rate(double rate, char *text, size_t size)
{
    if (rate >= 1e6)
        (void)snprintf(text, size, "%.1f M", rate / 1e6);
    else if (rate >= 1e3)
        (void)snprintf(text, size, "%.1f k", rate / 1e3);
    else
        (void)snprintf(text, size, "%.0f", rate);
}
