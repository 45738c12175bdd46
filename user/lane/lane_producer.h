/* SPDX-License-Identifier: MIT */
/*
 * The producer's side of a lane: how a thread writes a record.
 *
 * Private to the traced process: a LaneView per ring (where it is, how far it is filled) and a
 * LaneWriter, the two words that the event path looks at. Shared memory is only ever stored to; the
 * path reads no line that another core writes.
 *
 * Writing a record
 *     frame = our stack pointer       a signal handler that traces now takes the nested path
 *     cursor >= limit?                full, disabled and unregistered alike: the slow path
 *     read the clock
 *     reserved = cursor + 1 record    relaxed: what a reader may count as torn if we die now
 *     cursor += 1 record              xadd without lock: a handler's records come before or after
 *     write the record
 *     published = cursor              release: grants the collector all records below it
 *     frame = 0
 *     cursor moved since?             a handler wrote in between: publish its records, too
 *
 * Signal handlers. While `frame` is set, a handler may reserve behind (or before) the interrupted record but
 * never swaps rings, and leaves room for one more record of each interrupted level; otherwise its event
 * is counted as dropped_nested. Rings keep a reserve at their end for this (LaneView.limit). It
 * publishes nothing: the interrupted record before it may be incomplete; the outermost level does.
 *
 * Order. Within a lane timestamps never decrease: who finds that a handler reserved between its
 * reading of the clock and its own reservation takes the handler's (later) time.
 *
 * Jumps. A handler that leaves by siglongjmp() abandons the record that it interrupted. Whoever finds `frame`
 * set although it runs further up the same stack knows that, and takes the abandoned records back.
 *
 * Swap. The switch to a new ring is one store of LaneWriter.active, so a handler sees the old ring or
 * the new one, each whole.
 */
#ifndef ADA_LANE_LANE_PRODUCER_H
#define ADA_LANE_LANE_PRODUCER_H

#include <string.h>

#include "user/lane/clock.h"
#include "user/lane/lane.h"
#include "user/lane/test_point.h"
#include "user/lane/thread_metrics.h"

/* One ring, as its producer sees it. Zeroed (limit 0) it refuses everything: unregistered, or the child of a fork. */
typedef struct LaneView {
    uint64_t cursor; /* position (ADA_POSITION) of the next record */
    uint32_t limit;  /* outermost writers begin no record that ends above it */
    uint32_t bytes;  /* the ring's size: nested writers may go up to here */
    char *data;
    RingControl *ring; /* shared */
    const struct LaneView *previous; /* during the swap to this ring, the ring before: base_record follows from it; else NULL */
} LaneView;

/* What the event path reads first; lives in thread-local storage. */
typedef struct LaneWriter {
    LaneView *active;
    uintptr_t frame; /* stack pointer of the outermost level that is writing a record; 0 = nobody is */
    uint32_t nested; /* handlers that write on top of it */
    uint32_t reserved;
} LaneWriter;

/* The rest of the producer's side. */
typedef struct LaneProducer {
    LaneWriter *writer;
    Lane *lane;                  /* shared */
    ada_lane_metrics_t *metrics; /* shared */
    SegmentHeader *header;       /* shared: policy, doorbell */
    SpscProducer submit;
    SpscConsumer free;
    uint64_t *dirty_word; /* shared: ThreadRegistry.dirty_slots, where this slot's bit is; NULL: there is no registry */
    uint64_t dirty_bit;
    uint32_t record_max; /* bytes of the largest record of this lane */
    uint32_t swapping;   /* 1 while a swap is between taking the new ring and having made it active */
    uint32_t gave_up;    /* a wait under `block` timed out: do not wait again until a ring comes back */
    uint64_t swap_begin; /* ticks: when the present swap began, or its stall was over */
    LaneView views[ADA_RINGS_MAX];
} LaneProducer;

/* A reserved place: the caller writes `at` and commits. */
typedef struct LaneReservation {
    void *at;
    uint64_t record;    /* its number within the lane */
    uint64_t timestamp; /* read after the place was known to be free, before it was reserved */
    LaneView *view;
    uint64_t end; /* position behind it */
    bool nested;  /* by a handler that interrupted the writing of another record */
    bool late;    /* a handler reserved since `timestamp` was read: the record before may be younger */
} LaneReservation;

/*
 * Binds the producer's side to a fresh lane (lane_init()), which it counts in `metrics`, and points the writer at
 * ring 0. `rings` is where ring 0 is mapped here. The writer's thread calls it.
 */
void lane_producer_init(LaneProducer *producer, LaneWriter *writer, Lane *lane, ada_lane_metrics_t *metrics,
                        char *rings, SegmentHeader *header);

/* Where the lane tells of its ring swaps: before the first record. */
static inline void lane_producer_set_hint(LaneProducer *producer, ThreadRegistry *registry, uint32_t slot)
{
    producer->dirty_word = &registry->dirty_slots[slot / 64];
    producer->dirty_bit = 1ull << slot % 64;
}

/*
 * Makes a free ring the active one and submits the full one. For the outermost level, with frame set.
 * 0; -ENOBUFS: no ring to be had under the policy (and, with `block`, within the time allowed). errno is kept.
 */
int lane_swap_active_ring(LaneProducer *producer);

/*
 * Reserves `size` bytes (a multiple of 8, at most the lane's largest record) at any nesting level,
 * swapping rings when it may. 0; -ENOBUFS: no room, counted as dropped_full or dropped_nested.
 * Every success must be followed by lane_commit() on the same thread and level.
 */
int lane_reserve(LaneProducer *producer, uint32_t size, LaneReservation *reservation_out);
void lane_commit(LaneProducer *producer, const LaneReservation *reservation);

/* Writes one index event through reserve and commit: the path for everything that lane_write_index() hands over. As lane_reserve(). */
int lane_write_index_slow(LaneProducer *producer, uint32_t word, uint64_t id, uint64_t argument, uint32_t link);

/* Publishes what handlers wrote after the outermost record was published. */
void lane_publish_rest(LaneWriter *writer);

/*
 * The same, and tells a collector that watches the ring that there is something (RingControl.watch).
 *
 * The collector sets the flag on a ring in which there was nothing, and looks at the ring once more a tick later: a
 * record whose writer had not seen the flag yet was published just before it looked at it, and is found
 * then. So the event path needs no fence.
 */
void lane_settle(LaneProducer *producer);

/*
 * Asks the collector to keep the detail records around this moment: those that the rings still hold,
 * the rest of the active ring, and one ring more. By the lane's thread, at any nesting level.
 */
void lane_mark(LaneProducer *producer);

/* Publishes everything and leaves the lane: later writes of this thread find limit 0. For the thread's end. */
void lane_producer_close(LaneProducer *producer, LaneView *closed_view);

#define LANE_INDEX_STEP ADA_POSITION(1, ADA_INDEX_EVENT_SIZE)

static inline uintptr_t lane_stack_pointer(void)
{
#if defined(__x86_64__)
    uintptr_t pointer;

    __asm__ volatile("movq %%rsp, %0" : "=r"(pointer));
    return pointer;
#else
    return (uintptr_t)__builtin_frame_address(0);
#endif
}

/* Both halves by one store: the path has ten, and a core can hold the events of some 50 ns of them back at most. */
static inline void lane_set_word_and_link(AdaIndexEvent *event, uint32_t word, uint32_t link)
{
    uint64_t both = word | (uint64_t)link << 32;

    memcpy(&event->word, &both, sizeof(both));
}

/* What lane_try_write_index() did. */
enum lane_write {
    LANE_WRITE_REFUSED, /* nothing: call lane_write_index_slow() */
    LANE_WRITE_DONE,
    LANE_WRITE_REST, /* wrote it; handlers wrote more meanwhile, or the ring is watched: call lane_settle() */
};

/*
 * Writes one index event in the common case: outermost level, room in the ring. The caller is the lane's
 * thread. `cycles` says which clock is the process's (ada_clock_kind); it is a constant where this is
 * inlined. Nothing is called for the cycle counter, so that a caller which only ever jumps from here
 * saves no registers: that alone were 20 of its instructions.
 */
static inline __attribute__((always_inline)) enum lane_write lane_try_write_index(
    LaneWriter *writer, bool cycles, uint32_t word, uint64_t id, uint64_t argument, uint32_t link)
{
    LaneView *view;
    AdaIndexEvent *event;
    uint64_t cursor, end, timestamp;

    if (__builtin_expect(writer->frame != 0, 0))
        return LANE_WRITE_REFUSED;
    ada_store_relaxed(&writer->frame, lane_stack_pointer());
    ada_signal_fence();

    view = writer->active;
    cursor = view->cursor;
    if (__builtin_expect(ADA_POSITION_BYTES(cursor) >= view->limit, 0)) {
        ada_store_relaxed(&writer->frame, (uintptr_t)0);
        return LANE_WRITE_REFUSED;
    }
    ADA_TEST_POINT("write.begin");
    timestamp = cycles ? ada_clock_cycles() : ada_clock_monotonic_ns();
    ada_store_relaxed(&view->ring->reserved, cursor + LANE_INDEX_STEP);
    ADA_TEST_POINT("write.announced");
    end = ada_local_fetch_add(&view->cursor, LANE_INDEX_STEP) + LANE_INDEX_STEP;
    ADA_TEST_POINT("write.reserved");
    event = (AdaIndexEvent *)(view->data + ADA_POSITION_BYTES(end)) - 1;
    if (__builtin_expect(end - LANE_INDEX_STEP != cursor, 0)) {
        ada_store_relaxed(&view->ring->reserved, end);
        timestamp = event[-1].timestamp;
    }
    event->timestamp = timestamp;
    event->id = id;
    event->argument = argument;
    lane_set_word_and_link(event, word, link);
    ADA_TEST_POINT("write.written");
    /* Pairs with the acquire in lane_reader_next(): grants the collector every record below. */
    ada_store_release(&view->ring->published, end);
    ADA_TEST_POINT("write.published");
    ada_signal_fence();
    ada_store_relaxed(&writer->frame, (uintptr_t)0);
    ada_signal_fence();
    /* Relaxed: see lane_settle(). The line is ours already. */
    if (__builtin_expect(((ada_load_relaxed(&view->cursor) ^ end) | ada_load_relaxed(&view->ring->watch)) != 0,
                         0))
        return LANE_WRITE_REST;
    return LANE_WRITE_DONE;
}

/* The same for callers that need no tail calls. False: nothing was written, call lane_write_index_slow(). */
static inline bool lane_write_index(LaneProducer *producer, uint32_t word, uint64_t id, uint64_t argument,
                                    uint32_t link)
{
    enum lane_write result =
        lane_try_write_index(producer->writer, ada_clock_kind == ADA_CLOCK_TSC, word, id, argument, link);

    if (__builtin_expect(result == LANE_WRITE_REST, 0))
        lane_settle(producer);
    return result != LANE_WRITE_REFUSED;
}

#endif
