/* SPDX-License-Identifier: MIT */
/* Names of a trace in TSDL, the language of CTF's metadata. Nothing that a name has in it can end a string, or be taken for anything else. */
#ifndef ADA_CONVERT_CTF_TEXT_H
#define ADA_CONVERT_CTF_TEXT_H

#include <stddef.h>
#include <stdio.h>

/*
 * A string literal with its quotes. Control characters, quotes, backslashes are escaped in octal; bytes that are not UTF-8 become U+FFFD. An empty text
 * is one.
 */
void ctf_put_literal(FILE *out, const char *text, size_t size);

/* Bytes of an identifier, with the NUL, for a name of `size` bytes. */
#define CTF_IDENTIFIER_SIZE(size) (4 * (size) + 16)

/*
 * A name as an identifier, that any other name has not: letters, digits and underscores stand for themselves; every other byte is _xHH, in
 * lower-case hexadecimal, and so is an underscore (_x5f) if it would be read as the beginning of that. A name that is empty is _x00, which no byte of a name is.
 * `copy` is 0, or tells names apart that are the same: _x00 and the number follow.
 *
 * In TSDL it is written behind another underscore, which readers take away: so no name is a keyword, or begins with a digit.
 */
void ctf_mangle(const char *name, size_t size, unsigned int copy, char *identifier);

#endif
