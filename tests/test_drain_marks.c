/* SPDX-License-Identifier: MIT */
/* Marks that rules set while threads are drained (task 2.1): which details are kept for them, and what hostile lanes cannot do. */
#include "drain_fixture.h"
#include "test_support.h"
#include "user/drain/thread_marks.h"
#include "user/lane/test_point.h"

#include <string.h>

static void learn_nothing(DrainSource *source)
{
    source->learned = ada_load_relaxed(&source->segment->header->event_count);
}

/* One rule at a time. */
static MarkRules rules;

/* A rule, and the descriptor of event 7 "slow.request" with a number and a text. */
static void use_rule(DrainFixture *fixture, const char *text)
{
    AdaEventDescriptor event = {.ready = 1,
                                .id = 7,
                                .kind = ADA_KIND_TYPED,
                                .field_count = 1,
                                .name = "slow.request",
                                .fields = {{.name = "size", .type = ADA_TYPE_U64}}};
    MarkMatcher *matcher = NULL;
    MarkRuleError error;

    CU_ASSERT_EQUAL_FATAL(mark_rules_add(&rules, text, &error), 0);
    CU_ASSERT_EQUAL_FATAL(mark_matcher_create(&rules, &matcher), 0);
    CU_ASSERT_EQUAL(mark_matcher_learn(matcher, &event), 0);
    mark_matcher_set_rate(matcher, 1);
    fixture->source.rules = &rules;
    fixture->source.matcher = matcher;
    fixture->source.learn = learn_nothing;
}

/* With one thread. */
static DrainFixture *create(void)
{
    DrainFixture *fixture = drain_fixture_create(NULL, 1, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED);

    drain_fixture_register(fixture, 0);
    return fixture;
}

/* With its rule. */
static void destroy(DrainFixture *fixture)
{
    MarkMatcher *matcher = fixture->source.matcher;

    drain_fixture_destroy(fixture);
    mark_matcher_destroy(matcher);
    mark_rules_fini(&rules);
}

static uint64_t details_in_file(const DrainFixture *fixture)
{
    return fixture->threads[0].state->detail.in_file;
}

static void write_sizes(DrainFixture *fixture, uint64_t first, uint64_t count)
{
    for (uint64_t i = first; i < first + count; i++)
        CU_ASSERT(drain_fixture_write_detail(fixture, 0, 7, &i, sizeof(i)));
}

static void mark_rules__event__then_details_around_it_are_kept(void)
{
    DrainFixture *fixture = create();
    uint64_t small = 1;

    for (int i = 0; i < 200; i++) { /* no rule: nothing is kept */
        CU_ASSERT(drain_fixture_write_detail(fixture, 0, 8, &small, 8));
        (void)drain_fixture_iterate(fixture);
    }
    CU_ASSERT_EQUAL(details_in_file(fixture), 0);
    use_rule(fixture, "event=slow.request");
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(details_in_file(fixture), 0);
    drain_fixture_write(fixture, 0, 7, 1);
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(fixture->metrics.marks, 1);
    CU_ASSERT_EQUAL(details_in_file(fixture), 200); /* as far back as the rings hold */
    CU_ASSERT(drain_fixture_write_detail(fixture, 0, 8, &small, 8));
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(details_in_file(fixture), 201); /* and what follows */
    destroy(fixture);
}

static void mark_rules__field__then_found_in_records_that_nobody_keeps(void)
{
    DrainFixture *fixture = create();

    use_rule(fixture, "slow.request.size > 4000");
    for (uint64_t i = 0; i < 40; i++) {
        write_sizes(fixture, i * 100, 100); /* some rings are recycled meanwhile: 720 records each */
        (void)drain_fixture_iterate(fixture);
        CU_ASSERT_EQUAL(details_in_file(fixture), 0);
    }
    CU_ASSERT_EQUAL(fixture->metrics.marks, 0);
    write_sizes(fixture, 4000, 3); /* not 4000: 4001 is the first */
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(fixture->metrics.marks, 1);
    CU_ASSERT(details_in_file(fixture) > 600);
    CU_ASSERT(details_in_file(fixture) < 1600);
    destroy(fixture);
}

/* A payload alone, whose index event is still to come. */
static void write_size_only(DrainFixture *fixture, uint64_t size)
{
    LaneProducer *lane = &fixture->threads[0].detail;
    AdaDetailRecord record = {.id = 7, .word = ADA_WORD(ADA_KIND_TYPED, 0, 0), .payload_size = sizeof(size)};
    LaneReservation place;

    CU_ASSERT_EQUAL_FATAL(lane_reserve(lane, ADA_DETAIL_RECORD_SIZE(sizeof(size)), &place), 0);
    record.timestamp = place.timestamp;
    memcpy(place.at, &record, sizeof(record));
    memcpy((char *)place.at + sizeof(record), &size, sizeof(size));
    lane_commit(lane, &place);
}

static void mark_rules__field_in_a_lone_payload__then_found_once_the_lane_can_be_had(void)
{
    DrainFixture *fixture = create();
    Lane *lane;

    use_rule(fixture, "slow.request.size == 5");
    fixture->segment.header->event_count = 1;
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(fixture->source.learned, 1); /* before records are looked at */
    CU_ASSERT_FALSE(thread_drain_has_work(fixture->threads[0].state, true));
    write_size_only(fixture, 5);
    CU_ASSERT(thread_drain_has_work(fixture->threads[0].state, true));
    lane = &fixture->threads[0].lanes->detail;
    CU_ASSERT(submit_queue_try_acquire_drain(lane, ADA_DRAIN_PRODUCER)); /* it takes a ring back just now */
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(fixture->metrics.marks, 0);
    CU_ASSERT_EQUAL(fixture->log.hostile, 0);
    submit_queue_release_drain(lane);
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(fixture->metrics.marks, 1);
    CU_ASSERT_EQUAL(details_in_file(fixture), 1);
    destroy(fixture);
}

static DrainFixture *interrupted;

/* Once the index lane was taken, amid a visit. */
static void write_five(const char *point)
{
    if (strcmp(point, "drain.taken") != 0)
        return;
    ada_test_point_hook = NULL;
    write_sizes(interrupted, 5, 1);
}

static void mark_rules__field_recorded_amid_a_visit_that_keeps_details__then_found(void)
{
    for (uint64_t before = 0; before < 3; before++) {
        DrainFixture *fixture = create();

        use_rule(fixture, "slow.request.size == 5");
        (void)drain_fixture_iterate(fixture);
        write_sizes(fixture, 10, before); /* are seen on the visit, before */
        drain_fixture_write(fixture, 0, 8, 1);
        thread_drain_mark(fixture->threads[0].state, &fixture->batch, "by hand", 0, UINT64_MAX);
        interrupted = fixture;
        ada_test_point_hook = write_five;
        (void)drain_fixture_iterate(fixture);
        CU_ASSERT_PTR_NULL(ada_test_point_hook);
        CU_ASSERT_EQUAL(details_in_file(fixture), before + 1); /* so no later look can find it */
        CU_ASSERT_EQUAL(fixture->metrics.marks, 2);
        write_sizes(fixture, 20, 2);
        (void)drain_fixture_iterate(fixture);
        CU_ASSERT_EQUAL(details_in_file(fixture), before + 3);
        CU_ASSERT_EQUAL(fixture->metrics.marks, 2);
        destroy(fixture);
    }
}

static void mark_rules__hostile_details__then_refused(void)
{
    DrainFixture *fixture = create();
    AdaDetailRecord *record;

    use_rule(fixture, "slow.request.size == 1");
    (void)drain_fixture_iterate(fixture);
    write_sizes(fixture, 5, 2);
    record = segment_at(&fixture->segment, fixture->threads[0].lanes->detail.ring_pool_offset);
    record->payload_size = ADA_PAYLOAD_MAX + 1;
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(fixture->log.hostile, 1);
    destroy(fixture);
}

static void mark_rules__hostile_detail_lane__then_refused(void)
{
    DrainFixture *fixture = create();

    use_rule(fixture, "slow.request.size == 1");
    (void)drain_fixture_iterate(fixture);
    ada_store_release(&fixture->threads[0].lanes->detail.rings[0].published, UINT64_MAX);
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(fixture->log.hostile, 1);
    destroy(fixture);
}

static void mark_rules__span__then_long_ones_only(void)
{
    DrainFixture *fixture = create();
    LaneProducer *lane = &fixture->threads[0].index;
    AdaIndexEvent *events;

    use_rule(fixture, "span=slow.request>1s");
    events = segment_at(&fixture->segment, fixture->threads[0].lanes->index.ring_pool_offset);
    for (uint32_t i = 0; i < 2; i++) {
        (void)lane_write_index_slow(lane, ADA_WORD(ADA_KIND_SPAN_BEGIN, 0, 0), 7, 0, 0);
        (void)lane_write_index_slow(lane, ADA_WORD(ADA_KIND_SPAN_END, 0, 0), 7, 0, 0);
        events[2 * i + 1].timestamp = events[2 * i].timestamp + 1000000000u + i; /* the second is a ns longer */
        (void)drain_fixture_iterate(fixture);
        CU_ASSERT_EQUAL(fixture->metrics.marks, i);
    }
    destroy(fixture);
}

/* The end that belongs to a begin may be among the lost events: what follows is no proof of a long span. */
static void mark_rules__span_over_lost_events__then_not_judged(void)
{
    DrainFixture *fixture = create();
    LaneProducer *lane = &fixture->threads[0].index;
    AdaIndexEvent *events;

    use_rule(fixture, "span=slow.request>1s");
    events = segment_at(&fixture->segment, fixture->threads[0].lanes->index.ring_pool_offset);
    (void)lane_write_index_slow(lane, ADA_WORD(ADA_KIND_SPAN_BEGIN, 0, 0), 7, 0, 0);
    (void)drain_fixture_iterate(fixture);
    ada_store_relaxed(&fixture->threads[0].lanes->metrics.lanes[ADA_LANE_INDEX].counters.dropped_nested, 1ull);
    (void)lane_write_index_slow(lane, ADA_WORD(ADA_KIND_SPAN_END, 0, 0), 7, 0, 0);
    events[1].timestamp = events[0].timestamp + 2000000000u;
    (void)drain_fixture_iterate(fixture);
    CU_ASSERT_EQUAL(fixture->metrics.marks, 0);
    CU_ASSERT(fixture->threads[0].state->mark.judged_from > events[0].timestamp);
    destroy(fixture);
}

static const TestCase tests[] = {
    TEST(mark_rules__event__then_details_around_it_are_kept),
    TEST(mark_rules__field__then_found_in_records_that_nobody_keeps),
    TEST(mark_rules__field_in_a_lone_payload__then_found_once_the_lane_can_be_had),
    TEST(mark_rules__field_recorded_amid_a_visit_that_keeps_details__then_found),
    TEST(mark_rules__hostile_details__then_refused),
    TEST(mark_rules__hostile_detail_lane__then_refused),
    TEST(mark_rules__span__then_long_ones_only),
    TEST(mark_rules__span_over_lost_events__then_not_judged),
};
TEST_MAIN("drain_marks", tests)
