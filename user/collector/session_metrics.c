/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/session_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Resident memory of this process in bytes; 0 = not known. Takes some 50 us. */
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

void session_measure_memory(Session *session)
{
    if (metrics_global_due(&session->global) != 0)
        session->memory_bytes = resident_bytes();
}

static void take_drain(const Session *session, MetricsSnapshot *snapshot)
{
    const DrainMetrics *metrics = &session->metrics;
    struct timespec cpu = {0};

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu); /* cannot fail: the clock exists, the pointer is good */
    snapshot->cpu_ns = (uint64_t)cpu.tv_sec * NS_PER_S + (uint64_t)cpu.tv_nsec;
    snapshot->memory_bytes = session->memory_bytes;
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
    snapshot->file_bytes = session->finished_bytes + adat_writer_bytes(session->batch.writer);
    snapshot->marks = metrics->marks;
    latency_histogram_copy(&snapshot->latency, &metrics->latency);
}

static void take_kernel(const Session *session, MetricsSnapshot *snapshot)
{
    KernelStatus status = session_kernel_status(session);

    snapshot->kernel_enabled = status.enabled;
    (void)snprintf(snapshot->kernel_reason, sizeof(snapshot->kernel_reason), "%s",
                   status.reason ? status.reason : "");
    snapshot->kernel_lifecycle_lost = status.counters.lifecycle_lost;
    snapshot->kernel_sched_lost = status.counters.sched_lost;
}

static void count_sources(void *context, size_t *processes_out, size_t *threads_out)
{
    const Session *session = context;

    *processes_out = session->process_count;
    for (size_t i = 0; i < session->process_count; i++)
        *threads_out += traced_process_threads_here(session->processes[i]);
}

static void take(void *context, MetricsWindow *window, MetricsSnapshot *snapshot)
{
    Session *session = context;

    if (session->config.kernel)
        kernel_assist_look(session->config.kernel);
    snapshot->total = session->ended;
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
    take_drain(session, snapshot);
    take_kernel(session, snapshot);
}

/* Into the trace, where it happened. It names no process: readers take its time for one of the first, whose clock is that of all. */
static void write_anomaly(Session *session, enum metrics_anomaly anomaly)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_MARK, .flags = ADAT_FLAG_ANOMALY};
    AdatMark mark = {.record = UINT64_MAX};

    if (session->process_count == 0)
        return; /* nobody records */
    mark.timestamp = traced_process_ticks(session->processes[0]);
    (void)snprintf(mark.reason, sizeof(mark.reason), "anomaly: %s", metrics_anomaly_name(anomaly));
    drain_batch_put(&session->batch, &header, &mark, sizeof(mark));
}

static void notice(void *context, uint32_t anomalies, const MetricsSnapshot *snapshot)
{
    Session *session = context;

    (void)snapshot;
    if (session->closing)
        return;
    for (uint32_t i = 0; i < METRICS_ANOMALIES; i++) {
        if (anomalies & 1u << i)
            write_anomaly(session, (enum metrics_anomaly)i);
    }
    (void)ada_fetch_or_release(&session->anomalies, anomalies);
    session_tell_state(session);
}

MetricsSource session_metrics_source(Session *session)
{
    return (MetricsSource){.count = count_sources, .take = take, .notice = notice, .context = session};
}
