/* SPDX-License-Identifier: MIT */
/*
 * Events of the same name: a program registers an event at each place in its code that emits it, so a span mostly begins with one id and ends
 * with another. All ids of a name in a process stand for one of them here.
 */
#ifndef ADA_REPORT_EVENT_NAME_H
#define ADA_REPORT_EVENT_NAME_H

#include "user/reader/adat_reader.h"
#include "user/report/key_map.h"

/* All zero is an empty one. */
typedef struct EventNames {
    KeyMap ids;   /* by process and id: the id that stands for its name */
    KeyMap names; /* by process and hash of a name: the first id that was asked for */
} EventNames;

/* The id that stands for an event's name; its own if it has no name. 0 or -ENOMEM. */
int event_names_get(EventNames *names, const AdatReader *reader, const AdatProcessInfo *process, uint64_t id,
                    uint64_t *id_out);

void event_names_fini(EventNames *names);

#endif
