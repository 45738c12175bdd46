/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/attach.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "user/collector/launch.h"
#include "user/collector/segment_claim.h"
#include "user/lane/atomic.h"

#define SEGMENT_LINK \
    "/memfd:" ADA_SEGMENT_NAME /* what a descriptor or a mapping of it is called; " (deleted)" follows */

/* One search. */
typedef struct Search {
    AttachTarget *target;
    AttachFailure *failure;
} Search;

/* Notes why something was not to be had, unless what is known already says more. */
static void note(Search *search, enum attach_failure what, int error, pid_t other)
{
    static const uint8_t weight[ATTACH_FAILURES] = {
        [ATTACH_NOT_HERE] = 1,      [ATTACH_NO_RIGHT] = 2, [ATTACH_DAMAGED] = 3,
        [ATTACH_OTHER_VERSION] = 4, [ATTACH_SYSTEM] = 5,   [ATTACH_CLAIMED] = 6,
    };
    AttachFailure *failure = search->failure;

    if (weight[what] <= weight[failure->what])
        return;
    failure->what = what;
    failure->error = error;
    failure->other = other;
}

static bool is_right_error(int error)
{
    return error == -EACCES || error == -EPERM;
}

/* ---- candidates --------------------------------------------------------------------------------- */

static bool is_segment_name(const char *name)
{
    size_t length = sizeof(SEGMENT_LINK) - 1;

    return strncmp(name, SEGMENT_LINK, length) == 0 &&
           (name[length] == '\0' || name[length] == ' ' || name[length] == '\n');
}

static bool is_found(const AttachTarget *target, dev_t device, ino_t inode)
{
    for (uint32_t i = 0; i < target->count; i++) {
        if (target->segments[i].device == device && target->segments[i].inode == inode)
            return true;
    }
    return false;
}

/*
 * Whether this process has its claim already: for this search, for an earlier one, or in another thread. It is not opened again: the
 * descriptor could not be closed before that claim ends.
 */
static bool is_ours(Search *search, dev_t device, ino_t inode)
{
    const AttachTarget *target = search->target;
    pid_t owner;

    if (is_found(target, device, inode))
        return true;
    if (!segment_is_claimed_here(device, inode, &owner))
        return false;
    if (owner == 0 || owner == target->identity.pid) /* else a parent's, for instance */
        note(search, ATTACH_CLAIMED, -EBUSY, getpid());
    return true;
}

/* Whether the segment says that it is this process's. */
static bool is_owned_by(const Segment *segment, const ProcessIdentity *identity)
{
    uint64_t space = ada_load_relaxed(&segment->header->owner_namespace);

    /* Pairs with make_segment() in user/client/process.c: who is named has set up what a collector changes. */
    if (ada_load_acquire(&segment->header->owner_pid) != (uint32_t)identity->namespace_pid)
        return false;
    return space == 0 || identity->pid_namespace == 0 || space == identity->pid_namespace;
}

static void note_unfit(Search *search, int error)
{
    if (error == -EPROTONOSUPPORT)
        note(search, ATTACH_OTHER_VERSION, error, 0);
    else if (error == -EPROTO || error == -EBADF)
        note(search, ATTACH_DAMAGED, error, 0);
    else
        note(search, ATTACH_SYSTEM, error, 0);
}

/* A descriptor of what is called a segment: takes it over if it is one, this process's, and nobody else's to collect. */
static bool take_candidate(Search *search, int fd, int number)
{
    AttachTarget *target = search->target;
    AttachedSegment found = {.fd = fd, .number = number};
    struct stat status;
    pid_t holder = 0;
    int error;

    if (target->count == ATTACH_SEGMENTS_MAX)
        return false;
    error = fstat(fd, &status) < 0 ? -errno : segment_attach(fd, &found.segment);
    if (error) {
        note_unfit(search, error);
        return false;
    }
    if (!is_owned_by(&found.segment, &target->identity))
        goto unmap; /* a parent's, for instance */
    error = segment_claim(fd, target->identity.pid, &holder);
    if (error) {
        note(search, error == -EBUSY ? ATTACH_CLAIMED : ATTACH_SYSTEM, error, holder);
        goto unmap;
    }
    found.device = status.st_dev;
    found.inode = status.st_ino;
    target->segments[target->count++] = found;
    return true;

unmap:
    segment_unmap(&found.segment);
    return false;
}

/* The same with a descriptor that is of no other use. */
static void try_candidate(Search *search, int fd, int number)
{
    if (!take_candidate(search, fd, number))
        segment_release(fd);
}

/* ---- descriptors -------------------------------------------------------------------------------- */

/* Through /proc, which takes the rights of reading; else from the process itself, which takes those of tracing. */
static int open_descriptor(const Search *search, int directory, const char *number)
{
    /* Without waiting, should it be something else than it is called. */
    int fd = openat(directory, number, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int error = errno;

    if (fd < 0)
        fd = (int)syscall(SYS_pidfd_getfd, search->target->pidfd, (int)strtol(number, NULL, 10), 0);
    return fd < 0 ? -error : fd;
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

static void look_at_descriptor(Search *search, int directory, const char *number)
{
    struct stat status;
    int fd;

    if (!is_segment_link(directory, number) || fstatat(directory, number, &status, 0) < 0 ||
        !S_ISREG(status.st_mode) || is_ours(search, status.st_dev, status.st_ino))
        return;
    fd = open_descriptor(search, directory, number);
    if (fd < 0)
        note(search, is_right_error(fd) ? ATTACH_NO_RIGHT : ATTACH_SYSTEM, fd, 0);
    else
        try_candidate(search, fd, (int)strtol(number, NULL, 10));
}

static void search_descriptors(Search *search, const char *task)
{
    char path[320];
    struct dirent *entry;
    DIR *directory;

    (void)snprintf(path, sizeof(path), "/proc/%d%s/fd", (int)search->target->identity.pid, task);
    directory = opendir(path);
    if (!directory) {
        if (is_right_error(-errno))
            note(search, ATTACH_NO_RIGHT, -errno, 0);
        return;
    }
    while ((entry = readdir(directory))) {
        if (entry->d_name[0] != '.')
            look_at_descriptor(search, dirfd(directory), entry->d_name);
    }
    (void)closedir(directory);
}

/* Of a process whose main thread has ended only the other threads show what it has. */
static void search_tasks(Search *search)
{
    char path[64], task[300];
    struct dirent *entry;
    DIR *tasks;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)search->target->identity.pid);
    tasks = opendir(path);
    if (!tasks)
        return;
    while (search->target->count == 0 && (entry = readdir(tasks))) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(task, sizeof(task), "/task/%s", entry->d_name);
        search_descriptors(search, task);
    }
    (void)closedir(tasks);
}

/* ---- mappings ----------------------------------------------------------------------------------- */

/* One line of /proc/PID/maps that is a segment's. */
typedef struct Mapping {
    uint64_t start, end;
    dev_t device;
    ino_t inode;
} Mapping;

/* "start-end perms offset major:minor inode   name". False: it is something else. */
static bool parse_mapping(const char *line, Mapping *mapping)
{
    const char *name = strchr(line, '/');
    unsigned long major, minor;
    char *at;

    if (!name || !is_segment_name(name))
        return false;
    mapping->start = strtoull(line, &at, 16);
    if (*at++ != '-')
        return false;
    mapping->end = strtoull(at, &at, 16);
    at += strspn(at, " ");
    at += strcspn(at, " ");      /* permissions */
    (void)strtoull(at, &at, 16); /* offset */
    major = strtoul(at, &at, 16);
    if (*at++ != ':')
        return false;
    minor = strtoul(at, &at, 16);
    mapping->device = makedev((unsigned)major, (unsigned)minor);
    mapping->inode = strtoull(at, &at, 10);
    return true;
}

static FILE *open_maps(pid_t pid)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    return fopen(path, "re");
}

/* The descriptor may be gone: daemons close what they do not know, and processes under `adatrace record` have sent it away. */
static void search_mappings(Search *search)
{
    pid_t pid = search->target->identity.pid;
    FILE *maps = open_maps(pid);
    char line[512], path[128];
    Mapping mapping;

    if (!maps) {
        if (is_right_error(-errno))
            note(search, ATTACH_NO_RIGHT, -errno, 0);
        return;
    }
    while (fgets(line, sizeof(line), maps)) {
        int fd;

        if (!parse_mapping(line, &mapping) || is_ours(search, mapping.device, mapping.inode))
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid, mapping.start,
                       mapping.end);
        fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd >= 0)
            try_candidate(search, fd, -1);
        else if (is_right_error(-errno))
            note(search, ATTACH_NO_RIGHT, -errno, 0);
    }
    (void)fclose(maps);
}

bool attach_uses_library(pid_t pid)
{
    FILE *maps = open_maps(pid);
    bool found = false;
    char line[512];
    Mapping mapping;

    while (maps && !found && fgets(line, sizeof(line), maps))
        found = parse_mapping(line, &mapping);
    if (maps)
        (void)fclose(maps);
    return found;
}

bool attach_has_segment(pid_t pid, int number, dev_t device, ino_t inode)
{
    bool found = false, any = false;
    char path[64], line[512];
    struct stat status;
    Mapping mapping;
    FILE *maps;

    (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, number);
    if (number >= 0 && stat(path, &status) == 0 && status.st_dev == device && status.st_ino == inode)
        return true; /* mappings may be many */
    maps = open_maps(pid);
    if (!maps)
        return true;
    while (!found && fgets(line, sizeof(line), maps)) {
        any = true;
        found = parse_mapping(line, &mapping) && mapping.device == device && mapping.inode == inode;
    }
    (void)fclose(maps);
    return found || !any; /* nothing at all: its main thread has ended */
}

/* ---- the process -------------------------------------------------------------------------------- */

static int refuse(AttachFailure *failure, enum attach_failure what, int error, pid_t other)
{
    failure->what = what;
    failure->error = error;
    failure->other = other;
    return -1;
}

/* Finds out who it is, and pins that down by a pidfd. 0, or -1 with the reason. */
static int identify(pid_t pid, AttachTarget *target, AttachFailure *failure)
{
    ProcessIdentity *identity = &target->identity;
    int opened, error;

    target->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    opened = target->pidfd < 0 ? -errno : 0;
    error = process_identity_read(pid, identity);
    if (!error)
        failure->identity = *identity;
    if (!error && identity->thread_group != pid)
        return refuse(failure, ATTACH_IS_THREAD, 0, identity->thread_group);
    if (opened == -ESRCH || (!opened && error == -ESRCH && process_has_ended(target->pidfd)))
        return refuse(failure, ATTACH_NO_PROCESS, -ESRCH, 0);
    if (opened)
        return refuse(failure, ATTACH_SYSTEM, opened, 0);
    if (error == -ESRCH) /* it lives, but /proc hides it from us */
        return refuse(failure, ATTACH_NO_RIGHT, -EACCES, 0);
    if (error)
        return refuse(failure, is_right_error(error) ? ATTACH_NO_RIGHT : ATTACH_SYSTEM, error, 0);
    if (identity->kernel_thread)
        return refuse(failure, ATTACH_KERNEL_THREAD, 0, 0);
    if (process_has_ended(target->pidfd))
        return refuse(failure, identity->zombie ? ATTACH_ZOMBIE : ATTACH_ENDED, 0, 0);
    return 0;
}

int attach_open(pid_t pid, bool bare, AttachTarget *target_out, AttachFailure *failure_out)
{
    AttachTarget target = {.pidfd = -1};
    AttachFailure failure = {.what = ATTACH_NOT_HERE};
    Search search = {.target = &target, .failure = &failure};

    if (pid == getpid()) {
        (void)refuse(&failure, ATTACH_SELF, 0, 0);
        goto fail;
    }
    if (identify(pid, &target, &failure) != 0)
        goto fail;
    search_descriptors(&search, "");
    if (target.identity.zombie && target.count == 0)
        search_tasks(&search);
    search_mappings(&search);
    if (process_has_ended(target.pidfd)) {
        (void)refuse(&failure, ATTACH_ENDED, 0, 0);
        goto fail;
    }
    /* Half a process is none: one of its segments is another collector's. */
    if ((target.count == 0 && !(bare && failure.what == ATTACH_NOT_HERE)) || failure.what == ATTACH_CLAIMED)
        goto fail;
    *target_out = target;
    return 0;

fail:
    attach_close(&target);
    *failure_out = failure;
    return -1;
}

/* ---- segments that are being made --------------------------------------------------------------- */

int attach_hold(pid_t pid, int number, AttachHold *hold_out)
{
    AttachHold hold = {.number = number, .fd = -1};
    char path[64];
    int error;

    hold.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (hold.pidfd < 0)
        return -errno;
    /* Before anything else: it may end at any moment. */
    hold.fd = (int)syscall(SYS_pidfd_getfd, hold.pidfd, number, 0);
    if (hold.fd < 0) { /* that takes the rights of tracing; this, of reading */
        (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, number);
        hold.fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    }
    if (hold.fd < 0) {
        error = -errno;
        close(hold.pidfd);
        return error;
    }
    error = process_identity_read(pid, &hold.identity);
    if (error) {
        attach_drop(&hold);
        return error;
    }
    *hold_out = hold;
    return 0;
}

int attach_open_held(AttachHold *hold, AttachTarget *target_out, AttachFailure *failure_out)
{
    AttachTarget target = {.pidfd = hold->pidfd, .identity = hold->identity};
    AttachFailure failure = {.what = ATTACH_NOT_HERE, .identity = hold->identity};
    Search search = {.target = &target, .failure = &failure};

    if (!take_candidate(&search, hold->fd, hold->number)) {
        *failure_out = failure;
        return -1;
    }
    hold->pidfd = hold->fd = -1;
    *target_out = target;
    return 0;
}

void attach_drop(AttachHold *hold)
{
    segment_release(hold->fd);
    if (hold->pidfd >= 0)
        close(hold->pidfd);
    hold->pidfd = hold->fd = -1;
}

void attach_close(AttachTarget *target)
{
    for (uint32_t i = 0; i < target->count; i++) {
        segment_unmap(&target->segments[i].segment);
        segment_release(target->segments[i].fd);
    }
    target->count = 0;
    if (target->pidfd >= 0)
        close(target->pidfd);
    target->pidfd = -1;
}
