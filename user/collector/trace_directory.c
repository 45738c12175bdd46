/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/trace_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "user/access/output_place.h"
#include "user/base/array.h"
#include "user/base/thread.h"
#include "user/collector/trace_directory_internal.h"
#include "user/lane/atomic.h"
#include "user/lane/clock.h"
#include "user/lane/test_point.h"

#define NAMES_TRIED 16u /* that others have taken */
#define NS_PER_S 1000000000ull

/* ---- what is told ----------------------------------------------------------------------------- */

void trace_directory_tell_error(TraceDirectory *directory, const char *what, const char *name, int error)
{
    const TraceDirectoryCalls *calls = &directory->config.calls;

    if (directory->error == 0)
        directory->error = error;
    if (calls->on_error)
        calls->on_error(calls->context, what, name, error);
}

void trace_directory_tell_complete(TraceDirectory *directory, KeptFile *file)
{
    const TraceDirectoryCalls *calls = &directory->config.calls;
    char name[TRACE_FILE_NAME_SIZE];

    if (!file->owed)
        return;
    file->owed = false;
    trace_file_name_format(name, file->number, file->kind);
    if (calls->on_complete)
        calls->on_complete(calls->context, name, file->number, file->bytes);
    if (directory->config.compress &&
        file->kind == TRACE_FILE_COMPLETE) { /* nothing is to be done for it any more */
        trace_file_name_format(name, file->number, TRACE_FILE_GZIP_PARTIAL);
        (void)trace_file_remove(directory->place, name);
    }
}

/* `stopping`: nothing more will be compressed. */
static void tell_owed(TraceDirectory *directory, bool stopping)
{
    for (size_t i = 0; i < directory->kept.count; i++) {
        KeptFile *file = &directory->kept.items[i];

        if (stopping || !directory->config.compress || file->kind == TRACE_FILE_GZIP)
            trace_directory_tell_complete(directory, file);
    }
}

/* ---- bringing files to the disk --------------------------------------------------------------- */

/*
 * Files that are brought to the disk together: so many that few of the file system's transactions are needed, so few that limits are kept to
 * meanwhile. Beside a program that kept the disk busy, 217 files of 1 MB took 2.5 s; one by one, 49 took 4.1 s (ext4, Linux 6.18).
 */
#define FILES_TOGETHER 32

/* A file on its way to the disk. */
typedef struct Arrival {
    TraceFile file;
    char partial[TRACE_FILE_NAME_SIZE];
    bool named; /* as a complete one */
    int error;  /* of what was done last */
} Arrival;

/* Its contents are on the disk before its name says so. */
static int complete_file(const TraceDirectory *directory, Arrival *arrival)
{
    const TraceFile *file = &arrival->file;
    char complete[TRACE_FILE_NAME_SIZE];
    struct stat status;
    int error;

    trace_file_name_format(complete, file->number, TRACE_FILE_COMPLETE);
    if (fsync(file->fd) < 0 || fstat(file->fd, &status) < 0)
        return -errno;
    if (!trace_file_is_at(file->place, arrival->partial, status.st_ino))
        return -ENOENT;
    ADA_TEST_POINT("complete.synced");
    if (directory->config.compress)
        compressor_note(file->place, file->number);
    error = trace_file_rename(file->place, arrival->partial, complete);
    ADA_TEST_POINT("complete.renamed");
    arrival->named = !error;
    return error;
}

/* Nothing could be written to it: while the disk is full, there would be one more each second. */
static int give_up_file(const Arrival *arrival)
{
    const TraceFile *file = &arrival->file;
    struct stat status;

    if (fsync(file->fd) < 0 || fstat(file->fd, &status) < 0)
        return -errno;
    return status.st_size == 0 ? trace_file_remove(file->place, arrival->partial) : 0;
}

/* Their new names are on the disk: those of files that lie in the same directory at once. */
static void sync_names(Arrival *arrivals, size_t count)
{
    for (size_t end, begin = 0; begin < count; begin = end) {
        int error;

        for (end = begin + 1; end < count && arrivals[end].file.moves == arrivals[begin].file.moves;)
            end++;
        error = fsync(arrivals[begin].file.place) < 0 ? -errno : 0;
        for (size_t i = begin; i < end; i++)
            if (!arrivals[i].error)
                arrivals[i].error = error;
    }
}

static void close_file(const TraceFile *file)
{
    close(file->fd);
    close(file->place);
}

static void take_in(TraceDirectory *directory, const Arrival *arrival)
{
    const TraceFile *file = &arrival->file;
    struct stat status = {0};
    KeptFile kept;

    if (arrival->error)
        trace_directory_tell_error(directory, "complete", arrival->partial, arrival->error);
    (void)fstat(file->fd, &status); /* cannot fail: it is open */
    close_file(file);
    if (file->moves != directory->placed || status.st_nlink == 0 || status.st_size == 0)
        return; /* in a directory that nobody finds, or nowhere */
    kept = kept_file_of(file->number, arrival->named ? TRACE_FILE_COMPLETE : TRACE_FILE_PARTIAL, &status);
    kept.owed = arrival->named && !arrival->error;
    trace_directory_keep(directory, &kept);
    trace_directory_apply_limits(directory);
    tell_owed(directory, false);
}

/* At most FILES_TOGETHER. */
static void take_together(TraceDirectory *directory, const TraceFile *files, size_t count)
{
    Arrival arrivals[FILES_TOGETHER];

    for (size_t i = 0; i < count; i++) {
        arrivals[i] = (Arrival){.file = files[i]};
        trace_file_name_format(arrivals[i].partial, files[i].number, TRACE_FILE_PARTIAL);
        /* All are under way before the first is waited for: one transaction has the places of most. An error is told by fsync(2). */
        if (count > 1)
            (void)sync_file_range(files[i].fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    }
    for (size_t i = 0; i < count; i++)
        arrivals[i].error =
            files[i].complete ? complete_file(directory, &arrivals[i]) : give_up_file(&arrivals[i]);
    sync_names(arrivals, count);
    for (size_t i = 0; i < count; i++)
        take_in(directory, &arrivals[i]);
}

/* ---- the thread ------------------------------------------------------------------------------- */

/* The directory was removed or replaced, and another one is there: what it holds counts from now on. */
static void move(TraceDirectory *directory, int place, uint32_t moves)
{
    KeptFiles found = {0};
    int error;

    close(directory->place);
    directory->place = place;
    directory->placed = moves;
    kept_files_clear(&directory->kept);
    trace_directory_tell_error(directory, "find", directory->config.path, -ENOENT);
    error = trace_directory_scan(place, &found);
    if (error)
        trace_directory_tell_error(directory, "read", directory->config.path, error);
    for (size_t i = 0; i < found.count; i++)
        if (found.items[i].kind == TRACE_FILE_COMPLETE || found.items[i].kind == TRACE_FILE_GZIP)
            trace_directory_keep(directory, &found.items[i]);
    kept_files_clear(&found);
}

static void look(TraceDirectory *directory)
{
    trace_directory_apply_limits(directory);
    directory->next_look = ada_clock_monotonic_ns() + directory->config.look_ns;
}

enum step { STEP_WAIT, STEP_MOVE, STEP_TAKE, STEP_SETTLE, STEP_COMPRESS, STEP_LOOK, STEP_END };

/* With the lock. */
static enum step next_step(TraceDirectory *directory)
{
    enum compressor_state compressing = directory->compressor.state;

    if (compressing == COMPRESSOR_DONE)
        return STEP_SETTLE;
    if (directory->moved_to >= 0) /* before files that are there; what is compressed is in the old one */
        return compressing == COMPRESSOR_IDLE ? STEP_MOVE : STEP_WAIT;
    if (directory->finished.count > 0)
        return STEP_TAKE;
    if (directory->stopping)
        return compressing == COMPRESSOR_IDLE ? STEP_END : STEP_WAIT;
    if (trace_directory_has_timed_limits(directory) && ada_clock_monotonic_ns() >= directory->next_look)
        return STEP_LOOK;
    return compressor_has_work(directory) ? STEP_COMPRESS : STEP_WAIT;
}

/* With the lock, which is given up meanwhile. */
static void wait_for_change(TraceDirectory *directory)
{
    struct timespec until = {.tv_sec = (time_t)(directory->next_look / NS_PER_S),
                             .tv_nsec = (long)(directory->next_look % NS_PER_S)};

    if (directory->stopping || !trace_directory_has_timed_limits(directory))
        pthread_cond_wait(&directory->changed, &directory->lock);
    else
        (void)pthread_cond_timedwait(&directory->changed, &directory->lock, &until);
}

/* With the lock, which is given up meanwhile. */
static void take_all(TraceDirectory *directory)
{
    FileQueue todo = directory->finished;

    directory->finished = (FileQueue){0};
    pthread_mutex_unlock(&directory->lock);
    for (size_t done = 0, count; done < todo.count; done += count) {
        count = todo.count - done < FILES_TOGETHER ? todo.count - done : FILES_TOGETHER;
        take_together(directory, todo.items + done, count);
    }
    free(todo.items);
    pthread_mutex_lock(&directory->lock);
}

/* The same. */
static void move_on(TraceDirectory *directory)
{
    int place = directory->moved_to;
    uint32_t moves = directory->moves;

    directory->moved_to = -1;
    if (!directory->stopping)
        ada_store_relaxed(&directory->compressor.cancelled, 0u);
    pthread_mutex_unlock(&directory->lock);
    move(directory, place, moves);
    pthread_mutex_lock(&directory->lock);
}

static void unlocked(TraceDirectory *directory, void (*run)(TraceDirectory *directory))
{
    pthread_mutex_unlock(&directory->lock);
    run(directory);
    pthread_mutex_lock(&directory->lock);
}

static void *directory_main(void *argument)
{
    TraceDirectory *directory = argument;
    enum step step;

    pthread_mutex_lock(&directory->lock);
    while ((step = next_step(directory)) != STEP_END) {
        switch (step) {
        case STEP_MOVE:
            move_on(directory);
            break;
        case STEP_TAKE:
            take_all(directory);
            break;
        case STEP_SETTLE:
            unlocked(directory, compressor_settle);
            break;
        case STEP_COMPRESS:
            unlocked(directory, compressor_begin);
            break;
        case STEP_LOOK:
            unlocked(directory, look);
            break;
        default:
            wait_for_change(directory);
            break;
        }
    }
    pthread_mutex_unlock(&directory->lock);
    tell_owed(directory, true);
    return NULL;
}

/* ---- the directory itself --------------------------------------------------------------------- */

/* Its name in the directory above survives a crash, too. Best effort: we may not be allowed to open that. */
static void sync_parent(int fd)
{
    int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (parent < 0)
        return;
    (void)fsync(parent);
    close(parent);
}

/* The descriptor of the directory, which is ours alone, or -errno; *made_out says if it was made. */
static int open_place(const TraceDirectoryConfig *config, bool *made_out)
{
    bool made = false;
    int fd = output_place_open(config->path, config->adopt, &made);
    int error = 0;

    if (fd < 0)
        return fd;
    /* File systems without locks are not refused. */
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        error = -EBUSY;
    if (error) {
        close(fd);
        if (made)
            (void)rmdir(config->path);
        return error;
    }
    if (made)
        sync_parent(fd);
    *made_out = made;
    return fd;
}

/* The path leads to the directory that is open. What cannot be found out is taken for a yes. */
static bool is_there(const TraceDirectory *directory)
{
    struct stat ours, found;

    if (fstat(directory->fd, &ours) < 0)
        return true;
    if (lstat(directory->config.path, &found) < 0)
        return errno != ENOENT && errno != ENOTDIR;
    return found.st_ino == ours.st_ino && found.st_dev == ours.st_dev;
}

static int duplicate(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    return copy < 0 ? -errno : copy;
}

/* Goes on in a directory that is made anew, or is there instead. */
static int open_another_place(TraceDirectory *directory)
{
    KeptFiles found = {0};
    int fd = open_place(&directory->config, &directory->made);
    int copy, error;

    if (fd < 0)
        return fd;
    error = trace_directory_scan(fd, &found);
    if (kept_files_highest(&found) > directory->opened)
        directory->opened = kept_files_highest(&found);
    kept_files_clear(&found);
    copy = error ? error : duplicate(fd);
    if (copy < 0) {
        close(fd);
        return copy;
    }
    close(directory->fd);
    directory->fd = fd;
    pthread_mutex_lock(&directory->lock);
    if (directory->moved_to >= 0)
        close(directory->moved_to);
    directory->moved_to = copy;
    directory->moves++;
    ada_store_relaxed(&directory->compressor.cancelled, 1u);
    pthread_cond_signal(&directory->changed);
    pthread_mutex_unlock(&directory->lock);
    return 0;
}

/* ---- files ------------------------------------------------------------------------------------ */

static int open_new(TraceDirectory *directory, uint32_t *number_out)
{
    char name[TRACE_FILE_NAME_SIZE];
    int fd = -EEXIST;

    for (uint32_t i = 0; i < NAMES_TRIED && fd == -EEXIST; i++) {
        if (directory->opened == UINT32_MAX)
            return -EOVERFLOW;
        trace_file_name_format(name, directory->opened + 1, TRACE_FILE_PARTIAL);
        fd = trace_file_open(directory->fd, name, O_RDWR | O_CREAT | O_EXCL);
        if (fd >= 0 || fd == -EEXIST)
            directory->opened++;
    }
    *number_out = directory->opened;
    return fd;
}

int trace_directory_open_next(TraceDirectory *directory)
{
    TraceFile *file = directory->present[0].number == 0 ? &directory->present[0] : &directory->present[1];
    uint32_t number;
    int place, fd;

    if (file->number != 0)
        return -EBUSY;
    if (!is_there(directory)) {
        int error = directory->config.adopt ? open_another_place(directory) : -ENOENT;

        if (error)
            return error;
    }
    place = duplicate(directory->fd);
    if (place < 0)
        return place;
    fd = open_new(directory, &number);
    if (fd < 0) {
        close(place);
        return fd;
    }
    *file = (TraceFile){.number = number, .fd = fd, .place = place, .moves = directory->moves};
    return fd;
}

void trace_directory_finished(TraceDirectory *directory, int fd, bool complete)
{
    TraceFile *present =
        &directory->present[directory->present[0].number != 0 && directory->present[0].fd == fd ? 0 : 1];
    TraceFile file = *present;
    FileQueue *queue = &directory->finished;

    file.complete = complete;
    present->number = 0;
    pthread_mutex_lock(&directory->lock);
    if (array_reserve_one(&queue->items, &queue->capacity, queue->count, sizeof(queue->items[0])) == 0) {
        queue->items[queue->count++] = file;
        pthread_cond_signal(&directory->changed);
    } else {
        close_file(&file); /* without memory for a note it stays partial, as after a crash */
    }
    pthread_mutex_unlock(&directory->lock);
}

/* ---- life ------------------------------------------------------------------------------------- */

static void init_locks(TraceDirectory *directory)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&directory->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&directory->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void free_directory(TraceDirectory *directory)
{
    pthread_cond_destroy(&directory->changed);
    pthread_mutex_destroy(&directory->lock);
    for (size_t i = 0; i < 2; i++)
        if (directory->present[i].number != 0)
            close(directory->present[i].place); /* the file itself is the caller's */
    if (directory->place >= 0)
        close(directory->place);
    if (directory->fd >= 0)
        close(directory->fd);
    kept_files_clear(&directory->kept);
    free((char *)directory->config.path);
    free(directory);
}

/* What is there, and where numbers go on. */
static int take_over(TraceDirectory *directory)
{
    KeptFiles found = {0};
    int error = trace_directory_scan(directory->place, &found);

    if (!error) {
        directory->opened = kept_files_highest(&found);
        trace_directory_adopt(directory, &found);
        trace_directory_apply_limits(directory);
        tell_owed(directory, false);
    }
    kept_files_clear(&found);
    return error;
}

static int start_threads(TraceDirectory *directory)
{
    int error = directory->config.compress ? compressor_start(directory) : 0;

    if (error)
        return error;
    error = thread_start_without_signals(&directory->thread, directory_main, directory);
    if (error && directory->config.compress)
        compressor_end(directory);
    return error;
}

int trace_directory_create(const TraceDirectoryConfig *config, TraceDirectory **directory_out)
{
    TraceDirectory *directory = calloc(1, sizeof(*directory));
    int error = -ENOMEM;

    if (!directory)
        return -ENOMEM;
    directory->fd = directory->place = directory->moved_to = -1;
    directory->config = *config;
    directory->config.path = strdup(config->path);
    if (config->look_ns == 0)
        directory->config.look_ns = TRACE_DIRECTORY_LOOK_NS;
    directory->next_look = ada_clock_monotonic_ns() + directory->config.look_ns;
    init_locks(directory);
    if (!directory->config.path)
        goto fail;
    error = directory->fd = open_place(config, &directory->made);
    if (error < 0)
        goto fail;
    error = directory->place = duplicate(directory->fd);
    if (error >= 0)
        error = take_over(directory);
    directory->first = directory->opened;
    if (error >= 0)
        error = start_threads(directory);
    if (error < 0) {
        if (directory->made)
            (void)rmdir(config->path);
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
    ada_store_relaxed(&directory->compressor.cancelled, 1u);
    pthread_cond_signal(&directory->changed);
    pthread_mutex_unlock(&directory->lock);
    pthread_join(directory->thread, NULL);
    if (directory->config.compress)
        compressor_end(directory);
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
    char name[TRACE_FILE_NAME_SIZE];

    (void)stop(directory);
    for (uint32_t number = directory->first; number < directory->opened; number++) {
        for (enum trace_file_kind kind = 0; kind < TRACE_FILE_KINDS; kind++) {
            trace_file_name_format(name, number + 1, kind);
            (void)trace_file_remove(directory->fd, name);
        }
    }
    if (directory->made)
        (void)rmdir(directory->config.path);
    free_directory(directory);
}
