/* SPDX-License-Identifier: MIT */
/* The metrics of a recording that runs, as its recorder reports them, or as the service does of one of its sessions. */
#ifndef ADA_CLI_LIVE_REPORT_H
#define ADA_CLI_LIVE_REPORT_H

#include "user/cli/recorder_client.h"
#include "user/metrics/metrics_snapshot.h"

/* Whom to ask. */
typedef struct LiveSource {
    char path[RECORDER_PATH_MAX]; /* the socket of a recorder, or the control socket */
    char session[65];             /* of the service; "": it is a recorder */
} LiveSource;

/* Which recording a user wants. */
typedef struct LiveWish {
    uint64_t pid;        /* that of this process; 0: not said */
    const char *session; /* this session of the service; NULL: not said */
    const char *socket;  /* where the service listens; NULL: where it usually does */
} LiveWish;

typedef struct LiveReport {
    char *json;                 /* one object, NUL-terminated */
    MetricsSnapshot *snapshot;  /* what is shown of it; latencies as percentiles alone */
    MetricsPercentiles latency; /* of the last interval */
} LiveReport;

/*
 * Asks. 0: *report_out is the caller's, for live_report_fini(). -ENODATA: nothing is collected yet; -EPROTO: the answer is one that
 * this version does not understand; those of recorder_client_ask(), -ENOENT also of a session that has ended; -ENOMEM.
 */
int live_report_fetch(const LiveSource *source, LiveReport *report_out);
void live_report_fini(LiveReport *report);

/*
 * Whom a command should ask: as wished; without a wish the only recording that runs, be it a recorder's or a session. CLI_OK and
 * *source_out, or the exit status, with the error said.
 */
int live_report_choose(const char *command, const LiveWish *wish, LiveSource *source_out);

/* Says why live_report_fetch() failed. */
void live_report_explain(const char *command, const LiveSource *source, int error);

#endif
