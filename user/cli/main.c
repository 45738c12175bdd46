/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "user/cli/cli.h"

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *what;
} commands[] = {
    {"record", cmd_record, "run a command and record what its threads do"},
    {"attach", cmd_attach, "record processes that run already"},
    {"mark", cmd_mark, "keep the payloads of a recorded process around this moment"},
#if ADA_HAVE_CONTROL
    {"list", cmd_list, "list the sessions of the service"},
    {"start", cmd_session, "start a session of the service"},
    {"stop", cmd_session, "stop a session of the service"},
    {"detach", cmd_session, "end the recording of a process by the service"},
    {"rotate", cmd_session, "begin the next file of a session of the service"},
    {"snapshot", cmd_session, "write what a flight recorder of the service holds"},
#endif
#if ADA_HAVE_LIVE
    {"status", cmd_status, "say how the recordings that run fare"},
    {"top", cmd_top, "show what the threads of a running recording do"},
#endif
    {"info", cmd_info, "show what a trace holds: threads, counts, losses"},
    {"dump", cmd_dump, "print the events of a trace in the order of time"},
    {"report", cmd_report, "sum up a trace: functions, spans, threads, waits"},
    {"diff", cmd_diff, "say what differs between two traces"},
    {"view", cmd_view, "write a page with a timeline of a trace, for a browser"},
    {"export", cmd_export, "convert a trace for other tools: CTF, Perfetto, Chrome, JSON, CSV"},
    {"verify", cmd_verify, "check a trace"},
};

/* Commands that this build may lack, and what it was built without. */
#if !ADA_HAVE_CONTROL || !ADA_HAVE_LIVE
static const struct {
    const char *name;
    const char *libraries;
} missing[] = {
#if !ADA_HAVE_CONTROL
    {"list", "libcjson"},
    {"start", "libcjson"},
    {"stop", "libcjson"},
    {"detach", "libcjson"},
    {"rotate", "libcjson"},
    {"snapshot", "libcjson"},
#endif
#if !ADA_HAVE_LIVE
    {"status", "libcjson and libncurses"},
    {"top", "libcjson and libncurses"},
#endif
};
#endif

static void print_help(void)
{
    printf("usage: adatrace COMMAND [OPTION]... [ARG]...\n"
           "Records what every thread of a program does.\n\n");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        printf("  %-8s %s\n", commands[i].name, commands[i].what);
    printf("\n"
           "'adatrace COMMAND --help' explains a command.\n"
           "  -h, --help     show this\n"
           "  -V, --version  show the version\n");
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return cli_usage_error(NULL, "no command given");
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help();
        return cli_end_output(NULL, CLI_OK);
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("adatrace %s\n", ADA_VERSION);
        return cli_end_output(NULL, CLI_OK);
    }
    if (argv[1][0] == '-')
        return cli_usage_error(NULL, "unknown option '%s'", argv[1]);
#if !ADA_HAVE_CONTROL || !ADA_HAVE_LIVE
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
        if (strcmp(argv[1], missing[i].name) == 0) {
            cli_error(argv[1], "this adatrace was built without %s: install that and build it again",
                      missing[i].libraries);
            return CLI_FAILURE;
        }
    }
#endif
    return cli_usage_error(NULL, "unknown command '%s'", argv[1]);
}
