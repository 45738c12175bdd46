/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adat_check.h"
#include "test_support.h"
#include "user/reader/adat_verify.h"

static const SampleShape small = {.threads = 2, .events = 8, .block_events = 4};

static const AdatLedgerEntry four = {.process = 1, .thread = 1, .attempted = 4, .in_file = 4};
static const AdatLedgerEntry eight = {.process = 1, .thread = 1, .attempted = 8, .in_file = 8};

/* Two blocks of four ticks, the second from record `first` at `time` on, and this ledger. */
static int two_blocks(uint64_t first, uint64_t time, const AdatBlockHeader *losses, const AdatLedgerEntry *entry)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);

    sample_put_index(writer, 1, 1, 0, ticks_from(SAMPLE_MONOTONIC, 4), 4, NULL);
    sample_put_index(writer, 1, 1, first, ticks_from(SAMPLE_MONOTONIC + time, 4), 4, losses);
    end_trace(writer, entry, 1);
    return fd;
}

static void verify__holes__then_only_as_the_ledger_explains(void)
{
    AdatLedgerEntry entry = eight;

    expect_verdict(two_blocks(4, 10, NULL, &entry), NULL);
    expect_verdict(two_blocks(7, 10, NULL, &entry), "3 records are missing, the ledger explains 0");
    entry.dropped_full = 2;
    entry.dropped_io = 1;
    entry.attempted = 11;
    expect_verdict(two_blocks(7, 10, NULL, &entry), NULL);
    expect_verdict(two_blocks(8, 10, NULL, &entry), "4 records are missing, the ledger explains 3");
    entry.torn = 1;
    entry.attempted = 12;
    expect_verdict(two_blocks(8, 10, NULL, &entry), NULL);
    entry.dropped_nested = 5; /* these never had a number */
    entry.attempted = 17;
    expect_verdict(two_blocks(9, 10, NULL, &entry), "5 records are missing, the ledger explains 4");
}

static void verify__numbers_overlap_or_go_back__then_reported(void)
{
    expect_verdict(two_blocks(3, 10, NULL, &eight), "records from 3 on again, after 4");
    expect_verdict(two_blocks(0, 10, NULL, &eight), "records from 0 on again, after 4");
    expect_verdict(two_blocks(UINT64_MAX - 1, 10, NULL, &eight), "overflow");
}

static void verify__time_goes_back__then_reported(void)
{
    expect_verdict(two_blocks(4, 3, NULL, &eight), NULL);
    expect_verdict(two_blocks(4, 2, NULL, &eight), "goes back in time");
}

static void verify__losses_shrink_or_exceed_the_ledger__then_reported(void)
{
    const AdatBlockHeader losses = {.dropped_nested = 3};
    AdatLedgerEntry entry = eight;
    AdatWriter *writer;
    int fd;

    expect_verdict(two_blocks(4, 10, &losses, &entry), "fewer losses than the blocks");
    entry.dropped_nested = 3;
    entry.attempted = 11;
    expect_verdict(two_blocks(4, 10, &losses, &entry), NULL);

    fd = sample_file();
    writer = begin_trace(fd);
    sample_put_index(writer, 1, 1, 0, ticks_from(SAMPLE_MONOTONIC, 4), 4, &losses);
    sample_put_index(writer, 1, 1, 4, ticks_from(SAMPLE_MONOTONIC + 10, 4), 4, NULL);
    end_trace(writer, &entry, 1);
    expect_verdict(fd, "losses become fewer");
}

/* One block of four ticks and these ledger entries. */
static int one_block(const AdatLedgerEntry *entries, size_t count)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);

    sample_put_index(writer, 1, 1, 0, ticks_from(SAMPLE_MONOTONIC, 4), 4, NULL);
    end_trace(writer, entries, count);
    return fd;
}

static void verify__ledger_does_not_fit__then_reported(void)
{
    AdatLedgerEntry entries[2] = {four, four};

    expect_verdict(one_block(&four, 1), NULL);
    expect_verdict(one_block(NULL, 0), "without a final ledger");
    expect_verdict(one_block(&four, 0), "not in the ledger");
    expect_verdict(one_block(entries, 2), "twice");
    entries[0].attempted = 5;
    expect_verdict(one_block(entries, 1), "5 attempted, but 4 accounted for");
    entries[0].pending = 1;
    expect_verdict(one_block(entries, 1), "pending");
    entries[0] = (AdatLedgerEntry){.process = 1, .thread = 1, .attempted = 5, .in_file = 5};
    expect_verdict(one_block(entries, 1), "the ledger says 5 records, the file has 4");
    entries[0] = four;
    entries[1] = (AdatLedgerEntry){.process = 1, .thread = 1, .lane = 2};
    expect_verdict(one_block(entries, 2), "names lane 2");
    entries[1] = (AdatLedgerEntry){.process = 1, .thread = 2};
    expect_verdict(one_block(entries, 2), "names thread 2");
    entries[1] = (AdatLedgerEntry){.process = 2, .thread = 0};
    expect_verdict(one_block(entries, 2), "names process 2");
    entries[1] = (AdatLedgerEntry){.process = 1, .thread = 0, .attempted = 3, .dropped_full = 3};
    expect_verdict(one_block(entries, 2), NULL);
    entries[1] = (AdatLedgerEntry){.process = 1, .thread = 0, .attempted = 3, .in_file = 3};
    expect_verdict(one_block(entries, 2), "events of no thread");
}

static void reader__events_of_unregistered_threads__then_in_the_sum(void)
{
    AdatLedgerEntry entries[2] = {four, {.process = 1, .attempted = 3, .dropped_full = 3}};
    int fd = one_block(entries, 2);
    AdatReader *reader = open_trace(fd);

    CU_ASSERT_EQUAL(adat_reader_events(reader).attempted, 7);
    CU_ASSERT_EQUAL(adat_reader_events(reader).dropped_full, 3);
    CU_ASSERT_EQUAL(adat_reader_process(reader, 0)->unregistered.dropped_full, 3);
    adat_reader_close(reader);
    close(fd);
}

/* A trace in which one block is wrong; the rest is as it should be. */
static void expect_block_problem(const AdatBlockHeader *header, const void *payload, size_t size,
                                 const char *text)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);

    sample_put(writer, header, payload, size);
    end_unclosed(writer);
    expect_verdict(fd, text);
}

static void verify__payloads_of_wrong_size__then_reported(void)
{
    uint8_t zeros[1024] = {0};

    expect_block_problem(&(AdatBlockHeader){.type = ADAT_BLOCK_PROCESS}, zeros, 23,
                         "process block of 23 bytes");
    expect_block_problem(&(AdatBlockHeader){.type = ADAT_BLOCK_THREAD}, zeros, 47, "thread block of 47 bytes");
    expect_block_problem(&(AdatBlockHeader){.type = ADAT_BLOCK_EVENTS}, zeros, 511, "event descriptor block");
    expect_block_problem(&(AdatBlockHeader){.type = ADAT_BLOCK_MODULES}, zeros, 257, "module block");
    expect_block_problem(&(AdatBlockHeader){.type = ADAT_BLOCK_CLOCK}, zeros, 31, "clock block");
    expect_block_problem(&(AdatBlockHeader){.type = ADAT_BLOCK_DEATH}, zeros, 8, "death block");
    expect_block_problem(&(AdatBlockHeader){.type = ADAT_BLOCK_LEDGER}, zeros, 81, "ledger block");
}

static void verify__descriptors_invalid__then_reported(void)
{
    const AdatBlockHeader header = {.type = ADAT_BLOCK_EVENTS, .process = 1};
    AdaEventDescriptor descriptor = {.id = 9, .field_count = 1, .name = "x"};

    descriptor.fields[0].type = ADA_TYPE_COUNT;
    expect_block_problem(&header, &descriptor, sizeof(descriptor), "unknown type");
    descriptor.field_count = 17;
    expect_block_problem(&header, &descriptor, sizeof(descriptor), "invalid");
    descriptor = (AdaEventDescriptor){.name = "x"};
    expect_block_problem(&header, &descriptor, sizeof(descriptor), "invalid");
}

static void verify__records_do_not_fit_their_block__then_reported(void)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_INDEX, .process = 1, .thread = 1, .record_count = 2};
    AdaDetailRecord detail = {.id = SAMPLE_REQUEST, .word = ADA_KIND_TYPED, .timestamp = 5};
    AdaIndexEvent events[2];

    memcpy(events, ticks_from(SAMPLE_MONOTONIC, 2), sizeof(events));
    header.first_time = SAMPLE_MONOTONIC;
    header.last_time = SAMPLE_MONOTONIC + 1;
    expect_block_problem(&header, events, sizeof(events), NULL);
    expect_block_problem(&header, events, sizeof(events) - 1, "63 bytes are not 2 events");
    header.last_time++;
    expect_block_problem(&header, events, sizeof(events), "times are not those of its records");
    header.last_time--;
    events[0].word = 0;
    expect_block_problem(&header, events, sizeof(events), "no kind");
    events[0].word = ADA_KIND_INSTANT;
    header.thread = 0;
    expect_block_problem(&header, events, sizeof(events), "no thread");
    header.thread = 1;
    header.process = 2;
    expect_block_problem(&header, events, sizeof(events), "of process 1, its block says 2");

    header = (AdatBlockHeader){
        .type = ADAT_BLOCK_DETAIL, .process = 1, .thread = 1, .record_count = 1, .first_time = 5, .last_time = 5};
    expect_block_problem(&header, &detail, sizeof(detail), NULL);
    header.record_count = 2;
    expect_block_problem(&header, &detail, sizeof(detail), "are not 2 detail records");
    header.record_count = 1;
    detail.payload_size = 1;
    expect_block_problem(&header, &detail, sizeof(detail), "are not 1 detail records");
    detail.payload_size = UINT32_MAX;
    expect_block_problem(&header, &detail, sizeof(detail), "are not 1 detail records");
    header.record_count = 0;
    expect_block_problem(&header, &detail, sizeof(detail), "are not 0 detail records");
}

static void verify__references_lead_nowhere__then_reported_once_closed(void)
{
    AdatLedgerEntry ledger = four;
    AdaIndexEvent events[4];
    AdatWriter *writer;
    int fd;

    memcpy(events, ticks_from(SAMPLE_MONOTONIC, 4), sizeof(events));
    events[2].id = 77;
    fd = sample_file();
    writer = begin_trace(fd);
    sample_put_index(writer, 1, 1, 0, events, 4, NULL);
    end_trace(writer, &ledger, 1);
    expect_verdict(fd, "uses event 77");

    ledger.thread = 5;
    fd = sample_file();
    writer = begin_trace(fd);
    sample_put_index(writer, 1, 5, 0, ticks_from(SAMPLE_MONOTONIC, 4), 4, NULL);
    end_trace(writer, &ledger, 1);
    expect_verdict(fd, "thread 5 is not described");

    fd = sample_file();
    writer = begin_trace(fd);
    sample_put_thread(writer, 2, 3, 3, "lost");
    end_trace(writer, &ledger, 0);
    expect_verdict(fd, "process 3 is not described");

    fd = sample_file();
    writer = begin_trace(fd);
    sample_put_process(writer, 2, 3, 7);
    end_trace(writer, &ledger, 0);
    expect_verdict(fd, "unknown clock 7");

    fd = sample_file();
    writer = begin_trace(fd);
    sample_put_process(writer, 2, 3, ADA_CLOCK_TSC);
    end_trace(writer, &ledger, 0);
    expect_verdict(fd, "process 2: too few clock anchors");
}

static void verify__trailer_does_not_match__then_reported(void)
{
    const AdatBlockHeader trailer = {.type = ADAT_BLOCK_TRAILER};
    AdatTrailerEntry entry = {.offset = 64};
    int fd = sample_trace(&small, -1);
    size_t size;
    uint8_t *bytes = file_content(fd, &size);
    AdatBlockHeader header;
    uint8_t *block = find_block(bytes, 16);
    AdatWriter *writer;

    memcpy(&header, block, sizeof(header));
    CU_ASSERT_EQUAL_FATAL(header.type, ADAT_BLOCK_TRAILER);
    block[sizeof(header) + 5 * sizeof(AdatTrailerEntry)] ^= 1;
    seal_block(block);
    set_content(fd, bytes, size);
    free(bytes);
    {
        AdatReader *reader = open_trace(fd);

        CU_ASSERT_TRUE(adat_reader_info(reader)->closed);
        CU_ASSERT_EQUAL(count_problems(reader), 2); /* that entry, and so not all are there */
        adat_reader_close(reader);
        close(fd);
    }

    /* a trailer in the middle */
    fd = sample_file();
    writer = begin_trace(fd);
    sample_put(writer, &trailer, &entry, sizeof(entry));
    sample_put_thread(writer, 1, 1, SAMPLE_PID, "late");
    end_unclosed(writer);
    {
        AdatReader *reader = open_trace(fd);

        CU_ASSERT_FALSE(adat_reader_info(reader)->closed);
        CU_ASSERT_EQUAL(count_problems(reader), 2);
        adat_reader_close(reader);
        close(fd);
    }
}

static void verify__thousands_of_problems__then_counted_but_not_all_kept(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    AdatReader *reader;
    AdatVerdict verdict;

    for (uint32_t i = 0; i < 1000; i++)
        sample_put(writer, &(AdatBlockHeader){.type = ADAT_BLOCK_CLOCK}, "x", 1);
    end_unclosed(writer);
    reader = open_trace(fd);
    CU_ASSERT_EQUAL_FATAL(adat_verify(reader, &verdict), 0);
    CU_ASSERT_EQUAL(verdict.problem_count, 1000);
    CU_ASSERT_EQUAL(verdict.kept, ADAT_PROBLEMS_MAX);
    adat_verdict_fini(&verdict);
    adat_reader_close(reader);
    close(fd);
}

static const TestCase tests[] = {
    TEST(verify__holes__then_only_as_the_ledger_explains),
    TEST(verify__numbers_overlap_or_go_back__then_reported),
    TEST(verify__time_goes_back__then_reported),
    TEST(verify__losses_shrink_or_exceed_the_ledger__then_reported),
    TEST(verify__ledger_does_not_fit__then_reported),
    TEST(reader__events_of_unregistered_threads__then_in_the_sum),
    TEST(verify__payloads_of_wrong_size__then_reported),
    TEST(verify__descriptors_invalid__then_reported),
    TEST(verify__records_do_not_fit_their_block__then_reported),
    TEST(verify__references_lead_nowhere__then_reported_once_closed),
    TEST(verify__trailer_does_not_match__then_reported),
    TEST(verify__thousands_of_problems__then_counted_but_not_all_kept),
};
TEST_MAIN("adat_verify", tests)
