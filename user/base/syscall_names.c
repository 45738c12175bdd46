/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/base/syscall_names.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

static const char *const names[SYSCALLS_MAX] = {
#include ADA_SYSCALL_NAMES /* made from <sys/syscall.h>: tools/cmake/AdatraceSyscalls.cmake */
};

const char *syscall_name(uint32_t number)
{
    return number < SYSCALLS_MAX ? names[number] : NULL;
}

/* Adds those that a pattern of the shell matches. How many. */
static uint32_t add_matching(SyscallSet *set, const char *pattern)
{
    uint32_t found = 0;

    for (uint32_t number = 0; number < SYSCALLS_MAX; number++) {
        if (!names[number] || fnmatch(pattern, names[number], 0) != 0)
            continue;
        set->bits[number / 64] |= 1ull << number % 64;
        found++;
    }
    return found;
}

int syscall_set_add(SyscallSet *set, const char *list, const char **bad_out, size_t *length_out)
{
    char pattern[64];

    if (!list) {
        memset(set->bits, 0xff, sizeof(set->bits)); /* also those without a name here */
        return 0;
    }
    for (;;) {
        size_t length = strcspn(list, ",");

        *bad_out = list;
        *length_out = length;
        if (length == 0 || length >= sizeof(pattern))
            return -EINVAL;
        memcpy(pattern, list, length);
        pattern[length] = '\0';
        if (add_matching(set, pattern) == 0)
            return -EINVAL;
        if (list[length] == '\0')
            return 0;
        list += length + 1;
    }
}
