/* SPDX-License-Identifier: MIT */
/*
 * RecorderTarget: processes that run already; their children, if they are wanted.
 *
 * Four times a second it looks at what no descriptor tells: children that are new, and processes that have become another
 * program, whose segment went with the old one. Who ends sooner is missed, unless it is a child of fork() that had its parent's
 * gate; and that is seen only if it lives until then.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/base/parse.h"
#include "user/collector/launch.h"
#include "user/collector/recorder_internal.h"

#define NS_PER_S 1000000000ull

/* A process that is looked after, whether it has a segment or not. */
typedef struct Followed {
    pid_t pid;
    int pidfd;
} Followed;

/* ---- who is followed ---------------------------------------------------------------------------- */

static bool is_followed(const Recorder *recorder, pid_t pid)
{
    for (size_t i = 0; i < recorder->followed_count; i++) {
        if (recorder->followed[i].pid == pid)
            return true;
    }
    return false;
}

/* Takes the pidfd over, also on failure. 0 or -errno. */
static int add_followed(Recorder *recorder, pid_t pid, int pidfd)
{
    int error = array_reserve_one(&recorder->followed, &recorder->followed_capacity, recorder->followed_count,
                                  sizeof(recorder->followed[0]));

    if (!error)
        error = recorder_watch(recorder, pidfd, RECORDER_WATCH_TARGET);
    if (error) {
        close(pidfd);
        return error;
    }
    recorder->followed[recorder->followed_count++] = (Followed){.pid = pid, .pidfd = pidfd};
    return 0;
}

static uint32_t watch_flags(const Recorder *recorder)
{
    return recorder_has_views(recorder) && recorder->config->with_children ? ADA_KERNEL_WITH_CHILDREN : 0;
}

/* Hands its segments to the session. What is taken over is gone from the target. 0 or -errno. */
static int add_members(Recorder *recorder, AttachTarget *target)
{
    /* Before: what ends meanwhile is told. */
    recorder_watch_process(recorder, target->identity.pid, watch_flags(recorder));
    for (uint32_t i = 0; i < target->count; i++) {
        AttachedSegment *found = &target->segments[i];
        int pidfd = fcntl(target->pidfd, F_DUPFD_CLOEXEC, 0);
        int error =
            pidfd < 0 ? -errno
                      : recorder_add_member(recorder, &found->segment, found->fd, target->identity.pid, pidfd);

        if (error) {
            if (pidfd >= 0)
                close(pidfd);
            return error;
        }
        recorder->members.items[recorder->members.count - 1].descriptor = found->number;
        found->segment.header = NULL;
        found->fd = -1;
    }
    return 0;
}

static Member *live_member(Recorder *recorder, pid_t pid)
{
    for (size_t i = 0; i < recorder->members.count; i++) {
        Member *member = &recorder->members.items[i];

        if (member->pid == pid && !member->ended)
            return member;
    }
    return NULL;
}

/* ---- looking after them ------------------------------------------------------------------------- */

/* It execs: its old image is over, though its pid goes on. */
static void check_images(Recorder *recorder, const Followed *followed)
{
    for (size_t i = 0; i < recorder->members.count; i++) {
        Member *member = &recorder->members.items[i];

        if (member->pid != followed->pid || member->ended ||
            attach_has_segment(member->pid, member->descriptor, member->device, member->inode))
            continue;
        if (!process_has_ended(followed->pidfd)) /* else it has none because it ended */
            recorder_end_member(recorder, member, (ProcessEnd){.kind = ADAT_DEATH_EXEC});
    }
}

/* Attaches to one that has no segment yet, or none any more, if it has one by now. */
static void try_attach(Recorder *recorder, pid_t pid)
{
    AttachTarget target;
    AttachFailure failure;

    if (attach_open(pid, false, &target, &failure) == 0) {
        (void)add_members(recorder, &target); /* what failed is closed, and found again */
        attach_close(&target);
    }
}

/* Follows a process that a rule means, and that is not followed yet. */
static void consider(Recorder *recorder, pid_t pid)
{
    ProcessIdentity identity;
    int pidfd;

    if (is_followed(recorder, pid) || pid == getpid())
        return;
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return;
    /* Asked last, so that what was read is its own. */
    if (process_identity_read(pid, &identity) == 0 && !identity.kernel_thread && !identity.zombie &&
        discover_rules_match(recorder->config->discover, &identity) && !process_has_ended(pidfd)) {
        if (recorder_has_views(recorder))
            recorder_watch_process(recorder, pid, watch_flags(recorder));
        if (add_followed(recorder, pid, pidfd) == 0)
            try_attach(recorder, pid);
    } else {
        close(pidfd);
    }
}

/* All that run. */
static void discover(Recorder *recorder)
{
    const struct dirent *entry;
    DIR *directory = opendir("/proc");

    while (directory && (entry = readdir(directory))) {
        uint64_t pid;

        if (parse_u64(entry->d_name, 1, INT32_MAX, &pid) == 0)
            consider(recorder, (pid_t)pid);
    }
    if (directory)
        (void)closedir(directory);
}

/* Follows those of its children that are new. A number that is another's by now has another parent. */
static void find_children(Recorder *recorder, pid_t parent)
{
    PidList children = {0};
    ProcessIdentity identity;

    (void)process_list_children(parent, &children);
    for (size_t i = 0; i < children.count; i++) {
        int pidfd;

        if (is_followed(recorder, children.items[i]) || children.items[i] == getpid())
            continue;
        pidfd = (int)syscall(SYS_pidfd_open, children.items[i], 0);
        if (pidfd < 0)
            continue;
        if (process_identity_read(children.items[i], &identity) == 0 && identity.parent == parent)
            (void)add_followed(recorder, children.items[i], pidfd);
        else
            close(pidfd);
    }
    pid_list_fini(&children);
}

static void poll_targets(Recorder *recorder)
{
    if (recorder->config->discover && !recorder->kernel)
        discover(recorder);                                 /* else new programs are told of */
    for (size_t i = 0; i < recorder->followed_count; i++) { /* it grows */
        Followed followed = recorder->followed[i];

        if (process_has_ended(followed.pidfd))
            continue;
        check_images(recorder, &followed);
        if (!live_member(recorder, followed.pid))
            try_attach(recorder, followed.pid);
        if (recorder->config->with_children)
            find_children(recorder, followed.pid);
    }
}

/* ---- the target --------------------------------------------------------------------------------- */

static int prepare(Recorder *recorder, enum recorder_stage *stage)
{
    *stage = RECORDER_STAGE_SIGNALS;
    if (recorder->config->duration_ns == 0)
        return 0;
    recorder->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return recorder->timer < 0 ? -errno : recorder_watch(recorder, recorder->timer, RECORDER_WATCH_TARGET);
}

static int start_timer(const Recorder *recorder)
{
    uint64_t ns = recorder->config->duration_ns;
    struct itimerspec end = {.it_value = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)}};

    if (recorder->timer >= 0 && timerfd_settime(recorder->timer, 0, &end, NULL) < 0)
        return -errno;
    return 0;
}

static int start(Recorder *recorder, enum recorder_stage *stage)
{
    const RecorderConfig *config = recorder->config;

    *stage = RECORDER_STAGE_TARGET;
    for (size_t i = 0; i < config->target_count; i++) {
        AttachTarget *target = &config->targets[i];
        int error = add_members(recorder, target);
        int pidfd = target->pidfd;

        if (error)
            return error;
        target->pidfd = -1;
        error = add_followed(recorder, target->identity.pid, pidfd);
        if (error)
            return error;
    }
    if (config->discover)
        discover(recorder);
    if (config->on_attached)
        config->on_attached(config->context);
    return start_timer(recorder);
}

static void interrupted(Recorder *recorder, const struct signalfd_siginfo *info)
{
    (void)info;
    recorder->over = true;
}

/* Closes the pidfds of those that ended, which would wake the loop for ever. Whether anybody is left, or may come. */
static bool forget_ended(Recorder *recorder)
{
    bool alive = false;

    for (size_t i = 0; i < recorder->followed_count;) {
        Followed *followed = &recorder->followed[i];

        if (process_has_ended(followed->pidfd)) {
            close(followed->pidfd);
            *followed = recorder->followed[--recorder->followed_count];
        } else {
            alive = true;
            i++;
        }
    }
    return alive || recorder->config->discover;
}

static bool is_over(Recorder *recorder)
{
    uint64_t expirations;
    bool alive = forget_ended(recorder);

    if (recorder->over ||
        (recorder->timer >= 0 && read(recorder->timer, &expirations, sizeof(expirations)) > 0))
        return true;
    /* How they ended may take a moment to be known. */
    for (size_t i = 0; i < recorder->members.count && !alive; i++)
        alive = !recorder->members.items[i].ended;
    return !alive;
}

static void finish(Recorder *recorder)
{
    recorder_take_kernel_events(recorder);
    for (size_t i = 0; i < recorder->members.count; i++)
        recorder_finish_member(recorder, &recorder->members.items[i]);
}

static void destroy(Recorder *recorder)
{
    for (size_t i = 0; i < recorder->followed_count; i++)
        close(recorder->followed[i].pidfd);
    free(recorder->followed);
    if (recorder->timer >= 0)
        close(recorder->timer);
}

const RecorderTarget recorder_attach_target = {
    .prepare = prepare,
    .start = start,
    .interrupted = interrupted,
    .poll = poll_targets,
    .appeared = consider,
    .is_over = is_over,
    .finish = finish,
    .destroy = destroy,
};
