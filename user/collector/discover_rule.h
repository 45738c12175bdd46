/* SPDX-License-Identifier: MIT */
/*
 * Which processes are to be attached to by themselves, as a user types it after `--discover`: conditions of which all must hold.
 *
 *     name=GLOB     the name of the process, or of its program's file
 *     user=NAME     its user, by name or number
 *     cgroup=GLOB   the path of one of its control groups, as /proc/PID/cgroup has it; '*' matches '/', too
 *     all           it uses libadatrace; others of the rule may narrow that down
 *
 * joined by commas: 'name=worker*,user=www-data'. Of several rules one is enough.
 */
#ifndef ADA_COLLECTOR_DISCOVER_RULE_H
#define ADA_COLLECTOR_DISCOVER_RULE_H

#include <stddef.h>

#include "user/access/process_identity.h"

typedef struct DiscoverRule {
    char *text;         /* copy, cut into pieces; the patterns point into it */
    const char *name;   /* NULL: any */
    const char *cgroup; /* NULL: any */
    bool all;           /* means only who uses the library: nobody is followed for what it may do later */
    bool has_user;
    uid_t user;
} DiscoverRule;

/* Starts as {0}. */
typedef struct DiscoverRules {
    DiscoverRule *items;
    size_t count;
    size_t capacity;
} DiscoverRules;

/* 0; -EINVAL: `text` is none, and *why_out (static) says why; -ENOMEM. On failure the rules are as before. */
int discover_rules_add(DiscoverRules *rules, const char *text, const char **why_out);
void discover_rules_fini(DiscoverRules *rules);

/* Whether one of the rules means this process, which is known to use the library or not. What cannot be read of it matches nothing. */
bool discover_rules_match(const DiscoverRules *rules, const ProcessIdentity *identity, bool uses_library);

/* Whether some rule has `all`; and whether some rule has it not, so that it may mean any program. */
bool discover_rules_have_all(const DiscoverRules *rules);
bool discover_rules_have_others(const DiscoverRules *rules);

#endif
