/* SPDX-License-Identifier: MIT */
/* Sleeping and waking, and the clock that bounds the sleep. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/resource.h>

#include "user/lane/atomic.h"
#include "user/lane/clock.h"
#include "user/lane/futex.h"

#define MINUTE 60000000000ull
#define MILLISECOND 1000000ull

static void futex_wait__word_differs__then_returns_at_once(void)
{
    uint32_t words[2] = {5, 6};
    uint32_t *const pointers[2] = {&words[0], &words[1]};
    const uint32_t values[2] = {5, 7};

    errno = 4711;
    CU_ASSERT_EQUAL(ada_futex_wait(&words[0], 4, MINUTE), -EAGAIN);
    CU_ASSERT_EQUAL(ada_futex_wait_any(pointers, values, 2, MINUTE), -EAGAIN);
    CU_ASSERT_EQUAL(errno, 4711);
}

static void futex_wait__nobody_wakes__then_times_out(void)
{
    uint32_t word = 5;
    uint32_t *const pointers[1] = {&word};
    const uint32_t values[1] = {5};
    uint64_t start = ada_clock_monotonic_ns();

    errno = 4711;
    CU_ASSERT_EQUAL(ada_futex_wait(&word, 5, MILLISECOND), -ETIMEDOUT);
    CU_ASSERT_TRUE(ada_clock_monotonic_ns() - start >= MILLISECOND);
    CU_ASSERT_EQUAL(ada_futex_wait_any(pointers, values, 1, MILLISECOND), -ETIMEDOUT);
    CU_ASSERT_TRUE(ada_clock_monotonic_ns() - start >= 2 * MILLISECOND);
    CU_ASSERT_EQUAL(errno, 4711);
}

typedef struct Sleeper {
    uint32_t words[2];
    uint32_t woken;
    bool any;
} Sleeper;

static void *sleep_until_word_changes(void *argument)
{
    Sleeper *sleeper = argument;
    uint32_t *const pointers[2] = {&sleeper->words[0], &sleeper->words[1]};
    const uint32_t values[2] = {0, 0};

    while (ada_load_acquire(&sleeper->words[1]) == 0)
        (void)(sleeper->any ? ada_futex_wait_any(pointers, values, 2, MINUTE)
                            : ada_futex_wait(&sleeper->words[1], 0, MINUTE));
    ada_store_release(&sleeper->woken, 1u);
    return NULL;
}

static void futex_wake__somebody_sleeps__then_wakes(void)
{
    for (uint32_t any = 0; any < 2; any++) {
        Sleeper sleeper = {.any = any != 0};
        pthread_t thread;

        CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, sleep_until_word_changes, &sleeper), 0);
        ada_store_release(&sleeper.words[1], 1u);
        errno = 4711;
        /* Whether it sleeps already or not: it looks at the word first. */
        while (!ada_load_acquire(&sleeper.woken))
            ada_futex_wake(&sleeper.words[1]);
        CU_ASSERT_EQUAL(errno, 4711);
        CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
    }
}

static void futex_wait_any__too_many_words__then_refused(void)
{
    static uint32_t word;
    uint32_t *pointers[ADA_FUTEX_WAIT_MAX + 1];
    uint32_t values[ADA_FUTEX_WAIT_MAX + 1] = {0};

    for (uint32_t i = 0; i <= ADA_FUTEX_WAIT_MAX; i++)
        pointers[i] = &word;
    CU_ASSERT_EQUAL(ada_futex_wait_any(pointers, values, ADA_FUTEX_WAIT_MAX + 1, MINUTE), -EINVAL);
    CU_ASSERT_EQUAL(ada_futex_wait_any(pointers, values, ADA_FUTEX_WAIT_MAX, MILLISECOND), -ETIMEDOUT);
}

typedef struct EndlessWait {
    uint32_t word;
    uint32_t done;
    int result;
    bool any;
} EndlessWait;

static void *wait_without_end(void *argument)
{
    EndlessWait *wait = argument;
    uint32_t *const pointers[1] = {&wait->word};
    const uint32_t values[1] = {0};

    wait->result = wait->any ? ada_futex_wait_any(pointers, values, 1, UINT64_MAX)
                             : ada_futex_wait(&wait->word, 0, UINT64_MAX);
    ada_store_release(&wait->done, 1u);
    return NULL;
}

/* What ends it is the waking, as the word stays as it is. */
static void futex_wait__time_without_end__then_waits_until_woken(void)
{
    for (uint32_t any = 0; any < 2; any++) {
        EndlessWait wait = {.result = 4711, .any = any != 0};
        pthread_t thread;

        CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, wait_without_end, &wait), 0);
        while (!ada_load_acquire(&wait.done))
            ada_futex_wake(&wait.word);
        CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
        CU_ASSERT_EQUAL(wait.result, 0);
    }
}

static void clock__both_kinds__then_never_run_backwards(void)
{
    static const uint32_t kinds[] = {ADA_CLOCK_MONOTONIC, ADA_CLOCK_TSC};
    uint32_t before = ada_clock_kind;

    for (uint32_t i = 0; i < 2; i++) {
        uint64_t last = 0;

        ada_clock_set(kinds[i]);
        for (uint32_t n = 0; n < 10000; n++) {
            uint64_t now = ada_clock_ticks();

            CU_ASSERT_TRUE_FATAL(now >= last);
            last = now;
        }
    }
    ada_clock_set(before);
    CU_ASSERT_TRUE(ada_clock_detect() == ADA_CLOCK_MONOTONIC || ada_clock_detect() == ADA_CLOCK_TSC);
}

static void clock_detect__kernel_cannot_be_asked__then_monotonic(void)
{
    struct rlimit old, none;
    uint32_t kind;

    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 0;
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &none), 0);
    kind = ada_clock_detect();
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
    CU_ASSERT_EQUAL(kind, ADA_CLOCK_MONOTONIC);
}

static const TestCase tests[] = {
    TEST(futex_wait__word_differs__then_returns_at_once),
    TEST(futex_wait__nobody_wakes__then_times_out),
    TEST(futex_wake__somebody_sleeps__then_wakes),
    TEST(futex_wait_any__too_many_words__then_refused),
    TEST(futex_wait__time_without_end__then_waits_until_woken),
    TEST(clock__both_kinds__then_never_run_backwards),
    TEST(clock_detect__kernel_cannot_be_asked__then_monotonic),
};
TEST_MAIN("futex", tests)
