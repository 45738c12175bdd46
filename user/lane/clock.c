/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/lane/clock.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

uint32_t ada_clock_kind = ADA_CLOCK_MONOTONIC;

void ada_clock_set(uint32_t kind)
{
    ada_clock_kind = kind;
}

#if defined(__x86_64__)

#define CLOCK_CPUID_POWER 0x80000007u /* AMD APM vol. 3, Intel SDM vol. 2A: EDX bit 8 = invariant TSC */
#define CLOCK_INVARIANT_TSC (1u << 8)

static bool counter_is_invariant(void)
{
    unsigned eax, ebx, ecx, edx;

    return __get_cpuid(CLOCK_CPUID_POWER, &eax, &ebx, &ecx, &edx) && (edx & CLOCK_INVARIANT_TSC);
}

/* By system calls alone: the child of a fork may ask. */
static bool kernel_uses_counter(void)
{
    static const char path[] = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    char name[8] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size;

    if (fd < 0)
        return false;
    size = read(fd, name, sizeof(name) - 1);
    close(fd);
    return size >= 3 && strncmp(name, "tsc", 3) == 0 && (name[3] == '\n' || name[3] == '\0');
}

uint32_t ada_clock_detect(void)
{
    return counter_is_invariant() && kernel_uses_counter() ? ADA_CLOCK_TSC : ADA_CLOCK_MONOTONIC;
}

#elif defined(__aarch64__)

/* cntvct_el0 is architecturally constant and synchronized; the kernel's clock source is the same counter. */
uint32_t ada_clock_detect(void)
{
    return ADA_CLOCK_TSC;
}

#else

uint32_t ada_clock_detect(void)
{
    return ADA_CLOCK_MONOTONIC;
}

#endif
