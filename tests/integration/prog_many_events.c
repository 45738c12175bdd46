/* SPDX-License-Identifier: MIT */
/* Records so many different events, once each: prog_many_events NUMBER. "event-N" has N as its argument. */
#include <stdio.h>
#include <stdlib.h>

#include <adatrace/adatrace.h>

/* The library keeps both: they are never freed. */
static ada_event *events;
static char (*names)[32];

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1;

    events = calloc(count, sizeof(*events));
    names = calloc(count, sizeof(*names));
    if (!events || !names)
        return 1;
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "event-%zu", i);
        events[i].name = names[i];
        events[i].kind = ADA_EVENT_INSTANT;
        (void)ada_emit(&events[i], ADA_EVENT_INSTANT, i);
    }
    return 0;
}
