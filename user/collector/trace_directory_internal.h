/* SPDX-License-Identifier: MIT */
/* What the parts of a TraceDirectory share. */
#ifndef ADA_COLLECTOR_TRACE_DIRECTORY_INTERNAL_H
#define ADA_COLLECTOR_TRACE_DIRECTORY_INTERNAL_H

#include <pthread.h>
#include <stddef.h>

#include "user/collector/trace_directory.h"
#include "user/collector/trace_file.h"

/* ---- files that are there: trace_directory_kept.c, trace_directory_adopt.c ----------------------- */

typedef struct KeptFile {
    uint32_t number;
    enum trace_file_kind kind;
    bool owed; /* on_complete was not called for it yet */
    ino_t inode;
    uint64_t bytes;
    uint64_t disk_bytes; /* what it takes of the file system */
    uint64_t written_at; /* ns since 1970 */
} KeptFile;

/* In the order of numbers. */
typedef struct KeptFiles {
    KeptFile *items;
    size_t count;
    size_t capacity;
    uint64_t bytes; /* all together */
} KeptFiles;

KeptFile kept_file_of(uint32_t number, enum trace_file_kind kind, const struct stat *status);

/* -ENOMEM */
int kept_files_add(KeptFiles *files, const KeptFile *file);

/* NULL: it was removed. */
KeptFile *kept_files_find(KeptFiles *files, uint32_t number, enum trace_file_kind kind);

/* Replaces what is known of a file that is in there. */
void kept_files_update(KeptFiles *files, KeptFile *file, const KeptFile *update);

void kept_files_clear(KeptFiles *files);

/* Counts a file. Without memory for that it is told, and the file never removed. */
void trace_directory_keep(TraceDirectory *directory, const KeptFile *file);

/* Removes files until all limits are kept to. */
void trace_directory_apply_limits(TraceDirectory *directory);

/* Time has to do with it: age, or space that others may take. */
bool trace_directory_has_timed_limits(const TraceDirectory *directory);

/* All files of ours that are in a directory. Errors of openat(2), readdir(3), negative; -ENOMEM; *files_out is the caller's to clear then as well. */
int trace_directory_scan(int place, KeptFiles *files_out);

/* The highest number of these files; 0: none. */
uint32_t kept_files_highest(const KeptFiles *files);

/* At the start: puts in order what earlier runs left. `files` are all that there are. */
void trace_directory_adopt(TraceDirectory *directory, const KeptFiles *files);

/* ---- compressing: trace_directory_compress.c ----------------------------------------------------- */

enum compressor_state {
    COMPRESSOR_IDLE,
    COMPRESSOR_READY, /* there is a job */
    COMPRESSOR_DONE,  /* it has a result */
};

/* One job at a time, from the directory's thread to a thread of its own and back. */
typedef struct Compressor {
    pthread_t thread;
    pthread_cond_t ready;

    /* guarded by the directory's lock */
    enum compressor_state state;
    bool ending;

    /* written by others while the job runs: it is to end soon */
    uint32_t cancelled;

    /* the job: of the directory's thread while IDLE or DONE, of the compressor's while READY */
    uint32_t number;
    int in;
    int out;
    int result;
} Compressor;

/* 0, or -errno of pthread_create(3). */
int compressor_start(TraceDirectory *directory);
void compressor_end(TraceDirectory *directory);

/* The directory's thread, without the lock, while the compressor is idle: begins with the oldest file that is to be compressed. */
void compressor_begin(TraceDirectory *directory);
/* The same, with the lock: there is one. */
bool compressor_has_work(const TraceDirectory *directory);
/* The directory's thread, without the lock, once a job is done. */
void compressor_settle(TraceDirectory *directory);

/* A note on the disk that this file is to be compressed and told. Best effort. */
void compressor_note(int place, uint32_t number);

/* ---- the directory: trace_directory.c ------------------------------------------------------------ */

typedef struct TraceFile {
    uint32_t number;
    int fd;
    int place;      /* descriptor of the directory that it is in */
    uint32_t moves; /* which one that is */
    bool complete;
} TraceFile;

typedef struct FileQueue {
    TraceFile *items;
    size_t count;
    size_t capacity;
} FileQueue;

struct TraceDirectory {
    TraceDirectoryConfig config; /* constant; owns the path */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    Compressor compressor; /* with config.compress */

    /* the recorder's */
    int fd;               /* of the directory */
    bool made;            /* it was not there before */
    uint32_t first;       /* number of the first file here */
    uint32_t opened;      /* of the last one; 0: none, and none was there */
    TraceFile present[2]; /* open; number 0: none */

    /* guarded by lock */
    FileQueue finished; /* waiting for the disk */
    int moved_to; /* the recorder goes on in another directory, since the one before was removed: its descriptor; -1: no */
    uint32_t moves; /* how often so far */
    bool stopping;

    /* the thread's, until it has ended */
    int place;          /* the directory, as far as the thread has come */
    uint32_t placed;    /* `moves` as of then */
    KeptFiles kept;     /* in there */
    uint64_t next_look; /* CLOCK_MONOTONIC */
    bool space_told;
    int error; /* the first one */
};

/* Remembers the first error, and tells each. */
void trace_directory_tell_error(TraceDirectory *directory, const char *what, const char *name, int error);

/* Tells that a file is complete, if that is owed. */
void trace_directory_tell_complete(TraceDirectory *directory, KeptFile *file);

#endif
