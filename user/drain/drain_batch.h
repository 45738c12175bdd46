/* SPDX-License-Identifier: MIT */
/*
 * The blocks that go to the file with the next write, and the threads whose records are among them.
 *
 *     drain_thread_lanes()  copies records into the writer's buffer and notes the thread
 *     drain_batch_flush()   writes; then the records count as in the file (or, if the write failed, as
 *                           dropped_io), and the rings go back to their producers
 *
 * What was written is noted in the lane, and what a write that failed had is not (thread_drain_settle()).
 *
 * A ring is given back only after the write returned, so a collector that dies loses nothing that it had
 * not written, and what waits for a slow disk is bounded: one buffer here, and the rings of the producers.
 * Everything belongs to the drain thread.
 */
#ifndef ADA_DRAIN_DRAIN_BATCH_H
#define ADA_DRAIN_DRAIN_BATCH_H

#include "user/drain/drain_metrics.h"
#include "user/drain/thread_drain_state.h"
#include "user/file/adat_writer.h"

/* Events whose latency is taken: some of each block stand for all of it. */
typedef struct LatencySample {
    uint64_t timestamp; /* ticks */
    uint32_t weight;    /* events that it stands for */
    uint32_t clock_kind;
} LatencySample;

#define DRAIN_SAMPLES_MAX 2048u
#define DRAIN_PEEK_BYTES 65536u /* some records of the largest size */

typedef struct DrainBatch {
    AdatWriter *writer;
    DrainMetrics *metrics;
    ThreadDrainState *touched;
    uint64_t bytes; /* that its blocks have taken up in rings */
    uint32_t epoch; /* 1..; one more after each failed flush, and with each file: what was described must be written again */
    uint64_t failures;   /* flushes that failed */
    int last_error;      /* of the last failed flush, as -errno; 0 = none yet */
    bool failing;        /* the last flush failed */
    double ns_per_cycle; /* of the cycle counter; 0 = not known yet: then latencies in cycles are not taken */
    char peek[DRAIN_PEEK_BYTES]; /* where thread_marks_scan_details() copies to */
    uint64_t late_after_ns; /* who set it wants to know how many events waited longer until they were written: */
    uint64_t timed;         /* events whose latency was taken, */
    uint64_t late;          /* of them those that waited longer. It clears both when it has read them */
    uint32_t sample_count;
    LatencySample samples[DRAIN_SAMPLES_MAX];
} DrainBatch;

/* Writer and metrics stay the caller's. */
void drain_batch_init(DrainBatch *batch, AdatWriter *writer, DrainMetrics *metrics);

/* Writes the batch and settles the accounts. 0 or -errno of the write. */
int drain_batch_flush(DrainBatch *batch);

/* Goes on in another file, in which everything must be described again. The batch must have been flushed. */
void drain_batch_next_file(DrainBatch *batch, AdatWriter *writer);

/*
 * Adds one block without lane data, flushing first if there is no room. A failed write is the batch's matter
 * (failing, epoch). 0; -ENOMEM, -EMSGSIZE: this block is lost, and counts as one of a failed write.
 */
int drain_batch_put(DrainBatch *batch, const AdatBlockHeader *header, const void *payload, size_t bytes);

/* Notes that the batch holds records of the thread, or that it has rings to give back. */
void drain_batch_touch(DrainBatch *batch, ThreadDrainState *state);

/* Takes a thread out that will not be settled: given up, nothing of it may be touched any more. */
void drain_batch_forget(DrainBatch *batch, ThreadDrainState *state);

/* Takes samples from a private copy of `count` index events. */
void drain_batch_sample(DrainBatch *batch, uint32_t clock_kind, const AdaIndexEvent *events, uint32_t count);

#endif
