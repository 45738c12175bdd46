/* SPDX-License-Identifier: MIT */
/* Files in memory that go to the disk when they are wanted: which ones, in which order, each once. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test_support.h"
#include "user/collector/flight_recorder.h"

#define HOUR_NS 3600000000000ull
#define FILE_BYTES 300000u

typedef struct Fixture {
    char path[64];
    TraceDirectory *directory;
    FlightRecorder *flight;
    SessionFiles files;
    int present; /* the file that is "recorded" */
    char next;   /* what it is filled with: 'a', 'b', ... */
    sem_t written;
    int errors;
} Fixture;

static void on_written(void *context, int error)
{
    Fixture *fixture = context;

    fixture->errors += error != 0;
    sem_post(&fixture->written);
}

static void begin(Fixture *fixture, uint64_t pre_roll_ns, uint64_t post_roll_ns, uint64_t memory_bytes)
{
    FlightRecorderConfig config = {
        .pre_roll_ns = pre_roll_ns,
        .post_roll_ns = post_roll_ns,
        .memory_bytes = memory_bytes,
        .on_written = on_written,
        .context = fixture,
    };
    const TraceDirectoryConfig output = {.path = fixture->path};

    *fixture = (Fixture){.path = "/tmp/test_flight-XXXXXX", .next = 'a'};
    sem_init(&fixture->written, 0, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(fixture->path));
    CU_ASSERT_EQUAL_FATAL(rmdir(fixture->path), 0);
    CU_ASSERT_EQUAL_FATAL(trace_directory_create(&output, &fixture->directory), 0);
    config.directory = fixture->directory;
    CU_ASSERT_EQUAL_FATAL(flight_recorder_create(&config, &fixture->flight), 0);
    fixture->files = flight_recorder_files(fixture->flight);
    fixture->present = fixture->files.open_next(fixture->files.context);
    CU_ASSERT_TRUE_FATAL(fixture->present >= 0);
}

/* The present file ends, filled with its letter; the next one begins. */
static void next_file(Fixture *fixture)
{
    char *content = malloc(FILE_BYTES);
    int next = fixture->files.open_next(fixture->files.context);

    CU_ASSERT_PTR_NOT_NULL_FATAL(content);
    CU_ASSERT_TRUE_FATAL(next >= 0);
    memset(content, fixture->next++, FILE_BYTES);
    CU_ASSERT_EQUAL_FATAL(write(fixture->present, content, FILE_BYTES), FILE_BYTES);
    free(content);
    fixture->files.finished(fixture->files.context, fixture->present, true);
    fixture->present = next;
}

static FlightRecorderFacts facts_of(const Fixture *fixture)
{
    FlightRecorderFacts facts;

    flight_recorder_facts(fixture->flight, &facts);
    return facts;
}

static void await_written(Fixture *fixture, unsigned files)
{
    for (unsigned i = 0; i < files; i++)
        sem_wait(&fixture->written);
}

/* The letters of the files on the disk, in the order of their numbers. */
static void expect_on_disk(const Fixture *fixture, const char *letters)
{
    size_t count = strlen(letters);

    for (size_t i = 0; i <= count; i++) {
        char path[128], content[FILE_BYTES + 1];
        ssize_t size;
        int fd;

        (void)snprintf(path, sizeof(path), "%s/trace-%06zu.adat", fixture->path, i + 1);
        fd = open(path, O_RDONLY);
        CU_ASSERT_EQUAL(fd >= 0, i < count); /* and none behind the last */
        if (fd < 0)
            continue;
        size = read(fd, content, sizeof(content));
        close(fd);
        CU_ASSERT_EQUAL(size, FILE_BYTES);
        CU_ASSERT_EQUAL(content[0], letters[i]);
        CU_ASSERT_EQUAL(content[FILE_BYTES - 1], letters[i]);
    }
}

/* Ends it; the files on the disk are still there. */
static void finish(Fixture *fixture)
{
    close(fixture->present);
    flight_recorder_destroy(fixture->flight);
    fixture->flight = NULL;
    CU_ASSERT_EQUAL(trace_directory_destroy(fixture->directory), 0);
}

static void clean_up(Fixture *fixture)
{
    const struct dirent *entry;
    DIR *directory = opendir(fixture->path);

    while (directory && (entry = readdir(directory)))
        (void)unlinkat(dirfd(directory), entry->d_name, 0);
    if (directory)
        (void)closedir(directory);
    (void)rmdir(fixture->path);
    sem_destroy(&fixture->written);
}

static void flight_recorder__nobody_wants_it__then_nothing_on_disk(void)
{
    Fixture fixture;

    begin(&fixture, HOUR_NS, 0, 64u << 20);
    for (int i = 0; i < 5; i++)
        next_file(&fixture);
    CU_ASSERT_EQUAL(facts_of(&fixture).files, 5);
    CU_ASSERT_EQUAL(facts_of(&fixture).bytes, 5u * FILE_BYTES);
    finish(&fixture);
    expect_on_disk(&fixture, "");
    clean_up(&fixture);
}

static void flight_recorder__snapshot__then_what_was_and_the_present_file(void)
{
    Fixture fixture;

    begin(&fixture, HOUR_NS, 0, 64u << 20);
    next_file(&fixture);
    next_file(&fixture);
    flight_recorder_snapshot(fixture.flight);
    next_file(&fixture); /* it was begun before the snapshot */
    next_file(&fixture); /* after it */
    await_written(&fixture, 3);
    finish(&fixture);
    expect_on_disk(&fixture, "abc");
    clean_up(&fixture);
}

static void flight_recorder__post_roll__then_what_comes_too(void)
{
    Fixture fixture;

    begin(&fixture, HOUR_NS, HOUR_NS, 64u << 20);
    next_file(&fixture);
    flight_recorder_snapshot(fixture.flight);
    for (int i = 0; i < 3; i++)
        next_file(&fixture);
    finish(&fixture); /* waits for what is wanted */
    expect_on_disk(&fixture, "abcd");
    clean_up(&fixture);
}

static void flight_recorder__snapshots_that_overlap__then_each_file_once(void)
{
    Fixture fixture;

    begin(&fixture, HOUR_NS, 0, 64u << 20);
    next_file(&fixture);
    flight_recorder_snapshot(fixture.flight);
    flight_recorder_snapshot(fixture.flight);
    next_file(&fixture);
    next_file(&fixture);
    await_written(&fixture, 2);
    flight_recorder_snapshot(fixture.flight);
    next_file(&fixture);
    await_written(&fixture, 2);
    CU_ASSERT_EQUAL(facts_of(&fixture).snapshots, 3);
    CU_ASSERT_EQUAL(facts_of(&fixture).lost, 0);
    finish(&fixture);
    expect_on_disk(&fixture, "abcd");
    clean_up(&fixture);
}

static void flight_recorder__older_than_pre_roll__then_gone(void)
{
    Fixture fixture;

    begin(&fixture, 1, 0, 64u << 20); /* a nanosecond: any file is older when the next one ends */
    for (int i = 0; i < 4; i++)
        next_file(&fixture);
    CU_ASSERT_EQUAL(facts_of(&fixture).files, 1);
    finish(&fixture);
    expect_on_disk(&fixture, "");
    clean_up(&fixture);
}

static void flight_recorder__no_room__then_oldest_gone_and_wanted_ones_counted(void)
{
    Fixture fixture;

    begin(&fixture, HOUR_NS, 0, 4 * FILE_BYTES);
    for (int i = 0; i < 10; i++)
        next_file(&fixture);
    CU_ASSERT_EQUAL(facts_of(&fixture).files, 4);
    CU_ASSERT_EQUAL(facts_of(&fixture).lost, 0); /* nobody had wanted them */
    flight_recorder_snapshot(fixture.flight);
    await_written(&fixture, 4);
    finish(&fixture);
    expect_on_disk(&fixture, "ghij");
    clean_up(&fixture);
}

static void flight_recorder__disk_fails__then_told_and_counted(void)
{
    Fixture fixture;

    begin(&fixture, HOUR_NS, 0, 64u << 20);
    next_file(&fixture);
    CU_ASSERT_EQUAL_FATAL(rmdir(fixture.path), 0); /* its directory goes */
    flight_recorder_snapshot(fixture.flight);
    await_written(&fixture, 1);
    CU_ASSERT_EQUAL(fixture.errors, 1);
    finish(&fixture);
    clean_up(&fixture);
}

static const TestCase tests[] = {
    TEST(flight_recorder__nobody_wants_it__then_nothing_on_disk),
    TEST(flight_recorder__snapshot__then_what_was_and_the_present_file),
    TEST(flight_recorder__post_roll__then_what_comes_too),
    TEST(flight_recorder__snapshots_that_overlap__then_each_file_once),
    TEST(flight_recorder__older_than_pre_roll__then_gone),
    TEST(flight_recorder__no_room__then_oldest_gone_and_wanted_ones_counted),
    TEST(flight_recorder__disk_fails__then_told_and_counted),
};
TEST_MAIN("flight_recorder", tests)
