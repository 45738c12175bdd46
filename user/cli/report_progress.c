/* SPDX-License-Identifier: MIT */
#include "user/cli/report_progress.h"

#include <stdio.h>
#include <unistd.h>

#include "user/lane/clock.h"

#define PATIENCE_NS 1000000000u

void report_progress_begin(ReportProgress *progress, const char *command, uint64_t events)
{
    *progress = (ReportProgress){.command = command,
                                 .events = events,
                                 .begun_ns = ada_clock_monotonic_ns(),
                                 .terminal = isatty(STDERR_FILENO)};
}

int report_progress_show(uint64_t events, void *context)
{
    ReportProgress *progress = context;

    if (!progress->terminal || progress->events == 0 ||
        ada_clock_monotonic_ns() - progress->begun_ns < PATIENCE_NS)
        return 0;
    if (events > progress->events)
        events = progress->events;
    fprintf(stderr, "\radatrace %s: %3.0f %%", progress->command,
            100.0 * (double)events / (double)progress->events);
    progress->shown = true;
    return 0;
}

void report_progress_end(ReportProgress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
}
