/* SPDX-License-Identifier: MIT */
/*
 * A data stream of a CTF trace: packets, one after the other in a file, each put together in memory and written when it is full.
 *
 *   packet header   magic, uuid of the trace, stream_id, number of the file
 *   packet context  timestamp_begin, timestamp_end, content_size, packet_size, events_discarded, packet_seq_num
 *   events          user/convert/ctf_metadata.h
 *
 * events_discarded counts on through the stream. Where events were lost an empty packet stands between what was before and behind them,
 * which tells in what time that was.
 */
#ifndef ADA_CONVERT_CTF_STREAM_H
#define ADA_CONVERT_CTF_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CTF_PACKET_BYTES ((size_t)64 << 10)
#define CTF_PACKET_HEADER_BYTES 80u /* with the context */
#define CTF_EVENT_MAX ((size_t)16 << 10)

typedef struct CtfStream {
    int fd;
    uint32_t number;
    uint8_t uuid[16];
    char *packet;   /* CTF_PACKET_BYTES */
    size_t length;  /* of the packet so far; CTF_PACKET_HEADER_BYTES: it is empty */
    uint64_t begin; /* of the packet */
    uint64_t end;   /* of the packet so far, or of the one before */
    uint64_t discarded;
    uint64_t packets; /* that were written */
    int error;        /* -errno of the first write that failed */
} CtfStream;

/* Creates its file, stream_NUMBER. 0; -ENOMEM; those of openat(2). */
int ctf_stream_open(CtfStream *stream, int directory, uint32_t number, const uint8_t uuid[16]);

/* Closes the file. What was not written before is lost. */
void ctf_stream_close(CtfStream *stream);

/* Writes the packet, if there is anything in it. 0 or -errno. */
int ctf_stream_flush(CtfStream *stream);

/* `count` events are missing up to `time`. 0 or -errno. */
int ctf_stream_lost(CtfStream *stream, uint64_t time, uint64_t count);

/* Room for an event at `time`, which is not before the last one; NULL: the packet before could not be written, see `error`. */
static inline char *ctf_stream_reserve(CtfStream *stream, uint64_t time)
{
    if (CTF_PACKET_BYTES - stream->length < CTF_EVENT_MAX && ctf_stream_flush(stream))
        return NULL;
    if (stream->length == CTF_PACKET_HEADER_BYTES)
        stream->begin = time;
    stream->end = time;
    return stream->packet + stream->length;
}

/* The event ends here. */
static inline void ctf_stream_take(CtfStream *stream, const char *end)
{
    stream->length = (size_t)(end - stream->packet);
}

/* Numbers are little-endian, and stand where the last one ends. */
static inline char *ctf_put_u8(char *at, uint8_t value)
{
    *at = (char)value;
    return at + 1;
}

static inline char *ctf_put_u16(char *at, uint16_t value)
{
    memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
}

static inline char *ctf_put_u32(char *at, uint32_t value)
{
    memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
}

static inline char *ctf_put_u64(char *at, uint64_t value)
{
    memcpy(at, &value, sizeof(value));
    return at + sizeof(value);
}

#endif
