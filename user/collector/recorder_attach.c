/* SPDX-License-Identifier: MIT */
/*
 * RecorderTarget: processes that run already; their children, and others that come, if they are wanted.
 *
 * Who is meant is *followed*, whether he has a segment or not, until he ends; who has one that can be had becomes a member.
 *
 * With kernel assistance it is told what happens: programs that are loaded, children, and, if others than the given processes are wanted,
 * segments that are made. From then on the segment is held, and tried until it is complete (attach_queue.h): so children that live for some
 * milliseconds are not missed. What the kernel had no room to tell is looked for, once a second. Without assistance all of it is looked for in
 * /proc, four times a second, and who ends sooner is missed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "user/access/process_segments.h"
#include "user/base/parse.h"
#include "user/collector/attach_queue.h"
#include "user/collector/follow_table.h"
#include "user/collector/launch.h"
#include "user/collector/proc_look.h"
#include "user/collector/recorder_internal.h"
#include "user/lane/clock.h"

#define NS_PER_S 1000000000ull
#define HOUSEKEEPING_MS 1000 /* with kernel assistance */
#define CALM_MAX 4u          /* while nothing happens, it comes so many times as rarely */

/* RECORDER_WATCH_OWN + */
enum { WATCH_QUEUE, WATCH_FOLLOWED /* + place */ };

struct Following {
    FollowTable table;
    AttachQueue queue;
    ProcLook look;      /* for rules with `all`, if segments are not told */
    uint64_t next_look; /* CLOCK_MONOTONIC */
    uint64_t next_poll; /* the same */
    uint64_t lost;      /* that the kernel could not tell, when last asked */
    bool segments_told; /* of processes that are watched; of all, with config->discover */
};

static void search_again(Recorder *recorder, pid_t pid)
{
    /* Without memory: with the next poll, or not. */
    (void)attach_queue_add(&recorder->following->queue, pid, NULL,
                           ada_clock_monotonic_ns() + ATTACH_QUEUE_FIRST_PAUSE_NS);
}

/* ---- members ------------------------------------------------------------------------------------ */

/* Hands its segments to the session. What is taken over is gone from the target. 0 or -errno. */
static int add_members(Recorder *recorder, AttachTarget *target)
{
    for (uint32_t i = 0; i < target->count; i++) {
        AttachedSegment *found = &target->segments[i];
        int pidfd = fcntl(target->pidfd, F_DUPFD_CLOEXEC, 0);
        int error = pidfd < 0 ? -errno
                              : recorder_add_member(recorder, &found->segment, found->fd, found->number,
                                                    target->identity.pid, pidfd);

        if (error) {
            if (pidfd >= 0)
                close(pidfd);
            return error;
        }
        found->segment.header = NULL;
        found->fd = -1;
    }
    return 0;
}

/* Notes what became of a try. */
static void note_outcome(Recorder *recorder, pid_t pid, enum attach_failure what)
{
    Followed *followed = follow_table_find(&recorder->following->table, pid);

    if (followed) /* another collector's, which may end; or there was no memory, or no descriptor */
        followed->again = what == ATTACH_CLAIMED || what == ATTACH_SYSTEM;
}

/* Whether it is one of config->only_user. A program that changes between users is not that user's alone. */
static bool may_record(const Recorder *recorder, const ProcessIdentity *identity)
{
    const uid_t *user = recorder->config->only_user;

    return !user || (identity->one_user && identity->user == *user);
}

static enum attach_failure take_target(Recorder *recorder, AttachTarget *target)
{
    bool may = may_record(recorder, &target->identity) && !recorder_has_let_go(recorder, target->identity.pid);
    int error = may ? add_members(recorder, target) : 0;

    attach_close(target); /* what is left */
    return !may ? ATTACH_NO_RIGHT : error ? ATTACH_SYSTEM : ATTACH_DONE;
}

/* Attaches to whatever segments it has. */
static enum attach_failure search(Recorder *recorder, pid_t pid)
{
    enum attach_failure what;
    AttachTarget target;
    AttachFailure failure;

    if (attach_open(pid, false, &target, &failure) == 0)
        what = take_target(recorder, &target);
    else
        what = failure.what;
    note_outcome(recorder, pid, what);
    return what;
}

/* The same of one that just came to be followed, in whatever state it is. */
static void search_first(Recorder *recorder, pid_t pid)
{
    if (search(recorder, pid) == ATTACH_DAMAGED) /* it may be setting it up */
        search_again(recorder, pid);
}

/* It may still come to be what it is not yet. */
static bool is_unripe(enum attach_failure what)
{
    return what == ATTACH_NOT_HERE || what == ATTACH_DAMAGED || what == ATTACH_OTHER_VERSION ||
           what == ATTACH_NO_RIGHT;
}

static bool try_held(Recorder *recorder, AttachWait *wait, bool last)
{
    bool ended =
        process_has_ended(wait->hold.pidfd); /* asked first: then it is as complete as it will ever be */
    enum attach_failure what;
    AttachTarget target;
    AttachFailure failure;

    if (attach_open_held(&wait->hold, &target, &failure) == 0)
        what = take_target(recorder, &target);
    else
        what = failure.what;
    if (is_unripe(what) && !ended && !last)
        return false;
    note_outcome(recorder, wait->pid, is_unripe(what) && !ended ? ATTACH_SYSTEM : what); /* stopped amid it? */
    return true;
}

static bool try_wait(void *context, AttachWait *wait, bool last)
{
    Recorder *recorder = context;

    if (recorder_has_let_go(recorder, wait->pid))
        return true;
    if (wait->hold.fd >= 0)
        return try_held(recorder, wait, last);
    return recorder_find_member(recorder, wait->pid) || !is_unripe(search(recorder, wait->pid));
}

/* ---- who is followed ---------------------------------------------------------------------------- */

static bool is_followed(const Recorder *recorder, pid_t pid)
{
    return follow_table_find(&recorder->following->table, pid) != NULL;
}

/* Takes the pidfd over, also on failure. From here on the kernel tells of its threads. 0 or -errno. */
static int follow(Recorder *recorder, pid_t pid, int pidfd)
{
    FollowTable *table = &recorder->following->table;
    ProcessIdentity identity;
    uint32_t place;
    int error = 0;

    if (recorder->config->only_user &&
        (process_identity_read(pid, &identity) != 0 || !may_record(recorder, &identity)))
        error = -EPERM;
    if (!error)
        error = follow_table_add(table, pid, pidfd, &place);
    if (error) {
        close(pidfd);
        return error;
    }
    error = recorder_watch(recorder, pidfd, RECORDER_WATCH_OWN + WATCH_FOLLOWED + place);
    if (error) {
        follow_table_remove(table, place);
        return error;
    }
    recorder_watch_process(recorder, pid, recorder->config->with_children ? ADA_KERNEL_WITH_CHILDREN : 0);
    recorder_find_waiting(recorder, pid);
    return 0;
}

/* If it has ended: its pidfd would wake the loop for ever. */
static void forget_if_ended(Recorder *recorder, uint32_t place)
{
    FollowTable *table = &recorder->following->table;
    const Followed *followed = place < table->count ? &table->items[place] : NULL;

    if (!followed || followed->pid == 0 || !process_has_ended(followed->pidfd))
        return;
    recorder_unwatch_process(recorder, followed->pid); /* it may have ended before it was watched */
    follow_table_remove(table, place);
}

/* A child that is not followed yet, if its parent is among those. */
static void adopt(Recorder *recorder, pid_t pid, const PidList *parents)
{
    ProcessIdentity identity;
    bool related = false;
    int pidfd;

    if (is_followed(recorder, pid) || pid == getpid())
        return;
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return;
    if (process_identity_read(pid, &identity) == 0) { /* a number that is another's by now has another parent */
        for (size_t i = 0; i < parents->count; i++)
            related |= parents->items[i] == identity.parent;
    }
    if (!related)
        close(pidfd);
    else if (follow(recorder, pid, pidfd) == 0)
        search_first(recorder, pid);
}

/* Its children and theirs, those of them that are new. */
static void find_children(Recorder *recorder, pid_t pid)
{
    PidList family = {0};

    if (pid_list_add(&family, pid) == 0) {
        for (size_t i = 0; i < family.count; i++) { /* it grows */
            if (i > 0)
                adopt(recorder, family.items[i], &family);
            (void)process_list_children(family.items[i], &family);
        }
    }
    pid_list_fini(&family);
}

/* Follows a process that a rule means, and that is not followed yet. False: none does, or it is gone. */
static bool follow_meant(Recorder *recorder, pid_t pid, bool uses_library)
{
    ProcessIdentity identity;
    int pidfd;

    if (pid == getpid())
        return false;
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return false;
    /* Asked last, so that what was read is its own. */
    if (process_identity_read(pid, &identity) != 0 || identity.kernel_thread || identity.zombie ||
        identity.thread_group != pid ||
        !discover_rules_match(recorder->config->discover, &identity, uses_library) || process_has_ended(pidfd)) {
        close(pidfd);
        return false;
    }
    if (follow(recorder, pid, pidfd) != 0)
        return false;
    if (recorder->config->with_children)
        find_children(recorder, pid);
    return true;
}

/* ---- looking through /proc ---------------------------------------------------------------------- */

static void look_by_rules(void *context, pid_t pid)
{
    Recorder *recorder = context;

    if (!is_followed(recorder, pid) && follow_meant(recorder, pid, false))
        search_first(recorder, pid);
}

static void look_for_library(void *context, pid_t pid)
{
    Recorder *recorder = context;

    if (is_followed(recorder, pid) || !process_segments_any(pid) || !follow_meant(recorder, pid, true))
        return;
    if (is_unripe(search(recorder, pid)))
        search_again(recorder, pid);
}

/* All that run. Of those that only rules with `all` mean, who is due; everybody if it is only done once. */
static void discover(Recorder *recorder, uint64_t now)
{
    struct Following *following = recorder->following;
    const DiscoverRules *rules = recorder->config->discover;
    ProcLook once = {0};

    if (discover_rules_have_others(rules)) {
        (void)proc_look_round(&once, now, look_by_rules, recorder); /* without descriptors: the next time */
        proc_look_forget(&once);
    }
    if (!discover_rules_have_all(rules) || now < following->next_look)
        return;
    (void)proc_look_round(&following->look, now, look_for_library, recorder);
    following->next_look = now + PROC_LOOK_PAUSE_NS;
    if (following->segments_told) {
        proc_look_forget(&following->look);
        following->next_look = 0;
    }
}

/* ---- what the kernel tells ---------------------------------------------------------------------- */

static void follow_child(Recorder *recorder, pid_t pid)
{
    int pidfd;

    if (is_followed(recorder, pid))
        return;
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd >= 0 && follow(recorder, pid, pidfd) == 0 && !recorder->following->segments_told)
        search_again(recorder, pid);
}

/* It is another user's now, by a program with that user's rights. */
static void leave_if_not_ours(Recorder *recorder, pid_t pid)
{
    FollowTable *table = &recorder->following->table;
    const Followed *followed = follow_table_find(table, pid);
    ProcessIdentity identity;

    if (!followed || !recorder->config->only_user ||
        (process_identity_read(pid, &identity) == 0 && may_record(recorder, &identity)))
        return;
    recorder_unwatch_process(recorder, pid);
    follow_table_remove(table, (uint32_t)(followed - table->items));
}

static void note_program(Recorder *recorder, const AdaKernelLifecycle *exec)
{
    pid_t pid = (pid_t)exec->tgid;

    if (recorder_has_let_go(recorder, pid))
        return;
    leave_if_not_ours(recorder, pid);
    if (recorder->config->discover && !is_followed(recorder, pid))
        (void)follow_meant(recorder, pid, false);
    if (!recorder->following->segments_told && is_followed(recorder, pid))
        search_again(recorder, pid);
}

/* Takes hold of a segment as soon as there is one, if its process is meant. */
static void note_segment(Recorder *recorder, const AdaKernelLifecycle *record)
{
    pid_t pid = (pid_t)record->tgid;
    bool known = is_followed(recorder, pid);
    AttachHold hold;
    int error;

    if (pid == getpid() || recorder_has_let_go(recorder, pid) ||
        (!known && (record->flags & ADA_KERNEL_UNWATCHED) && !recorder->config->discover))
        return;
    error = attach_hold(pid, record->descriptor, &hold);
    if (!known && (record->flags & ADA_KERNEL_UNWATCHED))
        known = follow_meant(recorder, pid, true);
    else if (!known) /* the child of one that is followed, whose birth was not told */
        follow_child(recorder, pid);
    if ((record->flags & ADA_KERNEL_UNWATCHED) && !known) {
        if (!error)
            attach_drop(&hold);
    } else if (error) { /* it has another number by now, at which it stays (keep_descriptor() of the library); or nobody may trace it */
        if (is_unripe(search(recorder, pid)))
            search_again(recorder, pid);
    } else {
        (void)attach_queue_add(&recorder->following->queue, pid, &hold, ada_clock_monotonic_ns());
    }
}

static void told(Recorder *recorder, const AdaKernelLifecycle *record)
{
    pid_t pid = (pid_t)record->tgid;

    switch (record->type) {
    case ADA_KERNEL_FORK:
        if (recorder->config->with_children && (record->flags & ADA_KERNEL_NEW_PROCESS))
            follow_child(recorder, pid);
        break;
    case ADA_KERNEL_EXEC:
        note_program(recorder, record);
        break;
    case ADA_KERNEL_SEGMENT:
        note_segment(recorder, record);
        break;
    case ADA_KERNEL_EXIT:
        if (record->flags & ADA_KERNEL_LAST) /* the session is to know it before it is told of its threads' ends */
            attach_queue_try_last(&recorder->following->queue, pid, try_wait, recorder);
        break;
    default:
        break;
    }
}

/* Whether the kernel had something to tell, and no room for it, since it was last asked. */
static bool has_lost(Recorder *recorder)
{
    AdaKernelCounters counters;
    uint64_t lost;

    kernel_assist_counters(recorder->kernel, &counters);
    lost = counters.lifecycle_lost + counters.targets_refused;
    if (lost == recorder->following->lost)
        return false;
    recorder->following->lost = lost;
    return true;
}

/* ---- looking after them ------------------------------------------------------------------------- */

/* It execs: its old image is over, though its pid goes on. */
static void check_images(Recorder *recorder, const Followed *followed)
{
    for (size_t i = 0; i < recorder->members.count; i++) {
        Member *member = &recorder->members.items[i];

        if (member->pid != followed->pid || member->ended ||
            process_segments_has(member->pid, member->descriptor, member->device, member->inode))
            continue;
        if (!process_has_ended(followed->pidfd)) /* else it has none because it ended */
            recorder_end_member(recorder, member, (ProcessEnd){.kind = ADAT_DEATH_EXEC});
    }
}

/* `look`: what nobody tells. */
static void look_after(Recorder *recorder, const Followed *followed, bool look)
{
    const struct Following *following = recorder->following;

    if (look)
        check_images(recorder, followed);
    if ((look || followed->again || !following->segments_told) && !recorder_find_member(recorder, followed->pid))
        (void)search(recorder, followed->pid);
    if (look && recorder->config->with_children)
        find_children(recorder, followed->pid);
}

static void poll_targets(Recorder *recorder)
{
    struct Following *following = recorder->following;
    uint64_t now = ada_clock_monotonic_ns();
    bool look, all_told;

    if (now < following->next_poll)
        return;                                                 /* only ends of members are waited for */
    following->next_poll = now + recorder->poll_ms * 900000ull; /* a little less than it is asked after */
    look = !recorder->kernel || has_lost(recorder);
    all_told = following->segments_told && !look;
    if (recorder->config->discover && (look || !following->segments_told))
        discover(recorder, now);
    for (size_t i = 0; i < following->table.count; i++) { /* it grows */
        Followed followed = following->table.items[i];

        if (followed.pid != 0 && !followed.left && !process_has_ended(followed.pidfd)) {
            bool told = !look && kernel_assist_is_watched(recorder->kernel, followed.pid);

            look_after(recorder, &followed, !told);
            all_told = all_told && told && !followed.again;
        }
    }
    recorder->calm = !all_told ? 1 : recorder->calm < CALM_MAX ? 2 * recorder->calm : CALM_MAX;
}

static void woken(Recorder *recorder, uint32_t number)
{
    if (number >= WATCH_FOLLOWED)
        forget_if_ended(recorder, number - WATCH_FOLLOWED);
    else
        attach_queue_try(&recorder->following->queue, ada_clock_monotonic_ns(), try_wait, recorder);
}

/* ---- letting go ---------------------------------------------------------------------------------- */

bool recorder_has_let_go(const Recorder *recorder, pid_t pid)
{
    const Followed *followed = recorder->following ? follow_table_find(&recorder->following->table, pid) : NULL;

    return followed && followed->left && !process_has_ended(followed->pidfd); /* else the number is another's */
}

static void detach(Recorder *recorder, pid_t pid)
{
    Followed *followed;

    recorder_take_kernel_events(recorder); /* ends of its threads come first; and it may have gone itself */
    followed = follow_table_find(&recorder->following->table, pid);
    if (!followed || followed->left)
        return;
    followed->left = true;
    recorder_unwatch_process(recorder, pid);
    recorder_close_view(recorder, pid);
    for (size_t i = 0; i < recorder->members.count; i++) {
        Member *member = &recorder->members.items[i];

        if (member->pid == pid)
            recorder_end_member(recorder, member, (ProcessEnd){.kind = ADAT_DEATH_DETACHED});
    }
}

/* ---- the target --------------------------------------------------------------------------------- */

static int prepare(Recorder *recorder, enum recorder_stage *stage)
{
    struct Following *following = calloc(1, sizeof(*following));
    int error;

    *stage = RECORDER_STAGE_SIGNALS;
    if (!following)
        return -ENOMEM;
    recorder->following = following;
    following->segments_told = recorder->kernel && kernel_assist_tells_segments(recorder->kernel);
    recorder->poll_ms = recorder->kernel ? HOUSEKEEPING_MS : RECORDER_POLL_MS;
    error = attach_queue_init(&following->queue);
    if (!error)
        error = recorder_watch(recorder, following->queue.timer, RECORDER_WATCH_OWN + WATCH_QUEUE);
    if (error || recorder->config->duration_ns == 0)
        return error;
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

static int add_targets(Recorder *recorder)
{
    const RecorderConfig *config = recorder->config;

    for (size_t i = 0; i < config->target_count; i++) {
        AttachTarget *target = &config->targets[i];
        int pidfd = fcntl(target->pidfd, F_DUPFD_CLOEXEC, 0);
        int error = pidfd < 0 ? -errno : follow(recorder, target->identity.pid, pidfd);

        if (!error && !may_record(recorder, &target->identity))
            error = -EPERM;
        if (!error)
            error = add_members(recorder, target); /* after: what ends meanwhile is told */
        if (error)
            return error;
    }
    for (size_t i = 0; i < config->target_count && config->with_children; i++)
        find_children(recorder, config->targets[i].identity.pid);
    return 0;
}

static int start(Recorder *recorder, enum recorder_stage *stage)
{
    const RecorderConfig *config = recorder->config;
    int error;

    *stage = RECORDER_STAGE_TARGET;
    error = add_targets(recorder);
    if (error)
        return error;
    if (config->discover)
        discover(recorder, ada_clock_monotonic_ns());
    if (config->on_attached)
        config->on_attached(config->context);
    return start_timer(recorder);
}

static void interrupted(Recorder *recorder, const struct signalfd_siginfo *info)
{
    (void)info;
    recorder->over = true;
}

/* Whether anybody is there, or may come. How members ended may take a moment to be known. */
static bool is_anybody_there(const Recorder *recorder)
{
    const FollowTable *table = &recorder->following->table;
    bool any = recorder->config->discover || recorder->members.live > 0;

    for (size_t i = 0; i < table->count && !any; i++)
        any = table->items[i].pid != 0 && !table->items[i].left;
    return any;
}

static bool is_over(Recorder *recorder)
{
    uint64_t expirations;

    if (recorder->over ||
        (recorder->timer >= 0 && read(recorder->timer, &expirations, sizeof(expirations)) > 0))
        return true;
    if (is_anybody_there(recorder))
        return false;
    recorder_take_kernel_events(recorder); /* the last one may have had a child */
    return !is_anybody_there(recorder);
}

static void finish(Recorder *recorder)
{
    recorder_take_kernel_events(recorder);
    for (size_t i = 0; i < recorder->members.count; i++)
        recorder_finish_member(recorder, &recorder->members.items[i]);
}

static void destroy(Recorder *recorder)
{
    if (recorder->following) {
        follow_table_fini(&recorder->following->table);
        attach_queue_fini(&recorder->following->queue);
        proc_look_forget(&recorder->following->look);
        free(recorder->following);
    }
    if (recorder->timer >= 0)
        close(recorder->timer);
}

const RecorderTarget recorder_attach_target = {
    .prepare = prepare,
    .start = start,
    .interrupted = interrupted,
    .told = told,
    .woken = woken,
    .detach = detach,
    .poll = poll_targets,
    .is_over = is_over,
    .finish = finish,
    .destroy = destroy,
};
