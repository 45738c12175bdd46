/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/access/kernel_access.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "user/access/opener.h"
#include "user/access/opener_client.h"
#include "user/kernel/kernel_support.h"

static int send_uprobes(int conversation, const KernelAssistConfig *config)
{
    OpenerReply reply;
    int error = 0;

    for (uint32_t i = 0; !error && i < config->uprobe_count; i++) {
        OpenerRequest request = {.operation = OPENER_UPROBE, .flag = config->uprobes[i].returns};

        error = opener_add_text(&request, config->uprobes[i].binary);
        if (!error)
            error = opener_add_text(&request, config->uprobes[i].symbol);
        if (!error)
            error = opener_ask(conversation, &request, -1, &reply, NULL);
    }
    return error;
}

static void put_config(const KernelAssistConfig *config, OpenerKernel *wanted)
{
    *wanted = (OpenerKernel){
        .lifecycle_ring_bytes = config->lifecycle_ring_bytes,
        .sched_ring_bytes = config->sched_ring_bytes,
        .off_cpu_ns = config->off_cpu_ns,
        .runqueue_ns = config->runqueue_ns,
        .flags = (config->follow ? OPENER_KERNEL_FOLLOW : 0) |
                 (config->sched_records ? OPENER_KERNEL_SCHED_RECORDS : 0) |
                 (config->syscalls ? OPENER_KERNEL_SYSCALLS : 0) |
                 (config->all_execs ? OPENER_KERNEL_ALL_EXECS : 0) |
                 (config->segments ? OPENER_KERNEL_SEGMENTS : 0) |
                 (config->all_segments ? OPENER_KERNEL_ALL_SEGMENTS : 0),
    };
    if (config->syscalls)
        memcpy(wanted->syscalls, config->syscalls, sizeof(wanted->syscalls));
}

/* The descriptors in the order of the handles that are there. False: they are not as many. */
static bool take_handles(const OpenerReply *reply, const int *descriptors, KernelHandles *handles)
{
    uint32_t next = 0;

    *handles =
        (KernelHandles){.follows = reply->handles.follows, .tells_segments = reply->handles.tells_segments};
    for (uint32_t i = 0; i < KERNEL_HANDLES; i++) {
        bool there = reply->handles.there[i];

        if (there && next == reply->descriptors)
            return false;
        handles->fds[i] = there ? descriptors[next++] : -1;
    }
    return next == reply->descriptors;
}

static int follow(void *context, bool follow)
{
    const OpenerRequest request = {.operation = OPENER_FOLLOW, .flag = follow};
    OpenerReply reply;

    return opener_ask((int)(intptr_t)context, &request, -1, &reply, NULL);
}

static void destroy(void *context)
{
    opener_end((int)(intptr_t)context);
}

/* The conversation is taken over on success. */
static int load(int conversation, const KernelAssistConfig *config, KernelAssist **assist_out,
                char reason[KERNEL_REASON_SIZE])
{
    const KernelControl control = {
        .follow = follow, .destroy = destroy, .context = (void *)(intptr_t)conversation};
    OpenerRequest request = {.operation = OPENER_KERNEL};
    int descriptors[OPENER_DESCRIPTORS_MAX];
    KernelHandles handles;
    OpenerReply reply = {.text_bytes = 0};
    int error = send_uprobes(conversation, config);

    put_config(config, &request.kernel);
    if (!error)
        error = opener_ask(conversation, &request, -1, &reply, descriptors);
    if (error) {
        if (reply.text_bytes > 0)
            (void)snprintf(reason, KERNEL_REASON_SIZE, "%.*s", (int)KERNEL_REASON_SIZE - 1, reply.text);
        else
            (void)kernel_support_refuse(reason, error, "cannot ask the opener: %s", strerror(-error));
        opener_end(conversation);
        return error;
    }
    if (take_handles(&reply, descriptors, &handles)) {
        error = kernel_assist_adopt(&handles, &control, assist_out, reason);
    } else {
        error = kernel_support_refuse(reason, -EPROTO, "the opener's answer makes no sense");
        opener_end(conversation);
    }
    for (uint32_t i = 0; i < reply.descriptors; i++)
        close(descriptors[i]);
    return error;
}

int kernel_access_create(const KernelAssistConfig *config, KernelAssist **assist_out,
                         char reason[KERNEL_REASON_SIZE])
{
    int conversation, error;

    if (!opener_is_used())
        return kernel_assist_create(config, assist_out, reason);
    error = opener_begin(&conversation);
    if (error)
        return kernel_support_refuse(reason, error, "cannot ask the opener: %s", strerror(-error));
    return load(conversation, config, assist_out, reason);
}
