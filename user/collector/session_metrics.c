/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/session_internal.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "user/lane/clock.h"

#define METRICS_SLACK_NS (10 * NS_PER_MS)

/* Resident memory of this process in bytes; 0 = not known. */
static uint64_t resident_bytes(void)
{
    const char *second;
    char text[128];
    ssize_t size;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    size = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (size <= 0)
        return 0;
    text[size] = '\0';
    second = strchr(text, ' '); /* pages: of its size, resident, ... */
    return second ? strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void take_drain(Session *session, MetricsSnapshot *snapshot)
{
    const DrainMetrics *metrics = &session->metrics;
    struct timespec cpu = {0};

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu); /* cannot fail: the clock exists, the pointer is good */
    snapshot->cpu_ns = (uint64_t)cpu.tv_sec * NS_PER_S + (uint64_t)cpu.tv_nsec;
    snapshot->memory_bytes = resident_bytes();
    (void)snprintf(snapshot->scheduler, sizeof(snapshot->scheduler), "%s",
                   drain_scheduler_name(session->config.scheduler));
    snapshot->iterations = metrics->iterations;
    snapshot->iteration_ns = metrics->iteration_ns;
    snapshot->iteration_max_ns = metrics->iteration_max_ns;
    snapshot->visits = metrics->visits;
    snapshot->skips = metrics->skips;
    snapshot->wakeups = metrics->wakeups;
    snapshot->flushes = metrics->flushes;
    snapshot->failed_writes = session->batch.failures;
    snapshot->write_error = session->batch.failing ? session->batch.last_error : 0;
    snapshot->file_bytes = adat_writer_bytes(session->batch.writer);
    snapshot->marks = metrics->marks;
    snapshot->latency = metrics->latency;
    latency_histogram_since(&metrics->latency, &session->measured.latency, &snapshot->latency_recent);
    session->measured.latency = metrics->latency;
}

static void take_processes(Session *session, MetricsWindow *window, MetricsSnapshot *snapshot)
{
    snapshot->total = session->measured.ended;
    snapshot->threads_ever = session->result.threads;
    for (size_t i = 0; i < session->process_count; i++) {
        TracedProcess *process = session->processes[i];

        traced_process_measure(process, window, snapshot);
        metrics_figures_add(&snapshot->total, &snapshot->processes[i].figures);
        snapshot->threads_alive += traced_process_threads_here(process);
        snapshot->threads_ever += traced_process_threads(process);
        snapshot->processes_alive += traced_process_ended(process).kind == 0;
    }
    snapshot->processes_ever = session->result.processes;
    snapshot->jain = jain_index_value(&window->jain);
}

/* Bytes become shares. */
static void take_shares(const MetricsWindow *window, MetricsSnapshot *snapshot)
{
    double all = window->drained > 0 ? (double)window->drained : 1;

    for (size_t i = 0; i < snapshot->process_count; i++)
        snapshot->processes[i].figures.drain_share /= all;
    for (size_t i = 0; i < snapshot->thread_count; i++)
        snapshot->threads[i].figures.drain_share /= all;
    snapshot->total.drain_share = window->drained > 0;
}

/* Rates of the whole, threads that have ended since included. And nothing that was shown is taken back. */
static void take_total(Session *session, const MetricsWindow *window, MetricsSnapshot *snapshot)
{
    SessionMeasured *before = &session->measured;
    MetricsFigures *total = &snapshot->total;

    if (total->index.attempted < before->events) {
        total->index.pending += before->events - total->index.attempted;
        total->index.attempted = before->events;
    }
    if (total->bytes < before->bytes)
        total->bytes = before->bytes;
    total->events_per_second = metrics_per_second(total->index.attempted, before->events, window->seconds);
    total->bytes_per_second = metrics_per_second(total->bytes, before->bytes, window->seconds);
    before->average = metrics_average(before->average, total->events_per_second, window);
    total->events_per_second_average = before->average;
    before->events = total->index.attempted;
    before->bytes = total->bytes;
}

static void take_anomalies(Session *session, const MetricsWindow *window, double average,
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

    (void)anomaly_check(&session->measured.anomalies, &input);
    memcpy(snapshot->anomalies, session->measured.anomalies.counts, sizeof(snapshot->anomalies));
}

static MetricsSnapshot *make_snapshot(Session *session, uint64_t now)
{
    SessionMeasured *before = &session->measured;
    MetricsWindow window = metrics_window_begin(now, before->at);
    double average = before->average;
    MetricsSnapshot *snapshot;
    struct timespec real = {0};
    size_t threads = 0;

    for (size_t i = 0; i < session->process_count; i++)
        threads += traced_process_threads_here(session->processes[i]);
    snapshot = metrics_snapshot_create(session->process_count, threads);
    if (!snapshot)
        return NULL;
    (void)clock_gettime(CLOCK_REALTIME, &real);
    snapshot->sequence = ++before->sequence;
    snapshot->monotonic_ns = now;
    snapshot->realtime_ns = (uint64_t)real.tv_sec * NS_PER_S + (uint64_t)real.tv_nsec;
    snapshot->started_at = session->started_at;
    snapshot->interval_ns = session->config.metrics_interval_ns;
    take_processes(session, &window, snapshot);
    take_total(session, &window, snapshot);
    take_shares(&window, snapshot);
    take_drain(session, snapshot);
    take_anomalies(session, &window, average, snapshot);
    before->at = now;
    return snapshot;
}

/* A snapshot that could not be published, for a reader was just taking the last one, is published later. */
static void publish(Session *session)
{
    if (session->unpublished && metrics_hub_try_publish(session->config.metrics_hub, session->unpublished))
        session->unpublished = NULL;
}

void session_collect_metrics(Session *session, uint64_t now, bool last)
{
    /* With housekeeping, so that a quiet recorder wakes once for both. */
    uint64_t slack = session->config.metrics_interval_ns >= NS_PER_S ? METRICS_SLACK_NS : 0;

    if (session->config.metrics_interval_ns == 0 || !session->config.metrics_hub)
        return;
    publish(session);
    if (!last && (int64_t)(now + slack - session->next_metrics) < 0)
        return;
    session->next_metrics = now + session->config.metrics_interval_ns;
    metrics_snapshot_release(session->unpublished);
    session->unpublished = make_snapshot(session, now); /* without memory: next time */
    if (session->unpublished)
        session->unpublished->collect_ns = ada_clock_monotonic_ns() - now;
    publish(session);
    while (last && session->unpublished) { /* a reader is amid some instructions */
        sched_yield();
        publish(session);
    }
}
