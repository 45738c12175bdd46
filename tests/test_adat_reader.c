/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adat_check.h"
#include "test_support.h"
#include "user/file/crc.h"
#include "user/reader/adat_cursor.h"
#include "user/reader/adat_verify.h"

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

static const SampleShape small = {.threads = 2, .events = 8, .block_events = 4};
static const SampleShape whole = {
    .threads = 2, .events = 8, .block_events = 4, .part_entries = 4, .ended = true, .marked = true};

static int open_bytes(const void *bytes, size_t size)
{
    int fd = sample_file();
    AdatReader *reader = NULL;
    int err;

    set_content(fd, bytes, size);
    err = adat_reader_open(sample_path(fd), &reader);
    adat_reader_close(reader);
    close(fd);
    return err;
}

static void seal_file_header(AdatFileHeader *header)
{
    header->crc32 = 0;
    header->crc32 = adat_crc32(0, header, sizeof(*header));
}

/* ---- opening ----------------------------------------------------------------------------------- */

static void open__not_a_trace__then_says_what_it_is(void)
{
    AdatReader *reader = NULL;
    AdatFileHeader header = {0};

    CU_ASSERT_EQUAL(adat_reader_open("/nonexistent/x.adat", &reader), -ENOENT);
    CU_ASSERT_EQUAL(adat_reader_open("/", &reader), -EISDIR);
    CU_ASSERT_EQUAL(adat_reader_open("/dev/null", &reader), -ENOTSUP);
    CU_ASSERT_EQUAL(open_bytes("", 0), -ENODATA);
    CU_ASSERT_EQUAL(open_bytes("#!/bin/sh\n", 10), -EINVAL);
    CU_ASSERT_EQUAL(open_bytes("ADA", 3), -ENODATA);
    CU_ASSERT_EQUAL(open_bytes(&header, sizeof(header)), -EINVAL);
    memcpy(header.magic, ADAT_MAGIC, 8);
    CU_ASSERT_EQUAL(open_bytes(&header, sizeof(header) - 1), -ENODATA);
    CU_ASSERT_EQUAL(open_bytes(&header, sizeof(header)), -EBADMSG);
    CU_ASSERT_PTR_NULL(reader);
    adat_reader_close(NULL);
}

static void open__header_of_other_versions__then_judged_by_oldest_compatible(void)
{
    AdatFileHeader header = {
        .major = ADAT_MAJOR + 7, .oldest_compatible = ADAT_MAJOR + 1, .header_bytes = sizeof(header)};

    memcpy(header.magic, ADAT_MAGIC, 8);
    seal_file_header(&header);
    CU_ASSERT_EQUAL(open_bytes(&header, sizeof(header)), -EPROTONOSUPPORT);
    header.major = ADAT_OLDEST_READ - 1;
    header.oldest_compatible = 1;
    seal_file_header(&header);
    CU_ASSERT_EQUAL(open_bytes(&header, sizeof(header)), -EPROTONOSUPPORT);
    header.major = ADAT_MAJOR + 7;
    header.oldest_compatible = ADAT_MAJOR;
    seal_file_header(&header);
    CU_ASSERT_EQUAL(open_bytes(&header, sizeof(header)), 0);
    header.header_bytes = 63;
    seal_file_header(&header);
    CU_ASSERT_EQUAL(open_bytes(&header, sizeof(header)), -EBADMSG);
    header.header_bytes = 100;
    seal_file_header(&header);
    CU_ASSERT_EQUAL(open_bytes(&header, sizeof(header)), -EBADMSG);
    header.header_bytes = UINT32_MAX - 7;
    seal_file_header(&header);
    CU_ASSERT_EQUAL(open_bytes(&header, sizeof(header)), -ENODATA);
}

static void open__any_error__then_has_a_text(void)
{
    static const int errors[] = {-EINVAL, -ENODATA, -EBADMSG, -EPROTONOSUPPORT, -EISDIR, -ENOTSUP,
                                 -ENOENT, -EACCES,  -EIO};

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        CU_ASSERT(strlen(adat_reader_error_text(errors[i])) > 5);
    for (int i = 0; i < ADAT_CUT_COUNT; i++)
        CU_ASSERT(strlen(adat_cut_text((AdatCut)i)) > 5);
    CU_ASSERT_STRING_EQUAL(adat_cut_text(ADAT_CUT_COUNT), "unknown");
}

static void open__no_memory__then_enomem_and_nothing_leaks(void)
{
    int fd = sample_trace(&whole, -1);
    AdatReader *reader = NULL;
    int err = -ENOMEM;

    for (long i = 0; err == -ENOMEM && i < 1000; i++) {
        allocations = i;
        err = adat_reader_open(sample_path(fd), &reader);
        CU_ASSERT(err == -ENOMEM || err == 0);
    }
    CU_ASSERT_EQUAL(err, 0);
    CU_ASSERT(allocations < 5);
    for (long i = 0; i < 2; i++) {
        AdatVerdict verdict = {0};

        allocations = i;
        err = adat_verify(reader, &verdict);
        CU_ASSERT_EQUAL(err, i == 0 ? -ENOMEM : 0);
        adat_verdict_fini(&verdict);
    }
    allocations = -1;
    CU_ASSERT_EQUAL(count_problems(reader), 0);
    adat_reader_close(reader);
    close(fd);
}

/* ---- what is in a file ------------------------------------------------------------------------- */

static void reader__whole_trace__then_everything_is_found(void)
{
    int fd = sample_trace(&small, -1);
    AdatReader *reader = open_trace(fd);
    const AdatFileInfo *info = adat_reader_info(reader);
    const AdatProcessInfo *process = adat_reader_process(reader, 0);
    const AdatThreadInfo *thread = adat_reader_thread(reader, 1);
    AdatAccount account = adat_reader_events(reader);

    CU_ASSERT_TRUE(info->closed);
    CU_ASSERT_TRUE(info->has_ledger);
    CU_ASSERT_EQUAL(info->cut, ADAT_CUT_NONE);
    CU_ASSERT_EQUAL(info->valid_bytes, info->file_bytes);
    CU_ASSERT_STRING_EQUAL(adat_strings_find(adat_reader_session(reader), "command"), "app --fast");
    CU_ASSERT_STRING_EQUAL(adat_strings_find(adat_reader_session(reader), "host"), "box");
    CU_ASSERT_PTR_NULL(adat_strings_find(adat_reader_session(reader), "colour"));

    CU_ASSERT_PTR_NOT_NULL_FATAL(process);
    CU_ASSERT_EQUAL(process->process.pid, SAMPLE_PID);
    CU_ASSERT_STRING_EQUAL(adat_strings_find(process->strings, "program"), "/usr/bin/app");
    CU_ASSERT_TRUE(process->died);
    CU_ASSERT_EQUAL(process->death.code, 3);
    CU_ASSERT_PTR_NULL(adat_reader_process(reader, 1));

    CU_ASSERT_PTR_NOT_NULL_FATAL(thread);
    CU_ASSERT_STRING_EQUAL(thread->thread.name, "worker-1");
    CU_ASSERT_EQUAL(thread->thread.tid, SAMPLE_PID + 1);
    CU_ASSERT_EQUAL(thread->process, 0);
    CU_ASSERT_EQUAL(thread->events.in_file, 8);
    CU_ASSERT_EQUAL(thread->detail.in_file, 1);
    CU_ASSERT_PTR_NULL(adat_reader_thread(reader, 2));

    CU_ASSERT_EQUAL(account.attempted, 16);
    CU_ASSERT_EQUAL(account.in_file, 16);
    CU_ASSERT_EQUAL(adat_reader_detail(reader).in_file, 2);
    CU_ASSERT_EQUAL(adat_reader_duration(reader), 2800);
    CU_ASSERT_EQUAL(adat_reader_clock_quality(reader), ADAT_CLOCK_ANCHORED);
    CU_ASSERT_EQUAL(count_problems(reader), 0);
    adat_reader_close(reader);
    close(fd);
}

static void reader__recorder_killed__then_accounts_come_from_the_blocks(void)
{
    const AdatBlockHeader losses = {
        .dropped_full = 5, .dropped_nested = 1, .dropped_io = 2, .recycled = 3, .first_time = 1};
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    AdatReader *reader;
    AdatAccount account;

    sample_put_index(writer, 1, 1, 0, ticks_from(SAMPLE_MONOTONIC, 4), 4, NULL);
    sample_put_ledger(writer, 0, NULL,
                      &(AdatLedgerEntry){.process = 1, .thread = 1, .attempted = 4, .in_file = 4}, 1);
    sample_put_index(writer, 1, 1, 6, ticks_from(SAMPLE_MONOTONIC + 10, 4), 4, &losses);
    end_unclosed(writer);

    reader = open_trace(fd);
    account = adat_reader_events(reader);
    CU_ASSERT_FALSE(adat_reader_info(reader)->closed);
    CU_ASSERT_FALSE(adat_reader_info(reader)->has_ledger);
    CU_ASSERT_EQUAL(account.in_file, 8);
    CU_ASSERT_EQUAL(account.dropped_full, 5);
    CU_ASSERT_EQUAL(account.attempted, 8 + 5 + 1 + 2 + 3);
    CU_ASSERT_EQUAL(count_problems(reader), 0);
    adat_reader_close(reader);
    close(fd);
}

static void expect_thread_drain(const AdatThreadInfo *thread, bool accounted)
{
    CU_ASSERT_EQUAL(thread->accounted, accounted);
    CU_ASSERT_EQUAL(thread->drain.visits, accounted ? 3 : 0);
    CU_ASSERT_EQUAL(thread->drain.skips, accounted ? 1 : 0);
    CU_ASSERT_EQUAL(thread->drain.bytes, accounted ? 256 : 0);
    CU_ASSERT_EQUAL(thread->drain.wait_total, accounted ? 4 : 0);
    CU_ASSERT_EQUAL(thread->drain.wait_max, accounted ? 2 : 0);
}

static void reader__threads_accounted_in_several_ledgers__then_all_are_exact(void)
{
    int fd = sample_trace(&whole, -1);
    AdatReader *reader = open_trace(fd);

    CU_ASSERT_TRUE(adat_reader_info(reader)->closed);
    CU_ASSERT_TRUE(adat_reader_info(reader)->has_ledger);
    CU_ASSERT_EQUAL(adat_reader_events(reader).in_file, 16);
    expect_thread_drain(adat_reader_thread(reader, 0), true);
    expect_thread_drain(adat_reader_thread(reader, 1), true);
    CU_ASSERT_EQUAL(read_everything(reader), 16);
    CU_ASSERT_EQUAL(count_problems(reader), 0);
    adat_reader_close(reader);
    close(fd);
}

/* Thread 1 was done with; of thread 2 the blocks are known, and what the recorder last saw of it. */
static void reader__recorder_killed_after_a_thread_ended__then_its_account_is_exact(void)
{
    const AdatBlockHeader losses = {.dropped_full = 5};
    AdatLedgerEntry ended[2] = {sample_ledger_entry(1, 1, ADA_LANE_INDEX, 8),
                                sample_ledger_entry(1, 1, ADA_LANE_DETAIL, 0)};
    AdatLedgerEntry looks[] = {
        sample_ledger_entry(1, 2, ADA_LANE_INDEX, 3),  /* outdated */
        sample_ledger_entry(1, 1, ADA_LANE_INDEX, 99), /* of a lane whose account was closed */
        sample_ledger_entry(1, 7, ADA_LANE_INDEX, 99), /* of a thread that is not in the file */
        sample_ledger_entry(1, 2, 9, 99),              /* of no lane */
        sample_ledger_entry(1, 2, ADA_LANE_INDEX, 3),
        sample_ledger_entry(1, 2, ADA_LANE_DETAIL, 0),
    };
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    AdatReader *reader;
    const AdatThreadInfo *thread;

    sample_put_thread(writer, 2, 1, 2, "two");
    sample_put_index(writer, 1, 1, 0, ticks_from(SAMPLE_MONOTONIC, 8), 8, &losses);
    sample_put_index(writer, 1, 2, 0, ticks_from(SAMPLE_MONOTONIC, 4), 4, &losses);
    ended[0].dropped_full = 9;
    ended[0].attempted = 17;
    ended[1].recycled_unmarked = ended[1].attempted = 6;
    sample_put_ledger(writer, ADAT_FLAG_CLOSED, NULL, ended, 2);
    looks[4].dropped_full = 7;
    looks[4].pending = 20;
    looks[4].attempted = 30;
    looks[5].recycled_unmarked = looks[5].attempted = 2;
    sample_put_ledger(writer, 0, NULL, looks, 4);
    sample_put_ledger(writer, 0, NULL, looks + 4, 2);
    end_unclosed(writer);

    reader = open_trace(fd);
    CU_ASSERT_FALSE(adat_reader_info(reader)->has_ledger);
    thread = adat_reader_thread(reader, 0);
    expect_thread_drain(thread, true);
    CU_ASSERT_EQUAL(thread->events.dropped_full, 9);
    CU_ASSERT_EQUAL(thread->events.attempted, 17);
    CU_ASSERT_EQUAL(thread->detail.recycled_unmarked, 6);
    thread = adat_reader_thread(reader, 1);
    expect_thread_drain(thread, false);
    CU_ASSERT_TRUE(thread->observed);
    CU_ASSERT_EQUAL(thread->events.in_file, 4);
    CU_ASSERT_EQUAL(thread->events.dropped_full, 7); /* of the newer look */
    CU_ASSERT_EQUAL(thread->events.attempted, 30);
    CU_ASSERT_EQUAL(thread->events.pending, 30 - 4 - 7); /* recorded, and not here */
    CU_ASSERT_EQUAL(thread->detail.recycled_unmarked, 2);
    CU_ASSERT_EQUAL(count_problems(reader), 0);
    adat_reader_close(reader);
    close(fd);
}

/* As a recorder makes them that sees many short threads. */
static void reader__hundreds_of_ledgers__then_each_thread_has_its_own_account(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    AdatReader *reader;

    for (uint32_t i = 0; i < 600; i++) {
        uint32_t number = i * 7 % 601 + 2; /* not in order */
        AdatLedgerEntry entry = sample_ledger_entry(1, number, ADA_LANE_INDEX, 0);

        entry.dropped_full = entry.attempted = number;
        sample_put_thread(writer, number, 1, number, "short");
        sample_put_ledger(writer, ADAT_FLAG_CLOSED, NULL, &entry, 1);
    }
    end_trace(writer, &(AdatLedgerEntry){.process = 1, .thread = 1}, 1);
    reader = open_trace(fd);
    for (size_t i = 1; i < 600; i++) {
        const AdatThreadInfo *thread = adat_reader_thread(reader, i);

        CU_ASSERT_EQUAL(thread->events.dropped_full, thread->thread.thread);
    }
    CU_ASSERT_EQUAL(count_problems(reader), 0);
    adat_reader_close(reader);
    close(fd);
}

static void reader__thousands_of_snapshots__then_the_last_counts(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    AdatReader *reader;

    sample_put_index(writer, 1, 1, 0, ticks_from(SAMPLE_MONOTONIC, 4), 4, NULL);
    for (uint64_t i = 0; i < 10000; i++) {
        AdatLedgerEntry entry = sample_ledger_entry(1, 1, ADA_LANE_INDEX, 4);

        entry.pending = i;
        entry.attempted = 4 + i;
        sample_put_ledger(writer, 0, NULL, &entry, 1);
    }
    end_unclosed(writer);
    reader = open_trace(fd);
    CU_ASSERT_EQUAL(adat_reader_thread(reader, 0)->events.attempted, 10003);
    CU_ASSERT_EQUAL(adat_reader_thread(reader, 0)->events.pending, 9999);
    adat_reader_close(reader);
    close(fd);
}

static void reader__ledger_names_what_is_not_there__then_ignored(void)
{
    const AdatLedgerEntry entries[] = {
        sample_ledger_entry(9, 0, ADA_LANE_INDEX, 5), /* no such process, */
        sample_ledger_entry(1, 9, ADA_LANE_INDEX, 5), /* thread, */
        sample_ledger_entry(1, 1, 9, 5),              /* lane */
    };
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    AdatReader *reader;

    sample_put_ledger(writer, ADAT_FLAG_CLOSED, NULL, entries, 3);
    end_unclosed(writer);
    reader = open_trace(fd);
    CU_ASSERT_EQUAL(adat_reader_events(reader).attempted, 0);
    CU_ASSERT_EQUAL(count_problems(reader), 3);
    adat_reader_close(reader);
    close(fd);
}

static void drain__ledgers__then_the_last_summary_counts(void)
{
    AdatDrainSummary drain = sample_drain();
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    AdatReader *reader;

    end_unclosed(writer);
    reader = open_trace(fd);
    CU_ASSERT_FALSE(adat_reader_drain(reader, &drain));
    CU_ASSERT_EQUAL(drain.iterations, 77); /* untouched */
    adat_reader_close(reader);
    close(fd);

    fd = sample_file();
    writer = begin_trace(fd);
    sample_put_ledger(writer, ADAT_FLAG_CLOSED, NULL, NULL, 0);
    drain.iterations = 99;
    memset(drain.scheduler, 's', sizeof(drain.scheduler));
    sample_put_ledger(writer, 0, &drain, NULL, 0);
    sample_put(writer, &(AdatBlockHeader){.type = ADAT_BLOCK_LEDGER}, "too short", 9);
    end_unclosed(writer);
    reader = open_trace(fd);
    memset(&drain, 0, sizeof(drain));
    CU_ASSERT_TRUE(adat_reader_drain(reader, &drain));
    CU_ASSERT_EQUAL(drain.iterations, 99);
    CU_ASSERT_EQUAL(drain.latency_p99_ns, 99000);
    CU_ASSERT_STRING_EQUAL(drain.scheduler, "sssssssssssssss");
    adat_reader_close(reader);
    close(fd);
}

static void marks__of_a_thread_a_process_or_nothing__then_sorted_and_connected(void)
{
    static const struct {
        const char *reason;
        int64_t time;
        uint64_t record;
        bool thread, process;
    } expected[] = {
        {"pid 4242", 1250, UINT64_MAX, false, true},
        {"request.ms>0.5", 1300, 3, true, true},
        {"by hand", 1350, UINT64_MAX, false, false},
    };
    SampleShape shape = whole;

    for (unsigned tsc = 0; tsc < 2; tsc++) {
        AdatReader *reader;
        int fd;

        shape.tsc = tsc;
        fd = sample_trace(&shape, -1);
        reader = open_trace(fd);
        CU_ASSERT_EQUAL(adat_reader_mark_count(reader), 3);
        for (size_t i = 0; i < 3; i++) {
            const AdatMarkInfo *mark = adat_reader_mark(reader, i);

            CU_ASSERT_STRING_EQUAL(mark->mark.reason, expected[i].reason);
            CU_ASSERT_EQUAL(mark->time_ns, expected[i].time);
            CU_ASSERT_EQUAL(mark->mark.record, expected[i].record);
            CU_ASSERT_PTR_EQUAL(mark->thread, expected[i].thread ? adat_reader_thread(reader, 0) : NULL);
            CU_ASSERT_PTR_EQUAL(mark->process, expected[i].process ? adat_reader_process(reader, 0) : NULL);
        }
        CU_ASSERT_PTR_NULL(adat_reader_mark(reader, 3));
        adat_reader_close(reader);
        close(fd);
    }
}

static void marks__odd__then_terminated_and_in_the_order_of_the_file(void)
{
    AdatMark mark = {.process = 5, .thread = 6, .timestamp = SAMPLE_MONOTONIC + 3000, .record = 1};
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    AdatReader *reader;

    sample_put(writer, &(AdatBlockHeader){.type = ADAT_BLOCK_MARK}, "short", 5);
    sample_put_mark(writer, &mark);
    memset(mark.reason, 'r', sizeof(mark.reason));
    mark.record = 2;
    sample_put_mark(writer, &mark);
    end_unclosed(writer);
    reader = open_trace(fd);
    CU_ASSERT_EQUAL_FATAL(adat_reader_mark_count(reader), 2);
    CU_ASSERT_EQUAL(adat_reader_mark(reader, 0)->mark.record, 1);
    CU_ASSERT_EQUAL(adat_reader_mark(reader, 1)->mark.record, 2);
    CU_ASSERT_EQUAL(strlen(adat_reader_mark(reader, 1)->mark.reason), sizeof(mark.reason) - 1);
    CU_ASSERT_PTR_NULL(adat_reader_mark(reader, 1)->thread);
    CU_ASSERT_PTR_NULL(adat_reader_mark(reader, 1)->process);
    CU_ASSERT_EQUAL(adat_reader_duration(reader), 3000);
    adat_reader_close(reader);
    close(fd);
}

static void reader__blocks_repeated__then_the_last_counts(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    AdatReader *reader;

    sample_put_thread(writer, 1, 1, SAMPLE_PID, "renamed");
    sample_put_process(writer, 1, 77, ADA_CLOCK_MONOTONIC);
    sample_put_descriptors(writer, 1);
    sample_put_module(writer, 1, 0x1000, 0x1000, "/lib/old.so");
    sample_put_module(writer, 1, 0x1000, 0x1000, "/lib/new.so");
    sample_put_session(writer);
    sample_put_death(writer, 1, ADAT_DEATH_UNKNOWN, 0);
    sample_put_death(writer, 1, ADAT_DEATH_SIGNAL, 9);
    end_unclosed(writer);

    reader = open_trace(fd);
    CU_ASSERT_STRING_EQUAL(adat_reader_thread(reader, 0)->thread.name, "renamed");
    CU_ASSERT_EQUAL(adat_reader_process(reader, 0)->process.pid, 77);
    CU_ASSERT_EQUAL(adat_reader_process(reader, 0)->death.code, 9);
    CU_ASSERT_PTR_NULL(adat_reader_thread(reader, 1));
    CU_ASSERT_PTR_NULL(adat_reader_process(reader, 1));
    CU_ASSERT_STRING_EQUAL(adat_reader_module(reader, 1, 0x1800)->path, "/lib/new.so");
    CU_ASSERT_EQUAL(count_problems(reader), 0);
    adat_reader_close(reader);
    close(fd);
}

static void put_unnamed_module(AdatWriter *writer, uint32_t process, uint64_t base, uint64_t size,
                               const char *path)
{
    const AdatBlockHeader header = {.type = ADAT_BLOCK_MODULES, .process = process};
    AdaModule module = {.ready = 1, .base = base, .size = size};

    (void)snprintf(module.path, sizeof(module.path), "%s", path);
    sample_put(writer, &header, &module, sizeof(module));
}

/* When each was there is not known. */
static void reader__one_module_in_the_place_of_another__then_neither_is_told(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    AdatReader *reader;

    put_unnamed_module(writer, 1, 0x10000, 0x1000, "/lib/one.so");
    put_unnamed_module(writer, 1, 0x10000, 0x1000, "/lib/two.so");
    put_unnamed_module(writer, 1, 0x20000, 0x4000, "/lib/large.so");
    put_unnamed_module(writer, 1, 0x21000, 0x1000, "/lib/within.so");
    put_unnamed_module(writer, 1, 0x23fff, 0x1000, "/lib/over_the_end.so");
    put_unnamed_module(writer, 1, 0x24fff, 0x1000, "/lib/behind.so");
    put_unnamed_module(writer, 1, 0x30000, 0x1000, "/lib/again.so");
    put_unnamed_module(writer, 1, 0x30000, 0x1000, "/lib/again.so");
    put_unnamed_module(writer, 2, 0x20000, 0x4000, "/lib/of_another.so");
    sample_put_module(writer, 1, 0x40000, 0x1000, "/lib/one_name.so");
    sample_put_module(writer, 1, 0x40000, 0x1000, "/lib/another_name.so");
    end_unclosed(writer);

    reader = open_trace(fd);
    CU_ASSERT_PTR_NULL(adat_reader_module(reader, 1, 0x10800));
    CU_ASSERT_PTR_NULL(adat_reader_module(reader, 1, 0x20000));
    CU_ASSERT_PTR_NULL(adat_reader_module(reader, 1, 0x21000));
    CU_ASSERT_PTR_NULL(adat_reader_module(reader, 1, 0x24000));
    CU_ASSERT_PTR_NULL(adat_reader_module(reader, 1, 0x24ffe));
    CU_ASSERT_STRING_EQUAL(adat_reader_module(reader, 1, 0x24fff)->path, "/lib/behind.so");
    CU_ASSERT_STRING_EQUAL(adat_reader_module(reader, 1, 0x30000)->path, "/lib/again.so");
    CU_ASSERT_STRING_EQUAL(adat_reader_module(reader, 2, 0x21000)->path, "/lib/of_another.so");
    CU_ASSERT_STRING_EQUAL(adat_reader_module(reader, 1, 0x40000)->path, "/lib/another_name.so");
    adat_reader_close(reader);
    close(fd);
}

static void reader__kernel_blocks__then_deaths_belong_to_their_threads(void)
{
    const AdatBlockHeader header = {.type = ADAT_BLOCK_KERNEL};
    struct {
        AdatKernelSummary summary;
        AdatKernelThread deaths[2];
    } block = {
        .summary = {.enabled = 1, .lifecycle_attempted = 9, .lifecycle_lost = 2},
        .deaths = {{.process = 1, .thread = 1, .kind = ADAT_DEATH_SIGNAL, .code = 9, .run_ns = 77},
                   {.process = 1, .thread = 5000, .kind = ADAT_DEATH_EXIT}}, /* a thread that is not there */
    };
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    AdatKernelSummary kernel;
    AdatReader *reader;

    sample_put(writer, &header, &block, sizeof(block));
    block.summary = (AdatKernelSummary){.reason = "gone"};
    memset(block.summary.reason, 'x', sizeof(block.summary.reason)); /* does not end */
    sample_put(writer, &header, &block.summary, sizeof(block.summary));
    end_unclosed(writer);

    reader = open_trace(fd);
    CU_ASSERT_TRUE(adat_reader_thread(reader, 0)->died);
    CU_ASSERT_EQUAL(adat_reader_thread(reader, 0)->death.kind, ADAT_DEATH_SIGNAL);
    CU_ASSERT_EQUAL(adat_reader_thread(reader, 0)->death.code, 9);
    CU_ASSERT_EQUAL(adat_reader_thread(reader, 0)->death.run_ns, 77);
    CU_ASSERT_PTR_NULL(adat_reader_thread(reader, 1));
    CU_ASSERT_TRUE(adat_reader_kernel(reader, &kernel));
    CU_ASSERT_EQUAL(kernel.enabled, 0);
    CU_ASSERT_EQUAL(strlen(kernel.reason), sizeof(kernel.reason) - 1);
    adat_reader_close(reader);
    close(fd);
}

static void reader__unknown_block_types__then_skipped(void)
{
    const AdatBlockHeader future = {.type = 999};
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);

    sample_put(writer, &future, "something new", 13);
    sample_put_index(writer, 1, 1, 0, ticks_from(SAMPLE_MONOTONIC, 4), 4, NULL);
    end_trace(writer, &(AdatLedgerEntry){.process = 1, .thread = 1, .attempted = 4, .in_file = 4}, 1);
    expect_verdict(fd, NULL);
}

static void reader__events_without_thread_or_process_blocks__then_still_readable(void)
{
    int fd = sample_file();
    AdatWriter *writer = sample_writer(dup(fd));
    AdatReader *reader;

    sample_put_index(writer, 7, 9, 0, ticks_from(1000, 4), 4, NULL);
    end_unclosed(writer);
    reader = open_trace(fd);
    CU_ASSERT_EQUAL(adat_reader_thread(reader, 0)->thread.thread, 9);
    CU_ASSERT_FALSE(adat_reader_thread(reader, 0)->described);
    CU_ASSERT_FALSE(adat_reader_process(reader, 0)->described);
    CU_ASSERT_EQUAL(adat_reader_clock_quality(reader), ADAT_CLOCK_GUESSED);
    CU_ASSERT_EQUAL(read_everything(reader), 4);
    CU_ASSERT_EQUAL(count_problems(reader), 0); /* killed before it could write them */
    adat_reader_close(reader);
    close(fd);
}

static void strings__odd_payloads__then_terminated_and_bounded(void)
{
    const AdatBlockHeader session = {.type = ADAT_BLOCK_SESSION};
    char many[4096];
    AdatReader *reader;
    AdatWriter *writer;
    int fd;

    /* a key whose value is missing, without a final NUL */
    fd = sample_file();
    writer = sample_writer(dup(fd));
    sample_put(writer, &session, "a\0b\0key", 7);
    end_unclosed(writer);
    reader = open_trace(fd);
    CU_ASSERT_EQUAL(adat_reader_session(reader).count, 2);
    CU_ASSERT_STRING_EQUAL(adat_strings_find(adat_reader_session(reader), "key"), "");
    adat_reader_close(reader);
    close(fd);

    /* thousands of pairs */
    for (size_t i = 0; i < sizeof(many); i++)
        many[i] = i % 2 ? '\0' : 'k';
    fd = sample_file();
    writer = sample_writer(dup(fd));
    sample_put(writer, &session, many, sizeof(many));
    end_unclosed(writer);
    reader = open_trace(fd);
    CU_ASSERT_EQUAL(adat_reader_session(reader).count, 256);
    adat_reader_close(reader);
    close(fd);
}

/* ---- names and fields -------------------------------------------------------------------------- */

static void expect_name(const AdatReader *reader, uint32_t process, uint32_t kind, uint64_t id,
                        const char *expected)
{
    const AdaIndexEvent event = {.id = id, .word = ADA_WORD(kind, 0, 0)};
    char name[ADAT_NAME_MAX];
    size_t length = adat_reader_event_name(reader, process, &event, name);

    CU_ASSERT_STRING_EQUAL(name, expected);
    CU_ASSERT_EQUAL(length, strlen(expected));
}

static void event_name__every_kind__then_named(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    AdatReader *reader;

    sample_put_module(writer, 1, 0x400000, 0x1000, "/usr/bin/app");
    sample_put_module(writer, 1, 0x7f0000, 0x1000, "libc.so.6");
    sample_put_module(writer, 1, 0x900000, 0x1000, "");
    sample_put_module(writer, 2, 0x400000, 0x1000, "");
    end_unclosed(writer);
    reader = open_trace(fd);
    expect_name(reader, 1, ADA_KIND_INSTANT, SAMPLE_TICK, "tick");
    expect_name(reader, 1, ADA_KIND_INSTANT, 99, "event#99");
    expect_name(reader, 2, ADA_KIND_INSTANT, SAMPLE_TICK, "event#1");
    expect_name(reader, 1, ADA_KIND_FUNCTION_ENTRY, 0x400123, "app+0x123");
    expect_name(reader, 1, ADA_KIND_FUNCTION_EXIT, 0x7f0000, "libc.so.6+0x0");
    expect_name(reader, 1, ADA_KIND_FUNCTION_ENTRY, 0x900001, "app+0x1");  /* the program itself */
    expect_name(reader, 1, ADA_KIND_FUNCTION_ENTRY, 0x401000, "0x401000"); /* just beyond the module */
    expect_name(reader, 1, ADA_KIND_FUNCTION_ENTRY, 0x3fffff, "0x3fffff"); /* just before it */
    expect_name(reader, 2, ADA_KIND_FUNCTION_ENTRY, 0x400001, "program+0x1");
    expect_name(reader, 3, ADA_KIND_FUNCTION_ENTRY, 0x400001, "0x400001");
    expect_name(reader, 1, ADA_KIND_FUNCTION_ENTRY, UINT64_MAX, "0xffffffffffffffff");
    adat_reader_close(reader);
    close(fd);
}

static void fields__typed_event__then_decoded_exactly(void)
{
    int fd = sample_trace(&small, -1);
    AdatReader *reader = open_trace(fd);
    const AdaEventDescriptor *descriptor = adat_reader_descriptor(reader, 1, SAMPLE_REQUEST);
    AdatField fields[ADA_EVENT_FIELDS_MAX];
    uint8_t payload[128];
    uint32_t size = sample_request_payload(10, payload);

    CU_ASSERT_PTR_NOT_NULL_FATAL(descriptor);
    CU_ASSERT_EQUAL_FATAL(adat_decode_fields(descriptor, payload, size, fields), 5);
    CU_ASSERT_STRING_EQUAL(fields[0].name, "id");
    CU_ASSERT_EQUAL(fields[0].value.u64, 10);
    CU_ASSERT_EQUAL(fields[1].value.i64, -10);
    CU_ASSERT_EQUAL(fields[2].value.f64, 2.5);
    CU_ASSERT_EQUAL(fields[3].value.u64, 0xdead000a);
    CU_ASSERT_EQUAL(fields[4].type, ADA_TYPE_STRING);
    CU_ASSERT_EQUAL(fields[4].value.string.size, 8);
    CU_ASSERT_EQUAL(memcmp(fields[4].value.string.bytes, "/item/10", 8), 0);
    adat_reader_close(reader);
    close(fd);
}

static void fields__payload_too_short__then_as_many_as_fit(void)
{
    static const size_t whole_fields[] = {
        [0] = 0, [7] = 0, [8] = 1, [16] = 2, [31] = 3, [32] = 4, [35] = 4, [43] = 4, [44] = 5};
    AdaEventDescriptor descriptor = {.field_count = 5};
    AdatField fields[ADA_EVENT_FIELDS_MAX];
    uint8_t payload[128];
    uint32_t huge = UINT32_MAX;

    for (uint8_t i = 0; i < 5; i++)
        descriptor.fields[i].type = (uint8_t)(i + 1);
    sample_request_payload(10, payload);
    for (size_t size = 0; size < sizeof(whole_fields) / sizeof(whole_fields[0]); size++)
        if (size == 0 || whole_fields[size])
            CU_ASSERT_EQUAL(adat_decode_fields(&descriptor, payload, size, fields), whole_fields[size]);
    memcpy(payload + 32, &huge, sizeof(huge));
    CU_ASSERT_EQUAL(adat_decode_fields(&descriptor, payload, sizeof(payload), fields), 4);
    descriptor.fields[2].type = ADA_TYPE_COUNT;
    CU_ASSERT_EQUAL(adat_decode_fields(&descriptor, payload, sizeof(payload), fields), 2);
    descriptor.field_count = UINT32_MAX;
    for (uint32_t i = 0; i < ADA_EVENT_FIELDS_MAX; i++)
        descriptor.fields[i].type = ADA_TYPE_U64;
    CU_ASSERT_EQUAL(adat_decode_fields(&descriptor, payload, sizeof(payload), fields), ADA_EVENT_FIELDS_MAX);
}

static const TestCase tests[] = {
    TEST(open__not_a_trace__then_says_what_it_is),
    TEST(open__header_of_other_versions__then_judged_by_oldest_compatible),
    TEST(open__any_error__then_has_a_text),
    TEST(open__no_memory__then_enomem_and_nothing_leaks),
    TEST(reader__whole_trace__then_everything_is_found),
    TEST(reader__recorder_killed__then_accounts_come_from_the_blocks),
    TEST(reader__threads_accounted_in_several_ledgers__then_all_are_exact),
    TEST(reader__recorder_killed_after_a_thread_ended__then_its_account_is_exact),
    TEST(reader__hundreds_of_ledgers__then_each_thread_has_its_own_account),
    TEST(reader__thousands_of_snapshots__then_the_last_counts),
    TEST(reader__ledger_names_what_is_not_there__then_ignored),
    TEST(drain__ledgers__then_the_last_summary_counts),
    TEST(marks__of_a_thread_a_process_or_nothing__then_sorted_and_connected),
    TEST(marks__odd__then_terminated_and_in_the_order_of_the_file),
    TEST(reader__blocks_repeated__then_the_last_counts),
    TEST(reader__one_module_in_the_place_of_another__then_neither_is_told),
    TEST(reader__kernel_blocks__then_deaths_belong_to_their_threads),
    TEST(reader__unknown_block_types__then_skipped),
    TEST(reader__events_without_thread_or_process_blocks__then_still_readable),
    TEST(strings__odd_payloads__then_terminated_and_bounded),
    TEST(event_name__every_kind__then_named),
    TEST(fields__typed_event__then_decoded_exactly),
    TEST(fields__payload_too_short__then_as_many_as_fit),
};
TEST_MAIN("adat_reader", tests)
