/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/lane/futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "user/lane/clock.h"

#define NS_PER_S 1000000000ull

int ada_futex_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
    struct timespec timeout = {(time_t)(timeout_ns / NS_PER_S), (long)(timeout_ns % NS_PER_S)};
    int saved = errno;
    int result = 0;

    if (syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, NULL, 0) < 0)
        result = -errno;
    errno = saved;
    return result;
}

void ada_futex_wake(uint32_t *word)
{
    int saved = errno;

    (void)syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    errno = saved;
}

int ada_futex_wait_any(uint32_t *const *words, const uint32_t *values, uint32_t count, uint64_t timeout_ns)
{
    struct futex_waitv waiters[ADA_FUTEX_WAIT_MAX];
    uint64_t now = ada_clock_monotonic_ns();
    uint64_t until = timeout_ns < UINT64_MAX - now ? now + timeout_ns : UINT64_MAX;
    struct timespec deadline = {(time_t)(until / NS_PER_S), (long)(until % NS_PER_S)};
    int saved = errno;
    int result = 0;

    if (count > ADA_FUTEX_WAIT_MAX)
        return -EINVAL;
    memset(waiters, 0, sizeof(waiters[0]) * count);
    for (uint32_t i = 0; i < count; i++) {
        waiters[i].uaddr = (uintptr_t)words[i];
        waiters[i].val = values[i];
        waiters[i].flags = FUTEX_32;
    }
    if (syscall(SYS_futex_waitv, waiters, count, 0, &deadline, CLOCK_MONOTONIC) < 0)
        result = -errno;
    errno = saved;
    return result;
}
