/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_support.h"
#include "user/drain/mark_rule.h"

#define NAME_63 "abcdefghijklmnopqrstuvwxyz.bcdefghijklmnopqrstuvwxyz.bcdefghijk"
#define FIELD_22 "abcdefghijklmnopqrstuv"

static long allocations = -1; /* that still succeed; -1 = all */

static int may_allocate(void)
{
    if (allocations == 0) {
        errno = ENOMEM;
        return 0;
    }
    if (allocations > 0)
        allocations--;
    return 1;
}

/* These take the place of libc's for the code under test. */
void *reallocarray(void *memory, size_t count, size_t size)
{
    return may_allocate() ? realloc(memory, count * size) : NULL;
}

char *strndup(const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    char *copy = may_allocate() ? malloc(length + 1) : NULL;

    if (copy) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

/* The rule of a text that is one; a zeroed one after a failed assertion. Valid until the next call. */
static const MarkRule *parse(const char *text)
{
    static const MarkRule none;
    static MarkRules rules;
    MarkRuleError error = {0};
    int err;

    mark_rules_fini(&rules);
    err = mark_rules_add(&rules, text, &error);
    if (err)
        printf("  '%s': %d at %zu: %s\n", text, err, error.position, error.message);
    CU_ASSERT_EQUAL(err, 0);
    CU_ASSERT_EQUAL(rules.count, err ? 0 : 1);
    return err ? &none : &rules.items[0];
}

static void expect_error(const char *text, size_t position, const char *message)
{
    MarkRuleError error = {.position = 12345, .message = ""};
    MarkRules rules = {0};
    int err = mark_rules_add(&rules, text, &error);

    if (err != -EINVAL || error.position != position || strcmp(error.message, message) != 0)
        printf("  '%s': %d at %zu: %s\n", text, err, error.position, error.message);
    CU_ASSERT_EQUAL(err, -EINVAL);
    CU_ASSERT_EQUAL(error.position, position);
    CU_ASSERT_STRING_EQUAL(error.message, message);
    CU_ASSERT_EQUAL(rules.count, 0);
    mark_rules_fini(&rules);
}

/* ---- event rules ------------------------------------------------------------------------------- */

static void expect_event(const char *text, const char *name)
{
    const MarkRule *rule = parse(text);

    CU_ASSERT_EQUAL(rule->kind, MARK_RULE_EVENT);
    CU_ASSERT_STRING_EQUAL(rule->name, name);
    CU_ASSERT_STRING_EQUAL(rule->field, "");
    CU_ASSERT_EQUAL(rule->relations, 0);
}

static void event_rule__names__then_taken_as_they_are(void)
{
    expect_event("event=x", "x");
    expect_event("event=open.path", "open.path");
    expect_event("event=slow request", "slow request");
    expect_event("event=a>b", "a>b");
    expect_event("event=b=", "b=");
    expect_event("event=" NAME_63, NAME_63);
    expect_event("event=span", "span");
}

static void event_rule__blanks__then_around_name_ignored(void)
{
    const MarkRule *rule = parse(" \tevent = open.path \t");

    CU_ASSERT_STRING_EQUAL(rule->name, "open.path");
    CU_ASSERT_STRING_EQUAL(rule->text, " \tevent = open.path");
}

static void event_rule__bad_name__then_refused_at_its_place(void)
{
    expect_error("event=", 6, "expected a name");
    expect_error("event =  ", 7, "expected a name");
    expect_error("event==x", 6, "expected a name: event=NAME");
    expect_error("event=" NAME_63 "l", 69, "the name of an event has at most 63 characters");
}

/* ---- span rules -------------------------------------------------------------------------------- */

static void expect_span(const char *text, const char *name, unsigned relations, uint64_t duration_ns)
{
    const MarkRule *rule = parse(text);

    CU_ASSERT_EQUAL(rule->kind, MARK_RULE_SPAN);
    CU_ASSERT_STRING_EQUAL(rule->name, name);
    CU_ASSERT_STRING_EQUAL(rule->field, "");
    CU_ASSERT_EQUAL(rule->relations, relations);
    CU_ASSERT_EQUAL(rule->duration_ns, duration_ns);
}

static void span_rule__times__then_nanoseconds(void)
{
    expect_span("span=open>10ms", "open", MARK_GREATER, 10000000);
    expect_span("span=open>=300us", "open", MARK_GREATER | MARK_EQUAL, 300000);
    expect_span("span=open>1.5s", "open", MARK_GREATER, 1500000000);
    expect_span("span=open>0", "open", MARK_GREATER, 0);
    expect_span("span=open>=18446744073709551615ns", "open", MARK_GREATER | MARK_EQUAL, UINT64_MAX);
}

static void span_rule__blanks_and_signs_in_name__then_last_sign_is_the_operator(void)
{
    expect_span(" span = handle request > 10ms ", "handle request", MARK_GREATER, 10000000);
    expect_span("span=a->b>=2", "a->b", MARK_GREATER | MARK_EQUAL, 2000000000);
    expect_span("span=a=b\t>\t2ns", "a=b", MARK_GREATER, 2);
    expect_span("span=open>>10ms", "open>", MARK_GREATER, 10000000);
}

static void span_rule__malformed__then_refused_at_its_place(void)
{
    expect_error("span=", 5, "expected > or >= and a time");
    expect_error("span=open", 9, "expected > or >= and a time");
    expect_error("span=open<10ms", 9, "expected > or >= and a time");
    expect_error("span=open==10ms", 9, "expected > or >= and a time");
    expect_error("span==open>10ms", 5, "expected a name: span=NAME>TIME");
    expect_error("span=>10ms", 5, "expected a name");
    expect_error("span= >10ms", 6, "expected a name");
    expect_error("span=" NAME_63 "l>1", 68, "the name of an event has at most 63 characters");
    expect_error("span=open>", 10, "expected a time such as 10ms, 300us or 1.5s");
    expect_error("span=open> 10 ms", 11, "expected a time such as 10ms, 300us or 1.5s");
    expect_error("span=open>=99999999999s", 11, "the time is too long");
}

/* ---- field rules ------------------------------------------------------------------------------- */

static const MarkRule *expect_field(const char *text, const char *name, const char *field, unsigned relations,
                                    const char *value)
{
    const MarkRule *rule = parse(text);

    CU_ASSERT_EQUAL(rule->kind, MARK_RULE_FIELD);
    CU_ASSERT_STRING_EQUAL(rule->name, name);
    CU_ASSERT_STRING_EQUAL(rule->field, field);
    CU_ASSERT_EQUAL(rule->relations, relations);
    CU_ASSERT_EQUAL(rule->value_size, strlen(value));
    CU_ASSERT_EQUAL(strncmp(rule->value, value, rule->value_size), 0);
    return rule;
}

static void field_rule__operators__then_the_relations_they_accept(void)
{
    expect_field("a.b==1", "a", "b", MARK_EQUAL, "1");
    expect_field("a.b!=1", "a", "b", MARK_LESS | MARK_GREATER | MARK_DIFFERENT, "1");
    expect_field("a.b>1", "a", "b", MARK_GREATER, "1");
    expect_field("a.b>=1", "a", "b", MARK_GREATER | MARK_EQUAL, "1");
    expect_field("a.b<1", "a", "b", MARK_LESS, "1");
    expect_field("a.b<=1", "a", "b", MARK_LESS | MARK_EQUAL, "1");
}

static void field_rule__dots_and_blanks__then_field_is_after_the_last_dot(void)
{
    expect_field("open.path.flags==1", "open.path", "flags", MARK_EQUAL, "1");
    expect_field("open.path.path==/etc/x.y", "open.path", "path", MARK_EQUAL, "/etc/x.y");
    expect_field(" slow request.id  >=\t7 ", "slow request", "id", MARK_GREATER | MARK_EQUAL, "7");
    expect_field("event.x==1", "event", "x", MARK_EQUAL, "1");
    expect_field("event x.y==1", "event x", "y", MARK_EQUAL, "1");
    expect_field("spanner.x==1", "spanner", "x", MARK_EQUAL, "1");
    expect_field(NAME_63 "." FIELD_22 "==1", NAME_63, FIELD_22, MARK_EQUAL, "1");
}

static void expect_integer(const char *value, bool negative, uint64_t magnitude)
{
    char text[100] = "a.b==";
    const MarkRule *rule;

    strncat(text, value, 80);
    rule = expect_field(text, "a", "b", MARK_EQUAL, value);
    CU_ASSERT(rule->is_number && !rule->number.is_real);
    CU_ASSERT_EQUAL(rule->number.negative, negative);
    CU_ASSERT_EQUAL(rule->number.magnitude, magnitude);
}

static void field_rule__integers__then_exact(void)
{
    expect_integer("0", false, 0);
    expect_integer("-0", false, 0);
    expect_integer("007", false, 7);
    expect_integer("-5", true, 5);
    expect_integer("9007199254740993", false, 9007199254740993);
    expect_integer("18446744073709551615", false, UINT64_MAX);
    expect_integer("-9223372036854775808", true, UINT64_C(1) << 63);
    expect_integer("-18446744073709551615", true, UINT64_MAX);
    expect_integer("0x0", false, 0);
    expect_integer("0X2a", false, 42);
    expect_integer("-0x2A", true, 42);
    expect_integer("0xffffffffffffffff", false, UINT64_MAX);
    expect_integer("0x000000000ffffffffffffffff", false, UINT64_MAX);
}

static void expect_real(const char *value, double real)
{
    char text[100] = "a.b==";
    const MarkRule *rule;

    strncat(text, value, 80);
    rule = expect_field(text, "a", "b", MARK_EQUAL, value);
    CU_ASSERT(rule->is_number && rule->number.is_real && !rule->number.negative);
    CU_ASSERT_EQUAL(rule->number.real, real);
}

static void field_rule__fraction_exponent_or_many_digits__then_real(void)
{
    expect_real("1.5", 1.5);
    expect_real("-1.5", -1.5);
    expect_real("-.5", -.5);
    expect_real("5.", 5);
    expect_real("0.1", 0.1);
    expect_real("1e3", 1e3);
    expect_real("25E-1", 2.5);
    expect_real("1e-400", 0);
    expect_real("18446744073709551616", 0x1p64);
    expect_real("-99999999999999999999", -1e20);
}

static void field_rule__text__then_not_a_number(void)
{
    static const char *const texts[] = {"/etc/passwd", "hello world", "nan",     "inf", "-inf", "1e5x",
                                        "1e",          "0x",          "0xg",     "-",   "--1",  "+1",
                                        "1.2.3",       ".",           "0x1.8p1", "1 2", "e5",   "-nan",
                                        "1,5",         "don't",       "a\"b\""};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char text[100] = "a.b != ";

        strncat(text, texts[i], 80);
        CU_ASSERT_FALSE(
            expect_field(text, "a", "b", MARK_LESS | MARK_GREATER | MARK_DIFFERENT, texts[i])->is_number);
    }
}

static void field_rule__quotes__then_text_between_them(void)
{
    CU_ASSERT_FALSE(expect_field("a.b==\"5\"", "a", "b", MARK_EQUAL, "5")->is_number);
    CU_ASSERT_FALSE(expect_field("a.b==\"\"", "a", "b", MARK_EQUAL, "")->is_number);
    expect_field("a.b == \" x \" ", "a", "b", MARK_EQUAL, " x ");
    expect_field("a.b==\"say \"hi\"\"", "a", "b", MARK_EQUAL, "say \"hi\"");
    expect_field("a.b==\"=\"", "a", "b", MARK_EQUAL, "=");
}

static void field_rule__malformed__then_refused_at_its_place(void)
{
    static const char no_operator[] = "expected an operator: == != > >= < <=";
    static const char not_text[] = "expected a number: text compares by == and != only";

    expect_error("", 0, "expected event=NAME, span=NAME>TIME or NAME.FIELD==VALUE");
    expect_error("  ", 0, "expected event=NAME, span=NAME>TIME or NAME.FIELD==VALUE");
    expect_error("open.path", 9, no_operator);
    expect_error(" x", 2, no_operator);
    expect_error("event", 5, no_operator);
    expect_error("a.b=1", 3, no_operator);
    expect_error("a.b!1", 3, no_operator);
    expect_error("a.b=>1", 3, no_operator);
    expect_error("a==1", 1, "expected a field: NAME.FIELD");
    expect_error(".b==1", 0, "expected a name");
    expect_error("a.==1", 2, "expected a name");
    expect_error("a. ==1", 3, "expected a name");
    expect_error(NAME_63 "l.b==1", 63, "the name of an event has at most 63 characters");
    expect_error("a." FIELD_22 "w==1", 24, "the name of a field has at most 22 characters");
    expect_error("a.b==", 5, "expected a value");
    expect_error("a.b== ", 5, "expected a value");
    expect_error("a.b===1", 5, "expected a value; put it in double quotes if it begins with =");
    expect_error("a.b==\"", 6, "expected a double quote");
    expect_error("a.b==\"x", 7, "expected a double quote");
    expect_error("a.b==\"x\" y", 10, "expected a double quote");
    expect_error("a.b>x", 4, not_text);
    expect_error("a.b >= \"5\"", 7, not_text);
    expect_error("a.b<x", 4, not_text);
    expect_error("a.b<=x", 5, not_text);
    expect_error("a.b>>1", 4, not_text);
    expect_error("a.b==1e999", 5, "the number is too large");
    expect_error("a.b==-1e999", 5, "the number is too large");
    expect_error("a.b==0x10000000000000000", 5, "the number is too large");
}

/* ---- sets of rules ----------------------------------------------------------------------------- */

static void add__more_than_64__then_e2big_and_rules_as_before(void)
{
    MarkRuleError error = {.position = 7};
    MarkRules rules = {0};

    for (unsigned i = 0; i < MARK_RULES_MAX; i++) {
        char text[32];

        snprintf(text, sizeof(text), "event=e%u", i);
        CU_ASSERT_EQUAL(mark_rules_add(&rules, text, &error), 0);
    }
    CU_ASSERT_EQUAL(mark_rules_add(&rules, "event=x", &error), -E2BIG);
    CU_ASSERT_EQUAL(error.position, 7);
    CU_ASSERT_EQUAL(rules.count, MARK_RULES_MAX);
    CU_ASSERT_STRING_EQUAL(rules.items[0].text, "event=e0");
    CU_ASSERT_STRING_EQUAL(rules.items[63].name, "e63");
    mark_rules_fini(&rules);
    CU_ASSERT_EQUAL(rules.count, 0);
    CU_ASSERT_PTR_NULL(rules.items);
    mark_rules_fini(&rules);
}

static void add__bad_rule_after_good__then_good_is_kept(void)
{
    MarkRules rules = {0};
    MarkRuleError error;

    CU_ASSERT_EQUAL(mark_rules_add(&rules, "a.b==text", &error), 0);
    CU_ASSERT_EQUAL(mark_rules_add(&rules, "nonsense", &error), -EINVAL);
    CU_ASSERT_EQUAL(rules.count, 1);
    CU_ASSERT_EQUAL(mark_rules_add(&rules, "event=x", &error), 0);
    CU_ASSERT_EQUAL(rules.count, 2);
    CU_ASSERT_STRING_EQUAL(rules.items[0].value, "text");
    mark_rules_fini(&rules);
}

static void add__text_changed_later__then_rule_has_its_own(void)
{
    char text[] = "a.b==text";
    MarkRules rules = {0};
    MarkRuleError error;

    CU_ASSERT_EQUAL(mark_rules_add(&rules, text, &error), 0);
    memset(text, 'x', sizeof(text) - 1);
    CU_ASSERT_STRING_EQUAL(rules.items[0].text, "a.b==text");
    CU_ASSERT_STRING_EQUAL(rules.items[0].value, "text");
    mark_rules_fini(&rules);
}

/* ---- rules about what the kernel sees ------------------------------------------------------------- */

static void expect_time(const char *text, MarkRuleKind kind, uint64_t ns, bool or_equal)
{
    const MarkRule *rule = parse(text);

    CU_ASSERT_EQUAL(rule->kind, kind);
    CU_ASSERT_EQUAL(rule->duration_ns, ns);
    CU_ASSERT_TRUE(mark_rule_needs_kernel(rule));
    CU_ASSERT_FALSE(mark_rule_accepts_time(rule, ns - 1));
    CU_ASSERT_EQUAL(mark_rule_accepts_time(rule, ns), or_equal);
    CU_ASSERT_TRUE(mark_rule_accepts_time(rule, ns + 1));
}

static void kernel_rule__times__then_nanoseconds(void)
{
    expect_time("offcpu>10ms", MARK_RULE_OFF_CPU, 10000000, false);
    expect_time(" offcpu >= 1.5s ", MARK_RULE_OFF_CPU, 1500000000, true);
    expect_time("runqueue>300us", MARK_RULE_RUN_QUEUE, 300000, false);
    expect_time("runqueue>=5ms", MARK_RULE_RUN_QUEUE, 5000000, true);
    CU_ASSERT_EQUAL(parse("signal=fatal")->kind, MARK_RULE_FATAL_SIGNAL);
    CU_ASSERT_EQUAL(parse("signal = fatal")->kind, MARK_RULE_FATAL_SIGNAL);
    CU_ASSERT_TRUE(mark_rule_needs_kernel(parse("signal=fatal")));
}

/* Events of these names can have rules, too. */
static void kernel_rule__words_as_names__then_rules_of_events(void)
{
    CU_ASSERT_EQUAL(parse("event=offcpu")->kind, MARK_RULE_EVENT);
    CU_ASSERT_EQUAL(parse("span=runqueue>1ms")->kind, MARK_RULE_SPAN);
    CU_ASSERT_EQUAL(parse("offcpu.ms>5")->kind, MARK_RULE_FIELD);
    CU_ASSERT_EQUAL(parse("signal.number==9")->kind, MARK_RULE_FIELD);
    CU_ASSERT_FALSE(mark_rule_needs_kernel(parse("event=offcpu")));
}

static void kernel_rule__malformed__then_refused_at_its_place(void)
{
    static const char a_time[] = "expected a time such as 10ms, 300us or 1.5s";

    expect_error("offcpu>", 7, a_time);
    expect_error("offcpu>soon", 7, a_time);
    expect_error("offcpu >= 1x", 10, a_time);
    expect_error("runqueue>99999999999999s", 9, "the time is too long");
    expect_error("offcpu", 6, "expected an operator: == != > >= < <=");
    expect_error("offcpu<1ms", 6, "expected a field: NAME.FIELD");
    expect_error("signal=9", 7, "expected fatal: signal=fatal");
    expect_error("signal=", 7, "expected fatal: signal=fatal");
}

static void add__no_memory__then_enomem_and_rules_as_before(void)
{
    MarkRuleError error = {.position = 7};
    MarkRules rules = {0};

    for (long i = 0; i < 2; i++) {
        allocations = i;
        CU_ASSERT_EQUAL(mark_rules_add(&rules, "event=x", &error), -ENOMEM);
        CU_ASSERT_EQUAL(rules.count, 0);
        mark_rules_fini(&rules);
    }
    allocations = -1;
    CU_ASSERT_EQUAL(mark_rules_add(&rules, "event=x", &error), 0);
    CU_ASSERT_EQUAL(error.position, 7);
    CU_ASSERT_EQUAL(rules.count, 1);
    mark_rules_fini(&rules);
}

static const TestCase tests[] = {
    TEST(event_rule__names__then_taken_as_they_are),
    TEST(event_rule__blanks__then_around_name_ignored),
    TEST(event_rule__bad_name__then_refused_at_its_place),
    TEST(span_rule__times__then_nanoseconds),
    TEST(span_rule__blanks_and_signs_in_name__then_last_sign_is_the_operator),
    TEST(span_rule__malformed__then_refused_at_its_place),
    TEST(field_rule__operators__then_the_relations_they_accept),
    TEST(field_rule__dots_and_blanks__then_field_is_after_the_last_dot),
    TEST(field_rule__integers__then_exact),
    TEST(field_rule__fraction_exponent_or_many_digits__then_real),
    TEST(field_rule__text__then_not_a_number),
    TEST(field_rule__quotes__then_text_between_them),
    TEST(field_rule__malformed__then_refused_at_its_place),
    TEST(kernel_rule__times__then_nanoseconds),
    TEST(kernel_rule__words_as_names__then_rules_of_events),
    TEST(kernel_rule__malformed__then_refused_at_its_place),
    TEST(add__more_than_64__then_e2big_and_rules_as_before),
    TEST(add__bad_rule_after_good__then_good_is_kept),
    TEST(add__text_changed_later__then_rule_has_its_own),
    TEST(add__no_memory__then_enomem_and_rules_as_before),
};
TEST_MAIN("mark_rule", tests)
