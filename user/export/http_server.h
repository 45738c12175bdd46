/* SPDX-License-Identifier: MIT */
/*
 * HTTP that clients cannot take away from each other: connections are limited in number, time and memory.
 *
 * libmicrohttpd speaks HTTP; a thread of ours accepts connections, gives them to it, and waits for whatever comes next.
 * So the limits are our own:
 *
 * - a connection that has not finished a request in time is shut down, however busily it sends a byte now and then, and
 *   so is one that does not take its answer, or just sits there (connection_queue.h);
 * - a new connection is always taken: if there are too many, that with the earliest deadline goes, once it had a tenth
 *   of a second. A client that asks and listens is done before it is the first of so many, however fast others
 *   come, and waits in the backlog no longer than it takes to send those before it away.
 */
#ifndef ADA_EXPORT_HTTP_SERVER_H
#define ADA_EXPORT_HTTP_SERVER_H

#include <microhttpd.h>
#include <stdint.h>

#include "user/export/metrics_address.h"

typedef struct HttpServerConfig {
    uint32_t connections_max; /* 1.. */
    uint64_t time_limit_ns;   /* for a request and its answer */
    MHD_AccessHandlerCallback on_request;
    void *context;
} HttpServerConfig;

typedef struct HttpServer HttpServer;

/*
 * Listens, and starts the thread; all signals are blocked in it. *address gets the port that was chosen. -ENOMEM; errors of
 * socket(2), bind(2), listen(2), eventfd(2), pthread_create(3), negative.
 */
int http_server_create(const HttpServerConfig *config, MetricsAddress *address, HttpServer **server_out);

/* Ends the thread and all connections. NULL is allowed. */
void http_server_destroy(HttpServer *server);

#endif
