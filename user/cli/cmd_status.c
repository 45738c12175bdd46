/* SPDX-License-Identifier: MIT */
/* adatrace status: how the recordings that run fare. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/parse.h"
#include "user/cli/cli.h"
#include "user/cli/live_report.h"
#include "user/cli/top_view.h"

static const char status_usage[] =
    "usage: adatrace status [-p PID] [--json]\n"
    "Says how a running recording fares: events, losses, latency, cost.\n"
    "\n"
    "  -p, --pid PID  the recording that process PID is part of (default: all that run)\n"
    "      --json     one JSON object a line, for each recording\n"
    "  -h, --help     print this\n";

static void print_kernel(const MetricsSnapshot *snapshot)
{
    if (!snapshot->kernel_enabled)
        printf("  kernel assistance: off: %s\n", snapshot->kernel_reason);
    else if (snapshot->kernel_lifecycle_lost > 0)
        printf("  kernel assistance: on, %llu births and ends of threads were not told for want of room\n",
               (unsigned long long)snapshot->kernel_lifecycle_lost);
    else
        puts("  kernel assistance: on");
}

static int print_status(const char *path, bool json)
{
    char header[TOP_HEADER_LINES][TOP_LINE_MAX];
    LiveReport report;
    int error = live_report_fetch(path, &report);

    if (error) {
        live_report_explain("status", path, error);
        return CLI_FAILURE;
    }
    if (json) {
        report.json[strcspn(report.json, "\n")] = '\0'; /* one line, as the recorder writes it */
        puts(report.json);
    } else {
        top_view_header(report.snapshot, &report.latency, header);
        printf("recorder %s\n", path);
        for (size_t i = 0; i < TOP_HEADER_LINES; i++)
            printf("  %s\n", header[i]);
        print_kernel(report.snapshot);
    }
    live_report_fini(&report);
    return CLI_OK;
}

static int status_of_all(bool json)
{
    char(*paths)[RECORDER_PATH_MAX] = NULL;
    size_t count = 0;
    int status = CLI_OK;
    int error = recorder_client_list(&paths, &count);

    if (error) {
        cli_error("status", "cannot look for recordings in /proc/net/unix: %s", strerror(-error));
        return CLI_FAILURE;
    }
    if (count == 0 && !json)
        puts("no recording runs");
    for (size_t i = 0; i < count; i++) {
        if (print_status(paths[i], json) != CLI_OK)
            status = CLI_FAILURE;
    }
    free(paths);
    return status;
}

int cmd_status(int argc, char **argv)
{
    enum { OPTION_JSON = 256 };
    static const struct option names[] = {{"pid", required_argument, NULL, 'p'},
                                          {"json", no_argument, NULL, OPTION_JSON},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    char path[RECORDER_PATH_MAX];
    uint64_t pid = 0;
    bool json = false;
    int option, status;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":p:h", names, NULL)) != -1) {
        switch (option) {
        case 'p':
            if (parse_u64(optarg, 1, INT32_MAX, &pid) != 0)
                return cli_usage_error("status", "--pid '%s' is not the number of a process", optarg);
            break;
        case OPTION_JSON:
            json = true;
            break;
        case 'h':
            fputs(status_usage, stdout);
            return cli_end_output("status", CLI_OK);
        default:
            return cli_option_error("status", option, argv);
        }
    }
    if (optind < argc)
        return cli_usage_error("status", "unexpected '%s'", argv[optind]);
    cli_begin_output();
    if (pid == 0)
        return cli_end_output("status", status_of_all(json));
    status = live_report_choose("status", pid, path);
    if (status == CLI_OK)
        status = print_status(path, json);
    return cli_end_output("status", status);
}
