/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <string.h>

#include "test_support.h"
#include "user/view/sched_states.h"

/* A state that was told: which, from when to when, and the two numbers of its item. */
typedef struct Told {
    SchedState state;
    int64_t from;
    int64_t to;
    uint64_t first;
    uint64_t second;
} Told;

static Told told_of(SchedState state, const ViewItem *item)
{
    return state == SCHED_UNKNOWN ? (Told){.state = state}
                                  : (Told){.state = state,
                                           .from = item->start,
                                           .to = view_item_end(item),
                                           .first = item->first,
                                           .second = item->second};
}

static Told event(SchedThread *thread, ViewEventClass class, int64_t time, uint64_t ended, SchedFields fields)
{
    ViewItem item;
    SchedState state = sched_thread_event(thread, class, time, ended, &fields, &item);

    return told_of(state, &item);
}

static void expect(Told got, Told expected)
{
    CU_ASSERT_EQUAL(got.state, expected.state);
    CU_ASSERT_EQUAL(got.from, expected.from);
    CU_ASSERT_EQUAL(got.to, expected.to);
    CU_ASSERT_EQUAL(got.first, expected.first);
    CU_ASSERT_EQUAL(got.second, expected.second);
}

#define FIELDS(...) ((SchedFields){__VA_ARGS__})
#define TOLD(...) ((Told){__VA_ARGS__})

static void sched__sleep_and_wakeup__then_states_touch(void)
{
    SchedThread thread = {0};

    /* the first event says how long it had run */
    expect(event(&thread, VIEW_EVENT_SWITCH_OUT, 1000, 400, FIELDS(.cpu = 2, .other = 9, .why = SCHED_SLEEPING)),
           TOLD(SCHED_RUNNING, 600, 1000, 2, 9));
    expect(event(&thread, VIEW_EVENT_WAKEUP, 1500, 500, FIELDS(.cpu = 3, .other = 77)),
           TOLD(SCHED_SLEEPING, 1000, 1500, 2, 77));
    expect(event(&thread, VIEW_EVENT_SWITCH_IN, 1600, 100, FIELDS(.cpu = 3)),
           TOLD(SCHED_RUNNABLE, 1500, 1600, 3, 77));
    expect(event(&thread, VIEW_EVENT_SWITCH_OUT, 1700, 100, FIELDS(.cpu = 3, .why = SCHED_BLOCKED)),
           TOLD(SCHED_RUNNING, 1600, 1700, 3, 0));
    expect(event(&thread, VIEW_EVENT_WAKEUP, 1750, 50, FIELDS(.cpu = 3)),
           TOLD(SCHED_BLOCKED, 1700, 1750, 3, 0));
}

static void sched__preempted__then_it_waits_for_a_cpu(void)
{
    SchedThread thread = {0};

    (void)event(&thread, VIEW_EVENT_SWITCH_OUT, 100, 10, FIELDS(.cpu = 1, .why = SCHED_PREEMPTED));
    expect(event(&thread, VIEW_EVENT_SWITCH_IN, 180, 80, FIELDS(.cpu = 4)),
           TOLD(SCHED_PREEMPTED, 100, 180, 4, 0));
}

static void sched__waking_who_is_awake__then_nothing_ends(void)
{
    SchedThread thread = {0};

    (void)event(&thread, VIEW_EVENT_SWITCH_IN, 100, 0, FIELDS(.cpu = 1));
    expect(event(&thread, VIEW_EVENT_WAKEUP, 150, 0, FIELDS(.other = 5)), TOLD(.state = SCHED_UNKNOWN));
    expect(event(&thread, VIEW_EVENT_SWITCH_OUT, 200, 100, FIELDS(.cpu = 1, .why = SCHED_SLEEPING)),
           TOLD(SCHED_RUNNING, 100, 200, 1, 0));
}

static void sched__events_were_lost__then_the_next_one_says_since_when(void)
{
    SchedThread thread = {0};
    ViewItem item;

    (void)event(&thread, VIEW_EVENT_SWITCH_OUT, 1000, 10, FIELDS(.why = SCHED_SLEEPING));
    sched_thread_forget(&thread);
    CU_ASSERT_EQUAL(sched_thread_end(&thread, 2000, &item), SCHED_UNKNOWN);
    expect(event(&thread, VIEW_EVENT_SWITCH_OUT, 5000, 30, FIELDS(.why = SCHED_SLEEPING)),
           TOLD(SCHED_RUNNING, 4970, 5000, 0, 0));
    /* a duration that no time has */
    sched_thread_forget(&thread);
    expect(event(&thread, VIEW_EVENT_SWITCH_OUT, 6000, UINT64_MAX, FIELDS(.why = SCHED_SLEEPING)),
           TOLD(.state = SCHED_UNKNOWN));
}

static void sched__end_of_the_trace__then_it_is_in_its_state_until_then(void)
{
    SchedThread thread = {0};
    ViewItem item;

    (void)event(&thread, VIEW_EVENT_SWITCH_OUT, 1000, 10, FIELDS(.cpu = 6, .why = SCHED_SLEEPING));
    CU_ASSERT_EQUAL(sched_thread_end(&thread, 1000, &item), SCHED_UNKNOWN);
    expect(told_of(sched_thread_end(&thread, 9000, &item), &item), TOLD(SCHED_SLEEPING, 1000, 9000, 6, 0));
    CU_ASSERT_TRUE(item.flags & VIEW_OPEN_END);
}

static AdatField text_field(const char *name, const char *value)
{
    AdatField field = {.name = name, .type = ADA_TYPE_STRING};

    field.value.string.bytes = value;
    field.value.string.size = (uint32_t)strlen(value);
    return field;
}

static void sched__fields__then_by_name_and_type(void)
{
    AdatField fields[4] = {{.name = "cpu", .type = ADA_TYPE_U64, .value.u64 = 5},
                           {.name = "next", .type = ADA_TYPE_I64, .value.i64 = 6},
                           {.name = "by", .type = ADA_TYPE_U64, .value.u64 = 7}};
    SchedFields found;

    fields[3] = text_field("why", "blocked");
    found = sched_fields(fields, 4);
    CU_ASSERT_EQUAL(found.cpu, 5);
    CU_ASSERT_EQUAL(found.other, 7);
    CU_ASSERT_EQUAL(found.why, SCHED_BLOCKED);
    fields[3] = text_field("why", "preempted");
    CU_ASSERT_EQUAL(sched_fields(fields, 4).why, SCHED_PREEMPTED);
    fields[3] = text_field("why", "blockedx");
    CU_ASSERT_EQUAL(sched_fields(fields, 4).why, SCHED_SLEEPING);
    CU_ASSERT_EQUAL(sched_fields(fields, 0).why, SCHED_SLEEPING);
}

static const TestCase tests[] = {
    TEST(sched__sleep_and_wakeup__then_states_touch),
    TEST(sched__preempted__then_it_waits_for_a_cpu),
    TEST(sched__waking_who_is_awake__then_nothing_ends),
    TEST(sched__events_were_lost__then_the_next_one_says_since_when),
    TEST(sched__end_of_the_trace__then_it_is_in_its_state_until_then),
    TEST(sched__fields__then_by_name_and_type),
};
TEST_MAIN("sched_states", tests)
