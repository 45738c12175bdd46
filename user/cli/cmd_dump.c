/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/cli/cli.h"
#include "user/cli/trace.h"
#include "user/cli/trace_select.h"
#include "user/base/parse.h"
#include "user/convert/event_json.h"
#include "user/convert/event_text.h"

typedef struct Dump {
    const AdatSet *set;
    TraceSelect select;
    bool json;
    const char **events; /* names and patterns; none = all */
    size_t event_count;
    uint64_t limit;
    uint64_t printed;
    OutBuffer out;
} Dump;

static void print_help(void)
{
    printf(
        "usage: adatrace dump [OPTION]... FILE|DIR\n"
        "Prints the events of a trace, or of all files of a directory, in the order of time, one a line: time since the start in seconds,\n"
        "pid/tid, thread, then what happened, indented by depth. Marks that the recorder set are among them.\n"
        "\n"
        "  --json            print one JSON object a line\n"
        "  --event NAME|GLOB only events with such names, and marks with such reasons; may be repeated\n"
        "  --limit N         stop after N lines\n" TRACE_SELECT_HELP(
            TRACE_SELECT_TO_HELP) "  -h, --help        show this\n");
}

static bool is_wanted_name(const Dump *dump, const char *name)
{
    for (size_t i = 0; i < dump->event_count; i++)
        if (fnmatch(dump->events[i], name, 0) == 0)
            return true;
    return dump->event_count == 0;
}

/* Prints one of them, if it is wanted. 0 or -errno. */
static int dump_item(Dump *dump, EventWalk *walk, WalkedItem *item)
{
    int err;

    if (!is_wanted_name(dump, item->mark ? item->mark->mark.reason : item->event.name))
        return 0;
    dump->printed++;
    if (item->mark) {
        if (dump->json)
            event_json_mark(&dump->out, item->reader, item->mark);
        else
            event_text_mark(&dump->out, item->mark);
        return 0;
    }
    err = event_walk_fields(walk, &item->event);
    if (err)
        return err;
    if (dump->json)
        event_json_line(&dump->out, &item->event);
    else
        event_text_line(&dump->out, &item->event);
    return 0;
}

/* CLI_OK, also when the output failed, which cli_end_output() tells; or CLI_FAILURE with the error said. */
static int dump_items(Dump *dump, const char *path)
{
    const EventWalkConfig config = trace_select_walk(&dump->select);
    EventWalk *walk = NULL;
    WalkedItem item;
    int got = event_walk_create(dump->set, &config, &walk);

    while (got >= 0 && dump->printed < dump->limit && !dump->out.error) {
        got = event_walk_next(walk, &item);
        if (got <= 0)
            break;
        got = dump_item(dump, walk, &item);
    }
    (void)cli_flush_output(&dump->out);
    if (got >= 0)
        trace_report_vanished("dump", path, event_walk_vanished(walk));
    event_walk_destroy(walk);
    if (got >= 0)
        return CLI_OK;
    trace_report_unreadable("dump", path, got);
    return CLI_FAILURE;
}

/* CLI_OK; CLI_USAGE with the error said; -1 when help was shown. */
static int parse_options(Dump *dump, int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"event", required_argument, NULL, 'e'},
        TRACE_SELECT_TO,
        {"limit", required_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        TRACE_SELECT_OPTIONS,
        {0},
    };
    int option, status = CLI_OK;

    opterr = 0;
    while (status == CLI_OK && (option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        switch (option) {
        case 'j':
            dump->json = true;
            break;
        case 'e':
            dump->events[dump->event_count++] = optarg;
            break;
        case 'n':
            if (parse_u64(optarg, 0, UINT64_MAX, &dump->limit))
                status = cli_usage_error("dump", "--limit: '%s' is not a number", optarg);
            break;
        case 'h':
            print_help();
            return -1;
        default:
            if (!trace_select_takes(option))
                return cli_option_error("dump", option, argv);
            status = trace_select_take(&dump->select, "dump", option, optarg);
        }
    }
    return status == CLI_OK ? trace_select_check(&dump->select, "dump") : status;
}

int cmd_dump(int argc, char **argv)
{
    Dump *dump = calloc(1, sizeof(*dump)); /* its buffer is large */
    AdatSet *set = NULL;
    const char *path;
    int status = CLI_FAILURE, damage;

    if (dump)
        dump->events = calloc((size_t)argc, sizeof(*dump->events)); /* no more than there are arguments */
    if (!dump || !dump->events || trace_select_init(&dump->select, argc)) {
        cli_error("dump", "out of memory");
        goto out;
    }
    dump->limit = UINT64_MAX;
    status = parse_options(dump, argc, argv);
    if (status == -1) {
        status = cli_end_output("dump", CLI_OK);
        goto out;
    }
    if (status == CLI_OK)
        status = cli_take_file("dump", argc, argv, &path);
    if (status != CLI_OK)
        goto out;

    cli_begin_output();
    out_init(&dump->out, stdout);
    status = trace_open("dump", path, &set);
    if (status != CLI_OK)
        goto out;
    dump->set = set;
    status = trace_select_begin(&dump->select, "dump", path, set);
    if (status == CLI_OK) {
        status = dump_items(dump, path);
        damage = trace_report_damage("dump", path, set);
        status = cli_end_output("dump", status != CLI_OK ? status : damage);
        /* whose output went nowhere has other worries, or had seen enough */
        if (status == CLI_OK && !dump->out.error)
            trace_select_report_unnamed("dump", dump->select.symbols);
    }
out:
    if (dump) {
        trace_select_fini(&dump->select);
        free((void *)dump->events);
    }
    adat_set_close(set);
    free(dump);
    return status;
}
