/* SPDX-License-Identifier: MIT */
/* Detail lanes: records of all sizes, and which rings are kept. */
#include "lane_fixture.h"
#include "test_support.h"

#include <errno.h>
#include <string.h>

#define RING (32u << 10)
#define ALL UINT32_MAX
#define BIG 4096u       /* payload; seven such records fit below a ring's limit of 28 KiB, less an eighth */
#define BIG_PER_RING 6u /* 6 * 4128 <= 28672 < 7 * 4128 */

static LaneFixture *detail_lane(uint32_t policy, uint32_t detail)
{
    LaneFixture *fixture = lane_fixture_create(ADA_LANE_DETAIL, ADA_DETAIL_RINGS, RING);

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    fixture->header.policy = policy;
    fixture->header.detail = detail;
    return fixture;
}

static uint32_t write_big(LaneFixture *fixture, uint32_t count)
{
    uint32_t accepted = 0;

    for (uint32_t i = 0; i < count; i++)
        accepted += lane_fixture_write_detail(fixture, 3, BIG) == 0;
    return accepted;
}

/* Whether every record carries its own number, which its payload was made from. */
static bool records_know_their_numbers(const LaneFixture *fixture)
{
    for (uint32_t i = 0; i < fixture->record_count; i++)
        if (fixture->records[i].argument != fixture->records[i].number)
            return false;
    return fixture->bad_payloads == 0;
}

static void detail_lane__payloads_of_all_sizes__then_read_as_written(void)
{
    LaneFixture *fixture = detail_lane(ADA_POLICY_DISCARD, ADA_DETAIL_ALWAYS);

    for (uint32_t payload = 0; payload <= ADA_PAYLOAD_MAX; payload++) {
        CU_ASSERT_EQUAL_FATAL(lane_fixture_write_detail(fixture, payload, payload), 0);
        if (payload % 3 == 0)
            CU_ASSERT_TRUE_FATAL(lane_fixture_drain(fixture, ALL, false) > 0);
    }
    CU_ASSERT_TRUE(lane_fixture_drain(fixture, ALL, false) >= 0);
    CU_ASSERT_EQUAL(fixture->record_count, ADA_PAYLOAD_MAX + 1);
    for (uint32_t i = 0; i < fixture->record_count; i++) {
        CU_ASSERT_EQUAL(fixture->records[i].id, i);
        CU_ASSERT_EQUAL(fixture->records[i].tail, i);
    }
    CU_ASSERT_TRUE(records_know_their_numbers(fixture));
    CU_ASSERT_TRUE(lane_fixture_is_gapless(fixture, 0, 0));
    CU_ASSERT_EQUAL(metrics_dropped(&fixture->metrics), 0);
    lane_fixture_destroy(fixture);
}

static void detail_lane__drained_record_by_record__then_each_once(void)
{
    LaneFixture *fixture = detail_lane(ADA_POLICY_DISCARD, ADA_DETAIL_ALWAYS);

    for (uint32_t i = 0; i < 400; i++) {
        CU_ASSERT_EQUAL_FATAL(lane_fixture_write_detail(fixture, i, i * 37 % 2000), 0);
        CU_ASSERT_TRUE(lane_fixture_drain(fixture, 1 + i % 2, false) > 0);
    }
    CU_ASSERT_EQUAL(fixture->record_count, 400);
    CU_ASSERT_TRUE(records_know_their_numbers(fixture));
    CU_ASSERT_TRUE(lane_fixture_is_gapless(fixture, 0, 0));
    lane_fixture_destroy(fixture);
}

static void detail_lane__unmarked_and_pool_empty__then_recycled_and_counted(void)
{
    LaneFixture *fixture = detail_lane(ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);

    CU_ASSERT_EQUAL(write_big(fixture, 5 * BIG_PER_RING), 5 * BIG_PER_RING);
    CU_ASSERT_EQUAL(fixture->metrics.counters.recycled, 3 * BIG_PER_RING);
    CU_ASSERT_EQUAL(fixture->metrics.counters.overwritten, 0);
    CU_ASSERT_EQUAL(fixture->metrics.counters.dropped_full, 0);
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, false), 2 * BIG_PER_RING);
    CU_ASSERT_TRUE(lane_fixture_is_gapless(fixture, 0, 3 * BIG_PER_RING));
    CU_ASSERT_TRUE(records_know_their_numbers(fixture));
    lane_fixture_destroy(fixture);
}

static void detail_lane__always__then_never_recycled(void)
{
    LaneFixture *fixture = detail_lane(ADA_POLICY_DISCARD, ADA_DETAIL_ALWAYS);

    CU_ASSERT_EQUAL(write_big(fixture, 5 * BIG_PER_RING), 2 * BIG_PER_RING);
    CU_ASSERT_EQUAL(fixture->metrics.counters.recycled, 0);
    CU_ASSERT_EQUAL(fixture->metrics.counters.dropped_full, 3 * BIG_PER_RING);
    lane_fixture_destroy(fixture);
}

static void detail_lane__overwrite_and_always__then_counted_as_overwritten(void)
{
    LaneFixture *fixture = detail_lane(ADA_POLICY_OVERWRITE, ADA_DETAIL_ALWAYS);

    CU_ASSERT_EQUAL(write_big(fixture, 3 * BIG_PER_RING), 3 * BIG_PER_RING);
    CU_ASSERT_EQUAL(fixture->metrics.counters.overwritten, BIG_PER_RING);
    CU_ASSERT_EQUAL(fixture->metrics.counters.recycled, 0);
    lane_fixture_destroy(fixture);
}

/* A mark keeps the rings before it, its own, and one more. */
static void detail_lane__marked__then_rings_around_it_kept(void)
{
    LaneFixture *fixture = detail_lane(ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);

    CU_ASSERT_EQUAL(write_big(fixture, BIG_PER_RING + 1), BIG_PER_RING + 1); /* ring 0 submitted, ring 1 begun */
    lane_mark(&fixture->producer);
    CU_ASSERT_EQUAL(fixture->lane.marked, 1);
    CU_ASSERT_EQUAL(fixture->lane.mark_until, 3);
    CU_ASSERT_EQUAL(write_big(fixture, BIG_PER_RING), BIG_PER_RING - 1);
    CU_ASSERT_EQUAL(fixture->metrics.counters.recycled, 0);
    CU_ASSERT_EQUAL(fixture->metrics.counters.dropped_full, 1);
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, false), 2 * BIG_PER_RING);
    CU_ASSERT_EQUAL(fixture->records[0].number, 0);

    CU_ASSERT_EQUAL(write_big(fixture, 1), 1);
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, false), 1);
    CU_ASSERT_EQUAL(write_big(fixture, 2 * BIG_PER_RING), 2 * BIG_PER_RING - 1); /* ring 2 is the one more */
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, BIG_PER_RING - 1, false), BIG_PER_RING - 1);
    CU_ASSERT_EQUAL(write_big(fixture, 2 * BIG_PER_RING), 2 * BIG_PER_RING); /* ring 3 is unmarked */
    CU_ASSERT_EQUAL(fixture->metrics.counters.recycled, BIG_PER_RING);
    CU_ASSERT_TRUE(records_know_their_numbers(fixture));
    lane_fixture_destroy(fixture);
}

static void detail_lane__marked_by_collector__then_kept(void)
{
    LaneFixture *fixture = detail_lane(ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);

    fixture->lane.collector_mark_until = 2;
    CU_ASSERT_EQUAL(write_big(fixture, 2 * BIG_PER_RING + 3), 2 * BIG_PER_RING);
    CU_ASSERT_EQUAL(fixture->metrics.counters.recycled, 0);
    fixture->lane.collector_mark_until = 0;
    CU_ASSERT_EQUAL(write_big(fixture, 3), 3);
    CU_ASSERT_EQUAL(fixture->metrics.counters.recycled, BIG_PER_RING);
    lane_fixture_destroy(fixture);
}

static void write_until_dropped_or_recycled(void *argument)
{
    LaneFixture *fixture = argument;

    while (fixture->metrics.counters.recycled == 0 && fixture->metrics.counters.dropped_full == 0)
        (void)lane_fixture_write_detail(fixture, 3, BIG);
}

/*
 * The collector only looks at the lane: an unmarked ring is the producer's to take as soon as it looks
 * away, and nobody gives it one.
 */
static void detail_lane__block_while_collector_looks__then_takes_its_ring_back(void)
{
    LaneFixture *fixture = detail_lane(ADA_POLICY_BLOCK, ADA_DETAIL_MARKED);
    Stepper stepper;

    fixture->header.block_timeout_ns = 2000000000;
    CU_ASSERT_EQUAL(lane_reader_begin(&fixture->reader, false), 1);
    CU_ASSERT_TRUE_FATAL(stepper_start(&stepper, write_until_dropped_or_recycled, fixture, "block.waiting", 1));
    lane_reader_end(&fixture->reader);
    stepper_finish(&stepper);
    CU_ASSERT_EQUAL(fixture->metrics.counters.recycled, BIG_PER_RING);
    CU_ASSERT_EQUAL(fixture->metrics.counters.dropped_full, 0);
    lane_fixture_destroy(fixture);
}

static void detail_lane__block_and_marked__then_waits_for_the_collector(void)
{
    LaneFixture *fixture = detail_lane(ADA_POLICY_BLOCK, ADA_DETAIL_MARKED);
    Stepper stepper;

    lane_mark(&fixture->producer);
    CU_ASSERT_TRUE_FATAL(stepper_start(&stepper, write_until_dropped_or_recycled, fixture, "block.waiting", 1));
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, false), 2 * BIG_PER_RING);
    CU_ASSERT_TRUE_FATAL(stepper_continue(&stepper, "block.waiting", 1)); /* for the ring that was read in place */
    CU_ASSERT_TRUE(lane_fixture_drain(fixture, ALL, false) > 0);
    CU_ASSERT_TRUE(stepper_continue(&stepper, "takeback.counted", 1));
    stepper_finish(&stepper);
    CU_ASSERT_EQUAL(fixture->metrics.counters.dropped_full, 0);
    CU_ASSERT_EQUAL(fixture->records[0].number, 0);
    CU_ASSERT_TRUE(lane_fixture_drain(fixture, ALL, false) > 0);
    CU_ASSERT_EQUAL(fixture->record_count + fixture->metrics.counters.recycled,
                    lane_events_written(&fixture->lane));
    CU_ASSERT_TRUE(records_know_their_numbers(fixture));
    lane_fixture_destroy(fixture);
}

/* ---- numbers of records that a handler writes during a swap --------------------------------------- */

static LaneFixture *interrupted;
static uint32_t interruptions;

static void write_in_handler(const char *point)
{
    static const char *const at[] = {"swap.begin",  "swap.taken",     "swap.prepared", "swap.switched",
                                     "swap.sealed", "swap.submitted", "swap.activated"};

    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        if (strcmp(point, at[i]) == 0) {
            interruptions++;
            (void)lane_fixture_write_detail(interrupted, 5, 8);
        }
    }
}

static void detail_lane__handler_writes_during_swap__then_numbers_right(void)
{
    LaneFixture *fixture = detail_lane(ADA_POLICY_DISCARD, ADA_DETAIL_ALWAYS);

    interrupted = fixture;
    for (uint32_t round = 0; round < 20; round++) {
        while (fixture->writer.active->cursor == 0 ||
               ADA_POSITION_BYTES(fixture->writer.active->cursor) + ADA_DETAIL_RECORD_SIZE(1000) <=
                   fixture->writer.active->limit)
            CU_ASSERT_EQUAL(lane_fixture_write_detail(fixture, 4, 1000), 0);
        ada_test_point_hook = write_in_handler;
        CU_ASSERT_EQUAL(lane_fixture_write_detail(fixture, 4, 1000), 0);
        ada_test_point_hook = NULL;
        CU_ASSERT_TRUE(lane_fixture_drain(fixture, ALL, false) > 0);
    }
    CU_ASSERT_EQUAL(interruptions, 20 * 7);
    CU_ASSERT_EQUAL(fixture->metrics.counters.dropped_nested, 0);
    CU_ASSERT_TRUE(records_know_their_numbers(fixture));
    CU_ASSERT_TRUE(lane_fixture_is_gapless(fixture, 0, 0));
    lane_fixture_destroy(fixture);
}

static void mark_after_swaps(const char *point)
{
    if (strcmp(point, "mark.read") == 0) {
        ada_test_point_hook = NULL;
        (void)write_big(interrupted, BIG_PER_RING + 1);
        lane_mark(&interrupted->producer);
    }
}

/* A handler that swaps and marks inside lane_mark() must not have its mark taken back. */
static void detail_lane__handler_marks_during_mark__then_the_later_mark_stays(void)
{
    LaneFixture *fixture = detail_lane(ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);

    interrupted = fixture;
    ada_test_point_hook = mark_after_swaps;
    lane_mark(&fixture->producer);
    CU_ASSERT_PTR_NULL(ada_test_point_hook);
    ada_test_point_hook = NULL;
    CU_ASSERT_EQUAL(fixture->lane.rings[fixture->lane.active_ring_index].sequence, 1);
    CU_ASSERT_EQUAL(fixture->lane.mark_until, 3);
    lane_fixture_destroy(fixture);
}

static const TestCase tests[] = {
    TEST(detail_lane__payloads_of_all_sizes__then_read_as_written),
    TEST(detail_lane__drained_record_by_record__then_each_once),
    TEST(detail_lane__unmarked_and_pool_empty__then_recycled_and_counted),
    TEST(detail_lane__always__then_never_recycled),
    TEST(detail_lane__overwrite_and_always__then_counted_as_overwritten),
    TEST(detail_lane__marked__then_rings_around_it_kept),
    TEST(detail_lane__marked_by_collector__then_kept),
    TEST(detail_lane__block_while_collector_looks__then_takes_its_ring_back),
    TEST(detail_lane__block_and_marked__then_waits_for_the_collector),
    TEST(detail_lane__handler_writes_during_swap__then_numbers_right),
    TEST(detail_lane__handler_marks_during_mark__then_the_later_mark_stays),
};
TEST_MAIN("lane_detail", tests)
