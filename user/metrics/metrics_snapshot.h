/* SPDX-License-Identifier: MIT */
/*
 * What is known of a recording at one moment, and how it gets from the drain thread to those who show it.
 *
 * The drain thread fills a snapshot at each collection interval and publishes it; it never waits for a reader.
 * Readers take the latest one, keep it as long as they like, and give it back. A published snapshot is never
 * changed. What every number means, its unit and who counts it stands in docs/metrics.md.
 */
#ifndef ADA_METRICS_METRICS_SNAPSHOT_H
#define ADA_METRICS_METRICS_SNAPSHOT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/drain/latency_histogram.h"
#include "user/file/adat_account.h"

/*
 * What the kernel knows of a thread, with kernel assistance: see AdaKernelThread. Of many threads: sums, over those alive.
 * Times are as of the snapshot: what goes on is counted up to then.
 */
typedef struct MetricsSched {
    uint32_t threads;  /* that this is of. 0: nothing is known, and the other fields mean nothing */
    uint32_t state;    /* ADA_KERNEL_*, of one thread */
    uint32_t last_cpu; /* likewise */
    uint32_t reserved;
    uint64_t run_ns;
    uint64_t runqueue_ns;  /* it could have run, had there been a CPU */
    uint64_t preempted_ns; /* the part of it after preemption */
    uint64_t sleep_ns;
    uint64_t blocked_ns; /* uninterruptible: mostly waits for disks */
    uint64_t switches_voluntary;
    uint64_t switches_involuntary;
    uint64_t migrations;
    uint64_t wakeups;
    double cpu_share;      /* of the last interval, the part that it ran: 1 = one CPU */
    double runqueue_share; /* the part that it waited for a CPU */
} MetricsSched;

/* What a thread, a process or the whole recording came to. Totals since its start; rates over the last window. */
typedef struct MetricsFigures {
    AdatAccount index; /* events: attempted = in_file + dropped_* + recycled_unmarked + torn + pending, at any moment */
    AdatAccount detail; /* detail records */
    uint64_t bytes;     /* written by the threads, both lanes */
    double events_per_second;
    double bytes_per_second;
    double events_per_second_average; /* moving average, over some ten seconds */
    uint64_t swaps;
    uint64_t swap_ns;        /* spent in them, stalls excluded */
    uint64_t swap_max_ns;    /* the longest of them */
    uint64_t pool_exhausted; /* times that a ring was wanted and none was free */
    uint64_t stalls;         /* waits under `block` */
    uint64_t stall_ns;
    double occupancy; /* 0..1: of its index rings, the part that waits for the drain; of many threads: the fullest */
    uint64_t drained_bytes;
    double drain_share; /* 0..1: its part of all bytes that were drained in the last interval */
    MetricsSched sched;
} MetricsFigures;

typedef struct MetricsThread {
    uint32_t pid;
    uint32_t tid;
    uint32_t thread; /* number in the file: never used again */
    uint32_t slot;
    char name[16];
    bool ended; /* its last figures */
    MetricsFigures figures;
} MetricsThread;

typedef struct MetricsProcess {
    uint32_t pid;
    uint32_t threads; /* alive */
    uint64_t threads_ever;
    bool ended;
    bool quarantined;
    char program[64]; /* its end, if it is longer */
    MetricsFigures figures;
} MetricsProcess;

/* Values of MetricsSnapshot.anomalies: how often each was noticed. */
enum metrics_anomaly {
    METRICS_ANOMALY_DROP_BURST,
    METRICS_ANOMALY_STALLED_LANE,
    METRICS_ANOMALY_RATE,
    METRICS_ANOMALY_LATENCY,
    METRICS_ANOMALIES,
};

typedef struct MetricsSnapshot {
    uint32_t references; /* metrics_hub_*() */
    uint64_t sequence;   /* 1..; one more for each */
    uint64_t monotonic_ns;
    uint64_t realtime_ns;
    uint64_t started_at; /* CLOCK_MONOTONIC, ns */
    uint64_t interval_ns;
    uint64_t collect_ns; /* what collecting this snapshot cost the drain thread */

    MetricsFigures total; /* the ended ones included: never goes backwards */
    uint32_t threads_alive;
    uint64_t threads_ever;
    uint32_t processes_alive;
    uint64_t processes_ever;

    char scheduler[16];
    uint64_t iterations;
    uint64_t iteration_ns;
    uint64_t iteration_max_ns;
    uint64_t visits;
    uint64_t skips;
    uint64_t wakeups;
    uint64_t flushes;
    uint64_t failed_writes;
    int32_t write_error; /* -errno of a file that can't be written at the moment, or 0 */
    uint64_t file_bytes;
    uint64_t marks;
    double drop_rate; /* 0..1: of the events that were attempted in the last interval, the part that was lost */
    double jain;      /* over drained / offered of the last interval; 1 = fair */
    uint64_t cpu_ns;       /* of the drain thread */
    uint64_t memory_bytes; /* of the collector, resident */
    uint64_t anomalies[METRICS_ANOMALIES];
    bool kernel_enabled; /* the kernel tells of threads; else kernel_reason says why not */
    char kernel_reason[192];
    uint64_t kernel_lifecycle_lost; /* records for want of room */
    uint64_t kernel_sched_lost;

    size_t process_count;
    size_t thread_count;
    MetricsProcess *processes; /* within the same allocation */
    MetricsThread *threads; /* the same; those alive, and the last figures of those that ended in the interval */

    LatencyHistogram latency; /* ns, from the event to the return of the write that has it; since the start */
    LatencyHistogram latency_recent; /* the same of the last interval */
} MetricsSnapshot;

/* Of a latency histogram, in nanoseconds. */
typedef struct MetricsPercentiles {
    uint64_t count;
    uint64_t p50;
    uint64_t p90;
    uint64_t p99;
    uint64_t max;
} MetricsPercentiles;

MetricsPercentiles metrics_percentiles(const LatencyHistogram *histogram);

/* "drop_burst" ...; NULL beyond the last. */
const char *metrics_anomaly_name(enum metrics_anomaly anomaly);

/* What it means, for a user: "a thread's events wait, and are not drained". NULL as above. */
const char *metrics_anomaly_text(enum metrics_anomaly anomaly);

/* Of ADA_KERNEL_*: "running", "runnable", "preempted", "sleeping", "blocked"; "-" for what is not known. */
const char *metrics_sched_state_name(uint32_t state);

/* Room for so many; all is 0, but `threads` and the histograms' buckets, which are as they come. NULL: no memory. Freed by metrics_snapshot_release(), or by publishing another one. */
MetricsSnapshot *metrics_snapshot_create(size_t processes, size_t threads);

/* NULL is allowed. Any thread. */
void metrics_snapshot_release(const MetricsSnapshot *snapshot);

/* One more reference to a snapshot that the caller has one to. NULL gives NULL. */
const MetricsSnapshot *metrics_snapshot_share(const MetricsSnapshot *snapshot);

typedef struct MetricsHub {
    pthread_mutex_t lock; /* held for some instructions: to take a reference, or to exchange the pointer */
    MetricsSnapshot *latest;
    uint32_t asked; /* 1: by metrics_hub_acquire(), since metrics_hub_was_asked() took it back; a hint that goes with nothing */
} MetricsHub;

void metrics_hub_init(MetricsHub *hub);
void metrics_hub_fini(MetricsHub *hub);

/*
 * Takes the caller's reference over. Never waits: false, and nothing happened, if a reader holds the lock just
 * now. One thread publishes.
 */
bool metrics_hub_try_publish(MetricsHub *hub, MetricsSnapshot *snapshot);

/* The latest snapshot, to be given back with metrics_snapshot_release(). NULL: there is none yet. Any thread. */
const MetricsSnapshot *metrics_hub_acquire(MetricsHub *hub);

/* Whether somebody has asked for a snapshot since this was last asked. Any thread. */
bool metrics_hub_was_asked(MetricsHub *hub);

#endif
