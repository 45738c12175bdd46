/* SPDX-License-Identifier: MIT */
/* adatrace record: runs a command and records it into a file. */
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
#include "user/cli/cli.h"
#include "user/cli/program.h"
#include "user/cli/recording.h"
#include "user/lane/clock.h"

#define PRELOAD_NAME "libadatrace-preload.so"
#define COMMAND_TEXT_SIZE 1024
/* More than most programs have: a slot that nobody takes costs address space only. */
#define RECORD_THREADS_DEFAULT 256

static const char usage[] =
    "usage: adatrace record [OPTION]... -- COMMAND [ARGUMENT]...\n"
    "Runs COMMAND and records what its threads do into a trace file.\n"
    "\n"
    "  -o, --output FILE       the trace file; must not exist yet\n"
    "                          (default: ./COMMAND-DATE-TIME.adat)\n"
    "      --preload GROUPS    record libc and pthread calls of a program that was not built\n"
    "                          for tracing: any of io,lock,thread,memory\n"
    "      --policy POLICY     when a thread's rings are full: discard its newest events\n"
    "                          (default), block it until there is room, overwrite its oldest\n"
    "      --detail MODE       keep payloads: around marks (marked, default), always, off\n"
    "      --threads N         threads traced at a time in one process: 1..4096 (default 256)\n"
    "      --ring-size BYTES   size of a ring, 4 of them per thread: 4K..64M, a multiple of 4K\n"
    "                          (default 64K)\n" RECORD_OPTIONS_USAGE "  -h, --help              print this\n"
    "\n"
    "The summary goes to standard error. The exit status is COMMAND's: 128+N if signal N ended it,\n"
    "127 if it was not found, 126 if it could not be run; 2 for wrong usage; 1 if recording failed.\n";

typedef struct CommandOptions {
    RecordOptions common;
    const char *preload_groups;
    SegmentConfig segment;
    char **argv; /* the command */
} CommandOptions;

/* ---- options ---------------------------------------------------------------------------------- */

static bool parse_name(const char *text, const char *const *names, uint32_t count, uint32_t *value_out)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(text, names[i]) == 0) {
            *value_out = i;
            return true;
        }
    }
    return false;
}

static const char *const policy_names[] = {"discard", "block", "overwrite"};
_Static_assert(sizeof(policy_names) / sizeof(policy_names[0]) == ADA_POLICY_COUNT, "a name for each policy");

static const char *const detail_names[] = {"marked", "always", "off"};
_Static_assert(sizeof(detail_names) / sizeof(detail_names[0]) == ADA_DETAIL_COUNT, "a name for each mode");

static const char *const group_names[] = {"io", "lock", "thread", "memory"};
#define GROUP_COUNT (sizeof(group_names) / sizeof(group_names[0]))

static bool groups_are_valid(const char *groups)
{
    while (*groups) {
        size_t length = strcspn(groups, ",");
        bool known = false;

        for (size_t i = 0; i < GROUP_COUNT; i++)
            known = known || (strlen(group_names[i]) == length && memcmp(groups, group_names[i], length) == 0);
        if (!known)
            return false;
        groups += length;
        if (*groups == ',' && *++groups == '\0')
            return false;
    }
    return true;
}

enum {
    OPTION_PRELOAD = RECORD_OPTION_OWN,
    OPTION_POLICY,
    OPTION_DETAIL,
    OPTION_THREADS,
    OPTION_RING_SIZE,
};

static int apply_option(CommandOptions *options, int option, const char *argument)
{
    uint64_t number = 0;

    switch (option) {
    case OPTION_PRELOAD:
        options->preload_groups = argument;
        if (!*argument || !groups_are_valid(argument))
            return cli_usage_error(
                "record", "unknown group in --preload '%s': use any of io,lock,thread,memory", argument);
        return 0;
    case OPTION_POLICY:
        if (!parse_name(argument, policy_names, ADA_POLICY_COUNT, &options->segment.policy))
            return cli_usage_error("record", "unknown policy '%s': use discard, block or overwrite", argument);
        return 0;
    case OPTION_DETAIL:
        if (!parse_name(argument, detail_names, ADA_DETAIL_COUNT, &options->segment.detail))
            return cli_usage_error("record", "unknown detail mode '%s': use marked, always or off", argument);
        return 0;
    case OPTION_THREADS:
        if (parse_u64(argument, 1, ADA_THREADS_MAX, &number) != 0)
            return cli_usage_error("record", "--threads '%s' is not a number from 1 to %u", argument,
                                   ADA_THREADS_MAX);
        options->segment.threads = (uint32_t)number;
        return 0;
    case OPTION_RING_SIZE:
        if (parse_bytes(argument, ADA_RING_BYTES_MIN, ADA_RING_BYTES_MAX, &number) != 0 ||
            number % ADA_PAGE != 0)
            return cli_usage_error("record", "--ring-size '%s' is not a multiple of 4K from 4K to 64M",
                                   argument);
        options->segment.ring_bytes = (uint32_t)number;
        return 0;
    default:
        return record_options_apply(&options->common, option, argument);
    }
}

/* 0: go on; else one more than the exit status. */
static int parse_options(int argc, char **argv, CommandOptions *options)
{
    static const struct option long_options[] = {
        RECORD_OPTIONS_LONG,
        {"preload", required_argument, NULL, OPTION_PRELOAD},
        {"policy", required_argument, NULL, OPTION_POLICY},
        {"detail", required_argument, NULL, OPTION_DETAIL},
        {"threads", required_argument, NULL, OPTION_THREADS},
        {"ring-size", required_argument, NULL, OPTION_RING_SIZE},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    record_options_init(&options->common, "record");
    segment_config_init(&options->segment);
    options->segment.threads = RECORD_THREADS_DEFAULT;
    options->segment.clock_kind = ada_clock_detect();
    opterr = 0;
    while ((option = getopt_long(argc, argv, "+:o:h", long_options, NULL)) != -1) {
        int status;

        if (option == 'h') {
            fputs(usage, stdout);
            return 1 + cli_end_output("record", CLI_OK);
        }
        if (option == '?' || option == ':')
            return 1 + cli_option_error("record", option, argv);
        status = apply_option(options, option, optarg);
        if (status)
            return 1 + status;
    }
    options->argv = argv + optind;
    if (!options->argv[0])
        return 1 + cli_usage_error("record", "no command to record: give one after '--'");
    if (options->common.rules.count > 0 && options->segment.detail == ADA_DETAIL_OFF)
        return 1 + cli_usage_error("record",
                                   "--mark keeps payloads, and --detail off records none: drop one of them");
    if (record_options_check(&options->common) != CLI_OK)
        return 1 + CLI_USAGE;
    return 0;
}

/* ---- preloading ------------------------------------------------------------------------------- */

/* Where libadatrace-preload.so is: beside the command in a build tree, else where it was installed. */
static bool find_preload(char path[PATH_MAX])
{
    char own[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
    char *slash;

    if (length > 0) {
        own[length] = '\0';
        slash = strrchr(own, '/');
        if (slash) {
            *slash = '\0';
            if (snprintf(path, PATH_MAX, "%s/%s", own, PRELOAD_NAME) < PATH_MAX && access(path, R_OK) == 0)
                return true;
            if (snprintf(path, PATH_MAX, "%s/%s/%s", own, ADA_LIBDIR_FROM_BINDIR, PRELOAD_NAME) < PATH_MAX &&
                access(path, R_OK) == 0)
                return true;
        }
    }
    return snprintf(path, PATH_MAX, "%s/%s", ADA_LIBDIR, PRELOAD_NAME) < PATH_MAX && access(path, R_OK) == 0;
}

/* ---- running ---------------------------------------------------------------------------------- */

static void format_command(char *const *argv, char text[COMMAND_TEXT_SIZE])
{
    size_t at = 0;

    text[0] = '\0';
    for (size_t i = 0; argv[i] && at < COMMAND_TEXT_SIZE; i++) {
        int length = snprintf(text + at, COMMAND_TEXT_SIZE - at, "%s%s", i ? " " : "", argv[i]);

        at += length > 0 ? (size_t)length : 0;
    }
}

static int exit_status_of(ProcessEnd end)
{
    return end.kind == ADAT_DEATH_SIGNAL ? 128 + end.code : end.code;
}

/* Why a recording may have turned out empty. */
static void explain_nothing(const CommandOptions *options)
{
    const char *name = options->argv[0];
    ProgramKind kind;

    if (program_inspect(name, &kind) != 0)
        return;
    if (kind.changes_user && options->preload_groups)
        cli_error(
            "record",
            "'%s' changes its user when it starts, so nothing can be preloaded into it: no process was traced",
            name);
    else if (kind.elf && !kind.dynamic)
        cli_error("record",
                  "'%s' is linked statically, so nothing can be preloaded into it: no process was traced",
                  name);
    else if (!options->preload_groups)
        cli_error(
            "record",
            "no process used libadatrace: to record a program that was not built for it, add --preload io,lock,thread");
}

/* False: it cannot be had, which was said. */
static bool choose_preload(char preload[PATH_MAX])
{
    if (!find_preload(preload)) {
        cli_error("record",
                  "cannot find %s, neither beside this command nor in %s: install adatrace completely",
                  PRELOAD_NAME, ADA_LIBDIR);
        return false;
    }
    if (strpbrk(preload, " :")) {
        cli_error("record", "cannot preload '%s': the dynamic linker takes no path with a blank or a colon",
                  preload);
        return false;
    }
    return true;
}

static int record(const CommandOptions *options, RecordingOutput *output)
{
    char command[COMMAND_TEXT_SIZE];
    char preload[PATH_MAX];
    char threads[16], ring_size[16];
    struct utsname host;
    const char *strings[] = {
        "host",      host.nodename,
        "kernel",    host.release,
        "adatrace",  ADA_VERSION,
        "command",   command,
        "policy",    policy_names[options->segment.policy],
        "detail",    detail_names[options->segment.detail],
        "threads",   threads,
        "ring_size", ring_size,
        NULL,
    };
    RecorderConfig config = {
        .argv = options->argv,
        .segment = options->segment,
        .strings = strings,
        .preload_groups = options->preload_groups,
    };
    RecordSummary summary;
    Recorder *recorder;
    int status;

    if (uname(&host) < 0)
        memset(&host, 0, sizeof(host));
    format_command(options->argv, command);
    (void)snprintf(threads, sizeof(threads), "%u", options->segment.threads);
    (void)snprintf(ring_size, sizeof(ring_size), "%u", options->segment.ring_bytes);
    if (options->preload_groups) {
        if (!choose_preload(preload)) {
            recording_drop_output(&options->common, output);
            return CLI_FAILURE;
        }
        config.preload_library = preload;
    }

    status = recording_run(&options->common, &config, output, &recorder);
    if (status != CLI_OK)
        return status;
    summary = (RecordSummary){.path = options->common.output,
                              .command = command,
                              .exit_status = exit_status_of(recorder_command_end(recorder))};
    recorder_result(recorder, &summary.result);
    recording_print(&options->common, &summary);
    if (summary.result.threads == 0)
        explain_nothing(options);
    recorder_destroy(recorder);
    if (!recording_finish_output(&options->common, output, summary.result.closed))
        summary.result.closed = false;
    if (!summary.result.closed && summary.exit_status == 0)
        return CLI_FAILURE;
    return summary.exit_status;
}

int cmd_record(int argc, char **argv)
{
    CommandOptions options = {0};
    char chosen[PATH_MAX];
    int status = parse_options(argc, argv, &options);
    RecordingOutput output;

    if (status) {
        status--;
        goto out;
    }
    record_options_choose_output(&options.common, options.argv[0], chosen, sizeof(chosen));
    status = CLI_FAILURE;
    if (recording_create_output(&options.common, &output))
        status = record(&options, &output);
out:
    record_options_fini(&options.common);
    return status;
}
