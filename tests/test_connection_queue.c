/* SPDX-License-Identifier: MIT */
/* The order in which connections are overdue, at times that the test says. */
#include "test_support.h"

#include <stdlib.h>

#include "user/export/connection_queue.h"

#define LIMIT 100u

static void connection_queue__renewed_and_removed__then_ordered_by_deadline(void)
{
    QueuedConnection a = {0}, b = {0}, c = {0};
    ConnectionQueue queue;

    connection_queue_init(&queue, LIMIT);
    CU_ASSERT_EQUAL(connection_queue_wait(&queue, 0), UINT64_MAX);
    connection_queue_remove(&queue, &a); /* it is not there */
    connection_queue_renew(&queue, &a, 1000);
    connection_queue_renew(&queue, &b, 1010);
    connection_queue_renew(&queue, &c, 1010);
    CU_ASSERT_PTR_EQUAL(queue.first, &a);
    CU_ASSERT_EQUAL(connection_queue_wait(&queue, 1010), 90);
    CU_ASSERT_EQUAL(connection_queue_wait(&queue, 1099), 1);
    CU_ASSERT_EQUAL(connection_queue_wait(&queue, 1100), 0);
    CU_ASSERT_EQUAL(connection_queue_wait(&queue, 5000), 0);
    connection_queue_renew(&queue, &a, 1050); /* it was answered */
    CU_ASSERT_PTR_EQUAL(queue.first, &b);
    CU_ASSERT_PTR_EQUAL(queue.last, &a);
    CU_ASSERT_EQUAL(connection_queue_wait(&queue, 1050), 60);
    connection_queue_remove(&queue, &c); /* from the middle */
    connection_queue_remove(&queue, &c);
    CU_ASSERT_FALSE(c.queued);
    CU_ASSERT_PTR_EQUAL(b.later, &a);
    CU_ASSERT_PTR_EQUAL(a.earlier, &b);
    connection_queue_remove(&queue, &a); /* the last */
    CU_ASSERT_PTR_EQUAL(queue.last, &b);
    connection_queue_renew(&queue, &b, 1060); /* the only one */
    CU_ASSERT_PTR_EQUAL(queue.first, &b);
    CU_ASSERT_PTR_EQUAL(queue.last, &b);
    CU_ASSERT_EQUAL(connection_queue_wait(&queue, 1060), 100);
    connection_queue_remove(&queue, &b);
    CU_ASSERT_PTR_NULL(queue.first);
    CU_ASSERT_PTR_NULL(queue.last);
    CU_ASSERT_EQUAL(connection_queue_wait(&queue, 1060), UINT64_MAX);
}

#define MANY 64u

/* The queue, forwards and backwards, has `count` connections, and no deadline before an earlier one. */
static bool is_sound(const ConnectionQueue *queue, size_t count)
{
    const QueuedConnection *earlier = NULL;
    size_t found = 0;

    for (const QueuedConnection *at = queue->first; at; at = at->later) {
        if (at->earlier != earlier || !at->queued || (earlier && earlier->since > at->since))
            return false;
        earlier = at;
        found++;
    }
    return queue->last == earlier && found == count;
}

static void connection_queue__random_operations__then_sound(void)
{
    QueuedConnection connections[MANY] = {0};
    uint64_t random = 88172645463325252u, now = 0;
    size_t count = 0, unsound = 0;
    ConnectionQueue queue;

    connection_queue_init(&queue, LIMIT);
    for (int i = 0; i < 100000; i++) {
        QueuedConnection *connection;

        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        connection = &connections[random % MANY];
        now += (random >> 8) % 3;
        count -= connection->queued;
        if (random >> 63) {
            connection_queue_renew(&queue, connection, now);
            count++;
        } else {
            connection_queue_remove(&queue, connection);
        }
        unsound += !is_sound(&queue, count);
    }
    CU_ASSERT_EQUAL(unsound, 0);
}

static const TestCase tests[] = {
    TEST(connection_queue__renewed_and_removed__then_ordered_by_deadline),
    TEST(connection_queue__random_operations__then_sound),
};
TEST_MAIN("connection_queue", tests)
