/* SPDX-License-Identifier: MIT */
/*
 * The control socket of the service: docs/control-protocol.md.
 *
 *     control_server_create(&config, &server);
 *     ... poll control_server_descriptor(server) for reading, and whenever it is readable:
 *     control_server_serve(server);           // calls config.handle for each request
 *     ... in the handler, or any time later:
 *     control_server_answer(server, ticket, json, size);
 *
 * Nothing blocks, and nothing is kept for who does not read: an answer that the kernel does not take at once ends the
 * connection. A connection has one request in progress; the next one waits in the kernel until that is answered.
 *
 * Who gets a place: of `clients` connections a user without privileges may hold a quarter; beyond that the one of his that has
 * been silent for longest gives way. When all places are taken, who comes gets that of the silent connection of the unprivileged
 * user who has most of them. Privileged peers get one in any case, if need be from an unprivileged user whose request is in
 * progress; root from anybody. Requests and connections of an unprivileged user are limited to `rate` in a second. Connections that are silent for
 * `idle_ns` are closed.
 *
 * One thread at a time may use a server.
 */
#ifndef ADA_SERVICE_CONTROL_SERVER_H
#define ADA_SERVICE_CONTROL_SERVER_H

#include "user/service/control_peer.h"
#include "user/service/control_request.h"

typedef struct ControlServer ControlServer;

/* Names one request. It stays valid, and does nothing any more, when its client has gone. */
typedef struct ControlTicket {
    uint32_t place;
    uint64_t serial; /* never repeats */
} ControlTicket;

/*
 * Must answer or refuse the ticket once, now or later. Peer and request are valid until it returns. It may answer any tickets, and must
 * not serve or destroy the server.
 */
typedef void (*ControlHandle)(void *context, const ControlPeer *peer, const ControlRequest *request,
                              ControlTicket ticket);

typedef struct ControlServerConfig {
    const char *path; /* where the socket is made, unless */
    int listener;     /* one is given that listens: it is taken over; -1: none */
    gid_t group;      /* its members are privileged; CONTROL_NO_GROUP */
    uint32_t clients; /* connections at a time: 1..1024 */
    uint64_t idle_ns; /* 0: 60 s */
    uint32_t rate;    /* of requests and connections of an unprivileged user in a second; 0: 50 */
    uint32_t burst;   /* so many at once; 0: 100 */
    ControlHandle handle;
    void *context;
} ControlServerConfig;

/* -EINVAL: `clients` is out of range; those of socket_listener_open() and _take(), with the listener still the caller's; -ENOMEM; errors of epoll(7), timerfd_create(2). */
int control_server_create(const ControlServerConfig *config, ControlServer **server_out);

/* Hangs up on all, and removes the socket if it was made. NULL is allowed. */
void control_server_destroy(ControlServer *server);

/* Readable when there is something to serve. Stays the server's. */
int control_server_descriptor(const ControlServer *server);

/* Does what there is to do, but not without end: if the descriptor is still readable, it is to be called again. */
void control_server_serve(ControlServer *server);

/* Connections at the moment. */
uint32_t control_server_clients(const ControlServer *server);

/* Whether the client still waits: it has not gone, and was not answered. */
bool control_server_awaits(const ControlServer *server, ControlTicket ticket);

/* Answers with a result: the text of one JSON object, as control_json.h makes it; NULL: {}. Nothing happens if nobody waits. */
void control_server_answer(ControlServer *server, ControlTicket ticket, const char *result, size_t size);

/* Answers with an error: one of ADA_CONTROL_*, and one line that says what failed, on what, why, and what to do. The same. */
void control_server_refuse(ControlServer *server, ControlTicket ticket, const char *code, const char *format,
                           ...) __attribute__((format(printf, 4, 5)));

#endif
