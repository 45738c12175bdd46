/* SPDX-License-Identifier: MIT */
/* adatrace top: what the threads of a recording do at the moment. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "user/base/parse.h"
#include "user/cli/cli.h"
#include "user/cli/live_report.h"
#include "user/cli/recorder_client.h"
#include "user/cli/top_screen.h"
#include "user/cli/top_view.h"

#define INTERVAL_MIN_NS 100000000ull /* as often as rates are taken anew */
#define INTERVAL_MAX_NS 3600000000000ull

static const char top_usage[] =
    "usage: adatrace top [OPTION]...\n"
    "Shows what the threads of a running recording do, anew each second. On a terminal: q quits, space\n"
    "pauses, s changes the order, r reverses it, p changes between processes and threads, / filters.\n"
    "Elsewhere: plain text, one table after the other.\n"
    "\n"
    "  -p, --pid PID        the recording that process PID is part of (default: the only one that runs)\n"
    "      --session NAME       a session of the service, adatraced\n"
    "      --socket PATH        where the service listens (default: $ADATRACE_CONTROL, or\n"
    "                           /run/adatrace/control.sock)\n"
    "  -d, --delay TIME     between two looks, 100ms or more (default 1s)\n"
    "  -n, --count N        look N times, then end; plain text also on a terminal\n"
    "  -s, --sort KEY       events, drops, occupancy, stalls, cpu, runqueue, total, id\n"
    "                       or name (default events)\n"
    "  -f, --filter TEXT    only rows whose name or id contains TEXT\n"
    "      --processes      a row for each process instead of each thread\n"
    "  -h, --help           print this\n";

typedef struct TopOptions {
    LiveWish wish;
    uint64_t delay_ns;
    uint64_t count; /* 0: without end */
    TopView view;
} TopOptions;

static int print_table(const LiveReport *report, const TopView *view)
{
    const MetricsSnapshot *snapshot = report->snapshot;
    size_t all = snapshot->thread_count + snapshot->process_count;
    size_t *order = calloc(all + 1, sizeof(*order));
    char header[TOP_HEADER_LINES][TOP_LINE_MAX];
    char line[TOP_LINE_MAX];
    size_t rows;

    if (!order)
        return -ENOMEM;
    top_view_header(snapshot, &report->latency, header);
    for (size_t i = 0; i < TOP_HEADER_LINES; i++)
        puts(header[i]);
    top_view_columns(view, line);
    puts(line);
    rows = top_view_rows(snapshot, view, order);
    for (size_t i = 0; i < rows; i++) {
        top_view_row(snapshot, view, order[i], line);
        puts(line);
    }
    free(order);
    return 0;
}

static int top_plain(const LiveSource *source, const TopOptions *options)
{
    const struct timespec delay = {.tv_sec = (time_t)(options->delay_ns / 1000000000u),
                                   .tv_nsec = (long)(options->delay_ns % 1000000000u)};

    cli_begin_output();
    for (uint64_t i = 0; options->count == 0 || i < options->count; i++) {
        LiveReport report;
        int error;

        if (i > 0) {
            putchar('\n');
            (void)nanosleep(&delay, NULL);
        }
        error = live_report_fetch(source, &report);
        if (!error) {
            error = print_table(&report, &options->view);
            live_report_fini(&report);
        }
        if (error && i > 0 && recorder_client_is_gone(error))
            break; /* it was there, and has ended */
        if (error) {
            live_report_explain("top", source, error);
            return cli_end_output("top", CLI_FAILURE);
        }
        if (fflush(stdout) != 0 || cli_output_failed())
            break;
    }
    return cli_end_output("top", CLI_OK);
}

static int parse_top(int argc, char **argv, TopOptions *options)
{
    enum { OPTION_PROCESSES = 256, OPTION_SESSION, OPTION_SOCKET };
    static const struct option names[] = {{"pid", required_argument, NULL, 'p'},
                                          {"delay", required_argument, NULL, 'd'},
                                          {"count", required_argument, NULL, 'n'},
                                          {"sort", required_argument, NULL, 's'},
                                          {"filter", required_argument, NULL, 'f'},
                                          {"processes", no_argument, NULL, OPTION_PROCESSES},
                                          {"session", required_argument, NULL, OPTION_SESSION},
                                          {"socket", required_argument, NULL, OPTION_SOCKET},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":p:d:n:s:f:h", names, NULL)) != -1) {
        switch (option) {
        case 'p':
            if (parse_u64(optarg, 1, INT32_MAX, &options->wish.pid) != 0)
                return cli_usage_error("top", "--pid '%s' is not the number of a process", optarg);
            break;
        case 'd':
            if (parse_duration(optarg, INTERVAL_MIN_NS, INTERVAL_MAX_NS, &options->delay_ns) != 0)
                return cli_usage_error("top", "--delay '%s' is not a time from 100ms to 3600s", optarg);
            break;
        case 'n':
            if (parse_u64(optarg, 1, UINT32_MAX, &options->count) != 0)
                return cli_usage_error("top", "--count '%s' is not a number from 1 to 4294967295", optarg);
            break;
        case 's':
            options->view.sort = top_sort_of(optarg);
            if (options->view.sort == TOP_SORTS)
                return cli_usage_error(
                    "top",
                    "--sort '%s' is none of events, drops, occupancy, stalls, cpu, runqueue, total, id, name",
                    optarg);
            break;
        case 'f':
            if (strlen(optarg) >= sizeof(options->view.filter))
                return cli_usage_error("top", "--filter '%s' is longer than %zu characters", optarg,
                                       sizeof(options->view.filter) - 1);
            memcpy(options->view.filter, optarg, strlen(optarg) + 1);
            break;
        case OPTION_SESSION:
            options->wish.session = optarg;
            break;
        case OPTION_SOCKET:
            options->wish.socket = optarg;
            break;
        case OPTION_PROCESSES:
            options->view.processes = true;
            break;
        case 'h':
            fputs(top_usage, stdout);
            return -1;
        default:
            return cli_option_error("top", option, argv);
        }
    }
    if (optind < argc)
        return cli_usage_error("top", "unexpected '%s'", argv[optind]);
    if (options->wish.session && options->wish.pid != 0)
        return cli_usage_error("top", "give --session or --pid, not both");
    return CLI_OK;
}

int cmd_top(int argc, char **argv)
{
    TopOptions options = {.delay_ns = 1000000000u};
    LiveSource source;
    int status = parse_top(argc, argv, &options);
    int error;

    if (status < 0)
        return cli_end_output("top", CLI_OK);
    if (status == CLI_OK)
        status = live_report_choose("top", &options.wish, &source);
    if (status != CLI_OK)
        return status;
    if (options.count > 0 || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
        return top_plain(&source, &options);
    error = top_screen_run(&source, &options.view, (uint32_t)(options.delay_ns / 1000000u));
    if (recorder_client_is_gone(error)) {
        puts("adatrace top: the recording has ended");
        return cli_end_output("top", CLI_OK);
    }
    if (error)
        live_report_explain("top", &source, error);
    return error ? CLI_FAILURE : CLI_OK;
}
