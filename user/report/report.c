/* SPDX-License-Identifier: MIT */
#include "user/report/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Fields of the scheduler's events. */
#define WAKER_FIELD "by"   /* of sched.wakeup: the tid of who woke the thread */
#define REASON_FIELD "why" /* of sched.switch_out */
#define REASON_NO_SLEEP "preempted"

/* ---- spans ------------------------------------------------------------------------------------ */

/* A span's tag: its places in the table and in the tree. */
static uint64_t tag_of(uint32_t place, CallPlace node)
{
    return (uint64_t)node << 32 | place;
}

/* The number of a span's event, if it is one that waits; 0: it is not. */
static int find_wait(Report *report, const Span *span, uint32_t *event_out)
{
    int err;

    *event_out = 0;
    if (!report->waits || (span->flags & SPAN_FUNCTION))
        return 0;
    err = role_table_get(&report->roles, span->reader, span->process, span->id, event_out);
    if (!err && !role_waits(role_table_entry(&report->roles, *event_out)->role))
        *event_out = 0;
    return err;
}

static int open_span(Span *span, void *context)
{
    Report *report = context;
    uint32_t place = 0, wait;
    CallPlace node = 0;
    int err = span_table_open(report->table, span, &place);

    if (!err && report->tree)
        err = call_tree_open(report->tree, span, (CallPlace)(span->parent_tag >> 32), &node);
    if (!err)
        err = find_wait(report, span, &wait);
    if (!err && wait)
        err = wait_table_open(report->waits, span, wait);
    span->tag = tag_of(place, node);
    return err;
}

static int close_span(const Span *span, void *context)
{
    Report *report = context;
    uint32_t wait;
    int err = span_table_close(report->table, span, (uint32_t)span->tag);

    if (report->tree)
        call_tree_close(report->tree, span, (CallPlace)(span->tag >> 32));
    if (!(span->flags & SPAN_PAST)) {
        thread_table_span(report->threads, span);
        top_spans_add(&report->longest, span);
    }
    if (!err)
        err = find_wait(report, span, &wait);
    if (!err && wait)
        err = wait_table_close(report->waits, span, wait);
    return err;
}

/* ---- events ----------------------------------------------------------------------------------- */

static bool is_span(const AdaIndexEvent *event)
{
    uint32_t kind = ADA_WORD_KIND(event->word);

    return kind >= ADA_KIND_FUNCTION_ENTRY && kind <= ADA_KIND_SPAN_END;
}

static void take_field(const AdatField *field, SchedDetail *detail)
{
    if (strcmp(field->name, WAKER_FIELD) == 0 && field->type == ADA_TYPE_U64)
        detail->waker = (uint32_t)field->value.u64;
    else if (strcmp(field->name, REASON_FIELD) == 0 && field->type == ADA_TYPE_STRING)
        detail->sleeps = field->value.string.size != strlen(REASON_NO_SLEEP) ||
                         memcmp(field->value.string.bytes, REASON_NO_SLEEP, strlen(REASON_NO_SLEEP)) != 0;
}

/* What an event of the scheduler has in its fields; all 0 if they are lost. 0 or -errno. */
static int read_detail(Report *report, const AdatEvent *event, SchedDetail *detail_out)
{
    const AdaEventDescriptor *descriptor =
        adat_reader_descriptor(event->reader, event->process->process.process, event->event.id);
    AdatField fields[ADA_EVENT_FIELDS_MAX];
    AdatDetail detail;
    size_t count;
    int got = adat_cursor_detail(report->cursor, &detail);

    *detail_out = (SchedDetail){0};
    if (got <= 0 || !descriptor)
        return got;
    count = adat_decode_fields(descriptor, detail.payload, detail.header.payload_size, fields);
    for (size_t i = 0; i < count; i++)
        take_field(&fields[i], detail_out);
    return 0;
}

static bool is_past(const Report *report, const AdatEvent *event)
{
    return event->time_ns < report->config->cursor.from_ns;
}

/* Events of the scheduler tell how long a state lasted: as much of it as is looked at counts. */
static void cut_state(const Report *report, AdatEvent *event)
{
    uint64_t since =
        is_past(report, event) ? 0 : (uint64_t)event->time_ns - (uint64_t)report->config->cursor.from_ns;

    if (event->event.argument > since)
        event->event.argument = since;
}

/* An event that is no part of a span. */
static int take_point(Report *report, AdatEvent *event, EventRole *role_out)
{
    SchedDetail detail = {0};
    uint32_t number;
    int err = is_past(report, event) ? 0 : span_table_point(report->table, event);

    if (!err)
        err = role_table_get(&report->roles, event->reader, event->process, event->event.id, &number);
    if (err)
        return err;
    *role_out = role_table_entry(&report->roles, number)->role;
    if (*role_out >= ROLE_SWITCH_IN)
        cut_state(report, event);
    if (!report->waits || *role_out == ROLE_NONE)
        return 0;
    if (*role_out == ROLE_SWITCH_OUT || (*role_out == ROLE_WAKEUP && !is_past(report, event)))
        err = read_detail(report, event, &detail);
    detail.past = is_past(report, event);
    return err ? err : wait_table_point(report->waits, event, *role_out, &detail);
}

static int take_event(Report *report, AdatEvent *event)
{
    EventRole role = ROLE_NONE;
    int err = 0;

    if (!is_span(&event->event))
        err = take_point(report, event, &role);
    report->read_ns = event->time_ns;
    if (!is_past(report, event)) {
        if (report->events++ == 0)
            report->first_ns = event->time_ns;
        report->last_ns = event->time_ns;
        thread_table_add(report->threads, event, role);
    }
    if (!err)
        err = span_builder_add(report->builder, event);
    if (!err && report->config->progress && ++report->read % REPORT_PROGRESS_EVENTS == 0)
        err = report->config->progress(report->read, report->config->progress_context);
    return err;
}

/* ---- report ----------------------------------------------------------------------------------- */

static int prepare(Report *report)
{
    const ReportConfig *config = report->config;
    const SpanBuilderConfig spans = {.opened = open_span,
                                     .closed = close_span,
                                     .context = report,
                                     .from_ns = config->cursor.from_ns,
                                     .to_ns = config->cursor.to_ns};
    AdatCursorConfig cursor = config->cursor;
    const CallTreeConfig tree = {.fold_recursion = true};
    int err = span_table_create(&config->table, &report->table);

    if (!err)
        err = thread_table_create(config->set, config->cursor.select, config->cursor.context, &report->threads);
    if (!err && config->waits)
        err = wait_table_create(report->threads, &report->roles, &report->waits);
    if (!err && config->tree)
        err = call_tree_create(&tree, &report->tree);
    if (!err)
        err = top_spans_init(&report->longest, config->longest);
    if (!err)
        err = span_builder_create(&spans, &report->builder);
    cursor.from_ns = INT64_MIN;
    if (!err)
        err = adat_cursor_create_set(config->set, &cursor, &report->cursor);
    return err;
}

static int read_events(Report *report)
{
    AdatEvent event;
    int got;

    while ((got = adat_cursor_next(report->cursor, &event)) > 0) {
        got = take_event(report, &event);
        if (got < 0)
            return got;
    }
    report->vanished = adat_cursor_vanished(report->cursor);
    return got;
}

static int finish(Report *report)
{
    const AdatCursorConfig *cursor = &report->config->cursor;
    int err = span_builder_finish(report->builder);

    report->spans = span_builder_counts(report->builder);
    thread_table_finish(report->threads, cursor->from_ns == INT64_MIN && cursor->to_ns == INT64_MAX);
    if (!err && report->waits)
        err = wait_table_finish(report->waits, cursor->from_ns, cursor->to_ns, report->read_ns);
    if (report->tree)
        call_tree_sort(report->tree);
    top_spans_finish(&report->longest);
    return err ? err : span_table_finish(report->table, report->config->symbols);
}

int report_run(const ReportConfig *config, Report **report_out)
{
    Report *report = calloc(1, sizeof(*report));
    int err;

    if (!report)
        return -ENOMEM;
    report->config = config;
    report->last_ns = -1;
    err = prepare(report);
    if (!err)
        err = read_events(report);
    if (!err)
        err = finish(report);
    adat_cursor_destroy(report->cursor);
    span_builder_destroy(report->builder);
    report->cursor = NULL;
    report->builder = NULL;
    report->config = NULL;
    if (err) {
        report_destroy(report);
        return err;
    }
    *report_out = report;
    return 0;
}

void report_destroy(Report *report)
{
    if (!report)
        return;
    adat_cursor_destroy(report->cursor);
    span_builder_destroy(report->builder);
    span_table_destroy(report->table);
    thread_table_destroy(report->threads);
    wait_table_destroy(report->waits);
    call_tree_destroy(report->tree);
    top_spans_fini(&report->longest);
    role_table_fini(&report->roles);
    free(report);
}
