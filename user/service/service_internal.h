/* SPDX-License-Identifier: MIT */
/*
 * The service from within; all of it is its one thread's.
 *
 *   service.c           setting up, the loop, signals, announcements
 *   service_commands.c  what is asked at the control socket
 *   service_status.c    what is told of sessions
 */
#ifndef ADA_SERVICE_SERVICE_INTERNAL_H
#define ADA_SERVICE_SERVICE_INTERNAL_H

#include "user/service/control_json.h"
#include "user/service/control_server.h"
#include "user/service/service.h"
#include "user/service/service_metrics.h"
#include "user/service/session_table.h"
#include "user/service/socket_listener.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

/* A command whose answer waits for something. */
typedef struct WaitingCommand {
    ControlTicket ticket;
    enum control_command command;
    char session[SERVICE_SESSION_NAME_MAX + 1];
    uint64_t files_before; /* SessionRunFacts.files_completed when it came */
    uint64_t give_up_at;   /* CLOCK_MONOTONIC, ns */
} WaitingCommand;

typedef struct Service {
    const ServiceOptions *options;
    ServiceLog log;
    SessionTable sessions;
    ServiceMetrics metrics;
    AnnounceServer announce;
    SocketListener announce_listener; /* its path; the descriptor is the server's */
    ControlServer *control;           /* NULL: there is none */
    int epoll;
    int signals;
    int state;  /* eventfd: a session's state changed */
    bool ready; /* systemd was told; as well as of */
    uint32_t told_sessions;
    uint32_t told_running;
    bool stopping;
    bool failed; /* it cannot go on: it stops, and is to be started again */
    bool killed; /* asked to end a second time */
    uint64_t started_at;
    uint64_t stop_by;
    uint64_t sessions_due;
    uint64_t watchdog_ns; /* 0: none */
    uint64_t watchdog_due;
    /* announcements that may be taken before the rate is too high */
    double announce_tokens;
    uint64_t announce_refilled;
    bool announce_paused;

    /* service_commands.c */
    WaitingCommand *waiting;
    size_t waiting_count;
    size_t waiting_capacity;
    uint32_t next_name; /* of sessions by command that were not given one */
} Service;

static inline const ServiceConfig *service_config(const Service *service)
{
    return service->sessions.present->config;
}

/* CLOCK_MONOTONIC. */
uint64_t service_now_ns(void);

/* Reads the configuration again. 0; -EINVAL: there are mistakes, which were logged; -ENOMEM: it is as before. */
int service_reload(Service *service);

/* ---- service_commands.c */

/* ControlHandle; the context is the Service. */
void service_obey(void *context, const ControlPeer *peer, const ControlRequest *request, ControlTicket ticket);

/* Answers what has come about; before session_table_check() lets go of what has ended. Returns when it is to be called next, or UINT64_MAX. */
uint64_t service_answer_waiting(Service *service, uint64_t now);

/* ---- service_status.c */

/* What the parts of a SessionStatus are in. */
typedef struct StatusRoom {
    SessionRunFacts facts;
    SessionProblem problem;
} StatusRoom;

/* `room` outlives the status; `snapshot` may be NULL. */
void service_fill_session(const TableSession *session, const MetricsSnapshot *snapshot, StatusRoom *room,
                          SessionStatus *status);

void service_fill_service(const Service *service, ServiceStatus *status);

/* The result of list and status; `only` NULL: all sessions. The caller's to free; NULL: no memory. */
char *service_describe_sessions(const Service *service, const TableSession *only, size_t *size_out);

/* The result of a command about one session, and of one about the service. The same. */
char *service_describe_session(const TableSession *session, const char *file, size_t *size_out);
char *service_describe(const Service *service, size_t *size_out);

#endif
