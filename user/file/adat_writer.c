/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* fallocate */
#include "user/file/adat_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/file/crc.h"

#define BUFFER_BYTES_DEFAULT ((size_t)256 << 10)
/*
 * Blocks of the disk are reserved ahead, behind the end of the file: writing into them costs 4.9 ns per 32-byte
 * event instead of 7.1 (ext4, 256 KiB at a time). Closing gives back what was not used. Small files do without.
 */
#define RESERVE_FROM ((uint64_t)4 << 20)
#define RESERVE_MAX ((uint64_t)64 << 20)
#define BUFFER_BYTES_MIN ((size_t)4 << 10)

struct AdatWriter {
    int fd;
    AdatPwrite pwrite;
    uint64_t file_end;     /* whole blocks end here: where the next flush writes */
    bool tail_dirty;       /* the file may be longer than file_end, with rubbish */
    uint64_t reserved_end; /* blocks are reserved up to here; UINT64_MAX: the file system can't */

    uint8_t *buffer;
    size_t capacity; /* a multiple of 8 */
    size_t used;     /* ended blocks, padded: a multiple of 8 */

    bool open; /* between begin and end; the block stands at buffer + used */
    size_t open_payload_max;

    uint64_t sequence; /* of the next block */
    uint64_t blocks;   /* handed to the kernel; those in the buffer have the sequences from here on */

    /* What the trailer will say: entry i is block i. `index_lost` once there was no memory for an entry. */
    AdatTrailerEntry *index;
    size_t index_capacity;
    bool index_lost;
};

/* 0 or -errno; how much arrived before a failure does not matter, since all of it is cut off again. */
static int write_all(const AdatWriter *writer, const void *data, size_t size, uint64_t offset)
{
    const uint8_t *next = data;

    while (size > 0) {
        ssize_t written = writer->pwrite(writer->fd, next, size, (off_t)offset);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        if (written == 0)
            return -EIO;
        next += written;
        offset += (uint64_t)written;
        size -= (size_t)written;
    }
    return 0;
}

static void cut_tail(AdatWriter *writer)
{
    writer->tail_dirty = ftruncate(writer->fd, (off_t)writer->file_end) != 0;
}

/* In memory (tmpfs) reserving fills the pages with zeros, and the write fills them again. */
static bool reserving_pays(int fd)
{
    struct statfs system;

    return fstatfs(fd, &system) == 0 && system.f_type != TMPFS_MAGIC;
}

static void reserve_blocks(AdatWriter *writer, size_t size)
{
    uint64_t amount = writer->file_end < RESERVE_MAX ? writer->file_end : RESERVE_MAX;

    if (writer->file_end < RESERVE_FROM || writer->file_end + size <= writer->reserved_end)
        return;
    if (fallocate(writer->fd, FALLOC_FL_KEEP_SIZE, (off_t)writer->file_end, (off_t)(amount + size)) == 0)
        writer->reserved_end = writer->file_end + size + amount;
    else
        writer->reserved_end = UINT64_MAX; /* full, or not supported: writing will tell */
}

/* Gives the blocks behind the end of the file back. */
static void release_reserve(AdatWriter *writer)
{
    if (writer->reserved_end > writer->file_end && writer->reserved_end != UINT64_MAX)
        cut_tail(writer);
    writer->reserved_end = UINT64_MAX;
}

static int write_file_header(AdatWriter *writer)
{
    AdatFileHeader header = {
        .major = ADAT_MAJOR,
        .oldest_compatible = ADAT_OLDEST,
        .header_bytes = sizeof(header),
        .chunk = 1,
    };
    struct timespec now;
    int err;

    memcpy(header.magic, ADAT_MAGIC, sizeof(header.magic));
    if (getrandom(header.uuid, sizeof(header.uuid), 0) != (ssize_t)sizeof(header.uuid))
        return -EIO;
    header.uuid[6] = (uint8_t)((header.uuid[6] & 0x0f) | 0x40); /* RFC 4122: version 4, */
    header.uuid[8] = (uint8_t)((header.uuid[8] & 0x3f) | 0x80); /* variant 1 */
    clock_gettime(CLOCK_REALTIME, &now);
    header.created_realtime_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    header.crc32 = adat_crc32(0, &header, sizeof(header));

    err = write_all(writer, &header, sizeof(header), 0);
    if (err) {
        cut_tail(writer);
        return err;
    }
    writer->file_end = sizeof(header);
    return 0;
}

int adat_writer_create(int fd, const AdatWriterConfig *config, AdatWriter **writer_out)
{
    size_t capacity = config && config->buffer_bytes ? config->buffer_bytes : BUFFER_BYTES_DEFAULT;
    AdatWriter *writer;
    int err;

    if (capacity < BUFFER_BYTES_MIN)
        capacity = BUFFER_BYTES_MIN;
    capacity = ADAT_PADDED(capacity);

    writer = calloc(1, sizeof(*writer));
    if (!writer)
        return -ENOMEM;
    writer->fd = fd;
    writer->reserved_end = reserving_pays(fd) ? 0 : UINT64_MAX;
    writer->pwrite = config && config->pwrite ? config->pwrite : pwrite;
    writer->capacity = capacity;
    writer->buffer = malloc(capacity);
    if (!writer->buffer) {
        err = -ENOMEM;
        goto free_writer;
    }
    err = write_file_header(writer);
    if (err)
        goto free_buffer;

    *writer_out = writer;
    return 0;

free_buffer:
    free(writer->buffer);
free_writer:
    free(writer);
    return err;
}

void adat_writer_destroy(AdatWriter *writer)
{
    if (!writer)
        return;
    release_reserve(writer);
    if (writer->tail_dirty)
        cut_tail(writer);
    close(writer->fd);
    free(writer->index);
    free(writer->buffer);
    free(writer);
}

size_t adat_writer_room(const AdatWriter *writer)
{
    size_t left = writer->capacity - writer->used;

    return left > sizeof(AdatBlockHeader) ? left - sizeof(AdatBlockHeader) : 0;
}

/* The buffer is empty, so there is nothing in it to keep. */
static int grow_buffer(AdatWriter *writer, size_t payload_bytes)
{
    size_t capacity = sizeof(AdatBlockHeader) + ADAT_PADDED(payload_bytes);
    uint8_t *buffer = malloc(capacity);

    if (!buffer)
        return -ENOMEM;
    free(writer->buffer);
    writer->buffer = buffer;
    writer->capacity = capacity;
    return 0;
}

void *adat_writer_begin_block(AdatWriter *writer, const AdatBlockHeader *header, size_t payload_bytes_max)
{
    if (payload_bytes_max > adat_writer_room(writer)) {
        if (writer->used > 0 || payload_bytes_max > ADAT_PAYLOAD_MAX)
            return NULL;
        if (grow_buffer(writer, payload_bytes_max))
            return NULL;
    }
    writer->open = true;
    writer->open_payload_max = payload_bytes_max;
    memcpy(writer->buffer + writer->used, header, sizeof(*header));
    return writer->buffer + writer->used + sizeof(*header);
}

AdatBlockHeader *adat_writer_block_header(AdatWriter *writer)
{
    return writer->open ? (AdatBlockHeader *)(void *)(writer->buffer + writer->used) : NULL;
}

static void index_block(AdatWriter *writer, const AdatBlockHeader *header)
{
    if (writer->index_lost)
        return;
    if (array_reserve_one(&writer->index, &writer->index_capacity, (size_t)writer->sequence,
                          sizeof(*writer->index))) {
        writer->index_lost = true;
        return;
    }
    writer->index[writer->sequence] = (AdatTrailerEntry){
        .offset = writer->file_end + writer->used,
        .payload_bytes = header->payload_bytes,
        .type = header->type,
        .process = header->process,
        .thread = header->thread,
    };
}

void adat_writer_end_block(AdatWriter *writer, size_t payload_bytes)
{
    AdatBlockHeader *header = adat_writer_block_header(writer);
    uint8_t *payload;

    if (!header)
        return;
    if (payload_bytes > writer->open_payload_max)
        payload_bytes = writer->open_payload_max;
    payload = (uint8_t *)(header + 1);

    header->magic = ADAT_BLOCK_MAGIC;
    header->payload_bytes = (uint32_t)payload_bytes;
    header->sequence = writer->sequence;
    header->crc32 = 0;
    header->crc32 = adat_crc32(0, header, sizeof(*header) + payload_bytes);
    memset(payload + payload_bytes, 0, ADAT_PADDED(payload_bytes) - payload_bytes);

    index_block(writer, header);
    writer->used += sizeof(*header) + ADAT_PADDED(payload_bytes);
    writer->sequence++;
    writer->open = false;
}

void adat_writer_cancel_block(AdatWriter *writer)
{
    writer->open = false;
}

int adat_writer_put_block(AdatWriter *writer, const AdatBlockHeader *header, const void *payload,
                          size_t payload_bytes)
{
    void *place;
    int err;

    if (payload_bytes > ADAT_PAYLOAD_MAX)
        return -EMSGSIZE;
    if (payload_bytes > adat_writer_room(writer)) {
        err = adat_writer_flush(writer);
        if (err)
            return err;
    }
    place = adat_writer_begin_block(writer, header, payload_bytes);
    if (!place)
        return -ENOMEM;
    if (payload_bytes > 0)
        memcpy(place, payload, payload_bytes);
    adat_writer_end_block(writer, payload_bytes);
    return 0;
}

int adat_writer_flush(AdatWriter *writer)
{
    size_t size = writer->used;
    int err;

    if (size == 0)
        return 0;
    writer->used = 0;
    reserve_blocks(writer, size);
    err = write_all(writer, writer->buffer, size, writer->file_end);
    if (err) {
        /* The sequence numbers of the lost blocks, and their places in the index, go to the next ones. */
        writer->sequence = writer->blocks;
        cut_tail(writer);
        return err;
    }
    writer->file_end += size;
    writer->blocks = writer->sequence;
    if (writer->tail_dirty)
        cut_tail(writer);
    return 0;
}

/*
 * Trailer blocks of at most a buffer each, so that closing needs no memory: an index that is longer
 * goes on in the next trailer block. The footer goes out with the last of them.
 */
static int write_trailer(AdatWriter *writer, size_t count)
{
    const AdatBlockHeader header = {.type = ADAT_BLOCK_TRAILER};
    const AdatTrailerEntry *next = writer->index;
    size_t per_block = (adat_writer_room(writer) - sizeof(AdatFooter)) / sizeof(AdatTrailerEntry);
    AdatFooter footer = {.trailer_offset = writer->file_end, .magic = ADAT_FOOTER_MAGIC};
    int err;

    writer->index_lost = true; /* trailer blocks are not in the index */
    do {
        size_t part = count < per_block ? count : per_block;

        err = adat_writer_flush(writer);
        if (err)
            return err;
        err = adat_writer_put_block(writer, &header, next, part * sizeof(*next));
        if (err)
            return err;
        if (part > 0)
            next += part;
        count -= part;
    } while (count > 0);

    footer.crc32 = adat_crc32(0, &footer, offsetof(AdatFooter, crc32));
    memcpy(writer->buffer + writer->used, &footer, sizeof(footer));
    writer->used += sizeof(footer);
    return adat_writer_flush(writer);
}

int adat_writer_finish(AdatWriter *writer)
{
    uint64_t trailer_offset, trailer_sequence;
    int err;

    adat_writer_cancel_block(writer);
    err = adat_writer_flush(writer);
    if (err)
        return err;
    if (writer->index_lost)
        return -ENOMEM;

    trailer_offset = writer->file_end;
    trailer_sequence = writer->sequence;
    err = write_trailer(writer, (size_t)writer->sequence);
    if (err) {
        /* Half a trailer is of no use: the file ends as one whose recorder was killed. */
        writer->file_end = trailer_offset;
        writer->sequence = writer->blocks = trailer_sequence;
        cut_tail(writer);
    }
    return err;
}

size_t adat_writer_buffered(const AdatWriter *writer)
{
    return writer->used;
}

uint64_t adat_writer_bytes(const AdatWriter *writer)
{
    return writer->file_end;
}

uint64_t adat_writer_blocks(const AdatWriter *writer)
{
    return writer->blocks;
}
