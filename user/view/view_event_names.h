/* SPDX-License-Identifier: MIT */
/*
 * What events are called, and which of them tell of the scheduler: looked up once for each event of a process and for each function.
 */
#ifndef ADA_VIEW_VIEW_EVENT_NAMES_H
#define ADA_VIEW_VIEW_EVENT_NAMES_H

#include "user/reader/adat_cursor.h"
#include "user/reader/symbols.h"
#include "user/view/view_model.h"

typedef enum ViewEventClass {
    VIEW_EVENT_PLAIN,
    VIEW_EVENT_SWITCH_IN, /* of what the kernel tells of a thread */
    VIEW_EVENT_SWITCH_OUT,
    VIEW_EVENT_WAKEUP,
} ViewEventClass;

typedef struct ViewEventName {
    uint32_t name; /* in the model */
    ViewEventClass class;
} ViewEventName;

/* All zeros, but for `symbols` and `keys.bytes_max`, is an empty table. */
typedef struct ViewEventNames {
    AdatSymbols *symbols; /* borrowed; NULL: functions are called by module and offset */
    ViewNames keys;       /* number n is that of names[n - 1] */
    ViewEventName *names;
    size_t count;
    size_t capacity;
} ViewEventNames;

void view_event_names_init(ViewEventNames *names, AdatSymbols *symbols);
void view_event_names_fini(ViewEventNames *names);

/* `recording` is the place of the event's reader in its set. 0; -ENOMEM. */
int view_event_names_find(ViewEventNames *names, ViewModel *model, size_t recording, const AdatEvent *event,
                          ViewEventName *name_out);

/* Whether a process is what the kernel tells of one: its program's name says so. */
bool view_event_is_of_kernel(const AdatProcessInfo *process);

#endif
