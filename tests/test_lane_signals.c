/* SPDX-License-Identifier: MIT */
/* Signal handlers that trace: raised exactly at each step of a write, and at high frequency at any step. */
#define _GNU_SOURCE
#include "lane_fixture.h"
#include "test_support.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ALL UINT32_MAX
#define LEVELS 3u /* main, handler, handler in handler */

/* Events carry (level, counter); what each level did: */
typedef struct Tally {
    uint64_t attempted;
    uint64_t refused;
} Tally;

/* Handlers take no context. */
static struct {
    LaneFixture *index;
    LaneFixture *detail;
    Tally index_tally[LEVELS];
    Tally detail_tally[LEVELS];
    uint32_t level;
    const char *point;       /* where to raise */
    const char *inner_point; /* where to raise again, within the handler */
    uint32_t burst;          /* events of each handler */
    uint32_t raises;
} run;

static void write_index(void)
{
    Tally *tally = &run.index_tally[run.level];

    if (lane_fixture_write(run.index, run.level, tally->attempted++) != 0)
        tally->refused++;
}

/* As argument a detail record carries its own number (see the fixture); who wrote it stands in the id. */
static void write_detail(void)
{
    Tally *tally = &run.detail_tally[run.level];
    uint32_t payload = (uint32_t)(tally->attempted * 40 % 200);

    if (lane_fixture_write_detail(run.detail, (uint64_t)run.level << 32 | tally->attempted++, payload) != 0)
        tally->refused++;
}

static void begin(uint32_t policy, uint32_t index_ring)
{
    memset(&run, 0, sizeof(run));
    run.index = lane_fixture_create(ADA_LANE_INDEX, ADA_INDEX_RINGS, index_ring);
    run.detail = lane_fixture_create(ADA_LANE_DETAIL, ADA_DETAIL_RINGS, 32u << 10);
    CU_ASSERT_PTR_NOT_NULL_FATAL(run.index);
    CU_ASSERT_PTR_NOT_NULL_FATAL(run.detail);
    run.index->header.policy = policy;
    run.detail->header.policy = policy;
}

static void on_signal(int signal_number)
{
    int saved = errno;

    run.level++;
    for (uint32_t i = 0; i < run.burst; i++) {
        if (run.index)
            write_index();
        if (run.detail && i % 4 == 0)
            write_detail();
    }
    run.level--;
    errno = saved;
    (void)signal_number;
}

/* The log holds so many records; a storm that is too long for it stops writing in handlers. */
static void on_storm(int signal_number)
{
    if (run.index_tally[1].attempted + run.index_tally[2].attempted < LANE_LOG_MAX / 2)
        on_signal(signal_number);
}

static void install(int signal_number, void (*handler)(int))
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    CU_ASSERT_EQUAL(sigaction(signal_number, &action, NULL), 0);
}

/*
 * One lane's account: by content, per level, nothing twice, nothing altered, nothing missing that was not
 * refused.
 */
static void check_lane(LaneFixture *fixture, const Tally *tally)
{
    static uint64_t next[LEVELS];
    uint64_t seen[LEVELS] = {0};
    uint64_t attempted = 0, refused = 0;
    bool is_index = fixture->reader.kind == ADA_LANE_INDEX;

    memset(next, 0, sizeof(next));
    CU_ASSERT_TRUE(fixture->record_count <= LANE_LOG_MAX);
    CU_ASSERT_TRUE(lane_fixture_is_gapless(fixture, 0, 0));
    CU_ASSERT_EQUAL(fixture->bad_payloads, 0);
    for (uint32_t i = 0; i < fixture->record_count; i++) {
        const LaneRecord *record = &fixture->records[i];
        uint64_t level = is_index ? record->id : record->id >> 32;
        uint64_t counter = is_index ? record->argument : record->id & UINT32_MAX;

        CU_ASSERT_TRUE_FATAL(level < LEVELS);
        /* A level's own events stand in its order; handlers of one level do not interrupt each other. */
        CU_ASSERT_TRUE(counter >= next[level]);
        next[level] = counter + 1;
        seen[level]++;
        if (is_index && i > 0)
            CU_ASSERT_TRUE(record->timestamp >= fixture->records[i - 1].timestamp);
        if (!is_index)
            CU_ASSERT_EQUAL(record->argument, record->number);
        if (ADA_WORD_FLAGS(record->word) & ADA_FLAG_NESTED)
            CU_ASSERT_TRUE(level > 0);
    }
    for (uint32_t level = 0; level < LEVELS; level++) {
        CU_ASSERT_EQUAL(seen[level] + tally[level].refused, tally[level].attempted);
        attempted += tally[level].attempted;
        refused += tally[level].refused;
    }
    CU_ASSERT_EQUAL(fixture->record_count + refused, attempted);
    CU_ASSERT_EQUAL(fixture->metrics.counters.dropped_full + fixture->metrics.counters.dropped_nested, refused);
    CU_ASSERT_EQUAL(lane_events_written(&fixture->lane), fixture->record_count);
    CU_ASSERT_EQUAL(lane_events_reserved(&fixture->lane), fixture->record_count);
    CU_ASSERT_EQUAL(fixture->writer.frame, 0);
}

static void end(void)
{
    lane_fixture_destroy(run.index);
    lane_fixture_destroy(run.detail);
    run.index = NULL;
    run.detail = NULL;
}

/* ---- exactly here -------------------------------------------------------------------------------- */

static void raise_here(const char *point)
{
    if (run.level >= LEVELS - 1 || strcmp(point, run.level == 0 ? run.point : run.inner_point) != 0)
        return;
    run.raises++;
    (void)raise(run.level == 0 ? SIGUSR1 : SIGUSR2);
}

static const char *const points[] = {
    "write.begin",      "write.announced", "write.reserved", "write.written",
    "write.published",  "reserve.before",  "reserve.after",  "slow.written",
    "commit.published", "swap.begin",      "swap.taken",     "swap.prepared",
    "swap.switched",    "swap.sealed",     "swap.submitted", "swap.activated"};
#define POINT_COUNT (sizeof(points) / sizeof(points[0]))

/* Steps that a handler passes itself when it interrupts a write. */
static const char *const inner_points[] = {"reserve_nested.before", "slow.written", "reserve.before"};
#define INNER_COUNT (sizeof(inner_points) / sizeof(inner_points[0]))

static void raise_at_every_point(uint32_t policy, uint32_t rounds)
{
    for (size_t i = 0; i < POINT_COUNT; i++) {
        for (uint32_t burst = 1; burst <= 40; burst += burst < 5 ? 1 : 7) {
            begin(policy, 4096);
            run.point = points[i];
            run.inner_point = inner_points[burst % INNER_COUNT];
            run.burst = burst;
            ada_test_point_hook = raise_here;
            for (uint32_t n = 0; n < rounds; n++) {
                write_index();
                write_detail();
                if (n % 8 == 0) {
                    CU_ASSERT_TRUE(lane_fixture_drain(run.index, ALL, false) >= 0);
                    CU_ASSERT_TRUE(lane_fixture_drain(run.detail, ALL, false) >= 0);
                }
            }
            ada_test_point_hook = NULL;
            /* What handlers wrote after the outermost record is published, too. */
            CU_ASSERT_TRUE(lane_fixture_drain(run.index, ALL, false) >= 0);
            CU_ASSERT_TRUE(lane_fixture_drain(run.detail, ALL, false) >= 0);
            CU_ASSERT_TRUE(run.raises > 0);
            check_lane(run.index, run.index_tally);
            check_lane(run.detail, run.detail_tally);
            end();
        }
    }
}

static void lane__handler_at_every_step__then_every_event_accounted(void)
{
    install(SIGUSR1, on_signal);
    install(SIGUSR2, on_signal);
    raise_at_every_point(ADA_POLICY_DISCARD, 300);
}

/* With nobody draining: rings run out, and handlers meet full ones. */
static void lane__handler_at_every_step_and_pool_empty__then_drops_exact(void)
{
    install(SIGUSR1, on_signal);
    install(SIGUSR2, on_signal);
    for (size_t i = 0; i < POINT_COUNT; i++) {
        begin(ADA_POLICY_DISCARD, 4096);
        run.point = points[i];
        run.inner_point = inner_points[i % INNER_COUNT];
        run.burst = 9;
        ada_test_point_hook = raise_here;
        for (uint32_t n = 0; n < 600; n++) {
            write_index();
            write_detail();
        }
        ada_test_point_hook = NULL;
        CU_ASSERT_TRUE(run.index->metrics.counters.dropped_full > 0);
        CU_ASSERT_TRUE(run.detail->metrics.counters.dropped_full > 0);
        CU_ASSERT_TRUE(lane_fixture_drain(run.index, ALL, false) > 0);
        CU_ASSERT_TRUE(lane_fixture_drain(run.detail, ALL, false) > 0);
        check_lane(run.index, run.index_tally);
        check_lane(run.detail, run.detail_tally);
        end();
    }
}

/* A handler amid a write may fill the ring but for the place that the interrupted write still needs. */
static void lane__handler_fills_the_ring__then_interrupted_event_has_its_place(void)
{
    install(SIGUSR1, on_signal);
    begin(ADA_POLICY_DISCARD, 4096);
    run.point = "write.begin";
    run.inner_point = "";
    run.burst = 200;
    ada_test_point_hook = raise_here;
    run.level = 0;
    write_index();
    ada_test_point_hook = NULL;
    CU_ASSERT_EQUAL(run.index_tally[0].refused, 0);
    CU_ASSERT_EQUAL(run.index_tally[1].refused, 200 - 127);
    CU_ASSERT_EQUAL(run.index->metrics.counters.dropped_nested, 200 - 127);
    CU_ASSERT_EQUAL(lane_fixture_drain(run.index, ALL, false), 128);
    /* It was reserved last, and its time is not before that of the handler's last. */
    CU_ASSERT_EQUAL(run.index->records[127].id, 0);
    for (uint32_t i = 0; i < 127; i++)
        CU_ASSERT_TRUE(ADA_WORD_FLAGS(run.index->records[i].word) & ADA_FLAG_NESTED);
    CU_ASSERT_FALSE(ADA_WORD_FLAGS(run.index->records[127].word) & ADA_FLAG_NESTED);
    CU_ASSERT_TRUE(lane_fixture_drain(run.detail, ALL, false) >= 0);
    check_lane(run.index, run.index_tally);
    check_lane(run.detail, run.detail_tally);
    end();
}

/* ---- at any instruction --------------------------------------------------------------------------- */

#define STORM_EVENTS 20000u
#define STORM_SIGNALS 2000u

typedef struct Storm {
    pthread_t target;
    uint32_t stop;
    uint32_t sent;
} Storm;

static void *send_signals(void *argument)
{
    Storm *storm = argument;

    while (!ada_load_acquire(&storm->stop) || storm->sent < STORM_SIGNALS) {
        if (pthread_kill(storm->target, storm->sent % 2 ? SIGUSR1 : SIGUSR2) != 0)
            break;
        storm->sent++;
    }
    return NULL;
}

static void write_and_drain(uint32_t events)
{
    for (uint32_t n = 0; n < events; n++) {
        write_index();
        if (n % 3 == 0)
            write_detail();
        if (n % 64 == 0) {
            CU_ASSERT_TRUE(lane_fixture_drain(run.index, ALL, false) >= 0);
            CU_ASSERT_TRUE(lane_fixture_drain(run.detail, ALL, false) >= 0);
        }
    }
}

static void lane__signals_at_high_frequency__then_every_event_accounted(void)
{
    Storm storm = {.target = pthread_self()};
    pthread_t sender;

    begin(ADA_POLICY_DISCARD, 4096);
    run.burst = 2;
    install(SIGUSR1, on_storm);
    install(SIGUSR2, on_storm);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&sender, NULL, send_signals, &storm), 0);
    write_and_drain(STORM_EVENTS);
    ada_store_release(&storm.stop, 1u);
    CU_ASSERT_EQUAL(pthread_join(sender, NULL), 0);
    /* A signal that is still on its way comes no later than the return from this. */
    CU_ASSERT_EQUAL(raise(SIGUSR1), 0);
    CU_ASSERT_EQUAL(raise(SIGUSR2), 0);
    CU_ASSERT_TRUE(run.index_tally[1].attempted + run.index_tally[2].attempted > 0);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    CU_ASSERT_TRUE(lane_fixture_drain(run.index, ALL, false) >= 0);
    CU_ASSERT_TRUE(lane_fixture_drain(run.detail, ALL, false) >= 0);
    check_lane(run.index, run.index_tally);
    check_lane(run.detail, run.detail_tally);
    end();
}

static void lane__timer_fires__then_every_event_accounted(void)
{
    const struct itimerspec every_20_us = {{0, 20000}, {0, 20000}};
    struct sigevent event;
    timer_t timer;

    begin(ADA_POLICY_DISCARD, 4096);
    run.burst = 2;
    install(SIGALRM, on_storm);
    memset(&event, 0, sizeof(event));
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGALRM;
    CU_ASSERT_EQUAL_FATAL(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
    CU_ASSERT_EQUAL(timer_settime(timer, 0, &every_20_us, NULL), 0);
    while (run.index_tally[0].attempted < STORM_EVENTS ||
           (run.index_tally[1].attempted < 100 && run.index_tally[0].attempted < LANE_LOG_MAX / 2))
        write_and_drain(1000);
    CU_ASSERT_EQUAL(timer_delete(timer), 0);
    signal(SIGALRM, SIG_IGN);
    CU_ASSERT_TRUE(run.index_tally[1].attempted > 0);
    CU_ASSERT_TRUE(lane_fixture_drain(run.index, ALL, false) >= 0);
    CU_ASSERT_TRUE(lane_fixture_drain(run.detail, ALL, false) >= 0);
    check_lane(run.index, run.index_tally);
    check_lane(run.detail, run.detail_tally);
    end();
}

/* ---- handlers that jump out ------------------------------------------------------------------- */

static sigjmp_buf jump_target;
static const char *jump_point;

static void jump_handler(int number)
{
    (void)number;
    siglongjmp(jump_target, 1);
}

static void jump_hook(const char *name)
{
    if (jump_point && strcmp(name, jump_point) == 0) {
        jump_point = NULL;
        (void)raise(SIGUSR2);
    }
}

/* Writes from further down the stack, as a program does that jumps back to where it came from. */
__attribute__((noinline)) static void write_from_below(LaneFixture *fixture)
{
    volatile char frame[4096];

    frame[0] = 0;
    if (fixture->lane.kind == ADA_LANE_INDEX)
        (void)lane_fixture_write(fixture, 1, 1000);
    else
        (void)lane_fixture_write_detail(fixture, 1, 64);
    frame[sizeof(frame) - 1] = 0; /* keeps the frame in place until here */
}

/* Writes one record, which a handler abandons at `point` by a jump. */
static void write_and_jump(LaneFixture *fixture, const char *point)
{
    if (sigsetjmp(jump_target, 1) == 0) {
        jump_point = point;
        write_from_below(fixture);
    }
    CU_ASSERT_PTR_NULL(jump_point);
}

static void jump_at(uint32_t kind, const char *point)
{
    LaneFixture *fixture = lane_fixture_create(kind, kind == ADA_LANE_INDEX ? 4 : 2, 32u << 10);
    uint32_t written = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    for (uint32_t i = 0; i < 20; i++) {
        written += (kind == ADA_LANE_INDEX ? lane_fixture_write(fixture, 1, i)
                                           : lane_fixture_write_detail(fixture, 1, 64)) == 0;
        if (i == 10)
            write_and_jump(fixture, point);
    }
    CU_ASSERT_EQUAL(written, 20);
    CU_ASSERT_EQUAL(fixture->writer.frame, 0);
    CU_ASSERT_TRUE(lane_fixture_drain(fixture, LANE_LOG_MAX, false) >= 0);
    /* The abandoned record is in the file if it was published before, else it is counted if it was reserved. */
    CU_ASSERT_TRUE(fixture->record_count == 20 || fixture->record_count == 21);
    CU_ASSERT_TRUE(fixture->record_count + fixture->metrics.counters.dropped_nested <= 21);
    CU_ASSERT_EQUAL(fixture->bad_payloads, 0);
    CU_ASSERT_TRUE(lane_fixture_is_gapless(fixture, 0, 0));
    CU_ASSERT_EQUAL(lane_events_reserved(&fixture->lane), fixture->record_count);
    lane_fixture_destroy(fixture);
}

static void lane__handler_jumps_out_of_a_write__then_later_events_recorded(void)
{
    static const char *const index_points[] = {"write.begin", "write.announced", "write.reserved",
                                               "write.written", "write.published"};
    static const char *const detail_points[] = {"reserve.before", "reserve.after", "commit.published"};
    struct sigaction action = {.sa_handler = jump_handler};
    AdaTestPointHook before = ada_test_point_hook;

    CU_ASSERT_EQUAL_FATAL(sigaction(SIGUSR2, &action, NULL), 0);
    ada_test_point_hook = jump_hook;
    for (size_t i = 0; i < sizeof(index_points) / sizeof(index_points[0]); i++)
        jump_at(ADA_LANE_INDEX, index_points[i]);
    for (size_t i = 0; i < sizeof(detail_points) / sizeof(detail_points[0]); i++)
        jump_at(ADA_LANE_DETAIL, detail_points[i]);
    ada_test_point_hook = before;
}

/* Left between two rings the lane cannot go on: everything later is refused and counted. */
static void lane__handler_jumps_out_of_a_swap__then_later_events_counted(void)
{
    struct sigaction action = {.sa_handler = jump_handler};
    AdaTestPointHook before = ada_test_point_hook;
    LaneFixture *fixture = lane_fixture_create(ADA_LANE_INDEX, 4, 4096);
    uint32_t written = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    CU_ASSERT_EQUAL_FATAL(sigaction(SIGUSR2, &action, NULL), 0);
    while (ADA_POSITION_BYTES(fixture->writer.active->cursor) < fixture->writer.active->limit)
        written += lane_fixture_write(fixture, 1, written) == 0;
    ada_test_point_hook = jump_hook;
    write_and_jump(fixture, "swap.switched");
    ada_test_point_hook = before;
    for (uint32_t i = 0; i < 1000; i++)
        (void)lane_fixture_write(fixture, 1, i);
    CU_ASSERT_TRUE(fixture->metrics.counters.dropped_nested > 800);
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, LANE_LOG_MAX, false), (int)written);
    lane_fixture_destroy(fixture);
}

/* The producer held the drain when it was left: it gives it back, so that the collector can go on. */
static void lane__handler_jumps_out_of_taking_back__then_drain_is_free(void)
{
    struct sigaction action = {.sa_handler = jump_handler};
    AdaTestPointHook before = ada_test_point_hook;
    LaneFixture *fixture = lane_fixture_create(ADA_LANE_INDEX, 4, 4096);

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    fixture->header.policy = ADA_POLICY_OVERWRITE;
    CU_ASSERT_EQUAL_FATAL(sigaction(SIGUSR2, &action, NULL), 0);
    for (uint32_t i = 0; i < 4 * 112; i++)
        (void)lane_fixture_write(fixture, 1, i);
    ada_test_point_hook = jump_hook;
    write_and_jump(fixture, "takeback.acquired");
    ada_test_point_hook = before;
    CU_ASSERT_EQUAL(lane_fixture_write(fixture, 1, 5000), 0);
    CU_ASSERT_EQUAL(fixture->lane.drain_owner, ADA_DRAIN_FREE);
    CU_ASSERT_TRUE(lane_fixture_drain(fixture, LANE_LOG_MAX, false) > 0);
    lane_fixture_destroy(fixture);
}

static LaneFixture *alternate_fixture;

static void alternate_handler(int number)
{
    (void)number;
    /* As if the interrupted writer's frame were far below this stack. */
    alternate_fixture->writer.frame = 4096;
    (void)lane_fixture_write(alternate_fixture, 2, 0);
    CU_ASSERT_EQUAL(alternate_fixture->writer.frame, 4096);
}

static void run_on_alternate_stack(LaneFixture *fixture)
{
    struct sigaction action = {.sa_handler = alternate_handler, .sa_flags = SA_ONSTACK};

    alternate_fixture = fixture;
    CU_ASSERT_EQUAL_FATAL(sigaction(SIGUSR2, &action, NULL), 0);
    (void)raise(SIGUSR2);
    CU_ASSERT_EQUAL(fixture->metrics.counters.dropped_nested, 0);
    lane_publish_rest(&fixture->writer);
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, LANE_LOG_MAX, false), 1);
    CU_ASSERT_TRUE(ADA_WORD_FLAGS(fixture->records[0].word) & ADA_FLAG_NESTED);
}

/* On an alternate stack addresses prove nothing: the handler's events are nested. */
static void lane__handler_on_another_stack__then_still_nested(void)
{
    static char above[64 << 10];
    stack_t alternate = {.ss_sp = above, .ss_size = sizeof(above)};
    stack_t none = {.ss_flags = SS_DISABLE};
    LaneFixture *fixture = lane_fixture_create(ADA_LANE_INDEX, 4, 4096);

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    CU_ASSERT_EQUAL_FATAL(sigaltstack(&alternate, NULL), 0);
    run_on_alternate_stack(fixture);
    CU_ASSERT_EQUAL(sigaltstack(&none, NULL), 0);
    lane_fixture_destroy(fixture);
}

static const TestCase tests[] = {
    TEST(lane__handler_jumps_out_of_a_write__then_later_events_recorded),
    TEST(lane__handler_jumps_out_of_a_swap__then_later_events_counted),
    TEST(lane__handler_jumps_out_of_taking_back__then_drain_is_free),
    TEST(lane__handler_on_another_stack__then_still_nested),
    TEST(lane__handler_at_every_step__then_every_event_accounted),
    TEST(lane__handler_at_every_step_and_pool_empty__then_drops_exact),
    TEST(lane__handler_fills_the_ring__then_interrupted_event_has_its_place),
    TEST(lane__signals_at_high_frequency__then_every_event_accounted),
    TEST(lane__timer_fires__then_every_event_accounted),
};
TEST_MAIN("lane_signals", tests)
