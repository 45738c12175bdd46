/* SPDX-License-Identifier: MIT */
#include "user/cli/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "user/base/plain_text.h"
#include "user/cli/cli.h"

int trace_open(const char *command, const char *path, AdatSet **set_out)
{
    AdatSet *set = NULL;
    int err = adat_set_open(path, &set);

    if (!err && adat_set_recording_count(set) == 0) {
        (void)trace_report_damage(command, path, set);
        adat_set_close(set);
        return CLI_FAILURE;
    }
    if (!err) {
        *set_out = set;
        return CLI_OK;
    }
    cli_error(command, "cannot read '%s': %s", path, adat_reader_error_text(err));
    return CLI_FAILURE;
}

static int report_file(const char *command, const char *label, const AdatSetFile *file)
{
    const AdatFileInfo *info = &file->info;

    if (file->error == -ENOENT) {
        cli_error(command, "warning: '%s' was removed meanwhile; what it had is left out", label);
        return CLI_OK;
    }
    if (file->error) {
        cli_error(command, "cannot read '%s', so it is left out: %s", label,
                  adat_reader_error_text(file->error));
        return CLI_FAILURE;
    }
    if (info->cut == ADAT_CUT_NONE)
        return CLI_OK;
    cli_error(command,
              "%s'%s' is %s: %s, so its last %" PRIu64 " bytes of %" PRIu64
              " are left out; see 'adatrace verify'",
              info->cut == ADAT_CUT_SHORT ? "warning: " : "", label,
              info->cut == ADAT_CUT_SHORT ? "cut off" : "damaged", adat_cut_text(info->cut),
              adat_cut_bytes(info), info->file_bytes);
    return info->cut == ADAT_CUT_SHORT ? CLI_OK : CLI_FAILURE;
}

int trace_report_damage(const char *command, const char *path, const AdatSet *set)
{
    const AdatSetFile *file;
    char label[TRACE_LABEL_SIZE];
    int status = CLI_OK;

    for (size_t i = 0; (file = adat_set_file(set, i)); i++) {
        trace_label(path, adat_set_is_directory(set), file->name, label);
        if (report_file(command, label, file) != CLI_OK)
            status = CLI_FAILURE;
    }
    return status;
}

void trace_report_unreadable(const char *command, const char *path, int error)
{
    cli_error(command, "cannot read '%s': %s", path,
              error == -EBADMSG ? "it changed meanwhile; try again when it is complete" : strerror(-error));
}

void trace_report_vanished(const char *command, const char *path, uint64_t events)
{
    if (events > 0)
        cli_error(command,
                  "warning: %" PRIu64 " events of '%s' are left out, as their files were removed meanwhile",
                  events, path);
}

void trace_put_left_out(const char *path, const AdatSetLeftOut *left_out)
{
    const struct {
        size_t count;
        const char *text;
    } rows[] = {
        {left_out->foreign, "not called as traces are, and not read"},
        {left_out->copies, "the same as another one that is here, and left out"},
        {left_out->vanished, "removed meanwhile"},
        {left_out->empty, "just begun, with nothing in it"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].count > 0)
            printf("%s: %zu file%s %s\n", path, rows[i].count, rows[i].count == 1 ? "" : "s", rows[i].text);
}

void trace_json_left_out(JsonWriter *json, const AdatSetLeftOut *left_out)
{
    json_u64(json, "foreign_files", left_out->foreign);
    json_u64(json, "copies", left_out->copies);
    json_u64(json, "vanished_files", left_out->vanished);
    json_u64(json, "empty_files", left_out->empty);
}

static void json_latency(JsonWriter *json, const AdatDrainSummary *drain)
{
    if (drain->latency_count == 0) {
        json_null(json, "latency_us");
        return;
    }
    json_begin_object(json, "latency_us");
    json_f64(json, "p50", (double)drain->latency_p50_ns / 1e3);
    json_f64(json, "p90", (double)drain->latency_p90_ns / 1e3);
    json_f64(json, "p99", (double)drain->latency_p99_ns / 1e3);
    json_f64(json, "max", (double)drain->latency_max_ns / 1e3);
    json_end_object(json);
}

void trace_json_drain(JsonWriter *json, const char *key, const AdatDrainSummary *drain)
{
    if (!drain) {
        json_null(json, key);
        return;
    }
    json_begin_object(json, key);
    json_string_bytes(json, "scheduler", drain->scheduler, strnlen(drain->scheduler, sizeof(drain->scheduler)));
    json_u64(json, "iterations", drain->iterations);
    json_f64(json, "iteration_us_average",
             drain->iterations ? (double)drain->iteration_ns / (double)drain->iterations / 1e3 : 0);
    json_f64(json, "iteration_us_max", (double)drain->iteration_max_ns / 1e3);
    json_f64(json, "jain", (double)drain->jain_ppb / 1e9);
    json_latency(json, drain);
    json_f64(json, "cpu_s", (double)drain->cpu_ns / 1e9);
    json_u64(json, "threads_visited", drain->visits);
    json_u64(json, "threads_skipped", drain->skips);
    json_u64(json, "sweeps", drain->sweeps);
    json_u64(json, "spared", drain->spared);
    json_u64(json, "wakeups", drain->wakeups);
    json_u64(json, "wait_max", drain->wait_max);
    json_u64(json, "records", drain->records);
    json_u64(json, "bytes", drain->bytes);
    json_u64(json, "writes", drain->flushes);
    json_u64(json, "failed_writes", drain->failed_writes);
    json_u64(json, "marks", drain->marks);
    json_end_object(json);
}

void trace_json_thread_drain(JsonWriter *json, const char *key, const AdatThreadDrain *drain)
{
    if (!drain) {
        json_null(json, key);
        return;
    }
    json_begin_object(json, key);
    json_u64(json, "visits", drain->visits);
    json_u64(json, "skips", drain->skips);
    json_u64(json, "bytes", drain->bytes);
    json_u64(json, "wait_max", drain->wait_max);
    json_f64(json, "wait_average", drain->visits ? (double)drain->wait_total / (double)drain->visits : 0);
    json_end_object(json);
}

const char *trace_death_name(uint32_t kind)
{
    static const char *const names[] = {"unknown", "exit", "signal", "exec", "unknown", "detached"};

    return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown";
}

static void json_death(JsonWriter *json, const AdatKernelThread *death)
{
    json_begin_object(json, "death");
    json_string(json, "end", trace_death_name(death->kind));
    if (death->kind == ADAT_DEATH_EXIT)
        json_i64(json, "exit_status", death->code);
    else if (death->kind == ADAT_DEATH_SIGNAL)
        json_i64(json, "exit_status", 128 + death->code);
    else
        json_null(json, "exit_status");
    json_bool(json, "drain_complete", death->drain_complete != 0);
    json_u64(json, "torn", death->torn);
    /* From its end until everything was in the file, and its slot free. */
    if (death->ended_ns != 0 && death->freed_ns > death->ended_ns)
        json_f64(json, "drained_after_us", (double)(death->freed_ns - death->ended_ns) / 1e3);
    else
        json_u64(json, "drained_after_us", 0);
    json_end_object(json);
}

static void json_seconds(JsonWriter *json, const char *key, uint64_t ns)
{
    json_f64(json, key, (double)ns / 1e9);
}

void trace_json_thread_death(JsonWriter *json, const AdatKernelThread *death)
{
    if (!death)
        json_null(json, "death");
    else
        json_death(json, death);
    if (!death || !(death->flags & ADAT_KERNEL_CONTEXT)) {
        json_null(json, "kernel");
        return;
    }
    json_begin_object(json, "kernel");
    json_u64(json, "last_cpu", death->last_cpu);
    json_seconds(json, "run_s", death->run_ns);
    json_seconds(json, "runqueue_s", death->runqueue_ns);
    json_seconds(json, "preempted_s", death->preempted_ns);
    json_seconds(json, "sleep_s", death->sleep_ns);
    json_seconds(json, "blocked_s", death->blocked_ns);
    json_u64(json, "switches_voluntary", death->switches_voluntary);
    json_u64(json, "switches_involuntary", death->switches_involuntary);
    json_u64(json, "migrations", death->migrations);
    json_u64(json, "wakeups", death->wakeups);
    json_end_object(json);
}

void trace_json_kernel(JsonWriter *json, const char *key, const AdatKernelSummary *kernel)
{
    if (!kernel) {
        json_null(json, key);
        return;
    }
    json_begin_object(json, key);
    json_bool(json, "enabled", kernel->enabled != 0);
    if (kernel->enabled)
        json_null(json, "reason");
    else
        json_string(json, "reason", kernel->reason);
    json_u64(json, "lifecycle_lost", kernel->lifecycle_lost);
    json_u64(json, "sched_attempted", kernel->sched_attempted);
    json_u64(json, "sched_lost", kernel->sched_lost);
    json_end_object(json);
}

int trace_exit_status(const AdatProcessInfo *process)
{
    if (!process->died)
        return -1;
    if (process->death.kind == ADAT_DEATH_EXIT)
        return process->death.code;
    if (process->death.kind == ADAT_DEATH_SIGNAL)
        return 128 + process->death.code;
    return -1;
}

void trace_put_text(FILE *out, const char *text, size_t size)
{
    char escaped[512];
    size_t used, length;

    while (size > 0) {
        length = plain_text_escape(escaped, sizeof(escaped), text, size, &used);
        fwrite_unlocked(escaped, 1, length, out);
        text += used;
        size -= used;
    }
}

void trace_escape(const char *text, char label[TRACE_LABEL_SIZE])
{
    FILE *out = fmemopen(label, TRACE_LABEL_SIZE, "w");

    label[0] = label[TRACE_LABEL_SIZE - 1] = '\0';
    if (!out)
        return;
    trace_put_text(out, text, strlen(text));
    fclose(out);
}

void trace_label(const char *path, bool in_directory, const char *name, char label[TRACE_LABEL_SIZE])
{
    FILE *out = fmemopen(label, TRACE_LABEL_SIZE, "w");

    label[0] = label[TRACE_LABEL_SIZE - 1] = '\0';
    if (!out) {
        (void)snprintf(label, TRACE_LABEL_SIZE, "%s", path);
        return;
    }
    fputs(path, out);
    if (in_directory) {
        if (!*path || path[strlen(path) - 1] != '/')
            fputc('/', out);
        trace_put_text(out, name, strlen(name));
    }
    fclose(out);
}
