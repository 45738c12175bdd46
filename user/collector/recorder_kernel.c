/* SPDX-License-Identifier: MIT */
/* What the kernel tells of the processes that are recorded, put in order with what they say of themselves. */
#define _GNU_SOURCE
#include <stdio.h>

#include "user/collector/recorder_internal.h"

/* A process announces itself before its threads end, so whoever did so before the event must be known. */
static void on_record(void *context, const AdaKernelLifecycle *record, const AdaKernelThread *thread)
{
    Recorder *recorder = context;

    if (record->type == ADA_KERNEL_EXEC) {
        /* The image that it runs now may have announced itself already. */
        recorder_supersede(recorder, (pid_t)record->tgid, record->time_ns);
        return;
    }
    if (record->time_ns >= recorder->announced_ns)
        recorder_take_announcements(recorder);
    /* Without memory such threads are found by asking after them. */
    (void)kernel_events_add(&recorder->kernel_events, record, thread);
}

void recorder_take_kernel_events(Recorder *recorder)
{
    if (recorder->taking_kernel_events)
        return;
    recorder->taking_kernel_events = true;
    if (recorder->kernel)
        kernel_assist_consume_lifecycle(recorder->kernel, on_record, recorder);
    recorder->taking_kernel_events = false;
    session_tell_kernel_events(recorder->session, &recorder->kernel_events);
    recorder_end_superseded(recorder);
}

void recorder_follow_switches(Recorder *recorder)
{
    if (recorder->kernel) /* should it fail, all threads are looked at */
        (void)kernel_assist_follow(recorder->kernel, session_has_many_threads(recorder->session));
}

void recorder_watch_process(Recorder *recorder, pid_t pid, uint32_t flags)
{
    if (recorder->kernel)
        (void)kernel_assist_watch(recorder->kernel, pid, flags); /* without room: as without assistance */
}

void recorder_start_kernel(Recorder *recorder, SessionConfig *session)
{
    const KernelAssistConfig config = {0};

    session->kernel_reason = recorder->kernel_reason;
    if (recorder->config->no_bpf)
        (void)snprintf(recorder->kernel_reason, sizeof(recorder->kernel_reason), "--no-bpf");
    else if (kernel_assist_create(&config, &recorder->kernel, recorder->kernel_reason) == 0)
        session->kernel = recorder->kernel;
}
