/* SPDX-License-Identifier: MIT */
/* What earlier runs left in the directory, however they ended. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "user/collector/trace_directory_internal.h"
#include "user/file/adat_recover.h"
#include "user/lane/test_point.h"

/* ---- what is there ---------------------------------------------------------------------------- */

static int note_file(int place, const char *name, KeptFiles *files)
{
    enum trace_file_kind kind;
    struct stat status;
    uint32_t number;
    KeptFile file;

    if (!trace_file_name_parse(name, &number, &kind) ||
        fstatat(place, name, &status, AT_SYMLINK_NOFOLLOW) < 0 || !trace_file_is_ours(&status))
        return 0;
    file = kept_file_of(number, kind, &status);
    return kept_files_add(files, &file);
}

int trace_directory_scan(int place, KeptFiles *files_out)
{
    int fd = openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* a position of its own */
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    int error = 0;

    if (!stream) {
        error = -errno;
        if (fd >= 0)
            close(fd);
        return error;
    }
    while (!error && (errno = 0, entry = readdir(stream)))
        error = note_file(place, entry->d_name, files_out);
    if (!error)
        error = -errno; /* of readdir() */
    (void)closedir(stream);
    return error;
}

/* ---- a file that was being written ------------------------------------------------------------ */

static int remove_leftover(TraceDirectory *directory, uint32_t number, enum trace_file_kind kind)
{
    char name[TRACE_FILE_NAME_SIZE];
    int error;

    trace_file_name_format(name, number, kind);
    error = trace_file_remove(directory->place, name);
    if (error)
        trace_directory_tell_error(directory, "remove", name, error);
    return error;
}

/* Cut off behind what is valid and on the disk; its time stays that of its last event, by which it ages. */
static int cut_off(int fd, const struct stat *status, uint64_t valid_bytes)
{
    if (ftruncate(fd, (off_t)valid_bytes) < 0)
        return -errno;
    trace_file_set_written_at(fd, status);
    ADA_TEST_POINT("adopt.cut");
    return fsync(fd) < 0 ? -errno : 0;
}

/* 0: all the valid bytes, of which there are *valid_bytes_out, are a complete file now; or it is removed: 0 bytes. */
static int recover(TraceDirectory *directory, const KeptFile *file, int fd, uint64_t *valid_bytes_out)
{
    const TraceDirectoryCalls *calls = &directory->config.calls;
    char from[TRACE_FILE_NAME_SIZE], to[TRACE_FILE_NAME_SIZE];
    uint64_t valid_bytes = 0;
    struct stat status;
    int error;

    if (fstat(fd, &status) < 0)
        return -errno;
    if (!trace_file_is_ours(&status) || status.st_ino != file->inode)
        return -EPERM; /* put there meanwhile */
    error = calls->on_partial(calls->context, fd, &valid_bytes);
    if (error)
        return error;
    if (valid_bytes > (uint64_t)status.st_size)
        return -EINVAL;
    *valid_bytes_out = valid_bytes;
    trace_file_name_format(from, file->number, TRACE_FILE_PARTIAL);
    trace_file_name_format(to, file->number, TRACE_FILE_COMPLETE);
    if (valid_bytes < sizeof(AdatFileHeader)) {
        *valid_bytes_out = 0;
        return trace_file_remove(directory->place, from);
    }
    error = cut_off(fd, &status, valid_bytes);
    if (error)
        return error;
    error = trace_file_rename_synced(directory->place, from, to);
    ADA_TEST_POINT("adopt.renamed");
    return error;
}

static void adopt_partial(TraceDirectory *directory, const KeptFile *file)
{
    char name[TRACE_FILE_NAME_SIZE];
    KeptFile complete = *file;
    int fd, error;

    if (!directory->config.calls.on_partial) {
        trace_directory_keep(directory, file);
        return;
    }
    trace_file_name_format(name, file->number, TRACE_FILE_PARTIAL);
    fd = trace_file_open(directory->place, name, O_RDWR);
    error = fd < 0 ? fd : recover(directory, file, fd, &complete.bytes);
    if (fd >= 0)
        close(fd);
    if (error) {
        trace_directory_tell_error(directory, "recover", name, error);
        trace_directory_keep(directory, file);
    } else if (complete.bytes > 0) {
        complete.kind = TRACE_FILE_COMPLETE;
        complete.owed =
            true; /* at once: it is never compressed, as the next run may have to look into it once more */
        trace_directory_tell_complete(directory, &complete);
        trace_directory_keep(directory, &complete);
    }
}

/* ---- files that were recovered before ----------------------------------------------------------- */

/* Whether the file was completed by whoever wrote it. What cannot be read is no witness of anything, and ends the look as well. */
static bool is_closed(const TraceDirectory *directory, const KeptFile *file)
{
    char name[TRACE_FILE_NAME_SIZE];
    bool closed = true;
    int fd;

    trace_file_name_format(name, file->number, file->kind);
    fd = trace_file_open(directory->place, name, O_RDONLY);
    if (fd >= 0) {
        closed = adat_file_is_closed(fd);
        close(fd);
    }
    return closed;
}

static void scan_once_more(const TraceDirectory *directory, const KeptFile *file)
{
    const TraceDirectoryCalls *calls = &directory->config.calls;
    char name[TRACE_FILE_NAME_SIZE];
    uint64_t valid_bytes;
    int fd;

    trace_file_name_format(name, file->number, file->kind);
    fd = trace_file_open(directory->place, name, O_RDWR);
    if (fd < 0)
        return;
    (void)calls->on_partial(calls->context, fd, &valid_bytes); /* it was told already if it is damaged */
    close(fd);
}

/*
 * A run that was killed before it could take note of what it had recovered leaves a complete file without an end: the
 * one after it needs to know the same. So do those behind the last file that has one: the index of the first that may be such.
 */
static size_t find_recovered(const TraceDirectory *directory, const KeptFiles *files)
{
    size_t first = directory->config.calls.on_partial ? files->count : 0;

    while (first > 0) {
        const KeptFile *file = &files->items[first - 1];

        if (file->kind == TRACE_FILE_GZIP || (file->kind == TRACE_FILE_COMPLETE && is_closed(directory, file)))
            break;
        first--;
    }
    return directory->config.calls.on_partial ? first : files->count;
}

/* ---- all of one number ------------------------------------------------------------------------ */

/* See trace_directory.h: what was there at the moment of the kill. */
static void adopt_number(TraceDirectory *directory, const KeptFile *const of_kind[TRACE_FILE_KINDS])
{
    const KeptFile *complete = of_kind[TRACE_FILE_COMPLETE];
    const KeptFile *gzip = of_kind[TRACE_FILE_GZIP];
    const KeptFile *note = of_kind[TRACE_FILE_GZIP_PARTIAL];
    const KeptFile *partial = of_kind[TRACE_FILE_PARTIAL];
    bool owed = note || (gzip && complete);

    /* One that is still to be compressed keeps its note until it is. */
    if (note && (gzip || !complete || !directory->config.compress))
        (void)remove_leftover(directory, note->number, TRACE_FILE_GZIP_PARTIAL);
    if (gzip && complete && remove_leftover(directory, complete->number, TRACE_FILE_COMPLETE) != 0)
        trace_directory_keep(directory, complete);
    if (gzip || complete) {
        KeptFile file = gzip ? *gzip : *complete;

        file.owed = owed;
        trace_directory_keep(directory, &file);
    }
    if (partial && (gzip || complete))
        trace_directory_keep(directory, partial); /* its name was taken: both stay */
    else if (partial)
        adopt_partial(directory, partial);
}

void trace_directory_adopt(TraceDirectory *directory, const KeptFiles *files)
{
    size_t recovered = find_recovered(directory, files);

    for (size_t i = 0; i < files->count;) {
        const KeptFile *of_kind[TRACE_FILE_KINDS] = {NULL};
        uint32_t number = files->items[i].number;

        for (; i < files->count && files->items[i].number == number; i++) {
            of_kind[files->items[i].kind] = &files->items[i];
            if (i >= recovered && files->items[i].kind == TRACE_FILE_COMPLETE)
                scan_once_more(directory, &files->items[i]);
        }
        adopt_number(directory, of_kind);
    }
    if (fsync(directory->place) < 0)
        trace_directory_tell_error(directory, "recover", directory->config.path, -errno);
}
