/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "drain_fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test_support.h"

/* AdatPwrite takes no context. */
static DrainFixture *current;

static ssize_t faulty_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    if (current->write_fails) {
        errno = ENOSPC;
        return -1;
    }
    return pwrite(fd, data, size, offset);
}

static void on_registered(void *context, ThreadDrainState *state)
{
    DrainFixture *fixture = context;

    (void)state;
    fixture->log.registered++;
}

static void on_deregistered(void *context, ThreadDrainState *state)
{
    DrainFixture *fixture = context;

    fixture->log.deregistered++;
    fixture->log.in_file += state->index.in_file;
    CU_ASSERT_FALSE(state->touched);
    CU_ASSERT_EQUAL(state->phase, THREAD_DRAIN_DRAINED);
    for (uint32_t i = 0; i < fixture->thread_count; i++) {
        if (fixture->threads[i].state == state)
            fixture->threads[i].state = NULL;
    }
}

static void on_hostile(void *context, ThreadDrainState *state)
{
    DrainFixture *fixture = context;

    fixture->log.hostile++;
    fixture->log.last = state;
    for (uint32_t i = 0; fixture->all_hostile && i < fixture->thread_count; i++)
        fixture->threads[i].state->hostile = true;
}

static void before_write(void *context)
{
    ((DrainFixture *)context)->log.writes++;
}

DrainFixture *drain_fixture_create(const DrainIteratorConfig *config, uint32_t threads, uint32_t policy,
                                   uint32_t detail)
{
    DrainIteratorConfig own = config ? *config : (DrainIteratorConfig){0};
    AdatWriterConfig writer = {.pwrite = faulty_pwrite};
    DrainFixture *fixture = calloc(1, sizeof(*fixture));
    SegmentConfig segment;

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    current = fixture;
    segment_config_init(&segment);
    segment.threads = threads;
    segment.ring_bytes = FIXTURE_RING;
    segment.policy = policy;
    segment.detail = detail;
    CU_ASSERT_EQUAL_FATAL(segment_create(&segment, &fixture->segment, &fixture->segment_fd), 0);
    CU_ASSERT_EQUAL_FATAL(adat_writer_create(memfd_create("trace", MFD_CLOEXEC), &writer, &fixture->writer), 0);
    drain_batch_init(&fixture->batch, fixture->writer, &fixture->metrics);
    own.callbacks = (DrainCallbacks){
        .on_registered = on_registered,
        .on_deregistered = on_deregistered,
        .on_hostile = on_hostile,
        .before_write = before_write,
        .has_run = own.callbacks.has_run,
        .context = fixture,
    };
    own.in_place_ns = 1;
    CU_ASSERT_EQUAL_FATAL(drain_iterator_create(&own, &fixture->batch, &fixture->iterator), 0);
    fixture->thread_count = threads;
    fixture->source =
        (DrainSource){.segment = &fixture->segment, .process = 1, .clock_kind = ADA_CLOCK_MONOTONIC};
    return fixture;
}

void drain_fixture_destroy(DrainFixture *fixture)
{
    drain_iterator_destroy(fixture->iterator);
    adat_writer_destroy(fixture->writer);
    segment_unmap(&fixture->segment);
    close(fixture->segment_fd);
    free(fixture);
}

static void bind(DrainFixture *fixture, LaneProducer *producer, LaneWriter *writer, Lane *lane, uint32_t slot)
{
    lane_producer_init(producer, writer, lane,
                       &segment_lane_set(&fixture->segment, slot)->metrics.lanes[lane->kind],
                       segment_at(&fixture->segment, lane->ring_pool_offset), fixture->segment.header);
    lane_producer_set_hint(producer, segment_registry(&fixture->segment), slot);
}

void drain_fixture_register(DrainFixture *fixture, uint32_t number)
{
    FixtureThread *thread = &fixture->threads[number];
    int error = 0;

    *thread = (FixtureThread){0};
    thread->lanes = thread_registry_register(&fixture->segment, 1000 + number, 1, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(thread->lanes);
    bind(fixture, &thread->index, &thread->index_writer, &thread->lanes->index, thread->lanes->slot_index);
    bind(fixture, &thread->detail, &thread->detail_writer, &thread->lanes->detail, thread->lanes->slot_index);
    CU_ASSERT_EQUAL_FATAL(register_thread_for_drain(fixture->iterator, &fixture->source,
                                                    thread->lanes->slot_index, number + 1, &thread->state),
                          0);
}

void drain_fixture_end(DrainFixture *fixture, uint32_t number)
{
    FixtureThread *thread = &fixture->threads[number];

    CU_ASSERT(thread_registry_unregister(&fixture->segment, thread->lanes));
    deregister_thread_from_drain(fixture->iterator, thread->state, THREAD_ENDED);
}

void drain_fixture_write(DrainFixture *fixture, uint32_t number, uint64_t id, uint32_t count)
{
    FixtureThread *thread = &fixture->threads[number];
    uint32_t word = ADA_WORD(ADA_KIND_INSTANT, 0, 0);

    for (uint32_t i = 0; i < count; i++) {
        if (lane_write_index(&thread->index, word, id, thread->written, 0) ||
            lane_write_index_slow(&thread->index, word, id, thread->written, 0) == 0)
            thread->written++;
        else
            thread->refused++;
    }
}

bool drain_fixture_write_detail(DrainFixture *fixture, uint32_t number, uint64_t id, const void *payload,
                                uint32_t bytes)
{
    FixtureThread *thread = &fixture->threads[number];
    uint32_t word = ADA_WORD(ADA_KIND_TYPED, 0, 0);
    LaneReservation place;
    AdaDetailRecord record = {.id = id, .word = word, .payload_size = bytes};

    if (lane_reserve(&thread->detail, ADA_DETAIL_RECORD_SIZE(bytes), &place) != 0)
        return false;
    record.timestamp = place.timestamp;
    memset(place.at, 0, ADA_DETAIL_RECORD_SIZE(bytes));
    memcpy(place.at, &record, sizeof(record));
    memcpy((char *)place.at + sizeof(record), payload, bytes);
    lane_commit(&thread->detail, &place);
    word |= ADA_WORD(0, ADA_FLAG_DETAIL, 0);
    return lane_write_index(&thread->index, word, id, 0, (uint32_t)place.record) ||
           lane_write_index_slow(&thread->index, word, id, 0, (uint32_t)place.record) == 0;
}

DrainIteration drain_fixture_iterate(DrainFixture *fixture)
{
    DrainIteration iteration;

    drain_iteration(fixture->iterator, true, &iteration);
    return iteration;
}

void drain_fixture_take_hints(DrainFixture *fixture)
{
    SlotHints hints[(FIXTURE_THREADS_MAX + 63) / 64];

    for (uint32_t word = 0; word < thread_registry_words(&fixture->segment); word++)
        hints[word] = thread_registry_take_hints(&fixture->segment, word);
    for (uint32_t i = 0; i < fixture->thread_count; i++) {
        const FixtureThread *thread = &fixture->threads[i];
        uint32_t slot = thread->state ? thread->state->slot : 0;

        if (thread->state && hints[slot / 64].dirty & 1ull << slot % 64)
            drain_iterator_hint(fixture->iterator, thread->state);
    }
}

uint64_t drain_fixture_in_file(const DrainFixture *fixture, uint32_t number)
{
    return fixture->threads[number].state ? fixture->threads[number].state->index.in_file : 0;
}
