/* SPDX-License-Identifier: MIT */
#include "user/report/span_builder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/array.h"
#include "user/report/event_name.h"

#define DEPTH_SATURATED 0xffffu /* an event's depth tells no more than that */
#define TABLE_FIRST 64u         /* a power of two */
#define FRAMES_FIRST 16u
#define FRAMES_KEPT 256u /* a stack with more room is freed when it gets empty */

/* An open span. */
typedef struct Frame {
    uint64_t id;
    uint64_t argument;
    int64_t begin_ns;
    int64_t sure_ns; /* unsure: it was open until then */
    uint64_t child_ns;
    uint64_t number;
    uint64_t tag;
    uint32_t flags; /* SPAN_FUNCTION, SPAN_EARLY, SPAN_UNSURE; all frames below an unsure one are unsure */
    uint32_t depth; /* as its begin says */
} Frame;

typedef struct Stack {
    const AdatReader *reader;
    const AdatThreadInfo *thread;
    const AdatProcessInfo *process;
    Frame *frames; /* the innermost one last */
    uint32_t count;
    uint32_t capacity;
    uint64_t skipped; /* begins beyond the innermost frame for which there was no room, and that have not ended */
    int64_t last_ns;  /* of its last event */
    size_t recording; /* of the builder's */
} Stack;

typedef struct Recording {
    const AdatReader *reader;
    int64_t last_ns; /* of the last event of all its threads */
} Recording;

struct SpanBuilder {
    SpanBuilderConfig config;
    Stack *stacks;
    size_t stack_count;
    size_t stack_capacity;
    size_t *table; /* by thread: index of its stack + 1; 0: free. Open addressing, at most half full */
    size_t table_mask;
    size_t last; /* stack of the last event + 1 */
    Recording *recordings;
    size_t recording_count;
    size_t recording_capacity;
    size_t frames; /* that the stacks have room for */
    uint64_t next_number;
    EventNames names;
    SpanCounts counts;
};

/* ---- stacks of threads ------------------------------------------------------------------------ */

static size_t *find_place(const SpanBuilder *builder, const AdatThreadInfo *thread)
{
    size_t at = (size_t)((uintptr_t)thread * UINT64_C(0x9e3779b97f4a7c15) >> 32);

    for (;; at++) {
        size_t *place = &builder->table[at & builder->table_mask];

        if (*place == 0 || builder->stacks[*place - 1].thread == thread)
            return place;
    }
}

static int grow_table(SpanBuilder *builder)
{
    size_t places = 2 * (builder->table_mask + 1);
    size_t *table = calloc(places, sizeof(*table));

    if (!table)
        return -ENOMEM;
    free(builder->table);
    builder->table = table;
    builder->table_mask = places - 1;
    for (size_t i = 0; i < builder->stack_count; i++)
        *find_place(builder, builder->stacks[i].thread) = i + 1;
    return 0;
}

static int find_recording(SpanBuilder *builder, const AdatReader *reader, size_t *index_out)
{
    for (size_t i = builder->recording_count; i > 0; i--) {
        if (builder->recordings[i - 1].reader == reader) {
            *index_out = i - 1;
            return 0;
        }
    }
    if (array_reserve_one(&builder->recordings, &builder->recording_capacity, builder->recording_count,
                          sizeof(*builder->recordings)))
        return -ENOMEM;
    *index_out = builder->recording_count;
    builder->recordings[builder->recording_count++] = (Recording){.reader = reader, .last_ns = INT64_MIN};
    return 0;
}

static int add_stack(SpanBuilder *builder, const AdatEvent *event)
{
    size_t recording;

    if (2 * (builder->stack_count + 1) > builder->table_mask && grow_table(builder))
        return -ENOMEM;
    if (array_reserve_one(&builder->stacks, &builder->stack_capacity, builder->stack_count,
                          sizeof(*builder->stacks)) ||
        find_recording(builder, event->reader, &recording))
        return -ENOMEM;
    builder->stacks[builder->stack_count] = (Stack){
        .reader = event->reader,
        .thread = event->thread,
        .process = event->process,
        .recording = recording,
    };
    *find_place(builder, event->thread) = ++builder->stack_count;
    return 0;
}

/* The stack of the event's thread; NULL: out of memory. */
static Stack *stack_of(SpanBuilder *builder, const AdatEvent *event)
{
    size_t found;

    if (builder->last > 0 && builder->stacks[builder->last - 1].thread == event->thread)
        return &builder->stacks[builder->last - 1];
    found = *find_place(builder, event->thread);
    if (found == 0) {
        if (add_stack(builder, event))
            return NULL;
        found = builder->stack_count;
    }
    builder->last = found;
    return &builder->stacks[found - 1];
}

/* 1: there is room for one more frame; 0: there may not be; -ENOMEM. */
static int reserve_frame(SpanBuilder *builder, Stack *stack)
{
    uint32_t capacity;
    Frame *frames;

    if (stack->count < stack->capacity)
        return 1;
    capacity = stack->capacity > 0 ? 2 * stack->capacity : FRAMES_FIRST;
    if (capacity > SPAN_DEPTH_MAX || builder->frames + capacity - stack->capacity > SPAN_OPEN_MAX)
        return 0;
    frames = reallocarray(stack->frames, capacity, sizeof(*frames));
    if (!frames)
        return -ENOMEM;
    builder->frames += capacity - stack->capacity;
    stack->frames = frames;
    stack->capacity = capacity;
    return 1;
}

static void free_frames(SpanBuilder *builder, Stack *stack)
{
    builder->frames -= stack->capacity;
    free(stack->frames);
    stack->frames = NULL;
    stack->count = stack->capacity = 0;
}

/* ---- spans ------------------------------------------------------------------------------------ */

/* The span of the frame at `index`, as far as it is known while it is open. */
static Span frame_span(const Stack *stack, uint32_t index)
{
    const Frame *frame = &stack->frames[index], *parent = index > 0 ? frame - 1 : NULL;

    return (Span){
        .reader = stack->reader,
        .thread = stack->thread,
        .process = stack->process,
        .id = frame->id,
        .argument = frame->argument,
        .begin_ns = frame->begin_ns,
        .number = frame->number,
        .parent = parent ? parent->number : 0,
        .depth = index,
        .flags = frame->flags & SPAN_FUNCTION,
        .tag = frame->tag,
        .parent_tag = parent ? parent->tag : 0,
    };
}

static void count_closed(SpanCounts *counts, uint32_t flags)
{
    switch (flags & SPAN_INCOMPLETE) {
    case SPAN_UNWOUND:
        counts->unwound++;
        break;
    case SPAN_CUT:
        counts->cut++;
        break;
    case SPAN_LOST:
        counts->lost++;
        break;
    case SPAN_UNSURE:
        counts->unsure++;
        break;
    case SPAN_EARLY:
        counts->early++;
        break;
    default:
        counts->complete++;
    }
}

/*
 * Closes the innermost frame at a time, with one of SPAN_INCOMPLETE or 0 as `how`. An unsure one may have ended long ago: unless its end is
 * here, all that is known is until when it was open.
 */
static int close_top(SpanBuilder *builder, Stack *stack, int64_t end_ns, uint32_t how, uint64_t result)
{
    const Frame *frame = &stack->frames[stack->count - 1];
    int64_t from_ns = builder->config.from_ns;
    int64_t counted_ns;
    uint64_t duration;
    Span span;

    if (frame->flags & SPAN_UNSURE) {
        if (how != 0)
            end_ns = frame->sure_ns;
        how = how == 0 ? SPAN_UNSURE : SPAN_LOST;
    }
    if (end_ns < frame->begin_ns)
        end_ns = frame->begin_ns;
    counted_ns = frame->begin_ns;
    if (end_ns < from_ns) {
        counted_ns = end_ns;
        how |= SPAN_PAST;
    } else if (frame->begin_ns < from_ns) {
        counted_ns = from_ns;
        builder->counts.begins++;
    }
    if (how == 0 && (frame->begin_ns < from_ns || frame->flags & SPAN_EARLY))
        how = SPAN_EARLY;
    duration = (uint64_t)end_ns - (uint64_t)counted_ns;
    if (stack->count > 1)
        stack->frames[stack->count - 2].child_ns += duration;
    if (!(how & SPAN_PAST))
        count_closed(&builder->counts, how);
    stack->count--;
    if (!builder->config.closed)
        return 0;
    span = frame_span(stack, stack->count);
    span.flags |= how;
    span.end_ns = end_ns;
    span.counted_ns = counted_ns;
    span.self_ns = duration > frame->child_ns ? duration - frame->child_ns : 0;
    span.result = result;
    return builder->config.closed(&span, builder->config.context);
}

static void mark_unsure(Stack *stack)
{
    for (uint32_t i = stack->count; i > 0 && !(stack->frames[i - 1].flags & SPAN_UNSURE); i--) {
        stack->frames[i - 1].flags |= SPAN_UNSURE;
        stack->frames[i - 1].sure_ns = stack->last_ns;
    }
    stack->skipped = 0;
}

/*
 * Closes unsure frames that are surely gone. `depth` is how many spans the thread said to be in, before this event. It never is less
 * than a frame's depth + 1 while that is open: longjmp(3) leaves it too high, nothing makes it too low.
 */
static int settle_unsure(SpanBuilder *builder, Stack *stack, uint32_t depth)
{
    int err = 0;

    while (err == 0 && stack->count > 0) {
        const Frame *top = &stack->frames[stack->count - 1];

        if (!(top->flags & SPAN_UNSURE) || top->depth < depth)
            break;
        err = close_top(builder, stack, top->sure_ns, SPAN_LOST, 0);
    }
    return err;
}

static int begin_span(SpanBuilder *builder, Stack *stack, const AdatEvent *event, uint64_t id, uint32_t flags)
{
    bool counts = event->time_ns >= builder->config.from_ns;
    int room;

    builder->counts.begins += counts;
    room = stack->skipped > 0 ? 0 : reserve_frame(builder, stack);
    if (room <= 0) {
        stack->skipped += room == 0;
        builder->counts.overflowed += room == 0 && counts;
        return room;
    }
    stack->frames[stack->count++] = (Frame){
        .id = id,
        .argument = event->event.argument,
        .begin_ns = event->time_ns,
        .number = ++builder->next_number,
        .flags = flags | (ADA_WORD_FLAGS(event->event.word) & ADA_FLAG_EARLIER ? SPAN_EARLY : 0),
        .depth = ADA_WORD_DEPTH(event->event.word),
    };
    if (builder->config.opened) {
        Span span = frame_span(stack, stack->count - 1);
        int err = builder->config.opened(&span, builder->config.context);

        stack->frames[stack->count - 1].tag = span.tag;
        return err;
    }
    return 0;
}

/* The place of the frame that an end closes, counted from 1; 0: it has none. */
static uint32_t find_frame(const Stack *stack, uint64_t id, uint64_t call_site, uint32_t flags)
{
    uint32_t last = stack->count > SPAN_SEARCH_MAX ? stack->count - SPAN_SEARCH_MAX : 0;
    uint32_t found = 0;

    for (uint32_t i = stack->count; i > last; i--) {
        const Frame *frame = &stack->frames[i - 1];

        if (frame->id != id || (frame->flags & SPAN_FUNCTION) != flags)
            continue;
        if (!(flags & SPAN_FUNCTION) || frame->argument == call_site)
            return i;
        if (found == 0)
            found = i;
    }
    return found;
}

static int end_span(SpanBuilder *builder, Stack *stack, const AdatEvent *event, uint64_t id, uint32_t flags)
{
    bool counts = event->time_ns >= builder->config.from_ns;
    uint32_t found;
    int err = 0;

    builder->counts.ends += counts;
    if (stack->skipped > 0) {
        stack->skipped--;
        builder->counts.overflowed_ends += counts;
        return 0;
    }
    found = find_frame(stack, id, event->event.argument, flags);
    if (found == 0) {
        builder->counts.unmatched_ends += counts;
        return 0;
    }
    while (err == 0 && stack->count > found)
        err = close_top(builder, stack, event->time_ns, SPAN_UNWOUND, 0);
    if (err == 0)
        err = close_top(builder, stack, event->time_ns, 0, event->event.argument);
    if (stack->count == 0 && stack->capacity > FRAMES_KEPT)
        free_frames(builder, stack);
    return err;
}

/* ---- builder ---------------------------------------------------------------------------------- */

int span_builder_create(const SpanBuilderConfig *config, SpanBuilder **builder_out)
{
    SpanBuilder *builder = calloc(1, sizeof(*builder));

    if (!builder)
        return -ENOMEM;
    builder->config = *config;
    builder->table_mask = TABLE_FIRST - 1;
    builder->table = calloc(TABLE_FIRST, sizeof(*builder->table));
    if (!builder->table) {
        free(builder);
        return -ENOMEM;
    }
    *builder_out = builder;
    return 0;
}

void span_builder_destroy(SpanBuilder *builder)
{
    if (!builder)
        return;
    for (size_t i = 0; i < builder->stack_count; i++)
        free(builder->stacks[i].frames);
    free(builder->stacks);
    free(builder->table);
    free(builder->recordings);
    event_names_fini(&builder->names);
    free(builder);
}

/* How many spans the thread was in before the event, as it says itself; UINT32_MAX: it does not. */
static uint32_t depth_before(const AdaIndexEvent *event)
{
    uint32_t kind = ADA_WORD_KIND(event->word), depth = ADA_WORD_DEPTH(event->word);

    if (depth == DEPTH_SATURATED)
        return UINT32_MAX;
    return kind == ADA_KIND_FUNCTION_EXIT || kind == ADA_KIND_SPAN_END ? depth + 1 : depth;
}

static int pair_event(SpanBuilder *builder, Stack *stack, const AdatEvent *event)
{
    uint64_t id = event->event.id;
    int err;

    switch (ADA_WORD_KIND(event->event.word)) {
    case ADA_KIND_FUNCTION_ENTRY:
        return begin_span(builder, stack, event, id, SPAN_FUNCTION);
    case ADA_KIND_FUNCTION_EXIT:
        return end_span(builder, stack, event, id, SPAN_FUNCTION);
    case ADA_KIND_SPAN_BEGIN:
        err = event_names_get(&builder->names, event->reader, event->process, id, &id);
        return err ? err : begin_span(builder, stack, event, id, 0);
    case ADA_KIND_SPAN_END:
        err = event_names_get(&builder->names, event->reader, event->process, id, &id);
        return err ? err : end_span(builder, stack, event, id, 0);
    default:
        return 0;
    }
}

int span_builder_add(SpanBuilder *builder, const AdatEvent *event)
{
    Stack *stack = stack_of(builder, event);
    Recording *recording;
    int err = 0;

    if (!stack)
        return -ENOMEM;
    if (event->after_loss)
        mark_unsure(stack);
    if (stack->count > 0 && (stack->frames[stack->count - 1].flags & SPAN_UNSURE))
        err = settle_unsure(builder, stack, depth_before(&event->event));
    if (err)
        return err;
    err = pair_event(builder, stack, event);
    stack->last_ns = event->time_ns;
    recording = &builder->recordings[stack->recording];
    if (recording->last_ns < event->time_ns)
        recording->last_ns = event->time_ns;
    return err;
}

int64_t span_cut_time(const AdatReader *reader, const AdatThreadInfo *thread, const AdatProcessInfo *process,
                      int64_t last_ns)
{
    if (thread->died && thread->death.ended_ns != 0)
        return adat_reader_monotonic_time(reader, thread->death.ended_ns);
    if (process->died && process->death.monotonic_ns != 0)
        return adat_reader_monotonic_time(reader, process->death.monotonic_ns);
    return last_ns;
}

static int64_t end_of_thread(const SpanBuilder *builder, const Stack *stack)
{
    int64_t end = span_cut_time(stack->reader, stack->thread, stack->process,
                                builder->recordings[stack->recording].last_ns);

    if (end < stack->last_ns)
        end = stack->last_ns;
    return end < builder->config.to_ns ? end : builder->config.to_ns;
}

int span_builder_finish(SpanBuilder *builder)
{
    int err = 0;

    for (size_t i = 0; err == 0 && i < builder->stack_count; i++) {
        Stack *stack = &builder->stacks[i];
        int64_t end = end_of_thread(builder, stack);

        while (err == 0 && stack->count > 0)
            err = close_top(builder, stack, end, SPAN_CUT, 0);
        free_frames(builder, stack);
    }
    return err;
}

SpanCounts span_builder_counts(const SpanBuilder *builder)
{
    return builder->counts;
}
