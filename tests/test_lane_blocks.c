/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "test_support.h"
#include "user/file/lane_blocks.h"

#define BLOCKS_MAX 64u

/* A payload in a heap block of its own, so that a sanitizer sees whoever reads behind it. */
typedef struct Payload {
    AdatBlockHeader header;
    uint8_t *bytes;
} Payload;

static AdatBlockHeader lane_block(uint16_t type, uint32_t bytes)
{
    return (AdatBlockHeader){
        .magic = ADAT_BLOCK_MAGIC,
        .type = type,
        .flags = type == ADAT_BLOCK_INDEX ? ADAT_FLAG_PACKED : 0,
        .payload_bytes = bytes,
        .sequence = 77,
        .process = 1,
        .thread = 2,
        .first_record = 1000,
        .record_count = 3,
        .first_time = 5000,
        .last_time = 6000,
    };
}

/* With records that follow from the block's place. */
static Payload make_payload(const AdatBlockHeader *blocks, uint32_t count)
{
    uint8_t entries[BLOCKS_MAX * LANE_ENTRY_MAX];
    size_t entries_bytes = 0, records_bytes = 0;
    uint64_t time_before = 0;
    Payload payload;

    for (uint32_t i = 0; i < count; i++) {
        size_t size = lane_entry_put(&blocks[i], &time_before, entries + entries_bytes);

        CU_ASSERT(size <= LANE_ENTRY_MAX);
        entries_bytes += size;
        records_bytes += blocks[i].payload_bytes;
    }
    payload.header = (AdatBlockHeader){
        .type = ADAT_BLOCK_LANES,
        .sequence = 77,
        .record_count = count,
        .records_bytes = (uint32_t)records_bytes,
        .payload_bytes = (uint32_t)(records_bytes + entries_bytes),
    };
    payload.bytes = malloc(records_bytes + entries_bytes + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(payload.bytes);
    for (uint32_t i = 0, at = 0; i < count; at += blocks[i++].payload_bytes)
        memset(payload.bytes + at, (int)i + 1, blocks[i].payload_bytes);
    memcpy(payload.bytes + records_bytes, entries, entries_bytes);
    return payload;
}

/* The blocks come back as they were, and where they were. */
static void expect_same(const AdatBlockHeader *blocks, uint32_t count)
{
    Payload payload = make_payload(blocks, count);
    const uint8_t *records, *expected = payload.bytes;
    AdatBlockHeader header;
    LaneBlocks walk;

    CU_ASSERT_TRUE_FATAL(lane_blocks_begin(&walk, &payload.header, payload.bytes));
    for (uint32_t i = 0; i < count; i++) {
        CU_ASSERT_TRUE_FATAL(lane_blocks_next(&walk, &header, &records));
        CU_ASSERT_EQUAL(memcmp(&header, &blocks[i], sizeof(header)), 0);
        CU_ASSERT_PTR_EQUAL(records, expected);
        for (uint32_t at = 0; at < header.payload_bytes; at++)
            CU_ASSERT_EQUAL_FATAL(records[at], (uint8_t)(i + 1));
        expected += header.payload_bytes;
    }
    CU_ASSERT_FALSE(lane_blocks_next(&walk, &header, &records));
    free(payload.bytes);
}

/* Whether it is taken; if so, all of it can be walked through, and nothing else is touched. */
static bool is_taken(const AdatBlockHeader *header, const uint8_t *bytes)
{
    uint8_t *copy = malloc(header->payload_bytes ? header->payload_bytes : 1);
    uint64_t size = 0;
    uint32_t count = 0;
    const uint8_t *records;
    AdatBlockHeader block;
    LaneBlocks walk;
    bool taken;

    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    memcpy(copy, bytes, header->payload_bytes);
    taken = lane_blocks_begin(&walk, header, copy);
    for (; taken && lane_blocks_next(&walk, &block, &records); count++) {
        CU_ASSERT_FATAL(records == copy + size);
        size += block.payload_bytes;
        CU_ASSERT_FATAL(block.type == ADAT_BLOCK_INDEX || block.type == ADAT_BLOCK_DETAIL);
    }
    if (taken)
        CU_ASSERT_FATAL(count == header->record_count && size == header->records_bytes);
    free(copy);
    return taken;
}

/* ---- writing ---------------------------------------------------------------------------------- */

static void lane_entry__of_a_slow_thread__then_16_bytes(void)
{
    AdatBlockHeader block = lane_block(ADAT_BLOCK_INDEX, 190);
    uint8_t entry[LANE_ENTRY_MAX];
    uint64_t before = 1ull << 50;

    block.first_record = 1500000;
    block.record_count = 27;
    block.first_time = before + 3000000; /* ticks at 2 GHz: 1.5 ms */
    block.last_time = block.first_time + 1900000;
    CU_ASSERT_EQUAL(lane_entry_put(&block, &before, entry), 16);
    CU_ASSERT_EQUAL(before, block.first_time);
}

static void lane_entry__largest_numbers__then_as_long_as_is_said(void)
{
    const AdatBlockHeader block = {
        .magic = ADAT_BLOCK_MAGIC,
        .type = ADAT_BLOCK_DETAIL,
        .flags = ADAT_FLAG_PACKED,
        .payload_bytes = UINT32_MAX,
        .process = UINT32_MAX,
        .thread = UINT32_MAX,
        .first_record = UINT64_MAX,
        .record_count = UINT32_MAX,
        .first_time = 1ull << 63,
        .last_time = (1ull << 63) - 1,
        .dropped_full = UINT64_MAX,
        .dropped_nested = UINT64_MAX,
        .dropped_io = UINT64_MAX,
        .recycled = UINT64_MAX,
    };
    uint8_t entry[LANE_ENTRY_MAX];
    uint64_t before = 0;

    CU_ASSERT_EQUAL(lane_entry_put(&block, &before, entry), LANE_ENTRY_MAX);
}

/* ---- both ------------------------------------------------------------------------------------- */

static void lane_blocks__each_field_from_least_to_most__then_comes_back(void)
{
    static const uint64_t values[] = {0,        1,          127,        128,        16383,      16384,
                                      1u << 31, UINT32_MAX, 1ull << 32, 1ull << 62, 1ull << 63, UINT64_MAX};
    const size_t count = sizeof(values) / sizeof(values[0]);

    for (size_t i = 0; i < count; i++) {
        for (unsigned field = 0; field < 10; field++) {
            /* Between two others: they are unharmed. */
            AdatBlockHeader blocks[3] = {lane_block(ADAT_BLOCK_INDEX, 5), lane_block(ADAT_BLOCK_DETAIL, 24),
                                         lane_block(ADAT_BLOCK_INDEX, 0)};
            uint64_t *const wide[] = {&blocks[1].first_record,   &blocks[1].first_time,
                                      &blocks[1].last_time,      &blocks[1].dropped_full,
                                      &blocks[1].dropped_nested, &blocks[1].dropped_io,
                                      &blocks[1].recycled};
            uint32_t *const narrow[] = {&blocks[1].thread, &blocks[1].process, &blocks[1].record_count};

            if (field < 7)
                *wide[field] = values[i];
            else
                *narrow[field - 7] = (uint32_t)values[i];
            expect_same(blocks, 3);
        }
    }
}

static void lane_blocks__any_number_of_any_blocks__then_come_back(void)
{
    srandom(1);
    for (unsigned round = 0; round < 2000; round++) {
        AdatBlockHeader blocks[BLOCKS_MAX];
        uint32_t count = (uint32_t)random() % (BLOCKS_MAX + 1);

        for (uint32_t i = 0; i < count; i++) {
            blocks[i] =
                lane_block(random() & 1 ? ADAT_BLOCK_INDEX : ADAT_BLOCK_DETAIL, (uint32_t)random() % 100);
            blocks[i].thread = (uint32_t)random();
            blocks[i].first_time = (uint64_t)random() << (random() % 34);
            blocks[i].last_time = (uint64_t)random() << (random() % 34);
            blocks[i].first_record = (uint64_t)random();
            if (random() % 3 == 0)
                blocks[i].recycled = (uint64_t)random();
        }
        expect_same(blocks, count);
    }
}

/* ---- reading what nobody vouches for ----------------------------------------------------------- */

static void lane_blocks__sizes_that_do_not_fit__then_refused(void)
{
    const AdatBlockHeader blocks[2] = {lane_block(ADAT_BLOCK_INDEX, 20), lane_block(ADAT_BLOCK_DETAIL, 24)};
    Payload payload = make_payload(blocks, 2);
    AdatBlockHeader header = payload.header;

    CU_ASSERT_TRUE(is_taken(&header, payload.bytes));
    for (header.payload_bytes = 0; header.payload_bytes < payload.header.payload_bytes; header.payload_bytes++)
        CU_ASSERT_FALSE(is_taken(&header, payload.bytes));
    for (header.records_bytes = 0; header.records_bytes < payload.header.records_bytes; header.records_bytes++)
        CU_ASSERT_FALSE(is_taken(&header, payload.bytes));
    header.records_bytes++;
    for (; header.records_bytes <= payload.header.payload_bytes + 1; header.records_bytes++)
        CU_ASSERT_FALSE(is_taken(&header, payload.bytes));
    header.records_bytes = UINT32_MAX;
    CU_ASSERT_FALSE(is_taken(&header, payload.bytes));
    header = payload.header;
    for (header.record_count = 0; header.record_count < 5; header.record_count++)
        CU_ASSERT_EQUAL(is_taken(&header, payload.bytes), header.record_count == 2);
    header.record_count = UINT32_MAX;
    CU_ASSERT_FALSE(is_taken(&header, payload.bytes));
    free(payload.bytes);
}

/* As the entry of a block without records: eight zeros would be one. */
static bool takes_entry(const uint8_t *entry, size_t size)
{
    const AdatBlockHeader header = {.record_count = 1, .payload_bytes = (uint32_t)size};

    return is_taken(&header, entry);
}

static void lane_blocks__impossible_numbers__then_refused(void)
{
    uint8_t entry[32] = {0};

    CU_ASSERT_TRUE(takes_entry(entry, 8));
    CU_ASSERT_FALSE(takes_entry(entry, 9));

    entry[2] = 8; /* a bit that has no meaning */
    CU_ASSERT_FALSE(takes_entry(entry, 8));
    entry[2] = 0;
    entry[4] = 1; /* a byte of records that is not there */
    CU_ASSERT_FALSE(takes_entry(entry, 8));

    memset(entry, 0, sizeof(entry));
    memcpy(entry, "\xff\xff\xff\xff\x0f", 5); /* a thread of 32 bits, */
    CU_ASSERT_TRUE(takes_entry(entry, 12));
    entry[4] = 0x10; /* of 33 */
    CU_ASSERT_FALSE(takes_entry(entry, 12));

    memset(entry, 0, sizeof(entry));
    memcpy(entry + 5, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10); /* a record of 64 bits, */
    CU_ASSERT_TRUE(takes_entry(entry, 17));
    entry[14] = 0x02; /* of 65 */
    CU_ASSERT_FALSE(takes_entry(entry, 17));
    entry[14] = 0x80; /* and one that does not end */
    CU_ASSERT_FALSE(takes_entry(entry, 18));
    memset(entry, 0x80, sizeof(entry));
    CU_ASSERT_FALSE(takes_entry(entry, 8));
}

static void lane_blocks__any_bytes__then_bounded(void)
{
    const AdatBlockHeader blocks[3] = {lane_block(ADAT_BLOCK_INDEX, 7), lane_block(ADAT_BLOCK_DETAIL, 24),
                                       lane_block(ADAT_BLOCK_INDEX, 9)};
    Payload payload = make_payload(blocks, 3);
    uint32_t taken = 0;

    srandom(2);
    for (unsigned round = 0; round < 50000; round++) {
        AdatBlockHeader header = payload.header;
        uint8_t bytes[256];

        memcpy(bytes, payload.bytes, header.payload_bytes);
        for (long i = random() % 4; i >= 0; i--)
            bytes[(size_t)random() % header.payload_bytes] = (uint8_t)(random() >> (random() % 8));
        if (round % 5 == 0)
            header.records_bytes = (uint32_t)random() % (header.payload_bytes + 2);
        if (round % 7 == 0)
            header.record_count = (uint32_t)random() % 6;
        taken += is_taken(&header, bytes);
    }
    CU_ASSERT(taken > 1000 && taken < 49000);
    free(payload.bytes);
}

static const TestCase tests[] = {
    TEST(lane_entry__of_a_slow_thread__then_16_bytes),
    TEST(lane_entry__largest_numbers__then_as_long_as_is_said),
    TEST(lane_blocks__each_field_from_least_to_most__then_comes_back),
    TEST(lane_blocks__any_number_of_any_blocks__then_come_back),
    TEST(lane_blocks__sizes_that_do_not_fit__then_refused),
    TEST(lane_blocks__impossible_numbers__then_refused),
    TEST(lane_blocks__any_bytes__then_bounded),
};
TEST_MAIN("lane_blocks", tests)
