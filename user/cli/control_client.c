/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/cli/control_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "user/cli/cli.h"

#define DEADLINE_S 60

const char *control_socket_path(const char *given)
{
    const char *variable = getenv(ADA_ENV_CONTROL);

    if (given)
        return given;
    return variable && *variable ? variable : ADA_CONTROL_SOCKET;
}

bool control_socket_is_chosen(const char *given)
{
    return strcmp(control_socket_path(given), ADA_CONTROL_SOCKET) != 0;
}

int control_question_begin(ControlQuestion *question, const char *command)
{
    *question = (ControlQuestion){0};
    question->out = open_memstream(&question->text, &question->size);
    if (!question->out)
        return -ENOMEM;
    json_init(&question->json, question->out);
    json_begin_object(&question->json, NULL);
    json_u64(&question->json, "version", ADA_CONTROL_VERSION);
    json_u64(&question->json, "id", 1); /* one question a connection */
    json_string(&question->json, "command", command);
    return 0;
}

/* ---- talking ---------------------------------------------------------------------------------- */

static int connect_to(const char *path)
{
    struct timeval timeout = {.tv_sec = DEADLINE_S};
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
    error = errno == EAGAIN ? -ETIMEDOUT : -errno;
    close(fd);
    return error;
}

/* One packet, and the descriptor that came along, or -1. Its size; 0: the service hung up; -errno. */
static ssize_t receive_packet(int fd, char *text, size_t size, int *descriptor_out)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec data = {text, size};
    struct msghdr packet = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space)};
    const struct cmsghdr *first;
    ssize_t got = recvmsg(fd, &packet, MSG_CMSG_CLOEXEC);

    *descriptor_out = -1;
    if (got < 0)
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    first = packet.msg_controllen > 0 ? CMSG_FIRSTHDR(&packet) : NULL;
    if (first && first->cmsg_level == SOL_SOCKET && first->cmsg_type == SCM_RIGHTS)
        memcpy(descriptor_out, CMSG_DATA(first), sizeof(*descriptor_out));
    return packet.msg_flags & MSG_TRUNC ? -EPROTO : got;
}

/* The whole file. 0, allocated, or -errno. */
static int read_file(int fd, char **text_out, size_t *size_out)
{
    struct stat status;
    size_t used = 0;
    char *text;

    if (fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode) || status.st_size <= 0 || (uint64_t)status.st_size > ADA_CONTROL_ANSWER_MAX)
        return -EPROTO;
    text = malloc((size_t)status.st_size);
    if (!text)
        return -ENOMEM;
    while (used < (size_t)status.st_size) {
        ssize_t got = pread(fd, text + used, (size_t)status.st_size - used, (off_t)used);

        if (got <= 0) {
            int error = got < 0 ? -errno : -EPROTO;

            free(text);
            return error;
        }
        used += (size_t)got;
    }
    *text_out = text;
    *size_out = used;
    return 0;
}

/* The text of the answer, allocated. 0 or -errno. */
static int receive_answer(int fd, char **text_out, size_t *size_out)
{
    char *text = malloc(ADA_CONTROL_PACKET_MAX);
    int descriptor = -1;
    int error = 0;
    ssize_t size;

    if (!text)
        return -ENOMEM;
    size = receive_packet(fd, text, ADA_CONTROL_PACKET_MAX, &descriptor);
    if (size == -ECONNRESET) /* it hung up before it read all; what it said first comes next */
        size = receive_packet(fd, text, ADA_CONTROL_PACKET_MAX, &descriptor);
    if (size <= 0)
        error = size == 0 ? -ECONNRESET : (int)size;
    if (!error && descriptor >= 0)
        error = read_file(descriptor, text_out, size_out);
    if (descriptor >= 0)
        close(descriptor);
    if (error || descriptor >= 0) {
        free(text);
        return error;
    }
    *text_out = text;
    *size_out = (size_t)size;
    return 0;
}

/* ---- understanding ---------------------------------------------------------------------------- */

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* An error is understood whatever the service's version. */
static int understand(const char *text, size_t size, ControlAnswer *answer)
{
    const cJSON *error, *version;

    answer->root = cJSON_ParseWithLength(text, size);
    error = member(answer->root, "error");
    version = member(answer->root, "version");
    if (cJSON_IsObject(error)) {
        answer->code = cJSON_GetStringValue(member(error, "code"));
        answer->message = cJSON_GetStringValue(member(error, "message"));
        return answer->code && answer->message ? -EREMOTEIO : -EPROTO;
    }
    if (!cJSON_IsNumber(version) || version->valuedouble != ADA_CONTROL_VERSION ||
        !cJSON_IsTrue(member(answer->root, "ok")) || !cJSON_IsObject(member(answer->root, "result")))
        return -EPROTO;
    answer->result = member(answer->root, "result");
    return 0;
}

/* Who was refused at the door finds the connection closed, and the reason in front of it. */
static int talk(int fd, const ControlQuestion *question, ControlAnswer *answer)
{
    char *text = NULL;
    size_t size = 0;
    int error;

    if (question->size > ADA_CONTROL_PACKET_MAX)
        return -EMSGSIZE;
    if (send(fd, question->text, question->size, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    error = receive_answer(fd, &text, &size);
    if (!error)
        error = understand(text, size, answer);
    free(text);
    return error;
}

int control_ask(const char *path, ControlQuestion *question, ControlAnswer *answer_out)
{
    int error, fd;

    *answer_out = (ControlAnswer){0};
    json_end_object(&question->json);
    error = fclose(question->out) == 0 ? 0 : -ENOMEM;
    fd = error ? -1 : connect_to(path);
    if (!error && fd < 0)
        error = fd;
    if (!error)
        error = talk(fd, question, answer_out);
    if (fd >= 0)
        close(fd);
    free(question->text);
    *question = (ControlQuestion){0};
    return error;
}

void control_answer_fini(ControlAnswer *answer)
{
    cJSON_Delete(answer->root);
    *answer = (ControlAnswer){0};
}

bool control_no_service(int error)
{
    return error == -ENOENT || error == -ECONNREFUSED || error == -ENOTDIR;
}

bool control_refused(int error, const ControlAnswer *answer, const char *code)
{
    return error == -EREMOTEIO && answer->code && strcmp(answer->code, code) == 0;
}

void control_explain(const char *command, const char *path, int error, const ControlAnswer *answer)
{
    const char *why = strerror(-error);

    if (error == -EREMOTEIO && !control_refused(error, answer, ADA_CONTROL_BAD_VERSION)) {
        cli_error(command, "the service at '%s' refuses: %s", path, answer->message);
        return;
    }
    if (control_no_service(error))
        why = "no service runs there: start adatraced, or give its socket with --socket or " ADA_ENV_CONTROL;
    else if (error == -EREMOTEIO || error == -EPROTO)
        why = "it answers what this version does not understand: use the adatrace that came with the service";
    else if (error == -EACCES)
        why = "this user may not connect to it: ask as root or as a member of its control group";
    else if (error == -ECONNRESET || error == -EPIPE)
        why = "it hung up: it ended, or others need the place; ask again";
    else if (error == -ETIMEDOUT)
        why = "it did not answer within a minute; what was asked for may still be done: see 'adatrace list'";
    else if (error == -EPROTOTYPE)
        why = "that is the socket of something else: give that of adatraced";
    else if (error == -EMSGSIZE)
        why = "the request is longer than 64 KiB: give fewer options";
    cli_error(command, "cannot ask the service at '%s': %s", path, why);
}
