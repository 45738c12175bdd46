/* SPDX-License-Identifier: MIT */
/* Complete files are compressed in the background, and whatever fails, one good file remains. */
#define _GNU_SOURCE
#include "test_support.h"
#include "trace_directory_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "user/collector/trace_file_compress.h"
#include "user/lane/atomic.h"
#include "user/lane/test_point.h"

static DirectoryFixture fixture;

static bool has(const char *name)
{
    return directory_fixture_has(&fixture, name);
}

static const char *at(const char *name)
{
    return directory_fixture_at(&fixture, name);
}

/* The contents of a file of the fixture, compressed or not, are so many bytes of its pattern. */
static bool reads_as(const char *name, size_t bytes)
{
    uint8_t *got = malloc(bytes + 1), *expected = malloc(bytes + 1);
    gzFile file = gzopen(at(name), "rb");
    bool same = false;

    CU_ASSERT_FATAL(got && expected);
    if (file) {
        pattern_fill(expected, bytes, 0, 0);
        same = gzread(file, got, (unsigned)bytes + 1) == (int)bytes && memcmp(got, expected, bytes) == 0;
        same = gzclose(file) == Z_OK && same;
    }
    free(got);
    free(expected);
    return same;
}

/* ---- a point at which the compressor waits ---------------------------------------------------- */

static uint32_t holding; /* written by the test: 1: wait at the point */
static uint32_t held;    /* written by the compressor: it is there */

static void hold_here(const char *point)
{
    if (strcmp(point, "compress.chunk") != 0 || !ada_load_acquire(&holding))
        return;
    ada_store_release(&held, 1u);
    while (ada_load_acquire(&holding))
        sched_yield();
}

static void hold(void)
{
    ada_store_release(&held, 0u);
    ada_store_release(&holding, 1u);
}

static void await_held(void)
{
    while (!ada_load_acquire(&held))
        sched_yield();
}

static void let_go(void)
{
    ada_store_release(&holding, 0u);
}

static void start(void)
{
    directory_fixture_init(&fixture);
    ada_test_point_hook = hold_here; /* before there are threads */
    fixture.config.compress = true;
    fixture.config.adopt = true;
    directory_fixture_create(&fixture);
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void trace_compress__complete_files__then_each_becomes_one_gzip_stream(void)
{
    static const size_t sizes[] = {1, 100, 4095, 128 << 10, 1000000};
    char name[64];

    start();
    for (size_t i = 0; i < 5; i++) {
        directory_fixture_file(&fixture, sizes[i], true);
        directory_fixture_await_complete(&fixture, i + 1);
    }
    directory_fixture_file(&fixture, 100, false);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 6);
    for (size_t i = 0; i < 5; i++) {
        (void)snprintf(name, sizeof(name), "trace-%06zu.adat.gz", i + 1);
        CU_ASSERT(told_is(&fixture.complete, i, name));
        CU_ASSERT(reads_as(name, sizes[i]));
    }
    CU_ASSERT(has("trace-000006.adat.partial"));
    CU_ASSERT(fixture.complete_bytes < 1000000);
    directory_fixture_fini(&fixture);
}

static void trace_compress__compressed__then_still_as_old_and_as_private_as_before(void)
{
    struct stat before, after;

    directory_fixture_init(&fixture);
    CU_ASSERT_EQUAL(mkdir(fixture.path, 0700), 0);
    directory_fixture_put(&fixture, "trace-000001.adat", 1000);
    directory_fixture_put(&fixture, "trace-000001.adat.gz.partial", 0);
    directory_fixture_age(&fixture, "trace-000001.adat", 5000);
    CU_ASSERT_EQUAL(stat(at("trace-000001.adat"), &before), 0);
    fixture.config.compress = true;
    fixture.config.adopt = true;
    directory_fixture_create(&fixture);
    directory_fixture_await_complete(&fixture, 1);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(stat(at("trace-000001.adat.gz"), &after), 0);
    CU_ASSERT_EQUAL(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
    CU_ASSERT_EQUAL(after.st_mode & 0777 & ~0640u, 0);
    directory_fixture_fini(&fixture);
}

static void trace_compress__slow__then_files_are_completed_meanwhile(void)
{
    start();
    hold();
    directory_fixture_file(&fixture, 300000, true);
    await_held();
    directory_fixture_file(&fixture, 1000, true);
    directory_fixture_file(&fixture, 2000, true);
    while (!has("trace-000003.adat"))
        sched_yield();
    CU_ASSERT(has("trace-000002.adat"));
    CU_ASSERT_EQUAL(fixture.complete.count, 0);
    let_go();
    directory_fixture_await_complete(&fixture, 3);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT(told_is(&fixture.complete, 0, "trace-000001.adat.gz"));
    CU_ASSERT(told_is(&fixture.complete, 2, "trace-000003.adat.gz"));
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 3);
    directory_fixture_fini(&fixture);
}

/* Stopping does not wait for the compressor; nothing is told twice. */
static void trace_compress__destroyed_meanwhile__then_told_as_they_are(void)
{
    start();
    hold();
    directory_fixture_file(&fixture, 300000, true);
    await_held();
    directory_fixture_file(&fixture, 1000, true);
    while (!has("trace-000002.adat"))
        sched_yield();
    let_go();
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(fixture.complete.count, 2);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 2);
    for (size_t i = 0; i < 2;
         i++) /* it may have been through with the first one before it saw that it was to stop */
        CU_ASSERT(reads_as(fixture.complete.lines[i], i == 0 ? 300000 : 1000));
    directory_fixture_create(&fixture);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(fixture.complete.count, 0);
    directory_fixture_fini(&fixture);
}

static void trace_compress__oldest_goes_meanwhile__then_nothing_of_it_is_left(void)
{
    directory_fixture_init(&fixture);
    ada_test_point_hook = hold_here;
    fixture.config.compress = true;
    fixture.config.keep_bytes = 1000;
    directory_fixture_create(&fixture);
    hold();
    directory_fixture_file(&fixture, 300000, true);
    await_held();
    directory_fixture_file(&fixture, 900, true);
    while (has("trace-000001.adat"))
        sched_yield();
    let_go();
    directory_fixture_await_complete(&fixture, 1);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 1);
    CU_ASSERT(told_is(&fixture.complete, 0, "trace-000002.adat.gz"));
    directory_fixture_fini(&fixture);
}

static void trace_compress__names_are_taken__then_the_file_stays_as_it_is(void)
{
    start();
    CU_ASSERT_EQUAL(symlink("/etc/passwd", at("trace-000001.adat.gz.partial")), 0);
    CU_ASSERT_EQUAL(mkfifo(at("trace-000002.adat.gz.partial"), 0600), 0);
    CU_ASSERT_EQUAL(mkdir(at("trace-000003.adat.gz"), 0700), 0);
    for (size_t i = 0; i < 3; i++) {
        directory_fixture_file(&fixture, 1000, true);
        directory_fixture_await_complete(&fixture, i + 1);
    }
    CU_ASSERT_EQUAL(fixture.errors.count, 3);
    CU_ASSERT(told_is(&fixture.errors, 0, "compress trace-000001.adat ELOOP"));
    CU_ASSERT(told_is(&fixture.errors, 1, "compress trace-000002.adat ENXIO"));
    CU_ASSERT(told_is(&fixture.errors, 2, "compress trace-000003.adat EEXIST"));
    (void)directory_fixture_destroy(&fixture);
    CU_ASSERT(reads_as("trace-000001.adat", 1000));
    CU_ASSERT(reads_as("trace-000002.adat", 1000));
    CU_ASSERT(reads_as("trace-000003.adat", 1000));
    CU_ASSERT_FALSE(has("trace-000003.adat.gz.partial"));
    directory_fixture_fini(&fixture);
}

static void trace_compress__another_file_has_the_name__then_it_is_not_compressed(void)
{
    char outside[128], name[64];

    start();
    fixture.others_remove = true;
    (void)snprintf(outside, sizeof(outside), "%s/outside", fixture.base);
    directory_fixture_put(&fixture, "../outside", 500);
    CU_ASSERT_EQUAL(link(outside, at("trace-000002.adat.gz.partial")), 0);
    hold();
    directory_fixture_file(&fixture, 300000, true);
    await_held();
    for (int number = 2; number <= 5; number++) { /* one by one: when one has its name, those before are counted */
        (void)snprintf(name, sizeof(name), "trace-%06d.adat", number);
        directory_fixture_file(&fixture, 1000, true);
        while (!has(name))
            sched_yield();
    }
    CU_ASSERT_EQUAL(unlink(at("trace-000003.adat")), 0);
    CU_ASSERT_EQUAL(unlink(at("trace-000004.adat")), 0);
    CU_ASSERT_EQUAL(symlink(outside, at("trace-000004.adat")), 0);
    CU_ASSERT_EQUAL(unlink(at("trace-000001.adat.gz.partial")), 0); /* what is being written now */
    let_go();
    directory_fixture_await_errors(&fixture, 4);
    (void)directory_fixture_destroy(&fixture);
    CU_ASSERT(told_is(&fixture.errors, 0, "compress trace-000001.adat ENOENT"));
    CU_ASSERT(told_is(&fixture.errors, 1, "compress trace-000002.adat EPERM"));
    CU_ASSERT(told_is(&fixture.errors, 2, "compress trace-000003.adat ENOENT"));
    CU_ASSERT(told_is(&fixture.errors, 3, "compress trace-000004.adat ELOOP"));
    CU_ASSERT(reads_as("trace-000001.adat", 300000));
    CU_ASSERT(reads_as("../outside", 500));
    directory_fixture_fini(&fixture);
}

static void trace_compress__disk_full__then_the_file_stays_as_it_is(void)
{
    uint8_t noise[8192];
    int fd;

    directory_fixture_init(&fixture);
    if (geteuid() != 0 || mount("tmpfs", fixture.base, "tmpfs", 0, "size=1m") != 0) {
        directory_fixture_fini(&fixture);
        TEST_SKIP("needs root, to mount a file system");
    }
    fixture.config.compress = true;
    directory_fixture_create(&fixture);
    fd = trace_directory_open_next(fixture.directory);
    for (size_t i = 0; i < 80; i++) { /* more than half of it, and it does not get smaller */
        for (size_t at_byte = 0; at_byte < sizeof(noise); at_byte++)
            noise[at_byte] = (uint8_t)random();
        CU_ASSERT_EQUAL_FATAL(write(fd, noise, sizeof(noise)), (ssize_t)sizeof(noise));
    }
    trace_directory_finished(fixture.directory, fd, true);
    directory_fixture_await_complete(&fixture, 1);
    CU_ASSERT(told_is(&fixture.errors, 0, "compress trace-000001.adat ENOSPC"));
    CU_ASSERT(told_is(&fixture.complete, 0, "trace-000001.adat"));
    CU_ASSERT_EQUAL(directory_fixture_size(&fixture, "trace-000001.adat"), 80 * 8192);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), -ENOSPC);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 1);
    CU_ASSERT_EQUAL(umount(fixture.base), 0);
    directory_fixture_fini(&fixture);
}

/* ---- what a killed run left ------------------------------------------------------------------- */

static void trace_compress__killed_at_any_step__then_done_when_adopted(void)
{
    start(); /* a real compressed file to begin with */
    directory_fixture_file(&fixture, 1000, true);
    directory_fixture_await_complete(&fixture, 1);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    directory_fixture_put(&fixture, "trace-000001.adat", 1000); /* its original was to be removed */
    directory_fixture_put(&fixture, "trace-000002.adat", 2000); /* was to be compressed */
    directory_fixture_put(&fixture, "trace-000002.adat.gz.partial", 0);
    directory_fixture_put(&fixture, "trace-000003.adat", 3000); /* was being compressed */
    directory_fixture_put(&fixture, "trace-000003.adat.gz.partial", 700);
    directory_fixture_put(&fixture, "trace-000004.adat", 4000);           /* not to be compressed */
    directory_fixture_put(&fixture, "trace-000005.adat.gz.partial", 700); /* of a file that was removed */
    directory_fixture_create(&fixture);
    directory_fixture_await_complete(&fixture, 3);
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(fixture.complete.count, 3);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 4);
    CU_ASSERT(reads_as("trace-000001.adat.gz", 1000));
    CU_ASSERT(reads_as("trace-000002.adat.gz", 2000));
    CU_ASSERT(reads_as("trace-000003.adat.gz", 3000));
    CU_ASSERT(reads_as("trace-000004.adat", 4000));
    directory_fixture_fini(&fixture);
}

static void trace_compress__killed_and_adopted_without_compressing__then_told_as_they_are(void)
{
    directory_fixture_init(&fixture);
    CU_ASSERT_EQUAL(mkdir(fixture.path, 0700), 0);
    fixture.config.adopt = true;
    directory_fixture_put(&fixture, "trace-000002.adat", 2000);
    directory_fixture_put(&fixture, "trace-000002.adat.gz.partial", 700);
    directory_fixture_create(&fixture);
    CU_ASSERT_EQUAL(fixture.complete.count, 1);
    CU_ASSERT(told_is(&fixture.complete, 0, "trace-000002.adat"));
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 1);
    directory_fixture_fini(&fixture);
}

/* ---- the compression itself ------------------------------------------------------------------- */

static void trace_file_compress__cannot_read_or_write__then_told(void)
{
    const uint32_t no = 0, yes = 1;
    int directory, in, full;

    start();
    directory_fixture_put(&fixture, "in", 1000);
    in = open(at("in"), O_RDONLY | O_CLOEXEC);
    directory = open(fixture.path, O_RDONLY | O_CLOEXEC);
    full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL(trace_file_compress(directory, full, &no), -EISDIR);
    CU_ASSERT_EQUAL(trace_file_compress(in, full, &no), -ENOSPC);
    CU_ASSERT_EQUAL(trace_file_compress(in, full, &yes), -ECANCELED);
    close(full);
    close(directory);
    close(in);
    directory_fixture_fini(&fixture);
}

static const TestCase tests[] = {
    TEST(trace_compress__complete_files__then_each_becomes_one_gzip_stream),
    TEST(trace_compress__compressed__then_still_as_old_and_as_private_as_before),
    TEST(trace_compress__slow__then_files_are_completed_meanwhile),
    TEST(trace_compress__destroyed_meanwhile__then_told_as_they_are),
    TEST(trace_compress__oldest_goes_meanwhile__then_nothing_of_it_is_left),
    TEST(trace_compress__names_are_taken__then_the_file_stays_as_it_is),
    TEST(trace_compress__another_file_has_the_name__then_it_is_not_compressed),
    TEST(trace_compress__disk_full__then_the_file_stays_as_it_is),
    TEST(trace_compress__killed_at_any_step__then_done_when_adopted),
    TEST(trace_compress__killed_and_adopted_without_compressing__then_told_as_they_are),
    TEST(trace_file_compress__cannot_read_or_write__then_told),
};
TEST_MAIN("trace_compress", tests)
