/* SPDX-License-Identifier: MIT */
/* How far a long reading of a trace is, on a terminal's stderr. */
#ifndef ADA_CLI_REPORT_PROGRESS_H
#define ADA_CLI_REPORT_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ReportProgress {
    const char *command;
    uint64_t events; /* that there are in all */
    uint64_t begun_ns;
    bool terminal;
    bool shown;
} ReportProgress;

void report_progress_begin(ReportProgress *progress, const char *command, uint64_t events);

/* ReportConfig.progress; the context is a ReportProgress. Shows nothing in the first second. 0. */
int report_progress_show(uint64_t events, void *context);

/* Takes what is shown away. */
void report_progress_end(ReportProgress *progress);

#endif
