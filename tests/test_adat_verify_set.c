/* SPDX-License-Identifier: MIT */
/* What verify finds between the files of a directory. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "set_fixture.h"
#include "test_support.h"
#include "user/reader/adat_verify_set.h"

static long allocations = -1; /* array growths that still succeed; -1 = all */

/* Takes the place of libc's for the code under test. */
void *reallocarray(void *memory, size_t count, size_t size)
{
    if (allocations == 0) {
        errno = ENOMEM;
        return NULL;
    }
    if (allocations > 0)
        allocations--;
    return realloc(memory, count * size);
}

static AdatSetVerdict verify(void)
{
    AdatSetVerdict verdict = {0};

    CU_ASSERT_EQUAL_FATAL(adat_verify_set(set_directory, &verdict), 0);
    for (size_t i = 0; i < verdict.file_count; i++)
        for (size_t k = 0; k < verdict.files[i].verdict.kept; k++)
            printf("  %s: %s\n", verdict.files[i].name, verdict.files[i].verdict.problems[k].text);
    return verdict;
}

/* Exactly one problem between files, with this text. */
static void expect_between(AdatSetVerdict *verdict, const char *text)
{
    CU_ASSERT_EQUAL(verdict->problem_count, text ? 1 : 0);
    CU_ASSERT_EQUAL(verdict->kept, text ? 1 : 0);
    if (text && verdict->kept > 0) {
        CU_ASSERT_PTR_NOT_NULL(strstr(verdict->problems[0].text, text));
        if (!strstr(verdict->problems[0].text, text))
            printf("  expected '%s', got '%s'\n", text, verdict->problems[0].text);
    }
    adat_set_verdict_fini(verdict);
}

static void verify__files_go_on_from_one_to_the_next__then_nothing_to_report(void)
{
    AdatSetVerdict verdict;

    begin_directory();
    make_three();
    verdict = verify();
    CU_ASSERT_EQUAL(verdict.file_count, 3);
    CU_ASSERT_EQUAL(verdict.recordings, 1);
    CU_ASSERT_EQUAL(verdict.duplicates, 0);
    CU_ASSERT_EQUAL(verdict.files[2].verdict.events, 37);
    expect_between(&verdict, NULL);
    end_directory();
}

/* Makes the three files with other parts of thread 1 in the second one; parts of others as they are. */
static AdatSetVerdict verify_second(ThreadPart part)
{
    FileShape second = three[1];

    second.parts[0] = part;
    begin_directory();
    make_three();
    make_file("trace-000002.adat", &second);
    return verify();
}

static void verify__hole_between_files__then_the_ledger_must_explain_it(void)
{
    /* 25 to 29 were overwritten, and the ledger says so; then it says too few. */
    AdatSetVerdict verdict = verify_second((ThreadPart){1, 10, 15, .lost = 5});

    CU_ASSERT_EQUAL(verdict.unexplained, 0);
    expect_between(&verdict, NULL);
    end_directory();
    /* A hole in the file uses up what the ledger explains. */
    verdict = verify_second((ThreadPart){1, 10, 15, .skipped = 3, .lost = 5});
    CU_ASSERT_EQUAL(verdict.unexplained, 0);
    expect_between(&verdict, NULL);
    end_directory();
    verdict = verify_second((ThreadPart){1, 10, 15, .skipped = 3, .lost = 4});
    CU_ASSERT_EQUAL(verdict.unexplained, 1);
    expect_between(&verdict, "thread 1, index lane: 1 records before 30 are missing");
    end_directory();
    verdict = verify_second((ThreadPart){1, 10, 15, .lost = 0});
    CU_ASSERT_EQUAL(verdict.unexplained, 5);
    CU_ASSERT_EQUAL(verdict.duplicates, 0);
    expect_between(&verdict, "5 records before 30 are missing, and 'trace-000002.adat' does not explain it");
    end_directory();
}

static void verify__records_in_two_files__then_reported(void)
{
    AdatSetVerdict verdict = verify_second((ThreadPart){1, 8, 22, .lost = 0});

    CU_ASSERT_EQUAL(verdict.duplicates, 2);
    expect_between(&verdict, "records from 8 on again, of which 'trace-000001.adat' has those before 10");
    end_directory();
}

static void verify__file_missing__then_said_and_what_it_had(void)
{
    AdatSetVerdict verdict;

    begin_directory();
    make_three();
    unlink(path_of("trace-000002.adat"));
    verdict = verify();
    CU_ASSERT_EQUAL(verdict.missing_files, 1);
    CU_ASSERT_EQUAL(verdict.in_missing, 20);
    CU_ASSERT_EQUAL(verdict.unexplained, 0);
    expect_between(&verdict, "file 2 of the recording, which comes before it, is missing");
    end_directory();
}

static void verify__oldest_removed__then_nothing_to_report(void)
{
    AdatSetVerdict verdict;

    begin_directory();
    make_three();
    unlink(path_of("trace-000001.adat"));
    unlink(path_of("trace-000002.adat"));
    verdict = verify();
    CU_ASSERT_EQUAL(verdict.removed_files, 2);
    expect_between(&verdict, NULL);
    end_directory();
}

static void verify__file_that_cannot_be_read__then_a_problem_and_others_are_checked(void)
{
    AdatSetVerdict verdict;

    begin_directory();
    make_three();
    write_file("trace-000002.adat", "#!/bin/sh\n", 10);
    verdict = verify();
    /* It is one, and that its place is empty another one. */
    CU_ASSERT_EQUAL(verdict.problem_count, 2);
    CU_ASSERT_EQUAL(verdict.missing_files, 1);
    CU_ASSERT_EQUAL(verdict.unexplained, 0);
    CU_ASSERT_EQUAL(verdict.files[2].error, -EINVAL);
    CU_ASSERT_EQUAL(verdict.files[1].verdict.events, 37);
    adat_set_verdict_fini(&verdict);
    end_directory();
}

static void verify__file_not_completed_amid_others__then_nobody_knows_what_is_lost(void)
{
    FileShape second = three[1];
    AdatSetVerdict verdict;

    begin_directory();
    make_three();
    second.unclosed = true;
    second.parts[0].count = 12;
    unlink(path_of("trace-000002.adat"));
    make_file("trace-000002.adat.partial", &second);
    verdict = verify();
    CU_ASSERT_EQUAL(verdict.unexplained, 0);
    expect_between(&verdict, NULL);
    end_directory();
}

/* The next recorder takes the thread over under a number of its own. */
static AdatSetVerdict verify_taken_over(uint64_t first)
{
    /* As in tests of one recording: thread, tid and so on follow from the number, so it is the same one. */
    const FileShape next = {SECOND_ID, 1, .boot_ns = SAMPLE_REALTIME, .begins_ns = NS_PER_S,
                            .parts = {{.thread = 1, .first = first, .count = 10}}};

    begin_directory();
    make_three();
    make_file("next-000001.adat", &next);
    return verify();
}

static void verify__thread_taken_over_by_the_next_recorder__then_no_record_twice(void)
{
    AdatSetVerdict verdict = verify_taken_over(37);

    CU_ASSERT_EQUAL(verdict.recordings, 2);
    CU_ASSERT_EQUAL(verdict.duplicates, 0);
    expect_between(&verdict, NULL);
    end_directory();
    verdict = verify_taken_over(34);
    CU_ASSERT_EQUAL(verdict.duplicates, 3);
    expect_between(&verdict, "3 records from 34 on are in 'trace-000003.adat' as well");
    end_directory();
}

static void verify__no_memory__then_enomem_and_nothing_leaks(void)
{
    AdatSetVerdict verdict = {0};
    int error = -ENOMEM;
    long tries = 0;

    begin_directory();
    make_three();
    for (; error == -ENOMEM && tries < 1000; tries++) {
        allocations = tries;
        error = adat_verify_set(set_directory, &verdict);
    }
    allocations = -1;
    CU_ASSERT_EQUAL_FATAL(error, 0);
    CU_ASSERT(tries > 5);
    expect_between(&verdict, NULL);
    end_directory();
}

static const TestCase tests[] = {
    TEST(verify__files_go_on_from_one_to_the_next__then_nothing_to_report),
    TEST(verify__hole_between_files__then_the_ledger_must_explain_it),
    TEST(verify__records_in_two_files__then_reported),
    TEST(verify__file_missing__then_said_and_what_it_had),
    TEST(verify__oldest_removed__then_nothing_to_report),
    TEST(verify__file_that_cannot_be_read__then_a_problem_and_others_are_checked),
    TEST(verify__file_not_completed_amid_others__then_nobody_knows_what_is_lost),
    TEST(verify__thread_taken_over_by_the_next_recorder__then_no_record_twice),
    TEST(verify__no_memory__then_enomem_and_nothing_leaks),
};
TEST_MAIN("adat_verify_set", tests)
