/* SPDX-License-Identifier: MIT */
/* What the kernel told of threads, on its way from who reads it to the drain thread: a list, in the kernel's order. */
#ifndef ADA_COLLECTOR_KERNEL_EVENTS_H
#define ADA_COLLECTOR_KERNEL_EVENTS_H

#include "shared/kernel_abi.h"

typedef struct KernelEvent {
    struct KernelEvent *next;
    AdaKernelLifecycle record;
    AdaKernelThread thread; /* with an exit; generation 0: there is none */
} KernelEvent;

/* All zeros: empty. */
typedef struct KernelEvents {
    KernelEvent *first;
    KernelEvent *last;
} KernelEvents;

/* `thread` may be NULL. -ENOMEM. */
int kernel_events_add(KernelEvents *events, const AdaKernelLifecycle *record, const AdaKernelThread *thread);

/* Appends one that the list then owns. */
void kernel_events_push(KernelEvents *events, KernelEvent *event);

/* The first, which is the caller's then, to free(3); NULL: there is none. */
KernelEvent *kernel_events_pop(KernelEvents *events);

void kernel_events_free(KernelEvents *events);

#endif
