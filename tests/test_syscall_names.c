/* SPDX-License-Identifier: MIT */
#include "test_support.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>

#include "user/base/syscall_names.h"

static bool has(const SyscallSet *set, uint32_t number)
{
    return (set->bits[number / 64] >> number % 64 & 1) != 0;
}

static uint32_t count(const SyscallSet *set)
{
    uint32_t sum = 0;

    for (uint32_t word = 0; word < SYSCALL_WORDS; word++)
        sum += (uint32_t)__builtin_popcountll(set->bits[word]);
    return sum;
}

static void syscall_name__numbers__then_those_of_the_headers(void)
{
    CU_ASSERT_STRING_EQUAL(syscall_name(SYS_read), "read");
    CU_ASSERT_STRING_EQUAL(syscall_name(SYS_openat), "openat");
    CU_ASSERT_STRING_EQUAL(syscall_name(SYS_exit_group), "exit_group");
    CU_ASSERT_PTR_NULL(syscall_name(SYSCALLS_MAX - 1));
    CU_ASSERT_PTR_NULL(syscall_name(SYSCALLS_MAX));
    CU_ASSERT_PTR_NULL(syscall_name(UINT32_MAX));
}

static void syscall_set_add__names_and_patterns__then_these_and_no_others(void)
{
    SyscallSet set = {0};
    const char *bad;
    size_t length;

    CU_ASSERT_EQUAL(syscall_set_add(&set, "read,write", &bad, &length), 0);
    CU_ASSERT_EQUAL(count(&set), 2);
    CU_ASSERT(has(&set, SYS_read) && has(&set, SYS_write));
    CU_ASSERT_EQUAL(syscall_set_add(&set, "epoll_p*", &bad, &length), 0);
    CU_ASSERT(has(&set, SYS_epoll_pwait) && !has(&set, SYS_epoll_ctl));
    CU_ASSERT_EQUAL(syscall_set_add(&set, NULL, &bad, &length), 0);
    CU_ASSERT_EQUAL(count(&set), SYSCALLS_MAX);
}

static void syscall_set_add__no_name__then_it_is_pointed_at(void)
{
    static const struct {
        const char *list;
        size_t at, length;
    } cases[] = {{"", 0, 0},      {"raed", 0, 4},  {"read,,write", 5, 0},
                 {"read,", 5, 0}, {",read", 0, 0}, {"read,wirte,close", 5, 5},
                 {"rea", 0, 3},   {"read ", 0, 5}, {"nothing_like_*", 0, 14}};
    char overlong[200];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        SyscallSet set = {0};
        const char *bad = NULL;
        size_t length = SIZE_MAX;

        CU_ASSERT_EQUAL(syscall_set_add(&set, cases[i].list, &bad, &length), -EINVAL);
        CU_ASSERT_PTR_EQUAL(bad, cases[i].list + cases[i].at);
        CU_ASSERT_EQUAL(length, cases[i].length);
    }
    memset(overlong, 'x', sizeof(overlong) - 1);
    overlong[sizeof(overlong) - 1] = '\0';
    CU_ASSERT_EQUAL(syscall_set_add(&(SyscallSet){0}, overlong, &(const char *){NULL}, &(size_t){0}), -EINVAL);
}

static const TestCase tests[] = {
    TEST(syscall_name__numbers__then_those_of_the_headers),
    TEST(syscall_set_add__names_and_patterns__then_these_and_no_others),
    TEST(syscall_set_add__no_name__then_it_is_pointed_at),
};
TEST_MAIN("syscall_names", tests)
