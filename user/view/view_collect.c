/* SPDX-License-Identifier: MIT */
#include "user/view/view_collect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/report/span_builder.h"
#include "user/view/view_event_names.h"
#include "user/view/field_text.h"
#include "user/view/sched_states.h"

#define PROGRESS_STEP 65536u /* events */

/* A thread on its way through the trace. */
typedef struct ThreadWalk {
    uint32_t number; /* in its recording */
    uint32_t track;
    bool selected;
    bool begun; /* it has had an event */
    bool of_kernel;
    int64_t last_ns;
    uint64_t next_record;
    SchedThread sched;
} ThreadWalk;

typedef struct RecordingWalk {
    const AdatReader *reader;
    ThreadWalk *threads; /* by number, as the reader has them */
    size_t thread_count;
} RecordingWalk;

typedef struct Collector {
    const AdatSet *set;
    const ViewCollectConfig *config;
    ViewModel *model;
    ViewCounts *counts;
    ViewEventNames names;
    uint32_t state_names[SCHED_STATES];
    RecordingWalk *recordings;
    size_t recording_count;
    AdatCursor *cursor;
    SpanBuilder *spans;
    uint64_t read;   /* events, those before the time that is shown included */
    int64_t last_ns; /* of all events */
} Collector;

/* ---- threads and processes ------------------------------------------------------------------- */

static int name_process(ViewModel *model, uint32_t process, const AdatProcessInfo *info)
{
    const char *program = adat_strings_find(info->strings, "program");
    const char *command = adat_strings_find(info->strings, "command");
    ViewProcess *known = &model->processes[process];
    int error = 0;

    /* What the kernel tells of a process is not its own word; it will do if there is no other. */
    if (view_event_is_of_kernel(info) && known->program != 0)
        return 0;
    if (program)
        error = view_model_name(model, program, strlen(program), &known->program);
    if (!error && command)
        error = view_model_name(model, command, strlen(command), &model->processes[process].command);
    return error;
}

static int add_thread(Collector *collector, size_t recording, size_t index, const AdatThreadInfo *info)
{
    RecordingWalk *walk = &collector->recordings[recording];
    const AdatProcessInfo *process = adat_reader_process(walk->reader, info->process);
    ViewModel *model = collector->model;
    ThreadWalk *thread = &walk->threads[index];
    uint32_t owner = 0;
    int error;

    *thread = (ThreadWalk){.number = info->thread.thread, .of_kernel = view_event_is_of_kernel(process)};
    thread->selected =
        !collector->config->select || collector->config->select(info, collector->config->context);
    if (!thread->selected)
        return 0;
    error = view_model_process(model, recording, process->process.pid, &owner);
    if (!error)
        error = name_process(model, owner, process);
    if (!error)
        error = view_model_track(model, owner, info->thread.tid, &thread->track);
    /* a thread may have changed its name: the last one that its program gave it counts */
    if (!error && info->thread.name[0] != '\0' && (!thread->of_kernel || model->tracks[thread->track].name == 0))
        error = view_model_name(model, info->thread.name, strnlen(info->thread.name, sizeof(info->thread.name)),
                                &model->tracks[thread->track].name);
    if (!error)
        model->tracks[thread->track].lost += info->events.dropped_full + info->events.dropped_nested +
                                             info->events.dropped_io + info->events.torn;
    return error;
}

static int add_recording(Collector *collector, size_t recording)
{
    RecordingWalk *walk = &collector->recordings[recording];
    const AdatThreadInfo *thread;
    int error = 0;

    walk->reader = adat_set_reader(collector->set, recording);
    while (adat_reader_thread(walk->reader, walk->thread_count))
        walk->thread_count++;
    walk->threads = calloc(walk->thread_count + 1, sizeof(*walk->threads));
    if (!walk->threads)
        return -ENOMEM;
    for (size_t i = 0; !error && (thread = adat_reader_thread(walk->reader, i)); i++)
        error = add_thread(collector, recording, i, thread);
    return error;
}

static size_t recording_of(const Collector *collector, const AdatReader *reader)
{
    size_t recording = 0;

    while (recording + 1 < collector->recording_count && collector->recordings[recording].reader != reader)
        recording++;
    return recording;
}

static ThreadWalk *thread_of(const Collector *collector, const AdatReader *reader, const AdatThreadInfo *thread)
{
    const RecordingWalk *walk = &collector->recordings[recording_of(collector, reader)];
    size_t low = 0, high = walk->thread_count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (walk->threads[middle].number <= thread->thread.thread)
            low = middle;
        else
            high = middle;
    }
    return &walk->threads[low];
}

/* ---- events ---------------------------------------------------------------------------------- */

static ViewItem item_at(int64_t start, uint64_t duration, uint32_t name)
{
    return (ViewItem){.start = start, .duration = duration, .busy = duration, .name = name, .count = 1};
}

/* The fields of the event that the cursor stands at. How many, or -errno. */
static int read_fields(const Collector *collector, const AdatEvent *event, AdatField *fields)
{
    const AdaEventDescriptor *descriptor =
        adat_reader_descriptor(event->reader, event->process->process.process, event->event.id);
    AdatDetail detail;
    int got;

    if (!(ADA_WORD_FLAGS(event->event.word) & ADA_FLAG_DETAIL) || !descriptor)
        return 0;
    got = adat_cursor_detail(collector->cursor, &detail);
    return got <= 0 ? got
                    : (int)adat_decode_fields(descriptor, detail.payload, detail.header.payload_size, fields);
}

/* What was over before the time that is shown is left out; what began before it is shown as it is. */
static bool is_shown(const Collector *collector, const ViewItem *item)
{
    return view_item_end(item) >= collector->config->from_ns;
}

static int add_state(const Collector *collector, const ThreadWalk *thread, SchedState state, ViewItem *item)
{
    if (state == SCHED_UNKNOWN || !is_shown(collector, item))
        return 0;
    item->name = collector->state_names[state];
    return view_model_add(collector->model, thread->track, VIEW_ROW_SCHED, 0, item);
}

static int add_sched_event(Collector *collector, ThreadWalk *thread, const AdatEvent *event,
                           ViewEventClass class)
{
    AdatField fields[ADA_EVENT_FIELDS_MAX];
    SchedFields read;
    ViewItem item;
    int got = read_fields(collector, event, fields);

    if (got < 0)
        return got;
    collector->counts->sched |= event->time_ns >= collector->config->from_ns;
    read = sched_fields(fields, (size_t)got);
    return add_state(
        collector, thread,
        sched_thread_event(&thread->sched, class, event->time_ns, event->event.argument, &read, &item), &item);
}

static int add_instant(Collector *collector, const ThreadWalk *thread, const AdatEvent *event, uint32_t name)
{
    bool mark = ADA_WORD_KIND(event->event.word) == ADA_KIND_MARK;
    AdatField fields[ADA_EVENT_FIELDS_MAX];
    ViewItem item = item_at(event->time_ns, 0, name);
    int got = read_fields(collector, event, fields), error;
    FieldText text;

    if (got < 0)
        return got;
    field_text_format(&text, fields, (size_t)got);
    error = view_model_text(collector->model, text.bytes, text.size, &item.text);
    item.first = event->event.argument;
    item.flags = VIEW_HAS_FIRST;
    return error ? error
                 : view_model_add(collector->model, thread->track, mark ? VIEW_ROW_MARK : VIEW_ROW_INSTANT, 0,
                                  &item);
}

/* Of the values before the time that is shown, the last one is what it begins with. */
static int add_value(const Collector *collector, const ThreadWalk *thread, const AdatEvent *event, uint32_t name)
{
    uint32_t process = collector->model->tracks[thread->track].process;
    ViewItem item = item_at(event->time_ns, 0, name);

    item.first = item.second = event->event.argument;
    return event->time_ns < collector->config->from_ns
               ? view_model_begin_value(collector->model, process, &item)
               : view_model_add_value(collector->model, process, &item);
}

/* What may have been lost before an event: from the one before it on. How many it was is known if they had numbers. */
static int add_loss(const Collector *collector, ThreadWalk *thread, const AdatEvent *event)
{
    ViewItem item = item_at(thread->last_ns, (uint64_t)(event->time_ns - thread->last_ns), 0);

    sched_thread_forget(&thread->sched);
    if (!is_shown(collector, &item))
        return 0;
    if (event->record > thread->next_record) {
        item.first = event->record - thread->next_record;
        item.flags = VIEW_HAS_FIRST;
    }
    return view_model_add(collector->model, thread->track, VIEW_ROW_LOST, 0, &item);
}

static int add_single(Collector *collector, ThreadWalk *thread, const AdatEvent *event)
{
    ViewEventName name;
    int error = view_event_names_find(&collector->names, collector->model,
                                      recording_of(collector, event->reader), event, &name);

    if (error)
        return error;
    if (name.class != VIEW_EVENT_PLAIN)
        return add_sched_event(collector, thread, event, name.class);
    if (ADA_WORD_KIND(event->event.word) == ADA_KIND_COUNTER)
        return add_value(collector, thread, event, name.name);
    if (event->time_ns < collector->config->from_ns)
        return 0;
    return add_instant(collector, thread, event, name.name);
}

static int add_event(Collector *collector, const AdatEvent *event)
{
    ThreadWalk *thread = thread_of(collector, event->reader, event->thread);
    int error = 0;

    collector->counts->events += event->time_ns >= collector->config->from_ns;
    collector->last_ns = event->time_ns;
    if (event->after_loss && thread->begun)
        error = add_loss(collector, thread, event);
    thread->begun = true;
    thread->last_ns = event->time_ns;
    thread->next_record = event->record + 1;
    if (error)
        return error;
    switch (ADA_WORD_KIND(event->event.word)) {
    case ADA_KIND_FUNCTION_ENTRY:
    case ADA_KIND_FUNCTION_EXIT:
    case ADA_KIND_SPAN_BEGIN:
    case ADA_KIND_SPAN_END:
        return span_builder_add(collector->spans, event);
    default:
        return add_single(collector, thread, event);
    }
}

/* ---- spans ----------------------------------------------------------------------------------- */

static uint32_t flags_of(const Span *span)
{
    uint32_t flags = 0;

    if (!(span->flags & SPAN_FUNCTION))
        flags |= VIEW_HAS_FIRST | (span->flags & (SPAN_INCOMPLETE & ~SPAN_UNSURE) ? 0 : VIEW_HAS_SECOND);
    flags |= span->flags & SPAN_CUT ? VIEW_OPEN_END : 0;
    flags |= span->flags & SPAN_UNWOUND ? VIEW_UNWOUND : 0;
    return flags | (span->flags & (SPAN_LOST | SPAN_UNSURE) ? VIEW_UNSURE : 0);
}

/* The call site of a function is of no use without the caller, which is the span around it. */
static int add_span(const Span *span, void *context)
{
    Collector *collector = context;
    ThreadWalk *thread = thread_of(collector, span->reader, span->thread);
    bool function = span->flags & SPAN_FUNCTION;
    const AdatEvent begin = {.reader = span->reader,
                             .thread = span->thread,
                             .process = span->process,
                             .event.id = span->id,
                             .event.word = function ? ADA_KIND_FUNCTION_ENTRY : ADA_KIND_SPAN_BEGIN};
    ViewItem item = item_at(span->begin_ns, span_duration(span), 0);
    ViewEventName name;
    int error;

    if (!is_shown(collector, &item))
        return 0;
    error = view_event_names_find(&collector->names, collector->model, recording_of(collector, span->reader),
                                  &begin, &name);
    if (error)
        return error;
    item.name = name.name;
    item.flags = flags_of(span);
    item.first = function ? 0 : span->argument;
    item.second = function ? 0 : span->result;
    return view_model_add(collector->model, thread->track, thread->of_kernel ? VIEW_ROW_CALL : VIEW_ROW_SPAN,
                          span->depth, &item);
}

/* ---- marks, and the end ---------------------------------------------------------------------- */

static int add_mark(const Collector *collector, const AdatReader *reader, const AdatMarkInfo *mark)
{
    const ThreadWalk *thread = mark->thread ? thread_of(collector, reader, mark->thread) : NULL;
    ViewItem item = item_at(mark->time_ns, 0, 0);
    int error;

    if (mark->time_ns < collector->config->from_ns || mark->time_ns > collector->config->to_ns ||
        (thread && !thread->selected))
        return 0;
    error = view_model_name(collector->model, mark->mark.reason, strlen(mark->mark.reason), &item.name);
    return error ? error
                 : view_model_add(collector->model, thread ? thread->track : VIEW_NO_TRACK, VIEW_ROW_MARK, 0,
                                  &item);
}

static int add_marks(const Collector *collector)
{
    const AdatReader *reader;
    int error = 0;

    for (size_t i = 0; !error && (reader = adat_set_reader(collector->set, i)); i++)
        for (size_t k = 0; !error && k < adat_reader_mark_count(reader); k++)
            error = add_mark(collector, reader, adat_reader_mark(reader, k));
    return error;
}

/* Threads that wait when the trace ends wait until then; of one that ended nothing is known after its last event. */
static int end_states(const Collector *collector)
{
    int error = 0;

    for (size_t i = 0; i < collector->recording_count; i++) {
        const RecordingWalk *walk = &collector->recordings[i];

        for (size_t k = 0; !error && k < walk->thread_count; k++) {
            const ThreadWalk *thread = &walk->threads[k];
            const AdatThreadInfo *info = adat_reader_thread(walk->reader, k);
            ViewItem item;
            int64_t end;

            if (!thread->begun || info->died)
                continue;
            end = span_cut_time(walk->reader, info, adat_reader_process(walk->reader, info->process),
                                collector->last_ns);
            end = end < collector->config->to_ns ? end : collector->config->to_ns;
            error = add_state(collector, thread, sched_thread_end(&thread->sched, end, &item), &item);
        }
    }
    return error;
}

/* ---- walking --------------------------------------------------------------------------------- */

static int name_states(Collector *collector)
{
    int error = view_model_name(collector->model, "", 0, &collector->state_names[SCHED_UNKNOWN]);

    for (int state = SCHED_RUNNING; !error && state < SCHED_STATES; state++) {
        const char *name = sched_state_name((SchedState)state);

        error = view_model_name(collector->model, name, strlen(name), &collector->state_names[state]);
    }
    return error;
}

static int begin(Collector *collector)
{
    /* From the very begin: what began earlier than what is shown may reach into it. */
    const AdatCursorConfig cursor = {.select = collector->config->select,
                                     .context = collector->config->context,
                                     .from_ns = INT64_MIN,
                                     .to_ns = collector->config->to_ns};
    const SpanBuilderConfig spans = {
        .closed = add_span, .context = collector, .from_ns = INT64_MIN, .to_ns = cursor.to_ns};
    int error = name_states(collector);

    collector->recordings =
        calloc(adat_set_recording_count(collector->set) + 1, sizeof(*collector->recordings));
    if (!collector->recordings)
        return -ENOMEM;
    collector->recording_count = adat_set_recording_count(collector->set);
    for (size_t i = 0; !error && i < collector->recording_count; i++)
        error = add_recording(collector, i);
    if (!error)
        error = span_builder_create(&spans, &collector->spans);
    if (!error)
        error = adat_cursor_create_set(collector->set, &cursor, &collector->cursor);
    return error;
}

static int tell_progress(const Collector *collector)
{
    const ViewCollectConfig *config = collector->config;

    return config->progress ? config->progress(collector->read, config->progress_context) : 0;
}

static int walk(Collector *collector)
{
    AdatEvent event;
    int got = begin(collector);

    while (got >= 0 && (got = adat_cursor_next(collector->cursor, &event)) > 0) {
        got = add_event(collector, &event);
        if (!got && ++collector->read % PROGRESS_STEP == 0)
            got = tell_progress(collector);
    }
    if (!got)
        got = span_builder_finish(collector->spans);
    if (!got)
        got = end_states(collector);
    return got ? got : add_marks(collector);
}

int view_collect(const AdatSet *set, const ViewCollectConfig *config, ViewModel *model, ViewCounts *counts_out)
{
    Collector collector = {
        .set = set, .config = config, .model = model, .counts = counts_out, .last_ns = INT64_MIN};
    int error;

    *counts_out = (ViewCounts){0};
    view_event_names_init(&collector.names, config->symbols);
    error = walk(&collector);
    if (!error) {
        counts_out->vanished = adat_cursor_vanished(collector.cursor);
        counts_out->unmatched = span_builder_counts(collector.spans).unmatched_ends;
    }
    adat_cursor_destroy(collector.cursor);
    span_builder_destroy(collector.spans);
    view_event_names_fini(&collector.names);
    for (size_t i = 0; i < collector.recording_count; i++)
        free(collector.recordings[i].threads);
    free(collector.recordings);
    return error;
}
