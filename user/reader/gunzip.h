/* SPDX-License-Identifier: MIT */
/*
 * Files compressed by gzip(1), or by the recorder as .adat.gz: what they hold, as an anonymous temporary file that the reader can
 * read from anywhere. It lies in $TMPDIR, or /var/tmp, or in memory where neither takes one, and is gone with its descriptor.
 */
#ifndef ADA_READER_GUNZIP_H
#define ADA_READER_GUNZIP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What a compressed file may hold: so many bytes for each of its own, beyond some for small files. zlib itself reaches 1032 to 1;
 * events, of which each has a time and a number of its own, come to a tenth of that.
 */
#define GUNZIP_RATIO_MAX 256u
#define GUNZIP_SPARE_BYTES (UINT64_C(16) << 20)
#define GUNZIP_BYTES_MAX (UINT64_C(64) << 30)

/* Whether it starts as such a file does. */
bool gunzip_is_compressed(int fd);

/*
 * A new descriptor of what the file holds, up to `most` bytes. A file that is damaged or ends early gives what comes before. -EFBIG: it
 * holds more than it may; -ENOMEM; those of read(2), write(2) and open(2).
 */
int gunzip_prefix(int fd, uint64_t most);

/* The same of all of it. */
int gunzip_all(int fd);

#endif
