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

void format_duration(uint64_t ns, char *text, size_t size)
{
    static const char *const units[] = {"us", "ms", "s"};
    double value = (double)ns / 1e3;
    size_t unit = 0;

    if (ns < 1000) {
        (void)snprintf(text, size, "%u ns", (unsigned)ns);
        return;
    }
    while (value >= 999.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1000;
        unit++;
    }
    (void)snprintf(text, size,
                   value < 9.9995   ? "%.3f %s"
                   : value < 99.995 ? "%.2f %s"
                                    : "%.1f %s",
                   value, units[unit]);
}
