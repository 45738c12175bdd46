/* SPDX-License-Identifier: MIT */
/* adatrace attach: records processes that run already into a file, and leaves them as they were. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "user/base/parse.h"
#include "user/cli/attach_service.h"
#include "user/cli/cli.h"
#include "user/cli/recording.h"
#include "user/collector/attach_explain.h"

#define DURATION_MIN_NS 1000000ull
#define DURATION_MAX_NS (365ull * 86400 * 1000000000)
#define PIDS_MAX 1024u

static const char usage[] =
    "usage: adatrace attach {-p PID[,PID]... | --discover CONDITION}... [OPTION]...\n"
    "Records what the threads of running processes do, from now on, into a trace file. They must use\n"
    "libadatrace. At the end, or when this command is interrupted, they go on as before.\n"
    "\n"
    "  -p, --pid PID[,PID]...  the processes; may be repeated\n"
    "  -o, --output FILE       the trace file; must not exist yet\n"
    "                          (default: ./PROGRAM-DATE-TIME.adat)\n"
    "      --duration TIME     end after that time: 10s, 1.5s, 500ms (default: when the processes have\n"
    "                          ended, or this command is interrupted)\n"
    "      --discover COND[,COND]...\n"
    "                          record also all processes of which this is so, that run or will run:\n"
    "                          name=GLOB, user=NAME, cgroup=GLOB, all: it uses libadatrace; may be\n"
    "                          repeated\n"
    "      --children          record also the processes that they start, as far as they use\n"
    "                          libadatrace\n"
    "      --service           let the service, adatraced, record them, in a session of its own: prints its\n"
    "                          name and directory, and returns; 'adatrace stop NAME' ends it\n"
    "      --name NAME         with --service: how the session is called\n"
    "      --socket PATH       where the service listens (default: $ADATRACE_CONTROL, or\n"
    "                          /run/adatrace/control.sock)\n" RECORD_OPTIONS_USAGE
    "  -h, --help              print this\n"
    "\n"
    "The summary goes to standard error. The exit status is 0; 2 for wrong usage; 1 if a process could\n"
    "not be attached to, or recording failed.\n";

typedef struct AttachOptions {
    RecordOptions common;
    PidList pids;
    DiscoverRules discover;
    uint64_t duration_ns;
    bool with_children;
    AttachService service;
} AttachOptions;

/* ---- options ---------------------------------------------------------------------------------- */

enum {
    OPTION_DURATION = RECORD_OPTION_OWN,
    OPTION_CHILDREN,
    OPTION_DISCOVER,
    OPTION_SERVICE,
    OPTION_NAME,
    OPTION_SOCKET
};

/* "12,34": CLI_OK, or CLI_USAGE with the error said. */
static int add_pids(PidList *pids, const char *list)
{
    const char *at = list;

    for (;;) {
        size_t length = strcspn(at, ",");
        char number[16];
        uint64_t pid;

        if (length == 0)
            return cli_usage_error("attach", "--pid '%s': a number is missing at character %zu", list,
                                   (size_t)(at - list) + 1);
        if (length < sizeof(number)) {
            memcpy(number, at, length);
            number[length] = '\0';
        }
        if (length >= sizeof(number) || parse_u64(number, 1, INT32_MAX, &pid) != 0)
            return cli_usage_error("attach", "--pid '%s': '%.*s' is not the number of a process", list,
                                   (int)length, at);
        if (pids->count == PIDS_MAX)
            return cli_usage_error("attach", "--pid: more than %u processes", PIDS_MAX);
        if (pid_list_add(pids, (pid_t)pid) != 0) {
            cli_error("attach", "out of memory");
            return CLI_FAILURE;
        }
        if (at[length] == '\0')
            return CLI_OK;
        at += length + 1;
    }
}

/* CLI_OK, or the exit status with the error said. */
static int add_discovery(DiscoverRules *rules, const char *text)
{
    const char *why;

    switch (discover_rules_add(rules, text, &why)) {
    case 0:
        return CLI_OK;
    case -EINVAL:
        return cli_usage_error("attach", "--discover '%s': %s", text, why);
    default:
        cli_error("attach", "out of memory");
        return CLI_FAILURE;
    }
}

static int apply_option(AttachOptions *options, int option, const char *argument)
{
    switch (option) {
    case 'p':
        return add_pids(&options->pids, argument);
    case OPTION_DURATION:
        if (parse_duration(argument, DURATION_MIN_NS, DURATION_MAX_NS, &options->duration_ns) != 0)
            return cli_usage_error(
                "attach", "--duration '%s' is not a time from 1ms to a year, as 10s or 500ms", argument);
        return CLI_OK;
    case OPTION_DISCOVER:
        return add_discovery(&options->discover, argument);
    case OPTION_CHILDREN:
        options->with_children = true;
        return CLI_OK;
    case OPTION_SERVICE:
        options->service.wanted = true;
        return CLI_OK;
    case OPTION_NAME:
        options->service.name = argument;
        return CLI_OK;
    case OPTION_SOCKET:
        options->service.socket = argument;
        return CLI_OK;
    default:
        return record_options_apply(&options->common, option, argument);
    }
}

/* The service judges options as its configuration: it gets them as they are. */
static void note_for_service(AttachService *service, const struct option *names, int option,
                             const char *argument)
{
    while (names->val != option)
        names++;
    if (option == RECORD_OPTION_JSON)
        service->json = true;
    else if (option != 'p' && option != OPTION_SERVICE && option != OPTION_NAME && option != OPTION_SOCKET)
        attach_service_note(service, names->name, argument);
}

/* 0: go on; else one more than the exit status. */
static int parse_options(int argc, char **argv, AttachOptions *options)
{
    static const struct option long_options[] = {
        RECORD_OPTIONS_LONG,
        {"pid", required_argument, NULL, 'p'},
        {"duration", required_argument, NULL, OPTION_DURATION},
        {"children", no_argument, NULL, OPTION_CHILDREN},
        {"discover", required_argument, NULL, OPTION_DISCOVER},
        {"service", no_argument, NULL, OPTION_SERVICE},
        {"name", required_argument, NULL, OPTION_NAME},
        {"socket", required_argument, NULL, OPTION_SOCKET},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    record_options_init(&options->common, "attach");
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":o:p:h", long_options, NULL)) != -1) {
        int status;

        if (option == 'h') {
            fputs(usage, stdout);
            return 1 + cli_end_output("attach", CLI_OK);
        }
        if (option == '?' || option == ':')
            return 1 + cli_option_error("attach", option, argv);
        status = apply_option(options, option, optarg);
        if (status)
            return 1 + status;
        note_for_service(&options->service, long_options, option, optarg);
    }
    if (optind < argc)
        return 1 + cli_usage_error("attach", "unexpected '%s': processes are given with -p", argv[optind]);
    if (options->pids.count == 0 && options->discover.count == 0)
        return 1 + cli_usage_error("attach", "no process given: use -p PID, or --discover name=PROGRAM");
    if ((options->service.name || options->service.socket) && !options->service.wanted)
        return 1 + cli_usage_error("attach",
                                   "--name and --socket are for sessions of the service: add --service");
    if (options->service.wanted)
        return 0;
    if (record_options_check(&options->common) != CLI_OK)
        return 1 + CLI_USAGE;
    return 0;
}

/* ---- processes -------------------------------------------------------------------------------- */

static void close_targets(AttachTarget *targets, size_t count)
{
    for (size_t i = 0; targets && i < count; i++)
        attach_close(&targets[i]);
    free(targets);
}

/* Opens all, or none. NULL: the error was said. */
static AttachTarget *open_targets(const PidList *pids, bool bare)
{
    AttachTarget *targets = calloc(pids->count + 1, sizeof(*targets));
    AttachFailure failure;
    AttachExplanation why;

    if (!targets) {
        cli_error("attach", "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < pids->count; i++) {
        if (attach_open(pids->items[i], bare, &targets[i], &failure) == 0)
            continue;
        attach_explain(pids->items[i], &failure, &why);
        cli_error("attach", "%s", why.text);
        for (size_t k = 0; k < i; k++)
            attach_close(&targets[k]);
        free(targets);
        return NULL;
    }
    return targets;
}

/* ---- running ---------------------------------------------------------------------------------- */

static void on_attached(void *context)
{
    const AttachOptions *options = context;

    if (options->common.json || !isatty(STDERR_FILENO))
        return;
    cli_error("attach", "recording %zu process%s%s into '%s'%s", options->pids.count,
              options->pids.count == 1 ? "" : "es",
              options->discover.count > 0 ? ", and all that are discovered," : "", options->common.output,
              options->duration_ns ? "" : "; interrupt to end");
}

/* "adatrace attach -p 12,34", as much as there is room for. */
static void format_command(const PidList *pids, char *text, size_t size)
{
    int length = snprintf(text, size, "adatrace attach -p ");
    size_t at = length > 0 ? (size_t)length : 0;

    for (size_t i = 0; i < pids->count && at < size; i++) {
        length = snprintf(text + at, size - at, "%s%d", i ? "," : "", (int)pids->items[i]);
        at += length > 0 ? (size_t)length : 0;
    }
}

static int record(AttachOptions *options, AttachTarget *targets, RecordingOutput *output)
{
    char command[512];
    struct utsname host;
    const char *strings[] = {
        "host", host.nodename, "kernel", host.release, "adatrace", ADA_VERSION, "command", command, NULL,
    };
    RecorderConfig config = {
        .strings = strings,
        .targets = targets,
        .target_count = options->pids.count,
        .with_children = options->with_children,
        .discover = options->discover.count > 0 ? &options->discover : NULL,
        .duration_ns = options->duration_ns,
        .on_attached = on_attached,
        .context = options,
    };
    RecordSummary summary;
    Recorder *recorder;
    int status;

    if (uname(&host) < 0)
        memset(&host, 0, sizeof(host));
    format_command(&options->pids, command, sizeof(command));
    status = recording_run(&options->common, &config, output, &recorder);
    if (status != CLI_OK)
        return status;
    summary = (RecordSummary){.path = options->common.output, .command = command, .attached = true};
    recorder_result(recorder, &summary.result);
    recording_print(&options->common, &summary);
    recorder_destroy(recorder);
    if (!recording_finish_output(&options->common, output, summary.result.closed))
        summary.result.closed = false;
    return summary.result.closed ? CLI_OK : CLI_FAILURE;
}

int cmd_attach(int argc, char **argv)
{
    AttachOptions options = {0};
    AttachTarget *targets = NULL;
    char chosen[PATH_MAX];
    int status = parse_options(argc, argv, &options);
    RecordingOutput output;

    if (status) {
        status--;
        goto out;
    }
    if (options.service.wanted) {
        status = attach_service_run(&options.service, &options.pids);
        goto out;
    }
    status = CLI_FAILURE;
    targets = open_targets(&options.pids, record_options_see_kernel(&options.common));
    if (!targets)
        goto out;
    record_options_choose_output(&options.common,
                                 options.pids.count > 0 ? targets[0].identity.name : "discovered", chosen,
                                 sizeof(chosen));
    if (recording_create_output(&options.common, &output))
        status = record(&options, targets, &output);
out:
    close_targets(targets, options.pids.count);
    pid_list_fini(&options.pids);
    discover_rules_fini(&options.discover);
    record_options_fini(&options.common);
    return status;
}
