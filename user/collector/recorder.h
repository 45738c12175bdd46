/* SPDX-License-Identifier: MIT */
/*
 * Recording one command: starts it, follows its processes, passes signals on, and closes the file.
 *
 * Two threads: this one waits for announcements, ends of processes and signals; the session's drains. So
 * neither a slow disk nor a flood of announcements delays the other.
 */
#ifndef ADA_COLLECTOR_RECORDER_H
#define ADA_COLLECTOR_RECORDER_H

#include "user/collector/session.h"
#include "user/export/metrics_server.h"

typedef struct RecorderConfig {
    char *const *argv; /* ended by NULL */
    SegmentConfig segment;
    int output;                 /* the empty file; taken over */
    const char *const *strings; /* for the SESSION block */
    enum drain_scheduler_kind scheduler;
    uint64_t metrics_interval_ns; /* how often metrics are collected; 0: never */
    MetricsAddress *metrics_address; /* where they are served; its port, if 0, is set to the one chosen; NULL: nowhere */
    const char *metrics_file;    /* where they are written, as text for Prometheus; NULL: nowhere */
    const MarkRules *rules;      /* NULL: none */
    const WeightRules *weights;  /* NULL: none */
    const char *preload_library; /* NULL: none */
    const char *preload_groups;
    bool no_bpf; /* do without kernel assistance */
    /* Called when writing the file starts to fail (error < 0) and when it works again (0). */
    void (*on_write_state)(void *context, int error);
    /* Something is odd, once a minute and cause at most; see user/metrics/anomaly.h. NULL: nobody wants to know. */
    void (*on_anomaly)(void *context, enum metrics_anomaly anomaly);
    /* As on_write_state, of the metrics' file, from a thread of its own. */
    void (*on_metrics_state)(void *context, int error);
    /* Before the command runs: metrics are served at config->metrics_address. */
    void (*on_metrics_served)(void *context);
    void *context;
} RecorderConfig;

/* What kept the recording from starting, for the error message. */
enum recorder_stage {
    RECORDER_STAGE_NONE,           /* it started */
    RECORDER_STAGE_SEGMENT,        /* making the shared memory */
    RECORDER_STAGE_SOCKET,         /* making the announce socket */
    RECORDER_STAGE_FILE,           /* writing the file's first blocks */
    RECORDER_STAGE_SIGNALS,        /* signalfd, epoll, threads */
    RECORDER_STAGE_METRICS_FILE,   /* the thread that writes config->metrics_file */
    RECORDER_STAGE_METRICS_SERVER, /* serving metrics at config->metrics_address */
    RECORDER_STAGE_PROGRAM,        /* running the command: ENOENT, EACCES ... */
};

typedef struct Recorder Recorder;

/*
 * Runs the command to its end. 0 and *recorder_out, for recorder_result(), even if the file could not be
 * completed (SessionResult says so); else -errno and *stage_out.
 */
int recorder_run(const RecorderConfig *config, Recorder **recorder_out, enum recorder_stage *stage_out);

/* How the command ended. */
ProcessEnd recorder_command_end(const Recorder *recorder);

void recorder_result(const Recorder *recorder, SessionResult *result);

void recorder_destroy(Recorder *recorder);

#endif
