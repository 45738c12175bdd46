/* SPDX-License-Identifier: MIT */
/* A file as one gzip stream (RFC 1952), for zcat(1) and every library that reads that. */
#ifndef ADA_COLLECTOR_TRACE_FILE_COMPRESS_H
#define ADA_COLLECTOR_TRACE_FILE_COMPRESS_H

#include <stdint.h>

/*
 * Compresses all of `in`, whose position does not matter, into the empty file `out`, gives it the time of the last write of `in`, and
 * brings it to the disk. Takes about 10 ms per MiB of a trace, which becomes a sixth, and half a
 * MiB of memory. 0; -ECANCELED: *cancelled (read relaxed) was
 * found not to be 0, which is looked at for each 128 KiB; -ENOMEM; errors of pread(2), write(2), fsync(2), negative.
 */
int trace_file_compress(int in, int out, const uint32_t *cancelled);

#endif
