/* SPDX-License-Identifier: MIT */
/*
 * One pass over the events of a trace, and what they come to: the tables of this folder, filled together.
 *
 *   report_run()       reads everything that is selected
 *   report->...        the tables: what was asked for; they live as long as the report
 *   report_destroy()
 *
 * Time and memory: no memory for single events; it grows with threads, names in threads, and places in the tree of calls.
 */
#ifndef ADA_REPORT_REPORT_H
#define ADA_REPORT_REPORT_H

#include "user/report/call_tree.h"
#include "user/report/span_table.h"
#include "user/report/top_spans.h"
#include "user/report/wait_table.h"

#define REPORT_PROGRESS_EVENTS (1u << 18) /* between two calls of progress() */

typedef struct ReportConfig {
    const AdatSet *set;
    AdatSymbols *symbols; /* NULL: functions are called by module and offset */
    /*
     * What is reported on; INT64_MIN and INT64_MAX: all time. All is read from its begin: what began before that time may reach into it,
     * and whoever holds a lock then may have got it before.
     */
    AdatCursorConfig cursor;
    SpanTableConfig table;
    size_t longest; /* so many of the longest spans */
    bool waits;
    bool tree;
    /* Called now and then with the number of events so far. NULL = not. 0, or < 0 to give up with that. */
    int (*progress)(uint64_t events, void *context);
    void *progress_context;
} ReportConfig;

typedef struct Report {
    uint64_t events;   /* in the time that is looked at */
    uint64_t vanished; /* see adat_cursor_vanished() */
    int64_t first_ns;  /* of the events; first_ns > last_ns: there are none */
    int64_t last_ns;
    SpanCounts spans;
    SpanTable *table;
    ThreadTable *threads;
    WaitTable *waits; /* NULL unless asked for */
    CallTree *tree;   /* likewise; sorted */
    TopSpans longest;
    RoleTable roles;
    /* inside */
    const ReportConfig *config;
    uint64_t read;   /* events, those before the time that is looked at included */
    int64_t read_ns; /* time of the last one */
    AdatCursor *cursor;
    SpanBuilder *builder;
} Report;

/* 0 and a report; -ENOMEM; errors as adat_cursor_next(); what progress() returned. */
int report_run(const ReportConfig *config, Report **report_out);

/* NULL is allowed. */
void report_destroy(Report *report);

#endif
