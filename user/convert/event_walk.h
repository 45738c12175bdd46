/* SPDX-License-Identifier: MIT */
/*
 * What is printed and exported of a set of traces, one thing after the other in the order of time: events with their names, and the marks
 * that the recorder set, each behind the event that it is about.
 *
 * Memory is that of the cursor (adat_cursor.h). One thread uses a walk at a time; the set and the symbols must outlive it.
 */
#ifndef ADA_CONVERT_EVENT_WALK_H
#define ADA_CONVERT_EVENT_WALK_H

#include "user/reader/adat_cursor.h"
#include "user/reader/symbols.h"

typedef struct EventWalk EventWalk;

typedef struct EventWalkConfig {
    AdatSymbols *symbols; /* NULL: functions are named by module and offset */
    /* With `select`, marks that are of no thread are left out, too. */
    AdatCursorConfig cursor;
} EventWalkConfig;

/* An event, with what is known of it; until the next step of the walk. */
typedef struct NamedEvent {
    const AdatEvent *event;
    const AdaEventDescriptor *descriptor; /* NULL: a function, or an event that was never described */
    const AdaModule *module;              /* of a function; NULL: it is in none, or this is none */
    const char *name; /* at most ADAT_NAME_MAX bytes, with the NUL; from the trace, or from an ELF file */
    size_t name_length;
    const AdatField *fields; /* set by event_walk_fields() */
    size_t field_count;
} NamedEvent;

typedef struct WalkedItem {
    const AdatReader *reader; /* of its recording */
    const AdatMarkInfo *mark; /* NULL: it is an event */
    NamedEvent event;         /* if it is one */
} WalkedItem;

/* -ENOMEM. */
int event_walk_create(const AdatSet *set, const EventWalkConfig *config, EventWalk **walk_out);

/* NULL is allowed. */
void event_walk_destroy(EventWalk *walk);

/* 1 and the next one; 0 at the end; errors as adat_cursor_next(). */
int event_walk_next(EventWalk *walk, WalkedItem *item_out);

/* Takes the payload of the event that was returned last apart. 0, also if there is none; errors as adat_cursor_next(). */
int event_walk_fields(EventWalk *walk, NamedEvent *event);

/* See adat_cursor_vanished(). */
uint64_t event_walk_vanished(const EventWalk *walk);

/* Nanoseconds of CLOCK_REALTIME of what was returned last. */
uint64_t event_walk_realtime(const WalkedItem *item);

static inline bool event_is_function(const AdaIndexEvent *event)
{
    uint32_t kind = ADA_WORD_KIND(event->word);

    return kind == ADA_KIND_FUNCTION_ENTRY || kind == ADA_KIND_FUNCTION_EXIT;
}

/* The argument is an int64_t: of counters, and of spans' ends, which may be -errno. */
static inline bool event_argument_is_signed(const AdaIndexEvent *event)
{
    uint32_t kind = ADA_WORD_KIND(event->word);

    return kind == ADA_KIND_COUNTER || kind == ADA_KIND_SPAN_END;
}

/* "function_entry", "span_begin" ...; "unknown" for a kind of a later version. */
const char *event_kind_name(const AdaIndexEvent *event);

#endif
