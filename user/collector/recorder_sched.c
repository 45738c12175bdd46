/* SPDX-License-Identifier: MIT */
/* What the scheduler does with the threads of recorded processes: marks, and events in the trace (kernel_view.h). */
#include <errno.h>
#include <stdlib.h>

#include "user/base/array.h"
#include "user/collector/recorder_internal.h"
#include "user/collector/thread_look.h"
#include "user/lane/clock.h"

/* After so many the recorder looks after everything else. */
#define SCHED_RECORDS_AT_ONCE 65536u
#define SCHED_RING_ROUNDS 3u /* the ring's 8 MiB are less */

/* ---- marks ------------------------------------------------------------------------------------ */

/* Of all threads of watched processes; in other pid namespaces they know themselves by other ids. */
static bool find_thread(const Recorder *recorder, uint32_t tid, KernelMark *mark)
{
    AdaKernelThread thread;

    if (tid == 0 || !kernel_assist_find_thread(recorder->kernel, tid, 0, &thread))
        return false;
    mark->pid = (pid_t)thread.tgid;
    mark->tid = thread.own_tid;
    return true;
}

static void mark_by_rules(const Recorder *recorder, const AdaKernelSched *record)
{
    MarkRuleKind kind = record->type == ADA_KERNEL_WAKEUP ? MARK_RULE_OFF_CPU : MARK_RULE_RUN_QUEUE;
    const MarkRules *rules = recorder->config->rules;

    for (uint32_t i = 0; rules && i < rules->count; i++) {
        const MarkRule *rule = &rules->items[i];
        KernelMark mark = {.time_ns = record->time_ns, .rule = rule};

        if (rule->kind != kind || !mark_rule_accepts_time(rule, record->duration_ns))
            continue;
        if (find_thread(recorder, record->tid, &mark))
            session_mark_thread(recorder->session, &mark);
        mark.woke = record->tid;
        if (kind == MARK_RULE_OFF_CPU && recorder->config->mark_wakers &&
            find_thread(recorder, record->other_tid, &mark))
            session_mark_thread(recorder->session, &mark);
        return; /* one rule is enough for a mark */
    }
}

/* ---- views ------------------------------------------------------------------------------------ */

static ViewEntry *find_view(Recorder *recorder, pid_t pid)
{
    for (size_t i = 0; i < recorder->views.count; i++) {
        if (recorder->views.items[i].pid == pid)
            return &recorder->views.items[i];
    }
    return NULL;
}

/* NULL: it cannot be had; what the kernel tells of that process counts as lost then. */
static ViewEntry *add_view(Recorder *recorder, pid_t pid)
{
    Views *views = &recorder->views;
    ViewEntry entry = {.pid = pid};
    Segment segment;

    if (array_reserve_one(&views->items, &views->capacity, views->count, sizeof(views->items[0])) != 0)
        return NULL;
    if (kernel_view_create(pid, &entry.view, &segment) == 0 &&
        session_attach_view(recorder->session, &segment, pid, &entry.number) != 0) {
        segment_unmap(&segment);
        kernel_view_destroy(entry.view);
        entry.view = NULL;
    }
    views->items[views->count] = entry; /* without a view: not tried again with each record */
    return &views->items[views->count++];
}

static void remove_view(Recorder *recorder, ViewEntry *entry)
{
    Views *views = &recorder->views;

    if (entry->view)
        session_process_ended(recorder->session, entry->number, entry->end);
    kernel_view_destroy(entry->view);
    *entry = views->items[--views->count];
}

/* NULL: it cannot be had. */
static KernelView *view_of(Recorder *recorder, pid_t pid)
{
    ViewEntry *entry = find_view(recorder, pid);

    if (!entry)
        entry = add_view(recorder, pid);
    return entry ? entry->view : NULL;
}

/* Where a record goes that the kernel tells of a process. NULL: nowhere, so that it is lost. */
static KernelView *view_for_record(Recorder *recorder, uint32_t pid)
{
    KernelView *view = view_of(recorder, (pid_t)pid);

    if (!view)
        session_lose_kernel_record(recorder->session);
    return view;
}

/* The thread's id in its own pid namespace. */
static uint32_t own_tid_of(const Recorder *recorder, uint32_t tid)
{
    KernelMark thread = {.tid = tid};

    (void)find_thread(recorder, tid, &thread);
    return thread.tid;
}

static void put_switch(Recorder *recorder, const AdaKernelSched *record)
{
    KernelView *view = view_for_record(recorder, record->tgid);

    if (view)
        kernel_view_sched(view, record, own_tid_of(recorder, record->tid));
}

static void put_call(Recorder *recorder, const AdaKernelCall *call)
{
    KernelView *view = view_for_record(recorder, call->tgid);

    if (!view)
        return;
    if (call->type <= ADA_KERNEL_SYSCALL_EXIT)
        kernel_view_syscall(view, call, own_tid_of(recorder, call->tid));
    else if (call->number < recorder->config->uprobe_count)
        kernel_view_uprobe(view, call, &recorder->config->uprobes[call->number],
                           own_tid_of(recorder, call->tid));
}

/* As many records as the ring can hold. */
static void take_all_records(Recorder *recorder)
{
    for (uint32_t i = 0; i < SCHED_RING_ROUNDS; i++)
        recorder_take_sched_records(recorder);
}

static bool is_one_of(const ThreadLooks *looks, uint32_t own_tid)
{
    for (size_t i = 0; own_tid != 0 && i < looks->count; i++) {
        if (looks->items[i].own_tid == own_tid)
            return true;
    }
    return false;
}

void recorder_find_waiting(Recorder *recorder, pid_t pid)
{
    uint64_t now = ada_clock_monotonic_ns();
    ThreadLooks looks;

    if (!recorder->kernel || (!recorder->config->sched && !recorder->config->syscalls))
        return;
    (void)thread_look_all(pid, &looks); /* without memory for all: those that there are */
    take_all_records(recorder);         /* what the kernel told meanwhile is newer */
    for (size_t i = 0; i < looks.count; i++)
        looks.items[i].own_tid = own_tid_of(recorder, looks.items[i].tid);
    for (size_t i = 0; i < looks.count; i++) {
        ThreadLook *look = &looks.items[i];
        KernelView *view = look->waits ? view_of(recorder, pid) : NULL;

        if (!is_one_of(&looks, look->owner))
            look->owner = 0;
        if (view)
            kernel_view_found(view, look, now, recorder->config->sched, recorder->config->syscalls);
    }
    thread_looks_clear(&looks);
}

void recorder_tell_views(Recorder *recorder, const AdaKernelLifecycle *exit)
{
    ViewEntry *entry;

    if (!recorder_has_views(recorder) || exit->type != ADA_KERNEL_EXIT)
        return;
    take_all_records(recorder); /* what it did before comes before */
    entry = find_view(recorder, (pid_t)exit->tgid);
    if (!entry)
        return;
    if (exit->flags & ADA_KERNEL_LAST) {
        int signal = exit->exit_code & 0x7f;

        entry->end = (ProcessEnd){.kind = signal ? ADAT_DEATH_SIGNAL : ADAT_DEATH_EXIT,
                                  .code = signal ? signal : exit->exit_code >> 8 & 0xff};
    }
    if (entry->view)
        kernel_view_thread_ended(entry->view, exit->tid, exit->time_ns);
    if (entry->end.kind != 0 && (!entry->view || kernel_view_threads(entry->view) == 0))
        remove_view(recorder, entry);
}

void recorder_close_view(Recorder *recorder, pid_t pid)
{
    ViewEntry *entry;

    if (!recorder->kernel || !recorder_has_views(recorder))
        return;
    take_all_records(recorder);
    entry = find_view(recorder, pid);
    if (!entry)
        return;
    entry->end = (ProcessEnd){.kind = ADAT_DEATH_DETACHED};
    remove_view(recorder, entry);
}

void recorder_close_views(Recorder *recorder)
{
    if (recorder->kernel)
        take_all_records(recorder);
    for (size_t i = 0; i < recorder->views.count; i++) {
        ViewEntry *entry = &recorder->views.items[i];

        if (entry->view && entry->end.kind != 0)
            session_process_ended(recorder->session, entry->number, entry->end);
        kernel_view_destroy(entry->view);
    }
    free(recorder->views.items);
    recorder->views = (Views){0};
}

/* ---- records ---------------------------------------------------------------------------------- */

static void on_sched(void *context, const AdaKernelSched *record, const AdaKernelCall *call)
{
    Recorder *recorder = context;

    if (call) {
        put_call(recorder, call);
        return;
    }
    if (record->type != ADA_KERNEL_SWITCH_OUT)
        mark_by_rules(recorder, record);
    if (recorder->config->sched)
        put_switch(recorder, record);
}

void recorder_take_sched_records(Recorder *recorder)
{
    kernel_assist_consume_sched(recorder->kernel, SCHED_RECORDS_AT_ONCE, on_sched, recorder);
}
