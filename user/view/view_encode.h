/* SPDX-License-Identifier: MIT */
/*
 * A model as the bytes that the page reads (user/view/page/data.js):
 *
 *   levels of rows | JSON | size of the JSON: 4 bytes, little-endian
 *
 * A level is the columns of its items, one after the other, each with a number for each item:
 *
 *   start - end of the item before it (of the first one: - begin of the page), as (n << 1) ^ (n >> 63)
 *   duration, name
 *   the columns that its `has` in the JSON tells of, in this order: VIEW_COLUMN_*
 *
 * Numbers are LEB128: 7 bits in a byte, the lowest first, the highest bit says that there are more. The JSON has the places of levels, and all that is
 * not many. Its integers are below 2^53 or text, as what reads it has doubles; for the same reason a page is of 2^52 ns (52 days) at most.
 */
#ifndef ADA_VIEW_VIEW_ENCODE_H
#define ADA_VIEW_VIEW_ENCODE_H

#include "user/base/json.h"
#include "user/view/view_model.h"
#include "user/view/view_stream.h"

#define VIEW_COLUMN_COUNT 0x1u  /* count; then duration - busy: two columns */
#define VIEW_COLUMN_FIRST 0x2u  /* `first`; of counters the lowest value; all 64 bits */
#define VIEW_COLUMN_SECOND 0x4u /* `second`; of counters the highest value */
#define VIEW_COLUMN_FLAGS 0x8u
#define VIEW_COLUMN_TEXT 0x10u

#define VIEW_RANGE_MAX ((uint64_t)1 << 52) /* ns */

/* What the model does not know of the trace. */
typedef struct ViewFacts {
    const char *title;
    const char *version; /* of adatrace */
    const char *host;    /* "" if not known */
    uint64_t begin_realtime_ns;
    uint64_t events;    /* in the range */
    uint64_t lost;      /* in all of the trace, by its accounts */
    uint64_t vanished;  /* events of files that were removed meanwhile */
    uint64_t unmatched; /* ends of spans without a begin */
    bool guessed_clock;
    bool sched; /* there is something of the scheduler */
    uint64_t clock_error_ns;
    int64_t from_ns; /* as was asked for; INT64_MIN, INT64_MAX: not */
    int64_t to_ns;
} ViewFacts;

/* The page's times count from `begin_ns`. -ENOMEM. */
int view_encode(const ViewModel *model, const ViewFacts *facts, int64_t begin_ns, int64_t end_ns,
                ViewStream *stream);

#endif
