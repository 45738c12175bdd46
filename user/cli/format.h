/* SPDX-License-Identifier: MIT */
/* Amounts for people. Texts are NUL-terminated and fit 32 characters. */
#ifndef ADA_CLI_FORMAT_H
#define ADA_CLI_FORMAT_H

#include <stddef.h>
#include <stdint.h>

/* "12.3 MB" */
void format_bytes(uint64_t bytes, char *text, size_t size);

/* "1.2 M" */
void format_rate(double rate, char *text, size_t size);

/* "1.234 ms", "123.4 us", "12 ns" */
void format_duration(uint64_t ns, char *text, size_t size);

#endif
