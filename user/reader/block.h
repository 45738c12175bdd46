/* SPDX-License-Identifier: MIT */
/*
 * Reads a block again whose place and checksum are known from an earlier scan (user/file/block_scan.h).
 */
#ifndef ADA_READER_BLOCK_H
#define ADA_READER_BLOCK_H

#include <sys/types.h>

#include "user/reader/adat_reader.h"

/* A block of events that a scan has found, be it in one of lanes. */
typedef struct BlockRef {
    uint64_t offset; /* of its payload */
    uint64_t first_record;
    uint64_t first_time;
    uint64_t last_time;
    uint32_t payload_bytes;
    uint32_t record_count;
    uint32_t crc32; /* of the payload alone */
    uint32_t process;
    uint32_t thread;
    uint32_t file;   /* of the reader's */
    uint32_t losses; /* of the reader's, from 1: those of its lane up to it; 0: none */
    uint16_t lane;   /* ADA_LANE_* */
    uint16_t flags;
} BlockRef;

/* What of a lane was lost since its file began, as in AdatBlockHeader. */
typedef struct BlockLosses {
    uint64_t dropped_full;
    uint64_t dropped_nested;
    uint64_t dropped_io;
    uint64_t recycled;
} BlockLosses;

/* A block's payload in memory; zero it before its first use. */
typedef struct BlockBuffer {
    uint8_t *data;
    size_t capacity;
} BlockBuffer;

/* Reads a block's payload again. -EBADMSG: it is not there any more as it was; -ENOMEM; those of pread(2). */
int block_load(int fd, const BlockRef *ref, BlockBuffer *buffer);
void block_buffer_free(BlockBuffer *buffer);

#endif
