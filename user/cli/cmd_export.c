/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "user/base/json.h"
#include "user/cli/cli.h"
#include "user/cli/export_target.h"
#include "user/cli/trace.h"
#include "user/cli/trace_select.h"
#include "user/convert/convert.h"

#define PROGRESS_NS 200000000ll

typedef struct Export {
    const char *path;
    const AdatSet *set;
    TraceSelect select;
    const ConvertFormat *format;
    const char *output; /* NULL: stdout */
    bool force;
    bool json;
    ExportTarget target;
    OutBuffer out;
    uint64_t expected;     /* events, for the progress */
    bool progress;         /* is shown */
    struct timespec shown; /* when it was last */
} Export;

static void print_help(void)
{
    const ConvertFormat *format;

    printf("usage: adatrace export --to FORMAT [OPTION]... FILE|DIR\n"
           "Converts the events of a trace, or of all files of a directory, for another tool. Formats:\n");
    for (size_t i = 0; (format = convert_format(i)); i++)
        printf("  %-9s %s\n", format->name, format->what);
    printf("\n"
           "  --to FORMAT       what to convert it to\n"
           "  -o, --output PATH  write to PATH, which must not exist yet; it is called PATH.partial until it is complete;\n"
           "                    default: stdout. CTF needs a PATH, for a directory\n"
           "  --force           replace what an export has left at PATH\n" TRACE_SELECT_HELP(
               TRACE_SELECT_UNTIL_HELP) "  --json            print the summary, on stderr, as one JSON object\n"
                                        "  -h, --help        show this\n");
}

/* ---- options ---------------------------------------------------------------------------------- */

static int parse_format(Export *export, const char *name)
{
    export->format = convert_format_find(name);
    if (export->format)
        return CLI_OK;
    if (strcmp(name, "perfetto") == 0) {
        cli_error("export", "this adatrace was built without libprotobuf-c: install that and build it again");
        return CLI_FAILURE;
    }
    return cli_usage_error("export", "--to: there is no format '%s'", name);
}

/* CLI_OK; CLI_USAGE or CLI_FAILURE with the error said; -1 when help was shown. */
static int parse_options(Export *export, int argc, char **argv)
{
    static const struct option options[] = {
        {"to", required_argument, NULL, 't'},
        {"output", required_argument, NULL, 'o'},
        {"force", no_argument, NULL, 'f'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        TRACE_SELECT_OPTIONS,
        {0},
    };
    int option, status = CLI_OK;

    opterr = 0;
    while (status == CLI_OK && (option = getopt_long(argc, argv, ":o:h", options, NULL)) != -1) {
        switch (option) {
        case 't':
            status = parse_format(export, optarg);
            break;
        case 'o':
            export->output = optarg;
            break;
        case 'f':
            export->force = true;
            break;
        case 'j':
            export->json = true;
            break;
        case 'h':
            print_help();
            return -1;
        default:
            if (!trace_select_takes(option))
                return cli_option_error("export", option, argv);
            status = trace_select_take(&export->select, "export", option, optarg);
        }
    }
    return status == CLI_OK ? trace_select_check(&export->select, "export") : status;
}

static int check_options(const Export *export)
{
    if (!export->format)
        return cli_usage_error("export", "no format given: --to FORMAT");
    if (export->format->directory && !export->output)
        return cli_usage_error("export", "%s is a directory of files: say where with -o", export->format->name);
    if (!export->output && export->force)
        return cli_usage_error("export", "--force goes with -o");
    if (!export->output && export->format->binary && isatty(STDOUT_FILENO))
        return cli_usage_error("export", "%s is nothing for a terminal: say where it goes with -o",
                               export->format->name);
    return CLI_OK;
}

/* ---- progress --------------------------------------------------------------------------------- */

static uint64_t count_expected(const Export *export, const EventWalkConfig *walk)
{
    const AdatReader *reader;
    const AdatThreadInfo *thread;
    uint64_t count = 0;

    for (size_t r = 0; (reader = adat_set_reader(export->set, r)); r++)
        for (size_t t = 0; (thread = adat_reader_thread(reader, t)); t++)
            if (!walk->cursor.select || walk->cursor.select(thread, walk->cursor.context))
                count += thread->events.in_file;
    return count;
}

static void show_progress(Export *export, const ConvertTotals *totals)
{
    struct timespec now;
    int64_t since_ns;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    since_ns = (int64_t)(now.tv_sec - export->shown.tv_sec) * 1000000000 + now.tv_nsec - export->shown.tv_nsec;
    if (since_ns < PROGRESS_NS)
        return;
    export->shown = now;
    if (export->expected > totals->events)
        fprintf(stderr, "\r%3.0f %%, %" PRIu64 " events ",
                100.0 * (double)totals->events / (double)export->expected, totals->events);
    else
        fprintf(stderr, "\r%" PRIu64 " events ", totals->events);
}

static void clear_progress(const Export *export)
{
    if (export->progress)
        fputs("\r\033[K", stderr);
}

static bool go_on(void *context, const ConvertTotals *totals)
{
    Export *export = context;

    if (export->progress)
        show_progress(export, totals);
    return export_target_signal() == 0;
}

/* ---- summary ---------------------------------------------------------------------------------- */

static void report_json(const Export *export, const ConvertTotals *totals, uint64_t bytes)
{
    JsonWriter json;

    json_init(&json, stderr);
    json_begin_object(&json, NULL);
    json_u64(&json, "version", 1);
    json_string(&json, "file", export->path);
    json_string(&json, "format", export->format->name);
    if (export->output)
        json_string(&json, "output", export->output);
    else
        json_null(&json, "output");
    json_u64(&json, "threads", totals->threads);
    json_begin_object(&json, "events");
    json_u64(&json, "exported", totals->events);
    json_u64(&json, "lost", totals->lost);
    json_u64(&json, "vanished", totals->vanished);
    json_end_object(&json);
    json_u64(&json, "marks", totals->marks);
    json_u64(&json, "bytes", bytes);
    json_end_object(&json);
}

static void report(const Export *export, const ConvertTotals *totals)
{
    uint64_t bytes = export->format->directory ? export_target_bytes(&export->target) : export->out.bytes;

    if (export->json)
        report_json(export, totals, bytes);
    else if (export->output)
        fprintf(stderr,
                "adatrace export: %" PRIu64 " events, %" PRIu64 " lost, %" PRIu64 " marks, %" PRIu64
                " bytes in '%s'\n",
                totals->events, totals->lost, totals->marks, bytes, export->output);
}

/* ---- command ---------------------------------------------------------------------------------- */

/* What went wrong besides the end of a pipe. Returns the exit status. */
static int report_error(const Export *export, int err, bool reading)
{
    if (err == -ECANCELED)
        return 128 + export_target_signal();
    if (reading)
        trace_report_unreadable("export", export->path, err);
    else if (err == -ENOMEM)
        cli_error("export", "out of memory");
    else
        cli_error("export", "cannot write '%s': %s; nothing is left of it", export->output, strerror(-err));
    return CLI_FAILURE;
}

/* Converts to the target, which is open. CLI_OK, or another status with the error said. */
static int convert(Export *export, ConvertTotals *totals)
{
    const ConvertConfig config = {
        .format = export->format,
        .walk = trace_select_walk(&export->select),
        .out = export->format->directory ? NULL : &export->out,
        .directory = export->target.directory,
        .go_on = go_on,
        .context = export,
    };
    bool reading;
    int err;

    export->progress = isatty(STDERR_FILENO);
    export->expected = count_expected(export, &config.walk);
    err = convert_run(export->set, &config, totals, &reading);
    clear_progress(export);
    if (!err)
        trace_report_vanished("export", export->path, totals->vanished);
    if (!export->output) {
        (void)cli_flush_output(&export->out);
        if (export->out.error) /* which cli_end_output() tells */
            return CLI_OK;
    }
    return err ? report_error(export, err, reading) : CLI_OK;
}

static int run(Export *export)
{
    ConvertTotals totals = {0};
    int status = export_target_open(&export->target, export->output, export->format->directory, export->force),
        damage;

    if (status != CLI_OK)
        return status;
    out_init(&export->out, export->target.stream);
    status = convert(export, &totals);
    if (status == CLI_OK)
        status = export_target_commit(&export->target);
    else
        export_target_drop(&export->target);
    damage = trace_report_damage("export", export->path, export->set);
    status = cli_end_output("export", status != CLI_OK ? status : damage);
    if ((status == CLI_OK || status == damage) && !export->out.error) {
        trace_select_report_unnamed("export", export->select.symbols);
        report(export, &totals);
    }
    return status;
}

int cmd_export(int argc, char **argv)
{
    Export *export = calloc(1, sizeof(*export)); /* its buffer is large */
    AdatSet *set = NULL;
    int status = CLI_FAILURE;

    if (!export || trace_select_init(&export->select, argc)) {
        cli_error("export", "out of memory");
        goto out;
    }
    status = parse_options(export, argc, argv);
    if (status == -1) {
        status = cli_end_output("export", CLI_OK);
        goto out;
    }
    if (status == CLI_OK)
        status = cli_take_file("export", argc, argv, &export->path);
    if (status == CLI_OK)
        status = check_options(export);
    if (status != CLI_OK)
        goto out;

    cli_begin_output();
    status = trace_open("export", export->path, &set);
    if (status != CLI_OK)
        goto out;
    export->set = set;
    status = trace_select_begin(&export->select, "export", export->path, set);
    if (status == CLI_OK)
        status = run(export);
out:
    if (export)
        trace_select_fini(&export->select);
    adat_set_close(set);
    free(export);
    return status;
}
