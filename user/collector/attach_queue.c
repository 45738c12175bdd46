/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/attach_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "user/base/array.h"

#define NS_PER_S 1000000000ull

int attach_queue_init(AttachQueue *queue)
{
    *queue = (AttachQueue){.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
    return queue->timer < 0 ? -errno : 0;
}

void attach_queue_fini(AttachQueue *queue)
{
    for (size_t i = 0; i < queue->count; i++)
        attach_drop(&queue->items[i].hold);
    free(queue->items);
    if (queue->timer >= 0)
        close(queue->timer);
    *queue = (AttachQueue){.timer = -1};
}

/* To the next try; off if there is none. This also makes the timer unreadable again. */
static void set_timer(const AttachQueue *queue)
{
    struct itimerspec at = {0};
    uint64_t next = UINT64_MAX;

    for (size_t i = 0; i < queue->count; i++) {
        if (queue->items[i].due_ns < next)
            next = queue->items[i].due_ns;
    }
    if (next != UINT64_MAX)
        at.it_value =
            (struct timespec){.tv_sec = (time_t)(next / NS_PER_S), .tv_nsec = (long)(next % NS_PER_S)};
    (void)timerfd_settime(queue->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static AttachWait *find_search(AttachQueue *queue, pid_t pid)
{
    for (size_t i = 0; i < queue->count; i++) {
        if (queue->items[i].pid == pid && queue->items[i].hold.fd < 0)
            return &queue->items[i];
    }
    return NULL;
}

int attach_queue_add(AttachQueue *queue, pid_t pid, AttachHold *hold, uint64_t now)
{
    AttachWait *wait = hold ? NULL : find_search(queue, pid);
    int error;

    if (!wait) {
        error = array_reserve_one(&queue->items, &queue->capacity, queue->count, sizeof(queue->items[0]));
        if (error) {
            if (hold)
                attach_drop(hold);
            return error;
        }
        wait = &queue->items[queue->count++];
    }
    *wait = (AttachWait){.pid = pid, .hold = {.pidfd = -1, .fd = -1}, .due_ns = now};
    if (hold) {
        wait->hold = *hold;
        hold->pidfd = hold->fd = -1;
    }
    set_timer(queue);
    return 0;
}

static void remove_wait(AttachQueue *queue, size_t index)
{
    attach_drop(&queue->items[index].hold);
    queue->items[index] = queue->items[--queue->count];
}

void attach_queue_try(AttachQueue *queue, uint64_t now, attach_try_fn try_one, void *context)
{
    for (size_t i = queue->count; i-- > 0;) {
        AttachWait *wait = &queue->items[i];
        bool last = wait->pauses == ATTACH_QUEUE_PAUSES;

        if (wait->due_ns > now)
            continue;
        if (try_one(context, wait, last) || last)
            remove_wait(queue, i);
        else
            wait->due_ns = now + (ATTACH_QUEUE_FIRST_PAUSE_NS << wait->pauses++);
    }
    set_timer(queue);
}

void attach_queue_try_last(AttachQueue *queue, pid_t pid, attach_try_fn try_one, void *context)
{
    bool changed = false;

    for (size_t i = queue->count; i-- > 0;) {
        AttachWait *wait = &queue->items[i];

        if (wait->pid != pid)
            continue;
        if (wait->hold.fd >= 0)
            (void)try_one(context, wait, true);
        remove_wait(queue, i);
        changed = true;
    }
    if (changed)
        set_timer(queue);
}
