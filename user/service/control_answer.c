/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/control_answer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "user/base/json.h"

/* A whole packet, with a descriptor or without (-1). 0 or -errno. */
static int send_packet(int connection, struct iovec *parts, size_t count, int fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.space = {0}};
    struct msghdr packet = {.msg_iov = parts, .msg_iovlen = count};

    if (fd >= 0) {
        packet.msg_control = &control;
        packet.msg_controllen = sizeof(control.space);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    }
    return sendmsg(connection, &packet, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Whether the client has something in front of it that it has not read. */
static bool has_unread(int connection)
{
    int bytes = 0;

    return ioctl(connection, SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

/* A sealed file with these parts. Its descriptor, or -errno. */
static int make_file(const struct iovec *parts, size_t count)
{
    int fd = memfd_create("adatrace-answer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int error = fd < 0 ? -errno : 0;

    for (size_t i = 0; i < count && !error; i++) {
        for (size_t done = 0; done < parts[i].iov_len && !error;) {
            ssize_t written = write(fd, (const char *)parts[i].iov_base + done, parts[i].iov_len - done);

            if (written < 0)
                error = -errno;
            else
                done += (size_t)written;
        }
    }
    if (!error && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        error = -errno;
    if (error && fd >= 0)
        close(fd);
    return error ? error : fd;
}

/* Of files there is one at a time before a client, so what clients that do not read can make the service hold is bounded. */
static int send_file(int connection, uint64_t id, const struct iovec *parts, size_t count, size_t size)
{
    char text[128];
    struct iovec packet = {text, 0};
    ControlRefusal refusal;
    int error;
    int fd;

    if (has_unread(connection))
        return -EAGAIN;
    fd = size > ADA_CONTROL_ANSWER_MAX ? -EFBIG : make_file(parts, count);
    if (fd < 0) {
        (void)control_refuse(&refusal, ADA_CONTROL_FAILED,
                             "cannot make a file in memory for an answer of %zu bytes: %s", size,
                             strerror(-fd));
        return control_answer_refuse(connection, true, id, &refusal);
    }
    packet.iov_len = (size_t)snprintf(text, sizeof(text), "{\"version\":%u,\"id\":%llu,\"answer_bytes\":%zu}",
                                      ADA_CONTROL_VERSION, (unsigned long long)id, size);
    error = send_packet(connection, &packet, 1, fd);
    close(fd);
    return error;
}

int control_answer_send(int connection, uint64_t id, const char *result, size_t size)
{
    char head[96];
    int length = snprintf(head, sizeof(head),
                          "{\"version\":%u,\"id\":%llu,\"ok\":true,\"result\":", ADA_CONTROL_VERSION,
                          (unsigned long long)id);
    struct iovec parts[] = {
        {head, (size_t)length},
        {(void *)(uintptr_t)(result ? result : "{}"), result ? size : 2},
        {(void *)(uintptr_t) "}", 1},
    };
    size_t total = parts[0].iov_len + parts[1].iov_len + parts[2].iov_len;

    if (total > ADA_CONTROL_PACKET_MAX)
        return send_file(connection, id, parts, 3, total);
    return send_packet(connection, parts, 3, -1);
}

int control_answer_refuse(int connection, bool has_id, uint64_t id, const ControlRefusal *refusal)
{
    struct iovec packet = {0};
    char *text = NULL;
    JsonWriter json;
    FILE *out = open_memstream(&text, &packet.iov_len);
    int error = -ENOMEM;

    if (!out)
        return -ENOMEM;
    json_init(&json, out);
    json_begin_object(&json, NULL);
    json_u64(&json, "version", ADA_CONTROL_VERSION);
    if (has_id)
        json_u64(&json, "id", id);
    else
        json_null(&json, "id");
    json_bool(&json, "ok", false);
    json_begin_object(&json, "error");
    json_string(&json, "code", refusal->code);
    json_string(&json, "message", refusal->text);
    json_end_object(&json);
    json_end_object(&json);
    if (fclose(out) == 0) {
        packet.iov_base = text;
        error = send_packet(connection, &packet, 1, -1);
    }
    free(text);
    return error;
}
