/* SPDX-License-Identifier: MIT */
#include "user/reader/adat_verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/array.h"
#include "user/reader/reader.h"

/* What the blocks of one lane have said so far. */
typedef struct LaneCheck {
    uint64_t next_record; /* the next block must not start before it */
    uint64_t holes;       /* records that are missing between blocks */
    uint64_t records;
    uint64_t last_time;
    uint64_t dropped_full; /* as of the last block: never less later */
    uint64_t dropped_nested;
    uint64_t dropped_io;
    uint64_t recycled;
    bool in_ledger;
} LaneCheck;

typedef struct Check {
    const AdatReader *reader;
    AdatVerdict *verdict;
    uint64_t offset;          /* of the block in hand */
    LaneCheck *lanes;         /* LANES for each of the reader's threads */
    AdatTrailerEntry *blocks; /* what the trailer should say */
    size_t block_count;
    size_t block_capacity;
    size_t trailer_entries; /* compared so far */
    bool trailer_started;
    uint64_t known_id;      /* the event id looked up last was found, */
    uint32_t known_process; /* in this process */
} Check;

__attribute__((format(printf, 2, 3))) static void problem(Check *check, const char *format, ...)
{
    AdatVerdict *verdict = check->verdict;
    AdatProblem *place;
    va_list args;

    verdict->problem_count++;
    if (verdict->kept == ADAT_PROBLEMS_MAX)
        return;
    place = &verdict->problems[verdict->kept++];
    place->offset = check->offset;
    va_start(args, format);
    vsnprintf(place->text, sizeof(place->text), format, args);
    va_end(args);
}

static const char *lane_name(uint32_t lane)
{
    return lane == ADA_LANE_INDEX ? "index" : "detail";
}

/* ---- blocks of events ------------------------------------------------------------------------- */

static bool refers_to_descriptor(uint32_t kind)
{
    return kind >= ADA_KIND_SPAN_BEGIN && kind < ADA_KIND_COUNT;
}

static void check_event(Check *check, const AdatBlockHeader *header, uint32_t word, uint64_t id)
{
    uint32_t kind = ADA_WORD_KIND(word);

    if (kind == ADA_KIND_NONE)
        problem(check, "thread %u has an event of no kind", header->thread);
    /* A recorder that was killed may not have written the descriptor yet. */
    if (!refers_to_descriptor(kind) || !check->reader->info.closed)
        return;
    if (id == check->known_id && header->process == check->known_process)
        return;
    if (!adat_reader_descriptor(check->reader, header->process, id)) {
        problem(check, "thread %u uses event %" PRIu64 ", which process %u does not describe", header->thread,
                id, header->process);
        return;
    }
    check->known_id = id;
    check->known_process = header->process;
}

static void check_time(Check *check, const AdatBlockHeader *header, LaneCheck *lane, uint64_t time)
{
    if (time < lane->last_time)
        problem(check, "thread %u goes back in time from %" PRIu64 " to %" PRIu64, header->thread,
                lane->last_time, time);
    lane->last_time = time;
}

static void check_first_last(Check *check, const AdatBlockHeader *header, uint64_t first, uint64_t last)
{
    if (header->record_count > 0 && (first != header->first_time || last != header->last_time))
        problem(check, "thread %u: the block's times are not those of its records", header->thread);
}

static void check_index_records(Check *check, const Block *block, LaneCheck *lane)
{
    const AdatBlockHeader *header = block->header;
    size_t count = header->payload_bytes / ADA_INDEX_EVENT_SIZE;
    uint64_t first_time = 0;

    if (header->payload_bytes != (uint64_t)header->record_count * ADA_INDEX_EVENT_SIZE) {
        problem(check, "thread %u: %u bytes are not %u events", header->thread, header->payload_bytes,
                header->record_count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        AdaIndexEvent event;

        memcpy(&event, block->payload + i * sizeof(event), sizeof(event));
        if (i == 0)
            first_time = event.timestamp;
        check_time(check, header, lane, event.timestamp);
        check_event(check, header, event.word, event.id);
    }
    check_first_last(check, header, first_time, lane->last_time);
    check->verdict->events += count;
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
        problem(check, "thread %u: %u bytes are not %u detail records", header->thread, header->payload_bytes,
                header->record_count);
    else
        check_first_last(check, header, first_time, last_time);
}

static void check_numbering(Check *check, const AdatBlockHeader *header, LaneCheck *lane, const char *name)
{
    uint64_t end;

    lane->records += header->record_count;
    if (__builtin_add_overflow(header->first_record, header->record_count, &end)) {
        problem(check, "thread %u, %s lane: record numbers overflow", header->thread, name);
        return;
    }
    if (header->first_record < lane->next_record) {
        problem(check, "thread %u, %s lane: records from %" PRIu64 " on again, after %" PRIu64,
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
        problem(check, "thread %u, %s lane: losses become fewer", header->thread, name);
    lane->dropped_full = header->dropped_full;
    lane->dropped_nested = header->dropped_nested;
    lane->dropped_io = header->dropped_io;
    lane->recycled = header->recycled;
}

static void check_lane_block(Check *check, const Block *block)
{
    const AdatReader *reader = check->reader;
    const AdatBlockHeader *header = block->header;
    uint32_t number = header->type == ADAT_BLOCK_INDEX ? ADA_LANE_INDEX : ADA_LANE_DETAIL;
    const ThreadEntry *thread = reader_find_thread(reader, header->thread);
    LaneCheck *lane;

    if (!thread) {
        problem(check, "the file changed while it was read");
        return;
    }
    lane = &check->lanes[(size_t)(thread - reader->threads.items) * LANES + number];
    if (header->thread == 0)
        problem(check, "events that belong to no thread");
    if (header->process != thread->info.thread.process)
        problem(check, "thread %u is of process %u, its block says %u", header->thread,
                thread->info.thread.process, header->process);

    check_numbering(check, header, lane, lane_name(number));
    check_losses(check, header, lane, lane_name(number));
    if (number == ADA_LANE_INDEX)
        check_index_records(check, block, lane);
    else
        check_detail_records(check, block);
}

/* ---- other blocks ----------------------------------------------------------------------------- */

static void check_descriptors(Check *check, const Block *block)
{
    size_t count = block->header->payload_bytes / sizeof(AdaEventDescriptor);

    for (size_t i = 0; i < count; i++) {
        AdaEventDescriptor descriptor;

        memcpy(&descriptor, block->payload + i * sizeof(descriptor), sizeof(descriptor));
        if (descriptor.id == 0 || descriptor.field_count > ADA_EVENT_FIELDS_MAX) {
            problem(check, "event descriptor %zu is invalid", i);
            continue;
        }
        for (uint32_t f = 0; f < descriptor.field_count; f++)
            if (descriptor.fields[f].type == 0 || descriptor.fields[f].type >= ADA_TYPE_COUNT)
                problem(check, "event %u, field %u: unknown type %u", descriptor.id, f,
                        descriptor.fields[f].type);
    }
}

static void check_trailer(Check *check, const Block *block)
{
    size_t count = block->header->payload_bytes / sizeof(AdatTrailerEntry);

    check->trailer_started = true;
    for (size_t i = 0; i < count; i++, check->trailer_entries++) {
        if (check->trailer_entries >= check->block_count ||
            memcmp(block->payload + i * sizeof(AdatTrailerEntry), &check->blocks[check->trailer_entries],
                   sizeof(AdatTrailerEntry)) != 0) {
            problem(check, "trailer entry %zu does not match its block", check->trailer_entries);
            return;
        }
    }
}

static int note_block(Check *check, const Block *block)
{
    if (array_reserve_one(&check->blocks, &check->block_capacity, check->block_count, sizeof(*check->blocks)))
        return -ENOMEM;
    check->blocks[check->block_count++] = (AdatTrailerEntry){
        .offset = block->offset,
        .payload_bytes = block->header->payload_bytes,
        .type = block->header->type,
        .process = block->header->process,
        .thread = block->header->thread,
    };
    return 0;
}

/* Payloads that are one structure, or a list of one, or start with one. */
static void check_payload_size(Check *check, const AdatBlockHeader *header)
{
    static const struct {
        const char *name;
        uint32_t item;
        char count; /* '1', '*', or '+' when more may follow */
    } shapes[ADAT_BLOCK_TYPES] = {
        [ADAT_BLOCK_PROCESS] = {"process", sizeof(AdatProcess), '+'},
        [ADAT_BLOCK_THREAD] = {"thread", sizeof(AdatThread), '1'},
        [ADAT_BLOCK_EVENTS] = {"event descriptor", sizeof(AdaEventDescriptor), '*'},
        [ADAT_BLOCK_MODULES] = {"module", sizeof(AdaModule), '*'},
        [ADAT_BLOCK_CLOCK] = {"clock", sizeof(AdatClock), '1'},
        [ADAT_BLOCK_DEATH] = {"death", sizeof(AdatDeath), '1'},
        [ADAT_BLOCK_LEDGER] = {"ledger", sizeof(AdatLedgerEntry), '*'},
        [ADAT_BLOCK_TRAILER] = {"trailer", sizeof(AdatTrailerEntry), '*'},
    };
    uint32_t bytes = header->payload_bytes;
    uint32_t item = header->type < ADAT_BLOCK_TYPES ? shapes[header->type].item : 0;
    bool fits = true;

    if (item == 0)
        return;
    if (shapes[header->type].count == '1')
        fits = bytes == item;
    else if (shapes[header->type].count == '*')
        fits = bytes % item == 0;
    else
        fits = bytes >= item;
    if (!fits)
        problem(check, "%s block of %u bytes", shapes[header->type].name, bytes);
}

static int check_block(Check *check, const Block *block)
{
    uint16_t type = block->header->type;

    check->offset = block->offset;
    check_payload_size(check, block->header);
    if (type == ADAT_BLOCK_TRAILER) {
        check_trailer(check, block);
        return 0;
    }
    if (check->trailer_started)
        problem(check, "a block after the trailer");
    if (type == ADAT_BLOCK_INDEX || type == ADAT_BLOCK_DETAIL)
        check_lane_block(check, block);
    else if (type == ADAT_BLOCK_EVENTS)
        check_descriptors(check, block);
    return note_block(check, block);
}

static int check_blocks(Check *check)
{
    const AdatFileInfo *info = &check->reader->info;
    BlockScan scan;
    Block block;
    int got;

    block_scan_init(&scan, check->reader->fd, info->header.header_bytes, info->valid_bytes);
    while ((got = block_scan_next(&scan, &block)) > 0) {
        got = check_block(check, &block);
        if (got < 0)
            break;
    }
    check->offset = scan.offset;
    if (got == 0 && (scan.offset != info->valid_bytes || scan.blocks != info->blocks))
        problem(check, "the file changed while it was read");
    check->verdict->blocks = scan.blocks;
    block_scan_fini(&scan);
    return got;
}

/* ---- the file as a whole ---------------------------------------------------------------------- */

static void check_references(Check *check)
{
    const AdatReader *reader = check->reader;

    /* A recorder that was killed may not have written them yet. */
    if (!reader->info.closed)
        return;
    for (size_t i = 0; i < reader->processes.count; i++) {
        const AdatProcessInfo *process = &reader->processes.items[i].info;

        if (!process->described)
            problem(check, "process %u is not described", process->process.process);
        else if (process->process.clock_kind == ADA_CLOCK_TSC && !clock_line_has_tsc(&reader->clock))
            problem(check, "process %u: too few clock anchors to convert its cycle counter",
                    process->process.process);
        else if (process->process.clock_kind != ADA_CLOCK_MONOTONIC &&
                 process->process.clock_kind != ADA_CLOCK_TSC)
            problem(check, "process %u: unknown clock %u", process->process.process,
                    process->process.clock_kind);
    }
    for (size_t i = 0; i < reader->threads.count; i++)
        if (!reader->threads.items[i].info.described)
            problem(check, "thread %u is not described", reader->threads.items[i].info.thread.thread);
}

static void check_ledger_lane(Check *check, const AdatLedgerEntry *entry, LaneCheck *lane)
{
    const char *name = lane_name(entry->lane);
    uint64_t explained = entry->dropped_full + entry->dropped_io + entry->recycled_unmarked + entry->torn;

    if (lane->in_ledger)
        problem(check, "thread %u, %s lane: in the ledger twice", entry->thread, name);
    lane->in_ledger = true;
    if (entry->in_file != lane->records)
        problem(check, "thread %u, %s lane: the ledger says %" PRIu64 " records, the file has %" PRIu64,
                entry->thread, name, entry->in_file, lane->records);
    if (lane->holes > explained)
        problem(check, "thread %u, %s lane: %" PRIu64 " records are missing, the ledger explains %" PRIu64,
                entry->thread, name, lane->holes, explained);
    if (entry->dropped_full < lane->dropped_full || entry->dropped_nested < lane->dropped_nested ||
        entry->dropped_io < lane->dropped_io || entry->recycled_unmarked < lane->recycled)
        problem(check, "thread %u, %s lane: the ledger has fewer losses than the blocks", entry->thread, name);
}

static void check_ledger_entry(Check *check, const AdatLedgerEntry *entry)
{
    const AdatReader *reader = check->reader;
    const ThreadEntry *thread = reader_find_thread(reader, entry->thread);
    const AdatAccount account = adat_account_of(entry);

    if (entry->attempted != adat_account_sum(&account))
        problem(check, "thread %u of process %u: %" PRIu64 " attempted, but %" PRIu64 " accounted for",
                entry->thread, entry->process, entry->attempted, adat_account_sum(&account));
    if (!reader->info.has_ledger)
        return; /* written while recording: what it says has changed since */
    if (entry->pending != 0)
        problem(check, "thread %u: the final ledger says %" PRIu64 " are pending", entry->thread,
                entry->pending);
    if (entry->lane >= LANES)
        problem(check, "thread %u: the ledger names lane %u", entry->thread, entry->lane);
    else if (entry->thread != 0 && (!thread || thread->info.thread.process != entry->process))
        problem(check, "the ledger names thread %u of process %u, which is not in the file", entry->thread,
                entry->process);
    else if (entry->thread != 0)
        check_ledger_lane(check, entry,
                          &check->lanes[(size_t)(thread - reader->threads.items) * LANES + entry->lane]);
    else if (reader_find_process(reader, entry->process) < 0)
        problem(check, "the ledger names process %u, which is not in the file", entry->process);
    else if (entry->in_file != 0)
        problem(check, "the ledger says %" PRIu64 " events of no thread are in the file", entry->in_file);
}

static void check_ledger(Check *check)
{
    const AdatReader *reader = check->reader;

    for (size_t i = 0; i < reader->ledger.count; i++)
        check_ledger_entry(check, &reader->ledger.items[i]);
    if (!reader->info.has_ledger) {
        if (reader->info.closed)
            problem(check, "closed, but without a final ledger");
        return;
    }
    for (size_t i = 0; i < reader->threads.count * LANES; i++)
        if (check->lanes[i].records > 0 && !check->lanes[i].in_ledger)
            problem(check, "thread %u, %s lane: not in the ledger",
                    reader->threads.items[i / LANES].info.thread.thread, lane_name((uint32_t)(i % LANES)));
}

static void check_file(Check *check)
{
    const AdatFileInfo *info = &check->reader->info;

    check->offset = info->valid_bytes;
    if (info->cut != ADAT_CUT_NONE)
        problem(check, "%s: %" PRIu64 " bytes are cut off", adat_cut_text(info->cut),
                info->file_bytes - info->valid_bytes);
    check->offset = info->bad_padding;
    if (info->bad_padding)
        problem(check, "the padding of a block is not zero");
    check->offset = 0;
    if (check->reader->clock.rejected > 0)
        problem(check, "%zu clock anchors go backwards", check->reader->clock.rejected);
    if (info->closed && check->trailer_entries < check->block_count)
        problem(check, "the trailer names %zu blocks of %zu", check->trailer_entries, check->block_count);
    check_references(check);
    check_ledger(check);
}

int adat_verify(const AdatReader *reader, AdatVerdict *verdict_out)
{
    AdatVerdict verdict = {
        .cut_bytes = reader->info.file_bytes - reader->info.valid_bytes,
        .closed = reader->info.closed,
    };
    Check check = {.reader = reader, .verdict = &verdict, .known_process = UINT32_MAX};
    int err = -ENOMEM;

    verdict.problems = calloc(ADAT_PROBLEMS_MAX, sizeof(*verdict.problems));
    check.lanes = calloc(reader->threads.count + 1, LANES * sizeof(*check.lanes));
    if (verdict.problems && check.lanes)
        err = check_blocks(&check);
    if (!err)
        check_file(&check);
    free(check.lanes);
    free(check.blocks);
    if (err) {
        adat_verdict_fini(&verdict);
        return err;
    }
    *verdict_out = verdict;
    return 0;
}

void adat_verdict_fini(AdatVerdict *verdict)
{
    free(verdict->problems);
    *verdict = (AdatVerdict){0};
}
