/* SPDX-License-Identifier: MIT */
/*
 * Where those who export figures have them from: one recording, or all sessions of a service.
 *
 *     MetricsFeed.acquire() ─> MetricsView: snapshots, with their sessions' names ─> metrics_view_release()
 *
 * A view has references and copies only: sessions may come and go while it is read, for as long as it takes.
 */
#ifndef ADA_METRICS_METRICS_FEED_H
#define ADA_METRICS_METRICS_FEED_H

#include "user/metrics/metrics_snapshot.h"

#define METRICS_SESSION_NAME_SIZE 65u /* with its NUL */
#define METRICS_SERVICE_STATES_MAX 8u

typedef struct MetricsSession {
    char name[METRICS_SESSION_NAME_SIZE]; /* "": a recording without a service */
    const char *state;                    /* "running" ..., of static storage; NULL: as above */
    const MetricsSnapshot *snapshot;      /* the view's reference; never NULL */
} MetricsSession;

/* What a service tells of itself. */
typedef struct MetricsService {
    const char *version; /* of static storage, as all text here */
    uint64_t started_at; /* CLOCK_REALTIME, ns */
    struct {
        const char *name;
        uint64_t sessions; /* in this state, whether or not there are figures of them */
    } states[METRICS_SERVICE_STATES_MAX];
    size_t state_count;
    bool counts_clients; /* else control_clients is not known */
    uint64_t control_clients;
} MetricsService;

/* The figures of each session that has some. */
typedef struct MetricsView {
    uint64_t stamp; /* of one feed: two views with the same one are the same */
    MetricsSession *sessions;
    size_t session_count; /* without a service: 1 */
    bool has_service;
    MetricsService service;
} MetricsView;

typedef struct MetricsFeed {
    /*
     * Fills *view. 0, for metrics_view_release(); -ENODATA: nothing was collected yet; -ENOMEM. Any thread, at any time; it waits
     * for nobody for longer than it takes to copy some pointers.
     */
    int (*acquire)(void *context, MetricsView *view);
    void *context;
} MetricsFeed;

/* The one recording of which snapshots are published there. The hub outlives the feed. */
MetricsFeed metrics_hub_feed(MetricsHub *hub);

/* All zero is allowed. */
void metrics_view_release(MetricsView *view);

#endif
