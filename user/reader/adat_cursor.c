/* SPDX-License-Identifier: MIT */
#include "user/reader/adat_cursor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/file/event_pack.h"
#include "user/reader/file_pool.h"
#include "user/reader/set.h"

/*
 * Events are refused when all rings are full, so between two blocks: each block is of one ring. A header counts what was refused until
 * the drain looked, which may be behind the blocks that it took on that visit: so many blocks on, at most.
 */
#define DOUBT_BLOCKS 64u

/* One thread on its way through the trace. */
typedef struct LaneCursor {
    const AdatReader *reader;
    const ThreadEntry *thread;
    uint32_t clock_kind;
    size_t clock_hint;

    int64_t time; /* of the event at `position`; of the next block, as its header says, if none is loaded */
    size_t next_block;
    BlockBuffer block;
    AdaIndexEvent *events; /* of the loaded block, unpacked */
    size_t events_capacity;
    uint32_t position; /* in the loaded block */
    uint32_t count;    /* events in it; 0 = none is loaded */
    uint64_t first_record;
    bool begun;           /* a block was loaded */
    bool after_loss;      /* of the first event of the loaded block: see AdatEvent */
    uint32_t doubt;       /* blocks to come in front of which events may have been refused */
    uint32_t file;        /* of the loaded block */
    uint64_t next_record; /* behind it */
    uint64_t refused;     /* up to it */

    /* the detail block that served last; `details` are the places of its records */
    size_t detail_next; /* index of that block, plus 1; 0 = none */
    BlockBuffer detail_block;
    uint32_t *details;
    size_t details_capacity;
    uint32_t detail_count;

    /* losses, as blocks tell them: each file counts its own */
    bool losses_begun;     /* a block was loaded */
    uint32_t losses_file;  /* of it */
    uint64_t lost;         /* up to it, since the cursor began */
    uint64_t lost_in_file; /* of them those of this file, and those before the cursor began */
} LaneCursor;

struct AdatCursor {
    FilePool files;
    int64_t from_ns;
    int64_t to_ns;
    LaneCursor *lanes;
    LaneCursor **heap; /* the earliest at the top; lanes that have ended are not in it */
    size_t heap_count;
    size_t lane_count;
    LaneCursor *current; /* of the event that was returned last */
    LaneCursor *ended;   /* to be freed when the next event is asked for: until then its details may be */
    AdaIndexEvent event; /* that was returned last */
    uint64_t vanished;
};

/* ---- heap ------------------------------------------------------------------------------------ */

static bool is_before(const LaneCursor *a, const LaneCursor *b)
{
    return a->time < b->time || (a->time == b->time && a < b);
}

static void sift_down(AdatCursor *cursor, size_t at)
{
    LaneCursor **heap = cursor->heap;
    LaneCursor *lane = heap[at];

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= cursor->heap_count)
            break;
        if (child + 1 < cursor->heap_count && is_before(heap[child + 1], heap[child]))
            child++;
        if (!is_before(heap[child], lane))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = lane;
}

static void pop_top(AdatCursor *cursor)
{
    cursor->heap[0] = cursor->heap[--cursor->heap_count];
    if (cursor->heap_count > 0)
        sift_down(cursor, 0);
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static int64_t lane_convert(LaneCursor *lane, uint64_t ticks)
{
    return clock_line_convert(&lane->reader->clock, lane->clock_kind, ticks, &lane->clock_hint);
}

static void lane_free(LaneCursor *lane)
{
    block_buffer_free(&lane->block);
    block_buffer_free(&lane->detail_block);
    free(lane->events);
    lane->events = NULL;
    lane->events_capacity = 0;
    free(lane->details);
    lane->details = NULL;
    lane->details_capacity = 0;
    lane->detail_next = 0;
}

/* Goes to the next block that reaches into the wanted time. false: there is none. */
static bool lane_seek_block(const AdatCursor *cursor, LaneCursor *lane)
{
    const BlockRange *blocks = &lane->thread->lanes[ADA_LANE_INDEX];

    for (lane->count = 0; lane->next_block < blocks->count; lane->next_block++) {
        const BlockRef *block = &blocks->blocks[lane->next_block];

        if (lane_convert(lane, block->last_time) >= cursor->from_ns) {
            lane->time = lane_convert(lane, block->first_time);
            return lane->time <= cursor->to_ns;
        }
    }
    return false;
}

/* Goes to the next event within the wanted time, from `position` on. false: the block has no more. */
static bool lane_seek_event(const AdatCursor *cursor, LaneCursor *lane)
{
    for (; lane->position < lane->count; lane->position++) {
        lane->time = lane_convert(lane, lane->events[lane->position].timestamp);
        if (lane->time >= cursor->from_ns)
            return true;
    }
    return false;
}

/* Takes in what the next block, which was loaded, says of losses. */
static void note_losses(LaneCursor *lane, const BlockLosses *losses, uint32_t file)
{
    uint64_t lost = losses->dropped_full + losses->dropped_nested + losses->dropped_io + losses->recycled;

    if (!lane->losses_begun)
        lane->lost_in_file = lane->next_block > 0 ? lost : 0;
    else if (file != lane->losses_file)
        lane->lost_in_file = 0;
    if (lost > lane->lost_in_file) {
        lane->lost += lost - lane->lost_in_file;
        lane->lost_in_file = lost;
    }
    lane->losses_begun = true;
    lane->losses_file = file;
}

static int reserve_events(LaneCursor *lane, size_t count)
{
    AdaIndexEvent *events;

    if (count <= lane->events_capacity)
        return 0;
    events = malloc(count * sizeof(*events));
    if (!events)
        return -ENOMEM;
    free(lane->events);
    lane->events = events;
    lane->events_capacity = count;
    return 0;
}

/* Reads a block from its file. -ENOENT: the file is gone. */
static int load_block(AdatCursor *cursor, const LaneCursor *lane, const BlockRef *block, BlockBuffer *buffer)
{
    int fd = file_pool_get(&cursor->files, lane->reader, block->file);

    return fd < 0 ? fd : block_load(fd, block, buffer);
}

/* Whether events may be missing in front of a block. */
static void note_refused(LaneCursor *lane, const BlockRef *block, const BlockLosses *losses)
{
    const AdatAccount *account = &lane->thread->info.events;
    uint64_t refused = losses->dropped_full + losses->dropped_nested;
    bool next_file = lane->begun && block->file != lane->file;

    /* Each file counts anew, and what was refused behind its last block only its ledger tells. */
    if (next_file ? account->dropped_full + account->dropped_nested > 0 : refused != lane->refused)
        lane->doubt = DOUBT_BLOCKS;
    lane->after_loss = lane->begun && (lane->doubt > 0 || block->first_record != lane->next_record);
    if (lane->doubt > 0)
        lane->doubt--;
    lane->begun = true;
    lane->file = block->file;
    lane->next_record = block->first_record + block->record_count;
    lane->refused = refused;
}

static int lane_load(AdatCursor *cursor, LaneCursor *lane)
{
    const BlockRef *block = &lane->thread->lanes[ADA_LANE_INDEX].blocks[lane->next_block];
    const AdatBlockHeader header = {
        .flags = block->flags,
        .payload_bytes = block->payload_bytes,
        .record_count = block->record_count,
        .first_time = block->first_time,
    };
    const BlockLosses losses = reader_losses(lane->reader, block);
    EventUnpacker unpacker;
    uint32_t count;
    int err = load_block(cursor, lane, block, &lane->block);

    if (err == -ENOENT) { /* as if it had no events */
        cursor->vanished += block->record_count;
        lane->next_block++;
        lane->position = lane->count = 0;
        return 0;
    }
    if (err)
        return err;
    note_losses(lane, &losses, block->file);
    count = event_unpack_max(&header);
    err = reserve_events(lane, count);
    if (err)
        return err;
    event_unpacker_begin(&unpacker, &header, lane->block.data);
    count = event_unpack(&unpacker, lane->events, count);
    note_refused(lane, block, &losses);
    lane->next_block++;
    lane->position = 0;
    lane->count = count;
    lane->first_record = block->first_record;
    return 0;
}

/* ---- cursor ---------------------------------------------------------------------------------- */

/* Adds the wanted lanes of a recording. */
static void select_lanes(AdatCursor *cursor, const AdatReader *reader, const AdatCursorConfig *config)
{
    for (size_t i = 0; i < reader->threads.count; i++) {
        const ThreadEntry *thread = &reader->threads.items[i];
        LaneCursor *lane = &cursor->lanes[cursor->lane_count];

        if (thread->lanes[ADA_LANE_INDEX].count == 0)
            continue;
        if (config && config->select && !config->select(&thread->info, config->context))
            continue;
        *lane = (LaneCursor){
            .reader = reader,
            .thread = thread,
            .clock_kind = reader_clock_kind(reader, thread->info.process),
        };
        cursor->lane_count++;
        if (lane_seek_block(cursor, lane))
            cursor->heap[cursor->heap_count++] = lane;
    }
}

static int create(const AdatReader *const *readers, size_t count, const AdatCursorConfig *config,
                  AdatCursor **cursor_out)
{
    AdatCursor *cursor = calloc(1, sizeof(*cursor));
    size_t threads = 1;

    if (!cursor)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        threads += readers[i]->threads.count;
    cursor->from_ns = config ? config->from_ns : INT64_MIN;
    cursor->to_ns = config ? config->to_ns : INT64_MAX;
    cursor->lanes = calloc(threads, sizeof(*cursor->lanes));
    cursor->heap = calloc(threads, sizeof(*cursor->heap));
    if (!cursor->lanes || !cursor->heap) {
        adat_cursor_destroy(cursor);
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++)
        select_lanes(cursor, readers[i], config);
    for (size_t i = cursor->heap_count / 2; i > 0; i--)
        sift_down(cursor, i - 1);
    *cursor_out = cursor;
    return 0;
}

int adat_cursor_create(const AdatReader *reader, const AdatCursorConfig *config, AdatCursor **cursor_out)
{
    return create(&reader, 1, config, cursor_out);
}

int adat_cursor_create_set(const AdatSet *set, const AdatCursorConfig *config, AdatCursor **cursor_out)
{
    return create((const AdatReader *const *)set->readers, set->reader_count, config, cursor_out);
}

uint64_t adat_cursor_vanished(const AdatCursor *cursor)
{
    return cursor->vanished;
}

void adat_cursor_destroy(AdatCursor *cursor)
{
    if (!cursor)
        return;
    for (size_t i = 0; i < cursor->lane_count; i++)
        lane_free(&cursor->lanes[i]);
    file_pool_fini(&cursor->files);
    free(cursor->lanes);
    free(cursor->heap);
    free(cursor);
}

/* The top lane's place has changed: puts it where it belongs now, or out. */
static void settle_top(AdatCursor *cursor, LaneCursor *lane)
{
    if (lane_seek_event(cursor, lane) ? lane->time <= cursor->to_ns : lane_seek_block(cursor, lane)) {
        sift_down(cursor, 0);
    } else {
        pop_top(cursor);
        cursor->ended = lane;
    }
}

static void release_ended(AdatCursor *cursor)
{
    if (cursor->ended)
        lane_free(cursor->ended);
    cursor->ended = NULL;
}

int adat_cursor_next(AdatCursor *cursor, AdatEvent *event_out)
{
    for (;;) {
        LaneCursor *lane;

        release_ended(cursor);
        if (cursor->heap_count == 0) {
            cursor->current = NULL;
            return 0;
        }
        lane = cursor->heap[0];
        if (lane->count == 0) {
            int err = lane_load(cursor, lane);

            if (err)
                return err;
            settle_top(cursor, lane);
            continue;
        }
        event_out->time_ns = lane->time;
        event_out->reader = lane->reader;
        event_out->thread = &lane->thread->info;
        event_out->process = adat_reader_process(lane->reader, lane->thread->info.process);
        event_out->record = lane->first_record + lane->position;
        event_out->after_loss = lane->after_loss && lane->position == 0;
        event_out->event = lane->events[lane->position];
        event_out->lost = lane->lost;
        cursor->event = event_out->event;
        cursor->current = lane;
        lane->position++;
        settle_top(cursor, lane);
        return 1;
    }
}

/* ---- details --------------------------------------------------------------------------------- */

/* The lane's block that holds record `number`, or the number of blocks. */
static size_t find_detail_block(const BlockRange *blocks, uint64_t number)
{
    size_t low = 0, high = blocks->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const BlockRef *block = &blocks->blocks[middle];

        if (number < block->first_record)
            high = middle;
        else if (number - block->first_record >= block->record_count)
            low = middle + 1;
        else
            return middle;
    }
    return blocks->count;
}

/*
 * The number whose low half is the event's link, and which is nearest to where the lane was at that
 * time. Times tell that only roughly, which is enough: they need not find the block.
 */
static uint64_t whole_detail_number(const BlockRange *blocks, const AdaIndexEvent *event)
{
    size_t low = 0, high = blocks->count - 1;
    uint64_t near;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (blocks->blocks[middle].last_time < event->timestamp)
            low = middle + 1;
        else
            high = middle;
    }
    near = blocks->blocks[low].first_record;
    return near + (uint64_t)(int64_t)(int32_t)(event->link - (uint32_t)near);
}

/* Notes where the records of the loaded detail block start. */
static int list_details(LaneCursor *lane, const BlockRef *block)
{
    size_t most = block->payload_bytes / ADA_DETAIL_HEADER_SIZE;
    size_t at = 0;

    if (most > lane->details_capacity) {
        uint32_t *details = malloc(most * sizeof(*details));

        if (!details)
            return -ENOMEM;
        free(lane->details);
        lane->details = details;
        lane->details_capacity = most;
    }
    lane->detail_count = 0;
    while (lane->detail_count < block->record_count && block->payload_bytes - at >= ADA_DETAIL_HEADER_SIZE) {
        AdaDetailRecord record;

        memcpy(&record, lane->detail_block.data + at, sizeof(record));
        if (record.payload_size > ADA_PAYLOAD_MAX ||
            ADA_DETAIL_RECORD_SIZE(record.payload_size) > block->payload_bytes - at)
            break;
        lane->details[lane->detail_count++] = (uint32_t)at;
        at += ADA_DETAIL_RECORD_SIZE(record.payload_size);
    }
    return 0;
}

static int load_details(AdatCursor *cursor, LaneCursor *lane, size_t index)
{
    const BlockRef *block = &lane->thread->lanes[ADA_LANE_DETAIL].blocks[index];
    int err;

    if (lane->detail_next == index + 1)
        return 0;
    lane->detail_next = 0;
    err = load_block(cursor, lane, block, &lane->detail_block);
    if (!err)
        err = list_details(lane, block);
    if (err)
        return err;
    lane->detail_next = index + 1;
    return 0;
}

int adat_cursor_detail(AdatCursor *cursor, AdatDetail *detail_out)
{
    const AdaIndexEvent *event = &cursor->event;
    LaneCursor *lane = cursor->current;
    const BlockRange *blocks;
    uint64_t number, position;
    const uint8_t *bytes;
    AdatDetail detail;
    size_t index;
    int err;

    if (!lane || !(ADA_WORD_FLAGS(event->word) & ADA_FLAG_DETAIL))
        return 0;
    blocks = &lane->thread->lanes[ADA_LANE_DETAIL];
    if (blocks->count == 0)
        return 0;
    number = whole_detail_number(blocks, event);
    index = find_detail_block(blocks, number);
    if (index == blocks->count)
        return 0;
    err = load_details(cursor, lane, index);
    if (err)
        return err == -ENOENT ? 0 : err;
    position = number - blocks->blocks[index].first_record;
    if (position >= lane->detail_count)
        return 0;

    bytes = lane->detail_block.data + lane->details[position];
    memcpy(&detail.header, bytes, sizeof(detail.header));
    /* A payload is written before its event. */
    if (detail.header.timestamp > event->timestamp || detail.header.id != event->id)
        return 0;
    detail.payload = bytes + sizeof(detail.header);
    *detail_out = detail;
    return 1;
}
