/* SPDX-License-Identifier: MIT */
/*
 * The socket on which processes announce their segments (shared/announce_abi.h).
 *
 * One message per connection, then it is closed. Who sent it is what the kernel says, never the message.
 * Everything is non-blocking; connections that send nothing are dropped when others need their place.
 */
#ifndef ADA_COLLECTOR_ANNOUNCE_SERVER_H
#define ADA_COLLECTOR_ANNOUNCE_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "shared/announce_abi.h"

#define ANNOUNCE_PENDING_MAX 64u

/* Of the paths that recorders make: a directory of mkdtemp(3), and the socket in it. */
#define ANNOUNCE_DIRECTORY_PREFIX "adatrace-"
#define ANNOUNCE_DIRECTORY_RANDOM "XXXXXX"
#define ANNOUNCE_SOCKET_NAME "/announce.sock"

typedef struct AnnounceServer {
    int listener;
    int epoll;                         /* readable when announce_server_next() may have something */
    int pending[ANNOUNCE_PENDING_MAX]; /* accepted connections; -1 = free */
    uint32_t next_victim;
    bool public;        /* for whoever has the right to connect; else for root and our own user */
    char directory[64]; /* "": the path is not ours to remove */
    char path[108];     /* as in sockaddr_un */
} AnnounceServer;

typedef struct Announcement {
    uint32_t type; /* ADA_ANNOUNCE_OWN or _CLAIMED; or a question: _MARK or _METRICS */
    pid_t pid;     /* who announces, as the kernel attests, in our pid namespace; MARK: who is to be marked */
    int pidfd;     /* the receiver's to close; -1 when the process can't be had any more, and for questions */
    int segment;   /* the receiver's to segment_release(); -1 for questions */
    int answer_to; /* questions: the connection, for announce_server_answer() or _report(), which close it; else -1 */
} Announcement;

/* A server that has nothing: announce_server_fini() may be called on it. */
void announce_server_clear(AnnounceServer *server);

/*
 * Makes a socket in a new directory below $TMPDIR or /tmp, and removes those there that recorders of the same user left who were
 * killed. Errors of mkdtemp(3), socket(2), bind(2), epoll(7).
 */
int announce_server_init(AnnounceServer *server);

/*
 * Takes over a SOCK_SEQPACKET socket that listens without blocking, and to which all users may connect; on failure it stays the
 * caller's. `path`: where it is bound, which traced programs are told. -ENAMETOOLONG; errors of epoll(7).
 */
int announce_server_open(AnnounceServer *server, const char *path, int listener);

/* Closes everything, and removes what announce_server_init() made. */
void announce_server_fini(AnnounceServer *server);

/* Tells who asked for a mark whether the process is recorded here. */
void announce_server_answer(Announcement *announcement, bool marked);

/* Answers METRICS: with a descriptor, which stays the caller's, or without (-1). */
void announce_server_report(Announcement *announcement, int fd);

/* 1: *announcement_out; 0: nothing more now. Malformed messages, and those of other users, are dropped silently. */
int announce_server_next(AnnounceServer *server, Announcement *announcement_out);

#endif
