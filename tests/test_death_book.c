/* SPDX-License-Identifier: MIT */
/* Ends of threads, as the drain and as the kernel know them, in whichever order they come. */
#include "test_support.h"

#include <string.h>

#include "user/collector/death_book.h"

static AdatKernelThread drained(uint32_t process, uint32_t thread, uint32_t tid)
{
    return (AdatKernelThread){.process = process,
                              .thread = thread,
                              .tid = tid,
                              .kind = ADAT_DEATH_UNKNOWN,
                              .freed_ns = thread * 100ull};
}

/* `status` as of wait(2). */
static KernelEvent told(uint32_t tid, int status)
{
    return (KernelEvent){
        .record = {.type = ADA_KERNEL_EXIT, .own_tid = tid, .start_ns = 5, .time_ns = 10, .exit_code = status},
        .thread = {.generation = 1, .last_cpu = 3, .run_ns = 7, .switches_voluntary = 2, .wakeups = 4},
    };
}

static void death_book__drained_then_told__then_complete(void)
{
    AdatKernelThread entry = drained(1, 2, 300);
    KernelEvent exit = told(300, 5 << 8);
    DeathBook book = {0};

    death_book_wait(&book, &entry);
    CU_ASSERT_EQUAL(book.count, 0);
    CU_ASSERT_TRUE(death_book_tell(&book, 1, &exit));
    CU_ASSERT_EQUAL_FATAL(book.count, 1);
    CU_ASSERT_EQUAL(book.entries[0].thread, 2);
    CU_ASSERT_EQUAL(book.entries[0].kind, ADAT_DEATH_EXIT);
    CU_ASSERT_EQUAL(book.entries[0].code, 5);
    CU_ASSERT_EQUAL(book.entries[0].started_ns, 5);
    CU_ASSERT_EQUAL(book.entries[0].ended_ns, 10);
    CU_ASSERT_EQUAL(book.entries[0].flags, ADAT_KERNEL_CONTEXT);
    CU_ASSERT_EQUAL(book.entries[0].run_ns, 7);
    CU_ASSERT_EQUAL(book.entries[0].switches_voluntary, 2);
    CU_ASSERT_FALSE(death_book_tell(&book, 1, &exit));
    CU_ASSERT_EQUAL(book.waiting_count, 0);
    death_book_fini(&book);
}

static void death_book__ended_by_signal_without_context__then_so_recorded(void)
{
    AdatKernelThread entry = drained(1, 2, 300);
    KernelEvent exit = told(300, 9);

    exit.thread = (AdaKernelThread){0};
    death_book_complete(&entry, &exit);
    CU_ASSERT_EQUAL(entry.kind, ADAT_DEATH_SIGNAL);
    CU_ASSERT_EQUAL(entry.code, 9);
    CU_ASSERT_EQUAL(entry.flags, 0);
    CU_ASSERT_EQUAL(entry.run_ns, 0);
    exit = told(300, 11 | 0x80); /* with a core dump */
    death_book_complete(&entry, &exit);
    CU_ASSERT_EQUAL(entry.code, 11);
}

static void death_book__same_id__then_the_earlier_is_meant_and_of_that_process_only(void)
{
    const AdatKernelThread entries[] = {drained(1, 1, 300), drained(2, 2, 300), drained(1, 3, 300),
                                        drained(1, 4, 301)};
    KernelEvent exit = told(300, 0);
    DeathBook book = {0};

    for (size_t i = 0; i < 4; i++)
        death_book_wait(&book, &entries[i]);
    CU_ASSERT_FALSE(death_book_tell(&book, 3, &exit));
    CU_ASSERT_TRUE(death_book_tell(&book, 1, &exit));
    CU_ASSERT_TRUE(death_book_tell(&book, 1, &exit));
    CU_ASSERT_FALSE(death_book_tell(&book, 1, &exit));
    CU_ASSERT_EQUAL_FATAL(book.count, 2);
    CU_ASSERT_EQUAL(book.entries[0].thread, 1);
    CU_ASSERT_EQUAL(book.entries[1].thread, 3);
    CU_ASSERT_EQUAL(book.waiting_count, 2);
    death_book_fini(&book);
}

static void death_book__nobody_tells__then_given_up_with_an_unknown_end(void)
{
    DeathBook book = {0};

    for (uint32_t i = 1; i <= 6; i++) {
        AdatKernelThread entry = drained(i % 2 + 1, i, 300 + i);

        death_book_wait(&book, &entry);
    }
    death_book_give_up(&book, 0, 300); /* threads 1 and 2 */
    CU_ASSERT_EQUAL(book.count, 2);
    death_book_give_up(&book, 1, UINT64_MAX); /* 4 and 6 */
    CU_ASSERT_EQUAL_FATAL(book.count, 4);
    CU_ASSERT_EQUAL(book.entries[3].thread, 6);
    CU_ASSERT_EQUAL(book.entries[3].kind, ADAT_DEATH_UNKNOWN);
    CU_ASSERT_EQUAL_FATAL(book.waiting_count, 2);
    CU_ASSERT_EQUAL(book.waiting[0].thread, 3);
    death_book_fini(&book);
}

static void death_book__entries_written__then_forgotten_but_for_the_summary(void)
{
    DeathBook book = {0};

    for (uint32_t i = DEATHS_KEPT + 10; i > 0; i--) {
        AdatKernelThread entry = drained(1, i, i);

        death_book_add(&book, &entry);
    }
    death_book_entries_written(&book, DEATHS_KEPT + 9);
    CU_ASSERT_EQUAL_FATAL(book.count, 1);
    CU_ASSERT_EQUAL(book.entries[0].thread, 1);
    death_book_sort(&book);
    CU_ASSERT_EQUAL(book.kept_count, DEATHS_KEPT);
    CU_ASSERT_PTR_NOT_NULL_FATAL(death_book_find(&book, 11));
    CU_ASSERT_EQUAL(death_book_find(&book, 11)->tid, 11);
    CU_ASSERT_PTR_NULL(death_book_find(&book, 10)); /* one of the last */
    death_book_fini(&book);
    CU_ASSERT_PTR_NULL(death_book_find(&book, 11));
}

static const TestCase tests[] = {
    TEST(death_book__drained_then_told__then_complete),
    TEST(death_book__ended_by_signal_without_context__then_so_recorded),
    TEST(death_book__same_id__then_the_earlier_is_meant_and_of_that_process_only),
    TEST(death_book__nobody_tells__then_given_up_with_an_unknown_end),
    TEST(death_book__entries_written__then_forgotten_but_for_the_summary),
};
TEST_MAIN("death_book", tests)
