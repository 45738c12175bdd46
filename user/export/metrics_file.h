/* SPDX-License-Identifier: MIT */
/*
 * Metrics in a file, for node_exporter's textfile collector and the like: replaced as a whole with each new snapshot, so
 * that a reader sees the old one or the new one. A thread of its own writes it; nothing waits for it.
 */
#ifndef ADA_EXPORT_METRICS_FILE_H
#define ADA_EXPORT_METRICS_FILE_H

#include "user/metrics/metrics_feed.h"

typedef struct MetricsFileConfig {
    const char *path;     /* outlives the writer */
    MetricsFeed feed;     /* the same */
    uint64_t interval_ns; /* how often to look for new figures */
    /* From the writer's thread, when writing starts to fail (-errno) and when it works again (0). NULL: nobody. */
    void (*on_state)(void *context, int error);
    void *context;
} MetricsFileConfig;

typedef struct MetricsFile MetricsFile;

/* Writes figures to PATH by way of PATH.tmp, mode 0644. 0 or -errno; a failure leaves PATH as it was. */
int metrics_file_write(const char *path, const MetricsView *view);

/* Starts the thread; all signals are blocked in it. -ENOMEM; errors of pthread_create(3), negative. */
int metrics_file_create(const MetricsFileConfig *config, MetricsFile **file_out);

/* Writes the latest figures, if they were not written yet, and ends the thread. Waits for it. NULL is allowed. */
void metrics_file_destroy(MetricsFile *file);

#endif
