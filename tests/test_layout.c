/* SPDX-License-Identifier: MIT */
/*
 * The golden layout: every offset and size of the ABI, as numbers. Whoever changes one of these breaks
 * every program that was built before, and must raise ADA_SEGMENT_MAJOR with it.
 */
#include "test_support.h"

#include <stddef.h>

#include "shared/announce_abi.h"
#include "shared/kernel_abi.h"
#include "shared/segment_abi.h"

#define FIELD(type, field, offset, size)                     \
    do {                                                     \
        CU_ASSERT_EQUAL(offsetof(type, field), (offset));    \
        CU_ASSERT_EQUAL(sizeof(((type *)0)->field), (size)); \
    } while (0)

static void layout__event_records__then_as_published(void)
{
    CU_ASSERT_EQUAL(sizeof(AdaIndexEvent), 32);
    FIELD(AdaIndexEvent, timestamp, 0, 8);
    FIELD(AdaIndexEvent, id, 8, 8);
    FIELD(AdaIndexEvent, argument, 16, 8);
    FIELD(AdaIndexEvent, word, 24, 4);
    FIELD(AdaIndexEvent, link, 28, 4);

    CU_ASSERT_EQUAL(sizeof(AdaDetailRecord), 32);
    FIELD(AdaDetailRecord, timestamp, 0, 8);
    FIELD(AdaDetailRecord, id, 8, 8);
    FIELD(AdaDetailRecord, argument, 16, 8);
    FIELD(AdaDetailRecord, word, 24, 4);
    FIELD(AdaDetailRecord, payload_size, 28, 4);

    CU_ASSERT_EQUAL(ADA_DETAIL_RECORD_SIZE(0), 32);
    CU_ASSERT_EQUAL(ADA_DETAIL_RECORD_SIZE(1), 40);
    CU_ASSERT_EQUAL(ADA_DETAIL_RECORD_SIZE(8), 40);
    CU_ASSERT_EQUAL(ADA_DETAIL_RECORD_SIZE(ADA_PAYLOAD_MAX), 4128);
}

static void layout__event_word__then_parts_come_back(void)
{
    uint32_t word = ADA_WORD(ADA_KIND_MARK, ADA_FLAG_DETAIL | ADA_FLAG_NESTED, 0xfedc);

    CU_ASSERT_EQUAL(word, 0xfedc0508);
    CU_ASSERT_EQUAL(ADA_WORD_KIND(word), ADA_KIND_MARK);
    CU_ASSERT_EQUAL(ADA_WORD_FLAGS(word), 5);
    CU_ASSERT_EQUAL(ADA_WORD_DEPTH(word), 0xfedc);
}

static void layout__tables__then_as_published(void)
{
    CU_ASSERT_EQUAL(sizeof(AdaFieldDescriptor), 24);
    FIELD(AdaFieldDescriptor, name, 0, 23);
    FIELD(AdaFieldDescriptor, type, 23, 1);

    CU_ASSERT_EQUAL(sizeof(AdaEventDescriptor), 512);
    FIELD(AdaEventDescriptor, ready, 0, 4);
    FIELD(AdaEventDescriptor, id, 4, 4);
    FIELD(AdaEventDescriptor, kind, 8, 4);
    FIELD(AdaEventDescriptor, field_count, 12, 4);
    FIELD(AdaEventDescriptor, reserved, 16, 48);
    FIELD(AdaEventDescriptor, name, 64, 64);
    FIELD(AdaEventDescriptor, fields, 128, 384);

    CU_ASSERT_EQUAL(sizeof(AdaModule), 256);
    FIELD(AdaModule, ready, 0, 4);
    FIELD(AdaModule, build_id_size, 4, 4);
    FIELD(AdaModule, base, 8, 8);
    FIELD(AdaModule, size, 16, 8);
    FIELD(AdaModule, build_id, 24, 20);
    FIELD(AdaModule, reserved, 44, 4);
    FIELD(AdaModule, path, 48, 208);
}

static void layout__queue_and_ring__then_as_published(void)
{
    CU_ASSERT_EQUAL(sizeof(SpscQueue), 256);
    CU_ASSERT_EQUAL(_Alignof(SpscQueue), 128);
    FIELD(SpscQueue, tail, 0, 8);
    FIELD(SpscQueue, slots, 8, 32);
    FIELD(SpscQueue, head, 128, 8);

    CU_ASSERT_EQUAL(sizeof(RingControl), 64);
    FIELD(RingControl, base_record, 0, 8);
    FIELD(RingControl, sequence, 8, 8);
    FIELD(RingControl, reserved, 16, 8);
    FIELD(RingControl, published, 24, 8);
    FIELD(RingControl, watch, 32, 4);

    CU_ASSERT_EQUAL(ADA_POSITION(0x01020304, 0x05060708), 0x0102030405060708);
    CU_ASSERT_EQUAL(ADA_POSITION_RECORDS(0x0102030405060708), 0x01020304);
    CU_ASSERT_EQUAL(ADA_POSITION_BYTES(0x0102030405060708), 0x05060708);
}

static void layout__lane__then_as_published(void)
{
    CU_ASSERT_EQUAL(sizeof(Lane), 1280);
    CU_ASSERT_EQUAL(_Alignof(Lane), 128);
    FIELD(Lane, kind, 0, 4);
    FIELD(Lane, ring_count, 4, 4);
    FIELD(Lane, ring_bytes, 8, 4);
    FIELD(Lane, reserved0, 12, 4);
    FIELD(Lane, ring_pool_offset, 16, 8);
    FIELD(Lane, active_ring_index, 128, 4);
    FIELD(Lane, reserved1, 132, 4);
    FIELD(Lane, mark_until, 136, 8);
    FIELD(Lane, marked, 144, 4);
    FIELD(Lane, rings, 256, 256);
    FIELD(Lane, drained_records, 512, 8);
    FIELD(Lane, collector_mark_until, 520, 8);
    FIELD(Lane, taken, 528, 8);
    FIELD(Lane, settled_records, 536, 8);
    FIELD(Lane, settled_full, 544, 8);
    FIELD(Lane, settled_nested, 552, 8);
    FIELD(Lane, settled_overwritten, 560, 8);
    FIELD(Lane, settled_recycled, 568, 8);
    FIELD(Lane, drain_owner, 640, 4);
    FIELD(Lane, waiting, 644, 4);
    FIELD(Lane, submit_queue, 768, 256);
    FIELD(Lane, free_queue, 1024, 256);
}

static void layout__metrics__then_as_published(void)
{
    CU_ASSERT_EQUAL(sizeof(ada_metrics_counters_t), 64);
    FIELD(ada_metrics_counters_t, written, 0, 8);
    FIELD(ada_metrics_counters_t, written_bytes, 8, 8);
    FIELD(ada_metrics_counters_t, dropped_full, 16, 8);
    FIELD(ada_metrics_counters_t, dropped_nested, 24, 8);
    FIELD(ada_metrics_counters_t, overwritten, 32, 8);
    FIELD(ada_metrics_counters_t, recycled, 40, 8);

    CU_ASSERT_EQUAL(sizeof(ada_metrics_swaps_t), 64);
    FIELD(ada_metrics_swaps_t, count, 0, 8);
    FIELD(ada_metrics_swaps_t, ticks, 8, 8);
    FIELD(ada_metrics_swaps_t, max_ticks, 16, 8);

    CU_ASSERT_EQUAL(sizeof(ada_metrics_pressure_t), 64);
    FIELD(ada_metrics_pressure_t, pool_exhausted, 0, 8);
    FIELD(ada_metrics_pressure_t, stalls, 8, 8);
    FIELD(ada_metrics_pressure_t, stall_ns, 16, 8);

    CU_ASSERT_EQUAL(sizeof(ada_lane_metrics_t), 192);
    FIELD(ada_lane_metrics_t, counters, 0, 64);
    FIELD(ada_lane_metrics_t, swaps, 64, 64);
    FIELD(ada_lane_metrics_t, pressure, 128, 64);

    CU_ASSERT_EQUAL(sizeof(ada_metrics_rates_t), 64);
    FIELD(ada_metrics_rates_t, window_start, 0, 8);
    FIELD(ada_metrics_rates_t, window_events, 8, 8);
    FIELD(ada_metrics_rates_t, window_bytes, 16, 8);
    FIELD(ada_metrics_rates_t, millievents_per_second, 24, 8);
    FIELD(ada_metrics_rates_t, millibytes_per_second, 32, 8);

    CU_ASSERT_EQUAL(sizeof(ada_thread_metrics_t), 512);
    CU_ASSERT_TRUE(sizeof(ada_thread_metrics_t) < 1024);
    CU_ASSERT_EQUAL(_Alignof(ada_thread_metrics_t), 128);
    FIELD(ada_thread_metrics_t, lanes, 0, 384);
    FIELD(ada_thread_metrics_t, rates, 384, 64);
}

static void layout__lane_set_and_registry__then_as_published(void)
{
    CU_ASSERT_EQUAL(sizeof(ThreadLaneSet), 3328);
    CU_ASSERT_EQUAL(_Alignof(ThreadLaneSet), 128);
    FIELD(ThreadLaneSet, state, 0, 4);
    FIELD(ThreadLaneSet, generation, 4, 4);
    FIELD(ThreadLaneSet, thread_id, 128, 4);
    FIELD(ThreadLaneSet, slot_index, 132, 4);
    FIELD(ThreadLaneSet, registered_at, 136, 8);
    FIELD(ThreadLaneSet, name_version, 144, 4);
    FIELD(ThreadLaneSet, name, 148, 16);
    FIELD(ThreadLaneSet, metrics, 256, 512);
    FIELD(ThreadLaneSet, index, 768, 1280);
    FIELD(ThreadLaneSet, detail, 2048, 1280);

    CU_ASSERT_EQUAL(sizeof(ThreadRegistry), 1792);
    CU_ASSERT_EQUAL(_Alignof(ThreadRegistry), 128);
    FIELD(ThreadRegistry, capacity, 0, 4);
    FIELD(ThreadRegistry, slot_stride, 4, 4);
    FIELD(ThreadRegistry, slots_offset, 8, 8);
    FIELD(ThreadRegistry, thread_count, 128, 4);
    FIELD(ThreadRegistry, accepting_registrations, 132, 4);
    FIELD(ThreadRegistry, shutdown_requested, 136, 4);
    FIELD(ThreadRegistry, high_water, 140, 4);
    FIELD(ThreadRegistry, registrations, 144, 8);
    FIELD(ThreadRegistry, rejected, 152, 8);
    FIELD(ThreadRegistry, unregistered_events, 160, 8);
    FIELD(ThreadRegistry, free_slots, 256, 512);
    FIELD(ThreadRegistry, dirty_slots, 768, 512);
    FIELD(ThreadRegistry, ended_slots, 1280, 512);
}

static void layout__segment_header__then_as_published(void)
{
    CU_ASSERT_EQUAL(sizeof(SegmentGeometry), 88);
    FIELD(SegmentGeometry, segment_bytes, 0, 8);
    FIELD(SegmentGeometry, registry_offset, 8, 8);
    FIELD(SegmentGeometry, slots_offset, 16, 8);
    FIELD(SegmentGeometry, events_offset, 24, 8);
    FIELD(SegmentGeometry, modules_offset, 32, 8);
    FIELD(SegmentGeometry, rings_offset, 40, 8);
    FIELD(SegmentGeometry, slot_ring_bytes, 48, 8);
    FIELD(SegmentGeometry, slot_capacity, 56, 4);
    FIELD(SegmentGeometry, slot_stride, 60, 4);
    FIELD(SegmentGeometry, index_ring_count, 64, 4);
    FIELD(SegmentGeometry, index_ring_bytes, 68, 4);
    FIELD(SegmentGeometry, detail_ring_count, 72, 4);
    FIELD(SegmentGeometry, detail_ring_bytes, 76, 4);
    FIELD(SegmentGeometry, event_capacity, 80, 4);
    FIELD(SegmentGeometry, module_capacity, 84, 4);

    CU_ASSERT_EQUAL(sizeof(SegmentHeader), 4096);
    FIELD(SegmentHeader, magic, 0, 8);
    FIELD(SegmentHeader, major, 8, 4);
    FIELD(SegmentHeader, oldest_compatible, 12, 4);
    FIELD(SegmentHeader, features, 16, 8);
    FIELD(SegmentHeader, geometry, 24, 88);
    FIELD(SegmentHeader, clock_kind, 112, 4);
    FIELD(SegmentHeader, policy, 116, 4);
    FIELD(SegmentHeader, detail, 120, 4);
    FIELD(SegmentHeader, reserved0, 124, 4);
    FIELD(SegmentHeader, block_timeout_ns, 128, 8);
    FIELD(SegmentHeader, owner_pid, 384, 4);
    FIELD(SegmentHeader, owner_parent_pid, 388, 4);
    FIELD(SegmentHeader, owner_started_at, 392, 8);
    FIELD(SegmentHeader, owner_ready, 400, 4);
    FIELD(SegmentHeader, command_bytes, 404, 4);
    FIELD(SegmentHeader, owner_namespace, 408, 8);
    FIELD(SegmentHeader, enabled, 512, 4);
    FIELD(SegmentHeader, attached, 516, 4);
    FIELD(SegmentHeader, settled_unregistered, 520, 8);
    FIELD(SegmentHeader, wants_children, 528, 4);
    FIELD(SegmentHeader, doorbell, 640, 4);
    FIELD(SegmentHeader, collector_sleeping, 768, 4);
    FIELD(SegmentHeader, event_count, 896, 4);
    FIELD(SegmentHeader, module_count, 900, 4);
    FIELD(SegmentHeader, command, 1024, 1024);
    FIELD(SegmentHeader, program, 2048, 256);
}

static void layout__announcement__then_as_published(void)
{
    CU_ASSERT_EQUAL(sizeof(AnnounceMessage), 16);
    FIELD(AnnounceMessage, magic, 0, 4);
    FIELD(AnnounceMessage, version, 4, 4);
    FIELD(AnnounceMessage, type, 8, 4);
    FIELD(AnnounceMessage, pid, 12, 4);
}

static void layout__constants__then_as_published(void)
{
    CU_ASSERT_STRING_EQUAL(ADA_SEGMENT_NAME, "adatrace-v1");
    CU_ASSERT_EQUAL(ADA_SEGMENT_MAGIC, 0x31474553414441ffu);
    CU_ASSERT_EQUAL(ADA_SEGMENT_MAJOR, 3);
    CU_ASSERT_EQUAL(ADA_SEGMENT_OLDEST, 3);
    CU_ASSERT_EQUAL(ADA_KIND_COUNT, 9);
    CU_ASSERT_EQUAL(ADA_TYPE_COUNT, 6);
    CU_ASSERT_EQUAL(ADA_POLICY_COUNT, 3);
    CU_ASSERT_EQUAL(ADA_DETAIL_COUNT, 3);
    CU_ASSERT_EQUAL(ADA_SLOT_STATES, 4);
    CU_ASSERT_EQUAL(ADA_CLOCK_MONOTONIC, 1);
    CU_ASSERT_EQUAL(ADA_CLOCK_TSC, 2);
    /* A lane's queues must never be full. */
    CU_ASSERT_TRUE(ADA_QUEUE_SLOTS > ADA_RINGS_MAX);
    CU_ASSERT_EQUAL(ADA_QUEUE_SLOTS & (ADA_QUEUE_SLOTS - 1), 0);
    CU_ASSERT_TRUE(ADA_INDEX_RINGS <= ADA_RINGS_MAX && ADA_DETAIL_RINGS <= ADA_RINGS_MAX);
}

static void layout__kernel_records__then_as_bpf_writes_them(void)
{
    CU_ASSERT_EQUAL(sizeof(AdaKernelThread), 120);
    FIELD(AdaKernelThread, generation, 12, 4);
    FIELD(AdaKernelThread, start_ns, 16, 8);
    FIELD(AdaKernelThread, run_ns, 40, 8);
    FIELD(AdaKernelThread, wakeups, 104, 8);
    CU_ASSERT_EQUAL(sizeof(AdaKernelOnCpu), 16);
    FIELD(AdaKernelOnCpu, runs, 8, 8);
    CU_ASSERT_EQUAL(sizeof(AdaKernelLifecycle), 72);
    FIELD(AdaKernelLifecycle, start_ns, 16, 8);
    FIELD(AdaKernelLifecycle, index, 36, 4);
    FIELD(AdaKernelLifecycle, name, 56, 16);
    CU_ASSERT_EQUAL(sizeof(AdaKernelExit), 192);
    FIELD(AdaKernelExit, thread, 72, 120);
    CU_ASSERT_EQUAL(sizeof(AdaKernelSched), 40);
    FIELD(AdaKernelSched, duration_ns, 32, 8);
}

static const TestCase tests[] = {
    TEST(layout__kernel_records__then_as_bpf_writes_them),
    TEST(layout__event_records__then_as_published),
    TEST(layout__event_word__then_parts_come_back),
    TEST(layout__tables__then_as_published),
    TEST(layout__queue_and_ring__then_as_published),
    TEST(layout__lane__then_as_published),
    TEST(layout__metrics__then_as_published),
    TEST(layout__lane_set_and_registry__then_as_published),
    TEST(layout__segment_header__then_as_published),
    TEST(layout__announcement__then_as_published),
    TEST(layout__constants__then_as_published),
};
TEST_MAIN("layout", tests)
