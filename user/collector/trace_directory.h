/* SPDX-License-Identifier: MIT */
/*
 * The files of a long recording, in a directory of their own: trace-000001.adat, trace-000002.adat and so on. A file is called
 * *.adat.partial until it is complete and on the disk; with `compress` it becomes *.adat.gz then, which zcat(1) reads; one that a killed run left stays as it is.
 *
 * What is there at any moment, also after a kill, so that the next run knows what the last one had not done (`adopt`):
 *
 *     N.adat.partial                    is written, or was given up
 *     N.adat                            complete
 *     N.adat    + N.adat.gz.partial     complete, and still to be compressed and told: the second is empty, or a part of the result
 *     N.adat.gz + N.adat                compressed: the second is about to be removed
 *     N.adat.gz                         complete
 *
 * Limits. Files that count are those that are complete, and those that were given up as *.partial: they take room, too. The file that is
 * being written does not count, nor does what the compressor has written so far: who wants all to stay below a size leaves out the
 * size of one file, or of two with `compress`. When there is too much the oldest go first. The youngest complete one is kept in
 * any case. For min_free_bytes as well: it would make room for one file, which the recording takes again at once; and when others fill the
 * disk, the last minutes are what somebody will ask for. That there is less room than wanted, and nothing to remove, is told.
 *
 * The directory may be one that others can write. Names are looked up below its descriptor (openat2(2), where it is to be had: no symlinks, no other file systems),
 * files are made with O_EXCL, and what is there counts only if it is a regular file of ours (by the effective user) with one
 * name, and is removed only if it is still the same. A name that is taken already is passed over. A lock on the directory
 * (flock(2)) keeps a second recording out of it.
 *
 * A thread of its own brings files to the disk, which can take seconds, and removes old ones; one more of the lowest priority compresses.
 * Nothing is printed. Functions are for one thread at a time.
 */
#ifndef ADA_COLLECTOR_TRACE_DIRECTORY_H
#define ADA_COLLECTOR_TRACE_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#define TRACE_DIRECTORY_LOOK_NS \
    60000000000ull /* how often age and free space are looked at while no file is completed */

typedef struct TraceDirectory TraceDirectory;

/* All are optional. They are called by the directory's thread, or during create, and must not call functions of the directory. */
typedef struct TraceDirectoryCalls {
    /* A file is complete and on the disk, under this name; compressed, unless that failed or the directory was destroyed before. */
    void (*on_complete)(void *context, const char *name, uint32_t number, uint64_t bytes);
    /*
     * During create: a file that a run before left behind, open for reading and writing. 0, and how many bytes from its start on
     * are valid: it is cut off there and completed; with less than a header's it is removed. Or -errno: it is given up. Without
     * this function all are. Files that were completed so before, behind the last one that has its end, come first, and stay as
     * they are.
     */
    int (*on_partial)(void *context, int fd, uint64_t *valid_bytes_out);
    /*
     * What could not be done, for "cannot WHAT 'NAME'": complete, compress, recover, remove, and with the directory's path as name: find
     * (-ENOENT: it was removed or replaced; another one was made), read, or "keep enough space free beside" (-ENOSPC, once until there
     * is enough again). The strings end with the call.
     */
    void (*on_error)(void *context, const char *what, const char *name, int error);
    void *context;
} TraceDirectoryCalls;

typedef struct TraceDirectoryConfig {
    const char *path; /* copied */
    bool adopt;       /* it may be there, with files of earlier runs; and it is made again if it is removed */
    uint64_t keep_bytes; /* so many may be in all files that count; 0: no limit */
    uint64_t keep_ns;    /* so long after its last write a file is kept; 0: no limit */
    uint64_t min_free_bytes; /* so much is to be free on the file system, for those without privileges; 0: no limit */
    uint64_t look_ns; /* 0: TRACE_DIRECTORY_LOOK_NS */
    bool compress;    /* complete files, in the background */
    TraceDirectoryCalls calls;
} TraceDirectoryConfig;

/*
 * Makes the directory, or takes over the one that is there: numbers go on behind the highest one, and what a killed run left is put in
 * order, which reads its partial files. Errors of mkdir(2) (-EEXIST without `adopt`), open(2), readdir(3), pthread_create(3),
 * negative; -EPERM: it is not ours nor root's, or all may write it; -EBUSY: another recording is there; -ENOMEM.
 */
int trace_directory_create(const TraceDirectoryConfig *config, TraceDirectory **directory_out);

/*
 * A new file, empty, open for reading and writing. One at a time, but for the moment between two. The descriptor, or -errno of openat2(2);
 * -ENOENT: the path leads to no directory, or to another one, and there is no `adopt`; with it, errors of create; -EBUSY: two are
 * open; -EEXIST: the next 16 names are taken, the ones behind come with the next call; -EOVERFLOW: there are no more numbers.
 */
int trace_directory_open_next(TraceDirectory *directory);

/*
 * A file that was opened here is done with. Takes the descriptor over, and does not wait for the disk. One that is not `complete`
 * keeps its name, or is removed if it is empty.
 */
void trace_directory_finished(TraceDirectory *directory, int fd, bool complete);

/*
 * Waits until all is on the disk, and frees. What is not compressed by now stays as it is, and is told. 0, or the first error
 * that there was on the way, as -errno. NULL is allowed.
 */
int trace_directory_destroy(TraceDirectory *directory);

/* For a recording of nothing: removes the files that were opened here, and the directory if it was made here. Frees. */
void trace_directory_drop(TraceDirectory *directory);

#endif
