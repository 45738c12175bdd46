/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adat_check.h"
#include "test_support.h"

static const SampleShape small = {.threads = 2, .events = 8, .block_events = 4};

static void truncation__at_every_offset__then_prefix_is_read_and_cut_is_told(void)
{
    int fd = sample_trace(&small, -1);
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
    CU_ASSERT_EQUAL(boundaries, 18); /* after the header and each block, the trailer included */
    free(bytes);
    close(copy);
    close(fd);
}

static void bit_flip__at_every_byte__then_reported(void)
{
    int fd = sample_trace(&small, -1);
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

/* Random bytes changed and checksums set right again: what a hostile writer could make. */
static void hostile__any_field_of_any_block__then_no_crash(void)
{
    int fd = sample_trace(&small, -1);
    int copy = sample_file();
    size_t size;
    uint8_t *bytes = file_content(fd, &size);
    uint8_t *hostile = malloc(size);
    uint32_t seed = 12345;
    uint64_t events = 0;

    for (unsigned round = 0; round < 20000; round++) {
        static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
        unsigned number = round % 17;
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
        /* A trailer of another type, or another trailer, leaves the footer without its own. */
        if (adat_reader_info(reader)->valid_bytes < size - sizeof(AdatFooter))
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

static void scan__every_kind_of_damage__then_named(void)
{
    expect_cut(break_magic, ADAT_CUT_MAGIC);
    expect_cut(claim_huge, ADAT_CUT_LENGTH);
    expect_cut(claim_more_than_there_is, ADAT_CUT_SHORT);
    expect_cut(break_sequence, ADAT_CUT_SEQUENCE);
    expect_cut(break_crc, ADAT_CUT_CRC);
    expect_cut(break_footer, ADAT_CUT_FOOTER);
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
    TEST(scan__bytes_after_the_footer__then_cut_off),
    TEST(scan__block_of_the_largest_size__then_read),
};
TEST_MAIN("adat_damage", tests)
