/* SPDX-License-Identifier: MIT */
/*
 * Open connections in the order of their deadlines.
 *
 * A connection has the same time for everything, from its start or from the end of its last answer: to think of a
 * request, to say it, and to take the answer. So the order of deadlines is that in which connections were added or
 * renewed, each operation takes a constant time, and the first of the queue is both the next to be overdue and the one
 * that has to go first when there is room for no more.
 *
 * The caller owns the connections, and they stay where they are. One thread uses a queue.
 */
#ifndef ADA_EXPORT_CONNECTION_QUEUE_H
#define ADA_EXPORT_CONNECTION_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct QueuedConnection {
    struct QueuedConnection *earlier;
    struct QueuedConnection *later;
    uint64_t since; /* when its time began: CLOCK_MONOTONIC, ns */
    bool queued;
} QueuedConnection;

typedef struct ConnectionQueue {
    QueuedConnection *first;
    QueuedConnection *last;
    uint64_t time_limit; /* ns */
} ConnectionQueue;

void connection_queue_init(ConnectionQueue *queue, uint64_t time_limit);

/* Its time begins now: of one that was not in the queue, or anew. `now` never goes backwards. */
void connection_queue_renew(ConnectionQueue *queue, QueuedConnection *connection, uint64_t now);

/* Nothing happens if it is not in the queue. */
void connection_queue_remove(ConnectionQueue *queue, QueuedConnection *connection);

/* How long to wait until the first deadline, in ns; UINT64_MAX: for ever. */
uint64_t connection_queue_wait(const ConnectionQueue *queue, uint64_t now);

#endif
