/* SPDX-License-Identifier: MIT */
#include "user/export/metrics_json.h"

#include <string.h>

#include "user/base/json.h"

/* null: the kernel does not tell. State and CPU are those of one thread. */
static void put_sched(JsonWriter *json, const MetricsSched *sched, bool one)
{
    if (sched->threads == 0) {
        json_null(json, "sched");
        return;
    }
    json_begin_object(json, "sched");
    if (one) {
        json_string(json, "state", metrics_sched_state_name(sched->state));
        json_u64(json, "last_cpu", sched->last_cpu);
    } else {
        json_u64(json, "threads", sched->threads);
    }
    json_f64(json, "cpu_share", sched->cpu_share);
    json_f64(json, "runqueue_share", sched->runqueue_share);
    json_u64(json, "run_ns", sched->run_ns);
    json_u64(json, "runqueue_ns", sched->runqueue_ns);
    json_u64(json, "preempted_ns", sched->preempted_ns);
    json_u64(json, "sleep_ns", sched->sleep_ns);
    json_u64(json, "blocked_ns", sched->blocked_ns);
    json_u64(json, "switches_voluntary", sched->switches_voluntary);
    json_u64(json, "switches_involuntary", sched->switches_involuntary);
    json_u64(json, "migrations", sched->migrations);
    json_u64(json, "wakeups", sched->wakeups);
    json_end_object(json);
}

/* Into the object that is open. `one`: of one thread. */
static void put_figures(JsonWriter *json, const MetricsFigures *figures, bool one)
{
    adat_account_write_json(&figures->index, json, "events");
    adat_account_write_json(&figures->detail, json, "detail");
    json_f64(json, "events_per_s", figures->events_per_second);
    json_f64(json, "events_per_s_average", figures->events_per_second_average);
    json_u64(json, "bytes", figures->bytes);
    json_f64(json, "bytes_per_s", figures->bytes_per_second);
    json_u64(json, "swaps", figures->swaps);
    json_u64(json, "swap_ns", figures->swap_ns);
    json_u64(json, "swap_max_ns", figures->swap_max_ns);
    json_u64(json, "pool_exhausted", figures->pool_exhausted);
    json_u64(json, "stalls", figures->stalls);
    json_u64(json, "stall_ns", figures->stall_ns);
    json_f64(json, "occupancy", figures->occupancy);
    json_u64(json, "drained_bytes", figures->drained_bytes);
    json_f64(json, "drain_share", figures->drain_share);
    put_sched(json, &figures->sched, one);
}

static void put_name(JsonWriter *json, const char *key, const char *name, size_t size)
{
    json_string_bytes(json, key, name, strnlen(name, size));
}

static void put_latency(JsonWriter *json, const char *key, const LatencyHistogram *histogram)
{
    MetricsPercentiles percentiles = metrics_percentiles(histogram);

    json_begin_object(json, key);
    json_u64(json, "count", percentiles.count);
    json_f64(json, "p50", (double)percentiles.p50 / 1e3);
    json_f64(json, "p90", (double)percentiles.p90 / 1e3);
    json_f64(json, "p99", (double)percentiles.p99 / 1e3);
    json_f64(json, "max", (double)percentiles.max / 1e3);
    json_end_object(json);
}

static void put_drain(JsonWriter *json, const MetricsSnapshot *snapshot)
{
    json_begin_object(json, "drain");
    put_name(json, "scheduler", snapshot->scheduler, sizeof(snapshot->scheduler));
    json_u64(json, "iterations", snapshot->iterations);
    json_u64(json, "iteration_ns", snapshot->iteration_ns);
    json_u64(json, "iteration_max_ns", snapshot->iteration_max_ns);
    json_f64(json, "jain", snapshot->jain);
    put_latency(json, "latency_us", &snapshot->latency);
    put_latency(json, "latency_recent_us", &snapshot->latency_recent);
    json_f64(json, "cpu_s", (double)snapshot->cpu_ns / 1e9);
    json_u64(json, "threads_visited", snapshot->visits);
    json_u64(json, "threads_skipped", snapshot->skips);
    json_u64(json, "wakeups", snapshot->wakeups);
    json_u64(json, "writes", snapshot->flushes);
    json_u64(json, "failed_writes", snapshot->failed_writes);
    json_u64(json, "marks", snapshot->marks);
    json_u64(json, "collect_ns", snapshot->collect_ns);
    json_end_object(json);
}

static void put_kernel(JsonWriter *json, const MetricsSnapshot *snapshot)
{
    json_begin_object(json, "kernel");
    json_bool(json, "enabled", snapshot->kernel_enabled);
    if (snapshot->kernel_enabled)
        json_null(json, "reason");
    else
        put_name(json, "reason", snapshot->kernel_reason, sizeof(snapshot->kernel_reason));
    json_u64(json, "lifecycle_lost", snapshot->kernel_lifecycle_lost);
    json_u64(json, "sched_lost", snapshot->kernel_sched_lost);
    json_end_object(json);
}

static void put_process(JsonWriter *json, const MetricsProcess *process)
{
    json_begin_object(json, NULL);
    json_u64(json, "pid", process->pid);
    put_name(json, "program", process->program, sizeof(process->program));
    json_u64(json, "threads_alive", process->threads);
    json_u64(json, "threads_ever", process->threads_ever);
    json_bool(json, "ended", process->ended);
    json_bool(json, "quarantined", process->quarantined);
    put_figures(json, &process->figures, false);
    json_end_object(json);
}

static void put_thread(JsonWriter *json, const MetricsThread *thread)
{
    json_begin_object(json, NULL);
    json_u64(json, "pid", thread->pid);
    json_u64(json, "tid", thread->tid);
    json_u64(json, "thread", thread->thread);
    put_name(json, "name", thread->name, sizeof(thread->name));
    json_bool(json, "ended", thread->ended);
    put_figures(json, &thread->figures, true);
    json_end_object(json);
}

/* Into the object that is open: all members, with so many threads at most. */
static void put_snapshot(JsonWriter *json, const MetricsSnapshot *snapshot, size_t threads_max)
{
    size_t threads = snapshot->thread_count < threads_max ? snapshot->thread_count : threads_max;

    json_u64(json, "version", METRICS_JSON_VERSION);
    json_u64(json, "sequence", snapshot->sequence);
    json_f64(json, "time_s", (double)snapshot->realtime_ns / 1e9);
    json_f64(json, "duration_s", (double)(snapshot->monotonic_ns - snapshot->started_at) / 1e9);
    json_f64(json, "interval_s", (double)snapshot->interval_ns / 1e9);
    json_u64(json, "processes_alive", snapshot->processes_alive);
    json_u64(json, "processes_ever", snapshot->processes_ever);
    json_u64(json, "threads_alive", snapshot->threads_alive);
    json_u64(json, "threads_ever", snapshot->threads_ever);
    json_u64(json, "file_bytes", snapshot->file_bytes);
    json_i64(json, "write_error", snapshot->write_error);
    json_u64(json, "memory_bytes", snapshot->memory_bytes);
    json_f64(json, "drop_ratio", snapshot->drop_rate);
    json_begin_object(json, "total");
    put_figures(json, &snapshot->total, false);
    json_end_object(json);
    put_drain(json, snapshot);
    put_kernel(json, snapshot);
    json_begin_object(json, "anomalies");
    for (unsigned i = 0; i < METRICS_ANOMALIES; i++)
        json_u64(json, metrics_anomaly_name((enum metrics_anomaly)i), snapshot->anomalies[i]);
    json_end_object(json);
    json_begin_array(json, "processes");
    for (size_t i = 0; i < snapshot->process_count; i++)
        put_process(json, &snapshot->processes[i]);
    json_end_array(json);
    json_begin_array(json, "threads");
    for (size_t i = 0; i < threads; i++)
        put_thread(json, &snapshot->threads[i]);
    json_end_array(json);
    json_u64(json, "threads_omitted", snapshot->thread_count - threads);
}

void metrics_json_put(const MetricsSnapshot *snapshot, JsonWriter *json, const char *key)
{
    json_begin_object(json, key);
    put_snapshot(json, snapshot, METRICS_JSON_THREADS_MAX);
    json_end_object(json);
}

void metrics_json_write(const MetricsSnapshot *snapshot, FILE *out)
{
    JsonWriter json;

    json_init(&json, out);
    metrics_json_put(snapshot, &json, NULL);
}

static size_t threads_with(const MetricsView *view, size_t limit)
{
    size_t sum = 0;

    for (size_t i = 0; i < view->session_count; i++)
        sum += view->sessions[i].snapshot->thread_count < limit ? view->sessions[i].snapshot->thread_count
                                                                : limit;
    return sum;
}

/* The largest limit for each session with which all have METRICS_JSON_THREADS_MAX together. */
static size_t threads_of_each(const MetricsView *view)
{
    size_t fits = 0, too_many = METRICS_JSON_THREADS_MAX + 1;

    while (too_many - fits > 1) {
        size_t middle = fits + (too_many - fits) / 2;

        if (threads_with(view, middle) <= METRICS_JSON_THREADS_MAX)
            fits = middle;
        else
            too_many = middle;
    }
    return fits;
}

static void put_sessions(JsonWriter *json, const MetricsView *view)
{
    size_t threads_max = threads_of_each(view);

    json_begin_array(json, "sessions");
    for (size_t i = 0; i < view->session_count; i++) {
        json_begin_object(json, NULL);
        put_name(json, "session", view->sessions[i].name, sizeof(view->sessions[i].name));
        json_string(json, "state", view->sessions[i].state);
        put_snapshot(json, view->sessions[i].snapshot, threads_max);
        json_end_object(json);
    }
    json_end_array(json);
}

void metrics_json_write_view(const MetricsView *view, FILE *out)
{
    JsonWriter json;

    if (!view->has_service) {
        metrics_json_write(view->sessions[0].snapshot, out);
        return;
    }
    json_init(&json, out);
    json_begin_object(&json, NULL);
    json_u64(&json, "version", METRICS_JSON_VERSION);
    put_sessions(&json, view);
    json_end_object(&json);
}
