/* SPDX-License-Identifier: MIT */
/*
 * Unmaps the segments of processes that are done with, in a thread of its own.
 *
 * The last who has a segment mapped frees its pages: 6 to 27 ms at times for one with 200 threads (tests/integration/prog_kills.c, 2 cores
 * under load), in which the drain thread would drain nothing.
 */
#ifndef ADA_COLLECTOR_SEGMENT_REAPER_H
#define ADA_COLLECTOR_SEGMENT_REAPER_H

#include "user/lane/segment.h"

typedef struct SegmentReaper SegmentReaper;

/* Starts the thread; all signals are blocked in it. -ENOMEM, or errors of pthread_create(3), negative. */
int segment_reaper_create(SegmentReaper **reaper_out);

/* Unmaps what was taken, ends the thread and frees. NULL is allowed. */
void segment_reaper_destroy(SegmentReaper *reaper);

/*
 * Takes the mapping over; *segment has none afterwards. Any thread may call it; it does not wait for pages to be freed, unless the
 * reaper is NULL or there is no memory for a note. How many wait is not bounded.
 */
void segment_reaper_take(SegmentReaper *reaper, Segment *segment);

#endif
