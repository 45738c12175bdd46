/* SPDX-License-Identifier: MIT */
/*
 * A large buffer in front of a stdio stream, for output of millions of small pieces: a piece costs a check of room and a copy.
 *
 *     out_init(&out, stdout);
 *     out_text(&out, "name=", 5);
 *     out_u64(&out, 7);
 *     error = out_flush(&out);
 *
 * What cannot be written is dropped, and the first error is kept, so that callers need not look at each step. Nothing else may write to the
 * stream between two flushes. One thread uses a buffer at a time.
 */
#ifndef ADA_BASE_OUT_BUFFER_H
#define ADA_BASE_OUT_BUFFER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "user/base/number.h"

#define OUT_BUFFER_BYTES ((size_t)256 << 10)
#define OUT_RESERVE_MAX ((size_t)32 << 10) /* at once */

typedef struct OutBuffer {
    FILE *out;
    int error; /* -errno of the first write that failed; 0: none has */
    size_t length;
    uint64_t bytes; /* handed to the stream */
    char data[OUT_BUFFER_BYTES];
} OutBuffer;

void out_init(OutBuffer *buffer, FILE *out);

/* Hands on what is in the buffer, and has the stream write it. 0, or -errno of the first failure there was. */
int out_flush(OutBuffer *buffer);

/* Makes room for a reservation. */
void out_make_room(OutBuffer *buffer);

/* Room for `size` bytes, at most OUT_RESERVE_MAX, that count once they are taken by out_take(). */
static inline char *out_reserve(OutBuffer *buffer, size_t size)
{
    if (OUT_BUFFER_BYTES - buffer->length < size)
        out_make_room(buffer);
    return buffer->data + buffer->length;
}

static inline void out_take(OutBuffer *buffer, size_t size)
{
    buffer->length += size;
}

/* At most OUT_RESERVE_MAX bytes. */
static inline void out_text(OutBuffer *buffer, const char *text, size_t size)
{
    memcpy(out_reserve(buffer, size), text, size);
    out_take(buffer, size);
}

/* A literal. */
#define OUT_TEXT(buffer, literal) out_text(buffer, "" literal, sizeof(literal) - 1)

static inline void out_char(OutBuffer *buffer, char c)
{
    *out_reserve(buffer, 1) = c;
    out_take(buffer, 1);
}

static inline void out_pad(OutBuffer *buffer, size_t count)
{
    memset(out_reserve(buffer, count), ' ', count);
    out_take(buffer, count);
}

static inline void out_u64(OutBuffer *buffer, uint64_t value)
{
    out_take(buffer, number_format_u64(out_reserve(buffer, NUMBER_CHARS_MAX), value));
}

static inline void out_i64(OutBuffer *buffer, int64_t value)
{
    out_take(buffer, number_format_i64(out_reserve(buffer, NUMBER_CHARS_MAX), value));
}

static inline void out_hex(OutBuffer *buffer, uint64_t value)
{
    out_take(buffer, number_format_hex(out_reserve(buffer, NUMBER_CHARS_MAX), value));
}

static inline void out_f64(OutBuffer *buffer, double value)
{
    out_take(buffer, number_format_f64(out_reserve(buffer, NUMBER_CHARS_MAX), value));
}

static inline void out_padded(OutBuffer *buffer, uint64_t value, size_t digits)
{
    out_take(buffer, number_format_padded(out_reserve(buffer, NUMBER_CHARS_MAX), value, digits));
}

#endif
