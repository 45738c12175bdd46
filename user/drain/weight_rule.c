/* SPDX-License-Identifier: MIT */
#include "user/drain/weight_rule.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shared/segment_abi.h"
#include "user/base/array.h"
#include "user/base/parse.h"

/* The kernel cuts names: who types one in full would wonder why no thread has it. */
static bool can_match(const char *pattern, size_t length)
{
    return length < ADA_THREAD_NAME_SIZE || strcspn(pattern, "*?[\\") < length;
}

int weight_rules_add(WeightRules *rules, const char *text, const char **why_out)
{
    const char *separator = strrchr(text, '=');
    size_t length = separator ? (size_t)(separator - text) : 0;
    WeightRule rule;
    uint64_t weight;
    int error;

    if (length == 0) {
        *why_out = "expected NAME=N";
        return -EINVAL;
    }
    if (parse_u64(separator + 1, 1, DRAIN_WEIGHT_MAX, &weight) != 0) {
        *why_out = "N is a number from 1 to 1000";
        return -EINVAL;
    }
    if (!can_match(text, length)) {
        *why_out = "names of threads have 15 characters at most; use '*' for the rest";
        return -EINVAL;
    }
    error = array_reserve_one(&rules->items, &rules->capacity, rules->count, sizeof(*rules->items));
    if (error)
        return error;
    rule = (WeightRule){.pattern = strndup(text, length), .weight = (uint32_t)weight};
    if (!rule.pattern)
        return -ENOMEM;
    rules->items[rules->count++] = rule;
    return 0;
}

void weight_rules_fini(WeightRules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        free(rules->items[i].pattern);
    free(rules->items);
    *rules = (WeightRules){0};
}

uint32_t weight_rules_find(const WeightRules *rules, const char *name)
{
    for (size_t i = rules->count; i-- > 0;) {
        if (fnmatch(rules->items[i].pattern, name, 0) == 0)
            return rules->items[i].weight;
    }
    return DRAIN_WEIGHT_DEFAULT;
}
