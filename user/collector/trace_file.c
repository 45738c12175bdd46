/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/trace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PREFIX "trace-"
#define MODE 0640u
#define NS_PER_S 1000000000ull

/* ---- names ------------------------------------------------------------------------------------ */

void trace_file_name_format(char name[TRACE_FILE_NAME_SIZE], uint32_t number, enum trace_file_kind kind)
{
    static const char *const endings[] = {
        [TRACE_FILE_PARTIAL] = ".partial",
        [TRACE_FILE_COMPLETE] = "",
        [TRACE_FILE_GZIP_PARTIAL] = ".gz.partial",
        [TRACE_FILE_GZIP] = ".gz",
    };
    _Static_assert(sizeof(endings) / sizeof(endings[0]) == TRACE_FILE_KINDS, "an ending for each");

    (void)snprintf(name, TRACE_FILE_NAME_SIZE, PREFIX "%06u.adat%s", number, endings[kind]);
}

bool trace_file_name_parse(const char *name, uint32_t *number_out, enum trace_file_kind *kind_out)
{
    char expected[TRACE_FILE_NAME_SIZE];
    const char *digit = name + strlen(PREFIX);
    uint64_t number = 0;

    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
        return false;
    for (; *digit >= '0' && *digit <= '9' && number <= UINT32_MAX; digit++)
        number = number * 10 + (uint64_t)(*digit - '0');
    if (number == 0 || number > UINT32_MAX)
        return false;
    for (enum trace_file_kind kind = 0; kind < TRACE_FILE_KINDS; kind++) {
        trace_file_name_format(expected, (uint32_t)number, kind);
        if (strcmp(name, expected) == 0) {
            *number_out = (uint32_t)number;
            *kind_out = kind;
            return true;
        }
    }
    return false;
}

/* ---- files ------------------------------------------------------------------------------------ */

int trace_file_open(int directory, const char *name, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
        .mode = flags & O_CREAT ? MODE : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
    };
    int fd;

    do
        fd = (int)syscall(SYS_openat2, directory, name, &how, sizeof(how));
    while (fd < 0 && (errno == EINTR || errno == EAGAIN)); /* EAGAIN: something was renamed meanwhile */
    /*
     * Filters that cannot look into its argument take openat2(2) away: RestrictSUIDSGID= of the service's unit is one. A name without a
     * slash leads nowhere else, but to what somebody may have mounted there.
     */
    if (fd < 0 && errno == ENOSYS && !strchr(name, '/'))
        fd = openat(directory, name, (int)how.flags, (mode_t)how.mode);
    return fd < 0 ? -errno : fd;
}

bool trace_file_is_ours(const struct stat *status)
{
    return S_ISREG(status->st_mode) && status->st_nlink == 1 && status->st_uid == geteuid();
}

bool trace_file_is_at(int directory, const char *name, ino_t inode)
{
    struct stat status;

    return fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_ino == inode &&
           S_ISREG(status.st_mode) && status.st_uid == geteuid();
}

int trace_file_remove(int directory, const char *name)
{
    return unlinkat(directory, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int trace_file_rename(int directory, const char *from, const char *to)
{
    return renameat2(directory, from, directory, to, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

int trace_file_rename_synced(int directory, const char *from, const char *to)
{
    int error = trace_file_rename(directory, from, to);

    if (error)
        return error;
    return fsync(directory) < 0 ? -errno : 0;
}

uint64_t trace_file_written_at(const struct stat *status)
{
    if (status->st_mtim.tv_sec < 0)
        return 0;
    return (uint64_t)status->st_mtim.tv_sec * NS_PER_S + (uint64_t)status->st_mtim.tv_nsec;
}

void trace_file_set_written_at(int fd, const struct stat *status)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, status->st_mtim};

    (void)futimens(fd, times);
}
