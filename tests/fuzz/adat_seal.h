/* SPDX-License-Identifier: MIT */
/* For targets whose inputs are traces. */
#ifndef ADA_TESTS_ADAT_SEAL_H
#define ADA_TESTS_ADAT_SEAL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "user/file/adat_format.h"
#include "user/file/crc.h"

#define SEAL_PAYLOAD_MAX 4096u /* blocks are shortened to less, so that an input has several */

/* Sets right what depends on the rest: file header, checksums, sequence numbers. The uuid stays, so that files may be copies. */
static inline void adat_seal(uint8_t *bytes, size_t size)
{
    AdatFileHeader file;
    uint64_t sequence = 0;
    size_t at = sizeof(file);

    if (size < sizeof(file))
        return;
    memcpy(&file, bytes, sizeof(file));
    memcpy(file.magic, ADAT_MAGIC, sizeof(file.magic));
    file.major = ADAT_MAJOR;
    file.oldest_compatible = ADAT_OLDEST;
    file.header_bytes = sizeof(file);
    file.crc32 = 0;
    file.crc32 = adat_crc32(0, &file, sizeof(file));
    memcpy(bytes, &file, sizeof(file));
    while (size - at >= sizeof(AdatBlockHeader)) {
        AdatBlockHeader header;
        size_t length;

        memcpy(&header, bytes + at, sizeof(header));
        header.magic = ADAT_BLOCK_MAGIC;
        header.sequence = sequence++;
        header.payload_bytes %= SEAL_PAYLOAD_MAX;
        if (header.type == ADAT_BLOCK_LANES && header.records_bytes > header.payload_bytes)
            header.records_bytes %= header.payload_bytes + 1;
        header.crc32 = 0;
        length = sizeof(header) + ADAT_PADDED((size_t)header.payload_bytes);
        if (length > size - at)
            return;
        memcpy(bytes + at, &header, sizeof(header));
        header.crc32 = adat_crc32(0, bytes + at, sizeof(header) + header.payload_bytes);
        memcpy(bytes + at, &header, sizeof(header));
        at += length;
    }
}

#endif
