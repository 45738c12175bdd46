/* SPDX-License-Identifier: MIT */
#include "user/lane/spsc_queue.h"

void spsc_queue_init(SpscQueue *queue, uint64_t start)
{
    ada_store_relaxed(&queue->head, start);
    ada_store_relaxed(&queue->tail, start);
}

void spsc_producer_init(SpscProducer *producer, SpscQueue *queue, uint32_t *values, uint64_t capacity)
{
    producer->queue = queue;
    producer->values = values ? values : queue->slots;
    producer->capacity = values ? capacity : ADA_QUEUE_SLOTS;
    producer->tail = ada_load_relaxed(&queue->tail);        /* our own: nobody else writes it */
    producer->cached_head = ada_load_acquire(&queue->head); /* pairs with spsc_queue_pop() */
}

void spsc_consumer_init(SpscConsumer *consumer, SpscQueue *queue, const uint32_t *values, uint64_t capacity)
{
    consumer->queue = queue;
    consumer->values = values ? values : queue->slots;
    consumer->capacity = values ? capacity : ADA_QUEUE_SLOTS;
    consumer->head = ada_load_relaxed(&queue->head); /* our own */
    consumer->cached_tail = consumer->head;          /* the first peek looks at the real one */
}

int spsc_consumer_resync(SpscConsumer *consumer)
{
    /* Both were last written by whoever held the drain right before us; taking it was the acquire. */
    uint64_t head = ada_load_relaxed(&consumer->queue->head);
    uint64_t tail = ada_load_acquire(&consumer->queue->tail); /* pairs with spsc_queue_push() */

    if (tail - head > consumer->capacity || tail - consumer->head < tail - head)
        return -EPROTO;
    consumer->head = head;
    consumer->cached_tail = tail;
    return 0;
}

int64_t spsc_queue_length(SpscConsumer *consumer)
{
    uint64_t tail = ada_load_acquire(&consumer->queue->tail); /* pairs with spsc_queue_push() */

    if (tail - consumer->head > consumer->capacity)
        return -EPROTO;
    return (int64_t)(tail - consumer->head);
}
