/* SPDX-License-Identifier: MIT */
/* Names of C++ and Rust as they stand in the source. Needs libiberty; without it every name stays as it is. */
#ifndef ADA_READER_DEMANGLE_H
#define ADA_READER_DEMANGLE_H

#include <stddef.h>

#define DEMANGLE_CUT "..." /* ends a text that had no room */

#define DEMANGLE_LENGTH_MAX 16384u /* of a mangled name: longer ones stay as they are */

/*
 * Writes what `mangled` ("_Z...", "_R...") stands for, NUL-terminated, at most `size` bytes (at least 8), and returns its length; 0, with nothing written to rely on, if it
 * is no such name. Time and memory are bounded, whatever the name is: a short one may stand for gigabytes. What a Rust compiler tells functions of
 * one name apart by is left out.
 *
 * It takes up to 256 KiB of the caller's stack. A name of more than 512 bytes is looked at in a thread of its own for so long, with a stack that is large enough.
 */
size_t demangle(const char *mangled, char *out, size_t size);

/* Copies a text likewise: what does not fit is cut between characters of UTF-8, and ends with DEMANGLE_CUT. Returns its length. */
size_t demangle_copy(const char *text, char *out, size_t size);

#endif
