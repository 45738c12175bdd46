/* SPDX-License-Identifier: MIT */
/*
 * A traced process that writes anything into its lanes: the collector reads within the rings (they stand
 * between pages that nobody may touch), comes to an end, and says -EPROTO or hands out sane chunks.
 */
#include "lane_fixture.h"
#include "test_support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RING (32u << 10)
#define ALL UINT32_MAX

static LaneFixture *half_drained_lane(uint32_t kind)
{
    LaneFixture *fixture =
        lane_fixture_create(kind, kind == ADA_LANE_INDEX ? ADA_INDEX_RINGS : ADA_DETAIL_RINGS, RING);

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    for (uint32_t i = 0; i < 30; i++) {
        if (kind == ADA_LANE_DETAIL)
            (void)lane_fixture_write_detail(fixture, 1, 1000);
        for (uint32_t n = 0; kind == ADA_LANE_INDEX && n < 40; n++)
            (void)lane_fixture_write(fixture, 1, i);
        if (i == 10)
            CU_ASSERT_EQUAL(lane_fixture_drain(fixture, 7, false), 7);
    }
    return fixture;
}

static void check_chunk(const LaneFixture *fixture, const LaneChunk *chunk)
{
    const LaneReader *reader = &fixture->reader;
    const char *end = fixture->rings + (size_t)reader->ring_count * reader->ring_bytes;

    CU_ASSERT_TRUE_FATAL(chunk->data >= fixture->rings && chunk->data <= end);
    CU_ASSERT_TRUE_FATAL(chunk->bytes <= RING && chunk->bytes <= (size_t)(end - chunk->data));
    CU_ASSERT_TRUE_FATAL(chunk->bytes % 8 == 0);
    CU_ASSERT_TRUE_FATAL((uint64_t)chunk->records * ADA_INDEX_EVENT_SIZE <= chunk->bytes);
}

/* Looks at what the lane holds, as rules about fields do, and leaves it. The drain is held. */
static void look(LaneFixture *fixture)
{
    static char copy[RING];
    LanePeek peek = {0};
    LaneChunk chunk;

    for (uint32_t n = 0; n < 2 * ADA_RINGS_MAX && lane_reader_peek(&fixture->reader, &peek, &chunk) == 1; n++) {
        check_chunk(fixture, &chunk);
        memcpy(copy, chunk.data, chunk.bytes);
        lane_peek_advance(&peek, &chunk, chunk.records, chunk.bytes);
    }
}

/*
 * Visits the lane as the drain does, with every check the drain would make on its copy left out: what
 * comes must be sane without them. Returns the last result of lane_reader_next() or _begin().
 */
static int visit(LaneFixture *fixture)
{
    LaneReader *reader = &fixture->reader;
    static char copy[RING];
    uint32_t chunks = 0;
    LaneChunk chunk;
    int found = lane_reader_begin(reader, true);

    if (found < 0)
        return found;
    look(fixture);
    while ((found = lane_reader_next(reader, &chunk)) == 1) {
        check_chunk(fixture, &chunk);
        CU_ASSERT_TRUE_FATAL(++chunks <= 2 * ADA_RINGS_MAX);
        memcpy(copy, chunk.data, chunk.bytes);
        lane_reader_consume(reader, &chunk, chunk.records, chunk.bytes);
    }
    lane_reader_end(reader);
    lane_reader_return_rings(reader);
    return found;
}

/* Runs one manipulated lane; the result must be one that is allowed. */
static void check_visit(LaneFixture *fixture)
{
    int result = visit(fixture);

    CU_ASSERT_TRUE(result == 0 || result == -EPROTO);
    result = visit(fixture);
    CU_ASSERT_TRUE(result == 0 || result == -EPROTO);
    (void)lane_reader_pending(&fixture->reader);
    (void)lane_events_written(&fixture->lane);
    (void)lane_events_reserved(&fixture->lane);
}

static uint64_t hostile_value(uint64_t honest, uint32_t choice)
{
    switch (choice) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return honest + 1;
    case 3:
        return honest - 1;
    case 4:
        return honest + 8;
    case 5:
        return honest ^ 1ull << 63;
    case 6:
        return honest + (1ull << 32);
    case 7:
        return honest + ADA_POSITION(1, ADA_INDEX_EVENT_SIZE) * 1024;
    case 8:
        return UINT32_MAX;
    default:
        return (uint64_t)INT64_MAX;
    }
}
#define HOSTILE_VALUES 10u

/*
 * Each 4 and each 8 bytes of the lane in turn: every field that there is, those the reader ignores
 * included.
 */
static void lane_reader__each_field_hostile__then_sane_or_refused(void)
{
    for (uint32_t kind = ADA_LANE_INDEX; kind <= ADA_LANE_DETAIL; kind++) {
        LaneFixture *fixture = half_drained_lane(kind);
        LaneReader reader = fixture->reader;
        Lane honest = fixture->lane;

        for (size_t at = 0; at < sizeof(Lane); at += 4) {
            for (uint32_t choice = 0; choice < HOSTILE_VALUES; choice++) {
                for (size_t size = 4; size <= 8 && at % size == 0; size += 4) {
                    uint64_t value = 0;

                    fixture->lane = honest;
                    fixture->reader = reader;
                    memcpy(&value, (char *)&fixture->lane + at, size);
                    value = hostile_value(value, choice);
                    memcpy((char *)&fixture->lane + at, &value, size);
                    check_visit(fixture);
                }
            }
        }
        lane_fixture_destroy(fixture);
    }
}

/* 100,000 lanes with several random fields, from a fixed seed. */
static void lane_reader__random_fields_hostile__then_sane_or_refused(void)
{
    uint32_t refused = 0, accepted = 0;
    unsigned short seed[3] = {1, 2, 3};

    for (uint32_t kind = ADA_LANE_INDEX; kind <= ADA_LANE_DETAIL; kind++) {
        LaneFixture *fixture = half_drained_lane(kind);
        LaneReader reader = fixture->reader;
        Lane honest = fixture->lane;

        for (uint32_t round = 0; round < 50000; round++) {
            long changes = 1 + nrand48(seed) % 6;

            fixture->lane = honest;
            fixture->reader = reader;
            while (changes-- > 0) {
                size_t at = (size_t)nrand48(seed) % (sizeof(Lane) / 8) * 8;
                uint64_t value;

                memcpy(&value, (char *)&fixture->lane + at, sizeof(value));
                if (nrand48(seed) % 2)
                    value = hostile_value(value, (uint32_t)nrand48(seed) % HOSTILE_VALUES);
                else
                    value = (uint64_t)nrand48(seed) << 33 ^ (uint64_t)nrand48(seed) << 11 ^
                            (uint64_t)nrand48(seed);
                memcpy((char *)&fixture->lane + at, &value, sizeof(value));
            }
            if (visit(fixture) == 0)
                accepted++;
            else
                refused++;
            check_visit(fixture);
        }
        lane_fixture_destroy(fixture);
    }
    CU_ASSERT_TRUE(refused > 1000);
    CU_ASSERT_TRUE(accepted > 1000);
}

/* Positions that no ring of this lane can have. */
static void lane_reader__position_impossible__then_refused(void)
{
    static const uint64_t index_bad[] = {
        ADA_POSITION(1, 0),  ADA_POSITION(0, 32),           ADA_POSITION(1, 31),
        ADA_POSITION(1, 33), ADA_POSITION(1025, RING + 32), ADA_POSITION(UINT32_MAX, RING),
        ADA_POSITION(2, 32), ADA_POSITION(1, UINT32_MAX),   ADA_POSITION(1u << 27, 0)};
    static const uint64_t detail_bad[] = {
        ADA_POSITION(1, 0),        ADA_POSITION(0, 32),           ADA_POSITION(1, 4),
        ADA_POSITION(1, 36),       ADA_POSITION(2, 56),           ADA_POSITION(1, ADA_DETAIL_RECORD_MAX + 8),
        ADA_POSITION(8, RING + 8), ADA_POSITION(UINT32_MAX, RING)};

    for (uint32_t kind = ADA_LANE_INDEX; kind <= ADA_LANE_DETAIL; kind++) {
        const uint64_t *bad = kind == ADA_LANE_INDEX ? index_bad : detail_bad;
        size_t count = (kind == ADA_LANE_INDEX ? sizeof(index_bad) : sizeof(detail_bad)) / sizeof(bad[0]);

        for (size_t i = 0; i < count; i++) {
            LaneFixture *fixture = lane_fixture_create(kind, 2, RING);

            CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
            fixture->lane.rings[0].published = bad[i];
            if (ADA_POSITION_RECORDS(bad[i]) == 0)
                CU_ASSERT_EQUAL(visit(fixture), 0) /* no records: nothing to read */
            else
                CU_ASSERT_EQUAL(visit(fixture), -EPROTO)
            lane_fixture_destroy(fixture);
        }
    }
}

static void lane_reader__position_goes_back__then_refused(void)
{
    LaneFixture *fixture = lane_fixture_create(ADA_LANE_DETAIL, 2, RING);

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    for (uint32_t i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(lane_fixture_write_detail(fixture, 1, 64), 0);
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, 3, false), 3);
    fixture->lane.rings[0].published = ADA_POSITION(4, 3 * 96 - 8); /* more records, fewer bytes */
    CU_ASSERT_EQUAL(visit(fixture), -EPROTO);
    fixture->lane.rings[0].published = ADA_POSITION(4, 3 * 96 + 8); /* a record shorter than its header */
    CU_ASSERT_EQUAL(visit(fixture), -EPROTO);
    fixture->lane.rings[0].published = ADA_POSITION(2, 2 * 96);
    CU_ASSERT_EQUAL(visit(fixture), 0);
    lane_fixture_destroy(fixture);
}

static void lane_reader__records_repeated__then_refused(void)
{
    LaneFixture *fixture = lane_fixture_create(ADA_LANE_INDEX, 4, 4096);
    LaneChunk chunk;

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    for (uint32_t i = 0; i < 113; i++)
        CU_ASSERT_EQUAL(lane_fixture_write(fixture, 1, i), 0);
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, UINT32_MAX, false), 113);
    fixture->lane.rings[1].base_record = 50; /* 50 + 63 new ones would have been seen before */
    fixture->lane.rings[1].published = ADA_POSITION(100, 3200);
    CU_ASSERT_EQUAL(lane_reader_begin(&fixture->reader, false), 1);
    CU_ASSERT_EQUAL(lane_reader_next(&fixture->reader, &chunk), -EPROTO);
    lane_reader_end(&fixture->reader);
    lane_fixture_destroy(fixture);
}

/* The same ring submitted over and over ends when as many rings are out as there are. */
static void lane_reader__ring_submitted_again_and_again__then_refused(void)
{
    LaneFixture *fixture = lane_fixture_create(ADA_LANE_INDEX, 2, RING);

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    fixture->lane.submit_queue.tail = ADA_QUEUE_SLOTS;
    CU_ASSERT_EQUAL(visit(fixture), -EPROTO);
    CU_ASSERT_TRUE(fixture->reader.to_return_count <= ADA_RINGS_MAX);
    lane_fixture_destroy(fixture);
}

static void lane_reader__queue_indices_impossible__then_begin_refuses(void)
{
    LaneFixture *fixture = lane_fixture_create(ADA_LANE_INDEX, 4, 4096);

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    fixture->lane.submit_queue.head = 1;
    CU_ASSERT_EQUAL(lane_reader_begin(&fixture->reader, false), -EPROTO);
    CU_ASSERT_EQUAL(fixture->lane.drain_owner, ADA_DRAIN_FREE);
    fixture->lane.submit_queue.head = 0;
    fixture->lane.active_ring_index = 4;
    CU_ASSERT_EQUAL(visit(fixture), -EPROTO);
    lane_fixture_destroy(fixture);
}

static void lane_reader_peek__impossible_values__then_refused(void)
{
    LaneFixture *fixture = half_drained_lane(ADA_LANE_DETAIL);
    Lane *lane = &fixture->lane;
    LanePeek peek = {0};
    LaneChunk chunk;
    uint64_t tail;
    uint32_t active, slot;

    CU_ASSERT_EQUAL_FATAL(lane_reader_begin(&fixture->reader, false), 1);
    CU_ASSERT_EQUAL(lane_reader_peek(&fixture->reader, &peek, &chunk), 1);
    tail = lane->submit_queue.tail;
    lane->submit_queue.tail = tail + ADA_QUEUE_SLOTS + 1;
    CU_ASSERT_EQUAL(lane_reader_peek(&fixture->reader, &peek, &chunk), -EPROTO);
    lane->submit_queue.tail = lane->submit_queue.head + 1;
    slot = lane->submit_queue.slots[lane->submit_queue.head % ADA_QUEUE_SLOTS];
    lane->submit_queue.slots[lane->submit_queue.head % ADA_QUEUE_SLOTS] = ADA_DETAIL_RINGS;
    CU_ASSERT_EQUAL(lane_reader_peek(&fixture->reader, &peek, &chunk), -EPROTO);
    lane->submit_queue.slots[lane->submit_queue.head % ADA_QUEUE_SLOTS] = slot;
    lane->submit_queue.tail = lane->submit_queue.head;
    active = lane->active_ring_index;
    lane->active_ring_index = ADA_DETAIL_RINGS;
    CU_ASSERT_EQUAL(lane_reader_peek(&fixture->reader, &peek, &chunk), -EPROTO);
    lane->active_ring_index = active;
    lane->rings[active].sequence = lane->submit_queue.head + 7; /* as amid a swap */
    CU_ASSERT_EQUAL(lane_reader_peek(&fixture->reader, &peek, &chunk), 0);
    lane_reader_end(&fixture->reader);
    lane_fixture_destroy(fixture);
}

static void lane_reader_mark__again_or_hostile__then_never_goes_back(void)
{
    LaneFixture *fixture = half_drained_lane(ADA_LANE_DETAIL);
    Lane *lane = &fixture->lane;
    uint64_t sequence = lane->rings[lane->active_ring_index].sequence;

    lane_reader_mark(&fixture->reader);
    CU_ASSERT_EQUAL(lane->collector_mark_until, sequence + 2);
    lane->rings[lane->active_ring_index].sequence = 0;
    lane_reader_mark(&fixture->reader);
    CU_ASSERT_EQUAL(lane->collector_mark_until, sequence + 2);
    lane->active_ring_index = UINT32_MAX;
    lane_reader_mark(&fixture->reader);
    CU_ASSERT(lane->collector_mark_until >= sequence + 2);
    lane_fixture_destroy(fixture);
}

static const TestCase tests[] = {
    TEST(lane_reader_peek__impossible_values__then_refused),
    TEST(lane_reader_mark__again_or_hostile__then_never_goes_back),
    TEST(lane_reader__each_field_hostile__then_sane_or_refused),
    TEST(lane_reader__random_fields_hostile__then_sane_or_refused),
    TEST(lane_reader__position_impossible__then_refused),
    TEST(lane_reader__position_goes_back__then_refused),
    TEST(lane_reader__records_repeated__then_refused),
    TEST(lane_reader__ring_submitted_again_and_again__then_refused),
    TEST(lane_reader__queue_indices_impossible__then_begin_refuses),
};
TEST_MAIN("lane_hostile", tests)
