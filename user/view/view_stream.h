/* SPDX-License-Identifier: MIT */
/*
 * Bytes on their way into a page: deflated as they come (zlib's format, RFC 1950), then written as base 64. Memory is zlib's, and a buffer.
 */
#ifndef ADA_VIEW_VIEW_STREAM_H
#define ADA_VIEW_VIEW_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#define ZLIB_CONST
#include <zlib.h>

#define VIEW_STREAM_BUFFER ((size_t)48 << 10) /* a multiple of 3 */

typedef struct ViewStream {
    FILE *out;
    z_stream deflate;
    uint64_t taken;         /* bytes that were put in */
    size_t unwritten_count; /* 0..2: deflated, and not yet three for base 64 */
    uint8_t deflated[VIEW_STREAM_BUFFER];
    char text[VIEW_STREAM_BUFFER / 3 * 4];
} ViewStream;

/* -ENOMEM. */
int view_stream_init(ViewStream *stream, FILE *out);

/* Errors of writing stay in `out`. */
void view_stream_put(ViewStream *stream, const void *bytes, size_t size);

/* Writes what is left. */
void view_stream_end(ViewStream *stream);

/* Whether the stream was ended or not. */
void view_stream_fini(ViewStream *stream);

#endif
