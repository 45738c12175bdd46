/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memfd_create */
#include "user/reader/debugdata.h"

#include <errno.h>

#ifdef ADA_HAVE_LZMA

#include <lzma.h>
#include <sys/mman.h>
#include <unistd.h>

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t done = write(fd, bytes, size);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        bytes += done;
        size -= (size_t)done;
    }
    return 0;
}

static int error_of(lzma_ret result)
{
    switch (result) {
    case LZMA_MEM_ERROR:
        return -ENOMEM;
    case LZMA_MEMLIMIT_ERROR:
        return -EFBIG;
    default:
        return -EBADMSG;
    }
}

static int unpack(lzma_stream *stream, int fd, size_t bytes_max, uint64_t *bytes_out)
{
    lzma_ret result = LZMA_OK;
    uint8_t chunk[16384];
    uint64_t total = 0;
    int error = 0;

    while (!error && result == LZMA_OK) {
        size_t size;

        stream->next_out = chunk;
        stream->avail_out = sizeof(chunk);
        result = lzma_code(stream, LZMA_FINISH); /* all of the input is there */
        if (result != LZMA_OK && result != LZMA_STREAM_END)
            return error_of(result);
        size = sizeof(chunk) - stream->avail_out;
        total += size;
        error = total > bytes_max ? -EFBIG : write_all(fd, chunk, size);
    }
    *bytes_out = total;
    return error;
}

int debugdata_unpack(const void *packed, size_t size, size_t bytes_max, uint64_t *bytes_out)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    int fd = memfd_create("adatrace-debugdata", MFD_CLOEXEC);
    int error;

    if (fd < 0)
        return -errno;
    if (lzma_stream_decoder(&stream, DEBUGDATA_BYTES_MAX, 0) != LZMA_OK) {
        close(fd);
        return -ENOMEM;
    }
    stream.next_in = packed;
    stream.avail_in = size;
    error = unpack(&stream, fd, bytes_max < DEBUGDATA_BYTES_MAX ? bytes_max : DEBUGDATA_BYTES_MAX, bytes_out);
    lzma_end(&stream);
    if (!error)
        return fd;
    close(fd);
    return error;
}

#else

int debugdata_unpack(const void *packed, size_t size, size_t bytes_max, uint64_t *bytes_out)
{
    (void)packed;
    (void)size;
    (void)bytes_max;
    (void)bytes_out;
    return -ENOSYS;
}

#endif
