/* SPDX-License-Identifier: MIT */
/* One file in the directory of a recording: its name, and how it is opened where others may have put something in its place. */
#ifndef ADA_COLLECTOR_TRACE_FILE_H
#define ADA_COLLECTOR_TRACE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define TRACE_FILE_NAME_SIZE 48u /* "trace-4294967295.adat.gz.partial" */

enum trace_file_kind {
    TRACE_FILE_PARTIAL,      /* trace-000001.adat.partial */
    TRACE_FILE_COMPLETE,     /* trace-000001.adat */
    TRACE_FILE_GZIP_PARTIAL, /* trace-000001.adat.gz.partial */
    TRACE_FILE_GZIP,         /* trace-000001.adat.gz */
    TRACE_FILE_KINDS,
};

void trace_file_name_format(char name[TRACE_FILE_NAME_SIZE], uint32_t number, enum trace_file_kind kind);

/* False: it is not such a name, exactly as we would write it. */
bool trace_file_name_parse(const char *name, uint32_t *number_out, enum trace_file_kind *kind_out);

/* A name in a directory, not through a link, and without waiting for whoever holds a FIFO's other end. The descriptor, or -errno of openat2(2). */
int trace_file_open(int directory, const char *name, int flags);

/* It is a regular file of our effective user with one name only: what we made. */
bool trace_file_is_ours(const struct stat *status);

/* The name still leads to this file of ours, and not to what got its inode number after it. */
bool trace_file_is_at(int directory, const char *name, ino_t inode);

/* 0 also if it is gone already. Errors of unlinkat(2), negative. */
int trace_file_remove(int directory, const char *name);

/* Gives a file its final name, which must be free. It is on the disk with the next fsync(2) of the directory. 0 or -errno. */
int trace_file_rename(int directory, const char *from, const char *to);

/* The same, and brings it to the disk. */
int trace_file_rename_synced(int directory, const char *from, const char *to);

/* Time of its last write, ns since 1970; 0: before. */
uint64_t trace_file_written_at(const struct stat *status);

/* Sets that time, after something else than a write of events changed it. Best effort. */
void trace_file_set_written_at(int fd, const struct stat *status);

#endif
