/* SPDX-License-Identifier: MIT */
/*
 * Adds blocks behind those of a complete file, and completes it again.
 *
 *   ... | TRAILER | AdatFooter                                    before
 *   ... | TRAILER | block | block | ... | TRAILER | AdatFooter    after: blocks stand where the footer was
 *
 * What is in the file is never rewritten, and every step leaves a file that reads as before. All that lies behind the old footer is written first,
 * and brought to the disk; then 16 bytes over the old footer make it count. Who is killed before that leaves a complete file with something behind
 * its end, which readers leave out and tell; a write that fails is taken back. Should even the 16 bytes be torn, the file reads up to there as one whose recorder
 * was killed, which is all that was in it.
 *
 * One thread, one process at a time: nobody else may write the file. Nothing is printed.
 */
#ifndef ADA_FILE_ADAT_APPEND_H
#define ADA_FILE_ADAT_APPEND_H

#include <stddef.h>
#include <sys/types.h>

#include "user/file/adat_format.h"

typedef struct AdatAppendedBlock {
    uint16_t type;
    const void *payload; /* the caller's */
    uint32_t payload_bytes;
} AdatAppendedBlock;

/*
 * `fd` is open for reading and writing; what its offset is does not matter, nor is it changed. `write` NULL: pwrite(2); or a test's. -ENODATA: the file is not
 * complete, so nobody knows where blocks go; -EBADMSG: its end is damaged; -EMSGSIZE: a block is longer than ADAT_PAYLOAD_MAX, or there are more than
 * the index takes; -ENOMEM; those of pread(2), pwrite(2) and fdatasync(2), with the file as it was.
 */
int adat_append_blocks(int fd, const AdatAppendedBlock *blocks, size_t count,
                       ssize_t (*write)(int fd, const void *data, size_t size, off_t offset));

#endif
