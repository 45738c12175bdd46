/* SPDX-License-Identifier: MIT */
/* What the kernel tells, as the drain thread takes it: to processes, and to the file. */
#include "user/collector/session_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/lane/atomic.h"

#define DEATHS_IN_BLOCK_MAX 65536u /* 9 MB */
/* A thread that left its slot ends at once, unless its record was lost. */
#define DEATH_PATIENCE_NS (2 * NS_PER_S)
/* Threads of one process that the kernel is asked after each second: 2 us each. */
#define THREAD_CHECKS 64u

/* ---- events ----------------------------------------------------------------------------------- */

/*
 * Threads of an image end at the latest when another is loaded into the process, some 100 us before that takes its segment
 * over: longer than what is wrong with the conversion of cycles to ns.
 */
#define CONVERSION_ERROR_NS 50000u

/*
 * The image that the event is about, among those that the process ran as: the last one that had begun before it.
 * NULL: the process is not traced, as far as we know.
 */
static TracedProcess *find_image(const Session *session, const AdaKernelLifecycle *record)
{
    TracedProcess *earlier = NULL, *later = NULL;

    for (size_t i = 0; i < session->process_count; i++) {
        TracedProcess *process = session->processes[i];

        if (traced_process_is_view(process) || (uint32_t)traced_process_pid(process) != record->tgid)
            continue;
        if (!later || traced_process_number(process) > traced_process_number(later)) {
            earlier = later;
            later = process;
        } else if (!earlier || traced_process_number(process) > traced_process_number(earlier)) {
            earlier = process;
        }
    }
    if (earlier &&
        traced_process_started_ns(later, &session->first_anchor) > record->time_ns + CONVERSION_ERROR_NS)
        return earlier;
    return later;
}

void session_obey_kernel_events(Session *session, KernelEvents *events)
{
    KernelEvent *event;

    while ((event = kernel_events_pop(events)) != NULL) {
        TracedProcess *process = find_image(session, &event->record);

        if (process)
            traced_process_tell(process, event);
        else
            free(event);
    }
}

/* ---- marks ------------------------------------------------------------------------------------ */

/* The file has times of a process by its own clock. */
static uint64_t ticks_of(const Session *session, const TracedProcess *process, uint64_t ns)
{
    const AdatClock *anchor = &session->first_anchor;
    double rate = session->batch.ns_per_cycle;

    if (traced_process_clock(process) != ADA_CLOCK_TSC)
        return ns;
    if (rate <= 0) /* within the first millisecond */
        return traced_process_ticks(process);
    return anchor->tsc + (uint64_t)(int64_t)((double)(int64_t)(ns - anchor->monotonic_ns) / rate);
}

void session_obey_mark(Session *session, const KernelMark *mark)
{
    const AdaKernelLifecycle moment = {.tgid = (uint32_t)mark->pid, .time_ns = mark->time_ns};
    TracedProcess *process = find_image(session, &moment);
    char reason[sizeof(((AdatMark *)0)->reason)];

    if (!process)
        return;
    if (mark->woke)
        (void)snprintf(reason, sizeof(reason), "%.80s, woke %u", mark->rule->text, mark->woke);
    else
        (void)snprintf(reason, sizeof(reason), "%s", mark->rule->text);
    traced_process_mark_thread(process, &session->batch, mark->tid, ticks_of(session, process, mark->time_ns),
                               reason);
}

/* ---- without them ----------------------------------------------------------------------------- */

/* Whether the kernel tells of all its threads, so that nobody has to ask. */
static bool is_told(const Session *session, const TracedProcess *process)
{
    return session->config.kernel &&
           kernel_assist_is_watched(session->config.kernel, traced_process_pid(process));
}

void session_check_threads(Session *session, uint64_t now)
{
    uint64_t lost = 0;

    session->all_told = session->config.kernel != NULL;
    death_book_give_up(&session->deaths, 0, now > DEATH_PATIENCE_NS ? now - DEATH_PATIENCE_NS : 0);
    if (session->config.kernel) {
        AdaKernelCounters counters;

        kernel_assist_counters(session->config.kernel, &counters);
        lost = counters.lifecycle_lost;
    }
    for (size_t i = 0; i < session->process_count; i++) {
        if (traced_process_is_view(session->processes[i]))
            continue; /* who writes there knows */
        if (lost != session->kernel_lost) {
            traced_process_check_threads(session->processes[i], UINT32_MAX);
            session->all_told = false;
        } else if (!is_told(session, session->processes[i])) {
            traced_process_check_threads(session->processes[i], THREAD_CHECKS);
            session->all_told = false;
        }
    }
    session->kernel_lost = lost;
}

/*
 * Quiet threads cost a look every now and then, which the bitmap of those that ran spares; following switches costs each switch on the
 * machine. Where the one outweighs the other was not measured: this is more threads than most programs have.
 */
#define THREADS_MANY 256u

void session_count_threads(Session *session)
{
    uint32_t before = session->has_many_threads, many;
    size_t threads = 0;

    for (size_t i = 0; i < session->process_count; i++) {
        if (!traced_process_is_view(session->processes[i]))
            threads += traced_process_threads_here(session->processes[i]);
    }
    many = threads >= (before ? THREADS_MANY / 2 : THREADS_MANY);
    if (many == before || !session->config.kernel)
        return;
    ada_store_relaxed(&session->has_many_threads, many); /* a hint */
    session_tell_state(session);
}

/* ---- the file --------------------------------------------------------------------------------- */

KernelStatus session_kernel_status(const Session *session)
{
    KernelStatus status = {.enabled = session->config.kernel != NULL};

    if (status.enabled) {
        kernel_assist_counters(session->config.kernel, &status.counters);
        status.counters.sched_lost += ada_load_relaxed(&session->homeless);
    } else {
        status.reason = session->config.kernel_reason ? session->config.kernel_reason : "not wanted";
    }
    return status;
}

static AdatKernelSummary summarize(const Session *session)
{
    KernelStatus status = session_kernel_status(session);
    AdatKernelSummary summary = {
        .enabled = status.enabled,
        .lifecycle_attempted = status.counters.lifecycle_attempted,
        .lifecycle_lost = status.counters.lifecycle_lost,
        .sched_attempted = status.counters.sched_attempted,
        .sched_lost = status.counters.sched_lost,
        .threads_refused = status.counters.threads_refused,
        .targets_refused = status.counters.targets_refused,
    };

    (void)snprintf(summary.reason, sizeof(summary.reason), "%s", status.reason ? status.reason : "");
    return summary;
}

void session_put_kernel(Session *session)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_KERNEL};
    size_t count = session->deaths.count;
    AdatKernelSummary *summary;
    size_t bytes;

    if (count > DEATHS_IN_BLOCK_MAX)
        count = DEATHS_IN_BLOCK_MAX;
    bytes = sizeof(*summary) + count * sizeof(AdatKernelThread);
    summary = malloc(bytes);
    if (!summary)
        return; /* tried again later */
    *summary = summarize(session);
    if (count > 0)
        memcpy(summary + 1, session->deaths.entries, count * sizeof(AdatKernelThread));
    if (drain_batch_put(&session->batch, &header, summary, bytes) != 0)
        count = 0; /* the same */
    session->death_count = count;
    session->death_epoch = session->batch.epoch;
    free(summary);
}

/* Entries that were in a batch which failed stay, for the next one. */
void session_settle_kernel(Session *session)
{
    if (session->death_count > 0 && session->death_epoch == session->batch.epoch)
        death_book_entries_written(&session->deaths, session->death_count);
    session->death_count = 0;
}
