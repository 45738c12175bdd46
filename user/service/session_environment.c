/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/session_environment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/announce_abi.h"

/* 0, -ENAMETOOLONG. */
static int make_path(const ServiceConfig *config, const ServiceSession *session, const char *end,
                     char path[PATH_MAX])
{
    const char *slash = strrchr(config->announce_socket, '/'); /* the path is absolute */
    int length = snprintf(path, PATH_MAX, "%.*s/%s.env%s", (int)(slash - config->announce_socket),
                          config->announce_socket, session->name, end);

    return length > 0 && length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int write_file(const char *path, const char *text, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    ssize_t written;
    int error = 0;

    if (fd < 0)
        return -errno;
    (void)fchmod(fd, 0644); /* there is nothing secret in it, whatever the umask */
    written = write(fd, text, size);
    if (written != (ssize_t)size)
        error = written < 0 ? -errno : -ENOSPC;
    close(fd);
    return error;
}

int session_environment_write(const ServiceConfig *config, const ServiceSession *session)
{
    char path[PATH_MAX], fresh[PATH_MAX], text[512];
    int length = snprintf(text, sizeof(text),
                          ADA_ENV_ANNOUNCE "=%s\n" ADA_ENV_OPTIONS "=policy=%u,detail=%u,threads=%" PRIu64
                                           ",ring=%" PRIu64 "\n",
                          config->announce_socket, session->policy, session->detail, session->threads,
                          session->ring_size);
    int error = make_path(config, session, "", path);

    if (error)
        return error;
    error = make_path(config, session, ".new", fresh);
    if (error)
        return error;
    error = write_file(fresh, text, (size_t)length); /* the path of a socket is short: it fits */
    if (!error && rename(fresh, path) < 0)
        error = -errno;
    return error;
}

void session_environment_remove(const ServiceConfig *config, const ServiceSession *session)
{
    char path[PATH_MAX];

    if (make_path(config, session, "", path) == 0)
        (void)unlink(path);
}
