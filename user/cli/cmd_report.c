/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/parse.h"
#include "user/cli/cli.h"
#include "user/cli/report_progress.h"
#include "user/cli/report_view.h"
#include "user/cli/trace.h"
#include "user/cli/trace_select.h"

#define OUTPUT_BUFFER ((size_t)1 << 20)
#define LIMIT_DEFAULT 30u
#define LONGEST_DEFAULT 10u
#define LONGEST_MAX 1000u
#define MIN_PERCENT_DEFAULT 1.0

typedef struct Options {
    TraceSelect select;
    SpanTableBy by;
    SpanSort sort;
    uint64_t limit; /* 0: all */
    bool limit_given;
    double min_percent;
    bool tree;
    bool json;
} Options;

static void print_help(void)
{
    printf(
        "usage: adatrace report [OPTION]... FILE|DIR\n"
        "Sums up a trace, or all files of a directory: what was lost; how often and how long functions and spans ran;\n"
        "threads; which thread waited, for what and for whom; the longest spans.\n"
        "\n"
        "  --by WHAT         what a row is: function, span, event, thread, module, process\n"
        "                    (default: each function, span and event)\n"
        "  --sort FIELD      by total (default), self, count, mean, p99, max, name\n"
        "  --limit N         at most N rows of each table (default: %u, with --json all); 0: all\n"
        "  --tree            also who calls whom\n"
        "  --min PERCENT     of these, leave out what took less of the time of its process (default: %g)\n" TRACE_SELECT_HELP(
            TRACE_SELECT_TO_HELP) "  --json            print one JSON object\n"
                                  "  -h, --help        show this\n",
        LIMIT_DEFAULT, MIN_PERCENT_DEFAULT);
}

/* ---- options ---------------------------------------------------------------------------------- */

/* The place of a word in a list; -1, with the error said: it is not in it. */
static int find_word(const char *option, const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return (int)i;
    (void)cli_usage_error("report", "%s: '%s' is none of those that --help names", option, word);
    return -1;
}

static int parse_by(Options *options, const char *text)
{
    static const char *const words[] = {"function", "span", "event", "thread", "module", "process"};
    static const SpanTableBy values[] = {SPAN_TABLE_FUNCTIONS, SPAN_TABLE_SPANS,   SPAN_TABLE_EVENTS,
                                         SPAN_TABLE_THREADS,   SPAN_TABLE_MODULES, SPAN_TABLE_PROCESSES};
    int place = find_word("--by", text, words, sizeof(words) / sizeof(words[0]));

    if (place < 0)
        return CLI_USAGE;
    options->by = values[place];
    return CLI_OK;
}

static int parse_sort(Options *options, const char *text)
{
    static const char *const words[] = {"total", "self", "count", "mean", "p99", "max", "name"};
    int place = find_word("--sort", text, words, sizeof(words) / sizeof(words[0]));

    if (place < 0)
        return CLI_USAGE;
    options->sort = (SpanSort)place;
    return CLI_OK;
}

static int parse_percent(Options *options, const char *text)
{
    char *end;
    double percent;

    errno = 0;
    percent = strtod(text, &end);
    if (end == text || *end || errno != 0 || !(percent >= 0 && percent <= 100))
        return cli_usage_error("report", "--min: '%s' is not a number of percent, from 0 to 100", text);
    options->min_percent = percent;
    return CLI_OK;
}

static int take_option(Options *options, int option, char **argv)
{
    if (trace_select_takes(option))
        return trace_select_take(&options->select, "report", option, optarg);
    switch (option) {
    case 'b':
        return parse_by(options, optarg);
    case 'o':
        return parse_sort(options, optarg);
    case 'n':
        options->limit_given = true;
        return parse_u64(optarg, 0, SIZE_MAX, &options->limit)
                   ? cli_usage_error("report", "--limit: '%s' is not a number", optarg)
                   : CLI_OK;
    case 'r':
        options->tree = true;
        return CLI_OK;
    case 'm':
        return parse_percent(options, optarg);
    case 'j':
        options->json = true;
        return CLI_OK;
    default:
        return cli_option_error("report", option, argv);
    }
}

/* CLI_OK; CLI_USAGE with the error said; -1 when help was shown. */
static int parse_options(Options *options, int argc, char **argv)
{
    static const struct option known[] = {
        TRACE_SELECT_OPTIONS,
        TRACE_SELECT_TO,
        {"by", required_argument, NULL, 'b'},
        {"sort", required_argument, NULL, 'o'},
        {"limit", required_argument, NULL, 'n'},
        {"tree", no_argument, NULL, 'r'},
        {"min", required_argument, NULL, 'm'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option, status = CLI_OK;

    opterr = 0;
    while (status == CLI_OK && (option = getopt_long(argc, argv, ":h", known, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            return -1;
        }
        status = take_option(options, option, argv);
    }
    return status == CLI_OK ? trace_select_check(&options->select, "report") : status;
}

/* ---- command ---------------------------------------------------------------------------------- */

static size_t limit_of(const Options *options)
{
    if (options->limit_given)
        return options->limit ? (size_t)options->limit : SIZE_MAX;
    return options->json ? SIZE_MAX : LIMIT_DEFAULT;
}

static size_t longest_of(const Options *options)
{
    if (!options->limit_given)
        return LONGEST_DEFAULT;
    return options->limit > 0 && options->limit < LONGEST_MAX ? (size_t)options->limit : LONGEST_MAX;
}

/* Reads the trace and prints what it comes to. CLI_OK, or CLI_FAILURE with the error said. */
static int print_report(Options *options, const char *path, const AdatSet *set)
{
    TraceSelect *select = &options->select;
    ReportProgress progress;
    const ReportConfig config = {
        .set = set,
        .symbols = select->symbols,
        .cursor = trace_select_cursor(select),
        .table = {.by = options->by},
        .longest = longest_of(options),
        .waits = true,
        .tree = options->tree,
        .progress = report_progress_show,
        .progress_context = &progress,
    };
    Report *report = NULL;
    int err;

    report_progress_begin(&progress, "report", adat_set_events(set).in_file);
    err = report_run(&config, &report);
    report_progress_end(&progress);
    if (err) {
        trace_report_unreadable("report", path, err);
        return CLI_FAILURE;
    }
    span_table_sort(report->table, options->sort);
    const ReportView view = {
        .path = path,
        .set = set,
        .report = report,
        .symbols = select->symbols,
        .limit = limit_of(options),
        .min_percent = options->min_percent,
        .whole = trace_select_is_whole(select),
        .from_ns = select->from_ns,
        .until_ns = select->until_ns,
    };
    if (options->json)
        report_view_json(&view);
    else
        report_view_text(&view);
    trace_report_vanished("report", path, report->vanished);
    report_destroy(report);
    return CLI_OK;
}

static int report_trace(Options *options, const char *path)
{
    AdatSet *set = NULL;
    int status, damage;

    status = trace_open("report", path, &set);
    if (status != CLI_OK)
        return status;
    status = trace_select_begin(&options->select, "report", path, set);
    if (status == CLI_OK) {
        status = print_report(options, path, set);
        damage = trace_report_damage("report", path, set);
        status = cli_end_output("report", status != CLI_OK ? status : damage);
        if (status == CLI_OK && !ferror(stdout))
            trace_select_report_unnamed("report", options->select.symbols);
    }
    adat_set_close(set);
    return status;
}

int cmd_report(int argc, char **argv)
{
    Options options = {.min_percent = MIN_PERCENT_DEFAULT};
    const char *path;
    int status = CLI_FAILURE;

    if (trace_select_init(&options.select, argc)) {
        cli_error("report", "out of memory");
        goto out;
    }
    status = parse_options(&options, argc, argv);
    if (status == -1) {
        status = cli_end_output("report", CLI_OK);
        goto out;
    }
    if (status == CLI_OK)
        status = cli_take_file("report", argc, argv, &path);
    if (status != CLI_OK)
        goto out;
    cli_begin_output();
    setvbuf(stdout, NULL, _IOFBF, OUTPUT_BUFFER);
    status = report_trace(&options, path);
out:
    trace_select_fini(&options.select);
    return status;
}
