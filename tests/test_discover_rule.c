/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "user/collector/discover_rule.h"

static bool matches(const char *text)
{
    DiscoverRules rules = {0};
    ProcessIdentity identity;
    const char *why = NULL;
    bool result;

    CU_ASSERT_EQUAL_FATAL(process_identity_read(getpid(), &identity), 0);
    CU_ASSERT_EQUAL_FATAL(discover_rules_add(&rules, text, &why), 0);
    result = discover_rules_match(&rules, &identity, false);
    discover_rules_fini(&rules);
    return result;
}

/* The kernel's name of this program is cut after 15 characters, its file's is not. */
static void discover_rules_match__name_of_process_or_file__then_meant(void)
{
    CU_ASSERT(matches("name=test_discover_rule"));
    CU_ASSERT(matches("name=test_discover_r"));
    CU_ASSERT(matches("name=test_dis*"));
    CU_ASSERT_FALSE(matches("name=test_dis"));
    CU_ASSERT_FALSE(matches("name=*/test_discover_rule"));
}

static void discover_rules_match__user__then_meant(void)
{
    char mine[64], other[64];

    (void)snprintf(mine, sizeof(mine), "user=%u", (unsigned)geteuid());
    (void)snprintf(other, sizeof(other), "user=%u", (unsigned)geteuid() + 1);
    CU_ASSERT(matches(mine));
    CU_ASSERT_FALSE(matches(other));
    CU_ASSERT_EQUAL(matches("user=root"), geteuid() == 0);
}

static void discover_rules_match__cgroup__then_meant(void)
{
    char line[512], rule[600];
    FILE *file = fopen("/proc/self/cgroup", "re");

    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fgets(line, sizeof(line), file));
    (void)fclose(file);
    line[strcspn(line, "\n")] = '\0';
    (void)snprintf(rule, sizeof(rule), "cgroup=%s", strchr(line, '/'));
    CU_ASSERT(matches(rule));
    CU_ASSERT(matches("cgroup=/*"));
    CU_ASSERT_FALSE(matches("cgroup=/no_group_has_this_name"));
}

static void discover_rules_match__several_conditions__then_all_of_a_rule_and_one_rule(void)
{
    DiscoverRules rules = {0};
    ProcessIdentity identity;
    const char *why;

    CU_ASSERT(matches("name=test_dis*,cgroup=/*"));
    CU_ASSERT_FALSE(matches("name=other,cgroup=/*"));
    CU_ASSERT_FALSE(matches("name=test_dis*,cgroup=/no_group_has_this_name"));
    CU_ASSERT_EQUAL_FATAL(process_identity_read(getpid(), &identity), 0);
    CU_ASSERT_FALSE(discover_rules_match(&rules, &identity, false));
    CU_ASSERT_EQUAL(discover_rules_add(&rules, "name=other", &why), 0);
    CU_ASSERT_FALSE(discover_rules_match(&rules, &identity, false));
    CU_ASSERT_EQUAL(discover_rules_add(&rules, "name=test_dis*", &why), 0);
    CU_ASSERT(discover_rules_match(&rules, &identity, false));
    identity.pid = 0x7ffffffe; /* gone meanwhile: its file is not known */
    (void)snprintf(identity.name, sizeof(identity.name), "gone");
    CU_ASSERT_FALSE(discover_rules_match(&rules, &identity, false));
    CU_ASSERT_EQUAL(discover_rules_add(&rules, "cgroup=*", &why), 0);
    CU_ASSERT_FALSE(discover_rules_match(&rules, &identity, false));
    discover_rules_fini(&rules);
}

static void discover_rules_match__all__then_who_uses_the_library(void)
{
    DiscoverRules rules = {0};
    ProcessIdentity identity;
    const char *why;

    CU_ASSERT_EQUAL_FATAL(process_identity_read(getpid(), &identity), 0);
    CU_ASSERT_EQUAL(discover_rules_add(&rules, "all,name=other", &why), 0);
    CU_ASSERT_FALSE(discover_rules_match(&rules, &identity, true));
    CU_ASSERT_EQUAL(discover_rules_add(&rules, "name=test_dis*,all", &why), 0);
    CU_ASSERT_TRUE(discover_rules_match(&rules, &identity, true));
    CU_ASSERT_FALSE(discover_rules_match(&rules, &identity, false));
    CU_ASSERT_TRUE(discover_rules_have_all(&rules));
    CU_ASSERT_FALSE(discover_rules_have_others(&rules));
    discover_rules_fini(&rules);
    CU_ASSERT_EQUAL(discover_rules_add(&rules, "name=other", &why), 0);
    CU_ASSERT_FALSE(discover_rules_have_all(&rules));
    CU_ASSERT_TRUE(discover_rules_have_others(&rules));
    CU_ASSERT_EQUAL(discover_rules_add(&rules, "all", &why), 0);
    CU_ASSERT_TRUE(discover_rules_match(&rules, &identity, true));
    CU_ASSERT_FALSE(discover_rules_match(&rules, &identity, false));
    discover_rules_fini(&rules);
}

static void discover_rules_add__none__then_said_why_and_nothing_added(void)
{
    static const char *const texts[] = {"",
                                        ",",
                                        "name",
                                        "name=",
                                        "all=",
                                        "ALL",
                                        "all,",
                                        "=x",
                                        "size=3",
                                        "name=x,",
                                        "user=nobody_of_that_name",
                                        "user=-1",
                                        "user=4294967295"};
    DiscoverRules rules = {0};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *why = NULL;

        CU_ASSERT_EQUAL(discover_rules_add(&rules, texts[i], &why), -EINVAL);
        CU_ASSERT_PTR_NOT_NULL(why);
        CU_ASSERT_EQUAL(rules.count, 0);
    }
    discover_rules_fini(&rules);
}

static const TestCase tests[] = {
    TEST(discover_rules_match__name_of_process_or_file__then_meant),
    TEST(discover_rules_match__user__then_meant),
    TEST(discover_rules_match__cgroup__then_meant),
    TEST(discover_rules_match__several_conditions__then_all_of_a_rule_and_one_rule),
    TEST(discover_rules_match__all__then_who_uses_the_library),
    TEST(discover_rules_add__none__then_said_why_and_nothing_added),
};
TEST_MAIN("discover_rule", tests)
