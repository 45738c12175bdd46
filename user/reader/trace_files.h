/* SPDX-License-Identifier: MIT */
/*
 * The files that a path names: one, or those of a directory, with the recordings that they are of.
 *
 * In a directory, names that end in .adat, .adat.partial or .adat.gz are taken for traces, and nothing else is opened. Each file says
 * which recording it is of and where in it (AdatFileHeader, SESSION); names only serve to find them. A file may be removed,
 * completed or compressed while it is looked at: it is known by its uuid, and found again under the names that
 * it may have then.
 *
 * Descriptors are opened when they are asked for: none is kept but that of the directory, or of the one file.
 */
#ifndef ADA_READER_TRACE_FILES_H
#define ADA_READER_TRACE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/reader/adat_reader.h"

typedef struct TraceFile {
    char *name; /* in the directory, or the path of the one file */
    uint8_t uuid[16];
    char recording[ADAT_ID_SIZE]; /* SESSION string; or, for a recording of one file, its uuid */
    uint64_t number;              /* file_number; 0: it does not say */
    uint64_t created_ns;          /* CLOCK_REALTIME */
    uint64_t begun_ns;            /* when the first file of its recording that is here was created */
    bool compressed;
    int error; /* it is no trace that could be read; 0: it is one, as far as its beginning shows */
} TraceFile;

typedef struct TraceFiles {
    TraceFile *items; /* recordings in the order in which they began, their files by number; then those with errors */
    size_t count;
    size_t capacity;
    size_t readable; /* of them without errors */
    int directory;   /* -1: `single` is the one file */
    int single;
    size_t foreign; /* regular files, links and the like in the directory that are not called as traces are */
    size_t copies;  /* files that were left out as another one is the same */
    size_t vanished; /* files that were removed while they were looked for */
    size_t empty;    /* files that have just been begun */
} TraceFiles;

/*
 * -ENOENT and others of open(2); -EISDIR: a directory without traces; -ENOTSUP: not a regular file; -ENOMEM. What is wrong with files
 * of a directory is in their `error`.
 */
int trace_files_open(const char *path, TraceFiles *files_out);
void trace_files_close(TraceFiles *files);

/*
 * A descriptor of a file, or of what it holds if it is compressed, for the caller to close. -ENOENT: it is gone; -EFBIG: see gunzip_all();
 * others of open(2) and write(2).
 */
int trace_files_open_file(const TraceFiles *files, size_t index);

/* The index behind the last file of the recording that file `first` is of. */
size_t trace_files_end(const TraceFiles *files, size_t first);

#endif
