/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memrchr */
#include "user/drain/mark_rule.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/array.h"
#include "user/base/parse.h"

/* A text that is being read; places in it are pointers. */
typedef struct Parser {
    const char *text; /* no blanks at its end */
    MarkRuleError *error;
} Parser;

static int fail(const Parser *parser, const char *at, const char *message)
{
    *parser->error = (MarkRuleError){.position = (size_t)(at - parser->text), .message = message};
    return -EINVAL;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static const char *skip_blanks(const char *at)
{
    while (is_blank(*at))
        at++;
    return at;
}

/* ---- parts ------------------------------------------------------------------------------------- */

/* What follows "WORD =", or NULL when the text does not begin so. */
static const char *after_keyword(const char *text, const char *word)
{
    size_t length = strlen(word);

    if (strncmp(text, word, length) != 0)
        return NULL;
    text = skip_blanks(text + length);
    return *text == '=' ? text + 1 : NULL;
}

/* The operator > or >= that follows the word, or NULL when the text does not begin so. */
static const char *after_time_keyword(const char *text, const char *word)
{
    size_t length = strlen(word);

    if (strncmp(text, word, length) != 0)
        return NULL;
    text = skip_blanks(text + length);
    return *text == '>' ? text : NULL;
}

/* Copies the name between `at` and `end`, without the blanks around it; `size` counts its NUL. */
static int read_name(const Parser *parser, const char *at, const char *end, char *name, size_t size)
{
    size_t length;

    while (at < end && is_blank(*at))
        at++;
    while (at < end && is_blank(end[-1]))
        end--;
    length = (size_t)(end - at);
    if (length == 0)
        return fail(parser, at, "expected a name");
    if (length >= size)
        return fail(parser, at + size - 1,
                    size == ADA_FIELD_NAME_SIZE ? "the name of a field has at most 22 characters"
                                                : "the name of an event has at most 63 characters");
    memcpy(name, at, length);
    name[length] = '\0';
    return 0;
}

/* Takes the operator at *at, whose relations it returns; 0: there is none. */
static uint8_t take_operator(const char **at)
{
    static const struct {
        char text[3];
        uint8_t relations;
    } operators[] = {
        {"==", MARK_EQUAL},
        {"!=", MARK_LESS | MARK_GREATER | MARK_DIFFERENT},
        {">=", MARK_GREATER | MARK_EQUAL},
        {"<=", MARK_LESS | MARK_EQUAL},
        {">", MARK_GREATER}, /* after those that begin with it */
        {"<", MARK_LESS},
    };

    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        size_t length = strlen(operators[i].text);

        if (strncmp(*at, operators[i].text, length) == 0) {
            *at += length;
            return operators[i].relations;
        }
    }
    return 0;
}

/* Hexadecimal digits up to the end of the text. 0, -EINVAL, -ERANGE: more than 64 bits. */
static int parse_hex(const char *digits, uint64_t *value_out)
{
    size_t length = strlen(digits);

    if (length == 0 || strspn(digits, "0123456789abcdefABCDEF") != length)
        return -EINVAL;
    if (length - strspn(digits, "0") > 16)
        return -ERANGE;
    *value_out = strtoull(digits, NULL, 16);
    return 0;
}

/* 0; -EINVAL: the text is not a number; -ERANGE: it is one too large to compare with. */
static int parse_number(const char *text, MarkNumber *number_out)
{
    const char *digits = *text == '-' ? text + 1 : text;
    MarkNumber number = {0};
    char *end;
    int err;

    if (strncmp(digits, "0x", 2) == 0 || strncmp(digits, "0X", 2) == 0) {
        err = parse_hex(digits + 2, &number.magnitude);
        if (err)
            return err;
    } else if (parse_u64(digits, 0, UINT64_MAX, &number.magnitude) != 0) {
        /* Only what the characters allow: strtod() would also take "inf", "nan" and blanks. */
        if (digits[strspn(digits, "0123456789.eE+-")] != '\0' || strchr("eE+-", *digits))
            return -EINVAL;
        number.real = strtod(text, &end);
        if (end == text || *end != '\0')
            return -EINVAL;
        if (isinf(number.real))
            return -ERANGE;
        number.is_real = true;
    }
    number.negative = *text == '-' && number.magnitude != 0;
    *number_out = number;
    return 0;
}

static int read_value(const Parser *parser, const char *at, MarkRule *rule)
{
    size_t size = strlen(at);
    bool quoted = *at == '"';
    int err;

    if (size == 0)
        return fail(parser, at, "expected a value");
    if (*at == '=')
        return fail(parser, at, "expected a value; put it in double quotes if it begins with =");
    if (quoted && (size == 1 || at[size - 1] != '"'))
        return fail(parser, at + size, "expected a double quote");
    rule->value = quoted ? at + 1 : at;
    rule->value_size = quoted ? size - 2 : size;
    err = quoted ? -EINVAL : parse_number(at, &rule->number);
    if (err == -ERANGE)
        return fail(parser, at, "the number is too large");
    rule->is_number = err == 0;
    if (!rule->is_number && !mark_rule_compares_text(rule))
        return fail(parser, at, "expected a number: text compares by == and != only");
    return 0;
}

/* ---- rules ------------------------------------------------------------------------------------- */

static int parse_event_rule(const Parser *parser, const char *at, MarkRule *rule)
{
    rule->kind = MARK_RULE_EVENT;
    if (*at == '=')
        return fail(parser, at, "expected a name: event=NAME");
    return read_name(parser, at, at + strlen(at), rule->name, sizeof(rule->name));
}

/* The operator > or >= at `sign` and the time behind it. */
static int read_limit(const Parser *parser, const char *sign, MarkRule *rule)
{
    int err;

    rule->relations = take_operator(&sign);
    sign = skip_blanks(sign);
    err = parse_duration(sign, 0, UINT64_MAX, &rule->duration_ns);
    if (err == -ERANGE)
        return fail(parser, sign, "the time is too long");
    return err ? fail(parser, sign, "expected a time such as 10ms, 300us or 1.5s") : 0;
}

static int parse_span_rule(const Parser *parser, const char *at, MarkRule *rule)
{
    const char *sign = strrchr(at, '>');
    int err;

    rule->kind = MARK_RULE_SPAN;
    if (*at == '=')
        return fail(parser, at, "expected a name: span=NAME>TIME");
    if (!sign)
        return fail(parser, at + strcspn(at, "<!="), "expected > or >= and a time");
    err = read_name(parser, at, sign, rule->name, sizeof(rule->name));
    return err ? err : read_limit(parser, sign, rule);
}

static int parse_signal_rule(const Parser *parser, const char *at, MarkRule *rule)
{
    at = skip_blanks(at);
    rule->kind = MARK_RULE_FATAL_SIGNAL;
    return strcmp(at, "fatal") == 0 ? 0 : fail(parser, at, "expected fatal: signal=fatal");
}

static int parse_field_rule(const Parser *parser, const char *at, MarkRule *rule)
{
    const char *sign = at + strcspn(at, "=!<>");
    const char *dot = memrchr(at, '.', (size_t)(sign - at));
    const char *after = sign;
    int err;

    rule->kind = MARK_RULE_FIELD;
    rule->relations = take_operator(&after);
    if (!rule->relations)
        return fail(parser, sign, "expected an operator: == != > >= < <=");
    if (!dot)
        return fail(parser, sign, "expected a field: NAME.FIELD");
    err = read_name(parser, at, dot, rule->name, sizeof(rule->name));
    if (!err)
        err = read_name(parser, dot + 1, sign, rule->field, sizeof(rule->field));
    return err ? err : read_value(parser, skip_blanks(after), rule);
}

static int parse_rule(const Parser *parser, MarkRule *rule)
{
    const char *text = skip_blanks(parser->text);
    const char *at;

    if (!*text)
        return fail(parser, text, "expected event=NAME, span=NAME>TIME or NAME.FIELD==VALUE");
    at = after_keyword(text, "event");
    if (at)
        return parse_event_rule(parser, at, rule);
    at = after_keyword(text, "span");
    if (at)
        return parse_span_rule(parser, at, rule);
    at = after_keyword(text, "signal");
    if (at)
        return parse_signal_rule(parser, at, rule);
    at = after_time_keyword(text, "offcpu");
    if (at) {
        rule->kind = MARK_RULE_OFF_CPU;
        return read_limit(parser, at, rule);
    }
    at = after_time_keyword(text, "runqueue");
    if (at) {
        rule->kind = MARK_RULE_RUN_QUEUE;
        return read_limit(parser, at, rule);
    }
    return parse_field_rule(parser, text, rule);
}

int mark_rules_add(MarkRules *rules, const char *text, MarkRuleError *error_out)
{
    size_t length = strlen(text);
    MarkRule rule = {0};
    Parser parser;
    char *copy;
    int err;

    if (rules->count == MARK_RULES_MAX)
        return -E2BIG;
    err = array_reserve_one(&rules->items, &rules->capacity, rules->count, sizeof(*rules->items));
    if (err)
        return err;
    while (length > 0 && is_blank(text[length - 1]))
        length--;
    copy = strndup(text, length);
    if (!copy)
        return -ENOMEM;
    parser = (Parser){.text = copy, .error = error_out};
    err = parse_rule(&parser, &rule);
    if (err) {
        free(copy);
        return err;
    }
    rule.text = copy;
    rules->items[rules->count++] = rule;
    return 0;
}

void mark_rules_fini(MarkRules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        free(rules->items[i].text);
    free(rules->items);
    *rules = (MarkRules){0};
}
