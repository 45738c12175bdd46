/* SPDX-License-Identifier: MIT */
/*
 * The checksum of .adat files: crc32 as zlib computes it. Every byte that is recorded passes
 * through here once, so libdeflate computes it where the build has it: same value, several times
 * the speed.
 */
#ifndef ADA_FILE_CRC_H
#define ADA_FILE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from `crc`, which is 0 at the start. */
uint32_t adat_crc32(uint32_t crc, const void *data, size_t size);

#endif
