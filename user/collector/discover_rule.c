/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/discover_rule.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/access/process_segments.h"
#include "user/base/array.h"
#include "user/base/parse.h"

/* ---- rules ------------------------------------------------------------------------------------ */

static bool parse_user(const char *text, uid_t *user_out)
{
    const struct passwd *entry;
    uint64_t number;

    if (parse_u64(text, 0, UINT32_MAX - 1, &number) == 0) {
        *user_out = (uid_t)number;
        return true;
    }
    entry = getpwnam(text);
    if (entry)
        *user_out = entry->pw_uid;
    return entry != NULL;
}

#define CONDITIONS "a condition is name=GLOB, user=NAME, cgroup=GLOB or all"

/* NULL, or why it is none. */
static const char *parse_condition(const char *text, DiscoverRule *rule)
{
    const char *value = strchr(text, '=');

    if (strcmp(text, "all") == 0) {
        rule->all = true;
        return NULL;
    }
    if (!value || value[1] == '\0')
        return CONDITIONS;
    value++;
    if (strncmp(text, "name=", 5) == 0) {
        rule->name = value;
    } else if (strncmp(text, "cgroup=", 7) == 0) {
        rule->cgroup = value;
    } else if (strncmp(text, "user=", 5) == 0) {
        rule->has_user = parse_user(value, &rule->user);
        return rule->has_user ? NULL : "there is no such user";
    } else {
        return CONDITIONS;
    }
    return NULL;
}

int discover_rules_add(DiscoverRules *rules, const char *text, const char **why_out)
{
    DiscoverRule rule = {.text = strdup(text)};
    char *rest = rule.text, *condition;

    if (!rule.text ||
        array_reserve_one(&rules->items, &rules->capacity, rules->count, sizeof(rules->items[0])) != 0) {
        free(rule.text);
        return -ENOMEM;
    }
    while ((condition = strsep(&rest, ","))) {
        *why_out = parse_condition(condition, &rule);
        if (*why_out) {
            free(rule.text);
            return -EINVAL;
        }
    }
    rules->items[rules->count++] = rule;
    return 0;
}

void discover_rules_fini(DiscoverRules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        free(rules->items[i].text);
    free(rules->items);
    *rules = (DiscoverRules){0};
}

/* ---- processes -------------------------------------------------------------------------------- */

/* By what the kernel calls it (15 characters at most, and the program may choose), or by its file. */
static bool has_name(const ProcessIdentity *identity, const char *pattern)
{
    char file[PATH_MAX];
    const char *slash;

    if (fnmatch(pattern, identity->name, 0) == 0)
        return true;
    process_program(identity->pid, file, sizeof(file));
    if (!file[0])
        return false;
    slash = strrchr(file, '/');
    return fnmatch(pattern, slash ? slash + 1 : file, 0) == 0;
}

static bool is_in_cgroup(const ProcessIdentity *identity, const char *pattern)
{
    char path[64], line[PATH_MAX + 64];
    bool found = false;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)identity->pid);
    file = fopen(path, "re");
    if (!file)
        return false;
    while (!found && fgets(line, sizeof(line), file)) {
        const char *group = strchr(line, '/'); /* number:controllers:/path */

        line[strcspn(line, "\n")] = '\0';
        found = group && fnmatch(pattern, group, 0) == 0;
    }
    (void)fclose(file);
    return found;
}

bool discover_rules_match(const DiscoverRules *rules, const ProcessIdentity *identity, bool uses_library)
{
    for (size_t i = 0; i < rules->count; i++) {
        const DiscoverRule *rule = &rules->items[i];

        if ((uses_library || !rule->all) && (!rule->has_user || rule->user == identity->user) &&
            (!rule->name || has_name(identity, rule->name)) &&
            (!rule->cgroup || is_in_cgroup(identity, rule->cgroup)))
            return true;
    }
    return false;
}

static bool have(const DiscoverRules *rules, bool all)
{
    for (size_t i = 0; i < rules->count; i++) {
        if (rules->items[i].all == all)
            return true;
    }
    return false;
}

bool discover_rules_have_all(const DiscoverRules *rules)
{
    return have(rules, true);
}

bool discover_rules_have_others(const DiscoverRules *rules)
{
    return have(rules, false);
}
