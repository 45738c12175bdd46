/* SPDX-License-Identifier: MIT */
/* The options that `record` and `attach` have in common: where the trace goes, what is kept, who is served, what is told of it. */
#ifndef ADA_CLI_RECORD_OPTIONS_H
#define ADA_CLI_RECORD_OPTIONS_H

#include "user/collector/recorder.h"

typedef struct RecordOptions {
    const char *command;   /* whose they are, for messages: "record" */
    const char *output;    /* NULL: chosen */
    uint64_t rotate_bytes; /* with one of these, `output` is a directory */
    uint64_t rotate_ns;
    uint64_t keep_bytes; /* 0: all */
    enum drain_scheduler_kind scheduler;
    uint64_t metrics_interval_ns;
    const char *metrics_file; /* NULL: none */
    bool metrics_served;      /* at metrics_address */
    MetricsAddress metrics_address;
    MarkRules rules;
    WeightRules weights;
    bool sched;
    bool traces_syscalls; /* those in `syscalls` */
    SyscallSet syscalls;
    KernelUprobe uprobes[ADA_KERNEL_UPROBES]; /* `binary` is allocated, `symbol` is a part of it */
    uint32_t uprobe_count;
    bool mark_wakers;
    bool no_bpf;
    bool embed_symbols;
    bool json;
} RecordOptions;

/* What getopt_long() returns for those without a letter. Other options of a command begin at RECORD_OPTION_OWN. */
enum {
    RECORD_OPTION_SCHEDULER = 256,
    RECORD_OPTION_ROTATE_SIZE,
    RECORD_OPTION_ROTATE_TIME,
    RECORD_OPTION_KEEP,
    RECORD_OPTION_WEIGHT,
    RECORD_OPTION_MARK,
    RECORD_OPTION_MARK_WAKERS,
    RECORD_OPTION_SCHED,
    RECORD_OPTION_SYSCALLS,
    RECORD_OPTION_UPROBE,
    RECORD_OPTION_METRICS_INTERVAL,
    RECORD_OPTION_METRICS_FILE,
    RECORD_OPTION_METRICS_LISTEN,
    RECORD_OPTION_NO_BPF,
    RECORD_OPTION_EMBED_SYMBOLS,
    RECORD_OPTION_JSON,
    RECORD_OPTION_OWN,
};

/* For the command's array of struct option; `o` goes into its string. */
/* clang-format off */
#define RECORD_OPTIONS_LONG                                                      \
    {"output", required_argument, NULL, 'o'},                                    \
    {"rotate-size", required_argument, NULL, RECORD_OPTION_ROTATE_SIZE},         \
    {"rotate-time", required_argument, NULL, RECORD_OPTION_ROTATE_TIME},         \
    {"keep", required_argument, NULL, RECORD_OPTION_KEEP},                       \
    {"scheduler", required_argument, NULL, RECORD_OPTION_SCHEDULER},             \
    {"weight", required_argument, NULL, RECORD_OPTION_WEIGHT},                   \
    {"mark", required_argument, NULL, RECORD_OPTION_MARK},                       \
    {"mark-wakers", no_argument, NULL, RECORD_OPTION_MARK_WAKERS},               \
    {"syscalls", optional_argument, NULL, RECORD_OPTION_SYSCALLS}, \
    {"uprobe", required_argument, NULL, RECORD_OPTION_UPROBE}, \
    {"sched", no_argument, NULL, RECORD_OPTION_SCHED},                           \
    {"metrics-file", required_argument, NULL, RECORD_OPTION_METRICS_FILE},       \
    {"metrics-listen", required_argument, NULL, RECORD_OPTION_METRICS_LISTEN},   \
    {"metrics-interval", required_argument, NULL, RECORD_OPTION_METRICS_INTERVAL}, \
    {"no-bpf", no_argument, NULL, RECORD_OPTION_NO_BPF},                         \
    {"embed-symbols", no_argument, NULL, RECORD_OPTION_EMBED_SYMBOLS},           \
    {"json", no_argument, NULL, RECORD_OPTION_JSON}
/* clang-format on */

/* For the command's usage: all of them but --output. */
#define RECORD_OPTIONS_USAGE                                                                                       \
    "      --rotate-size BYTES begin another file when one has so many bytes (1M to 1024G); each is\n"             \
    "                          whole by itself, and --output names the directory that is made for them\n"          \
    "      --rotate-time TIME  the same when a file is so old (1s to 2592000s, 30 days)\n"                         \
    "      --keep BYTES        of such files: remove the oldest when all have more than so many\n"                 \
    "      --scheduler NAME        how the recorder shares its time between threads: adaptive\n"                   \
    "                          (default), round-robin, weighted, priority\n"                                       \
    "      --weight NAME=N     with --scheduler weighted: N times the share (1..1000) for threads\n"               \
    "                          whose name matches NAME, a pattern such as 'worker-*'; may be repeated\n"           \
    "      --mark RULE         keep the payloads around moments that RULE finds; may be repeated:\n"               \
    "                          event=NAME, 'span=NAME>10ms', 'NAME.FIELD==VALUE' (also != > >= < <=);\n"           \
    "                          seen by the kernel: 'offcpu>10ms', 'runqueue>5ms', signal=fatal\n"                  \
    "      --mark-wakers       with offcpu: also around the moments of the threads that woke them\n"               \
    "      --sched             also record when threads run, why they do not, and who wakes them: events\n"        \
    "                          sched.switch_in, sched.switch_out, sched.wakeup\n"                                  \
    "      --syscalls[=NAME,...]\n"                                                                                \
    "                          also record system calls, all or these (patterns such as 'epoll*'): spans\n"        \
    "                          syscall.NAME\n"                                                                     \
    "      --uprobe BINARY:FUNCTION[,ret]\n"                                                                       \
    "                          also record calls of a function: an instant uprobe.FUNCTION; with ret, a span;\n"   \
    "                          may be repeated\n"                                                                  \
    "      --metrics-file PATH write metrics there, as Prometheus text, replaced as a whole each time\n"           \
    "      --metrics-listen [ADDRESS:]PORT\n"                                                                      \
    "                          serve metrics by HTTP: /metrics, /metrics.json, and / for a browser;\n"             \
    "                          on loopback unless an address is given; port 0: one that is free\n"                 \
    "      --metrics-interval TIME\n"                                                                              \
    "                          how often metrics are collected, also for 'adatrace top' and 'status':\n"           \
    "                          100ms to 60s (default 1s)\n"                                                        \
    "      --embed-symbols     at the end, put the names of the functions that occur into the trace, so that it\n" \
    "                          can be read on another machine\n"                                                   \
    "      --no-bpf            do without kernel assistance: ends of threads are then found by asking\n"           \
    "      --json              print the summary as one JSON object\n"

void record_options_init(RecordOptions *options, const char *command);
void record_options_fini(RecordOptions *options);

/* Takes one of them. CLI_OK; CLI_USAGE or CLI_FAILURE, with the error said; -1: it is another option. */
int record_options_apply(RecordOptions *options, int option, const char *argument);

/* Whether something is wanted that the kernel sees of any process. */
static inline bool record_options_see_kernel(const RecordOptions *options)
{
    return options->sched || options->traces_syscalls || options->uprobe_count > 0;
}

/* Once all were taken: whether they go together. CLI_OK, or CLI_USAGE with the error said. */
int record_options_check(const RecordOptions *options);

/* Whether there are several files, one after the other. */
static inline bool record_options_rotate(const RecordOptions *options)
{
    return options->rotate_bytes > 0 || options->rotate_ns > 0;
}

/* The file's name, if none was given: NAME-DATE-TIME.adat; or that of the directory, without .adat. */
void record_options_choose_output(RecordOptions *options, const char *name, char path[], size_t size);

#endif
