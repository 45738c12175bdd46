/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/cli/top_view.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/cli/format.h"

static const char *const sort_names[] = {
    [TOP_SORT_EVENTS] = "events", [TOP_SORT_DROPS] = "drops", [TOP_SORT_OCCUPANCY] = "occupancy",
    [TOP_SORT_STALLS] = "stalls", [TOP_SORT_CPU] = "cpu",     [TOP_SORT_RUNQUEUE] = "runqueue",
    [TOP_SORT_TOTAL] = "total",   [TOP_SORT_ID] = "id",       [TOP_SORT_NAME] = "name",
};
_Static_assert(sizeof(sort_names) / sizeof(sort_names[0]) == TOP_SORTS, "a name for each order");

const char *top_sort_name(enum top_sort sort)
{
    return (unsigned)sort < TOP_SORTS ? sort_names[sort] : NULL;
}

enum top_sort top_sort_of(const char *name)
{
    unsigned sort = 0;

    while (sort < TOP_SORTS && strcmp(sort_names[sort], name) != 0)
        sort++;
    return (enum top_sort)sort;
}

/* ---- the whole -------------------------------------------------------------------------------- */

static uint64_t dropped(const AdatAccount *account)
{
    return account->dropped_full + account->dropped_nested + account->dropped_io;
}

void top_view_header(const MetricsSnapshot *snapshot, const MetricsPercentiles *latency,
                     char lines[TOP_HEADER_LINES][TOP_LINE_MAX])
{
    const AdatAccount *events = &snapshot->total.index;
    double seconds = (double)(snapshot->monotonic_ns - snapshot->started_at) / 1e9;
    double busy = snapshot->cpu_ns && seconds > 0 ? (double)snapshot->cpu_ns / 1e7 / seconds : 0;
    char rate[32], average[32], bytes[32], memory[32];
    const uint64_t *anomalies = snapshot->anomalies;

    format_rate(snapshot->total.events_per_second, rate, sizeof(rate));
    format_rate(snapshot->total.events_per_second_average, average, sizeof(average));
    format_bytes(snapshot->file_bytes, bytes, sizeof(bytes));
    format_bytes(snapshot->memory_bytes, memory, sizeof(memory));
    (void)snprintf(lines[0], TOP_LINE_MAX,
                   "recording for %.0f s: %u of %" PRIu64 " processes, %u of %" PRIu64
                   " threads alive, file %s%s",
                   seconds, snapshot->processes_alive, snapshot->processes_ever, snapshot->threads_alive,
                   snapshot->threads_ever, bytes, snapshot->write_error ? ", CANNOT BE WRITTEN: " : "");
    if (snapshot->write_error)
        (void)strncat(lines[0], strerror(-snapshot->write_error), TOP_LINE_MAX - strlen(lines[0]) - 1);
    (void)snprintf(lines[1], TOP_LINE_MAX,
                   "events  %s/s (average %s/s), %" PRIu64 " attempted, %" PRIu64 " in file, %" PRIu64
                   " pending",
                   rate, average, events->attempted, events->in_file, events->pending);
    (void)snprintf(lines[2], TOP_LINE_MAX,
                   "lost    %" PRIu64 " full, %" PRIu64 " nested, %" PRIu64 " io, %" PRIu64 " torn; %" PRIu64
                   " stalls, %" PRIu64 " failed writes",
                   events->dropped_full, events->dropped_nested, events->dropped_io, events->torn,
                   snapshot->total.stalls, snapshot->failed_writes);
    (void)snprintf(lines[3], TOP_LINE_MAX,
                   "drain   %s: latency P50 %.2f ms, P99 %.2f ms, max %.1f ms; Jain %.3f; CPU %.1f %%, memory %s",
                   snapshot->scheduler, (double)latency->p50 / 1e6, (double)latency->p99 / 1e6,
                   (double)latency->max / 1e6, snapshot->jain, busy, memory);
    (void)snprintf(lines[4], TOP_LINE_MAX,
                   "alarms  %" PRIu64 " drop bursts, %" PRIu64 " stalled lanes, %" PRIu64
                   " odd rates, %" PRIu64 " slow writes",
                   anomalies[METRICS_ANOMALY_DROP_BURST], anomalies[METRICS_ANOMALY_STALLED_LANE],
                   anomalies[METRICS_ANOMALY_RATE], anomalies[METRICS_ANOMALY_LATENCY]);
}

/* ---- rows ------------------------------------------------------------------------------------- */

static const MetricsFigures *figures_of(const MetricsSnapshot *snapshot, const TopView *view, size_t index)
{
    return view->processes ? &snapshot->processes[index].figures : &snapshot->threads[index].figures;
}

static const char *name_of(const MetricsSnapshot *snapshot, const TopView *view, size_t index)
{
    return view->processes ? snapshot->processes[index].program : snapshot->threads[index].name;
}

static uint32_t id_of(const MetricsSnapshot *snapshot, const TopView *view, size_t index)
{
    return view->processes ? snapshot->processes[index].pid : snapshot->threads[index].tid;
}

static bool is_wanted(const MetricsSnapshot *snapshot, const TopView *view, size_t index)
{
    char id[16];

    if (!view->filter[0] || strcasestr(name_of(snapshot, view, index), view->filter))
        return true;
    (void)snprintf(id, sizeof(id), "%u", id_of(snapshot, view, index));
    return strstr(id, view->filter) != NULL;
}

typedef struct Sorting {
    const MetricsSnapshot *snapshot;
    const TopView *view;
} Sorting;

/* What numeric orders go by. */
static double sort_value(const MetricsFigures *figures, enum top_sort sort)
{
    switch (sort) {
    case TOP_SORT_EVENTS:
        return figures->events_per_second;
    case TOP_SORT_DROPS:
        return (double)dropped(&figures->index);
    case TOP_SORT_OCCUPANCY:
        return figures->occupancy;
    case TOP_SORT_STALLS:
        return (double)figures->stalls;
    case TOP_SORT_CPU:
        return figures->sched.threads > 0 ? figures->sched.cpu_share : 0;
    case TOP_SORT_RUNQUEUE:
        return figures->sched.threads > 0 ? figures->sched.runqueue_share : 0;
    default:
        return (double)figures->index.attempted;
    }
}

static int compare_numbers(double a, double b)
{
    return (a > b) - (a < b);
}

static int compare_rows(const void *left, const void *right, void *context)
{
    const Sorting *sorting = context;
    const MetricsSnapshot *snapshot = sorting->snapshot;
    const TopView *view = sorting->view;
    size_t a = *(const size_t *)left, b = *(const size_t *)right;
    int order;

    if (view->sort == TOP_SORT_NAME)
        order = strcmp(name_of(snapshot, view, a), name_of(snapshot, view, b));
    else if (view->sort == TOP_SORT_ID)
        order = compare_numbers(id_of(snapshot, view, a), id_of(snapshot, view, b));
    else
        order = compare_numbers(sort_value(figures_of(snapshot, view, b), view->sort),
                                sort_value(figures_of(snapshot, view, a), view->sort));
    if (view->reverse)
        order = -order;
    return order ? order : (a > b) - (a < b);
}

size_t top_view_rows(const MetricsSnapshot *snapshot, const TopView *view, size_t *order)
{
    size_t all = view->processes ? snapshot->process_count : snapshot->thread_count;
    Sorting sorting = {.snapshot = snapshot, .view = view};
    size_t count = 0;

    for (size_t i = 0; i < all; i++) {
        if (is_wanted(snapshot, view, i))
            order[count++] = i;
    }
    qsort_r(order, count, sizeof(*order), compare_rows, &sorting);
    return count;
}

void top_view_columns(const TopView *view, char line[TOP_LINE_MAX])
{
    (void)snprintf(line, TOP_LINE_MAX, "%8s %8s %-16s %9s %9s %12s %10s %5s %6s %8s %5s %5s %s", "PID",
                   view->processes ? "THREADS" : "TID", view->processes ? "PROGRAM" : "NAME", "EVENTS/S",
                   "BYTES/S", "EVENTS", "DROPPED", "FULL%", "SHARE%", "STALLS", "CPU%", "RUNQ%",
                   view->processes ? "" : "STATE");
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* A name is whatever the program chose: it must not reach the terminal as it is. */
static void printable(const char *name, char *text, size_t size)
{
    size_t at = 0;

    for (; name[at] && at + 1 < size; at++)
        text[at] = isprint((unsigned char)name[at]) ? name[at] : '?';
    text[at] = '\0';
}

/* What the kernel tells of a thread or of a process's; dashes if it does not. */
static void sched_columns(const MetricsSched *sched, bool one, char *text, size_t size)
{
    if (sched->threads == 0)
        (void)snprintf(text, size, "%5s %5s %s", "-", "-", one ? "-" : "");
    else
        (void)snprintf(text, size, "%5.0f %5.0f %s", sched->cpu_share * 100, sched->runqueue_share * 100,
                       one ? metrics_sched_state_name(sched->state) : "");
}

void top_view_row(const MetricsSnapshot *snapshot, const TopView *view, size_t index, char line[TOP_LINE_MAX])
{
    const MetricsFigures *figures = figures_of(snapshot, view, index);
    uint32_t pid = view->processes ? snapshot->processes[index].pid : snapshot->threads[index].pid;
    uint32_t other = view->processes ? snapshot->processes[index].threads : snapshot->threads[index].tid;
    bool ended = view->processes ? snapshot->processes[index].ended : snapshot->threads[index].ended;
    char events[32], bytes[32], name[64], sched[48];

    format_rate(figures->events_per_second, events, sizeof(events));
    format_bytes((uint64_t)figures->bytes_per_second, bytes, sizeof(bytes));
    printable(last_part(name_of(snapshot, view, index)), name, sizeof(name));
    sched_columns(&figures->sched, !view->processes, sched, sizeof(sched));
    (void)snprintf(line, TOP_LINE_MAX,
                   "%8u %8u %-16.16s %9s %9s %12" PRIu64 " %10" PRIu64 " %5.0f %6.1f %8" PRIu64 " %s%s", pid,
                   other, name, events, bytes, figures->index.attempted, dropped(&figures->index),
                   figures->occupancy * 100, figures->drain_share * 100, figures->stalls, sched,
                   ended ? " ended" : "");
}
