/* SPDX-License-Identifier: MIT */
/*
 * Reads the input up to its first NUL as a rule and, if it is one, scans the rest for it, as index events and
 * as detail records. Events 1 to 8 have the rule's name; their first field is its field, behind
 * a text and a number in every other.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "user/drain/mark_matcher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void learn(MarkMatcher *matcher, const MarkRule *rule)
{
    for (uint32_t id = 1; id <= 8; id++) {
        AdaEventDescriptor descriptor = {.ready = 1, .id = id, .kind = ADA_KIND_TYPED};

        memcpy(descriptor.name, rule->name, sizeof(descriptor.name));
        if (id % 2) {
            descriptor.fields[0].type = ADA_TYPE_STRING;
            descriptor.fields[1].type = ADA_TYPE_U64;
            descriptor.field_count = 2;
        }
        memcpy(descriptor.fields[descriptor.field_count].name, rule->field, sizeof(rule->field));
        descriptor.fields[descriptor.field_count++].type = (uint8_t)(id % ADA_TYPE_COUNT);
        if (mark_matcher_learn(matcher, &descriptor))
            abort();
    }
}

static void scan(const MarkRules *rules, const uint8_t *data, size_t size)
{
    uint32_t events = (uint32_t)(size / ADA_INDEX_EVENT_SIZE);
    MarkMatcher *matcher;
    MarkThread thread;
    MarkHit hit = {0};

    if (mark_matcher_create(rules, &matcher))
        abort();
    mark_matcher_set_rate(matcher, 0.5);
    mark_thread_init(&thread);
    learn(matcher, &rules->items[0]);
    if (mark_matcher_scan_index(matcher, &thread, data, events, 0, &hit) && hit.record >= events)
        abort();
    if (mark_matcher_scan_details(matcher, data, size, 0, &hit) && hit.record >= size / ADA_DETAIL_HEADER_SIZE)
        abort();
    mark_matcher_destroy(matcher);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t length = strnlen((const char *)data, size);
    size_t rest = length < size ? size - length - 1 : 0;
    char *text = strndup((const char *)data, length);
    uint8_t *copy = malloc(rest + 1); /* so that reading behind it is noticed */
    MarkRuleError error = {0};
    MarkRules rules = {0};

    if (!text || !copy)
        abort();
    memcpy(copy + 1, data + size - rest, rest);
    if (mark_rules_add(&rules, text, &error) == 0)
        scan(&rules, copy + 1, rest);
    else if (error.position > length || !error.message)
        abort();
    mark_rules_fini(&rules);
    free(copy);
    free(text);
    return 0;
}
