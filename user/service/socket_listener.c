/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/socket_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096 /* the kernel's default limit: who floods it must fill that, while we accept */

void socket_listener_clear(SocketListener *listener)
{
    *listener = (SocketListener){.fd = -1, .lock = -1};
}

static int make_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char directory[108];

    if (!slash || slash == path)
        return 0;
    (void)snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path), path);
    return mkdir(directory, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* Of two services that begin at the same time one finds the other's lock: between a look at the path and bind() nobody changes it. */
static int take_lock(const char *path)
{
    char name[128];
    int fd;

    (void)snprintf(name, sizeof(name), "%s.lock", path);
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int error = errno == EWOULDBLOCK ? -EADDRINUSE : -errno;

        close(fd);
        return error;
    }
    return fd;
}

/* Whether nobody listens at a socket. */
static bool is_deserted(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool deserted;

    if (fd < 0)
        return false;
    deserted = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 && errno == ECONNREFUSED;
    close(fd);
    return deserted;
}

static int make_way(const struct sockaddr_un *address)
{
    struct stat status;

    if (lstat(address->sun_path, &status) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(status.st_mode))
        return -EEXIST;
    if (!is_deserted(address))
        return -EADDRINUSE;
    return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Nobody can connect before listen(), so nobody meets the rights that bind() gave. */
static int listen_at(const struct sockaddr_un *address, SocketListener *listener)
{
    struct stat status;

    listener->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd < 0 || bind(listener->fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
        return -errno;
    memcpy(listener->path, address->sun_path, sizeof(listener->path));
    if (lstat(listener->path, &status) == 0) {
        listener->device = status.st_dev;
        listener->inode = status.st_ino;
    }
    if (chmod(listener->path, 0666) < 0 || listen(listener->fd, BACKLOG) < 0)
        return -errno;
    return 0;
}

int socket_listener_open(const char *path, SocketListener *listener_out)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    SocketListener listener;
    int error;

    _Static_assert(sizeof(address.sun_path) == sizeof(listener.path), "");
    socket_listener_clear(&listener);
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    error = make_directory(path);
    if (error)
        return error;
    listener.lock = take_lock(path);
    if (listener.lock < 0)
        return listener.lock;
    error = make_way(&address);
    if (!error)
        error = listen_at(&address, &listener);
    if (error) {
        socket_listener_fini(&listener);
        return error;
    }
    *listener_out = listener;
    return 0;
}

/* 0, or -errno. */
static int option_of(int fd, int name, int *value)
{
    socklen_t size = sizeof(*value);

    return getsockopt(fd, SOL_SOCKET, name, value, &size) < 0 ? -errno : 0;
}

int socket_listener_take(int fd, SocketListener *listener_out)
{
    int domain = 0, type = 0, listens = 0, flags;
    int error = option_of(fd, SO_DOMAIN, &domain);

    if (!error)
        error = option_of(fd, SO_TYPE, &type);
    if (!error)
        error = option_of(fd, SO_ACCEPTCONN, &listens);
    if (error)
        return error;
    if (domain != AF_UNIX || type != SOCK_SEQPACKET)
        return -EPROTOTYPE;
    if (!listens)
        return -EINVAL;
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    socket_listener_clear(listener_out);
    listener_out->fd = fd;
    return 0;
}

void socket_listener_fini(SocketListener *listener)
{
    struct stat status;

    if (listener->path[0] && lstat(listener->path, &status) == 0 && status.st_dev == listener->device &&
        status.st_ino == listener->inode)
        (void)unlink(listener->path);
    if (listener->fd >= 0)
        close(listener->fd);
    if (listener->lock >= 0)
        close(listener->lock);
    socket_listener_clear(listener);
}
