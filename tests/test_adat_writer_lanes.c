/* SPDX-License-Identifier: MIT */
/* Blocks of lanes, which the writer gathers. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adat_check.h"
#include "test_support.h"
#include "user/file/block_scan.h"

#define OTHER 100u /* a type that no reader knows */

static bool disk_full;

static ssize_t pwrite_until_full(int fd, const void *data, size_t size, off_t offset)
{
    if (disk_full) {
        errno = ENOSPC;
        return -1;
    }
    return pwrite(fd, data, size, offset);
}

static AdatWriter *open_writer(int fd, size_t buffer_bytes, size_t part_entries)
{
    const AdatWriterConfig config = {
        .buffer_bytes = buffer_bytes, .index_part_entries = part_entries, .pwrite = pwrite_until_full};
    AdatWriter *writer = NULL;

    disk_full = false;
    CU_ASSERT_EQUAL_FATAL(adat_writer_create(dup(fd), &config, &writer), 0);
    return writer;
}

/* ---- blocks that follow from their number ------------------------------------------------------ */

/* But for its size. */
static AdatBlockHeader header_of(uint32_t number)
{
    bool detail = number % 3 == 2;

    return (AdatBlockHeader){
        .magic = ADAT_BLOCK_MAGIC,
        .type = detail ? ADAT_BLOCK_DETAIL : ADAT_BLOCK_INDEX,
        .flags = detail ? 0 : ADAT_FLAG_PACKED,
        .process = number % 5 + 1,
        .thread = number + 1,
        .first_record = number * 1000ull,
        .record_count = number % 50,
        .first_time = 1000000 + number * 37ull % 1000,
        .last_time = 1000000 + number * 37ull % 1000 + number,
        .dropped_full = number % 7 == 0 ? number : 0,
    };
}

static bool try_lane_block(AdatWriter *writer, uint32_t number, size_t size)
{
    AdatBlockHeader header = header_of(number);
    uint8_t *payload;

    header.record_count = 0; /* is known when it ends */
    payload = adat_writer_begin_lane_block(writer, &header, size);
    if (!payload)
        return false;
    memset(payload, (int)(number % 255 + 1), size);
    adat_writer_block_header(writer)->record_count = header_of(number).record_count;
    adat_writer_end_block(writer, size);
    return true;
}

static void put_lane_block(AdatWriter *writer, uint32_t number, size_t size)
{
    CU_ASSERT_TRUE_FATAL(try_lane_block(writer, number, size));
}

static void put_other(AdatWriter *writer)
{
    CU_ASSERT_EQUAL(adat_writer_put_block(writer, &(AdatBlockHeader){.type = OTHER}, "other", 5), 0);
}

/* What a file has. */
typedef struct Content {
    uint32_t lane_blocks;
    uint32_t alone;    /* of them */
    uint32_t gathered; /* blocks of the others */
    uint32_t others;
    uint32_t most_records; /* bytes, of one */
    uint64_t blocks;
} Content;

/* That of an intact file, whose blocks of lanes are those from `first` on, in order. */
static Content content_of(int fd, uint32_t first)
{
    Content content = {0};
    struct stat status;
    BlockScan scan;
    Block block;

    CU_ASSERT_EQUAL_FATAL(fstat(fd, &status), 0);
    block_scan_init(&scan, fd, sizeof(AdatFileHeader), (uint64_t)status.st_size);
    while (block_scan_next(&scan, &block) > 0) {
        AdatBlockHeader expected = header_of(first + content.lane_blocks);

        content.others += block.header->type == OTHER;
        if (block.header->type == ADAT_BLOCK_LANES) {
            content.gathered++;
            if (block.header->records_bytes > content.most_records)
                content.most_records = block.header->records_bytes;
        }
        if (block.header->type != ADAT_BLOCK_INDEX && block.header->type != ADAT_BLOCK_DETAIL)
            continue;
        content.alone += !block.inside;
        expected.crc32 = block.header->crc32;
        expected.payload_bytes = block.header->payload_bytes;
        expected.sequence = block.header->sequence;
        CU_ASSERT_EQUAL_FATAL(memcmp(block.header, &expected, sizeof(expected)), 0);
        for (uint32_t i = 0; i < block.header->payload_bytes; i++)
            CU_ASSERT_EQUAL_FATAL(block.payload[i], (first + content.lane_blocks) % 255 + 1);
        content.lane_blocks++;
    }
    CU_ASSERT_EQUAL(scan.cut, ADAT_CUT_NONE);
    CU_ASSERT_EQUAL(scan.bad_padding, 0);
    content.blocks = scan.blocks;
    block_scan_fini(&scan);
    return content;
}

static void finish(AdatWriter *writer)
{
    CU_ASSERT_EQUAL(adat_writer_finish(writer), 0);
    adat_writer_destroy(writer);
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void lane_blocks__one_behind_the_other__then_one_block(void)
{
    int fd = sample_file();
    AdatWriter *writer = open_writer(fd, 0, 0);
    Content content;

    for (uint32_t i = 0; i < 64; i++)
        put_lane_block(writer, i, 150 + i);
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    CU_ASSERT_EQUAL(adat_writer_blocks(writer), 1);
    CU_ASSERT_EQUAL(adat_writer_buffered(writer), 0);
    put_lane_block(writer, 64, 0);
    finish(writer);
    content = content_of(fd, 0);
    CU_ASSERT_EQUAL(content.lane_blocks, 65);
    CU_ASSERT_EQUAL(content.gathered, 1);
    CU_ASSERT_EQUAL(content.alone, 1);
    CU_ASSERT_EQUAL(content.blocks, 3); /* with the index */
    close(fd);
}

static void lane_blocks__others_between__then_all_in_their_order(void)
{
    int fd = sample_file();
    AdatWriter *writer = open_writer(fd, 0, 0);
    Content content;

    for (uint32_t i = 0; i < 40; i++) {
        put_lane_block(writer, i, i);
        if (i % 4 == 3)
            put_other(writer);
    }
    finish(writer);
    content = content_of(fd, 0);
    CU_ASSERT_EQUAL(content.lane_blocks, 40);
    CU_ASSERT_EQUAL(content.gathered, 10);
    CU_ASSERT_EQUAL(content.others, 10);
    close(fd);
}

static void lane_blocks__cancelled__then_no_trace_of_it(void)
{
    const AdatBlockHeader header = header_of(9);
    int fd = sample_file();
    AdatWriter *writer = open_writer(fd, 0, 0);

    CU_ASSERT_PTR_NOT_NULL(adat_writer_begin_lane_block(writer, &header, 64));
    adat_writer_cancel_block(writer);
    CU_ASSERT_EQUAL(adat_writer_buffered(writer), 0);
    CU_ASSERT_PTR_NULL(adat_writer_block_header(writer));
    put_lane_block(writer, 0, 10);
    CU_ASSERT_PTR_NOT_NULL(adat_writer_begin_lane_block(writer, &header, 64));
    adat_writer_cancel_block(writer);
    adat_writer_end_block(writer, 64); /* none was begun: nothing happens */
    put_lane_block(writer, 1, 10);
    finish(writer);
    CU_ASSERT_EQUAL(content_of(fd, 0).lane_blocks, 2);
    close(fd);
}

/* One that is large, and more than there is place for entries. */
static void lane_blocks__very_many_or_large__then_in_several(void)
{
    int fd = sample_file();
    AdatWriter *writer = open_writer(fd, 1u << 20, 0);
    Content content;

    for (uint32_t i = 0; i < 10; i++)
        put_lane_block(writer, i, 20000);
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    CU_ASSERT_EQUAL(adat_writer_blocks(writer), 3);
    for (uint32_t i = 10; i < 2010; i++)
        put_lane_block(writer, i, 1);
    finish(writer);
    content = content_of(fd, 0);
    CU_ASSERT_EQUAL(content.lane_blocks, 2010);
    CU_ASSERT_EQUAL(content.most_records, 80000);
    CU_ASSERT(content.gathered >= 6 && content.gathered < 10);
    close(fd);
}

/* As much as there is room for, of blocks of any sizes, and not a byte more; others fit as adat_writer_room() says. */
static void lane_blocks__room__then_exactly_so_much(void)
{
    uint32_t number = 0;
    int fd = sample_file();
    AdatWriter *writer = open_writer(fd, 6000, 20);

    srandom(5);
    for (uint32_t round = 0; round < 300; round++) {
        while (random() % 20) {
            size_t room = adat_writer_lane_room(writer), size = (size_t)random() % 900;

            CU_ASSERT(room < adat_writer_room(writer) || room == 0);
            if (adat_writer_buffered(writer) > 0)
                CU_ASSERT_FALSE(try_lane_block(writer, number, room + 1));
            if (size > room)
                break;
            put_lane_block(writer, number++, size);
        }
        if (round % 3 == 0) {
            put_lane_block(writer, number, adat_writer_lane_room(writer));
            number++;
        } else if (adat_writer_room(writer) > 0) {
            uint8_t *payload =
                adat_writer_begin_block(writer, &(AdatBlockHeader){.type = OTHER}, adat_writer_room(writer));

            CU_ASSERT_PTR_NOT_NULL_FATAL(payload);
            memset(payload, 1, adat_writer_room(writer));
            adat_writer_end_block(writer, adat_writer_room(writer));
            CU_ASSERT_EQUAL(adat_writer_room(writer), 0);
        }
        CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    }
    finish(writer);
    CU_ASSERT_EQUAL(content_of(fd, 0).lane_blocks, number);
    close(fd);
}

static void lane_blocks__larger_than_the_buffer__then_it_grows_when_empty(void)
{
    int fd = sample_file();
    AdatWriter *writer = open_writer(fd, 1, 0);

    put_lane_block(writer, 0, 100);
    CU_ASSERT_FALSE(try_lane_block(writer, 1, 300000));
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    put_lane_block(writer, 1, 300000);
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    CU_ASSERT_PTR_NULL(adat_writer_begin_lane_block(writer, &(AdatBlockHeader){.type = ADAT_BLOCK_INDEX},
                                                    (size_t)ADAT_PAYLOAD_MAX));
    put_lane_block(writer, 2, 300000);
    finish(writer);
    CU_ASSERT_EQUAL(content_of(fd, 0).lane_blocks, 3);
    close(fd);
}

static void lane_blocks__write_fails__then_those_are_lost_and_others_not(void)
{
    int fd = sample_file();
    AdatWriter *writer = open_writer(fd, 0, 3);

    for (uint32_t round = 0; round < 10; round++) {
        put_lane_block(writer, 1000 + round, 50);
        disk_full = true;
        CU_ASSERT_EQUAL(adat_writer_flush(writer), -ENOSPC);
        CU_ASSERT_EQUAL(adat_writer_buffered(writer), 0);
        disk_full = false;
        put_lane_block(writer, 2 * round, 60);
        put_lane_block(writer, 2 * round + 1, 70);
        CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    }
    finish(writer);
    CU_ASSERT_EQUAL(content_of(fd, 0).lane_blocks, 20);
    close(fd);
}

/* The file as a whole, its index included, is as a reader wants it. */
static void lane_blocks__parts_of_the_index_between__then_verified(void)
{
    for (uint32_t part = 1; part < 12; part++) {
        const SampleShape shape = {
            .threads = 5, .events = 60, .block_events = 6, .part_entries = part, .gathered = true};

        expect_verdict(sample_trace(&shape, -1), NULL);
    }
}

static const TestCase tests[] = {
    TEST(lane_blocks__one_behind_the_other__then_one_block),
    TEST(lane_blocks__others_between__then_all_in_their_order),
    TEST(lane_blocks__cancelled__then_no_trace_of_it),
    TEST(lane_blocks__very_many_or_large__then_in_several),
    TEST(lane_blocks__room__then_exactly_so_much),
    TEST(lane_blocks__larger_than_the_buffer__then_it_grows_when_empty),
    TEST(lane_blocks__write_fails__then_those_are_lost_and_others_not),
    TEST(lane_blocks__parts_of_the_index_between__then_verified),
};
TEST_MAIN("adat_writer_lanes", tests)
