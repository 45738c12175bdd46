/* SPDX-License-Identifier: MIT */
/* Who is about to have a segment: when he is tried, and that nothing is left of him. */
#define _GNU_SOURCE
#include "test_support.h"

#include <fcntl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "user/collector/attach_queue.h"

#define MS 1000000ull
#define START (1000 * MS)

typedef struct Tries {
    uint32_t count;
    uint32_t last;
    pid_t pid; /* of the last one */
    uint32_t succeed_at;
} Tries;

static bool count_try(void *context, AttachWait *wait, bool last)
{
    Tries *tries = context;

    tries->pid = wait->pid;
    tries->last += last;
    return ++tries->count == tries->succeed_at;
}

static bool is_timer_set(const AttachQueue *queue)
{
    struct itimerspec left;

    CU_ASSERT_EQUAL_FATAL(timerfd_gettime(queue->timer, &left), 0);
    return left.it_value.tv_sec != 0 || left.it_value.tv_nsec != 0;
}

static void attach_queue__never_complete__then_growing_pauses_and_given_up(void)
{
    uint64_t now = START;
    Tries tries = {0};
    AttachQueue queue;

    CU_ASSERT_EQUAL_FATAL(attach_queue_init(&queue), 0);
    CU_ASSERT_FALSE(is_timer_set(&queue));
    CU_ASSERT_EQUAL(attach_queue_add(&queue, 12, NULL, now), 0);
    attach_queue_try(&queue, now, count_try, &tries);
    for (uint32_t pause = 0; pause < ATTACH_QUEUE_PAUSES; pause++) {
        CU_ASSERT_EQUAL(tries.count, pause + 1);
        CU_ASSERT_EQUAL(queue.count, 1);
        now += MS << pause;
        attach_queue_try(&queue, now - 1, count_try, &tries); /* not yet */
        CU_ASSERT_EQUAL(tries.count, pause + 1);
        CU_ASSERT_EQUAL(tries.last, 0);
        attach_queue_try(&queue, now, count_try, &tries);
    }
    CU_ASSERT_EQUAL(now - START, 2047 * MS);
    CU_ASSERT_EQUAL(tries.count, ATTACH_QUEUE_PAUSES + 1);
    CU_ASSERT_EQUAL(tries.last, 1);
    CU_ASSERT_EQUAL(queue.count, 0);
    CU_ASSERT_FALSE(is_timer_set(&queue));
    attach_queue_fini(&queue);
}

/* Times of the past: the timer is due at once, whatever the clock says. */
static void attach_queue__somebody_waits__then_the_timer_wakes_and_is_off_again(void)
{
    Tries tries = {.succeed_at = 3};
    uint64_t expirations;
    AttachQueue queue;

    CU_ASSERT_EQUAL_FATAL(attach_queue_init(&queue), 0);
    CU_ASSERT_EQUAL(attach_queue_add(&queue, 12, NULL, 1), 0);
    (void)fcntl(queue.timer, F_SETFL, 0);
    for (uint64_t now = 1; tries.count < 3; now += MS << tries.count) {
        CU_ASSERT_EQUAL(read(queue.timer, &expirations, sizeof(expirations)), (ssize_t)sizeof(expirations));
        attach_queue_try(&queue, now, count_try, &tries);
    }
    CU_ASSERT_EQUAL(queue.count, 0);
    CU_ASSERT_EQUAL(tries.last, 0);
    CU_ASSERT_FALSE(is_timer_set(&queue));
    attach_queue_fini(&queue);
}

static void attach_queue__searched_for_again__then_it_starts_over(void)
{
    Tries tries = {0};
    AttachQueue queue;

    CU_ASSERT_EQUAL_FATAL(attach_queue_init(&queue), 0);
    CU_ASSERT_EQUAL(attach_queue_add(&queue, 12, NULL, START), 0);
    attach_queue_try(&queue, START, count_try, &tries);
    attach_queue_try(&queue, START + MS, count_try, &tries);
    CU_ASSERT_EQUAL(attach_queue_add(&queue, 12, NULL, START + 2 * MS), 0);
    CU_ASSERT_EQUAL(queue.count, 1);
    attach_queue_try(&queue, START + 2 * MS, count_try, &tries);
    attach_queue_try(&queue, START + 3 * MS, count_try, &tries);
    CU_ASSERT_EQUAL(tries.count, 4);
    CU_ASSERT_EQUAL(attach_queue_add(&queue, 13, NULL, START), 0);
    CU_ASSERT_EQUAL(queue.count, 2);
    attach_queue_fini(&queue);
}

static AttachHold make_hold(void)
{
    return (AttachHold){.pidfd = open("/dev/null", O_RDONLY | O_CLOEXEC),
                        .fd = open("/dev/null", O_RDONLY | O_CLOEXEC)};
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void attach_queue__process_ends__then_what_is_held_of_it_is_tried_for_the_last_time(void)
{
    AttachHold first = make_hold(), second = make_hold(), other = make_hold();
    int fds[] = {first.fd, first.pidfd, second.fd, second.pidfd};
    int other_fd = other.fd;
    Tries tries = {0};
    AttachQueue queue;

    CU_ASSERT_EQUAL_FATAL(attach_queue_init(&queue), 0);
    CU_ASSERT_EQUAL(attach_queue_add(&queue, 12, &first, START), 0);
    CU_ASSERT_EQUAL(first.fd, -1); /* taken over */
    CU_ASSERT_EQUAL(attach_queue_add(&queue, 12, &second, START), 0);
    CU_ASSERT_EQUAL(attach_queue_add(&queue, 12, NULL, START), 0);
    CU_ASSERT_EQUAL(attach_queue_add(&queue, 13, &other, START), 0);
    attach_queue_try_last(&queue, 12, count_try, &tries);
    CU_ASSERT_EQUAL(tries.count, 2); /* where nothing is held there is nothing to find any more */
    CU_ASSERT_EQUAL(tries.last, 2);
    CU_ASSERT_EQUAL(tries.pid, 12);
    CU_ASSERT_EQUAL(queue.count, 1);
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        CU_ASSERT_FALSE(is_open(fds[i]));
    CU_ASSERT_TRUE(is_open(other_fd));
    attach_queue_fini(&queue);
    CU_ASSERT_FALSE(is_open(other_fd));
}

static const TestCase tests[] = {
    TEST(attach_queue__never_complete__then_growing_pauses_and_given_up),
    TEST(attach_queue__somebody_waits__then_the_timer_wakes_and_is_off_again),
    TEST(attach_queue__searched_for_again__then_it_starts_over),
    TEST(attach_queue__process_ends__then_what_is_held_of_it_is_tried_for_the_last_time),
};
TEST_MAIN("attach_queue", tests)
