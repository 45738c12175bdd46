/* SPDX-License-Identifier: MIT */
#include "test_support.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "user/lane/spsc_queue.h"

/* Where indices start in tests of the wrap: at 0, and just below 2^32 and 2^64. */
static const uint64_t starts[] = {0, UINT32_MAX - 3ull, UINT64_MAX - 3};
#define START_COUNT (sizeof(starts) / sizeof(starts[0]))

typedef struct Pair {
    SpscQueue queue;
    SpscProducer producer;
    SpscConsumer consumer;
} Pair;

static void pair_init(Pair *pair, uint64_t start)
{
    memset(pair, 0, sizeof(*pair));
    spsc_queue_init(&pair->queue, start);
    spsc_producer_init(&pair->producer, &pair->queue, NULL, 0);
    spsc_consumer_init(&pair->consumer, &pair->queue, NULL, 0);
}

/* Takes one value, which must be there and be `value`. */
static bool takes(SpscConsumer *consumer, uint32_t value)
{
    uint32_t found = ~value;

    if (spsc_queue_peek(consumer, &found) != 1 || found != value)
        return false;
    spsc_queue_pop(consumer);
    return true;
}

static void test_spsc_queue__single_producer__then_maintains_order(void)
{
    Pair pair;
    uint32_t pushed = 0, taken = 0;

    pair_init(&pair, 0);
    /* Bursts of every length against takes of every length. */
    for (uint32_t round = 0; round < 1000; round++) {
        for (uint32_t i = 0; i < round % (ADA_QUEUE_SLOTS + 2); i++)
            pushed += spsc_queue_push(&pair.producer, pushed);
        for (uint32_t i = 0; i < round % 5 && taken < pushed; i++)
            CU_ASSERT_TRUE(takes(&pair.consumer, taken++));
        CU_ASSERT_EQUAL(spsc_queue_length(&pair.consumer), pushed - taken);
    }
    while (taken < pushed)
        CU_ASSERT_TRUE(takes(&pair.consumer, taken++));
    CU_ASSERT_TRUE(taken > 1000);
}

static void test_spsc_queue__wraparound__then_correct(void)
{
    for (size_t s = 0; s < START_COUNT; s++) {
        Pair pair;
        uint32_t value;

        pair_init(&pair, starts[s]);
        for (uint32_t round = 0; round < 10; round++) {
            for (uint32_t i = 0; i < ADA_QUEUE_SLOTS; i++) {
                CU_ASSERT_EQUAL(spsc_queue_length(&pair.consumer), i);
                CU_ASSERT_TRUE(spsc_queue_push(&pair.producer, round * 100 + i));
            }
            CU_ASSERT_FALSE(spsc_queue_push(&pair.producer, 1));
            for (uint32_t i = 0; i < ADA_QUEUE_SLOTS; i++)
                CU_ASSERT_TRUE(takes(&pair.consumer, round * 100 + i));
            CU_ASSERT_EQUAL(spsc_queue_peek(&pair.consumer, &value), 0);
        }
        CU_ASSERT_EQUAL(pair.queue.tail, starts[s] + 10 * ADA_QUEUE_SLOTS);
        CU_ASSERT_EQUAL(pair.queue.head, starts[s] + 10 * ADA_QUEUE_SLOTS);
    }
}

static void spsc_queue__empty__then_peek_finds_nothing(void)
{
    for (size_t s = 0; s < START_COUNT; s++) {
        uint32_t value = 4711;
        Pair pair;

        pair_init(&pair, starts[s]);
        CU_ASSERT_EQUAL(spsc_queue_peek(&pair.consumer, &value), 0);
        CU_ASSERT_EQUAL(value, 4711);
        CU_ASSERT_EQUAL(spsc_queue_length(&pair.consumer), 0);
    }
}

static void spsc_queue__peeked_and_not_popped__then_peeked_again(void)
{
    uint32_t value = 0;
    Pair pair;

    pair_init(&pair, 0);
    CU_ASSERT_TRUE(spsc_queue_push(&pair.producer, 5));
    CU_ASSERT_EQUAL(spsc_queue_peek(&pair.consumer, &value), 1);
    CU_ASSERT_EQUAL(value, 5);
    CU_ASSERT_TRUE(takes(&pair.consumer, 5));
}

static void spsc_queue__full__then_room_after_one_pop(void)
{
    for (size_t s = 0; s < START_COUNT; s++) {
        Pair pair;

        pair_init(&pair, starts[s]);
        for (uint32_t i = 0; i < ADA_QUEUE_SLOTS; i++)
            CU_ASSERT_TRUE(spsc_queue_push(&pair.producer, i));
        CU_ASSERT_FALSE(spsc_queue_push(&pair.producer, 8));
        CU_ASSERT_TRUE(takes(&pair.consumer, 0));
        CU_ASSERT_TRUE(spsc_queue_push(&pair.producer, 8));
        CU_ASSERT_FALSE(spsc_queue_push(&pair.producer, 9));
    }
}

static void spsc_queue__values_of_caller__then_capacity_is_theirs(void)
{
    uint32_t values[64];
    SpscProducer producer;
    SpscConsumer consumer;
    SpscQueue queue;

    memset(&queue, 0, sizeof(queue));
    spsc_queue_init(&queue, UINT64_MAX - 40);
    spsc_producer_init(&producer, &queue, values, 64);
    spsc_consumer_init(&consumer, &queue, values, 64);
    for (uint32_t i = 0; i < 64; i++)
        CU_ASSERT_TRUE(spsc_queue_push(&producer, i));
    CU_ASSERT_FALSE(spsc_queue_push(&producer, 64));
    for (uint32_t i = 0; i < 64; i++)
        CU_ASSERT_TRUE(takes(&consumer, i));
}

static void spsc_queue__handle_bound_anew__then_continues(void)
{
    SpscProducer producer;
    SpscConsumer consumer;
    Pair pair;

    pair_init(&pair, UINT64_MAX);
    CU_ASSERT_TRUE(spsc_queue_push(&pair.producer, 1));
    CU_ASSERT_TRUE(spsc_queue_push(&pair.producer, 2));
    CU_ASSERT_TRUE(takes(&pair.consumer, 1));
    spsc_producer_init(&producer, &pair.queue, NULL, 0);
    spsc_consumer_init(&consumer, &pair.queue, NULL, 0);
    CU_ASSERT_TRUE(spsc_queue_push(&producer, 3));
    CU_ASSERT_TRUE(takes(&consumer, 2));
    CU_ASSERT_TRUE(takes(&consumer, 3));
}

static void spsc_queue__tail_impossible__then_refused(void)
{
    for (size_t s = 0; s < START_COUNT; s++) {
        const uint64_t start = starts[s];
        const uint64_t bad[] = {start + ADA_QUEUE_SLOTS + 1, start - 1, start + UINT32_MAX,
                                start + (1ull << 63)};

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            uint32_t value = 4711;
            Pair pair;

            pair_init(&pair, start);
            pair.queue.tail = bad[i];
            CU_ASSERT_EQUAL(spsc_queue_peek(&pair.consumer, &value), -EPROTO);
            CU_ASSERT_EQUAL(spsc_queue_peek(&pair.consumer, &value), -EPROTO);
            CU_ASSERT_EQUAL(spsc_queue_length(&pair.consumer), -EPROTO);
            CU_ASSERT_EQUAL(spsc_consumer_resync(&pair.consumer), -EPROTO);
            CU_ASSERT_EQUAL(value, 4711);
        }
    }
}

static void spsc_queue__head_impossible__then_producer_finds_it_full(void)
{
    Pair pair;

    pair_init(&pair, 100);
    for (uint32_t i = 0; i < ADA_QUEUE_SLOTS; i++)
        CU_ASSERT_TRUE(spsc_queue_push(&pair.producer, i));
    pair.queue.head = 100 + ADA_QUEUE_SLOTS + 1; /* ahead of the tail */
    CU_ASSERT_FALSE(spsc_queue_push(&pair.producer, 8));
    pair.queue.head = 99;
    CU_ASSERT_FALSE(spsc_queue_push(&pair.producer, 8));
}

static void spsc_queue__resync__then_only_heads_between_ours_and_tail(void)
{
    for (size_t s = 0; s < START_COUNT; s++) {
        const uint64_t start = starts[s];
        Pair pair;

        pair_init(&pair, start);
        for (uint32_t i = 0; i < 5; i++)
            CU_ASSERT_TRUE(spsc_queue_push(&pair.producer, i));
        CU_ASSERT_TRUE(takes(&pair.consumer, 0));
        for (int64_t head = -3; head < 9; head++) {
            SpscConsumer consumer = pair.consumer;
            bool possible = head >= 1 && head <= 5;

            pair.queue.head = start + (uint64_t)head;
            CU_ASSERT_EQUAL(spsc_consumer_resync(&consumer), possible ? 0 : -EPROTO);
            CU_ASSERT_EQUAL(consumer.head, possible ? start + (uint64_t)head : start + 1);
            if (possible && head < 5)
                CU_ASSERT_TRUE(takes(&consumer, (uint32_t)head));
        }
    }
}

/* ---- two threads -------------------------------------------------------------------------------- */

typedef struct Transfer {
    SpscProducer producer;
    uint32_t count;
} Transfer;

/* On a busy machine a CPU that is given up may not come back for milliseconds; the other side is mostly done at once. */
static void wait_for_other(uint32_t *tries)
{
    if (++*tries % 256 == 0)
        sched_yield();
}

static void *push_all(void *argument)
{
    Transfer *transfer = argument;

    for (uint32_t i = 0, tries = 0; i < transfer->count; i++)
        while (!spsc_queue_push(&transfer->producer, i))
            wait_for_other(&tries);
    return NULL;
}

static void transfer_values(uint32_t count, uint64_t start, uint32_t *values, uint64_t capacity)
{
    SpscQueue *queue = aligned_alloc(ADA_LINE, sizeof(SpscQueue));
    Transfer transfer = {.count = count};
    SpscConsumer consumer;
    uint32_t expected = 0, tries = 0;
    pthread_t thread;

    CU_ASSERT_PTR_NOT_NULL_FATAL(queue);
    spsc_queue_init(queue, start);
    spsc_producer_init(&transfer.producer, queue, values, capacity);
    spsc_consumer_init(&consumer, queue, values, capacity);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, push_all, &transfer), 0);
    while (expected < count) {
        uint32_t value = 0;
        int found = spsc_queue_peek(&consumer, &value);

        if (found == 0) {
            wait_for_other(&tries);
            continue;
        }
        if (found != 1 || value != expected)
            break;
        spsc_queue_pop(&consumer);
        expected++;
    }
    CU_ASSERT_EQUAL_FATAL(expected, count); /* else the producer may wait for ever */
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
    CU_ASSERT_EQUAL(spsc_queue_length(&consumer), 0);
    free(queue);
}

static void spsc_queue__two_threads__then_every_value_once_in_order(void)
{
    static uint32_t values[1024];

    transfer_values(10000000, UINT64_MAX - 5000000, values, 1024);
}

static void spsc_queue__two_threads_few_slots__then_every_value_once_in_order(void)
{
    transfer_values(500000, UINT32_MAX - 250000, NULL, 0);
}

static const TestCase tests[] = {
    TEST(test_spsc_queue__single_producer__then_maintains_order),
    TEST(test_spsc_queue__wraparound__then_correct),
    TEST(spsc_queue__empty__then_peek_finds_nothing),
    TEST(spsc_queue__peeked_and_not_popped__then_peeked_again),
    TEST(spsc_queue__full__then_room_after_one_pop),
    TEST(spsc_queue__values_of_caller__then_capacity_is_theirs),
    TEST(spsc_queue__handle_bound_anew__then_continues),
    TEST(spsc_queue__tail_impossible__then_refused),
    TEST(spsc_queue__head_impossible__then_producer_finds_it_full),
    TEST(spsc_queue__resync__then_only_heads_between_ours_and_tail),
    TEST(spsc_queue__two_threads__then_every_value_once_in_order),
    TEST(spsc_queue__two_threads_few_slots__then_every_value_once_in_order),
};
TEST_MAIN("spsc_queue", tests)
