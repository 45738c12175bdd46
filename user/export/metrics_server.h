/* SPDX-License-Identifier: MIT */
/*
 * Metrics over HTTP: /metrics for Prometheus (or OpenMetrics, by Accept), /metrics.json, and / for people.
 *
 * One thread answers all (http_server.h); it shares nothing with drains but the feed, so the slowest client delays
 * other clients at most. What is answered is made once for the same figures, however often it is asked for.
 */
#ifndef ADA_EXPORT_METRICS_SERVER_H
#define ADA_EXPORT_METRICS_SERVER_H

#include "user/export/metrics_address.h"
#include "user/metrics/metrics_feed.h"

#define METRICS_SERVER_CONNECTIONS_MAX 128u
#define METRICS_SERVER_TIME_LIMIT_NS 10000000000ull

typedef struct MetricsServerConfig {
    MetricsFeed feed;       /* outlives the server, whose thread asks it */
    uint64_t time_limit_ns; /* from the start of a connection, or from its last answer, to the end of the next */
} MetricsServerConfig;

typedef struct MetricsServer MetricsServer;

/*
 * Listens, and starts the thread; all signals are blocked in it. *address gets the port that was chosen. -ENOSYS: built
 * without libmicrohttpd; -ENOMEM; errors of socket(2), bind(2), listen(2), pthread_create(3).
 */
int metrics_server_create(const MetricsServerConfig *config, MetricsAddress *address,
                          MetricsServer **server_out);

/* Ends all connections. NULL is allowed. */
void metrics_server_destroy(MetricsServer *server);

#endif
