/* SPDX-License-Identifier: MIT */
/*
 * Numbers to text, for output of millions of lines: printf would cost more than all the rest.
 * What they write has no NUL to rely on; they return how many characters they wrote.
 */
#ifndef ADA_BASE_NUMBER_H
#define ADA_BASE_NUMBER_H

#include <stddef.h>
#include <stdint.h>

#define NUMBER_CHARS_MAX 32u /* of any of these */

size_t number_format_u64(char *out, uint64_t value);
size_t number_format_i64(char *out, int64_t value);
/* With leading zeros up to `digits` (1..20). */
size_t number_format_padded(char *out, uint64_t value, size_t digits);
/* "0x2a" */
size_t number_format_hex(char *out, uint64_t value);
/* The shortest text that reads back as the same number. */
size_t number_format_f64(char *out, double value);

#endif
