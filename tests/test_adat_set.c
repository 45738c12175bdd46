/* SPDX-License-Identifier: MIT */
/* Directories of trace files read as one trace. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "adat_check.h"
#include "set_fixture.h"
#include "test_support.h"
#include "user/reader/adat_cursor.h"

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

static AdatSet *open_set(void)
{
    AdatSet *set = NULL;

    CU_ASSERT_EQUAL_FATAL(adat_set_open(set_directory, &set), 0);
    return set;
}

/* Walks over all; ticks of a thread come in their order, and times never decrease. Returns how many. */
static uint64_t read_in_order(const AdatSet *set, uint64_t *vanished_out)
{
    uint64_t next[4] = {0}, count = 0;
    int64_t last = INT64_MIN;
    AdatCursor *cursor;
    AdatEvent event;
    int got;

    CU_ASSERT_EQUAL_FATAL(adat_cursor_create_set(set, NULL, &cursor), 0);
    while ((got = adat_cursor_next(cursor, &event)) > 0) {
        uint32_t thread = event.thread->thread.thread;

        CU_ASSERT_FATAL(thread < 4);
        CU_ASSERT(event.time_ns >= last);
        CU_ASSERT(event.record >= next[thread]);
        CU_ASSERT_EQUAL(event.event.argument, event.record);
        last = event.time_ns;
        next[thread] = event.record + 1;
        count++;
    }
    CU_ASSERT_EQUAL(got, 0);
    if (vanished_out)
        *vanished_out = adat_cursor_vanished(cursor);
    adat_cursor_destroy(cursor);
    return count;
}

/* ---- sets ------------------------------------------------------------------------------------- */

static void set__one_file__then_it_alone(void)
{
    AdatSet *set = NULL;

    begin_directory();
    make_three();
    CU_ASSERT_EQUAL_FATAL(adat_set_open(path_of("trace-000002.adat"), &set), 0);
    CU_ASSERT_FALSE(adat_set_is_directory(set));
    CU_ASSERT_EQUAL(adat_set_file_count(set), 1);
    CU_ASSERT_EQUAL(adat_set_recording_count(set), 1);
    CU_ASSERT_EQUAL(adat_set_events(set).in_file, 20);
    CU_ASSERT_EQUAL(read_in_order(set, NULL), 20);
    adat_set_close(set);
    end_directory();
}

static void set__files_of_a_recording__then_one_trace(void)
{
    const AdatReader *reader;
    const AdatThreadInfo *thread;
    AdatSet *set;

    begin_directory();
    make_three();
    set = open_set();
    CU_ASSERT_TRUE(adat_set_is_directory(set));
    CU_ASSERT_EQUAL(adat_set_file_count(set), 3);
    CU_ASSERT_EQUAL_FATAL(adat_set_recording_count(set), 1);
    CU_ASSERT_STRING_EQUAL(adat_set_recording(set, 0)->id, FIRST_ID);
    CU_ASSERT_EQUAL(adat_set_recording(set, 0)->missing, 0);
    reader = adat_set_reader(set, 0);
    CU_ASSERT_PTR_NULL(adat_reader_thread(reader, 2));
    CU_ASSERT_PTR_NULL(adat_reader_process(reader, 1));
    thread = adat_reader_thread(reader, 0);
    CU_ASSERT_EQUAL(thread->events.attempted, 37);
    CU_ASSERT_EQUAL(thread->events.in_file, 37);
    CU_ASSERT_TRUE(thread->accounted);
    CU_ASSERT_EQUAL(thread->drain.visits, 9);
    CU_ASSERT_EQUAL(thread->drain.wait_max, 2);
    CU_ASSERT_EQUAL(adat_reader_thread(reader, 1)->events.in_file, 35);
    CU_ASSERT_EQUAL(adat_set_events(set).in_file, 72);
    for (size_t i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(adat_set_file(set, i)->number, i + 1);
        CU_ASSERT_TRUE(adat_set_file(set, i)->info.closed);
    }
    CU_ASSERT_EQUAL(adat_set_file(set, 1)->events.in_file, 20);
    CU_ASSERT_TRUE(adat_reader_info(reader)->closed);
    CU_ASSERT_EQUAL(read_in_order(set, NULL), 72);
    /* From the first anchor of the first file to the last event of thread 1. */
    CU_ASSERT_EQUAL(adat_set_duration(set), 37000);
    adat_set_close(set);
    end_directory();
}

static void set__recorder_killed__then_the_last_file_counts_as_far_as_it_goes(void)
{
    FileShape last = three[2];
    AdatSet *set;

    begin_directory();
    make_three();
    last.unclosed = true;
    unlink(path_of("trace-000003.adat"));
    make_file("trace-000003.adat.partial", &last);
    write_file("trace-000004.adat.partial", "", 0); /* it was just begun */
    set = open_set();
    CU_ASSERT_EQUAL(adat_set_file_count(set), 3);
    CU_ASSERT_EQUAL(adat_set_left_out(set).empty, 1);
    CU_ASSERT_FALSE(adat_reader_info(adat_set_reader(set, 0))->closed);
    CU_ASSERT_FALSE(adat_reader_thread(adat_set_reader(set, 0), 0)->accounted);
    CU_ASSERT_EQUAL(adat_set_events(set).in_file, 72);
    CU_ASSERT_EQUAL(read_in_order(set, NULL), 72);
    adat_set_close(set);
    end_directory();
}

static void set__other_things_in_the_directory__then_left_alone(void)
{
    size_t size;
    uint8_t *bytes;
    AdatSet *set;
    int fd;

    begin_directory();
    make_three();
    write_file("notes.txt", "x", 1);
    write_file("trace-000001.adat.gz.partial", "x", 1); /* it is being compressed */
    CU_ASSERT_EQUAL(mkdir(path_of("folder.adat"), 0700), 0);
    CU_ASSERT_EQUAL(mkfifo(path_of("pipe.adat"), 0600), 0);
    CU_ASSERT_EQUAL(symlink("trace-000001.adat", path_of("link.adat")), 0);
    write_file("script.adat", "#!/bin/sh\n", 10);
    write_file("stub.adat", "ADAT", 4);
    fd = open(path_of("trace-000002.adat"), O_RDONLY | O_CLOEXEC);
    bytes = file_content(fd, &size);
    write_file("copy.adat.partial", bytes, size);
    free(bytes);
    close(fd);

    set = open_set();
    CU_ASSERT_EQUAL(adat_set_left_out(set).foreign, 1);
    CU_ASSERT_EQUAL(adat_set_left_out(set).copies, 1);
    CU_ASSERT_EQUAL(adat_set_left_out(set).vanished, 0);
    CU_ASSERT_EQUAL(adat_set_recording_count(set), 1);
    CU_ASSERT_EQUAL_FATAL(adat_set_file_count(set), 7);
    /* Those with errors come last, by name. */
    CU_ASSERT_STRING_EQUAL(adat_set_file(set, 1)->name, "trace-000002.adat");
    CU_ASSERT_EQUAL(adat_set_file(set, 3)->error, -ENOTSUP);
    CU_ASSERT_EQUAL(adat_set_file(set, 4)->error, -ENOTSUP);
    CU_ASSERT_EQUAL(adat_set_file(set, 5)->error, -EINVAL);
    CU_ASSERT_EQUAL(adat_set_file(set, 6)->error, -ENODATA);
    CU_ASSERT_EQUAL(adat_set_file(set, 6)->recording, SIZE_MAX);
    CU_ASSERT_EQUAL(adat_set_events(set).in_file, 72);
    adat_set_close(set);
    end_directory();
}

static void set__nothing_to_read__then_said(void)
{
    AdatSet *set = NULL;

    begin_directory();
    CU_ASSERT_EQUAL(adat_set_open(set_directory, &set), -EISDIR);
    CU_ASSERT_EQUAL(adat_set_open(path_of("none"), &set), -ENOENT);
    CU_ASSERT_EQUAL(adat_set_open("/dev/null", &set), -ENOTSUP);
    write_file("script.adat", "#!/bin/sh\n", 10);
    CU_ASSERT_EQUAL(adat_set_open(path_of("script.adat"), &set), -EINVAL);
    set = open_set();
    CU_ASSERT_EQUAL(adat_set_recording_count(set), 0);
    CU_ASSERT_EQUAL(adat_set_file(set, 0)->error, -EINVAL);
    adat_set_close(set);
    end_directory();
}

static void set__files_missing__then_their_numbers_are_told(void)
{
    static const uint32_t numbers[] = {3, 4, 7};
    AdatSet *set;

    begin_directory();
    for (uint32_t i = 0; i < 3; i++) {
        FileShape shape = three[i];
        char name[32];

        shape.number = numbers[i];
        snprintf(name, sizeof(name), "trace-%06u.adat", numbers[i]);
        make_file(name, &shape);
    }
    set = open_set();
    CU_ASSERT_EQUAL(adat_set_recording(set, 0)->first_number, 3);
    CU_ASSERT_EQUAL(adat_set_recording(set, 0)->last_number, 7);
    CU_ASSERT_EQUAL(adat_set_recording(set, 0)->missing, 4);
    CU_ASSERT_EQUAL(adat_set_file(set, 0)->missing_before, 2);
    CU_ASSERT_EQUAL(adat_set_file(set, 0)->missing_first, 1);
    CU_ASSERT_EQUAL(adat_set_file(set, 1)->missing_before, 0);
    CU_ASSERT_EQUAL(adat_set_file(set, 2)->missing_before, 2);
    CU_ASSERT_EQUAL(adat_set_file(set, 2)->missing_first, 5);
    adat_set_close(set);
    end_directory();
}

static void set__hundreds_of_files__then_few_descriptors(void)
{
    enum { FILES = 300 };
    size_t before = open_descriptors();
    AdatSet *set;

    begin_directory();
    for (uint32_t i = 0; i < FILES; i++) {
        const FileShape shape = {FIRST_ID, i + 1, .boot_ns = SAMPLE_REALTIME,
                                 .parts = {{.thread = 1, .first = 10 * i, .count = 10}}};
        char name[32];

        snprintf(name, sizeof(name), "trace-%06u.adat", i + 1);
        make_file(name, &shape);
    }
    set = open_set();
    CU_ASSERT(open_descriptors() <= before + ADAT_SET_HELD + 1);
    CU_ASSERT_EQUAL(adat_set_events(set).in_file, 10 * FILES);
    CU_ASSERT_EQUAL(read_in_order(set, NULL), 10 * FILES);
    adat_set_close(set);
    CU_ASSERT_EQUAL(open_descriptors(), before);
    end_directory();
}

/* What was opened stays readable; of other files, those that have another name by now are found, and others are told of. */
static void set__files_removed_and_renamed_after_opening__then_others_go_on(void)
{
    enum { FILES = 140 };
    uint64_t vanished = 0;
    AdatSet *set;

    begin_directory();
    for (uint32_t i = 0; i < FILES; i++) {
        const FileShape shape = {FIRST_ID, i + 1, .boot_ns = SAMPLE_REALTIME,
                                 .parts = {{.thread = 1, .first = 10 * i, .count = 10}}};
        char name[40];

        snprintf(name, sizeof(name), "trace-%06u.adat%s", i + 1, i == FILES - 1 ? ".partial" : "");
        make_file(name, &shape);
    }
    set = open_set();
    unlink(path_of("trace-000001.adat"));
    unlink(path_of("trace-000130.adat"));
    make_file("trace-000131.adat", &three[0]); /* another one */
    char *complete = strdup(path_of("trace-000140.adat"));
    CU_ASSERT_EQUAL(rename(path_of("trace-000140.adat.partial"), complete), 0);
    free(complete);
    CU_ASSERT_EQUAL(read_in_order(set, &vanished), 10 * (FILES - 2));
    CU_ASSERT_EQUAL(vanished, 20);
    adat_set_close(set);
    end_directory();
}

static void set__no_memory__then_enomem_and_nothing_leaks(void)
{
    AdatSet *set = NULL;
    int error = -ENOMEM;
    long tries = 0;

    begin_directory();
    make_three();
    for (; error == -ENOMEM && tries < 1000; tries++) {
        allocations = tries;
        error = adat_set_open(set_directory, &set);
    }
    allocations = -1;
    CU_ASSERT_EQUAL_FATAL(error, 0);
    CU_ASSERT(tries > 5);
    CU_ASSERT_EQUAL(adat_set_events(set).in_file, 72);
    adat_set_close(set);
    end_directory();
}

/* ---- compressed files ------------------------------------------------------------------------- */

/* Replaces a file by NAME.gz; of the compressed bytes only so many are kept. */
static void compress_file(const char *name, size_t keep)
{
    char compressed[64];
    int fd = open(path_of(name), O_RDONLY | O_CLOEXEC);
    size_t size;
    uint8_t *bytes = file_content(fd, &size);
    gzFile out;

    close(fd);
    unlink(path_of(name));
    snprintf(compressed, sizeof(compressed), "%s.gz", name);
    out = gzopen(path_of(compressed), "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CU_ASSERT_EQUAL(gzwrite(out, bytes, (unsigned)size), (int)size);
    gzclose(out);
    free(bytes);
    if (keep > 0)
        CU_ASSERT_EQUAL(truncate(path_of(compressed), (off_t)keep), 0);
}

static void set__compressed_files__then_the_same_trace(void)
{
    size_t before = open_descriptors();
    AdatSet *set = NULL;

    begin_directory();
    make_three();
    compress_file("trace-000001.adat", 0);
    compress_file("trace-000002.adat", 0);
    set = open_set();
    CU_ASSERT_TRUE(adat_set_file(set, 0)->compressed);
    CU_ASSERT_FALSE(adat_set_file(set, 2)->compressed);
    CU_ASSERT_EQUAL(adat_set_events(set).in_file, 72);
    CU_ASSERT_EQUAL(read_in_order(set, NULL), 72);
    adat_set_close(set);
    CU_ASSERT_EQUAL_FATAL(adat_set_open(path_of("trace-000002.adat.gz"), &set), 0);
    CU_ASSERT_EQUAL(read_in_order(set, NULL), 20);
    adat_set_close(set);
    CU_ASSERT_EQUAL(open_descriptors(), before);
    end_directory();
}

/* Only some are held open; the others are decompressed again, also if they are compressed only after they were first read. */
static void set__many_compressed_files__then_read_one_after_the_other(void)
{
    enum { FILES = 20 };
    uint64_t vanished = 0;
    AdatSet *set;

    begin_directory();
    for (uint32_t i = 0; i < FILES; i++) {
        const FileShape shape = {FIRST_ID, i + 1, .boot_ns = SAMPLE_REALTIME,
                                 .parts = {{.thread = 1, .first = 10 * i, .count = 10}}};
        char name[32];

        snprintf(name, sizeof(name), "trace-%06u.adat", i + 1);
        make_file(name, &shape);
        if (i < FILES - 1)
            compress_file(name, 0);
    }
    set = open_set();
    compress_file("trace-000020.adat", 0);
    unlink(path_of("trace-000010.adat.gz"));
    CU_ASSERT_EQUAL(read_in_order(set, &vanished), 10 * (FILES - 1));
    CU_ASSERT_EQUAL(vanished, 10);
    adat_set_close(set);
    end_directory();
}

static void set__compressed_file_cut_off__then_what_comes_before(void)
{
    AdatSet *set;
    struct stat whole;

    begin_directory();
    make_three();
    compress_file("trace-000003.adat", 0);
    CU_ASSERT_EQUAL_FATAL(stat(path_of("trace-000003.adat.gz"), &whole), 0);
    CU_ASSERT_EQUAL(truncate(path_of("trace-000003.adat.gz"), whole.st_size / 2), 0);
    set = open_set();
    CU_ASSERT_EQUAL(adat_set_file(set, 2)->error, 0);
    CU_ASSERT_EQUAL(adat_set_file(set, 2)->info.cut, ADAT_CUT_SHORT);
    CU_ASSERT_EQUAL(adat_set_file(set, 1)->info.cut, ADAT_CUT_NONE);
    CU_ASSERT(read_in_order(set, NULL) >= 35);
    adat_set_close(set);
    end_directory();
}

/* A real file header and 64 MiB of zeros behind it come to 64 KiB: more than a thousandfold. */
static void set__compressed_bomb__then_refused(void)
{
    static uint8_t zeros[1 << 20];
    AdatSet *set = NULL;
    gzFile out;
    uint8_t *bytes;
    size_t size;
    int fd;

    begin_directory();
    make_three();
    fd = open(path_of("trace-000001.adat"), O_RDONLY | O_CLOEXEC);
    bytes = file_content(fd, &size);
    close(fd);
    unlink(path_of("trace-000001.adat"));
    out = gzopen(path_of("trace-000001.adat.gz"), "wb");
    CU_ASSERT_EQUAL(gzwrite(out, bytes, (unsigned)size), (int)size);
    for (int i = 0; i < 64; i++)
        CU_ASSERT_EQUAL(gzwrite(out, zeros, sizeof(zeros)), (int)sizeof(zeros));
    gzclose(out);
    free(bytes);
    CU_ASSERT_EQUAL(adat_set_open(path_of("trace-000001.adat.gz"), &set), -EFBIG);
    set = open_set();
    CU_ASSERT_EQUAL(adat_set_file(set, 0)->error, -EFBIG);
    CU_ASSERT_EQUAL(read_in_order(set, NULL), 57);
    adat_set_close(set);
    end_directory();
}

/* ---- several recordings ----------------------------------------------------------------------- */

/* When the second recording's only tick came, in ns after the first recording's first anchor. */
static int64_t second_recording_at(uint64_t boot_ns, uint64_t begins_ns)
{
    const FileShape second = {SECOND_ID, 1, .boot_ns = boot_ns, .begins_ns = begins_ns,
                              .parts = {{.thread = 3, .first = 0, .count = 1}}};
    const AdatReader *reader;
    AdatCursor *cursor;
    AdatEvent event;
    int64_t time = -1;
    uint64_t realtime = 0;
    AdatSet *set;

    begin_directory();
    make_three();
    make_file("later-000001.adat", &second);
    set = open_set();
    CU_ASSERT_EQUAL_FATAL(adat_set_recording_count(set), 2);
    CU_ASSERT_STRING_EQUAL(adat_set_recording(set, 1)->id, SECOND_ID);
    CU_ASSERT_EQUAL(adat_set_file(set, 3)->recording, 1);
    CU_ASSERT_EQUAL_FATAL(adat_cursor_create_set(set, NULL, &cursor), 0);
    while (adat_cursor_next(cursor, &event) > 0) {
        if (event.thread->thread.thread != 3)
            continue;
        reader = event.reader;
        CU_ASSERT_PTR_EQUAL(reader, adat_set_reader(set, 1));
        time = event.time_ns;
        realtime = adat_reader_realtime(reader, time);
    }
    /* Whatever the line, the time of day is the recording's own. */
    CU_ASSERT_EQUAL(realtime, boot_ns + SAMPLE_MONOTONIC + begins_ns + 1000);
    adat_cursor_destroy(cursor);
    adat_set_close(set);
    end_directory();
    return time;
}

static void set__two_recordings__then_on_one_line_of_time(void)
{
    CU_ASSERT_EQUAL(second_recording_at(SAMPLE_REALTIME, 5 * NS_PER_S), (int64_t)(5 * NS_PER_S + 1000));
    /* The clock was set a little, or back: the monotonic one is the better one. */
    CU_ASSERT_EQUAL(second_recording_at(SAMPLE_REALTIME + NS_PER_S / 2, 5 * NS_PER_S),
                    (int64_t)(5 * NS_PER_S + 1000));
    CU_ASSERT_EQUAL(second_recording_at(SAMPLE_REALTIME - 9 * NS_PER_S, 5 * NS_PER_S),
                    (int64_t)(5 * NS_PER_S + 1000));
    /* The machine was started anew, an hour later and with less time since, or more. */
    CU_ASSERT_EQUAL(second_recording_at(SAMPLE_REALTIME + 3600 * NS_PER_S, 0 - NS_PER_S),
                    (int64_t)(3599 * NS_PER_S + 1000));
    CU_ASSERT_EQUAL(second_recording_at(SAMPLE_REALTIME + 3600 * NS_PER_S, NS_PER_S),
                    (int64_t)(3601 * NS_PER_S + 1000));
    /* So far apart that no line holds both: only no overflow. */
    (void)second_recording_at(UINT64_C(1) << 61, UINT64_C(1) << 60);
}

static const TestCase tests[] = {
    TEST(set__one_file__then_it_alone),
    TEST(set__files_of_a_recording__then_one_trace),
    TEST(set__recorder_killed__then_the_last_file_counts_as_far_as_it_goes),
    TEST(set__other_things_in_the_directory__then_left_alone),
    TEST(set__nothing_to_read__then_said),
    TEST(set__files_missing__then_their_numbers_are_told),
    TEST(set__hundreds_of_files__then_few_descriptors),
    TEST(set__files_removed_and_renamed_after_opening__then_others_go_on),
    TEST(set__no_memory__then_enomem_and_nothing_leaks),
    TEST(set__compressed_files__then_the_same_trace),
    TEST(set__many_compressed_files__then_read_one_after_the_other),
    TEST(set__compressed_file_cut_off__then_what_comes_before),
    TEST(set__compressed_bomb__then_refused),
    TEST(set__two_recordings__then_on_one_line_of_time),
};
TEST_MAIN("adat_set", tests)
