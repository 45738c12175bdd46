/* SPDX-License-Identifier: MIT */
/*
 * Checks a trace against everything that its format promises: checksums and sequence of the blocks; records
 * of each lane numbered without overlap, with holes only where the ledger has losses; times that never
 * decrease; detail records that parse; references that lead somewhere; accounts that add up and come when their
 * lane is done with; an index and a footer that match the blocks.
 */
#ifndef ADA_READER_ADAT_VERIFY_H
#define ADA_READER_ADAT_VERIFY_H

#include "user/reader/adat_reader.h"

#define ADAT_PROBLEM_TEXT 160u
#define ADAT_PROBLEMS_MAX 256u /* kept; more are only counted */

typedef struct AdatProblem {
    uint64_t offset; /* in the file: of the block concerned; 0 = the file as a whole */
    char text[ADAT_PROBLEM_TEXT];
} AdatProblem;

typedef struct AdatVerdict {
    uint64_t blocks;
    uint64_t events; /* index events */
    uint64_t cut_bytes;
    uint64_t problem_count;
    size_t kept;           /* min(problem_count, ADAT_PROBLEMS_MAX) */
    AdatProblem *problems; /* NULL if there is none */
    bool closed;           /* false alone is not a problem: the recorder was killed, or still runs */
} AdatVerdict;

/* For a reader of one file. 0, whatever was found; -ENOMEM, or those of pread(2). */
int adat_verify(const AdatReader *reader, AdatVerdict *verdict_out);

/* Frees what `verdict` holds. */
void adat_verdict_fini(AdatVerdict *verdict);

#endif
