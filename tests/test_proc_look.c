/* SPDX-License-Identifier: MIT */
/* Looking through the real /proc, at times that the test makes up. */
#define _GNU_SOURCE
#include "test_support.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/collector/proc_look.h"

#define S PROC_LOOK_PAUSE_NS

typedef struct Looks {
    pid_t pid;
    uint32_t count; /* at that process */
    uint32_t all;
} Looks;

static void count_look(void *context, pid_t pid)
{
    Looks *looks = context;

    looks->all++;
    looks->count += pid == looks->pid;
}

static void proc_look_round__again_and_again__then_pauses_grow_up_to_a_minute(void)
{
    static const uint64_t due[] = {0, 1, 3, 7, 15, 31, 63, 127, 191, 255}; /* s */
    Looks looks = {.pid = getpid()};
    ProcLook look = {0};
    uint32_t expected = 0;

    for (uint64_t second = 0; second < 256; second++) {
        expected += due[expected] == second;
        CU_ASSERT_EQUAL(proc_look_round(&look, second * S, count_look, &looks), 0);
        CU_ASSERT_EQUAL(looks.count, expected);
    }
    CU_ASSERT_EQUAL(expected, sizeof(due) / sizeof(due[0]));
    proc_look_forget(&look);
    CU_ASSERT_EQUAL(proc_look_round(&look, 256 * S, count_look, &looks), 0);
    CU_ASSERT_EQUAL(looks.count, expected + 1);
    proc_look_forget(&look);
}

static void proc_look_round__comes_and_goes__then_looked_at_once_and_forgotten(void)
{
    Looks looks = {0};
    ProcLook look = {0};
    size_t before;
    pid_t pid;

    CU_ASSERT_EQUAL(proc_look_round(&look, S, count_look, &looks), 0);
    CU_ASSERT_EQUAL(looks.all, look.count);
    pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    looks.pid = pid;
    CU_ASSERT_EQUAL(proc_look_round(&look, S + 1, count_look, &looks), 0);
    CU_ASSERT_EQUAL(looks.count, 1);
    CU_ASSERT_EQUAL(proc_look_round(&look, S + 2, count_look, &looks), 0);
    CU_ASSERT_EQUAL(looks.count, 1);
    before = look.count;
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    CU_ASSERT_EQUAL(proc_look_round(&look, 10 * S, count_look, &looks), 0);
    CU_ASSERT_EQUAL(looks.count, 1);
    for (size_t i = 0; i < look.count; i++) {
        CU_ASSERT_NOT_EQUAL(look.items[i].pid, pid);
        CU_ASSERT(i == 0 || look.items[i - 1].pid < look.items[i].pid);
    }
    CU_ASSERT(before > 0);
    proc_look_forget(&look);
}

static const TestCase tests[] = {
    TEST(proc_look_round__again_and_again__then_pauses_grow_up_to_a_minute),
    TEST(proc_look_round__comes_and_goes__then_looked_at_once_and_forgotten),
};
TEST_MAIN("proc_look", tests)
