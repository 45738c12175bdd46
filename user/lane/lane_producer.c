/* SPDX-License-Identifier: MIT */
#include "user/lane/lane_producer.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "user/lane/futex.h"

/* Room kept at a ring's end for handlers that interrupt a writer there: 32 index events, or an eighth of a small ring. */
#define LANE_INDEX_RESERVE 1024u

static uint32_t view_limit(uint32_t kind, uint32_t ring_bytes)
{
    uint32_t reserve = ring_bytes / 8;

    if (kind == ADA_LANE_INDEX && reserve > LANE_INDEX_RESERVE)
        reserve = LANE_INDEX_RESERVE;
    return (ring_bytes - reserve) & ~(ADA_INDEX_EVENT_SIZE - 1);
}

void lane_producer_init(LaneProducer *producer, LaneWriter *writer, Lane *lane, ada_lane_metrics_t *metrics,
                        char *rings, SegmentHeader *header)
{
    producer->writer = writer;
    producer->lane = lane;
    producer->metrics = metrics;
    producer->header = header;
    spsc_producer_init(&producer->submit, &lane->submit_queue, NULL, 0);
    spsc_consumer_init(&producer->free, &lane->free_queue, NULL, 0);
    producer->record_max = lane->kind == ADA_LANE_INDEX ? ADA_INDEX_EVENT_SIZE : ADA_DETAIL_RECORD_MAX;
    producer->gave_up = 0;
    producer->dirty_word = NULL;
    producer->dirty_bit = 0;
    for (uint32_t ring = 0; ring < lane->ring_count; ring++) {
        producer->views[ring] = (LaneView){
            .cursor = 0,
            .limit = view_limit(lane->kind, lane->ring_bytes),
            .bytes = lane->ring_bytes,
            .data = rings + (size_t)ring * lane->ring_bytes,
            .ring = &lane->rings[ring],
        };
    }
    ada_store_relaxed(&writer->active, &producer->views[0]);
}

/* ---- telling the collector -------------------------------------------------------------------- */

static void wake_collector(SegmentHeader *header)
{
    ADA_TEST_POINT("doorbell.wake");
    ada_futex_wake(&header->doorbell);
}

static void ring_doorbell(SegmentHeader *header)
{
    (void)ada_fetch_add_acq_rel(&header->doorbell, 1u);
    if (ada_load_relaxed(&header->collector_sleeping))
        wake_collector(header);
}

/* Pairs with the exchange in thread_registry_take_hints(): grants what was published or submitted before. */
static void give_hint(LaneProducer *producer)
{
    if (producer->dirty_word)
        (void)ada_fetch_or_release(producer->dirty_word, producer->dirty_bit);
}

/* ---- finding a ring --------------------------------------------------------------------------- */

static bool take_free_ring(LaneProducer *producer, uint32_t *ring_out)
{
    uint32_t ring;

    if (spsc_queue_peek(&producer->free, &ring) != 1 || ring >= producer->lane->ring_count)
        return false;
    spsc_queue_pop(&producer->free);
    producer->gave_up = 0;
    *ring_out = ring;
    return true;
}

/* Whether the collector will want the ring: an unmarked detail ring is nobody's. */
static bool ring_is_unmarked(const LaneProducer *producer, const RingControl *ring)
{
    const Lane *lane = producer->lane;
    uint64_t sequence = ada_load_relaxed(&ring->sequence);

    return lane->kind == ADA_LANE_DETAIL && ada_load_relaxed(&producer->header->detail) == ADA_DETAIL_MARKED &&
           sequence >= ada_load_relaxed(&lane->mark_until) &&
           sequence >= ada_load_acquire(
                           &lane->collector_mark_until); /* pairs with the collector's release of its mark */
}

/*
 * Takes the oldest submitted ring back, if it may be lost: under `overwrite`, or when nobody marked it.
 * What the collector had not taken over of it is counted.
 */
static bool take_back_ring(LaneProducer *producer, uint32_t *ring_out)
{
    Lane *lane = producer->lane;
    SpscQueue *queue = &lane->submit_queue;
    uint64_t head, end, first, drained;
    const RingControl *control;
    bool unmarked;
    bool taken = false;
    uint32_t ring;

    if (!submit_queue_try_acquire_drain(lane, ADA_DRAIN_PRODUCER))
        return false;
    ADA_TEST_POINT("takeback.acquired");

    head = ada_load_relaxed(&queue->head); /* granted by the acquire above */
    if (head == producer->submit.tail)
        goto out; /* the collector has them all: it will give them back */
    ring = ada_load_relaxed(&queue->slots[head % ADA_QUEUE_SLOTS]);
    if (ring >= lane->ring_count)
        goto out;
    control = &lane->rings[ring];
    unmarked = ring_is_unmarked(producer, control);
    if (!unmarked && ada_load_relaxed(&producer->header->policy) != ADA_POLICY_OVERWRITE)
        goto out;

    first = ada_load_relaxed(&control->base_record);
    end = first + ADA_POSITION_RECORDS(ada_load_relaxed(&control->published));
    drained = ada_load_relaxed(&lane->drained_records); /* granted by the acquire above */
    if ((int64_t)(drained - first) > 0)
        first = (int64_t)(end - drained) > 0 ? drained : end;
    metrics_increment_dropped(producer->metrics, unmarked ? METRICS_DROP_RECYCLED : METRICS_DROP_OVERWRITTEN,
                              end - first);
    ADA_TEST_POINT("takeback.counted");
    ada_store_release(&queue->head, head + 1); /* pairs with our own spsc_queue_push() */
    *ring_out = ring;
    taken = true;
out:
    submit_queue_release_drain(lane);
    return taken;
}

/* A ring that is to be had now. */
static bool try_ring(LaneProducer *producer, uint32_t *ring_out)
{
    if (take_free_ring(producer, ring_out))
        return true;
    return (producer->lane->kind == ADA_LANE_DETAIL ||
            ada_load_relaxed(&producer->header->policy) == ADA_POLICY_OVERWRITE) &&
           take_back_ring(producer, ring_out);
}

/*
 * Waits until the collector gives a ring back, or leaves us one to take back that it only looked at. The collector gives a ring and then takes the waiting
 * flag; we set the flag and then look for a ring. Both touch the flag by read-modify-write with
 * acquire and release, so one of them sees the other's step, whichever comes first.
 */
static bool wait_for_ring(LaneProducer *producer, uint32_t *ring_out)
{
    Lane *lane = producer->lane;
    SegmentHeader *header = producer->header;
    uint64_t start = ada_clock_monotonic_ns();
    uint64_t timeout = ada_load_relaxed(&header->block_timeout_ns);
    uint64_t waited = 0;
    bool taken = false;

    metrics_stall_begin(producer->metrics);
    /* It may have no reason of its own to look at this lane again, as at a ring that was marked after it was submitted. */
    give_hint(producer);
    ring_doorbell(header);
    while (waited < timeout && ada_load_relaxed(&header->attached)) {
        (void)ada_exchange_acq_rel(&lane->waiting, 1u);
        ADA_TEST_POINT("block.waiting");
        taken = try_ring(producer, ring_out);
        if (taken)
            break;
        (void)ada_futex_wait(&lane->waiting, 1, timeout - waited);
        taken = try_ring(producer, ring_out);
        if (taken)
            break;
        waited = ada_clock_monotonic_ns() - start;
    }
    /* A plain store would stand between the collector's step and our next one, and break their order. */
    (void)ada_exchange_acq_rel(&lane->waiting, 0u);
    metrics_stall_end(producer->metrics, ada_clock_monotonic_ns() - start);
    producer->swap_begin = metrics_swap_begin();
    producer->gave_up = !taken;
    return taken;
}

static bool find_ring(LaneProducer *producer, uint32_t *ring_out)
{
    if (try_ring(producer, ring_out))
        return true;
    metrics_increment_pool_exhausted(producer->metrics);
    if (ada_load_relaxed(&producer->header->policy) == ADA_POLICY_BLOCK && !producer->gave_up)
        return wait_for_ring(producer, ring_out);
    return false;
}

/* ---- swapping --------------------------------------------------------------------------------- */

/*
 * Wakes a collector that sleeps, when it is needed before its next look around: it has none in mind; or at
 * least half of the rings are full, and it wants this one. Waking it for every ring cost 5 ns per event at 1 M
 * events/s (17.1 instead of 12.1 in a virtual machine), a rate that the looks around serve well.
 *
 * The collector says that it sleeps first, then reads the doorbell by read-modify-write, then looks at the
 * hints, then sleeps unless the doorbell has changed. We give the hint first, then ring by read-modify-write, then look whether
 * it sleeps. One of the two read-modify-writes comes after the other and sees (acquire) what was before that (release): so
 * either our hint is seen, or its sleep is.
 */
static void announce_ring(LaneProducer *producer, const RingControl *submitted)
{
    SegmentHeader *header = producer->header;
    uint32_t sleeping;

    (void)ada_fetch_add_acq_rel(&header->doorbell, 1u);
    sleeping = ada_load_relaxed(&header->collector_sleeping);
    if (sleeping == ADA_COLLECTOR_AWAKE)
        return;
    if (sleeping == ADA_COLLECTOR_SLEEPS ||
        (!ring_is_unmarked(producer, submitted) &&
         spsc_queue_length(&producer->free) < (int64_t)producer->lane->ring_count / 2))
        wake_collector(header);
}

/* Number of the ring's first record; also for a handler that interrupts the swap to this ring. */
static uint64_t view_base_record(const LaneView *view)
{
    const LaneView *previous = view->previous;

    if (previous)
        return ada_load_relaxed(&previous->ring->base_record) + ADA_POSITION_RECORDS(previous->cursor);
    return ada_load_relaxed(&view->ring->base_record);
}

int lane_swap_active_ring(LaneProducer *producer)
{
    Lane *lane = producer->lane;
    LaneWriter *writer = producer->writer;
    LaneView *old = writer->active;
    LaneView *new;
    uint64_t filled;
    uint32_t ring;

    ADA_TEST_POINT("swap.begin");
    producer->swap_begin = metrics_swap_begin();
    if (!find_ring(producer, &ring))
        return -ENOBUFS;
    producer->swapping = 1;
    ADA_TEST_POINT("swap.taken");

    new = &producer->views[ring];
    ada_store_relaxed(&new->ring->reserved, 0ull);
    ada_store_relaxed(&new->ring->published, 0ull);
    ada_store_relaxed(&new->ring->sequence, ada_load_relaxed(&old->ring->sequence) + 1);
    new->cursor = 0;
    new->previous = old; /* a handler may add to the old ring until the switch: base_record is known after it */
    ADA_TEST_POINT("swap.prepared");
    ada_signal_fence();
    ada_store_relaxed(&writer->active, new); /* from here handlers write to the new ring */
    ada_signal_fence();
    ADA_TEST_POINT("swap.switched");

    filled = old->cursor; /* nobody adds to it any more */
    ada_store_relaxed(&old->ring->reserved, filled);
    ada_store_release(&old->ring->published, filled); /* pairs with lane_reader_next() */
    ada_store_relaxed(&new->ring->base_record, view_base_record(new));
    ada_signal_fence();
    new->previous = NULL;
    ADA_TEST_POINT("swap.sealed");
    /* Never full: it has more places than there are rings. Grants the collector the whole ring. */
    (void)spsc_queue_push(&producer->submit, (uint32_t)(old - producer->views));
    ADA_TEST_POINT("swap.submitted");
    /* Before the switch below: who sees the new ring active sees that the old one was counted. */
    metrics_increment_written(producer->metrics, ADA_POSITION_RECORDS(filled), ADA_POSITION_BYTES(filled));
    /* After the push: who sees the new ring active (acquire in lane_reader_next()) finds the old one submitted. */
    ada_store_release(&lane->active_ring_index, ring);
    producer->swapping = 0;
    ADA_TEST_POINT("swap.activated");

    give_hint(producer);
    announce_ring(producer, old->ring);
    metrics_swap_end(producer->metrics, producer->swap_begin);
    return 0;
}

/* ---- writing ---------------------------------------------------------------------------------- */

void lane_publish_rest(LaneWriter *writer)
{
    LaneView *view;
    uint64_t cursor;

    /* A handler may write again after we looked; then it did so while `frame` was set, or it published by itself. */
    do {
        ada_store_relaxed(&writer->frame, lane_stack_pointer());
        ada_signal_fence();
        view = writer->active;
        cursor = view->cursor;
        if (view->limit != 0) {
            ada_store_relaxed(&view->ring->reserved, cursor);
            ada_store_release(&view->ring->published, cursor); /* pairs with lane_reader_next() */
        }
        ada_signal_fence();
        ada_store_relaxed(&writer->frame, (uintptr_t)0);
        ada_signal_fence();
    } while (ada_load_relaxed(&view->cursor) != cursor);
}

void lane_settle(LaneProducer *producer)
{
    RingControl *ring;

    lane_publish_rest(producer->writer);
    ring = producer->writer->active->ring;
    if (!ring || !ada_load_relaxed(&ring->watch))
        return;
    ada_store_relaxed(&ring->watch, 0u);
    give_hint(producer);
    /* By read-modify-write even if nobody sleeps yet: see announce_ring(). */
    ring_doorbell(producer->header);
}

static void reserve_at(LaneView *view, uint64_t cursor, uint32_t size, LaneReservation *reservation)
{
    uint64_t step = ADA_POSITION(1, size);
    uint64_t position = ada_local_fetch_add(&view->cursor, step);

    ada_store_relaxed(&view->ring->reserved, position + step);
    reservation->at = view->data + ADA_POSITION_BYTES(position);
    reservation->record = view_base_record(view) + ADA_POSITION_RECORDS(position);
    reservation->view = view;
    reservation->end = position + step;
    reservation->late = position != cursor;
}

static int reserve_nested(LaneProducer *producer, uint32_t size, LaneReservation *reservation)
{
    LaneWriter *writer = producer->writer;
    uint32_t levels = writer->nested + 1; /* below us */
    LaneView *view;
    uint64_t cursor;

    ada_store_relaxed(&writer->nested, levels);
    ada_signal_fence();
    view = writer->active;
    cursor = view->cursor;
    /* Each interrupted level may still have to reserve its record here, without looking again. */
    if ((uint64_t)ADA_POSITION_BYTES(cursor) + size + (uint64_t)levels * producer->record_max > view->bytes) {
        ada_signal_fence();
        ada_store_relaxed(&writer->nested, levels - 1);
        metrics_increment_dropped(producer->metrics, METRICS_DROP_NESTED, 1);
        return -ENOBUFS;
    }
    reservation->timestamp = ada_clock_ticks();
    ADA_TEST_POINT("reserve_nested.before");
    reserve_at(view, cursor, size, reservation);
    reservation->nested = true;
    return 0;
}

/*
 * How far below the interrupted frame the frames of a handler begin at least: the kernel puts the
 * machine's state there (over 1,000 bytes). A frame that is nearer, or above, is not that of a handler.
 * (The thread sanitizer calls handlers itself, like functions: then only a frame that is above is none.)
 */
#if defined(__SANITIZE_THREAD__)
#define LANE_HANDLER_DISTANCE 0u
#else
#define LANE_HANDLER_DISTANCE 768u
#endif

/*
 * Whether the level that `frame` belongs to was left by a jump: it is still set, but we run further up the
 * stack. On an alternate signal stack the addresses say nothing.
 */
static bool outermost_is_abandoned(const LaneWriter *writer)
{
    stack_t alternate;

    if (lane_stack_pointer() + LANE_HANDLER_DISTANCE <= writer->frame)
        return false;
    return sigaltstack(NULL, &alternate) == 0 && (alternate.ss_flags & SS_ONSTACK) == 0;
}

/*
 * Takes back what was begun since the last record that was published: nobody will complete it. False: the
 * jump left a swap half done, and the lane cannot go on.
 */
static bool recover_from_jump(LaneProducer *producer)
{
    LaneWriter *writer = producer->writer;
    LaneView *view;
    uint64_t published;
    sigset_t all, before;

    if (producer->swapping)
        return false;
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before); /* no handler may write while the cursor goes back */
    view = writer->active;
    published = ada_load_relaxed(&view->ring->published);
    metrics_increment_dropped(producer->metrics, METRICS_DROP_NESTED,
                              ADA_POSITION_RECORDS(view->cursor) - ADA_POSITION_RECORDS(published));
    view->cursor = published;
    ada_store_relaxed(&view->ring->reserved, published);
    if (ada_load_relaxed(&producer->lane->drain_owner) == ADA_DRAIN_PRODUCER)
        submit_queue_release_drain(producer->lane); /* it was left while taking a ring back */
    ada_store_relaxed(&writer->nested, 0u);
    ada_store_relaxed(&writer->frame, (uintptr_t)0);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return true;
}

int lane_reserve(LaneProducer *producer, uint32_t size, LaneReservation *reservation)
{
    LaneWriter *writer = producer->writer;
    LaneView *view;
    uint64_t cursor;

    if (writer->frame != 0 && !(outermost_is_abandoned(writer) && recover_from_jump(producer)))
        return reserve_nested(producer, size, reservation);

    ada_store_relaxed(&writer->frame, lane_stack_pointer());
    ada_signal_fence();
    for (;;) {
        view = writer->active;
        cursor = view->cursor;
        if (ADA_POSITION_BYTES(cursor) + size <= view->limit)
            break;
        if (lane_swap_active_ring(producer) != 0) {
            metrics_increment_dropped(producer->metrics, METRICS_DROP_FULL, 1);
            lane_publish_rest(writer); /* what handlers wrote meanwhile; ends with frame = 0 */
            return -ENOBUFS;
        }
    }
    reservation->timestamp = ada_clock_ticks();
    ADA_TEST_POINT("reserve.before");
    reserve_at(view, cursor, size, reservation);
    reservation->nested = false;
    ADA_TEST_POINT("reserve.after");
    return 0;
}

void lane_commit(LaneProducer *producer, const LaneReservation *reservation)
{
    LaneWriter *writer = producer->writer;

    ada_signal_fence();
    if (reservation->nested) {
        ada_store_relaxed(&writer->nested, writer->nested - 1);
        return; /* the outermost level publishes */
    }
    /* Pairs with the acquire in lane_reader_next(). */
    ada_store_release(&reservation->view->ring->published, reservation->end);
    ADA_TEST_POINT("commit.published");
    ada_signal_fence();
    ada_store_relaxed(&writer->frame, (uintptr_t)0);
    ada_signal_fence();
    if (ada_load_relaxed(&reservation->view->cursor) != reservation->end)
        lane_publish_rest(writer);
}

int lane_write_index_slow(LaneProducer *producer, uint32_t word, uint64_t id, uint64_t argument, uint32_t link)
{
    LaneReservation reservation;
    AdaIndexEvent *event;
    int error;

    error = lane_reserve(producer, ADA_INDEX_EVENT_SIZE, &reservation);
    if (error)
        return error;
    event = reservation.at;
    event->timestamp = reservation.late ? event[-1].timestamp : reservation.timestamp;
    event->id = id;
    event->argument = argument;
    event->word = reservation.nested ? word | ADA_WORD(0, ADA_FLAG_NESTED, 0) : word;
    event->link = link;
    ADA_TEST_POINT("slow.written");
    lane_commit(producer, &reservation);
    if (!reservation.nested && ada_load_relaxed(&reservation.view->ring->watch) != 0)
        lane_settle(producer);
    return 0;
}

void lane_mark(LaneProducer *producer)
{
    Lane *lane = producer->lane;
    uint64_t sequence;

    /* Again, if a handler swapped meanwhile: it may have marked, too, and further on. */
    do {
        sequence = ada_load_relaxed(&producer->writer->active->ring->sequence);
        ADA_TEST_POINT("mark.read");
        /* Pairs with the collector's acquire when it decides what to drain. */
        ada_store_release(&lane->mark_until, sequence + 2);
        ada_signal_fence();
    } while (ada_load_relaxed(&producer->writer->active->ring->sequence) != sequence);
    ada_store_release(&lane->marked, 1u);
}

void lane_producer_close(LaneProducer *producer, LaneView *closed_view)
{
    LaneWriter *writer = producer->writer;

    /* A thread that ends inside a handler leaves the interrupted record incomplete: it is not published. */
    if (writer->frame == 0)
        lane_publish_rest(writer);
    ada_store_relaxed(&writer->active, closed_view); /* an atomic switch for handlers, as in a swap */
}
