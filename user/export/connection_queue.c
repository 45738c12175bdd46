/* SPDX-License-Identifier: MIT */
#include "user/export/connection_queue.h"

#include <stddef.h>

void connection_queue_init(ConnectionQueue *queue, uint64_t time_limit)
{
    *queue = (ConnectionQueue){.time_limit = time_limit};
}

void connection_queue_renew(ConnectionQueue *queue, QueuedConnection *connection, uint64_t now)
{
    connection_queue_remove(queue, connection);
    *connection = (QueuedConnection){.earlier = queue->last, .since = now, .queued = true};
    if (queue->last)
        queue->last->later = connection;
    else
        queue->first = connection;
    queue->last = connection;
}

void connection_queue_remove(ConnectionQueue *queue, QueuedConnection *connection)
{
    if (!connection->queued)
        return;
    if (connection->earlier)
        connection->earlier->later = connection->later;
    else
        queue->first = connection->later;
    if (connection->later)
        connection->later->earlier = connection->earlier;
    else
        queue->last = connection->earlier;
    *connection = (QueuedConnection){.queued = false};
}

uint64_t connection_queue_wait(const ConnectionQueue *queue, uint64_t now)
{
    uint64_t spent;

    if (!queue->first)
        return UINT64_MAX;
    spent = now - queue->first->since;
    return spent < queue->time_limit ? queue->time_limit - spent : 0;
}
