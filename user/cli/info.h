/* SPDX-License-Identifier: MIT */
/* `adatrace info`: as JSON in cmd_info.c, as text in info_text.c. */
#ifndef ADA_CLI_INFO_H
#define ADA_CLI_INFO_H

#include "user/reader/adat_set.h"

/* Of the files that could be read, together. */
typedef struct InfoTotals {
    size_t files;
    uint64_t bytes;
    uint64_t blocks;
    uint64_t cut_bytes;
    AdatCut cut; /* of the first one that is cut */
    bool closed; /* all are */
    bool has_ledger;
} InfoTotals;

InfoTotals info_totals(const AdatSet *set);

/* Marks, or anomalies, in all files. */
size_t info_count_marks(const AdatSet *set, bool anomaly);

/* Functions whose names are in the files, and of how many modules. */
size_t info_count_embedded(const AdatSet *set, size_t *modules_out);

/* The recording that began last: what is said of "the" recording is its. */
const AdatReader *info_newest(const AdatSet *set);

/* Whether times of any recording are guessed, and the greatest clock error of all. */
bool info_is_guessed(const AdatSet *set);
uint64_t info_clock_error(const AdatSet *set);

void info_print_text(const char *path, const AdatSet *set);

#endif
