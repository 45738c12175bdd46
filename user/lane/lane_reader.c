/* SPDX-License-Identifier: MIT */
#include "user/lane/lane_reader.h"

#include <errno.h>

#include "user/lane/futex.h"
#include "user/lane/test_point.h"

/* ---- after another collector ------------------------------------------------------------------- */

/* Rings that were taken and not given back. A lane begins with all rings but one in the free queue. */
static uint32_t count_held(const LaneReader *reader)
{
    return ADA_TAKEN_COUNT(reader->taken) - ((uint32_t)reader->free.tail - (reader->ring_count - 1));
}

/*
 * The collector before us died holding the drain, so maybe amid taking a ring: the one that it noted last may still be in the
 * queue. Now, while the drain is still held: as soon as it is free the producer may take that ring back.
 */
static void finish_taking(LaneReader *reader)
{
    uint32_t held = reader->inherited_count;
    uint32_t queued;

    if (held > 0 && spsc_queue_peek(&reader->submit, &queued) == 1 && queued == reader->inherited[held - 1]) {
        reader->inherited_count--;
        reader->taken = (reader->taken >> 8 & ~(uint64_t)UINT32_MAX) | (ADA_TAKEN_COUNT(reader->taken) - 1);
        ada_store_relaxed(&reader->lane->taken, reader->taken);
    }
    submit_queue_release_drain(reader->lane);
}

/* Relaxed throughout: written by collectors alone, and the end of the one before was seen when its claim was free. */
static void inherit(LaneReader *reader)
{
    const Lane *lane = reader->lane;
    uint32_t held;

    reader->next_record = reader->first_record = ada_load_relaxed(&lane->settled_records);
    reader->mark_until = ada_load_relaxed(&lane->collector_mark_until);
    reader->taken = ada_load_relaxed(&lane->taken);
    held = count_held(reader);
    reader->impossible = held > reader->ring_count;
    for (uint32_t i = 0; i < held && !reader->impossible; i++) {
        reader->inherited[i] = ADA_TAKEN_RING(reader->taken, held - 1 - i);
        reader->impossible = reader->inherited[i] >= reader->ring_count;
    }
    reader->inherited_count = reader->impossible ? 0 : held;
    if (ada_load_relaxed(&lane->drain_owner) == ADA_DRAIN_COLLECTOR)
        finish_taking(reader);
    /* The producer fills one. */
    reader->impossible = reader->impossible || reader->inherited_count >= reader->ring_count;
}

/* Where in a ring the record `skip` behind its first one begins, of what is published there. False: impossible sizes. */
static bool find_position(const LaneReader *reader, uint32_t ring, uint64_t skip, uint64_t published,
                          uint64_t *position_out)
{
    const char *data = reader->rings + (size_t)ring * reader->ring_bytes;
    uint32_t records = ADA_POSITION_RECORDS(published), end = ADA_POSITION_BYTES(published);
    uint32_t bytes = 0;

    if (skip >= records) {
        *position_out = published;
        return true;
    }
    if (reader->kind == ADA_LANE_INDEX) {
        *position_out = ADA_POSITION(skip, skip * ADA_INDEX_EVENT_SIZE);
        return true;
    }
    for (uint64_t i = 0; i < skip; i++) {
        uint32_t payload;

        if (end - bytes < ADA_DETAIL_HEADER_SIZE)
            return false;
        payload = ada_load_relaxed(&((const AdaDetailRecord *)(const void *)(data + bytes))->payload_size);
        if (payload > ADA_PAYLOAD_MAX || ADA_DETAIL_RECORD_SIZE(payload) > end - bytes)
            return false;
        bytes += ADA_DETAIL_RECORD_SIZE(payload);
    }
    *position_out = ADA_POSITION(skip, bytes);
    return true;
}

/* ---- taking ------------------------------------------------------------------------------------- */

void lane_reader_init(LaneReader *reader, Lane *lane, const char *rings, uint32_t kind, uint32_t ring_count,
                      uint32_t ring_bytes)
{
    *reader = (LaneReader){
        .lane = lane,
        .rings = rings,
        .kind = kind,
        .ring_count = ring_count,
        .ring_bytes = ring_bytes,
    };
    spsc_consumer_init(&reader->submit, &lane->submit_queue, NULL, 0);
    spsc_producer_init(&reader->free, &lane->free_queue, NULL, 0);
    inherit(reader);
}

bool lane_reader_pending(const LaneReader *reader)
{
    const Lane *lane = reader->lane;
    const RingControl *ring;

    /* Relaxed: only a hint; lane_reader_next() reads the same words with acquire. */
    if (lane_reader_submitted(reader))
        return true;
    ring = &lane->rings[ada_load_relaxed(&lane->active_ring_index) % ADA_RINGS_MAX];
    return ada_load_relaxed(&ring->base_record) + ADA_POSITION_RECORDS(ada_load_relaxed(&ring->published)) !=
           reader->next_record;
}

int lane_reader_begin(LaneReader *reader, bool producer_gone)
{
    int error;

    if (producer_gone)
        submit_queue_force_acquire_drain(reader->lane);
    else if (!submit_queue_try_acquire_drain(reader->lane, ADA_DRAIN_COLLECTOR))
        return 0;
    error = reader->impossible ? -EPROTO : spsc_consumer_resync(&reader->submit);
    if (!error && !reader->begun) {
        reader->begun = true;
        ada_store_release(&reader->lane->drained_records, reader->next_record); /* as in lane_reader_consume() */
    }
    if (error) {
        submit_queue_release_drain(reader->lane);
        return error;
    }
    return 1;
}

/* See wait_for_ring(): both sides touch the flag by read-modify-write. */
static void wake_producer(LaneReader *reader)
{
    if (ada_exchange_acq_rel(&reader->lane->waiting, 0u))
        ada_futex_wake(&reader->lane->waiting);
}

void lane_reader_end(LaneReader *reader)
{
    submit_queue_release_drain(reader->lane);
    /* It may wait for nothing but this, to take an unmarked ring back. One that begins just now is seen at the next visit. */
    if (reader->kind == ADA_LANE_DETAIL && ada_load_relaxed(&reader->lane->waiting))
        wake_producer(reader);
}

/* Whether a position can be one of this lane's rings. */
static bool position_is_possible(const LaneReader *reader, uint64_t position)
{
    uint32_t bytes = ADA_POSITION_BYTES(position);
    uint64_t records = ADA_POSITION_RECORDS(position);

    if (bytes > reader->ring_bytes || bytes % 8 != 0)
        return false;
    if (reader->kind == ADA_LANE_INDEX)
        return bytes == records * ADA_INDEX_EVENT_SIZE;
    return bytes >= records * ADA_DETAIL_HEADER_SIZE && bytes <= records * ADA_DETAIL_RECORD_MAX;
}

/* Describes what a ring holds from the position `start` on; `published` is possible. 1, or -EPROTO. */
static int describe_rest(const LaneReader *reader, uint32_t ring, uint64_t base_record, uint64_t start,
                         uint64_t published, LaneChunk *chunk)
{
    if (ADA_POSITION_BYTES(published) < ADA_POSITION_BYTES(start) ||
        ADA_POSITION_RECORDS(published) < ADA_POSITION_RECORDS(start))
        return -EPROTO;
    if (!position_is_possible(reader, published - start))
        return -EPROTO;
    *chunk = (LaneChunk){
        .data = reader->rings + (size_t)ring * reader->ring_bytes + ADA_POSITION_BYTES(start),
        .bytes = ADA_POSITION_BYTES(published) - ADA_POSITION_BYTES(start),
        .records = ADA_POSITION_RECORDS(published) - ADA_POSITION_RECORDS(start),
        .first_record = base_record + ADA_POSITION_RECORDS(start),
        .sequence = ada_load_relaxed(&reader->lane->rings[ring].sequence),
        .ring = ring,
        .start = start,
        .base_record = base_record,
    };
    return 1;
}

static bool is_before(uint64_t record, uint64_t other)
{
    return (int64_t)(record - other) < 0;
}

/* Describes what is new in one ring. 1, or -EPROTO. */
static int describe_ring(const LaneReader *reader, uint32_t ring, uint64_t base_record, uint64_t published,
                         bool submitted, LaneChunk *chunk)
{
    bool resumed = reader->partial != 0 && ring == reader->partial_ring && base_record == reader->partial_base;
    uint64_t start = resumed ? reader->partial : 0;
    int error;

    if (!position_is_possible(reader, published))
        return -EPROTO;
    /* Where the collector before us had come to. Once we have taken a record, it would repeat some. */
    if (!resumed && is_before(base_record, reader->next_record) &&
        (reader->next_record != reader->first_record ||
         !find_position(reader, ring, reader->next_record - base_record, published, &start)))
        return -EPROTO;
    error = describe_rest(reader, ring, base_record, start, published, chunk);
    if (error < 0)
        return error;
    if (is_before(chunk->first_record, reader->next_record))
        chunk->first_record = reader->next_record; /* all of the ring is another's: nothing is left of it */
    chunk->submitted = submitted;
    return 1;
}

/* The oldest submitted ring, whole. 1, 0 = queue empty, -EPROTO. */
static int next_submitted(LaneReader *reader, LaneChunk *chunk)
{
    const RingControl *control;
    uint32_t ring;
    int found = spsc_queue_peek(&reader->submit, &ring);

    if (found <= 0)
        return found;
    if (ring >= reader->ring_count || reader->to_return_count >= reader->ring_count)
        return -EPROTO;
    control = &reader->lane->rings[ring];
    /* The push that made the queue non-empty (release) granted both fields; nobody changes them before we give the ring back. */
    return describe_ring(reader, ring, ada_load_relaxed(&control->base_record),
                         ada_load_acquire(&control->published), true, chunk);
}

/* The oldest ring that a collector which died had in its hands. 1, or -EPROTO. */
static int next_inherited(const LaneReader *reader, LaneChunk *chunk)
{
    uint32_t ring = reader->inherited[reader->inherited_next];
    const RingControl *control = &reader->lane->rings[ring];
    int found;

    /* Sealed, and nobody's but ours: that the one before was dead showed in its claim. */
    found = describe_ring(reader, ring, ada_load_relaxed(&control->base_record),
                          ada_load_acquire(&control->published), true, chunk);
    if (found > 0)
        chunk->inherited = true;
    return found;
}

int lane_reader_next(LaneReader *reader, LaneChunk *chunk)
{
    const RingControl *control;
    uint64_t base_record, published;
    uint32_t ring;
    int found;

    if (reader->inherited_next < reader->inherited_count)
        return next_inherited(reader, chunk);
    found = next_submitted(reader, chunk);
    if (found != 0)
        return found;

    /* Pairs with the release in lane_swap_active_ring(): grants the submission of the ring before. */
    ring = ada_load_acquire(&reader->lane->active_ring_index);
    if (ring >= reader->ring_count)
        return -EPROTO;
    ADA_TEST_POINT("reader.active");
    control = &reader->lane->rings[ring];
    /*
     * After n submissions the ring being filled is the one with sequence n, and with the queue empty n is
     * our head. The tail that showed so (acquire) granted that ring's reset and its base_record, and as
     * long as we hold the drain it is put to no other use. Any other sequence: either the queue has grown
     * since we looked, which the acquire above shows; or the index is behind it (a swap stands between the
     * two), the ring may be in the middle of its next reset, and there is nothing to read yet.
     */
    if (ada_load_relaxed(&control->sequence) != reader->submit.head) {
        reader->watch_position = UINT64_MAX; /* impossible: look again */
        return next_submitted(reader, chunk);
    }
    base_record = ada_load_relaxed(&control->base_record);
    /* Pairs with the release that published the record: grants everything below the position. */
    published = ada_load_acquire(&control->published);
    if (!is_before(reader->next_record, base_record + ADA_POSITION_RECORDS(published))) {
        reader->watch_ring = ring;
        reader->watch_position = published;
        return 0;
    }
    return describe_ring(reader, ring, base_record, published, false, chunk);
}

/* The last step of a submitted ring: it is in our hands now, until lane_reader_return_rings(). */
static void take_ring(LaneReader *reader, const LaneChunk *chunk)
{
    reader->to_return[reader->to_return_count++] = chunk->ring;
    reader->partial = 0;
    if (chunk->inherited) {
        reader->inherited_next++;
        return;
    }
    reader->taken = ADA_TAKEN(reader->taken, chunk->ring);
    ada_store_relaxed(&reader->lane->taken,
                      reader->taken); /* before the pop, which is a release: see lane_reader_init() */
    ADA_TEST_POINT("reader.noted");
    spsc_queue_pop(&reader->submit);
    ADA_TEST_POINT("reader.taken");
}

void lane_reader_pass(LaneReader *reader, const LaneChunk *chunk)
{
    reader->next_record = chunk->first_record + chunk->records;
    take_ring(reader, chunk);
}

void lane_reader_consume(LaneReader *reader, const LaneChunk *chunk, uint32_t records, uint32_t bytes)
{
    reader->next_record = chunk->first_record + records;
    reader->consumed += records;
    if (chunk->submitted && bytes == chunk->bytes) {
        take_ring(reader, chunk);
    } else {
        reader->partial_ring = chunk->ring;
        reader->partial_base = chunk->base_record;
        reader->partial = chunk->start + ADA_POSITION(records, bytes);
        reader->watch_ring = chunk->ring;
        reader->watch_position = reader->partial;
    }
    /* Read by a producer that takes a ring back, which then holds drain_owner; and by ada_flush() (acquire). */
    ada_store_release(&reader->lane->drained_records, reader->next_record);
}

void lane_reader_skip_taken_back(LaneReader *reader, bool producer_gone)
{
    uint64_t oldest;
    uint32_t ring;
    int found;

    if (lane_reader_inherits(reader) || lane_reader_begin(reader, producer_gone) != 1)
        return;
    found = spsc_queue_peek(&reader->submit, &ring);
    if (found == 0)
        ring = ada_load_acquire(&reader->lane->active_ring_index); /* as in lane_reader_next() */
    if (found >= 0 && ring < reader->ring_count &&
        (found > 0 || ada_load_relaxed(&reader->lane->rings[ring].sequence) == reader->submit.head)) {
        oldest = ada_load_relaxed(&reader->lane->rings[ring].base_record);
        if (is_before(reader->next_record, oldest))
            reader->next_record = oldest;
    }
    lane_reader_end(reader);
}

void lane_reader_mark(LaneReader *reader)
{
    Lane *lane = reader->lane;
    /* Pairs with the release in lane_swap_active_ring(). A hostile value keeps more, of that process's own. */
    uint32_t ring = ada_load_acquire(&lane->active_ring_index) % ADA_RINGS_MAX;
    uint64_t until = ada_load_relaxed(&lane->rings[ring].sequence) + 2;

    if (until <= reader->mark_until)
        return;
    reader->mark_until = until;
    /* Pairs with the acquire in ring_is_unmarked(). */
    ada_store_release(&lane->collector_mark_until, until);
}

/* ---- looking without taking --------------------------------------------------------------------- */

/* Describes what of a ring was not looked at. 1; 0: all was; -EPROTO. */
static int peek_ring(const LaneReader *reader, const LanePeek *peek, uint32_t ring, uint64_t published,
                     LaneChunk *chunk)
{
    uint64_t base = ada_load_relaxed(&reader->lane->rings[ring].base_record);
    bool resumed = peek->position != 0 && ring == peek->ring && base == peek->base;
    uint64_t start = resumed ? peek->position : 0;

    if (!is_before(peek->next_record, base + ADA_POSITION_RECORDS(published)))
        return 0;
    if (!position_is_possible(reader, published))
        return -EPROTO;
    /* What another collector had looked at. */
    if (!resumed && is_before(base, peek->next_record) &&
        !find_position(reader, ring, peek->next_record - base, published, &start))
        return -EPROTO;
    return describe_rest(reader, ring, base, start, published, chunk);
}

int lane_reader_peek(LaneReader *reader, const LanePeek *peek, LaneChunk *chunk)
{
    const RingControl *control;
    int64_t submitted = spsc_queue_length(&reader->submit);
    uint32_t ring;

    if (submitted < 0)
        return (int)submitted;
    for (uint64_t i = 0; i < (uint64_t)submitted; i++) {
        int found;

        /* The acquire in spsc_queue_length() granted the value, and the ring that it names. */
        ring = spsc_queue_peek_at(&reader->submit, i);
        if (ring >= reader->ring_count)
            return -EPROTO;
        found = peek_ring(reader, peek, ring, ada_load_acquire(&reader->lane->rings[ring].published), chunk);
        if (found != 0)
            return found;
    }
    ring = ada_load_acquire(&reader->lane->active_ring_index); /* as in lane_reader_next() */
    if (ring >= reader->ring_count)
        return -EPROTO;
    control = &reader->lane->rings[ring];
    if (ada_load_relaxed(&control->sequence) != reader->submit.head + (uint64_t)submitted)
        return 0; /* amid a swap */
    return peek_ring(reader, peek, ring, ada_load_acquire(&control->published), chunk);
}

void lane_peek_advance(LanePeek *peek, const LaneChunk *chunk, uint32_t records, uint32_t bytes)
{
    peek->next_record = chunk->first_record + records;
    peek->ring = chunk->ring;
    peek->base = chunk->base_record;
    peek->position = chunk->start + ADA_POSITION(records, bytes);
}

/* ---- giving back ------------------------------------------------------------------------------- */

void lane_reader_return_rings(LaneReader *reader)
{
    /* The flag is looked at on every visit, so a waiter that sets it just now is found by the next. */
    if (reader->to_return_count == 0 && !ada_load_relaxed(&reader->lane->waiting))
        return;
    for (uint32_t i = 0; i < reader->to_return_count; i++) { /* oldest first: see lane_reader_init() */
        (void)spsc_queue_push(&reader->free,
                              reader->to_return[i]); /* at most ring_count of them, fewer than places */
        ADA_TEST_POINT("reader.returned");
    }
    reader->to_return_count = 0;
    wake_producer(reader);
}
