/* SPDX-License-Identifier: MIT */
#include "user/reader/adat_verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/array.h"
#include "user/reader/verify.h"

void verify_problem(Check *check, const char *format, ...)
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

const char *verify_lane_name(uint32_t lane)
{
    return lane == ADA_LANE_INDEX ? "index" : "detail";
}

LaneCheck *verify_lane(const Check *check, const ThreadEntry *thread, uint32_t lane)
{
    return &check->lanes[(size_t)(thread - check->reader->threads.items) * LANES + lane];
}

/* ---- blocks but those of lanes, and ledgers --------------------------------------------------- */

static void check_descriptors(Check *check, const Block *block)
{
    size_t count = block->header->payload_bytes / sizeof(AdaEventDescriptor);

    for (size_t i = 0; i < count; i++) {
        AdaEventDescriptor descriptor;

        memcpy(&descriptor, block->payload + i * sizeof(descriptor), sizeof(descriptor));
        if (descriptor.id == 0 || descriptor.field_count > ADA_EVENT_FIELDS_MAX) {
            verify_problem(check, "event descriptor %zu is invalid", i);
            continue;
        }
        for (uint32_t f = 0; f < descriptor.field_count; f++)
            if (descriptor.fields[f].type == 0 || descriptor.fields[f].type >= ADA_TYPE_COUNT)
                verify_problem(check, "event %u, field %u: unknown type %u", descriptor.id, f,
                               descriptor.fields[f].type);
    }
}

/* A part of the index: what it says is compared, and it starts anew. */
static void check_index_part(Check *check, const Block *block)
{
    size_t count = block->header->payload_bytes / sizeof(AdatTrailerEntry);
    size_t common = count < check->block_count ? count : check->block_count;

    if (block->header->first_record != check->last_part)
        verify_problem(check, "the index goes back to a part at %" PRIu64 ", the part before is at %" PRIu64,
                       block->header->first_record, check->last_part);
    for (size_t i = 0; i < common; i++) {
        if (memcmp(block->payload + i * sizeof(AdatTrailerEntry), &check->blocks[i],
                   sizeof(AdatTrailerEntry)) != 0) {
            verify_problem(check, "entry %zu of this part of the index does not match the block at %" PRIu64,
                           i, check->blocks[i].offset);
            break;
        }
    }
    if (count != check->block_count)
        verify_problem(check, "this part of the index has %zu entries for %zu blocks", count,
                       check->block_count);
    check->last_part = block->offset;
    check->block_count = 0;
}

static void check_mark(Check *check, const Block *block)
{
    const AdatReader *reader = check->reader;
    const ThreadEntry *thread;
    AdatMark mark;

    if (block->header->payload_bytes < sizeof(mark))
        return; /* reported as of wrong size */
    memcpy(&mark, block->payload, sizeof(mark));
    if (!memchr(mark.reason, '\0', sizeof(mark.reason)))
        verify_problem(check, "the reason of a mark does not end");
    thread = mark.thread ? reader_find_thread(reader, mark.thread) : NULL;
    if (thread && thread->info.thread.process != mark.process)
        verify_problem(check, "thread %u is of process %u, its mark says %u", mark.thread,
                       thread->info.thread.process, mark.process);
    /* A recorder that was killed may not have described them yet. */
    if (!reader->info.closed)
        return;
    if (mark.thread && !thread)
        verify_problem(check, "a mark names thread %u, which is not in the file", mark.thread);
    if ((mark.process || mark.thread) && reader_find_process(reader, mark.process) < 0)
        verify_problem(check, "a mark names process %u, which is not in the file", mark.process);
}

static bool continues_recording(const AdatReader *reader)
{
    const char *number = adat_strings_find(adat_reader_session(reader), "file_number");

    return number && strcmp(number, "1") != 0;
}

static void check_kernel(Check *check, const Block *block)
{
    const uint8_t *payload = block->payload;
    size_t size = block->header->payload_bytes;
    AdatKernelSummary summary;

    if (size < sizeof(summary))
        return; /* reported as of wrong size */
    memcpy(&summary, payload, sizeof(summary));
    if (!memchr(summary.reason, '\0', sizeof(summary.reason)))
        verify_problem(check, "the reason in a kernel block does not end");
    for (size_t at = sizeof(summary); size - at >= sizeof(AdatKernelThread); at += sizeof(AdatKernelThread)) {
        const ThreadEntry *thread;
        AdatKernelThread death;

        memcpy(&death, payload + at, sizeof(death));
        thread = reader_find_thread(check->reader, death.thread);
        if (thread && thread->info.thread.process != death.process)
            verify_problem(check, "thread %u is of process %u, its death record says %u", death.thread,
                           thread->info.thread.process, death.process);
        /* A recorder that was killed may not have described it yet; an earlier file of the same recording may have. */
        if (!thread && check->reader->info.closed && !continues_recording(check->reader))
            verify_problem(check, "a death record names thread %u, which is not in the file", death.thread);
    }
}

static void check_symbols(Check *check, const Block *block)
{
    const char *wrong = embedded_check(block->payload, block->header->payload_bytes);
    AdatModuleSymbols head;

    if (wrong) {
        verify_problem(check, "symbols: %s", wrong);
        return;
    }
    memcpy(&head, block->payload, sizeof(head));
    if (check->reader->info.closed && !embedded_is_known(check->reader, &head))
        verify_problem(check, "symbols of a module that is not in the file");
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

/* Payloads that are one structure, or a list of one behind a head, or start with one. */
static void check_payload_size(Check *check, const AdatBlockHeader *header)
{
    static const struct {
        const char *name;
        uint32_t head;
        uint32_t item;
        char count; /* '1', '*', '?', or '+' when more may follow */
    } shapes[ADAT_BLOCK_TYPES] = {
        [ADAT_BLOCK_PROCESS] = {"process", 0, sizeof(AdatProcess), '+'},
        [ADAT_BLOCK_THREAD] = {"thread", sizeof(AdatThread), sizeof(AdatThreadStart), '?'},
        [ADAT_BLOCK_EVENTS] = {"event descriptor", 0, sizeof(AdaEventDescriptor), '*'},
        [ADAT_BLOCK_MODULES] = {"module", 0, sizeof(AdaModule), '*'},
        [ADAT_BLOCK_CLOCK] = {"clock", 0, sizeof(AdatClock), '1'},
        [ADAT_BLOCK_DEATH] = {"death", 0, sizeof(AdatDeath), '1'},
        [ADAT_BLOCK_LEDGER] = {"ledger", sizeof(AdatDrainSummary), sizeof(AdatLedgerEntry), '*'},
        [ADAT_BLOCK_KERNEL] = {"kernel", sizeof(AdatKernelSummary), sizeof(AdatKernelThread), '*'},
        [ADAT_BLOCK_TRAILER] = {"index", 0, sizeof(AdatTrailerEntry), '*'},
        [ADAT_BLOCK_MARK] = {"mark", 0, sizeof(AdatMark), '1'},
    };
    uint32_t bytes = header->payload_bytes;
    uint32_t item = header->type < ADAT_BLOCK_TYPES ? shapes[header->type].item : 0;
    uint32_t head = item ? shapes[header->type].head : 0;
    bool fits = true;

    if (item == 0)
        return;
    if (shapes[header->type].count == '1')
        fits = bytes == item;
    else if (shapes[header->type].count == '?')
        fits = bytes == head || bytes == head + item;
    else if (shapes[header->type].count == '*')
        fits = bytes >= head && (bytes - head) % item == 0;
    else
        fits = bytes >= item;
    if (!fits)
        verify_problem(check, "%s block of %u bytes", shapes[header->type].name, bytes);
}

static int check_block(Check *check, const Block *block)
{
    check->offset = block->offset;
    if (block->inside) {
        verify_lane_block(check, block);
        return 0;
    }
    check_payload_size(check, block->header);
    switch (block->header->type) {
    case ADAT_BLOCK_TRAILER:
        check_index_part(check, block);
        return 0;
    case ADAT_BLOCK_INDEX:
    case ADAT_BLOCK_DETAIL:
        verify_lane_block(check, block);
        break;
    case ADAT_BLOCK_EVENTS:
        check_descriptors(check, block);
        break;
    case ADAT_BLOCK_LEDGER:
        verify_ledger(check, block);
        break;
    case ADAT_BLOCK_KERNEL:
        check_kernel(check, block);
        break;
    case ADAT_BLOCK_MARK:
        check_mark(check, block);
        break;
    case ADAT_BLOCK_SYMBOLS:
        check_symbols(check, block);
        break;
    default:
        break;
    }
    return note_block(check, block);
}

static int check_blocks(Check *check)
{
    const AdatFileInfo *info = &check->reader->info;
    BlockScan scan;
    Block block;
    int got;

    block_scan_init(&scan, check->reader->files.items[0].fd, info->header.header_bytes, info->valid_bytes);
    while ((got = block_scan_next(&scan, &block)) > 0) {
        got = check_block(check, &block);
        if (got < 0)
            break;
    }
    check->offset = scan.offset;
    if (got == 0 && (scan.offset != info->valid_bytes || scan.blocks != info->blocks))
        verify_problem(check, "the file changed while it was read");
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
            verify_problem(check, "process %u is not described", process->process.process);
        else if (process->process.clock_kind == ADA_CLOCK_TSC && !clock_line_has_tsc(&reader->clock))
            verify_problem(check, "process %u: too few clock anchors to convert its cycle counter",
                           process->process.process);
        else if (process->process.clock_kind != ADA_CLOCK_MONOTONIC &&
                 process->process.clock_kind != ADA_CLOCK_TSC)
            verify_problem(check, "process %u: unknown clock %u", process->process.process,
                           process->process.clock_kind);
    }
    for (size_t i = 0; i < reader->threads.count; i++)
        if (!reader->threads.items[i].info.described)
            verify_problem(check, "thread %u is not described", reader->threads.items[i].info.thread.thread);
}

static void check_file(Check *check)
{
    const AdatFileInfo *info = &check->reader->info;

    check->offset = info->valid_bytes;
    if (info->cut != ADAT_CUT_NONE)
        verify_problem(check, "%s: %" PRIu64 " bytes are cut off", adat_cut_text(info->cut),
                       adat_cut_bytes(info));
    check->offset = info->bad_padding;
    if (info->bad_padding)
        verify_problem(check, "the padding of a block is not zero");
    check->offset = 0;
    if (check->reader->clock.rejected > 0)
        verify_problem(check, "%zu clock anchors go backwards", check->reader->clock.rejected);
    check_references(check);
    verify_ledgers_end(check);
}

/* Of thousands of files that are sound each has a verdict. */
static void shrink(AdatVerdict *verdict)
{
    AdatProblem *problems = NULL;

    if (verdict->kept > 0)
        problems = realloc(verdict->problems, verdict->kept * sizeof(*problems));
    else
        free(verdict->problems);
    if (problems || verdict->kept == 0)
        verdict->problems = problems;
}

int adat_verify(const AdatReader *reader, AdatVerdict *verdict_out)
{
    AdatVerdict verdict = {
        .cut_bytes = adat_cut_bytes(&reader->info),
        .closed = reader->info.closed,
    };
    Check check = {.reader = reader, .verdict = &verdict, .known_process = UINT32_MAX};
    int err = -ENOMEM;

    verdict.problems = calloc(ADAT_PROBLEMS_MAX, sizeof(*verdict.problems));
    check.lanes = calloc(reader->threads.count + 1, LANES * sizeof(*check.lanes));
    check.unregistered = calloc(reader->processes.count + 1, LANES * sizeof(*check.unregistered));
    if (verdict.problems && check.lanes && check.unregistered)
        err = check_blocks(&check);
    if (!err)
        check_file(&check);
    free(check.lanes);
    free(check.unregistered);
    free(check.blocks);
    if (err) {
        adat_verdict_fini(&verdict);
        return err;
    }
    shrink(&verdict);
    *verdict_out = verdict;
    return 0;
}

void adat_verdict_fini(AdatVerdict *verdict)
{
    free(verdict->problems);
    *verdict = (AdatVerdict){0};
}
