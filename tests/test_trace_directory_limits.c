/* SPDX-License-Identifier: MIT */
/* How much a directory keeps: by size, by age, by what is free on the file system. */
#define _GNU_SOURCE
#include "test_support.h"
#include "trace_directory_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/collector/trace_file.h"

#define HOUR 3600ull
#define NS_PER_S 1000000000ull
#define LOOK_NS 1000000ull /* instead of a minute */

static DirectoryFixture fixture;

static bool has(const char *name)
{
    return directory_fixture_has(&fixture, name);
}

static void await_gone(const char *name)
{
    while (has(name))
        sched_yield();
}

/* A directory of complete files 1.. of `bytes` each, the oldest so many hours old, each an hour younger than the one before. */
static void put_files(uint32_t count, size_t bytes)
{
    CU_ASSERT_EQUAL(mkdir(fixture.path, 0700), 0);
    for (uint32_t i = 1; i <= count; i++) {
        char name[TRACE_FILE_NAME_SIZE];

        trace_file_name_format(name, i, TRACE_FILE_COMPLETE);
        directory_fixture_put(&fixture, name, bytes);
        directory_fixture_age(&fixture, name, (count + 1 - i) * HOUR);
    }
    fixture.config.adopt = true;
}

/* ---- size ------------------------------------------------------------------------------------- */

static void trace_limits__more_than_is_kept__then_the_oldest_go(void)
{
    directory_fixture_init(&fixture);
    fixture.config.keep_bytes = 250;
    directory_fixture_create(&fixture);
    for (size_t i = 0; i < 5; i++)
        directory_fixture_file(&fixture, 100, true);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 2);
    CU_ASSERT(has("trace-000004.adat"));
    CU_ASSERT(has("trace-000005.adat"));
    CU_ASSERT_EQUAL(fixture.complete.count, 5); /* all were told */
    directory_fixture_fini(&fixture);
}

static void trace_limits__one_file_larger_than_all_may_be__then_it_stays(void)
{
    directory_fixture_init(&fixture);
    fixture.config.keep_bytes = 50;
    directory_fixture_create(&fixture);
    directory_fixture_file(&fixture, 10, true);
    directory_fixture_file(&fixture, 100, true);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_FALSE(has("trace-000001.adat"));
    CU_ASSERT(has("trace-000002.adat"));
    directory_fixture_fini(&fixture);
}

/* What cannot be completed does not fill the disk, and does not push out the last complete one. */
static void trace_limits__given_up_files__then_they_count_and_go(void)
{
    directory_fixture_init(&fixture);
    fixture.config.keep_bytes = 250;
    directory_fixture_create(&fixture);
    directory_fixture_file(&fixture, 100, false);
    directory_fixture_file(&fixture, 100, true);
    for (size_t i = 0; i < 4; i++)
        directory_fixture_file(&fixture, 100, false);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 2);
    CU_ASSERT(has("trace-000002.adat"));
    CU_ASSERT(has("trace-000006.adat.partial"));
    directory_fixture_fini(&fixture);
}

static void trace_limits__only_given_up_files__then_the_youngest_stays(void)
{
    directory_fixture_init(&fixture);
    fixture.config.keep_bytes = 50;
    directory_fixture_create(&fixture);
    for (size_t i = 0; i < 3; i++)
        directory_fixture_file(&fixture, 100, false);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 1);
    CU_ASSERT(has("trace-000003.adat.partial"));
    directory_fixture_fini(&fixture);
}

static void trace_limits__adopted_files__then_they_count_and_the_oldest_go(void)
{
    directory_fixture_init(&fixture);
    put_files(5, 100);
    directory_fixture_put(&fixture, "notes.txt", 10000);
    directory_fixture_put(&fixture, "trace-000001.adat.bak", 10000);
    fixture.config.keep_bytes = 250;
    directory_fixture_create(&fixture);
    CU_ASSERT_FALSE(has("trace-000003.adat")); /* at once */
    CU_ASSERT(has("trace-000004.adat"));
    directory_fixture_file(&fixture, 100, true);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 4);
    CU_ASSERT(has("trace-000005.adat"));
    CU_ASSERT(has("trace-000006.adat"));
    CU_ASSERT(has("notes.txt"));
    CU_ASSERT(has("trace-000001.adat.bak"));
    CU_ASSERT_EQUAL(fixture.complete.count, 1); /* not those of before */
    directory_fixture_fini(&fixture);
}

/* Somebody put another file, or a directory, where one of ours was: it is left alone. */
static void trace_limits__replaced_by_others__then_it_is_not_removed(void)
{
    directory_fixture_init(&fixture);
    fixture.config.keep_bytes = 150;
    directory_fixture_create(&fixture);
    for (size_t i = 0; i < 2; i++) {
        static const char *const names[] = {"trace-000001.adat", "trace-000002.adat"};

        directory_fixture_file(&fixture, 100, true);
        directory_fixture_await_complete(&fixture, i + 1);
        CU_ASSERT_EQUAL(unlink(directory_fixture_at(&fixture, names[i])), 0);
        if (i == 0)
            CU_ASSERT_EQUAL(symlink("/etc/passwd", directory_fixture_at(&fixture, names[i])), 0);
    }
    directory_fixture_file(&fixture, 100, true);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT(has("trace-000001.adat"));
    CU_ASSERT_FALSE(has("trace-000002.adat"));
    CU_ASSERT(has("trace-000003.adat"));
    directory_fixture_fini(&fixture);
}

static void trace_limits__cannot_remove__then_told_once_and_it_goes_on(void)
{
    char file[128];

    if (geteuid() != 0)
        TEST_SKIP("needs root, to mount a file system");
    directory_fixture_init(&fixture);
    fixture.config.keep_bytes = 150;
    directory_fixture_create(&fixture);
    directory_fixture_file(&fixture, 100, true);
    directory_fixture_await_complete(&fixture, 1);
    (void)snprintf(file, sizeof(file), "%s/trace-000001.adat", fixture.path);
    CU_ASSERT_EQUAL_FATAL(mount(file, file, NULL, MS_BIND, NULL), 0); /* a mount point cannot be removed */
    directory_fixture_file(&fixture, 100, true);
    directory_fixture_file(&fixture, 100, true);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), -EBUSY);
    CU_ASSERT_EQUAL(fixture.errors.count, 1);
    CU_ASSERT(told_is(&fixture.errors, 0, "remove trace-000001.adat EBUSY"));
    CU_ASSERT_FALSE(has("trace-000002.adat"));
    CU_ASSERT(has("trace-000003.adat"));
    CU_ASSERT_EQUAL(umount(file), 0);
    directory_fixture_fini(&fixture);
}

/* ---- age -------------------------------------------------------------------------------------- */

static void trace_limits__older_than_is_kept__then_they_go_and_the_youngest_stays(void)
{
    directory_fixture_init(&fixture);
    put_files(5, 100);
    fixture.config.keep_ns = (2 * HOUR + HOUR / 2) * NS_PER_S;
    directory_fixture_create(&fixture);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 2);
    CU_ASSERT(has("trace-000004.adat"));
    CU_ASSERT(has("trace-000005.adat"));
    fixture.config.keep_ns = HOUR / 2 * NS_PER_S;
    directory_fixture_create(&fixture);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 1);
    CU_ASSERT(has("trace-000005.adat"));
    directory_fixture_fini(&fixture);
}

static void trace_limits__become_too_old_while_no_file_is_finished__then_they_go(void)
{
    directory_fixture_init(&fixture);
    fixture.config.keep_ns = NS_PER_S / 4;
    fixture.config.look_ns = LOOK_NS;
    directory_fixture_create(&fixture);
    directory_fixture_file(&fixture, 100, true);
    directory_fixture_file(&fixture, 100, true);
    directory_fixture_await_complete(&fixture, 2);
    await_gone("trace-000001.adat");
    CU_ASSERT(has("trace-000002.adat"));
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT(has("trace-000002.adat"));
    directory_fixture_fini(&fixture);
}

/* A clock that was set back, or a file from before 1970. */
static void trace_limits__odd_times__then_the_future_stays_and_the_past_goes(void)
{
    const struct timespec past[2] = {{.tv_sec = -5}, {.tv_sec = -5}};

    directory_fixture_init(&fixture);
    put_files(3, 100);
    directory_fixture_age(&fixture, "trace-000001.adat", (uint64_t)-86400);
    CU_ASSERT_EQUAL(utimensat(AT_FDCWD, directory_fixture_at(&fixture, "trace-000002.adat"), past, 0), 0);
    fixture.config.keep_ns = 24 * HOUR * NS_PER_S;
    directory_fixture_create(&fixture);
    CU_ASSERT(has("trace-000001.adat"));
    CU_ASSERT_FALSE(has("trace-000002.adat"));
    CU_ASSERT(has("trace-000003.adat"));
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    directory_fixture_fini(&fixture);
}

/* ---- free space ------------------------------------------------------------------------------- */

#define DISK (4u << 20)
#define FILE_BYTES (512u << 10)

/* A file system of its own at fixture.base. */
static bool mount_disk(void)
{
    if (geteuid() != 0 || mount("tmpfs", fixture.base, "tmpfs", 0, "size=4m") != 0) {
        test_skip("needs root, to mount a file system");
        directory_fixture_fini(&fixture);
        return false;
    }
    return true;
}

static void unmount_disk(void)
{
    (void)directory_fixture_destroy(&fixture);
    CU_ASSERT_EQUAL(umount(fixture.base), 0);
    directory_fixture_fini(&fixture);
}

static void trace_limits__too_little_is_free__then_as_many_go_as_it_takes(void)
{
    directory_fixture_init(&fixture);
    if (!mount_disk())
        return;
    fixture.config.min_free_bytes = DISK / 2;
    directory_fixture_create(&fixture);
    for (size_t i = 0; i < 12; i++) {
        directory_fixture_file(&fixture, FILE_BYTES, true);
        directory_fixture_await_complete(&fixture, i + 1);
    }
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 4);
    CU_ASSERT(has("trace-000009.adat"));
    CU_ASSERT(has("trace-000012.adat"));
    CU_ASSERT_EQUAL(fixture.errors.count, 0);
    unmount_disk();
}

static void trace_limits__others_fill_the_disk__then_seen_though_no_file_is_finished(void)
{
    char other[128], expected[TOLD_SIZE];
    int fd;

    directory_fixture_init(&fixture);
    if (!mount_disk())
        return;
    fixture.config.min_free_bytes = DISK / 4;
    fixture.config.look_ns = LOOK_NS;
    directory_fixture_create(&fixture);
    for (size_t i = 0; i < 4; i++)
        directory_fixture_file(&fixture, FILE_BYTES, true);
    directory_fixture_await_complete(&fixture, 4);
    CU_ASSERT(has("trace-000001.adat"));
    (void)snprintf(other, sizeof(other), "%s/other", fixture.base);
    fd = open(other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(posix_fallocate(fd, 0, DISK / 2 - (64 << 10)), 0);
    await_gone("trace-000002.adat");
    CU_ASSERT(has("trace-000003.adat"));
    CU_ASSERT_EQUAL(posix_fallocate(fd, 0, DISK - 2 * FILE_BYTES - FILE_BYTES / 2), 0);
    directory_fixture_await_errors(&fixture, 1); /* there is no more to remove */
    (void)snprintf(expected, sizeof(expected), "keep enough space free beside %s ENOSPC", fixture.path);
    CU_ASSERT(told_is(&fixture.errors, 0, expected));
    CU_ASSERT(has("trace-000004.adat"));
    close(fd);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), -ENOSPC);
    CU_ASSERT_EQUAL(fixture.errors.count, 1);
    unmount_disk();
}

/* What somebody still reads takes its room until he closes it: the others do not go for that. */
static void trace_limits__removed_files_are_open__then_not_all_go(void)
{
    int reader;

    directory_fixture_init(&fixture);
    if (!mount_disk())
        return;
    fixture.config.min_free_bytes = DISK / 2;
    directory_fixture_create(&fixture);
    for (size_t i = 0; i < 4; i++)
        directory_fixture_file(&fixture, FILE_BYTES, true);
    directory_fixture_await_complete(&fixture, 4);
    reader = open(directory_fixture_at(&fixture, "trace-000001.adat"), O_RDONLY | O_CLOEXEC);
    CU_ASSERT_FATAL(reader >= 0);
    directory_fixture_file(&fixture, FILE_BYTES, true);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_FALSE(has("trace-000001.adat"));
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 4);
    close(reader);
    unmount_disk();
}

static const TestCase tests[] = {
    TEST(trace_limits__more_than_is_kept__then_the_oldest_go),
    TEST(trace_limits__one_file_larger_than_all_may_be__then_it_stays),
    TEST(trace_limits__given_up_files__then_they_count_and_go),
    TEST(trace_limits__only_given_up_files__then_the_youngest_stays),
    TEST(trace_limits__adopted_files__then_they_count_and_the_oldest_go),
    TEST(trace_limits__replaced_by_others__then_it_is_not_removed),
    TEST(trace_limits__cannot_remove__then_told_once_and_it_goes_on),
    TEST(trace_limits__older_than_is_kept__then_they_go_and_the_youngest_stays),
    TEST(trace_limits__become_too_old_while_no_file_is_finished__then_they_go),
    TEST(trace_limits__odd_times__then_the_future_stays_and_the_past_goes),
    TEST(trace_limits__too_little_is_free__then_as_many_go_as_it_takes),
    TEST(trace_limits__others_fill_the_disk__then_seen_though_no_file_is_finished),
    TEST(trace_limits__removed_files_are_open__then_not_all_go),
};
TEST_MAIN("trace_limits", tests)
