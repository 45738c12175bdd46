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
#include "user/file/lane_blocks.h"

#define BUFFER_BYTES_DEFAULT ((size_t)256 << 10)
/*
 * Behind the end of a file that has grown, two things are done ahead. Closing undoes what was not used of them.
 *
 * Blocks of the disk are reserved: writing into them costs 4.9 ns per 32-byte event instead of 7.1 (ext4, 256 KiB
 * at a time).
 *
 * Zeros are written: the page cache takes them in large pieces, and what is written over them later finds its pages
 * there. 22 KB at a time, as come within a tick, then cost 6.3 us instead of 11, the zeros included (ext4, Linux 6.18).
 */
#define RESERVE_FROM ((uint64_t)4 << 20)
#define RESERVE_MAX ((uint64_t)64 << 20)
#define BUFFER_BYTES_MIN ((size_t)4 << 10)
#define INDEX_PART_ENTRIES ((size_t)4096)
#define LANE_RECORDS_BYTES ((size_t)64 << 10) /* blocks of lanes become one until they have so many */
#define LANE_ENTRIES_BYTES 8192u              /* and as long as their entries fit: 90 at least */

struct AdatWriter {
    int fd;
    AdatPwrite pwrite;
    uint64_t file_end;     /* whole blocks end here: where the next flush writes */
    bool tail_dirty;       /* the file may be longer than file_end, with rubbish */
    uint64_t reserved_end; /* blocks are reserved up to here; UINT64_MAX: the file system can't */
    uint64_t zeroed_end;   /* the file has zeros from file_end to here; below file_end: it has none */

    uint8_t *buffer; /* a part of the index, if one is due, then blocks */
    size_t capacity; /* for blocks; a multiple of 8. For a part there is room besides, see part_bytes_max() */
    size_t used;     /* the part and ended blocks, padded: a multiple of 8 */

    bool open; /* between begin and end; the block stands at buffer + used */
    size_t open_payload_max;

    /*
     * Blocks of lanes since the last other block, which become one (ADAT_BLOCK_LANES): at buffer + used is the header of the first, and all
     * records follow. Before any other block begins, and before a write, they get a header in its place, and their entries. One
     * that is alone stays as it is.
     */
    AdatBlockHeader *lane_header; /* of the one that is between begin and end: the first one's place, or lane_next; else NULL */
    AdatBlockHeader lane_next;
    uint32_t lane_blocks;
    size_t lane_records; /* bytes of their records */
    size_t lane_entries; /* bytes of their entries */
    uint64_t lane_time_before;
    uint8_t entries[LANE_ENTRIES_BYTES];

    uint64_t sequence; /* of the next block */
    uint64_t blocks;   /* handed to the kernel; those in the buffer have the sequences from here on */

    /*
     * Blocks that no part of the index in the file lists: those that are in the file, then those in the
     * buffer. The part in the buffer lists all that are in the file, and it comes before the others, so its
     * entries are the first ones, and are forgotten once it is in the file, too. Whenever the buffer
     * is empty and `part_entries_due` of them wait, the next block is preceded by a part: so at most
     * part_entries_due - 1 + (blocks of one buffer) wait, however long the file is.
     */
    AdatTrailerEntry *index;
    size_t index_count;
    size_t index_written; /* of them in the file */
    size_t index_capacity;
    bool index_lost; /* there was no memory for an entry: no more parts, and no footer */
    size_t part_entries_due;
    size_t part_bytes;    /* in the buffer, of its part; 0 = it has none */
    uint64_t last_part;   /* offset of the last part in the file; 0 = none yet */
    uint64_t part_offset; /* of the part in the buffer */
};

static size_t part_bytes_of(size_t entries)
{
    return sizeof(AdatBlockHeader) + entries * sizeof(AdatTrailerEntry);
}

/* Of the largest part that can get due: one buffer's blocks come on top of those that waited. */
static size_t part_bytes_max(const AdatWriter *writer, size_t capacity)
{
    return part_bytes_of(writer->part_entries_due + capacity / sizeof(AdatBlockHeader));
}

/* For a part, blocks and the footer. */
static uint8_t *allocate_buffer(const AdatWriter *writer, size_t capacity)
{
    return malloc(part_bytes_max(writer, capacity) + capacity + sizeof(AdatFooter));
}

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
    writer->zeroed_end = 0;
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

/* Extends the file by zeros where the next blocks will stand. */
static void write_zeros_ahead(AdatWriter *writer, size_t size)
{
    static char zeros[ADAT_AHEAD_BYTES]; /* never written to */
    uint64_t end = writer->file_end + size;
    uint64_t step = sizeof(zeros) / 2;

    if (writer->reserved_end == UINT64_MAX || end > writer->reserved_end || end <= writer->zeroed_end ||
        size > step / 2)
        return; /* a large write fares as well without */
    if (writer->zeroed_end < writer->file_end)
        writer->zeroed_end = writer->file_end;
    /* No more than a reader expects: so that the rest, if the recorder is killed, is not taken for damage. Aligned, for large folios. */
    end = (writer->file_end + sizeof(zeros)) / step * step;
    if (write_all(writer, zeros, (size_t)(end - writer->zeroed_end), writer->zeroed_end) == 0) {
        writer->zeroed_end = end;
    } else {
        cut_tail(writer);
        writer->reserved_end = UINT64_MAX;
    }
}

/* Gives back what lies behind the end of the file. */
static void release_reserve(AdatWriter *writer)
{
    if ((writer->reserved_end > writer->file_end && writer->reserved_end != UINT64_MAX) ||
        writer->zeroed_end > writer->file_end)
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
    size_t due = config && config->index_part_entries ? config->index_part_entries : INDEX_PART_ENTRIES;
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
    writer->part_entries_due = due < INDEX_PART_ENTRIES ? due : INDEX_PART_ENTRIES;
    writer->capacity = capacity;
    writer->buffer = allocate_buffer(writer, capacity);
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

int adat_writer_release(AdatWriter *writer)
{
    int fd = writer->fd;

    release_reserve(writer);
    if (writer->tail_dirty)
        cut_tail(writer);
    free(writer->index);
    free(writer->buffer);
    free(writer);
    return fd;
}

void adat_writer_destroy(AdatWriter *writer)
{
    if (writer)
        close(adat_writer_release(writer));
}

/* What the blocks of lanes that wait for their header will take. */
static size_t lanes_bytes(const AdatWriter *writer)
{
    if (writer->lane_blocks == 0)
        return 0;
    return sizeof(AdatBlockHeader) + ADAT_PADDED(writer->lane_records + writer->lane_entries);
}

static size_t room_left(const AdatWriter *writer)
{
    return writer->capacity - (writer->used - writer->part_bytes) - lanes_bytes(writer);
}

static bool has_room(const AdatWriter *writer, size_t payload_bytes)
{
    size_t left = room_left(writer);

    return left >= sizeof(AdatBlockHeader) && payload_bytes <= left - sizeof(AdatBlockHeader);
}

size_t adat_writer_room(const AdatWriter *writer)
{
    size_t left = room_left(writer);

    return left > sizeof(AdatBlockHeader) ? left - sizeof(AdatBlockHeader) : 0;
}

/* Besides its records; it may be the first of its payload, and a byte of padding more can be eight. */
#define LANE_OVERHEAD (sizeof(AdatBlockHeader) + LANE_ENTRY_MAX + 7)

size_t adat_writer_lane_room(const AdatWriter *writer)
{
    size_t left = room_left(writer);

    return left > LANE_OVERHEAD ? left - LANE_OVERHEAD : 0;
}

/* The buffer is empty, so there is nothing in it to keep. */
static int grow_buffer(AdatWriter *writer, size_t payload_bytes)
{
    size_t capacity = sizeof(AdatBlockHeader) + ADAT_PADDED(payload_bytes);
    uint8_t *buffer = allocate_buffer(writer, capacity);

    if (!buffer)
        return -ENOMEM;
    free(writer->buffer);
    writer->buffer = buffer;
    writer->capacity = capacity;
    return 0;
}

/* Completes the block that stands at the end of the buffer. */
static void add_block(AdatWriter *writer, size_t payload_bytes)
{
    AdatBlockHeader *header = (AdatBlockHeader *)(void *)(writer->buffer + writer->used);
    uint8_t *payload = (uint8_t *)(header + 1);

    header->magic = ADAT_BLOCK_MAGIC;
    header->payload_bytes = (uint32_t)payload_bytes;
    header->sequence = writer->sequence;
    header->crc32 = 0;
    header->crc32 = adat_crc32(0, header, sizeof(*header) + payload_bytes);
    memset(payload + payload_bytes, 0, ADAT_PADDED(payload_bytes) - payload_bytes);
    writer->used += sizeof(*header) + ADAT_PADDED(payload_bytes);
    writer->sequence++;
}

/* Puts all that the index has, which is in the file, into the buffer, which is empty. */
static void put_index_part(AdatWriter *writer)
{
    const AdatBlockHeader header = {.type = ADAT_BLOCK_TRAILER, .first_record = writer->last_part};
    size_t bytes = writer->index_count * sizeof(*writer->index);

    memcpy(writer->buffer, &header, sizeof(header));
    if (bytes > 0)
        memcpy(writer->buffer + sizeof(header), writer->index, bytes);
    writer->part_offset = writer->file_end;
    add_block(writer, bytes);
    writer->part_bytes = writer->used;
}

/* Before the first block in the buffer. */
static void begin_buffer(AdatWriter *writer)
{
    if (writer->index_count >= writer->part_entries_due && !writer->index_lost)
        put_index_part(writer);
}

static void index_block(AdatWriter *writer, const AdatBlockHeader *header, size_t payload_bytes)
{
    if (writer->index_lost)
        return;
    if (array_reserve_one(&writer->index, &writer->index_capacity, writer->index_count, sizeof(*writer->index))) {
        writer->index_lost = true;
        return;
    }
    writer->index[writer->index_count++] = (AdatTrailerEntry){
        .offset = writer->file_end + writer->used,
        .payload_bytes = (uint32_t)payload_bytes,
        .type = header->type,
        .process = header->process,
        .thread = header->thread,
    };
}

static void complete_block(AdatWriter *writer, const AdatBlockHeader *header, size_t payload_bytes)
{
    index_block(writer, header, payload_bytes);
    add_block(writer, payload_bytes);
}

/* Makes one block of those of lanes. There is room for it. */
static void end_lanes(AdatWriter *writer)
{
    AdatBlockHeader *header = (AdatBlockHeader *)(void *)(writer->buffer + writer->used);
    size_t bytes = writer->lane_records + writer->lane_entries;

    if (writer->lane_blocks == 0)
        return;
    if (writer->lane_blocks > 1) {
        *header = (AdatBlockHeader){
            .type = ADAT_BLOCK_LANES,
            .record_count = writer->lane_blocks,
            .records_bytes = (uint32_t)writer->lane_records,
        };
        memcpy((uint8_t *)(header + 1) + writer->lane_records, writer->entries, writer->lane_entries);
    }
    complete_block(writer, header, bytes);
    writer->lane_blocks = 0;
    writer->lane_records = writer->lane_entries = 0;
    writer->lane_time_before = 0;
}

void *adat_writer_begin_block(AdatWriter *writer, const AdatBlockHeader *header, size_t payload_bytes_max)
{
    if (!has_room(writer, payload_bytes_max)) {
        if (adat_writer_buffered(writer) > 0 || payload_bytes_max > ADAT_PAYLOAD_MAX)
            return NULL;
        if (grow_buffer(writer, payload_bytes_max))
            return NULL;
    }
    end_lanes(writer);
    if (writer->used == 0)
        begin_buffer(writer);
    writer->open = true;
    writer->open_payload_max = payload_bytes_max;
    memcpy(writer->buffer + writer->used, header, sizeof(*header));
    return writer->buffer + writer->used + sizeof(*header);
}

void *adat_writer_begin_lane_block(AdatWriter *writer, const AdatBlockHeader *header, size_t payload_bytes_max)
{
    uint8_t *place;

    if (payload_bytes_max > adat_writer_lane_room(writer)) {
        if (adat_writer_buffered(writer) > 0 || payload_bytes_max > ADAT_PAYLOAD_MAX - LANE_OVERHEAD)
            return NULL;
        if (grow_buffer(writer, payload_bytes_max + LANE_OVERHEAD))
            return NULL;
    }
    if (writer->lane_records >= LANE_RECORDS_BYTES ||
        writer->lane_entries > sizeof(writer->entries) - LANE_ENTRY_MAX)
        end_lanes(writer);
    if (writer->used == 0 && writer->lane_blocks == 0)
        begin_buffer(writer);
    place = writer->buffer + writer->used;
    writer->open_payload_max = payload_bytes_max;
    writer->lane_header = writer->lane_blocks == 0 ? (AdatBlockHeader *)(void *)place : &writer->lane_next;
    *writer->lane_header = *header;
    return place + sizeof(*header) + writer->lane_records;
}

AdatBlockHeader *adat_writer_block_header(AdatWriter *writer)
{
    if (writer->lane_header)
        return writer->lane_header;
    return writer->open ? (AdatBlockHeader *)(void *)(writer->buffer + writer->used) : NULL;
}

static void put_entry(AdatWriter *writer, const AdatBlockHeader *header)
{
    writer->lane_entries +=
        lane_entry_put(header, &writer->lane_time_before, writer->entries + writer->lane_entries);
}

static void end_lane_block(AdatWriter *writer, size_t payload_bytes)
{
    writer->lane_header->payload_bytes = (uint32_t)payload_bytes;
    if (writer->lane_blocks == 1)
        put_entry(writer, (AdatBlockHeader *)(void *)(writer->buffer + writer->used)); /* no longer alone */
    if (writer->lane_blocks > 0)
        put_entry(writer, writer->lane_header);
    writer->lane_records += payload_bytes;
    writer->lane_blocks++;
}

void adat_writer_cancel_block(AdatWriter *writer)
{
    writer->open = false;
    writer->lane_header = NULL;
}

void adat_writer_end_block(AdatWriter *writer, size_t payload_bytes)
{
    const AdatBlockHeader *header = adat_writer_block_header(writer);

    if (!header)
        return;
    if (payload_bytes > writer->open_payload_max)
        payload_bytes = writer->open_payload_max;
    if (writer->lane_header)
        end_lane_block(writer, payload_bytes);
    else
        complete_block(writer, header, payload_bytes);
    adat_writer_cancel_block(writer); /* none is open any more */
}

int adat_writer_put_block(AdatWriter *writer, const AdatBlockHeader *header, const void *payload,
                          size_t payload_bytes)
{
    void *place;
    int err;

    if (payload_bytes > ADAT_PAYLOAD_MAX)
        return -EMSGSIZE;
    if (!has_room(writer, payload_bytes)) {
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

/* The part in the buffer is in the file: what it lists need not be kept. */
static void forget_listed(AdatWriter *writer)
{
    size_t rest = writer->index_count - writer->index_written;

    if (rest > 0)
        memmove(writer->index, writer->index + writer->index_written, rest * sizeof(*writer->index));
    writer->index_count = rest;
    writer->last_part = writer->part_offset;
}

int adat_writer_flush(AdatWriter *writer)
{
    size_t size;
    bool has_part;
    int err;

    end_lanes(writer);
    size = writer->used;
    has_part = writer->part_bytes > 0;
    if (size == 0)
        return 0;
    writer->used = 0;
    writer->part_bytes = 0;
    reserve_blocks(writer, size);
    write_zeros_ahead(writer, size);
    err = write_all(writer, writer->buffer, size, writer->file_end);
    if (err) {
        /* Sequence numbers of lost blocks go to the next ones. A lost part's entries wait on. */
        writer->sequence = writer->blocks;
        writer->index_count = writer->index_written;
        cut_tail(writer);
        return err;
    }
    if (has_part)
        forget_listed(writer);
    writer->index_written = writer->index_count;
    writer->file_end += size;
    writer->blocks = writer->sequence;
    if (writer->tail_dirty)
        cut_tail(writer);
    return 0;
}

int adat_writer_finish(AdatWriter *writer)
{
    AdatFooter footer = {.magic = ADAT_FOOTER_MAGIC};
    int err;

    adat_writer_cancel_block(writer);
    err = adat_writer_flush(writer);
    if (err)
        return err;
    if (writer->index_lost)
        return -ENOMEM;

    put_index_part(writer);
    footer.trailer_offset = writer->part_offset;
    footer.crc32 = adat_crc32(0, &footer, offsetof(AdatFooter, crc32));
    memcpy(writer->buffer + writer->used, &footer, sizeof(footer));
    writer->used += sizeof(footer);
    err = adat_writer_flush(writer);
    release_reserve(writer); /* a reader looks for the footer at the end */
    return err;
}

size_t adat_writer_buffered(const AdatWriter *writer)
{
    return writer->used + lanes_bytes(writer);
}

uint64_t adat_writer_bytes(const AdatWriter *writer)
{
    return writer->file_end;
}

uint64_t adat_writer_blocks(const AdatWriter *writer)
{
    return writer->blocks;
}
