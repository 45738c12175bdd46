/* SPDX-License-Identifier: MIT */
#include "user/collector/traced_process_internal.h"

#include <stdlib.h>
#include <string.h>

#include "user/metrics/sched_figures.h"

/* Slots ahead of the one whose figures are taken; found by trying (tests/bench/bench_metrics.c). */
#define EXPECT_STATE 8u
#define EXPECT_SHARED 4u

void traced_process_expect_threads(const TracedProcess *process, uint32_t slot)
{
    uint32_t slots = process->segment.geometry.slot_capacity;

    if (slot + EXPECT_STATE < slots && process->threads[slot + EXPECT_STATE])
        thread_figures_expect(process->threads[slot + EXPECT_STATE]);
    if (slot + EXPECT_SHARED < slots && process->threads[slot + EXPECT_SHARED])
        thread_figures_expect_shared(process->threads[slot + EXPECT_SHARED]);
}

/* All but its figures. */
static void describe_measured(const TracedProcess *process, const ThreadDrainState *state, MetricsThread *thread)
{
    thread->pid = (uint32_t)process->pid;
    thread->tid = state->tid;
    thread->thread = state->thread;
    thread->slot = state->slot;
    _Static_assert(sizeof(thread->name) == sizeof(state->name), "");
    memcpy(thread->name, state->name, sizeof(thread->name));
    thread->ended = false;
}

/* Its last figures, for the sums and for the next snapshot. */
void traced_process_measure_ended(TracedProcess *process, const ThreadDrainState *state,
                                  const ThreadAccount *account)
{
    MetricsThread thread;

    describe_measured(process, state, &thread);
    thread_figures_close(state, &account->index, &account->detail, &thread.figures);
    metrics_figures_add(&process->ended, &thread.figures);
    thread.ended = true;
    metrics_global_add_ended(process->metrics, &thread);
}

const MetricsFigures *traced_process_ended_figures(const TracedProcess *process)
{
    return &process->ended;
}

/* The end of the program's path, if it is too long. */
static void copy_program(const TracedProcess *process, char *out, size_t size)
{
    const char *program = process->segment.header->program;
    size_t length = strnlen(program, sizeof(process->segment.header->program));
    size_t skip = length >= size ? length - size + 1 : 0;

    memcpy(out, program + skip, length - skip);
    out[length - skip] = '\0';
}

static uint64_t in_all_files(const LaneDrain *lane)
{
    return lane->earlier.in_file + lane->in_file;
}

/*
 * Figures of a quiet thread are what they were, unless it was drained since: its lanes, some 20 lines that another core wrote
 * last, need not be looked at. With 4,096 threads of which 16 record that is what collecting costs.
 */
static bool is_unchanged(const ThreadDrainState *state, const MetricsThread *last)
{
    return !state->hot && last->thread == state->thread && last->figures.events_per_second <= 0 &&
           last->figures.drained_bytes == state->stats.bytes &&
           last->figures.index.in_file == in_all_files(&state->index) && last->figures.index.pending == 0 &&
           last->figures.detail.in_file == in_all_files(&state->detail) && last->figures.detail.pending == 0;
}

static void measure_thread(const TracedProcess *process, ThreadDrainState *state, MetricsWindow *window,
                           MetricsThread *thread)
{
    MetricsThread *last = process->last ? &process->last[state->slot] : thread;
    AdaKernelThread context;
    bool known;

    if (process->last && is_unchanged(state, last)) {
        thread_figures_skip(state, window, &last->figures);
    } else {
        describe_measured(process, state, last);
        thread_figures_take(state, window, &last->figures);
    }
    known = kernel_hints_context(process->hints, state, (uint32_t)process->pid, &context);
    sched_figures_take(known ? &context : NULL, window, &state->measured, &last->figures.sched);
    if (last != thread)
        *thread = *last;
}

void traced_process_measure(TracedProcess *process, MetricsWindow *window, MetricsSnapshot *snapshot)
{
    MetricsProcess *entry = &snapshot->processes[snapshot->process_count++];
    MetricsFigures *sum = &entry->figures;

    *entry = (MetricsProcess){
        .pid = (uint32_t)process->pid,
        .threads = process->threads_here,
        .threads_ever = process->threads_found,
        .ended = process->end.kind != 0,
        .quarantined = process->quarantine != NULL,
        .figures = process->ended,
    };
    if (!process->last)
        process->last = calloc(process->segment.geometry.slot_capacity, sizeof(process->last[0]));
    copy_program(process, entry->program, sizeof(entry->program));
    for (uint32_t slot = 0, left = process->threads_here; left > 0; slot++) {
        MetricsThread *thread = &snapshot->threads[snapshot->thread_count];

        traced_process_expect_threads(process, slot);
        if (!process->threads[slot])
            continue;
        left--;
        snapshot->thread_count++;
        measure_thread(process, process->threads[slot], window, thread);
        metrics_figures_add(sum, &thread->figures);
    }
    /* Those that ended meanwhile count, too. */
    sum->events_per_second = metrics_per_second(sum->index.attempted, process->measured, window->seconds);
    process->average = metrics_average(process->average, sum->events_per_second, window);
    sum->events_per_second_average = process->average;
    process->measured = sum->index.attempted;
}
