/* SPDX-License-Identifier: MIT */
/*
 * Processes that are about to have a segment: the memfd is made, or a program was loaded that may use the library, and what is missing takes
 * the process some 0.1 to 10 ms. Nobody tells when it is complete, so it is tried at once and again after 1, 2, 4 ... 1024 ms; then given up.
 *
 * One thread. A timer wakes its epoll when the next try is due, and is off while nobody waits.
 */
#ifndef ADA_COLLECTOR_ATTACH_QUEUE_H
#define ADA_COLLECTOR_ATTACH_QUEUE_H

#include "user/collector/attach.h"

#define ATTACH_QUEUE_FIRST_PAUSE_NS 1000000ull
#define ATTACH_QUEUE_PAUSES 11u /* each twice the one before: 2047 ms together */

typedef struct AttachWait {
    pid_t pid;
    AttachHold hold; /* fd -1: nothing is held, it is to be searched */
    uint64_t due_ns; /* CLOCK_MONOTONIC */
    uint32_t pauses; /* so far */
} AttachWait;

typedef struct AttachQueue {
    int timer; /* timerfd: readable when a try is due */
    AttachWait *items;
    size_t count;
    size_t capacity;
} AttachQueue;

/* One try. True: done with, whether it is attached to or never will be. What is left in wait->hold is dropped then. `last`: there is no other one. */
typedef bool (*attach_try_fn)(void *context, AttachWait *wait, bool last);

/* Errors of timerfd_create(2). */
int attach_queue_init(AttachQueue *queue);
void attach_queue_fini(AttachQueue *queue);

/*
 * Adds one whose first try is due now. `hold` is taken over, also on failure; NULL: nothing is held, and if the process waits like that already it
 * starts over. -ENOMEM.
 */
int attach_queue_add(AttachQueue *queue, pid_t pid, AttachHold *hold, uint64_t now);

/* Tries those that are due, and sets the timer for the next. The function must not change the queue. */
void attach_queue_try(AttachQueue *queue, uint64_t now, attach_try_fn try_one, void *context);

/* The process ends: tries what is held of it, for the last time. */
void attach_queue_try_last(AttachQueue *queue, pid_t pid, attach_try_fn try_one, void *context);

#endif
