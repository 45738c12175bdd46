/* SPDX-License-Identifier: MIT */
/* Blocks of events: numbers, times and losses of each lane, and the records themselves. */
#include <inttypes.h>
#include <string.h>

#include "user/file/event_pack.h"
#include "user/reader/verify.h"

static bool refers_to_descriptor(uint32_t kind)
{
    return kind >= ADA_KIND_SPAN_BEGIN && kind < ADA_KIND_COUNT;
}

static void check_event(Check *check, const AdatBlockHeader *header, uint32_t word, uint64_t id)
{
    uint32_t kind = ADA_WORD_KIND(word);

    if (kind == ADA_KIND_NONE)
        verify_problem(check, "thread %u has an event of no kind", header->thread);
    /* A recorder that was killed may not have written the descriptor yet; an event may have no name (event_abi.h). */
    if (!refers_to_descriptor(kind) || id == 0 || !check->reader->info.closed)
        return;
    if (id == check->known_id && header->process == check->known_process)
        return;
    if (!adat_reader_descriptor(check->reader, header->process, id)) {
        verify_problem(check, "thread %u uses event %" PRIu64 ", which process %u does not describe",
                       header->thread, id, header->process);
        return;
    }
    check->known_id = id;
    check->known_process = header->process;
}

static void check_time(Check *check, const AdatBlockHeader *header, LaneCheck *lane, uint64_t time)
{
    if (time < lane->last_time)
        verify_problem(check, "thread %u goes back in time from %" PRIu64 " to %" PRIu64, header->thread,
                       lane->last_time, time);
    lane->last_time = time;
}

static void check_first_last(Check *check, const AdatBlockHeader *header, uint64_t first, uint64_t last)
{
    if (header->record_count > 0 && (first != header->first_time || last != header->last_time))
        verify_problem(check, "thread %u: the block's times are not those of its records", header->thread);
}

#define VERIFY_EVENTS 128u /* at a time */

static void check_index_records(Check *check, const Block *block, LaneCheck *lane)
{
    const AdatBlockHeader *header = block->header;
    AdaIndexEvent events[VERIFY_EVENTS];
    EventUnpacker unpacker;
    uint64_t first_time = 0;
    uint32_t count = 0, got;

    event_unpacker_begin(&unpacker, header, block->payload);
    do {
        uint32_t wanted =
            header->record_count - count < VERIFY_EVENTS ? header->record_count - count : VERIFY_EVENTS;

        got = event_unpack(&unpacker, events, wanted);
        if (count == 0 && got > 0)
            first_time = events[0].timestamp;
        for (uint32_t i = 0; i < got; i++) {
            check_time(check, header, lane, events[i].timestamp);
            check_event(check, header, events[i].word, events[i].id);
        }
        count += got;
    } while (got > 0);
    if (count != header->record_count || event_unpacker_left(&unpacker) > 0) {
        verify_problem(check, "thread %u: %u bytes are not %u events", header->thread, header->payload_bytes,
                       header->record_count);
        return;
    }
    check_first_last(check, header, first_time, lane->last_time);
    check->verdict->events += header->record_count;
}

static void check_detail_records(Check *check, const Block *block)
{
    const AdatBlockHeader *header = block->header;
    uint64_t first_time = 0, last_time = 0;
    uint32_t count = 0;
    size_t at = 0;

    /* In order of their numbers, but a signal handler's may be younger than the next: no check of times. */
    for (; count < header->record_count && header->payload_bytes - at >= ADA_DETAIL_HEADER_SIZE; count++) {
        AdaDetailRecord record;

        memcpy(&record, block->payload + at, sizeof(record));
        if (record.payload_size > ADA_PAYLOAD_MAX ||
            ADA_DETAIL_RECORD_SIZE(record.payload_size) > header->payload_bytes - at)
            break;
        if (count == 0)
            first_time = record.timestamp;
        last_time = record.timestamp;
        check_event(check, header, record.word, record.id);
        at += ADA_DETAIL_RECORD_SIZE(record.payload_size);
    }
    if (count != header->record_count || at != header->payload_bytes)
        verify_problem(check, "thread %u: %u bytes are not %u detail records", header->thread,
                       header->payload_bytes, header->record_count);
    else
        check_first_last(check, header, first_time, last_time);
}

static void check_numbering(Check *check, const AdatBlockHeader *header, LaneCheck *lane, const char *name)
{
    uint64_t end;

    lane->records += header->record_count;
    if (__builtin_add_overflow(header->first_record, header->record_count, &end)) {
        verify_problem(check, "thread %u, %s lane: record numbers overflow", header->thread, name);
        return;
    }
    if (header->first_record < lane->next_record) {
        verify_problem(check, "thread %u, %s lane: records from %" PRIu64 " on again, after %" PRIu64,
                       header->thread, name, header->first_record, lane->next_record);
    } else {
        lane->holes += header->first_record - lane->next_record;
    }
    if (end > lane->next_record)
        lane->next_record = end;
}

static void check_losses(Check *check, const AdatBlockHeader *header, LaneCheck *lane, const char *name)
{
    if (header->dropped_full < lane->dropped_full || header->dropped_nested < lane->dropped_nested ||
        header->dropped_io < lane->dropped_io || header->recycled < lane->recycled)
        verify_problem(check, "thread %u, %s lane: losses become fewer", header->thread, name);
    lane->dropped_full = header->dropped_full;
    lane->dropped_nested = header->dropped_nested;
    lane->dropped_io = header->dropped_io;
    lane->recycled = header->recycled;
}

void verify_lane_block(Check *check, const Block *block)
{
    const AdatReader *reader = check->reader;
    const AdatBlockHeader *header = block->header;
    uint32_t number = header->type == ADAT_BLOCK_INDEX ? ADA_LANE_INDEX : ADA_LANE_DETAIL;
    const ThreadEntry *thread = reader_find_thread(reader, header->thread);
    LaneCheck *lane;

    if (!thread) {
        verify_problem(check, "the file changed while it was read");
        return;
    }
    lane = verify_lane(check, thread, number);
    if (!lane->begun)
        lane->next_record = thread->info.start.first_record[number];
    lane->begun = true;
    if (lane->in_ledger)
        verify_problem(check, "thread %u, %s lane: a block behind the lane's ledger entry", header->thread,
                       verify_lane_name(number));
    if (header->thread == 0)
        verify_problem(check, "events that belong to no thread");
    if (header->process != thread->info.thread.process)
        verify_problem(check, "thread %u is of process %u, its block says %u", header->thread,
                       thread->info.thread.process, header->process);

    check_numbering(check, header, lane, verify_lane_name(number));
    check_losses(check, header, lane, verify_lane_name(number));
    if (number == ADA_LANE_INDEX)
        check_index_records(check, block, lane);
    else
        check_detail_records(check, block);
}
