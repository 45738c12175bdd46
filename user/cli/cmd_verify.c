/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include "user/cli/cli.h"
#include "user/cli/trace.h"
#include "user/reader/adat_verify_set.h"

static void print_help(void)
{
    printf("usage: adatrace verify [--json] FILE|DIR\n"
           "Checks a trace: checksums, sequence, records of every lane, times, references, accounts. Of a\n"
           "directory it checks each file, and that they go on from one to the next.\n"
           "\n"
           "  --json      print one JSON object\n"
           "  -h, --help  show this\n"
           "\n"
           "Exits with 0 if the file is whole, or ends with a whole block because its recorder was\n"
           "killed; with 1 if it is damaged, cut off or not a trace.\n");
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* Of the files together. */
typedef struct Totals {
    uint64_t blocks;
    uint64_t events;
    uint64_t cut_bytes;
    size_t files; /* that could be read */
    bool closed;
} Totals;

static Totals add_up(const AdatSetVerdict *verdict)
{
    Totals totals = {.closed = true};

    for (size_t i = 0; i < verdict->file_count; i++) {
        const AdatVerdict *file = &verdict->files[i].verdict;

        if (verdict->files[i].error)
            continue;
        totals.blocks += file->blocks;
        totals.events += file->events;
        totals.cut_bytes += file->cut_bytes;
        totals.files++;
        totals.closed = totals.closed && file->closed;
    }
    return totals;
}

static void begin_json(JsonWriter *json, const char *path, bool ok)
{
    json_init(json, stdout);
    json_begin_object(json, NULL);
    json_u64(json, "version", 1);
    json_string(json, "file", path);
    json_bool(json, "ok", ok);
}

static void put_json_problem(JsonWriter *json, const char *file, uint64_t offset, const char *text)
{
    json_begin_object(json, NULL);
    if (file)
        json_string(json, "file", file);
    json_u64(json, "offset", offset);
    json_string(json, "text", text);
    json_end_object(json);
}

static void put_json_file(JsonWriter *json, const AdatFileVerdict *file)
{
    json_begin_object(json, NULL);
    json_string(json, "file", file->name);
    if (file->recording < SIZE_MAX)
        json_u64(json, "recording", file->recording);
    else
        json_null(json, "recording");
    json_u64(json, "number", file->number);
    json_bool(json, "ok", !file->error && file->verdict.problem_count == 0);
    json_bool(json, "closed", file->verdict.closed);
    json_u64(json, "blocks", file->verdict.blocks);
    json_u64(json, "events", file->verdict.events);
    json_u64(json, "cut_bytes", file->verdict.cut_bytes);
    json_u64(json, "problem_count", file->error ? file->error != -ENOENT : file->verdict.problem_count);
    json_end_object(json);
}

static void put_json_problems(JsonWriter *json, const AdatSetVerdict *verdict)
{
    json_begin_array(json, "problems");
    for (size_t i = 0; i < verdict->file_count; i++) {
        const AdatFileVerdict *file = &verdict->files[i];

        if (file->error && file->error != -ENOENT)
            put_json_problem(json, file->name, 0, adat_reader_error_text(file->error));
        for (size_t k = 0; k < file->verdict.kept; k++)
            put_json_problem(json, file->name, file->verdict.problems[k].offset,
                             file->verdict.problems[k].text);
    }
    for (size_t i = 0; i < verdict->kept; i++)
        put_json_problem(json, verdict->files[verdict->problems[i].file].name, 0, verdict->problems[i].text);
    json_end_array(json);
}

static void print_json(const char *path, const AdatSetVerdict *verdict)
{
    const Totals totals = add_up(verdict);
    JsonWriter json;

    begin_json(&json, path, verdict->problem_count == 0);
    json_bool(&json, "closed", totals.closed);
    json_u64(&json, "blocks", totals.blocks);
    json_u64(&json, "cut_bytes", totals.cut_bytes);
    json_u64(&json, "problem_count", verdict->problem_count);
    put_json_problems(&json, verdict);
    json_u64(&json, "events", totals.events);
    json_begin_array(&json, "files");
    for (size_t i = 0; i < verdict->file_count; i++)
        put_json_file(&json, &verdict->files[i]);
    json_end_array(&json);
    json_u64(&json, "recordings", verdict->recordings);
    json_u64(&json, "duplicates", verdict->duplicates);
    json_u64(&json, "unexplained", verdict->unexplained);
    json_u64(&json, "missing_files", verdict->missing_files);
    json_u64(&json, "missing_records", verdict->in_missing);
    json_u64(&json, "removed_files", verdict->removed_files);
    trace_json_left_out(&json, &verdict->left_out);
    json_end_object(&json);
}

/* A file that could not even be opened as a trace: the error is on stderr, and here for machines. */
static void print_json_unreadable(const char *path, int err)
{
    JsonWriter json;

    begin_json(&json, path, false);
    json_bool(&json, "closed", false);
    json_u64(&json, "blocks", 0);
    json_u64(&json, "cut_bytes", 0);
    json_u64(&json, "problem_count", 1);
    json_begin_array(&json, "problems");
    put_json_problem(&json, path, 0, adat_reader_error_text(err));
    json_end_array(&json);
    json_end_object(&json);
}

/* ---- text ------------------------------------------------------------------------------------ */

static void print_verdict(const char *path, const AdatVerdict *verdict)
{
    for (size_t i = 0; i < verdict->kept; i++)
        printf("%s: offset %" PRIu64 ": %s\n", path, verdict->problems[i].offset, verdict->problems[i].text);
    if (verdict->problem_count > verdict->kept)
        printf("%s: and %" PRIu64 " problems more\n", path, verdict->problem_count - verdict->kept);
    printf("%s: %s: %" PRIu64 " blocks, %" PRIu64 " events", path, verdict->problem_count ? "damaged" : "ok",
           verdict->blocks, verdict->events);
    if (verdict->cut_bytes)
        printf(", %" PRIu64 " bytes cut off", verdict->cut_bytes);
    if (!verdict->closed)
        printf("\n%s: not closed: its recorder was killed, or is still at work", path);
    putchar('\n');
}

static void print_file(const char *path, const AdatFileVerdict *file)
{
    char label[TRACE_LABEL_SIZE];

    trace_label(path, true, file->name, label);
    if (file->error)
        printf("%s: %s\n", label,
               file->error == -ENOENT ? "removed meanwhile" : adat_reader_error_text(file->error));
    else
        print_verdict(label, &file->verdict);
}

static void print_directory(const char *path, const AdatSetVerdict *verdict)
{
    const Totals totals = add_up(verdict);
    char label[TRACE_LABEL_SIZE];

    for (size_t i = 0; i < verdict->file_count; i++)
        print_file(path, &verdict->files[i]);
    for (size_t i = 0; i < verdict->kept; i++) {
        trace_label(path, true, verdict->files[verdict->problems[i].file].name, label);
        printf("%s: %s\n", label, verdict->problems[i].text);
    }
    if (verdict->removed_files)
        printf("%s: %" PRIu64 " file%s removed before the first one that is here\n", path,
               verdict->removed_files, verdict->removed_files == 1 ? " was" : "s were");
    trace_put_left_out(path, &verdict->left_out);
    printf("%s: %s: %zu file%s of %zu recording%s, %" PRIu64 " blocks, %" PRIu64 " events, %" PRIu64
           " of them twice\n",
           path, verdict->problem_count ? "damaged" : "ok", totals.files, totals.files == 1 ? "" : "s",
           verdict->recordings, verdict->recordings == 1 ? "" : "s", totals.blocks, totals.events,
           verdict->duplicates);
}

static void print_text(const char *path, const AdatSetVerdict *verdict)
{
    if (verdict->is_directory)
        print_directory(path, verdict);
    else
        print_verdict(path, &verdict->files[0].verdict);
}

/* ---- command --------------------------------------------------------------------------------- */

/* The first one, with the file that has it if that is not the only one. */
static const char *first_problem(const AdatSetVerdict *verdict, const char **file_out)
{
    *file_out = NULL;
    for (size_t i = 0; i < verdict->file_count; i++) {
        const AdatFileVerdict *file = &verdict->files[i];

        *file_out = verdict->is_directory ? file->name : NULL;
        if (file->error && file->error != -ENOENT)
            return adat_reader_error_text(file->error);
        if (file->verdict.kept > 0)
            return file->verdict.problems[0].text;
    }
    *file_out = verdict->files[verdict->problems[0].file].name;
    return verdict->problems[0].text;
}

static void tell_damage(const char *path, const AdatSetVerdict *verdict)
{
    const char *file, *text = first_problem(verdict, &file);
    char label[TRACE_LABEL_SIZE];

    trace_label(path, file != NULL, file, label);

    cli_error("verify",
              "'%s' is damaged: %" PRIu64 " problem%s, first: %s%s%s; 'adatrace dump' shows what can be read",
              path, verdict->problem_count, verdict->problem_count == 1 ? "" : "s", file ? label : "",
              file ? ": " : "", text);
}

int cmd_verify(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    AdatSetVerdict verdict;
    bool json = false;
    const char *path;
    int option, err;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        switch (option) {
        case 'j':
            json = true;
            break;
        case 'h':
            print_help();
            return cli_end_output("verify", CLI_OK);
        default:
            return cli_option_error("verify", option, argv);
        }
    }
    if (cli_take_file("verify", argc, argv, &path))
        return CLI_USAGE;

    cli_begin_output();
    err = adat_verify_set(path, &verdict);
    if (err) {
        if (json)
            print_json_unreadable(path, err);
        cli_error("verify", "cannot read '%s': %s", path, adat_reader_error_text(err));
        cli_end_output("verify", CLI_FAILURE);
        return CLI_FAILURE;
    }
    if (json)
        print_json(path, &verdict);
    else
        print_text(path, &verdict);
    err = verdict.problem_count > 0 ? CLI_FAILURE : CLI_OK;
    if (err)
        tell_damage(path, &verdict);
    adat_set_verdict_fini(&verdict);
    /* The verdict stands even if nobody reads the rest of it. */
    return cli_end_output("verify", err) ? CLI_FAILURE : err;
}
