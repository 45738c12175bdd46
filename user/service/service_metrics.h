/* SPDX-License-Identifier: MIT */
/*
 * The metrics of all sessions, at one address: metrics_listen.
 *
 *     service's thread ─ service_metrics_update() ─> list, under a mutex <─ acquire() ─ thread of the HTTP server
 *
 * SessionTable is the service's thread's alone. What others see of it is a list of names with references to their runs
 * (session_run_share()), so a run may be destroyed while it is asked; a session whose run is over stays in the list with its last
 * figures, until the table has it no more. Figures and states of runs are looked up when somebody asks for them: while nobody
 * does, nothing happens here.
 *
 * Everything but the feed is called by the service's own thread.
 */
#ifndef ADA_SERVICE_SERVICE_METRICS_H
#define ADA_SERVICE_SERVICE_METRICS_H

#include <pthread.h>

#include "user/export/metrics_server.h"
#include "user/service/session_table.h"

typedef struct ListedSession {
    char name[METRICS_SESSION_NAME_SIZE];
    SessionRun *run;          /* a reference; NULL: it does not run */
    enum session_state state; /* without a run; with one, as it was looked up last */
    const MetricsSnapshot *last; /* a reference: as it was looked up last, also of the run before; NULL: none yet */
} ListedSession;

typedef struct ServiceMetrics {
    ServiceLog *log;
    MetricsServer *server;  /* NULL: there is none */
    MetricsAddress address; /* as configured last */

    pthread_mutex_t lock;    /* guards what follows; held while references are taken */
    ListedSession *sessions; /* names and runs are written by the service's thread only */
    size_t count;
    bool counts_clients;
    uint64_t control_clients;
    uint64_t stamp;      /* MetricsView.stamp */
    uint64_t started_at; /* constant; CLOCK_REALTIME, ns */
} ServiceMetrics;

/* Nothing is served. `log` outlives it. */
void service_metrics_init(ServiceMetrics *metrics, ServiceLog *log);

/* Ends the server, which waits for its thread. Runs may go before or after. */
void service_metrics_fini(ServiceMetrics *metrics);

/*
 * Serves them where the configuration says, from now on; if that is where they are served already, nothing happens. That it
 * cannot is logged, and tried again with the next call.
 */
void service_metrics_configure(ServiceMetrics *metrics, const ServiceConfig *config);

/* After session_table_check(): which sessions there are. Without memory the list stays as it is until the next call. */
void service_metrics_update(ServiceMetrics *metrics, const SessionTable *table);

/* How many are connected to the control socket; before the first call it is not told. */
void service_metrics_set_clients(ServiceMetrics *metrics, uint64_t clients);

/* The metrics of all sessions in the list. `metrics` outlives it. */
MetricsFeed service_metrics_feed(ServiceMetrics *metrics);

#endif
