/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/session_attach.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/parse.h"

#define UNIT_NAME_MAX 255u /* systemd's */

static int add_pids(PidList *pids, const char *list, const char **why_out)
{
    char *copy = strdup(list), *rest = copy, *number;
    int error = copy ? 0 : -ENOMEM;

    while (!error && (number = strsep(&rest, ","))) {
        uint64_t pid;

        if (parse_u64(number, 1, INT32_MAX, &pid) != 0) {
            *why_out = "that is not the number of a process";
            error = -EINVAL;
        } else if (pids->count == SESSION_PIDS_MAX) {
            *why_out = "more than 1024 processes";
            error = -EINVAL;
        } else {
            error = pid_list_add(pids, (pid_t)pid);
        }
    }
    free(copy);
    return error;
}

static bool is_unit_name(const char *name)
{
    static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-_.\\@";
    size_t length = strlen(name);

    return length > 0 && length <= UNIT_NAME_MAX && strspn(name, characters) == length;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);

    return length > end_length && strcmp(text + length - end_length, end) == 0;
}

/* The pattern of the unit's control group; `below` is what follows in the path. */
static void put_unit(FILE *out, const char *name, const char *below)
{
    (void)fputs("cgroup=*/", out);
    for (const char *at = name; *at; at++) {
        if (*at == '\\') /* means something in patterns, and stands in names of units: dev-disk-by\x2dlabel */
            (void)fputc('\\', out);
        (void)fputc(*at, out);
    }
    if (!ends_with(name, ".service") && !ends_with(name, ".scope") && !ends_with(name, ".slice"))
        (void)fputs(".service", out);
    (void)fputs(below, out);
}

/* Adds the rule of these conditions, with `unit` (NULL: none of them is one) as a control group. */
static int add_rule(DiscoverRules *rules, const char *conditions, const char *unit, const char *below,
                    const char **why_out)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out;
    int error;

    if (!unit)
        return discover_rules_add(rules, conditions, why_out);
    out = open_memstream(&text, &size);
    if (!out)
        return -ENOMEM;
    put_unit(out, unit, below);
    if (*conditions)
        (void)fprintf(out, ",%s", conditions);
    error = fclose(out) == 0 ? discover_rules_add(rules, text, why_out) : -ENOMEM;
    free(text);
    return error;
}

/* Notes the condition among those seen. NULL, or why it cannot be. */
static const char *check_condition(const char *condition, uint32_t *seen)
{
    static const char *const names[] = {"name=", "user=", "cgroup=", "unit="};

    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strncmp(condition, names[i], strlen(names[i])) != 0)
            continue;
        if (*seen & 1u << i)
            return "the same condition stands there twice";
        *seen |= 1u << i;
        if ((*seen & 12u) == 12u)
            return "a unit is a control group: only one of cgroup and unit can be said";
        return NULL;
    }
    if (strcmp(condition, "all") == 0 || strncmp(condition, "pid=", 4) == 0)
        return "all and pid=N do not go together with conditions";
    return "that is no condition";
}

static int add_conditions(DiscoverRules *rules, const char *text, const char **why_out)
{
    char *copy = strdup(text), *others = calloc(1, strlen(text) + 1);
    const char *unit = NULL, *why = NULL;
    char *rest = copy, *end = others, *condition;
    uint32_t seen = 0;
    int error = -ENOMEM;

    if (!copy || !others)
        goto out;
    while (!why && (condition = strsep(&rest, ","))) {
        why = check_condition(condition, &seen);
        if (!why && strncmp(condition, "unit=", 5) == 0) {
            unit = condition + 5;
            why = is_unit_name(unit) ? NULL : "that is not the name of a unit";
        } else {
            end = stpcpy(end, end == others ? "" : ",");
            end = stpcpy(end, condition);
        }
    }
    error = -EINVAL;
    if (why)
        *why_out = why;
    else
        error = add_rule(rules, others, unit, "", why_out);
    if (!error && unit)
        error = add_rule(rules, others, unit, "/*", why_out);
out:
    free(others);
    free(copy);
    return error;
}

int session_attach_add(SessionAttach *attach, const char *text, const char **why_out)
{
    int error = 0;

    if (attach->texts.count == SESSION_ATTACH_LINES_MAX) {
        *why_out = "more than 256 lines";
        return -EINVAL;
    }
    if (strcmp(text, "all") == 0)
        error = discover_rules_add(&attach->rules, text, why_out);
    else if (strncmp(text, "pid=", 4) == 0)
        error = add_pids(&attach->pids, text + 4, why_out);
    else
        error = add_conditions(&attach->rules, text, why_out);
    return error ? error : text_list_add(&attach->texts, text);
}

void session_attach_fini(SessionAttach *attach)
{
    pid_list_fini(&attach->pids);
    discover_rules_fini(&attach->rules);
    text_list_fini(&attach->texts);
}
