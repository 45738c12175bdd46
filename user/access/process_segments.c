/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/access/process_segments.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "shared/segment_abi.h"
#include "user/access/opener.h"
#include "user/access/opener_client.h"
#include "user/access/opener_here.h"

#define SEGMENT_LINK \
    "/memfd:" ADA_SEGMENT_NAME /* what a descriptor or a mapping of it is called; " (deleted)" follows */

static bool is_right_error(int error)
{
    return error == -EACCES || error == -EPERM;
}

static bool is_segment_name(const char *name)
{
    size_t length = sizeof(SEGMENT_LINK) - 1;

    return strncmp(name, SEGMENT_LINK, length) == 0 &&
           (name[length] == '\0' || name[length] == ' ' || name[length] == '\n');
}

/* Whether a link of /proc/PID/fd leads to what is called a segment. */
static bool is_segment_link(int directory, const char *number)
{
    char name[sizeof(SEGMENT_LINK) + 16];
    ssize_t length = readlinkat(directory, number, name, sizeof(name) - 1);

    if (length < 0)
        return false;
    name[length] = '\0';
    return is_segment_name(name);
}

static void note_refusal(SegmentPlaces *places, int error)
{
    if (is_right_error(error))
        places->refused = error;
}

static void add_place(SegmentPlaces *places, const SegmentPlace *place)
{
    for (uint32_t i = 0; i < places->count; i++) {
        const SegmentPlace *known = &places->items[i];

        if (known->device == place->device && known->inode == place->inode &&
            (known->number < 0) == (place->number < 0))
            return;
    }
    if (places->count < SEGMENT_PLACES_MAX)
        places->items[places->count++] = *place;
}

/* ---- descriptors -------------------------------------------------------------------------------- */

static void look_at_descriptor(SegmentPlaces *places, int directory, const char *number, uint32_t task)
{
    SegmentPlace place = {.task = task};
    struct stat status;

    if (!is_segment_link(directory, number) || fstatat(directory, number, &status, 0) < 0 ||
        !S_ISREG(status.st_mode))
        return;
    place.number = (int32_t)strtol(number, NULL, 10);
    place.device = status.st_dev;
    place.inode = status.st_ino;
    add_place(places, &place);
}

/* "/proc/PID" or, of one thread, "/proc/PID/task/TID". */
static void format_root(pid_t pid, uint32_t task, char *path, size_t size)
{
    if (task)
        (void)snprintf(path, size, "/proc/%d/task/%u", (int)pid, task);
    else
        (void)snprintf(path, size, "/proc/%d", (int)pid);
}

static void search_descriptors(SegmentPlaces *places, pid_t pid, uint32_t task)
{
    char root[48], path[64];
    struct dirent *entry;
    DIR *directory;

    format_root(pid, task, root, sizeof(root));
    (void)snprintf(path, sizeof(path), "%s/fd", root);
    directory = opendir(path);
    if (!directory) {
        note_refusal(places, -errno);
        return;
    }
    while ((entry = readdir(directory))) {
        if (entry->d_name[0] != '.')
            look_at_descriptor(places, dirfd(directory), entry->d_name, task);
    }
    (void)closedir(directory);
}

static void search_tasks(SegmentPlaces *places, pid_t pid)
{
    char path[64];
    struct dirent *entry;
    DIR *tasks;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    tasks = opendir(path);
    if (!tasks)
        return;
    while (places->count == 0 && (entry = readdir(tasks))) {
        if (entry->d_name[0] != '.')
            search_descriptors(places, pid, (uint32_t)strtoul(entry->d_name, NULL, 10));
    }
    (void)closedir(tasks);
}

/* ---- mappings ----------------------------------------------------------------------------------- */

/* "start-end perms offset major:minor inode   name" of /proc/PID/maps. False: it is something else than a segment. */
static bool parse_mapping(const char *line, SegmentPlace *place)
{
    const char *name = strchr(line, '/');
    unsigned long major, minor;
    char *at;

    if (!name || !is_segment_name(name))
        return false;
    *place = (SegmentPlace){.number = -1};
    place->start = strtoull(line, &at, 16);
    if (*at++ != '-')
        return false;
    place->end = strtoull(at, &at, 16);
    at += strspn(at, " ");
    at += strcspn(at, " ");      /* permissions */
    (void)strtoull(at, &at, 16); /* offset */
    major = strtoul(at, &at, 16);
    if (*at++ != ':')
        return false;
    minor = strtoul(at, &at, 16);
    place->device = makedev((unsigned)major, (unsigned)minor);
    place->inode = strtoull(at, &at, 10);
    return true;
}

static FILE *open_maps(pid_t pid)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    return fopen(path, "re");
}

static void search_mappings(SegmentPlaces *places, pid_t pid)
{
    FILE *maps = open_maps(pid);
    SegmentPlace place;
    char line[512];

    if (!maps) {
        note_refusal(places, -errno);
        return;
    }
    while (fgets(line, sizeof(line), maps)) {
        if (parse_mapping(line, &place))
            add_place(places, &place);
    }
    (void)fclose(maps);
}

/* ---- what the opener does, or we ourselves --------------------------------------------------------- */

int opener_here_find(pid_t pid, bool by_tasks, SegmentPlaces *places_out)
{
    *places_out = (SegmentPlaces){.count = 0};
    search_descriptors(places_out, pid, 0);
    if (by_tasks && places_out->count == 0)
        search_tasks(places_out, pid);
    search_mappings(places_out, pid);
    return 0;
}

/* Whatever the process has put there meanwhile: nothing but a segment leaves. */
static int check_segment(int fd)
{
    char path[48];
    struct stat status;

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && is_segment_link(AT_FDCWD, path))
        return fd;
    close(fd);
    return -EBADF;
}

/* From the process itself, which takes the rights of tracing. */
static int get_descriptor(int pidfd, int number)
{
    int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);

    return fd < 0 ? -errno : fd;
}

/* Through /proc, which takes those of reading. Without waiting, should it be something else than it is called. */
static int open_link(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    return fd < 0 ? -errno : fd;
}

int opener_here_open(pid_t pid, const SegmentPlace *place)
{
    char root[48], path[128];
    int fd, error, pidfd;

    if (place->number < 0) {
        (void)snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid, place->start,
                       place->end);
        fd = open_link(path);
        return fd < 0 ? fd : check_segment(fd);
    }
    format_root(pid, place->task, root, sizeof(root));
    (void)snprintf(path, sizeof(path), "%s/fd/%d", root, place->number);
    error = fd = open_link(path);
    pidfd = fd < 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (pidfd >= 0) {
        fd = get_descriptor(pidfd, place->number);
        close(pidfd);
    }
    return fd < 0 ? error : check_segment(fd);
}

int opener_here_take(int pidfd, pid_t pid, int number)
{
    char path[64];
    int fd = get_descriptor(pidfd, number); /* before anything else: it may end at any moment */

    if (fd < 0 && fd != -ESRCH) {
        (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, number);
        fd = open_link(path);
    }
    return fd < 0 ? fd : check_segment(fd);
}

bool opener_here_any(pid_t pid)
{
    FILE *maps = open_maps(pid);
    bool found = false;
    SegmentPlace place;
    char line[512];

    while (maps && !found && fgets(line, sizeof(line), maps))
        found = parse_mapping(line, &place);
    if (maps)
        (void)fclose(maps);
    return found;
}

bool opener_here_has(pid_t pid, const SegmentPlace *wanted)
{
    bool found = false, any = false;
    char path[64], line[512];
    struct stat status;
    SegmentPlace place;
    FILE *maps;

    (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, wanted->number);
    if (wanted->number >= 0 && stat(path, &status) == 0 && status.st_dev == wanted->device &&
        status.st_ino == wanted->inode)
        return true; /* mappings may be many */
    maps = open_maps(pid);
    if (!maps)
        return true;
    while (!found && fgets(line, sizeof(line), maps)) {
        any = true;
        found = parse_mapping(line, &place) && place.device == wanted->device && place.inode == wanted->inode;
    }
    (void)fclose(maps);
    return found || !any; /* nothing at all: its main thread has ended */
}

void opener_here_program(pid_t pid, char *path, size_t size)
{
    char link[64];
    ssize_t length;

    (void)snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
    length = readlink(link, path, size - 1);
    path[length > 0 ? length : 0] = '\0';
}

/* ---- by whoever may ------------------------------------------------------------------------------- */

int process_segments_find(pid_t pid, bool by_tasks, SegmentPlaces *places_out)
{
    return opener_is_used() ? opener_find(pid, by_tasks, places_out)
                            : opener_here_find(pid, by_tasks, places_out);
}

int process_segments_open(pid_t pid, const SegmentPlace *place)
{
    return opener_is_used() ? opener_open(pid, place) : opener_here_open(pid, place);
}

int process_segments_take(int pidfd, pid_t pid, int number)
{
    return opener_is_used() ? opener_take(pidfd, pid, number) : opener_here_take(pidfd, pid, number);
}

bool process_segments_any(pid_t pid)
{
    return opener_is_used() ? opener_any(pid) : opener_here_any(pid);
}

bool process_segments_has(pid_t pid, int number, dev_t device, ino_t inode)
{
    SegmentPlace place = {.number = number, .device = device, .inode = inode};

    return opener_is_used() ? opener_has(pid, &place) : opener_here_has(pid, &place);
}

void process_program(pid_t pid, char *path, size_t size)
{
    if (opener_is_used())
        opener_program(pid, path, size);
    else
        opener_here_program(pid, path, size);
}
