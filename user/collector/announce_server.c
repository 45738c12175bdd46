/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/announce_server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "user/collector/segment_claim.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* linux/socket.h of Linux 6.5 */
#endif

#define ANNOUNCE_BACKLOG 4096
#define ANNOUNCE_LISTENER UINT32_MAX /* epoll data of the listener; others are indices of pending[] */

static int watch(int epoll, int fd, uint32_t data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = data};

    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* ---- what killed recorders left ----------------------------------------------------------------- */

/* So many names are looked at, in a directory that may be anybody's. */
#define LEFT_OVERS_LOOKED_AT 8192u
/* A younger directory may be one whose recorder does not listen yet. */
#define LEFT_OVER_AGE_S 60

/* Whether nobody listens there any more, or never did. A recorder that is stopped or busy still listens. */
static bool is_deserted(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool deserted;

    if (fd < 0)
        return false;
    memcpy(address.sun_path, path, strlen(path) + 1);
    deserted = connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 &&
               (errno == ECONNREFUSED || errno == ENOENT);
    close(fd);
    return deserted;
}

/* Only what is our own, and is empty but for the socket. */
static void remove_left_over(int base_fd, const char *base, const char *name)
{
    int fd = openat(base_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    char path[sizeof(((AnnounceServer *)NULL)->path)];
    int length = snprintf(path, sizeof(path), "%s/%s" ANNOUNCE_SOCKET_NAME, base, name);
    struct stat status;

    if (fd < 0)
        return;
    if (length > 0 && (size_t)length < sizeof(path) && fstat(fd, &status) == 0 &&
        status.st_uid == geteuid() && status.st_mtime + LEFT_OVER_AGE_S <= time(NULL) && is_deserted(path)) {
        (void)unlinkat(fd, &ANNOUNCE_SOCKET_NAME[1], 0);
        (void)unlinkat(base_fd, name, AT_REMOVEDIR);
    }
    close(fd);
}

/* Elsewhere recorders of other machines may have directories, too, whose sockets nobody answers at here. */
static bool is_local(int fd)
{
    struct statfs status;

    if (fstatfs(fd, &status) < 0)
        return false;
    switch (status.f_type) {
    case TMPFS_MAGIC:
    case EXT4_SUPER_MAGIC:
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case OVERLAYFS_SUPER_MAGIC:
        return true;
    default:
        return false;
    }
}

static void remove_left_overs(const char *base)
{
    DIR *directory = opendir(base);
    bool local = directory && is_local(dirfd(directory));
    const struct dirent *entry;

    for (uint32_t i = 0; local && i < LEFT_OVERS_LOOKED_AT && (entry = readdir(directory)); i++) {
        if (strncmp(entry->d_name, ANNOUNCE_DIRECTORY_PREFIX, strlen(ANNOUNCE_DIRECTORY_PREFIX)) == 0 &&
            strlen(entry->d_name) == strlen(ANNOUNCE_DIRECTORY_PREFIX ANNOUNCE_DIRECTORY_RANDOM))
            remove_left_over(dirfd(directory), base, entry->d_name);
    }
    if (directory)
        closedir(directory);
}

/* ---- setting up --------------------------------------------------------------------------------- */

static int make_path(AnnounceServer *server)
{
    const char *base = getenv("TMPDIR");
    const size_t size = sizeof(server->directory);

    if (!base || *base == '\0' ||
        strlen(base) + sizeof("/" ANNOUNCE_DIRECTORY_PREFIX ANNOUNCE_DIRECTORY_RANDOM) >
            sizeof(server->directory))
        base = "/tmp";
    remove_left_overs(base);
    (void)snprintf(server->directory, size, "%s/" ANNOUNCE_DIRECTORY_PREFIX ANNOUNCE_DIRECTORY_RANDOM, base);
    if (!mkdtemp(server->directory)) {
        server->directory[0] = '\0';
        return -errno;
    }
    (void)snprintf(server->path, sizeof(server->path), "%s" ANNOUNCE_SOCKET_NAME, server->directory);
    return 0;
}

void announce_server_clear(AnnounceServer *server)
{
    *server = (AnnounceServer){.listener = -1, .epoll = -1};
    for (uint32_t i = 0; i < ANNOUNCE_PENDING_MAX; i++)
        server->pending[i] = -1;
}

/* Binds the path for everybody. A traced program may change its user: the kernel is asked whose a connection is. */
static int listen_at(AnnounceServer *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    server->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    _Static_assert(sizeof(server->path) == sizeof(address.sun_path), "");
    memcpy(address.sun_path, server->path, sizeof(server->path));
    if (server->listener < 0 || bind(server->listener, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        chmod(server->path, 0666) < 0 || listen(server->listener, ANNOUNCE_BACKLOG) < 0)
        return -errno;
    return 0;
}

static int watch_listener(AnnounceServer *server)
{
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    return server->epoll < 0 ? -errno : watch(server->epoll, server->listener, ANNOUNCE_LISTENER);
}

int announce_server_init(AnnounceServer *server)
{
    int error;

    announce_server_clear(server);
    error = make_path(server);
    if (!error)
        error = listen_at(server);
    if (!error && chmod(server->directory, 0711) < 0)
        error = -errno;
    if (!error)
        error = watch_listener(server);
    if (error)
        announce_server_fini(server);
    return error;
}

int announce_server_open(AnnounceServer *server, const char *path, int listener)
{
    int error;

    announce_server_clear(server);
    server->public = true;
    if (strlen(path) >= sizeof(server->path))
        return -ENAMETOOLONG;
    memcpy(server->path, path, strlen(path) + 1);
    server->listener = listener;
    error = watch_listener(server);
    if (error) {
        server->listener = -1; /* still the caller's */
        announce_server_fini(server);
    }
    return error;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void announce_server_fini(AnnounceServer *server)
{
    for (uint32_t i = 0; i < ANNOUNCE_PENDING_MAX; i++)
        close_fd(&server->pending[i]);
    close_fd(&server->listener);
    close_fd(&server->epoll);
    if (server->directory[0]) {
        (void)unlink(server->path);
        (void)rmdir(server->directory);
    }
    server->directory[0] = '\0';
}

/* A place for one more connection; the one that waited longest gives way when there is none. */
static uint32_t free_place(AnnounceServer *server)
{
    uint32_t victim;

    for (uint32_t i = 0; i < ANNOUNCE_PENDING_MAX; i++) {
        if (server->pending[i] < 0)
            return i;
    }
    victim = server->next_victim++ % ANNOUNCE_PENDING_MAX;
    close_fd(&server->pending[victim]);
    return victim;
}

static void accept_one(AnnounceServer *server)
{
    int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    uint32_t place;

    if (fd < 0)
        return;
    place = free_place(server);
    if (watch(server->epoll, fd, place) != 0) {
        close(fd);
        return;
    }
    server->pending[place] = fd;
}

/* The descriptors that came with a message: the first is kept, others are closed. -1: none. */
static int take_descriptor(struct msghdr *packet)
{
    int kept = -1;

    for (struct cmsghdr *control = CMSG_FIRSTHDR(packet); control; control = CMSG_NXTHDR(packet, control)) {
        size_t count;

        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
            continue;
        count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(fd));
            if (kept < 0)
                kept = fd;
            else
                segment_release(fd);
        }
    }
    return kept;
}

static bool is_question(uint32_t type)
{
    return type == ADA_ANNOUNCE_MARK || type == ADA_ANNOUNCE_METRICS;
}

/* A traced program may have another user than the recorder, if that is root; who asks something may not. */
static bool may_say(const AnnounceServer *server, int connection, uint32_t type, struct ucred *peer)
{
    socklen_t size = sizeof(*peer);

    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, peer, &size) < 0 || peer->pid <= 0)
        return false;
    if (is_question(type))
        return peer->uid == 0 || peer->uid == geteuid();
    return server->public || geteuid() == 0 || peer->uid == geteuid();
}

/* A descriptor of the process that connected, not of whoever has its pid now - as far as the kernel offers that. */
static int peer_pidfd(int connection, pid_t pid)
{
    socklen_t size = sizeof(int);
    int fd = -1;

    if (getsockopt(connection, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) == 0)
        return fd;
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static bool message_is_valid(const AnnounceMessage *message, const struct msghdr *packet, ssize_t size, int fd)
{
    if (size != (ssize_t)sizeof(*message) || (packet->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
        message->magic != ADA_ANNOUNCE_MAGIC || message->version != ADA_ANNOUNCE_VERSION)
        return false;
    if (message->type == ADA_ANNOUNCE_MARK)
        return fd < 0 && message->pid > 0 && message->pid <= INT32_MAX;
    if (message->type == ADA_ANNOUNCE_METRICS)
        return fd < 0;
    return fd >= 0 && (message->type == ADA_ANNOUNCE_OWN || message->type == ADA_ANNOUNCE_CLAIMED);
}

/* 1: an announcement; 0: nothing yet; -1: not a valid message. */
static int receive(const AnnounceServer *server, int connection, Announcement *announcement)
{
    AnnounceMessage message;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * 4)];
    } control;
    struct iovec data = {&message, sizeof(message)};
    struct msghdr packet = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space)};
    struct ucred peer;
    ssize_t size;
    int fd;

    size = recvmsg(connection, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (size < 0)
        return -1;
    fd = take_descriptor(&packet);
    if (!message_is_valid(&message, &packet, size, fd) || !may_say(server, connection, message.type, &peer)) {
        segment_release(fd);
        return -1;
    }
    *announcement = (Announcement){.type = message.type, .pidfd = -1, .segment = fd, .answer_to = -1};
    if (is_question(message.type)) {
        announcement->pid = (pid_t)message.pid;
        announcement->answer_to = connection;
    } else {
        announcement->pid = peer.pid;
        announcement->pidfd = peer_pidfd(connection, peer.pid);
    }
    return 1;
}

/* One message to who asked, and the end. */
static void answer(Announcement *announcement, uint32_t type, uint32_t pid, int fd)
{
    AnnounceMessage message = {ADA_ANNOUNCE_MAGIC, ADA_ANNOUNCE_VERSION, type, pid};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.space = {0}};
    struct iovec data = {&message, sizeof(message)};
    struct msghdr packet = {.msg_iov = &data, .msg_iovlen = 1};

    if (fd >= 0) {
        packet.msg_control = &control;
        packet.msg_controllen = sizeof(control.space);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    }
    (void)sendmsg(announcement->answer_to, &packet, MSG_DONTWAIT | MSG_NOSIGNAL);
    close(announcement->answer_to);
    announcement->answer_to = -1;
}

void announce_server_answer(Announcement *announcement, bool marked)
{
    answer(announcement, ADA_ANNOUNCE_MARKED, marked ? (uint32_t)announcement->pid : 0, -1);
}

void announce_server_report(Announcement *announcement, int fd)
{
    answer(announcement, ADA_ANNOUNCE_REPORT, 0, fd);
}

int announce_server_next(AnnounceServer *server, Announcement *announcement)
{
    struct epoll_event event;

    while (epoll_wait(server->epoll, &event, 1, 0) == 1) {
        int result;

        if (event.data.u32 == ANNOUNCE_LISTENER) {
            accept_one(server);
            continue;
        }
        result = receive(server, server->pending[event.data.u32], announcement);
        if (result == 0)
            continue;
        if (result > 0 && announcement->answer_to >= 0) { /* still needed, and not watched any more */
            (void)epoll_ctl(server->epoll, EPOLL_CTL_DEL, announcement->answer_to, NULL);
            server->pending[event.data.u32] = -1;
        }
        close_fd(&server->pending[event.data.u32]);
        if (result > 0)
            return 1;
    }
    return 0;
}
