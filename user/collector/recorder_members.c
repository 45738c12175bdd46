/* SPDX-License-Identifier: MIT */
/* The processes that are recorded: where they come from, what is asked about them, how they end. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/collector/launch.h"
#include "user/collector/recorder_internal.h"
#include "user/collector/segment_claim.h"
#include "user/export/metrics_json.h"
#include "user/lane/clock.h"

#define RECORDER_END_TRIES 4 /* polls to wait for the parent of a process to learn its exit status */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void release_segment(int *fd)
{
    segment_release(*fd);
    *fd = -1;
}

/* ---- claims ------------------------------------------------------------------------------------- */

/* As long as a segment is recorded no other has its pid and its inode. */
static void name_segment(const Member *member, char name[RECORDER_SEGMENT_NAME])
{
    (void)snprintf(name, RECORDER_SEGMENT_NAME, "%d-%llu", (int)member->pid, (unsigned long long)member->inode);
}

static void tell_segment(const Recorder *recorder, const char *name, int fd)
{
    if (recorder->config->on_segment)
        recorder->config->on_segment(recorder->config->context, name, fd);
}

/* The claim is kept until the session has drained what is left, lest somebody else does. */
static void keep_claim(Recorder *recorder, Member *member)
{
    LastClaims *claims = &recorder->last_claims;
    LastClaim claim = {.number = member->number, .segment = member->segment};

    name_segment(member, claim.name);
    member->segment = -1;
    if (array_reserve_one(&claims->items, &claims->capacity, claims->count, sizeof(claims->items[0])) == 0) {
        claims->items[claims->count++] = claim;
        return;
    }
    tell_segment(recorder, claim.name, -1); /* without memory it ends too early: a risk, and no loss */
    segment_release(claim.segment);
}

static void release_claim(Recorder *recorder, size_t index)
{
    LastClaims *claims = &recorder->last_claims;

    tell_segment(recorder, claims->items[index].name, -1);
    segment_release(claims->items[index].segment);
    claims->items[index] = claims->items[--claims->count];
}

void recorder_release_claim(Recorder *recorder, uint32_t number)
{
    for (size_t i = 0; i < recorder->last_claims.count; i++) {
        if (recorder->last_claims.items[i].number == number) {
            release_claim(recorder, i);
            return;
        }
    }
}

/* ---- members ------------------------------------------------------------------------------------ */

void recorder_end_member(Recorder *recorder, Member *member, ProcessEnd end)
{
    if (member->ended)
        return;
    member->ended = true;
    member->next_free = recorder->members.first_free;
    recorder->members.first_free = (size_t)(member - recorder->members.items) + 1;
    recorder->members.live--;
    session_tell_kernel_events(recorder->session, &recorder->kernel_events); /* ends of its threads came first */
    close_fd(&member->pidfd); /* leaves the epoll set with it */
    keep_claim(recorder, member);
    session_process_ended(recorder->session, member->number, end);
}

void recorder_supersede(Recorder *recorder, pid_t pid, uint64_t now)
{
    for (size_t i = 0; i < recorder->members.count; i++) {
        Member *member = &recorder->members.items[i];

        member->superseded |= !member->ended && member->pid == pid && member->taken_ns <= now;
    }
}

void recorder_end_superseded(Recorder *recorder)
{
    for (size_t i = 0; i < recorder->members.count; i++) {
        if (recorder->members.items[i].superseded)
            recorder_end_member(recorder, &recorder->members.items[i], (ProcessEnd){.kind = ADAT_DEATH_EXEC});
    }
}

/* A place that nobody has any more, or a new one. 0 or -ENOMEM. */
static int find_place(Members *members, size_t *index_out)
{
    int error;

    if (members->first_free > 0) {
        *index_out = members->first_free - 1;
        return 0;
    }
    error = array_reserve_one(&members->items, &members->capacity, members->count, sizeof(members->items[0]));
    if (!error)
        *index_out = members->count;
    return error;
}

static void put_member(Members *members, size_t index, const Member *member)
{
    if (index == members->count)
        members->count++;
    else
        members->first_free = members->items[index].next_free;
    members->items[index] = *member;
    members->live++;
}

Member *recorder_find_member(Recorder *recorder, pid_t pid)
{
    for (size_t i = 0; i < recorder->members.count; i++) {
        Member *member = &recorder->members.items[i];

        if (member->pid == pid && !member->ended && !member->superseded)
            return member;
    }
    return NULL;
}

int recorder_add_member(Recorder *recorder, const Segment *segment, int fd, int descriptor, pid_t pid, int pidfd)
{
    Members *members = &recorder->members;
    Member member = {.pid = pid,
                     .pidfd = pidfd,
                     .segment = fd,
                     .descriptor = descriptor,
                     .taken_ns = ada_clock_monotonic_ns()};
    char name[RECORDER_SEGMENT_NAME];
    struct stat status;
    size_t index = 0;
    pid_t holder;
    int error;

    if (fstat(fd, &status) < 0)
        return -errno;
    member.device = status.st_dev;
    member.inode = status.st_ino;
    error = find_place(members, &index);
    if (!error)
        error = segment_claim(fd, pid, &holder);
    if (!error)
        error = session_attach(recorder->session, segment, pid, &member.number);
    if (error)
        return error;
    put_member(members, index, &member);
    name_segment(&member, name);
    tell_segment(recorder, name, fd);
    if (pidfd >= 0)
        (void)recorder_watch(recorder, pidfd, RECORDER_WATCH_PROCESS + (uint32_t)index);
    return 0;
}

void recorder_accept_orphan(Recorder *recorder, int fd, pid_t pid)
{
    const ProcessEnd unknown = {.kind = ADAT_DEATH_UNKNOWN};
    Member orphan = {.pid = pid, .segment = fd};
    char name[RECORDER_SEGMENT_NAME];
    Segment segment;
    struct stat status;
    pid_t holder;

    if (fstat(fd, &status) < 0 || segment_is_claimed_here(status.st_dev, status.st_ino, NULL) ||
        segment_attach(fd, &segment) != 0) {
        segment_release(fd);
        return;
    }
    if (segment_claim(fd, pid, &holder) != 0 ||
        session_attach_ended(recorder->session, &segment, pid, unknown, &orphan.number) != 0) {
        segment_unmap(&segment);
        segment_release(fd);
        return;
    }
    orphan.inode = status.st_ino;
    name_segment(&orphan, name);
    tell_segment(recorder, name, fd);
    keep_claim(recorder, &orphan);
}

/* ---- announcements ----------------------------------------------------------------------------- */

void recorder_accept_own(Recorder *recorder, Announcement *announcement)
{
    struct stat status;
    Segment segment;

    if (fstat(announcement->segment, &status) < 0 ||
        segment_is_claimed_here(status.st_dev, status.st_ino, NULL))
        return; /* it says so again */
    if (recorder_has_let_go(recorder, announcement->pid))
        return;
    if (segment_attach(announcement->segment, &segment) != 0)
        return; /* not a segment of ours: whoever sent it is not traced */
    recorder_supersede(recorder, announcement->pid, UINT64_MAX);
    if (recorder_add_member(recorder, &segment, announcement->segment, -1, announcement->pid,
                            announcement->pidfd) != 0)
        segment_unmap(&segment);
    else
        announcement->pidfd = announcement->segment = -1;
    recorder_take_kernel_events(recorder);
}

/* Somebody took over the segment that was made for the command: the command itself, or what it started. */
static void accept_claimed(Recorder *recorder, Announcement *announcement)
{
    Member *member = recorder->command ? &recorder->members.items[0] : NULL;
    struct stat status;

    if (!member || member->ended || member->pid != 0 || fstat(announcement->segment, &status) < 0 ||
        status.st_ino != member->inode || status.st_dev != member->device)
        return;
    member->pid = announcement->pid;
    member->taken_ns = ada_clock_monotonic_ns();
    member->pidfd = announcement->pidfd;
    announcement->pidfd = -1;
    if (member->pidfd >= 0)
        (void)recorder_watch(recorder, member->pidfd, RECORDER_WATCH_PROCESS);
    session_identify(recorder->session, member->number, member->pid);
}

static void mark_member(Recorder *recorder, Announcement *announcement)
{
    bool known = recorder_find_member(recorder, announcement->pid) != NULL;

    if (known)
        session_mark(recorder->session, announcement->pid);
    announce_server_answer(announcement, known);
}

/* The latest metrics in a file of memory that nobody can change any more. Its descriptor, or -1: none, or no memory. */
static int make_report(MetricsHub *hub)
{
    const MetricsSnapshot *snapshot = metrics_hub_acquire(hub);
    FILE *out = NULL;
    int fd = -1;

    if (!snapshot)
        return -1;
    fd = memfd_create("adatrace-metrics", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0)
        out = fdopen(dup(fd), "w");
    if (out) {
        bool failed;

        metrics_json_write(snapshot, out);
        failed = ferror(out);
        failed |= fclose(out) != 0;
        if (!failed && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0)
            goto out;
    }
    if (fd >= 0)
        close(fd);
    fd = -1;
out:
    metrics_snapshot_release(snapshot);
    return fd;
}

static void report_metrics(Recorder *recorder, Announcement *announcement)
{
    int fd = make_report(&recorder->metrics);

    announce_server_report(announcement, fd);
    if (fd >= 0)
        close(fd);
}

void recorder_take_announcements(Recorder *recorder)
{
    uint64_t now = ada_clock_monotonic_ns();
    Announcement announcement;

    while (announce_server_next(&recorder->server, &announcement) == 1) {
        if (announcement.type == ADA_ANNOUNCE_MARK) {
            mark_member(recorder, &announcement);
            continue;
        }
        if (announcement.type == ADA_ANNOUNCE_METRICS) {
            report_metrics(recorder, &announcement);
            continue;
        }
        if (announcement.type == ADA_ANNOUNCE_CLAIMED)
            accept_claimed(recorder, &announcement);
        else
            recorder_accept_own(recorder, &announcement);
        release_segment(&announcement.segment);
        close_fd(&announcement.pidfd);
    }
    recorder->announced_ns = now;
}

/* ---- ends --------------------------------------------------------------------------------------- */

/* The command's own end comes from waitpid(2), the others' from the kernel if it tells. */
void recorder_check_member(Recorder *recorder, size_t index)
{
    Member *member = &recorder->members.items[index];
    uint32_t number = member->number;
    ProcessEnd end;

    if (member->ended || member->pidfd < 0 || (recorder->command && member->pid == recorder->command) ||
        !process_has_ended(member->pidfd))
        return;
    recorder_take_kernel_events(recorder);    /* all its threads have ended: their records are there */
    member = &recorder->members.items[index]; /* others may have come, */
    if (member->ended || member->number != number)
        return; /* and it have gone */
    end = process_ask_end(member->pidfd);
    if (end.kind != 0)
        recorder_end_member(recorder, member, end);
    else if (member->tries++ >= RECORDER_END_TRIES)
        recorder_end_member(recorder, member, (ProcessEnd){.kind = ADAT_DEATH_UNKNOWN});
    else { /* a zombie: not again for every epoll_wait(), but with the next poll */
        (void)epoll_ctl(recorder->epoll, EPOLL_CTL_DEL, member->pidfd, NULL);
        recorder->polling = true;
    }
}

void recorder_check_members(Recorder *recorder)
{
    recorder->checked_at = ada_clock_monotonic_ns();
    recorder->polling = false;
    for (size_t i = 0; i < recorder->members.count; i++)
        recorder_check_member(recorder, i);
}

void recorder_finish_member(Recorder *recorder, Member *member)
{
    ProcessEnd end = {.kind = ADAT_DEATH_UNKNOWN};
    ProcessEnd known;

    if (member->ended || (member->pidfd >= 0 && !process_has_ended(member->pidfd)))
        return; /* it goes on, and is left when the session stops */
    known = process_ask_end(member->pidfd);
    recorder_end_member(recorder, member, known.kind != 0 ? known : end);
}

void recorder_members_fini(Recorder *recorder)
{
    for (size_t i = 0; i < recorder->members.count; i++) {
        Member *member = &recorder->members.items[i];

        close_fd(&member->pidfd);
        if (member->segment >= 0)
            keep_claim(recorder, member);
    }
    while (recorder->last_claims.count > 0)
        release_claim(recorder, recorder->last_claims.count - 1);
    free(recorder->last_claims.items);
    free(recorder->members.items);
}
