/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "user/cli/cli.h"
#include "user/cli/trace.h"
#include "user/reader/adat_verify.h"

static void print_help(void)
{
    printf("usage: adatrace verify [--json] FILE\n"
           "Checks a trace: checksums, sequence, records of every lane, times, references, accounts.\n"
           "\n"
           "  --json      print one JSON object\n"
           "  -h, --help  show this\n"
           "\n"
           "Exits with 0 if the file is whole, or ends with a whole block because its recorder was\n"
           "killed; with 1 if it is damaged, cut off or not a trace.\n");
}

static void begin_json(JsonWriter *json, const char *path, bool ok)
{
    json_init(json, stdout);
    json_begin_object(json, NULL);
    json_u64(json, "version", 1);
    json_string(json, "file", path);
    json_bool(json, "ok", ok);
}

static void put_json_problem(JsonWriter *json, uint64_t offset, const char *text)
{
    json_begin_object(json, NULL);
    json_u64(json, "offset", offset);
    json_string(json, "text", text);
    json_end_object(json);
}

static void print_json(const char *path, const AdatVerdict *verdict)
{
    JsonWriter json;

    begin_json(&json, path, verdict->problem_count == 0);
    json_bool(&json, "closed", verdict->closed);
    json_u64(&json, "blocks", verdict->blocks);
    json_u64(&json, "cut_bytes", verdict->cut_bytes);
    json_u64(&json, "problem_count", verdict->problem_count);
    json_begin_array(&json, "problems");
    for (size_t i = 0; i < verdict->kept; i++)
        put_json_problem(&json, verdict->problems[i].offset, verdict->problems[i].text);
    json_end_array(&json);
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
    put_json_problem(&json, 0, adat_reader_error_text(err));
    json_end_array(&json);
    json_end_object(&json);
}

static void print_text(const char *path, const AdatVerdict *verdict)
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

int cmd_verify(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    AdatReader *reader = NULL;
    AdatVerdict verdict = {0};
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
    err = adat_reader_open(path, &reader);
    if (!err)
        err = adat_verify(reader, &verdict);
    adat_reader_close(reader);
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
        cli_error("verify",
                  "'%s' is damaged: %" PRIu64 " problem%s, first: %s; 'adatrace dump' shows what can be read",
                  path, verdict.problem_count, verdict.problem_count == 1 ? "" : "s", verdict.problems[0].text);
    adat_verdict_fini(&verdict);
    /* The verdict stands even if nobody reads the rest of it. */
    return cli_end_output("verify", err) ? CLI_FAILURE : err;
}
