/* SPDX-License-Identifier: MIT */
/*
 * The clock of a traced process: the raw cycle counter where the kernel itself trusts it, else
 * CLOCK_MONOTONIC. Chosen once per process (ada_clock_set()), before its first event.
 */
#ifndef ADA_LANE_CLOCK_H
#define ADA_LANE_CLOCK_H

#include <stdint.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "shared/event_abi.h"

/* ADA_CLOCK_TSC or ADA_CLOCK_MONOTONIC; written by ada_clock_set() before the process's first event. */
extern uint32_t ada_clock_kind;

/* ADA_CLOCK_TSC if the counter is invariant and the kernel uses it as its own clock source, so that it runs alike on all CPUs. */
uint32_t ada_clock_detect(void);

void ada_clock_set(uint32_t kind);

static inline uint64_t ada_clock_monotonic_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail: the clock exists, the pointer is good */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The raw cycle counter; 0 on machines without one that we know. */
static inline uint64_t ada_clock_cycles(void)
{
#if defined(__x86_64__)
    return __rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return 0;
#endif
}

static inline uint64_t ada_clock_ticks(void)
{
    if (__builtin_expect(ada_clock_kind == ADA_CLOCK_TSC, 1))
        return ada_clock_cycles();
    return ada_clock_monotonic_ns();
}

#endif
