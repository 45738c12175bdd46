/* SPDX-License-Identifier: MIT */
#include "user/file/crc.h"

#ifdef ADA_HAVE_LIBDEFLATE
#include <libdeflate.h>

uint32_t adat_crc32(uint32_t crc, const void *data, size_t size)
{
    return libdeflate_crc32(crc, data, size);
}
#else
#include <zlib.h>

uint32_t adat_crc32(uint32_t crc, const void *data, size_t size)
{
    return (uint32_t)crc32_z(crc, data, size);
}
#endif
