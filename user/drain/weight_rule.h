/* SPDX-License-Identifier: MIT */
/*
 * The weights of threads for the weighted scheduler, as a user types them after `--weight`: NAME=N.
 *
 * NAME is a pattern of the shell (* ? [...]) for the names of threads, and may contain '=': N follows the last one. Of
 * several rules that match, the last counts, so that exceptions follow what they are exceptions from.
 *
 * One thread makes rules; as long as nobody changes them, any thread may read them.
 */
#ifndef ADA_DRAIN_WEIGHT_RULE_H
#define ADA_DRAIN_WEIGHT_RULE_H

#include <stddef.h>
#include <stdint.h>

#define DRAIN_WEIGHT_MAX 1000u
#define DRAIN_WEIGHT_DEFAULT 1u /* of threads that no rule names */

typedef struct WeightRule {
    char *pattern; /* belongs to the rule */
    uint32_t weight;
} WeightRule;

/* Starts as {0}. */
typedef struct WeightRules {
    WeightRule *items;
    size_t count;
    size_t capacity;
} WeightRules;

/*
 * Adds the rule that `text` (copied) says. 0; -EINVAL: it is none, and *why_out (static) says why; -ENOMEM. On failure the
 * rules are as before.
 */
int weight_rules_add(WeightRules *rules, const char *text, const char **why_out);

/* Frees what weight_rules_add() took; the rules are empty again. */
void weight_rules_fini(WeightRules *rules);

/* 1..DRAIN_WEIGHT_MAX: the weight of a thread of that name. */
uint32_t weight_rules_find(const WeightRules *rules, const char *name);

#endif
