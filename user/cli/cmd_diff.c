/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "user/base/parse.h"
#include "user/cli/cli.h"
#include "user/cli/format.h"
#include "user/cli/report_progress.h"
#include "user/cli/report_view.h"
#include "user/cli/trace.h"
#include "user/cli/trace_select.h"
#include "user/report/span_diff.h"

#define OUTPUT_BUFFER ((size_t)1 << 20)

/* One of the two traces. */
typedef struct Side {
    const char *path;
    AdatSet *set;
    Report *report;
    AdatSymbols *symbols;
} Side;

typedef struct Options {
    TraceSelect select;
    uint64_t limit; /* 0: all */
    bool all;
    bool json;
} Options;

static void print_help(void)
{
    printf("usage: adatrace diff [OPTION]... A B\n"
           "Says what differs between two traces, each a file or a directory: how often functions, spans and events\n"
           "happened, and how long they took; what is new and what is gone. Only what is hardly chance, and\n"
           "large enough to matter.\n"
           "\n"
           "  --all             the others, too\n"
           "  --limit N         at most N rows, of those that differ most; 0: all (default)\n"
           "  --symbols DIR     look for files that functions' names are in here, too; may be repeated\n"
           "  --no-symbols      name functions by module and offset only\n"
           "  --json            print one JSON object\n"
           "  -h, --help        show this\n");
}

/* ---- text ------------------------------------------------------------------------------------- */

static const char *const test_names[SPAN_DIFF_TESTS] = {"total", "self", "tail", "count"};

static void put_time(uint64_t ns, bool known)
{
    char text[32] = "-";

    if (known)
        format_duration(ns, text, sizeof(text));
    printf(" %10s", text);
}

static uint64_t mean_self(const SpanStat *stat)
{
    return stat->complete > 0 ? stat->complete_self_ns / stat->complete : 0;
}

/* By how much B is more than A. */
static void put_change(uint64_t a, uint64_t b, bool known)
{
    char text[32] = "-";

    if (known && a > 0)
        (void)snprintf(text, sizeof(text), "%+.1f%%", 100.0 * ((double)b - (double)a) / (double)a);
    printf(" %9s", text);
}

/* What is significant; "-" if nothing is. */
static void put_reasons(const SpanDiffRow *row)
{
    const char *separator = "";
    char text[64] = "";
    size_t length = 0;

    for (size_t test = 0; test < SPAN_DIFF_TESTS; test++) {
        if (!row->tests[test].significant || !row->a || !row->b)
            continue;
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s", separator, test_names[test]);
        separator = ",";
    }
    if (!row->a || !row->b)
        (void)snprintf(text, sizeof(text), "%s", row->a ? "gone" : "new");
    printf("  %-21s", *text ? text : "-");
}

/* The adjusted probability of the surest of its differences. */
static double least_adjusted(const SpanDiffRow *row)
{
    double least = 1;

    for (size_t test = 0; test < SPAN_DIFF_TESTS; test++)
        if (row->tests[test].known && row->tests[test].adjusted < least)
            least = row->tests[test].adjusted;
    return least;
}

static void print_row(const SpanDiffRow *row)
{
    static const SpanStat none;
    const SpanRow *named = row->named;
    const SpanStat *a = row->a ? &row->a->stat : &none, *b = row->b ? &row->b->stat : &none;
    bool in_a = a->complete > 0, in_b = b->complete > 0;

    printf("%10" PRIu64 " %10" PRIu64, a->count, b->count);
    put_time(span_stat_mean(a), in_a);
    put_time(span_stat_mean(b), in_b);
    put_change(span_stat_mean(a), span_stat_mean(b), in_a && in_b);
    put_time(span_histogram_percentile(&a->durations, 0.5), in_a);
    put_time(span_histogram_percentile(&b->durations, 0.5), in_b);
    put_time(mean_self(a), in_a);
    put_time(mean_self(b), in_b);
    put_time(span_histogram_percentile(&a->selves, 0.5), in_a);
    put_time(span_histogram_percentile(&b->selves, 0.5), in_b);
    printf(" %8.2g", least_adjusted(row));
    put_reasons(row);
    printf(" %-8s ", report_view_kind(named->kind));
    trace_put_text(stdout, *named->name ? named->name : "?", *named->name ? strlen(named->name) : 1);
    if (*named->module) {
        fputs(" [", stdout);
        trace_put_text(stdout, named->module, strlen(named->module));
        putchar(']');
    }
    putchar('\n');
}

static void print_side(const char *name, const Side *side)
{
    const AdatAccount account = adat_set_events(side->set);

    printf("%s  %s: %.6f s, %" PRIu64 " events, %" PRIu64 " spans complete, %" PRIu64 " of %" PRIu64
           " events lost\n",
           name, side->path, (double)adat_set_duration(side->set) / 1e9, side->report->events,
           side->report->spans.complete, report_view_lost(&account), account.attempted);
}

static void print_text(const Options *options, const Side *sides, const SpanDiff *diff)
{
    size_t shown = 0, alike = 0, more = 0;

    print_side("A", &sides[0]);
    print_side("B", &sides[1]);
    for (size_t i = 0; i < diff->count; i++) {
        const SpanDiffRow *row = &diff->rows[i];

        if (!row->significant && !options->all) {
            alike++;
            continue;
        }
        if (options->limit > 0 && shown == options->limit) {
            more++;
            continue;
        }
        if (shown++ == 0)
            printf("\n%10s %10s %10s %10s %9s %10s %10s %10s %10s %10s %10s %8s  %-21s %s\n", "count A",
                   "count B", "mean A", "mean B", "change", "p50 A", "p50 B", "self A", "self B", "self50 A",
                   "self50 B", "chance", "differs in", "name");
        print_row(row);
    }
    putchar('\n');
    if (more > 0)
        printf("%zu more that differ; --limit 0 for all\n", more);
    if (alike > 0)
        printf("%zu of %zu do not differ significantly; --all shows them\n", alike, diff->count);
    else if (diff->count == 0)
        printf("neither has events\n");
}

/* ---- JSON ------------------------------------------------------------------------------------- */

static void put_stat(JsonWriter *json, const char *key, const SpanRow *row)
{
    const SpanStat *stat = row ? &row->stat : NULL;

    if (!row) {
        json_null(json, key);
        return;
    }
    json_begin_object(json, key);
    json_u64(json, "count", stat->count);
    json_u64(json, "complete", stat->complete);
    json_u64(json, "total_ns", stat->total_ns);
    json_u64(json, "self_ns", stat->self_ns);
    if (stat->complete > 0) {
        json_u64(json, "mean_ns", span_stat_mean(stat));
        json_u64(json, "p50_ns", span_histogram_percentile(&stat->durations, 0.5));
        json_u64(json, "p99_ns", span_histogram_percentile(&stat->durations, 0.99));
        json_u64(json, "self_mean_ns", mean_self(stat));
        json_u64(json, "self_p50_ns", span_histogram_percentile(&stat->selves, 0.5));
    }
    json_end_object(json);
}

static void put_tests(JsonWriter *json, const SpanDiffRow *row)
{
    json_begin_object(json, "tests");
    for (size_t test = 0; test < SPAN_DIFF_TESTS; test++) {
        const SpanDiffResult *result = &row->tests[test];

        if (!result->known) {
            json_null(json, test_names[test]);
            continue;
        }
        json_begin_object(json, test_names[test]);
        json_f64(json, "effect", result->effect);
        json_f64(json, "probability", result->probability);
        json_f64(json, "adjusted", result->adjusted);
        json_bool(json, "significant", result->significant);
        json_end_object(json);
    }
    json_end_object(json);
}

static void put_side(JsonWriter *json, const char *key, const Side *side)
{
    const AdatAccount account = adat_set_events(side->set);

    json_begin_object(json, key);
    json_string(json, "file", side->path);
    json_u64(json, "lost", report_view_lost(&account));
    json_u64(json, "events", side->report->events);
    json_u64(json, "duration_ns", adat_set_duration(side->set));
    json_end_object(json);
}

static void print_json(const Options *options, const Side *sides, const SpanDiff *diff)
{
    uint64_t shown = 0;
    JsonWriter json;

    json_init(&json, stdout);
    json_begin_object(&json, NULL);
    json_u64(&json, "version", 1);
    put_side(&json, "a", &sides[0]);
    put_side(&json, "b", &sides[1]);
    json_u64(&json, "compared", diff->count);
    json_begin_array(&json, "rows");
    for (size_t i = 0; i < diff->count; i++) {
        const SpanDiffRow *row = &diff->rows[i];
        const SpanRow *named = row->named;

        if ((!row->significant && !options->all) || (options->limit > 0 && shown == options->limit))
            continue;
        shown++;
        json_begin_object(&json, NULL);
        json_string(&json, "kind", report_view_kind(named->kind));
        json_string(&json, "name", named->name);
        if (*named->module)
            json_string(&json, "module", named->module);
        json_bool(&json, "significant", row->significant);
        put_stat(&json, "a", row->a);
        put_stat(&json, "b", row->b);
        put_tests(&json, row);
        json_end_object(&json);
    }
    json_end_array(&json);
    json_end_object(&json);
}

/* ---- command ---------------------------------------------------------------------------------- */

/* CLI_OK; CLI_USAGE with the error said; -1 when help was shown. */
static int parse_options(Options *options, int argc, char **argv)
{
    static const struct option known[] = {
        TRACE_SELECT_NAME_OPTIONS,
        {"all", no_argument, NULL, 'a'},
        {"limit", required_argument, NULL, 'n'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option, status = CLI_OK;

    opterr = 0;
    while (status == CLI_OK && (option = getopt_long(argc, argv, ":h", known, NULL)) != -1) {
        switch (option) {
        case 'h':
            print_help();
            return -1;
        case 'a':
            options->all = true;
            break;
        case 'j':
            options->json = true;
            break;
        case 'n':
            if (parse_u64(optarg, 0, UINT64_MAX, &options->limit))
                status = cli_usage_error("diff", "--limit: '%s' is not a number", optarg);
            break;
        default:
            if (!trace_select_takes(option))
                return cli_option_error("diff", option, argv);
            status = trace_select_take(&options->select, "diff", option, optarg);
        }
    }
    return status == CLI_OK ? trace_select_check(&options->select, "diff") : status;
}

/* Reads one of the traces. CLI_OK, or CLI_FAILURE with the error said. */
static int read_side(Options *options, Side *side)
{
    ReportProgress progress;
    ReportConfig config = {
        .cursor = {.from_ns = INT64_MIN, .to_ns = INT64_MAX},
        .table = {.by = SPAN_TABLE_NAMES, .compared = true},
        .progress = report_progress_show,
        .progress_context = &progress,
    };
    int err, status = trace_open("diff", side->path, &side->set);

    if (status == CLI_OK)
        status = trace_select_symbols(&options->select, "diff", &side->symbols);
    if (status != CLI_OK)
        return status;
    config.set = side->set;
    config.table.window_ns = adat_set_duration(side->set) / SPAN_WINDOWS + 1;
    config.symbols = side->symbols;
    report_progress_begin(&progress, "diff", adat_set_events(side->set).in_file);
    err = report_run(&config, &side->report);
    report_progress_end(&progress);
    if (err) {
        trace_report_unreadable("diff", side->path, err);
        return CLI_FAILURE;
    }
    trace_report_vanished("diff", side->path, side->report->vanished);
    return CLI_OK;
}

static int compare_sides(Options *options, Side *sides)
{
    SpanDiff diff;
    int status = read_side(options, &sides[0]), damage = CLI_OK;

    if (status == CLI_OK)
        status = read_side(options, &sides[1]);
    if (status != CLI_OK)
        return status;
    if (span_diff_init(&diff, sides[0].report->table, sides[1].report->table)) {
        cli_error("diff", "out of memory");
        return CLI_FAILURE;
    }
    if (options->json)
        print_json(options, sides, &diff);
    else
        print_text(options, sides, &diff);
    span_diff_fini(&diff);
    for (size_t i = 0; i < 2; i++)
        if (trace_report_damage("diff", sides[i].path, sides[i].set) != CLI_OK)
            damage = CLI_FAILURE;
    status = cli_end_output("diff", damage);
    for (size_t i = 0; i < 2 && status == CLI_OK && !ferror(stdout); i++)
        trace_select_report_unnamed("diff", sides[i].symbols);
    return status;
}

/* The two operands that remain. */
static int take_paths(int argc, char **argv, Side *sides)
{
    if (argc - optind != 2)
        return cli_usage_error("diff", "%s",
                               argc - optind < 2 ? "two traces are compared" : "more than two traces given");
    sides[0].path = argv[optind];
    sides[1].path = argv[optind + 1];
    return CLI_OK;
}

int cmd_diff(int argc, char **argv)
{
    Options options = {0};
    Side sides[2] = {0};
    int status = CLI_FAILURE;

    if (trace_select_init(&options.select, argc)) {
        cli_error("diff", "out of memory");
        goto out;
    }
    status = parse_options(&options, argc, argv);
    if (status == -1) {
        status = cli_end_output("diff", CLI_OK);
        goto out;
    }
    if (status == CLI_OK)
        status = take_paths(argc, argv, sides);
    if (status != CLI_OK)
        goto out;
    cli_begin_output();
    setvbuf(stdout, NULL, _IOFBF, OUTPUT_BUFFER);
    status = compare_sides(&options, sides);
out:
    for (size_t i = 0; i < 2; i++) {
        report_destroy(sides[i].report);
        adat_symbols_destroy(sides[i].symbols);
        adat_set_close(sides[i].set);
    }
    trace_select_fini(&options.select);
    return status;
}
