/* SPDX-License-Identifier: MIT */
/* A socket at which the service takes connections: its own, or one that it was given (socket activation). */
#ifndef ADA_SERVICE_SOCKET_LISTENER_H
#define ADA_SERVICE_SOCKET_LISTENER_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct SocketListener {
    int fd;         /* listens, non-blocking; -1: none */
    int lock;       /* of PATH.lock, as long as the service runs; -1: the socket was given */
    char path[108]; /* "": given */
    dev_t device;   /* which file the path is, so that no other is removed */
    ino_t inode;
} SocketListener;

/* A listener that has nothing: socket_listener_fini() may be called on it. */
void socket_listener_clear(SocketListener *listener);

/*
 * Makes the socket, and its directory if only that is missing. Everybody may connect: rights are those of the peer. What
 * another service left there is removed: a socket at which nobody listens. -EADDRINUSE: a service runs there; -EEXIST: there is
 * something that is no socket; -ENAMETOOLONG; errors of mkdir(2), open(2), socket(2), bind(2).
 */
int socket_listener_open(const char *path, SocketListener *listener_out);

/*
 * Takes a socket over that listens; on failure it stays the caller's. -ENOTSOCK; -EPROTOTYPE: it is not a Unix SOCK_SEQPACKET
 * socket; -EINVAL: it does not listen; errors of fcntl(2).
 */
int socket_listener_take(int fd, SocketListener *listener_out);

/* Closes; removes the file if it is the one that was made. */
void socket_listener_fini(SocketListener *listener);

#endif
