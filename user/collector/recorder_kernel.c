/* SPDX-License-Identifier: MIT */
/* What the kernel tells of the processes that are recorded, put in order with what they say of themselves. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include "user/access/kernel_access.h"
#include "user/collector/recorder_internal.h"

/* A process announces itself before its threads end, so whoever did so before the event must be known. */
static void on_record(void *context, const AdaKernelLifecycle *record, const AdaKernelThread *thread)
{
    Recorder *recorder = context;

    /* The image that it runs now may have announced itself already. */
    if (record->type == ADA_KERNEL_EXEC && !(record->flags & ADA_KERNEL_UNWATCHED))
        recorder_supersede(recorder, (pid_t)record->tgid, record->time_ns);
    if (recorder->target->told)
        recorder->target->told(recorder, record);
    if (record->type != ADA_KERNEL_FORK && record->type != ADA_KERNEL_EXIT)
        return;
    if (record->time_ns >= recorder->announced_ns)
        recorder_take_announcements(recorder);
    recorder_tell_views(recorder, record);
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
    if (recorder->kernel && !recorder->keeps_following) /* should it fail, all threads are looked at */
        (void)kernel_assist_follow(recorder->kernel, session_has_many_threads(recorder->session));
}

void recorder_watch_process(Recorder *recorder, pid_t pid, uint32_t flags)
{
    if (recorder->kernel)
        (void)kernel_assist_watch(recorder->kernel, pid, flags); /* without room: as without assistance */
}

void recorder_unwatch_process(Recorder *recorder, pid_t pid)
{
    if (recorder->kernel)
        kernel_assist_unwatch(recorder->kernel, pid);
}

/* ---- starting --------------------------------------------------------------------------------- */

/* The shortest time that a rule of this kind is about; UINT64_MAX: there is none. */
static uint64_t shortest(const MarkRules *rules, MarkRuleKind kind)
{
    uint64_t least = UINT64_MAX;

    for (uint32_t i = 0; rules && i < rules->count; i++) {
        if (rules->items[i].kind == kind && rules->items[i].duration_ns < least)
            least = rules->items[i].duration_ns;
    }
    return least > 0 ? least : 1; /* 0 would be all there is */
}

/* The first rule that needs the kernel, or NULL. */
static const MarkRule *find_kernel_rule(const MarkRules *rules)
{
    for (uint32_t i = 0; rules && i < rules->count; i++) {
        if (mark_rule_needs_kernel(&rules->items[i]))
            return &rules->items[i];
    }
    return NULL;
}

int recorder_start_kernel(Recorder *recorder, SessionConfig *session)
{
    const DiscoverRules *discover = recorder->config->discover;
    const MarkRules *rules = recorder->config->rules;
    KernelAssistConfig config = {
        .off_cpu_ns = shortest(rules, MARK_RULE_OFF_CPU),
        .runqueue_ns = shortest(rules, MARK_RULE_RUN_QUEUE),
        .all_execs = discover && discover_rules_have_others(discover),
        /* Costs all system calls something, so it is not for the images of a few processes: their execs are told. */
        .segments = !recorder->config->argv && recorder->config->with_children,
        .all_segments = discover != NULL,
        .uprobes = recorder->config->uprobes,
        .uprobe_count = recorder->config->uprobe_count,
        .syscalls = recorder->config->syscalls ? recorder->config->syscalls->bits : NULL,
    };
    const MarkRule *rule = find_kernel_rule(rules);
    int error = -EOPNOTSUPP;

    if (recorder->config->sched)
        config.off_cpu_ns = config.runqueue_ns = 0; /* all there are */
    config.sched_records = config.off_cpu_ns != UINT64_MAX || config.runqueue_ns != UINT64_MAX;
    recorder->keeps_following = config.sched_records;
    session->kernel_reason = recorder->kernel_reason;
    if (recorder->config->no_bpf)
        (void)snprintf(recorder->kernel_reason, sizeof(recorder->kernel_reason), "--no-bpf");
    else
        error = kernel_access_create(&config, &recorder->kernel, recorder->kernel_reason);
    if (error && (rule || recorder_has_views(recorder))) {
        if (recorder->config->on_kernel_missing)
            recorder->config->on_kernel_missing(recorder->config->context, rule, recorder->kernel_reason);
        return error;
    }
    session->kernel = recorder->kernel;
    return 0;
}
