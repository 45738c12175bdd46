/* SPDX-License-Identifier: MIT */
#include "user/drain/thread_marks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "user/lane/clock.h"

void thread_drain_mark(ThreadDrainState *state, DrainBatch *batch, const char *reason, uint64_t timestamp,
                       uint64_t record)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_MARK, .process = state->process, .thread = state->thread};
    AdatMark mark = {
        .process = state->process, .thread = state->thread, .timestamp = timestamp, .record = record};

    lane_reader_mark(&state->detail.reader);
    batch->metrics->marks++;
    (void)snprintf(mark.reason, sizeof(mark.reason), "%s", reason);
    drain_batch_put(batch, &header, &mark, sizeof(mark));
}

/*
 * The descriptors of all events that published records can name: each was counted before its id was handed
 * out, and our acquire of the records' position granted that.
 */
static void learn_events(DrainSource *source)
{
    if (ada_load_relaxed(&source->segment->header->event_count) != source->learned)
        source->learn(source);
}

void thread_marks_scan(ThreadDrainState *state, const void *copy, uint32_t records,
                       const AdatBlockHeader *header, uint32_t offset)
{
    MarkMatcher *matcher = state->source->matcher;
    uint64_t first_record = header->first_record + offset;
    uint64_t losses = header->dropped_full + header->dropped_nested;
    MarkHit hit;

    if (!matcher)
        return;
    learn_events(state->source);
    if (losses != state->mark_losses)
        mark_thread_lost(&state->mark, state->source->clock_kind == ADA_CLOCK_TSC ? ada_clock_cycles()
                                                                                  : ada_clock_monotonic_ns());
    state->mark_losses = losses;
    if (mark_matcher_wants_index(matcher) &&
        mark_matcher_scan_index(matcher, &state->mark, copy, records, first_record, &hit) && !state->hit_found) {
        state->hit_found = true;
        state->hit = hit;
    }
}

void thread_marks_act(ThreadDrainState *state, DrainBatch *batch)
{
    if (!state->hit_found)
        return;
    state->hit_found = false;
    thread_drain_mark(state, batch, state->source->rules->items[state->hit.rule].text, state->hit.timestamp,
                      state->hit.record);
}

/* Looks for marks in the detail records that came since the last visit; those that nobody wants stay where they are. 0 or -EPROTO. */
static int match_details(ThreadDrainState *state, char *copy)
{
    LaneReader *reader = &state->detail.reader;
    LaneChunk chunk;
    MarkHit hit;
    /* A ring comes in pieces; a process that keeps us here by lies is left after what all its rings can hold. */
    uint64_t pieces = (uint64_t)(reader->ring_count + 1) * (reader->ring_bytes / (DRAIN_PEEK_BYTES / 2) + 1);
    int found;

    while (pieces-- > 0 && (found = lane_reader_peek(reader, &state->peek, &chunk)) != 0) {
        uint32_t size = chunk.bytes < DRAIN_PEEK_BYTES ? chunk.bytes : DRAIN_PEEK_BYTES;
        AdatBlockHeader times = {0};
        uint32_t records = 0;
        int64_t bytes;

        if (found < 0)
            return found;
        memcpy(copy, chunk.data, size);
        bytes = thread_drain_walk_details(copy, size, &records, &times);
        if (bytes <= 0 || records > chunk.records)
            return -EPROTO;
        if (!state->hit_found &&
            mark_matcher_scan_details(state->source->matcher, copy, (size_t)bytes, chunk.first_record, &hit)) {
            state->hit_found = true;
            state->hit = hit;
        }
        lane_peek_advance(&state->peek, &chunk, records, (uint32_t)bytes);
    }
    return 0;
}

void thread_marks_scan_taken(ThreadDrainState *state, const LaneChunk *chunk, const char *copy,
                             uint32_t records, uint32_t bytes)
{
    MarkMatcher *matcher = state->source->matcher;
    uint64_t next = chunk->first_record;
    uint32_t at = 0;
    MarkHit hit;

    if (!matcher || (int64_t)(state->peek.next_record - (next + records)) >= 0)
        return;
    learn_events(state->source);
    if (!mark_matcher_wants_details(matcher))
        return;
    for (; (int64_t)(state->peek.next_record - next) > 0; next++) { /* was looked at */
        AdaDetailRecord record;

        memcpy(&record, copy + at, sizeof(record));
        at += ADA_DETAIL_RECORD_SIZE(record.payload_size);
    }
    if (!state->hit_found && mark_matcher_scan_details(matcher, copy + at, bytes - at, next, &hit)) {
        state->hit_found = true;
        state->hit = hit;
    }
    lane_peek_advance(&state->peek, chunk, records, bytes);
}

int thread_marks_scan_details(ThreadDrainState *state, DrainBatch *batch)
{
    MarkMatcher *matcher = state->source->matcher;
    int held, error;

    if (!matcher)
        return 0;
    learn_events(state->source);
    if (!mark_matcher_wants_details(matcher))
        return 0;
    held = lane_reader_begin(&state->detail.reader, state->producer_gone);
    if (held <= 0)
        return held;
    error = match_details(state, batch->peek);
    lane_reader_end(&state->detail.reader);
    return error;
}
