/* SPDX-License-Identifier: MIT */
/* Weights of threads: which texts are rules, and which rule means a thread. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "test_support.h"
#include "user/drain/weight_rule.h"

static long allocations = -1; /* that still succeed; -1 = all */

static bool may_allocate(void)
{
    if (allocations == 0) {
        errno = ENOMEM;
        return false;
    }
    if (allocations > 0)
        allocations--;
    return true;
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

    if (!copy)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

static void add(WeightRules *rules, const char *text)
{
    const char *why = NULL;

    CU_ASSERT_EQUAL_FATAL(weight_rules_add(rules, text, &why), 0);
    CU_ASSERT_PTR_NULL(why);
}

static void weight_rule__name__then_that_thread_only(void)
{
    WeightRules rules = {0};

    CU_ASSERT_EQUAL(weight_rules_find(&rules, "worker"), 1);
    add(&rules, "worker=8");
    CU_ASSERT_EQUAL(weight_rules_find(&rules, "worker"), 8);
    CU_ASSERT_EQUAL(weight_rules_find(&rules, "worker1"), 1);
    CU_ASSERT_EQUAL(weight_rules_find(&rules, ""), 1);
    weight_rules_fini(&rules);
    CU_ASSERT_EQUAL(rules.count, 0);
    CU_ASSERT_EQUAL(weight_rules_find(&rules, "worker"), 1);
}

static void weight_rule__pattern__then_all_that_match(void)
{
    WeightRules rules = {0};

    add(&rules, "io-[0-9]=1000");
    add(&rules, "*=3");
    CU_ASSERT_EQUAL(weight_rules_find(&rules, "io-1"), 3); /* the last that matches counts */
    add(&rules, "a=b*=1");
    CU_ASSERT_EQUAL(weight_rules_find(&rules, "a=bc"), 1);
    CU_ASSERT_EQUAL(weight_rules_find(&rules, "abc"), 3);
    CU_ASSERT_EQUAL(weight_rules_find(&rules, ""), 3);
    add(&rules, "io-?=1000");
    CU_ASSERT_EQUAL(weight_rules_find(&rules, "io-1"), 1000);
    CU_ASSERT_EQUAL(weight_rules_find(&rules, "io-12"), 3);
    weight_rules_fini(&rules);
}

static void weight_rule__not_one__then_refused_with_the_reason(void)
{
    static const struct {
        const char *text;
        const char *why;
    } bad[] = {
        {"", "NAME=N"},
        {"worker", "NAME=N"},
        {"=3", "NAME=N"},
        {"worker=", "1 to 1000"},
        {"worker=0", "1 to 1000"},
        {"worker=1001", "1 to 1000"},
        {"worker=-1", "1 to 1000"},
        {"worker=3x", "1 to 1000"},
        {"worker= 3", "1 to 1000"},
        {"sixteen.letters.=3", "15 characters"},
    };
    WeightRules rules = {0};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *why = NULL;

        CU_ASSERT_EQUAL(weight_rules_add(&rules, bad[i].text, &why), -EINVAL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(why);
        CU_ASSERT_PTR_NOT_NULL(strstr(why, bad[i].why));
        CU_ASSERT_EQUAL(rules.count, 0);
    }
    add(&rules, "fifteen.letters=3");
    add(&rules, "[a-z][a-z][a-z][a-z]*=3"); /* a pattern may be longer than what it matches */
    weight_rules_fini(&rules);
}

static void weight_rules_add__no_memory__then_as_before(void)
{
    WeightRules rules = {0};
    const char *why = NULL;

    for (long i = 0; i < 2; i++) {
        allocations = i;
        CU_ASSERT_EQUAL(weight_rules_add(&rules, "worker=8", &why), -ENOMEM);
        allocations = -1;
        CU_ASSERT_EQUAL(rules.count, 0);
        weight_rules_fini(&rules);
    }
    CU_ASSERT_PTR_NULL(why);
}

static const TestCase tests[] = {
    TEST(weight_rule__name__then_that_thread_only),
    TEST(weight_rule__pattern__then_all_that_match),
    TEST(weight_rule__not_one__then_refused_with_the_reason),
    TEST(weight_rules_add__no_memory__then_as_before),
};
TEST_MAIN("weight_rule", tests)
