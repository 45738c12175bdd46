/* SPDX-License-Identifier: MIT */
/*
 * How fast a thread writes, over windows of at least 100 ms: ada_metrics_rates_t.
 *
 * Whoever comes first after a window's end claims the update by compare-exchange; everybody else goes on with
 * the rates of the window before. Nobody waits.
 */
#ifndef ADA_METRICS_METRICS_RATE_H
#define ADA_METRICS_METRICS_RATE_H

#include <stdbool.h>

#include "shared/metrics_abi.h"

#define METRICS_RATE_WINDOW_NS 100000000ull

/*
 * Tells the totals at `now` (CLOCK_MONOTONIC, ns; neither 0 nor UINT64_MAX). True: the caller updated the
 * rates, or began the first window. Totals that went backwards count as unchanged. Any thread.
 */
bool metrics_update_rate(ada_metrics_rates_t *rates, uint64_t events, uint64_t bytes, uint64_t now);

/* Per second, of the last window; 0 before its end. */
double metrics_events_per_second(const ada_metrics_rates_t *rates);
double metrics_bytes_per_second(const ada_metrics_rates_t *rates);

#endif
