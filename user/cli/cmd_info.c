/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* sigabbrev_np */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "user/base/parse.h"
#include "user/cli/cli.h"
#include "user/cli/trace.h"

static void print_help(void)
{
    printf("usage: adatrace info [--json] FILE\n"
           "Shows what a trace holds: how it was made, its processes and threads, what was lost, and how\n"
           "the recorder kept up.\n"
           "\n"
           "  --json      print one JSON object\n"
           "  -h, --help  show this\n");
}

static void format_uuid(const uint8_t *uuid, char *text)
{
    for (int i = 0; i < 16; i++)
        text += sprintf(text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

/* Marks, or anomalies, in the file. */
static size_t count_marks(const AdatReader *reader, bool anomaly)
{
    const AdatMarkInfo *mark;
    size_t count = 0;

    for (size_t i = 0; (mark = adat_reader_mark(reader, i)); i++)
        count += mark->anomaly == anomaly;
    return count;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_string_or_null(JsonWriter *json, const char *key, const char *value)
{
    if (value)
        json_string(json, key, value);
    else
        json_null(json, key);
}

static void put_exit_status(JsonWriter *json, const AdatProcessInfo *process)
{
    int status = process ? trace_exit_status(process) : -1;

    if (status >= 0)
        json_i64(json, "exit_status", status);
    else
        json_null(json, "exit_status");
}

static void put_file(JsonWriter *json, const AdatFileInfo *info)
{
    char uuid[40];

    format_uuid(info->header.uuid, uuid);
    json_u64(json, "bytes", info->file_bytes);
    json_u64(json, "blocks", info->blocks);
    json_bool(json, "closed", info->closed);
    json_u64(json, "cut_bytes", adat_cut_bytes(info));
    put_string_or_null(json, "cut_reason", info->cut ? adat_cut_text(info->cut) : NULL);
    json_begin_object(json, "header");
    json_u64(json, "major", info->header.major);
    json_string(json, "uuid", uuid);
    json_u64(json, "created_ns", info->header.created_realtime_ns);
    json_u64(json, "chunk", info->header.chunk);
    json_end_object(json);
}

/* Its number in its own pid namespace, if it has another there. */
static void put_namespace_pid(JsonWriter *json, const char *text)
{
    uint64_t pid;

    if (text && parse_u64(text, 0, UINT32_MAX, &pid) == 0)
        json_u64(json, "namespace_pid", pid);
    else
        json_null(json, "namespace_pid");
}

static void put_process(JsonWriter *json, const AdatProcessInfo *process)
{
    json_begin_object(json, NULL);
    json_u64(json, "pid", process->process.pid);
    json_u64(json, "parent_pid", process->process.parent_pid);
    put_namespace_pid(json, adat_strings_find(process->strings, "namespace_pid"));
    put_string_or_null(json, "program", adat_strings_find(process->strings, "program"));
    put_string_or_null(json, "command", adat_strings_find(process->strings, "command"));
    json_string(json, "clock", process->process.clock_kind == ADA_CLOCK_MONOTONIC ? "monotonic" : "tsc");
    put_string_or_null(json, "end", process->died ? trace_death_name(process->death.kind) : NULL);
    put_exit_status(json, process);
    if (process->died)
        json_bool(json, "drain_complete", process->death.drain_complete != 0);
    else
        json_null(json, "drain_complete");
    adat_account_write_json(&process->unregistered, json, "unregistered");
    json_end_object(json);
}

static void print_json(const char *path, const AdatReader *reader)
{
    AdatStrings session = adat_reader_session(reader);
    const AdatAccount events = adat_reader_events(reader), detail = adat_reader_detail(reader);
    const AdatProcessInfo *process;
    const AdatThreadInfo *thread;
    AdatKernelSummary kernel;
    AdatDrainSummary drain;
    JsonWriter json;

    json_init(&json, stdout);
    json_begin_object(&json, NULL);
    json_u64(&json, "version", 1);
    json_string(&json, "file", path);
    put_file(&json, adat_reader_info(reader));
    json_f64(&json, "duration_s", (double)adat_reader_duration(reader) / 1e9);
    json_string(&json, "clock",
                adat_reader_clock_quality(reader) == ADAT_CLOCK_GUESSED ? "guessed" : "anchored");
    json_u64(&json, "clock_error_ns", adat_reader_clock_error(reader));
    put_string_or_null(&json, "command", adat_strings_find(session, "command"));
    put_exit_status(&json, adat_reader_process(reader, 0));
    json_begin_object(&json, "session");
    for (size_t i = 0; i < session.count; i++)
        json_string(&json, session.items[i].key, session.items[i].value);
    json_end_object(&json);

    json_begin_array(&json, "processes");
    for (size_t i = 0; (process = adat_reader_process(reader, i)); i++)
        put_process(&json, process);
    json_end_array(&json);
    json_begin_array(&json, "threads");
    for (size_t i = 0; (thread = adat_reader_thread(reader, i)); i++) {
        json_begin_object(&json, NULL);
        json_u64(&json, "tid", thread->thread.tid);
        json_u64(&json, "pid", adat_reader_process(reader, thread->process)->process.pid);
        json_string(&json, "name", thread->thread.name);
        adat_account_write_json(&thread->events, &json, "events");
        adat_account_write_json(&thread->detail, &json, "detail");
        trace_json_thread_drain(&json, "drain", thread->accounted ? &thread->drain : NULL);
        trace_json_thread_death(&json, thread->died ? &thread->death : NULL);
        json_end_object(&json);
    }
    json_end_array(&json);
    adat_account_write_json(&events, &json, "events");
    adat_account_write_json(&detail, &json, "detail");
    trace_json_drain(&json, "drain", adat_reader_drain(reader, &drain) ? &drain : NULL);
    trace_json_kernel(&json, "kernel", adat_reader_kernel(reader, &kernel) ? &kernel : NULL);
    json_u64(&json, "marks", count_marks(reader, false));
    json_u64(&json, "anomalies", count_marks(reader, true));
    json_end_object(&json);
}

/* ---- text ------------------------------------------------------------------------------------ */

/* Headings stand out on a terminal. */
static void print_heading(const char *text)
{
    bool color = cli_use_color(stdout);

    printf("\n%s%s%s\n", color ? "\033[1m" : "", text, color ? "\033[0m" : "");
}

static void print_value(const char *name, const char *value)
{
    printf("%-10s ", name);
    trace_put_text(stdout, value, strlen(value));
    putchar('\n');
}

static void print_file(const char *path, const AdatReader *reader)
{
    const AdatFileInfo *info = adat_reader_info(reader);
    AdatStrings session = adat_reader_session(reader);
    time_t seconds = (time_t)(info->header.created_realtime_ns / 1000000000u);
    char created[64] = "?", uuid[40];
    struct tm tm;

    if (gmtime_r(&seconds, &tm))
        strftime(created, sizeof(created), "%Y-%m-%d %H:%M:%S UTC", &tm);
    format_uuid(info->header.uuid, uuid);

    print_value("file", path);
    printf("%-10s %" PRIu64 " bytes, %" PRIu64 " blocks, %s\n", "size", info->file_bytes, info->blocks,
           info->closed ? "closed" : "not closed: its recorder was killed, or is still at work");
    if (info->cut)
        printf("%-10s %" PRIu64 " bytes: %s\n", "cut off", adat_cut_bytes(info), adat_cut_text(info->cut));
    printf("%-10s %s, id %s, chunk %u\n", "created", created, uuid, info->header.chunk);
    for (size_t i = 0; i < session.count; i++)
        print_value(session.items[i].key, session.items[i].value);
    if (count_marks(reader, false) > 0)
        printf("%-10s %zu\n", "marks", count_marks(reader, false));
    if (count_marks(reader, true) > 0)
        printf("%-10s %zu (adatrace dump --event 'anomaly: *' tells when)\n", "anomalies",
               count_marks(reader, true));
    printf("%-10s %.6f s%s\n", "duration", (double)adat_reader_duration(reader) / 1e9,
           adat_reader_clock_quality(reader) == ADAT_CLOCK_GUESSED ? " (guessed: too few clock anchors)" : "");
    printf("%-10s cycles and nanoseconds in step within %.1f us\n", "clocks",
           (double)adat_reader_clock_error(reader) / 1e3);
}

static void print_process(const AdatProcessInfo *process)
{
    const char *command = adat_strings_find(process->strings, "command");
    const AdatDeath *death = &process->death;

    printf("%9u  ", process->process.pid);
    if (!process->died)
        printf("end not recorded");
    else if (death->kind == ADAT_DEATH_EXIT)
        printf("exited with status %d", death->code);
    else if (death->kind == ADAT_DEATH_SIGNAL)
        printf("killed by signal %d (SIG%s)", death->code, sigabbrev_np(death->code) ?: "?");
    else if (death->kind == ADAT_DEATH_EXEC)
        printf("went on as another program");
    else if (death->kind == ADAT_DEATH_DETACHED)
        printf("still ran at the end");
    else
        printf("ended, how is not known");
    if (process->died && !death->drain_complete)
        printf(", not fully drained");
    printf("  ");
    if (command)
        trace_put_text(stdout, command, strlen(command));
    putchar('\n');
    if (process->unregistered.attempted)
        printf("%9s  %" PRIu64 " events of threads that found no free slot were lost\n", "",
               process->unregistered.attempted);
}

static uint64_t lost(const AdatAccount *account)
{
    return account->attempted - account->in_file;
}

static void print_threads(const AdatReader *reader)
{
    const AdatThreadInfo *thread;

    printf("%9s %9s  %-15s %14s %12s %14s %12s\n", "pid", "tid", "name", "events", "not in file", "detail",
           "not in file");
    for (size_t i = 0; (thread = adat_reader_thread(reader, i)); i++) {
        size_t length = strlen(thread->thread.name);

        printf("%9u %9u  ", adat_reader_process(reader, thread->process)->process.pid, thread->thread.tid);
        trace_put_text(stdout, thread->thread.name, length);
        printf("%*s %14" PRIu64 " %12" PRIu64 " %14" PRIu64 " %12" PRIu64 "\n",
               length < 15 ? (int)(15 - length) : 0, "", thread->events.in_file, lost(&thread->events),
               thread->detail.in_file, lost(&thread->detail));
    }
}

/* Whether something is known that no block says. */
static bool is_observed(const AdatReader *reader)
{
    const AdatThreadInfo *thread;

    for (size_t i = 0; (thread = adat_reader_thread(reader, i)); i++) {
        if (thread->observed)
            return true;
    }
    return false;
}

static void print_ledger(const AdatReader *reader)
{
    const AdatAccount events = adat_reader_events(reader), detail = adat_reader_detail(reader);
    const struct {
        const char *name;
        uint64_t events;
        uint64_t detail;
    } rows[] = {
        {"attempted", events.attempted, detail.attempted},
        {"in file", events.in_file, detail.in_file},
        {"dropped: no room", events.dropped_full, detail.dropped_full},
        {"dropped: in signal handler", events.dropped_nested, detail.dropped_nested},
        {"dropped: file not writable", events.dropped_io, detail.dropped_io},
        {"recycled: not marked", events.recycled_unmarked, detail.recycled_unmarked},
        {"torn: begun, not completed", events.torn, detail.torn},
        {"pending", events.pending, detail.pending},
    };

    printf("%-28s %14s %14s\n", "", "events", "detail");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        printf("%-28s %14" PRIu64 " %14" PRIu64 "\n", rows[i].name, rows[i].events, rows[i].detail);
    if (!adat_reader_info(reader)->has_ledger)
        printf("(there is no final ledger: of threads that had not ended, later losses are not known%s)\n",
               is_observed(reader)
                   ? ";\n pending are events that they had recorded when the recorder last looked, and that are not here"
                   : "");
}

static void print_end(const AdatKernelThread *death)
{
    char text[32];

    if (death->kind == ADAT_DEATH_EXIT)
        (void)snprintf(text, sizeof(text), "exit %d", death->code);
    else if (death->kind == ADAT_DEATH_SIGNAL)
        (void)snprintf(text, sizeof(text), "signal %d", death->code);
    else
        (void)snprintf(text, sizeof(text), "%s", trace_death_name(death->kind));
    printf("  %-10s", text);
}

/* What the kernel told of threads: how they ended, and what they did on their CPUs. */
static void print_kernel(const AdatReader *reader, const AdatKernelSummary *kernel)
{
    const AdatThreadInfo *thread;

    if (!kernel->enabled) {
        printf("off: ");
        trace_put_text(stdout, kernel->reason, strlen(kernel->reason));
        putchar('\n');
        return;
    }
    printf("on, %" PRIu64 " of %" PRIu64 " births, ends and new programs of threads lost\n",
           kernel->lifecycle_lost, kernel->lifecycle_attempted);
    if (kernel->sched_attempted > 0)
        printf("%" PRIu64 " of %" PRIu64 " records of switches and calls lost\n", kernel->sched_lost,
               kernel->sched_attempted);
    printf("%9s  %-10s %10s %10s %10s %10s %9s %9s %9s\n", "tid", "end", "run ms", "wait ms", "sleep ms",
           "blocked ms", "voluntary", "preempted", "migrated");
    for (size_t i = 0; (thread = adat_reader_thread(reader, i)); i++) {
        const AdatKernelThread *death = &thread->death;

        if (!thread->died)
            continue;
        printf("%9u", thread->thread.tid);
        print_end(death);
        if (death->flags & ADAT_KERNEL_CONTEXT)
            printf(" %10.3f %10.3f %10.3f %10.3f %9" PRIu64 " %9" PRIu64 " %9" PRIu64,
                   (double)death->run_ns / 1e6, (double)death->runqueue_ns / 1e6,
                   (double)death->sleep_ns / 1e6, (double)death->blocked_ns / 1e6, death->switches_voluntary,
                   death->switches_involuntary, death->migrations);
        if (!death->drain_complete)
            printf(" not fully drained");
        putchar('\n');
    }
}

/* Without a final ledger these are the figures of the last one that was written. */
static void print_drain(const AdatDrainSummary *drain)
{
    printf("%-10s ", "scheduler");
    trace_put_text(stdout, drain->scheduler, strlen(drain->scheduler));
    printf("\n%-10s %" PRIu64 ", the longest %.1f us; woken %" PRIu64 " times\n", "iterations",
           drain->iterations, (double)drain->iteration_max_ns / 1e3, drain->wakeups);
    printf("%-10s %" PRIu64 " of threads with work, %" PRIu64 " in vain; %" PRIu64
           " looks at quiet threads, %" PRIu64 " left out as they had not run\n",
           "visits", drain->visits, drain->skips, drain->sweeps, drain->spared);
    printf("%-10s %" PRIu64 " iterations at most, until a thread with work was visited\n", "wait",
           drain->wait_max);
    if (drain->latency_count > 0)
        printf("%-10s p50 %.1f us, p90 %.1f us, p99 %.1f us, max %.1f us from an event to the file\n",
               "latency", (double)drain->latency_p50_ns / 1e3, (double)drain->latency_p90_ns / 1e3,
               (double)drain->latency_p99_ns / 1e3, (double)drain->latency_max_ns / 1e3);
    else
        printf("%-10s not known\n", "latency");
    printf("%-10s %.3f (Jain's index; 1 = all threads alike)\n", "fairness", (double)drain->jain_ppb / 1e9);
    printf("%-10s %.3f s\n", "CPU", (double)drain->cpu_ns / 1e9);
    printf("%-10s %" PRIu64 ", %" PRIu64 " failed\n", "writes", drain->flushes, drain->failed_writes);
    printf("%-10s %" PRIu64 " set by the recorder\n", "marks", drain->marks);
}

static void print_text(const char *path, const AdatReader *reader)
{
    const AdatProcessInfo *process;
    AdatKernelSummary kernel;
    AdatDrainSummary drain;

    print_file(path, reader);
    print_heading("processes");
    for (size_t i = 0; (process = adat_reader_process(reader, i)); i++)
        print_process(process);
    print_heading("threads");
    print_threads(reader);
    print_heading("ledger");
    print_ledger(reader);
    if (adat_reader_kernel(reader, &kernel)) {
        print_heading("kernel");
        print_kernel(reader, &kernel);
    }
    if (adat_reader_drain(reader, &drain)) {
        print_heading("drain");
        print_drain(&drain);
    }
}

int cmd_info(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    AdatReader *reader;
    bool json = false;
    const char *path;
    int option, status;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        switch (option) {
        case 'j':
            json = true;
            break;
        case 'h':
            print_help();
            return cli_end_output("info", CLI_OK);
        default:
            return cli_option_error("info", option, argv);
        }
    }
    if (cli_take_file("info", argc, argv, &path))
        return CLI_USAGE;

    cli_begin_output();
    if (trace_open("info", path, &reader))
        return CLI_FAILURE;
    if (json)
        print_json(path, reader);
    else
        print_text(path, reader);
    status = trace_report_cut("info", path, reader);
    adat_reader_close(reader);
    return cli_end_output("info", status);
}
