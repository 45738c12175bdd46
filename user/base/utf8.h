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

/*
 * A NUL-terminated copy of a text that is UTF-8 whatever the text is: bytes that are not, and NULs within, become U+FFFD, of three bytes. Writes
 * at most 3 * size + 1 bytes; returns how many, with the NUL.
 */
size_t utf8_clean(char *out, const char *text, size_t size);

#endif
