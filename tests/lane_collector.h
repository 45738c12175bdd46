/* SPDX-License-Identifier: MIT */
/*
 * A small collector for stress tests: drains the index lanes of all slots of a segment and checks
 * each event by its content, releases the slots of threads that ended, and keeps each thread's account.
 *
 * Events carry the thread's number (its thread_id in the registry) as id and 0, 1, 2... as argument.
 */
#ifndef ADA_TESTS_LANE_COLLECTOR_H
#define ADA_TESTS_LANE_COLLECTOR_H

#include "user/lane/lane_producer.h"
#include "user/lane/lane_reader.h"
#include "user/registry/thread_registry.h"

typedef struct CollectedThread {
    uint64_t taken;     /* events taken over */
    uint64_t next;      /* lowest argument that may still come */
    uint64_t timestamp; /* of the last event */
    uint64_t dropped;   /* by the lane's own counters, once the thread has ended */
    uint64_t overwritten;
    uint32_t wrong; /* events out of order, of another thread, or with decreasing time */
    uint32_t ended; /* times that a slot of this thread was released */
} CollectedThread;

typedef struct LaneCollector {
    const Segment *segment;
    CollectedThread *threads; /* by number */
    uint32_t thread_count;
    uint32_t protocol_errors;
    uint64_t released; /* slots */
    LaneReader readers[ADA_THREADS_DEFAULT];
    uint32_t generations[ADA_THREADS_DEFAULT]; /* that the reader is bound to; 0 = none */
} LaneCollector;

/*
 * NULL when there is no memory. At most ADA_THREADS_DEFAULT slots; threads are numbered 0..thread_count -
 * 1.
 */
LaneCollector *lane_collector_create(const Segment *segment, uint32_t thread_count);
void lane_collector_destroy(LaneCollector *collector);

/* Visits all slots once, taking at most `limit` events of each. */
void lane_collector_visit(LaneCollector *collector, uint32_t limit);

/* A thread's side: registers as `number`, waiting for a slot, writes the events, and leaves. */
void lane_collector_run_thread(const Segment *segment, uint32_t number, uint64_t events);

#endif
