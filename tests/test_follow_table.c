/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "test_support.h"

#include <fcntl.h>
#include <unistd.h>

#include "user/collector/follow_table.h"

static int open_something(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void follow_table__come_and_go__then_as_many_places_as_at_a_time(void)
{
    FollowTable table = {0};
    uint32_t places[100], place;
    int lowest = open_something();

    close(lowest);
    for (pid_t i = 0; i < 100; i++)
        CU_ASSERT_EQUAL_FATAL(follow_table_add(&table, 1000 + i, open_something(), &places[i]), 0);
    for (pid_t round = 1; round <= 50; round++) {
        for (pid_t i = 0; i < 100; i += round % 3 + 1) {
            follow_table_remove(&table, places[i]);
            CU_ASSERT_PTR_NULL(follow_table_find(&table, 1000 * round + i));
        }
        for (pid_t i = 0; i < 100; i += round % 3 + 1)
            CU_ASSERT_EQUAL(follow_table_add(&table, 1000 * (round + 1) + i, open_something(), &places[i]), 0);
        for (pid_t i = 0; i < 100; i++) {
            const Followed *followed = &table.items[places[i]];

            CU_ASSERT_PTR_EQUAL(follow_table_find(&table, followed->pid), followed);
        }
        CU_ASSERT_EQUAL(table.live, 100);
        CU_ASSERT_EQUAL(table.count, 100);
    }
    for (pid_t i = 0; i < 99; i++)
        follow_table_remove(&table, places[i]);
    CU_ASSERT_EQUAL(table.live, 1);
    CU_ASSERT_PTR_NULL(follow_table_find(&table, 77));
    CU_ASSERT_EQUAL(follow_table_add(&table, 77, open_something(), &place), 0);
    CU_ASSERT_FALSE(follow_table_find(&table, 77)->again);
    follow_table_fini(&table);
    CU_ASSERT_EQUAL(open_something(), lowest); /* all are closed */
    close(lowest);
}

static const TestCase tests[] = {
    TEST(follow_table__come_and_go__then_as_many_places_as_at_a_time),
};
TEST_MAIN("follow_table", tests)
