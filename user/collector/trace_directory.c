/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/trace_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/base/thread.h"

#define NAME_SIZE 40u /* "trace-4294967295.adat.partial" */

typedef struct TraceFile {
    uint32_t number;
    int fd;
    bool complete;
} TraceFile;

typedef struct KeptFile {
    uint32_t number;
    uint64_t bytes;
} KeptFile;

typedef struct FileQueue {
    TraceFile *items;
    size_t count;
    size_t capacity;
} FileQueue;

struct TraceDirectory {
    char *path;
    int fd;
    uint64_t keep_bytes;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;

    /* the recorder's */
    uint32_t opened;      /* how many so far: the number of the last one */
    TraceFile present[2]; /* open; number 0: none */

    /* guarded by lock */
    FileQueue finished; /* waiting for the disk */
    bool stopping;

    /* the thread's, until it has ended */
    KeptFile *kept; /* oldest first */
    size_t kept_count;
    size_t kept_capacity;
    uint64_t kept_bytes;
    int error;
};

static void format_name(char name[NAME_SIZE], uint32_t number, bool complete)
{
    (void)snprintf(name, NAME_SIZE, "trace-%06u.adat%s", number, complete ? "" : ".partial");
}

static void note_error(TraceDirectory *directory, int error)
{
    if (directory->error == 0)
        directory->error = error;
}

/* ---- bringing files to the disk --------------------------------------------------------------- */

static void drop_oldest(TraceDirectory *directory)
{
    char name[NAME_SIZE];

    while (directory->keep_bytes > 0 && directory->kept_bytes > directory->keep_bytes &&
           directory->kept_count > 1) {
        format_name(name, directory->kept[0].number, true);
        if (unlinkat(directory->fd, name, 0) < 0 && errno != ENOENT) /* somebody else may have made room */
            note_error(directory, -errno);
        directory->kept_bytes -= directory->kept[0].bytes;
        directory->kept_count--;
        memmove(directory->kept, directory->kept + 1, directory->kept_count * sizeof(directory->kept[0]));
    }
}

static void keep(TraceDirectory *directory, uint32_t number, uint64_t bytes)
{
    if (array_reserve_one(&directory->kept, &directory->kept_capacity, directory->kept_count,
                          sizeof(directory->kept[0])) != 0) {
        note_error(directory, -ENOMEM); /* it is never removed */
        return;
    }
    directory->kept[directory->kept_count++] = (KeptFile){.number = number, .bytes = bytes};
    directory->kept_bytes += bytes;
    drop_oldest(directory);
}

/* Its contents are on the disk before its name says so. */
static int complete_file(const TraceDirectory *directory, const TraceFile *file)
{
    char partial[NAME_SIZE], complete[NAME_SIZE];

    format_name(partial, file->number, false);
    format_name(complete, file->number, true);
    if (fsync(file->fd) < 0 ||
        renameat2(directory->fd, partial, directory->fd, complete, RENAME_NOREPLACE) < 0 ||
        fsync(directory->fd) < 0)
        return -errno;
    return 0;
}

/* Nothing could be written to it: while the disk is full, there would be one more each second. */
static int drop_empty(const TraceDirectory *directory, const TraceFile *file)
{
    char name[NAME_SIZE];

    format_name(name, file->number, false);
    return unlinkat(directory->fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static void take(TraceDirectory *directory, const TraceFile *file)
{
    struct stat status = {0};
    int error = 0;

    (void)fstat(file->fd, &status); /* cannot fail: it is open */
    if (file->complete)
        error = complete_file(directory, file);
    else if (status.st_size == 0)
        error = drop_empty(directory, file);
    else if (fsync(file->fd) < 0)
        error = -errno;
    close(file->fd);
    if (error)
        note_error(directory, error);
    else if (file->complete)
        keep(directory, file->number, (uint64_t)status.st_size);
}

static void *directory_main(void *argument)
{
    TraceDirectory *directory = argument;

    pthread_mutex_lock(&directory->lock);
    for (;;) {
        FileQueue todo = directory->finished;

        if (todo.count == 0) {
            if (directory->stopping)
                break;
            pthread_cond_wait(&directory->changed, &directory->lock);
            continue;
        }
        directory->finished = (FileQueue){0};
        pthread_mutex_unlock(&directory->lock);
        for (size_t i = 0; i < todo.count; i++)
            take(directory, &todo.items[i]);
        free(todo.items);
        pthread_mutex_lock(&directory->lock);
    }
    pthread_mutex_unlock(&directory->lock);
    return NULL;
}

/* ---- files ------------------------------------------------------------------------------------ */

int trace_directory_open_next(TraceDirectory *directory)
{
    TraceFile *place = directory->present[0].number == 0 ? &directory->present[0] : &directory->present[1];
    char name[NAME_SIZE];
    int fd;

    if (place->number != 0)
        return -EBUSY;
    format_name(name, directory->opened + 1, false);
    fd = openat(directory->fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return -errno;
    *place = (TraceFile){.number = ++directory->opened, .fd = fd};
    return fd;
}

void trace_directory_finished(TraceDirectory *directory, int fd, bool complete)
{
    TraceFile *place =
        &directory->present[directory->present[0].number != 0 && directory->present[0].fd == fd ? 0 : 1];
    TraceFile file = *place;
    FileQueue *queue = &directory->finished;

    file.complete = complete;
    place->number = 0;
    pthread_mutex_lock(&directory->lock);
    if (array_reserve_one(&queue->items, &queue->capacity, queue->count, sizeof(queue->items[0])) == 0) {
        queue->items[queue->count++] = file;
        pthread_cond_signal(&directory->changed);
    } else {
        close(fd); /* without memory for a note it stays partial, as after a crash */
    }
    pthread_mutex_unlock(&directory->lock);
}

/* ---- life ------------------------------------------------------------------------------------- */

static void free_directory(TraceDirectory *directory)
{
    pthread_cond_destroy(&directory->changed);
    pthread_mutex_destroy(&directory->lock);
    if (directory->fd >= 0)
        close(directory->fd);
    free(directory->kept);
    free(directory->path);
    free(directory);
}

int trace_directory_create(const char *path, uint64_t keep_bytes, TraceDirectory **directory_out)
{
    TraceDirectory *directory = calloc(1, sizeof(*directory));
    int error = -ENOMEM;

    if (!directory)
        return -ENOMEM;
    directory->fd = -1;
    directory->keep_bytes = keep_bytes;
    directory->path = strdup(path);
    pthread_mutex_init(&directory->lock, NULL);
    pthread_cond_init(&directory->changed, NULL);
    if (!directory->path)
        goto fail;
    if (mkdir(path, 0750) < 0) {
        error = -errno;
        goto fail;
    }
    directory->fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    error = directory->fd < 0 ? -errno
                              : thread_start_without_signals(&directory->thread, directory_main, directory);
    if (error) {
        (void)rmdir(path);
        goto fail;
    }
    *directory_out = directory;
    return 0;

fail:
    free_directory(directory);
    return error;
}

static int stop(TraceDirectory *directory)
{
    pthread_mutex_lock(&directory->lock);
    directory->stopping = true;
    pthread_cond_signal(&directory->changed);
    pthread_mutex_unlock(&directory->lock);
    pthread_join(directory->thread, NULL);
    return directory->error;
}

int trace_directory_destroy(TraceDirectory *directory)
{
    int error;

    if (!directory)
        return 0;
    error = stop(directory);
    free_directory(directory);
    return error;
}

void trace_directory_drop(TraceDirectory *directory)
{
    char name[NAME_SIZE];

    (void)stop(directory);
    for (uint32_t number = 1; number <= directory->opened; number++) {
        format_name(name, number, false);
        (void)unlinkat(directory->fd, name, 0);
        format_name(name, number, true);
        (void)unlinkat(directory->fd, name, 0);
    }
    (void)rmdir(directory->path);
    free_directory(directory);
}
