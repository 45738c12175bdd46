/* SPDX-License-Identifier: MIT */
/*
 * What spans of one name, thread, module or process come to: how many, how long, and how long at most.
 *
 *   span_table_open(), _close()   for each span, as a builder calls
 *   span_table_point()            for each event that is no part of a span
 *   span_table_finish()           names, and one row for each of them
 *
 * Spans are added up by address or event and process; names are looked up once, at the end. Rows with the same kind, name and module are one
 * then: a function that several processes or recordings have is one function.
 *
 * What the figures are of:
 *   total   the time of spans that are not within another one of the same row in their thread: recursion counts once
 *   self    the time that they spent outside of all spans within them
 *   mean, percentiles, maximum   of complete spans: see SPAN_INCOMPLETE
 * A span whose duration is not known (span_has_time()) is counted, and adds no time.
 */
#ifndef ADA_REPORT_SPAN_TABLE_H
#define ADA_REPORT_SPAN_TABLE_H

#include "user/report/span_builder.h"
#include "user/report/span_histogram.h"
#include "user/reader/symbols.h"

/* What a row is. */
typedef enum SpanTableBy {
    SPAN_TABLE_NAMES, /* functions, spans of registered events, and other events */
    SPAN_TABLE_FUNCTIONS,
    SPAN_TABLE_SPANS,
    SPAN_TABLE_EVENTS, /* those that are no spans */
    SPAN_TABLE_THREADS,
    SPAN_TABLE_MODULES, /* functions by module */
    SPAN_TABLE_PROCESSES,
} SpanTableBy;

typedef enum SpanRowKind {
    SPAN_ROW_FUNCTION,
    SPAN_ROW_SPAN,
    SPAN_ROW_EVENT,
    SPAN_ROW_THREAD,
    SPAN_ROW_MODULE,
    SPAN_ROW_PROCESS,
} SpanRowKind;

#define SPAN_WINDOWS 16u

/*
 * Complete spans by when they ended, in SPAN_WINDOWS parts of the time, and the logarithms of their durations (of 1 + ns, to the base e): how much
 * spans that are near in time have in common.
 */
typedef struct SpanWindows {
    double counts[SPAN_WINDOWS];
    double sums[SPAN_WINDOWS];
    double squares; /* of all */
} SpanWindows;

/* Numbers of spans, or of events; times in ns. */
typedef struct SpanStat {
    uint64_t count;
    uint64_t complete;
    uint64_t incomplete; /* the others; 0 for events */
    uint64_t total_ns;
    uint64_t self_ns;
    uint64_t complete_ns; /* sum of the complete ones' durations */
    uint64_t complete_self_ns;
    uint64_t max_ns;
    SpanHistogram durations; /* of complete ones */
    SpanHistogram selves;    /* their self times, if SpanTableConfig.compared */
    SpanWindows *windows;    /* NULL unless that, or without any */
} SpanStat;

typedef struct SpanRow {
    SpanRowKind kind;
    const char *name;   /* NUL-terminated, as the trace or the symbols have it: not escaped; the table's */
    const char *module; /* of a function: the last part of its path; "" if it is in none, and for all else */
    const AdatThreadInfo *thread;   /* of a thread */
    const AdatProcessInfo *process; /* of a thread or process; of others it is one of those that they are of */
    SpanStat stat;
    uint64_t rank; /* by which it was sorted */
} SpanRow;

typedef struct SpanTableConfig {
    SpanTableBy by;
    bool compared;      /* what span_diff.h needs */
    int64_t begin_ns;   /* if so: of the time that has SPAN_WINDOWS windows */
    uint64_t window_ns; /* > 0 */
} SpanTableConfig;

typedef struct SpanTable SpanTable;

/* -ENOMEM. */
int span_table_create(const SpanTableConfig *config, SpanTable **table_out);

/* NULL is allowed. */
void span_table_destroy(SpanTable *table);

/* `place_out` is to be handed to span_table_close(). Of a span that is past nothing is added. 0 or -ENOMEM. */
int span_table_open(SpanTable *table, const Span *span, uint32_t *place_out);
int span_table_close(SpanTable *table, const Span *span, uint32_t place);

/* 0 or -ENOMEM. */
int span_table_point(SpanTable *table, const AdatEvent *event);

/* `symbols` as for span_name(). Once, at the end. 0 or -ENOMEM. */
int span_table_finish(SpanTable *table, AdatSymbols *symbols);

typedef enum SpanSort {
    SPAN_SORT_TOTAL,
    SPAN_SORT_SELF,
    SPAN_SORT_COUNT,
    SPAN_SORT_MEAN,
    SPAN_SORT_P99,
    SPAN_SORT_MAX,
    SPAN_SORT_NAME,
} SpanSort;

/* Descending, but names ascending; rows that are equal by name. */
void span_table_sort(SpanTable *table, SpanSort sort);

size_t span_table_count(const SpanTable *table);

/* NULL beyond the last. */
const SpanRow *span_table_row(const SpanTable *table, size_t index);

/* 0 without complete ones. */
uint64_t span_stat_mean(const SpanStat *stat);

#endif
