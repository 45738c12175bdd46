/* SPDX-License-Identifier: MIT */
#include "user/metrics/metrics_feed.h"

#include <errno.h>
#include <stdlib.h>

static int acquire_from_hub(void *context, MetricsView *view)
{
    const MetricsSnapshot *snapshot = metrics_hub_acquire(context);
    MetricsSession *session;

    if (!snapshot)
        return -ENODATA;
    session = malloc(sizeof(*session));
    if (!session) {
        metrics_snapshot_release(snapshot);
        return -ENOMEM;
    }
    *session = (MetricsSession){.snapshot = snapshot};
    *view = (MetricsView){.stamp = snapshot->sequence, .sessions = session, .session_count = 1};
    return 0;
}

MetricsFeed metrics_hub_feed(MetricsHub *hub)
{
    return (MetricsFeed){.acquire = acquire_from_hub, .context = hub};
}

void metrics_view_release(MetricsView *view)
{
    for (size_t i = 0; i < view->session_count; i++)
        metrics_snapshot_release(view->sessions[i].snapshot);
    free(view->sessions);
    *view = (MetricsView){0};
}
