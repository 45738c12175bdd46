/* SPDX-License-Identifier: MIT */
/*
 * Complete files are compressed one after the other. The directory's thread opens, renames and removes; the compressor's reads and writes,
 * which takes seconds. Steps, each of which may be the last one: trace_directory.h says what is there then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "user/base/thread.h"
#include "user/collector/trace_directory_internal.h"
#include "user/collector/trace_file_compress.h"
#include "user/lane/atomic.h"
#include "user/lane/test_point.h"

#define NICEST 19
#define IOPRIO_WHO_THREAD 1
#define IOPRIO_IDLE (3 << 13) /* linux/ioprio.h: class 3, only when nobody else wants the disk */

/* ---- the thread ------------------------------------------------------------------------------- */

static void yield_to_all_others(void)
{
    pid_t thread = gettid();

    (void)setpriority(PRIO_PROCESS, (id_t)thread, NICEST);
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_THREAD, thread, IOPRIO_IDLE);
}

static void *compressor_main(void *argument)
{
    TraceDirectory *directory = argument;
    Compressor *compressor = &directory->compressor;

    yield_to_all_others();
    pthread_mutex_lock(&directory->lock);
    for (;;) {
        if (compressor->state == COMPRESSOR_READY) {
            pthread_mutex_unlock(&directory->lock);
            compressor->result = trace_file_compress(compressor->in, compressor->out, &compressor->cancelled);
            ADA_TEST_POINT("compress.synced");
            pthread_mutex_lock(&directory->lock);
            compressor->state = COMPRESSOR_DONE;
            pthread_cond_signal(&directory->changed);
        } else if (compressor->ending) {
            break;
        } else {
            pthread_cond_wait(&compressor->ready, &directory->lock);
        }
    }
    pthread_mutex_unlock(&directory->lock);
    return NULL;
}

int compressor_start(TraceDirectory *directory)
{
    Compressor *compressor = &directory->compressor;
    int error;

    pthread_cond_init(&compressor->ready, NULL);
    error = thread_start_without_signals(&compressor->thread, compressor_main, directory);
    if (error)
        pthread_cond_destroy(&compressor->ready);
    return error;
}

void compressor_end(TraceDirectory *directory)
{
    Compressor *compressor = &directory->compressor;

    pthread_mutex_lock(&directory->lock);
    compressor->ending = true;
    pthread_cond_signal(&compressor->ready);
    pthread_mutex_unlock(&directory->lock);
    pthread_join(compressor->thread, NULL);
    pthread_cond_destroy(&compressor->ready);
}

/* ---- the directory's side --------------------------------------------------------------------- */

/* The file that the result goes into; it may be there already, as a note. */
static int open_result(int place, uint32_t number)
{
    char name[TRACE_FILE_NAME_SIZE];
    struct stat status;
    int fd, error = 0;

    trace_file_name_format(name, number, TRACE_FILE_GZIP_PARTIAL);
    fd = trace_file_open(place, name, O_WRONLY | O_CREAT);
    if (fd < 0)
        return fd;
    if (fstat(fd, &status) < 0 || (trace_file_is_ours(&status) && ftruncate(fd, 0) < 0))
        error = -errno;
    else if (!trace_file_is_ours(&status))
        error = -EPERM;
    if (!error)
        return fd;
    close(fd);
    return error;
}

void compressor_note(int place, uint32_t number)
{
    int fd = open_result(place, number);

    if (fd >= 0)
        close(fd);
    ADA_TEST_POINT("compress.noted");
}

static KeptFile *oldest_owed(const TraceDirectory *directory)
{
    const KeptFiles *files = &directory->kept;

    for (size_t i = 0; i < files->count; i++)
        if (files->items[i].owed && files->items[i].kind == TRACE_FILE_COMPLETE)
            return &files->items[i];
    return NULL;
}

bool compressor_has_work(const TraceDirectory *directory)
{
    return directory->config.compress && directory->compressor.state == COMPRESSOR_IDLE &&
           oldest_owed(directory) != NULL;
}

/* It stays as it is. */
static void give_up(TraceDirectory *directory, KeptFile *file, int error)
{
    char name[TRACE_FILE_NAME_SIZE];

    trace_file_name_format(name, file->number, TRACE_FILE_COMPLETE);
    trace_directory_tell_error(directory, "compress", name, error);
    trace_directory_tell_complete(directory, file);
}

void compressor_begin(TraceDirectory *directory)
{
    Compressor *job = &directory->compressor;
    KeptFile *file = oldest_owed(directory);
    char name[TRACE_FILE_NAME_SIZE];
    struct stat status;

    trace_file_name_format(name, file->number, TRACE_FILE_COMPLETE);
    job->number = file->number;
    job->in = trace_file_open(directory->place, name, O_RDONLY);
    if (job->in < 0) {
        give_up(directory, file, job->in);
        return;
    }
    if (fstat(job->in, &status) < 0 || status.st_ino != file->inode)
        job->out = -ENOENT; /* another file has its name */
    else
        job->out = open_result(directory->place, file->number);
    if (job->out < 0) {
        close(job->in);
        give_up(directory, file, job->out);
        return;
    }
    pthread_mutex_lock(&directory->lock);
    job->state = COMPRESSOR_READY;
    pthread_cond_signal(&job->ready);
    pthread_mutex_unlock(&directory->lock);
}

/* The result gets its name, then the original goes. On failure the original is untouched. */
static int replace(TraceDirectory *directory, KeptFile *file)
{
    char from[TRACE_FILE_NAME_SIZE], to[TRACE_FILE_NAME_SIZE], original[TRACE_FILE_NAME_SIZE];
    KeptFile result;
    struct stat status;
    int error;

    trace_file_name_format(from, file->number, TRACE_FILE_GZIP_PARTIAL);
    trace_file_name_format(to, file->number, TRACE_FILE_GZIP);
    trace_file_name_format(original, file->number, TRACE_FILE_COMPLETE);
    if (fstat(directory->compressor.out, &status) < 0)
        return -errno;
    if (!trace_file_is_at(directory->place, from, status.st_ino))
        return -ENOENT;
    error = trace_file_rename_synced(directory->place, from, to);
    if (error)
        return error;
    ADA_TEST_POINT("compress.renamed");
    if (trace_file_is_at(directory->place, original, file->inode))
        error = trace_file_remove(directory->place, original);
    ADA_TEST_POINT("compress.removed");
    if (error)
        trace_directory_tell_error(directory, "remove", original, error);
    result = kept_file_of(file->number, TRACE_FILE_GZIP, &status);
    result.owed = file->owed;
    kept_files_update(&directory->kept, file, &result);
    return 0;
}

void compressor_settle(TraceDirectory *directory)
{
    Compressor *job = &directory->compressor;
    KeptFile *file = kept_files_find(&directory->kept, job->number, TRACE_FILE_COMPLETE);
    int error = job->result;

    close(job->in);
    if (file && !error)
        error = replace(directory, file);
    close(job->out);
    if (!file) {
        char name[TRACE_FILE_NAME_SIZE]; /* removed meanwhile: it was the oldest */

        trace_file_name_format(name, job->number, TRACE_FILE_GZIP_PARTIAL);
        (void)trace_file_remove(directory->place, name);
    } else if (!error) {
        trace_directory_tell_complete(directory, file);
    } else if (error != -ECANCELED) { /* then it is still owed */
        give_up(directory, file, error);
    }
    pthread_mutex_lock(&directory->lock);
    job->state = COMPRESSOR_IDLE;
    pthread_mutex_unlock(&directory->lock);
}
