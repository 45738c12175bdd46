/* SPDX-License-Identifier: MIT */
/*
 * What bench_spsc measures: one implementation of a single-producer single-consumer queue of 32-bit values.
 *
 * The loops live beside each implementation, so that its operations are inlined into them. A subject is
 * used by two threads, one in produce(), one in consume(). Both retry while the queue is full or empty, with
 * a spin loop's pause in between: without it the polling takes the index's line away from the other side, and
 * what is measured is that fight.
 */
#ifndef ADA_BENCH_SPSC_SUBJECT_H
#define ADA_BENCH_SPSC_SUBJECT_H

#include <stdint.h>

#include "tests/bench/bench_support.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct SpscSubject {
    const char *name;
    void *(*create)(uint32_t capacity); /* a power of two; NULL: no memory, or capacity not offered */
    void (*destroy)(void *queue);
    void (*produce)(void *queue, uint32_t count);     /* pushes 0 .. count - 1 */
    uint32_t (*consume)(void *queue, uint32_t count); /* pops as many; how many were not the expected value */
} SpscSubject;

extern const SpscSubject spsc_subject_adatrace;
extern const SpscSubject spsc_subject_adatrace_in_memory;
extern const SpscSubject spsc_subject_ck;
extern const SpscSubject spsc_subject_boost;

#ifdef __cplusplus
}
#endif

#endif
