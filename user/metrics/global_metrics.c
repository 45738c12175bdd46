/* SPDX-License-Identifier: MIT */
#include "user/metrics/global_metrics.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "user/base/array.h"
#include "user/lane/atomic.h"
#include "user/lane/clock.h"

#define COLLECTING UINT64_MAX
#define NS_PER_S 1000000000ull

/* An interval of a second or more may end so much earlier: with housekeeping, so that a quiet recorder wakes once for both. */
#define SLACK_NS 10000000u

void metrics_global_init(ada_global_metrics_t *global, const MetricsSource *source, MetricsHub *hub,
                         uint64_t interval_ns, uint64_t now)
{
    *global =
        (ada_global_metrics_t){.interval_ns = interval_ns, .source = *source, .hub = hub, .started_at = now};
}

void metrics_global_fini(ada_global_metrics_t *global)
{
    metrics_snapshot_release(global->unpublished);
    global->unpublished = NULL;
    free(global->ended);
    global->ended = NULL;
    global->ended_count = global->ended_capacity = 0;
}

void metrics_global_set_interval(ada_global_metrics_t *global, uint64_t interval_ns)
{
    ada_store_relaxed(&global->interval_ns, interval_ns); /* a number by itself: nothing goes with it */
}

uint64_t metrics_global_due(const ada_global_metrics_t *global)
{
    uint64_t interval = ada_load_relaxed(&global->interval_ns);
    uint64_t collected_at = ada_load_relaxed(&global->collected_at);

    if (!global->hub || interval == 0)
        return 0;
    return collected_at == COLLECTING ? COLLECTING : collected_at + interval;
}

static bool is_due(const ada_global_metrics_t *global, uint64_t collected_at, uint64_t now)
{
    uint64_t interval = ada_load_relaxed(&global->interval_ns);
    uint64_t slack = interval >= NS_PER_S ? SLACK_NS : 0;

    if (!global->hub || interval == 0 || collected_at == COLLECTING)
        return false;
    return collected_at == 0 || (now > collected_at && now - collected_at >= interval - slack);
}

void metrics_global_add_ended(ada_global_metrics_t *global, const MetricsThread *thread)
{
    if (metrics_global_due(global) == 0 || global->ended_count >= METRICS_ENDED_MAX ||
        array_reserve_one(&global->ended, &global->ended_capacity, global->ended_count, sizeof(*thread)) != 0)
        return; /* the sums have it */
    global->ended[global->ended_count++] = *thread;
}

/* ---- deriving --------------------------------------------------------------------------------- */

/* Bytes become shares. */
static void derive_shares(const MetricsWindow *window, MetricsSnapshot *snapshot)
{
    double all = window->drained > 0 ? (double)window->drained : 1;

    for (size_t i = 0; i < snapshot->process_count; i++)
        snapshot->processes[i].figures.drain_share /= all;
    for (size_t i = 0; i < snapshot->thread_count; i++)
        snapshot->threads[i].figures.drain_share /= all;
    snapshot->total.drain_share = window->drained > 0;
}

static uint64_t lost(const AdatAccount *account)
{
    return account->dropped_full + account->dropped_nested + account->dropped_io;
}

/* Rates of the whole, threads that have ended since included. And nothing that was shown is taken back. */
static void derive_total(ada_global_metrics_t *global, const MetricsWindow *window, MetricsSnapshot *snapshot)
{
    MetricsFigures *total = &snapshot->total;
    uint64_t drops = lost(&total->index);

    if (total->index.attempted < global->events) {
        total->index.pending += global->events - total->index.attempted;
        total->index.attempted = global->events;
    }
    if (total->bytes < global->bytes)
        total->bytes = global->bytes;
    total->events_per_second = metrics_per_second(total->index.attempted, global->events, window->seconds);
    total->bytes_per_second = metrics_per_second(total->bytes, global->bytes, window->seconds);
    if (window->seconds > 0 && drops > global->lost && total->index.attempted > global->events)
        snapshot->drop_rate =
            (double)(drops - global->lost) / (double)(total->index.attempted - global->events);
    if (snapshot->drop_rate > 1) /* of events that were pending before */
        snapshot->drop_rate = 1;
    global->average = metrics_average(global->average, total->events_per_second, window);
    total->events_per_second_average = global->average;
    global->events = total->index.attempted;
    global->lost = drops;
    global->bytes = total->bytes;
}

/* `average`: before this interval. */
static void derive_anomalies(ada_global_metrics_t *global, const MetricsWindow *window, double average,
                             MetricsSnapshot *snapshot)
{
    AnomalyInput input = {
        .now = snapshot->monotonic_ns,
        .total = &snapshot->total.index,
        .rate = snapshot->total.events_per_second,
        .average = average,
        .stalled = window->stalled,
        .latency = &snapshot->latency_recent,
    };
    uint32_t found = anomaly_check(&global->anomalies, &input);

    memcpy(snapshot->anomalies, global->anomalies.counts, sizeof(snapshot->anomalies));
    if (found && global->source.notice)
        global->source.notice(global->source.context, found, snapshot);
}

/* ---- collecting ------------------------------------------------------------------------------- */

static void take_ended(ada_global_metrics_t *global, MetricsSnapshot *snapshot)
{
    if (global->ended_count > 0)
        memcpy(snapshot->threads + snapshot->thread_count, global->ended,
               global->ended_count * sizeof(global->ended[0]));
    snapshot->thread_count += global->ended_count;
    global->ended_count = 0;
}

static MetricsSnapshot *make_snapshot(ada_global_metrics_t *global, uint64_t now)
{
    MetricsWindow window = metrics_window_begin(now, global->taken_at);
    double average = global->average;
    size_t processes = 0, threads = 0;
    MetricsSnapshot *snapshot;
    struct timespec real = {0};

    global->source.count(global->source.context, &processes, &threads);
    snapshot = metrics_snapshot_create(processes, threads + global->ended_count);
    if (!snapshot)
        return NULL;
    (void)clock_gettime(CLOCK_REALTIME, &real); /* cannot fail: the clock exists, the pointer is good */
    snapshot->sequence = ++global->sequence;
    snapshot->monotonic_ns = now;
    snapshot->realtime_ns = (uint64_t)real.tv_sec * NS_PER_S + (uint64_t)real.tv_nsec;
    snapshot->started_at = global->started_at;
    snapshot->interval_ns = ada_load_relaxed(&global->interval_ns);
    global->source.take(global->source.context, &window, snapshot);
    take_ended(global, snapshot);
    snapshot->jain = jain_index_value(&window.jain);
    latency_histogram_since(&snapshot->latency, &global->latency, &snapshot->latency_recent);
    latency_histogram_copy(&global->latency, &snapshot->latency);
    derive_total(global, &window, snapshot);
    derive_shares(&window, snapshot);
    derive_anomalies(global, &window, average, snapshot);
    global->taken_at = now;
    return snapshot;
}

static void publish(ada_global_metrics_t *global)
{
    if (global->unpublished && metrics_hub_try_publish(global->hub, global->unpublished))
        ada_store_relaxed(&global->unpublished, NULL);
}

/* A snapshot that could not be published before is outdated now. False: no memory. */
static bool collect(ada_global_metrics_t *global, uint64_t now)
{
    uint64_t begin = ada_clock_monotonic_ns();
    MetricsSnapshot *snapshot = make_snapshot(global, now);

    if (snapshot) {
        snapshot->collect_ns = ada_clock_monotonic_ns() - begin;
        metrics_snapshot_release(global->unpublished);
        ada_store_relaxed(&global->unpublished, snapshot);
    }
    publish(global);
    return snapshot != NULL;
}

bool metrics_collect_global(ada_global_metrics_t *global, uint64_t now)
{
    uint64_t before = ada_load_relaxed(&global->collected_at);
    bool is_time = is_due(global, before, now);
    bool collected = false;

    /* Acquire pairs with the release below: grants what the collector before left. */
    if (before == COLLECTING || (!is_time && !ada_load_relaxed(&global->unpublished)) ||
        !ada_compare_exchange_acq_rel(&global->collected_at, &before, COLLECTING))
        return false;
    if (is_time)
        collected = collect(global, now);
    else
        publish(global);
    ada_store_release(&global->collected_at, is_time ? now : before); /* pairs with the compare-exchange above */
    return collected;
}

void metrics_collect_last(ada_global_metrics_t *global, uint64_t now)
{
    if (metrics_global_due(global) == 0)
        return;
    (void)collect(global, now);
    while (global->unpublished) {
        sched_yield(); /* a reader is amid some instructions */
        publish(global);
    }
}
