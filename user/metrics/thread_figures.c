/* SPDX-License-Identifier: MIT */
#include "user/metrics/thread_figures.h"

#include <math.h>

#include "user/drain/thread_drain.h"
#include "user/drain/thread_drain_account.h"
#include "user/metrics/metrics_rate.h"
#include "user/metrics/sched_figures.h"

#define ACCOUNT_TRIES 4
/* Time constant of the moving average: after so long, 63 % of a change are in it. */
#define AVERAGE_SECONDS 10.0

/* Which ring is being filled, and for the how-manieth time. */
static uint64_t ring_in_use(const Lane *lane)
{
    /* Pairs with the release in lane_swap_active_ring(). */
    uint32_t ring = ada_load_acquire(&lane->active_ring_index) % ADA_RINGS_MAX;

    return ada_load_relaxed(&lane->rings[ring].sequence);
}

/*
 * Of a lane that is being written. Its positions belong together unless the ring was exchanged while they were read;
 * then they are read again. A producer that exchanges rings faster than that has them taken as they are: `pending`
 * may be off by a ring, until the next time.
 */
static void take_account(const ThreadDrainState *state, uint32_t kind, uint64_t before, AdatAccount *account_out)
{
    const LaneDrain *drain = kind == ADA_LANE_INDEX ? &state->index : &state->detail;

    for (int i = 0; i < ACCOUNT_TRIES; i++) {
        uint64_t ring = ring_in_use(drain->reader.lane);

        thread_drain_account(state, kind, false, account_out);
        thread_drain_add_earlier(state, kind, account_out);
        if (ring_in_use(drain->reader.lane) == ring)
            break;
    }
    if (account_out->attempted < before) {
        account_out->pending += before - account_out->attempted;
        account_out->attempted = before;
    }
}

MetricsWindow metrics_window_begin(uint64_t now, uint64_t before)
{
    double seconds = before != 0 ? (double)(now - before) / 1e9 : 0;

    return (MetricsWindow){.now = now, .seconds = seconds, .weight = 1 - exp(-seconds / AVERAGE_SECONDS)};
}

double metrics_average(double average, double rate, const MetricsWindow *window)
{
    return average > 0 ? average + (rate - average) * window->weight : rate;
}

double metrics_per_second(uint64_t now, uint64_t before, double seconds)
{
    return seconds > 0 && now > before ? (double)(now - before) / seconds : 0;
}

/* Bytes of events that wait in its rings. */
static uint64_t waiting_bytes(const MetricsFigures *figures)
{
    return figures->index.pending * ADA_INDEX_EVENT_SIZE;
}

static double occupancy_of(const ThreadDrainState *state, const MetricsFigures *figures)
{
    const LaneReader *reader = &state->index.reader;
    double full = (double)waiting_bytes(figures) / ((double)reader->ring_count * (double)reader->ring_bytes);

    return full < 1 ? full : 1;
}

/* Of times in ticks of the process's clock. 0 while the cycle counter's rate is not known, in the first millisecond. */
static uint64_t to_ns(const DrainSource *source, uint64_t ticks)
{
    double rate = source->ns_per_cycle ? *source->ns_per_cycle : 0;

    return source->clock_kind == ADA_CLOCK_TSC ? (uint64_t)((double)ticks * rate) : ticks;
}

/* What lies outside of the accounts: counters of the producer, in shared memory. */
static void take_counters(const ThreadDrainState *state, MetricsFigures *figures)
{
    const ada_lane_metrics_t *index = &state->lanes->metrics.lanes[ADA_LANE_INDEX];
    const ada_lane_metrics_t *detail = &state->lanes->metrics.lanes[ADA_LANE_DETAIL];
    uint64_t longest = ada_load_relaxed(&index->swaps.max_ticks);

    if (longest < ada_load_relaxed(&detail->swaps.max_ticks))
        longest = ada_load_relaxed(&detail->swaps.max_ticks);
    figures->swaps = ada_load_relaxed(&index->swaps.count) + ada_load_relaxed(&detail->swaps.count);
    figures->swap_ns = to_ns(state->source, ada_load_relaxed(&index->swaps.ticks)) +
                       to_ns(state->source, ada_load_relaxed(&detail->swaps.ticks));
    figures->swap_max_ns = to_ns(state->source, longest);
    figures->pool_exhausted =
        ada_load_relaxed(&index->pressure.pool_exhausted) + ada_load_relaxed(&detail->pressure.pool_exhausted);
    figures->stalls = ada_load_relaxed(&index->pressure.stalls) + ada_load_relaxed(&detail->pressure.stalls);
    figures->stall_ns =
        ada_load_relaxed(&index->pressure.stall_ns) + ada_load_relaxed(&detail->pressure.stall_ns);
}

/* Whether it waited for the drain through the whole window. */
static bool is_stalled(const MetricsWindow *window, const ThreadMeasured *before, const MetricsFigures *now)
{
    return window->seconds > 0 && before->measured && before->events > before->settled &&
           now->index.attempted - now->index.pending == before->settled;
}

/* Of what it had to offer in the window, the part that was taken. */
static void add_share(MetricsWindow *window, const ThreadMeasured *before, const MetricsFigures *now)
{
    uint64_t settled = now->index.attempted - now->index.pending;
    uint64_t offered = now->index.attempted - before->settled;

    if (before->measured && now->index.attempted > before->events)
        jain_index_add(&window->jain, (double)(settled - before->settled) / (double)offered);
}

void thread_figures_expect(const ThreadDrainState *state)
{
    for (size_t at = 0; at < offsetof(ThreadDrainState, hit_found); at += 64)
        __builtin_prefetch((const char *)state + at);
}

static void expect_lane(const Lane *lane, const ada_lane_metrics_t *metrics)
{
    __builtin_prefetch(&lane->active_ring_index);
    for (uint32_t ring = 0; ring < ADA_RINGS_MAX; ring++)
        __builtin_prefetch(&lane->rings[ring]);
    __builtin_prefetch(&metrics->counters);
    __builtin_prefetch(&metrics->swaps);
    __builtin_prefetch(&metrics->pressure);
}

void thread_figures_expect_shared(const ThreadDrainState *state)
{
    const ThreadLaneSet *lanes = state->lanes;

    expect_lane(&lanes->index, &lanes->metrics.lanes[ADA_LANE_INDEX]);
    expect_lane(&lanes->detail, &lanes->metrics.lanes[ADA_LANE_DETAIL]);
    __builtin_prefetch(&lanes->metrics.rates, 1);
}

void thread_figures_take(ThreadDrainState *state, MetricsWindow *window, MetricsFigures *figures)
{
    ThreadMeasured *before = &state->measured;
    ada_metrics_rates_t *rates = &state->lanes->metrics.rates;
    uint64_t settled;

    /* Every field is set (of `sched`, that there is nothing in it): clearing them first takes a third of the time. */
    _Static_assert(sizeof(*figures) == 2 * sizeof(AdatAccount) + 13 * sizeof(uint64_t) + sizeof(MetricsSched),
                   "take_counters() and this function know all");
    take_account(state, ADA_LANE_INDEX, before->events, &figures->index);
    take_account(state, ADA_LANE_DETAIL, before->details, &figures->detail);
    figures->drained_bytes = state->stats.bytes;
    figures->sched.threads = 0;
    settled = figures->index.attempted - figures->index.pending;
    take_counters(state, figures);
    figures->bytes = figures->drained_bytes + waiting_bytes(figures);
    if (figures->bytes < before->bytes)
        figures->bytes = before->bytes;
    (void)metrics_update_rate(rates, figures->index.attempted, figures->bytes, window->now);
    figures->events_per_second = metrics_events_per_second(rates);
    figures->bytes_per_second = metrics_bytes_per_second(rates);
    figures->events_per_second_average = metrics_average(before->average, figures->events_per_second, window);
    figures->occupancy = occupancy_of(state, figures);
    figures->drain_share = (double)(figures->drained_bytes - before->drained);
    window->stalled += is_stalled(window, before, figures);
    if (settled < before->settled)
        settled = before->settled;
    else
        add_share(window, before, figures);
    window->drained += figures->drained_bytes - before->drained;
    before->events = figures->index.attempted;
    before->details = figures->detail.attempted;
    before->settled = settled;
    before->bytes = figures->bytes;
    before->drained = figures->drained_bytes;
    before->average = figures->events_per_second_average;
    before->measured = true;
}

void thread_figures_skip(ThreadDrainState *state, const MetricsWindow *window, MetricsFigures *figures)
{
    (void)metrics_update_rate(&state->lanes->metrics.rates, figures->index.attempted, figures->bytes,
                              window->now);
    figures->events_per_second_average = metrics_average(state->measured.average, 0, window);
    figures->drain_share = 0;
    state->measured.average = figures->events_per_second_average;
}

void thread_figures_close(const ThreadDrainState *state, const AdatLedgerEntry *index,
                          const AdatLedgerEntry *detail, MetricsFigures *figures_out)
{
    MetricsFigures figures = {
        .index = adat_account_of(index),
        .detail = adat_account_of(detail),
        .drained_bytes = state->stats.bytes,
    };

    take_counters(state, &figures);
    figures.bytes = figures.drained_bytes + waiting_bytes(&figures);
    if (figures.bytes < state->measured.bytes)
        figures.bytes = state->measured.bytes;
    *figures_out = figures;
}

void metrics_figures_add(MetricsFigures *sum, const MetricsFigures *figures)
{
    adat_account_add(&sum->index, &figures->index);
    adat_account_add(&sum->detail, &figures->detail);
    sum->bytes += figures->bytes;
    sum->events_per_second += figures->events_per_second;
    sum->bytes_per_second += figures->bytes_per_second;
    sum->events_per_second_average += figures->events_per_second_average;
    sum->swaps += figures->swaps;
    sum->swap_ns += figures->swap_ns;
    if (figures->swap_max_ns > sum->swap_max_ns)
        sum->swap_max_ns = figures->swap_max_ns;
    sum->pool_exhausted += figures->pool_exhausted;
    sum->stalls += figures->stalls;
    sum->stall_ns += figures->stall_ns;
    if (figures->occupancy > sum->occupancy)
        sum->occupancy = figures->occupancy;
    sum->drained_bytes += figures->drained_bytes;
    sum->drain_share += figures->drain_share;
    if (figures->sched.threads > 0)
        sched_figures_add(&sum->sched, &figures->sched);
}
