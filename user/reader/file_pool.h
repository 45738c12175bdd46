/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of a reader's files for one cursor: those that the reader holds, and of the others the few that were needed last. Events
 * are read in the order of time, so the files that are needed change slowly. For one thread.
 */
#ifndef ADA_READER_FILE_POOL_H
#define ADA_READER_FILE_POOL_H

#include "user/reader/reader.h"

#define FILE_POOL_PLACES 8u /* each may be a file that was decompressed */

typedef struct PooledFile {
    const AdatReader *reader; /* NULL: the place is free */
    uint32_t file;
    int fd;
    uint64_t used; /* the pool's `uses` when it was needed last */
} PooledFile;

/* Zero it before its first use. */
typedef struct FilePool {
    PooledFile places[FILE_POOL_PLACES];
    uint64_t uses;
} FilePool;

void file_pool_fini(FilePool *pool);

/* The descriptor, valid until the next call; or -errno of trace_files_open_file(): -ENOENT, the file is gone. */
int file_pool_get(FilePool *pool, const AdatReader *reader, uint32_t file);

#endif
