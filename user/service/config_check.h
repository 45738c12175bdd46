/* SPDX-License-Identifier: MIT */
/* What must hold between keys, once all files are read. */
#ifndef ADA_SERVICE_CONFIG_CHECK_H
#define ADA_SERVICE_CONFIG_CHECK_H

#include "user/service/service_keys.h"

/* Where a section and its keys stand. */
typedef struct SectionPlace {
    const char *file;
    uint32_t line;
    uint32_t key_lines[CONFIG_KEYS_MAX]; /* the last line of each key of the table; 0: it has its default */
} SectionPlace;

/* `places` has one for each session. Session outputs must be absolute by now. Mistakes are added. */
void config_check(const ServiceConfig *config, const SectionPlace *places, ConfigMistakes *mistakes);

#endif
