/* SPDX-License-Identifier: MIT */
/* adatrace mark: asks the recorder of a process to keep the payloads around this moment. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/parse.h"
#include "user/cli/cli.h"
#include "user/cli/recorder_client.h"
#if ADA_HAVE_CONTROL
#include "user/cli/control_client.h"
#endif

static const char usage[] =
    "usage: adatrace mark {-p PID | --session NAME} [--socket PATH]\n"
    "Keeps the payloads of all threads of a process that is recorded or attached to: those that their\n"
    "rings hold now, and those that follow, as ada_mark() in the program does.\n"
    "\n"
    "  -p, --pid PID       the process\n"
    "      --session NAME  all processes of a session of the service, adatraced\n"
    "      --socket PATH   where the service listens (default: $ADATRACE_CONTROL, or\n"
    "                      /run/adatrace/control.sock)\n"
    "  -h, --help          print this\n";

/* What is to be marked. */
typedef struct MarkOptions {
    uint64_t pid;        /* 0: it is a session */
    const char *session; /* NULL: it is a process */
    const char *socket;
} MarkOptions;

/* ---- by the service --------------------------------------------------------------------------- */

/* The exit status, with the error said; -1: the service does not record that process, or there is none. */
static int mark_by_service(const MarkOptions *options)
{
#if ADA_HAVE_CONTROL
    const char *path = control_socket_path(options->socket);
    ControlAnswer answer = {0};
    ControlQuestion question;
    int error = control_question_begin(&question, "mark");
    bool elsewhere;

    if (!error) {
        if (options->session)
            json_string(&question.json, "session", options->session);
        else
            json_u64(&question.json, "pid", options->pid);
        error = control_ask(path, &question, &answer);
    }
    elsewhere =
        !options->session && ((control_no_service(error) && !control_socket_is_chosen(options->socket)) ||
                              control_refused(error, &answer, ADA_CONTROL_NOT_FOUND));
    if (error && !elsewhere)
        control_explain("mark", path, error, &answer);
    control_answer_fini(&answer);
    return elsewhere ? -1 : error ? CLI_FAILURE : CLI_OK;
#else
    if (!options->session && !options->socket)
        return -1;
    cli_error("mark", "this adatrace was built without libcjson: install that and build it again");
    return CLI_FAILURE;
#endif
}

/* ---- by a recorder ---------------------------------------------------------------------------- */

/* 0: marked; -ESRCH: the recorder does not know the process; -errno of talking to it. */
static int ask_recorder(const char *path, uint64_t pid)
{
    AnnounceMessage answer;
    int error = recorder_client_ask(path, ADA_ANNOUNCE_MARK, (uint32_t)pid, &answer, NULL);

    if (!error && answer.type != ADA_ANNOUNCE_MARKED)
        error = -EACCES;
    return !error && answer.pid == 0 ? -ESRCH : error;
}

/* A process that was attached to does not name its recorder: asks all of them. True: one has marked it. */
static bool ask_all(uint64_t pid)
{
    char(*paths)[RECORDER_PATH_MAX] = NULL;
    size_t count = 0;
    bool marked = false;

    if (recorder_client_list(&paths, &count) != 0)
        return false;
    for (size_t i = 0; i < count && !marked; i++)
        marked = ask_recorder(paths[i], pid) == 0;
    free(paths);
    return marked;
}

static int mark(uint64_t pid)
{
    unsigned long long number = pid;
    char path[RECORDER_PATH_MAX];
    int error = recorder_client_find(pid, path);

    if (error == -ENODATA && ask_all(pid))
        return CLI_OK;
    if (error) {
        recorder_client_explain("mark", pid, error);
        return CLI_FAILURE;
    }
    error = ask_recorder(path, pid);
    if (!error)
        return CLI_OK;
    if (error == -ESRCH)
        cli_error("mark", "the recorder at '%s' does not know process %llu: it has recorded nothing yet",
                  path, number);
    else if (recorder_client_is_gone(error))
        cli_error("mark", "the recorder of process %llu is gone: nothing records it any more", number);
    else
        cli_error("mark", "cannot ask the recorder of process %llu at '%s': %s", number, path,
                  strerror(-error));
    return CLI_FAILURE;
}

int cmd_mark(int argc, char **argv)
{
    enum { OPTION_SESSION = 256, OPTION_SOCKET };
    static const struct option names[] = {{"pid", required_argument, NULL, 'p'},
                                          {"session", required_argument, NULL, OPTION_SESSION},
                                          {"socket", required_argument, NULL, OPTION_SOCKET},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    MarkOptions options = {0};
    int option, status;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":p:h", names, NULL)) != -1) {
        switch (option) {
        case 'p':
            if (parse_u64(optarg, 1, INT32_MAX, &options.pid) != 0)
                return cli_usage_error("mark", "--pid '%s' is not the number of a process", optarg);
            break;
        case OPTION_SESSION:
            options.session = optarg;
            break;
        case OPTION_SOCKET:
            options.socket = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return cli_end_output("mark", CLI_OK);
        default:
            return cli_option_error("mark", option, argv);
        }
    }
    if (optind < argc)
        return cli_usage_error("mark", "unexpected '%s'", argv[optind]);
    if (options.pid == 0 && !options.session)
        return cli_usage_error("mark", "no process given: use -p PID");
    if (options.pid != 0 && options.session)
        return cli_usage_error("mark", "give --pid or --session, not both");
    status = mark_by_service(&options);
    return status >= 0 ? status : mark(options.pid);
}
