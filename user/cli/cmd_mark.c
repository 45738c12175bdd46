/* SPDX-License-Identifier: MIT */
/* adatrace mark: asks the recorder of a process to keep the payloads around this moment. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/parse.h"
#include "user/cli/cli.h"
#include "user/cli/recorder_client.h"

static const char usage[] =
    "usage: adatrace mark -p PID\n"
    "Keeps the payloads of all threads of a process that is recorded or attached to: those that their\n"
    "rings hold now, and those that follow, as ada_mark() in the program does.\n"
    "\n"
    "  -p, --pid PID  the process\n"
    "  -h, --help     print this\n";

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
    static const struct option options[] = {
        {"pid", required_argument, NULL, 'p'}, {"help", no_argument, NULL, 'h'}, {0}};
    uint64_t pid = 0;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":p:h", options, NULL)) != -1) {
        switch (option) {
        case 'p':
            if (parse_u64(optarg, 1, INT32_MAX, &pid) != 0)
                return cli_usage_error("mark", "--pid '%s' is not the number of a process", optarg);
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
    if (pid == 0)
        return cli_usage_error("mark", "no process given: use -p PID");
    return mark(pid);
}
