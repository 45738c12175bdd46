/* SPDX-License-Identifier: MIT */
#include "user/metrics/metrics_rate.h"

#include "user/lane/atomic.h"
#include "user/lane/test_point.h"

#define UPDATING UINT64_MAX

/* Thousandths per second. */
static uint64_t rate_of(uint64_t before, uint64_t after, uint64_t ns)
{
    double rate = after > before ? (double)(after - before) * 1e12 / (double)ns : 0;

    return rate < 1e19 ? (uint64_t)rate : UINT64_MAX;
}

bool metrics_update_rate(ada_metrics_rates_t *rates, uint64_t events, uint64_t bytes, uint64_t now)
{
    uint64_t start = ada_load_relaxed(&rates->window_start);

    if (start == UPDATING || (start != 0 && (now <= start || now - start < METRICS_RATE_WINDOW_NS)))
        return false;
    ADA_TEST_POINT("rate.due");
    /* Acquire pairs with the release below: grants what the update before left. */
    if (!ada_compare_exchange_acq_rel(&rates->window_start, &start, UPDATING))
        return false;
    if (start != 0) {
        uint64_t ns = now - start;

        ada_store_relaxed(&rates->millievents_per_second,
                          rate_of(ada_load_relaxed(&rates->window_events), events, ns));
        ada_store_relaxed(&rates->millibytes_per_second,
                          rate_of(ada_load_relaxed(&rates->window_bytes), bytes, ns));
    }
    ada_store_relaxed(&rates->window_events, events);
    ada_store_relaxed(&rates->window_bytes, bytes);
    ada_store_release(&rates->window_start, now); /* pairs with the compare-exchange above: ours no more */
    return true;
}

double metrics_events_per_second(const ada_metrics_rates_t *rates)
{
    return (double)ada_load_relaxed(&rates->millievents_per_second) / 1000;
}

double metrics_bytes_per_second(const ada_metrics_rates_t *rates)
{
    return (double)ada_load_relaxed(&rates->millibytes_per_second) / 1000;
}
