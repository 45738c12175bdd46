/* SPDX-License-Identifier: MIT */
#include "user/cli/summary.h"

#include <inttypes.h>
#include <string.h>

#include "user/cli/format.h"
#include "user/cli/trace.h"

#define NS_PER_S 1e9

static double seconds(uint64_t ns)
{
    return (double)ns / NS_PER_S;
}

static uint64_t lost(const AdatAccount *totals)
{
    return totals->dropped_full + totals->dropped_nested + totals->dropped_io + totals->torn;
}

static void print_cause(FILE *out, const char *what, uint64_t count, const char *advice)
{
    if (count > 0)
        fprintf(out, "  %" PRIu64 " %s%s\n", count, what, advice);
}

static void print_losses(const AdatAccount *totals, FILE *out)
{
    print_cause(out, "found no room (full)", totals->dropped_full,
                ": try --ring-size, --threads or --policy block");
    print_cause(out, "came in a signal handler that found no room (nested)", totals->dropped_nested,
                ": try --ring-size");
    print_cause(out, "could not be written to the file (io)", totals->dropped_io, "");
    print_cause(out, "were cut short by the end of their thread (torn)", totals->torn, "");
}

static void print_kernel(const KernelStatus *kernel, FILE *out)
{
    if (!kernel->enabled)
        fprintf(out, "adatrace: kernel assistance: off: %s\n", kernel->reason);
    else if (kernel->counters.lifecycle_lost > 0)
        fprintf(out,
                "adatrace: kernel assistance: on, %" PRIu64 " of %" PRIu64
                " births and ends of threads were not told for want of room\n",
                kernel->counters.lifecycle_lost, kernel->counters.lifecycle_attempted);
    else
        fputs("adatrace: kernel assistance: on\n", out);
    if (kernel->counters.sched_lost > 0)
        fprintf(out,
                "adatrace: %" PRIu64 " of %" PRIu64
                " records of the kernel (switches, calls) are not in the trace: there was no room for them\n",
                kernel->counters.sched_lost, kernel->counters.sched_attempted);
}

void summary_print(const RecordSummary *summary, FILE *out)
{
    const SessionResult *result = &summary->result;
    double duration = seconds(result->duration_ns);
    char bytes[32], rate[32];

    format_bytes(result->bytes, bytes, sizeof(bytes));
    format_rate(duration > 0 ? (double)result->accounts->index.in_file / duration : 0, rate, sizeof(rate));
    fprintf(out, "adatrace: %s: ", summary->path);
    if (result->files > 1)
        fprintf(out, "%u files, ", result->files);
    fprintf(out, "%s in %.3f s, %u process%s, %u thread%s, %" PRIu64 " events (%s/s)", bytes, duration,
            result->processes, result->processes == 1 ? "" : "es", result->threads,
            result->threads == 1 ? "" : "s", result->accounts->index.in_file, rate);
    if (lost(&result->accounts->index) == 0) {
        fputs(", none lost\n", out);
    } else {
        fprintf(out, "\nadatrace: of %" PRIu64 " events, %" PRIu64 " are lost:\n",
                result->accounts->index.attempted, lost(&result->accounts->index));
        print_losses(&result->accounts->index, out);
    }
    if (lost(&result->accounts->detail) > 0) {
        fprintf(out, "adatrace: of %" PRIu64 " payloads, %" PRIu64 " are lost:\n",
                result->accounts->detail.attempted, lost(&result->accounts->detail));
        print_losses(&result->accounts->detail, out);
    }
    print_kernel(&result->kernel, out);
    if (result->detached > 0 && summary->attached)
        fprintf(out, "adatrace: %u process%s left to go on\n", result->detached,
                result->detached == 1 ? " was" : "es were");
    else if (result->detached > 0)
        fprintf(out, "adatrace: %u process%s still ran when the command ended; recording of %s stopped then\n",
                result->detached, result->detached == 1 ? "" : "es", result->detached == 1 ? "it" : "them");
    if (result->quarantined > 0)
        fprintf(out, "adatrace: process %d was given up: %s; %u process%s in all\n",
                (int)result->quarantine_pid, result->quarantine, result->quarantined,
                result->quarantined == 1 ? "" : "es");
    if (!result->closed)
        fprintf(out, "adatrace: '%s' could not be completed: %s; 'adatrace info' shows what is in it\n",
                summary->path, strerror(-result->write_error));
}

static void json_processes(JsonWriter *json, const AccountBook *accounts)
{
    json_begin_array(json, "processes");
    for (size_t i = 0; i < accounts->process_count; i++) {
        const ProcessAccount *account = &accounts->processes[i];

        json_begin_object(json, NULL);
        json_u64(json, "pid", account->pid);
        json_string(json, "end", trace_death_name(account->end));
        if (account->end == ADAT_DEATH_EXIT || account->end == ADAT_DEATH_SIGNAL)
            json_i64(json, "exit_status",
                     account->end == ADAT_DEATH_SIGNAL ? 128 + account->code : account->code);
        else
            json_null(json, "exit_status");
        json_u64(json, "threads", account->threads);
        json_end_object(json);
    }
    json_end_array(json);
    json_u64(json, "processes_omitted", accounts->processes_omitted);
}

static void json_kernel(JsonWriter *json, const KernelStatus *kernel)
{
    AdatKernelSummary summary = {
        .enabled = kernel->enabled,
        .lifecycle_lost = kernel->counters.lifecycle_lost,
        .sched_attempted = kernel->counters.sched_attempted,
        .sched_lost = kernel->counters.sched_lost,
    };

    (void)snprintf(summary.reason, sizeof(summary.reason), "%s", kernel->enabled ? "" : kernel->reason);
    trace_json_kernel(json, "kernel", &summary);
}

static void json_threads(JsonWriter *json, const AccountBook *accounts, const DeathBook *deaths)
{
    json_begin_array(json, "threads");
    for (size_t i = 0; i < accounts->thread_count; i++) {
        const ThreadAccount *account = &accounts->threads[i];
        const AdatAccount index = adat_account_of(&account->index);
        const AdatAccount detail = adat_account_of(&account->detail);
        const AdatThreadDrain drain = {
            .visits = account->index.visits,
            .skips = account->index.skips,
            .bytes = account->index.bytes,
            .wait_total = account->index.wait_total,
            .wait_max = account->index.wait_max,
        };

        json_begin_object(json, NULL);
        json_u64(json, "pid", account->pid);
        json_u64(json, "tid", account->tid);
        json_string_bytes(json, "name", account->name, strnlen(account->name, sizeof(account->name)));
        if (account->weight > 0)
            json_u64(json, "weight", account->weight);
        adat_account_write_json(&index, json, "events");
        adat_account_write_json(&detail, json, "detail");
        trace_json_thread_drain(json, "drain", &drain);
        trace_json_thread_death(json, death_book_find(deaths, account->index.thread));
        json_end_object(json);
    }
    json_end_array(json);
    json_u64(json, "threads_omitted", accounts->threads_omitted);
}

void summary_print_json(const RecordSummary *summary, FILE *out)
{
    const SessionResult *result = &summary->result;
    JsonWriter writer;
    JsonWriter *json = &writer;

    json_init(json, out);
    json_begin_object(json, NULL);
    json_u64(json, "version", 1);
    json_string(json, "file", summary->path);
    json_string(json, "command", summary->command);
    if (summary->attached)
        json_null(json, "exit_status");
    else
        json_i64(json, "exit_status", summary->exit_status);
    json_f64(json, "duration_s", seconds(result->duration_ns));
    json_u64(json, "bytes", result->bytes);
    json_u64(json, "files", result->files);
    json_processes(json, result->accounts);
    json_threads(json, result->accounts, result->deaths);
    adat_account_write_json(&result->accounts->index, json, "events");
    adat_account_write_json(&result->accounts->detail, json, "detail");
    trace_json_drain(json, "drain", &result->drain);
    json_kernel(json, &result->kernel);
    json_bool(json, "closed", result->closed);
    if (result->write_error)
        json_string(json, "write_error", strerror(-result->write_error));
    else
        json_null(json, "write_error");
    json_u64(json, "quarantined", result->quarantined);
    json_end_object(json);
}
