/* SPDX-License-Identifier: MIT */
/* Which files are there, and which have to go. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "user/base/array.h"
#include "user/collector/trace_directory_internal.h"
#include "user/lane/test_point.h"

#define NS_PER_S 1000000000ull
#define STAT_BLOCK 512u /* unit of st_blocks */

/* ---- the list --------------------------------------------------------------------------------- */

KeptFile kept_file_of(uint32_t number, enum trace_file_kind kind, const struct stat *status)
{
    return (KeptFile){
        .number = number,
        .kind = kind,
        .inode = status->st_ino,
        .bytes = (uint64_t)status->st_size,
        .disk_bytes = (uint64_t)status->st_blocks * STAT_BLOCK,
        .written_at = trace_file_written_at(status),
    };
}

int kept_files_add(KeptFiles *files, const KeptFile *file)
{
    size_t at = files->count;

    if (array_reserve_one(&files->items, &files->capacity, files->count, sizeof(files->items[0])) != 0)
        return -ENOMEM;
    while (at > 0 && files->items[at - 1].number > file->number) /* mostly none */
        at--;
    memmove(files->items + at + 1, files->items + at, (files->count - at) * sizeof(files->items[0]));
    files->items[at] = *file;
    files->count++;
    files->bytes += file->bytes;
    return 0;
}

KeptFile *kept_files_find(KeptFiles *files, uint32_t number, enum trace_file_kind kind)
{
    for (size_t i = 0; i < files->count; i++)
        if (files->items[i].number == number && files->items[i].kind == kind)
            return &files->items[i];
    return NULL;
}

void kept_files_update(KeptFiles *files, KeptFile *file, const KeptFile *update)
{
    files->bytes += update->bytes - file->bytes;
    *file = *update;
}

static void forget(KeptFiles *files, size_t index)
{
    files->bytes -= files->items[index].bytes;
    files->count--;
    memmove(files->items + index, files->items + index + 1, (files->count - index) * sizeof(files->items[0]));
}

void kept_files_clear(KeptFiles *files)
{
    free(files->items);
    *files = (KeptFiles){0};
}

uint32_t kept_files_highest(const KeptFiles *files)
{
    return files->count > 0 ? files->items[files->count - 1].number : 0;
}

void trace_directory_keep(TraceDirectory *directory, const KeptFile *file)
{
    char name[TRACE_FILE_NAME_SIZE];

    if (kept_files_add(&directory->kept, file) == 0)
        return;
    trace_file_name_format(name, file->number, file->kind);
    trace_directory_tell_error(directory, "count", name, -ENOMEM);
}

/* ---- limits ----------------------------------------------------------------------------------- */

/* The file that stays in any case: the youngest complete one, or the youngest. */
static size_t spared(const KeptFiles *files)
{
    for (size_t i = files->count; i > 0; i--)
        if (files->items[i - 1].kind != TRACE_FILE_PARTIAL)
            return i - 1;
    return files->count - 1;
}

/* Removes and forgets a file. If that fails it is told, once: it is not tried for ever. */
static void remove_file(TraceDirectory *directory, size_t index)
{
    const KeptFile *file = &directory->kept.items[index];
    char name[TRACE_FILE_NAME_SIZE], note[TRACE_FILE_NAME_SIZE];
    int error = 0;

    trace_file_name_format(name, file->number, file->kind);
    trace_file_name_format(note, file->number, TRACE_FILE_GZIP_PARTIAL);
    if (trace_file_is_at(directory->place, name, file->inode)) /* somebody else may have made room */
        error = trace_file_remove(directory->place, name);
    ADA_TEST_POINT("limits.removed");
    if (file->owed && directory->config.compress)
        (void)trace_file_remove(directory->place, note);
    forget(&directory->kept, index);
    if (error)
        trace_directory_tell_error(directory, "remove", name, error);
}

static void apply_age(TraceDirectory *directory)
{
    KeptFiles *files = &directory->kept;
    struct timespec time;
    uint64_t now;

    (void)clock_gettime(CLOCK_REALTIME, &time); /* as times of files are */
    now = (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
    for (size_t i = 0; i < files->count;) {
        const KeptFile *file = &files->items[i];

        if (i != spared(files) && now > file->written_at && now - file->written_at > directory->config.keep_ns)
            remove_file(directory, i);
        else
            i++;
    }
}

/* The oldest goes. False: there is none that may. */
static bool remove_oldest(TraceDirectory *directory, uint64_t *disk_bytes_out)
{
    const KeptFiles *files = &directory->kept;
    size_t oldest = files->count > 0 && spared(files) == 0 ? 1 : 0;

    if (oldest >= files->count)
        return false;
    *disk_bytes_out = files->items[oldest].disk_bytes;
    remove_file(directory, oldest);
    return true;
}

static void apply_total(TraceDirectory *directory)
{
    uint64_t freed;

    while (directory->kept.bytes > directory->config.keep_bytes && remove_oldest(directory, &freed))
        ;
}

/* How much less is free than should be. 0 if the file system does not say. */
static uint64_t missing_space(const TraceDirectory *directory)
{
    struct statvfs status;
    uint64_t free_bytes;

    if (fstatvfs(directory->place, &status) < 0)
        return 0;
    free_bytes = (uint64_t)status.f_bavail * status.f_frsize;
    return free_bytes < directory->config.min_free_bytes ? directory->config.min_free_bytes - free_bytes : 0;
}

/*
 * Counts what it removes and does not ask again in between: space can come back late, since somebody has the file open, or because
 * the file system takes its time; then all files would go for nothing.
 */
static void apply_free_space(TraceDirectory *directory)
{
    uint64_t missing = missing_space(directory);
    uint64_t removed = 0, freed;

    while (removed < missing && remove_oldest(directory, &freed))
        removed += freed;
    if (removed < missing && !directory->space_told)
        trace_directory_tell_error(directory, "keep enough space free beside", directory->config.path, -ENOSPC);
    directory->space_told = removed < missing;
}

void trace_directory_apply_limits(TraceDirectory *directory)
{
    if (directory->config.keep_ns > 0)
        apply_age(directory);
    if (directory->config.keep_bytes > 0)
        apply_total(directory);
    if (directory->config.min_free_bytes > 0)
        apply_free_space(directory);
}

bool trace_directory_has_timed_limits(const TraceDirectory *directory)
{
    return directory->config.keep_ns > 0 || directory->config.min_free_bytes > 0;
}
