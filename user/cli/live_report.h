/* SPDX-License-Identifier: MIT */
/* The metrics of a recording that runs, as its recorder reports them. */
#ifndef ADA_CLI_LIVE_REPORT_H
#define ADA_CLI_LIVE_REPORT_H

#include "user/cli/recorder_client.h"
#include "user/metrics/metrics_snapshot.h"

typedef struct LiveReport {
    char *json;                 /* as it came: one object, NUL-terminated */
    MetricsSnapshot *snapshot;  /* what is shown of it; latencies as percentiles alone */
    MetricsPercentiles latency; /* of the last interval */
} LiveReport;

/*
 * Asks the recorder at `path`. 0: *report_out is the caller's, for live_report_fini(). -ENODATA: it has collected nothing
 * yet; -EPROTO: it answers what this version does not understand; those of recorder_client_ask(); -ENOMEM.
 */
int live_report_fetch(const char *path, LiveReport *report_out);
void live_report_fini(LiveReport *report);

/*
 * The recorder that a command should ask: that of process `pid`; for 0 the only one that runs. CLI_OK and `path`, or the exit
 * status, with the error said.
 */
int live_report_choose(const char *command, uint64_t pid, char path[RECORDER_PATH_MAX]);

/* Says why live_report_fetch() failed. */
void live_report_explain(const char *command, const char *path, int error);

#endif
