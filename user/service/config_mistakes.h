/* SPDX-License-Identifier: MIT */
/*
 * What is wrong in configuration files: one line for each mistake, in the order in which they were found,
 *
 *     FILE:LINE: KEY: what is wrong; allowed: what is
 *
 * LINE is missing when the mistake is that of the whole file, KEY when it is that of a whole line.
 */
#ifndef ADA_SERVICE_CONFIG_MISTAKES_H
#define ADA_SERVICE_CONFIG_MISTAKES_H

#include <stdbool.h>
#include <stdint.h>

#include "user/service/text_list.h"

#define CONFIG_MISTAKES_MAX 100u /* are listed; a file that is no configuration at all has thousands */

/* Starts as {0}. */
typedef struct ConfigMistakes {
    TextList lines; /* without newlines and control characters */
    size_t total;   /* listed or not */
    bool out_of_memory;
} ConfigMistakes;

/* `line` 0 and `key` NULL: none. Without memory for it, out_of_memory is set. */
void config_mistakes_add(ConfigMistakes *mistakes, const char *file, uint32_t line, const char *key,
                         const char *format, ...) __attribute__((format(printf, 5, 6)));

void config_mistakes_fini(ConfigMistakes *mistakes);

#endif
