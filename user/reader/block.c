/* SPDX-License-Identifier: MIT */
#include "user/reader/block.h"

#include <errno.h>
#include <stdlib.h>

#include "user/file/crc.h"

int block_load(int fd, const BlockRef *ref, BlockBuffer *buffer)
{
    size_t size = ref->payload_bytes;
    ssize_t got;

    if (size > buffer->capacity || !buffer->data) {
        uint8_t *data = malloc(size + 1); /* a payload may be empty */

        if (!data)
            return -ENOMEM;
        free(buffer->data);
        buffer->data = data;
        buffer->capacity = size;
    }
    got = read_at(fd, buffer->data, size, ref->offset);
    if (got < 0)
        return (int)got;
    return (size_t)got == size && adat_crc32(0, buffer->data, size) == ref->crc32 ? 0 : -EBADMSG;
}

void block_buffer_free(BlockBuffer *buffer)
{
    free(buffer->data);
    *buffer = (BlockBuffer){0};
}
