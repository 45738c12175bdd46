/* SPDX-License-Identifier: MIT */
#include "user/metrics/anomaly.h"

#define COUNT_AGAIN_NS 60000000000ull
#define DROPS_LEAST 100u
#define DROPS_SHARE 0.01
#define RATE_FACTOR 4.0
#define RATE_LEAST 1000.0  /* events a second: below, rates leap without a reason */
#define RATE_INTERVALS 10u /* until there is an average to speak of */
#define LATENCY_NS 10000000u
#define LATENCY_EVENTS 100u

static uint64_t lost(const AdatAccount *account)
{
    return account->dropped_full + account->dropped_nested + account->dropped_io;
}

static bool drops_burst(const AnomalyState *state, const AdatAccount *total)
{
    uint64_t drops = lost(total) - state->lost;

    return drops >= DROPS_LEAST && (double)drops >= DROPS_SHARE * (double)(total->attempted - state->attempted);
}

static bool rate_leaps(const AnomalyState *state, const AnomalyInput *input)
{
    return state->intervals >= RATE_INTERVALS && input->average >= RATE_LEAST &&
           (input->rate > input->average * RATE_FACTOR || input->rate < input->average / RATE_FACTOR);
}

static bool is_late(const LatencyHistogram *latency)
{
    return latency->count >= LATENCY_EVENTS && latency_histogram_percentile(latency, 0.99) > LATENCY_NS;
}

/* Counts a cause, unless it was within the last minute. */
static uint32_t count(AnomalyState *state, enum metrics_anomaly cause, uint64_t now)
{
    if (state->counts[cause] > 0 && now - state->counted_at[cause] < COUNT_AGAIN_NS)
        return 0;
    state->counts[cause]++;
    state->counted_at[cause] = now;
    return 1u << cause;
}

uint32_t anomaly_check(AnomalyState *state, const AnomalyInput *input)
{
    uint32_t found = 0;

    if (drops_burst(state, input->total))
        found |= count(state, METRICS_ANOMALY_DROP_BURST, input->now);
    if (input->stalled > 0)
        found |= count(state, METRICS_ANOMALY_STALLED_LANE, input->now);
    if (rate_leaps(state, input))
        found |= count(state, METRICS_ANOMALY_RATE, input->now);
    if (is_late(input->latency))
        found |= count(state, METRICS_ANOMALY_LATENCY, input->now);
    state->attempted = input->total->attempted;
    state->lost = lost(input->total);
    state->intervals++;
    return found;
}
