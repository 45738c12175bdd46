/* SPDX-License-Identifier: MIT */
/*
 * A single-producer single-consumer queue of 32-bit values, in memory that two processes share.
 *
 * Only the two indices and the values are shared (SpscQueue). Each end works through a private
 * handle that keeps its own index and the last value it saw of the other's: the remote cache line is
 * read only when the queue looks full (or empty) by that copy, so a push or pop mostly touches no
 * line that the other side writes.
 *
 * Indices run freely over 2^64 and are compared by difference only; the place of index i is i modulo
 * the capacity, a power of two. Invariant: head <= tail <= head + capacity.
 *
 *   tail: release by the producer grants the consumer the values below it; acquire in the consumer.
 *   head: release by the consumer gives the places below it back; acquire in the producer.
 *
 * The consumer may face a hostile producer: a tail that breaks the invariant is reported as -EPROTO,
 * never followed. One thread at a time uses a handle.
 */
#ifndef ADA_LANE_SPSC_QUEUE_H
#define ADA_LANE_SPSC_QUEUE_H

#include <errno.h>
#include <stddef.h>

#include "shared/segment_abi.h"
#include "user/lane/atomic.h"

typedef struct SpscProducer {
    SpscQueue *queue;
    uint32_t *values;
    uint64_t capacity;
    uint64_t tail;        /* ours: what queue->tail holds */
    uint64_t cached_head; /* the consumer's, when we last looked */
} SpscProducer;

typedef struct SpscConsumer {
    SpscQueue *queue;
    const uint32_t *values;
    uint64_t capacity;
    uint64_t head;        /* ours: what queue->head holds */
    uint64_t cached_tail; /* the producer's, when we last looked */
} SpscConsumer;

/* Makes an empty queue whose indices start at `start` (0, or near 2^64 in tests of the wrap). Before sharing. */
void spsc_queue_init(SpscQueue *queue, uint64_t start);

/*
 * Binds a handle to a queue. `values` has `capacity` (a power of two) places and belongs to the
 * caller; NULL means the queue's own ADA_QUEUE_SLOTS. The handle continues where its end stood.
 */
void spsc_producer_init(SpscProducer *producer, SpscQueue *queue, uint32_t *values, uint64_t capacity);
void spsc_consumer_init(SpscConsumer *consumer, SpscQueue *queue, const uint32_t *values, uint64_t capacity);

/*
 * Reads the shared head again: somebody else consumed with this end's permission (a producer that took
 * a ring back, see lane.h). 0, or -EPROTO if it is not between our old head and the tail.
 */
int spsc_consumer_resync(SpscConsumer *consumer);

/* Appends a value. False: full. */
static inline bool spsc_queue_push(SpscProducer *producer, uint32_t value)
{
    uint64_t tail = producer->tail;

    if (__builtin_expect(tail - producer->cached_head >= producer->capacity, 0)) {
        /* Pairs with the release in spsc_queue_pop(): the consumer has read the place we reuse. */
        producer->cached_head = ada_load_acquire(&producer->queue->head);
        if (tail - producer->cached_head >= producer->capacity)
            return false;
    }
    ada_store_relaxed(&producer->values[tail & (producer->capacity - 1)], value);
    producer->tail = tail + 1;
    /* Pairs with the acquire in spsc_queue_peek(): grants the consumer the value, and what it stands for. */
    ada_store_release(&producer->queue->tail, tail + 1);
    return true;
}

/* Reads the oldest value without taking it. 1: *value_out set; 0: empty; -EPROTO: the tail is impossible. */
static inline int spsc_queue_peek(SpscConsumer *consumer, uint32_t *value_out)
{
    uint64_t head = consumer->head;

    if (head == consumer->cached_tail) {
        /* Pairs with the release in spsc_queue_push(). */
        uint64_t tail = ada_load_acquire(&consumer->queue->tail);
        if (tail - head > consumer->capacity)
            return -EPROTO;
        consumer->cached_tail = tail;
        if (tail == head)
            return 0;
    }
    *value_out = ada_load_relaxed(&consumer->values[head & (consumer->capacity - 1)]);
    return 1;
}

/* The value `offset` behind the oldest, below what spsc_queue_length() said. */
static inline uint32_t spsc_queue_peek_at(const SpscConsumer *consumer, uint64_t offset)
{
    return ada_load_relaxed(&consumer->values[(consumer->head + offset) & (consumer->capacity - 1)]);
}

/* Takes the value that peek returned: its place goes back to the producer. */
static inline void spsc_queue_pop(SpscConsumer *consumer)
{
    consumer->head++;
    /* Pairs with the acquire in spsc_queue_push(). */
    ada_store_release(&consumer->queue->head, consumer->head);
}

/* Values waiting, as the consumer may know it; -EPROTO as for peek. */
int64_t spsc_queue_length(SpscConsumer *consumer);

#endif
