/* SPDX-License-Identifier: MIT */
/* A directory that earlier runs left: numbers, files that were being written, whatever else lies there. */
#define _GNU_SOURCE
#include "test_support.h"
#include "trace_directory_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/collector/trace_file.h"

static DirectoryFixture fixture;

static bool has(const char *name)
{
    return directory_fixture_has(&fixture, name);
}

static int64_t size_of(const char *name)
{
    return directory_fixture_size(&fixture, name);
}

static void put(const char *name, size_t bytes)
{
    directory_fixture_put(&fixture, name, bytes);
}

/* An empty directory that is to be adopted. */
static void make(void)
{
    directory_fixture_init(&fixture);
    CU_ASSERT_EQUAL(mkdir(fixture.path, 0700), 0);
    fixture.config.adopt = true;
}

/* ---- partial files ---------------------------------------------------------------------------- */

static off_t asked[16]; /* sizes of the files that were handed over, in order */
static size_t asked_count;

/* Valid are whole hundreds of bytes. A file of 13 bytes cannot be read, of one with 17 it claims too much. */
static int whole_hundreds(void *context, int fd, uint64_t *valid_bytes_out)
{
    struct stat status;
    char byte;

    CU_ASSERT_PTR_EQUAL(context, &fixture);
    CU_ASSERT_EQUAL(fstat(fd, &status), 0);
    CU_ASSERT_EQUAL(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
    CU_ASSERT_EQUAL(read(fd, &byte, 1), status.st_size > 0); /* from its start */
    if (asked_count < sizeof(asked) / sizeof(asked[0]))
        asked[asked_count++] = status.st_size;
    *valid_bytes_out = status.st_size == 17 ? 18 : (uint64_t)status.st_size / 100 * 100;
    return status.st_size == 13 ? -EBADMSG : 0;
}

static void ask_whole_hundreds(void)
{
    fixture.config.calls.on_partial = whole_hundreds;
    asked_count = 0;
}

static void trace_adopt__partial_files__then_cut_off_and_complete_in_order(void)
{
    struct stat before, after;

    make();
    put("trace-000012.adat.partial", 250);
    put("trace-000003.adat.partial", 300);
    put("trace-000007.adat", 50);
    put("trace-000010.adat.partial", 150);
    directory_fixture_age(&fixture, "trace-000010.adat.partial", 5000);
    CU_ASSERT_EQUAL(stat(directory_fixture_at(&fixture, "trace-000010.adat.partial"), &before), 0);
    ask_whole_hundreds();
    directory_fixture_create(&fixture);
    CU_ASSERT_EQUAL(asked_count, 4); /* the complete one has no end: a run before may have recovered it */
    CU_ASSERT(asked[0] == 300 && asked[1] == 50 && asked[2] == 150 && asked[3] == 250);
    CU_ASSERT_EQUAL(size_of("trace-000007.adat"), 50);
    CU_ASSERT_EQUAL(size_of("trace-000003.adat"), 300);
    CU_ASSERT_EQUAL(size_of("trace-000010.adat"), 100);
    CU_ASSERT_EQUAL(size_of("trace-000012.adat"), 200);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 4);
    /* It ages by its last event. */
    CU_ASSERT_EQUAL(stat(directory_fixture_at(&fixture, "trace-000010.adat"), &after), 0);
    CU_ASSERT_EQUAL(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
    CU_ASSERT_EQUAL(fixture.complete.count, 3);
    CU_ASSERT(told_is(&fixture.complete, 0, "trace-000003.adat"));
    CU_ASSERT(told_is(&fixture.complete, 1, "trace-000010.adat"));
    CU_ASSERT(told_is(&fixture.complete, 2, "trace-000012.adat"));
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(fixture.complete.count, 3);
    directory_fixture_fini(&fixture);
}

static void trace_adopt__partial_files_with_nothing__then_removed(void)
{
    make();
    put("trace-000001.adat.partial", 0);
    put("trace-000002.adat.partial", 99);
    ask_whole_hundreds();
    directory_fixture_create(&fixture);
    directory_fixture_file(&fixture, 100, true);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 1);
    CU_ASSERT(has("trace-000003.adat"));
    CU_ASSERT_EQUAL(fixture.complete.count, 1);
    directory_fixture_fini(&fixture);
}

static void trace_adopt__partial_files_that_cannot_be_read__then_told_and_left(void)
{
    make();
    put("trace-000001.adat.partial", 13);
    put("trace-000002.adat.partial", 17);
    put("trace-000003.adat.partial", 100);
    ask_whole_hundreds();
    directory_fixture_create(&fixture);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), -EBADMSG);
    CU_ASSERT_EQUAL(fixture.errors.count, 2);
    CU_ASSERT(told_is(&fixture.errors, 0, "recover trace-000001.adat.partial EBADMSG"));
    CU_ASSERT(told_is(&fixture.errors, 1, "recover trace-000002.adat.partial EINVAL"));
    CU_ASSERT_EQUAL(size_of("trace-000001.adat.partial"), 13);
    CU_ASSERT_EQUAL(size_of("trace-000002.adat.partial"), 17);
    CU_ASSERT_EQUAL(size_of("trace-000003.adat"), 100);
    directory_fixture_fini(&fixture);
}

static void trace_adopt__nobody_reads_partial_files__then_they_stay_and_count(void)
{
    make();
    put("trace-000001.adat", 100);
    put("trace-000002.adat.partial", 100);
    put("trace-000003.adat", 100);
    directory_fixture_create(&fixture);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 3);
    fixture.config.keep_bytes = 150;
    directory_fixture_create(&fixture);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 1);
    CU_ASSERT(has("trace-000003.adat"));
    directory_fixture_fini(&fixture);
}

static void trace_adopt__complete_one_has_the_number__then_both_stay(void)
{
    make();
    put("trace-000001.adat", 100);
    put("trace-000001.adat.partial", 200);
    put("trace-000002.adat.gz", 100);
    put("trace-000002.adat.partial", 200);
    ask_whole_hundreds();
    directory_fixture_create(&fixture);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(asked_count, 0);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 4);
    directory_fixture_fini(&fixture);
}

/* ---- numbers ---------------------------------------------------------------------------------- */

static void trace_adopt__files_of_any_kind__then_numbers_go_on_behind(void)
{
    static const char *const names[] = {"trace-000041.adat", "trace-000042.adat.gz",
                                        "trace-000043.adat.partial", "trace-000044.adat.gz.partial"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char expected[64];

        make();
        put("trace-000007.adat", 100);
        put(names[i], 100);
        directory_fixture_create(&fixture);
        directory_fixture_file(&fixture, 100, true);
        CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
        (void)snprintf(expected, sizeof(expected), "trace-%06zu.adat", 42 + i);
        CU_ASSERT(has(expected));
        directory_fixture_fini(&fixture);
    }
}

static void trace_adopt__not_there__then_made(void)
{
    directory_fixture_init(&fixture);
    fixture.config.adopt = true;
    directory_fixture_create(&fixture);
    directory_fixture_file(&fixture, 100, true);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT(has("trace-000001.adat"));
    directory_fixture_fini(&fixture);
}

static void trace_adopt__no_numbers_left__then_told(void)
{
    make();
    put("trace-4294967294.adat", 100);
    directory_fixture_create(&fixture);
    directory_fixture_file(&fixture, 100, true);
    CU_ASSERT_EQUAL(trace_directory_open_next(fixture.directory), -EOVERFLOW);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT(has("trace-4294967295.adat"));
    directory_fixture_fini(&fixture);
}

/* ---- what is not ours ------------------------------------------------------------------------- */

static void trace_adopt__names_like_ours_that_are_not__then_neither_touched_nor_counted(void)
{
    char outside[128];
    struct stat status;

    make();
    ask_whole_hundreds();
    fixture.config.keep_bytes = 1;
    (void)snprintf(outside, sizeof(outside), "%s/outside", fixture.base);
    CU_ASSERT_EQUAL(close(open(outside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
    CU_ASSERT_EQUAL(truncate(outside, 150), 0);
    CU_ASSERT_EQUAL(symlink(outside, directory_fixture_at(&fixture, "trace-000001.adat.partial")), 0);
    CU_ASSERT_EQUAL(mkfifo(directory_fixture_at(&fixture, "trace-000002.adat.partial"), 0600), 0);
    CU_ASSERT_EQUAL(link(outside, directory_fixture_at(&fixture, "trace-000003.adat.partial")), 0);
    CU_ASSERT_EQUAL(mkdir(directory_fixture_at(&fixture, "trace-000004.adat"), 0700), 0);
    CU_ASSERT_EQUAL(symlink(outside, directory_fixture_at(&fixture, "trace-4294967295.adat")), 0);
    put("trace-000006.adat.old", 100);
    put("trace-000007.adat", 100);
    put("trace-000008.adat", 100);
    if (geteuid() == 0)
        CU_ASSERT_EQUAL(chown(directory_fixture_at(&fixture, "trace-000008.adat"), 65534, 65534), 0);
    directory_fixture_create(&fixture);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(asked_count, 1); /* 7 */
    CU_ASSERT_EQUAL(fixture.errors.count, 0);
    CU_ASSERT_EQUAL(stat(outside, &status), 0);
    CU_ASSERT_EQUAL(status.st_size, 150);
    CU_ASSERT(has("trace-000001.adat.partial"));
    CU_ASSERT(has("trace-000002.adat.partial"));
    CU_ASSERT(has("trace-000003.adat.partial"));
    CU_ASSERT(has("trace-000004.adat"));
    CU_ASSERT(has("trace-4294967295.adat"));
    CU_ASSERT(has("trace-000006.adat.old"));
    CU_ASSERT(geteuid() != 0 || has("trace-000007.adat")); /* the youngest that is ours */
    CU_ASSERT(has("trace-000008.adat"));
    directory_fixture_fini(&fixture);
}

/* While the partial file is looked at, something else gets its name: what was there when the directory was read counts. */
static int replace_the_others(void *context, int fd, uint64_t *valid_bytes_out)
{
    char third[128];

    (void)snprintf(third, sizeof(third), "%s/trace-000003.adat.partial", fixture.path);
    CU_ASSERT_EQUAL_FATAL(asked_count, 0); /* nothing else is handed over */
    CU_ASSERT_EQUAL(unlink(directory_fixture_at(context, "trace-000002.adat.partial")), 0);
    CU_ASSERT_EQUAL(symlink("/etc/passwd", directory_fixture_at(context, "trace-000002.adat.partial")), 0);
    directory_fixture_put(context, "other", 100); /* of another inode */
    CU_ASSERT_EQUAL(rename(directory_fixture_at(context, "other"), third), 0);
    return whole_hundreds(context, fd, valid_bytes_out);
}

static void trace_adopt__replaced_meanwhile__then_left_alone(void)
{
    make();
    put("trace-000001.adat.partial", 100);
    put("trace-000002.adat.partial", 100);
    put("trace-000003.adat.partial", 100);
    ask_whole_hundreds();
    fixture.config.calls.on_partial = replace_the_others;
    directory_fixture_create(&fixture);
    (void)directory_fixture_destroy(&fixture);
    CU_ASSERT(has("trace-000001.adat"));
    CU_ASSERT(told_is(&fixture.errors, 0, "recover trace-000002.adat.partial ELOOP"));
    CU_ASSERT(told_is(&fixture.errors, 1, "recover trace-000003.adat.partial EPERM"));
    CU_ASSERT(has("trace-000002.adat.partial"));
    CU_ASSERT(has("trace-000003.adat.partial"));
    directory_fixture_fini(&fixture);
}

static const TestCase tests[] = {
    TEST(trace_adopt__partial_files__then_cut_off_and_complete_in_order),
    TEST(trace_adopt__partial_files_with_nothing__then_removed),
    TEST(trace_adopt__partial_files_that_cannot_be_read__then_told_and_left),
    TEST(trace_adopt__nobody_reads_partial_files__then_they_stay_and_count),
    TEST(trace_adopt__complete_one_has_the_number__then_both_stay),
    TEST(trace_adopt__files_of_any_kind__then_numbers_go_on_behind),
    TEST(trace_adopt__not_there__then_made),
    TEST(trace_adopt__no_numbers_left__then_told),
    TEST(trace_adopt__names_like_ours_that_are_not__then_neither_touched_nor_counted),
    TEST(trace_adopt__replaced_meanwhile__then_left_alone),
};
TEST_MAIN("trace_adopt", tests)
