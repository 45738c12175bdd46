/* SPDX-License-Identifier: MIT */
/*
 * The files of a long recording, in a directory of their own: trace-000001.adat, trace-000002.adat and so on. A file is called
 * *.adat.partial until it is complete and on the disk. When all complete ones together are larger than the recording may be, the oldest go.
 *
 * A thread of its own brings files to the disk, which can take seconds. Nothing is printed.
 */
#ifndef ADA_COLLECTOR_TRACE_DIRECTORY_H
#define ADA_COLLECTOR_TRACE_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

typedef struct TraceDirectory TraceDirectory;

/*
 * Makes the directory, which must not exist. `keep_bytes`: complete files may come to so many bytes together; the youngest is kept in any
 * case. 0: they may be as large as they become. Errors of mkdir(2), open(2), pthread_create(3), negative; -ENOMEM.
 */
int trace_directory_create(const char *path, uint64_t keep_bytes, TraceDirectory **directory_out);

/* A new file, empty, open for reading and writing. The descriptor, or -errno of openat(2). One at a time, but for the moment between two. */
int trace_directory_open_next(TraceDirectory *directory);

/*
 * A file that was opened here is done with. Takes the descriptor over, and does not wait for the disk. One that is not `complete`
 * keeps its name, or is removed if it is empty.
 */
void trace_directory_finished(TraceDirectory *directory, int fd, bool complete);

/* Waits until all is on the disk, and frees. 0, or the first error that there was on the way, as -errno. NULL is allowed. */
int trace_directory_destroy(TraceDirectory *directory);

/* For a recording of nothing: removes the directory and the files that were opened in it. Frees. */
void trace_directory_drop(TraceDirectory *directory);

#endif
