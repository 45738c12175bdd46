/* SPDX-License-Identifier: MIT */
/*
 * Notices that something is odd, from the figures of one collection interval after the other.
 *
 *   drop burst    more than 1 % of the interval's events, and 100 at least, were lost
 *   stalled lane  a thread had events pending, now and an interval before, and none of them was taken
 *   rate          events a second are four times their moving average, or a quarter of it
 *   latency       the 99th percentile, from event to file, is above 10 ms: what the drain is built to keep
 *
 * Each cause is counted once a minute at most, however long it lasts.
 */
#ifndef ADA_METRICS_ANOMALY_H
#define ADA_METRICS_ANOMALY_H

#include "user/metrics/metrics_snapshot.h"

/* Of one interval. */
typedef struct AnomalyInput {
    uint64_t now;             /* CLOCK_MONOTONIC, ns */
    const AdatAccount *total; /* events, since the start */
    double rate;              /* events a second, in the interval */
    double average;           /* before the interval */
    uint32_t stalled;         /* lanes */
    const LatencyHistogram *latency;
} AnomalyInput;

/* Zero before the first interval. */
typedef struct AnomalyState {
    uint64_t attempted; /* at the end of the last interval */
    uint64_t lost;
    uint32_t intervals;
    uint64_t counted_at[METRICS_ANOMALIES]; /* ns; valid where counts[] is not 0 */
    uint64_t counts[METRICS_ANOMALIES];
} AnomalyState;

/* Returns the causes that were counted anew, as bits 1 << METRICS_ANOMALY_*. */
uint32_t anomaly_check(AnomalyState *state, const AnomalyInput *input);

#endif
