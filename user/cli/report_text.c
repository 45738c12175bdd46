/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "user/cli/cli.h"
#include "user/cli/format.h"
#include "user/cli/report_view.h"
#include "user/cli/trace.h"
#include "user/report/span_name.h"

#define INDENT_MAX 100u /* of the tree: deeper calls stand beneath each other */

/* ---- parts ------------------------------------------------------------------------------------ */

static void print_heading(const char *text)
{
    bool color = cli_use_color(stdout);

    printf("\n%s%s%s\n", color ? "\033[1m" : "", text, color ? "\033[0m" : "");
}

/* 11 columns, right-aligned, with a blank in front. */
static void put_time(uint64_t ns)
{
    char text[32];

    format_duration(ns, text, sizeof(text));
    printf(" %10s", text);
}

static void put_known_time(uint64_t ns, bool known)
{
    if (known)
        put_time(ns);
    else
        printf(" %10s", "-");
}

static void put_name(const char *name)
{
    trace_put_text(stdout, *name ? name : "?", *name ? strlen(name) : 1);
}

static void put_thread(const AdatThreadInfo *thread)
{
    put_name(thread->thread.name);
    printf("/%" PRIu32, thread->thread.tid);
}

static void put_rest(size_t shown, size_t count)
{
    if (count > shown)
        printf("(%zu more; --limit 0 for all)\n", count - shown);
}

/* ---- what it is about ------------------------------------------------------------------------- */

uint64_t report_view_lost(const AdatAccount *account)
{
    return account->dropped_full + account->dropped_nested + account->dropped_io + account->torn +
           account->pending;
}

static void print_losses(const ReportView *view)
{
    const AdatAccount account = adat_set_events(view->set);
    const struct {
        uint64_t count;
        const char *why;
    } parts[] = {{account.dropped_full, "no room"},
                 {account.dropped_nested, "in a signal handler"},
                 {account.dropped_io, "file not writable"},
                 {account.torn, "begun, not completed"},
                 {account.pending, "not in the file yet"}};
    const char *separator = " (";

    if (report_view_lost(&account) == 0)
        return;
    printf("%" PRIu64 " of %" PRIu64 " events of this trace are lost", report_view_lost(&account),
           account.attempted);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i].count == 0)
            continue;
        printf("%s%s: %" PRIu64, separator, parts[i].why, parts[i].count);
        separator = "; ";
    }
    printf("):\nwhat follows is of the others, and spans in which some were lost have no duration\n\n");
}

static size_t count_threads(const ThreadTable *threads)
{
    size_t count = 0;

    while (thread_table_row(threads, count))
        count++;
    return count;
}

/* How long the time is that is reported on, as far as the trace reaches: where it has no end, to the first or last event. */
static int64_t looked_at(const ReportView *view)
{
    int64_t whole = (int64_t)adat_set_duration(view->set);
    int64_t begin = view->from_ns == INT64_MIN ? view->report->first_ns : view->from_ns;
    int64_t end = view->until_ns == INT64_MAX ? view->report->last_ns : view->until_ns;

    if (view->whole)
        return whole;
    if (end > whole)
        end = whole;
    return end > begin ? end - begin : 0;
}

static void print_totals(const ReportView *view)
{
    const Report *report = view->report;
    const SpanCounts *spans = &report->spans;
    const struct {
        uint64_t count;
        const char *what;
    } parts[] = {{spans->early, "begun before"},
                 {spans->cut, "still open at the end"},
                 {spans->unwound, "ended by an outer one"},
                 {spans->lost, "whose end was lost"},
                 {spans->unsure, "with losses in them"},
                 {spans->overflowed, "too deep"},
                 {spans->unmatched_ends + spans->overflowed_ends, "ends without a begin"}};

    printf("duration   %.6f s\n", (double)looked_at(view) / 1e9);
    printf("threads    %zu\n", count_threads(report->threads));
    printf("events     %" PRIu64 "\n", report->events);
    printf("spans      %" PRIu64 " complete", spans->complete);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (parts[i].count > 0)
            printf(", %" PRIu64 " %s", parts[i].count, parts[i].what);
    putchar('\n');
}

/* ---- tables ----------------------------------------------------------------------------------- */

const char *report_view_kind(SpanRowKind kind)
{
    static const char *const names[] = {"function", "span", "event", "thread", "module", "process"};

    return names[kind];
}

static void print_row(const SpanRow *row)
{
    const SpanStat *stat = &row->stat;
    bool timed = row->kind != SPAN_ROW_EVENT, known = stat->complete > 0;

    printf("%10" PRIu64, stat->count);
    if (stat->incomplete > 0)
        printf(" %8" PRIu64, stat->incomplete);
    else
        printf(" %8s", "-");
    put_known_time(stat->total_ns, timed);
    put_known_time(stat->self_ns, timed);
    put_known_time(span_stat_mean(stat), known);
    put_known_time(span_histogram_percentile(&stat->durations, 0.5), known);
    put_known_time(span_histogram_percentile(&stat->durations, 0.9), known);
    put_known_time(span_histogram_percentile(&stat->durations, 0.99), known);
    put_known_time(stat->max_ns, known);
    printf("  %-8s ", report_view_kind(row->kind));
    if (row->thread)
        put_thread(row->thread);
    else
        put_name(row->name);
    if (row->kind == SPAN_ROW_PROCESS)
        printf(" (%" PRIu32 ")", row->process->process.pid);
    if (*row->module) {
        fputs(" [", stdout);
        put_name(row->module);
        putchar(']');
    }
    putchar('\n');
}

static void print_table(const ReportView *view)
{
    const SpanTable *table = view->report->table;
    const SpanRow *row;
    size_t i;

    if (span_table_count(table) == 0)
        return;
    print_heading("spans and events");
    printf("%10s %8s %10s %10s %10s %10s %10s %10s %10s  %s\n", "count", "partial", "total", "self", "mean",
           "p50", "p90", "p99", "max", "name");
    for (i = 0; i < view->limit && (row = span_table_row(table, i)); i++)
        print_row(row);
    put_rest(i, span_table_count(table));
}

static void print_thread(const ThreadRow *row)
{
    bool known = row->source != CPU_UNKNOWN;

    printf("%9" PRIu32 " %9" PRIu32 " %11" PRIu64 " %11" PRIu64, row->process->process.pid,
           row->thread->thread.tid, row->events, row->spans);
    put_time(row->span_ns);
    put_known_time(row->run_ns, known);
    put_known_time(row->sleep_ns, known);
    put_known_time(row->runnable_ns, known);
    fputs("  ", stdout);
    put_name(row->thread->thread.name);
    putchar('\n');
}

static void print_threads(const ReportView *view)
{
    const ThreadRow *row;
    size_t i;

    print_heading("threads");
    printf("%9s %9s %11s %11s %10s %10s %10s %10s  %s\n", "pid", "tid", "events", "spans", "in spans",
           "on CPU", "asleep", "runnable", "name");
    for (i = 0; i < view->limit && (row = thread_table_row(view->report->threads, i)); i++)
        print_thread(row);
    put_rest(i, count_threads(view->report->threads));
}

/* ---- waits ------------------------------------------------------------------------------------ */

const char *report_view_wait(WaitKind kind)
{
    static const char *const names[] = {"lock", "call", "sleep", "runnable", "syscall", "asleep"};

    return names[kind];
}

void report_view_wait_name(const ReportView *view, const WaitRow *wait, char name[ADAT_NAME_MAX])
{
    const RoleEntry *entry;

    name[0] = '\0';
    if (wait->event == 0)
        return;
    entry = role_table_entry(&view->report->roles, wait->event);
    (void)span_name(entry->reader, entry->process->process.process, entry->id, 0, NULL, name, NULL);
}

static void print_wait(const ReportView *view, const WaitRow *wait)
{
    const ThreadRow *thread = thread_table_numbered(view->report->threads, wait->thread);
    const ThreadRow *whom = thread_table_numbered(view->report->threads, wait->whom);
    char name[ADAT_NAME_MAX];

    report_view_wait_name(view, wait, name);
    put_time(wait->total_ns);
    printf(" %10" PRIu64, wait->count);
    put_time(wait->max_ns);
    fputs("  ", stdout);
    put_thread(thread->thread);
    printf(" %s", report_view_wait(wait->kind));
    if (*name) {
        putchar(' ');
        put_name(name);
    }
    if (wait->object != 0)
        printf(wait->object < 4096 ? " %" PRIu64 : " 0x%" PRIx64, wait->object);
    if (whom) {
        fputs(wait->kind == WAIT_SLEEP ? ", woken by " : ", for ", stdout);
        put_thread(whom->thread);
    } else if (wait->whom_tid != 0) {
        printf(", woken by thread %" PRIu32, wait->whom_tid);
    }
    putchar('\n');
}

static void print_waits(const ReportView *view)
{
    const WaitTable *waits = view->report->waits;
    const WaitRow *wait;
    size_t i, count;

    if (!waits || !wait_table_row(waits, 0))
        return;
    print_heading("waits");
    printf(" %10s %10s %10s  %s\n", "total", "count", "max", "which thread, for what, for whom");
    for (i = 0; i < view->limit && (wait = wait_table_row(waits, i)); i++)
        print_wait(view, wait);
    for (count = i; wait_table_row(waits, count); count++)
        ;
    put_rest(i, count);
}

/* ---- longest spans ---------------------------------------------------------------------------- */

const char *report_view_incomplete(uint32_t flags)
{
    switch (flags & SPAN_INCOMPLETE) {
    case SPAN_UNWOUND:
        return "unwound";
    case SPAN_CUT:
        return "cut";
    case SPAN_LOST:
        return "lost";
    case SPAN_UNSURE:
        return "unsure";
    case SPAN_EARLY:
        return "early";
    default:
        return NULL;
    }
}

static void print_longest(const ReportView *view)
{
    const TopSpans *longest = &view->report->longest;

    if (longest->count == 0)
        return;
    print_heading("longest spans");
    printf(" %10s %16s  %s\n", "duration", "at", "thread, name");
    for (size_t i = 0; i < longest->count; i++) {
        const Span *span = &longest->spans[i];
        const char *incomplete = report_view_incomplete(span->flags);
        char name[ADAT_NAME_MAX];

        if (span_name(span->reader, span->process->process.process, span->id, span->flags, view->symbols,
                      name, NULL) < 0)
            return;
        put_time(span_duration(span));
        printf(" %16.9f  ", (double)span->begin_ns / 1e9);
        put_thread(span->thread);
        putchar(' ');
        put_name(name);
        if (incomplete)
            printf(" (%s: at least)", incomplete);
        putchar('\n');
    }
}

/* ---- tree ------------------------------------------------------------------------------------- */

static void print_node(const ReportView *view, const CallNode *node, uint64_t whole_ns)
{
    char name[ADAT_NAME_MAX];
    uint32_t indent = node->depth < INDENT_MAX ? node->depth : INDENT_MAX;

    put_time(node->total_ns);
    put_known_time(node->self_ns, node->depth > 0);
    printf(" %6.2f ", whole_ns > 0 ? 100.0 * (double)node->total_ns / (double)whole_ns : 0.0);
    if (node->depth == 0) {
        printf("%10s  ", "");
        put_name(process_name(node->process));
        printf(" (%" PRIu32 ")\n", node->process->process.pid);
        return;
    }
    if (span_name(node->reader, node->process->process.process, node->id, node->flags, view->symbols, name,
                  NULL) < 0)
        return;
    printf("%10" PRIu64 "  %*s", node->count, (int)(2 * indent), "");
    put_name(name);
    putchar('\n');
}

/* Of the nodes that are too short neither they nor what is in them. */
static void print_tree(const ReportView *view)
{
    const CallTree *tree = view->report->tree;
    uint32_t number = tree ? call_tree_first(tree) : CALL_TREE_NONE;
    uint64_t whole_ns = 0, left_out = 0;

    if (number == CALL_TREE_NONE)
        return;
    print_heading("calls");
    printf(" %10s %10s %6s %10s  %s\n", "total", "self", "%", "count", "name");
    while (number != CALL_TREE_NONE && !cli_output_failed()) {
        const CallNode *node = call_tree_node(tree, number);
        bool shown = node->depth == 0 || (double)node->total_ns >= view->min_percent / 100 * (double)whole_ns;

        if (node->depth == 0)
            whole_ns = node->total_ns;
        if (shown)
            print_node(view, node, whole_ns);
        left_out += !shown;
        number = call_tree_next(tree, number, shown);
    }
    if (left_out > 0)
        printf("(%" PRIu64
               " calls, and what they call, have less than %g %% of their process; --min 0 for all)\n",
               left_out, view->min_percent);
    if (call_tree_overflowed(tree) > 0)
        printf("(%" PRIu64 " calls had no room in the tree, and count for their callers)\n",
               call_tree_overflowed(tree));
}

void report_view_text(const ReportView *view)
{
    print_losses(view);
    print_totals(view);
    print_table(view);
    print_threads(view);
    print_waits(view);
    print_longest(view);
    print_tree(view);
}
