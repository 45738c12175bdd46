/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/cli/live_report.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/kernel_abi.h"
#include "user/cli/cli.h"
#include "user/cli/control_client.h"
#include "user/cli/recorder_client.h"

#define REPORT_BYTES_MAX ((off_t)64 << 20)
#define VERSION_UNDERSTOOD 1

/* ---- fetching --------------------------------------------------------------------------------- */

/* The whole file, NUL-terminated. 0 or -errno. */
static int read_all(int fd, char **text_out)
{
    struct stat status;
    size_t size, used = 0;
    char *text;

    if (fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode) || status.st_size < 0 || status.st_size > REPORT_BYTES_MAX)
        return -EPROTO;
    size = (size_t)status.st_size;
    text = malloc(size + 1);
    if (!text)
        return -ENOMEM;
    while (used < size) {
        ssize_t got = pread(fd, text + used, size - used, (off_t)used);

        if (got <= 0) {
            int error = got < 0 ? -errno : -EPROTO;

            free(text);
            return error;
        }
        used += (size_t)got;
    }
    text[size] = '\0';
    *text_out = text;
    return 0;
}

/* ---- understanding ---------------------------------------------------------------------------- */

/* What is missing, or no number, is 0. */
static double number(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

    return cJSON_IsNumber(item) && item->valuedouble == item->valuedouble ? item->valuedouble : 0;
}

/* Counters pass through doubles: exact up to 2^53. */
static uint64_t count(const cJSON *object, const char *key)
{
    double value = number(object, key);

    if (value <= 0)
        return 0;
    return value < 18446744073709549568.0 ? (uint64_t)value : UINT64_MAX;
}

static uint32_t count32(const cJSON *object, const char *key)
{
    uint64_t value = count(object, key);

    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static void text(const cJSON *object, const char *key, char *out, size_t size)
{
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));

    (void)snprintf(out, size, "%s", value ? value : "");
}

static AdatAccount account(const cJSON *parent, const char *key)
{
    const cJSON *object = cJSON_GetObjectItemCaseSensitive(parent, key);

    return (AdatAccount){
        .attempted = count(object, "attempted"),
        .in_file = count(object, "in_file"),
        .dropped_full = count(object, "dropped_full"),
        .dropped_nested = count(object, "dropped_nested"),
        .dropped_io = count(object, "dropped_io"),
        .recycled_unmarked = count(object, "recycled_unmarked"),
        .torn = count(object, "torn"),
        .pending = count(object, "pending"),
    };
}

static uint32_t state_of(const char *name)
{
    uint32_t state = ADA_KERNEL_STATES;

    while (name && --state > ADA_KERNEL_UNKNOWN) {
        if (strcmp(metrics_sched_state_name(state), name) == 0)
            return state;
    }
    return ADA_KERNEL_UNKNOWN;
}

static MetricsSched sched(const cJSON *parent)
{
    const cJSON *object = cJSON_GetObjectItemCaseSensitive(parent, "sched");
    const cJSON *threads = cJSON_GetObjectItemCaseSensitive(object, "threads");

    if (!cJSON_IsObject(object))
        return (MetricsSched){0};
    return (MetricsSched){
        .threads = threads ? count32(object, "threads") : 1,
        .state = state_of(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "state"))),
        .last_cpu = count32(object, "last_cpu"),
        .cpu_share = number(object, "cpu_share"),
        .runqueue_share = number(object, "runqueue_share"),
    };
}

static MetricsFigures figures(const cJSON *object)
{
    return (MetricsFigures){
        .index = account(object, "events"),
        .detail = account(object, "detail"),
        .bytes = count(object, "bytes"),
        .events_per_second = number(object, "events_per_s"),
        .bytes_per_second = number(object, "bytes_per_s"),
        .events_per_second_average = number(object, "events_per_s_average"),
        .stalls = count(object, "stalls"),
        .occupancy = number(object, "occupancy"),
        .drain_share = number(object, "drain_share"),
        .sched = sched(object),
    };
}

static void take_drain(const cJSON *root, LiveReport *report)
{
    const cJSON *drain = cJSON_GetObjectItemCaseSensitive(root, "drain");
    const cJSON *latency = cJSON_GetObjectItemCaseSensitive(drain, "latency_recent_us");
    MetricsSnapshot *snapshot = report->snapshot;

    text(drain, "scheduler", snapshot->scheduler, sizeof(snapshot->scheduler));
    snapshot->jain = number(drain, "jain");
    snapshot->cpu_ns = (uint64_t)(number(drain, "cpu_s") * 1e9);
    snapshot->failed_writes = count(drain, "failed_writes");
    report->latency = (MetricsPercentiles){
        .count = count(latency, "count"),
        .p50 = (uint64_t)(number(latency, "p50") * 1e3),
        .p90 = (uint64_t)(number(latency, "p90") * 1e3),
        .p99 = (uint64_t)(number(latency, "p99") * 1e3),
        .max = (uint64_t)(number(latency, "max") * 1e3),
    };
}

static void take_kernel(const cJSON *kernel, MetricsSnapshot *snapshot)
{
    snapshot->kernel_enabled = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(kernel, "enabled"));
    text(kernel, "reason", snapshot->kernel_reason, sizeof(snapshot->kernel_reason));
    snapshot->kernel_lifecycle_lost = count(kernel, "lifecycle_lost");
    snapshot->kernel_sched_lost = count(kernel, "sched_lost");
}

static void take_whole(const cJSON *root, LiveReport *report)
{
    const cJSON *anomalies = cJSON_GetObjectItemCaseSensitive(root, "anomalies");
    MetricsSnapshot *snapshot = report->snapshot;

    snapshot->sequence = count(root, "sequence");
    snapshot->monotonic_ns = (uint64_t)(number(root, "duration_s") * 1e9); /* and started_at is 0 */
    snapshot->processes_alive = count32(root, "processes_alive");
    snapshot->processes_ever = count(root, "processes_ever");
    snapshot->threads_alive = count32(root, "threads_alive");
    snapshot->threads_ever = count(root, "threads_ever");
    snapshot->file_bytes = count(root, "file_bytes");
    snapshot->write_error = (int32_t)number(root, "write_error");
    snapshot->memory_bytes = count(root, "memory_bytes");
    snapshot->total = figures(cJSON_GetObjectItemCaseSensitive(root, "total"));
    for (unsigned i = 0; i < METRICS_ANOMALIES; i++)
        snapshot->anomalies[i] = count(anomalies, metrics_anomaly_name((enum metrics_anomaly)i));
    take_drain(root, report);
    take_kernel(cJSON_GetObjectItemCaseSensitive(root, "kernel"), snapshot);
}

static void take_rows(const cJSON *processes, const cJSON *threads, MetricsSnapshot *snapshot)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, processes)
    {
        MetricsProcess *process = &snapshot->processes[snapshot->process_count++];

        process->pid = count32(item, "pid");
        process->threads = count32(item, "threads_alive");
        process->ended = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(item, "ended"));
        text(item, "program", process->program, sizeof(process->program));
        process->figures = figures(item);
    }
    cJSON_ArrayForEach(item, threads)
    {
        MetricsThread *thread = &snapshot->threads[snapshot->thread_count++];

        *thread = (MetricsThread){.pid = count32(item, "pid")};
        thread->tid = count32(item, "tid");
        thread->ended = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(item, "ended"));
        text(item, "name", thread->name, sizeof(thread->name));
        thread->figures = figures(item);
    }
}

/* 0, and the snapshot; -EPROTO, -ENOMEM. */
static int understand(const cJSON *root, LiveReport *report)
{
    const cJSON *processes = cJSON_GetObjectItemCaseSensitive(root, "processes");
    const cJSON *threads = cJSON_GetObjectItemCaseSensitive(root, "threads");

    if (!cJSON_IsObject(root) || count(root, "version") != VERSION_UNDERSTOOD)
        return -EPROTO;
    report->snapshot =
        metrics_snapshot_create((size_t)cJSON_GetArraySize(processes), (size_t)cJSON_GetArraySize(threads));
    if (!report->snapshot)
        return -ENOMEM;
    take_whole(root, report);
    take_rows(processes, threads, report->snapshot);
    return 0;
}

/* ---- asking ----------------------------------------------------------------------------------- */

static int fetch_of_recorder(const char *path, LiveReport *report)
{
    AnnounceMessage answer;
    cJSON *root;
    int fd = -1;
    int error = recorder_client_ask(path, ADA_ANNOUNCE_METRICS, 0, &answer, &fd);

    if (error)
        return error;
    if (answer.type != ADA_ANNOUNCE_REPORT)
        error = -EPROTO;
    else if (fd < 0)
        error = -ENODATA;
    else
        error = read_all(fd, &report->json);
    if (fd >= 0)
        close(fd);
    if (error)
        return error;
    root = cJSON_Parse(report->json);
    error = understand(root, report);
    cJSON_Delete(root);
    return error;
}

/* What a refusal of the service comes to, in the terms of recorder_client_ask(). */
static int error_of(int error, const ControlAnswer *answer)
{
    if (error != -EREMOTEIO)
        return error;
    if (control_refused(error, answer, ADA_CONTROL_NOT_FOUND))
        return -ENOENT;
    if (control_refused(error, answer, ADA_CONTROL_BUSY))
        return -EAGAIN;
    return control_refused(error, answer, ADA_CONTROL_NOT_PERMITTED) ? -EACCES : -EPROTO;
}

/* Asks the service for the status of a session, or of that of a process. As control_ask(). */
static int ask_status(const char *path, const char *session, uint64_t pid, ControlAnswer *answer)
{
    ControlQuestion question;
    int error = control_question_begin(&question, "status");

    *answer = (ControlAnswer){0};
    if (error)
        return error;
    if (session)
        json_string(&question.json, "session", session);
    if (pid != 0)
        json_u64(&question.json, "pid", pid);
    return control_ask(path, &question, answer);
}

static const cJSON *session_at(const ControlAnswer *answer, int index)
{
    return cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(answer->result, "sessions"), index);
}

/* Whether it has something to tell of, or will have. */
static bool session_runs(const cJSON *session)
{
    const char *state = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(session, "state"));

    return state && strcmp(state, "stopped") != 0 && strcmp(state, "failed") != 0;
}

static int fetch_of_session(const LiveSource *source, LiveReport *report)
{
    ControlAnswer answer;
    int error = error_of(ask_status(source->path, source->session, 0, &answer), &answer);
    const cJSON *session = session_at(&answer, 0);
    const cJSON *metrics = cJSON_GetObjectItemCaseSensitive(session, "metrics");

    if (!error && !metrics)
        error = session_runs(session) ? -ENODATA : -ENOENT;
    if (!error)
        error = understand(metrics, report);
    if (!error) {
        report->json = cJSON_PrintUnformatted(metrics);
        error = report->json ? 0 : -ENOMEM;
    }
    control_answer_fini(&answer);
    return error;
}

int live_report_fetch(const LiveSource *source, LiveReport *report_out)
{
    LiveReport report = {0};
    int error =
        source->session[0] ? fetch_of_session(source, &report) : fetch_of_recorder(source->path, &report);

    if (error) {
        live_report_fini(&report);
        return error;
    }
    *report_out = report;
    return 0;
}

void live_report_fini(LiveReport *report)
{
    free(report->json);
    metrics_snapshot_release(report->snapshot);
    *report = (LiveReport){0};
}

/* ---- choosing --------------------------------------------------------------------------------- */

static int take_session(const char *path, const char *name, LiveSource *source)
{
    if (!name || strlen(name) >= sizeof(source->session) || strlen(path) >= sizeof(source->path))
        return -ENAMETOOLONG;
    memcpy(source->path, path, strlen(path) + 1);
    memcpy(source->session, name, strlen(name) + 1);
    return 0;
}

/* The session that a process is in; false: none, or no service runs, or it does not tell. */
static bool choose_session_of(uint64_t pid, const char *path, LiveSource *source)
{
    ControlAnswer answer;
    const char *name = NULL;

    if (ask_status(path, NULL, pid, &answer) == 0)
        name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(session_at(&answer, 0), "name"));
    if (name && take_session(path, name, source) != 0)
        name = NULL;
    control_answer_fini(&answer);
    return name != NULL;
}

/* How many sessions run; *source is the last of them. */
static size_t count_sessions(const char *path, LiveSource *source)
{
    ControlAnswer answer;
    const cJSON *session;
    size_t found = 0;

    if (ask_status(path, NULL, 0, &answer) == 0) {
        cJSON_ArrayForEach(session, cJSON_GetObjectItemCaseSensitive(answer.result, "sessions"))
        {
            const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(session, "name"));

            if (session_runs(session) && take_session(path, name, source) == 0)
                found++;
        }
    }
    control_answer_fini(&answer);
    return found;
}

static int choose_only_one(const char *command, const char *path, LiveSource *source)
{
    char(*paths)[RECORDER_PATH_MAX] = NULL;
    size_t recorders = 0, sessions;
    int error = recorder_client_list(&paths, &recorders);

    if (error) {
        cli_error(command, "cannot look for recordings in /proc/net/unix: %s", strerror(-error));
        return CLI_FAILURE;
    }
    sessions = count_sessions(path, source);
    if (recorders == 1 && sessions == 0)
        memcpy(source->path, paths[0], RECORDER_PATH_MAX);
    free(paths);
    if (recorders + sessions == 1)
        return CLI_OK;
    if (recorders + sessions == 0)
        cli_error(command, "no recording runs: start one with 'adatrace record -- COMMAND'");
    else
        cli_error(command, "%zu recordings run: choose one with -p PID, a process of it%s",
                  recorders + sessions, sessions ? ", or --session NAME" : "");
    return CLI_FAILURE;
}

/* A process has one recorder at most: it does not matter who is asked first. */
int live_report_choose(const char *command, const LiveWish *wish, LiveSource *source_out)
{
    const char *path = control_socket_path(wish->socket);
    LiveSource source = {0};
    int error = 0;

    if (wish->session) {
        if (take_session(path, wish->session, &source) != 0)
            return cli_usage_error(command, "session '%s', or the path of the socket, is too long",
                                   wish->session);
    } else if (wish->pid == 0) {
        if (choose_only_one(command, path, &source) != CLI_OK)
            return CLI_FAILURE;
    } else if (!choose_session_of(wish->pid, path, &source)) {
        error = recorder_client_find(wish->pid, source.path);
        if (error)
            recorder_client_explain(command, wish->pid, error);
    }
    if (error)
        return CLI_FAILURE;
    *source_out = source;
    return CLI_OK;
}

void live_report_explain(const char *command, const LiveSource *source, int error)
{
    const char *why = strerror(-error);

    if (error == -ENODATA)
        why = "it has collected nothing yet: try again in a second";
    else if (error == -EPROTO)
        why = "it answers what this version does not understand: use the same version of adatrace";
    else if (error == -EACCES)
        why = "it does not listen to this user: ask as its user, or as root";
    else if (recorder_client_is_gone(error))
        why = source->session[0] ? "there is none, or no service: see 'adatrace list'" : "it is gone";
    else if (error == -EAGAIN || error == -ETIMEDOUT)
        why = "it does not answer";
    if (source->session[0])
        cli_error(command, "cannot ask for session '%s' of the service at '%s': %s", source->session,
                  source->path, why);
    else
        cli_error(command, "cannot ask the recorder at '%s': %s", source->path, why);
}
