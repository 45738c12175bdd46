/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#if ADA_HAVE_MICROHTTPD
#include "user/export/http_server.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "user/base/thread.h"
#include "user/export/connection_queue.h"
#include "user/lane/clock.h"

#define CONNECTION_BYTES 16384u /* for a request's line and headers */
#define ACCEPTED_AT_ONCE 16u    /* before those that are there are looked after again */
#define NS_PER_MS UINT64_C(1000000)
#define ACCEPT_PAUSE_NS (100 * NS_PER_MS) /* when there is no descriptor for another connection */
#define GRACE_NS (100 * NS_PER_MS)        /* that nobody's place is taken away in */

/* In the order of its deadline while somebody waits for something; else to be shut down, or free. */
typedef struct HttpConnection {
    QueuedConnection queued; /* first, so that it leads back here */
    struct HttpConnection *next_free;
    int fd;
    bool answering; /* there was a request: its answer is under way */
} HttpConnection;

struct HttpServer {
    HttpServerConfig config;
    struct MHD_Daemon *daemon;
    int listener;
    int stop; /* eventfd */
    pthread_t thread;
    /* The rest is the thread's. */
    ConnectionQueue queue;
    HttpConnection *free;
    uint32_t open; /* known to libmicrohttpd: at most config.connections_max */
    uint64_t accept_after;
    HttpConnection connections[];
};

/* ---- what libmicrohttpd tells ------------------------------------------------------------------ */

/* What belongs to a connection; the array has one for each that there may be. */
static void on_connection(void *context, struct MHD_Connection *connection, void **connection_context,
                          enum MHD_ConnectionNotificationCode code)
{
    HttpServer *server = context;
    HttpConnection *mine;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        mine = server->free;
        server->free = mine->next_free;
        *mine = (HttpConnection){
            .fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd};
        connection_queue_renew(&server->queue, &mine->queued, ada_clock_monotonic_ns());
        *connection_context = mine;
        server->open++;
    } else {
        mine = *connection_context;
        connection_queue_remove(&server->queue, &mine->queued);
        mine->next_free = server->free;
        server->free = mine;
        server->open--;
    }
}

static HttpConnection *connection_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

/* NOLINTNEXTLINE(readability-function-size): libmicrohttpd wants so many parameters. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **request)
{
    const HttpServer *server = context;

    connection_of(connection)->answering = true;
    return server->config.on_request(server->config.context, connection, path, method, version, upload,
                                     upload_size, request);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request,
                         enum MHD_RequestTerminationCode code)
{
    HttpServer *server = context;
    HttpConnection *mine = connection_of(connection);

    (void)request;
    if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        return; /* it is about to be closed */
    mine->answering = false;
    if (mine->queued.queued) /* not one that was shut down just now */
        connection_queue_renew(&server->queue, &mine->queued, ada_clock_monotonic_ns());
}

/* ---- limits ------------------------------------------------------------------------------------- */

/* libmicrohttpd sees the end of it when it runs next, and closes it. */
static void shut_first(HttpServer *server)
{
    const struct linger discard = {.l_onoff = 1, .l_linger = 0};
    HttpConnection *first = (HttpConnection *)server->queue.first;

    connection_queue_remove(&server->queue, &first->queued);
    /* Who does not take an answer is not to fill the kernel's memory with it after the end. */
    if (first->answering)
        (void)setsockopt(first->fd, SOL_SOCKET, SO_LINGER, &discard, sizeof(discard));
    (void)shutdown(first->fd, SHUT_RDWR);
}

static void shut_overdue(HttpServer *server)
{
    while (connection_queue_wait(&server->queue, ada_clock_monotonic_ns()) == 0)
        shut_first(server);
}

/* The first of all connections has to go for the next one: from when on. Until then newcomers are in the backlog. */
static uint64_t next_accept(const HttpServer *server)
{
    uint64_t from = server->accept_after;

    if (server->open == server->config.connections_max && server->queue.first &&
        server->queue.first->since + GRACE_NS > from)
        from = server->queue.first->since + GRACE_NS;
    return from;
}

static bool make_room(HttpServer *server)
{
    while (server->open == server->config.connections_max && server->queue.first) {
        shut_first(server);
        (void)MHD_run(server->daemon);
    }
    return server->open < server->config.connections_max;
}

static void take_connection(HttpServer *server, int fd, const struct sockaddr_storage *peer, socklen_t size)
{
    if (!make_room(server)) {
        close(fd);
        return;
    }
    /* Closes it if it cannot take it. Newer versions only note it, and take it when they run. */
    (void)MHD_add_connection(server->daemon, fd, (const struct sockaddr *)peer, size);
    (void)MHD_run(server->daemon);
}

static void accept_connections(HttpServer *server)
{
    for (uint32_t i = 0; i < ACCEPTED_AT_ONCE; i++) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof(peer);
        int fd;

        if (next_accept(server) > ada_clock_monotonic_ns())
            return;
        fd = accept4(server->listener, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take_connection(server, fd, &peer, size);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* It stays in the backlog, and would wake us at once, again and again. */
            server->accept_after = ada_clock_monotonic_ns() + ACCEPT_PAUSE_NS;
            if (server->queue.first)
                shut_first(server);
        }
        return;
    }
}

/* ---- thread ------------------------------------------------------------------------------------- */

/* For poll(2): until libmicrohttpd, the first deadline or the end of a pause wants to be looked after. */
static int milliseconds_to_wait(const HttpServer *server, uint64_t now)
{
    uint64_t wait = connection_queue_wait(&server->queue, now);
    uint64_t accept_from = next_accept(server);
    MHD_UNSIGNED_LONG_LONG ms;

    if (accept_from > now && accept_from - now < wait)
        wait = accept_from - now;
    wait = wait / NS_PER_MS + (wait % NS_PER_MS != 0); /* rounded down, it would be too early, again and again */
    if (MHD_get_timeout(server->daemon, &ms) == MHD_YES && ms < wait)
        wait = ms;
    return wait > INT_MAX ? -1 : (int)wait;
}

static void *serve(void *context)
{
    enum { STOP, LISTENER, CONNECTIONS, WATCHED };
    HttpServer *server = context;
    struct pollfd watched[WATCHED] = {
        [STOP] = {.fd = server->stop, .events = POLLIN},
        [LISTENER] = {.events = POLLIN},
        [CONNECTIONS] = {.fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
                         .events = POLLIN},
    };

    for (;;) {
        uint64_t now = ada_clock_monotonic_ns();

        watched[LISTENER].fd = now < next_accept(server) ? -1 : server->listener;
        if (poll(watched, WATCHED, milliseconds_to_wait(server, now)) < 0)
            continue;
        if (watched[STOP].revents)
            return NULL;
        shut_overdue(server);
        if (watched[LISTENER].revents)
            accept_connections(server);
        (void)MHD_run(server->daemon);
    }
}

/* ---- life --------------------------------------------------------------------------------------- */

static int listen_at(MetricsAddress *address, int *fd_out)
{
    const int one = 1;
    int fd = socket(address->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error;

    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
        bind(fd, (const struct sockaddr *)&address->socket, address->size) == 0 && listen(fd, SOMAXCONN) == 0 &&
        getsockname(fd, (struct sockaddr *)&address->socket, &address->size) == 0) {
        *fd_out = fd;
        return 0;
    }
    error = -errno;
    close(fd);
    return error;
}

static int start(HttpServer *server)
{
    server->stop = eventfd(0, EFD_CLOEXEC);
    if (server->stop < 0)
        return -errno;
    server->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, on_request,
                                      server, MHD_OPTION_CONNECTION_LIMIT, server->config.connections_max,
                                      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
                                      MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
                                      MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_END);
    if (!server->daemon)
        return -ENOMEM;
    return thread_start_without_signals(&server->thread, serve, server);
}

/* All but the thread. */
static void release(HttpServer *server)
{
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    if (server->stop >= 0)
        close(server->stop);
    if (server->listener >= 0)
        close(server->listener);
    free(server);
}

int http_server_create(const HttpServerConfig *config, MetricsAddress *address, HttpServer **server_out)
{
    HttpServer *server = calloc(1, sizeof(*server) + config->connections_max * sizeof(HttpConnection));
    int error;

    if (!server)
        return -ENOMEM;
    server->config = *config;
    server->listener = server->stop = -1;
    connection_queue_init(&server->queue, config->time_limit_ns);
    for (uint32_t i = config->connections_max; i-- > 0;) {
        server->connections[i].next_free = server->free;
        server->free = &server->connections[i];
    }
    error = listen_at(address, &server->listener);
    if (!error)
        error = start(server);
    if (error) {
        release(server);
        return error;
    }
    *server_out = server;
    return 0;
}

void http_server_destroy(HttpServer *server)
{
    const uint64_t one = 1;

    if (!server)
        return;
    (void)!write(server->stop, &one, sizeof(one)); /* cannot fail: the counter was 0 */
    pthread_join(server->thread, NULL);
    release(server);
}

#endif
