/* SPDX-License-Identifier: MIT */
#include "tests/bench/spsc_subject.h"

#include <stdlib.h>

#include <ck_ring.h>

typedef struct CkValue {
    uint32_t value;
} CkValue;

/* Typed by value, as ours: the pointer interface would move twice the bytes. */
CK_RING_PROTOTYPE(values, CkValue)

typedef struct CkQueue {
    _Alignas(128) ck_ring_t ring;
    _Alignas(128) CkValue values[];
} CkQueue;

static void *ck_create(uint32_t capacity)
{
    size_t bytes = sizeof(CkQueue) + capacity * sizeof(CkValue);
    CkQueue *self = aligned_alloc(128, (bytes + 127) / 128 * 128);

    if (self)
        ck_ring_init(&self->ring, capacity);
    return self;
}

static void ck_destroy(void *queue)
{
    free(queue);
}

static void ck_produce(void *queue, uint32_t count)
{
    CkQueue *self = queue;

    for (uint32_t i = 0; i < count; i++) {
        CkValue entry = {i};
        while (!CK_RING_ENQUEUE_SPSC(values, &self->ring, self->values, &entry))
            bench_pause();
    }
}

static uint32_t ck_consume(void *queue, uint32_t count)
{
    CkQueue *self = queue;
    uint32_t wrong = 0;
    CkValue entry;

    for (uint32_t i = 0; i < count; i++) {
        while (!CK_RING_DEQUEUE_SPSC(values, &self->ring, self->values, &entry))
            bench_pause();
        wrong += entry.value != i;
    }
    return wrong;
}

const SpscSubject spsc_subject_ck = {
    .name = "Concurrency Kit ck_ring",
    .create = ck_create,
    .destroy = ck_destroy,
    .produce = ck_produce,
    .consume = ck_consume,
};
