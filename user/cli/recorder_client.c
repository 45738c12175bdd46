/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/cli/recorder_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/cli/cli.h"
#include "user/collector/announce_server.h"

#define ENVIRONMENT_MAX ((size_t)4 << 20) /* more than the kernel lets a program be started with */
#define ANSWER_TIMEOUT_S 5

/* ---- finding ---------------------------------------------------------------------------------- */

/* The environment that the process was started with. Its size, or -errno. */
static ssize_t read_environment(uint64_t pid, char *text, size_t size)
{
    char path[64];
    size_t used = 0;
    ssize_t got = 1;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%llu/environ", (unsigned long long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    while (got > 0 && used < size) {
        got = read(fd, text + used, size - used);
        used += got > 0 ? (size_t)got : 0;
    }
    if (got < 0)
        got = -errno;
    close(fd);
    return got < 0 ? got : (ssize_t)used;
}

/* The value of a variable in such a text, NUL-terminated; NULL: it is not there. */
static const char *find_variable(const char *text, size_t size, const char *name)
{
    size_t length = strlen(name);

    for (size_t at = 0; at < size;) {
        size_t left = strnlen(text + at, size - at);

        if (at + left < size && left > length && memcmp(text + at, name, length) == 0 &&
            text[at + length] == '=')
            return text + at + length + 1;
        at += left + 1;
    }
    return NULL;
}

int recorder_client_find(uint64_t pid, char path[RECORDER_PATH_MAX])
{
    char *environment = calloc(1, ENVIRONMENT_MAX);
    const char *found;
    ssize_t size;
    int error = 0;

    if (!environment)
        return -ENOMEM;
    size = read_environment(pid, environment, ENVIRONMENT_MAX);
    found = size < 0 ? NULL : find_variable(environment, (size_t)size, ADA_ENV_ANNOUNCE);
    if (size < 0)
        error = (int)size;
    else if (!found)
        error = -ENODATA;
    else if (strlen(found) >= RECORDER_PATH_MAX)
        error = -ENAMETOOLONG;
    else
        memcpy(path, found, strlen(found) + 1);
    free(environment);
    return error;
}

bool recorder_client_is_gone(int error)
{
    return error == -ENOENT || error == -ECONNREFUSED || error == -ECONNRESET || error == -EPIPE;
}

void recorder_client_explain(const char *command, uint64_t pid, int error)
{
    unsigned long long number = pid;

    if (error == -ENODATA)
        cli_error(command,
                  "process %llu was not started under 'adatrace record', nor attached to: nothing records it",
                  number);
    else
        cli_error(command, "cannot ask for process %llu: %s", number,
                  error == -ENOENT ? "there is none with that pid" : strerror(-error));
}

/* Whether a path ends as those of recorders do. */
static bool is_recorder_path(const char *path)
{
    size_t length = strlen(path);
    const char directory[] = "/" ANNOUNCE_DIRECTORY_PREFIX ANNOUNCE_DIRECTORY_RANDOM;
    const size_t tail = sizeof(directory) - 1 + sizeof(ANNOUNCE_SOCKET_NAME) - 1;
    const size_t fixed = sizeof("/" ANNOUNCE_DIRECTORY_PREFIX) - 1;

    if (length < tail || length >= RECORDER_PATH_MAX)
        return false;
    path += length - tail;
    return memcmp(path, directory, fixed) == 0 &&
           strcmp(path + sizeof(directory) - 1, ANNOUNCE_SOCKET_NAME) == 0;
}

/*
 * The path of a line of /proc/net/unix, if it is that of a socket that listens; else NULL. A line is
 * "address: references protocol flags type state inode path".
 */
static const char *listener_path(const char *line)
{
    static const unsigned accepts = 0x10000; /* __SO_ACCEPTCON */
    const char *at = strchr(line, ':');
    unsigned long flags = 0;

    for (int field = 0; at && field < 7; field++) {
        at += strcspn(at, " ");
        at += strspn(at, " ");
        if (field == 2)
            flags = strtoul(at, NULL, 16);
    }
    return at && (flags & accepts) ? at : NULL;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(a, b);
}

int recorder_client_list(char (**paths_out)[RECORDER_PATH_MAX], size_t *count_out)
{
    FILE *sockets = fopen("/proc/net/unix", "re");
    char(*paths)[RECORDER_PATH_MAX] = NULL;
    size_t count = 0, capacity = 0, line_size = 0;
    char *line = NULL;
    int error = 0;

    if (!sockets)
        return -errno;
    while (!error && getline(&line, &line_size, sockets) > 0) {
        const char *path;

        line[strcspn(line, "\n")] = '\0';
        path = listener_path(line);
        if (!path || !is_recorder_path(path))
            continue;
        error = array_reserve_one(&paths, &capacity, count, sizeof(*paths));
        if (!error)
            memcpy(paths[count++], path, strlen(path) + 1); /* its length was checked */
    }
    free(line);
    (void)fclose(sockets);
    if (error) {
        free(paths);
        return error;
    }
    if (count > 1)
        qsort(paths, count, sizeof(*paths), compare_paths);
    *paths_out = paths;
    *count_out = count;
    return 0;
}

/* ---- asking ----------------------------------------------------------------------------------- */

static int connect_to(const char *path)
{
    struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int error;
    int fd;

    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0 &&
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    error = -errno;
    close(fd);
    return error;
}

/* 0, and the message and its descriptor, or -1; -errno. */
static int receive_answer(int fd, AnnounceMessage *answer, int *descriptor)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec data = {answer, sizeof(*answer)};
    struct msghdr packet = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space)};
    const struct cmsghdr *first;
    ssize_t size = recvmsg(fd, &packet, MSG_CMSG_CLOEXEC);

    *descriptor = -1;
    if (size < 0)
        return -errno;
    first = CMSG_FIRSTHDR(&packet);
    if (first && first->cmsg_level == SOL_SOCKET && first->cmsg_type == SCM_RIGHTS)
        memcpy(descriptor, CMSG_DATA(first), sizeof(*descriptor));
    return size == (ssize_t)sizeof(*answer) && answer->magic == ADA_ANNOUNCE_MAGIC ? 0 : -EACCES;
}

int recorder_client_ask(const char *path, uint32_t type, uint32_t pid, AnnounceMessage *answer_out,
                        int *descriptor_out)
{
    const AnnounceMessage question = {ADA_ANNOUNCE_MAGIC, ADA_ANNOUNCE_VERSION, type, pid};
    int descriptor = -1;
    int error = 0;
    int fd = connect_to(path);

    if (fd < 0)
        return fd;
    if (send(fd, &question, sizeof(question), MSG_NOSIGNAL) < 0)
        error = -errno;
    if (!error)
        error = receive_answer(fd, answer_out, &descriptor);
    close(fd);
    if (descriptor >= 0 && (error || !descriptor_out)) {
        close(descriptor);
        descriptor = -1;
    }
    if (descriptor_out)
        *descriptor_out = descriptor;
    return error;
}
