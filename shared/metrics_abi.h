/* SPDX-License-Identifier: MIT */
/*
 * What a thread counts of itself, in the segment. Data only.
 *
 * Each group has a line of its own. P = the thread, in slow paths only, by relaxed load and store; C = the
 * collector. What the event path would have to count is derived from positions instead: the records of the
 * active ring are those below its published position, `written` has those of the rings before it.
 * Counters saturate at UINT64_MAX. The collector trusts none of them.
 */
#ifndef ADA_SHARED_METRICS_ABI_H
#define ADA_SHARED_METRICS_ABI_H

#include "event_abi.h"

#define ADA_METRICS_ALIGNED(n) __attribute__((aligned(n)))

/* Records, by what became of them. Written by P, read by C. */
typedef struct ada_metrics_counters_t {
    uint64_t written;        /* completed, in rings that were swapped out */
    uint64_t written_bytes;  /* of these */
    uint64_t dropped_full;   /* refused because no ring was free */
    uint64_t dropped_nested; /* refused in a signal handler because the interrupted write left no room */
    uint64_t overwritten;    /* lost because P took a submitted ring back under `overwrite` */
    uint64_t recycled;       /* unmarked detail records whose ring P took back */
    uint64_t reserved[2];
} ADA_METRICS_ALIGNED(64) ada_metrics_counters_t;
ADA_ABI_ASSERT(sizeof(ada_metrics_counters_t) == 64, "");

/* Rings activated after the first. Times are in ticks of the process's clock. Written by P, read by C. */
typedef struct ada_metrics_swaps_t {
    uint64_t count;
    uint64_t ticks;     /* spent in them, without stalls */
    uint64_t max_ticks; /* the longest of them */
    uint64_t reserved[5];
} ADA_METRICS_ALIGNED(64) ada_metrics_swaps_t;
ADA_ABI_ASSERT(sizeof(ada_metrics_swaps_t) == 64, "");

/* When the rings did not suffice. Written by P, read by C. */
typedef struct ada_metrics_pressure_t {
    uint64_t pool_exhausted; /* times that a ring was wanted and none was free */
    uint64_t stalls;         /* waits under `block` */
    uint64_t stall_ns;       /* time spent in them */
    uint64_t reserved[5];
} ADA_METRICS_ALIGNED(64) ada_metrics_pressure_t;
ADA_ABI_ASSERT(sizeof(ada_metrics_pressure_t) == 64, "");

/* Of one lane. */
typedef struct ada_lane_metrics_t {
    ada_metrics_counters_t counters;
    ada_metrics_swaps_t swaps;
    ada_metrics_pressure_t pressure;
} ADA_METRICS_ALIGNED(64) ada_lane_metrics_t;
ADA_ABI_ASSERT(sizeof(ada_lane_metrics_t) == 192, "");
ADA_ABI_ASSERT(__builtin_offsetof(ada_lane_metrics_t, swaps) == 64, "");
ADA_ABI_ASSERT(__builtin_offsetof(ada_lane_metrics_t, pressure) == 128, "");

/* How fast the thread writes. Written by C alone, by whoever claims the update (metrics_update_rate()). */
typedef struct ada_metrics_rates_t {
    uint64_t window_start;  /* CLOCK_MONOTONIC, ns; 0: no window yet; UINT64_MAX while somebody updates */
    uint64_t window_events; /* totals at that time */
    uint64_t window_bytes;
    uint64_t millievents_per_second; /* of the last window: thousandths, so that slow rates are exact, too */
    uint64_t millibytes_per_second;
    uint64_t reserved[3];
} ADA_METRICS_ALIGNED(64) ada_metrics_rates_t;
ADA_ABI_ASSERT(sizeof(ada_metrics_rates_t) == 64, "");

/* Of one thread: P's lines, then, 128 apart, C's. */
typedef struct ada_thread_metrics_t {
    ada_lane_metrics_t lanes[2]; /* ADA_LANE_* */
    ada_metrics_rates_t rates;
    uint8_t pad[64];
} ADA_METRICS_ALIGNED(128) ada_thread_metrics_t;
ADA_ABI_ASSERT(sizeof(ada_thread_metrics_t) == 512, "");
ADA_ABI_ASSERT(__builtin_offsetof(ada_thread_metrics_t, rates) == 384, "");

#endif
