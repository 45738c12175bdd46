/* SPDX-License-Identifier: MIT */
/*
 * What `adatrace top` and `adatrace status` show of a recording, as lines of text: order and choice of the rows, and
 * their format. Where the lines go - a terminal's screen, a pipe - is the caller's business.
 */
#ifndef ADA_CLI_TOP_VIEW_H
#define ADA_CLI_TOP_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "user/metrics/metrics_snapshot.h"

#define TOP_LINE_MAX 256u
#define TOP_HEADER_LINES 5u

enum top_sort {
    TOP_SORT_EVENTS, /* a second; highest first, as all but the last two */
    TOP_SORT_DROPS,
    TOP_SORT_OCCUPANCY,
    TOP_SORT_STALLS,
    TOP_SORT_CPU,
    TOP_SORT_RUNQUEUE,
    TOP_SORT_TOTAL,
    TOP_SORT_ID,
    TOP_SORT_NAME,
    TOP_SORTS,
};

typedef struct TopView {
    enum top_sort sort;
    bool reverse;
    bool processes;  /* a row for each process instead of each thread */
    char filter[32]; /* rows whose name or id contains it; "": all */
} TopView;

/* "events", "drops" ...; NULL beyond the last. */
const char *top_sort_name(enum top_sort sort);

/* TOP_SORTS: there is none of that name. */
enum top_sort top_sort_of(const char *name);

/* Lines about the whole recording, each NUL-terminated. */
void top_view_header(const MetricsSnapshot *snapshot, const MetricsPercentiles *latency,
                     char lines[TOP_HEADER_LINES][TOP_LINE_MAX]);

/*
 * The rows to show, as indices of snapshot->threads (or ->processes), in order; `order` has room for all of them.
 * Returns how many.
 */
size_t top_view_rows(const MetricsSnapshot *snapshot, const TopView *view, size_t *order);

/* The names of the columns, and one row. */
void top_view_columns(const TopView *view, char line[TOP_LINE_MAX]);
void top_view_row(const MetricsSnapshot *snapshot, const TopView *view, size_t index, char line[TOP_LINE_MAX]);

#endif
