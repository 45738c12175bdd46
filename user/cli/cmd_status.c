/* SPDX-License-Identifier: MIT */
/* adatrace status: how the recordings that run fare. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/parse.h"
#include "user/cli/cli.h"
#include "user/cli/control_client.h"
#include "user/cli/live_report.h"
#include "user/cli/service_view.h"
#include "user/cli/top_view.h"

static const char status_usage[] =
    "usage: adatrace status [-p PID | SESSION] [OPTION]...\n"
    "Says how running recordings fare, and the sessions of the service, adatraced: events, losses, latency,\n"
    "cost.\n"
    "\n"
    "  -p, --pid PID      the recording or session that process PID is part of (default: all)\n"
    "      --json         one JSON object a line: for the service, and for each recording\n"
    "      --socket PATH  where the service listens (default: $ADATRACE_CONTROL, or\n"
    "                     " ADA_CONTROL_SOCKET ")\n"
    "  -h, --help         print this\n";

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

/* One that was found and not named may have ended since. */
static int print_recording(const LiveSource *source, bool named, bool json)
{
    char header[TOP_HEADER_LINES][TOP_LINE_MAX];
    LiveReport report;
    int error = live_report_fetch(source, &report);

    if (error && !named && recorder_client_is_gone(error))
        return CLI_OK;
    if (error) {
        live_report_explain("status", source, error);
        return CLI_FAILURE;
    }
    if (json) {
        report.json[strcspn(report.json, "\n")] = '\0'; /* one line, as the recorder writes it */
        puts(report.json);
    } else {
        top_view_header(report.snapshot, &report.latency, header);
        printf("recorder %s\n", source->path);
        for (size_t i = 0; i < TOP_HEADER_LINES; i++)
            printf("  %s\n", header[i]);
        print_kernel(report.snapshot);
    }
    live_report_fini(&report);
    return CLI_OK;
}

/* ---- the service ------------------------------------------------------------------------------ */

/* What control_ask() says; `session` NULL: of all. */
static int ask_service(const char *path, const char *session, ControlAnswer *answer)
{
    ControlQuestion question;
    int error = control_question_begin(&question, "status");

    *answer = (ControlAnswer){0};
    if (error)
        return error;
    if (session)
        json_string(&question.json, "session", session);
    return control_ask(path, &question, answer);
}

static int print_sessions(const cJSON *result, bool with_service, bool json)
{
    const cJSON *session;

    if (json) {
        if (service_view_json(result))
            return CLI_OK;
        cli_error("status", "out of memory");
        return CLI_FAILURE;
    }
    if (with_service)
        service_view_service(cJSON_GetObjectItemCaseSensitive(result, "service"));
    cJSON_ArrayForEach(session, cJSON_GetObjectItemCaseSensitive(result, "sessions"))
    {
        service_view_session(session);
    }
    return CLI_OK;
}

static int status_of_session(const LiveSource *source, bool json)
{
    ControlAnswer answer;
    int error = ask_service(source->path, source->session, &answer);
    int status = CLI_FAILURE;

    if (error)
        control_explain("status", source->path, error, &answer);
    else
        status = print_sessions(answer.result, false, json);
    control_answer_fini(&answer);
    return status;
}

/* Where none is expected, none is missed. *runs: it was there. */
static int status_of_service(const char *socket, bool json, bool *runs)
{
    const char *path = control_socket_path(socket);
    ControlAnswer answer;
    int error = ask_service(path, NULL, &answer);
    int status = CLI_OK;

    *runs = error == 0;
    if (!error) {
        status = print_sessions(answer.result, true, json);
    } else if (!control_no_service(error) || control_socket_is_chosen(socket)) {
        control_explain("status", path, error, &answer);
        status = CLI_FAILURE;
    }
    control_answer_fini(&answer);
    return status;
}

static int status_of_all(const char *socket, bool json)
{
    char(*paths)[RECORDER_PATH_MAX] = NULL;
    bool service_runs = false;
    size_t count = 0;
    int status = status_of_service(socket, json, &service_runs);
    int error = recorder_client_list(&paths, &count);

    if (error) {
        cli_error("status", "cannot look for recordings in /proc/net/unix: %s", strerror(-error));
        return CLI_FAILURE;
    }
    if (count == 0 && !service_runs && !json)
        puts("no recording runs");
    for (size_t i = 0; i < count; i++) {
        LiveSource source = {0};

        memcpy(source.path, paths[i], RECORDER_PATH_MAX);
        if (print_recording(&source, false, json) != CLI_OK)
            status = CLI_FAILURE;
    }
    free(paths);
    return status;
}

static int status_of_one(const LiveWish *wish, bool json)
{
    LiveSource source;
    int status = live_report_choose("status", wish, &source);

    if (status != CLI_OK)
        return status;
    return source.session[0] ? status_of_session(&source, json) : print_recording(&source, true, json);
}

int cmd_status(int argc, char **argv)
{
    enum { OPTION_JSON = 256, OPTION_SOCKET };
    static const struct option names[] = {{"pid", required_argument, NULL, 'p'},
                                          {"json", no_argument, NULL, OPTION_JSON},
                                          {"socket", required_argument, NULL, OPTION_SOCKET},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    LiveWish wish = {0};
    bool json = false;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":p:h", names, NULL)) != -1) {
        switch (option) {
        case 'p':
            if (parse_u64(optarg, 1, INT32_MAX, &wish.pid) != 0)
                return cli_usage_error("status", "--pid '%s' is not the number of a process", optarg);
            break;
        case OPTION_JSON:
            json = true;
            break;
        case OPTION_SOCKET:
            wish.socket = optarg;
            break;
        case 'h':
            fputs(status_usage, stdout);
            return cli_end_output("status", CLI_OK);
        default:
            return cli_option_error("status", option, argv);
        }
    }
    wish.session = optind < argc ? argv[optind++] : NULL;
    if (optind < argc)
        return cli_usage_error("status", "unexpected '%s'", argv[optind]);
    if (wish.session && wish.pid != 0)
        return cli_usage_error("status", "give a session or --pid, not both");
    cli_begin_output();
    if (wish.session || wish.pid != 0)
        return cli_end_output("status", status_of_one(&wish, json));
    return cli_end_output("status", status_of_all(wish.socket, json));
}
