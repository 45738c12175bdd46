/* SPDX-License-Identifier: MIT */
/* The directory of a recording: names, what is kept, what fails. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/collector/trace_directory.h"

static char base[64];
static char path[96];

static void make_base(void)
{
    (void)snprintf(base, sizeof(base), "/tmp/adatrace-test-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(base));
    (void)snprintf(path, sizeof(path), "%s/trace", base);
}

static bool has(const char *name)
{
    char file[PATH_MAX];

    (void)snprintf(file, sizeof(file), "%s/%s", path, name);
    return access(file, F_OK) == 0;
}

static void remove_file(const char *name)
{
    char file[PATH_MAX];

    (void)snprintf(file, sizeof(file), "%s/%s", path, name);
    (void)unlink(file);
}

static void remove_all(uint32_t files)
{
    for (uint32_t i = 1; i <= files; i++) {
        char name[64];

        (void)snprintf(name, sizeof(name), "trace-%06u.adat", i);
        remove_file(name);
        (void)snprintf(name, sizeof(name), "trace-%06u.adat.partial", i);
        remove_file(name);
    }
    (void)rmdir(path);
    CU_ASSERT_EQUAL(rmdir(base), 0);
}

static int open_with(TraceDirectory *directory, size_t bytes)
{
    int fd = trace_directory_open_next(directory);

    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(ftruncate(fd, (off_t)bytes), 0);
    return fd;
}

static void trace_directory__complete_or_not__then_so_named(void)
{
    TraceDirectory *directory;
    struct stat status;
    int first, second;

    make_base();
    CU_ASSERT_EQUAL_FATAL(trace_directory_create(path, 0, &directory), 0);
    CU_ASSERT_EQUAL(stat(path, &status), 0);
    CU_ASSERT_EQUAL(status.st_mode & 07777 & ~0750u, 0);
    first = open_with(directory, 10);
    CU_ASSERT(has("trace-000001.adat.partial"));
    second = open_with(directory, 20); /* between two files both are open */
    CU_ASSERT_EQUAL(trace_directory_open_next(directory), -EBUSY);
    trace_directory_finished(directory, first, true);
    trace_directory_finished(directory, open_with(directory, 30), false);
    trace_directory_finished(directory, second, true);
    trace_directory_finished(directory, open_with(directory, 0), false);
    CU_ASSERT_EQUAL(trace_directory_destroy(directory), 0);
    CU_ASSERT_FALSE(has("trace-000004.adat.partial"));
    CU_ASSERT(has("trace-000001.adat"));
    CU_ASSERT(has("trace-000002.adat"));
    CU_ASSERT(has("trace-000003.adat.partial"));
    CU_ASSERT_FALSE(has("trace-000001.adat.partial"));
    CU_ASSERT_FALSE(has("trace-000003.adat"));
    remove_all(4);
}

static void trace_directory__more_than_is_kept__then_the_oldest_go(void)
{
    TraceDirectory *directory;

    make_base();
    CU_ASSERT_EQUAL_FATAL(trace_directory_create(path, 250, &directory), 0);
    for (size_t i = 0; i < 5; i++)
        trace_directory_finished(directory, open_with(directory, 100), true);
    trace_directory_finished(directory, open_with(directory, 100), false); /* not counted */
    CU_ASSERT_EQUAL(trace_directory_destroy(directory), 0);
    CU_ASSERT_FALSE(has("trace-000003.adat"));
    CU_ASSERT(has("trace-000004.adat"));
    CU_ASSERT(has("trace-000005.adat"));
    CU_ASSERT(has("trace-000006.adat.partial"));
    remove_all(6);
}

static void trace_directory__one_file_larger_than_all_may_be__then_it_stays(void)
{
    TraceDirectory *directory;

    make_base();
    CU_ASSERT_EQUAL_FATAL(trace_directory_create(path, 50, &directory), 0);
    trace_directory_finished(directory, open_with(directory, 10), true);
    trace_directory_finished(directory, open_with(directory, 100), true);
    CU_ASSERT_EQUAL(trace_directory_destroy(directory), 0);
    CU_ASSERT_FALSE(has("trace-000001.adat"));
    CU_ASSERT(has("trace-000002.adat"));
    remove_all(2);
}

/* Somebody removes files meanwhile, or puts others in their place. */
static void trace_directory__others_meddle__then_an_error_and_nothing_of_theirs_is_lost(void)
{
    TraceDirectory *directory;
    char file[PATH_MAX];
    int fd;

    make_base();
    CU_ASSERT_EQUAL_FATAL(trace_directory_create(path, 0, &directory), 0);
    fd = open_with(directory, 10);
    remove_file("trace-000001.adat.partial");
    trace_directory_finished(directory, fd, true);
    CU_ASSERT_EQUAL(trace_directory_destroy(directory), -ENOENT);
    remove_all(1);

    make_base();
    CU_ASSERT_EQUAL_FATAL(trace_directory_create(path, 0, &directory), 0);
    fd = open_with(directory, 10);
    (void)snprintf(file, sizeof(file), "%s/trace-000001.adat", path);
    CU_ASSERT_EQUAL(close(open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)), 0);
    trace_directory_finished(directory, fd, true);
    CU_ASSERT_EQUAL(trace_directory_destroy(directory), -EEXIST);
    CU_ASSERT(has("trace-000001.adat.partial"));
    remove_all(1);
}

static void trace_directory__removed__then_no_file_can_be_opened(void)
{
    TraceDirectory *directory;

    make_base();
    CU_ASSERT_EQUAL_FATAL(trace_directory_create(path, 0, &directory), 0);
    CU_ASSERT_EQUAL(rmdir(path), 0);
    CU_ASSERT_EQUAL(trace_directory_open_next(directory), -ENOENT);
    CU_ASSERT_EQUAL(trace_directory_destroy(directory), 0);
    CU_ASSERT_EQUAL(rmdir(base), 0);
}

static void trace_directory__exists_or_cannot_be_made__then_refused(void)
{
    TraceDirectory *directory;
    char deep[128];

    make_base();
    CU_ASSERT_EQUAL(trace_directory_create(base, 0, &directory), -EEXIST);
    (void)snprintf(deep, sizeof(deep), "%s/none", path);
    CU_ASSERT_EQUAL(trace_directory_create(deep, 0, &directory), -ENOENT);
    CU_ASSERT_EQUAL(trace_directory_destroy(NULL), 0);
    CU_ASSERT_EQUAL(rmdir(base), 0);
}

static void trace_directory__dropped__then_nothing_is_left(void)
{
    TraceDirectory *directory;
    int fd;

    make_base();
    CU_ASSERT_EQUAL_FATAL(trace_directory_create(path, 0, &directory), 0);
    trace_directory_finished(directory, open_with(directory, 10), true);
    fd = open_with(directory, 10);
    trace_directory_drop(directory);
    close(fd);
    CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
    CU_ASSERT_EQUAL(rmdir(base), 0);
}

static const TestCase tests[] = {
    TEST(trace_directory__complete_or_not__then_so_named),
    TEST(trace_directory__more_than_is_kept__then_the_oldest_go),
    TEST(trace_directory__one_file_larger_than_all_may_be__then_it_stays),
    TEST(trace_directory__others_meddle__then_an_error_and_nothing_of_theirs_is_lost),
    TEST(trace_directory__removed__then_no_file_can_be_opened),
    TEST(trace_directory__exists_or_cannot_be_made__then_refused),
    TEST(trace_directory__dropped__then_nothing_is_left),
};
TEST_MAIN("trace_directory", tests)
