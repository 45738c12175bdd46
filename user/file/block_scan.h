/* SPDX-License-Identifier: MIT */
/*
 * Walks through the blocks of a file that nobody vouches for, from the start to the end of the longest prefix of whole,
 * intact ones.
 *
 * Everything is read with pread into private memory, never mapped: a file that shrinks meanwhile is
 * an error and not a SIGBUS. Memory is at most one block, or 256 KiB.
 */
#ifndef ADA_FILE_BLOCK_SCAN_H
#define ADA_FILE_BLOCK_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "user/file/adat_format.h"
#include "user/file/lane_blocks.h"

/* Why the bytes after the valid prefix are not part of it. */
typedef enum AdatCut {
    ADAT_CUT_NONE,
    ADAT_CUT_SHORT,    /* the file ends within a block: its recorder was killed, or it was truncated */
    ADAT_CUT_MAGIC,    /* no block starts here */
    ADAT_CUT_LENGTH,   /* a block claims to be longer than ADAT_PAYLOAD_MAX */
    ADAT_CUT_CRC,      /* a block's checksum does not match */
    ADAT_CUT_SEQUENCE, /* an intact block, but not the one that belongs here */
    ADAT_CUT_FOOTER,   /* behind a part of the index stands neither a block nor a valid footer */
    ADAT_CUT_AFTER,    /* something follows the footer */
    ADAT_CUT_LANES,    /* an intact block, but what it says of the blocks of lanes in it is impossible */
    ADAT_CUT_COUNT,
} AdatCut;

/*
 * Reads and checks the file's header. -EINVAL: not a trace; -ENODATA: too short even for a file header; -EPROTONOSUPPORT: its
 * format is newer than this code, or older than ADAT_OLDEST_READ; -EBADMSG: the header is damaged; those of pread(2).
 */
int file_header_read(int fd, AdatFileHeader *header_out);

typedef struct BlockScan {
    int fd;
    uint64_t end;    /* of the file, as far as the scan is concerned */
    uint64_t offset; /* of the next block; at the end of the scan: of the valid prefix's end */
    uint64_t blocks; /* found so far, and the sequence number of the next one */

    uint8_t *window; /* what of the file is in memory */
    size_t window_capacity;
    size_t window_bytes;
    uint64_t window_offset;

    LaneBlocks lanes;      /* to come, of the block before */
    uint64_t lanes_offset; /* of that block */
    const uint8_t *lanes_payload;
    AdatBlockHeader lane_header; /* of the one that was returned */

    uint64_t part_offset; /* of the block before, if it is a part of the index: a footer may follow; else 0 */

    /* valid once block_scan_next() has returned 0 */
    AdatCut cut;
    bool closed;
    uint64_t bad_padding; /* offset of the first block whose padding is not zero; 0 = none */
} BlockScan;

/*
 * One whole and intact block; valid until the scan goes on. One of lanes (ADAT_BLOCK_LANES) is followed by the blocks that are in it, as if they
 * stood alone, but for their checksum.
 */
typedef struct Block {
    uint64_t offset; /* of the block in the file, be it one of lanes */
    const AdatBlockHeader *header;
    const uint8_t *payload; /* at any alignment if it is in another, else aligned to 8 */
    uint64_t payload_offset;
    bool inside; /* another block */
} Block;

void block_scan_init(BlockScan *scan, int fd, uint64_t first_block, uint64_t end);
void block_scan_fini(BlockScan *scan);

/* 1 and a block; 0 at the end of the valid prefix; -ENOMEM, or those of pread(2). */
int block_scan_next(BlockScan *scan, Block *block_out);

/* What AdatBlockHeader.crc32 of a block should be. */
uint32_t block_crc32(const AdatBlockHeader *header, const uint8_t *payload);

/*
 * pread(2) of `size` bytes, continued when it is short or interrupted: bytes read, less only at the
 * file's end; or -errno.
 */
ssize_t read_at(int fd, void *data, size_t size, uint64_t offset);

#endif
