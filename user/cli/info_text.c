/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* sigabbrev_np */
#include "user/cli/info.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "user/cli/cli.h"
#include "user/cli/trace.h"

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

/* Its numbers, and which of them are not here. */
static void print_numbers(const AdatSet *set, const AdatRecordingInfo *recording)
{
    bool missing = false;

    if (recording->first_number == 0)
        return;
    printf(", numbers %" PRIu64 " to %" PRIu64, recording->first_number, recording->last_number);
    for (size_t i = 0; i < recording->file_count; i++) {
        const AdatSetFile *file = adat_set_file(set, recording->first_file + i);

        if (file->missing_before == 0)
            continue;
        fputs(missing ? ", " : "; not here: ", stdout);
        missing = true;
        printf("%" PRIu64, file->missing_first);
        if (file->missing_before > 1)
            printf(" to %" PRIu64, file->missing_first + file->missing_before - 1);
    }
}

static void print_recordings(const AdatSet *set)
{
    const AdatRecordingInfo *recording;

    for (size_t i = 0; (recording = adat_set_recording(set, i)); i++) {
        printf("%-10s %s: ", "recording", recording->id);
        printf("%zu file%s", recording->file_count, recording->file_count == 1 ? "" : "s");
        print_numbers(set, recording);
        putchar('\n');
    }
}

static void print_session(const AdatSet *set)
{
    AdatStrings session = adat_reader_session(info_newest(set));

    for (size_t i = 0; i < session.count; i++) {
        /* Of one file; those of a directory have their numbers above. */
        if (adat_set_is_directory(set) && (strcmp(session.items[i].key, "file_number") == 0 ||
                                           strcmp(session.items[i].key, "recording") == 0))
            continue;
        print_value(session.items[i].key, session.items[i].value);
    }
}

static void print_created(const AdatSet *set)
{
    const AdatFileHeader *header = &adat_reader_info(adat_set_reader(set, 0))->header;
    time_t seconds = (time_t)(header->created_realtime_ns / 1000000000u);
    char created[64] = "?", uuid[ADAT_ID_SIZE];
    struct tm tm;

    if (gmtime_r(&seconds, &tm))
        strftime(created, sizeof(created), "%Y-%m-%d %H:%M:%S UTC", &tm);
    adat_id_format(header->uuid, uuid);
    if (adat_set_is_directory(set))
        printf("%-10s %s\n", "created", created);
    else
        printf("%-10s %s, id %s, chunk %u\n", "created", created, uuid, header->chunk);
}

static void print_trace(const char *path, const AdatSet *set)
{
    const InfoTotals totals = info_totals(set);
    size_t modules, functions = info_count_embedded(set, &modules);

    print_value("file", path);
    printf("%-10s %" PRIu64 " bytes, %" PRIu64 " blocks, ", "size", totals.bytes, totals.blocks);
    if (adat_set_is_directory(set))
        printf("%zu file%s, ", totals.files, totals.files == 1 ? "" : "s");
    printf("%s\n", totals.closed ? "closed" : "not closed: its recorder was killed, or is still at work");
    if (totals.cut)
        printf("%-10s %" PRIu64 " bytes: %s\n", "cut off", totals.cut_bytes, adat_cut_text(totals.cut));
    print_created(set);
    if (adat_set_is_directory(set))
        print_recordings(set);
    print_session(set);
    if (info_count_marks(set, false) > 0)
        printf("%-10s %zu\n", "marks", info_count_marks(set, false));
    if (info_count_marks(set, true) > 0)
        printf("%-10s %zu (adatrace dump --event 'anomaly: *' tells when)\n", "anomalies",
               info_count_marks(set, true));
    if (functions > 0)
        printf("%-10s of %zu functions of %zu module%s are in it\n", "names", functions, modules,
               modules == 1 ? "" : "s");
    printf("%-10s %.6f s%s\n", "duration", (double)adat_set_duration(set) / 1e9,
           info_is_guessed(set) ? " (guessed: too few clock anchors)" : "");
    printf("%-10s cycles and nanoseconds in step within %.1f us\n", "clocks",
           (double)info_clock_error(set) / 1e3);
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

static const char *file_state(const AdatSetFile *file)
{
    if (file->error)
        return file->error == -ENOENT ? "removed meanwhile" : "cannot be read";
    if (file->info.cut)
        return file->info.cut == ADAT_CUT_SHORT ? "cut off" : "damaged";
    return file->info.closed ? "closed" : "not closed";
}

static void print_files(const char *path, const AdatSet *set)
{
    const AdatSetLeftOut left_out = adat_set_left_out(set);
    const AdatSetFile *file;

    print_heading("files");
    printf("%14s %14s %12s  %-17s %s\n", "bytes", "events", "not in file", "state", "file");
    for (size_t i = 0; (file = adat_set_file(set, i)); i++) {
        printf("%14" PRIu64 " %14" PRIu64 " %12" PRIu64 "  %-17s ", file->info.file_bytes,
               file->events.in_file, lost(&file->events), file_state(file));
        trace_put_text(stdout, file->name, strlen(file->name));
        putchar('\n');
    }
    trace_put_left_out(path, &left_out);
}

static void print_thread(const AdatReader *reader, const AdatThreadInfo *thread)
{
    size_t length = strlen(thread->thread.name);

    printf("%9u %9u  ", adat_reader_process(reader, thread->process)->process.pid, thread->thread.tid);
    trace_put_text(stdout, thread->thread.name, length);
    printf("%*s %14" PRIu64 " %12" PRIu64 " %14" PRIu64 " %12" PRIu64 "\n",
           length < 15 ? (int)(15 - length) : 0, "", thread->events.in_file, lost(&thread->events),
           thread->detail.in_file, lost(&thread->detail));
}

static void print_threads(const AdatSet *set)
{
    const AdatReader *reader;
    const AdatThreadInfo *thread;

    printf("%9s %9s  %-15s %14s %12s %14s %12s\n", "pid", "tid", "name", "events", "not in file", "detail",
           "not in file");
    for (size_t r = 0; (reader = adat_set_reader(set, r)); r++)
        for (size_t i = 0; (thread = adat_reader_thread(reader, i)); i++)
            print_thread(reader, thread);
}

/* Whether something is known that no block says. */
static bool is_observed(const AdatSet *set)
{
    const AdatReader *reader;
    const AdatThreadInfo *thread;

    for (size_t r = 0; (reader = adat_set_reader(set, r)); r++)
        for (size_t i = 0; (thread = adat_reader_thread(reader, i)); i++)
            if (thread->observed)
                return true;
    return false;
}

static void print_ledger(const AdatSet *set)
{
    const AdatAccount events = adat_set_events(set), detail = adat_set_detail(set);
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
    if (!info_totals(set).has_ledger)
        printf("(there is no final ledger: of threads that had not ended, later losses are not known%s)\n",
               is_observed(set)
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

static void print_thread_end(const AdatThreadInfo *thread)
{
    const AdatKernelThread *death = &thread->death;

    printf("%9u", thread->thread.tid);
    print_end(death);
    if (death->flags & ADAT_KERNEL_CONTEXT)
        printf(" %10.3f %10.3f %10.3f %10.3f %9" PRIu64 " %9" PRIu64 " %9" PRIu64, (double)death->run_ns / 1e6,
               (double)death->runqueue_ns / 1e6, (double)death->sleep_ns / 1e6, (double)death->blocked_ns / 1e6,
               death->switches_voluntary, death->switches_involuntary, death->migrations);
    if (!death->drain_complete)
        printf(" not fully drained");
    putchar('\n');
}

/* What the kernel told of threads: how they ended, and what they did on their CPUs. */
static void print_kernel(const AdatSet *set, const AdatKernelSummary *kernel)
{
    const AdatReader *reader;
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
    for (size_t r = 0; (reader = adat_set_reader(set, r)); r++)
        for (size_t i = 0; (thread = adat_reader_thread(reader, i)); i++)
            if (thread->died)
                print_thread_end(thread);
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

void info_print_text(const char *path, const AdatSet *set)
{
    const AdatReader *reader;
    const AdatProcessInfo *process;
    AdatKernelSummary kernel;
    AdatDrainSummary drain;

    print_trace(path, set);
    if (adat_set_is_directory(set))
        print_files(path, set);
    print_heading("processes");
    for (size_t r = 0; (reader = adat_set_reader(set, r)); r++)
        for (size_t i = 0; (process = adat_reader_process(reader, i)); i++)
            print_process(process);
    print_heading("threads");
    print_threads(set);
    print_heading("ledger");
    print_ledger(set);
    if (adat_reader_kernel(info_newest(set), &kernel)) {
        print_heading("kernel");
        print_kernel(set, &kernel);
    }
    if (adat_reader_drain(info_newest(set), &drain)) {
        print_heading("drain");
        print_drain(&drain);
    }
}
