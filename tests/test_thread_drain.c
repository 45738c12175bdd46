/* SPDX-License-Identifier: MIT */
/* Draining a thread: what gets into the file, what counts as lost, and when rings go back. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/drain/thread_drain.h"
#include "user/drain/thread_drain_account.h"
#include "user/lane/lane_producer.h"
#include "user/reader/adat_reader.h"
#include "user/registry/thread_registry.h"

#define RING 4096u
#define BUDGET (1u << 20)

/* One thread of one process, and the drain that reads it. */
typedef struct DrainFixture {
    Segment segment;
    int segment_fd;
    ThreadLaneSet *lanes;
    LaneWriter index_writer, detail_writer;
    LaneProducer index, detail;
    AdatWriter *writer;
    int trace; /* the writer's */
    DrainMetrics metrics;
    DrainBatch batch;
    DrainSource source;
    ThreadDrainState state;
} DrainFixture;

static bool write_fails;

static ssize_t faulty_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    if (write_fails) {
        errno = ENOSPC;
        return -1;
    }
    return pwrite(fd, data, size, offset);
}

/* A collector that knows nothing of one that there may have been before. */
static void begin_collector(DrainFixture *fixture, size_t buffer_bytes)
{
    AdatWriterConfig config = {.buffer_bytes = buffer_bytes, .pwrite = faulty_pwrite};

    fixture->trace = memfd_create("trace", MFD_CLOEXEC);
    CU_ASSERT_EQUAL_FATAL(adat_writer_create(fixture->trace, &config, &fixture->writer), 0);
    drain_batch_init(&fixture->batch, fixture->writer, &fixture->metrics);
    fixture->source =
        (DrainSource){.segment = &fixture->segment, .process = 1, .clock_kind = ADA_CLOCK_MONOTONIC};
    thread_drain_init(&fixture->state, &fixture->source, 0, 1);
}

static void setup_rings(DrainFixture *fixture, uint32_t policy, uint32_t detail, size_t buffer_bytes,
                        uint32_t ring_bytes)
{
    SegmentConfig config;
    int error = 0;

    memset(fixture, 0, sizeof(*fixture));
    write_fails = false;
    segment_config_init(&config);
    config.threads = 2;
    config.ring_bytes = ring_bytes;
    config.policy = policy;
    config.detail = detail;
    CU_ASSERT_EQUAL_FATAL(segment_create(&config, &fixture->segment, &fixture->segment_fd), 0);
    fixture->lanes = thread_registry_register(&fixture->segment, 4711, 1, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture->lanes);
    lane_producer_init(&fixture->index, &fixture->index_writer, &fixture->lanes->index,
                       &fixture->lanes->metrics.lanes[ADA_LANE_INDEX],
                       segment_at(&fixture->segment, fixture->lanes->index.ring_pool_offset),
                       fixture->segment.header);
    lane_producer_init(&fixture->detail, &fixture->detail_writer, &fixture->lanes->detail,
                       &fixture->lanes->metrics.lanes[ADA_LANE_DETAIL],
                       segment_at(&fixture->segment, fixture->lanes->detail.ring_pool_offset),
                       fixture->segment.header);
    begin_collector(fixture, buffer_bytes);
}

/* Killed, with all that it had not written; another one comes. */
static void kill_collector(DrainFixture *fixture)
{
    adat_writer_destroy(fixture->writer);
    begin_collector(fixture, 0);
}

static void setup(DrainFixture *fixture, uint32_t policy, uint32_t detail, size_t buffer_bytes)
{
    setup_rings(fixture, policy, detail, buffer_bytes, RING);
}

static void teardown(DrainFixture *fixture)
{
    adat_writer_destroy(fixture->writer);
    segment_unmap(&fixture->segment);
    close(fixture->segment_fd);
}

static uint32_t write_index(DrainFixture *fixture, uint32_t count)
{
    uint32_t written = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (lane_write_index(&fixture->index, ADA_WORD(ADA_KIND_INSTANT, 0, 0), 1, i, 0) ||
            lane_write_index_slow(&fixture->index, ADA_WORD(ADA_KIND_INSTANT, 0, 0), 1, i, 0) == 0)
            written++;
    }
    return written;
}

static uint32_t write_detail(DrainFixture *fixture, uint32_t count, uint32_t payload)
{
    uint32_t written = 0;

    for (uint32_t i = 0; i < count; i++) {
        LaneReservation place;
        AdaDetailRecord record = {
            .id = 1, .argument = i, .word = ADA_WORD(ADA_KIND_TYPED, 0, 0), .payload_size = payload};

        if (lane_reserve(&fixture->detail, ADA_DETAIL_RECORD_SIZE(payload), &place) != 0)
            continue;
        memcpy(place.at, &record, sizeof(record));
        memset((char *)place.at + sizeof(record), 'd', ADA_DETAIL_RECORD_SIZE(payload) - sizeof(record));
        lane_commit(&fixture->detail, &place);
        written++;
    }
    return written;
}

static AdatAccount account(const DrainFixture *fixture, uint32_t kind, bool final)
{
    AdatAccount entry;

    thread_drain_account(&fixture->state, kind, final, &entry);
    CU_ASSERT_EQUAL(entry.attempted, entry.in_file + entry.dropped_full + entry.dropped_nested +
                                         entry.dropped_io + entry.recycled_unmarked + entry.torn +
                                         entry.pending);
    return entry;
}

/* 1: there is more, or the producer holds the drain; 0; -EPROTO. */
static int visit(DrainFixture *fixture, uint64_t budget, bool in_place)
{
    DrainLimits limits = {.bytes = budget, .in_place = in_place};
    DrainVisit visit = {0};
    int error = drain_thread_lanes(&fixture->state, &fixture->batch, &limits, &visit);

    return error ? error : visit.more || visit.skipped;
}

/* Drains until nothing is left, with a flush after each visit. Returns the last result. */
static int drain_all(DrainFixture *fixture)
{
    int result;

    do {
        result = visit(fixture, BUDGET, true);
        (void)drain_batch_flush(&fixture->batch);
    } while (result == 1);
    return result;
}

static void drain_thread_lanes__published_events__then_in_file(void)
{
    DrainFixture fixture;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, 0);
    CU_ASSERT_EQUAL(write_index(&fixture, 300), 300); /* two full rings and a part of the third */
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, false).pending, 300);
    CU_ASSERT_EQUAL(visit(&fixture, BUDGET, true), 0);
    CU_ASSERT_EQUAL(fixture.state.index.batched, 300);
    CU_ASSERT_EQUAL(fixture.state.index.in_file, 0); /* not before it is written */
    CU_ASSERT_EQUAL(drain_batch_flush(&fixture.batch), 0);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, false).in_file, 300);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, true).attempted, 300);
    teardown(&fixture);
}

static void drain_thread_lanes__rings__then_returned_after_the_write(void)
{
    DrainFixture fixture;
    uint32_t capacity;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, 0);
    capacity = write_index(&fixture, 100000); /* until all rings are full */
    CU_ASSERT(capacity < 1000);
    CU_ASSERT_EQUAL(visit(&fixture, BUDGET, true), 0);
    CU_ASSERT_EQUAL(write_index(&fixture, 1), 0); /* copied, but not written: the rings are still ours */
    CU_ASSERT_EQUAL(drain_batch_flush(&fixture.batch), 0);
    CU_ASSERT_EQUAL(write_index(&fixture, 1), 1);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, true).in_file, capacity + 1);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, true).dropped_full, 100000 - capacity + 1);
    teardown(&fixture);
}

static void drain_batch_flush__write_fails__then_dropped_io_and_goes_on(void)
{
    DrainFixture fixture;
    uint64_t bytes;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, 0);
    CU_ASSERT_EQUAL(write_index(&fixture, 200), 200);
    CU_ASSERT_EQUAL(visit(&fixture, BUDGET, true), 0);
    bytes = adat_writer_bytes(fixture.writer);
    write_fails = true;
    CU_ASSERT_EQUAL(drain_batch_flush(&fixture.batch), -ENOSPC);
    CU_ASSERT_EQUAL(adat_writer_bytes(fixture.writer), bytes);
    CU_ASSERT_EQUAL(fixture.batch.failures, 1);
    CU_ASSERT(fixture.batch.failing);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, true).dropped_io, 200);
    write_fails = false;
    CU_ASSERT_EQUAL(write_index(&fixture, 200), 200); /* the rings went back all the same */
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, true).in_file, 200);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, true).dropped_io, 200);
    CU_ASSERT(!fixture.batch.failing);
    teardown(&fixture);
}

static void drain_thread_lanes__after_failed_write__then_thread_described_again(void)
{
    DrainFixture fixture;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, 0);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(adat_writer_blocks(fixture.writer), 1); /* THREAD */
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(adat_writer_blocks(fixture.writer), 1);
    thread_lane_set_write_name(fixture.lanes, "renamed");
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(adat_writer_blocks(fixture.writer), 2);
    CU_ASSERT_STRING_EQUAL(fixture.state.name, "renamed");
    CU_ASSERT_EQUAL(write_index(&fixture, 1), 1);
    CU_ASSERT_EQUAL(visit(&fixture, BUDGET, true), 0);
    write_fails = true;
    CU_ASSERT_EQUAL(drain_batch_flush(&fixture.batch), -ENOSPC);
    write_fails = false;
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(adat_writer_blocks(fixture.writer), 3);
    teardown(&fixture);
}

static void drain_batch_put__no_room__then_what_was_there_is_written_first(void)
{
    static char payload[3000];
    const AdatBlockHeader header = {.type = 100};
    DrainFixture fixture;
    uint64_t blocks;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, 1); /* the smallest buffer: one of these */
    blocks = adat_writer_blocks(fixture.writer);
    for (uint64_t i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(drain_batch_put(&fixture.batch, &header, payload, sizeof(payload)), 0);
        CU_ASSERT_EQUAL(adat_writer_blocks(fixture.writer), blocks + i);
        CU_ASSERT_EQUAL(fixture.metrics.flushes, i);
    }
    teardown(&fixture);
}

static void drain_batch_put__too_large__then_said_and_counts_as_a_failed_write(void)
{
    const AdatBlockHeader header = {.type = 100};
    DrainFixture fixture;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, 0);
    CU_ASSERT_EQUAL(drain_batch_put(&fixture.batch, &header, "", ADAT_PAYLOAD_MAX + 1), -EMSGSIZE);
    CU_ASSERT_EQUAL(fixture.batch.epoch, 2); /* what was described is described again */
    CU_ASSERT_FALSE(fixture.batch.failing);
    teardown(&fixture);
}

static void drain_batch_forget__any_of_several__then_only_that_one_is_not_settled(void)
{
    DrainFixture fixture;
    ThreadDrainState other;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, 0);
    thread_drain_init(&other, &fixture.source, 1, 2);
    fixture.state.index.batched = other.index.batched = 3;
    drain_batch_touch(&fixture.batch, &other);
    drain_batch_touch(&fixture.batch, &fixture.state);
    drain_batch_forget(&fixture.batch, &other);
    CU_ASSERT_FALSE(other.touched);
    CU_ASSERT_EQUAL(drain_batch_flush(&fixture.batch), 0);
    CU_ASSERT_EQUAL(other.index.in_file, 0);
    CU_ASSERT_EQUAL(fixture.state.index.in_file, 3);
    CU_ASSERT_FALSE(fixture.state.touched);
    teardown(&fixture);
}

/* Ticks mean nothing before the counter's rate is known. */
static void drain_batch_flush__rate_of_the_counter_unknown__then_no_latencies(void)
{
    DrainFixture fixture;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, 0);
    fixture.source.clock_kind = ADA_CLOCK_TSC;
    CU_ASSERT_EQUAL(write_index(&fixture, 10), 10);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(fixture.metrics.latency.count, 0);
    fixture.batch.ns_per_cycle = 0.5;
    CU_ASSERT_EQUAL(write_index(&fixture, 10), 10);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(fixture.metrics.latency.count, 10);
    teardown(&fixture);
}

/* The fixture's clock is CLOCK_MONOTONIC: an event has waited for some time, and not for a quarter of an hour. */
static void drain_batch_flush__events_that_waited_too_long__then_counted(void)
{
    DrainFixture fixture;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, 0);
    CU_ASSERT_EQUAL(write_index(&fixture, 10), 10);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(fixture.batch.timed, 10);
    CU_ASSERT_EQUAL(fixture.batch.late, 10);
    fixture.batch.late_after_ns = 1000000000000;
    CU_ASSERT_EQUAL(write_index(&fixture, 5), 5);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(fixture.batch.timed, 15);
    CU_ASSERT_EQUAL(fixture.batch.late, 10);
    teardown(&fixture);
}

static void drain_thread_lanes__name_changes__then_weight_by_the_rules(void)
{
    WeightRules weights = {0};
    const char *why;
    DrainFixture fixture;

    CU_ASSERT_EQUAL_FATAL(weight_rules_add(&weights, "io-*=5", &why), 0);
    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, 0);
    thread_lane_set_write_name(fixture.lanes, "io-1");
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(fixture.state.weight, 1); /* without rules */
    fixture.source.weights = &weights;
    thread_lane_set_write_name(fixture.lanes, "io-2");
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(fixture.state.weight, 5);
    thread_lane_set_write_name(fixture.lanes, "idle");
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(fixture.state.weight, 1);
    teardown(&fixture);
    weight_rules_fini(&weights);
}

static void drain_thread_lanes__name_being_written__then_described_once_it_is(void)
{
    DrainFixture fixture;
    uint32_t version;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, 0);
    thread_lane_set_write_name(fixture.lanes, "before");
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_STRING_EQUAL(fixture.state.name, "before");
    version = ada_load_relaxed(&fixture.lanes->name_version);
    ada_store_relaxed(&fixture.lanes->name_version, version + 1);
    ada_store_relaxed(&fixture.lanes->name[0], (char)'B');
    CU_ASSERT_EQUAL(visit(&fixture, BUDGET, true), 0);
    CU_ASSERT_STRING_EQUAL(fixture.state.name, "before");
    CU_ASSERT_EQUAL(adat_writer_buffered(fixture.writer), 0);
    ada_store_release(&fixture.lanes->name_version, version + 2);
    CU_ASSERT_EQUAL(visit(&fixture, BUDGET, true), 0);
    CU_ASSERT_STRING_EQUAL(fixture.state.name, "Before");
    CU_ASSERT(adat_writer_buffered(fixture.writer) > 0);
    teardown(&fixture);
}

/* More events than are packed at a time, with one that needs all the bytes that there are. */
static void drain_thread_lanes__events_of_any_size__then_one_block(void)
{
    DrainFixture fixture;
    uint64_t blocks;

    setup_rings(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, 0, 2 * RING);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    blocks = adat_writer_blocks(fixture.writer);
    CU_ASSERT_EQUAL(write_index(&fixture, 150), 150);
    CU_ASSERT(lane_write_index(&fixture.index, ADA_WORD(ADA_KIND_INSTANT, 0, 0), UINT64_MAX, UINT64_MAX,
                               UINT32_MAX));
    CU_ASSERT_EQUAL(write_index(&fixture, 10), 10);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, true).in_file, 161);
    CU_ASSERT_EQUAL(adat_writer_blocks(fixture.writer), blocks + 1);
    teardown(&fixture);
}

static void drain_thread_lanes__details_off__then_none_in_file(void)
{
    DrainFixture fixture;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_OFF, 0);
    CU_ASSERT_EQUAL(write_index(&fixture, 5), 5);
    CU_ASSERT(write_detail(&fixture, 10, 64) > 0); /* by a process that does it all the same */
    lane_mark(&fixture.detail);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, true).in_file, 5);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_DETAIL, true).in_file, 0);
    teardown(&fixture);
}

static void drain_thread_lanes__unmarked_details__then_recycled_not_in_file(void)
{
    DrainFixture fixture;
    AdatAccount entry;

    setup(&fixture, ADA_POLICY_BLOCK, ADA_DETAIL_MARKED, 0);
    CU_ASSERT_EQUAL(write_detail(&fixture, 1000, 100),
                    1000); /* far more than the rings hold: no waiting, no drop */
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    entry = account(&fixture, ADA_LANE_DETAIL, false);
    CU_ASSERT_EQUAL(entry.attempted, 1000);
    CU_ASSERT_EQUAL(entry.in_file, 0);
    CU_ASSERT(entry.pending > 0);
    entry = account(&fixture, ADA_LANE_DETAIL, true);
    CU_ASSERT_EQUAL(entry.recycled_unmarked, 1000);
    CU_ASSERT_EQUAL(entry.attempted, 1000);
    teardown(&fixture);
}

static void drain_thread_lanes__marked_details__then_pre_and_post_roll_in_file(void)
{
    DrainFixture fixture;
    AdatAccount entry;
    uint64_t kept;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, 0);
    CU_ASSERT_EQUAL(write_detail(&fixture, 1000, 100), 1000);
    lane_mark(&fixture.detail);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    kept = account(&fixture, ADA_LANE_DETAIL, false).in_file;
    CU_ASSERT(kept > 200); /* at least one ring of pre-roll: 28 KiB / 136 bytes */
    CU_ASSERT(kept < 1000);
    for (int i = 0; i < 100; i++) { /* post-roll: drained as it comes, then recycled again */
        CU_ASSERT_EQUAL(write_detail(&fixture, 20, 100), 20);
        CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    }
    entry = account(&fixture, ADA_LANE_DETAIL, true);
    CU_ASSERT(entry.in_file >= kept + 200);
    CU_ASSERT(entry.in_file < 1500);
    CU_ASSERT_EQUAL(entry.dropped_full, 0);
    CU_ASSERT_EQUAL(entry.attempted, 3000);
    teardown(&fixture);
}

static void drain_thread_lanes__details_always__then_all_in_file(void)
{
    DrainFixture fixture;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_ALWAYS, 0);
    for (int i = 0; i < 50; i++) {
        CU_ASSERT_EQUAL(write_detail(&fixture, 6, 4096), 6); /* what fits into the one ring that is surely free */
        CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    }
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_DETAIL, true).in_file, 300);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_DETAIL, true).attempted, 300);
    teardown(&fixture);
}

static void drain_thread_lanes__small_buffer__then_flushes_between(void)
{
    DrainFixture fixture;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_ALWAYS, 5000);
    CU_ASSERT_EQUAL(write_index(&fixture, 400), 400);
    CU_ASSERT_EQUAL(write_detail(&fixture, 12, 4000), 12);
    CU_ASSERT_EQUAL(visit(&fixture, BUDGET, true), 0);
    CU_ASSERT_EQUAL(drain_batch_flush(&fixture.batch), 0);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, true).in_file, 400);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_DETAIL, true).in_file, 12);
    teardown(&fixture);
}

static void drain_thread_lanes__budget_spent__then_says_more(void)
{
    DrainFixture fixture;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, 0);
    CU_ASSERT_EQUAL(write_index(&fixture, 300), 300);
    CU_ASSERT_EQUAL(visit(&fixture, 100, true), 1);
    CU_ASSERT(fixture.state.index.batched > 0 && fixture.state.index.batched < 300);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, true).in_file, 300);
    teardown(&fixture);
}

static void drain_thread_lanes__not_in_place__then_only_full_rings(void)
{
    DrainFixture fixture;
    uint32_t ring;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, 0);
    CU_ASSERT_EQUAL(write_index(&fixture, 300), 300);
    ring = ADA_POSITION_RECORDS(ada_load_relaxed(&fixture.lanes->index.rings[0].published));
    CU_ASSERT_EQUAL(visit(&fixture, BUDGET, false), 0);
    CU_ASSERT_EQUAL(fixture.state.index.batched, 2 * ring);
    CU_ASSERT_EQUAL(visit(&fixture, BUDGET, false), 0);
    CU_ASSERT_EQUAL(fixture.state.index.batched, 2 * ring);
    fixture.state.producer_gone = true; /* nothing will fill it up any more */
    CU_ASSERT_EQUAL(visit(&fixture, BUDGET, false), 0);
    CU_ASSERT_EQUAL(drain_batch_flush(&fixture.batch), 0);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, true).in_file, 300);
    teardown(&fixture);
}

static void drain_thread_lanes__producer_holds_the_drain__then_comes_again(void)
{
    DrainFixture fixture;

    setup(&fixture, ADA_POLICY_OVERWRITE, ADA_DETAIL_MARKED, 0);
    CU_ASSERT_EQUAL(write_index(&fixture, 10), 10);
    CU_ASSERT(submit_queue_try_acquire_drain(&fixture.lanes->index, ADA_DRAIN_PRODUCER));
    CU_ASSERT_EQUAL(visit(&fixture, BUDGET, true), 1);
    CU_ASSERT_EQUAL(fixture.state.index.batched, 0);
    fixture.state.producer_gone = true; /* it died holding it */
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, true).in_file, 10);
    teardown(&fixture);
}

static void drain_thread_lanes__overwritten_rings__then_loss_is_the_gap(void)
{
    DrainFixture fixture;
    AdatAccount entry;

    setup(&fixture, ADA_POLICY_OVERWRITE, ADA_DETAIL_MARKED, 0);
    CU_ASSERT_EQUAL(write_index(&fixture, 50), 50);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0); /* a part of the first ring is safe */
    CU_ASSERT_EQUAL(write_index(&fixture, 10000), 10000);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    entry = account(&fixture, ADA_LANE_INDEX, true);
    CU_ASSERT_EQUAL(entry.attempted, 10050);
    CU_ASSERT_EQUAL(entry.in_file + entry.dropped_full, 10050);
    CU_ASSERT(entry.in_file > 50 && entry.in_file < 600);
    CU_ASSERT_EQUAL(entry.dropped_full,
                    ada_load_relaxed(&fixture.lanes->metrics.lanes[ADA_LANE_INDEX].counters.overwritten));
    teardown(&fixture);
}

static void drain_thread_lanes__impossible_values__then_refused(void)
{
    DrainFixture fixture;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_ALWAYS, 0);
    CU_ASSERT_EQUAL(write_index(&fixture, 10), 10);
    ada_store_relaxed(&fixture.lanes->index.rings[0].published, ADA_POSITION(10, 321));
    CU_ASSERT_EQUAL(visit(&fixture, BUDGET, true), -EPROTO);
    ada_store_relaxed(&fixture.lanes->index.rings[0].published, ADA_POSITION(10, 320));
    ada_store_relaxed(&fixture.lanes->index.submit_queue.head, 1ull); /* beyond the tail */
    CU_ASSERT_EQUAL(visit(&fixture, BUDGET, true), -EPROTO);
    ada_store_relaxed(&fixture.lanes->index.submit_queue.head, 0ull);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, true).in_file, 10);
    teardown(&fixture);
}

static void drain_thread_lanes__detail_sizes_that_lie__then_refused(void)
{
    DrainFixture fixture;
    AdaDetailRecord *first;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_ALWAYS, 0);
    CU_ASSERT_EQUAL(write_detail(&fixture, 10, 64), 10);
    first = segment_at(&fixture.segment, fixture.lanes->detail.ring_pool_offset);
    first->payload_size = 4097;
    CU_ASSERT_EQUAL(visit(&fixture, BUDGET, true), -EPROTO);
    first->payload_size = 56; /* the walk ends somewhere else than the position says */
    CU_ASSERT_EQUAL(visit(&fixture, BUDGET, true), -EPROTO);
    first->payload_size = 64;
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_DETAIL, true).in_file, 10);
    teardown(&fixture);
}

static void thread_drain_account__begun_records__then_torn(void)
{
    DrainFixture fixture;
    RingControl *ring;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, 0);
    CU_ASSERT_EQUAL(write_index(&fixture, 5), 5);
    ring = &fixture.lanes->index.rings[0];
    ada_store_relaxed(&ring->reserved,
                      ada_load_relaxed(&ring->reserved) + LANE_INDEX_STEP); /* as a killed writer leaves it */
    fixture.state.producer_gone = true;
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, false).pending, 1);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, true).torn, 1);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, true).in_file, 5);
    teardown(&fixture);
}

/* The producer leaves out what was taken over when it counts a ring that it takes back; it was in no file. */
static void drain_thread_lanes__collector_before_killed_unwritten__then_overwritten_is_the_gap(void)
{
    DrainFixture fixture;
    const AdatThreadInfo *thread;
    AdatReader *reader;
    uint64_t overwritten;

    setup(&fixture, ADA_POLICY_OVERWRITE, ADA_DETAIL_MARKED, 0);
    CU_ASSERT_EQUAL(write_index(&fixture, 50), 50);
    CU_ASSERT_EQUAL(visit(&fixture, BUDGET, true), 0);
    kill_collector(&fixture);
    CU_ASSERT_EQUAL(write_index(&fixture, 10000), 10000);
    CU_ASSERT_EQUAL(visit(&fixture, ADA_INDEX_EVENT_SIZE, true), 1);
    overwritten = fixture.state.index.reader.next_record - 1;
    CU_ASSERT(overwritten > 50);
    CU_ASSERT_EQUAL(drain_batch_flush(&fixture.batch), 0);
    CU_ASSERT_EQUAL_FATAL(adat_reader_open_fd(dup(fixture.trace), &reader), 0);
    thread = adat_reader_thread(reader, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(thread);
    CU_ASSERT_EQUAL(thread->events.in_file, 1);
    CU_ASSERT_EQUAL(thread->events.dropped_full, overwritten); /* though its file has no end */
    adat_reader_close(reader);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, false).dropped_full, overwritten);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, true).dropped_full, overwritten);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, true).in_file, 10050 - overwritten);
    teardown(&fixture);
}

/* It recorded all payloads, and had some in its hands; the next one wants the marked ones. */
static void drain_thread_lanes__inherited_rings_unwanted__then_passed_and_counted(void)
{
    DrainFixture fixture;
    uint32_t written;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_ALWAYS, 0);
    written = write_detail(&fixture, 2000, 100); /* until all rings are full */
    CU_ASSERT(visit(&fixture, BUDGET, false) >= 0);
    CU_ASSERT(fixture.state.detail.reader.to_return_count > 0);
    kill_collector(&fixture);
    ada_store_relaxed(&fixture.segment.header->detail, ADA_DETAIL_MARKED);
    CU_ASSERT(fixture.state.detail.reader.inherited_count > 0);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_DETAIL, true).recycled_unmarked, written);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_DETAIL, true).in_file, 0);
    CU_ASSERT(write_detail(&fixture, 1, 100) == 1); /* the rings are back */
    teardown(&fixture);
}

/* What was taken back beyond where a collector had come to is in the account of the one after it, and only there. */
static void thread_drain_tell__killed_then__then_each_record_in_one_account(void)
{
    AdatAccount told, rest;
    DrainFixture fixture;

    setup(&fixture, ADA_POLICY_OVERWRITE, ADA_DETAIL_MARKED, 0);
    CU_ASSERT_EQUAL(write_index(&fixture, 50), 50);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(write_index(&fixture, 10000), 10000);
    CU_ASSERT(account(&fixture, ADA_LANE_INDEX, false).dropped_full > 0); /* metrics know */
    thread_drain_tell(&fixture.state, ADA_LANE_INDEX, &told);
    drain_batch_touch(&fixture.batch, &fixture.state);
    CU_ASSERT_EQUAL(drain_batch_flush(&fixture.batch), 0);
    CU_ASSERT_EQUAL(told.in_file, 50);
    CU_ASSERT_EQUAL(told.dropped_full, 0);
    CU_ASSERT_EQUAL(told.pending, 10000);
    kill_collector(&fixture);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    rest = account(&fixture, ADA_LANE_INDEX, true);
    CU_ASSERT_EQUAL(rest.in_file + rest.dropped_full, 10000);
    CU_ASSERT_EQUAL(rest.attempted, 10000);
    teardown(&fixture);
}

/* What a file says is noted as far as it can be, and never less than there is. */
static void thread_drain_recover__any_claim__then_noted_within_bounds(void)
{
    AdatLaneProgress in_file = {.next_record = 30, .losses = {.full = 1000, .nested = 2}};
    DrainFixture fixture;
    Lane *lane;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, 0);
    lane = &fixture.lanes->index;
    CU_ASSERT_EQUAL(write_index(&fixture, 50), 50);
    ada_store_relaxed(&fixture.lanes->metrics.lanes[ADA_LANE_INDEX].counters.dropped_full, 7ull);
    lane->settled_nested = 5;
    CU_ASSERT_TRUE(thread_drain_recover(fixture.lanes, ADA_LANE_INDEX, &in_file));
    CU_ASSERT_EQUAL(lane->settled_records, 30);
    CU_ASSERT_EQUAL(lane->settled_full, 7);
    CU_ASSERT_EQUAL(lane->settled_nested, 5);
    in_file.next_record = 51;
    CU_ASSERT_FALSE(thread_drain_recover(fixture.lanes, ADA_LANE_INDEX, &in_file));
    in_file.next_record = 20;
    CU_ASSERT_TRUE(thread_drain_recover(fixture.lanes, ADA_LANE_INDEX, &in_file));
    CU_ASSERT_EQUAL(lane->settled_records, 30);
    CU_ASSERT_EQUAL(lane->settled_full, 7);
    CU_ASSERT_EQUAL(fixture.lanes->detail.settled_records, 0);
    kill_collector(&fixture);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, true).attempted, 20);
    teardown(&fixture);
}

/* What no file tells is not noted: whoever comes next finds a hole, and tells of it. */
static void drain_batch_flush__write_fails__then_not_settled(void)
{
    DrainFixture fixture;

    setup(&fixture, ADA_POLICY_DISCARD, ADA_DETAIL_MARKED, 0);
    CU_ASSERT_EQUAL(write_index(&fixture, 20), 20);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(fixture.lanes->index.settled_records, 20);
    CU_ASSERT_EQUAL(write_index(&fixture, 30), 30);
    CU_ASSERT_EQUAL(visit(&fixture, BUDGET, true), 0);
    write_fails = true;
    CU_ASSERT_EQUAL(drain_batch_flush(&fixture.batch), -ENOSPC);
    write_fails = false;
    CU_ASSERT_EQUAL(account(&fixture, ADA_LANE_INDEX, false).dropped_io, 30);
    CU_ASSERT_EQUAL(fixture.lanes->index.settled_records, 20);
    CU_ASSERT_EQUAL(write_index(&fixture, 1), 1);
    CU_ASSERT_EQUAL(drain_all(&fixture), 0);
    CU_ASSERT_EQUAL(fixture.lanes->index.settled_records, 51);
    teardown(&fixture);
}

static const TestCase tests[] = {
    TEST(drain_thread_lanes__published_events__then_in_file),
    TEST(drain_thread_lanes__rings__then_returned_after_the_write),
    TEST(drain_batch_flush__write_fails__then_dropped_io_and_goes_on),
    TEST(drain_thread_lanes__after_failed_write__then_thread_described_again),
    TEST(drain_batch_put__no_room__then_what_was_there_is_written_first),
    TEST(drain_batch_put__too_large__then_said_and_counts_as_a_failed_write),
    TEST(drain_batch_forget__any_of_several__then_only_that_one_is_not_settled),
    TEST(drain_batch_flush__rate_of_the_counter_unknown__then_no_latencies),
    TEST(drain_batch_flush__events_that_waited_too_long__then_counted),
    TEST(drain_thread_lanes__name_changes__then_weight_by_the_rules),
    TEST(drain_thread_lanes__name_being_written__then_described_once_it_is),
    TEST(drain_thread_lanes__events_of_any_size__then_one_block),
    TEST(drain_thread_lanes__details_off__then_none_in_file),
    TEST(drain_thread_lanes__unmarked_details__then_recycled_not_in_file),
    TEST(drain_thread_lanes__marked_details__then_pre_and_post_roll_in_file),
    TEST(drain_thread_lanes__details_always__then_all_in_file),
    TEST(drain_thread_lanes__small_buffer__then_flushes_between),
    TEST(drain_thread_lanes__budget_spent__then_says_more),
    TEST(drain_thread_lanes__not_in_place__then_only_full_rings),
    TEST(drain_thread_lanes__producer_holds_the_drain__then_comes_again),
    TEST(drain_thread_lanes__overwritten_rings__then_loss_is_the_gap),
    TEST(drain_thread_lanes__impossible_values__then_refused),
    TEST(drain_thread_lanes__detail_sizes_that_lie__then_refused),
    TEST(thread_drain_account__begun_records__then_torn),
    TEST(drain_thread_lanes__collector_before_killed_unwritten__then_overwritten_is_the_gap),
    TEST(drain_thread_lanes__inherited_rings_unwanted__then_passed_and_counted),
    TEST(thread_drain_tell__killed_then__then_each_record_in_one_account),
    TEST(thread_drain_recover__any_claim__then_noted_within_bounds),
    TEST(drain_batch_flush__write_fails__then_not_settled),
};
TEST_MAIN("thread_drain", tests)
