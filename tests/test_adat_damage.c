/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adat_check.h"
#include "test_support.h"
#include "user/file/crc.h"
#include "user/reader/block.h"

/* Blocks of every kind, parts of the index in the middle among them. */
static const SampleShape small = {
    .threads = 2, .events = 8, .block_events = 4, .part_entries = 4, .ended = true, .marked = true};

#define SMALL_BLOCKS 23u /* the last one is the last part of the index */

/* The same with blocks of lanes as the drain writes them. */
static const SampleShape gathered = {.threads = 2,
                                     .events = 8,
                                     .block_events = 4,
                                     .part_entries = 4,
                                     .ended = true,
                                     .marked = true,
                                     .gathered = true};

#define GATHERED_BLOCKS 20u

static void truncate_anywhere(const SampleShape *shape, uint64_t blocks)
{
    int fd = sample_trace(shape, -1);
    int copy = sample_file();
    size_t size;
    uint8_t *bytes = file_content(fd, &size);
    uint64_t boundaries = 0;

    for (size_t cut = 0; cut < size; cut++) {
        AdatReader *reader = NULL;
        const AdatFileInfo *info;
        int err;

        set_content(copy, bytes, cut);
        err = adat_reader_open(sample_path(copy), &reader);
        if (cut < sizeof(AdatFileHeader)) {
            CU_ASSERT_EQUAL(err, -ENODATA);
            continue;
        }
        CU_ASSERT_EQUAL_FATAL(err, 0);
        info = adat_reader_info(reader);
        CU_ASSERT_FALSE(info->closed);
        CU_ASSERT_EQUAL(info->cut, info->valid_bytes == cut ? ADAT_CUT_NONE : ADAT_CUT_SHORT);
        CU_ASSERT_EQUAL((int64_t)adat_reader_events(reader).in_file, read_everything(reader));
        CU_ASSERT_EQUAL(count_problems(reader), info->valid_bytes == cut ? 0 : 1);
        boundaries += info->valid_bytes == cut;
        adat_reader_close(reader);
    }
    CU_ASSERT_EQUAL(boundaries, blocks + 1); /* after the header and each block */
    free(bytes);
    close(copy);
    close(fd);
}

static void truncation__at_every_offset__then_prefix_is_read_and_cut_is_told(void)
{
    truncate_anywhere(&small, SMALL_BLOCKS);
    truncate_anywhere(&gathered, GATHERED_BLOCKS);
}

static void flip_anything(const SampleShape *shape)
{
    int fd = sample_trace(shape, -1);
    int copy = sample_file();
    size_t size;
    uint8_t *bytes = file_content(fd, &size);

    set_content(copy, bytes, size);
    for (size_t at = 0; at < size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            AdatReader *reader = NULL;
            int err;

            uint8_t flipped = (uint8_t)(bytes[at] ^ 1u << bit);

            CU_ASSERT_EQUAL_FATAL(pwrite(copy, &flipped, 1, (off_t)at), 1);
            err = adat_reader_open(sample_path(copy), &reader);
            if (at < sizeof(AdatFileHeader)) {
                CU_ASSERT(err == -EINVAL || err == -EBADMSG);
                continue; /* nothing was opened */
            }
            CU_ASSERT_EQUAL_FATAL(err, 0);
            if (count_problems(reader) == 0)
                CU_FAIL("a flipped bit was not reported");
            if (read_everything(reader) < 0)
                CU_FAIL("the prefix could not be read");
            adat_reader_close(reader);
        }
        CU_ASSERT_EQUAL_FATAL(pwrite(copy, &bytes[at], 1, (off_t)at), 1);
    }
    CU_ASSERT(size > 4000);
    free(bytes);
    close(copy);
    close(fd);
}

static void bit_flip__at_every_byte__then_reported(void)
{
    flip_anything(&small);
    flip_anything(&gathered);
}

/* Random bytes changed and checksums set right again: what a hostile writer could make. Returns how often a block's list made no sense. */
static uint32_t change_anything(const SampleShape *shape, unsigned blocks)
{
    int fd = sample_trace(shape, -1);
    int copy = sample_file();
    size_t size;
    uint8_t *bytes = file_content(fd, &size);
    uint8_t *hostile = malloc(size);
    uint32_t seed = 12345, senseless = 0;
    uint64_t events = 0;

    for (unsigned round = 0; round < 20000; round++) {
        static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
        unsigned number = round % blocks;
        AdatReader *reader = NULL;
        AdatBlockHeader header;
        uint8_t *block;

        memcpy(hostile, bytes, size);
        block = find_block(hostile, number);
        memcpy(&header, block, sizeof(header));
        for (unsigned i = 0; i < 1 + round % 3; i++) {
            size_t at;

            seed = seed * 1664525u + 1013904223u;
            at = (seed >> 8) % (sizeof(header) + header.payload_bytes);
            if (at < 4 || (at >= 8 && at < 24))
                at = 32 + at; /* magic, length, crc, sequence are for the scan: other tests */
            block[at] = seed >> 30 ? values[(seed >> 4) % sizeof(values)] : (uint8_t)seed;
        }
        seal_block(block);
        set_content(copy, hostile, size);
        CU_ASSERT_EQUAL_FATAL(adat_reader_open(sample_path(copy), &reader), 0);
        /* Without the part before it, the footer is none. */
        if (adat_reader_info(reader)->cut == ADAT_CUT_LANES)
            senseless++;
        else if (adat_reader_info(reader)->valid_bytes < size - sizeof(AdatFooter))
            CU_FAIL("not sealed");
        count_problems(reader);
        if (read_everything(reader) < 0)
            CU_FAIL("unreadable");
        events += adat_reader_events(reader).in_file != 0;
        adat_reader_close(reader);
    }
    CU_ASSERT(events > 0);
    free(hostile);
    free(bytes);
    close(copy);
    close(fd);
    return senseless;
}

static void hostile__any_field_of_any_block__then_no_crash(void)
{
    uint32_t senseless = change_anything(&gathered, GATHERED_BLOCKS);

    CU_ASSERT(senseless > 100);
    (void)change_anything(&small, SMALL_BLOCKS); /* its blocks may become of lanes, too */
}

static void expect_cut(void (*change)(uint8_t *bytes, size_t size), AdatCut cut)
{
    int fd = sample_trace(&small, -1);
    size_t size;
    uint8_t *bytes = file_content(fd, &size);
    AdatReader *reader;

    change(bytes, size);
    set_content(fd, bytes, size);
    reader = open_trace(fd);
    CU_ASSERT_EQUAL(adat_reader_info(reader)->cut, cut);
    CU_ASSERT(count_problems(reader) > 0);
    adat_reader_close(reader);
    free(bytes);
    close(fd);
}

static void change_block(uint8_t *bytes, unsigned number, size_t offset, uint32_t value)
{
    uint8_t *block = find_block(bytes, number);

    memcpy(block + offset, &value, sizeof(value));
}

static void break_magic(uint8_t *bytes, size_t size)
{
    (void)size;
    change_block(bytes, 3, 0, 0);
}

static void claim_huge(uint8_t *bytes, size_t size)
{
    (void)size;
    change_block(bytes, 3, offsetof(AdatBlockHeader, payload_bytes), ADAT_PAYLOAD_MAX + 1);
}

static void claim_more_than_there_is(uint8_t *bytes, size_t size)
{
    change_block(bytes, 3, offsetof(AdatBlockHeader, payload_bytes), (uint32_t)size);
}

static void break_sequence(uint8_t *bytes, size_t size)
{
    (void)size;
    change_block(bytes, 3, offsetof(AdatBlockHeader, sequence), 4);
    seal_block(find_block(bytes, 3));
}

static void break_crc(uint8_t *bytes, size_t size)
{
    (void)size;
    change_block(bytes, 3, offsetof(AdatBlockHeader, crc32), 4);
}

static void break_footer(uint8_t *bytes, size_t size)
{
    bytes[size - 1] ^= 1;
}

/* Seals a footer that names the part at this offset. */
static void put_footer(uint8_t *place, uint64_t part)
{
    AdatFooter footer = {.trailer_offset = part, .magic = ADAT_FOOTER_MAGIC};

    footer.crc32 = adat_crc32(0, &footer, offsetof(AdatFooter, crc32));
    memcpy(place, &footer, sizeof(footer));
}

static void name_the_part_before(uint8_t *bytes, size_t size)
{
    AdatBlockHeader last;

    memcpy(&last, find_block(bytes, SMALL_BLOCKS - 1), sizeof(last));
    CU_ASSERT_EQUAL(last.type, ADAT_BLOCK_TRAILER);
    CU_ASSERT_NOT_EQUAL(last.first_record, 0);
    put_footer(bytes + size - sizeof(AdatFooter), last.first_record);
}

/* The number of the first part, which is in the middle of the file. */
static unsigned first_part(uint8_t *bytes)
{
    AdatBlockHeader header;
    unsigned number = 0;

    do {
        memcpy(&header, find_block(bytes, number++), sizeof(header));
    } while (header.type != ADAT_BLOCK_TRAILER);
    CU_ASSERT(number < SMALL_BLOCKS);
    return number - 1;
}

static void rubbish_after_a_part(uint8_t *bytes, size_t size)
{
    (void)size;
    memset(find_block(bytes, first_part(bytes) + 1), 'x', 64);
}

static void footer_in_the_middle(uint8_t *bytes, size_t size)
{
    unsigned part = first_part(bytes);

    (void)size;
    put_footer(find_block(bytes, part + 1), (uint64_t)(find_block(bytes, part) - bytes));
}

static void footer_not_after_a_part(uint8_t *bytes, size_t size)
{
    unsigned part = first_part(bytes);

    (void)size;
    put_footer(find_block(bytes, part + 2), (uint64_t)(find_block(bytes, part) - bytes));
}

static void scan__every_kind_of_damage__then_named(void)
{
    expect_cut(break_magic, ADAT_CUT_MAGIC);
    expect_cut(claim_huge, ADAT_CUT_LENGTH);
    expect_cut(claim_more_than_there_is, ADAT_CUT_SHORT);
    expect_cut(break_sequence, ADAT_CUT_SEQUENCE);
    expect_cut(break_crc, ADAT_CUT_CRC);
    expect_cut(break_footer, ADAT_CUT_FOOTER);
    expect_cut(name_the_part_before, ADAT_CUT_FOOTER);
    expect_cut(rubbish_after_a_part, ADAT_CUT_FOOTER);
    expect_cut(footer_in_the_middle, ADAT_CUT_AFTER);
    expect_cut(footer_not_after_a_part, ADAT_CUT_MAGIC);
}

/* What a recorder leaves that is killed while it writes, right behind a part. */
static void scan__torn_behind_a_part__then_short_and_no_damage(void)
{
    int fd = sample_trace(&small, -1);
    size_t size;
    uint8_t *bytes = file_content(fd, &size);
    size_t part = (size_t)(find_block(bytes, first_part(bytes) + 1) - bytes);

    for (size_t rest = 0; rest < sizeof(AdatBlockHeader) + 8; rest++) {
        AdatReader *reader;

        set_content(fd, bytes, part + rest);
        reader = open_trace(fd);
        CU_ASSERT_EQUAL(adat_reader_info(reader)->cut, rest ? ADAT_CUT_SHORT : ADAT_CUT_NONE);
        CU_ASSERT_EQUAL(adat_reader_info(reader)->valid_bytes, part);
        CU_ASSERT_FALSE(adat_reader_info(reader)->closed);
        adat_reader_close(reader);
    }
    free(bytes);
    close(fd);
}

/* The same with the zeros that it wrote ahead: whole blocks, one that is torn at any place, then room. */
static void scan__torn_before_room_for_blocks__then_short_and_no_damage(void)
{
    static const uint8_t zeros[ADAT_AHEAD_BYTES + 8];
    int fd = sample_trace(&small, -1);
    size_t size;
    uint8_t *bytes = file_content(fd, &size);
    size_t block = (size_t)(find_block(bytes, 3) - bytes);
    size_t after = (size_t)(find_block(bytes, 4) - bytes);
    size_t part = (size_t)(find_block(bytes, first_part(bytes) + 1) - bytes);
    AdatReader *reader;
    bool whole;

    for (size_t end = block; end <= after; end++) {
        set_content(fd, bytes, end);
        CU_ASSERT_EQUAL(pwrite(fd, zeros, 5000, (off_t)end), 5000);
        reader = open_trace(fd);
        whole = memcmp(bytes + end, zeros, after - end) == 0; /* it ends in zeros, so the room completes it */
        CU_ASSERT_EQUAL(adat_reader_info(reader)->valid_bytes, whole ? after : block);
        CU_ASSERT_EQUAL(adat_reader_info(reader)->cut, whole || end == block ? ADAT_CUT_NONE : ADAT_CUT_SHORT);
        adat_reader_close(reader);
    }

    set_content(fd, bytes, part);
    CU_ASSERT_EQUAL(pwrite(fd, zeros, ADAT_AHEAD_BYTES, (off_t)part), ADAT_AHEAD_BYTES);
    reader = open_trace(fd);
    CU_ASSERT_EQUAL(adat_reader_info(reader)->cut, ADAT_CUT_NONE);
    CU_ASSERT_EQUAL(adat_cut_bytes(adat_reader_info(reader)), 0);
    CU_ASSERT_EQUAL(count_problems(reader), 0);
    adat_reader_close(reader);

    /* More zeros than any recorder writes, or something behind them, is damage. */
    CU_ASSERT_EQUAL(pwrite(fd, zeros, sizeof(zeros), (off_t)after), sizeof(zeros));
    reader = open_trace(fd);
    CU_ASSERT_EQUAL(adat_reader_info(reader)->cut, ADAT_CUT_MAGIC);
    adat_reader_close(reader);
    set_content(fd, bytes, block);
    CU_ASSERT_EQUAL(pwrite(fd, zeros, 5000, (off_t)block), 5000);
    CU_ASSERT_EQUAL(pwrite(fd, "x", 1, (off_t)block + 5000), 1);
    reader = open_trace(fd);
    CU_ASSERT_EQUAL(adat_reader_info(reader)->cut, ADAT_CUT_MAGIC);
    CU_ASSERT_EQUAL(adat_cut_bytes(adat_reader_info(reader)), 5001);
    adat_reader_close(reader);
    free(bytes);
    close(fd);
}

static void scan__file_shrinks_or_cannot_be_read__then_short_or_error(void)
{
    int fd = sample_trace(&small, -1);
    const BlockRef ref = {.offset = sizeof(AdatFileHeader), .payload_bytes = 8};
    BlockBuffer buffer = {0};
    size_t size, part;
    uint8_t *bytes = file_content(fd, &size);
    BlockScan scan;
    Block block;
    int got;

    /* it was longer when the scan began */
    part = (size_t)(find_block(bytes, first_part(bytes) + 1) - bytes);
    set_content(fd, bytes, part);
    block_scan_init(&scan, fd, sizeof(AdatFileHeader), size);
    while ((got = block_scan_next(&scan, &block)) > 0)
        ;
    CU_ASSERT_EQUAL(got, 0);
    CU_ASSERT_EQUAL(scan.cut, ADAT_CUT_SHORT);
    CU_ASSERT_EQUAL(scan.offset, part);
    block_scan_fini(&scan);

    block_scan_init(&scan, -1, sizeof(AdatFileHeader), size);
    CU_ASSERT_EQUAL(block_scan_next(&scan, &block), -EBADF);
    block_scan_fini(&scan);
    CU_ASSERT_EQUAL(block_load(-1, &ref, &buffer), -EBADF);
    block_buffer_free(&buffer);
    free(bytes);
    close(fd);
}

static void scan__bytes_after_the_footer__then_cut_off(void)
{
    int fd = sample_trace(&small, -1);
    size_t size;
    uint8_t *bytes = file_content(fd, &size);
    AdatReader *reader;

    CU_ASSERT_EQUAL(pwrite(fd, bytes, 200, (off_t)size), 200);
    reader = open_trace(fd);
    CU_ASSERT_TRUE(adat_reader_info(reader)->closed);
    CU_ASSERT_EQUAL(adat_reader_info(reader)->cut, ADAT_CUT_AFTER);
    CU_ASSERT_EQUAL(adat_reader_info(reader)->valid_bytes, size);
    CU_ASSERT_EQUAL(count_problems(reader), 1);
    adat_reader_close(reader);

    /* a footer that is damaged, and then more than a block header's length */
    bytes[size - 1] ^= 1;
    CU_ASSERT_EQUAL(pwrite(fd, bytes + size - 1, 1, (off_t)size - 1), 1);
    reader = open_trace(fd);
    CU_ASSERT_EQUAL(adat_reader_info(reader)->cut, ADAT_CUT_FOOTER);
    adat_reader_close(reader);
    free(bytes);
    close(fd);
}

static void scan__block_of_the_largest_size__then_read(void)
{
    const AdatBlockHeader header = {.type = ADAT_BLOCK_INDEX, .process = 1, .thread = 1};
    AdaIndexEvent *events = calloc(ADAT_PAYLOAD_MAX / 32, 32);
    int fd = sample_file();
    AdatWriter *writer = sample_writer(dup(fd));
    AdatReader *reader;

    CU_ASSERT_PTR_NOT_NULL_FATAL(events);
    CU_ASSERT_EQUAL(adat_writer_put_block(writer, &header, events, ADAT_PAYLOAD_MAX), 0);
    sample_put_thread(writer, 1, 1, 1, "main");
    end_unclosed(writer);
    reader = open_trace(fd);
    CU_ASSERT_EQUAL(adat_reader_info(reader)->blocks, 2);
    CU_ASSERT_EQUAL(read_everything(reader), 0); /* record_count says none */
    adat_reader_close(reader);
    free(events);
    close(fd);
}

static const TestCase tests[] = {
    TEST(truncation__at_every_offset__then_prefix_is_read_and_cut_is_told),
    TEST(bit_flip__at_every_byte__then_reported),
    TEST(hostile__any_field_of_any_block__then_no_crash),
    TEST(scan__every_kind_of_damage__then_named),
    TEST(scan__torn_behind_a_part__then_short_and_no_damage),
    TEST(scan__torn_before_room_for_blocks__then_short_and_no_damage),
    TEST(scan__file_shrinks_or_cannot_be_read__then_short_or_error),
    TEST(scan__bytes_after_the_footer__then_cut_off),
    TEST(scan__block_of_the_largest_size__then_read),
};
TEST_MAIN("adat_damage", tests)
