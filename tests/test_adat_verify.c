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

/* A ledger of threads that ended, then this block of events, if any, then the final ledger. */
static int closed_then(const AdatLedgerEntry *ended, size_t ended_count, bool more_events,
                       const AdatLedgerEntry *rest, size_t rest_count)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);

    sample_put_thread(writer, 2, 1, 2, "two");
    sample_put_index(writer, 1, 1, 0, ticks_from(SAMPLE_MONOTONIC, 4), 4, NULL);
    sample_put_index(writer, 1, 2, 0, ticks_from(SAMPLE_MONOTONIC, 4), 4, NULL);
    sample_put_ledger(writer, ADAT_FLAG_CLOSED, NULL, ended, ended_count);
    if (more_events)
        sample_put_index(writer, 1, 1, 4, ticks_from(SAMPLE_MONOTONIC + 10, 4), 4, NULL);
    end_trace(writer, rest, rest_count);
    return fd;
}

static void verify__threads_accounted_when_they_end__then_once_and_behind_their_blocks(void)
{
    const AdatLedgerEntry two = {.process = 1, .thread = 2, .attempted = 4, .in_file = 4};
    const AdatLedgerEntry both[2] = {four, two};
    AdatLedgerEntry entry = four;

    expect_verdict(closed_then(&four, 1, false, &two, 1), NULL);
    expect_verdict(closed_then(both, 2, false, both, 0), NULL);
    expect_verdict(closed_then(both, 0, false, both, 2), NULL);
    expect_verdict(closed_then(&four, 1, false, both, 2), "thread 1, index lane: in the ledger twice");
    expect_verdict(closed_then(both, 2, false, &two, 1), "thread 2, index lane: in the ledger twice");
    expect_verdict(closed_then(&four, 1, false, &two, 0), "thread 2, index lane: not in the ledger");
    expect_verdict(closed_then(both, 2, false, NULL, 0), "closed, but without a final ledger");
    expect_verdict(closed_then(&four, 1, true, &two, 1), "thread 1, index lane: a block behind");
    expect_verdict(closed_then(&eight, 1, false, &two, 1), "the ledger says 8 records, the file has 4");
    entry.attempted++;
    expect_verdict(closed_then(&entry, 1, false, &two, 1), "5 attempted, but 4 accounted for");
    entry.pending++;
    expect_verdict(closed_then(&entry, 1, false, &two, 1), "1 are pending");
    entry = (AdatLedgerEntry){.process = 1, .thread = 3};
    expect_verdict(closed_then(&entry, 1, false, both, 2), "names thread 3");
}

static void verify__ledgers_out_of_order__then_reported(void)
{
    const AdatLedgerEntry nobody[2] = {{.process = 1}, {.process = 1, .lane = ADA_LANE_DETAIL}};
    const AdatLedgerEntry nonsense = {.process = 77, .thread = 88, .lane = 99, .attempted = 5, .pending = 1};
    AdatDrainSummary endless = sample_drain();
    AdatWriter *writer;
    int fd;

    fd = sample_file();
    writer = begin_trace(fd);
    sample_put_ledger(writer, ADAT_FLAG_FINAL, NULL, nobody, 2);
    end_trace(writer, nobody, 0);
    expect_verdict(fd, "a ledger after the final one");

    fd = sample_file();
    writer = begin_trace(fd);
    sample_put_ledger(writer, ADAT_FLAG_CLOSED, NULL, nobody, 2);
    end_trace(writer, nobody, 1);
    expect_verdict(fd, "process 1, events of no thread, index lane: in the ledger twice");

    /* a snapshot of lanes is not looked at, wherever it stands */
    fd = sample_file();
    writer = begin_trace(fd);
    sample_put_ledger(writer, 0, NULL, &nonsense, 1);
    sample_put_ledger(writer, ADAT_FLAG_FINAL, NULL, nobody, 2);
    sample_put_ledger(writer, 0, NULL, &nonsense, 1);
    end_trace(writer, NULL, 0);
    expect_verdict(fd, NULL);

    memset(endless.scheduler, 'x', sizeof(endless.scheduler));
    fd = sample_file();
    writer = begin_trace(fd);
    sample_put_ledger(writer, 0, &endless, NULL, 0);
    end_unclosed(writer);
    expect_verdict(fd, "the name of the scheduler does not end");
}

/* A trace with one thread of process 1, another process 2, and this mark. */
static int one_mark(const AdatMark *mark, bool closed)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);

    sample_put_process(writer, 2, 99, ADA_CLOCK_MONOTONIC);
    sample_put_mark(writer, mark);
    if (closed)
        end_trace(writer, &four, 0);
    else
        end_unclosed(writer);
    return fd;
}

static void verify__marks__then_what_they_name_is_there(void)
{
    AdatMark mark = {.process = 1, .thread = 1, .timestamp = SAMPLE_MONOTONIC, .reason = "why not"};

    expect_verdict(one_mark(&mark, true), NULL);
    mark.process = 2;
    expect_verdict(one_mark(&mark, true), "thread 1 is of process 1, its mark says 2");
    mark.thread = 0;
    expect_verdict(one_mark(&mark, true), NULL);
    mark.process = 3;
    expect_verdict(one_mark(&mark, true), "names process 3");
    expect_verdict(one_mark(&mark, false), NULL); /* killed before it could describe it */
    mark.process = 1;
    mark.thread = 3;
    expect_verdict(one_mark(&mark, true), "names thread 3");
    expect_verdict(one_mark(&mark, false), NULL);
    mark.process = mark.thread = 0;
    expect_verdict(one_mark(&mark, true), NULL);
    memset(mark.reason, 'x', sizeof(mark.reason));
    expect_verdict(one_mark(&mark, true), "the reason of a mark does not end");
    expect_verdict(one_mark(&mark, false), "the reason of a mark does not end");
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
    expect_block_problem(&(AdatBlockHeader){.type = ADAT_BLOCK_LEDGER}, zeros, 0, "ledger block of 0 bytes");
    expect_block_problem(&(AdatBlockHeader){.type = ADAT_BLOCK_LEDGER}, zeros, 255,
                         "ledger block of 255 bytes");
    expect_block_problem(&(AdatBlockHeader){.type = ADAT_BLOCK_LEDGER}, zeros, 256, NULL);
    expect_block_problem(&(AdatBlockHeader){.type = ADAT_BLOCK_LEDGER}, zeros, 375,
                         "ledger block of 375 bytes");
    expect_block_problem(&(AdatBlockHeader){.type = ADAT_BLOCK_LEDGER}, zeros, 384, NULL);
    expect_block_problem(&(AdatBlockHeader){.type = ADAT_BLOCK_MARK}, zeros, 127, "mark block of 127 bytes");
    expect_block_problem(&(AdatBlockHeader){.type = ADAT_BLOCK_MARK}, zeros, 128, NULL);
    expect_block_problem(&(AdatBlockHeader){.type = ADAT_BLOCK_MARK}, zeros, 136, "mark block of 136 bytes");
}

static void verify__kernel_blocks_invalid__then_reported(void)
{
    const AdatBlockHeader header = {.type = ADAT_BLOCK_KERNEL};
    struct {
        AdatKernelSummary summary;
        AdatKernelThread death;
    } block = {.summary = {.enabled = 1}, .death = {.process = 1, .thread = 1}};

    expect_block_problem(&header, &block, sizeof(block), NULL);
    expect_block_problem(&header, &block, sizeof(block.summary), NULL);
    expect_block_problem(&header, &block, sizeof(block) - 1, "kernel block of 399 bytes");
    expect_block_problem(&header, &block, 8, "kernel block of 8 bytes");
    block.death.process = 9;
    expect_block_problem(&header, &block, sizeof(block), "thread 1 is of process 1, its death record says 9");
    memset(block.summary.reason, 'x', sizeof(block.summary.reason));
    expect_block_problem(&header, &block, sizeof(block.summary), "the reason in a kernel block does not end");
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

/* Changes byte `at` of the part of the index that is block `number`, and seals it again. */
static int changed_part(unsigned number, size_t at)
{
    const SampleShape parts = {.threads = 2, .events = 8, .block_events = 4, .part_entries = 4};
    int fd = sample_trace(&parts, -1);
    size_t size;
    uint8_t *bytes = file_content(fd, &size);
    uint8_t *block = find_block(bytes, number);
    AdatBlockHeader header;

    memcpy(&header, block, sizeof(header));
    CU_ASSERT_EQUAL_FATAL(header.type, ADAT_BLOCK_TRAILER);
    block[at] ^= 1;
    seal_block(block);
    set_content(fd, bytes, size);
    free(bytes);
    return fd;
}

static void verify__index_does_not_match__then_reported(void)
{
    static const unsigned parts[] = {9, 14, 18};
    const size_t entries = sizeof(AdatBlockHeader);

    for (size_t i = 0; i < 3; i++) {
        expect_verdict(changed_part(parts[i], offsetof(AdatBlockHeader, first_record)),
                       "the index goes back to a part at");
        for (size_t at = 0; at < 3 * sizeof(AdatTrailerEntry); at++)
            expect_verdict(changed_part(parts[i], entries + at), at < 24   ? "entry 0 of this part"
                                                                 : at < 48 ? "entry 1 of this"
                                                                           : "entry 2 of this");
    }
}

/* A closed trace whose last part of the index has `change` entries more than it should. */
static int resized_part(const SampleShape *shape, int change)
{
    int fd = sample_trace(shape, -1);
    size_t size;
    uint8_t *bytes = file_content(fd, &size);
    uint8_t *larger = calloc(1, size + sizeof(AdatTrailerEntry));
    size_t moved = size + (size_t)change * sizeof(AdatTrailerEntry);
    AdatFooter footer;
    AdatBlockHeader header;

    memcpy(&footer, bytes + size - sizeof(footer), sizeof(footer));
    memcpy(larger, bytes, size - sizeof(footer));
    memcpy(&header, larger + footer.trailer_offset, sizeof(header));
    header.payload_bytes += (uint32_t)((size_t)change * sizeof(AdatTrailerEntry));
    memcpy(larger + footer.trailer_offset, &header, sizeof(header));
    memcpy(larger + moved - sizeof(footer), &footer, sizeof(footer));
    seal_block(larger + footer.trailer_offset);
    set_content(fd, larger, moved);
    free(larger);
    free(bytes);
    return fd;
}

static void verify__index_of_another_length__then_reported(void)
{
    const SampleShape parts = {.threads = 2, .events = 8, .block_events = 4, .part_entries = 4};

    expect_verdict(resized_part(&small, 0), NULL);
    expect_verdict(resized_part(&small, -1), "this part of the index has 15 entries for 16 blocks");
    expect_verdict(resized_part(&small, 1), "this part of the index has 17 entries for 16 blocks");
    expect_verdict(resized_part(&parts, -1), "this part of the index has 2 entries for 3 blocks");
    expect_verdict(resized_part(&parts, 1), "this part of the index has 4 entries for 3 blocks");
}

/* Parts may stand anywhere, whether the file is closed or not. */
static void verify__index_in_parts__then_nothing_to_report(void)
{
    for (uint32_t entries = 0; entries < 20; entries++) {
        SampleShape parts = {.threads = 3, .events = 20, .block_events = 2, .part_entries = entries};

        expect_verdict(sample_trace(&parts, -1), NULL);
        parts.ended = parts.marked = parts.tsc = true;
        expect_verdict(sample_trace(&parts, -1), NULL);
        parts.unclosed = true;
        expect_verdict(sample_trace(&parts, -1), NULL);
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
    TEST(verify__threads_accounted_when_they_end__then_once_and_behind_their_blocks),
    TEST(verify__ledgers_out_of_order__then_reported),
    TEST(verify__marks__then_what_they_name_is_there),
    TEST(reader__events_of_unregistered_threads__then_in_the_sum),
    TEST(verify__payloads_of_wrong_size__then_reported),
    TEST(verify__kernel_blocks_invalid__then_reported),
    TEST(verify__descriptors_invalid__then_reported),
    TEST(verify__records_do_not_fit_their_block__then_reported),
    TEST(verify__references_lead_nowhere__then_reported_once_closed),
    TEST(verify__index_does_not_match__then_reported),
    TEST(verify__index_of_another_length__then_reported),
    TEST(verify__index_in_parts__then_nothing_to_report),
    TEST(verify__thousands_of_problems__then_counted_but_not_all_kept),
};
TEST_MAIN("adat_verify", tests)
