/* SPDX-License-Identifier: MIT */
/*
 * Fills a model from a trace: one walk over its events. Spans come from the span builder, what the scheduler did from the kernel's events;
 * where events of a thread may be missing, its row of losses has an item.
 */
#ifndef ADA_VIEW_VIEW_COLLECT_H
#define ADA_VIEW_VIEW_COLLECT_H

#include "user/reader/adat_cursor.h"
#include "user/reader/symbols.h"
#include "user/view/view_model.h"

typedef struct ViewCollectConfig {
    bool (*select)(const AdatThreadInfo *thread, void *context); /* NULL = all threads */
    void *context;
    int64_t from_ns; /* as of AdatCursorConfig; what began earlier and reaches beyond it is there, whole */
    int64_t to_ns;
    AdatSymbols *symbols; /* NULL: functions are called by module and offset */
    /* Called now and then, with how many events were read. NULL: not wanted. 0, or < 0, which is the result then. */
    int (*progress)(uint64_t events, void *context);
    void *progress_context;
} ViewCollectConfig;

typedef struct ViewCounts {
    uint64_t events;
    uint64_t vanished;  /* of files that were removed meanwhile */
    uint64_t unmatched; /* ends of spans that began before the first event, or in a loss */
    bool sched;         /* there were events of the scheduler */
} ViewCounts;

/* 0; errors as adat_cursor_next(). */
int view_collect(const AdatSet *set, const ViewCollectConfig *config, ViewModel *model, ViewCounts *counts_out);

#endif
