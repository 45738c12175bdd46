/* SPDX-License-Identifier: MIT */
#include "user/collector/clock_anchor.h"

#include <time.h>

#include "user/lane/clock.h"

#define CLOCK_ANCHOR_TRIES 8 /* one of a few is not interrupted */

static uint64_t realtime_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The counter is read between two readings of CLOCK_MONOTONIC, and taken to belong to their middle. */
static void take_once(AdatClock *anchor)
{
    uint64_t before = ada_clock_monotonic_ns();
    uint64_t tsc = ada_clock_cycles();
    uint64_t realtime = realtime_ns();
    uint64_t after = ada_clock_monotonic_ns();

    anchor->tsc = tsc;
    anchor->monotonic_ns = before + (after - before) / 2;
    anchor->realtime_ns = realtime;
    anchor->error_ns = after - before;
}

void clock_anchor_take(AdatClock *anchor)
{
    take_once(anchor);
    for (int i = 1; i < CLOCK_ANCHOR_TRIES; i++) {
        AdatClock other;

        take_once(&other);
        if (other.error_ns < anchor->error_ns)
            *anchor = other;
    }
}
