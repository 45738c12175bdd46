/* SPDX-License-Identifier: MIT */
/*
 * Rules as a user types them, and a matcher of them, for tests. A clock's tick is 1 ns.
 *
 *     static MarkFixture fixture;
 *     MARK_RULES(&fixture, "event=work", "span=work>1ms");
 */
#ifndef ADA_TESTS_MARK_FIXTURE_H
#define ADA_TESTS_MARK_FIXTURE_H

#include "user/drain/mark_matcher.h"

typedef struct MarkFixture {
    MarkRules rules;
    MarkMatcher *matcher;
} MarkFixture;

/* Replaces what a zeroed or used fixture has; a text that is no rule ends the test. */
void mark_fixture_init(MarkFixture *fixture, size_t count, const char *const *texts);
void mark_fixture_fini(MarkFixture *fixture);

/* clang-format off */
#define MARK_TEXTS_(...) sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__}
/* clang-format on */
#define MARK_RULES(fixture, ...) mark_fixture_init(fixture, MARK_TEXTS_(__VA_ARGS__))

/* Lets the matcher know an event without fields. */
void mark_fixture_learn(MarkFixture *fixture, uint32_t id, const char *name);

/* Adds a field to a descriptor. */
void mark_fixture_add_field(AdaEventDescriptor *descriptor, const char *name, uint8_t type);

#endif
