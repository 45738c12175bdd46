/* SPDX-License-Identifier: MIT */
/* adatrace record: runs a command and records it into a file. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "user/base/json.h"
#include "user/base/parse.h"
#include "user/cli/cli.h"
#include "user/cli/program.h"
#include "user/cli/summary.h"
#include "user/collector/recorder.h"
#include "user/lane/clock.h"

#define PRELOAD_NAME "libadatrace-preload.so"
#define COMMAND_TEXT_SIZE 1024
/* More than most programs have: a slot that nobody takes costs address space only. */
#define RECORD_THREADS_DEFAULT 256
/* The least is the window over which rates are taken. */
#define METRICS_INTERVAL_NS 1000000000ull
#define METRICS_INTERVAL_MIN_NS 100000000ull
#define METRICS_INTERVAL_MAX_NS 60000000000ull

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
    "                          (default 64K)\n"
    "      --scheduler NAME        how the recorder shares its time between threads: adaptive\n"
    "                          (default), round-robin, weighted, priority\n"
    "      --weight NAME=N     with --scheduler weighted: N times the share (1..1000) for threads\n"
    "                          whose name matches NAME, a pattern such as 'worker-*'; may be repeated\n"
    "      --mark RULE         keep the payloads around moments that RULE finds; may be repeated:\n"
    "                          event=NAME, 'span=NAME>10ms', 'NAME.FIELD==VALUE' (also != > >= < <=)\n"
    "      --metrics-file PATH write metrics there, as Prometheus text, replaced as a whole each time\n"
    "      --metrics-listen [ADDRESS:]PORT\n"
    "                          serve metrics by HTTP: /metrics, /metrics.json, and / for a browser;\n"
    "                          on loopback unless an address is given; port 0: one that is free\n"
    "      --metrics-interval TIME\n"
    "                          how often metrics are collected, also for 'adatrace top' and 'status':\n"
    "                          100ms to 60s (default 1s)\n"
    "      --no-bpf            do without kernel assistance: ends of threads are then found by asking\n"
    "      --json              print the summary as one JSON object\n"
    "  -h, --help              print this\n"
    "\n"
    "The summary goes to standard error. The exit status is COMMAND's: 128+N if signal N ended it,\n"
    "127 if it was not found, 126 if it could not be run; 2 for wrong usage; 1 if recording failed.\n";

typedef struct RecordOptions {
    const char *output; /* NULL: chosen */
    const char *preload_groups;
    SegmentConfig segment;
    enum drain_scheduler_kind scheduler;
    uint64_t metrics_interval_ns;
    const char *metrics_file; /* NULL: none */
    bool metrics_served;      /* at metrics_address */
    MetricsAddress metrics_address;
    MarkRules rules;
    WeightRules weights;
    bool no_bpf;
    bool json;
    char **argv; /* the command */
} RecordOptions;

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
    OPTION_PRELOAD = 256,
    OPTION_POLICY,
    OPTION_DETAIL,
    OPTION_THREADS,
    OPTION_RING_SIZE,
    OPTION_SCHEDULER,
    OPTION_WEIGHT,
    OPTION_MARK,
    OPTION_METRICS_INTERVAL,
    OPTION_METRICS_FILE,
    OPTION_METRICS_LISTEN,
    OPTION_NO_BPF,
    OPTION_JSON,
};

/* CLI_OK, or CLI_USAGE with the error said, and where in the rule it is. */
static int add_rule(MarkRules *rules, const char *text)
{
    MarkRuleError error;

    switch (mark_rules_add(rules, text, &error)) {
    case 0:
        return CLI_OK;
    case -EINVAL:
        return cli_usage_error("record", "--mark '%s': %s at character %zu", text, error.message,
                               error.position + 1);
    case -E2BIG:
        return cli_usage_error("record", "--mark '%s': more than %u rules", text, MARK_RULES_MAX);
    default:
        cli_error("record", "out of memory");
        return CLI_FAILURE;
    }
}

/* The same for --weight. */
static int add_weight(WeightRules *weights, const char *text)
{
    const char *why;

    switch (weight_rules_add(weights, text, &why)) {
    case 0:
        return CLI_OK;
    case -EINVAL:
        return cli_usage_error("record", "--weight '%s': %s", text, why);
    default:
        cli_error("record", "out of memory");
        return CLI_FAILURE;
    }
}

static int apply_option(RecordOptions *options, int option, const char *argument)
{
    uint64_t number = 0;

    switch (option) {
    case 'o':
        options->output = argument;
        return *argument ? 0 : cli_usage_error("record", "--output needs the name of a file");
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
    case OPTION_SCHEDULER:
        options->scheduler = drain_scheduler_kind_of(argument);
        if (options->scheduler == DRAIN_SCHEDULER_KINDS)
            return cli_usage_error(
                "record", "unknown scheduler '%s': use adaptive, round-robin, weighted or priority", argument);
        return 0;
    case OPTION_METRICS_FILE:
        if (!argument[0])
            return cli_usage_error("record", "--metrics-file needs the name of a file");
        options->metrics_file = argument;
        return 0;
    case OPTION_METRICS_LISTEN:
        if (metrics_address_parse(argument, &options->metrics_address) != 0)
            return cli_usage_error(
                "record", "--metrics-listen '%s' is not PORT, ADDRESS:PORT or [ADDRESS]:PORT, in numbers",
                argument);
        options->metrics_served = true;
        return 0;
    case OPTION_METRICS_INTERVAL:
        if (parse_duration(argument, METRICS_INTERVAL_MIN_NS, METRICS_INTERVAL_MAX_NS,
                           &options->metrics_interval_ns) != 0)
            return cli_usage_error("record", "--metrics-interval '%s' is not a time from 100ms to 60s",
                                   argument);
        return 0;
    case OPTION_WEIGHT:
        return add_weight(&options->weights, argument);
    case OPTION_MARK:
        return add_rule(&options->rules, argument);
    case OPTION_NO_BPF:
        options->no_bpf = true;
        return 0;
    default:
        options->json = true;
        return 0;
    }
}

/* 0: go on; else one more than the exit status. */
static int parse_options(int argc, char **argv, RecordOptions *options)
{
    static const struct option long_options[] = {
        {"output", required_argument, NULL, 'o'},
        {"preload", required_argument, NULL, OPTION_PRELOAD},
        {"policy", required_argument, NULL, OPTION_POLICY},
        {"detail", required_argument, NULL, OPTION_DETAIL},
        {"threads", required_argument, NULL, OPTION_THREADS},
        {"ring-size", required_argument, NULL, OPTION_RING_SIZE},
        {"scheduler", required_argument, NULL, OPTION_SCHEDULER},
        {"weight", required_argument, NULL, OPTION_WEIGHT},
        {"mark", required_argument, NULL, OPTION_MARK},
        {"metrics-file", required_argument, NULL, OPTION_METRICS_FILE},
        {"metrics-listen", required_argument, NULL, OPTION_METRICS_LISTEN},
        {"metrics-interval", required_argument, NULL, OPTION_METRICS_INTERVAL},
        {"no-bpf", no_argument, NULL, OPTION_NO_BPF},
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    segment_config_init(&options->segment);
    options->segment.threads = RECORD_THREADS_DEFAULT;
    options->segment.clock_kind = ada_clock_detect();
    options->scheduler = DRAIN_SCHEDULER_ADAPTIVE;
    options->metrics_interval_ns = METRICS_INTERVAL_NS;
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
    if (options->rules.count > 0 && options->segment.detail == ADA_DETAIL_OFF)
        return 1 + cli_usage_error("record",
                                   "--mark keeps payloads, and --detail off records none: drop one of them");
    if (options->weights.count > 0 && options->scheduler != DRAIN_SCHEDULER_WEIGHTED)
        return 1 + cli_usage_error("record",
                                   "--weight means nothing to the %s scheduler: add --scheduler weighted",
                                   drain_scheduler_name(options->scheduler));
    return 0;
}

/* ---- files ------------------------------------------------------------------------------------ */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* COMMAND-DATE-TIME.adat */
static void choose_output(const char *command, char path[PATH_MAX])
{
    char stamp[32] = "";
    time_t now = time(NULL);
    struct tm local;

    if (localtime_r(&now, &local))
        (void)strftime(stamp, sizeof(stamp), "-%Y%m%d-%H%M%S", &local);
    (void)snprintf(path, PATH_MAX, "%.128s%s.adat", base_name(command), stamp);
}

/* The descriptor, or -1 after saying why not. */
static int create_output(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);

    if (fd >= 0)
        return fd;
    if (errno == EEXIST)
        cli_error("record",
                  "cannot create '%s': it exists already; remove it, or choose another name with -o", path);
    else
        cli_error("record", "cannot create '%s': %s; choose another place with -o", path, strerror(errno));
    return -1;
}

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

static void format_command(char *const *argv, char text[COMMAND_TEXT_SIZE])
{
    size_t at = 0;

    text[0] = '\0';
    for (size_t i = 0; argv[i] && at < COMMAND_TEXT_SIZE; i++) {
        int length = snprintf(text + at, COMMAND_TEXT_SIZE - at, "%s%s", i ? " " : "", argv[i]);

        at += length > 0 ? (size_t)length : 0;
    }
}

/* ---- running ---------------------------------------------------------------------------------- */

/* Whose writing is told of. */
typedef struct OutputPaths {
    const char *trace;
    const char *metrics;
    const MetricsAddress *address;
    bool metrics_wanted; /* in a file, or served */
} OutputPaths;

/* For those who look after metrics: others are not to be disturbed by their recorder. */
static void on_anomaly(void *context, enum metrics_anomaly anomaly)
{
    static const char *const texts[] = {
        [METRICS_ANOMALY_DROP_BURST] = "more than 1 % of the events of the last interval were lost",
        [METRICS_ANOMALY_STALLED_LANE] = "a thread's events wait, and are not drained",
        [METRICS_ANOMALY_RATE] = "the rate of events is four times its average, or a quarter of it",
        [METRICS_ANOMALY_LATENCY] = "1 % of the events took more than 10 ms to the file",
    };
    _Static_assert(sizeof(texts) / sizeof(texts[0]) == METRICS_ANOMALIES, "a text for each");
    const OutputPaths *paths = context;

    if (paths->metrics_wanted)
        cli_error("record", "%s: %s", metrics_anomaly_name(anomaly), texts[anomaly]);
}

static void on_metrics_served(void *context)
{
    const OutputPaths *paths = context;
    char address[METRICS_ADDRESS_TEXT];

    metrics_address_format(paths->address, address);
    cli_error("record", "metrics are at http://%s/%s", address,
              metrics_address_is_loopback(paths->address) ? "" : ", for whoever reaches that address");
}

static void on_metrics_state(void *context, int error)
{
    const OutputPaths *paths = context;

    if (error)
        cli_error("record", "writing metrics to '%s' failed: %s; the recording goes on, and it is tried again",
                  paths->metrics, strerror(-error));
    else
        cli_error("record", "writing metrics to '%s' works again", paths->metrics);
}

static void on_write_state(void *context, int error)
{
    const OutputPaths *paths = context;
    const char *path = paths->trace;

    if (error)
        cli_error("record", "writing '%s' failed: %s; events are lost, and counted, until it works again",
                  path, strerror(-error));
    else
        cli_error("record", "writing '%s' works again", path);
}

/* Exit status for a command that could not be recorded; removes the file, which holds nothing. */
static int report_failure(const RecordOptions *options, const char *path, enum recorder_stage stage, int error)
{
    const char *reason = strerror(-error);

    (void)unlink(path);
    switch (stage) {
    case RECORDER_STAGE_PROGRAM:
        cli_error("record", "cannot run '%s': %s", options->argv[0], reason);
        return error == -ENOENT ? 127 : 126;
    case RECORDER_STAGE_METRICS_FILE:
        cli_error("record", "cannot start the thread that writes metrics to '%s': %s", options->metrics_file,
                  reason);
        break;
    case RECORDER_STAGE_METRICS_SERVER: {
        char address[METRICS_ADDRESS_TEXT];

        metrics_address_format(&options->metrics_address, address);
        cli_error("record", "cannot serve metrics at %s: %s", address,
                  error == -ENOSYS ? "this adatrace was built without libmicrohttpd" : reason);
        return CLI_FAILURE;
    }
    case RECORDER_STAGE_FILE:
        cli_error("record", "cannot write '%s': %s; choose another place with -o", path, reason);
        break;
    case RECORDER_STAGE_SEGMENT:
        cli_error("record",
                  "cannot make the shared memory for %u threads with rings of %u bytes: %s; try less with --threads or "
                  "--ring-size",
                  options->segment.threads, options->segment.ring_bytes, reason);
        break;
    case RECORDER_STAGE_SOCKET:
        cli_error(
            "record",
            "cannot make the socket for traced processes in '%s': %s; set TMPDIR to a directory that can be written",
            getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", reason);
        break;
    default:
        cli_error("record", "cannot start recording: %s", reason);
        break;
    }
    return CLI_FAILURE;
}

static int exit_status_of(ProcessEnd end)
{
    return end.kind == ADAT_DEATH_SIGNAL ? 128 + end.code : end.code;
}

/* Why a recording may have turned out empty. */
static void explain_nothing(const RecordOptions *options)
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

/* At one go: stderr has no buffer, and the summary of 100,000 threads would be millions of writes. */
static void print_json(const RecordSummary *summary)
{
    char *text = NULL;
    size_t size = 0;
    FILE *buffer = open_memstream(&text, &size);

    if (buffer) {
        summary_print_json(summary, buffer);
        if (fclose(buffer) == 0) {
            (void)fwrite(text, 1, size, stderr);
            free(text);
            return;
        }
        free(text);
    }
    summary_print_json(summary, stderr); /* no memory for it */
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

static int record(const RecordOptions *options, const char *path, int output)
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
    MetricsAddress address = options->metrics_address;
    OutputPaths paths = {.trace = path,
                         .metrics = options->metrics_file,
                         .address = &address,
                         .metrics_wanted = options->metrics_file || options->metrics_served};
    RecorderConfig config = {
        .argv = options->argv,
        .segment = options->segment,
        .output = output,
        .strings = strings,
        .scheduler = options->scheduler,
        .metrics_interval_ns = options->metrics_interval_ns,
        .metrics_file = options->metrics_file,
        .rules = &options->rules,
        .weights = options->weights.count > 0 ? &options->weights : NULL,
        .preload_groups = options->preload_groups,
        .no_bpf = options->no_bpf,
        .on_write_state = on_write_state,
        .on_anomaly = on_anomaly,
        .on_metrics_state = on_metrics_state,
        .on_metrics_served = on_metrics_served,
        .metrics_address = options->metrics_served ? &address : NULL,
        .context = &paths,
    };
    enum recorder_stage stage;
    RecordSummary summary;
    Recorder *recorder;
    int error;

    if (uname(&host) < 0)
        memset(&host, 0, sizeof(host));
    format_command(options->argv, command);
    (void)snprintf(threads, sizeof(threads), "%u", options->segment.threads);
    (void)snprintf(ring_size, sizeof(ring_size), "%u", options->segment.ring_bytes);
    if (options->preload_groups) {
        if (!choose_preload(preload)) {
            close(output);
            (void)unlink(path);
            return CLI_FAILURE;
        }
        config.preload_library = preload;
    }

    error = recorder_run(&config, &recorder, &stage);
    if (error)
        return report_failure(options, path, stage, error);

    summary = (RecordSummary){
        .path = path, .command = command, .exit_status = exit_status_of(recorder_command_end(recorder))};
    recorder_result(recorder, &summary.result);
    if (options->json)
        print_json(&summary);
    else
        summary_print(&summary, stderr);
    if (summary.result.threads == 0)
        explain_nothing(options);
    recorder_destroy(recorder);
    if (!summary.result.closed && summary.exit_status == 0)
        return CLI_FAILURE;
    return summary.exit_status;
}

int cmd_record(int argc, char **argv)
{
    RecordOptions options = {0};
    char chosen[PATH_MAX];
    int status = parse_options(argc, argv, &options);
    int output;

    if (status) {
        status--;
        goto out;
    }
    if (!options.output) {
        choose_output(options.argv[0], chosen);
        options.output = chosen;
    }
    status = CLI_FAILURE;
    output = create_output(options.output);
    if (output >= 0)
        status = record(&options, options.output, output);
out:
    mark_rules_fini(&options.rules);
    weight_rules_fini(&options.weights);
    return status;
}
