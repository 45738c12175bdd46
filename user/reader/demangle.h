/* SPDX-License-Identifier: MIT */
/* Names of C++ as they stand in the source. Needs libiberty; without it every name stays as it is. */
#ifndef ADA_READER_DEMANGLE_H
#define ADA_READER_DEMANGLE_H

#include <stddef.h>

#define DEMANGLE_CUT "..." /* ends a text that had no room */

/*
 * Writes what `mangled` ("_Z...") stands for, NUL-terminated, at most `size` bytes (at least 8), and returns its length; 0, with nothing written to rely on, if it
 * is no such name. Time and memory are bounded, whatever the name is: a short one may stand for gigabytes.
 */
size_t demangle(const char *mangled, char *out, size_t size);

/* Copies a text likewise: what does not fit is cut between characters of UTF-8, and ends with DEMANGLE_CUT. Returns its length. */
size_t demangle_copy(const char *text, char *out, size_t size);

#endif
