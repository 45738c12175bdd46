/* SPDX-License-Identifier: MIT */
/*
 * Metrics over HTTP: /metrics for Prometheus (or OpenMetrics, by Accept), /metrics.json, and / for people.
 *
 * One thread of libmicrohttpd answers all; it shares nothing with the drain but the hub, so the slowest client
 * delays other clients at most. Connections are limited in number, time and memory. What is answered is made once per
 * snapshot, however often it is asked for.
 */
#ifndef ADA_EXPORT_METRICS_SERVER_H
#define ADA_EXPORT_METRICS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "user/metrics/metrics_snapshot.h"

#define METRICS_ADDRESS_TEXT 64u

typedef struct MetricsAddress {
    struct sockaddr_storage socket;
    socklen_t size;
} MetricsAddress;

/*
 * "PORT" is on loopback; "ADDRESS:PORT", "[IPv6]:PORT". Numbers only, no names; port 0: one that is free. -EINVAL: it is
 * none of these; *address_out is untouched.
 */
int metrics_address_parse(const char *text, MetricsAddress *address_out);

/* Whether only programs on this machine reach it. */
bool metrics_address_is_loopback(const MetricsAddress *address);

/* "127.0.0.1:9900", "[::1]:9900". */
void metrics_address_format(const MetricsAddress *address, char text[METRICS_ADDRESS_TEXT]);

typedef struct MetricsServer MetricsServer;

/*
 * Listens, and starts the thread; all signals are blocked in it. `hub` outlives the server. *address gets the port that
 * was chosen. -ENOSYS: built without libmicrohttpd; -ENOMEM; errors of socket(2), bind(2), listen(2).
 */
int metrics_server_create(MetricsAddress *address, MetricsHub *hub, MetricsServer **server_out);

/* Ends all connections. NULL is allowed. */
void metrics_server_destroy(MetricsServer *server);

#endif
