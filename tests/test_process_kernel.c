/* SPDX-License-Identifier: MIT */
/* Threads of a process by their ids, and memory for those that are about to be born. */
#define _GNU_SOURCE
#include "test_support.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/collector/process_kernel.h"
#include "user/registry/thread_registry.h"

#define SLOTS 128u

static Segment make_segment(void)
{
    SegmentConfig config;
    Segment segment;
    int fd;

    segment_config_init(&config);
    config.threads = SLOTS;
    CU_ASSERT_EQUAL_FATAL(segment_create(&config, &segment, &fd), 0);
    close(fd);
    return segment;
}

/* Whether memory was allocated for the first events of a slot. */
static bool has_memory(const Segment *segment, uint32_t slot)
{
    uint64_t offset = segment_rings_offset(&segment->geometry, slot, ADA_LANE_INDEX);
    unsigned char resident[4];

    CU_ASSERT_EQUAL_FATAL(mincore(segment_at(segment, offset), sizeof(resident) * ADA_PAGE, resident), 0);
    return resident[0] & resident[1] & resident[2] & resident[3] & 1;
}

static void process_kernel__threads__then_found_by_their_ids_until_they_leave(void)
{
    Segment segment = make_segment();
    ProcessKernel kernel = {0};

    CU_ASSERT_EQUAL_FATAL(process_kernel_init(&kernel, &segment), 0);
    CU_ASSERT_EQUAL(process_kernel_find(&kernel, 7), PROCESS_KERNEL_NO_SLOT);
    process_kernel_found(&kernel, 3, 7);
    process_kernel_found(&kernel, 0, 7 + 1024); /* the same place in the table */
    process_kernel_found(&kernel, 127, 7 + 2048);
    CU_ASSERT_EQUAL(process_kernel_find(&kernel, 7), 3);
    CU_ASSERT_EQUAL(process_kernel_find(&kernel, 7 + 1024), 0);
    CU_ASSERT_EQUAL(process_kernel_find(&kernel, 7 + 2048), 127);
    CU_ASSERT_PTR_NULL(process_kernel_left(&kernel, 0));
    CU_ASSERT_EQUAL(process_kernel_find(&kernel, 7 + 1024), PROCESS_KERNEL_NO_SLOT);
    CU_ASSERT_EQUAL(process_kernel_find(&kernel, 7), 3);
    CU_ASSERT_EQUAL(process_kernel_find(&kernel, 7 + 2048), 127);
    process_kernel_found(&kernel, 0, 9);
    CU_ASSERT_EQUAL(process_kernel_find(&kernel, 9), 0);
    CU_ASSERT_PTR_NULL(process_kernel_left(&kernel, 5)); /* nobody there */
    process_kernel_fini(&kernel);
    segment_unmap(&segment);
}

static void process_kernel__end_told__then_who_leaves_has_it(void)
{
    Segment segment = make_segment();
    ProcessKernel kernel = {0};
    KernelEvent *event;

    CU_ASSERT_EQUAL_FATAL(process_kernel_init(&kernel, &segment), 0);
    process_kernel_found(&kernel, 3, 7);
    process_kernel_found(&kernel, 4, 8);
    for (uint32_t slot = 3; slot < 5; slot++) {
        CU_ASSERT_EQUAL(kernel_events_add(&kernel.exits, &(AdaKernelLifecycle){.own_tid = slot + 4}, NULL), 0);
        kernel.exit_of[slot] = kernel_events_pop(&kernel.exits);
    }
    event = process_kernel_left(&kernel, 3);
    CU_ASSERT_PTR_NOT_NULL_FATAL(event);
    CU_ASSERT_EQUAL(event->record.own_tid, 7);
    free(event);
    CU_ASSERT_PTR_NULL(process_kernel_left(&kernel, 3));
    process_kernel_fini(&kernel); /* frees the other */
    segment_unmap(&segment);
}

/* The slots that threads will claim have memory when they come. */
static void process_kernel__births__then_their_slots_have_memory(void)
{
    Segment segment = make_segment();
    ProcessKernel kernel = {0};
    uint32_t taken = 0;

    CU_ASSERT_EQUAL_FATAL(process_kernel_init(&kernel, &segment), 0);
    CU_ASSERT_FALSE(has_memory(&segment, 0));
    process_kernel_provide(&kernel);
    CU_ASSERT_TRUE(has_memory(&segment, 0));
    CU_ASSERT_TRUE(has_memory(&segment, 4));
    CU_ASSERT_FALSE(has_memory(&segment, 5));
    for (uint32_t tid = 1; tid <= 100; tid++) {
        int error = 0;
        ThreadLaneSet *lanes;

        kernel.births++;
        while (kernel.births > 0)
            process_kernel_provide(&kernel);
        lanes = thread_registry_register(&segment, tid, 1, &error);
        CU_ASSERT_PTR_NOT_NULL_FATAL(lanes);
        CU_ASSERT_TRUE(has_memory(&segment, lanes->slot_index));
        process_kernel_found(&kernel, lanes->slot_index, tid);
        taken++;
    }
    CU_ASSERT_EQUAL(kernel.found_ready, taken);
    CU_ASSERT_EQUAL(kernel.found_bare, 0);
    CU_ASSERT_FALSE(has_memory(&segment, 106)); /* and no more than a few ahead */
    process_kernel_fini(&kernel);
    segment_unmap(&segment);
}

static void process_kernel__without_assistance__then_does_nothing(void)
{
    ProcessKernel kernel = {0};

    process_kernel_found(&kernel, 3, 7);
    CU_ASSERT_EQUAL(process_kernel_find(&kernel, 7), PROCESS_KERNEL_NO_SLOT);
    CU_ASSERT_PTR_NULL(process_kernel_left(&kernel, 3));
    process_kernel_provide(&kernel);
    process_kernel_fini(&kernel);
}

static const TestCase tests[] = {
    TEST(process_kernel__threads__then_found_by_their_ids_until_they_leave),
    TEST(process_kernel__end_told__then_who_leaves_has_it),
    TEST(process_kernel__births__then_their_slots_have_memory),
    TEST(process_kernel__without_assistance__then_does_nothing),
};
TEST_MAIN("process_kernel", tests)
