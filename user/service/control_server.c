/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/control_server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "user/service/control_answer.h"
#include "user/service/socket_listener.h"

#define CLIENTS_MAX 1024u
#define IDLE_NS 60000000000ull
#define RATE 50u
#define BURST 100u
#define EVENTS_PER_TURN 64u /* of one control_server_serve(): the loop has other work, too */

#define NO_PLACE UINT32_MAX
#define EVENT_LISTENER UINT64_MAX /* epoll data; others are generation << 32 | place */
#define EVENT_TIMER (UINT64_MAX - 1)

/* Connections of a user. */
typedef struct User {
    uid_t uid;
    uint32_t connections; /* 0: the entry is free */
} User;

typedef struct Connection {
    int fd;              /* -1: the place is free */
    uint32_t generation; /* one more for each that has this place; events of those before are told by it */
    uint32_t user;       /* index of users[] */
    ControlPeer peer;
    uint64_t active_at; /* CLOCK_MONOTONIC, ns: when it connected, asked, or was answered */
    uint64_t serial;    /* of the request in progress; 0: none */
    bool has_id;
    bool deferred; /* no requests are read from it, as one is in progress */
    uint64_t id;
} Connection;

struct ControlServer {
    SocketListener listener;
    int epoll;
    int timer;
    int spare; /* to be closed when there are no descriptors left, so that one can be accepted and closed */
    gid_t group;
    uint64_t idle_ns;
    uint64_t armed_for; /* what the timer is set to; 0: nothing */
    uint64_t last_serial;
    ControlHandle handle;
    void *context;
    ControlRates rates;
    uint32_t capacity;
    uint32_t count;
    Connection *connections; /* `capacity`, as users */
    User *users;
    char packet[ADA_CONTROL_PACKET_MAX];
};

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- connections ------------------------------------------------------------------------------ */

static void drop(ControlServer *server, uint32_t place)
{
    Connection *connection = &server->connections[place];

    close(connection->fd);
    if (connection->peer.pidfd >= 0)
        close(connection->peer.pidfd);
    server->users[connection->user].connections--;
    server->count--;
    connection->fd = -1;
    connection->serial = 0;
}

static uint64_t event_data(const ControlServer *server, uint32_t place)
{
    return (uint64_t)server->connections[place].generation << 32 | place;
}

/* Reads no requests of a connection while it has one in progress, but still hears when it hangs up. */
static void defer(ControlServer *server, uint32_t place, bool deferred)
{
    Connection *connection = &server->connections[place];
    struct epoll_event event = {.events = deferred ? 0 : EPOLLIN, .data.u64 = event_data(server, place)};

    if (connection->deferred == deferred)
        return;
    connection->deferred = deferred;
    if (epoll_ctl(server->epoll, EPOLL_CTL_MOD, connection->fd, &event) < 0)
        drop(server, place);
}

/* The user's entry, or a free one; there are as many as connections. */
static uint32_t user_of(const ControlServer *server, uid_t uid)
{
    uint32_t unused = NO_PLACE;

    for (uint32_t i = 0; i < server->capacity; i++) {
        if (server->users[i].connections > 0 && server->users[i].uid == uid)
            return i;
        if (server->users[i].connections == 0 && unused == NO_PLACE)
            unused = i;
    }
    return unused;
}

/*
 * How readily a connection gives way to a peer: 0, not at all; else the more the sooner. Silent ones before those whose request is
 * in progress, unprivileged ones before privileged ones; those of root in progress never.
 */
static uint32_t readiness(const Connection *connection, const ControlPeer *peer)
{
    bool silent = connection->serial == 0;

    if (connection->fd < 0)
        return 0;
    if (!connection->peer.privileged)
        return silent ? 4 : peer->privileged ? 3 : 0;
    if (silent && peer->privileged)
        return 2;
    return peer->uid == 0 && connection->peer.uid != 0 ? 1 : 0;
}

/* Whether `one` should go rather than `other`, which are equally ready: whose user has more, then who has been silent for longer. */
static bool goes_first(const ControlServer *server, const Connection *one, const Connection *other)
{
    uint32_t has = server->users[one->user].connections;
    uint32_t other_has = server->users[other->user].connections;

    return has != other_has ? has > other_has : one->active_at < other->active_at;
}

/* The connection that gives way to the peer, of one user's (NO_PLACE: of all); NO_PLACE: none does. */
static uint32_t find_victim(const ControlServer *server, const ControlPeer *peer, uint32_t user)
{
    uint32_t victim = NO_PLACE;
    uint32_t best = 0;

    for (uint32_t i = 0; i < server->capacity; i++) {
        const Connection *connection = &server->connections[i];
        uint32_t ready = readiness(connection, peer);

        if (ready == 0 || (user != NO_PLACE && connection->user != user))
            continue;
        if (ready > best || (ready == best && goes_first(server, connection, &server->connections[victim]))) {
            victim = i;
            best = ready;
        }
    }
    return victim;
}

/* How many places a user without privileges may have. */
static uint32_t share_of(const ControlServer *server)
{
    return server->capacity < 4 ? 1 : server->capacity / 4;
}

/* A place for the peer; NO_PLACE: none. */
static uint32_t find_place(ControlServer *server, const ControlPeer *peer)
{
    uint32_t user = user_of(server, peer->uid);
    bool all_of_share =
        !peer->privileged && user != NO_PLACE && server->users[user].connections >= share_of(server);
    uint32_t victim;

    for (uint32_t i = 0; i < server->capacity && !all_of_share; i++) {
        if (server->connections[i].fd < 0)
            return i;
    }
    victim = find_victim(server, peer, all_of_share ? user : NO_PLACE);
    if (victim != NO_PLACE)
        drop(server, victim);
    return victim;
}

/* ---- accepting -------------------------------------------------------------------------------- */

static void refuse_connection(int fd, const char *why)
{
    ControlRefusal refusal;

    (void)control_refuse(&refusal, ADA_CONTROL_BUSY, "%s", why);
    (void)control_answer_refuse(fd, false, 0, &refusal);
}

static bool take_in(ControlServer *server, int fd, const ControlPeer *peer, uint64_t now)
{
    uint32_t place = find_place(server, peer);
    uint32_t user = user_of(server, peer->uid);
    struct epoll_event event = {.events = EPOLLIN};
    Connection *connection;

    if (place == NO_PLACE || user == NO_PLACE) {
        refuse_connection(fd, "all places at the service's control socket are taken: try again later");
        return false;
    }
    connection = &server->connections[place];
    connection->generation++;
    event.data.u64 = event_data(server, place);
    if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        return false;
    *connection = (Connection){
        .fd = fd, .generation = connection->generation, .user = user, .peer = *peer, .active_at = now};
    server->users[user].uid = peer->uid;
    server->users[user].connections++;
    server->count++;
    return true;
}

static void accept_one(ControlServer *server)
{
    int fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    uint64_t now = now_ns();
    ControlPeer peer;

    if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
        /* Would stay ready without end: take it in and hang up. */
        close(server->spare);
        fd = accept(server->listener.fd, NULL, NULL);
        if (fd >= 0)
            close(fd);
        server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return;
    }
    if (fd < 0)
        return;
    if (control_peer_of(fd, server->group, &peer) != 0) {
        close(fd);
        return;
    }
    if (!peer.privileged && !control_rates_take(&server->rates, peer.uid, now)) {
        refuse_connection(fd, "this user connects to the service's control socket too often: wait a second");
    } else if (take_in(server, fd, &peer, now)) {
        return;
    }
    if (peer.pidfd >= 0)
        close(peer.pidfd);
    close(fd);
}

/* ---- requests --------------------------------------------------------------------------------- */

/* Ends a request: `sent` is what sending its answer came to. */
static void end_request(ControlServer *server, uint32_t place, int sent)
{
    Connection *connection = &server->connections[place];

    connection->serial = 0;
    connection->active_at = now_ns();
    if (sent != 0)
        drop(server, place); /* it has gone, or does not read */
    else
        defer(server, place, false);
}

static void refuse(ControlServer *server, uint32_t place, const ControlRefusal *refusal)
{
    const Connection *connection = &server->connections[place];

    end_request(server, place,
                control_answer_refuse(connection->fd, connection->has_id, connection->id, refusal));
}

static void handle(ControlServer *server, uint32_t place, const ControlRequest *request)
{
    Connection *connection = &server->connections[place];
    ControlTicket ticket = {place, connection->serial};
    ControlRefusal refusal;

    if (request->command == CONTROL_RELOAD && !connection->peer.privileged) {
        (void)control_refuse(
            &refusal, ADA_CONTROL_NOT_PERMITTED,
            "reloading the configuration is for root and the control group: ask as one of them");
        refuse(server, place, &refusal);
        return;
    }
    server->handle(server->context, &connection->peer, request, ticket);
    if (control_server_awaits(server, ticket))
        defer(server, place, true);
}

static void take_packet(ControlServer *server, uint32_t place, size_t size)
{
    Connection *connection = &server->connections[place];
    ControlRequest request;
    ControlRefusal refusal;
    int error;

    connection->serial = ++server->last_serial;
    error = control_request_parse(server->packet, size, &request, &refusal);
    connection->has_id = request.has_id;
    connection->id = request.id;
    if (error == -ENOMEM)
        (void)control_refuse(&refusal, ADA_CONTROL_FAILED, "the service is out of memory: try again later");
    if (error)
        refuse(server, place, &refusal);
    else
        handle(server, place, &request);
    control_request_fini(&request);
}

static void serve_connection(ControlServer *server, uint32_t place)
{
    Connection *connection = &server->connections[place];
    ControlRefusal refusal;
    ssize_t size;

    if (connection->deferred) {
        drop(server, place); /* all that is heard of it now is that it hung up */
        return;
    }
    /* Descriptors that come along find no room, and are closed by the kernel. */
    size = recv(connection->fd, server->packet, sizeof(server->packet), MSG_DONTWAIT | MSG_TRUNC);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        drop(server, place);
        return;
    }
    connection->active_at = now_ns();
    if (!connection->peer.privileged &&
        !control_rates_take(&server->rates, connection->peer.uid, connection->active_at)) {
        refuse_connection(connection->fd, "this user asks the service too often: wait a second");
        drop(server, place);
    } else if ((size_t)size > sizeof(server->packet)) {
        connection->has_id = false;
        (void)control_refuse(&refusal, ADA_CONTROL_TOO_LARGE, "the request has %zu bytes: at most %u are taken",
                             (size_t)size, ADA_CONTROL_PACKET_MAX);
        refuse(server, place, &refusal);
    } else {
        take_packet(server, place, (size_t)size);
    }
}

/* ---- time ------------------------------------------------------------------------------------- */

/* Drops who was silent for too long, and sets the timer for who is next. */
static void expire(ControlServer *server)
{
    uint64_t now = now_ns();
    uint64_t next = 0;
    struct itimerspec time = {{0}, {0}};

    for (uint32_t i = 0; i < server->capacity; i++) {
        const Connection *connection = &server->connections[i];
        uint64_t end = connection->active_at + server->idle_ns;

        if (connection->fd < 0 || connection->serial != 0)
            continue;
        if (end <= now)
            drop(server, i);
        else if (next == 0 || end < next)
            next = end;
    }
    if (next == server->armed_for)
        return;
    time.it_value.tv_sec = (time_t)(next / 1000000000u);
    time.it_value.tv_nsec = (long)(next % 1000000000u);
    if (timerfd_settime(server->timer, TFD_TIMER_ABSTIME, &time, NULL) == 0)
        server->armed_for = next;
}

void control_server_serve(ControlServer *server)
{
    struct epoll_event event;

    for (uint32_t i = 0; i < EVENTS_PER_TURN && epoll_wait(server->epoll, &event, 1, 0) == 1; i++) {
        uint32_t place = (uint32_t)event.data.u64;

        if (event.data.u64 == EVENT_LISTENER) {
            accept_one(server); /* one, and then whoever has asked meanwhile: epoll takes turns */
        } else if (event.data.u64 == EVENT_TIMER) {
            uint64_t expirations;

            (void)!read(server->timer, &expirations, sizeof(expirations));
        } else if (server->connections[place].fd >= 0 && event_data(server, place) == event.data.u64) {
            serve_connection(server, place);
        }
    }
    expire(server);
}

/* ---- the server ------------------------------------------------------------------------------- */

static int watch(int epoll, int fd, uint64_t data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};

    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_all(ControlServer *server, const ControlServerConfig *config)
{
    int error;

    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    server->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (server->epoll < 0 || server->timer < 0 || server->spare < 0)
        return -errno;
    error = watch(server->epoll, server->timer, EVENT_TIMER);
    if (!error && config->listener >= 0)
        error = socket_listener_take(config->listener, &server->listener);
    else if (!error)
        error = socket_listener_open(config->path, &server->listener);
    if (!error)
        error = watch(server->epoll, server->listener.fd, EVENT_LISTENER);
    if (error && config->listener >= 0)
        server->listener.fd = -1; /* still the caller's */
    return error;
}

int control_server_create(const ControlServerConfig *config, ControlServer **server_out)
{
    ControlServer *server;
    int error = -ENOMEM;

    if (config->clients == 0 || config->clients > CLIENTS_MAX)
        return -EINVAL;
    server = calloc(1, sizeof(*server));
    if (!server)
        return -ENOMEM;
    socket_listener_clear(&server->listener);
    server->epoll = server->timer = server->spare = -1;
    server->group = config->group;
    server->idle_ns = config->idle_ns ? config->idle_ns : IDLE_NS;
    server->handle = config->handle;
    server->context = config->context;
    server->rates.rate = config->rate ? config->rate : RATE;
    server->rates.burst = config->burst ? config->burst : BURST;
    server->connections = calloc(config->clients, sizeof(*server->connections));
    server->users = calloc(config->clients, sizeof(*server->users));
    if (server->connections && server->users) {
        server->capacity = config->clients;
        for (uint32_t i = 0; i < server->capacity; i++)
            server->connections[i].fd = -1;
        error = open_all(server, config);
    }
    if (error) {
        control_server_destroy(server);
        return error;
    }
    *server_out = server;
    return 0;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void control_server_destroy(ControlServer *server)
{
    if (!server)
        return;
    for (uint32_t i = 0; server->connections && server->users && i < server->capacity; i++) {
        if (server->connections[i].fd >= 0)
            drop(server, i);
    }
    socket_listener_fini(&server->listener);
    close_fd(server->epoll);
    close_fd(server->timer);
    close_fd(server->spare);
    free(server->connections);
    free(server->users);
    free(server);
}

int control_server_descriptor(const ControlServer *server)
{
    return server->epoll;
}

uint32_t control_server_clients(const ControlServer *server)
{
    return server->count;
}

bool control_server_awaits(const ControlServer *server, ControlTicket ticket)
{
    return ticket.serial != 0 && ticket.place < server->capacity &&
           server->connections[ticket.place].serial == ticket.serial;
}

void control_server_answer(ControlServer *server, ControlTicket ticket, const char *result, size_t size)
{
    const Connection *connection;

    if (!control_server_awaits(server, ticket))
        return;
    connection = &server->connections[ticket.place];
    end_request(server, ticket.place, control_answer_send(connection->fd, connection->id, result, size));
}

void control_server_refuse(ControlServer *server, ControlTicket ticket, const char *code, const char *format,
                           ...)
{
    ControlRefusal refusal = {.code = code};
    va_list args;

    if (!control_server_awaits(server, ticket))
        return;
    va_start(args, format);
    control_refuse_v(&refusal, code, format, args);
    va_end(args);
    refuse(server, ticket.place, &refusal);
}
