/* SPDX-License-Identifier: MIT */
/*
 * Where an export goes: stdout, a file, or a directory. What has a name is called PATH.partial until it is complete, and is removed if it
 * does not come to that; so nothing half-written is taken for a whole.
 *
 *   export_target_open()    then exactly one of
 *   export_target_commit()  it is complete, and gets its name
 *   export_target_drop()    it is not, and goes
 *
 * A device, a pipe or the like at PATH is written to as it is. SIGINT, SIGTERM and SIGHUP are noted from open() on, for who writes to stop.
 */
#ifndef ADA_CLI_EXPORT_TARGET_H
#define ADA_CLI_EXPORT_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct ExportTarget {
    const char *path; /* NULL: stdout */
    char *partial;    /* NULL: nothing has to be renamed */
    FILE *stream;     /* NULL: it is a directory */
    int directory;    /* -1: it is a stream */
    bool force;
} ExportTarget;

/*
 * `force`: what an earlier export has left at the path, or as PATH.partial, is replaced; of a directory, only if it is a CTF trace and has
 * nothing else in it. CLI_OK, or CLI_FAILURE with the error said.
 */
int export_target_open(ExportTarget *target, const char *path, bool directory, bool force);

/* The data are on the disk then. CLI_OK, or CLI_FAILURE with the error said, and nothing is left. */
int export_target_commit(ExportTarget *target);
void export_target_drop(ExportTarget *target);

/* Of all files, after commit. */
uint64_t export_target_bytes(const ExportTarget *target);

/* The signal that came meanwhile; 0: none. */
int export_target_signal(void);

#endif
