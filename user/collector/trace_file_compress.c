/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/trace_file_compress.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "user/collector/trace_file.h"
#include "user/lane/atomic.h"
#include "user/lane/test_point.h"

#define CHUNK (128u << 10)
#define LEVEL \
    1 /* of a trace it leaves 15 %, at 8 ns per byte; level 6 leaves 14 %, and takes four times as long */
#define WINDOW_BITS 15
#define AS_GZIP 16 /* added to the window bits: zlib.h */
#define MEMORY_LEVEL 8

typedef struct Chunks {
    unsigned char in[CHUNK];
    unsigned char out[CHUNK];
} Chunks;

static int write_all(int fd, const unsigned char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, data, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        data += written;
        size -= (size_t)written;
    }
    return 0;
}

/* Takes all that is in stream->next_in; with `end`, the end of the stream. */
static int deflate_chunk(z_stream *stream, Chunks *chunks, int out, bool end)
{
    int error = 0;

    do {
        stream->next_out = chunks->out;
        stream->avail_out = CHUNK;
        (void)deflate(stream, end ? Z_FINISH : Z_NO_FLUSH); /* cannot fail: the stream is in order */
        error = write_all(out, chunks->out, CHUNK - stream->avail_out);
    } while (!error && stream->avail_out == 0);
    return error;
}

static int deflate_file(z_stream *stream, Chunks *chunks, int in, int out, const uint32_t *cancelled)
{
    off_t position = 0;

    for (;;) {
        ssize_t size = pread(in, chunks->in, CHUNK, position);
        int error;

        if (ada_load_relaxed(cancelled)) /* nothing hangs on what was written before it */
            return -ECANCELED;
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return -errno;
        stream->next_in = chunks->in;
        stream->avail_in = (uInt)size;
        error = deflate_chunk(stream, chunks, out, size == 0);
        if (error || size == 0)
            return error;
        ADA_TEST_POINT("compress.chunk");
        position += size;
    }
}

int trace_file_compress(int in, int out, const uint32_t *cancelled)
{
    Chunks *chunks = malloc(sizeof(*chunks));
    z_stream stream = {0};
    struct stat status;
    int error = -ENOMEM;

    if (!chunks)
        return -ENOMEM;
    if (deflateInit2(&stream, LEVEL, Z_DEFLATED, WINDOW_BITS + AS_GZIP, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) ==
        Z_OK) {
        error = deflate_file(&stream, chunks, in, out, cancelled);
        (void)deflateEnd(&stream);
    }
    free(chunks);
    if (error)
        return error;
    if (fstat(in, &status) == 0)
        trace_file_set_written_at(out, &status);
    return fsync(out) < 0 ? -errno : 0;
}
