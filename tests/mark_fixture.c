/* SPDX-License-Identifier: MIT */
#include "mark_fixture.h"

#include <stdio.h>
#include <string.h>

#include "test_support.h"

void mark_fixture_init(MarkFixture *fixture, size_t count, const char *const *texts)
{
    MarkRuleError error = {0};

    mark_fixture_fini(fixture);
    for (size_t i = 0; i < count; i++) {
        int err = mark_rules_add(&fixture->rules, texts[i], &error);

        if (err)
            printf("  '%s' at %zu: %s\n", texts[i], error.position, error.message);
        CU_ASSERT_EQUAL_FATAL(err, 0);
    }
    CU_ASSERT_EQUAL_FATAL(mark_matcher_create(&fixture->rules, &fixture->matcher), 0);
    mark_matcher_set_rate(fixture->matcher, 1.0);
}

void mark_fixture_fini(MarkFixture *fixture)
{
    mark_matcher_destroy(fixture->matcher);
    mark_rules_fini(&fixture->rules);
    fixture->matcher = NULL;
}

void mark_fixture_learn(MarkFixture *fixture, uint32_t id, const char *name)
{
    AdaEventDescriptor descriptor = {.ready = 1, .id = id, .kind = ADA_KIND_SPAN_BEGIN};

    strncpy(descriptor.name, name, sizeof(descriptor.name) - 1);
    CU_ASSERT_EQUAL(mark_matcher_learn(fixture->matcher, &descriptor), 0);
}

void mark_fixture_add_field(AdaEventDescriptor *descriptor, const char *name, uint8_t type)
{
    AdaFieldDescriptor *field = &descriptor->fields[descriptor->field_count++];

    strncpy(field->name, name, sizeof(field->name) - 1);
    field->type = type;
}
