/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "set_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

/* ---- a directory ------------------------------------------------------------------------------ */

char set_directory[64];

void begin_directory(void)
{
    snprintf(set_directory, sizeof(set_directory), "/tmp/test_adat_set.XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(set_directory));
}

const char *path_of(const char *name)
{
    static char path[512];

    snprintf(path, sizeof(path), "%s/%s", set_directory, name);
    return path;
}

void end_directory(void)
{
    DIR *stream = opendir(set_directory);
    const struct dirent *entry;

    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    while ((entry = readdir(stream)))
        if (entry->d_name[0] != '.')
            (void)(unlink(path_of(entry->d_name)) == 0 || rmdir(path_of(entry->d_name)) == 0);
    closedir(stream);
    CU_ASSERT_EQUAL(rmdir(set_directory), 0);
}

void write_file(const char *name, const void *bytes, size_t size)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

size_t open_descriptors(void)
{
    DIR *stream = opendir("/proc/self/fd");
    size_t count = 0;

    while (readdir(stream))
        count++;
    closedir(stream);
    return count;
}

/* ---- files of recordings ---------------------------------------------------------------------- */

static uint64_t tick_time(const FileShape *shape, uint64_t number)
{
    return SAMPLE_MONOTONIC + shape->begins_ns + 1000 * (number + 1);
}

static void put_session(AdatWriter *writer, const FileShape *shape)
{
    char text[128];
    int size = 0;

    if (!shape->recording)
        return;
    size = snprintf(text, sizeof(text), "recording%c%s%cfile_number%c%u", 0, shape->recording, 0, 0,
                    shape->number);
    sample_put(writer, &(AdatBlockHeader){.type = ADAT_BLOCK_SESSION}, text, (size_t)size + 1);
}

static void put_anchor(AdatWriter *writer, const FileShape *shape, uint64_t monotonic)
{
    sample_put_clock(writer, 0, monotonic, shape->boot_ns + monotonic);
}

static void put_thread(AdatWriter *writer, const ThreadPart *part)
{
    struct {
        AdatThread thread;
        AdatThreadStart start;
    } payload = {
        .thread = {.thread = part->thread,
                   .process = 1,
                   .tid = 100 + part->thread,
                   .slot = part->thread,
                   .generation = 1,
                   .registered_at = 7,
                   .name = "worker"},
        .start = {.first_record = {part->first, 0}},
    };
    size_t size = part->first > 0 ? sizeof(payload) : sizeof(payload.thread);

    sample_put(writer, &(AdatBlockHeader){.type = ADAT_BLOCK_THREAD, .process = 1, .thread = part->thread},
               &payload, size);
}

static void put_ticks(AdatWriter *writer, const FileShape *shape, const ThreadPart *part)
{
    AdaIndexEvent events[32] = {0};

    CU_ASSERT_FATAL(part->count <= 32);
    for (uint32_t i = 0; i < part->count; i++)
        events[i] = (AdaIndexEvent){.timestamp = tick_time(shape, part->first + part->skipped + i),
                                    .id = SAMPLE_TICK,
                                    .argument = part->first + part->skipped + i,
                                    .word = ADA_WORD(ADA_KIND_INSTANT, 0, 0)};
    if (part->count > 0)
        sample_put_index(writer, 1, part->thread, part->first + part->skipped, events, part->count, NULL);
}

static void put_process(AdatWriter *writer)
{
    const AdatProcess process = {
        .process = 1, .pid = SAMPLE_PID, .clock_kind = ADA_CLOCK_MONOTONIC, .started_at = 5};

    sample_put(writer, &(AdatBlockHeader){.type = ADAT_BLOCK_PROCESS, .process = 1}, &process, sizeof(process));
}

static void put_parts(AdatWriter *writer, const FileShape *shape)
{
    AdatLedgerEntry entries[3];
    size_t count = 0;

    for (const ThreadPart *part = shape->parts; part->thread; part++) {
        put_thread(writer, part);
        put_ticks(writer, shape, part);
        entries[count] = sample_ledger_entry(1, part->thread, ADA_LANE_INDEX, part->count);
        entries[count].dropped_full = part->lost;
        entries[count++].attempted += part->lost;
    }
    if (!shape->unclosed)
        sample_put_ledger(writer, ADAT_FLAG_FINAL, NULL, entries, count);
}

void make_file(const char *name, const FileShape *shape)
{
    int fd = open(path_of(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    uint64_t begins = SAMPLE_MONOTONIC + shape->begins_ns;
    AdatWriter *writer;

    CU_ASSERT_FATAL(fd >= 0);
    writer = sample_writer(fd);
    put_session(writer, shape);
    put_anchor(writer, shape, begins); /* that of the recording is in each of its files */
    if (shape->number > 1)
        put_anchor(writer, shape, begins + shape->number);
    put_process(writer);
    sample_put_descriptors(writer, 1);
    put_parts(writer, shape);
    CU_ASSERT_EQUAL(shape->unclosed ? adat_writer_flush(writer) : adat_writer_finish(writer), 0);
    adat_writer_destroy(writer);
}

/* Three files of a recording: thread 1 is in all of them, thread 2 in the first and the last. */
const FileShape three[3] = {
    {FIRST_ID, 1, .boot_ns = SAMPLE_REALTIME,
     .parts = {{.thread = 1, .first = 0, .count = 10}, {.thread = 2, .first = 0, .count = 5}}},
    {FIRST_ID, 2, .boot_ns = SAMPLE_REALTIME, .parts = {{.thread = 1, .first = 10, .count = 20}}},
    {FIRST_ID, 3, .boot_ns = SAMPLE_REALTIME,
     .parts = {{.thread = 1, .first = 30, .count = 7}, {.thread = 2, .first = 5, .count = 30}}},
};

void make_three(void)
{
    make_file("trace-000001.adat", &three[0]);
    make_file("trace-000002.adat", &three[1]);
    make_file("trace-000003.adat", &three[2]);
}
