/* SPDX-License-Identifier: MIT */
#include "user/file/lane_blocks.h"

#define NUMBER_MAX 10u /* bytes of 64 bits */

/* ---- writing ---------------------------------------------------------------------------------- */

static uint8_t *put_number(uint8_t *out, uint64_t number)
{
    while (number >= 0x80) {
        *out++ = (uint8_t)number | 0x80;
        number >>= 7;
    }
    *out++ = (uint8_t)number;
    return out;
}

size_t lane_entry_put(const AdatBlockHeader *block, uint64_t *time_before, uint8_t *out)
{
    uint64_t ahead = block->first_time - *time_before;
    bool losses = (block->dropped_full | block->dropped_nested | block->dropped_io | block->recycled) != 0;
    uint8_t *next = out;

    next = put_number(next, block->thread);
    next = put_number(next, block->process);
    next = put_number(next, (block->type == ADAT_BLOCK_DETAIL ? LANE_BLOCK_DETAIL : 0) |
                                (block->flags & ADAT_FLAG_PACKED ? LANE_BLOCK_PACKED : 0) |
                                (losses ? LANE_BLOCK_LOSSES : 0));
    next = put_number(next, block->record_count);
    next = put_number(next, block->payload_bytes);
    next = put_number(next, block->first_record);
    next = put_number(next, ahead >> 63 ? ~(ahead << 1) : ahead << 1);
    next = put_number(next, block->last_time - block->first_time);
    if (losses) {
        next = put_number(next, block->dropped_full);
        next = put_number(next, block->dropped_nested);
        next = put_number(next, block->dropped_io);
        next = put_number(next, block->recycled);
    }
    *time_before = block->first_time;
    return (size_t)(next - out);
}

/* ---- reading ---------------------------------------------------------------------------------- */

/* False: there is no whole number, or it is greater than `most`. */
static bool take_number(LaneBlocks *blocks, uint64_t most, uint64_t *number_out)
{
    uint64_t number = 0;

    for (unsigned i = 0; i < NUMBER_MAX && blocks->entry < blocks->entries_end; i++) {
        uint8_t byte = *blocks->entry++;

        if (i == NUMBER_MAX - 1 && byte > 1)
            return false;
        number |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            *number_out = number;
            return number <= most;
        }
    }
    return false;
}

static bool take_losses(LaneBlocks *blocks, AdatBlockHeader *header)
{
    return take_number(blocks, UINT64_MAX, &header->dropped_full) &&
           take_number(blocks, UINT64_MAX, &header->dropped_nested) &&
           take_number(blocks, UINT64_MAX, &header->dropped_io) &&
           take_number(blocks, UINT64_MAX, &header->recycled);
}

/* False: the entry is not whole, or impossible. */
static bool take_entry(LaneBlocks *blocks, AdatBlockHeader *header_out)
{
    AdatBlockHeader header = {.magic = ADAT_BLOCK_MAGIC, .sequence = blocks->sequence};
    uint64_t room = (uint64_t)(blocks->records_end - blocks->records);
    uint64_t thread, process, bits, count, bytes, ahead, duration;

    if (!take_number(blocks, UINT32_MAX, &thread) || !take_number(blocks, UINT32_MAX, &process) ||
        !take_number(blocks, LANE_BLOCK_DETAIL | LANE_BLOCK_PACKED | LANE_BLOCK_LOSSES, &bits) ||
        !take_number(blocks, UINT32_MAX, &count) || !take_number(blocks, room, &bytes) ||
        !take_number(blocks, UINT64_MAX, &header.first_record) || !take_number(blocks, UINT64_MAX, &ahead) ||
        !take_number(blocks, UINT64_MAX, &duration) ||
        ((bits & LANE_BLOCK_LOSSES) && !take_losses(blocks, &header)))
        return false;
    header.type = bits & LANE_BLOCK_DETAIL ? ADAT_BLOCK_DETAIL : ADAT_BLOCK_INDEX;
    header.flags = bits & LANE_BLOCK_PACKED ? ADAT_FLAG_PACKED : 0;
    header.thread = (uint32_t)thread;
    header.process = (uint32_t)process;
    header.record_count = (uint32_t)count;
    header.payload_bytes = (uint32_t)bytes;
    header.first_time = blocks->time_before + (ahead & 1 ? ~(ahead >> 1) : ahead >> 1);
    header.last_time = header.first_time + duration;
    *header_out = header;
    return true;
}

bool lane_blocks_next(LaneBlocks *blocks, AdatBlockHeader *header_out, const uint8_t **payload_out)
{
    if (blocks->left == 0 || !take_entry(blocks, header_out))
        return false;
    *payload_out = blocks->records;
    blocks->records += header_out->payload_bytes;
    blocks->time_before = header_out->first_time;
    blocks->left--;
    return true;
}

bool lane_blocks_begin(LaneBlocks *blocks, const AdatBlockHeader *header, const uint8_t *payload)
{
    AdatBlockHeader block;
    const uint8_t *records;
    LaneBlocks first, trial;

    if (header->records_bytes > header->payload_bytes)
        return false;
    first = (LaneBlocks){
        .records = payload,
        .records_end = payload + header->records_bytes,
        .entry = payload + header->records_bytes,
        .entries_end = payload + header->payload_bytes,
        .sequence = header->sequence,
        .left = header->record_count,
    };
    trial = first;
    while (lane_blocks_next(&trial, &block, &records)) {
    }
    if (trial.left > 0 || trial.records != trial.records_end || trial.entry != trial.entries_end)
        return false;
    *blocks = first;
    return true;
}
