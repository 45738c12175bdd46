/* SPDX-License-Identifier: MIT */
#include "user/drain/thread_drain.h"

#include <errno.h>
#include <string.h>

#include "user/registry/thread_registry.h"

/* ---- the batch -------------------------------------------------------------------------------- */

void drain_batch_init(DrainBatch *batch, AdatWriter *writer)
{
    *batch = (DrainBatch){.writer = writer, .epoch = 1};
}

static void settle_lane(LaneDrain *lane, bool written)
{
    if (written)
        lane->in_file += lane->batched;
    else
        lane->dropped_io += lane->batched;
    lane->batched = 0;
    lane_reader_return_rings(&lane->reader);
}

int drain_batch_flush(DrainBatch *batch)
{
    int error = adat_writer_flush(batch->writer);

    batch->failing = error != 0;
    if (error) {
        batch->failures++;
        batch->last_error = error;
        batch->epoch++;
    }
    while (batch->touched) {
        ThreadDrainState *state = batch->touched;

        batch->touched = state->next_touched;
        state->touched = false;
        settle_lane(&state->index, error == 0);
        settle_lane(&state->detail, error == 0);
    }
    return error;
}

static void touch(DrainBatch *batch, ThreadDrainState *state)
{
    if (state->touched)
        return;
    state->touched = true;
    state->next_touched = batch->touched;
    batch->touched = state;
}

void drain_batch_put(DrainBatch *batch, const AdatBlockHeader *header, const void *payload, size_t bytes)
{
    if (adat_writer_room(batch->writer) < bytes)
        (void)drain_batch_flush(batch);
    /* Room enough now: this can only fail for lack of memory to grow, and then the block is lost as in a failed write. */
    if (adat_writer_put_block(batch->writer, header, payload, bytes) != 0)
        batch->epoch++;
}

/* ---- one thread ------------------------------------------------------------------------------- */

void thread_drain_init(ThreadDrainState *state, const Segment *segment, uint32_t slot, uint32_t process,
                       uint32_t thread)
{
    const SegmentGeometry *geometry = &segment->geometry;
    ThreadLaneSet *lanes = segment_lane_set(segment, slot);

    *state = (ThreadDrainState){
        .lanes = lanes,
        .header = segment->header,
        .process = process,
        .thread = thread,
        .slot = slot,
        .generation = ada_load_relaxed(&lanes->generation),
        .tid = ada_load_relaxed(&lanes->thread_id),
        .registered_at = ada_load_relaxed(&lanes->registered_at),
    };
    lane_reader_init(&state->index.reader, &lanes->index,
                     segment_at(segment, segment_rings_offset(geometry, slot, ADA_LANE_INDEX)),
                     ADA_LANE_INDEX, geometry->index_ring_count, geometry->index_ring_bytes);
    lane_reader_init(&state->detail.reader, &lanes->detail,
                     segment_at(segment, segment_rings_offset(geometry, slot, ADA_LANE_DETAIL)),
                     ADA_LANE_DETAIL, geometry->detail_ring_count, geometry->detail_ring_bytes);
}

/* Writes the THREAD block if it was not written yet, was lost, or says another name. */
static void describe_thread(ThreadDrainState *state, DrainBatch *batch)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_THREAD, .process = state->process, .thread = state->thread};
    AdatThread block = {
        .thread = state->thread,
        .process = state->process,
        .tid = state->tid,
        .slot = state->slot,
        .generation = state->generation,
        .registered_at = state->registered_at,
    };
    char name[ADA_THREAD_NAME_SIZE];

    if (!thread_lane_set_read_name(state->lanes, name))
        memcpy(name, state->name, sizeof(name)); /* being written: the next visit sees it */
    if (state->described == batch->epoch && memcmp(name, state->name, sizeof(name)) == 0)
        return;
    memcpy(state->name, name, sizeof(name));
    memcpy(block.name, name, sizeof(name));
    state->described = batch->epoch;
    drain_batch_put(batch, &header, &block, sizeof(block));
}

/*
 * Counts the whole records in a private copy of detail records. Returns the bytes they take, or
 * -EPROTO when a record's size is impossible.
 */
static int64_t walk_details(const char *copy, size_t size, uint32_t *records_out, AdatBlockHeader *header)
{
    uint32_t records = 0;
    size_t at = 0;

    while (size - at >= ADA_DETAIL_HEADER_SIZE) {
        AdaDetailRecord record;

        memcpy(&record, copy + at, sizeof(record));
        if (record.payload_size > ADA_PAYLOAD_MAX)
            return -EPROTO;
        if (ADA_DETAIL_RECORD_SIZE(record.payload_size) > size - at)
            break;
        at += ADA_DETAIL_RECORD_SIZE(record.payload_size);
        if (records++ == 0)
            header->first_time = record.timestamp;
        header->last_time = record.timestamp;
    }
    *records_out = records;
    return (int64_t)at;
}

static int64_t walk_index(const char *copy, size_t size, uint32_t *records_out, AdatBlockHeader *header)
{
    uint32_t records = (uint32_t)(size / ADA_INDEX_EVENT_SIZE);
    AdaIndexEvent event;

    memcpy(&event, copy, sizeof(event));
    header->first_time = event.timestamp;
    memcpy(&event, copy + (size_t)(records - 1) * ADA_INDEX_EVENT_SIZE, sizeof(event));
    header->last_time = event.timestamp;
    *records_out = records;
    return (int64_t)records * ADA_INDEX_EVENT_SIZE;
}

static AdatBlockHeader block_header(const ThreadDrainState *state, const LaneDrain *drain,
                                    const LaneChunk *chunk)
{
    const Lane *lane = drain->reader.lane;

    return (AdatBlockHeader){
        .type = drain->reader.kind == ADA_LANE_INDEX ? ADAT_BLOCK_INDEX : ADAT_BLOCK_DETAIL,
        .process = state->process,
        .thread = state->thread,
        .first_record = chunk->first_record,
        .dropped_full = ada_load_relaxed(&lane->dropped_full) + ada_load_relaxed(&lane->overwritten),
        .dropped_nested = ada_load_relaxed(&lane->dropped_nested),
        .dropped_io = drain->dropped_io,
        .recycled = ada_load_relaxed(&lane->recycled),
    };
}

/* Results of take_chunk(). */
enum { CHUNK_NONE, CHUNK_TAKEN, CHUNK_BATCH_FULL };

/* What of a lane is wanted on this visit. */
typedef struct Wanted {
    uint64_t until_sequence; /* rings below this */
    uint64_t budget_bytes;
    bool in_place; /* the ring that is being written, too */
} Wanted;

/* Copies one chunk, or as much of it as fits, into the batch. CHUNK_* or -EPROTO. The drain is held. */
static int take_chunk(ThreadDrainState *state, LaneDrain *drain, DrainBatch *batch, const Wanted *wanted,
                      uint64_t *bytes_out)
{
    LaneReader *reader = &drain->reader;
    AdatWriter *writer = batch->writer;
    AdatBlockHeader header;
    LaneChunk chunk;
    uint32_t records = 0;
    size_t size, smallest;
    int64_t bytes;
    char *copy;
    int found;

    found = lane_reader_next(reader, &chunk);
    if (found <= 0)
        return found;
    if (chunk.sequence >= wanted->until_sequence || (!chunk.submitted && !wanted->in_place))
        return CHUNK_NONE;
    if (chunk.bytes == 0) {
        lane_reader_consume(reader, &chunk, 0, 0);
        return CHUNK_TAKEN;
    }

    smallest = reader->kind == ADA_LANE_INDEX ? ADA_INDEX_EVENT_SIZE : ADA_DETAIL_RECORD_MAX;
    size = adat_writer_room(writer) & ~(size_t)(ADA_INDEX_EVENT_SIZE - 1);
    if (size < chunk.bytes && size < smallest)
        return CHUNK_BATCH_FULL;
    if (size > chunk.bytes)
        size = chunk.bytes;
    header = block_header(state, drain, &chunk);
    copy = adat_writer_begin_block(writer, &header, size);
    if (!copy)
        return CHUNK_BATCH_FULL;
    memcpy(copy, chunk.data, size);

    if (reader->kind == ADA_LANE_INDEX)
        bytes = walk_index(copy, size, &records, adat_writer_block_header(writer));
    else
        bytes = walk_details(copy, size, &records, adat_writer_block_header(writer));
    if (bytes <= 0 || (size == chunk.bytes && ((size_t)bytes != size || records != chunk.records)) ||
        records > chunk.records) {
        adat_writer_cancel_block(writer);
        return -EPROTO;
    }
    adat_writer_block_header(writer)->record_count = records;
    adat_writer_end_block(writer, (size_t)bytes);
    lane_reader_consume(reader, &chunk, records, (uint32_t)bytes);
    drain->batched += records;
    touch(batch, state);
    *bytes_out += (uint64_t)bytes;
    return CHUNK_TAKEN;
}

/*
 * A batch of this size is written at once: its rings go back to a producer that may be waiting for them, which
 * fills them while the next ones are drained. Waiting for all four made the two sides take turns.
 */
#define DRAIN_FLUSH_BYTES (60u << 10)

/* 1: more may be there; 0: drained; -EPROTO. */
static int drain_lane(ThreadDrainState *state, LaneDrain *drain, DrainBatch *batch, const Wanted *wanted)
{
    uint64_t bytes = 0;
    int result;

    do {
        int begun = lane_reader_begin(&drain->reader, state->producer_gone);

        if (begun <= 0)
            return begun < 0 ? begun : 1;
        do {
            result = take_chunk(state, drain, batch, wanted, &bytes);
        } while (result == CHUNK_TAKEN && bytes < wanted->budget_bytes &&
                 adat_writer_buffered(batch->writer) < DRAIN_FLUSH_BYTES);
        /* Also rings that were consumed in place before and came back empty are to be returned. */
        if (drain->reader.to_return_count > 0)
            touch(batch, state);
        lane_reader_end(&drain->reader);
        /* Not while we hold the drain: the producer may want a ring back. */
        if (result == CHUNK_BATCH_FULL || adat_writer_buffered(batch->writer) >= DRAIN_FLUSH_BYTES)
            (void)drain_batch_flush(batch);
    } while (result == CHUNK_BATCH_FULL || (result == CHUNK_TAKEN && bytes < wanted->budget_bytes));
    if (result < 0)
        return result;
    return result == CHUNK_TAKEN ? 1 : 0;
}

/* Rings of the detail lane with a sequence below this are wanted. */
static uint64_t detail_wanted_until(const ThreadDrainState *state)
{
    const Lane *lane = &state->lanes->detail;
    uint32_t mode = ada_load_relaxed(&state->header->detail);
    uint64_t by_thread, by_collector;

    if (mode == ADA_DETAIL_ALWAYS)
        return UINT64_MAX;
    if (mode != ADA_DETAIL_MARKED)
        return 0;
    by_thread = ada_load_acquire(&lane->mark_until);              /* pairs with lane_mark() */
    by_collector = ada_load_relaxed(&lane->collector_mark_until); /* our own */
    return by_thread > by_collector ? by_thread : by_collector;
}

/* Whether a visit can find anything of what is wanted. */
static bool lane_has_wanted(const LaneReader *reader, const Wanted *wanted)
{
    if (wanted->until_sequence == 0)
        return false;
    return wanted->in_place ? lane_reader_pending(reader) : lane_reader_submitted(reader);
}

int drain_thread_lanes(ThreadDrainState *state, DrainBatch *batch, uint64_t budget_bytes, bool in_place)
{
    LaneDrain *const drains[] = {&state->index, &state->detail};
    Wanted wanted[] = {
        {.until_sequence = UINT64_MAX},
        {.until_sequence = detail_wanted_until(state)},
    };
    int more = 0;

    describe_thread(state, batch);
    for (size_t lane = 0; lane < 2; lane++) {
        wanted[lane].budget_bytes = budget_bytes;
        wanted[lane].in_place = in_place || state->producer_gone;
        if (lane_has_wanted(&drains[lane]->reader, &wanted[lane])) {
            int result = drain_lane(state, drains[lane], batch, &wanted[lane]);

            if (result < 0)
                return result;
            more |= result;
        } else {
            lane_reader_return_rings(&drains[lane]->reader); /* wakes ada_flush() */
        }
    }
    return more;
}

/* ---- the account ------------------------------------------------------------------------------ */

static uint64_t minimum(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void thread_drain_account(const ThreadDrainState *state, uint32_t lane_kind, bool final, AdatLedgerEntry *entry)
{
    const LaneDrain *drain = lane_kind == ADA_LANE_INDEX ? &state->index : &state->detail;
    const Lane *lane = drain->reader.lane;
    uint64_t written = lane_events_written(lane);
    uint64_t reserved = lane_events_reserved(lane);
    uint64_t overwritten = ada_load_relaxed(&lane->overwritten);
    uint64_t recycled = ada_load_relaxed(&lane->recycled);
    uint64_t consumed = drain->reader.consumed;
    uint64_t rest = written > consumed ? written - consumed : 0; /* completed, but not taken over */
    uint64_t begun = reserved > written ? reserved - written : 0;

    *entry = (AdatLedgerEntry){
        .process = state->process,
        .thread = state->thread,
        .lane = lane_kind,
        .in_file = drain->in_file,
        .dropped_full = ada_load_relaxed(&lane->dropped_full),
        .dropped_nested = ada_load_relaxed(&lane->dropped_nested),
        .dropped_io = drain->dropped_io,
    };
    if (!final) {
        overwritten = minimum(overwritten, rest);
        recycled = minimum(recycled, rest - overwritten);
        entry->pending = rest - overwritten - recycled + begun;
    } else {
        /*
         * What was completed and not taken over is gone. The producer counts when it takes a ring back,
         * but may be killed between counting and taking: the difference of positions is what is exact.
         */
        bool unmarked_kept_out =
            lane_kind == ADA_LANE_DETAIL && ada_load_relaxed(&state->header->detail) != ADA_DETAIL_ALWAYS;

        overwritten = unmarked_kept_out ? minimum(overwritten, rest) : rest;
        recycled = rest - overwritten;
        entry->torn = begun;
    }
    entry->dropped_full += overwritten;
    entry->recycled_unmarked = recycled;
    entry->attempted = entry->in_file + entry->dropped_full + entry->dropped_nested + entry->dropped_io +
                       entry->recycled_unmarked + entry->torn + entry->pending;
}
