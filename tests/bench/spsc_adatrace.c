/* SPDX-License-Identifier: MIT */
/*
 * Ours, twice: with handles that live in the loop's registers, and with handles in memory, where a lane
 * keeps them between two rings. Only the second has to store and reload its own index for every value.
 */
#include "tests/bench/spsc_subject.h"

#include <stdlib.h>

#include "user/lane/spsc_queue.h"

typedef struct AdatraceQueue {
    SpscQueue shared;
    SpscProducer producer;
    uint8_t pad0[ADA_LINE];
    SpscConsumer consumer;
    uint8_t pad1[ADA_LINE];
    uint32_t *values;
} AdatraceQueue;

static void adatrace_destroy(void *queue)
{
    AdatraceQueue *self = queue;

    if (self)
        free(self->values);
    free(self);
}

static void *adatrace_create(uint32_t capacity)
{
    size_t bytes = (capacity * sizeof(uint32_t) + ADA_LINE - 1) / ADA_LINE * ADA_LINE;
    AdatraceQueue *self = aligned_alloc(_Alignof(AdatraceQueue), sizeof(*self));

    if (!self)
        return NULL;
    self->values = aligned_alloc(ADA_LINE, bytes);
    if (!self->values) {
        adatrace_destroy(self);
        return NULL;
    }
    spsc_queue_init(&self->shared, 0);
    spsc_producer_init(&self->producer, &self->shared, self->values, capacity);
    spsc_consumer_init(&self->consumer, &self->shared, self->values, capacity);
    return self;
}

static inline void produce(SpscProducer *producer, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        while (!spsc_queue_push(producer, i))
            bench_pause();
}

static inline uint32_t consume(SpscConsumer *consumer, uint32_t count)
{
    uint32_t wrong = 0;
    uint32_t value;

    for (uint32_t i = 0; i < count; i++) {
        int peeked;
        while ((peeked = spsc_queue_peek(consumer, &value)) == 0)
            bench_pause();
        if (peeked < 0)
            return count;
        spsc_queue_pop(consumer);
        wrong += value != i;
    }
    return wrong;
}

static void adatrace_produce(void *queue, uint32_t count)
{
    AdatraceQueue *self = queue;
    SpscProducer handle = self->producer;

    produce(&handle, count);
    self->producer = handle;
}

static uint32_t adatrace_consume(void *queue, uint32_t count)
{
    AdatraceQueue *self = queue;
    SpscConsumer handle = self->consumer;
    uint32_t wrong = consume(&handle, count);

    self->consumer = handle;
    return wrong;
}

static void adatrace_produce_in_memory(void *queue, uint32_t count)
{
    produce(&((AdatraceQueue *)queue)->producer, count);
}

static uint32_t adatrace_consume_in_memory(void *queue, uint32_t count)
{
    return consume(&((AdatraceQueue *)queue)->consumer, count);
}

const SpscSubject spsc_subject_adatrace = {
    .name = "adatrace spsc_queue",
    .create = adatrace_create,
    .destroy = adatrace_destroy,
    .produce = adatrace_produce,
    .consume = adatrace_consume,
};

const SpscSubject spsc_subject_adatrace_in_memory = {
    .name = "adatrace spsc_queue, handles in memory",
    .create = adatrace_create,
    .destroy = adatrace_destroy,
    .produce = adatrace_produce_in_memory,
    .consume = adatrace_consume_in_memory,
};
