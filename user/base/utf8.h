/* SPDX-License-Identifier: MIT */
/* Which bytes are UTF-8. */
#ifndef ADA_BASE_UTF8_H
#define ADA_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * Length of the UTF-8 sequence that starts at `text`, of which `size` bytes (at least 1) are there; 0
 * when it is none: cut off, overlong, a surrogate, beyond U+10FFFF.
 */
size_t utf8_length(const uint8_t *text, size_t size);

#endif
