/* SPDX-License-Identifier: MIT */
#include "user/base/out_buffer.h"

#include <errno.h>

void out_init(OutBuffer *buffer, FILE *out)
{
    buffer->out = out;
    buffer->error = 0;
    buffer->length = 0;
    buffer->bytes = 0;
}

void out_make_room(OutBuffer *buffer)
{
    errno = 0;
    if (!buffer->error && fwrite_unlocked(buffer->data, 1, buffer->length, buffer->out) != buffer->length)
        buffer->error = errno ? -errno : -EIO;
    buffer->bytes += buffer->length;
    buffer->length = 0;
}

int out_flush(OutBuffer *buffer)
{
    out_make_room(buffer);
    if (!buffer->error && fflush(buffer->out) != 0)
        buffer->error = -errno;
    if (!buffer->error && ferror(buffer->out)) /* what somebody else wrote there */
        buffer->error = -EIO;
    return buffer->error;
}
