/* SPDX-License-Identifier: MIT */
#include "user/convert/event_walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN_EVENTS 256u /* a power of two */

/* The descriptor of an event that was looked for lately. */
typedef struct KnownEvent {
    const AdatReader *reader; /* NULL: the place is free */
    uint32_t process;
    uint64_t id;
    const AdaEventDescriptor *descriptor;
    size_t name_length;
} KnownEvent;

struct EventWalk {
    const AdatSet *set;
    EventWalkConfig config;
    AdatCursor *cursor;
    AdatEvent event;        /* that the cursor stands at */
    bool pending;           /* it was not returned yet */
    bool ended;             /* there are no more */
    int64_t no_mark_before; /* the next mark of all is not earlier */
    size_t *next_marks;     /* of each recording: marks before it were returned, or are not wanted */
    KnownEvent known[KNOWN_EVENTS];
    AdatField fields[ADA_EVENT_FIELDS_MAX];
    char name[ADAT_NAME_MAX]; /* that is nowhere else */
};

static const char *const kind_names[] = {
    [ADA_KIND_NONE] = "none",
    [ADA_KIND_FUNCTION_ENTRY] = "function_entry",
    [ADA_KIND_FUNCTION_EXIT] = "function_exit",
    [ADA_KIND_SPAN_BEGIN] = "span_begin",
    [ADA_KIND_SPAN_END] = "span_end",
    [ADA_KIND_INSTANT] = "instant",
    [ADA_KIND_COUNTER] = "counter",
    [ADA_KIND_TYPED] = "typed",
    [ADA_KIND_MARK] = "mark",
};
_Static_assert(sizeof(kind_names) / sizeof(kind_names[0]) == ADA_KIND_COUNT, "a name for each kind");

const char *event_kind_name(const AdaIndexEvent *event)
{
    uint32_t kind = ADA_WORD_KIND(event->word);

    return kind < ADA_KIND_COUNT ? kind_names[kind] : "unknown";
}

int event_walk_create(const AdatSet *set, const EventWalkConfig *config, EventWalk **walk_out)
{
    EventWalk *walk = calloc(1, sizeof(*walk));
    int err = -ENOMEM;

    if (!walk)
        return -ENOMEM;
    walk->set = set;
    walk->config = *config;
    walk->no_mark_before = INT64_MIN;
    walk->next_marks = calloc(adat_set_recording_count(set) + 1, sizeof(*walk->next_marks));
    if (walk->next_marks)
        err = adat_cursor_create_set(set, &config->cursor, &walk->cursor);
    if (err) {
        event_walk_destroy(walk);
        return err;
    }
    *walk_out = walk;
    return 0;
}

void event_walk_destroy(EventWalk *walk)
{
    if (!walk)
        return;
    adat_cursor_destroy(walk->cursor);
    free(walk->next_marks);
    free(walk);
}

uint64_t event_walk_vanished(const EventWalk *walk)
{
    return adat_cursor_vanished(walk->cursor);
}

uint64_t event_walk_realtime(const WalkedItem *item)
{
    return adat_reader_realtime(item->reader, item->mark ? item->mark->time_ns : item->event.event->time_ns);
}

/* ---- marks ------------------------------------------------------------------------------------ */

static bool is_wanted_mark(const EventWalk *walk, const AdatMarkInfo *mark)
{
    const AdatCursorConfig *config = &walk->config.cursor;

    if (mark->time_ns < config->from_ns || mark->time_ns > config->to_ns)
        return false;
    return !config->select || (mark->thread && config->select(mark->thread, config->context));
}

/* The recording whose next mark is the earliest, or NULL; and that mark. */
static const AdatReader *find_next_mark(const EventWalk *walk, size_t *recording_out,
                                        const AdatMarkInfo **mark_out)
{
    const AdatReader *found = NULL, *reader;

    for (size_t i = 0; (reader = adat_set_reader(walk->set, i)); i++) {
        const AdatMarkInfo *mark = adat_reader_mark(reader, walk->next_marks[i]);

        if (!mark || (found && mark->time_ns >= (*mark_out)->time_ns))
            continue;
        found = reader;
        *recording_out = i;
        *mark_out = mark;
    }
    return found;
}

/* The next wanted mark that is earlier than this: a mark comes after the event that it is about. */
static bool take_mark(EventWalk *walk, int64_t before_ns, WalkedItem *item_out)
{
    const AdatMarkInfo *mark = NULL;
    const AdatReader *reader;
    size_t recording = 0;

    if (before_ns <= walk->no_mark_before)
        return false;
    while ((reader = find_next_mark(walk, &recording, &mark)) && mark->time_ns < before_ns) {
        walk->next_marks[recording]++;
        if (is_wanted_mark(walk, mark)) {
            *item_out = (WalkedItem){.reader = reader, .mark = mark};
            return true;
        }
    }
    walk->no_mark_before = reader ? mark->time_ns : INT64_MAX;
    return false;
}

/* ---- events ----------------------------------------------------------------------------------- */

static const KnownEvent *find_event(EventWalk *walk, const AdatEvent *event)
{
    uint32_t process = event->process->process.process;
    KnownEvent *known = &walk->known[(event->event.id ^ process << 5) % KNOWN_EVENTS];

    if (known->reader == event->reader && known->process == process && known->id == event->event.id)
        return known;
    *known = (KnownEvent){
        .reader = event->reader,
        .process = process,
        .id = event->event.id,
        .descriptor = adat_reader_descriptor(event->reader, process, event->event.id),
    };
    if (known->descriptor)
        known->name_length = strlen(known->descriptor->name);
    return known;
}

static void name_function(EventWalk *walk, NamedEvent *named)
{
    const AdatEvent *event = &walk->event;
    uint32_t process = event->process->process.process;
    const AdatFunction *function = NULL;

    if (walk->config.symbols)
        function = adat_symbols_function(walk->config.symbols, event->reader, process, event->event.id);
    if (function) {
        named->name = function->name;
        named->name_length = function->length;
        named->module = function->module;
        return;
    }
    named->module = adat_reader_module(event->reader, process, event->event.id);
    named->name = walk->name;
    named->name_length = adat_reader_event_name(event->reader, process, &event->event, walk->name);
}

static void name_event(EventWalk *walk, NamedEvent *named)
{
    const AdatEvent *event = &walk->event;
    const KnownEvent *known;

    *named = (NamedEvent){.event = event};
    if (event_is_function(&event->event)) {
        name_function(walk, named);
        return;
    }
    known = find_event(walk, event);
    named->descriptor = known->descriptor;
    if (known->descriptor) {
        named->name = known->descriptor->name;
        named->name_length = known->name_length;
        return;
    }
    named->name = walk->name;
    named->name_length =
        adat_reader_event_name(event->reader, event->process->process.process, &event->event, walk->name);
}

int event_walk_fields(EventWalk *walk, NamedEvent *event)
{
    AdatDetail detail;
    int got;

    if (!(ADA_WORD_FLAGS(event->event->event.word) & ADA_FLAG_DETAIL))
        return 0;
    got = adat_cursor_detail(walk->cursor, &detail);
    if (got < 0)
        return got;
    event->fields = walk->fields;
    if (got > 0 && event->descriptor)
        event->field_count =
            adat_decode_fields(event->descriptor, detail.payload, detail.header.payload_size, walk->fields);
    return 0;
}

int event_walk_next(EventWalk *walk, WalkedItem *item_out)
{
    if (!walk->pending && !walk->ended) {
        int got = adat_cursor_next(walk->cursor, &walk->event);

        if (got < 0)
            return got;
        walk->pending = got > 0;
        walk->ended = got == 0;
    }
    if (take_mark(walk, walk->pending ? walk->event.time_ns : INT64_MAX, item_out))
        return 1;
    if (walk->ended)
        return 0;
    walk->pending = false;
    item_out->reader = walk->event.reader;
    item_out->mark = NULL;
    name_event(walk, &item_out->event);
    return 1;
}
