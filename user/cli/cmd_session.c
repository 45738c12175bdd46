/* SPDX-License-Identifier: MIT */
/* adatrace start, stop, detach, rotate, snapshot: what is done to one session of the service. */
#include <getopt.h>
#include <string.h>

#include "user/base/parse.h"
#include "user/cli/cli.h"
#include "user/cli/control_client.h"
#include "user/cli/service_view.h"

typedef struct SessionCommand {
    const char *name;
    const char *what;
    bool takes_pid; /* instead of a session */
} SessionCommand;

static const SessionCommand commands[] = {
    {"start", "Starts a session of the service, adatraced.", false},
    {"stop", "Stops a session of the service, adatraced, and waits until its files are whole.", false},
    {"detach", "Ends the recording of a process by the service, adatraced, or of a whole session.", true},
    {"rotate", "Finishes the file that a session of the service is writing, and begins the next one.", false},
    {"snapshot", "Writes what a flight recorder, a session of the service, holds in memory.", false},
};

typedef struct SessionOptions {
    const char *socket;
    const char *session;
    uint64_t pid;
    bool json;
} SessionOptions;

static void print_usage(const SessionCommand *command)
{
    printf("usage: adatrace %s [OPTION]... %s\n"
           "%s\n"
           "\n"
           "%s"
           "      --json         one JSON object: the session as it is then\n"
           "      --socket PATH  where the service listens (default: $ADATRACE_CONTROL, or\n"
           "                     " ADA_CONTROL_SOCKET ")\n"
           "  -h, --help         print this\n",
           command->name, command->takes_pid ? "{-p PID | SESSION}" : "SESSION", command->what,
           command->takes_pid ? "  -p, --pid PID      the process\n" : "");
}

/* CLI_OK; CLI_USAGE with the error said; -1: help was printed. */
static int parse_options(const SessionCommand *command, int argc, char **argv, SessionOptions *options)
{
    enum { OPTION_JSON = 256, OPTION_SOCKET };
    static const struct option with_pid[] = {{"json", no_argument, NULL, OPTION_JSON},
                                             {"socket", required_argument, NULL, OPTION_SOCKET},
                                             {"help", no_argument, NULL, 'h'},
                                             {"pid", required_argument, NULL, 'p'},
                                             {0}};
    static const struct option without_pid[] = {{"json", no_argument, NULL, OPTION_JSON},
                                                {"socket", required_argument, NULL, OPTION_SOCKET},
                                                {"help", no_argument, NULL, 'h'},
                                                {0}};
    const struct option *names = command->takes_pid ? with_pid : without_pid;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, command->takes_pid ? ":p:h" : ":h", names, NULL)) != -1) {
        switch (option) {
        case OPTION_JSON:
            options->json = true;
            break;
        case OPTION_SOCKET:
            options->socket = optarg;
            break;
        case 'p':
            if (parse_u64(optarg, 1, INT32_MAX, &options->pid) != 0)
                return cli_usage_error(command->name, "--pid '%s' is not the number of a process", optarg);
            break;
        case 'h':
            print_usage(command);
            return -1;
        default:
            return cli_option_error(command->name, option, argv);
        }
    }
    options->session = optind < argc ? argv[optind++] : NULL;
    if (optind < argc)
        return cli_usage_error(command->name, "more than one session given: '%s'", argv[optind]);
    if (!options->session && options->pid == 0)
        return cli_usage_error(command->name, "no session given: 'adatrace list' has their names");
    if (options->session && options->pid != 0)
        return cli_usage_error(command->name, "give a process or a session, not both");
    return CLI_OK;
}

/* For people: one line. */
static void print_result(const cJSON *result)
{
    const cJSON *session = cJSON_GetObjectItemCaseSensitive(result, "session");
    const cJSON *file = cJSON_GetObjectItemCaseSensitive(result, "file");

    fputs("session ", stdout);
    service_view_text(cJSON_GetObjectItemCaseSensitive(session, "name"));
    fputs(": ", stdout);
    service_view_text(cJSON_GetObjectItemCaseSensitive(session, "state"));
    if (cJSON_IsString(file)) {
        fputs(", file ", stdout);
        service_view_text(file);
    } else {
        fputs(", files in ", stdout);
        service_view_text(cJSON_GetObjectItemCaseSensitive(session, "directory"));
    }
    putchar('\n');
}

static int run(const SessionCommand *command, const SessionOptions *options)
{
    const char *path = control_socket_path(options->socket);
    ControlAnswer answer = {0};
    ControlQuestion question;
    int error = control_question_begin(&question, command->name);
    int status = CLI_OK;

    if (!error) {
        if (options->session)
            json_string(&question.json, "session", options->session);
        else
            json_u64(&question.json, "pid", options->pid);
        error = control_ask(path, &question, &answer);
    }
    if (error) {
        control_explain(command->name, path, error, &answer);
        status = CLI_FAILURE;
    } else if (!options->json) {
        print_result(answer.result);
    } else if (!service_view_json(answer.result)) {
        cli_error(command->name, "out of memory");
        status = CLI_FAILURE;
    }
    control_answer_fini(&answer);
    return status;
}

int cmd_session(int argc, char **argv)
{
    const SessionCommand *command = commands;
    SessionOptions options = {0};
    int status;

    while (strcmp(command->name, argv[0]) != 0)
        command++;
    status = parse_options(command, argc, argv, &options);
    if (status > 0)
        return status;
    cli_begin_output();
    if (status == CLI_OK)
        status = run(command, &options);
    return cli_end_output(command->name, status < 0 ? CLI_OK : status);
}
