/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "user/base/number.h"
#include "user/cli/report_view.h"
#include "user/report/span_name.h"

/* ---- what it is about ------------------------------------------------------------------------- */

static void put_spans(JsonWriter *json, const SpanCounts *spans)
{
    json_begin_object(json, "spans");
    json_u64(json, "begins", spans->begins);
    json_u64(json, "ends", spans->ends);
    json_u64(json, "complete", spans->complete);
    json_u64(json, "early", spans->early);
    json_u64(json, "cut", spans->cut);
    json_u64(json, "unwound", spans->unwound);
    json_u64(json, "lost", spans->lost);
    json_u64(json, "unsure", spans->unsure);
    json_u64(json, "unmatched_ends", spans->unmatched_ends);
    json_u64(json, "overflowed", spans->overflowed);
    json_u64(json, "overflowed_ends", spans->overflowed_ends);
    json_end_object(json);
}

static void put_totals(JsonWriter *json, const ReportView *view)
{
    const Report *report = view->report;
    const AdatAccount account = adat_set_events(view->set);

    json_u64(json, "version", 1);
    json_string(json, "file", view->path);
    json_u64(json, "lost", report_view_lost(&account));
    adat_account_write_json(&account, json, "events_account");
    json_u64(json, "duration_ns", adat_set_duration(view->set));
    json_u64(json, "events", report->events);
    if (report->events > 0) {
        json_i64(json, "first_ns", report->first_ns);
        json_i64(json, "last_ns", report->last_ns);
    } else {
        json_null(json, "first_ns");
        json_null(json, "last_ns");
    }
    json_u64(json, "vanished_events", report->vanished);
    put_spans(json, &report->spans);
}

/* ---- tables ----------------------------------------------------------------------------------- */

static void put_thread_members(JsonWriter *json, const AdatProcessInfo *process, const AdatThreadInfo *thread)
{
    json_u64(json, "pid", process->process.pid);
    json_u64(json, "tid", thread->thread.tid);
    json_string(json, "thread", thread->thread.name);
}

static void put_percentile(JsonWriter *json, const char *key, const SpanStat *stat, double share)
{
    if (stat->complete > 0)
        json_u64(json, key, span_histogram_percentile(&stat->durations, share));
    else
        json_null(json, key);
}

static void put_row(JsonWriter *json, const SpanRow *row)
{
    const SpanStat *stat = &row->stat;

    json_begin_object(json, NULL);
    json_string(json, "kind", report_view_kind(row->kind));
    json_string(json, "name", row->name);
    if (row->kind == SPAN_ROW_FUNCTION && *row->module)
        json_string(json, "module", row->module);
    if (row->thread)
        json_u64(json, "tid", row->thread->thread.tid);
    if (row->kind == SPAN_ROW_THREAD || row->kind == SPAN_ROW_PROCESS)
        json_u64(json, "pid", row->process->process.pid);
    json_u64(json, "count", stat->count);
    if (row->kind != SPAN_ROW_EVENT) {
        json_u64(json, "complete", stat->complete);
        json_u64(json, "total_ns", stat->total_ns);
        json_u64(json, "self_ns", stat->self_ns);
        if (stat->complete > 0)
            json_u64(json, "mean_ns", span_stat_mean(stat));
        else
            json_null(json, "mean_ns");
        put_percentile(json, "p50_ns", stat, 0.5);
        put_percentile(json, "p90_ns", stat, 0.9);
        put_percentile(json, "p99_ns", stat, 0.99);
        if (stat->complete > 0)
            json_u64(json, "max_ns", stat->max_ns);
        else
            json_null(json, "max_ns");
    }
    json_end_object(json);
}

static void put_rows(JsonWriter *json, const ReportView *view)
{
    const SpanRow *row;

    json_begin_array(json, "rows");
    for (size_t i = 0; i < view->limit && (row = span_table_row(view->report->table, i)); i++)
        put_row(json, row);
    json_end_array(json);
}

static void put_known(JsonWriter *json, const char *key, uint64_t value, bool known)
{
    if (known)
        json_u64(json, key, value);
    else
        json_null(json, key);
}

static void put_threads(JsonWriter *json, const ReportView *view)
{
    static const char *const sources[] = {NULL, "events", "death"};
    const ThreadRow *row;

    json_begin_array(json, "threads");
    for (size_t i = 0; i < view->limit && (row = thread_table_row(view->report->threads, i)); i++) {
        bool known = row->source != CPU_UNKNOWN;

        json_begin_object(json, NULL);
        put_thread_members(json, row->process, row->thread);
        json_u64(json, "events", row->events);
        json_u64(json, "spans", row->spans);
        json_u64(json, "span_ns", row->span_ns);
        if (known)
            json_string(json, "cpu_source", sources[row->source]);
        else
            json_null(json, "cpu_source");
        put_known(json, "run_ns", row->run_ns, known);
        put_known(json, "sleep_ns", row->sleep_ns, known);
        put_known(json, "runnable_ns", row->runnable_ns, known);
        put_known(json, "runnable_count", row->runnable_count, row->source == CPU_EVENTS);
        put_known(json, "runnable_max_ns", row->runnable_max_ns, row->source == CPU_EVENTS);
        json_end_object(json);
    }
    json_end_array(json);
}

static void put_whom(JsonWriter *json, const ReportView *view, const WaitRow *wait)
{
    const ThreadRow *whom = thread_table_numbered(view->report->threads, wait->whom);

    if (!whom && wait->whom_tid == 0) {
        json_null(json, "whom");
        return;
    }
    json_begin_object(json, "whom");
    if (whom)
        put_thread_members(json, whom->process, whom->thread);
    else
        json_u64(json, "tid", wait->whom_tid);
    json_end_object(json);
}

static void put_waits(JsonWriter *json, const ReportView *view)
{
    const WaitRow *wait;

    json_begin_array(json, "waits");
    for (size_t i = 0; i < view->limit && (wait = wait_table_row(view->report->waits, i)); i++) {
        const ThreadRow *thread = thread_table_numbered(view->report->threads, wait->thread);
        char text[NUMBER_CHARS_MAX], name[ADAT_NAME_MAX];

        report_view_wait_name(view, wait, name);
        json_begin_object(json, NULL);
        json_string(json, "kind", report_view_wait(wait->kind));
        put_thread_members(json, thread->process, thread->thread);
        if (*name)
            json_string(json, "name", name);
        else
            json_null(json, "name");
        /* as text: most JSON readers would round addresses */
        json_string_bytes(json, "object", text, number_format_hex(text, wait->object));
        put_whom(json, view, wait);
        json_u64(json, "count", wait->count);
        json_u64(json, "total_ns", wait->total_ns);
        json_u64(json, "max_ns", wait->max_ns);
        json_end_object(json);
    }
    json_end_array(json);
}

static void put_longest(JsonWriter *json, const ReportView *view)
{
    const TopSpans *longest = &view->report->longest;

    json_begin_array(json, "longest");
    for (size_t i = 0; i < longest->count; i++) {
        const Span *span = &longest->spans[i];
        const char *incomplete = report_view_incomplete(span->flags);
        char name[ADAT_NAME_MAX];

        if (span_name(span->reader, span->process->process.process, span->id, span->flags, view->symbols,
                      name, NULL) < 0)
            break;
        json_begin_object(json, NULL);
        json_string(json, "kind",
                    report_view_kind(span->flags & SPAN_FUNCTION ? SPAN_ROW_FUNCTION : SPAN_ROW_SPAN));
        json_string(json, "name", name);
        put_thread_members(json, span->process, span->thread);
        json_i64(json, "begin_ns", span->begin_ns);
        json_u64(json, "duration_ns", span_duration(span));
        json_u64(json, "self_ns", span->self_ns);
        if (incomplete)
            json_string(json, "incomplete", incomplete);
        else
            json_null(json, "incomplete");
        json_end_object(json);
    }
    json_end_array(json);
}

/* ---- tree ------------------------------------------------------------------------------------- */

static void put_node(JsonWriter *json, const ReportView *view, uint32_t number)
{
    const CallNode *node = call_tree_node(view->report->tree, number);
    char name[ADAT_NAME_MAX] = "";

    json_begin_object(json, NULL);
    json_u64(json, "node", number);
    if (node->depth == 0) {
        json_null(json, "parent");
        json_string(json, "kind", "process");
        json_string(json, "name", process_name(node->process));
        json_u64(json, "pid", node->process->process.pid);
    } else {
        (void)span_name(node->reader, node->process->process.process, node->id, node->flags, view->symbols,
                        name, NULL);
        json_u64(json, "parent", node->parent);
        json_string(json, "kind",
                    report_view_kind(node->flags & SPAN_FUNCTION ? SPAN_ROW_FUNCTION : SPAN_ROW_SPAN));
        json_string(json, "name", name);
        json_u64(json, "count", node->count);
        json_u64(json, "incomplete", node->incomplete);
        json_u64(json, "self_ns", node->self_ns);
    }
    json_u64(json, "total_ns", node->total_ns);
    json_end_object(json);
}

/* Flat, as deep calls are deeper than readers of JSON may go. */
static void put_tree(JsonWriter *json, const ReportView *view)
{
    const CallTree *tree = view->report->tree;
    uint64_t whole_ns = 0;

    json_begin_array(json, "tree");
    for (uint32_t number = call_tree_first(tree); number != CALL_TREE_NONE;) {
        const CallNode *node = call_tree_node(tree, number);
        bool shown = node->depth == 0 || (double)node->total_ns >= view->min_percent / 100 * (double)whole_ns;

        if (node->depth == 0)
            whole_ns = node->total_ns;
        if (shown)
            put_node(json, view, number);
        number = call_tree_next(tree, number, shown);
    }
    json_end_array(json);
    json_u64(json, "tree_overflowed", call_tree_overflowed(tree));
}

void report_view_json(const ReportView *view)
{
    JsonWriter json;

    json_init(&json, stdout);
    json_begin_object(&json, NULL);
    put_totals(&json, view);
    put_rows(&json, view);
    put_threads(&json, view);
    put_waits(&json, view);
    put_longest(&json, view);
    if (view->report->tree)
        put_tree(&json, view);
    json_end_object(&json);
}
