/* SPDX-License-Identifier: MIT */
/*
 * Reads a block again whose place and checksum are known from an earlier scan (user/file/block_scan.h).
 */
#ifndef ADA_READER_BLOCK_H
#define ADA_READER_BLOCK_H

#include <sys/types.h>

#include "user/reader/adat_reader.h"

/* A block of events that a scan has found. */
typedef struct BlockRef {
    uint64_t offset;
    uint64_t first_record;
    uint64_t first_time;
    uint64_t last_time;
    uint32_t payload_bytes;
    uint32_t record_count;
    uint32_t crc32;
    uint32_t process;
    uint32_t thread;
    uint32_t lane; /* ADA_LANE_* */
    uint32_t file; /* of the reader's */
} BlockRef;

/* A block in memory; zero it before its first use. */
typedef struct BlockBuffer {
    uint8_t *data; /* header and payload */
    size_t capacity;
} BlockBuffer;

/* Reads a block again. -EBADMSG: it is not there any more as it was; -ENOMEM; those of pread(2). */
int block_load(int fd, const BlockRef *ref, BlockBuffer *buffer);
void block_buffer_free(BlockBuffer *buffer);

#endif
