/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/cli/export_target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/cli/cli.h"

static volatile sig_atomic_t caught;

static void note_signal(int number)
{
    caught = number;
}

int export_target_signal(void)
{
    return caught;
}

static void catch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = note_signal}, before;

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* nohup(1) */
            (void)sigaction(signals[i], &action, NULL);
}

static int report_error(const char *path, int err)
{
    if (err == -EEXIST)
        cli_error("export",
                  "cannot create '%s': it exists already; remove it, choose another name with -o, or --force",
                  path);
    else
        cli_error("export", "cannot create '%s': %s; choose another place with -o", path, strerror(-err));
    return CLI_FAILURE;
}

/* ---- a directory ------------------------------------------------------------------------------ */

static bool is_stream_name(const char *name)
{
    return strncmp(name, "stream_", 7) == 0 && name[7] != '\0' &&
           strspn(name + 7, "0123456789") == strlen(name + 7);
}

/* Calls visit() for each file of a CTF trace; a name that is none of its, or no regular file, ends that with -ENOTEMPTY. 0 or -errno. */
static int for_each_file(int directory, int (*visit)(int directory, const char *name, void *context),
                         void *context)
{
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
    DIR *files = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    if (!files) {
        err = -errno;
        if (fd >= 0)
            close(fd);
        return err;
    }
    while (!err && (entry = readdir(files))) {
        struct stat status;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if ((strcmp(entry->d_name, "metadata") != 0 && !is_stream_name(entry->d_name)) ||
            fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) || !S_ISREG(status.st_mode))
            err = -ENOTEMPTY;
        else
            err = visit(directory, entry->d_name, context);
    }
    closedir(files);
    return err;
}

static int visit_nothing(int directory, const char *name, void *context)
{
    (void)directory;
    (void)name;
    (void)context;
    return 0;
}

static int visit_remove(int directory, const char *name, void *context)
{
    (void)context;
    return unlinkat(directory, name, 0) ? -errno : 0;
}

static int visit_size(int directory, const char *name, void *context)
{
    struct stat status;

    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
        *(uint64_t *)context += (uint64_t)status.st_size;
    return 0;
}

/* Data and names of a finished trace, to the disk. */
static int visit_sync(int directory, const char *name, void *context)
{
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), err;

    (void)context;
    if (fd < 0)
        return -errno;
    err = fsync(fd) ? -errno : 0;
    close(fd);
    return err;
}

/* A directory that holds a CTF trace and nothing else. -ENOENT; -ENOTEMPTY: it is something else, and stays. */
static int remove_trace(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), err;

    if (fd < 0)
        return errno == ENOTDIR || errno == ELOOP ? -ENOTEMPTY : -errno;
    err = for_each_file(fd, visit_nothing, NULL);
    if (!err)
        err = for_each_file(fd, visit_remove, NULL);
    close(fd);
    if (!err && rmdir(path))
        err = -errno;
    return err;
}

static int open_directory(ExportTarget *target)
{
    struct stat status;
    int err = target->force ? remove_trace(target->partial) : 0;

    if (err && err != -ENOENT)
        return err;
    if (!target->force && lstat(target->path, &status) == 0)
        return -EEXIST;
    if (mkdir(target->partial, 0750))
        return -errno;
    target->directory = open(target->partial, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (target->directory < 0) {
        err = -errno;
        (void)rmdir(target->partial);
        return err;
    }
    return 0;
}

/* ---- a file ----------------------------------------------------------------------------------- */

/* What is there already is no file: a device, a pipe. */
static bool is_special(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

static int open_stream(ExportTarget *target, const char *path, int flags)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0640);

    if (fd < 0)
        return -errno;
    target->stream = fdopen(fd, "w");
    if (!target->stream) {
        close(fd);
        return -ENOMEM;
    }
    return 0;
}

static int open_file(ExportTarget *target)
{
    struct stat status;

    if (!target->force && lstat(target->path, &status) == 0)
        return -EEXIST;
    if (target->force && unlink(target->partial) && errno != ENOENT)
        return -errno;
    return open_stream(target, target->partial, O_CREAT | O_EXCL | O_NOFOLLOW);
}

/* ---- open, commit, drop ----------------------------------------------------------------------- */

/* The name that could not be created: that of the whole, or of the part. */
static const char *blamed_path(const ExportTarget *target)
{
    struct stat status;

    return target->partial && (target->force || lstat(target->path, &status) != 0) ? target->partial
                                                                                   : target->path;
}

int export_target_open(ExportTarget *target, const char *path, bool directory, bool force)
{
    int err;

    *target = (ExportTarget){.path = path, .directory = -1, .force = force};
    catch_signals();
    if (!path) {
        target->stream = stdout;
        return CLI_OK;
    }
    if (!directory && is_special(path)) {
        err = open_stream(target, path, 0);
    } else if (asprintf(&target->partial, "%s.partial", path) < 0) {
        target->partial = NULL;
        err = -ENOMEM;
    } else {
        err = directory ? open_directory(target) : open_file(target);
    }
    if (!err)
        return CLI_OK;
    (void)report_error(blamed_path(target), err);
    free(target->partial);
    target->partial = NULL;
    return CLI_FAILURE;
}

static int close_stream(ExportTarget *target)
{
    int err = 0;

    if (target->stream && target->path) {
        if (fflush(target->stream) != 0 || (target->partial && fsync(fileno(target->stream)) != 0))
            err = -errno;
        if (fclose(target->stream) != 0 && !err)
            err = -errno;
        target->stream = NULL;
    }
    return err;
}

/* Gives it its name. */
static int rename_partial(const ExportTarget *target)
{
    struct stat status;
    int err;

    if (target->force && target->directory >= 0) {
        err = remove_trace(target->path);
        if (err && err != -ENOENT)
            return err;
    } else if (target->force && lstat(target->path, &status) == 0 && S_ISDIR(status.st_mode)) {
        return -EISDIR;
    }
    if (renameat2(AT_FDCWD, target->partial, AT_FDCWD, target->path, target->force ? 0 : RENAME_NOREPLACE) == 0)
        return 0;
    err = -errno;
    /* a file system that cannot: it was free when we began */
    return err == -EINVAL && rename(target->partial, target->path) == 0 ? 0 : err;
}

int export_target_commit(ExportTarget *target)
{
    int err = close_stream(target);

    if (!err && target->directory >= 0)
        err = for_each_file(target->directory, visit_sync, NULL);
    if (!err && target->partial)
        err = rename_partial(target);
    if (err) {
        cli_error("export", "cannot write '%s': %s; nothing is left of it", target->path, strerror(-err));
        export_target_drop(target);
        return CLI_FAILURE;
    }
    free(target->partial);
    target->partial = NULL;
    return CLI_OK;
}

void export_target_drop(ExportTarget *target)
{
    (void)close_stream(target);
    if (target->directory >= 0) {
        close(target->directory);
        target->directory = -1;
        (void)remove_trace(target->partial);
    } else if (target->partial) {
        (void)unlink(target->partial);
    }
    free(target->partial);
    target->partial = NULL;
}

uint64_t export_target_bytes(const ExportTarget *target)
{
    uint64_t bytes = 0;

    if (target->directory >= 0)
        (void)for_each_file(target->directory, visit_size, &bytes);
    return bytes;
}
