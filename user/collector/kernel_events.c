/* SPDX-License-Identifier: MIT */
#include "user/collector/kernel_events.h"

#include <errno.h>
#include <stdlib.h>

int kernel_events_add(KernelEvents *events, const AdaKernelLifecycle *record, const AdaKernelThread *thread)
{
    KernelEvent *event = malloc(sizeof(*event));

    if (!event)
        return -ENOMEM;
    *event = (KernelEvent){.record = *record};
    if (thread)
        event->thread = *thread;
    kernel_events_push(events, event);
    return 0;
}

void kernel_events_push(KernelEvents *events, KernelEvent *event)
{
    event->next = NULL;
    if (events->first)
        events->last->next = event;
    else
        events->first = event;
    events->last = event;
}

KernelEvent *kernel_events_pop(KernelEvents *events)
{
    KernelEvent *event = events->first;

    if (event)
        events->first = event->next;
    return event;
}

void kernel_events_free(KernelEvents *events)
{
    KernelEvent *event;

    while ((event = kernel_events_pop(events)) != NULL)
        free(event);
}
