/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memfd_create, O_TMPFILE */
#include "user/reader/gunzip.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZLIB_CONST
#include <zlib.h>

#include "user/reader/block.h"

#define CHUNK_BYTES ((size_t)128 << 10)
#define GZIP_ONLY (16 + MAX_WBITS) /* inflateInit2(): a gzip header, and no other */

typedef struct Gunzip {
    z_stream stream;
    int in;
    int out;
    uint64_t read;  /* bytes of `in` */
    uint64_t wrote; /* bytes of `out` */
    uint64_t most;
    uint8_t *input; /* CHUNK_BYTES each */
    uint8_t *output;
} Gunzip;

bool gunzip_is_compressed(int fd)
{
    uint8_t magic[2];

    return read_at(fd, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) && magic[0] == 0x1f &&
           magic[1] == 0x8b;
}

static int open_temporary(void)
{
    const char *places[] = {getenv("TMPDIR"), "/var/tmp"};
    int fd;

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (!places[i] || places[i][0] != '/')
            continue;
        fd = open(places[i], O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        if (fd >= 0)
            return fd;
    }
    fd = memfd_create("adatrace-gunzip", MFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int write_all(int fd, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t wrote = write(fd, bytes, size);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -errno;
        bytes += wrote;
        size -= (size_t)wrote;
    }
    return 0;
}

/* 1: there is more to inflate; 0: the input is at its end; -errno. */
static int fill(Gunzip *gunzip)
{
    ssize_t got;

    if (gunzip->stream.avail_in > 0)
        return 1;
    got = read_at(gunzip->in, gunzip->input, CHUNK_BYTES, gunzip->read);
    if (got <= 0)
        return (int)got;
    gunzip->read += (uint64_t)got;
    gunzip->stream.next_in = gunzip->input;
    gunzip->stream.avail_in = (uInt)got;
    return 1;
}

/* Writes what was inflated, at most up to the limit. 1: goes on; 0: that was all that is wanted; -errno. */
static int spill(Gunzip *gunzip)
{
    size_t size = CHUNK_BYTES - gunzip->stream.avail_out;
    bool full = gunzip->most - gunzip->wrote <= size;
    int error;

    if (full)
        size = (size_t)(gunzip->most - gunzip->wrote);
    error = write_all(gunzip->out, gunzip->output, size);
    if (error)
        return error;
    gunzip->wrote += size;
    gunzip->stream.next_out = gunzip->output;
    gunzip->stream.avail_out = (uInt)CHUNK_BYTES;
    return !full;
}

/* Inflates until the end of the input, of what is wanted, or of what makes sense. 0 or -errno. */
static int run(Gunzip *gunzip)
{
    for (;;) {
        int state, got = fill(gunzip);

        if (got <= 0)
            return got;
        state = inflate(&gunzip->stream, Z_NO_FLUSH);
        if (state == Z_MEM_ERROR)
            return -ENOMEM;
        got = spill(gunzip);
        if (got <= 0)
            return got;
        /* One compressed file may follow another. */
        if (state == Z_STREAM_END && inflateReset(&gunzip->stream) == Z_OK)
            continue;
        if (state != Z_OK && state != Z_BUF_ERROR)
            return 0;
    }
}

static int start(Gunzip *gunzip, int fd, uint64_t most)
{
    *gunzip = (Gunzip){.in = fd, .out = -1, .most = most};
    gunzip->input = malloc(CHUNK_BYTES);
    gunzip->output = malloc(CHUNK_BYTES);
    if (!gunzip->input || !gunzip->output || inflateInit2(&gunzip->stream, GZIP_ONLY) != Z_OK)
        return -ENOMEM;
    gunzip->stream.next_out = gunzip->output;
    gunzip->stream.avail_out = (uInt)CHUNK_BYTES;
    gunzip->out = open_temporary();
    return gunzip->out < 0 ? gunzip->out : 0;
}

/* The descriptor, or -errno; and how much is in it. */
static int inflate_file(int fd, uint64_t most, uint64_t *wrote_out)
{
    Gunzip gunzip;
    int error = start(&gunzip, fd, most);

    if (!error)
        error = run(&gunzip);
    (void)inflateEnd(&gunzip.stream); /* refuses what was not begun */
    free(gunzip.input);
    free(gunzip.output);
    *wrote_out = gunzip.wrote;
    if (error && gunzip.out >= 0)
        close(gunzip.out);
    return error ? error : gunzip.out;
}

int gunzip_prefix(int fd, uint64_t most)
{
    uint64_t wrote;

    return inflate_file(fd, most, &wrote);
}

int gunzip_all(int fd)
{
    uint64_t most, wrote;
    struct stat status;
    int made;

    if (fstat(fd, &status) < 0)
        return -errno;
    most = status.st_size < (off_t)(GUNZIP_BYTES_MAX / GUNZIP_RATIO_MAX)
               ? (uint64_t)status.st_size * GUNZIP_RATIO_MAX + GUNZIP_SPARE_BYTES
               : GUNZIP_BYTES_MAX;
    made = inflate_file(fd, most + 1, &wrote);
    if (made >= 0 && wrote > most) {
        close(made);
        return -EFBIG;
    }
    return made;
}
