/* SPDX-License-Identifier: MIT */
/*
 * What the drain did, and how well: written by the drain thread alone, at a cost per visit and per write,
 * not per event.
 */
#ifndef ADA_DRAIN_DRAIN_METRICS_H
#define ADA_DRAIN_DRAIN_METRICS_H

#include "user/drain/latency_histogram.h"

typedef struct DrainMetrics {
    uint64_t iterations;
    uint64_t iteration_ns; /* spent in them, the writing included */
    uint64_t iteration_max_ns;
    uint64_t visits;  /* of threads that had work */
    uint64_t skips;   /* of them in vain, because the producer held the drain */
    uint64_t sweeps;  /* looks at quiet threads */
    uint64_t spared;  /* such looks left out because the thread had not run */
    uint64_t records; /* taken over, both lanes */
    uint64_t bytes;
    uint64_t flushes;         /* writes of the file */
    uint64_t marks;           /* moments that rules or commands marked */
    uint64_t wakeups;         /* times that the drain thread slept and was woken or timed out */
    uint64_t wait_total;      /* iterations that threads with work waited for their visit, in all */
    uint32_t wait_max;        /* and the longest of these waits */
    LatencyHistogram latency; /* from the event to the return of the write that has it */
} DrainMetrics;

/*
 * Jain's fairness index, added up share by share: (sum x)^2 / (n * sum x^2), 1 when all shares are equal, 1/n
 * when one has everything. A thread's share is what was drained of what it offered.
 */
typedef struct JainIndex {
    double sum;
    double squares;
    uint64_t count;
} JainIndex;

void jain_index_add(JainIndex *jain, double share);

/* 1 for nobody: nobody was treated unfairly. */
double jain_index_value(const JainIndex *jain);

#endif
