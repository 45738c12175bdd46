/* SPDX-License-Identifier: MIT */
/*
 * MiniDebugInfo: the symbols that a distribution stripped from a file, kept in it as a small ELF file that is compressed by xz (section .gnu_debugdata).
 * Needs liblzma.
 */
#ifndef ADA_READER_DEBUGDATA_H
#define ADA_READER_DEBUGDATA_H

#include <stddef.h>
#include <stdint.h>

#define DEBUGDATA_BYTES_MAX \
    ((size_t)64 << 20) /* compressed, and what it holds; those of large programs are some MiB */

/*
 * Unpacks `packed` into a file in memory, which is the caller's to close, and of which *bytes_out tells the size. At most `bytes_max` bytes, and
 * DEBUGDATA_BYTES_MAX, are written; the decompressor takes as much memory at most besides. The descriptor; -EFBIG: there is more; -EBADMSG: it is
 * damaged; -ENOSYS: built without liblzma; -ENOMEM; those of memfd_create(2) and write(2).
 */
int debugdata_unpack(const void *packed, size_t size, size_t bytes_max, uint64_t *bytes_out);

#endif
