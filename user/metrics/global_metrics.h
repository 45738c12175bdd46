/* SPDX-License-Identifier: MIT */
/*
 * Collecting the metrics of all threads, once an interval: ada_global_metrics_t.
 *
 *     metrics_collect_global() ─ is it time? ─ claim ─ MetricsSource.take() ─ derive ─ publish ─> MetricsHub
 *
 * Whoever calls first after an interval's end claims the collection by compare-exchange; everybody else
 * goes on at once. So any number of threads may call it, and what is collected is always of one of
 * them. What a collection yields is a MetricsSnapshot, which nobody changes any more.
 */
#ifndef ADA_METRICS_GLOBAL_METRICS_H
#define ADA_METRICS_GLOBAL_METRICS_H

#include "user/metrics/anomaly.h"
#include "user/metrics/thread_figures.h"

/* Last figures of ended threads that a snapshot has room for; of the others, only the sums. */
#define METRICS_ENDED_MAX 1024u

/* What is collected from. Called by whoever has claimed the collection. */
typedef struct MetricsSource {
    /* How many take() will add. */
    void (*count)(void *context, size_t *processes_out, size_t *threads_out);
    /* Adds processes and threads to the snapshot, and all that it knows besides; `total` becomes the sum of all threads that there ever were. */
    void (*take)(void *context, MetricsWindow *window, MetricsSnapshot *snapshot);
    /* Something is odd: bits 1 << METRICS_ANOMALY_*. NULL: nobody wants to know. */
    void (*notice)(void *context, uint32_t anomalies, const MetricsSnapshot *snapshot);
    void *context;
} MetricsSource;

typedef struct ada_global_metrics_t {
    /* shared by those who might collect */
    uint64_t collected_at;        /* CLOCK_MONOTONIC, ns; 0: never; UINT64_MAX while somebody collects */
    uint64_t interval_ns;         /* written by anybody; 0: nothing is collected */
    MetricsSnapshot *unpublished; /* made, not published yet; written under the claim, looked at by all */

    /* constant */
    MetricsSource source;
    MetricsHub *hub;
    uint64_t started_at;

    /* of whoever has claimed the collection */
    uint64_t sequence; /* of the last snapshot, which these are of, too: */
    uint64_t taken_at;
    uint64_t events;
    uint64_t lost;
    uint64_t bytes;
    double average;
    LatencyHistogram latency;
    AnomalyState anomalies;

    /* of those threads that end, until the next snapshot; of the one thread that takes threads out */
    MetricsThread *ended;
    size_t ended_count;
    size_t ended_capacity;
} ada_global_metrics_t;

/* `hub` outlives it; NULL: nothing is collected. `now`: CLOCK_MONOTONIC, ns. */
void metrics_global_init(ada_global_metrics_t *global, const MetricsSource *source, MetricsHub *hub,
                         uint64_t interval_ns, uint64_t now);

/* Nobody collects any more. All zero is allowed. */
void metrics_global_fini(ada_global_metrics_t *global);

/* From the next call of metrics_collect_global() on; 0: nothing is collected until it is set again. Any thread. */
void metrics_global_set_interval(ada_global_metrics_t *global, uint64_t interval_ns);

/* When the next collection is due, CLOCK_MONOTONIC, ns: in the past if it is late. 0: never. Any thread. */
uint64_t metrics_global_due(const ada_global_metrics_t *global);

/*
 * Collects and publishes if it is time. True: the caller collected. False: it is not time, somebody else collects, or there
 * was no memory (then the next interval's end is waited for). Never waits. Any thread, if the source allows that.
 */
bool metrics_collect_global(ada_global_metrics_t *global, uint64_t now);

/* Collects in any case, and waits until it is published. Nobody else collects any more. */
void metrics_collect_last(ada_global_metrics_t *global, uint64_t now);

/* The last figures of a thread that ended, for the next snapshot. For the thread that collects, outside of take(). */
void metrics_global_add_ended(ada_global_metrics_t *global, const MetricsThread *thread);

#endif
