/* SPDX-License-Identifier: MIT */
#include "user/file/adat_append.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/file/block_scan.h"
#include "user/file/crc.h"

#define BLOCKS_MAX (ADAT_PAYLOAD_MAX / sizeof(AdatTrailerEntry))

typedef struct Append {
    int fd;
    ssize_t (*write)(int fd, const void *data, size_t size, off_t offset);
    uint64_t begin;                    /* of the old footer */
    uint64_t end;                      /* of what is written */
    uint64_t last_part;                /* offset of the last part of the index */
    uint64_t sequence;                 /* of the next block */
    AdatFooter footer;                 /* the old one */
    uint8_t first[sizeof(AdatFooter)]; /* what goes over it, at last */
} Append;

/* Finds the end of the file. 0, -ENODATA, -EBADMSG, -ENOMEM or -errno. */
static int read_end(Append *append)
{
    AdatFooter *footer = &append->footer;
    AdatBlockHeader part;
    struct stat status;
    uint8_t *payload;
    ssize_t got;
    int error;

    if (fstat(append->fd, &status) < 0)
        return -errno;
    if ((uint64_t)status.st_size < sizeof(AdatFileHeader) + sizeof(part) + sizeof(*footer))
        return -ENODATA;
    append->begin = (uint64_t)status.st_size - sizeof(*footer);
    got = read_at(append->fd, footer, sizeof(*footer), append->begin);
    if (got < 0)
        return (int)got;
    if ((size_t)got < sizeof(*footer) || footer->magic != ADAT_FOOTER_MAGIC ||
        footer->crc32 != adat_crc32(0, footer, offsetof(AdatFooter, crc32)))
        return -ENODATA;
    append->last_part = footer->trailer_offset;
    if (append->last_part > append->begin - sizeof(part))
        return -EBADMSG;
    got = read_at(append->fd, &part, sizeof(part), append->last_part);
    if (got < 0)
        return (int)got;
    if ((size_t)got < sizeof(part) || part.magic != ADAT_BLOCK_MAGIC || part.type != ADAT_BLOCK_TRAILER ||
        part.payload_bytes > ADAT_PAYLOAD_MAX ||
        append->last_part + sizeof(part) + ADAT_PADDED((uint64_t)part.payload_bytes) != append->begin)
        return -EBADMSG;
    payload = malloc((size_t)part.payload_bytes + 1);
    if (!payload)
        return -ENOMEM;
    got = read_at(append->fd, payload, part.payload_bytes, append->last_part + sizeof(part));
    if (got < 0)
        error = (int)got;
    else
        error = (size_t)got == part.payload_bytes && part.crc32 == block_crc32(&part, payload) ? 0 : -EBADMSG;
    free(payload);
    append->sequence = part.sequence + 1;
    append->end = append->begin;
    return error;
}

static int write_at(const Append *append, const void *data, size_t size, uint64_t offset)
{
    const uint8_t *bytes = data;

    while (size > 0) {
        ssize_t done = append->write(append->fd, bytes, size, (off_t)offset);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        if (done == 0)
            return -EIO;
        bytes += done;
        size -= (size_t)done;
        offset += (uint64_t)done;
    }
    return 0;
}

/* Puts bytes behind what is there; those that belong over the old footer are kept back. */
static int put(Append *append, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint64_t done = append->end - append->begin;
    int error;

    if (done < sizeof(append->first)) {
        size_t kept = sizeof(append->first) - (size_t)done;

        if (kept > size)
            kept = size;
        memcpy(append->first + done, bytes, kept);
        append->end += kept;
        bytes += kept;
        size -= kept;
    }
    error = write_at(append, bytes, size, append->end);
    append->end += size;
    return error;
}

static int put_block(Append *append, uint16_t type, uint64_t first_record, const void *payload, uint32_t size)
{
    static const uint8_t zeros[8];
    AdatBlockHeader header = {
        .magic = ADAT_BLOCK_MAGIC,
        .type = type,
        .payload_bytes = size,
        .sequence = append->sequence++,
        .first_record = first_record,
    };
    int error;

    header.crc32 = block_crc32(&header, payload);
    error = put(append, &header, sizeof(header));
    if (!error)
        error = put(append, payload, size);
    if (!error)
        error = put(append, zeros, ADAT_PADDED((size_t)size) - size);
    return error;
}

/* The last part of the index, and the footer. */
static int put_end(Append *append, const AdatTrailerEntry *entries, size_t count)
{
    AdatFooter footer = {.magic = ADAT_FOOTER_MAGIC, .trailer_offset = append->end};
    int error = put_block(append, ADAT_BLOCK_TRAILER, append->last_part, entries,
                          (uint32_t)(count * sizeof(*entries)));

    footer.crc32 = adat_crc32(0, &footer, offsetof(AdatFooter, crc32));
    return error ? error : put(append, &footer, sizeof(footer));
}

static int put_all(Append *append, const AdatAppendedBlock *blocks, AdatTrailerEntry *entries, size_t count)
{
    int error = 0;

    for (size_t i = 0; !error && i < count; i++) {
        entries[i] = (AdatTrailerEntry){
            .offset = append->end, .payload_bytes = blocks[i].payload_bytes, .type = blocks[i].type};
        error = put_block(append, blocks[i].type, 0, blocks[i].payload, blocks[i].payload_bytes);
    }
    if (!error)
        error = put_end(append, entries, count);
    if (!error && fdatasync(append->fd) < 0)
        error = -errno;
    return error;
}

/* As the file was. That may fail as well; then the old end is there still, with something behind it. */
static void take_back(const Append *append)
{
    (void)write_at(append, &append->footer, sizeof(append->footer), append->begin);
    if (ftruncate(append->fd, (off_t)(append->begin + sizeof(append->footer))) < 0)
        return;
}

int adat_append_blocks(int fd, const AdatAppendedBlock *blocks, size_t count,
                       ssize_t (*write)(int fd, const void *data, size_t size, off_t offset))
{
    Append append = {.fd = fd, .write = write ? write : pwrite};
    AdatTrailerEntry *entries;
    int error = read_end(&append);

    if (error)
        return error;
    if (count == 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        if (blocks[i].payload_bytes > ADAT_PAYLOAD_MAX)
            return -EMSGSIZE;
    if (count > BLOCKS_MAX)
        return -EMSGSIZE;
    entries = calloc(count, sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    error = put_all(&append, blocks, entries, count);
    if (!error)
        error = write_at(&append, append.first, sizeof(append.first), append.begin);
    if (error)
        take_back(&append);
    else
        (void)fdatasync(fd); /* the file is whole either way */
    free(entries);
    return error;
}
