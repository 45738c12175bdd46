/* SPDX-License-Identifier: MIT */
/*
 * The loads under which the cost of one event is measured, the same for ours and for the peers.
 *
 *   paced     1,000 events at the start of each millisecond: 1 M events/s, open loop (a late burst does not
 *             delay the next). The floors run in the same milliseconds. A sample is the mean of PACED_GROUP
 *             milliseconds, so that full rings, and the wake-ups they may bring, are in each.
 *   flat out  long uninterrupted batches, hundreds of times what the buffers hold, in turn with batches
 *             of the floor: if the consumer cannot follow, its pace shows in the mean, or in the losses.
 *   off       nobody records: the floors and the event in short batches.
 */
#ifndef ADA_BENCH_LOAD_H
#define ADA_BENCH_LOAD_H

#include "tests/bench/bench_support.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PACED_GROUP 16u
#define PACED_PERIOD_NS 1000000u

typedef struct BenchLoad {
    const char *name; /* of the row */
    BenchBody *body;  /* emits as many events as it is told */
    void *context;
    /* For the ratio to the floor "rdtsc + 32-byte store"; for `off`, for what exceeds the empty loop. */
    BenchTarget target;
    double limit;
    const char *undisturbed; /* paced only: of another row, of an undisturbed core's samples; NULL: none */
} BenchLoad;

/* Adds the floors' rows and the event's. */
void bench_load_paced(BenchReport *report, const BenchLoad *load, size_t rounds);
/* Adds the event's row. */
void bench_load_flat_out(BenchReport *report, const BenchLoad *load, size_t rounds, uint64_t operations);
/* Adds one row: what the event costs above the empty loop. */
void bench_load_off(BenchReport *report, const BenchLoad *load, size_t rounds);

#ifdef __cplusplus
}
#endif

#endif
