/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adat_check.h"
#include "test_support.h"
#include "user/reader/adat_cursor.h"

static const SampleShape small = {.threads = 2, .events = 8, .block_events = 4};
static const SampleShape cycles = {.threads = 3, .events = 50, .block_events = 10, .tsc = true};

/* Every event of sample_trace() in order, by content, details included. */
static void expect_merged(const SampleShape *shape)
{
    int fd = sample_trace(shape, -1);
    AdatReader *reader = open_trace(fd);
    uint32_t *next = calloc(shape->threads, sizeof(*next));
    int64_t last = INT64_MIN;
    uint64_t count = 0;
    AdatCursor *cursor;
    AdatEvent event;

    CU_ASSERT_EQUAL_FATAL(adat_cursor_create(reader, NULL, &cursor), 0);
    while (adat_cursor_next(cursor, &event) > 0) {
        uint32_t thread = event.thread->thread.thread - 1;
        uint32_t number = next[thread]++;
        AdaIndexEvent expected = sample_event(shape, thread, number);
        AdatDetail detail;
        int got = adat_cursor_detail(cursor, &detail);

        if (memcmp(&event.event, &expected, sizeof(expected)) != 0 || event.record != number ||
            event.time_ns != (int64_t)sample_time(thread, number) || event.time_ns < last ||
            adat_reader_realtime(reader, event.time_ns) != SAMPLE_REALTIME + (uint64_t)event.time_ns)
            CU_FAIL("event");
        if (got != (ADA_WORD_KIND(expected.word) == ADA_KIND_TYPED))
            CU_FAIL("detail");
        if (got > 0) {
            uint8_t payload[128];

            if (detail.header.payload_size != sample_request_payload(number, payload) ||
                memcmp(detail.payload, payload, detail.header.payload_size) != 0)
                CU_FAIL("payload");
        }
        last = event.time_ns;
        count++;
    }
    CU_ASSERT_EQUAL(count, (uint64_t)shape->threads * shape->events);
    CU_ASSERT_EQUAL(adat_cursor_next(cursor, &event), 0);
    adat_cursor_destroy(cursor);
    CU_ASSERT_EQUAL(count_problems(reader), 0);
    adat_reader_close(reader);
    free(next);
    close(fd);
}

static void cursor__traces_of_many_shapes__then_all_events_in_merged_order(void)
{
    static const SampleShape shapes[] = {
        {.threads = 1, .events = 1, .block_events = 1},
        {.threads = 1, .events = 100, .block_events = 7},
        {.threads = 2, .events = 100, .block_events = 100},
        {.threads = 64, .events = 200, .block_events = 33, .tsc = true},
        {.threads = 200, .events = 20, .block_events = 3},
        {.threads = 5, .events = 300, .block_events = 11, .tsc = true, .unclosed = true},
        {.threads = 1, .events = 100, .block_events = 7, .gathered = true},
        {.threads = 64, .events = 200, .block_events = 33, .tsc = true, .gathered = true},
        {.threads = 9, .events = 300, .block_events = 11, .part_entries = 10, .unclosed = true, .gathered = true},
    };

    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        expect_merged(&shapes[i]);
}

static void cursor__same_time__then_by_thread_and_own_order(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    AdaIndexEvent same[3];
    AdatReader *reader;
    AdatCursor *cursor;
    AdatEvent event;

    sample_put_thread(writer, 2, 1, 2, "two");
    for (uint32_t i = 0; i < 3; i++)
        same[i] = (AdaIndexEvent){
            .timestamp = SAMPLE_MONOTONIC, .id = SAMPLE_TICK, .argument = i, .word = ADA_KIND_INSTANT};
    sample_put_index(writer, 1, 2, 0, same, 3, NULL);
    sample_put_index(writer, 1, 1, 0, same, 3, NULL);
    end_unclosed(writer);
    reader = open_trace(fd);
    CU_ASSERT_EQUAL_FATAL(adat_cursor_create(reader, NULL, &cursor), 0);
    for (uint32_t i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL_FATAL(adat_cursor_next(cursor, &event), 1);
        CU_ASSERT_EQUAL(event.thread->thread.thread, i / 3 + 1);
        CU_ASSERT_EQUAL(event.event.argument, i % 3);
    }
    adat_cursor_destroy(cursor);
    adat_reader_close(reader);
    close(fd);
}

static bool is_second_thread(const AdatThreadInfo *thread, void *context)
{
    ++*(unsigned *)context;
    return thread->thread.thread == 2;
}

static void cursor__thread_and_time_selected__then_exactly_those(void)
{
    int fd = sample_trace(&cycles, -1);
    AdatReader *reader = open_trace(fd);
    unsigned asked = 0;

    for (uint32_t from = 0; from < cycles.events; from += 3) {
        for (uint32_t to = from; to < cycles.events; to += 7) {
            const AdatCursorConfig config = {is_second_thread, &asked, (int64_t)sample_time(1, from),
                                             (int64_t)sample_time(1, to)};
            uint32_t number = from;
            AdatCursor *cursor;
            AdatEvent event;

            CU_ASSERT_EQUAL_FATAL(adat_cursor_create(reader, &config, &cursor), 0);
            while (adat_cursor_next(cursor, &event) > 0) {
                AdatDetail detail;

                CU_ASSERT_EQUAL(event.record, number);
                number++;
                if (ADA_WORD_KIND(event.event.word) == ADA_KIND_TYPED)
                    CU_ASSERT_EQUAL(adat_cursor_detail(cursor, &detail), 1);
            }
            CU_ASSERT_EQUAL(number, to + 1);
            adat_cursor_destroy(cursor);
        }
    }
    CU_ASSERT(asked > 0);
    adat_reader_close(reader);
    close(fd);
}

static void cursor__file_changes_underneath__then_ebadmsg(void)
{
    int fd = sample_trace(&small, -1);
    AdatReader *reader = open_trace(fd);
    size_t size;
    uint8_t *bytes = file_content(fd, &size);
    int64_t got = 0;

    for (size_t at = 0; at < size && got >= 0; at += 8) {
        bytes[at] ^= 0x10;
        set_content(fd, bytes, size);
        bytes[at] ^= 0x10;
        got = read_everything(reader);
        CU_ASSERT(got == 16 || got == -EBADMSG);
    }
    CU_ASSERT_EQUAL(got, -EBADMSG);
    for (size_t cut = 0; cut < size; cut += 64) {
        set_content(fd, bytes, cut);
        got = read_everything(reader);
        CU_ASSERT(got == 16 || got == -EBADMSG);
        CU_ASSERT(count_problems(reader) > 0);
    }
    adat_reader_close(reader);
    free(bytes);
    close(fd);
}

static void detail__number_beyond_32_bits__then_joined(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    uint64_t numbers[] = {UINT32_MAX - 1, UINT32_MAX, UINT64_C(1) << 32, (UINT64_C(1) << 33) + 5};
    AdatReader *reader;
    AdatCursor *cursor;
    AdatEvent event;

    for (uint32_t i = 0; i < 4; i++) {
        AdaIndexEvent index = {.timestamp = SAMPLE_MONOTONIC + i,
                               .id = SAMPLE_REQUEST,
                               .argument = i,
                               .word = ADA_WORD(ADA_KIND_TYPED, ADA_FLAG_DETAIL, 0),
                               .link = (uint32_t)numbers[i]};
        uint8_t payload[128];

        sample_put_detail(writer, 1, 1, numbers[i], &index, payload, sample_request_payload(i, payload));
        sample_put_index(writer, 1, 1, i, &index, 1, NULL);
    }
    end_unclosed(writer);
    reader = open_trace(fd);
    CU_ASSERT_EQUAL_FATAL(adat_cursor_create(reader, NULL, &cursor), 0);
    for (uint64_t i = 0; i < 4; i++) {
        AdatDetail detail;

        CU_ASSERT_EQUAL_FATAL(adat_cursor_next(cursor, &event), 1);
        CU_ASSERT_EQUAL_FATAL(adat_cursor_detail(cursor, &detail), 1);
        CU_ASSERT_EQUAL(memcmp(detail.payload, &i, 8), 0);
    }
    adat_cursor_destroy(cursor);
    adat_reader_close(reader);
    close(fd);
}

static void detail__not_in_file_or_not_its_own__then_none(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    AdaIndexEvent index = {.timestamp = SAMPLE_MONOTONIC,
                           .id = SAMPLE_REQUEST,
                           .word = ADA_WORD(ADA_KIND_TYPED, ADA_FLAG_DETAIL, 0),
                           .link = 3};
    AdaIndexEvent other = index;
    uint8_t payload[128];
    AdatReader *reader;
    AdatCursor *cursor;
    AdatDetail detail;
    AdatEvent event;

    sample_put_thread(writer, 2, 1, 2, "no details");
    other.timestamp++;
    sample_put_detail(writer, 1, 1, 3, &other, payload, sample_request_payload(3, payload));
    sample_put_index(writer, 1, 1, 0, &index, 1, NULL);
    index.timestamp++;
    index.link = 77;
    sample_put_index(writer, 1, 1, 1, &index, 1, NULL);
    index.word = ADA_WORD(ADA_KIND_TYPED, ADA_FLAG_DETAIL_LOST, 0);
    sample_put_index(writer, 1, 1, 2, &index, 1, NULL);
    index.word = ADA_WORD(ADA_KIND_TYPED, ADA_FLAG_DETAIL, 0);
    sample_put_index(writer, 1, 2, 0, &index, 1, NULL);
    end_unclosed(writer);
    reader = open_trace(fd);
    CU_ASSERT_EQUAL_FATAL(adat_cursor_create(reader, NULL, &cursor), 0);
    CU_ASSERT_EQUAL(adat_cursor_detail(cursor, &detail), 0); /* no event yet */
    for (uint32_t i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL_FATAL(adat_cursor_next(cursor, &event), 1);
        CU_ASSERT_EQUAL(adat_cursor_detail(cursor, &detail), 0);
    }
    CU_ASSERT_EQUAL(adat_cursor_next(cursor, &event), 0);
    adat_cursor_destroy(cursor);
    adat_reader_close(reader);
    close(fd);
}

/* What a block counts was lost before it, or up to the one before. */
static void cursor__losses_between_blocks__then_told_with_the_first_event_behind(void)
{
    static const uint64_t expected[] = {3, 3, 10, 10, 10, 10};
    int fd = sample_file(), count = 0;
    AdatWriter *writer = sample_writer(dup(fd));
    AdaIndexEvent events[6];
    AdatReader *reader;
    AdatCursor *cursor;
    AdatEvent event;

    for (uint32_t i = 0; i < 6; i++)
        events[i] = (AdaIndexEvent){SAMPLE_MONOTONIC + i, 1, i, ADA_WORD(ADA_KIND_INSTANT, 0, 0), 0};
    sample_put_process(writer, 1, SAMPLE_PID, ADA_CLOCK_MONOTONIC);
    sample_put_clock(writer, 0, SAMPLE_MONOTONIC, SAMPLE_REALTIME);
    sample_put_thread(writer, 1, 1, 7, "t");
    sample_put_index(writer, 1, 1, 0, events, 2, &(AdatBlockHeader){.dropped_full = 3});
    sample_put_index(writer, 1, 1, 5, events + 2, 2,
                     &(AdatBlockHeader){.dropped_full = 5, .dropped_nested = 1, .dropped_io = 4});
    sample_put_index(writer, 1, 1, 7, events + 4, 2,
                     &(AdatBlockHeader){.dropped_full = 5, .dropped_nested = 1, .dropped_io = 4});
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    adat_writer_destroy(writer);
    reader = open_trace(fd);
    CU_ASSERT_EQUAL_FATAL(adat_cursor_create(reader, NULL, &cursor), 0);
    for (; adat_cursor_next(cursor, &event) > 0 && count < 6; count++)
        CU_ASSERT_EQUAL(event.lost, expected[count]);
    CU_ASSERT_EQUAL(count, 6);
    adat_cursor_destroy(cursor);

    /* who begins later has lost what is told from there on */
    CU_ASSERT_EQUAL_FATAL(
        adat_cursor_create(reader, &(AdatCursorConfig){.from_ns = 4, .to_ns = INT64_MAX}, &cursor), 0);
    CU_ASSERT_EQUAL(adat_cursor_next(cursor, &event), 1);
    CU_ASSERT_EQUAL(event.lost, 0);
    adat_cursor_destroy(cursor);
    adat_reader_close(reader);
    close(fd);
}

static const TestCase tests[] = {
    TEST(cursor__traces_of_many_shapes__then_all_events_in_merged_order),
    TEST(cursor__losses_between_blocks__then_told_with_the_first_event_behind),
    TEST(cursor__same_time__then_by_thread_and_own_order),
    TEST(cursor__thread_and_time_selected__then_exactly_those),
    TEST(cursor__file_changes_underneath__then_ebadmsg),
    TEST(detail__number_beyond_32_bits__then_joined),
    TEST(detail__not_in_file_or_not_its_own__then_none),
};
TEST_MAIN("adat_cursor", tests)
