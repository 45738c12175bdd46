/* SPDX-License-Identifier: MIT */
/* What other threads ask of a recorder: noted under a lock, done by its own thread. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/collector/recorder_internal.h"
#include "user/collector/segment_claim.h"

int recorder_inbox_init(RecorderInbox *inbox)
{
    *inbox = (RecorderInbox){.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    pthread_mutex_init(&inbox->lock, NULL);
    return inbox->event < 0 ? -errno : 0;
}

static void drop_announcement(const Announcement *announcement)
{
    segment_release(announcement->segment);
    if (announcement->pidfd >= 0)
        close(announcement->pidfd);
}

void recorder_inbox_fini(RecorderInbox *inbox)
{
    for (size_t i = 0; i < inbox->count; i++)
        drop_announcement(&inbox->announcements[i]);
    free(inbox->announcements);
    free(inbox->done);
    pid_list_fini(&inbox->detach);
    if (inbox->event >= 0)
        close(inbox->event);
    pthread_mutex_destroy(&inbox->lock);
}

static void wake(const RecorderInbox *inbox)
{
    uint64_t one = 1;

    (void)!write(inbox->event, &one, sizeof(one)); /* fails only when it is full of wishes to wake */
}

void recorder_stop(Recorder *recorder)
{
    RecorderInbox *inbox = &recorder->inbox;

    pthread_mutex_lock(&inbox->lock);
    inbox->stop = true;
    pthread_mutex_unlock(&inbox->lock);
    wake(inbox);
}

/* One that is gone has claimed its segment, for what others know: ADA_ANNOUNCE_CLAIMED. */
void recorder_adopt(Recorder *recorder, int fd, const char *name)
{
    long pid = strtol(name, NULL, 10);

    recorder_announce(recorder, &(Announcement){.type = ADA_ANNOUNCE_CLAIMED,
                                                .pid = pid > 0 && pid <= INT32_MAX ? (pid_t)pid : 0,
                                                .pidfd = -1,
                                                .segment = fd,
                                                .answer_to = -1});
}

void recorder_note_done(void *context, uint32_t number)
{
    Recorder *recorder = context;
    RecorderInbox *inbox = &recorder->inbox;

    pthread_mutex_lock(&inbox->lock);
    /* Without memory the claim ends with the recorder. */
    if (array_reserve_one(&inbox->done, &inbox->done_capacity, inbox->done_count, sizeof(inbox->done[0])) == 0)
        inbox->done[inbox->done_count++] = number;
    pthread_mutex_unlock(&inbox->lock);
    wake(inbox);
}

void recorder_announce(Recorder *recorder, const Announcement *announcement)
{
    RecorderInbox *inbox = &recorder->inbox;
    int error;

    pthread_mutex_lock(&inbox->lock);
    error = array_reserve_one(&inbox->announcements, &inbox->capacity, inbox->count,
                              sizeof(inbox->announcements[0]));
    if (!error)
        inbox->announcements[inbox->count++] = *announcement;
    pthread_mutex_unlock(&inbox->lock);
    if (error)
        drop_announcement(announcement); /* without memory it is not recorded, unless it is found some other way */
    else
        wake(inbox);
}

void recorder_rotate(Recorder *recorder)
{
    session_next_file(recorder->session);
}

void recorder_detach(Recorder *recorder, pid_t pid)
{
    RecorderInbox *inbox = &recorder->inbox;

    pthread_mutex_lock(&inbox->lock);
    (void)pid_list_add(&inbox->detach, pid); /* without memory it is recorded on, as can be seen */
    pthread_mutex_unlock(&inbox->lock);
    wake(inbox);
}

void recorder_mark(Recorder *recorder, pid_t pid)
{
    session_mark(recorder->session, pid);
}

static void take_announcement(Recorder *recorder, Announcement *announcement)
{
    if (announcement->type == ADA_ANNOUNCE_CLAIMED) {
        recorder_accept_orphan(recorder, announcement->segment, announcement->pid);
        return;
    }
    recorder_accept_own(recorder, announcement);
    if (announcement->segment >= 0)
        drop_announcement(announcement);
}

void recorder_take_inbox(Recorder *recorder)
{
    RecorderInbox *inbox = &recorder->inbox;
    RecorderInbox todo;
    uint64_t wakes;

    (void)!read(inbox->event, &wakes, sizeof(wakes)); /* empty is as good */
    pthread_mutex_lock(&inbox->lock);
    todo = *inbox;
    inbox->announcements = NULL;
    inbox->count = inbox->capacity = 0;
    inbox->done = NULL;
    inbox->done_count = inbox->done_capacity = 0;
    inbox->detach = (PidList){0};
    pthread_mutex_unlock(&inbox->lock);
    recorder->over |= todo.stop;
    for (size_t i = 0; i < todo.count; i++)
        take_announcement(recorder, &todo.announcements[i]);
    for (size_t i = 0; recorder->target->detach && i < todo.detach.count; i++)
        recorder->target->detach(recorder, todo.detach.items[i]);
    for (size_t i = 0; i < todo.done_count; i++)
        recorder_release_claim(recorder, todo.done[i]);
    pid_list_fini(&todo.detach);
    free(todo.announcements);
    free(todo.done);
}
