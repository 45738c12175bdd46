/* SPDX-License-Identifier: MIT */
#include "adat_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "user/file/crc.h"
#include "user/reader/adat_cursor.h"
#include "user/reader/adat_verify.h"

AdatReader *open_trace(int fd)
{
    AdatReader *reader = NULL;

    CU_ASSERT_EQUAL_FATAL(adat_reader_open(sample_path(fd), &reader), 0);
    return reader;
}

uint8_t *file_content(int fd, size_t *size_out)
{
    struct stat st;
    uint8_t *bytes;

    CU_ASSERT_EQUAL_FATAL(fstat(fd, &st), 0);
    *size_out = (size_t)st.st_size;
    bytes = malloc(*size_out + 1);
    CU_ASSERT_EQUAL_FATAL(pread(fd, bytes, *size_out, 0), (ssize_t)*size_out);
    return bytes;
}

void set_content(int fd, const uint8_t *bytes, size_t size)
{
    CU_ASSERT_EQUAL_FATAL(ftruncate(fd, 0), 0);
    CU_ASSERT_EQUAL_FATAL(pwrite(fd, bytes, size, 0), (ssize_t)size);
}

void seal_block(uint8_t *block)
{
    AdatBlockHeader header;

    memcpy(&header, block, sizeof(header));
    header.crc32 = 0;
    memcpy(block, &header, sizeof(header));
    header.crc32 = adat_crc32(0, block, sizeof(header) + header.payload_bytes);
    memcpy(block, &header, sizeof(header));
}

uint8_t *find_block(uint8_t *bytes, unsigned number)
{
    uint8_t *block = bytes + sizeof(AdatFileHeader);

    for (; number > 0; number--) {
        AdatBlockHeader header;

        memcpy(&header, block, sizeof(header));
        block += sizeof(header) + ADAT_PADDED(header.payload_bytes);
    }
    return block;
}

int64_t read_everything(const AdatReader *reader)
{
    AdatDrainSummary drain;
    AdatCursor *cursor;
    AdatEvent event;
    int64_t count = 0;
    int got;

    CU_ASSERT_EQUAL_FATAL(adat_cursor_create(reader, NULL, &cursor), 0);
    while ((got = adat_cursor_next(cursor, &event)) > 0) {
        const AdaEventDescriptor *descriptor;
        AdatField fields[ADA_EVENT_FIELDS_MAX];
        char name[ADAT_NAME_MAX];
        AdatDetail detail;

        adat_reader_event_name(reader, event.process->process.process, &event.event, name);
        adat_reader_realtime(reader, event.time_ns);
        got = adat_cursor_detail(cursor, &detail);
        if (got < 0)
            break;
        descriptor = adat_reader_descriptor(reader, event.process->process.process, event.event.id);
        if (got > 0 && descriptor)
            adat_decode_fields(descriptor, detail.payload, detail.header.payload_size, fields);
        count++;
    }
    adat_cursor_destroy(cursor);
    adat_reader_events(reader);
    adat_reader_detail(reader);
    adat_reader_duration(reader);
    if (adat_reader_drain(reader, &drain) &&
        strnlen(drain.scheduler, sizeof(drain.scheduler)) == sizeof(drain.scheduler))
        CU_FAIL("scheduler");
    for (size_t i = 0; i < adat_reader_mark_count(reader); i++) {
        const AdatMarkInfo *mark = adat_reader_mark(reader, i);

        if (strnlen(mark->mark.reason, sizeof(mark->mark.reason)) == sizeof(mark->mark.reason) ||
            (i > 0 && mark->time_ns < adat_reader_mark(reader, i - 1)->time_ns))
            CU_FAIL("mark");
    }
    return got < 0 ? got : count;
}

uint64_t count_problems(const AdatReader *reader)
{
    AdatVerdict verdict;
    uint64_t count;

    CU_ASSERT_EQUAL_FATAL(adat_verify(reader, &verdict), 0);
    count = verdict.problem_count;
    for (size_t i = 0; i < verdict.kept; i++)
        if (!verdict.problems[i].text[0])
            CU_FAIL("a problem without text");
    adat_verdict_fini(&verdict);
    return count;
}

void expect_verdict(int fd, const char *text)
{
    AdatReader *reader = open_trace(fd);
    AdatVerdict verdict;

    CU_ASSERT_EQUAL_FATAL(adat_verify(reader, &verdict), 0);
    CU_ASSERT_EQUAL(verdict.problem_count, text ? 1 : 0);
    if (text && verdict.kept > 0)
        CU_ASSERT_PTR_NOT_NULL(strstr(verdict.problems[0].text, text));
    if (verdict.problem_count != (text ? 1 : 0) ||
        (text && verdict.kept > 0 && !strstr(verdict.problems[0].text, text)))
        for (size_t i = 0; i < verdict.kept; i++)
            printf("  expected '%s', got '%s'\n", text ? text : "", verdict.problems[i].text);
    CU_ASSERT(read_everything(reader) >= 0);
    adat_verdict_fini(&verdict);
    adat_reader_close(reader);
    close(fd);
}

AdatWriter *begin_trace(int fd)
{
    AdatWriter *writer = sample_writer(dup(fd));

    sample_put_session(writer);
    sample_put_clock(writer, 0, SAMPLE_MONOTONIC, SAMPLE_REALTIME);
    sample_put_process(writer, 1, SAMPLE_PID, ADA_CLOCK_MONOTONIC);
    sample_put_thread(writer, 1, 1, SAMPLE_PID, "main");
    sample_put_descriptors(writer, 1);
    return writer;
}

void end_trace(AdatWriter *writer, const AdatLedgerEntry *entries, size_t count)
{
    if (entries)
        sample_put_ledger(writer, ADAT_FLAG_FINAL, NULL, entries, count);
    CU_ASSERT_EQUAL(adat_writer_finish(writer), 0);
    adat_writer_destroy(writer);
}

void end_unclosed(AdatWriter *writer)
{
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    adat_writer_destroy(writer);
}

const AdaIndexEvent *ticks_from(uint64_t time, uint32_t count)
{
    static AdaIndexEvent events[64];

    for (uint32_t i = 0; i < count; i++)
        events[i] =
            (AdaIndexEvent){.timestamp = time + i, .id = SAMPLE_TICK, .word = ADA_WORD(ADA_KIND_INSTANT, 0, 0)};
    return events;
}
