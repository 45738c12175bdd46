/* SPDX-License-Identifier: MIT */
#include "user/drain/thread_drain.h"

#include <errno.h>
#include <string.h>

#include "user/drain/cache_lines.h"
#include "user/drain/thread_drain_losses.h"
#include "user/drain/thread_marks.h"
#include "user/file/event_pack.h"
#include "user/lane/test_point.h"
#include "user/registry/thread_registry.h"

/* ---- one thread ------------------------------------------------------------------------------- */

/* Where the account of the collector before us ends. */
static void begin_lane(LaneDrain *drain)
{
    drain->first_record = drain->reader.first_record;
    drain->before = settled_losses(drain->reader.lane);
    drain->told = (AdatLaneProgress){.next_record = drain->first_record, .losses = drain->before};
    drain->settled = drain->told;
}

void thread_drain_init(ThreadDrainState *state, DrainSource *source, uint32_t slot, uint32_t thread)
{
    const Segment *segment = source->segment;
    const SegmentGeometry *geometry = &segment->geometry;
    ThreadLaneSet *lanes = segment_lane_set(segment, slot);

    *state = (ThreadDrainState){
        .lanes = lanes,
        .source = source,
        .process = source->process,
        .thread = thread,
        .slot = slot,
        .generation = ada_load_relaxed(&lanes->generation),
        .tid = ada_load_relaxed(&lanes->thread_id),
        .registered_at = ada_load_relaxed(&lanes->registered_at),
        .weight = DRAIN_WEIGHT_DEFAULT,
    };
    lane_reader_init(&state->index.reader, &lanes->index,
                     segment_at(segment, segment_rings_offset(geometry, slot, ADA_LANE_INDEX)),
                     ADA_LANE_INDEX, geometry->index_ring_count, geometry->index_ring_bytes);
    lane_reader_init(&state->detail.reader, &lanes->detail,
                     segment_at(segment, segment_rings_offset(geometry, slot, ADA_LANE_DETAIL)),
                     ADA_LANE_DETAIL, geometry->detail_ring_count, geometry->detail_ring_bytes);
    begin_lane(&state->index);
    begin_lane(&state->detail);
    state->peek.next_record = state->detail.reader.first_record;
    if (ada_load_relaxed(&lanes->metrics.rates.window_start) !=
        0) /* of a collector before us, maybe amid an update */
        ada_store_relaxed(&lanes->metrics.rates.window_start, 0ull);
    mark_thread_init(&state->mark);
}

ThreadDescription thread_drain_description(const ThreadDrainState *state)
{
    ThreadDescription description = {
        .thread =
            {
                .thread = state->thread,
                .process = state->process,
                .tid = state->tid,
                .slot = state->slot,
                .generation = state->generation,
                .registered_at = state->registered_at,
            },
        .start =
            {
                .first_record = {state->index.first_record, state->detail.first_record},
                .losses = {state->index.before, state->detail.before},
            },
    };

    memcpy(description.thread.name, state->name, sizeof(description.thread.name));
    return description;
}

size_t thread_description_bytes(const ThreadDescription *description)
{
    static const AdatThreadStart beginning;

    return memcmp(&description->start, &beginning, sizeof(beginning)) ? sizeof(*description)
                                                                      : sizeof(description->thread);
}

/* By its name it has its weight. `version`: of the name, read before it. */
static void describe_anew(ThreadDrainState *state, DrainBatch *batch, uint32_t version)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_THREAD, .process = state->process, .thread = state->thread};
    ThreadDescription block;
    char name[ADA_THREAD_NAME_SIZE];

    if (!thread_lane_set_read_name(state->lanes, name))
        memcpy(name, state->name, sizeof(name)); /* being written: a later visit sees it */
    else
        state->name_version = version;
    if (state->described == batch->epoch && memcmp(name, state->name, sizeof(name)) == 0)
        return;
    memcpy(state->name, name, sizeof(name));
    if (state->source->weights)
        state->weight = weight_rules_find(state->source->weights, name);
    block = thread_drain_description(state);
    /* If there was no room, what was before it was written, or lost: it is in the batch that is there now. */
    if (drain_batch_put(batch, &header, &block, thread_description_bytes(&block)) == 0)
        state->described = batch->epoch;
}

void thread_drain_describe(ThreadDrainState *state, DrainBatch *batch)
{
    uint32_t version = ada_load_relaxed(&state->lanes->name_version); /* a hint; the name is read in order */

    if (state->described != batch->epoch || version != state->name_version)
        describe_anew(state, batch, version);
}

int64_t thread_drain_walk_details(const char *copy, size_t size, uint32_t *records_out, AdatBlockHeader *header)
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

/* `counted`: the thread's losses. */
static AdatBlockHeader block_header(const ThreadDrainState *state, const LaneDrain *drain,
                                    const LaneChunk *chunk, const LaneLosses *counted)
{
    const LaneReader *reader = &drain->reader;
    const LaneLosses losses = losses_since(counted, &drain->before);
    AdatAccount account = {.dropped_full = losses.full};

    account_gone(state, reader->kind, &losses, passed_records(drain, chunk->first_record), &account);
    return (AdatBlockHeader){
        .type = reader->kind == ADA_LANE_INDEX ? ADAT_BLOCK_INDEX : ADAT_BLOCK_DETAIL,
        .process = state->process,
        .thread = state->thread,
        .first_record = chunk->first_record,
        .dropped_full = account.dropped_full,
        .dropped_nested = losses.nested,
        .dropped_io = drain->dropped_io,
        .recycled = account.recycled_unmarked,
    };
}

/* ---- taking ----------------------------------------------------------------------------------- */

/* Results of take_chunk(). */
enum {
    CHUNK_NONE,
    CHUNK_TAKEN,
    CHUNK_LAST, /* taken, and it was all that there was a moment ago */
    CHUNK_BATCH_FULL,
};

/* What of a lane is wanted on this visit. */
typedef struct Wanted {
    uint64_t until_sequence; /* rings below this */
    uint64_t bytes;          /* left of the budget */
    uint64_t taken;          /* bytes; a record is taken whole, even beyond the budget */
    bool in_place;           /* the ring that is being written, too */
} Wanted;

/* How much of a chunk's index events to pack: as many as the budget allows. A ring is not parted for want of room behind other blocks. 0: flush first. */
static size_t events_to_take(const LaneChunk *chunk, const AdatWriter *writer, uint64_t budget)
{
    size_t room = adat_writer_lane_room(writer) / EVENT_PACKED_MAX * ADA_INDEX_EVENT_SIZE;
    size_t size = chunk->bytes;

    if (size > budget)
        size = budget > ADA_INDEX_EVENT_SIZE ? (size_t)budget / ADA_INDEX_EVENT_SIZE * ADA_INDEX_EVENT_SIZE
                                             : ADA_INDEX_EVENT_SIZE;
    if (size <= room)
        return size;
    return adat_writer_buffered(writer) > 0 ? 0 : room;
}

/* The same of detail records: the last one may not be whole. */
static size_t details_to_take(const LaneChunk *chunk, const AdatWriter *writer, uint64_t budget)
{
    size_t size = adat_writer_lane_room(writer) & ~(size_t)7;

    if (size < chunk->bytes && size < ADA_DETAIL_RECORD_MAX)
        return 0;
    if (size > budget)
        size = budget > ADA_DETAIL_RECORD_MAX ? (size_t)budget & ~(size_t)7 : ADA_DETAIL_RECORD_MAX;
    return size < chunk->bytes ? size : chunk->bytes;
}

/* What became of a part of a chunk. */
typedef struct Taken {
    uint32_t records;
    size_t bytes;   /* of the chunk */
    size_t payload; /* of the block */
} Taken;

#define PIECE_EVENTS 128u /* stay in the first-level cache from the ring to the block */

/*
 * Packs `count` index events of a ring into the block: copied piece by piece, so that what is looked at and what is
 * packed is the same private memory.
 */
static void take_index(ThreadDrainState *state, DrainBatch *batch, const char *ring, uint32_t count,
                       char *out, AdatBlockHeader *header, Taken *taken)
{
    AdaIndexEvent piece[PIECE_EVENTS];
    EventPacker packer = {0};

    while (taken->records < count) {
        uint32_t wanted = count - taken->records < PIECE_EVENTS ? count - taken->records : PIECE_EVENTS;

        memcpy(piece, ring + taken->bytes, wanted * sizeof(piece[0]));
        if (count >= PIECE_EVENTS) /* a slow lane takes its time until these lines are written to again */
            cache_lines_give_up(ring + taken->bytes, wanted * sizeof(piece[0]));
        if (taken->records == 0) {
            header->first_time = piece[0].timestamp;
            event_packer_begin(&packer, header->first_time);
        }
        taken->payload += event_pack(&packer, piece, wanted, out + taken->payload);
        drain_batch_sample(batch, state->source->clock_kind, piece, wanted);
        thread_marks_scan(state, piece, wanted, header, taken->records);
        taken->records += wanted;
        taken->bytes += wanted * sizeof(piece[0]);
    }
    header->last_time = packer.before.timestamp;
    header->flags = ADAT_FLAG_PACKED;
}

/* Copies whole detail records. -EPROTO: one of them has an impossible size. */
static int take_details(const char *ring, size_t size, char *out, AdatBlockHeader *header, Taken *taken)
{
    int64_t bytes;

    memcpy(out, ring, size);
    bytes = thread_drain_walk_details(out, size, &taken->records, header);
    if (bytes <= 0)
        return -EPROTO;
    taken->bytes = taken->payload = (size_t)bytes;
    return 0;
}

/* Copies one chunk, or as much of it as fits, into the batch. CHUNK_* or -EPROTO. The drain is held. */
static int take_chunk(ThreadDrainState *state, LaneDrain *drain, DrainBatch *batch, Wanted *wanted)
{
    LaneReader *reader = &drain->reader;
    AdatWriter *writer = batch->writer;
    AdatBlockHeader header, *placed;
    LaneLosses counted;
    LaneChunk chunk;
    Taken taken = {0};
    bool is_index;
    size_t size;
    char *copy;
    int found;

    found = lane_reader_next(reader, &chunk);
    if (found <= 0)
        return found;
    if (chunk.inherited && chunk.sequence >= wanted->until_sequence) {
        lane_reader_pass(reader, &chunk);
        return CHUNK_TAKEN;
    }
    if (chunk.sequence >= wanted->until_sequence || (!chunk.submitted && !wanted->in_place))
        return CHUNK_NONE;
    if (chunk.bytes == 0) {
        lane_reader_consume(reader, &chunk, 0, 0);
        return CHUNK_TAKEN;
    }

    is_index = reader->kind == ADA_LANE_INDEX;
    size = is_index ? events_to_take(&chunk, writer, wanted->bytes)
                    : details_to_take(&chunk, writer, wanted->bytes);
    if (size == 0)
        return CHUNK_BATCH_FULL;
    counted = counted_losses(state, reader->kind);
    header = block_header(state, drain, &chunk, &counted);
    /* There is room: size was chosen so. */
    copy = adat_writer_begin_lane_block(writer, &header,
                                        is_index ? size / ADA_INDEX_EVENT_SIZE * EVENT_PACKED_MAX : size);
    placed = adat_writer_block_header(writer);
    if (is_index)
        take_index(state, batch, chunk.data, (uint32_t)(size / ADA_INDEX_EVENT_SIZE), copy, placed, &taken);
    else
        found = take_details(chunk.data, size, copy, placed, &taken);
    if (found < 0 || taken.records > chunk.records ||
        (taken.bytes == chunk.bytes) != (taken.records == chunk.records)) {
        adat_writer_cancel_block(writer);
        return -EPROTO;
    }
    if (!is_index)
        thread_marks_scan_taken(state, &chunk, copy, taken.records, (uint32_t)taken.bytes);
    placed->record_count = taken.records;
    adat_writer_end_block(writer, taken.payload);
    lane_reader_consume(reader, &chunk, taken.records, (uint32_t)taken.bytes);
    drain->batched += taken.records;
    tell_progress(drain, &(AdatLaneProgress){.next_record = reader->next_record, .losses = counted});
    ADA_TEST_POINT("drain.taken");
    drain_batch_touch(batch, state);
    batch->bytes += taken.bytes;
    batch->metrics->records += taken.records;
    wanted->bytes -= taken.bytes < wanted->bytes ? taken.bytes : wanted->bytes;
    wanted->taken += taken.bytes;
    state->stats.bytes += taken.bytes;
    return chunk.submitted || taken.bytes < chunk.bytes ? CHUNK_TAKEN : CHUNK_LAST;
}

/*
 * A batch that has taken so much out of rings is written at once if its lane is short of them: they go back to a producer that may be
 * waiting, which fills them while the next ones are drained. Waiting for all four made the two sides take turns; waiting for
 * two rings of the default size the producer slept twice as often as with one (flat out, 2,600 instead of 1,100 times in 80 M events).
 * Where nobody is in a hurry, everything goes out with one write.
 */
#define DRAIN_HURRY_BYTES (56u << 10)

static bool is_time_to_flush(const LaneDrain *drain, const DrainBatch *batch)
{
    uint32_t away = drain->reader.to_return_count + lane_reader_backlog(&drain->reader);

    return away >= drain->reader.ring_count / 2 && batch->bytes >= DRAIN_HURRY_BYTES;
}

/* 0 and what the visit came to, added to *visit; -EPROTO. */
static int drain_lane(ThreadDrainState *state, LaneDrain *drain, DrainBatch *batch, Wanted *wanted,
                      DrainVisit *visit)
{
    int result;

    do {
        int begun = lane_reader_begin(&drain->reader, state->producer_gone);
        bool hurry;

        if (begun < 0)
            return begun;
        if (begun == 0) {
            visit->skipped = true;
            return 0;
        }
        do {
            result = take_chunk(state, drain, batch, wanted);
        } while (result == CHUNK_TAKEN && wanted->bytes > 0 && !is_time_to_flush(drain, batch));
        /* Also rings that were consumed in place before and came back empty are to be returned. */
        if (drain->reader.to_return_count > 0)
            drain_batch_touch(batch, state);
        hurry = is_time_to_flush(drain, batch);
        lane_reader_end(&drain->reader);
        /* Not while we hold the drain: the producer may want a ring back. */
        if (result == CHUNK_BATCH_FULL || hurry)
            (void)drain_batch_flush(batch);
    } while (result == CHUNK_BATCH_FULL || (result == CHUNK_TAKEN && wanted->bytes > 0));
    if (result < 0)
        return result;
    visit->bytes += wanted->taken;
    visit->more = visit->more || result == CHUNK_TAKEN;
    return 0;
}

/* Rings of the detail lane with a sequence below this are wanted. */
static uint64_t detail_wanted_until(const ThreadDrainState *state)
{
    const Lane *lane = &state->lanes->detail;
    uint32_t mode = ada_load_relaxed(&state->source->segment->header->detail);
    uint64_t by_thread;

    if (mode == ADA_DETAIL_ALWAYS)
        return UINT64_MAX;
    if (mode != ADA_DETAIL_MARKED)
        return 0;
    by_thread = ada_load_acquire(&lane->mark_until); /* pairs with lane_mark() */
    return by_thread > state->detail.reader.mark_until ? by_thread : state->detail.reader.mark_until;
}

/* Whether a visit can find anything of what is wanted. */
static bool lane_has_wanted(const LaneReader *reader, uint64_t until_sequence, bool in_place)
{
    if (lane_reader_inherits(reader))
        return true;
    if (until_sequence == 0)
        return false;
    return in_place ? lane_reader_pending(reader) : lane_reader_submitted(reader);
}

bool thread_drain_has_work(const ThreadDrainState *state, bool in_place)
{
    const MarkMatcher *matcher = state->source->matcher;
    const LaneReader *detail = &state->detail.reader;

    if (lane_has_wanted(&state->index.reader, UINT64_MAX, in_place) ||
        lane_has_wanted(detail, detail_wanted_until(state), in_place))
        return true;
    if (matcher && mark_matcher_wants_details(matcher) && lane_reader_pending(detail))
        return true;
    /* Somebody waits for a ring, or in ada_flush(), who set the flag when the last visit had looked. */
    return ada_load_relaxed(&state->lanes->index.waiting) || ada_load_relaxed(&state->lanes->detail.waiting);
}

bool thread_drain_stirred(const ThreadDrainState *state)
{
    /* A payload is followed by its index event. */
    return lane_reader_stirred(&state->index.reader);
}

/* A lane with rings of a collector that died has not given them back yet. */
static bool reached_end(const LaneReader *reader, uint64_t last_record)
{
    return !lane_reader_inherits(reader) && (int64_t)(last_record - reader->next_record) <= 0;
}

bool thread_drain_reached_end(const ThreadDrainState *state)
{
    const LaneReader *detail = &state->detail.reader;

    if (lane_reader_inherits(detail) || !reached_end(&state->index.reader, state->last_record[ADA_LANE_INDEX]))
        return false;
    /* Of marked payloads nobody can tell beforehand how many there are. */
    return detail_wanted_until(state) != UINT64_MAX || reached_end(detail, state->last_record[ADA_LANE_DETAIL]);
}

/* One lane's part of a visit. 0 or -EPROTO. */
static int visit_lane(ThreadDrainState *state, LaneDrain *drain, DrainBatch *batch, Wanted *wanted,
                      DrainVisit *visit)
{
    if (lane_has_wanted(&drain->reader, wanted->until_sequence, wanted->in_place))
        return drain_lane(state, drain, batch, wanted, visit);
    lane_reader_return_rings(&drain->reader); /* wakes ada_flush() */
    return 0;
}

int drain_thread_lanes(ThreadDrainState *state, DrainBatch *batch, const DrainLimits *limits,
                       DrainVisit *visit_out)
{
    bool in_place = limits->in_place || state->producer_gone;
    Wanted index = {.until_sequence = UINT64_MAX, .bytes = limits->bytes, .in_place = in_place};
    Wanted detail = {.bytes = limits->bytes, .in_place = in_place};
    DrainVisit visit = {0};
    bool index_more;
    int error;

    thread_drain_describe(state, batch);
    error = thread_marks_scan_details(state, batch);
    if (!error)
        error = visit_lane(state, &state->index, batch, &index, &visit);
    if (error)
        return error;
    thread_marks_act(state, batch);
    detail.until_sequence = detail_wanted_until(state);
    index_more = visit.more;
    visit.more = false;
    error = visit_lane(state, &state->detail, batch, &detail, &visit);
    if (error)
        return error;
    thread_marks_act(state, batch);
    visit.more_details = visit.more;
    visit.more = visit.more || index_more;
    batch->metrics->bytes += visit.bytes;
    *visit_out = visit;
    return 0;
}
