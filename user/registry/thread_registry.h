/* SPDX-License-Identifier: MIT */
/*
 * Which threads of a process have a lane set: the registry at the front of the segment.
 *
 *     FREE -> REGISTERING -> ACTIVE -> DRAINING -> FREE
 *      (thread claims) (thread) (thread ends, or    (collector, after the last
 *                               collector sees it)   bytes are in the file)
 *
 * Slots are claimed through a bitmap, so that finding a free one looks at 64 slots at a time; the
 * claim is the only contended step, and nothing is contended after it. A slot is recycled under a new
 * generation.
 *
 * Threads of the traced process and the collector may call everything here at the same time; who may make
 * which step stands above. Functions take the mapped Segment, whose geometry is private and checked,
 * so that a hostile registry can make nobody look outside the mapping. Nothing allocates or prints.
 */
#ifndef ADA_REGISTRY_THREAD_REGISTRY_H
#define ADA_REGISTRY_THREAD_REGISTRY_H

#include "user/lane/lane.h"
#include "user/lane/segment.h"
#include "user/lane/thread_metrics.h"

/*
 * Claims a slot for thread `thread_id`, gives it two fresh lanes, and makes it ACTIVE. `now` is in the
 * process's ticks. Returns its lane set, or NULL and *error_out: -ENOSPC: all slots are taken;
 * -ESHUTDOWN: the collector accepts no more threads. Does not block; safe in a signal handler.
 */
ThreadLaneSet *thread_registry_register(const Segment *segment, uint32_t thread_id, uint64_t now,
                                        int *error_out);

/* ACTIVE -> DRAINING, by the thread after its last write or by the collector when the thread is dead. False: it was not ACTIVE. */
bool thread_registry_unregister(const Segment *segment, ThreadLaneSet *set);

/* DRAINING -> FREE, by the collector once everything is in the file. False: it was not DRAINING. */
bool thread_registry_release(const Segment *segment, ThreadLaneSet *set);

/*
 * The first slot at or after `from` whose thread is ACTIVE or DRAINING, for the drain's discovery: its
 * fields as of registration are visible (acquire). NULL: none. Looks no further than slots ever taken.
 */
ThreadLaneSet *thread_registry_next(const Segment *segment, uint32_t from, uint32_t *slot_out);

/* The ACTIVE lane set of a thread, by its id: for callers that thread-local storage can't serve. NULL: none. */
ThreadLaneSet *thread_registry_find(const Segment *segment, uint32_t thread_id);

/*
 * For the drain: which slots of 64 from `word` * 64 on may have news since the last call, so that it need not
 * look at all of them. A hint is given after its cause, which is visible then (acquire); causes without a hint
 * are found by looking at the lane.
 */
typedef struct SlotHints {
    uint64_t taken; /* not free: compare with the slots that are known */
    uint64_t dirty; /* became ACTIVE, submitted a ring, or published in a ring that is watched */
    uint64_t ended; /* became DRAINING */
} SlotHints;
SlotHints thread_registry_take_hints(const Segment *segment, uint32_t word);

/* Words of 64 slots that were ever in use. */
uint32_t thread_registry_words(const Segment *segment);

/* The lane set of a slot that is ACTIVE or DRAINING, as thread_registry_next() sees it; else NULL. */
ThreadLaneSet *thread_registry_at(const Segment *segment, uint32_t slot);

/* Whether a new thread would be accepted now, as far as one can know: one load or two, for callers that were refused before. */
bool thread_registry_has_room(const Segment *segment);

/* Sets the name, by the thread itself; at most 15 bytes are kept. A handler that interrupts this is not heard. */
void thread_lane_set_write_name(ThreadLaneSet *set, const char *name);

/* Copies the name, NUL-terminated whatever the memory holds. False: it was being written, try again. */
bool thread_lane_set_read_name(const ThreadLaneSet *set, char name_out[ADA_THREAD_NAME_SIZE]);

/*
 * A description of the registry and its taken slots for debugging, NUL-terminated, cut to `size`.
 * Returns the length that the whole text has, as snprintf(3) does.
 */
size_t thread_registry_dump(const Segment *segment, char *text, size_t size);

#endif
