/* SPDX-License-Identifier: MIT */
/*
 * Writes one .adat file: blocks are built in a buffer, and the buffer goes out with one write.
 *
 *   adat_writer_begin_block() -> fill the payload in place -> adat_writer_end_block()
 *   ... as many as wanted ...
 *   adat_writer_flush()
 *
 * Between begin and end the payload belongs to the caller; lane data is copied from shared memory
 * straight into it, so that what is checked and checksummed is a private copy. One thread uses a
 * writer at a time. Nothing is printed; functions return 0 or -errno.
 *
 * A write that fails leaves the file at its last whole block: the writer cuts off what was half
 * written and forgets the buffer's blocks (the caller counts what they held as dropped_io). Later
 * flushes try again, so the file resumes when there is room.
 *
 * The index of the file is the writer's business: parts of it precede other blocks in a write now and then, so
 * that memory stays the same however long a recording is. There is room for them beside that for blocks.
 */
#ifndef ADA_FILE_ADAT_WRITER_H
#define ADA_FILE_ADAT_WRITER_H

#include <stddef.h>
#include <sys/types.h>

#include "user/file/adat_format.h"

typedef struct AdatWriter AdatWriter;

/* How the writer writes: pwrite(2), or a test's faulty one. */
typedef ssize_t (*AdatPwrite)(int fd, const void *data, size_t size, off_t offset);

typedef struct AdatWriterConfig {
    size_t buffer_bytes; /* 0 = 256 KiB: small enough to stay in the cache between copy, checksum and write */
    size_t index_part_entries; /* a part of the index is written when it would have so many; 0 = 4096, the most */
    AdatPwrite pwrite;         /* NULL = pwrite(2) */
} AdatWriterConfig;

/*
 * Takes over `fd` (a new, empty, regular file open for writing) and writes the file header. On failure
 * the fd stays the caller's. Errors: -ENOMEM, and those of write(2).
 */
int adat_writer_create(int fd, const AdatWriterConfig *config, AdatWriter **writer_out);

/* Closes the file as it is: without a footer unless adat_writer_finish() was called. NULL is allowed. */
void adat_writer_destroy(AdatWriter *writer);

/* The same, but hands the file back, open. */
int adat_writer_release(AdatWriter *writer);

/* Bytes of payload that a block begun now could have without a flush. */
size_t adat_writer_room(const AdatWriter *writer);

/*
 * Starts a block in the buffer and returns where its payload goes, or NULL when `payload_bytes_max`
 * exceeds adat_writer_room() (the buffer grows by itself only when it is empty, so flush and ask
 * again). `header` names type, flags, process, thread and the lane fields; magic, payload_bytes, crc and
 * sequence are the writer's to set.
 */
void *adat_writer_begin_block(AdatWriter *writer, const AdatBlockHeader *header, size_t payload_bytes_max);

/* As adat_writer_room(), for a block that adat_writer_begin_lane_block() begins. */
size_t adat_writer_lane_room(const AdatWriter *writer);

/*
 * As adat_writer_begin_block(), for a block of a lane, of type INDEX or DETAIL. Its payload may be at any alignment. Those that follow one
 * another are written as one (user/file/lane_blocks.h), and counted so; one that is alone stays what it is. It ends, or is cancelled, like others.
 */
void *adat_writer_begin_lane_block(AdatWriter *writer, const AdatBlockHeader *header, size_t payload_bytes_max);

/* The header of the block that was begun, to complete before it ends (record_count, times, ...). */
AdatBlockHeader *adat_writer_block_header(AdatWriter *writer);

/* Ends the block with its true size (<= the maximum given). */
void adat_writer_end_block(AdatWriter *writer, size_t payload_bytes);

/* Drops the block that was begun. */
void adat_writer_cancel_block(AdatWriter *writer);

/* begin, copy, end; flushes first when there is no room. */
int adat_writer_put_block(AdatWriter *writer, const AdatBlockHeader *header, const void *payload,
                          size_t payload_bytes);

/*
 * Writes what is buffered, whatever number of write calls it takes (short writes and EINTR are
 * continued). 0, or -errno (ENOSPC, EDQUOT, EIO, EFBIG ...): then the buffered blocks are lost and the file ends
 * at the last block written before.
 */
int adat_writer_flush(AdatWriter *writer);

/*
 * Flushes, then writes the last part of the index and the footer. 0 or -errno: then the file ends at its
 * last whole block, without a footer (also with -ENOMEM: there was no memory for the index, and all
 * blocks are in the file). The writer can only be destroyed afterwards.
 */
int adat_writer_finish(AdatWriter *writer);

/* Bytes that a flush would write now. */
size_t adat_writer_buffered(const AdatWriter *writer);

/* Bytes safely handed to the kernel so far. */
uint64_t adat_writer_bytes(const AdatWriter *writer);

/* Blocks handed to the kernel so far, parts of the index included. */
uint64_t adat_writer_blocks(const AdatWriter *writer);

#endif
