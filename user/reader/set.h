/* SPDX-License-Identifier: MIT */
/* Inside of AdatSet, for the files of this folder. */
#ifndef ADA_READER_SET_H
#define ADA_READER_SET_H

#include "user/reader/adat_set.h"
#include "user/reader/reader.h"

struct AdatSet {
    TraceFiles sources;
    AdatSetFile *files; /* one for each of `sources` */
    AdatReader **readers;
    AdatRecordingInfo *recordings; /* one for each reader */
    size_t reader_count;
};

/*
 * Numbers of files that are missing between two files of a recording, or before its first one (`before` NULL), from *first_out on. Numbers
 * are 0 where they are not known: then nothing is missing.
 */
uint64_t set_missing_between(const TraceFile *before, const TraceFile *file, uint64_t *first_out);

#endif
