/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/cli/record_options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "user/base/parse.h"
#include "user/cli/cli.h"
#include "user/collector/uprobe_text.h"

/* The least is the window over which rates are taken. */
#define METRICS_INTERVAL_NS 1000000000ull
#define METRICS_INTERVAL_MIN_NS 100000000ull
#define METRICS_INTERVAL_MAX_NS 60000000000ull

/* Of several files: their sizes, and their ages. */
#define FILE_BYTES_MIN (1ull << 20)
#define FILE_BYTES_MAX (1ull << 40)
#define FILE_TIME_MIN_NS 1000000000ull
#define FILE_TIME_MAX_NS (30ull * 86400ull * 1000000000ull)

void record_options_init(RecordOptions *options, const char *command)
{
    *options = (RecordOptions){
        .command = command,
        .scheduler = DRAIN_SCHEDULER_ADAPTIVE,
        .metrics_interval_ns = METRICS_INTERVAL_NS,
    };
}

void record_options_fini(RecordOptions *options)
{
    mark_rules_fini(&options->rules);
    weight_rules_fini(&options->weights);
    for (uint32_t i = 0; i < options->uprobe_count; i++)
        uprobe_text_free(&options->uprobes[i]);
}

/* CLI_OK, or CLI_USAGE with the error said, and where in the rule it is. */
static int add_rule(RecordOptions *options, const char *text)
{
    MarkRuleError error;

    switch (mark_rules_add(&options->rules, text, &error)) {
    case 0:
        return CLI_OK;
    case -EINVAL:
        return cli_usage_error(options->command, "--mark '%s': %s at character %zu", text, error.message,
                               error.position + 1);
    case -E2BIG:
        return cli_usage_error(options->command, "--mark '%s': more than %u rules", text, MARK_RULES_MAX);
    default:
        cli_error(options->command, "out of memory");
        return CLI_FAILURE;
    }
}

/* The same for --syscalls; NULL: all of them. */
static int add_syscalls(RecordOptions *options, const char *list)
{
    const char *bad;
    size_t length;

    options->traces_syscalls = true;
    if (syscall_set_add(&options->syscalls, list, &bad, &length) == 0)
        return CLI_OK;
    return cli_usage_error(options->command,
                           "--syscalls '%s': '%.*s' is no system call of this machine; see syscalls(2)", list,
                           (int)length, bad);
}

/* The same for --uprobe. */
static int add_uprobe(RecordOptions *options, const char *text)
{
    const char *why = "";

    if (options->uprobe_count == ADA_KERNEL_UPROBES)
        return cli_usage_error(options->command, "--uprobe '%s': more than %u functions", text,
                               ADA_KERNEL_UPROBES);
    switch (uprobe_text_parse(text, &options->uprobes[options->uprobe_count], &why)) {
    case 0:
        options->uprobe_count++;
        return CLI_OK;
    case -EINVAL:
        return cli_usage_error(options->command,
                               "--uprobe '%s': %s; use BINARY:FUNCTION or BINARY:FUNCTION,ret", text, why);
    default:
        cli_error(options->command, "out of memory");
        return CLI_FAILURE;
    }
}

/* The same for --weight. */
static int add_weight(RecordOptions *options, const char *text)
{
    const char *why;

    switch (weight_rules_add(&options->weights, text, &why)) {
    case 0:
        return CLI_OK;
    case -EINVAL:
        return cli_usage_error(options->command, "--weight '%s': %s", text, why);
    default:
        cli_error(options->command, "out of memory");
        return CLI_FAILURE;
    }
}

/* Those about metrics. */
static int apply_metrics(RecordOptions *options, int option, const char *argument)
{
    switch (option) {
    case RECORD_OPTION_METRICS_FILE:
        if (!argument[0])
            return cli_usage_error(options->command, "--metrics-file needs the name of a file");
        options->metrics_file = argument;
        return CLI_OK;
    case RECORD_OPTION_METRICS_LISTEN:
        if (metrics_address_parse(argument, &options->metrics_address) != 0)
            return cli_usage_error(
                options->command,
                "--metrics-listen '%s' is not PORT, ADDRESS:PORT or [ADDRESS]:PORT, in numbers", argument);
        options->metrics_served = true;
        return CLI_OK;
    case RECORD_OPTION_METRICS_INTERVAL:
        if (parse_duration(argument, METRICS_INTERVAL_MIN_NS, METRICS_INTERVAL_MAX_NS,
                           &options->metrics_interval_ns) != 0)
            return cli_usage_error(options->command,
                                   "--metrics-interval '%s' is not a time from 100ms to 60s", argument);
        return CLI_OK;
    default:
        return -1;
    }
}

/* Those about several files. */
static int apply_files(RecordOptions *options, int option, const char *argument)
{
    switch (option) {
    case RECORD_OPTION_ROTATE_SIZE:
        if (parse_bytes(argument, FILE_BYTES_MIN, FILE_BYTES_MAX, &options->rotate_bytes) != 0)
            return cli_usage_error(options->command,
                                   "--rotate-size '%s' is not a number of bytes from 1M to 1024G", argument);
        return CLI_OK;
    case RECORD_OPTION_ROTATE_TIME:
        if (parse_duration(argument, FILE_TIME_MIN_NS, FILE_TIME_MAX_NS, &options->rotate_ns) != 0)
            return cli_usage_error(options->command,
                                   "--rotate-time '%s' is not a time from 1s to 2592000s (30 days)", argument);
        return CLI_OK;
    case RECORD_OPTION_KEEP:
        if (parse_bytes(argument, FILE_BYTES_MIN, UINT64_MAX, &options->keep_bytes) != 0)
            return cli_usage_error(options->command, "--keep '%s' is not a number of bytes from 1M on",
                                   argument);
        return CLI_OK;
    default:
        return apply_metrics(options, option, argument);
    }
}

int record_options_apply(RecordOptions *options, int option, const char *argument)
{
    switch (option) {
    case 'o':
        options->output = argument;
        return *argument ? CLI_OK : cli_usage_error(options->command, "--output needs the name of a file");
    case RECORD_OPTION_SCHEDULER:
        options->scheduler = drain_scheduler_kind_of(argument);
        if (options->scheduler == DRAIN_SCHEDULER_KINDS)
            return cli_usage_error(options->command,
                                   "unknown scheduler '%s': use adaptive, round-robin, weighted or priority",
                                   argument);
        return CLI_OK;
    case RECORD_OPTION_WEIGHT:
        return add_weight(options, argument);
    case RECORD_OPTION_MARK:
        return add_rule(options, argument);
    case RECORD_OPTION_MARK_WAKERS:
        options->mark_wakers = true;
        return CLI_OK;
    case RECORD_OPTION_SCHED:
        options->sched = true;
        return CLI_OK;
    case RECORD_OPTION_UPROBE:
        return add_uprobe(options, argument);
    case RECORD_OPTION_SYSCALLS:
        return add_syscalls(options, argument);
    case RECORD_OPTION_NO_BPF:
        options->no_bpf = true;
        return CLI_OK;
    case RECORD_OPTION_EMBED_SYMBOLS:
        options->embed_symbols = true;
        return CLI_OK;
    case RECORD_OPTION_JSON:
        options->json = true;
        return CLI_OK;
    default:
        return apply_files(options, option, argument);
    }
}

static bool has_rule(const MarkRules *rules, MarkRuleKind kind)
{
    for (uint32_t i = 0; i < rules->count; i++) {
        if (rules->items[i].kind == kind)
            return true;
    }
    return false;
}

int record_options_check(const RecordOptions *options)
{
    if (options->keep_bytes > 0 && !record_options_rotate(options))
        return cli_usage_error(options->command,
                               "--keep is about several files: add --rotate-size or --rotate-time");
    if (options->mark_wakers && !has_rule(&options->rules, MARK_RULE_OFF_CPU))
        return cli_usage_error(
            options->command,
            "--mark-wakers needs a rule that tells when it matters: add --mark 'offcpu>10ms'");
    if (options->weights.count > 0 && options->scheduler != DRAIN_SCHEDULER_WEIGHTED)
        return cli_usage_error(options->command,
                               "--weight means nothing to the %s scheduler: add --scheduler weighted",
                               drain_scheduler_name(options->scheduler));
    return CLI_OK;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

void record_options_choose_output(RecordOptions *options, const char *name, char path[], size_t size)
{
    char stamp[32] = "";
    time_t now = time(NULL);
    struct tm local;

    if (options->output)
        return;
    if (localtime_r(&now, &local))
        (void)strftime(stamp, sizeof(stamp), "-%Y%m%d-%H%M%S", &local);
    (void)snprintf(path, size, "%.128s%s%s", base_name(name), stamp,
                   record_options_rotate(options) ? "" : ".adat");
    options->output = path;
}
