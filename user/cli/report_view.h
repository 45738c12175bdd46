/* SPDX-License-Identifier: MIT */
/* What `adatrace report` prints on stdout. */
#ifndef ADA_CLI_REPORT_VIEW_H
#define ADA_CLI_REPORT_VIEW_H

#include "user/reader/adat_set.h"
#include "user/report/report.h"

typedef struct ReportView {
    const char *path;
    const AdatSet *set;
    const Report *report;
    AdatSymbols *symbols; /* may be NULL */
    size_t limit;         /* lines of each table */
    double min_percent;   /* of the tree: of the time of its process */
    bool whole;           /* all threads and all time are reported on */
    int64_t from_ns;      /* the time that is; INT64_MIN and INT64_MAX: it has no such end */
    int64_t until_ns;
} ReportView;

void report_view_text(const ReportView *view);
void report_view_json(const ReportView *view);

/* Of what is told of events that are not in the trace: all but detail records that nobody asked for. */
uint64_t report_view_lost(const AdatAccount *account);

/* "function", "span", "event", "thread", "module", "process" */
const char *report_view_kind(SpanRowKind kind);

/* "lock", "call", "sleep", "runnable", "syscall", "asleep" */
const char *report_view_wait(WaitKind kind);

/* What a waiting thread called; "" if nothing is known. */
void report_view_wait_name(const ReportView *view, const WaitRow *wait, char name[ADAT_NAME_MAX]);

/* "cut", "lost", "unsure", "unwound", "early", or NULL for a complete span. */
const char *report_view_incomplete(uint32_t flags);

#endif
