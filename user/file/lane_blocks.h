/* SPDX-License-Identifier: MIT */
/*
 * The payload of ADAT_BLOCK_LANES: blocks of lanes that were written at once. Of a recording of many threads each write has a little of
 * each of them: a header, a checksum and an entry in the index of their own, 120 bytes, were more than a third of the file.
 *
 *   the records of the first block, of the second ...  |  an entry for each of them
 *
 * An entry is a row of numbers, each in 7 bits a byte, the lowest first, with the eighth bit set in all bytes but the last:
 *   thread, process, LANE_BLOCK_* bits, record_count, payload_bytes, first_record; first_time as what it is more than that of the entry before
 *   (0 for the first), shifted left by one bit, inverted if negative; last_time as what it is more than first_time; and with
 *   LANE_BLOCK_LOSSES dropped_full, dropped_nested, dropped_io, recycled.
 * All differences are modulo 2^64. Mostly 16 or 17 bytes.
 */
#ifndef ADA_FILE_LANE_BLOCKS_H
#define ADA_FILE_LANE_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>

#include "user/file/adat_format.h"

#define LANE_BLOCK_DETAIL 0x1u /* else INDEX */
#define LANE_BLOCK_PACKED 0x2u /* ADAT_FLAG_PACKED */
#define LANE_BLOCK_LOSSES 0x4u
#define LANE_ENTRY_MAX 91u /* bytes: four numbers of 32 bits, the bits, seven of 64 */

/*
 * Writes the entry of a block, whose header is complete but for magic, checksum and sequence; returns its size, at most LANE_ENTRY_MAX.
 * *time_before is 0 for the first of a payload, and then left alone.
 */
size_t lane_entry_put(const AdatBlockHeader *block, uint64_t *time_before, uint8_t *out);

/* On its way through a payload, which must stay. */
typedef struct LaneBlocks {
    const uint8_t *records; /* of the next block */
    const uint8_t *records_end;
    const uint8_t *entry; /* the next one */
    const uint8_t *entries_end;
    uint64_t time_before;
    uint64_t sequence;
    uint32_t left;
} LaneBlocks;

/* False, and nothing changed: it is none of whole entries that fit the records. It may be anything, of header->payload_bytes. */
bool lane_blocks_begin(LaneBlocks *blocks, const AdatBlockHeader *header, const uint8_t *payload);

/* The next block, as if it stood alone, but that its crc32 is 0 and the payload at any alignment. False: there is none. */
bool lane_blocks_next(LaneBlocks *blocks, AdatBlockHeader *header_out, const uint8_t **payload_out);

#endif
