/* SPDX-License-Identifier: MIT */
/* The directory of a recording: names, what fails, what others put in the way, a directory that is removed. */
#define _GNU_SOURCE
#include "test_support.h"
#include "trace_directory_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/collector/trace_file.h"

static DirectoryFixture fixture;

static bool has(const char *name)
{
    return directory_fixture_has(&fixture, name);
}

static const char *at(const char *name)
{
    return directory_fixture_at(&fixture, name);
}

/* ---- names ------------------------------------------------------------------------------------ */

static void trace_file_name__formatted__then_parsed_as_the_same(void)
{
    static const uint32_t numbers[] = {1, 999999, 1000000, UINT32_MAX};
    enum trace_file_kind kind;
    uint32_t number;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        for (enum trace_file_kind expected = 0; expected < TRACE_FILE_KINDS; expected++) {
            char name[TRACE_FILE_NAME_SIZE];

            trace_file_name_format(name, numbers[i], expected);
            CU_ASSERT_TRUE_FATAL(trace_file_name_parse(name, &number, &kind));
            CU_ASSERT_EQUAL(number, numbers[i]);
            CU_ASSERT_EQUAL(kind, expected);
        }
    }
}

static void trace_file_name__not_as_we_write_it__then_not_ours(void)
{
    static const char *const names[] = {
        "",
        "trace-",
        "trace-000000.adat",
        "trace-00001.adat",
        "trace-0000001.adat",
        "trace-4294967296.adat",
        "trace-18446744073709551617.adat",
        "trace-99999999999999999999999999999999.adat",
        "trace-000001.adatx",
        "trace-000001.adat.partial.gz",
        "trace-000001.adat.gz.partial.old",
        "trace-+00001.adat",
        "trace- 00001.adat",
        "Trace-000001.adat",
        "x-trace-000001.adat",
        "trace-000001",
        "000001.adat",
    };
    enum trace_file_kind kind;
    uint32_t number;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        CU_ASSERT_FALSE(trace_file_name_parse(names[i], &number, &kind));
}

/* ---- files ------------------------------------------------------------------------------------ */

static void trace_directory__complete_or_not__then_so_named(void)
{
    struct stat status;
    int first, second;

    directory_fixture_init(&fixture);
    directory_fixture_create(&fixture);
    CU_ASSERT_EQUAL(stat(fixture.path, &status), 0);
    CU_ASSERT_EQUAL(status.st_mode & 07777 & ~0750u, 0);
    first = directory_fixture_open(&fixture, 10);
    CU_ASSERT(has("trace-000001.adat.partial"));
    CU_ASSERT_EQUAL(fstat(first, &status), 0);
    CU_ASSERT_EQUAL(status.st_mode & 07777 & ~0640u, 0);
    CU_ASSERT(fcntl(first, F_GETFD) & FD_CLOEXEC);
    second = directory_fixture_open(&fixture, 20); /* between two files both are open */
    CU_ASSERT_EQUAL(trace_directory_open_next(fixture.directory), -EBUSY);
    trace_directory_finished(fixture.directory, first, true);
    directory_fixture_file(&fixture, 30, false);
    trace_directory_finished(fixture.directory, second, true);
    directory_fixture_file(&fixture, 0, false);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(directory_fixture_size(&fixture, "trace-000001.adat"), 10);
    CU_ASSERT_EQUAL(directory_fixture_size(&fixture, "trace-000002.adat"), 20);
    CU_ASSERT_EQUAL(directory_fixture_size(&fixture, "trace-000003.adat.partial"), 30);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 3);
    CU_ASSERT_EQUAL(fixture.complete.count, 2);
    CU_ASSERT(told_is(&fixture.complete, 0, "trace-000001.adat"));
    CU_ASSERT(told_is(&fixture.complete, 1, "trace-000002.adat"));
    CU_ASSERT_EQUAL(fixture.errors.count, 0);
    directory_fixture_fini(&fixture);
}

static void trace_directory__without_calls__then_it_works_the_same(void)
{
    directory_fixture_init(&fixture);
    fixture.config.calls = (TraceDirectoryCalls){0};
    directory_fixture_create(&fixture);
    directory_fixture_file(&fixture, 10, true);
    trace_directory_finished(fixture.directory, directory_fixture_open(&fixture, 10), true);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT(has("trace-000001.adat"));
    CU_ASSERT(has("trace-000002.adat"));
    directory_fixture_fini(&fixture);
}

/* Somebody removes files meanwhile, or puts others in their place. */
static void trace_directory__others_meddle__then_an_error_and_nothing_of_theirs_is_lost(void)
{
    int fd;

    directory_fixture_init(&fixture);
    directory_fixture_create(&fixture);
    fd = directory_fixture_open(&fixture, 10);
    CU_ASSERT_EQUAL(unlink(at("trace-000001.adat.partial")), 0);
    trace_directory_finished(fixture.directory, fd, true);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), -ENOENT);
    CU_ASSERT(told_is(&fixture.errors, 0, "complete trace-000001.adat.partial ENOENT"));
    directory_fixture_fini(&fixture);

    directory_fixture_init(&fixture);
    directory_fixture_create(&fixture);
    fd = directory_fixture_open(&fixture, 10);
    directory_fixture_put(&fixture, "trace-000001.adat", 5);
    trace_directory_finished(fixture.directory, fd, true);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), -EEXIST);
    CU_ASSERT_EQUAL(directory_fixture_size(&fixture, "trace-000001.adat"), 5);
    CU_ASSERT_EQUAL(directory_fixture_size(&fixture, "trace-000001.adat.partial"), 10);
    CU_ASSERT_EQUAL(fixture.complete.count, 0);
    directory_fixture_fini(&fixture);

    directory_fixture_init(&fixture);
    directory_fixture_create(&fixture);
    fd = directory_fixture_open(&fixture, 10);
    CU_ASSERT_EQUAL(unlink(at("trace-000001.adat.partial")), 0);
    CU_ASSERT_EQUAL(symlink("/etc/passwd", at("trace-000001.adat.partial")), 0);
    trace_directory_finished(fixture.directory, fd, true);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), -ENOENT);
    CU_ASSERT(has("trace-000001.adat.partial"));
    CU_ASSERT_FALSE(has("trace-000001.adat")); /* a link does not become a file of ours */
    directory_fixture_fini(&fixture);
}

static void trace_directory__next_names_are_planted__then_passed_over(void)
{
    struct stat status;
    char outside[128];
    int fd;

    directory_fixture_init(&fixture);
    (void)snprintf(outside, sizeof(outside), "%s/outside", fixture.base);
    directory_fixture_create(&fixture);
    CU_ASSERT_EQUAL(close(open(outside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
    CU_ASSERT_EQUAL(symlink(outside, at("trace-000001.adat.partial")), 0);
    CU_ASSERT_EQUAL(mkfifo(at("trace-000002.adat.partial"), 0600), 0);
    CU_ASSERT_EQUAL(link(outside, at("trace-000003.adat.partial")), 0);
    CU_ASSERT_EQUAL(mkdir(at("trace-000004.adat.partial"), 0700), 0);
    CU_ASSERT_EQUAL(symlink("/nowhere/file", at("trace-000005.adat.partial")), 0);
    fd = directory_fixture_open(&fixture, 100);
    CU_ASSERT(has("trace-000006.adat.partial"));
    trace_directory_finished(fixture.directory, fd, true);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT(told_is(&fixture.complete, 0, "trace-000006.adat"));
    CU_ASSERT_EQUAL(stat(outside, &status), 0);
    CU_ASSERT_EQUAL(status.st_size, 0);
    directory_fixture_fini(&fixture);
}

static void trace_directory__many_names_are_planted__then_it_comes_behind_them_in_a_few_calls(void)
{
    uint32_t refused = 0;
    int fd;

    directory_fixture_init(&fixture);
    directory_fixture_create(&fixture);
    for (uint32_t i = 1; i <= 40; i++) {
        char name[TRACE_FILE_NAME_SIZE];

        trace_file_name_format(name, i, TRACE_FILE_PARTIAL);
        CU_ASSERT_EQUAL(symlink("/dev/null", at(name)), 0);
    }
    while ((fd = trace_directory_open_next(fixture.directory)) == -EEXIST)
        refused++;
    CU_ASSERT_EQUAL(refused, 2);
    CU_ASSERT(fd >= 0);
    CU_ASSERT(has("trace-000041.adat.partial"));
    trace_directory_finished(fixture.directory, fd, false);
    directory_fixture_fini(&fixture);
}

/* ---- the directory ---------------------------------------------------------------------------- */

static void trace_directory__removed__then_no_file_can_be_opened(void)
{
    directory_fixture_init(&fixture);
    directory_fixture_create(&fixture);
    CU_ASSERT_EQUAL(rmdir(fixture.path), 0);
    CU_ASSERT_EQUAL(trace_directory_open_next(fixture.directory), -ENOENT);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    directory_fixture_fini(&fixture);
}

static void trace_directory__replaced__then_no_file_can_be_opened(void)
{
    char moved[128];

    directory_fixture_init(&fixture);
    (void)snprintf(moved, sizeof(moved), "%s/moved", fixture.base);
    directory_fixture_create(&fixture);
    CU_ASSERT_EQUAL(rename(fixture.path, moved), 0);
    CU_ASSERT_EQUAL(trace_directory_open_next(fixture.directory), -ENOENT);
    CU_ASSERT_EQUAL(mkdir(fixture.path, 0700), 0);
    CU_ASSERT_EQUAL(trace_directory_open_next(fixture.directory), -ENOENT);
    CU_ASSERT_EQUAL(rmdir(fixture.path), 0);
    CU_ASSERT_EQUAL(symlink(moved, fixture.path), 0); /* not the directory itself, either */
    CU_ASSERT_EQUAL(trace_directory_open_next(fixture.directory), -ENOENT);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    directory_fixture_fini(&fixture);
}

static void trace_directory__adopted_and_removed__then_made_again_and_told_once(void)
{
    char expected[TOLD_SIZE];
    int old;

    directory_fixture_init(&fixture);
    fixture.config.adopt = true;
    directory_fixture_create(&fixture);
    directory_fixture_file(&fixture, 10, true);
    directory_fixture_await_complete(&fixture, 1);
    old = directory_fixture_open(&fixture, 10);
    CU_ASSERT_EQUAL(unlink(at("trace-000001.adat")), 0);
    CU_ASSERT_EQUAL(unlink(at("trace-000002.adat.partial")), 0);
    CU_ASSERT_EQUAL(rmdir(fixture.path), 0);

    directory_fixture_file(&fixture, 30, true); /* the next one begins before the old one is finished */
    trace_directory_finished(fixture.directory, old, true);
    directory_fixture_file(&fixture, 40, true);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), -ENOENT);
    (void)snprintf(expected, sizeof(expected), "find %s ENOENT", fixture.path);
    CU_ASSERT_EQUAL(fixture.errors.count, 2);
    CU_ASSERT(told_is(&fixture.errors, 0, expected));
    CU_ASSERT(told_is(&fixture.errors, 1, "complete trace-000002.adat.partial ENOENT"));
    CU_ASSERT_EQUAL(fixture.complete.count, 3);
    CU_ASSERT(told_is(&fixture.complete, 1, "trace-000003.adat"));
    CU_ASSERT(told_is(&fixture.complete, 2, "trace-000004.adat"));
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 2);
    directory_fixture_fini(&fixture);
}

/* What is in the other one counts: numbers go on behind it, and limits are about it. */
static void trace_directory__adopted_and_replaced__then_goes_on_in_what_is_there(void)
{
    char moved[128], file[160];
    struct stat status;
    int old;

    directory_fixture_init(&fixture);
    fixture.config.adopt = true;
    fixture.config.keep_bytes = 100;
    fixture.config.compress = true; /* nothing is to compress in the old one any more */
    directory_fixture_create(&fixture);
    (void)snprintf(moved, sizeof(moved), "%s/moved", fixture.base);
    old = directory_fixture_open(&fixture, 10);
    CU_ASSERT_EQUAL(rename(fixture.path, moved), 0);
    CU_ASSERT_EQUAL(mkdir(fixture.path, 0700), 0);
    directory_fixture_put(&fixture, "trace-000007.adat", 80);
    directory_fixture_put(&fixture, "trace-000008.adat.gz", 10);
    directory_fixture_put(&fixture, "trace-000009.adat.partial", 10); /* not ours: nobody knows what it is */
    directory_fixture_file(&fixture, 90, true);
    trace_directory_finished(fixture.directory, old, true);
    directory_fixture_await_complete(&fixture, 1);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), -ENOENT);
    CU_ASSERT_EQUAL(fixture.errors.count, 1);
    CU_ASSERT_EQUAL(fixture.complete.count, 1);
    CU_ASSERT(told_is(&fixture.complete, 0, "trace-000010.adat.gz"));
    CU_ASSERT_FALSE(has("trace-000007.adat"));
    CU_ASSERT(has("trace-000009.adat.partial"));
    CU_ASSERT(has("trace-000010.adat.gz"));
    (void)snprintf(file, sizeof(file), "%s/trace-000001.adat", moved);
    CU_ASSERT_EQUAL(stat(file, &status), 0); /* complete where it is */
    CU_ASSERT_EQUAL(status.st_size, 10);
    directory_fixture_fini(&fixture);
}

static void trace_directory__removed_again_and_again__then_each_is_left_alone(void)
{
    directory_fixture_init(&fixture);
    fixture.config.adopt = true;
    fixture.others_remove = true;
    directory_fixture_create(&fixture);
    for (uint32_t i = 1; i <= 50; i++) {
        char moved[128];

        directory_fixture_file(&fixture, 100, true);
        (void)snprintf(moved, sizeof(moved), "%s/moved-%u", fixture.base, i);
        CU_ASSERT_EQUAL(rename(fixture.path, moved), 0);
    }
    directory_fixture_file(&fixture, 100, true);
    (void)directory_fixture_destroy(&fixture);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 1);
    CU_ASSERT(has("trace-000051.adat"));
    directory_fixture_fini(&fixture);
}

static void trace_directory__removed_and_cannot_be_made__then_tried_again_next_time(void)
{
    char moved[128];

    directory_fixture_init(&fixture);
    fixture.config.adopt = true;
    directory_fixture_create(&fixture);
    (void)snprintf(moved, sizeof(moved), "%s-moved", fixture.base);
    CU_ASSERT_EQUAL(rename(fixture.base, moved), 0);
    CU_ASSERT_EQUAL(trace_directory_open_next(fixture.directory), -ENOENT);
    CU_ASSERT_EQUAL(close(open(fixture.base, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
    CU_ASSERT_EQUAL(trace_directory_open_next(fixture.directory), -ENOTDIR);
    CU_ASSERT_EQUAL(unlink(fixture.base), 0);
    CU_ASSERT_EQUAL(rename(moved, fixture.base), 0);
    directory_fixture_file(&fixture, 10, true);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT(has("trace-000001.adat"));
    directory_fixture_fini(&fixture);
}

static void trace_directory__exists_or_cannot_be_made__then_refused(void)
{
    TraceDirectory *directory;
    char deep[128];

    directory_fixture_init(&fixture);
    fixture.config.path = fixture.base;
    CU_ASSERT_EQUAL(trace_directory_create(&fixture.config, &directory), -EEXIST);
    fixture.config.path = deep;
    (void)snprintf(deep, sizeof(deep), "%s/none", fixture.path);
    CU_ASSERT_EQUAL(trace_directory_create(&fixture.config, &directory), -ENOENT);
    CU_ASSERT_EQUAL(trace_directory_destroy(NULL), 0);
    directory_fixture_fini(&fixture);
}

static void trace_directory__adopted_but_not_a_directory_of_ours__then_refused(void)
{
    TraceDirectory *directory;
    char link_path[128];

    directory_fixture_init(&fixture);
    fixture.config.adopt = true;
    CU_ASSERT_EQUAL(mkdir(fixture.path, 0700), 0);
    (void)snprintf(link_path, sizeof(link_path), "%s/link", fixture.base);
    CU_ASSERT_EQUAL(symlink(fixture.path, link_path), 0);
    fixture.config.path = link_path;
    CU_ASSERT_EQUAL(trace_directory_create(&fixture.config, &directory), -ENOTDIR);
    fixture.config.path = fixture.path;
    CU_ASSERT_EQUAL(chmod(fixture.path, 0777), 0);
    CU_ASSERT_EQUAL(trace_directory_create(&fixture.config, &directory), -EPERM);
    CU_ASSERT_EQUAL(chmod(fixture.path, 0700), 0);
    if (geteuid() == 0) {
        CU_ASSERT_EQUAL(chown(fixture.path, 65534, 65534), 0);
        CU_ASSERT_EQUAL(trace_directory_create(&fixture.config, &directory), -EPERM);
    }
    directory_fixture_fini(&fixture);
}

static void trace_directory__in_use__then_a_second_one_is_refused(void)
{
    TraceDirectory *second;

    directory_fixture_init(&fixture);
    directory_fixture_create(&fixture);
    fixture.config.adopt = true;
    CU_ASSERT_EQUAL(trace_directory_create(&fixture.config, &second), -EBUSY);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    directory_fixture_create(&fixture);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    directory_fixture_fini(&fixture);
}

static void trace_directory__dropped__then_nothing_is_left(void)
{
    int fd;

    directory_fixture_init(&fixture);
    directory_fixture_create(&fixture);
    directory_fixture_file(&fixture, 10, true);
    fd = directory_fixture_open(&fixture, 10);
    trace_directory_drop(fixture.directory);
    fixture.directory = NULL;
    close(fd);
    CU_ASSERT_NOT_EQUAL(access(fixture.path, F_OK), 0);
    directory_fixture_fini(&fixture);
}

static void trace_directory__adopted_and_dropped__then_only_what_was_opened_goes(void)
{
    directory_fixture_init(&fixture);
    CU_ASSERT_EQUAL(mkdir(fixture.path, 0700), 0);
    directory_fixture_put(&fixture, "trace-000003.adat", 100);
    fixture.config.adopt = true;
    directory_fixture_create(&fixture);
    directory_fixture_file(&fixture, 10, true);
    trace_directory_drop(fixture.directory);
    fixture.directory = NULL;
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 1);
    CU_ASSERT(has("trace-000003.adat"));
    directory_fixture_fini(&fixture);
}

static const TestCase tests[] = {
    TEST(trace_file_name__formatted__then_parsed_as_the_same),
    TEST(trace_file_name__not_as_we_write_it__then_not_ours),
    TEST(trace_directory__complete_or_not__then_so_named),
    TEST(trace_directory__without_calls__then_it_works_the_same),
    TEST(trace_directory__others_meddle__then_an_error_and_nothing_of_theirs_is_lost),
    TEST(trace_directory__next_names_are_planted__then_passed_over),
    TEST(trace_directory__many_names_are_planted__then_it_comes_behind_them_in_a_few_calls),
    TEST(trace_directory__removed__then_no_file_can_be_opened),
    TEST(trace_directory__replaced__then_no_file_can_be_opened),
    TEST(trace_directory__adopted_and_removed__then_made_again_and_told_once),
    TEST(trace_directory__adopted_and_replaced__then_goes_on_in_what_is_there),
    TEST(trace_directory__removed_again_and_again__then_each_is_left_alone),
    TEST(trace_directory__removed_and_cannot_be_made__then_tried_again_next_time),
    TEST(trace_directory__exists_or_cannot_be_made__then_refused),
    TEST(trace_directory__adopted_but_not_a_directory_of_ours__then_refused),
    TEST(trace_directory__in_use__then_a_second_one_is_refused),
    TEST(trace_directory__dropped__then_nothing_is_left),
    TEST(trace_directory__adopted_and_dropped__then_only_what_was_opened_goes),
};
TEST_MAIN("trace_directory", tests)
