/* SPDX-License-Identifier: MIT */
/*
 * A session that runs: a recorder in a thread of its own, its files, and what is known of how it goes.
 *
 *     session_run_start -> STARTING -> RUNNING -> (STOPPING) -> STOPPED | FAILED -> session_run_destroy
 *
 * Everything here is called by the service's own thread and waits for nobody, but for session_run_destroy().
 */
#ifndef ADA_SERVICE_SESSION_RUN_H
#define ADA_SERVICE_SESSION_RUN_H

#include "user/collector/announce_server.h"
#include "user/collector/flight_recorder.h"
#include "user/access/process_identity.h"
#include "user/metrics/metrics_snapshot.h"
#include "user/service/service_config.h"
#include "user/service/service_log.h"
#include "user/service/session_state.h"
#include "user/service/stored_segments.h"

typedef struct SessionRun SessionRun;

typedef struct SessionRunConfig {
    const ServiceSession *session; /* outlives the run; as does what follows */
    const ServiceConfig *service;
    const uid_t *only_user; /* RecorderConfig.only_user */
    StoredSegments *stored; /* those of the session are taken out of it when the run starts; NULL: there are none */
    ServiceLog *log;
    int state_fd; /* eventfd(2) that is written to when the state changes, or a file is complete */
} SessionRunConfig;

/* 0, or -errno of having a thread. That it is there does not mean that it records: its state says so. */
int session_run_start(const SessionRunConfig *config, SessionRun **run_out);

/* Has it end: what is published is drained, the file completed. */
void session_run_stop(SessionRun *run);

/* Waits until its thread has ended, which happens by itself only after session_run_stop(); the reference of session_run_start() is given back. NULL is allowed. */
void session_run_destroy(SessionRun *run);

/*
 * One more reference, for session_run_release(). Of a run that was destroyed the state and the metrics may be asked for as long as
 * there are references, from any thread; nothing else. NULL gives NULL, and is allowed.
 */
SessionRun *session_run_share(SessionRun *run);
void session_run_release(SessionRun *run);

/* Once it is STOPPED or FAILED, destroying does not wait. */
enum session_state session_run_state(SessionRun *run);

const ServiceSession *session_run_definition(const SessionRun *run);

/* Whether the session is about this process, which uses libadatrace. */
bool session_run_matches(const SessionRun *run, const ProcessIdentity *identity);

/* A process that it is about announced its segment. Takes over the descriptors; they are closed if it does not run. */
void session_run_announce(SessionRun *run, const Announcement *announcement);

/* As recorder_mark(), recorder_detach() and recorder_rotate(). False: it does not run. */
bool session_run_mark(SessionRun *run, pid_t pid);
bool session_run_detach(SessionRun *run, pid_t pid);
bool session_run_rotate(SessionRun *run);

/* Writes what its flight recorder has. 0; -EAGAIN: it does not run; -ENOTSUP: it has none. */
int session_run_snapshot(SessionRun *run);

/* What is known of a run. */
typedef struct SessionRunFacts {
    enum session_state state;
    char reason[512];         /* FAILED: why; else "" */
    uint64_t started_at;      /* CLOCK_REALTIME, ns */
    uint64_t stopped_at;      /* 0: it has not */
    int write_error;          /* -errno of a file that cannot be written at the moment, or 0 */
    uint64_t files_completed; /* while it ran */
    char last_file[512];      /* path of the last of them */
    char last_error[512];     /* that it told of, "": none */
    uint64_t last_error_at;   /* CLOCK_REALTIME, ns */
} SessionRunFacts;

void session_run_facts(SessionRun *run, SessionRunFacts *facts);

/* What its flight recorder has. False: it has none, or does not run. */
bool session_run_flight(SessionRun *run, FlightRecorderFacts *facts);

/* The latest figures, for metrics_snapshot_release(); after its end the last ones. NULL: there are none. Any thread. */
const MetricsSnapshot *session_run_metrics(SessionRun *run);

#endif
