/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/reader/trace_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/base/parse.h"
#include "user/reader/gunzip.h"
#include "user/reader/reader.h"

/* What of a compressed file is looked at for its SESSION block: command lines may be long. */
#define LOOK_BYTES (UINT64_C(4) << 20)

/* In the order of preference, should a file be there twice. */
static const char *const suffixes[] = {".adat", ".adat.partial", ".adat.gz"};
#define SUFFIXES (sizeof(suffixes) / sizeof(suffixes[0]))

#define COMPARE(a, b) ((a) < (b) ? -1 : (a) > (b))

/* The suffix that a name of a trace ends in, with its length before it; SUFFIXES: it is not called as one. */
static size_t find_suffix(const char *name, size_t *stem_out)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < SUFFIXES; i++) {
        size_t suffix = strlen(suffixes[i]);

        if (length > suffix && strcmp(name + length - suffix, suffixes[i]) == 0) {
            *stem_out = length - suffix;
            return i;
        }
    }
    return SUFFIXES;
}

/* A complete file's note that it is to be compressed, or what there is of the result: it is read as the file itself. */
static bool is_compressing(const char *name)
{
    static const char suffix[] = ".adat.gz.partial";
    size_t length = strlen(name);

    return length >= sizeof(suffix) && strcmp(name + length - (sizeof(suffix) - 1), suffix) == 0;
}

/* ---- one file --------------------------------------------------------------------------------- */

/* A regular file: nothing else is as much as opened, and no link leads elsewhere. */
static int open_in(int directory, const char *name)
{
    struct stat status;
    int fd;

    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -ENOTSUP;
    fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

static void take_session(TraceFile *file, const Block *block)
{
    StringTable strings;
    const char *recording, *number;
    AdatStrings list;

    if (string_table_parse(block->payload, block->header->payload_bytes, &strings) != 0)
        return; /* without memory it passes for a recording of its own; that the next steps say */
    list = (AdatStrings){strings.items, strings.count};
    recording = adat_strings_find(list, "recording");
    number = adat_strings_find(list, "file_number");
    if (recording && strlen(recording) == ADAT_ID_SIZE - 1)
        memcpy(file->recording, recording, ADAT_ID_SIZE);
    if (number && parse_u64(number, 1, UINT64_MAX, &file->number) != 0)
        file->number = 0;
    string_table_free(&strings);
}

static bool is_partial(const char *name)
{
    size_t stem;

    return find_suffix(name, &stem) == 1;
}

/* What the file says of itself at its beginning. 0 or -errno. */
static int look_inside(TraceFile *file, int fd)
{
    AdatFileHeader header;
    struct stat status;
    BlockScan scan;
    Block block;
    int got = file_header_read(fd, &header);

    if (got < 0)
        return got;
    if (fstat(fd, &status) < 0)
        return -errno;
    memcpy(file->uuid, header.uuid, sizeof(file->uuid));
    adat_id_format(file->uuid, file->recording);
    file->created_ns = header.created_realtime_ns;
    if ((uint64_t)status.st_size < header.header_bytes)
        return -ENODATA;
    block_scan_init(&scan, fd, header.header_bytes, (uint64_t)status.st_size);
    got = block_scan_next(&scan, &block);
    if (got > 0 && block.header->type == ADAT_BLOCK_SESSION)
        take_session(file, &block);
    block_scan_fini(&scan);
    if (got == 0 && is_partial(file->name))
        return -ENODATA; /* it is just begun, or its recorder was killed as it began it */
    return got < 0 ? got : 0;
}

static int look_at(TraceFile *file, int fd)
{
    int inside, error;

    file->compressed = gunzip_is_compressed(fd);
    if (!file->compressed)
        return look_inside(file, fd);
    inside = gunzip_prefix(fd, LOOK_BYTES);
    if (inside < 0)
        return inside;
    error = look_inside(file, inside);
    close(inside);
    return error;
}

/* ---- a directory ------------------------------------------------------------------------------ */

static int add_file(TraceFiles *files, const TraceFile *file)
{
    if (array_reserve_one(&files->items, &files->capacity, files->count, sizeof(*file)))
        return -ENOMEM;
    files->items[files->count++] = *file;
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    const TraceFile *x = a, *y = b;

    return strcmp(x->name, y->name);
}

static bool is_directory(int directory, const char *name)
{
    struct stat status;

    return fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

/* Adds the names of traces. `foreign_out`: other files. 0 or -errno. */
static int list_names(TraceFiles *files, size_t *foreign_out)
{
    int fd = openat(files->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0;
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    size_t foreign = 0, stem;

    if (!stream) {
        error = -errno;
        if (fd >= 0)
            close(fd);
        return error;
    }
    while (!error && (errno = 0, entry = readdir(stream))) {
        TraceFile file = {0};

        if (is_directory(files->directory, entry->d_name) || is_compressing(entry->d_name))
            continue;
        if (find_suffix(entry->d_name, &stem) == SUFFIXES) {
            foreign++;
            continue;
        }
        file.name = strdup(entry->d_name);
        error = file.name ? add_file(files, &file) : -ENOMEM;
        if (error)
            free(file.name);
    }
    if (!error)
        error = -errno;
    closedir(stream);
    *foreign_out = foreign;
    return error;
}

static void drop(TraceFiles *files, size_t index)
{
    free(files->items[index].name);
    files->items[index].name = NULL;
}

/* Takes those out that were dropped. */
static void pack(TraceFiles *files)
{
    size_t kept = 0;

    for (size_t i = 0; i < files->count; i++)
        if (files->items[i].name)
            files->items[kept++] = files->items[i];
    files->count = kept;
}

/* A name may be missed that changes while names are read: whoever reads twice has it under one of them. */
static int list_twice(TraceFiles *files)
{
    int error = list_names(files, &files->foreign);

    if (!error)
        error = list_names(files, &files->foreign);
    if (error || files->count == 0)
        return error;
    qsort(files->items, files->count, sizeof(files->items[0]), compare_names);
    for (size_t i = 0; i + 1 < files->count; i++)
        if (strcmp(files->items[i].name, files->items[i + 1].name) == 0)
            drop(files, i);
    pack(files);
    return 0;
}

/* Whether the file that had this name is there under another one, which it has by now. */
static bool has_other_name(const TraceFiles *files, size_t index)
{
    size_t stem, other;

    (void)find_suffix(files->items[index].name, &stem);
    /* Names are sorted, so those with the same stem are beside it. */
    for (size_t i = index > SUFFIXES ? index - SUFFIXES : 0; i < files->count && i <= index + SUFFIXES; i++)
        if (i != index && files->items[i].name && find_suffix(files->items[i].name, &other) != SUFFIXES &&
            other == stem && strncmp(files->items[i].name, files->items[index].name, stem) == 0)
            return true;
    return false;
}

/* -ENOENT: it is gone, or has nothing in it yet, and is not to be counted. */
static int look_at_listed(TraceFiles *files, size_t index)
{
    TraceFile *file = &files->items[index];
    int error, fd = open_in(files->directory, file->name);

    if (fd == -ENOENT) {
        files->vanished += !has_other_name(files, index);
        return fd;
    }
    if (fd < 0)
        return fd;
    error = look_at(file, fd);
    close(fd);
    if (error == -ENODATA && (is_partial(file->name) || has_other_name(files, index))) {
        files->empty++;
        return -ENOENT;
    }
    return error;
}

static int look_at_all(TraceFiles *files)
{
    bool *gone = calloc(files->count + 1, sizeof(*gone));

    if (!gone)
        return -ENOMEM;
    for (size_t i = 0; i < files->count; i++) {
        int error = look_at_listed(files, i);

        if (error == -ENOMEM) {
            free(gone);
            return error;
        }
        gone[i] = error == -ENOENT;
        files->items[i].error = error;
    }
    for (size_t i = 0; i < files->count; i++)
        if (gone[i])
            drop(files, i);
    free(gone);
    pack(files);
    return 0;
}

/* ---- recordings ------------------------------------------------------------------------------- */

/* Within a recording: by number; files that are the same, in the order of preference. */
static int compare_in_recording(const TraceFile *x, const TraceFile *y)
{
    size_t stem;
    int order = COMPARE(x->number, y->number);

    if (!order)
        order = COMPARE(x->created_ns, y->created_ns);
    if (!order)
        order = memcmp(x->uuid, y->uuid, sizeof(x->uuid));
    if (!order)
        order = COMPARE(find_suffix(x->name, &stem), find_suffix(y->name, &stem));
    return order ? order : strcmp(x->name, y->name);
}

static int compare_files(const void *a, const void *b)
{
    const TraceFile *x = a, *y = b;
    int order = COMPARE(x->error != 0, y->error != 0);

    if (!order)
        order = COMPARE(x->begun_ns, y->begun_ns);
    if (!order)
        order = strcmp(x->recording, y->recording);
    return order ? order : compare_in_recording(x, y);
}

static void sort(TraceFiles *files)
{
    if (files->count > 1)
        qsort(files->items, files->count, sizeof(files->items[0]), compare_files);
}

size_t trace_files_end(const TraceFiles *files, size_t first)
{
    size_t end = first + 1;

    while (end < files->readable && strcmp(files->items[end].recording, files->items[first].recording) == 0)
        end++;
    return end;
}

static void count_readable(TraceFiles *files)
{
    for (files->readable = 0; files->readable < files->count; files->readable++)
        if (files->items[files->readable].error)
            break;
}

static void leave_copies_out(TraceFiles *files)
{
    size_t before = files->count;

    for (size_t i = files->readable; i-- > 1;)
        if (memcmp(files->items[i].uuid, files->items[i - 1].uuid, sizeof(files->items[i].uuid)) == 0)
            drop(files, i);
    pack(files);
    files->copies = before - files->count;
}

static void arrange(TraceFiles *files)
{
    sort(files); /* by recording, as none has begun yet */
    count_readable(files);
    leave_copies_out(files);
    count_readable(files);
    for (size_t i = 0, end; i < files->readable; i = end) {
        uint64_t begun = UINT64_MAX;

        end = trace_files_end(files, i);
        for (size_t k = i; k < end; k++)
            if (files->items[k].created_ns < begun)
                begun = files->items[k].created_ns;
        for (size_t k = i; k < end; k++)
            files->items[k].begun_ns = begun;
    }
    sort(files);
}

/* ---- opening ---------------------------------------------------------------------------------- */

static int open_directory(TraceFiles *files)
{
    int error = list_twice(files);

    if (!error)
        error = look_at_all(files);
    if (error)
        return error;
    arrange(files);
    return files->count > 0 ? 0 : -EISDIR;
}

static int open_single(TraceFiles *files, const char *path)
{
    TraceFile file = {.name = strdup(path)};
    int error = file.name ? add_file(files, &file) : -ENOMEM;

    if (error) {
        free(file.name);
        return error;
    }
    files->readable = 1;
    return look_at(&files->items[0], files->single);
}

int trace_files_open(const char *path, TraceFiles *files_out)
{
    TraceFiles files = {.directory = -1, .single = -1};
    struct stat status;
    int error, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not stop us: it is refused */

    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0) {
        error = -errno;
        close(fd);
        return error;
    }
    if (S_ISDIR(status.st_mode)) {
        files.directory = fd;
        error = open_directory(&files);
    } else {
        files.single = fd;
        error = S_ISREG(status.st_mode) ? open_single(&files, path) : -ENOTSUP;
    }
    if (error)
        trace_files_close(&files);
    else
        *files_out = files;
    return error;
}

void trace_files_close(TraceFiles *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->items[i].name);
    free(files->items);
    if (files->directory >= 0)
        close(files->directory);
    if (files->single >= 0)
        close(files->single);
    *files = (TraceFiles){.directory = -1, .single = -1};
}

/* What a descriptor holds, if it is this file; takes it over. */
static int open_contents(const TraceFile *file, int fd)
{
    AdatFileHeader header;
    int error;

    if (gunzip_is_compressed(fd)) {
        int inside = gunzip_all(fd);

        close(fd);
        if (inside < 0)
            return inside;
        fd = inside;
    }
    error = file_header_read(fd, &header);
    if (!error && memcmp(header.uuid, file->uuid, sizeof(header.uuid)) != 0)
        error = -ENOENT; /* another one has its name */
    if (error)
        close(fd);
    return error ? error : fd;
}

static int open_by_suffix(const TraceFiles *files, const TraceFile *file, size_t suffix)
{
    char name[NAME_MAX + 1];
    size_t stem;
    int fd;

    if (find_suffix(file->name, &stem) == SUFFIXES ||
        snprintf(name, sizeof(name), "%.*s%s", (int)stem, file->name, suffixes[suffix]) >= (int)sizeof(name))
        return -ENOENT;
    fd = open_in(files->directory, name);
    return fd < 0 ? fd : open_contents(file, fd);
}

int trace_files_open_file(const TraceFiles *files, size_t index)
{
    const TraceFile *file = &files->items[index];
    int fd;

    if (files->single >= 0) {
        fd = fcntl(files->single, F_DUPFD_CLOEXEC, 0);
        return fd < 0 ? -errno : open_contents(file, fd);
    }
    fd = open_in(files->directory, file->name);
    if (fd >= 0)
        fd = open_contents(file, fd);
    for (size_t i = 0; fd == -ENOENT && i < SUFFIXES; i++)
        fd = open_by_suffix(files, file, i);
    return fd;
}
