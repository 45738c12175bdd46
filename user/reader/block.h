/* SPDX-License-Identifier: MIT */
/*
 * Reads blocks of a file that nobody vouches for: one after the other from the start (BlockScan), or
 * one whose place and checksum are known from an earlier scan (block_load).
 *
 * Everything is read with pread into private memory, never mapped: a file that shrinks meanwhile is
 * an error and not a SIGBUS. Memory is at most one block, or 256 KiB.
 */
#ifndef ADA_READER_BLOCK_H
#define ADA_READER_BLOCK_H

#include <sys/types.h>

#include "user/reader/adat_reader.h"

typedef struct BlockScan {
    int fd;
    uint64_t end;    /* of the file, as far as the scan is concerned */
    uint64_t offset; /* of the next block; at the end of the scan: of the valid prefix's end */
    uint64_t blocks; /* found so far, and the sequence number of the next one */

    uint8_t *window; /* what of the file is in memory */
    size_t window_capacity;
    size_t window_bytes;
    uint64_t window_offset;

    uint64_t part_offset; /* of the block before, if it is a part of the index: a footer may follow; else 0 */

    /* valid once block_scan_next() has returned 0 */
    AdatCut cut;
    bool closed;
    uint64_t bad_padding; /* offset of the first block whose padding is not zero; 0 = none */
} BlockScan;

/* One whole and intact block; valid until the scan goes on. */
typedef struct Block {
    uint64_t offset;
    const AdatBlockHeader *header;
    const uint8_t *payload; /* aligned to 8 */
} Block;

void block_scan_init(BlockScan *scan, int fd, uint64_t first_block, uint64_t end);
void block_scan_fini(BlockScan *scan);

/* 1 and a block; 0 at the end of the valid prefix; -ENOMEM, or those of pread(2). */
int block_scan_next(BlockScan *scan, Block *block_out);

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

/*
 * pread(2) of `size` bytes, continued when it is short or interrupted: bytes read, less only at the
 * file's end; or -errno.
 */
ssize_t read_at(int fd, void *data, size_t size, uint64_t offset);

#endif
