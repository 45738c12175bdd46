/* SPDX-License-Identifier: MIT */
/* Lanes: what one side writes, the other side reads; what happens when no ring is free. */
#include "lane_fixture.h"
#include "test_support.h"

#include <errno.h>
#include <string.h>

#include "user/lane/futex.h"

#define RING 4096u
#define RING_EVENTS 112u /* of 128 places: an eighth is kept for signal handlers */
#define POOL_EVENTS (ADA_INDEX_RINGS * RING_EVENTS)
#define DETAIL_RING (32u << 10)
#define ALL UINT32_MAX

static LaneFixture *index_lane(uint32_t policy)
{
    LaneFixture *fixture = lane_fixture_create(ADA_LANE_INDEX, ADA_INDEX_RINGS, RING);

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    fixture->header.policy = policy;
    return fixture;
}

static LaneFixture *detail_lane(uint32_t policy, uint32_t detail)
{
    LaneFixture *fixture = lane_fixture_create(ADA_LANE_DETAIL, ADA_DETAIL_RINGS, DETAIL_RING);

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    fixture->header.policy = policy;
    fixture->header.detail = detail;
    return fixture;
}

/* Writes events with arguments first..first + count - 1; returns how many were accepted. */
static uint32_t write_events(LaneFixture *fixture, uint64_t first, uint32_t count)
{
    uint32_t accepted = 0;

    for (uint32_t i = 0; i < count; i++)
        accepted += lane_fixture_write(fixture, 7, first + i) == 0;
    return accepted;
}

/* Whether records[from..to) carry arguments that run on from `argument`. */
static bool arguments_run_on(const LaneFixture *fixture, uint32_t from, uint32_t to, uint64_t argument)
{
    for (uint32_t i = from; i < to; i++)
        if (fixture->records[i].argument != argument++)
            return false;
    return to <= fixture->record_count;
}

/* ---- writing and reading ----------------------------------------------------------------------- */

static void lane__init__then_ring_0_active_and_others_free(void)
{
    for (uint32_t count = 1; count <= ADA_RINGS_MAX; count++) {
        SpscConsumer free_rings;
        uint32_t ring = 0;
        Lane lane;

        memset(&lane, 0xff, sizeof(lane));
        lane_init(&lane, ADA_LANE_INDEX, count, RING, 12345);
        spsc_consumer_init(&free_rings, &lane.free_queue, NULL, 0);
        CU_ASSERT_EQUAL(lane.active_ring_index, 0);
        CU_ASSERT_EQUAL(lane.ring_pool_offset, 12345);
        CU_ASSERT_EQUAL(spsc_queue_length(&free_rings), count - 1);
        for (uint32_t i = 1; i < count; i++) {
            CU_ASSERT_EQUAL(spsc_queue_peek(&free_rings, &ring), 1);
            CU_ASSERT_EQUAL(ring, i);
            spsc_queue_pop(&free_rings);
        }
        CU_ASSERT_EQUAL(lane_events_written(&lane), 0);
        CU_ASSERT_EQUAL(lane_events_reserved(&lane), 0);
        CU_ASSERT_EQUAL(lane.drain_owner, ADA_DRAIN_FREE);
        CU_ASSERT_EQUAL(lane.marked, 0);
    }
}

static void lane__event_written__then_read_as_it_was(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_DISCARD);
    uint32_t word = ADA_WORD(ADA_KIND_COUNTER, ADA_FLAG_DETAIL, 513);
    const LaneRecord *record = &fixture->records[0];
    uint64_t before = ada_clock_ticks();

    CU_ASSERT_TRUE(lane_write_index(&fixture->producer, word, 0xfedcba9876543210u, UINT64_MAX - 1, 0x89abcdefu));
    CU_ASSERT_TRUE(lane_reader_pending(&fixture->reader));
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, false), 1);
    CU_ASSERT_EQUAL(record->number, 0);
    CU_ASSERT_TRUE(record->timestamp >= before && record->timestamp <= ada_clock_ticks());
    CU_ASSERT_EQUAL(record->word, word);
    CU_ASSERT_EQUAL(record->id, 0xfedcba9876543210u);
    CU_ASSERT_EQUAL(record->argument, UINT64_MAX - 1);
    CU_ASSERT_EQUAL(record->tail, 0x89abcdefu);
    CU_ASSERT_FALSE(lane_reader_pending(&fixture->reader));
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, false), 0);
    lane_fixture_destroy(fixture);
}

static void lane__ring_partly_filled__then_read_in_place(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_DISCARD);

    for (uint32_t i = 0; i < RING_EVENTS; i++) {
        CU_ASSERT_EQUAL(lane_fixture_write(fixture, 1, i), 0);
        CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, false), 1);
    }
    CU_ASSERT_EQUAL(fixture->metrics.swaps.count, 0);
    CU_ASSERT_TRUE(arguments_run_on(fixture, 0, RING_EVENTS, 0));
    /* The ring is submitted with nothing new in it, and comes back. */
    CU_ASSERT_EQUAL(lane_fixture_write(fixture, 1, RING_EVENTS), 0);
    CU_ASSERT_EQUAL(fixture->metrics.swaps.count, 1);
    CU_ASSERT_EQUAL(fixture->lane.free_queue.tail - fixture->lane.free_queue.head, 2);
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, false), 1);
    CU_ASSERT_EQUAL(fixture->lane.free_queue.tail - fixture->lane.free_queue.head, 3);
    CU_ASSERT_TRUE(lane_fixture_is_gapless(fixture, 0, 0));
    lane_fixture_destroy(fixture);
}

static void lane__drained_in_small_steps__then_each_record_once(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_DISCARD);
    uint32_t written = 0;

    /* Steps that end within rings, at their ends, and behind them. */
    for (uint32_t step = 1; step < 200; step++) {
        written += write_events(fixture, written, step % 97);
        CU_ASSERT_TRUE(lane_fixture_drain(fixture, step * 7 % 101, false) >= 0);
    }
    while (lane_fixture_drain(fixture, 13, false) > 0) {
    }
    CU_ASSERT_EQUAL(fixture->record_count, written);

    CU_ASSERT_TRUE(lane_fixture_is_gapless(fixture, 0, 0));
    CU_ASSERT_EQUAL(fixture->lane.drained_records, written);
    CU_ASSERT_EQUAL(lane_events_written(&fixture->lane), written);
    for (uint32_t i = 1; i < fixture->record_count; i++)
        CU_ASSERT_TRUE(fixture->records[i].timestamp >= fixture->records[i - 1].timestamp);
    lane_fixture_destroy(fixture);
}

static uint32_t wakes;

static void count_wakes(const char *point)
{
    wakes += strcmp(point, "doorbell.wake") == 0;
}

/* Swaps as a writer does whose ring is full. How often it woke the collector. */
static uint32_t swap(LaneFixture *fixture)
{
    wakes = 0;
    ada_test_point_hook = count_wakes;
    fixture->writer.frame = 1;
    CU_ASSERT_EQUAL(lane_swap_active_ring(&fixture->producer), 0);
    fixture->writer.frame = 0;
    ada_test_point_hook = NULL;
    return wakes;
}

static void lane__swap__then_collector_woken_as_it_sleeps(void)
{
    static const struct {
        uint32_t sleeping;
        uint32_t wakes[3]; /* with three, two, one of four rings empty before */
    } cases[] = {
        {ADA_COLLECTOR_AWAKE, {0, 0, 0}},
        {ADA_COLLECTOR_NAPS, {0, 1, 1}}, /* the first can wait for the next look around */
        {ADA_COLLECTOR_SLEEPS, {1, 1, 1}},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        LaneFixture *fixture = index_lane(ADA_POLICY_DISCARD);

        fixture->header.collector_sleeping = cases[i].sleeping;
        for (uint32_t s = 0; s < 3; s++) {
            CU_ASSERT_EQUAL(swap(fixture), cases[i].wakes[s]);
            CU_ASSERT_EQUAL(fixture->header.doorbell, s + 1);
        }
        lane_fixture_destroy(fixture);
    }
}

static void lane__watched_ring__then_next_record_gives_a_hint_and_rings(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_DISCARD);
    uint64_t hints = 0;

    fixture->producer.dirty_word = &hints;
    fixture->producer.dirty_bit = 1u << 5;
    CU_ASSERT_EQUAL(write_events(fixture, 0, 3), 3);
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, false), 3);
    CU_ASSERT_FALSE(lane_reader_stirred(&fixture->reader));
    CU_ASSERT_EQUAL(hints, 0);
    for (uint32_t round = 0; round < 2; round++) { /* by the event path, and by the slow one */
        lane_reader_watch(&fixture->reader);
        if (round == 0) {
            CU_ASSERT_EQUAL(write_events(fixture, 0, 2), 2);
        } else {
            CU_ASSERT_EQUAL(lane_write_index_slow(&fixture->producer, 0, 1, 2, 0), 0);
        }
        CU_ASSERT_EQUAL(hints, 1u << 5);
        CU_ASSERT_EQUAL(fixture->header.doorbell, round + 1);
        CU_ASSERT_EQUAL(fixture->lane.rings[0].watch, 0);
        CU_ASSERT(lane_reader_stirred(&fixture->reader));
        hints = 0;
        CU_ASSERT(lane_fixture_drain(fixture, ALL, false) > 0);
    }
    lane_fixture_destroy(fixture);
}

static void lane__swap__then_old_ring_submitted(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_DISCARD);
    uint32_t ring = 99;

    CU_ASSERT_EQUAL(write_events(fixture, 0, 5), 5);
    (void)swap(fixture);
    CU_ASSERT_EQUAL(fixture->lane.active_ring_index, 1);
    CU_ASSERT_EQUAL(fixture->lane.rings[1].sequence, 1);
    CU_ASSERT_EQUAL(fixture->lane.rings[1].base_record, 5);
    CU_ASSERT_EQUAL(lane_reader_begin(&fixture->reader, false), 1);
    CU_ASSERT_EQUAL(spsc_queue_peek(&fixture->reader.submit, &ring), 1);
    CU_ASSERT_EQUAL(ring, 0);
    lane_reader_end(&fixture->reader);
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, false), 5);
    lane_fixture_destroy(fixture);
}

static void *sleep_at_doorbell(void *argument)
{
    SegmentHeader *header = argument;
    uint32_t rung;

    ada_store_relaxed(&header->collector_sleeping, 1u);
    rung = ada_fetch_add_acq_rel(&header->doorbell, 0u);
    ada_store_release(&header->event_count, 1u); /* tells the test that we are about to sleep */
    while (ada_load_acquire(&header->doorbell) == rung)
        (void)ada_futex_wait(&header->doorbell, rung, 60000000000ull);
    return NULL;
}

static void lane__collector_sleeps__then_swap_wakes_it(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_DISCARD);
    pthread_t collector;

    CU_ASSERT_EQUAL_FATAL(pthread_create(&collector, NULL, sleep_at_doorbell, &fixture->header), 0);
    while (ada_load_acquire(&fixture->header.event_count) == 0) {
    }
    CU_ASSERT_EQUAL(write_events(fixture, 0, 2 * RING_EVENTS + 1), 2 * RING_EVENTS + 1);
    CU_ASSERT_EQUAL(pthread_join(collector, NULL), 0);
    CU_ASSERT_EQUAL(fixture->header.doorbell, 2);
    lane_fixture_destroy(fixture);
}

static void lane__closed__then_published_and_refused(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_DISCARD);

    CU_ASSERT_EQUAL(write_events(fixture, 0, 3), 3);
    lane_producer_close(&fixture->producer, &fixture->closed_view);
    CU_ASSERT_FALSE(lane_write_index(&fixture->producer, 0, 0, 0, 0));
    CU_ASSERT_EQUAL(fixture->writer.frame, 0);
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, true), 3);
    lane_publish_rest(&fixture->writer); /* on a closed view: nothing to publish, nowhere */
    CU_ASSERT_EQUAL(lane_events_written(&fixture->lane), 3);
    lane_fixture_destroy(fixture);
}

/* A thread that ends in a signal handler leaves the interrupted record as it is. */
static void lane__closed_amid_record__then_record_not_published(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_DISCARD);
    LaneReservation reservation;

    CU_ASSERT_EQUAL(write_events(fixture, 0, 3), 3);
    CU_ASSERT_EQUAL(lane_reserve(&fixture->producer, ADA_INDEX_EVENT_SIZE, &reservation), 0);
    lane_producer_close(&fixture->producer, &fixture->closed_view);
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, true), 3);
    CU_ASSERT_EQUAL(lane_events_written(&fixture->lane), 3);
    CU_ASSERT_EQUAL(lane_events_reserved(&fixture->lane), 4);
    lane_fixture_destroy(fixture);
}

/* ---- discard ------------------------------------------------------------------------------------ */

static void lane__discard_and_pool_empty__then_newest_dropped_and_counted(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_DISCARD);

    errno = 4711;
    CU_ASSERT_EQUAL(write_events(fixture, 0, 1000), POOL_EVENTS);
    CU_ASSERT_EQUAL(errno, 4711);
    CU_ASSERT_EQUAL(fixture->metrics.counters.dropped_full, 1000 - POOL_EVENTS);
    CU_ASSERT_EQUAL(metrics_dropped(&fixture->metrics), 1000 - POOL_EVENTS);
    CU_ASSERT_EQUAL(lane_events_written(&fixture->lane), POOL_EVENTS);
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, false), (int)POOL_EVENTS);
    CU_ASSERT_TRUE(arguments_run_on(fixture, 0, POOL_EVENTS, 0));
    /* Numbers go on where they stopped: a drop takes none. */
    CU_ASSERT_EQUAL(write_events(fixture, 1000, 50), 50);
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, false), 50);
    CU_ASSERT_TRUE(arguments_run_on(fixture, POOL_EVENTS, POOL_EVENTS + 50, 1000));
    CU_ASSERT_TRUE(lane_fixture_is_gapless(fixture, 0, 0));
    lane_fixture_destroy(fixture);
}

static void lane__rings_not_given_back__then_producer_cannot_have_them(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_DISCARD);
    LaneChunk chunk;

    CU_ASSERT_EQUAL(write_events(fixture, 0, 1000), POOL_EVENTS);
    CU_ASSERT_EQUAL(lane_reader_begin(&fixture->reader, false), 1);
    while (lane_reader_next(&fixture->reader, &chunk) == 1)
        lane_reader_consume(&fixture->reader, &chunk, chunk.records, chunk.bytes);
    lane_reader_end(&fixture->reader);
    CU_ASSERT_EQUAL(write_events(fixture, 0, 10), 0);
    lane_reader_return_rings(&fixture->reader);
    CU_ASSERT_EQUAL(write_events(fixture, 0, 10), 10);
    lane_fixture_destroy(fixture);
}

/* What is taken in place, whole: the reader knows where the next records come, and that there are none yet. */
static void lane_reader_consume__in_place__then_next_records_are_expected_behind(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_DISCARD);
    LaneChunk chunk;
    uint32_t bytes;

    CU_ASSERT_EQUAL(write_events(fixture, 0, 5), 5);
    CU_ASSERT_EQUAL(lane_reader_begin(&fixture->reader, false), 1);
    CU_ASSERT_EQUAL(lane_reader_next(&fixture->reader, &chunk), 1);
    lane_reader_consume(&fixture->reader, &chunk, chunk.records, chunk.bytes);
    CU_ASSERT_FALSE(lane_reader_stirred(&fixture->reader));
    (void)lane_reader_whereabouts(&fixture->reader, &bytes);
    CU_ASSERT_EQUAL(bytes, 0);

    CU_ASSERT_EQUAL(write_events(fixture, 5, 3), 3);
    CU_ASSERT_TRUE(lane_reader_stirred(&fixture->reader));
    CU_ASSERT_EQUAL(lane_reader_next(&fixture->reader, &chunk), 1);
    CU_ASSERT_PTR_EQUAL(lane_reader_whereabouts(&fixture->reader, &bytes), chunk.data);
    CU_ASSERT_EQUAL(bytes, chunk.bytes);
    lane_reader_consume(&fixture->reader, &chunk, 2, 2 * ADA_INDEX_EVENT_SIZE); /* not whole */
    CU_ASSERT_TRUE(lane_reader_stirred(&fixture->reader));
    lane_reader_end(&fixture->reader);
    lane_fixture_destroy(fixture);
}

/* ---- block -------------------------------------------------------------------------------------- */

static void write_one_more(void *argument)
{
    LaneFixture *fixture = argument;

    fixture->scratch[0] = (uint64_t)-lane_fixture_write(fixture, 7, POOL_EVENTS);
}

static void lane__block_and_pool_empty__then_waits_for_a_ring(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_BLOCK);
    Stepper stepper;

    CU_ASSERT_EQUAL(write_events(fixture, 0, POOL_EVENTS), POOL_EVENTS);
    CU_ASSERT_TRUE_FATAL(stepper_start(&stepper, write_one_more, fixture, "block.waiting", 1));
    CU_ASSERT_EQUAL(ada_load_relaxed(&fixture->lane.waiting), 1);
    /* Woken for nothing, it waits again. */
    (void)ada_exchange_acq_rel(&fixture->lane.waiting, 0u);
    ada_futex_wake(&fixture->lane.waiting);
    CU_ASSERT_TRUE_FATAL(stepper_continue(&stepper, "block.waiting", 1));
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, false), (int)POOL_EVENTS);
    stepper_finish(&stepper);
    CU_ASSERT_EQUAL(fixture->scratch[0], 0);
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, false), 1);
    CU_ASSERT_TRUE(arguments_run_on(fixture, 0, POOL_EVENTS + 1, 0));
    CU_ASSERT_EQUAL(metrics_dropped(&fixture->metrics), 0);
    CU_ASSERT_EQUAL(fixture->metrics.pressure.stalls, 1);
    CU_ASSERT_TRUE(fixture->metrics.pressure.stall_ns > 0);
    CU_ASSERT_EQUAL(fixture->lane.waiting, 0);
    lane_fixture_destroy(fixture);
}

static void write_many(void *argument)
{
    (void)write_events(argument, 0, 20 * POOL_EVENTS);
}

/* Nobody stands still at a test point here: sleeping and waking as in earnest. */
static void lane__block_with_live_reader__then_nothing_lost(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_BLOCK);
    Stepper stepper;

    CU_ASSERT_TRUE(stepper_start(&stepper, write_many, fixture, "block.waiting", 1));
    stepper.stop_at = NULL;
    sem_post(&stepper.resume);
    while (fixture->record_count < 20 * POOL_EVENTS)
        CU_ASSERT_TRUE_FATAL(lane_fixture_drain(fixture, ALL, false) >= 0);
    sem_wait(&stepper.reached);
    stepper_finish(&stepper);
    CU_ASSERT_TRUE(arguments_run_on(fixture, 0, 20 * POOL_EVENTS, 0));
    CU_ASSERT_EQUAL(metrics_dropped(&fixture->metrics), 0);
    lane_fixture_destroy(fixture);
}

static void lane__block_timed_out__then_drops_without_waiting_until_a_ring_is_back(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_BLOCK);

    fixture->header.block_timeout_ns = 1000000;
    CU_ASSERT_EQUAL(write_events(fixture, 0, POOL_EVENTS), POOL_EVENTS);
    errno = 4711;
    CU_ASSERT_EQUAL(write_events(fixture, 0, 1), 0);
    CU_ASSERT_EQUAL(errno, 4711);
    CU_ASSERT_EQUAL(fixture->metrics.pressure.stalls, 1);
    CU_ASSERT_TRUE(fixture->metrics.pressure.stall_ns >= 1000000);
    CU_ASSERT_EQUAL(write_events(fixture, 0, 20), 0);
    CU_ASSERT_EQUAL(fixture->metrics.pressure.stalls, 1);
    CU_ASSERT_EQUAL(fixture->metrics.counters.dropped_full, 21);
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, false), (int)POOL_EVENTS);
    CU_ASSERT_EQUAL(write_events(fixture, 0, POOL_EVENTS + 1), POOL_EVENTS - RING_EVENTS);
    CU_ASSERT_EQUAL(fixture->metrics.pressure.stalls, 2);
    lane_fixture_destroy(fixture);
}

static void lane__block_and_nobody_attached__then_drops_at_once(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_BLOCK);

    fixture->header.attached = 0;
    CU_ASSERT_EQUAL(write_events(fixture, 0, POOL_EVENTS + 5), POOL_EVENTS);
    CU_ASSERT_EQUAL(fixture->metrics.counters.dropped_full, 5);
    CU_ASSERT_TRUE(fixture->metrics.pressure.stall_ns < fixture->header.block_timeout_ns);
    lane_fixture_destroy(fixture);
}

/* ---- overwrite ---------------------------------------------------------------------------------- */

static void lane__overwrite_and_pool_empty__then_oldest_ring_lost(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_OVERWRITE);
    uint32_t total = POOL_EVENTS + 3 * RING_EVENTS;

    CU_ASSERT_EQUAL(write_events(fixture, 0, total), total);
    CU_ASSERT_EQUAL(fixture->metrics.counters.overwritten, 3 * RING_EVENTS);
    CU_ASSERT_EQUAL(metrics_dropped(&fixture->metrics), 3 * RING_EVENTS);
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, false), (int)POOL_EVENTS);
    CU_ASSERT_EQUAL(fixture->records[0].number, 3 * RING_EVENTS);
    CU_ASSERT_TRUE(lane_fixture_is_gapless(fixture, 0, 3 * RING_EVENTS));
    CU_ASSERT_TRUE(arguments_run_on(fixture, 0, POOL_EVENTS, 3 * RING_EVENTS));
    lane_fixture_destroy(fixture);
}

/* Loss is what the reader did not have yet: of a ring drained in part, the rest. */
static void lane__overwrite_of_partly_drained_ring__then_loss_exact(void)
{
    for (uint32_t drained = 1; drained <= RING_EVENTS + 1; drained++) {
        LaneFixture *fixture = index_lane(ADA_POLICY_OVERWRITE);
        uint32_t total = POOL_EVENTS + 1;

        CU_ASSERT_EQUAL(write_events(fixture, 0, RING_EVENTS + 1), RING_EVENTS + 1);
        CU_ASSERT_EQUAL(lane_fixture_drain(fixture, drained, false), (int)drained);
        /* From RING_EVENTS on the ring was given back, so that it takes longer until one is taken. */
        if (drained >= RING_EVENTS)
            total += RING_EVENTS;
        CU_ASSERT_EQUAL(write_events(fixture, RING_EVENTS + 1, total - RING_EVENTS - 1),
                        total - RING_EVENTS - 1);
        if (drained < RING_EVENTS)
            CU_ASSERT_EQUAL(fixture->metrics.counters.overwritten, RING_EVENTS - drained);
        CU_ASSERT_TRUE(lane_fixture_drain(fixture, ALL, false) >= 0);
        CU_ASSERT_EQUAL(fixture->record_count + fixture->metrics.counters.overwritten, total);
        CU_ASSERT_TRUE(
            lane_fixture_is_gapless(fixture, drained, drained + fixture->metrics.counters.overwritten));
        CU_ASSERT_TRUE(arguments_run_on(fixture, 0, drained, 0));
        CU_ASSERT_TRUE(arguments_run_on(fixture, drained, fixture->record_count,
                                        drained + fixture->metrics.counters.overwritten));
        lane_fixture_destroy(fixture);
    }
}

static void lane__overwrite_while_collector_drains__then_newest_dropped(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_OVERWRITE);

    CU_ASSERT_EQUAL(write_events(fixture, 0, POOL_EVENTS), POOL_EVENTS);
    CU_ASSERT_EQUAL(lane_reader_begin(&fixture->reader, false), 1);
    CU_ASSERT_EQUAL(write_events(fixture, 0, 10), 0);
    CU_ASSERT_EQUAL(fixture->metrics.counters.dropped_full, 10);
    CU_ASSERT_EQUAL(fixture->metrics.counters.overwritten, 0);
    lane_reader_end(&fixture->reader);
    CU_ASSERT_EQUAL(write_events(fixture, 0, 10), 10);
    CU_ASSERT_EQUAL(fixture->metrics.counters.overwritten, RING_EVENTS);
    lane_fixture_destroy(fixture);
}

/* The collector took all submitted rings out and has not given them back: there is nothing to take. */
static void lane__overwrite_and_all_rings_with_collector__then_newest_dropped(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_OVERWRITE);
    LaneChunk chunk;

    CU_ASSERT_EQUAL(write_events(fixture, 0, POOL_EVENTS), POOL_EVENTS);
    CU_ASSERT_EQUAL(lane_reader_begin(&fixture->reader, false), 1);
    while (lane_reader_next(&fixture->reader, &chunk) == 1)
        lane_reader_consume(&fixture->reader, &chunk, chunk.records, chunk.bytes);
    lane_reader_end(&fixture->reader);
    CU_ASSERT_EQUAL(write_events(fixture, 0, 10), 0);
    CU_ASSERT_EQUAL(fixture->metrics.counters.dropped_full, 10);
    CU_ASSERT_EQUAL(fixture->metrics.counters.overwritten, 0);
    lane_fixture_destroy(fixture);
}

/* A queue that somebody scribbled over gives the producer no ring, and no crash. */
static void lane__ring_index_impossible__then_producer_takes_none(void)
{
    LaneFixture *fixture = index_lane(ADA_POLICY_OVERWRITE);

    fixture->lane.free_queue.slots[0] = ADA_INDEX_RINGS;
    CU_ASSERT_EQUAL(write_events(fixture, 0, RING_EVENTS + 1), RING_EVENTS);
    fixture->lane.free_queue.slots[0] = 1;
    CU_ASSERT_EQUAL(write_events(fixture, 0, POOL_EVENTS - RING_EVENTS), POOL_EVENTS - RING_EVENTS);
    fixture->lane.submit_queue.slots[0] = UINT32_MAX;
    CU_ASSERT_EQUAL(write_events(fixture, 0, 1), 0);
    CU_ASSERT_EQUAL(fixture->lane.drain_owner, ADA_DRAIN_FREE);
    CU_ASSERT_EQUAL(fixture->metrics.counters.overwritten, 0);
    lane_fixture_destroy(fixture);
}

/* ---- both sides at work ------------------------------------------------------------------------- */

static void swap_as_told(void *argument)
{
    LaneFixture *fixture = argument;

    while (fixture->metrics.swaps.count < fixture->scratch[0])
        (void)lane_fixture_write_detail(fixture, 1, 4096);
}

/* The producer that goes on, to the given point, between two loads of the reader. */
static Stepper *waiting_producer;
static const char *producer_stop;

static void let_producer_go_on(const char *point)
{
    if (waiting_producer && strcmp(point, "reader.active") == 0) {
        Stepper *stepper = waiting_producer;

        waiting_producer = NULL;
        (void)stepper_continue(stepper, producer_stop, 1);
    }
}

static void lane__ring_reused_while_reader_looks__then_nothing_skipped(void)
{
    LaneFixture *fixture = detail_lane(ADA_POLICY_DISCARD, ADA_DETAIL_ALWAYS);
    LaneChunk chunk;
    Stepper stepper;

    /* The first ring is in the queue, but the index still says that it is active. */
    fixture->scratch[0] = 2;
    CU_ASSERT_TRUE_FATAL(stepper_start(&stepper, swap_as_told, fixture, "swap.submitted", 1));
    CU_ASSERT_EQUAL(lane_reader_begin(&fixture->reader, false), 1);
    CU_ASSERT_EQUAL(lane_reader_next(&fixture->reader, &chunk), 1);
    lane_reader_consume(&fixture->reader, &chunk, chunk.records, chunk.bytes);
    lane_reader_end(&fixture->reader);
    lane_reader_return_rings(&fixture->reader);

    /* The producer comes full circle: the ring that we believe active is made ready for its next use. */
    waiting_producer = &stepper;
    producer_stop = "swap.sealed";
    stepper_other_hook = let_producer_go_on;
    CU_ASSERT_EQUAL(lane_fixture_drain(fixture, ALL, false), 0);
    CU_ASSERT_PTR_NULL(waiting_producer);
    stepper_finish(&stepper);
    CU_ASSERT_TRUE(lane_fixture_drain(fixture, ALL, false) > 0);
    CU_ASSERT_EQUAL(fixture->bad_payloads, 0);
    CU_ASSERT_TRUE(lane_fixture_is_gapless(fixture, 0, chunk.records));
    CU_ASSERT_EQUAL(chunk.records + fixture->record_count, lane_events_written(&fixture->lane));
    lane_fixture_destroy(fixture);
}

/*
 * Wherever the swap stands when the reader looks at the active ring, the old ring's records come first and
 * once.
 */
static void lane__swap_while_reader_looks__then_old_ring_first(void)
{
    static const char *const points[] = {"swap.begin",  "swap.taken",     "swap.prepared", "swap.switched",
                                         "swap.sealed", "swap.submitted", "swap.activated"};

    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        for (uint32_t drained = 0; drained < 3; drained++) {
            LaneFixture *fixture = detail_lane(ADA_POLICY_DISCARD, ADA_DETAIL_ALWAYS);
            Stepper stepper;

            fixture->scratch[0] = 1;
            CU_ASSERT_TRUE_FATAL(stepper_start(&stepper, swap_as_told, fixture, "commit.published", 2));
            CU_ASSERT_EQUAL(lane_fixture_drain(fixture, drained, false), (int)drained);
            waiting_producer = &stepper;
            producer_stop = points[i];
            stepper_other_hook = let_producer_go_on;
            CU_ASSERT_TRUE(lane_fixture_drain(fixture, ALL, false) >= 0);
            CU_ASSERT_PTR_NULL(waiting_producer);
            CU_ASSERT_TRUE(lane_fixture_drain(fixture, ALL, false) >= 0);
            stepper_finish(&stepper);
            CU_ASSERT_TRUE(lane_fixture_drain(fixture, ALL, false) >= 0);
            CU_ASSERT_TRUE(lane_fixture_is_gapless(fixture, 0, 0));
            CU_ASSERT_EQUAL(fixture->record_count, lane_events_written(&fixture->lane));
            CU_ASSERT_EQUAL(fixture->bad_payloads, 0);
            lane_fixture_destroy(fixture);
        }
    }
}

static const TestCase tests[] = {
    TEST(lane__init__then_ring_0_active_and_others_free),
    TEST(lane__event_written__then_read_as_it_was),
    TEST(lane__ring_partly_filled__then_read_in_place),
    TEST(lane__drained_in_small_steps__then_each_record_once),
    TEST(lane__swap__then_collector_woken_as_it_sleeps),
    TEST(lane__watched_ring__then_next_record_gives_a_hint_and_rings),
    TEST(lane__swap__then_old_ring_submitted),
    TEST(lane__collector_sleeps__then_swap_wakes_it),
    TEST(lane__closed__then_published_and_refused),
    TEST(lane__closed_amid_record__then_record_not_published),
    TEST(lane__discard_and_pool_empty__then_newest_dropped_and_counted),
    TEST(lane__rings_not_given_back__then_producer_cannot_have_them),
    TEST(lane_reader_consume__in_place__then_next_records_are_expected_behind),
    TEST(lane__block_and_pool_empty__then_waits_for_a_ring),
    TEST(lane__block_with_live_reader__then_nothing_lost),
    TEST(lane__block_timed_out__then_drops_without_waiting_until_a_ring_is_back),
    TEST(lane__block_and_nobody_attached__then_drops_at_once),
    TEST(lane__overwrite_and_pool_empty__then_oldest_ring_lost),
    TEST(lane__overwrite_of_partly_drained_ring__then_loss_exact),
    TEST(lane__overwrite_while_collector_drains__then_newest_dropped),
    TEST(lane__overwrite_and_all_rings_with_collector__then_newest_dropped),
    TEST(lane__ring_index_impossible__then_producer_takes_none),
    TEST(lane__ring_reused_while_reader_looks__then_nothing_skipped),
    TEST(lane__swap_while_reader_looks__then_old_ring_first),
};
TEST_MAIN("lane", tests)
