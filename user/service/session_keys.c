/* SPDX-License-Identifier: MIT */
/* The keys of [session NAME]. */
#define _GNU_SOURCE
#include "user/service/service_keys.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "user/collector/uprobe_text.h"

#define DAY_NS 86400000000000ull

/* ---- what to attach to ------------------------------------------------------------------------ */

static int take_attach(void *section, const char *text, ConfigReason *reason)
{
    ServiceSession *session = section;
    const char *why = "";
    int error = session_attach_add(&session->attach, text, &why);

    return error == -EINVAL ? config_reason(reason, "%s", why) : error;
}

static void put_attach(const void *section, FILE *out)
{
    const ServiceSession *session = section;

    for (size_t i = 0; i < session->attach.texts.count; i++)
        (void)fprintf(out, "attach = %s\n", session->attach.texts.items[i]);
}

/* ---- what to record --------------------------------------------------------------------------- */

static int take_mark(void *section, const char *text, ConfigReason *reason)
{
    ServiceSession *session = section;
    MarkRuleError error = {0};
    int result = mark_rules_add(&session->marks, text, &error);

    if (result == -E2BIG)
        return config_reason(reason, "more than %u rules", MARK_RULES_MAX);
    if (result == -EINVAL)
        return config_reason(reason, "%s at character %zu", error.message, error.position + 1);
    return result;
}

static void put_mark(const void *section, FILE *out)
{
    const ServiceSession *session = section;

    for (size_t i = 0; i < session->marks.count; i++)
        (void)fprintf(out, "mark = %s\n", session->marks.items[i].text);
}

static int take_syscalls(void *section, const char *text, ConfigReason *reason)
{
    ServiceSession *session = section;
    bool all = strcmp(text, "all") == 0;
    size_t length = 0;
    const char *bad = "";

    session->traces_syscalls = strcmp(text, "off") != 0;
    if (session->traces_syscalls && syscall_set_add(&session->syscalls, all ? NULL : text, &bad, &length) != 0)
        return config_reason(reason, "'%.*s' is no system call of this machine",
                             (int)(length < 64 ? length : 64), bad);
    return config_replace_text(&session->syscalls_text, text);
}

static void put_syscalls(const void *section, FILE *out)
{
    const ServiceSession *session = section;

    (void)fprintf(out, "syscalls = %s\n", session->syscalls_text);
}

/* BINARY:FUNCTION[,ret] */
static int take_uprobe(void *section, const char *text, ConfigReason *reason)
{
    ServiceSession *session = section;
    const char *why = "";
    int error;

    if (session->uprobe_count == ADA_KERNEL_UPROBES)
        return config_reason(reason, "more than %u functions", ADA_KERNEL_UPROBES);
    error = uprobe_text_parse(text, &session->uprobes[session->uprobe_count], &why);
    if (error == -EINVAL)
        return config_reason(reason, "%s", why);
    if (!error)
        session->uprobe_count++;
    return error;
}

static void put_uprobe(const void *section, FILE *out)
{
    const ServiceSession *session = section;

    for (uint32_t i = 0; i < session->uprobe_count; i++)
        (void)fprintf(out, "uprobe = %s:%s%s\n", session->uprobes[i].binary, session->uprobes[i].symbol,
                      session->uprobes[i].returns ? ",ret" : "");
}

/* ---- how -------------------------------------------------------------------------------------- */

static int take_weight(void *section, const char *text, ConfigReason *reason)
{
    ServiceSession *session = section;
    const char *why = "";
    int error;

    if (session->weights.count == 64)
        return config_reason(reason, "more than 64 lines");
    error = weight_rules_add(&session->weights, text, &why);
    return error == -EINVAL ? config_reason(reason, "%s", why) : error;
}

static void put_weight(const void *section, FILE *out)
{
    const ServiceSession *session = section;

    for (size_t i = 0; i < session->weights.count; i++)
        (void)fprintf(out, "weight = %s=%u\n", session->weights.items[i].pattern,
                      session->weights.items[i].weight);
}

/* Until all files are read it is not known below which directory. */
static int take_output(void *section, const char *text, ConfigReason *reason)
{
    ServiceSession *session = section;

    if (!config_path_is_clean(text, *text != '/'))
        return config_reason(reason, "not a path without . and .. and needless slashes");
    return config_replace_text(&session->output, text);
}

static void put_output(const void *section, FILE *out)
{
    const ServiceSession *session = section;

    (void)fprintf(out, "output = %s\n", session->output);
}

/* ---- the table -------------------------------------------------------------------------------- */

static const char *const indexes[] = {"always"};
static const char *const details[] = {
    [ADA_DETAIL_MARKED] = "marked", [ADA_DETAIL_ALWAYS] = "always", [ADA_DETAIL_OFF] = "off"};
static const char *const schedulers[] = {
    [DRAIN_SCHEDULER_ROUND_ROBIN] = "round-robin",
    [DRAIN_SCHEDULER_WEIGHTED] = "weighted",
    [DRAIN_SCHEDULER_PRIORITY] = "priority",
    [DRAIN_SCHEDULER_ADAPTIVE] = "adaptive",
};
static const char *const policies[] = {
    [ADA_POLICY_DISCARD] = "discard", [ADA_POLICY_BLOCK] = "block", [ADA_POLICY_OVERWRITE] = "overwrite"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
_Static_assert(COUNT(details) == ADA_DETAIL_COUNT && COUNT(policies) == ADA_POLICY_COUNT &&
                   COUNT(schedulers) == DRAIN_SCHEDULER_KINDS,
               "a name for each");

/* clang-format off */
#define AT(member) .offset = offsetof(ServiceSession, member)
#define SWITCH(key, value) \
    {.name = #key, .kind = CONFIG_SWITCH, AT(key), .initial = (value), .allowed = "yes, no"}
#define CHOICE(key, names, value, text) \
    {.name = #key, .kind = CONFIG_CHOICE, AT(key), .choices = (names), .choice_count = COUNT(names), \
     .initial = (value), .allowed = (text)}
#define OWN(key, several, value, text) \
    {.name = #key, .kind = CONFIG_OWN, .repeats = (several), .take = take_##key, .put = put_##key, \
     .initial = (value), .allowed = (text)}
#define BYTES(key, least, most, step, off, value, text) \
    {.name = #key, .kind = CONFIG_BYTES, AT(key), .min = (least), .max = (most), .multiple = (step), \
     .may_be_off = (off), .initial = (value), .allowed = (text)}
#define TIME(key, least, most, off, value, text) \
    {.name = #key, .kind = CONFIG_TIME, AT(key), .min = (least), .max = (most), .may_be_off = (off), \
     .initial = (value), .allowed = (text)}

const ConfigKey session_keys[] = {
    SWITCH(enabled, "yes"),
    OWN(attach, true, NULL, "all, pid=N,..., or name=GLOB, user=NAME, cgroup=GLOB, unit=NAME joined by commas"),
    CHOICE(index, indexes, "always", "always"),
    CHOICE(detail, details, "marked", "marked, always, off"),
    OWN(mark, true, NULL,
        "event=NAME, span=NAME>TIME, NAME.FIELD==VALUE, offcpu>TIME, runqueue>TIME, signal=fatal"),
    SWITCH(mark_wakers, "no"),
    SWITCH(sched, "no"),
    OWN(syscalls, false, "off", "off, all, or names with commas, which may be patterns"),
    OWN(uprobe, true, NULL, "BINARY:FUNCTION, BINARY:FUNCTION,ret"),
    CHOICE(scheduler, schedulers, "adaptive", "adaptive, round-robin, weighted, priority"),
    OWN(weight, true, NULL, "NAME=N, with N from 1 to 1000"),
    CHOICE(policy, policies, "discard", "discard, block, overwrite"),
    {.name = "threads", .kind = CONFIG_NUMBER, AT(threads), .min = 1, .max = ADA_THREADS_MAX, .initial = "256",
     .allowed = "a number from 1 to 4096"},
    BYTES(ring_size, ADA_RING_BYTES_MIN, ADA_RING_BYTES_MAX, ADA_PAGE, false, "64K", "a multiple of 4K from 4K to 64M"),
    OWN(output, false, NULL, "a directory: an absolute path, or one below log_directory"),
    BYTES(rotate_size, 1ull << 20, 1ull << 40, 0, false, "256M", "a size from 1M to 1024G"),
    TIME(rotate_time, 1000000000ull, 365 * DAY_NS, true, "1h", "off, or a time from 1s to 365d"),
    BYTES(max_total, 2ull << 20, 1ull << 50, 0, true, "10G", "off, or a size from 2M to 1048576G"),
    TIME(max_age, 60000000000ull, 3650 * DAY_NS, true, "7d", "off, or a time from 1m to 3650d"),
    BYTES(min_free, 1ull << 20, 1ull << 50, 0, true, "1G", "off, or a size from 1M to 1048576G"),
    SWITCH(compress, "no"),
    {.name = "hook", .kind = CONFIG_PATH, AT(hook), .max = PATH_MAX - 1, .may_be_off = true, .initial = "off",
     .allowed = "off, or the absolute path of a program"},
    TIME(hook_timeout, 1000000000ull, 3600000000000ull, false, "1m", "a time from 1s to 1h"),
    SWITCH(flight_recorder, "no"),
    TIME(pre_roll, 0, 3600000000000ull, false, "10s", "a time from 0s to 1h"),
    TIME(post_roll, 0, 3600000000000ull, false, "5s", "a time from 0s to 1h"),
    BYTES(flight_memory, 1ull << 20, 64ull << 30, 0, false, "256M", "a size from 1M to 64G"),
};
/* clang-format on */

const size_t session_key_count = COUNT(session_keys);
_Static_assert(COUNT(session_keys) <= CONFIG_KEYS_MAX, "room for each");

void service_session_fini(ServiceSession *session)
{
    free(session->name);
    session_attach_fini(&session->attach);
    mark_rules_fini(&session->marks);
    free(session->syscalls_text);
    for (uint32_t i = 0; i < session->uprobe_count; i++)
        uprobe_text_free(&session->uprobes[i]);
    weight_rules_fini(&session->weights);
    free(session->output);
    free(session->hook);
}
