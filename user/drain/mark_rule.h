/* SPDX-License-Identifier: MIT */
/*
 * Rules that say which moments are marked, as a user types them after `--mark`:
 *
 *     event=NAME            any event of that name but the end of a span
 *     span=NAME>10ms        a span of that name that lasted longer; also >=
 *     NAME.FIELD==VALUE     a field of an event; also != > >= < <=
 *     offcpu>10ms           the thread was off its CPU for longer, asleep or blocked; also >=
 *     runqueue>5ms          it could have run, and got no CPU for longer; also >=
 *     signal=fatal          a signal kills it
 *
 * The last three are seen by the kernel (kernel assistance), the others in what the thread records.
 * NAME may contain dots: FIELD is what follows the last one in front of the operator. The operator of a
 * field rule is the first of the characters = ! < > with what belongs to it, so events and fields whose
 * names contain one of these have no field rules; that of a span rule is the last >.
 *
 * VALUE is a number (decimal, negative, 0x with hexadecimal digits, or with fraction or exponent) or text,
 * bare or between double quotes. What looks like a number is one to fields that are numbers, and text to
 * fields that are text. Quotes within quoted text stand for themselves. Blanks may stand around names,
 * operators and values.
 *
 * Here text becomes rules; user/drain/mark_matcher.h finds the events that they mean. A set of rules is
 * a uint64_t, one bit for each, so there are at most MARK_RULES_MAX. One thread makes rules; as long as
 * nobody changes them, any thread may read them.
 */
#ifndef ADA_DRAIN_MARK_RULE_H
#define ADA_DRAIN_MARK_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/event_abi.h"

#define MARK_RULES_MAX 64u

/* How two values relate. An operator is the set of relations that it accepts. */
#define MARK_LESS 1u
#define MARK_EQUAL 2u
#define MARK_GREATER 4u
#define MARK_DIFFERENT 8u /* neither is less nor equal: different texts, and NaN with anything */

typedef enum MarkRuleKind {
    MARK_RULE_EVENT,
    MARK_RULE_SPAN,
    MARK_RULE_FIELD,
    MARK_RULE_OFF_CPU,
    MARK_RULE_RUN_QUEUE,
    MARK_RULE_FATAL_SIGNAL,
} MarkRuleKind;

/* A number exactly as typed: sign and magnitude reach from -(2^64-1) to 2^64-1; all others are real. */
typedef struct MarkNumber {
    bool is_real;
    bool negative; /* never with magnitude 0 */
    uint64_t magnitude;
    double real; /* finite */
} MarkNumber;

typedef struct MarkRule {
    MarkRuleKind kind;
    char *text; /* the user's, but for blanks at its end; belongs to the rule */
    char name[ADA_EVENT_NAME_SIZE];
    char field[ADA_FIELD_NAME_SIZE]; /* field rules; else empty */
    uint8_t relations; /* what the operator accepts: set of MARK_LESS...; 0 in rules without one */
    bool is_number;    /* field rules: `number` is the value, for fields that are numbers */
    MarkNumber number;
    const char *value; /* field rules: the value as text, within `text` and not NUL-terminated */
    size_t value_size;
    uint64_t duration_ns; /* rules about times: of spans, off the CPU, in the run queue */
} MarkRule;

/* Starts as {0}. */
typedef struct MarkRules {
    MarkRule *items;
    size_t count;
    size_t capacity;
} MarkRules;

/* Why a text is not a rule, and where; blanks at its end do not count. */
typedef struct MarkRuleError {
    size_t position;     /* in bytes from the start of the text */
    const char *message; /* static */
} MarkRuleError;

/*
 * Adds the rule that `text` (copied) says. 0; -EINVAL: it is none, and *error_out says why; -E2BIG: there
 * are MARK_RULES_MAX already; -ENOMEM. On failure the rules are as before; *error_out is written for
 * -EINVAL only. Numbers are read as the C locale writes them.
 */
int mark_rules_add(MarkRules *rules, const char *text, MarkRuleError *error_out);

/* Frees what mark_rules_add() took; the rules are empty again. No matcher may use them any more. */
void mark_rules_fini(MarkRules *rules);

/* Whether the kernel has to see what the rule is about. */
static inline bool mark_rule_needs_kernel(const MarkRule *rule)
{
    return rule->kind >= MARK_RULE_OFF_CPU;
}

/* Whether a time is one that a rule about times means. */
static inline bool mark_rule_accepts_time(const MarkRule *rule, uint64_t ns)
{
    return ns > rule->duration_ns || (ns == rule->duration_ns && (rule->relations & MARK_EQUAL) != 0);
}

/* Whether a field rule's operator is == or !=, the two that text has. */
static inline bool mark_rule_compares_text(const MarkRule *rule)
{
    return rule->relations == MARK_EQUAL || (rule->relations & MARK_DIFFERENT) != 0;
}

#endif
