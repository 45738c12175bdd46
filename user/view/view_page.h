/* SPDX-License-Identifier: MIT */
/*
 * A recording as one HTML page, with everything in it: what is in user/view/page/, then the model as a block of data.
 *
 *   view_page_write()   reads the trace, writes the page
 *
 * The page asks nobody for anything, and a Content-Security-Policy within it keeps it from that. What a recording says - names, texts - is in the data,
 * deflated and in base 64, so no name can be read as HTML; the script makes text nodes of them, or draws them.
 */
#ifndef ADA_VIEW_VIEW_PAGE_H
#define ADA_VIEW_VIEW_PAGE_H

#include <stdio.h>

#include "user/view/view_collect.h"
#include "user/view/view_encode.h"

typedef struct ViewPageConfig {
    ViewCollectConfig collect;
    const char *title;   /* what was read */
    const char *version; /* of adatrace */
    size_t items_max;    /* 0: VIEW_ITEMS_MAX */
} ViewPageConfig;

typedef struct ViewPageSummary {
    ViewCounts counts;
    size_t tracks;
    uint64_t items;         /* that were there */
    size_t items_kept;      /* that are in the page */
    uint64_t resolution_ns; /* 0: the page is exact; else what is closer together than this may be one */
    uint64_t left_out;      /* items, for want of room */
    uint64_t too_deep;      /* items */
    uint64_t texts_left_out;
} ViewPageSummary;

/* 0; -EOVERFLOW: the trace is longer than VIEW_RANGE_MAX; -EIO: `out` has an error; errors as view_collect(). */
int view_page_write(const AdatSet *set, const ViewPageConfig *config, FILE *out, ViewPageSummary *summary_out);

#endif
