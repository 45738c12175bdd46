/* SPDX-License-Identifier: MIT */
#include "user/drain/thread_drain.h"

#include <errno.h>
#include <string.h>

#include "user/drain/thread_marks.h"
#include "user/file/event_pack.h"
#include "user/lane/test_point.h"
#include "user/registry/thread_registry.h"

/* ---- one thread ------------------------------------------------------------------------------- */

/* What the account of the collector before us has. */
static LaneLosses settled_losses(const Lane *lane)
{
    return (LaneLosses){
        .full = ada_load_relaxed(&lane->settled_full),
        .nested = ada_load_relaxed(&lane->settled_nested),
        .overwritten = ada_load_relaxed(&lane->settled_overwritten),
        .recycled = ada_load_relaxed(&lane->settled_recycled),
    };
}

/* The thread's counters. Acquire pairs with metrics_increment_dropped(): what is counted as taken back was written before. */
static LaneLosses counted_losses(const ThreadDrainState *state, uint32_t lane_kind)
{
    const ada_metrics_counters_t *counters = &state->lanes->metrics.lanes[lane_kind].counters;

    return (LaneLosses){
        .full = ada_load_acquire(&counters->dropped_full),
        .nested = ada_load_acquire(&counters->dropped_nested),
        .overwritten = ada_load_acquire(&counters->overwritten),
        .recycled = ada_load_acquire(&counters->recycled),
    };
}

static uint64_t since(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

static uint64_t minimum(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static LaneLosses losses_since(const LaneLosses *now, const LaneLosses *before)
{
    return (LaneLosses){
        .full = since(now->full, before->full),
        .nested = since(now->nested, before->nested),
        .overwritten = since(now->overwritten, before->overwritten),
        .recycled = since(now->recycled, before->recycled),
    };
}

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

/* By its name it has its weight. */
void thread_drain_describe(ThreadDrainState *state, DrainBatch *batch)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_THREAD, .process = state->process, .thread = state->thread};
    ThreadDescription block;
    char name[ADA_THREAD_NAME_SIZE];

    uint32_t version = ada_load_relaxed(&state->lanes->name_version); /* a hint; the name is read in order */

    if (state->described == batch->epoch && version == state->name_version)
        return;
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

/* False: payloads that nobody marked are left out. */
static bool is_wanted_whole(const ThreadDrainState *state, uint32_t lane_kind)
{
    return lane_kind == ADA_LANE_INDEX ||
           ada_load_relaxed(&state->source->segment->header->detail) == ADA_DETAIL_ALWAYS;
}

/* Records taken over into this file. */
static uint64_t consumed_here(const LaneDrain *drain)
{
    return drain->reader.consumed - drain->consumed_before;
}

/* Records that are gone without having been taken over, below the first that was not passed. */
static uint64_t passed_records(const LaneDrain *drain, uint64_t next_record)
{
    return since(next_record - drain->first_record, consumed_here(drain));
}

/*
 * Splits `gone`, records that were completed and are gone without having been taken over. The producer counts when it takes a
 * ring back, but may be killed between counting and taking; and it leaves out what a collector had taken over that was killed
 * before it wrote: the difference of positions is what is exact.
 */
static void account_gone(const ThreadDrainState *state, uint32_t lane_kind, const LaneLosses *losses,
                         uint64_t gone, AdatAccount *account)
{
    uint64_t overwritten = is_wanted_whole(state, lane_kind) ? gone : minimum(losses->overwritten, gone);

    account->dropped_full += overwritten;
    account->recycled_unmarked = gone - overwritten;
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
enum { CHUNK_NONE, CHUNK_TAKEN, CHUNK_BATCH_FULL };

/* What of a lane is wanted on this visit. */
typedef struct Wanted {
    uint64_t until_sequence; /* rings below this */
    uint64_t bytes;          /* left of the budget */
    uint64_t taken;          /* bytes; a record is taken whole, even beyond the budget */
    bool in_place;           /* the ring that is being written, too */
} Wanted;

/* How much of a chunk to copy: what the buffer has room for and the budget allows. 0: flush first. */
static size_t size_to_take(const LaneReader *reader, const LaneChunk *chunk, size_t room, uint64_t budget)
{
    size_t smallest = reader->kind == ADA_LANE_INDEX ? ADA_INDEX_EVENT_SIZE : ADA_DETAIL_RECORD_MAX;
    size_t size = room & ~(size_t)(ADA_INDEX_EVENT_SIZE - 1);

    if (size < chunk->bytes && size < smallest)
        return 0;
    if (size > budget)
        size = budget > smallest ? (size_t)budget & ~(size_t)(ADA_INDEX_EVENT_SIZE - 1) : smallest;
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
 * packed is the same private memory. The form is the narrowest that the first piece fits; the block ends where a later
 * event does not fit it.
 */
static void take_index(ThreadDrainState *state, DrainBatch *batch, const char *ring, uint32_t count,
                       char *out, AdatBlockHeader *header, Taken *taken)
{
    AdaIndexEvent piece[PIECE_EVENTS];
    uint16_t form = ADAT_FLAG_PACKED_SHORT;
    uint64_t time = 0;

    while (taken->records < count) {
        uint32_t wanted = count - taken->records < PIECE_EVENTS ? count - taken->records : PIECE_EVENTS;
        uint32_t packed;

        memcpy(piece, ring + taken->bytes, wanted * sizeof(piece[0]));
        if (taken->records == 0)
            header->first_time = time = piece[0].timestamp;
        packed = event_pack(form, piece, wanted, &time, out + taken->payload);
        while (packed < wanted && taken->records == 0 && form != 0) {
            form = event_pack_wider(form);
            time = piece[0].timestamp;
            packed = event_pack(form, piece, wanted, &time, out);
        }
        drain_batch_sample(batch, state->source->clock_kind, piece, packed);
        thread_marks_scan(state, piece, packed, header, taken->records);
        taken->records += packed;
        taken->bytes += packed * sizeof(piece[0]);
        taken->payload += packed * event_pack_size(form);
        if (packed < wanted)
            break;
    }
    header->last_time = time;
    header->flags = form;
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
    AdatBlockHeader header;
    LaneLosses counted;
    LaneChunk chunk;
    Taken taken = {0};
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

    size = size_to_take(reader, &chunk, adat_writer_room(writer), wanted->bytes);
    if (size == 0)
        return CHUNK_BATCH_FULL;
    counted = counted_losses(state, reader->kind);
    header = block_header(state, drain, &chunk, &counted);
    copy = adat_writer_begin_block(writer, &header, size); /* there is room: size was chosen so */
    if (reader->kind == ADA_LANE_INDEX)
        take_index(state, batch, chunk.data, (uint32_t)(size / ADA_INDEX_EVENT_SIZE), copy,
                   adat_writer_block_header(writer), &taken);
    else
        found = take_details(chunk.data, size, copy, adat_writer_block_header(writer), &taken);
    if (found < 0 || taken.records > chunk.records ||
        (taken.bytes == chunk.bytes) != (taken.records == chunk.records)) {
        adat_writer_cancel_block(writer);
        return -EPROTO;
    }
    adat_writer_block_header(writer)->record_count = taken.records;
    adat_writer_end_block(writer, taken.payload);
    lane_reader_consume(reader, &chunk, taken.records, (uint32_t)taken.bytes);
    drain->batched += taken.records;
    drain->told = (AdatLaneProgress){.next_record = reader->next_record, .losses = counted};
    ADA_TEST_POINT("drain.taken");
    drain_batch_touch(batch, state);
    batch->metrics->records += taken.records;
    wanted->bytes -= taken.bytes < wanted->bytes ? taken.bytes : wanted->bytes;
    wanted->taken += taken.bytes;
    state->stats.bytes += taken.bytes;
    return CHUNK_TAKEN;
}

/*
 * A batch of this size is written at once if its lane is short of rings: they go back to a producer that may be
 * waiting, which fills them while the next ones are drained. Waiting for all four made the two sides take turns.
 * Where nobody is in a hurry, everything goes out with one write.
 */
#define DRAIN_HURRY_BYTES (60u << 10)

static bool is_time_to_flush(const LaneDrain *drain, const DrainBatch *batch)
{
    uint32_t away = drain->reader.to_return_count + lane_reader_backlog(&drain->reader);

    return away >= drain->reader.ring_count / 2 && adat_writer_buffered(batch->writer) >= DRAIN_HURRY_BYTES;
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
    visit.more_details = visit.more;
    visit.more = visit.more || index_more;
    batch->metrics->bytes += visit.bytes;
    *visit_out = visit;
    return 0;
}

/* ---- the account ------------------------------------------------------------------------------ */

/* Where a lane's positions stand. */
typedef struct LanePosition {
    uint64_t written;  /* records completed */
    uint64_t reserved; /* begun */
} LanePosition;

/*
 * One moment of a lane that is being written: both numbers of the same ring, which was active all the
 * while. Records that handlers put into the next ring amid a swap are seen when the swap is over.
 */
static LanePosition lane_position(const Lane *lane)
{
    LanePosition position = {0};

    for (uint32_t tries = 0; tries < 16; tries++) {
        /* Pairs with the release in lane_swap_active_ring(): grants base_record of that ring. */
        uint32_t active = ada_load_acquire(&lane->active_ring_index);
        const RingControl *ring = &lane->rings[active % ADA_RINGS_MAX];
        uint64_t base = ada_load_acquire(&ring->base_record);
        /* Before `reserved`, which is never behind it. Acquire, only to keep the order of these loads. */
        uint32_t published = ADA_POSITION_RECORDS(ada_load_acquire(&ring->published));
        uint32_t reserved = ADA_POSITION_RECORDS(ada_load_acquire(&ring->reserved));

        position.written = base + published;
        position.reserved = base + (reserved > published ? reserved : published);
        if (ada_load_acquire(&lane->active_ring_index) == active && ada_load_relaxed(&ring->base_record) == base)
            break;
    }
    return position;
}

/* Of this collector, whose account begins where the one before it ended. */
static LanePosition own_position(const LaneDrain *drain, bool final)
{
    const Lane *lane = drain->reader.lane;
    LanePosition position;

    if (final)
        position = (LanePosition){.written = lane_events_written(lane), .reserved = lane_events_reserved(lane)};
    else
        position = lane_position(lane);
    position.written = since(position.written, drain->first_record);
    position.reserved = since(position.reserved, drain->first_record);
    return position;
}

/*
 * What needs no positions. Field by field: a struct that is copied soon after its fields were stored costs 20 ns, as these stores are
 * not forwarded to wider loads.
 */
static void begin_account(const LaneDrain *drain, const LaneLosses *losses, AdatAccount *account)
{
    account->in_file = drain->in_file;
    account->dropped_full = losses->full;
    account->dropped_nested = losses->nested;
    account->dropped_io = drain->dropped_io;
    account->recycled_unmarked = 0;
    account->torn = 0;
    account->pending = 0;
}

/* What an account is for. */
typedef enum AccountUse {
    ACCOUNT_LIVE, /* as much as is known now */
    ACCOUNT_TOLD, /* another collector may go on from it: what lies beyond where we have come to will be in its account */
    ACCOUNT_FINAL, /* the producer is gone, and its lanes are drained */
} AccountUse;

/* `losses` were read before the positions: what is counted as taken back was written before. */
static uint64_t count_gone(const LaneDrain *drain, AccountUse use, const LaneLosses *losses, uint64_t rest)
{
    uint64_t passed = passed_records(drain, drain->reader.next_record);
    uint64_t counted = losses->overwritten + losses->recycled;

    if (use == ACCOUNT_FINAL)
        return rest;
    return minimum(use == ACCOUNT_TOLD || counted < passed ? passed : counted, rest);
}

static void account_by(const ThreadDrainState *state, uint32_t lane_kind, AccountUse use,
                       const LaneLosses *counted, AdatAccount *account)
{
    const LaneDrain *drain = lane_kind == ADA_LANE_INDEX ? &state->index : &state->detail;
    const LaneLosses losses = losses_since(counted, &drain->before);
    LanePosition position = own_position(drain, use == ACCOUNT_FINAL);
    uint64_t rest = since(position.written, consumed_here(drain)); /* completed, but not taken over */
    uint64_t begun = since(position.reserved, position.written);
    uint64_t gone = count_gone(drain, use, &losses, rest);

    begin_account(drain, &losses, account);
    account_gone(state, lane_kind, &losses, gone, account);
    if (use == ACCOUNT_FINAL)
        account->torn = begun;
    else
        account->pending = rest - gone + begun + drain->batched;
    account->attempted = adat_account_sum(account);
}

static LaneDrain *lane_drain(ThreadDrainState *state, uint32_t lane_kind)
{
    return lane_kind == ADA_LANE_INDEX ? &state->index : &state->detail;
}

void thread_drain_account(const ThreadDrainState *state, uint32_t lane_kind, bool final,
                          AdatAccount *account_out)
{
    const LaneLosses counted = counted_losses(state, lane_kind);

    account_by(state, lane_kind, final ? ACCOUNT_FINAL : ACCOUNT_LIVE, &counted, account_out);
}

/* Of payloads that nobody marked most are taken back by the thread: they are no longer pending. */
static void skip_taken_back(ThreadDrainState *state, LaneDrain *drain, const LaneLosses *counted)
{
    const LaneLosses losses = losses_since(counted, &drain->before);

    if (!is_wanted_whole(state, drain->reader.kind) &&
        losses.overwritten + losses.recycled > passed_records(drain, drain->reader.next_record))
        lane_reader_skip_taken_back(&drain->reader, state->producer_gone);
}

void thread_drain_tell(ThreadDrainState *state, uint32_t lane_kind, AdatAccount *account_out)
{
    LaneDrain *drain = lane_drain(state, lane_kind);
    const LaneLosses counted = counted_losses(state, lane_kind);

    skip_taken_back(state, drain, &counted);
    account_by(state, lane_kind, ACCOUNT_TOLD, &counted, account_out);
    drain->proposed = (AdatLaneProgress){.next_record = drain->reader.next_record, .losses = counted};
}

void thread_drain_told(ThreadDrainState *state)
{
    state->index.told = state->index.proposed;
    state->detail.told = state->detail.proposed;
}

/* ---- what the next collector is told ------------------------------------------------------------ */

void thread_drain_settle_lane(Lane *lane, const AdatLaneProgress *progress)
{
    ada_store_relaxed(&lane->settled_records, progress->next_record);
    ADA_TEST_POINT("settle.records");
    ada_store_relaxed(&lane->settled_full, progress->losses.full);
    ADA_TEST_POINT("settle.full");
    ada_store_relaxed(&lane->settled_nested, progress->losses.nested);
    ada_store_relaxed(&lane->settled_overwritten, progress->losses.overwritten);
    ada_store_relaxed(&lane->settled_recycled, progress->losses.recycled);
}

void thread_drain_settle(LaneDrain *drain)
{
    drain->settled = drain->told;
    thread_drain_settle_lane(drain->reader.lane, &drain->settled);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* A file may say what it likes: no more than there is. */
static uint64_t advance(uint64_t noted, uint64_t in_file, uint64_t most)
{
    return larger(noted, minimum(in_file, most));
}

bool thread_drain_recover(ThreadLaneSet *lanes, uint32_t lane_kind, const AdatLaneProgress *in_file)
{
    Lane *lane = lane_kind == ADA_LANE_INDEX ? &lanes->index : &lanes->detail;
    const ada_metrics_counters_t *counters = &lanes->metrics.lanes[lane_kind].counters;
    const LaneLosses noted = settled_losses(lane);
    uint64_t begun = larger(lane_position(lane).reserved, lane_events_reserved(lane));
    AdatLaneProgress progress;

    if (in_file->next_record > begun)
        return false;
    progress = (AdatLaneProgress){
        .next_record = larger(ada_load_relaxed(&lane->settled_records), in_file->next_record),
        .losses =
            {
                .full = advance(noted.full, in_file->losses.full, ada_load_relaxed(&counters->dropped_full)),
                .nested =
                    advance(noted.nested, in_file->losses.nested, ada_load_relaxed(&counters->dropped_nested)),
                .overwritten = advance(noted.overwritten, in_file->losses.overwritten,
                                       ada_load_relaxed(&counters->overwritten)),
                .recycled =
                    advance(noted.recycled, in_file->losses.recycled, ada_load_relaxed(&counters->recycled)),
            },
    };
    thread_drain_settle_lane(lane, &progress);
    return true;
}

/* ---- leaving a thread ---------------------------------------------------------------------------- */

void thread_drain_note_end(ThreadDrainState *state)
{
    state->last_record[ADA_LANE_INDEX] = lane_position(&state->lanes->index).written;
    state->last_record[ADA_LANE_DETAIL] = lane_position(&state->lanes->detail).written;
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

/* The account up to the last record that was taken over, or passed. */
static void close_account(ThreadDrainState *state, LaneDrain *drain, AdatAccount *account_out)
{
    uint32_t kind = drain->reader.kind;
    LaneLosses losses;

    /* After the position: what was taken back below it is counted. */
    drain->told =
        (AdatLaneProgress){.next_record = drain->reader.next_record, .losses = counted_losses(state, kind)};
    losses = losses_since(&drain->told.losses, &drain->before);
    begin_account(drain, &losses, account_out);
    account_gone(state, kind, &losses, passed_records(drain, drain->reader.next_record), account_out);
    account_out->attempted = adat_account_sum(account_out);
}

void thread_drain_leave(ThreadDrainState *state, uint32_t lane_kind, AdatAccount *account_out)
{
    LaneDrain *drain = lane_drain(state, lane_kind);
    LaneReader *reader = &drain->reader;

    /* Payloads that nobody marked are in the account, as those that were recycled are, and no longer wanted. */
    if (!is_wanted_whole(state, lane_kind)) {
        uint64_t written = lane_position(reader->lane).written;

        if ((int64_t)(written - reader->next_record) > 0)
            reader->next_record = written;
    }
    close_account(state, drain, account_out);
}

void thread_drain_end(ThreadDrainState *state, uint32_t lane_kind, AdatAccount *account_out)
{
    LaneDrain *drain = lane_drain(state, lane_kind);
    const LaneLosses counted = counted_losses(state, lane_kind);

    account_by(state, lane_kind, ACCOUNT_FINAL, &counted, account_out);
    /* What was begun is in the account, too. */
    drain->told =
        (AdatLaneProgress){.next_record = lane_events_reserved(drain->reader.lane), .losses = counted};
}

/* ---- another file --------------------------------------------------------------------------------- */

void thread_drain_next_file(ThreadDrainState *state, uint32_t lane_kind, AdatAccount *account_out)
{
    LaneDrain *drain = lane_drain(state, lane_kind);
    const LaneLosses counted = counted_losses(state, lane_kind);

    skip_taken_back(state, drain, &counted);
    close_account(state, drain, account_out);
    adat_account_add(&drain->earlier, account_out);
    drain->has_earlier = true;
    drain->first_record = drain->reader.next_record;
    drain->consumed_before = drain->reader.consumed;
    drain->before = drain->told.losses;
    drain->in_file = 0;
    drain->dropped_io = 0;
}

void thread_drain_add_earlier(const ThreadDrainState *state, uint32_t lane_kind, AdatAccount *account)
{
    const LaneDrain *drain = lane_kind == ADA_LANE_INDEX ? &state->index : &state->detail;

    if (drain->has_earlier)
        adat_account_add(account, &drain->earlier);
}

static bool lane_is_settled(const Lane *lane, const ada_metrics_counters_t *counters)
{
    return lane_events_reserved(lane) == ada_load_relaxed(&lane->settled_records) &&
           ada_load_relaxed(&counters->dropped_full) == ada_load_relaxed(&lane->settled_full) &&
           ada_load_relaxed(&counters->dropped_nested) == ada_load_relaxed(&lane->settled_nested);
}

bool thread_drain_is_settled(const ThreadLaneSet *lanes)
{
    return lane_is_settled(&lanes->index, &lanes->metrics.lanes[ADA_LANE_INDEX].counters) &&
           lane_is_settled(&lanes->detail, &lanes->metrics.lanes[ADA_LANE_DETAIL].counters);
}
