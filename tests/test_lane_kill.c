/* SPDX-License-Identifier: MIT */
/* The producer is a child process that is killed at every step; the parent is the collector that goes on. */
#define _GNU_SOURCE
#include "lane_fixture.h"
#include "test_support.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define INDEX_RING 4096u
#define DETAIL_RING (32u << 10)
#define ALL UINT32_MAX

/* scratch[] of the fixture: how far the child came. */
enum { COMPLETED, REFUSED };

/* Where the child dies: the occurrence of a point. In the child only. */
static const char *death_point;
static uint32_t death_countdown;

static void die_here(const char *point)
{
    if (strcmp(point, death_point) == 0 && --death_countdown == 0)
        (void)kill(getpid(), SIGKILL);
}

/*
 * Writes, and now and then drains a little, so that rings are full, empty, drained in part, taken back,
 * waited for.
 */
static void live(LaneFixture *fixture)
{
    for (uint32_t i = 0; i < 1200; i++) {
        int error;

        if (fixture->lane.kind == ADA_LANE_INDEX)
            error = lane_fixture_write(fixture, 7, fixture->scratch[COMPLETED]);
        else
            error = lane_fixture_write_detail(fixture, 7, 100 + i * 53 % 1000);
        fixture->scratch[error ? REFUSED : COMPLETED]++;
        if (i % 97 == 96) {
            ada_test_point_hook = NULL; /* the collector does not die */
            (void)lane_fixture_drain(fixture, i % 60, false);
            ada_test_point_hook = die_here;
        }
    }
}

/* True: the child died at the point; false: it never came there so often. */
static bool die_at(LaneFixture *fixture, const char *point, uint32_t occurrence)
{
    int status = 0;
    pid_t child = fork();

    CU_ASSERT_TRUE_FATAL(child >= 0);
    if (child == 0) {
        death_point = point;
        death_countdown = occurrence;
        ada_test_point_hook = die_here;
        live(fixture);
        _exit(0);
    }
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT_TRUE(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

/* What holds however the producer died: see the assertions. */
static void check_remains(LaneFixture *fixture)
{
    Lane *lane = &fixture->lane;
    const ada_metrics_counters_t *counters = &fixture->metrics.counters;
    uint64_t completed = fixture->scratch[COMPLETED];
    uint64_t written, reserved, lost;

    CU_ASSERT_TRUE(lane_fixture_drain(fixture, ALL, true) >= 0);
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, true), 0);
    written = lane_events_written(lane);
    reserved = lane_events_reserved(lane);

    /* All that was completed is published, and at most the one record that was being completed beside it. */
    CU_ASSERT_TRUE(written >= completed && written <= completed + 1);
    CU_ASSERT_TRUE(reserved >= written && reserved <= written + 1);
    /*
     * The reader got all of it but what a policy gave up; a ring that was counted may still have been
     * there.
     */
    lost = written - fixture->record_count;
    CU_ASSERT_TRUE(lost <= counters->overwritten + counters->recycled);
    if (strcmp(death_point, "takeback.counted") != 0)
        CU_ASSERT_EQUAL(lost, counters->overwritten + counters->recycled);
    if (lost == 0)
        CU_ASSERT_TRUE(lane_fixture_is_gapless(fixture, 0, 0));
    CU_ASSERT_EQUAL(fixture->bad_payloads, 0);
    CU_ASSERT_TRUE(counters->dropped_full + counters->dropped_nested >= fixture->scratch[REFUSED]);
    CU_ASSERT_TRUE(counters->dropped_full + counters->dropped_nested <= fixture->scratch[REFUSED] + 1);
    for (uint32_t i = 0; i < fixture->record_count; i++) {
        if (i > 0)
            CU_ASSERT_TRUE(fixture->records[i].number > fixture->records[i - 1].number);
        /* Both lanes write their number as argument, as refused events take none. */
        CU_ASSERT_EQUAL(fixture->records[i].argument, fixture->records[i].number);
    }
}

/*
 * Every occurrence of the point, but of those that come with each event only some: all of the first ones
 * and all around swaps.
 */
static bool is_worth_dying(const char *point, uint32_t occurrence)
{
    bool each_event = strncmp(point, "write.", 6) == 0 || strncmp(point, "reserve.", 8) == 0 ||
                      strncmp(point, "commit.", 7) == 0;

    return !each_event || occurrence <= 3 || occurrence % 112 <= 2 || occurrence % 37 == 0;
}

static void die_everywhere(uint32_t kind, uint32_t policy, uint32_t detail, const char *const *points,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t deaths = 0;
        bool died = true;

        death_point = points[i];
        for (uint32_t occurrence = 1; died; occurrence++) {
            LaneFixture *fixture;

            if (!is_worth_dying(points[i], occurrence))
                continue;
            fixture = kind == ADA_LANE_INDEX ? lane_fixture_create(kind, ADA_INDEX_RINGS, INDEX_RING)
                                             : lane_fixture_create(kind, ADA_DETAIL_RINGS, DETAIL_RING);
            CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
            fixture->header.policy = policy;
            fixture->header.detail = detail;
            fixture->header.block_timeout_ns = 1000;
            died = die_at(fixture, points[i], occurrence);
            deaths += died;
            check_remains(fixture);
            lane_fixture_destroy(fixture);
        }
        CU_ASSERT_TRUE(deaths > 0);
    }
}

#define SWAP_POINTS                                                                                \
    "swap.begin", "swap.taken", "swap.prepared", "swap.switched", "swap.sealed", "swap.submitted", \
        "swap.activated"
#define COUNT(points) (sizeof(points) / sizeof((points)[0]))

static const char *const index_points[] = {
    "write.begin",    "write.announced", "write.reserved", "write.written",    "write.published",
    "reserve.before", "reserve.after",   "slow.written",   "commit.published", SWAP_POINTS};
static const char *const detail_points[] = {"reserve.before", "reserve.after", "commit.published", SWAP_POINTS};
static const char *const take_back_points[] = {"takeback.acquired", "takeback.counted"};
static const char *const block_points[] = {"block.waiting"};

static void lane__producer_killed_writing_index__then_published_read_once(void)
{
    die_everywhere(ADA_LANE_INDEX, ADA_POLICY_DISCARD, ADA_DETAIL_ALWAYS, index_points, COUNT(index_points));
}

static void lane__producer_killed_writing_detail__then_published_read_once(void)
{
    die_everywhere(ADA_LANE_DETAIL, ADA_POLICY_DISCARD, ADA_DETAIL_ALWAYS, detail_points, COUNT(detail_points));
}

static void lane__producer_killed_overwriting__then_drain_recovered(void)
{
    static const char *const swap_points[] = {SWAP_POINTS};

    die_everywhere(ADA_LANE_INDEX, ADA_POLICY_OVERWRITE, ADA_DETAIL_ALWAYS, swap_points, COUNT(swap_points));
    die_everywhere(ADA_LANE_INDEX, ADA_POLICY_OVERWRITE, ADA_DETAIL_ALWAYS, take_back_points,
                   COUNT(take_back_points));
}

static void lane__producer_killed_recycling__then_drain_recovered(void)
{
    die_everywhere(ADA_LANE_DETAIL, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, take_back_points,
                   COUNT(take_back_points));
}

static void lane__producer_killed_waiting__then_nothing_lost(void)
{
    die_everywhere(ADA_LANE_INDEX, ADA_POLICY_BLOCK, ADA_DETAIL_ALWAYS, block_points, COUNT(block_points));
}

static void lane__producer_died_with_drain__then_only_force_gets_it(void)
{
    LaneFixture *fixture = lane_fixture_create(ADA_LANE_INDEX, ADA_INDEX_RINGS, INDEX_RING);

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    fixture->header.policy = ADA_POLICY_OVERWRITE;
    death_point = "takeback.acquired";
    CU_ASSERT_TRUE(die_at(fixture, "takeback.acquired", 1));
    CU_ASSERT_EQUAL(fixture->lane.drain_owner, ADA_DRAIN_PRODUCER);
    CU_ASSERT_EQUAL(lane_reader_begin(&fixture->reader, false), 0);
    CU_ASSERT_EQUAL(lane_reader_begin(&fixture->reader, true), 1);
    CU_ASSERT_FALSE(submit_queue_try_acquire_drain(&fixture->lane, ADA_DRAIN_PRODUCER));
    lane_reader_end(&fixture->reader);
    CU_ASSERT_EQUAL(fixture->lane.drain_owner, ADA_DRAIN_FREE);
    check_remains(fixture);
    lane_fixture_destroy(fixture);
}

static const TestCase tests[] = {
    TEST(lane__producer_killed_writing_index__then_published_read_once),
    TEST(lane__producer_killed_writing_detail__then_published_read_once),
    TEST(lane__producer_killed_overwriting__then_drain_recovered),
    TEST(lane__producer_killed_recycling__then_drain_recovered),
    TEST(lane__producer_killed_waiting__then_nothing_lost),
    TEST(lane__producer_died_with_drain__then_only_force_gets_it),
};
TEST_MAIN("lane_kill", tests)
