/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>

#include "user/base/parse.h"
#include "user/cli/cli.h"
#include "user/cli/info.h"
#include "user/cli/trace.h"

static void print_help(void)
{
    printf("usage: adatrace info [--json] FILE|DIR\n"
           "Shows what a trace holds, or all files of a directory together: how it was made, its processes and\n"
           "threads, what was lost, and how the recorder kept up.\n"
           "\n"
           "  --json      print one JSON object\n"
           "  -h, --help  show this\n");
}

/* ---- sums ------------------------------------------------------------------------------------ */

size_t info_count_embedded(const AdatSet *set, size_t *modules_out)
{
    const AdatReader *reader;
    size_t functions = 0;

    *modules_out = 0;
    for (size_t i = 0; (reader = adat_set_reader(set, i)); i++) {
        size_t modules;

        functions += adat_reader_embedded(reader, &modules);
        *modules_out += modules;
    }
    return functions;
}

size_t info_count_marks(const AdatSet *set, bool anomaly)
{
    const AdatReader *reader;
    const AdatMarkInfo *mark;
    size_t count = 0;

    for (size_t r = 0; (reader = adat_set_reader(set, r)); r++)
        for (size_t i = 0; (mark = adat_reader_mark(reader, i)); i++)
            count += mark->anomaly == anomaly;
    return count;
}

const AdatReader *info_newest(const AdatSet *set)
{
    return adat_set_reader(set, adat_set_recording_count(set) - 1);
}

bool info_is_guessed(const AdatSet *set)
{
    const AdatReader *reader;

    for (size_t r = 0; (reader = adat_set_reader(set, r)); r++)
        if (adat_reader_clock_quality(reader) == ADAT_CLOCK_GUESSED)
            return true;
    return false;
}

uint64_t info_clock_error(const AdatSet *set)
{
    const AdatReader *reader;
    uint64_t greatest = 0;

    for (size_t r = 0; (reader = adat_set_reader(set, r)); r++)
        if (adat_reader_clock_error(reader) > greatest)
            greatest = adat_reader_clock_error(reader);
    return greatest;
}

InfoTotals info_totals(const AdatSet *set)
{
    InfoTotals totals = {.closed = true, .has_ledger = true};
    const AdatSetFile *file;

    for (size_t i = 0; (file = adat_set_file(set, i)); i++) {
        if (file->error)
            continue;
        totals.files++;
        totals.bytes += file->info.file_bytes;
        totals.blocks += file->info.blocks;
        totals.cut_bytes += adat_cut_bytes(&file->info);
        totals.closed = totals.closed && file->info.closed;
        totals.has_ledger = totals.has_ledger && file->info.has_ledger;
        if (totals.cut == ADAT_CUT_NONE)
            totals.cut = file->info.cut;
    }
    return totals;
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

static void put_header(JsonWriter *json, const AdatFileHeader *header)
{
    char uuid[ADAT_ID_SIZE];

    adat_id_format(header->uuid, uuid);
    json_begin_object(json, "header");
    json_u64(json, "major", header->major);
    json_string(json, "uuid", uuid);
    json_u64(json, "created_ns", header->created_realtime_ns);
    json_u64(json, "chunk", header->chunk);
    json_end_object(json);
}

/* Of a directory: sums over its files, and the header of the first one. */
static void put_totals(JsonWriter *json, const AdatSet *set)
{
    const InfoTotals totals = info_totals(set);

    json_u64(json, "bytes", totals.bytes);
    json_u64(json, "blocks", totals.blocks);
    json_bool(json, "closed", totals.closed);
    json_u64(json, "cut_bytes", totals.cut_bytes);
    put_string_or_null(json, "cut_reason", totals.cut ? adat_cut_text(totals.cut) : NULL);
    put_header(json, &adat_reader_info(adat_set_reader(set, 0))->header);
}

static void put_index_or_null(JsonWriter *json, const char *key, size_t index)
{
    if (index < SIZE_MAX)
        json_u64(json, key, index);
    else
        json_null(json, key);
}

static void put_set_file(JsonWriter *json, const AdatSetFile *file)
{
    json_begin_object(json, NULL);
    json_string(json, "file", file->name);
    put_string_or_null(json, "error", file->error ? adat_reader_error_text(file->error) : NULL);
    put_index_or_null(json, "recording", file->recording);
    json_u64(json, "number", file->number);
    json_bool(json, "compressed", file->compressed);
    json_u64(json, "bytes", file->info.file_bytes);
    json_u64(json, "blocks", file->info.blocks);
    json_bool(json, "closed", file->info.closed);
    json_u64(json, "cut_bytes", adat_cut_bytes(&file->info));
    put_string_or_null(json, "cut_reason", file->info.cut ? adat_cut_text(file->info.cut) : NULL);
    if (file->error)
        json_null(json, "header");
    else
        put_header(json, &file->info.header);
    adat_account_write_json(&file->events, json, "events");
    adat_account_write_json(&file->detail, json, "detail");
    json_end_object(json);
}

/* Holes in the numbers of a recording's files: "missing": [[first, last], ...]. */
static void put_missing(JsonWriter *json, const AdatSet *set, const AdatRecordingInfo *recording)
{
    json_begin_array(json, "missing");
    for (size_t i = 0; i < recording->file_count; i++) {
        const AdatSetFile *file = adat_set_file(set, recording->first_file + i);

        if (file->missing_before == 0)
            continue;
        json_begin_array(json, NULL);
        json_u64(json, NULL, file->missing_first);
        json_u64(json, NULL, file->missing_first + file->missing_before - 1);
        json_end_array(json);
    }
    json_end_array(json);
}

static void put_session(JsonWriter *json, const AdatReader *reader)
{
    AdatStrings session = adat_reader_session(reader);

    json_begin_object(json, "session");
    for (size_t i = 0; i < session.count; i++)
        json_string(json, session.items[i].key, session.items[i].value);
    json_end_object(json);
}

static void put_recordings(JsonWriter *json, const AdatSet *set)
{
    const AdatRecordingInfo *recording;

    json_begin_array(json, "recordings");
    for (size_t i = 0; (recording = adat_set_recording(set, i)); i++) {
        const AdatReader *reader = adat_set_reader(set, i);
        const AdatAccount events = adat_reader_events(reader), detail = adat_reader_detail(reader);

        json_begin_object(json, NULL);
        json_string(json, "id", recording->id);
        json_u64(json, "files", recording->file_count);
        json_u64(json, "first_number", recording->first_number);
        json_u64(json, "last_number", recording->last_number);
        put_missing(json, set, recording);
        put_session(json, reader);
        adat_account_write_json(&events, json, "events");
        adat_account_write_json(&detail, json, "detail");
        json_end_object(json);
    }
    json_end_array(json);
}

static void put_files(JsonWriter *json, const AdatSet *set)
{
    const AdatSetLeftOut left_out = adat_set_left_out(set);
    const AdatSetFile *file;

    json_begin_array(json, "files");
    for (size_t i = 0; (file = adat_set_file(set, i)); i++)
        put_set_file(json, file);
    json_end_array(json);
    put_recordings(json, set);
    trace_json_left_out(json, &left_out);
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

static void put_process(JsonWriter *json, const AdatProcessInfo *process, size_t recording)
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
    json_u64(json, "recording", recording);
    json_end_object(json);
}

static void put_thread(JsonWriter *json, const AdatReader *reader, const AdatThreadInfo *thread,
                       size_t recording)
{
    json_begin_object(json, NULL);
    json_u64(json, "tid", thread->thread.tid);
    json_u64(json, "pid", adat_reader_process(reader, thread->process)->process.pid);
    json_string(json, "name", thread->thread.name);
    adat_account_write_json(&thread->events, json, "events");
    adat_account_write_json(&thread->detail, json, "detail");
    trace_json_thread_drain(json, "drain", thread->accounted ? &thread->drain : NULL);
    trace_json_thread_death(json, thread->died ? &thread->death : NULL);
    json_u64(json, "recording", recording);
    json_end_object(json);
}

static void put_members(JsonWriter *json, const AdatSet *set)
{
    const AdatReader *reader;
    const AdatProcessInfo *process;
    const AdatThreadInfo *thread;

    json_begin_array(json, "processes");
    for (size_t r = 0; (reader = adat_set_reader(set, r)); r++)
        for (size_t i = 0; (process = adat_reader_process(reader, i)); i++)
            put_process(json, process, r);
    json_end_array(json);
    json_begin_array(json, "threads");
    for (size_t r = 0; (reader = adat_set_reader(set, r)); r++)
        for (size_t i = 0; (thread = adat_reader_thread(reader, i)); i++)
            put_thread(json, reader, thread, r);
    json_end_array(json);
}

static void print_json(const char *path, const AdatSet *set)
{
    const AdatReader *newest = info_newest(set);
    const AdatAccount events = adat_set_events(set), detail = adat_set_detail(set);
    AdatKernelSummary kernel;
    AdatDrainSummary drain;
    size_t embedded_modules;
    JsonWriter json;

    json_init(&json, stdout);
    json_begin_object(&json, NULL);
    json_u64(&json, "version", 1);
    json_string(&json, "file", path);
    put_totals(&json, set);
    json_f64(&json, "duration_s", (double)adat_set_duration(set) / 1e9);
    json_string(&json, "clock", info_is_guessed(set) ? "guessed" : "anchored");
    json_u64(&json, "clock_error_ns", info_clock_error(set));
    put_string_or_null(&json, "command", adat_strings_find(adat_reader_session(newest), "command"));
    put_exit_status(&json, adat_reader_process(newest, 0));
    put_session(&json, newest);
    put_members(&json, set);
    adat_account_write_json(&events, &json, "events");
    adat_account_write_json(&detail, &json, "detail");
    trace_json_drain(&json, "drain", adat_reader_drain(newest, &drain) ? &drain : NULL);
    trace_json_kernel(&json, "kernel", adat_reader_kernel(newest, &kernel) ? &kernel : NULL);
    json_u64(&json, "marks", info_count_marks(set, false));
    json_u64(&json, "anomalies", info_count_marks(set, true));
    json_u64(&json, "embedded_symbols", info_count_embedded(set, &embedded_modules));
    json_u64(&json, "embedded_modules", embedded_modules);
    put_files(&json, set);
    json_end_object(&json);
}

/* ---- command --------------------------------------------------------------------------------- */

int cmd_info(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    AdatSet *set;
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
    if (trace_open("info", path, &set))
        return CLI_FAILURE;
    if (json)
        print_json(path, set);
    else
        info_print_text(path, set);
    status = trace_report_damage("info", path, set);
    adat_set_close(set);
    return cli_end_output("info", status);
}
