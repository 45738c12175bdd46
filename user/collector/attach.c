/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/attach.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "user/access/process_segments.h"
#include "user/collector/launch.h"
#include "user/collector/segment_claim.h"
#include "user/lane/atomic.h"

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

static void try_place(Search *search, const SegmentPlace *place)
{
    int fd;

    if (is_ours(search, place->device, place->inode))
        return;
    fd = process_segments_open(search->target->identity.pid, place);
    if (fd >= 0)
        try_candidate(search, fd, place->number);
    else if (is_right_error(fd))
        note(search, ATTACH_NO_RIGHT, fd, 0);
    else if (place->number >= 0 && fd != -EBADF && fd != -ENOENT)
        note(search, ATTACH_SYSTEM, fd, 0);
}

/* Of a process whose main thread has ended only the other threads show what it has. */
static void search_process(Search *search)
{
    const ProcessIdentity *identity = &search->target->identity;
    SegmentPlaces places;
    int error = process_segments_find(identity->pid, identity->zombie, &places);

    if (error) {
        note(search, ATTACH_SYSTEM, error, 0);
        return;
    }
    if (places.refused)
        note(search, ATTACH_NO_RIGHT, places.refused, 0);
    for (uint32_t i = 0; i < places.count; i++)
        try_place(search, &places.items[i]);
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
    search_process(&search);
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
    int error;

    hold.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (hold.pidfd < 0)
        return -errno;
    hold.fd =
        process_segments_take(hold.pidfd, pid, number); /* before anything else: it may end at any moment */
    if (hold.fd < 0) {
        error = hold.fd;
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
