/* SPDX-License-Identifier: MIT */
#include "user/view/view_stream.h"

#include <errno.h>
#include <string.h>

#define DEFLATE_LEVEL 1 /* 6 makes a page 5 % smaller, and takes up to four times as long in all */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int view_stream_init(ViewStream *stream, FILE *out)
{
    *stream = (ViewStream){.out = out};
    return deflateInit(&stream->deflate, DEFLATE_LEVEL) == Z_OK ? 0 : -ENOMEM;
}

/* Writes `size` bytes of `deflated`, a multiple of 3. */
static void write_base64(ViewStream *stream, size_t size)
{
    char *to = stream->text;

    for (size_t i = 0; i < size; i += 3) {
        const uint8_t *from = stream->deflated + i;
        uint32_t bits = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];

        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63u];
        *to++ = digits[bits >> 6 & 63u];
        *to++ = digits[bits & 63u];
    }
    fwrite_unlocked(stream->text, 1, (size_t)(to - stream->text), stream->out);
}

/* The last one or two bytes: "=" stands for those that are not there. */
static void write_base64_end(ViewStream *stream)
{
    size_t count = stream->unwritten_count;
    const uint8_t from[2] = {stream->deflated[0], count > 1 ? stream->deflated[1] : 0};
    const char text[4] = {digits[from[0] >> 2], digits[(from[0] & 3u) << 4 | from[1] >> 4],
                          count > 1 ? digits[(from[1] & 15u) << 2] : '=', '='};

    if (count > 0)
        fwrite_unlocked(text, 1, sizeof(text), stream->out);
}

/* Deflates what is at hand, and writes it in groups of three bytes. */
static void deflate_some(ViewStream *stream, int flush)
{
    int result;

    do {
        size_t count = stream->unwritten_count, whole;

        stream->deflate.next_out = stream->deflated + count;
        stream->deflate.avail_out = (uInt)(VIEW_STREAM_BUFFER - count);
        result = deflate(&stream->deflate, flush);
        count = VIEW_STREAM_BUFFER - stream->deflate.avail_out;
        whole = count - count % 3;
        write_base64(stream, whole);
        stream->unwritten_count = count - whole;
        memmove(stream->deflated, stream->deflated + whole, stream->unwritten_count);
    } while (stream->deflate.avail_in > 0 || (flush == Z_FINISH && result == Z_OK));
}

void view_stream_put(ViewStream *stream, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;

    stream->taken += size;
    while (size > 0) {
        uInt part = size < UINT32_MAX / 2 ? (uInt)size : UINT32_MAX / 2;

        stream->deflate.next_in = from;
        stream->deflate.avail_in = part;
        deflate_some(stream, Z_NO_FLUSH);
        from += part;
        size -= part;
    }
}

void view_stream_end(ViewStream *stream)
{
    deflate_some(stream, Z_FINISH);
    write_base64_end(stream);
}

void view_stream_fini(ViewStream *stream)
{
    (void)deflateEnd(&stream->deflate);
}
