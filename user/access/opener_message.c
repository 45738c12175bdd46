/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/access/opener_message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

typedef union Control {
    struct cmsghdr header; /* for its alignment */
    char bytes[CMSG_SPACE(sizeof(int) * OPENER_DESCRIPTORS_MAX)];
} Control;

static int send_message(int fd, const void *data, size_t size, const int *descriptors, uint32_t count)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    Control control = {.bytes = {0}};
    ssize_t sent;

    if (count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        *CMSG_FIRSTHDR(&message) = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int) * count)};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), descriptors, sizeof(int) * count);
    }
    do {
        sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

static uint32_t take_descriptors(struct msghdr *message, int descriptors[OPENER_DESCRIPTORS_MAX])
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    size_t bytes;

    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        return 0;
    bytes = header->cmsg_len - CMSG_LEN(0); /* the kernel's, and as many as there is room for */
    memcpy(descriptors, CMSG_DATA(header), bytes);
    return (uint32_t)(bytes / sizeof(int));
}

static void close_all(const int *descriptors, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        close(descriptors[i]);
}

/* How long the message was, or -errno, with no descriptors left then. */
static ssize_t receive_message(int fd, void *data, size_t room, int descriptors[OPENER_DESCRIPTORS_MAX],
                               uint32_t *count_out)
{
    struct iovec part = {.iov_base = data, .iov_len = room};
    Control control;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t size;

    *count_out = 0;
    do {
        size = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    if (size < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    *count_out = take_descriptors(&message, descriptors);
    if (size > 0 && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return size;
    close_all(descriptors, *count_out);
    *count_out = 0;
    if (size == 0)
        return -EPIPE;
    return message.msg_flags & MSG_TRUNC ? -EPROTO : -EMFILE;
}

int opener_send_request(int fd, const OpenerRequest *request, int descriptor)
{
    return send_message(fd, request, offsetof(OpenerRequest, text) + request->text_bytes, &descriptor,
                        descriptor >= 0 ? 1 : 0);
}

int opener_send_reply(int fd, const OpenerReply *reply, const int *descriptors)
{
    return send_message(fd, reply, offsetof(OpenerReply, text) + reply->text_bytes, descriptors,
                        reply->descriptors);
}

int opener_receive_request(int fd, OpenerRequest *request, int *descriptor_out)
{
    int descriptors[OPENER_DESCRIPTORS_MAX];
    uint32_t count;
    ssize_t size = receive_message(fd, request, sizeof(*request), descriptors, &count);

    if (size < 0)
        return (int)size;
    if ((size_t)size >= offsetof(OpenerRequest, text) && request->text_bytes <= OPENER_TEXT_MAX &&
        (size_t)size == offsetof(OpenerRequest, text) + request->text_bytes &&
        request->operation < OPENER_OPERATIONS && request->flag <= 1 && count <= 1 &&
        (request->text_bytes == 0 || request->text[request->text_bytes - 1] == '\0')) {
        *descriptor_out = count > 0 ? descriptors[0] : -1;
        return 0;
    }
    close_all(descriptors, count);
    return -EPROTO;
}

int opener_receive_reply(int fd, OpenerReply *reply, int descriptors[OPENER_DESCRIPTORS_MAX])
{
    uint32_t count;
    ssize_t size = receive_message(fd, reply, sizeof(*reply), descriptors, &count);

    if (size < 0)
        return (int)size;
    if ((size_t)size == offsetof(OpenerReply, text) + reply->text_bytes && reply->descriptors == count)
        return 0;
    close_all(descriptors, count);
    return -EPROTO;
}

int opener_send_end(int fd, int end)
{
    return send_message(fd, "", 1, &end, 1);
}

int opener_receive_end(int fd, int *end_out)
{
    int descriptors[OPENER_DESCRIPTORS_MAX];
    uint32_t count;
    char nothing;
    ssize_t size = receive_message(fd, &nothing, 1, descriptors, &count);

    if (size < 0)
        return (int)size;
    if (count == 1) {
        *end_out = descriptors[0];
        return 0;
    }
    close_all(descriptors, count);
    return -EPROTO;
}
