/* SPDX-License-Identifier: MIT */
#include "user/metrics/metrics_snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "shared/kernel_abi.h"
#include "user/lane/atomic.h"

MetricsPercentiles metrics_percentiles(const LatencyHistogram *histogram)
{
    return (MetricsPercentiles){
        .count = histogram->count,
        .p50 = latency_histogram_percentile(histogram, 0.5),
        .p90 = latency_histogram_percentile(histogram, 0.9),
        .p99 = latency_histogram_percentile(histogram, 0.99),
        .max = histogram->max,
    };
}

const char *metrics_anomaly_name(enum metrics_anomaly anomaly)
{
    static const char *const names[] = {
        [METRICS_ANOMALY_DROP_BURST] = "drop_burst",
        [METRICS_ANOMALY_STALLED_LANE] = "stalled_lane",
        [METRICS_ANOMALY_RATE] = "rate",
        [METRICS_ANOMALY_LATENCY] = "latency",
    };
    _Static_assert(sizeof(names) / sizeof(names[0]) == METRICS_ANOMALIES, "a name for each");

    return (unsigned)anomaly < METRICS_ANOMALIES ? names[anomaly] : NULL;
}

const char *metrics_anomaly_text(enum metrics_anomaly anomaly)
{
    static const char *const texts[] = {
        [METRICS_ANOMALY_DROP_BURST] = "more than 1 % of the events of the last interval were lost",
        [METRICS_ANOMALY_STALLED_LANE] = "a thread's events wait, and are not drained",
        [METRICS_ANOMALY_RATE] = "the rate of events is four times its average, or a quarter of it",
        [METRICS_ANOMALY_LATENCY] = "1 % of the events took more than 10 ms to the file",
    };
    _Static_assert(sizeof(texts) / sizeof(texts[0]) == METRICS_ANOMALIES, "a text for each");

    return (unsigned)anomaly < METRICS_ANOMALIES ? texts[anomaly] : NULL;
}

const char *metrics_sched_state_name(uint32_t state)
{
    static const char *const names[] = {
        [ADA_KERNEL_UNKNOWN] = "-",         [ADA_KERNEL_RUNS] = "running",
        [ADA_KERNEL_RUNNABLE] = "runnable", [ADA_KERNEL_PREEMPTED] = "preempted",
        [ADA_KERNEL_SLEEPS] = "sleeping",   [ADA_KERNEL_BLOCKED] = "blocked",
    };
    _Static_assert(sizeof(names) / sizeof(names[0]) == ADA_KERNEL_STATES, "a name for each");

    return state < ADA_KERNEL_STATES ? names[state] : names[ADA_KERNEL_UNKNOWN];
}

MetricsSnapshot *metrics_snapshot_create(size_t processes, size_t threads)
{
    MetricsSnapshot *snapshot =
        malloc(sizeof(*snapshot) + processes * sizeof(MetricsProcess) + threads * sizeof(MetricsThread));

    if (!snapshot)
        return NULL;
    /* The histograms' 30 KB take as long as the figures of a dozen threads, and need not be cleared. */
    memset(snapshot, 0, offsetof(MetricsSnapshot, latency));
    snapshot->latency.count = snapshot->latency.max = 0;
    snapshot->latency_recent.count = snapshot->latency_recent.max = 0;
    snapshot->references = 1;
    snapshot->processes = (MetricsProcess *)(snapshot + 1);
    snapshot->threads = (MetricsThread *)(snapshot->processes + processes);
    if (processes > 0)
        memset(snapshot->processes, 0, processes * sizeof(MetricsProcess));
    return snapshot;
}

void metrics_snapshot_release(const MetricsSnapshot *snapshot)
{
    MetricsSnapshot *mine = (MetricsSnapshot *)snapshot;

    /* Each release (by the others) pairs with the acquire of the last one: nobody reads it any more. */
    if (mine && ada_fetch_sub_acq_rel(&mine->references, 1u) == 1)
        free(mine);
}

const MetricsSnapshot *metrics_snapshot_share(const MetricsSnapshot *snapshot)
{
    MetricsSnapshot *shared = (MetricsSnapshot *)snapshot;

    if (shared)
        (void)ada_fetch_add_acq_rel(&shared->references, 1u);
    return snapshot;
}

void metrics_hub_init(MetricsHub *hub)
{
    *hub = (MetricsHub){.latest = NULL};
    pthread_mutex_init(&hub->lock, NULL);
}

void metrics_hub_fini(MetricsHub *hub)
{
    metrics_snapshot_release(hub->latest);
    hub->latest = NULL;
    pthread_mutex_destroy(&hub->lock);
}

bool metrics_hub_try_publish(MetricsHub *hub, MetricsSnapshot *snapshot)
{
    MetricsSnapshot *before;

    if (pthread_mutex_trylock(&hub->lock) != 0)
        return false;
    before = hub->latest;
    hub->latest = snapshot;
    pthread_mutex_unlock(&hub->lock);
    metrics_snapshot_release(before);
    return true;
}

const MetricsSnapshot *metrics_hub_acquire(MetricsHub *hub)
{
    const MetricsSnapshot *snapshot;

    ada_store_relaxed(&hub->asked, 1u);
    pthread_mutex_lock(&hub->lock);
    snapshot = metrics_snapshot_share(hub->latest);
    pthread_mutex_unlock(&hub->lock);
    return snapshot;
}

bool metrics_hub_was_asked(MetricsHub *hub)
{
    return ada_exchange_acq_rel(&hub->asked, 0u) != 0;
}
