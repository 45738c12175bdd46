/* SPDX-License-Identifier: MIT */
/*
 * Perfetto's protobuf (ui.perfetto.dev, trace_processor). A track for each thread has its slices, which are balanced (open_slices.h), and its
 * instants; each counter of a process has a track, and so has each CPU whose switches were recorded (perfetto_sched.h). The kernel's view of a
 * thread is a track of its own below that of the process: its slices need not nest with those that the program tells.
 *
 * Times count from the start of the recording, and the trace's clock, which Perfetto calls BOOTTIME, is put to the time of day once.
 */
#include <errno.h>
#include <stdlib.h>

#include "user/base/array.h"
#include "user/base/utf8.h"
#include "user/convert/convert.h"
#include "user/convert/open_slices.h"
#include "user/convert/perfetto_packet.h"
#include "user/convert/perfetto_sched.h"

#define CLOCK_ID_REALTIME 1u
#define CLOCK_ID_BOOTTIME 6u
#define COMMAND_MAX 4096u /* bytes of a command line */
#define CATEGORY_OWN (ADA_KIND_COUNT + 1u)
#define COUNTERS_MAX 65536u /* tracks; further counters are instants */

/* Names of annotations of our own, by number. */
enum {
    ANNOTATION_ARG,
    ANNOTATION_IMPLIED,
    ANNOTATION_FIELDS_LOST,
    ANNOTATION_COUNT,
    ANNOTATION_MODULE,
    ANNOTATION_ENDS,
    ANNOTATIONS
};
static const char *const annotation_names[ANNOTATIONS] = {"arg",   "implied", "fields_lost",
                                                          "count", "module",  "ends"};

typedef struct PerfettoThread {
    uint64_t track;
    OpenSlices open;
} PerfettoThread;

typedef struct Perfetto {
    PerfettoWriter writer;
    PerfettoSched *sched;
    int64_t origin_ns;
    uint64_t last_track;
    IdMap processes; /* by pid: place in `process_tracks` */
    uint64_t *process_tracks;
    size_t process_capacity;
    IdMap counters; /* by process and event: place in `counter_tracks` */
    uint64_t *counter_tracks;
    size_t counter_capacity;
    PerfettoThread *threads;
    size_t thread_count;
    size_t thread_capacity;
    char text[3 * COMMAND_MAX + 1];
} Perfetto;

/* What an event says besides its name. */
typedef struct Annotations {
    size_t count;
    Perfetto__DebugAnnotation items[PERFETTO_ANNOTATIONS_MAX];
    Perfetto__DebugAnnotation *pointers[PERFETTO_ANNOTATIONS_MAX];
    char text[3 * ADA_PAYLOAD_MAX + 4 * PERFETTO_ANNOTATIONS_MAX]; /* of all strings */
    size_t text_size;
} Annotations;

static uint64_t time_of(const Perfetto *perfetto, int64_t time_ns)
{
    return (uint64_t)time_ns - (uint64_t)perfetto->origin_ns;
}

/* ---- tracks ----------------------------------------------------------------------------------- */

static void put_track(Perfetto *perfetto, Perfetto__TrackDescriptor *track, uint64_t uuid)
{
    Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;

    track->has_uuid = true;
    track->uuid = uuid;
    packet.track_descriptor = track;
    perfetto_writer_put(&perfetto->writer, &packet);
}

/* Valid until the next one. */
static char *clean(Perfetto *perfetto, const char *text)
{
    size_t length = strlen(text);

    (void)utf8_clean(perfetto->text, text, length < COMMAND_MAX ? length : COMMAND_MAX);
    return perfetto->text;
}

/* One for each pid: what ran before and after exec is one process. */
static int find_process_track(Perfetto *perfetto, const AdatProcessInfo *process, bool kernel,
                              uint64_t *track_out)
{
    Perfetto__TrackDescriptor track = PERFETTO__TRACK_DESCRIPTOR__INIT;
    Perfetto__ProcessDescriptor descriptor = PERFETTO__PROCESS_DESCRIPTOR__INIT;
    const char *command = adat_strings_find(process->strings, "command");
    uint32_t place;
    int got = id_map_add(&perfetto->processes, process->process.pid, 0, &place);

    if (got > 0 && array_reserve_one(&perfetto->process_tracks, &perfetto->process_capacity, place,
                                     sizeof(*perfetto->process_tracks)))
        got = -ENOMEM;
    if (got < 0)
        return got;
    if (got > 0) {
        perfetto->process_tracks[place] = ++perfetto->last_track;
        descriptor.has_pid = true;
        descriptor.pid = (int32_t)process->process.pid;
        if (command)
            descriptor.process_name = clean(perfetto, command + (kernel ? sizeof("kernel:") - 1 : 0));
        track.process = &descriptor;
        put_track(perfetto, &track, perfetto->process_tracks[place]);
    }
    *track_out = perfetto->process_tracks[place];
    return 0;
}

static void put_thread_track(Perfetto *perfetto, const ConvertThread *told, uint64_t parent, uint64_t uuid)
{
    Perfetto__TrackDescriptor track = PERFETTO__TRACK_DESCRIPTOR__INIT;
    Perfetto__ThreadDescriptor descriptor = PERFETTO__THREAD_DESCRIPTOR__INIT;
    const AdatThread *thread = told->thread ? &told->thread->thread : NULL;
    char name[80];

    if (thread && !told->kernel) {
        descriptor.has_pid = descriptor.has_tid = true;
        descriptor.pid = (int32_t)told->process->process.pid;
        descriptor.tid = (int32_t)thread->tid;
        descriptor.thread_name = clean(perfetto, thread->name);
        track.thread = &descriptor;
    } else {
        if (thread)
            (void)snprintf(name, sizeof(name), "%s (%u, kernel)", thread->name, thread->tid);
        else
            (void)snprintf(name, sizeof(name), "(no slot)");
        track.name = clean(perfetto, name);
    }
    track.has_parent_uuid = true;
    track.parent_uuid = parent;
    put_track(perfetto, &track, uuid);
}

/* The track of a counter of a process; *track_out is 0 if there are too many. */
static int find_counter_track(Perfetto *perfetto, const ConvertThread *told, const NamedEvent *event,
                              uint64_t *track_out)
{
    Perfetto__TrackDescriptor track = PERFETTO__TRACK_DESCRIPTOR__INIT;
    Perfetto__CounterDescriptor descriptor = PERFETTO__COUNTER_DESCRIPTOR__INIT;
    uint64_t process = (uint64_t)(uintptr_t)told->process, parent;
    uint32_t place;
    int got;

    *track_out = 0;
    if (perfetto->counters.count >= COUNTERS_MAX &&
        !id_map_find(&perfetto->counters, process, event->event->event.id, &place))
        return 0;
    got = id_map_add(&perfetto->counters, process, event->event->event.id, &place);
    if (got > 0 && array_reserve_one(&perfetto->counter_tracks, &perfetto->counter_capacity, place,
                                     sizeof(*perfetto->counter_tracks)))
        got = -ENOMEM;
    if (got > 0) {
        perfetto->counter_tracks[place] = ++perfetto->last_track;
        got = find_process_track(perfetto, told->process, told->kernel, &parent);
        if (got < 0)
            return got;
        track.has_parent_uuid = true;
        track.parent_uuid = parent;
        track.name = clean(perfetto, event->name);
        track.counter = &descriptor;
        put_track(perfetto, &track, perfetto->counter_tracks[place]);
    }
    if (got < 0)
        return got;
    *track_out = perfetto->counter_tracks[place];
    return 0;
}

/* ---- annotations ------------------------------------------------------------------------------ */

/* The next one, with its name; NULL: out of memory. */
static Perfetto__DebugAnnotation *add_annotation(Perfetto *perfetto, Annotations *annotations,
                                                 const void *owner, uint64_t key, const char *name)
{
    Perfetto__DebugAnnotation *annotation = &annotations->items[annotations->count];
    uint64_t number;

    if (perfetto_writer_annotation_name(&perfetto->writer, owner, key, name, &number))
        return NULL;
    perfetto__debug_annotation__init(annotation);
    annotation->has_name_iid = true;
    annotation->name_iid = number;
    annotations->pointers[annotations->count++] = annotation;
    return annotation;
}

static Perfetto__DebugAnnotation *add_own(Perfetto *perfetto, Annotations *annotations, int which)
{
    return add_annotation(perfetto, annotations, NULL, (uint64_t)which, annotation_names[which]);
}

static char *add_text(Annotations *annotations, const char *text, size_t size)
{
    char *at = annotations->text + annotations->text_size;

    annotations->text_size += utf8_clean(at, text, size);
    return at;
}

static int add_flag(Perfetto *perfetto, Annotations *annotations, int which)
{
    Perfetto__DebugAnnotation *annotation = add_own(perfetto, annotations, which);

    if (!annotation)
        return -ENOMEM;
    annotation->has_bool_value = annotation->bool_value = true;
    return 0;
}

static int add_argument(Perfetto *perfetto, Annotations *annotations, const AdaIndexEvent *event)
{
    Perfetto__DebugAnnotation *annotation = add_own(perfetto, annotations, ANNOTATION_ARG);

    if (!annotation)
        return -ENOMEM;
    if (event_argument_is_signed(event)) {
        annotation->has_int_value = true;
        annotation->int_value = (int64_t)event->argument;
    } else if (event_is_function(event)) {
        annotation->has_pointer_value = true;
        annotation->pointer_value = event->argument;
    } else {
        annotation->has_uint_value = true;
        annotation->uint_value = event->argument;
    }
    return 0;
}

static int add_field(Perfetto *perfetto, Annotations *annotations, const NamedEvent *event, size_t index)
{
    const AdatField *field = &event->fields[index];
    Perfetto__DebugAnnotation *annotation =
        add_annotation(perfetto, annotations, event->descriptor, index, field->name);

    if (!annotation)
        return -ENOMEM;
    switch (field->type) {
    case ADA_TYPE_I64:
        annotation->has_int_value = true;
        annotation->int_value = field->value.i64;
        break;
    case ADA_TYPE_F64:
        annotation->has_double_value = true;
        annotation->double_value = field->value.f64;
        break;
    case ADA_TYPE_POINTER:
        annotation->has_pointer_value = true;
        annotation->pointer_value = field->value.u64;
        break;
    case ADA_TYPE_STRING:
        annotation->string_value = add_text(annotations, field->value.string.bytes, field->value.string.size);
        break;
    default:
        annotation->has_uint_value = true;
        annotation->uint_value = field->value.u64;
    }
    return 0;
}

static int annotate(Perfetto *perfetto, Annotations *annotations, const NamedEvent *event)
{
    const AdaIndexEvent *raw = &event->event->event;
    Perfetto__DebugAnnotation *module;
    int err = add_argument(perfetto, annotations, raw);

    if (!err && event->module && ADA_WORD_KIND(raw->word) == ADA_KIND_FUNCTION_ENTRY) {
        module = add_own(perfetto, annotations, ANNOTATION_MODULE);
        if (!module)
            return -ENOMEM;
        module->string_value = add_text(annotations, event->module->path, strlen(event->module->path));
    }
    for (size_t i = 0; !err && i < event->field_count; i++)
        err = add_field(perfetto, annotations, event, i);
    if (!err && ADA_WORD_FLAGS(raw->word) & ADA_FLAG_DETAIL_LOST)
        err = add_flag(perfetto, annotations, ANNOTATION_FIELDS_LOST);
    return err;
}

/* ---- events ----------------------------------------------------------------------------------- */

static void put_track_event(Perfetto *perfetto, Perfetto__TrackEvent *track_event,
                            Perfetto__TrackEvent__Type type, uint64_t track, int64_t time_ns,
                            Annotations *annotations)
{
    Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;

    track_event->has_type = track_event->has_track_uuid = true;
    track_event->type = type;
    track_event->track_uuid = track;
    if (annotations && annotations->count > 0) {
        track_event->n_debug_annotations = annotations->count;
        track_event->debug_annotations = annotations->pointers;
    }
    packet.has_timestamp = true;
    packet.timestamp = time_of(perfetto, time_ns);
    packet.track_event = track_event;
    perfetto_writer_put(&perfetto->writer, &packet);
}

/* Ends of slices that are nowhere in the trace. */
static int put_missing_ends(Perfetto *perfetto, uint64_t track, int64_t time_ns, size_t count)
{
    int err = 0;

    for (size_t i = 0; !err && i < count; i++) {
        Perfetto__TrackEvent track_event = PERFETTO__TRACK_EVENT__INIT;
        Annotations annotations;

        annotations.count = annotations.text_size = 0;
        perfetto_writer_begin_names(&perfetto->writer);
        err = add_flag(perfetto, &annotations, ANNOTATION_IMPLIED);
        if (!err)
            put_track_event(perfetto, &track_event, PERFETTO__TRACK_EVENT__TYPE__TYPE_SLICE_END, track,
                            time_ns, &annotations);
    }
    return err;
}

static int put_counter(Perfetto *perfetto, const NamedEvent *event, uint64_t track)
{
    Perfetto__TrackEvent track_event = PERFETTO__TRACK_EVENT__INIT;

    track_event.has_counter_value = true;
    track_event.counter_value = (int64_t)event->event->event.argument;
    put_track_event(perfetto, &track_event, PERFETTO__TRACK_EVENT__TYPE__TYPE_COUNTER, track,
                    event->event->time_ns, NULL);
    return 0;
}

/* A name stands for a described event, a function of a process, or an event that was never described. */
static int name_event(Perfetto *perfetto, const NamedEvent *event, uint64_t *number_out)
{
    const void *owner = event->descriptor ? (const void *)event->descriptor : event->event->process;
    /* Descriptors and processes are aligned, so that an odd address is neither's. */
    if (event_is_function(&event->event->event))
        owner = (const char *)owner + 1;
    return perfetto_writer_event_name(&perfetto->writer, owner, event->descriptor ? 0 : event->event->event.id,
                                      event->name, event->name_length, number_out);
}

/* `unbegun`: it is the end of something whose beginning is nowhere. */
static int put_event(Perfetto *perfetto, const NamedEvent *event, Perfetto__TrackEvent__Type type,
                     uint64_t track, bool unbegun)
{
    Perfetto__TrackEvent track_event = PERFETTO__TRACK_EVENT__INIT;
    uint32_t kind = ADA_WORD_KIND(event->event->event.word);
    uint64_t category = kind < ADA_KIND_COUNT ? kind + 1 : 1;
    Annotations annotations;
    int err;

    annotations.count = annotations.text_size = 0;
    perfetto_writer_begin_names(&perfetto->writer);
    err = annotate(perfetto, &annotations, event);
    if (!err && unbegun)
        err = add_flag(perfetto, &annotations, ANNOTATION_ENDS);
    if (!err && type != PERFETTO__TRACK_EVENT__TYPE__TYPE_SLICE_END) {
        track_event.n_category_iids = 1;
        track_event.category_iids = &category;
        track_event.has_name_iid = true;
        err = name_event(perfetto, event, &track_event.name_iid);
    }
    if (!err)
        put_track_event(perfetto, &track_event, type, track, event->event->time_ns, &annotations);
    return err;
}

static int begin_or_end(Perfetto *perfetto, PerfettoThread *thread, const NamedEvent *event, bool begins)
{
    const AdaIndexEvent *raw = &event->event->event;
    Perfetto__TrackEvent__Type type = PERFETTO__TRACK_EVENT__TYPE__TYPE_SLICE_BEGIN;
    bool was_open = true;
    size_t missing = 0;
    int err = 0;

    if (begins)
        err = open_slices_begin(&thread->open, raw, &missing);
    else
        was_open = open_slices_end(&thread->open, raw, &missing);
    if (!begins)
        type = was_open ? PERFETTO__TRACK_EVENT__TYPE__TYPE_SLICE_END
                        : PERFETTO__TRACK_EVENT__TYPE__TYPE_INSTANT;
    if (!err)
        err = put_missing_ends(perfetto, thread->track, event->event->time_ns, missing);
    return err ? err : put_event(perfetto, event, type, thread->track, !was_open);
}

static int perfetto_event(void *state, const ConvertThread *told, const NamedEvent *event)
{
    Perfetto *perfetto = state;
    PerfettoThread *thread = &perfetto->threads[told->number];
    uint64_t track = 0;
    int err = 0;

    switch (ADA_WORD_KIND(event->event->event.word)) {
    case ADA_KIND_FUNCTION_ENTRY:
    case ADA_KIND_SPAN_BEGIN:
        return begin_or_end(perfetto, thread, event, true);
    case ADA_KIND_FUNCTION_EXIT:
    case ADA_KIND_SPAN_END:
        return begin_or_end(perfetto, thread, event, false);
    case ADA_KIND_COUNTER:
        err = find_counter_track(perfetto, told, event, &track);
        if (err || track)
            return err ? err : put_counter(perfetto, event, track);
        break;
    default:
        break;
    }
    if (told->kernel)
        err = perfetto_sched_event(perfetto->sched, &perfetto->writer, told, event,
                                   time_of(perfetto, event->event->time_ns));
    return err ? err
               : put_event(perfetto, event, PERFETTO__TRACK_EVENT__TYPE__TYPE_INSTANT, thread->track, false);
}

/* An instant of our own; its name is not interned. */
static int put_own(Perfetto *perfetto, uint64_t track, int64_t time_ns, char *name, Annotations *annotations)
{
    Perfetto__TrackEvent track_event = PERFETTO__TRACK_EVENT__INIT;
    uint64_t category = CATEGORY_OWN;

    track_event.n_category_iids = 1;
    track_event.category_iids = &category;
    track_event.name = name;
    put_track_event(perfetto, &track_event, PERFETTO__TRACK_EVENT__TYPE__TYPE_INSTANT, track, time_ns,
                    annotations);
    return 0;
}

static int perfetto_mark(void *state, const ConvertThread *told, const AdatReader *reader,
                         const AdatMarkInfo *mark)
{
    Perfetto *perfetto = state;
    char name[3 * sizeof(mark->mark.reason) + 1], *text = name;
    uint64_t track = 0; /* of everything */
    int err = 0;

    (void)reader;
    if (told)
        track = perfetto->threads[told->number].track;
    else if (mark->process)
        err = find_process_track(perfetto, mark->process, false, &track);
    (void)utf8_clean(text, mark->mark.reason, strnlen(mark->mark.reason, sizeof(mark->mark.reason)));
    return err ? err : put_own(perfetto, track, mark->time_ns, text, NULL);
}

static int perfetto_lost(void *state, const ConvertThread *told, int64_t time_ns, uint64_t count)
{
    static char name[] = "events lost";
    Perfetto *perfetto = state;
    Perfetto__DebugAnnotation *annotation;
    Annotations annotations;

    annotations.count = annotations.text_size = 0;
    perfetto_writer_begin_names(&perfetto->writer);
    annotation = add_own(perfetto, &annotations, ANNOTATION_COUNT);
    if (!annotation)
        return -ENOMEM;
    annotation->has_uint_value = true;
    annotation->uint_value = count;
    return put_own(perfetto, perfetto->threads[told->number].track, time_ns, name, &annotations);
}

/* ---- begin and end ---------------------------------------------------------------------------- */

static void put_clocks(Perfetto *perfetto, const AdatReader *reader)
{
    Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;
    Perfetto__ClockSnapshot snapshot = PERFETTO__CLOCK_SNAPSHOT__INIT;
    Perfetto__ClockSnapshot__Clock clocks[2], *pointers[2] = {&clocks[0], &clocks[1]};

    for (int i = 0; i < 2; i++) {
        perfetto__clock_snapshot__clock__init(&clocks[i]);
        clocks[i].has_clock_id = clocks[i].has_timestamp = true;
    }
    clocks[0].clock_id = CLOCK_ID_BOOTTIME;
    clocks[0].timestamp = time_of(perfetto, 0);
    clocks[1].clock_id = CLOCK_ID_REALTIME;
    clocks[1].timestamp = adat_reader_realtime(reader, 0);
    snapshot.n_clocks = 2;
    snapshot.clocks = pointers;
    packet.clock_snapshot = &snapshot;
    perfetto_writer_put(&perfetto->writer, &packet);
}

static int perfetto_begin(const ConvertTarget *target, void **state_out)
{
    Perfetto *perfetto = calloc(1, sizeof(*perfetto));
    int err = perfetto ? perfetto_sched_create(target->set, &perfetto->sched) : -ENOMEM;

    if (err) {
        free(perfetto);
        return err;
    }
    perfetto->origin_ns = target->origin_ns;
    perfetto_writer_init(&perfetto->writer, target->out);
    put_clocks(perfetto, adat_set_reader(target->set, 0));
    *state_out = perfetto;
    return 0;
}

static int close_slices(Perfetto *perfetto, PerfettoThread *thread, int64_t time_ns)
{
    return put_missing_ends(perfetto, thread->track, time_ns, open_slices_close(&thread->open));
}

static int perfetto_thread(void *state, const ConvertThread *told, int64_t time_ns)
{
    Perfetto *perfetto = state;
    uint64_t parent;
    int err = 0;

    if (told->before != CONVERT_NOBODY)
        err = close_slices(perfetto, &perfetto->threads[told->before], time_ns);
    if (!err)
        err = find_process_track(perfetto, told->process, told->kernel, &parent);
    if (!err)
        err = array_reserve_one(&perfetto->threads, &perfetto->thread_capacity, perfetto->thread_count,
                                sizeof(*perfetto->threads));
    if (err)
        return err;
    perfetto->threads[perfetto->thread_count++] = (PerfettoThread){.track = ++perfetto->last_track};
    put_thread_track(perfetto, told, parent, perfetto->last_track);
    return 0;
}

static int perfetto_end(void *state, int64_t time_ns)
{
    Perfetto *perfetto = state;
    int err = 0;

    for (size_t i = 0; !err && i < perfetto->thread_count; i++)
        err = close_slices(perfetto, &perfetto->threads[i], time_ns);
    return err;
}

static void perfetto_destroy(void *state)
{
    Perfetto *perfetto = state;

    for (size_t i = 0; i < perfetto->thread_count; i++)
        open_slices_fini(&perfetto->threads[i].open);
    perfetto_sched_destroy(perfetto->sched);
    perfetto_writer_fini(&perfetto->writer);
    id_map_fini(&perfetto->processes);
    id_map_fini(&perfetto->counters);
    free(perfetto->process_tracks);
    free(perfetto->counter_tracks);
    free(perfetto->threads);
    free(perfetto);
}

const ConvertFormat convert_perfetto = {
    .name = "perfetto",
    .what = "Perfetto's protobuf, for ui.perfetto.dev",
    .binary = true,
    .symbols = true,
    .begin = perfetto_begin,
    .thread = perfetto_thread,
    .event = perfetto_event,
    .mark = perfetto_mark,
    .lost = perfetto_lost,
    .end = perfetto_end,
    .destroy = perfetto_destroy,
};
