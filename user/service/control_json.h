/* SPDX-License-Identifier: MIT */
/*
 * What the service tells of itself and of its sessions, as the results of its control commands: docs/control-protocol.md says what
 * each member means. Who tells fills the structs; texts stay theirs. Members are only ever added.
 *
 * Names are those of metrics_json.h where it has them. Errors of writing stay in the stream (ferror).
 */
#ifndef ADA_SERVICE_CONTROL_JSON_H
#define ADA_SERVICE_CONTROL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "user/file/adat_account.h"
#include "user/metrics/metrics_snapshot.h"
#include "user/service/session_state.h"

#define CONTROL_JSON_VERSION 1u

enum flight_state {
    FLIGHT_STATE_OFF,     /* the session writes all the time */
    FLIGHT_STATE_WAITING, /* data stay in memory */
    FLIGHT_STATE_WRITING, /* a snapshot is being written */
    FLIGHT_STATES,
};

/* Something that went wrong in a session. */
typedef struct SessionProblem {
    uint64_t realtime_ns;
    const char *text;
} SessionProblem;

typedef struct SessionStatus {
    const char *name;
    enum session_state state;
    const char *failure; /* why, of SESSION_STATE_FAILED; else NULL */
    uid_t owner; /* who may control it, besides root and the control group; sessions of the configuration are root's */
    bool configured;           /* it is in the configuration; false: made by `attach` */
    const char *const *attach; /* the texts of `attach` */
    size_t attach_count;
    uint64_t started_at_ns; /* CLOCK_REALTIME; 0: not started yet */
    uint64_t duration_ns;   /* since then, or until its end */

    uint32_t processes_alive;
    uint64_t processes_ever;
    uint32_t threads_alive;
    uint64_t threads_ever;
    AdatAccount events;
    AdatAccount detail;
    double events_per_second;
    MetricsPercentiles latency; /* from an event to the file, of the last interval */

    const char *directory; /* of its files; NULL: none yet */
    uint64_t files;        /* in it */
    uint64_t bytes;        /* of these */
    uint64_t disk_free;    /* for the service's user; bytes */
    int32_t write_error;   /* -errno of what cannot be written at the moment, or 0 */

    bool kernel_enabled;
    const char *kernel_reason; /* why not; NULL if it is */

    enum flight_state flight;
    uint64_t flight_snapshots;    /* that were written */
    uint64_t flight_memory_bytes; /* that are held */

    const SessionProblem *problems; /* the last ones, oldest first */
    size_t problem_count;

    const MetricsSnapshot *metrics; /* all that is known, of one session that is asked for; NULL: left out */
} SessionStatus;

typedef struct ServiceStatus {
    const char *version;
    pid_t pid;
    uint64_t uptime_ns;
    const char *config_path;
    uint32_t clients; /* at the control socket */
    uint32_t sessions;
    uint32_t sessions_running;
} ServiceStatus;

/* "off" ... */
const char *flight_state_name(enum flight_state state);

/* The result of list and status: {"version":1,"service":{...},"sessions":[...]}, one line. */
void control_json_write_status(const ServiceStatus *service, const SessionStatus *sessions, size_t count,
                               FILE *out);

/*
 * The result of commands that are about one session: {"version":1,"session":{...},"file":PATH}. `file` is the one that was finished
 * (rotate) or written (snapshot); NULL: there is none.
 */
void control_json_write_session(const SessionStatus *session, const char *file, FILE *out);

/* The result of version and reload: {"version":1,"service":{...}}. */
void control_json_write_service(const ServiceStatus *service, FILE *out);

#endif
