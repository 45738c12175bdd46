/* SPDX-License-Identifier: MIT */
/*
 * Checks all files that a path names, each by adat_verify(), and what must hold between them: no record is in two files, be they of one
 * recording or of two that followed a thread one after the other; within a recording each lane goes on in a file where the one before
 * ended, but for what that one's ledger says was lost, and what is in files that are missing; no file is missing between two others.
 */
#ifndef ADA_READER_ADAT_VERIFY_SET_H
#define ADA_READER_ADAT_VERIFY_SET_H

#include "user/reader/adat_set.h"
#include "user/reader/adat_verify.h"

typedef struct AdatFileVerdict {
    char *name;
    int error; /* it could not be read: -ENOENT, it was removed meanwhile, which is no problem */
    size_t recording;
    uint64_t number;
    AdatVerdict verdict;
} AdatFileVerdict;

/* Between files. */
typedef struct AdatSetProblem {
    size_t file; /* index of the later one */
    char text[ADAT_PROBLEM_TEXT];
} AdatSetProblem;

typedef struct AdatSetVerdict {
    bool is_directory;
    AdatFileVerdict *files;
    size_t file_count;
    size_t recordings;
    uint64_t problem_count; /* in all: of files, and between them */
    size_t kept;            /* of those between files, at most ADAT_PROBLEMS_MAX */
    AdatSetProblem *problems;
    uint64_t duplicates;  /* records that are in two files */
    uint64_t unexplained; /* records that are in none, and that neither a ledger nor a missing file explains */
    uint64_t in_missing;  /* at least so many records are in files that are missing */
    uint64_t missing_files; /* between files; those that were removed before the first one do not count */
    uint64_t removed_files; /* these */
    AdatSetLeftOut left_out;
} AdatSetVerdict;

/* 0, whatever was found; errors as adat_set_open(). */
int adat_verify_set(const char *path, AdatSetVerdict *verdict_out);

/* Frees what `verdict` holds. */
void adat_set_verdict_fini(AdatSetVerdict *verdict);

#endif
