/* SPDX-License-Identifier: MIT */
/*
 * Who writes which cache line. A thread's writing must not slow another's down, nor the collector's
 * reading the writer: so no line (128 bytes: x86 fetches lines in pairs) that one of them writes on the
 * event path is written by another. Computed from the layout, not timed.
 */
#include "test_support.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lane_fixture.h"
#include "user/lane/segment.h"
#include "user/registry/thread_registry.h"

/* Who writes a field after registration. */
#define NOBODY 0u
#define PRODUCER 1u
#define COLLECTOR 2u
#define BOTH (PRODUCER | COLLECTOR) /* by read-modify-write, never on the event path */

typedef struct Field {
    const char *name;
    size_t offset;
    size_t size;
    unsigned writers;
} Field;

#define FIELD(type, field, writers)                                        \
    {                                                                      \
#field, offsetof(type, field), sizeof(((type *)0)->field), writers \
    }
#define QUEUE_FIELD(queue, field, writers)                                     \
    {                                                                          \
#queue "." #field, offsetof(Lane, queue) + offsetof(SpscQueue, field), \
            sizeof(((SpscQueue *)0)->field), writers                           \
    }

static const Field lane_fields[] = {
    FIELD(Lane, kind, NOBODY),
    FIELD(Lane, ring_count, NOBODY),
    FIELD(Lane, ring_bytes, NOBODY),
    FIELD(Lane, ring_pool_offset, NOBODY),
    FIELD(Lane, active_ring_index, PRODUCER),
    FIELD(Lane, mark_until, PRODUCER),
    FIELD(Lane, marked, PRODUCER),
    FIELD(Lane, rings, PRODUCER),
    FIELD(Lane, drained_records, COLLECTOR),
    FIELD(Lane, collector_mark_until, COLLECTOR),
    FIELD(Lane, taken, COLLECTOR),
    FIELD(Lane, settled_records, COLLECTOR),
    FIELD(Lane, settled_full, COLLECTOR),
    FIELD(Lane, settled_nested, COLLECTOR),
    FIELD(Lane, settled_overwritten, COLLECTOR),
    FIELD(Lane, settled_recycled, COLLECTOR),
    FIELD(Lane, drain_owner, BOTH),
    FIELD(Lane, waiting, BOTH),
    QUEUE_FIELD(submit_queue, tail, PRODUCER),
    QUEUE_FIELD(submit_queue, slots, PRODUCER),
    QUEUE_FIELD(submit_queue, head, BOTH), /* by whoever holds drain_owner */
    QUEUE_FIELD(free_queue, tail, COLLECTOR),
    QUEUE_FIELD(free_queue, slots, COLLECTOR),
    QUEUE_FIELD(free_queue, head, PRODUCER),
};

static const Field lane_set_fields[] = {
    FIELD(ThreadLaneSet, state, BOTH),           FIELD(ThreadLaneSet, generation, NOBODY),
    FIELD(ThreadLaneSet, thread_id, NOBODY),     FIELD(ThreadLaneSet, slot_index, NOBODY),
    FIELD(ThreadLaneSet, registered_at, NOBODY), FIELD(ThreadLaneSet, name_version, PRODUCER),
    FIELD(ThreadLaneSet, name, PRODUCER),        FIELD(ThreadLaneSet, metrics, BOTH),
};

static const Field metrics_fields[] = {
    FIELD(ada_thread_metrics_t, lanes, PRODUCER),
    FIELD(ada_thread_metrics_t, rates, COLLECTOR),
};

static const Field header_fields[] = {
    FIELD(SegmentHeader, geometry, NOBODY),
    FIELD(SegmentHeader, policy, NOBODY),
    FIELD(SegmentHeader, detail, NOBODY),
    FIELD(SegmentHeader, block_timeout_ns, NOBODY),
    FIELD(SegmentHeader, enabled, COLLECTOR),
    FIELD(SegmentHeader, attached, COLLECTOR),
    FIELD(SegmentHeader, settled_unregistered, COLLECTOR),
    FIELD(SegmentHeader, wants_children, COLLECTOR),
    FIELD(SegmentHeader, doorbell, PRODUCER),
    FIELD(SegmentHeader, collector_sleeping, COLLECTOR),
    FIELD(SegmentHeader, event_count, PRODUCER),
    FIELD(SegmentHeader, module_count, PRODUCER),
};

#define COUNT(fields) (sizeof(fields) / sizeof((fields)[0]))

/* Whether no line has two kinds of writers: constant fields, too, share with nobody who writes. */
static bool lines_are_separate(const Field *fields, size_t count)
{
    for (size_t a = 0; a < count; a++) {
        for (size_t b = 0; b < count; b++) {
            bool apart = (fields[a].offset + fields[a].size - 1) / ADA_LINE < fields[b].offset / ADA_LINE ||
                         (fields[b].offset + fields[b].size - 1) / ADA_LINE < fields[a].offset / ADA_LINE;

            if (fields[a].writers != fields[b].writers && !apart)
                return false;
        }
    }
    return true;
}

/* The lane's bytes that the lists above leave out are padding. */
static size_t listed_bytes(const Field *fields, size_t count)
{
    size_t total = 0;

    for (size_t i = 0; i < count; i++)
        total += fields[i].size;
    return total;
}

/* Lines that differ, but for those from `first` to `end`. */
static size_t count_changed_lines(const unsigned char *before, const unsigned char *after, size_t bytes,
                                  size_t first, size_t end)
{
    size_t changed = 0;

    for (size_t line = 0; line < bytes; line += ADA_LINE)
        if ((line < first || line >= end) && memcmp(before + line, after + line, ADA_LINE) != 0)
            changed++;
    return changed;
}

static void test_isolation__no_false_sharing__then_independent_performance(void)
{
    CU_ASSERT_TRUE(lines_are_separate(lane_fields, COUNT(lane_fields)));
    CU_ASSERT_TRUE(lines_are_separate(header_fields, COUNT(header_fields)));
    CU_ASSERT_TRUE(lines_are_separate(metrics_fields, COUNT(metrics_fields)));
    /* A name is written once or twice in a thread's life: its line may hold what never changes. */
    CU_ASSERT_FALSE(offsetof(ThreadLaneSet, state) / ADA_LINE == offsetof(ThreadLaneSet, thread_id) / ADA_LINE);

    /* No field was forgotten: padding and reserved words are what remains. */
    CU_ASSERT_EQUAL(listed_bytes(lane_fields, COUNT(lane_fields)), 20 + 16 + 256 + 64 + 8 + 48 + 48);
    CU_ASSERT_EQUAL(listed_bytes(lane_set_fields, COUNT(lane_set_fields)) + 2 * sizeof(Lane), 44 + 512 + 2560);

    /* Whole lines per lane, slot and registry, so that neighbours share none. */
    CU_ASSERT_EQUAL(sizeof(Lane) % ADA_LINE, 0);
    CU_ASSERT_EQUAL(sizeof(ThreadLaneSet) % ADA_LINE, 0);
    CU_ASSERT_EQUAL(sizeof(ThreadRegistry) % ADA_LINE, 0);
    CU_ASSERT_EQUAL(offsetof(ThreadLaneSet, index) % ADA_LINE, 0);
    CU_ASSERT_EQUAL(offsetof(ThreadLaneSet, detail) % ADA_LINE, 0);
    CU_ASSERT_EQUAL(offsetof(ThreadRegistry, thread_count) % ADA_LINE, 0);
    CU_ASSERT_EQUAL(offsetof(ThreadRegistry, free_slots) % ADA_LINE, 0);
}

static void isolation__segment_of_any_size__then_slots_and_rings_on_lines_of_their_own(void)
{
    static const uint32_t threads[] = {1, 2, 3, 63, 64, 65, 1000, ADA_THREADS_MAX};

    for (size_t i = 0; i < COUNT(threads); i++) {
        SegmentGeometry geometry;
        SegmentConfig config;

        segment_config_init(&config);
        config.threads = threads[i];
        config.ring_bytes = ADA_RING_BYTES_MIN;
        CU_ASSERT_EQUAL_FATAL(segment_geometry_init(&geometry, &config), 0);
        CU_ASSERT_EQUAL(geometry.registry_offset % ADA_LINE, 0);
        CU_ASSERT_EQUAL(geometry.slots_offset % ADA_LINE, 0);
        CU_ASSERT_EQUAL(geometry.slot_stride % ADA_LINE, 0);
        CU_ASSERT_EQUAL(geometry.rings_offset % ADA_PAGE, 0);
        CU_ASSERT_EQUAL(geometry.slot_ring_bytes % ADA_PAGE, 0);
        CU_ASSERT_EQUAL(geometry.index_ring_bytes % ADA_PAGE, 0);
        CU_ASSERT_TRUE(geometry.slots_offset >= geometry.registry_offset + sizeof(ThreadRegistry));
        CU_ASSERT_TRUE(geometry.events_offset >=
                       geometry.slots_offset + (uint64_t)geometry.slot_stride * geometry.slot_capacity);
    }
}

typedef struct BoundThread {
    ThreadLaneSet *set;
    LaneWriter writer;
    LaneProducer producer;
} BoundThread;

static void bind_thread(BoundThread *thread, const Segment *segment, uint32_t tid)
{
    int error = 0;

    memset(thread, 0, sizeof(*thread));
    thread->set = thread_registry_register(segment, tid, 0, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(thread->set);
    lane_producer_init(
        &thread->producer, &thread->writer, &thread->set->index, &thread->set->metrics.lanes[ADA_LANE_INDEX],
        segment_at(segment, segment_rings_offset(&segment->geometry, thread->set->slot_index, ADA_LANE_INDEX)),
        segment->header);
}

static void write_events(BoundThread *thread, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!lane_write_index(&thread->producer, 0, 1, i, 0))
            (void)lane_write_index_slow(&thread->producer, 0, 1, i, 0);
}

/*
 * Observed, not only declared: what one thread's events change lies in its own slot and rings, and in no
 * line of the collector's.
 */
static void isolation__one_thread_writes__then_only_its_own_lines_change(void)
{
    Segment segment;
    SegmentConfig config;
    BoundThread threads[3];
    unsigned char *before;
    const unsigned char *memory;
    const SegmentGeometry *geometry = &segment.geometry;
    uint64_t slot, rings;
    int fd = -1;

    segment_config_init(&config);
    config.threads = 3;
    config.ring_bytes = ADA_RING_BYTES_MIN;
    CU_ASSERT_EQUAL_FATAL(segment_create(&config, &segment, &fd), 0);
    for (uint32_t i = 0; i < 3; i++)
        bind_thread(&threads[i], &segment, i + 1);
    memory = (const unsigned char *)segment.header;
    before = malloc(geometry->segment_bytes);
    CU_ASSERT_PTR_NOT_NULL_FATAL(before);
    memcpy(before, memory, geometry->segment_bytes);

    /* Within one ring: nothing outside the slot's own control block and its ring. */
    write_events(&threads[1], 50);
    slot = geometry->slots_offset + geometry->slot_stride;
    rings = segment_rings_offset(geometry, 1, ADA_LANE_INDEX);
    CU_ASSERT_TRUE(memcmp(before + slot, memory + slot, geometry->slot_stride) != 0);
    memcpy(before + slot, memory + slot, geometry->slot_stride);
    CU_ASSERT_EQUAL(count_changed_lines(before, memory, geometry->segment_bytes, rings,
                                        rings + geometry->slot_ring_bytes),
                    0);

    /* Across swaps: the doorbell besides. */
    memcpy(before, memory, geometry->segment_bytes);
    write_events(&threads[1], 300);
    memcpy(before + slot, memory + slot, geometry->slot_stride);
    CU_ASSERT_EQUAL(count_changed_lines(before, memory, geometry->segment_bytes, rings,
                                        rings + geometry->slot_ring_bytes),
                    1);
    CU_ASSERT_EQUAL(threads[1].set->metrics.lanes[ADA_LANE_INDEX].swaps.count, 3);
    CU_ASSERT_EQUAL(segment.header->doorbell, 3);

    free(before);
    segment_unmap(&segment);
    close(fd);
}

static const TestCase tests[] = {
    TEST(test_isolation__no_false_sharing__then_independent_performance),
    TEST(isolation__segment_of_any_size__then_slots_and_rings_on_lines_of_their_own),
    TEST(isolation__one_thread_writes__then_only_its_own_lines_change),
};
TEST_MAIN("isolation", tests)
