/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_support.h"
#include "user/collector/thread_look.h"
#include "user/lane/atomic.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int pipe_fds[2];
static uint32_t holder, waiter;

/* Has the mutex, and waits for a byte. */
static void *hold(void *unused)
{
    char byte;

    (void)unused;
    CU_ASSERT_EQUAL(pthread_mutex_lock(&mutex), 0);
    ada_store_release(&holder, (uint32_t)gettid());
    CU_ASSERT_EQUAL(read(pipe_fds[0], &byte, 1), 1);
    CU_ASSERT_EQUAL(pthread_mutex_unlock(&mutex), 0);
    return NULL;
}

static void *wait_for_it(void *unused)
{
    (void)unused;
    ada_store_release(&waiter, (uint32_t)gettid());
    CU_ASSERT_EQUAL(pthread_mutex_lock(&mutex), 0);
    CU_ASSERT_EQUAL(pthread_mutex_unlock(&mutex), 0);
    return NULL;
}

/* Looks until the thread is in the system call; false: we may not know. */
static bool look_until(uint32_t tid, uint32_t call, ThreadLook *look_out)
{
    for (int i = 0; i < 1000000; i++) {
        ThreadLooks looks;
        bool found = false;

        CU_ASSERT_EQUAL_FATAL(thread_look_all(getpid(), &looks), 0);
        for (size_t k = 0; k < looks.count; k++) {
            if (looks.items[k].tid != tid || looks.items[k].call != call)
                continue;
            *look_out = looks.items[k];
            found = true;
        }
        thread_looks_clear(&looks);
        if (found)
            return true;
        sched_yield();
    }
    return false;
}

static void look__threads_that_wait__then_where_and_for_whom(void)
{
    pthread_t threads[2];
    ThreadLooks looks;
    ThreadLook look;

    CU_ASSERT_EQUAL_FATAL(pipe(pipe_fds), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[0], NULL, hold, NULL), 0);
    while (!ada_load_acquire(&holder))
        sched_yield();
    CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[1], NULL, wait_for_it, NULL), 0);
    while (!ada_load_acquire(&waiter))
        sched_yield();

    CU_ASSERT_TRUE_FATAL(look_until(holder, SYS_read, &look));
    CU_ASSERT_TRUE(look.waits);
    CU_ASSERT_EQUAL(look.own_tid, holder);
    CU_ASSERT_EQUAL(look.argument, (uint64_t)pipe_fds[0]);
    CU_ASSERT_EQUAL(look.owner, 0);
    CU_ASSERT_TRUE_FATAL(look_until(waiter, SYS_futex, &look));
    CU_ASSERT_TRUE(look.waits);
    CU_ASSERT_FALSE(look.blocked);
    CU_ASSERT_EQUAL(look.argument, (uint64_t)(uintptr_t)&mutex);
    CU_ASSERT_EQUAL(look.owner, holder);

    CU_ASSERT_EQUAL(thread_look_all(getpid(), &looks), 0);
    for (size_t i = 0; i < looks.count; i++) {
        if (looks.items[i].tid == (uint32_t)gettid()) { /* who looks runs */
            CU_ASSERT_FALSE(looks.items[i].waits);
            CU_ASSERT_EQUAL(looks.items[i].call, THREAD_LOOK_NO_CALL);
        }
    }
    CU_ASSERT(looks.count >= 3);
    thread_looks_clear(&looks);
    CU_ASSERT_EQUAL(write(pipe_fds[1], "x", 1), 1);
    for (size_t i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
}

static void look__process_is_gone__then_no_threads(void)
{
    pid_t pid = fork();
    ThreadLooks looks;

    CU_ASSERT_FATAL(pid >= 0);
    if (pid == 0)
        _exit(0);
    CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
    CU_ASSERT_EQUAL(thread_look_all(pid, &looks), 0);
    CU_ASSERT_EQUAL(looks.count, 0);
    thread_looks_clear(&looks);
}

static const TestCase tests[] = {
    TEST(look__threads_that_wait__then_where_and_for_whom),
    TEST(look__process_is_gone__then_no_threads),
};
TEST_MAIN("thread_look", tests)
