/* SPDX-License-Identifier: MIT */
/* Segments are unmapped, all of each and no other. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/collector/segment_reaper.h"

static Segment a_segment(void)
{
    SegmentConfig config;
    Segment segment = {0};
    int fd = -1;

    segment_config_init(&config);
    CU_ASSERT_EQUAL_FATAL(segment_create(&config, &segment, &fd), 0);
    CU_ASSERT_EQUAL(segment_prefault_slot(&segment, 0), 0);
    close(fd);
    return segment;
}

/* Whether any page of it is still mapped. */
static bool is_mapped(const SegmentHeader *header, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char resident;

    for (size_t at = 0; at < bytes; at += page) {
        if (mincore((char *)(uintptr_t)header + at, page, &resident) == 0 || errno != ENOMEM)
            return true;
    }
    return false;
}

static void segment_reaper__taken_and_destroyed__then_nothing_of_it_is_mapped(void)
{
    Segment segment = a_segment(), other = a_segment();
    SegmentHeader *header = segment.header;
    size_t bytes = segment.geometry.segment_bytes;
    SegmentReaper *reaper;

    CU_ASSERT(bytes > 2u << 20); /* more than one slice */
    CU_ASSERT(is_mapped(header, bytes));
    CU_ASSERT_EQUAL_FATAL(segment_reaper_create(&reaper), 0);
    segment_reaper_take(reaper, &segment);
    CU_ASSERT_PTR_NULL(segment.header);
    segment_reaper_take(reaper, &segment); /* there is none */
    segment_reaper_destroy(reaper);
    CU_ASSERT_FALSE(is_mapped(header, bytes));
    CU_ASSERT(is_mapped(other.header, bytes));
    segment_unmap(&other);
}

static void segment_reaper__no_reaper__then_unmapped_at_once(void)
{
    Segment segment = a_segment();
    SegmentHeader *header = segment.header;
    size_t bytes = segment.geometry.segment_bytes;

    segment_reaper_take(NULL, &segment);
    CU_ASSERT_PTR_NULL(segment.header);
    CU_ASSERT_FALSE(is_mapped(header, bytes));
    segment_reaper_destroy(NULL);
}

#define TAKERS 4u
#define EACH 25u

static void *take_some(void *argument)
{
    for (size_t i = 0; i < EACH; i++) {
        Segment segment = a_segment();

        segment_reaper_take(argument, &segment);
    }
    return NULL;
}

/* How many mappings of segments this process has. */
static size_t count_segments(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    size_t count = 0;
    char line[512];

    CU_ASSERT_PTR_NOT_NULL_FATAL(maps);
    while (fgets(line, sizeof(line), maps))
        count += strstr(line, "/memfd:" ADA_SEGMENT_NAME) != NULL;
    fclose(maps);
    return count;
}

static void segment_reaper__taken_by_many_threads__then_all_are_unmapped(void)
{
    pthread_t threads[TAKERS];
    SegmentReaper *reaper;

    CU_ASSERT_EQUAL_FATAL(segment_reaper_create(&reaper), 0);
    for (size_t i = 0; i < TAKERS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, take_some, reaper), 0);
    for (size_t i = 0; i < TAKERS; i++)
        pthread_join(threads[i], NULL);
    segment_reaper_destroy(reaper);
    CU_ASSERT_EQUAL(count_segments(), 0);
}

static const TestCase tests[] = {
    TEST(segment_reaper__taken_and_destroyed__then_nothing_of_it_is_mapped),
    TEST(segment_reaper__no_reaper__then_unmapped_at_once),
    TEST(segment_reaper__taken_by_many_threads__then_all_are_unmapped),
};
TEST_MAIN("segment_reaper", tests)
