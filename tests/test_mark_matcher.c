/* SPDX-License-Identifier: MIT */
/* What rules find in index events; test_mark_fields.c has the detail records. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mark_fixture.h"
#include "shared/segment_abi.h"
#include "test_support.h"

/* Ids of events; each test learns those that it wants. */
enum { WORK = 1, WORK_END = 2, OTHER = 3, UNKNOWN = 9 };

static MarkFixture fixture;
static MarkThread thread;
static MarkHit hit; /* what a scan found */

/* What is scanned next, as it stands in a lane. */
static struct {
    uint64_t first_record;
    uint32_t count;
    AdaIndexEvent events[100];
} lane;

/* Rules, a thread without a past, a lane without events. */
#define SET_UP(...)                        \
    do {                                   \
        MARK_RULES(&fixture, __VA_ARGS__); \
        mark_thread_init(&thread);         \
        memset(&lane, 0, sizeof(lane));    \
    } while (0)

static void learn(uint32_t id, const char *name)
{
    mark_fixture_learn(&fixture, id, name);
}

static void put(uint32_t kind, uint32_t depth, uint64_t id, uint64_t timestamp)
{
    lane.events[lane.count++] = (AdaIndexEvent){
        .timestamp = timestamp,
        .id = id,
        .word = ADA_WORD(kind, 0, depth),
    };
}

static void begin(uint32_t depth, uint64_t id, uint64_t timestamp)
{
    put(ADA_KIND_SPAN_BEGIN, depth, id, timestamp);
}

static void end(uint32_t depth, uint64_t id, uint64_t timestamp)
{
    put(ADA_KIND_SPAN_END, depth, id, timestamp);
}

/* Scans what was put, from an odd address and with nothing readable behind it; the next follows it. */
static bool scan(void)
{
    size_t size = lane.count * sizeof(AdaIndexEvent);
    char *copy = malloc(size + 1);
    bool found;

    memcpy(copy + 1, lane.events, size);
    hit = (MarkHit){.rule = 99};
    found = mark_matcher_scan_index(fixture.matcher, &thread, copy + 1, lane.count, lane.first_record, &hit);
    CU_ASSERT_EQUAL(hit.rule != 99, found);
    free(copy);
    lane.first_record += lane.count;
    lane.count = 0;
    return found;
}

/* Scans what was put, and whether the first hit is this one. */
static void expect_hit(uint32_t rule, uint64_t timestamp, uint64_t record)
{
    CU_ASSERT_TRUE(scan());
    CU_ASSERT_EQUAL(hit.rule, rule);
    CU_ASSERT_EQUAL(hit.timestamp, timestamp);
    CU_ASSERT_EQUAL(hit.record, record);
}

/* ---- learning ---------------------------------------------------------------------------------- */

static void learn__events_without_rules__then_nothing_wanted(void)
{
    SET_UP("event=work", "other.x==1");
    CU_ASSERT_FALSE(mark_matcher_wants_index(fixture.matcher));
    CU_ASSERT_FALSE(mark_matcher_wants_details(fixture.matcher));
    learn(OTHER, "other"); /* has no field x */
    learn(UNKNOWN, "unknown");
    learn(0, "work");
    learn(ADA_EVENTS_MAX + 1, "work");
    learn(UINT32_MAX, "work");
    CU_ASSERT_FALSE(mark_matcher_wants_index(fixture.matcher));
    CU_ASSERT_FALSE(mark_matcher_wants_details(fixture.matcher));
    put(ADA_KIND_INSTANT, 0, OTHER, 1);
    put(ADA_KIND_INSTANT, 0, 0, 1);
    put(ADA_KIND_INSTANT, 0, ADA_EVENTS_MAX + 1, 1);
    CU_ASSERT_FALSE(scan());
    mark_matcher_destroy(NULL);
}

static void learn__event_or_span_rule__then_index_wanted(void)
{
    SET_UP("event=work");
    learn(WORK, "work");
    CU_ASSERT_TRUE(mark_matcher_wants_index(fixture.matcher));
    CU_ASSERT_FALSE(mark_matcher_wants_details(fixture.matcher));
    SET_UP("span=work>1ms");
    learn(ADA_EVENTS_MAX, "work");
    CU_ASSERT_TRUE(mark_matcher_wants_index(fixture.matcher));
    CU_ASSERT_FALSE(mark_matcher_wants_details(fixture.matcher));
}

static void learn__same_id_again__then_as_it_was(void)
{
    SET_UP("event=other", "event=work");
    learn(WORK, "work");
    learn(WORK, "other");
    put(ADA_KIND_INSTANT, 0, WORK, 1);
    expect_hit(1, 1, 0);
}

static void learn__all_ids_of_one_name__then_all_concerned(void)
{
    SET_UP("event=work");
    for (uint32_t id = 1; id <= ADA_EVENTS_MAX; id++)
        learn(id, "work");
    for (uint32_t id = 1; id <= ADA_EVENTS_MAX; id++) {
        put(ADA_KIND_INSTANT, 0, id, id);
        expect_hit(0, id, id - 1);
    }
}

static void learn__no_rules__then_nothing_wanted(void)
{
    mark_fixture_init(&fixture, 0, NULL);
    learn(WORK, "work");
    CU_ASSERT_FALSE(mark_matcher_wants_index(fixture.matcher) || mark_matcher_wants_details(fixture.matcher));
}

/* ---- event rules ------------------------------------------------------------------------------- */

static void event_rule__each_kind__then_all_but_ends_and_functions(void)
{
    SET_UP("event=work");
    learn(WORK, "work");
    for (uint32_t kind = 0; kind < 256; kind++) {
        put(kind, 0, WORK, 1);
        CU_ASSERT_EQUAL(scan(),
                        kind >= ADA_KIND_SPAN_BEGIN && kind <= ADA_KIND_MARK && kind != ADA_KIND_SPAN_END);
    }
}

static void event_rule__several_events_and_rules__then_first_event_and_first_rule(void)
{
    SET_UP("span=other>1", "event=other", "event=work", "event=work");
    learn(WORK, "work");
    learn(OTHER, "other");
    lane.first_record = 1000;
    put(ADA_KIND_INSTANT, 0, UNKNOWN, 5);
    put(ADA_KIND_INSTANT, 0, WORK, 6);
    put(ADA_KIND_INSTANT, 0, OTHER, 7);
    expect_hit(2, 6, 1001);
    put(ADA_KIND_COUNTER, 3, OTHER, 8);
    expect_hit(1, 8, 1003);
    CU_ASSERT_FALSE(scan()); /* no events */
}

static void event_rule__no_span_rules__then_first_hit_of_each_scan(void)
{
    SET_UP("event=work");
    learn(WORK, "work");
    for (uint64_t i = 0; i < 3; i++) {
        put(ADA_KIND_INSTANT, 0, UNKNOWN, i);
        put(ADA_KIND_INSTANT, 0, WORK, i);
        put(ADA_KIND_INSTANT, 0, WORK, i);
        expect_hit(0, i, i * 3 + 1);
    }
}

/* ---- span rules -------------------------------------------------------------------------------- */

static void span_rule__duration_around_bound__then_only_longer(void)
{
    SET_UP("span=work>100ns");
    learn(WORK, "work");
    begin(0, WORK, 1000);
    end(0, WORK, 1100);
    CU_ASSERT_FALSE(scan());
    begin(0, WORK, 1000);
    end(0, WORK, 1101);
    expect_hit(0, 1101, 3);

    SET_UP("span=work>=100ns");
    learn(WORK, "work");
    begin(0, WORK, 1000);
    end(0, WORK, 1099);
    begin(0, WORK, 2000);
    end(0, WORK, 2100);
    expect_hit(0, 2100, 3);
}

static void span_rule__several_bounds__then_first_rule_that_means_it(void)
{
    SET_UP("span=work>1us", "event=other", "span=work>100ns", "span=work>200ns");
    learn(WORK, "work");
    begin(0, WORK, 0);
    end(0, WORK, 500);
    expect_hit(2, 500, 1);
    begin(0, WORK, 1000);
    end(0, WORK, 2001);
    expect_hit(0, 2001, 3);
}

static void span_rule__rate__then_ticks_become_time(void)
{
    SET_UP("span=work>=1us");
    learn(WORK, "work");
    mark_matcher_set_rate(fixture.matcher, 0.5);
    begin(0, WORK, 0);
    end(0, WORK, 1999);
    CU_ASSERT_FALSE(scan());
    begin(0, WORK, 0);
    end(0, WORK, 2000);
    CU_ASSERT_TRUE(scan());
}

static void span_rule__no_rate__then_no_hit(void)
{
    static const double rates[] = {0, -1, NAN};

    SET_UP("span=work>=0");
    learn(WORK, "work");
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        mark_matcher_set_rate(fixture.matcher, rates[i]);
        begin(0, WORK, 0);
        end(0, WORK, UINT64_MAX);
        CU_ASSERT_FALSE(scan());
    }
    mark_matcher_destroy(fixture.matcher);
    CU_ASSERT_EQUAL_FATAL(mark_matcher_create(&fixture.rules, &fixture.matcher), 0); /* no rate yet */
    learn(WORK, "work");
    begin(0, WORK, 0);
    end(0, WORK, UINT64_MAX);
    CU_ASSERT_FALSE(scan());
}

static void span_rule__end_with_another_id_of_the_name__then_hit(void)
{
    SET_UP("span=work>100ns");
    learn(WORK, "work");
    learn(WORK_END, "work");
    begin(0, WORK, 0);
    end(0, WORK_END, 101);
    CU_ASSERT_TRUE(scan());
}

static void span_rule__nested_spans__then_each_by_its_depth(void)
{
    SET_UP("span=work>100ns", "span=other>100ns");
    learn(WORK, "work");
    learn(OTHER, "other");
    begin(0, WORK, 0);
    put(ADA_KIND_FUNCTION_ENTRY, 1, 0x401000, 1);
    begin(2, WORK, 10);
    begin(3, UNKNOWN, 15);
    begin(4, OTHER, 20);
    put(ADA_KIND_INSTANT, 5, OTHER, 30);
    end(4, OTHER, 120);
    end(3, UNKNOWN, 120);
    end(2, WORK, 110);
    put(ADA_KIND_FUNCTION_EXIT, 1, 0x401000, 111);
    CU_ASSERT_FALSE(scan());
    put(ADA_KIND_INSTANT, 1, OTHER, 113);
    end(0, WORK, 113);
    expect_hit(0, 113, 11);
}

static void span_rule__hit_within_a_scan__then_later_spans_stay_right(void)
{
    SET_UP("span=work>100ns", "event=other");
    learn(WORK, "work");
    learn(OTHER, "other");
    put(ADA_KIND_INSTANT, 0, OTHER, 0);
    begin(0, WORK, 10);
    end(0, WORK, 200);
    begin(0, WORK, 210);
    expect_hit(1, 0, 0);
    begin(1, WORK, 300);
    CU_ASSERT_FALSE(scan());
    end(1, WORK, 350);
    end(0, WORK, 311);
    expect_hit(0, 311, 6);
}

static void span_rule__end_without_begin__then_no_hit(void)
{
    SET_UP("span=work>=0", "span=other>=0");
    learn(WORK, "work");
    learn(OTHER, "other");
    end(0, WORK, 1000);
    end(5, WORK, 1000);
    begin(0, WORK, 1000);
    end(0, WORK, 1000);
    CU_ASSERT_TRUE(scan());
    end(0, WORK, 2000);
    begin(1, WORK, 2000);
    end(0, WORK, 3000); /* other depth */
    end(1, WORK, 3000);
    begin(1, WORK, 4000);
    end(2, WORK, 5000);  /* other depth */
    end(1, OTHER, 5000); /* other name */
    end(1, WORK, 5000);
    CU_ASSERT_FALSE(scan());
}

/* After each of these a span of that name and depth may end that did not begin before. */
static void span_rule__stale_begin__then_forgotten_whatever_proves_it_over(void)
{
    static const struct {
        uint32_t kind;
        uint32_t depth;
        uint64_t id;
    } proofs[] = {
        {ADA_KIND_SPAN_BEGIN, 2, OTHER},
        {ADA_KIND_SPAN_BEGIN, 1, OTHER},
        {ADA_KIND_SPAN_BEGIN, 0, WORK},
        {ADA_KIND_SPAN_BEGIN, 2, UNKNOWN},
        {ADA_KIND_SPAN_END, 1, UNKNOWN},
        {ADA_KIND_SPAN_END, 0, WORK},
        {ADA_KIND_SPAN_END, 2, OTHER},
        {ADA_KIND_FUNCTION_ENTRY, 2, 0x401000},
        {ADA_KIND_FUNCTION_EXIT, 1, 0x401000},
        {ADA_KIND_FUNCTION_EXIT, 2, WORK},
        {ADA_KIND_INSTANT, 2, UNKNOWN},
        {ADA_KIND_INSTANT, 0, UINT64_MAX},
        {ADA_KIND_COUNTER, 2, WORK},
        {ADA_KIND_TYPED, 1, OTHER},
        {ADA_KIND_MARK, 0, ADA_EVENTS_MAX + 1u},
    };

    for (size_t i = 0; i < sizeof(proofs) / sizeof(proofs[0]); i++) {
        SET_UP("span=work>100ns", "span=other>100ns");
        learn(WORK, "work");
        learn(OTHER, "other");
        begin(2, WORK, 0);
        put(proofs[i].kind, proofs[i].depth, proofs[i].id, 500); /* no end, however late */
        end(2, WORK, 1000);
        CU_ASSERT_FALSE(scan());
    }
}

static void span_rule__events_deeper_or_of_no_kind_between__then_still_open(void)
{
    SET_UP("span=work>100ns");
    learn(WORK, "work");
    begin(2, WORK, 0);
    put(ADA_KIND_INSTANT, 3, UNKNOWN, 10);
    put(ADA_KIND_SPAN_BEGIN, 3, UNKNOWN, 20);
    put(ADA_KIND_SPAN_END, 3, UNKNOWN, 30);
    put(ADA_KIND_INSTANT, UINT16_MAX, WORK, 40);
    put(ADA_KIND_NONE, 9, WORK, 50);
    end(2, WORK, 1000);
    CU_ASSERT_TRUE(scan());
}

static void span_rule__hole_in_the_records__then_open_spans_forgotten(void)
{
    SET_UP("span=work>100ns");
    learn(WORK, "work");
    begin(0, WORK, 0);
    CU_ASSERT_FALSE(scan());
    lane.first_record++;
    end(0, WORK, 1000);
    CU_ASSERT_FALSE(scan());
    begin(0, WORK, 1000);
    CU_ASSERT_FALSE(scan());
    end(0, WORK, 2000);
    CU_ASSERT_TRUE(scan());
}

static void span_rule__records_before_the_event_was_learned__then_counted(void)
{
    SET_UP("span=work>100ns");
    begin(0, WORK, 0);
    CU_ASSERT_FALSE(scan());
    learn(WORK, "work");
    begin(0, WORK, 0);
    CU_ASSERT_FALSE(scan());
    end(0, WORK, 1000);
    CU_ASSERT_TRUE(scan());
}

static void span_rule__loss_reported__then_spans_begun_before_are_not_judged(void)
{
    SET_UP("span=work>100ns");
    learn(WORK, "work");
    begin(0, WORK, 0);
    begin(1, WORK, 500);
    CU_ASSERT_FALSE(scan());
    mark_thread_lost(&thread, 501);
    end(1, WORK, 1000);
    begin(1, WORK, 500); /* was on its way when the loss was noticed */
    end(1, WORK, 1000);
    CU_ASSERT_FALSE(scan());
    begin(1, WORK, 501);
    end(1, WORK, 1000);
    expect_hit(0, 1000, 6);
    end(0, WORK, 2000);
    CU_ASSERT_FALSE(scan());
    mark_thread_init(&thread);
    begin(0, WORK, 0);
    end(0, WORK, 1000);
    CU_ASSERT_TRUE(scan());
}

static void span_rule__time_runs_backwards__then_no_hit(void)
{
    SET_UP("span=work>=0");
    learn(WORK, "work");
    begin(0, WORK, 1000);
    end(0, WORK, 999);
    CU_ASSERT_FALSE(scan());
}

static void span_rule__more_than_64_open__then_inner_ones_missed_and_outer_right(void)
{
    SET_UP("span=work>100ns");
    learn(WORK, "work");
    for (uint32_t i = 0; i <= MARK_SPANS_MAX; i++)
        begin(i * 1000, WORK, 0);
    CU_ASSERT_FALSE(scan());
    end(64000, WORK, 1000);
    CU_ASSERT_FALSE(scan());
    end(63000, WORK, 1000);
    end(62000, WORK, 50);
    expect_hit(0, 1000, 66);
    begin(62000, WORK, 1000);
    end(62000, WORK, 2000);
    expect_hit(0, 2000, 69);
    for (uint32_t i = 62; i > 0; i--) {
        end((i - 1) * 1000, WORK, 2000);
        CU_ASSERT_TRUE(scan());
    }
    CU_ASSERT_EQUAL(thread.open_depth, 0);
}

static void span_rule__many_open_without_span_rules__then_only_those_with_count(void)
{
    SET_UP("span=work>100ns", "event=other");
    learn(WORK, "work");
    learn(OTHER, "other");
    for (uint32_t i = 0; i < MARK_SPANS_MAX; i++)
        begin(i, OTHER, 0);
    CU_ASSERT_TRUE(scan());
    begin(MARK_SPANS_MAX, WORK, 0);
    end(MARK_SPANS_MAX, WORK, 1000);
    expect_hit(0, 1000, MARK_SPANS_MAX + 1);
}

static void span_rule__depth_beyond_what_is_recorded__then_missed(void)
{
    SET_UP("span=work>100ns");
    learn(WORK, "work");
    begin(UINT16_MAX - 1, WORK, 0);
    begin(UINT16_MAX, WORK, 0);
    end(UINT16_MAX, WORK, 1000);
    CU_ASSERT_FALSE(scan());
    end(UINT16_MAX - 1, WORK, 1000);
    CU_ASSERT_TRUE(scan());
}

/* Spans that end rightly, with some records dropped: what is found was never longer than it is. */
static void span_rule__random_losses_reported__then_no_false_hit(void)
{
    uint32_t seed = 1;
    uint64_t now = 0;
    unsigned hits = 0;

    SET_UP("span=work>=1us");
    learn(WORK, "work");
    learn(WORK_END, "work");
    learn(OTHER, "other");
    for (unsigned round = 0; round < 20000; round++) {
        unsigned losing, length;

        /* All are shorter than 1 us in the first half, longer in the second. */
        seed = seed * 1664525u + 1013904223u;
        losing = (seed >> 28) % 4;
        length = 1 + (seed >> 16) % 900 + (round >= 10000 ? 1000 : 0);
        if (losing & 1)
            mark_thread_lost(&thread, now);
        else
            begin(seed >> 31, WORK, now);
        if (seed >> 30 & 1)
            put(ADA_KIND_INSTANT, 1 + (seed >> 31), OTHER, now);
        now += length;
        if (losing & 2)
            mark_thread_lost(&thread, now);
        else
            end(seed >> 31, WORK_END, now);
        now += 10;
        if (scan()) {
            CU_ASSERT(round >= 10000);
            hits++;
        }
    }
    CU_ASSERT(hits > 1000);
}

static void release__used_matcher__then_nothing_leaks(void)
{
    mark_fixture_fini(&fixture); /* the leak sanitizer looks at what is left */
    CU_ASSERT_PTR_NULL(fixture.matcher);
}

static const TestCase tests[] = {
    TEST(learn__events_without_rules__then_nothing_wanted),
    TEST(learn__event_or_span_rule__then_index_wanted),
    TEST(learn__same_id_again__then_as_it_was),
    TEST(learn__all_ids_of_one_name__then_all_concerned),
    TEST(learn__no_rules__then_nothing_wanted),
    TEST(event_rule__each_kind__then_all_but_ends_and_functions),
    TEST(event_rule__several_events_and_rules__then_first_event_and_first_rule),
    TEST(event_rule__no_span_rules__then_first_hit_of_each_scan),
    TEST(span_rule__duration_around_bound__then_only_longer),
    TEST(span_rule__several_bounds__then_first_rule_that_means_it),
    TEST(span_rule__rate__then_ticks_become_time),
    TEST(span_rule__no_rate__then_no_hit),
    TEST(span_rule__end_with_another_id_of_the_name__then_hit),
    TEST(span_rule__nested_spans__then_each_by_its_depth),
    TEST(span_rule__hit_within_a_scan__then_later_spans_stay_right),
    TEST(span_rule__end_without_begin__then_no_hit),
    TEST(span_rule__stale_begin__then_forgotten_whatever_proves_it_over),
    TEST(span_rule__events_deeper_or_of_no_kind_between__then_still_open),
    TEST(span_rule__hole_in_the_records__then_open_spans_forgotten),
    TEST(span_rule__records_before_the_event_was_learned__then_counted),
    TEST(span_rule__loss_reported__then_spans_begun_before_are_not_judged),
    TEST(span_rule__time_runs_backwards__then_no_hit),
    TEST(span_rule__more_than_64_open__then_inner_ones_missed_and_outer_right),
    TEST(span_rule__many_open_without_span_rules__then_only_those_with_count),
    TEST(span_rule__depth_beyond_what_is_recorded__then_missed),
    TEST(span_rule__random_losses_reported__then_no_false_hit),
    TEST(release__used_matcher__then_nothing_leaks),
};
TEST_MAIN("mark_matcher", tests)
