/* SPDX-License-Identifier: MIT */
#include "user/lane/thread_metrics.h"

static void reset_lane(ada_lane_metrics_t *metrics)
{
    ada_store_relaxed(&metrics->counters.written, 0ull);
    ada_store_relaxed(&metrics->counters.written_bytes, 0ull);
    ada_store_relaxed(&metrics->counters.dropped_full, 0ull);
    ada_store_relaxed(&metrics->counters.dropped_nested, 0ull);
    ada_store_relaxed(&metrics->counters.overwritten, 0ull);
    ada_store_relaxed(&metrics->counters.recycled, 0ull);
    ada_store_relaxed(&metrics->swaps.count, 0ull);
    ada_store_relaxed(&metrics->swaps.ticks, 0ull);
    ada_store_relaxed(&metrics->swaps.max_ticks, 0ull);
    ada_store_relaxed(&metrics->pressure.pool_exhausted, 0ull);
    ada_store_relaxed(&metrics->pressure.stalls, 0ull);
    ada_store_relaxed(&metrics->pressure.stall_ns, 0ull);
}

void metrics_init(ada_thread_metrics_t *metrics)
{
    reset_lane(&metrics->lanes[ADA_LANE_INDEX]);
    reset_lane(&metrics->lanes[ADA_LANE_DETAIL]);
    ada_store_relaxed(&metrics->rates.window_start, 0ull);
    ada_store_relaxed(&metrics->rates.window_events, 0ull);
    ada_store_relaxed(&metrics->rates.window_bytes, 0ull);
    ada_store_relaxed(&metrics->rates.millievents_per_second, 0ull);
    ada_store_relaxed(&metrics->rates.millibytes_per_second, 0ull);
}

void metrics_increment_dropped(ada_lane_metrics_t *metrics, enum metrics_drop cause, uint64_t records)
{
    ada_metrics_counters_t *counters = &metrics->counters;
    uint64_t *taken_back = cause == METRICS_DROP_RECYCLED ? &counters->recycled : &counters->overwritten;

    switch (cause) {
    case METRICS_DROP_FULL:
        metrics_count(&counters->dropped_full, records);
        break;
    case METRICS_DROP_NESTED:
        /* Handlers interrupt handlers here: the addition comes whole, before or after theirs. */
        if (ada_local_fetch_add(&counters->dropped_nested, records) > UINT64_MAX - records)
            ada_store_relaxed(&counters->dropped_nested, UINT64_MAX);
        break;
    case METRICS_DROP_OVERWRITTEN:
    case METRICS_DROP_RECYCLED:
        /* Pairs with the acquire in thread_drain_account(): who counts these as lost sees that they were written. */
        ada_store_release(taken_back, metrics_saturating_add(ada_load_relaxed(taken_back), records));
        break;
    }
}

void metrics_swap_end(ada_lane_metrics_t *metrics, uint64_t begin)
{
    uint64_t ticks = ada_clock_ticks() - begin;

    metrics_count(&metrics->swaps.count, 1);
    metrics_count(&metrics->swaps.ticks, ticks);
    if (ticks > ada_load_relaxed(&metrics->swaps.max_ticks))
        ada_store_relaxed(&metrics->swaps.max_ticks, ticks);
}

uint64_t metrics_swap_average(const ada_lane_metrics_t *metrics)
{
    uint64_t count = ada_load_relaxed(&metrics->swaps.count);

    return count ? ada_load_relaxed(&metrics->swaps.ticks) / count : 0;
}

uint64_t metrics_dropped(const ada_lane_metrics_t *metrics)
{
    const ada_metrics_counters_t *counters = &metrics->counters;
    uint64_t dropped = metrics_saturating_add(ada_load_relaxed(&counters->dropped_full),
                                              ada_load_relaxed(&counters->dropped_nested));

    dropped = metrics_saturating_add(dropped, ada_load_relaxed(&counters->overwritten));
    return metrics_saturating_add(dropped, ada_load_relaxed(&counters->recycled));
}
