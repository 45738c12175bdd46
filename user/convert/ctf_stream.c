/* SPDX-License-Identifier: MIT */
#include "user/convert/ctf_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PACKET_MAGIC 0xc1fc1fc1u

int ctf_stream_open(CtfStream *stream, int directory, uint32_t number, const uint8_t uuid[16])
{
    char name[32];

    *stream = (CtfStream){.fd = -1, .number = number, .length = CTF_PACKET_HEADER_BYTES};
    memcpy(stream->uuid, uuid, sizeof(stream->uuid));
    stream->packet = malloc(CTF_PACKET_BYTES);
    if (!stream->packet)
        return -ENOMEM;
    (void)snprintf(name, sizeof(name), "stream_%u", number);
    stream->fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (stream->fd < 0) {
        int err = -errno;

        ctf_stream_close(stream);
        return err;
    }
    return 0;
}

void ctf_stream_close(CtfStream *stream)
{
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
    free(stream->packet);
    stream->packet = NULL;
}

static int write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, bytes, size);

        if (written < 0 && errno != EINTR)
            return -errno;
        if (written > 0) {
            bytes += written;
            size -= (size_t)written;
        }
    }
    return 0;
}

static int write_packet(CtfStream *stream)
{
    const uint64_t bits = 8u * (uint64_t)stream->length; /* there is no padding */
    char *at = ctf_put_u32(stream->packet, PACKET_MAGIC);

    memcpy(at, stream->uuid, sizeof(stream->uuid));
    at = ctf_put_u32(at + sizeof(stream->uuid), 0);
    at = ctf_put_u64(at, stream->number);
    at = ctf_put_u64(at, stream->begin);
    at = ctf_put_u64(at, stream->end);
    at = ctf_put_u64(at, bits);
    at = ctf_put_u64(at, bits);
    at = ctf_put_u64(at, stream->discarded);
    (void)ctf_put_u64(at, stream->packets);
    if (!stream->error)
        stream->error = write_all(stream->fd, stream->packet, stream->length);
    stream->packets++;
    stream->length = CTF_PACKET_HEADER_BYTES;
    return stream->error;
}

int ctf_stream_flush(CtfStream *stream)
{
    return stream->length > CTF_PACKET_HEADER_BYTES ? write_packet(stream) : stream->error;
}

int ctf_stream_lost(CtfStream *stream, uint64_t time, uint64_t count)
{
    int err = ctf_stream_flush(stream);

    /* A first packet that has lost something already leaves readers without a count: it says 0. */
    if (!err && stream->packets == 0) {
        stream->begin = stream->end = time;
        err = write_packet(stream);
    }
    if (err)
        return err;
    stream->begin = stream->end;
    stream->end = time;
    stream->discarded += count;
    return write_packet(stream);
}
