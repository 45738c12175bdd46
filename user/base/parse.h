/* SPDX-License-Identifier: MIT */
/*
 * Numbers from text that users type. The whole text must be the number: no blanks, no sign, decimal.
 * All return 0; -EINVAL when the text is not such a number; -ERANGE when it is less than `min` or more
 * than `max`. `value_out` is untouched on failure.
 */
#ifndef ADA_BASE_PARSE_H
#define ADA_BASE_PARSE_H

#include <stdint.h>

int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *value_out);

/* A size in bytes: "4096", "64K", "1M", "2G" (powers of 1024, either case). */
int parse_bytes(const char *text, uint64_t min, uint64_t max, uint64_t *bytes_out);

/*
 * A time in nanoseconds: "250ns", "10us", "1.5ms", "2s", and "2" for seconds, as sleep(1) takes it.
 * What is finer than a nanosecond is -EINVAL.
 */
int parse_duration(const char *text, uint64_t min, uint64_t max, uint64_t *ns_out);

/* The same, with "5m", "1.5h" and "7d" as well. */
int parse_long_duration(const char *text, uint64_t min, uint64_t max, uint64_t *ns_out);

#endif
