/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/access/opener.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/access/opener_client.h"
#include "user/access/opener_server.h"

#define CHANNEL_FD 3 /* of the opener, which keeps no other descriptor */

/* Written by opener_start() and opener_stop(), while there is one thread. */
static struct {
    pid_t process;              /* 0: there is none */
    int channel;                /* where conversations begin */
    pthread_key_t conversation; /* of each thread: its descriptor + 1, or NULL */
} opener;

/* ---- the process ---------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void become_opener(int channel, const OpenerConfig *config)
{
    sigset_t all;

    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL); /* it ends with the other side, which may take its time */
    (void)prctl(PR_SET_NAME, "adatrace-opener");
    if ((channel != CHANNEL_FD && dup3(channel, CHANNEL_FD, O_CLOEXEC) < 0) ||
        syscall(SYS_close_range, CHANNEL_FD + 1, ~0u, 0) < 0)
        _exit(1);
    opener_serve(CHANNEL_FD, config);
    exit(0);
}

static void end_conversation(void *descriptor)
{
    close((int)(intptr_t)descriptor - 1);
}

int opener_start(const OpenerConfig *config)
{
    int ends[2];
    int error = -pthread_key_create(&opener.conversation, end_conversation);

    if (error)
        return error;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        error = -errno;
        goto fail;
    }
    opener.process = fork();
    if (opener.process == 0) {
        close(ends[0]);
        become_opener(ends[1], config);
    }
    error = opener.process < 0 ? -errno : 0;
    close(ends[1]);
    if (!error) {
        opener.channel = ends[0];
        return 0;
    }
    opener.process = 0;
    close(ends[0]);
fail:
    (void)pthread_key_delete(opener.conversation);
    return error;
}

bool opener_is_used(void)
{
    return opener.process != 0;
}

int opener_end_fd(void)
{
    return opener.process ? opener.channel : -1;
}

void opener_stop(void)
{
    void *own;

    if (!opener.process)
        return;
    own = pthread_getspecific(opener.conversation);
    if (own)
        end_conversation(own);
    (void)pthread_key_delete(opener.conversation);
    opener_end(opener.channel);
    (void)waitpid(opener.process, NULL, 0); /* at once; who is confined leaves that to the end of the process */
    opener.process = 0;
}

/* ---- conversations -------------------------------------------------------------------------------- */

int opener_begin(int *conversation_out)
{
    int ends[2], error;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    error = opener_send_end(opener.channel, ends[1]);
    close(ends[1]);
    if (error)
        close(ends[0]);
    else
        *conversation_out = ends[0];
    return error;
}

void opener_end(int conversation)
{
    char nothing;

    (void)shutdown(conversation, SHUT_WR);
    while (recv(conversation, &nothing, 1, 0) > 0 || errno == EINTR)
        errno = 0;
    close(conversation);
}

/* This thread's, which begins with the first question. A descriptor or -errno. */
static int own_conversation(void)
{
    void *known = pthread_getspecific(opener.conversation);
    int conversation, error;

    if (known)
        return (int)(intptr_t)known - 1;
    error = opener_begin(&conversation);
    if (error)
        return error;
    error = -pthread_setspecific(opener.conversation, (void *)(intptr_t)(conversation + 1));
    if (error) {
        close(conversation);
        return error;
    }
    return conversation;
}

int opener_ask(int conversation, const OpenerRequest *request, int descriptor, OpenerReply *reply,
               int descriptors[OPENER_DESCRIPTORS_MAX])
{
    int none[OPENER_DESCRIPTORS_MAX];
    int error;

    if (conversation < 0)
        conversation = own_conversation();
    if (conversation < 0)
        return conversation;
    error = opener_send_request(conversation, request, descriptor);
    if (!error)
        error = opener_receive_reply(conversation, reply, descriptors ? descriptors : none);
    return error ? error : reply->result;
}

int opener_ask_descriptor(const OpenerRequest *request, int descriptor, OpenerReply *reply)
{
    int descriptors[OPENER_DESCRIPTORS_MAX];
    int error = opener_ask(-1, request, descriptor, reply, descriptors);

    if (error)
        return error;
    return reply->descriptors == 1 ? descriptors[0] : -EPROTO;
}

int opener_add_text(OpenerRequest *request, const char *text)
{
    size_t size = strlen(text) + 1;

    if (size > OPENER_TEXT_MAX - request->text_bytes)
        return -ENAMETOOLONG;
    memcpy(request->text + request->text_bytes, text, size);
    request->text_bytes += (uint32_t)size;
    return 0;
}
