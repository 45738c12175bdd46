/* SPDX-License-Identifier: MIT */
#include "user/file/block_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/file/crc.h"

#define WINDOW_BYTES ((size_t)256 << 10)

ssize_t read_at(int fd, void *data, size_t size, uint64_t offset)
{
    size_t done = 0;

    while (done < size) {
        ssize_t got = pread(fd, (uint8_t *)data + done, size - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

int file_header_read(int fd, AdatFileHeader *header_out)
{
    AdatFileHeader header = {0}, plain;
    ssize_t got = read_at(fd, &header, sizeof(header), 0);
    size_t magic_bytes;

    if (got < 0)
        return (int)got;
    if (got == 0)
        return -ENODATA;
    magic_bytes = (size_t)got < sizeof(header.magic) ? (size_t)got : sizeof(header.magic);
    if (memcmp(header.magic, ADAT_MAGIC, magic_bytes) != 0)
        return -EINVAL;
    if ((size_t)got < sizeof(header))
        return -ENODATA;

    plain = header;
    plain.crc32 = 0;
    if (header.crc32 != adat_crc32(0, &plain, sizeof(plain)))
        return -EBADMSG;
    if (header.oldest_compatible > ADAT_MAJOR || header.major < ADAT_OLDEST_READ)
        return -EPROTONOSUPPORT;
    if (header.header_bytes < sizeof(header) || header.header_bytes % 8 != 0)
        return -EBADMSG;
    *header_out = header;
    return 0;
}

uint32_t block_crc32(const AdatBlockHeader *header, const uint8_t *payload)
{
    AdatBlockHeader plain = *header;

    plain.crc32 = 0;
    return adat_crc32(adat_crc32(0, &plain, sizeof(plain)), payload, header->payload_bytes);
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

void block_scan_init(BlockScan *scan, int fd, uint64_t first_block, uint64_t end)
{
    *scan = (BlockScan){.fd = fd, .end = end, .offset = first_block};
}

void block_scan_fini(BlockScan *scan)
{
    free(scan->window);
    scan->window = NULL;
}

/*
 * Makes `size` bytes at the scan's offset available; the caller has checked that the file had them.
 * 1; 0: it has them no more; -errno. A window always starts at a block, which keeps blocks aligned in it.
 */
static int window_fill(BlockScan *scan, size_t size, const uint8_t **bytes_out)
{
    uint64_t skip = scan->offset - scan->window_offset;
    uint64_t left = scan->end - scan->offset;
    size_t want;
    ssize_t got;

    if (skip <= scan->window_bytes && scan->window_bytes - skip >= size) {
        *bytes_out = scan->window + skip;
        return 1;
    }
    want = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
    if (want < size)
        want = size;
    if (want > scan->window_capacity) {
        uint8_t *window = malloc(want);

        if (!window)
            return -ENOMEM;
        free(scan->window);
        scan->window = window;
        scan->window_capacity = want;
    }
    scan->window_bytes = 0;
    got = read_at(scan->fd, scan->window, want, scan->offset);
    if (got < 0)
        return (int)got;
    scan->window_offset = scan->offset;
    scan->window_bytes = (size_t)got;
    if ((size_t)got < size)
        return 0;
    *bytes_out = scan->window;
    return 1;
}

static int cut(BlockScan *scan, AdatCut why)
{
    scan->cut = why;
    return 0;
}

/* Whether room for more blocks is all that follows from `offset` on. 1, 0, or -errno. */
static int is_room(const BlockScan *scan, uint64_t offset)
{
    uint8_t bytes[4096];

    if (offset >= scan->end || scan->end - offset > ADAT_AHEAD_BYTES)
        return 0;
    while (offset < scan->end) {
        uint64_t left = scan->end - offset;
        ssize_t got = read_at(scan->fd, bytes, left < sizeof(bytes) ? (size_t)left : sizeof(bytes), offset);

        if (got < 0)
            return (int)got;
        if (got == 0 || !is_zero(bytes, (size_t)got))
            return 0;
        offset += (uint64_t)got;
    }
    return 1;
}

/* What stands up to `end` is no block. In front of room for blocks it is one that a killed recorder did not complete. */
static int cut_before(BlockScan *scan, AdatCut why, uint64_t end)
{
    int room = is_room(scan, end);

    return room < 0 ? room : cut(scan, room ? ADAT_CUT_SHORT : why);
}

/*
 * Looks at what stands behind a part of the index. 1: a footer, valid or not, or rubbish, and the scan is over;
 * 0: it may be another block; -errno.
 */
static int scan_footer(BlockScan *scan)
{
    const uint8_t *bytes;
    AdatFooter footer;
    uint32_t magic;
    int got = window_fill(scan, sizeof(footer), &bytes);

    if (got <= 0)
        return got;
    memcpy(&magic, bytes, sizeof(magic));
    if (magic == ADAT_BLOCK_MAGIC)
        return 0;
    memcpy(&footer, bytes, sizeof(footer));
    if (footer.magic != ADAT_FOOTER_MAGIC || footer.trailer_offset != scan->part_offset ||
        footer.crc32 != adat_crc32(0, &footer, offsetof(AdatFooter, crc32))) {
        scan->cut = ADAT_CUT_FOOTER;
        return 1;
    }
    scan->closed = true;
    scan->offset += sizeof(footer);
    scan->cut = scan->offset < scan->end ? ADAT_CUT_AFTER : ADAT_CUT_NONE;
    return 1;
}

/* The next of the blocks in the one that was read last. */
static bool next_inside(BlockScan *scan, Block *block_out)
{
    if (!lane_blocks_next(&scan->lanes, &scan->lane_header, &block_out->payload))
        return false;
    block_out->offset = scan->lanes_offset;
    block_out->header = &scan->lane_header;
    block_out->payload_offset =
        scan->lanes_offset + sizeof(AdatBlockHeader) + (uint64_t)(block_out->payload - scan->lanes_payload);
    block_out->inside = true;
    return true;
}

int block_scan_next(BlockScan *scan, Block *block_out)
{
    uint64_t left = scan->end - scan->offset;
    const AdatBlockHeader *header;
    const uint8_t *bytes;
    uint32_t magic = ADAT_BLOCK_MAGIC;
    size_t size;
    int got;

    if (next_inside(scan, block_out))
        return 1;
    if (left == 0 || scan->closed)
        return 0;
    if (left >= sizeof(magic)) {
        got = window_fill(scan, sizeof(magic), &bytes);
        if (got < 0)
            return got;
        if (got > 0)
            memcpy(&magic, bytes, sizeof(magic));
        got = magic == 0 ? is_room(scan, scan->offset) : 0;
        if (got != 0)
            return got < 0 ? got : 0;
    }
    if (scan->part_offset > 0 && left >= sizeof(AdatFooter)) {
        got = scan_footer(scan);
        if (got != 0)
            return got < 0 ? got : 0;
    }
    if (left < sizeof(*header))
        return cut(scan, ADAT_CUT_SHORT);
    got = window_fill(scan, sizeof(*header), &bytes);
    if (got <= 0)
        return got < 0 ? got : cut(scan, ADAT_CUT_SHORT);
    header = (const AdatBlockHeader *)(const void *)bytes;
    if (header->magic != ADAT_BLOCK_MAGIC)
        return cut_before(scan, ADAT_CUT_MAGIC, scan->offset + sizeof(magic));
    if (header->payload_bytes > ADAT_PAYLOAD_MAX)
        return cut(scan, ADAT_CUT_LENGTH);

    size = sizeof(*header) + ADAT_PADDED((size_t)header->payload_bytes);
    if (size > left)
        return cut(scan, ADAT_CUT_SHORT);
    got = window_fill(scan, size, &bytes);
    if (got <= 0)
        return got < 0 ? got : cut(scan, ADAT_CUT_SHORT);
    header = (const AdatBlockHeader *)(const void *)bytes;
    /* The window may have been read anew, so the length is checked again along with the rest. */
    if (sizeof(*header) + ADAT_PADDED((size_t)header->payload_bytes) != size ||
        header->magic != ADAT_BLOCK_MAGIC || header->crc32 != block_crc32(header, bytes + sizeof(*header)))
        return cut_before(scan, ADAT_CUT_CRC, scan->offset + size);
    if (header->sequence != scan->blocks)
        return cut(scan, ADAT_CUT_SEQUENCE);
    if (header->type == ADAT_BLOCK_LANES) {
        if (!lane_blocks_begin(&scan->lanes, header, bytes + sizeof(*header)))
            return cut(scan, ADAT_CUT_LANES);
        scan->lanes_offset = scan->offset;
        scan->lanes_payload = bytes + sizeof(*header);
    }
    if (scan->bad_padding == 0 && !is_zero(bytes + sizeof(*header) + header->payload_bytes,
                                           size - sizeof(*header) - header->payload_bytes))
        scan->bad_padding = scan->offset;

    *block_out = (Block){
        .offset = scan->offset,
        .header = header,
        .payload = bytes + sizeof(*header),
        .payload_offset = scan->offset + sizeof(*header),
    };
    scan->part_offset = header->type == ADAT_BLOCK_TRAILER ? scan->offset : 0;
    scan->offset += size;
    scan->blocks++;
    return 1;
}
