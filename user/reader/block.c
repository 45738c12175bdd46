/* SPDX-License-Identifier: MIT */
#include "user/reader/block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int block_load(int fd, const BlockRef *ref, BlockBuffer *buffer)
{
    size_t size = sizeof(AdatBlockHeader) + ref->payload_bytes;
    AdatBlockHeader header;
    ssize_t got;

    if (size > buffer->capacity) {
        uint8_t *data = malloc(size);

        if (!data)
            return -ENOMEM;
        free(buffer->data);
        buffer->data = data;
        buffer->capacity = size;
    }
    got = read_at(fd, buffer->data, size, ref->offset);
    if (got < 0)
        return (int)got;
    if ((size_t)got < size)
        return -EBADMSG;
    memcpy(&header, buffer->data, sizeof(header));
    if (header.crc32 != ref->crc32 || header.payload_bytes != ref->payload_bytes ||
        header.crc32 != block_crc32(&header, buffer->data + sizeof(header)))
        return -EBADMSG;
    return 0;
}

void block_buffer_free(BlockBuffer *buffer)
{
    free(buffer->data);
    *buffer = (BlockBuffer){0};
}
