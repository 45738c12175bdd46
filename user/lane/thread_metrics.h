/* SPDX-License-Identifier: MIT */
/*
 * Counting what a thread does, in the thread itself: ada_thread_metrics_t of its slot.
 *
 * Everything is called from slow paths: when a ring was swapped, when an event was refused. Each counter has one
 * writer, so it is advanced by a relaxed load and store; it stays at UINT64_MAX once there. A reader
 * never sees a torn value, and needs no order among counters but where it is stated.
 */
#ifndef ADA_LANE_THREAD_METRICS_H
#define ADA_LANE_THREAD_METRICS_H

#include "shared/metrics_abi.h"
#include "user/lane/atomic.h"
#include "user/lane/clock.h"

/* Why records are lost. */
enum metrics_drop {
    METRICS_DROP_FULL,        /* no ring was free */
    METRICS_DROP_NESTED,      /* in a signal handler, for want of room */
    METRICS_DROP_OVERWRITTEN, /* taken back under `overwrite` */
    METRICS_DROP_RECYCLED,    /* unmarked details: nobody wanted them */
};

static inline uint64_t metrics_saturating_add(uint64_t a, uint64_t b)
{
    return a + b < a ? UINT64_MAX : a + b;
}

/* Advances a counter that only the caller writes. */
static inline void metrics_count(uint64_t *counter, uint64_t n)
{
    ada_store_relaxed(counter, metrics_saturating_add(ada_load_relaxed(counter), n));
}

/* All zero, for the thread that owns the slot, before the slot becomes ACTIVE. */
void metrics_init(ada_thread_metrics_t *metrics);

/* Adds a ring that was swapped out. */
static inline void metrics_increment_written(ada_lane_metrics_t *metrics, uint64_t records, uint64_t bytes)
{
    metrics_count(&metrics->counters.written, records);
    /* Pairs with the acquire in metrics_read_bytes(): who sees these bytes sees the records, too. */
    ada_store_release(&metrics->counters.written_bytes,
                      metrics_saturating_add(ada_load_relaxed(&metrics->counters.written_bytes), bytes));
}

/* Counts lost records, at any nesting level. */
void metrics_increment_dropped(ada_lane_metrics_t *metrics, enum metrics_drop cause, uint64_t records);

/* A ring was wanted and none was free. */
static inline void metrics_increment_pool_exhausted(ada_lane_metrics_t *metrics)
{
    metrics_count(&metrics->pressure.pool_exhausted, 1);
}

static inline void metrics_stall_begin(ada_lane_metrics_t *metrics)
{
    metrics_count(&metrics->pressure.stalls, 1);
}

static inline void metrics_stall_end(ada_lane_metrics_t *metrics, uint64_t ns)
{
    metrics_count(&metrics->pressure.stall_ns, ns);
}

/* The time that a swap begins, for metrics_swap_end(). Again after a stall, which is counted by itself. */
static inline uint64_t metrics_swap_begin(void)
{
    return ada_clock_ticks();
}

/* Counts a swap that began then. */
void metrics_swap_end(ada_lane_metrics_t *metrics, uint64_t begin);

/* Ticks that a swap took on average; 0 before the first. Any thread. */
uint64_t metrics_swap_average(const ada_lane_metrics_t *metrics);

/* Records that were lost so far, all causes that the thread counts. Any thread, any time. */
uint64_t metrics_dropped(const ada_lane_metrics_t *metrics);

/*
 * Bytes written so far: `base_record` and `position` are those of the ring that the caller saw active. For a moment around a
 * swap it may be the ring's bytes short. Any thread.
 */
static inline uint64_t metrics_read_bytes(const ada_lane_metrics_t *metrics, uint64_t base_record,
                                          uint64_t position_bytes)
{
    uint64_t bytes =
        ada_load_acquire(&metrics->counters.written_bytes); /* pairs with metrics_increment_written() */
    bool has_the_ring = ada_load_relaxed(&metrics->counters.written) != base_record;

    return has_the_ring ? bytes : metrics_saturating_add(bytes, position_bytes);
}

#endif
