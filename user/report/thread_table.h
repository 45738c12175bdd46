/* SPDX-License-Identifier: MIT */
/*
 * What each thread did, as far as the recording tells. What the kernel told of a thread goes into the row of the thread itself, if its program recorded,
 * too: by process, thread and recording.
 */
#ifndef ADA_REPORT_THREAD_TABLE_H
#define ADA_REPORT_THREAD_TABLE_H

#include "user/report/event_role.h"
#include "user/report/span_builder.h"

/* Where the times on and off CPUs come from. */
typedef enum CpuSource {
    CPU_UNKNOWN,
    CPU_EVENTS, /* events of the scheduler within the time that is reported on */
    CPU_DEATH,  /* what the kernel said when it ended, of its whole life as far as it was watched */
} CpuSource;

typedef struct ThreadRow {
    const AdatReader *reader;
    const AdatThreadInfo *thread;
    const AdatProcessInfo *process;
    uint64_t events;
    uint64_t spans;
    uint64_t span_ns; /* in its outermost spans whose duration is known */
    int64_t first_ns; /* of its events */
    int64_t last_ns;
    CpuSource source; /* the rest is 0 without one; times in ns */
    uint64_t run_ns;
    uint64_t sleep_ns; /* off CPUs until it was woken */
    uint64_t runnable_ns;
    uint64_t runnable_count; /* CPU_EVENTS only */
    uint64_t runnable_max_ns;
} ThreadRow;

typedef struct ThreadTable ThreadTable;

/* With a row for each selected thread of the set, also if it has no events: `select` and `context` as in AdatCursorConfig. -ENOMEM. */
int thread_table_create(const AdatSet *set, bool (*select)(const AdatThreadInfo *thread, void *context),
                        void *context, ThreadTable **table_out);

/* NULL is allowed. */
void thread_table_destroy(ThreadTable *table);

/* The number of a thread's row, from 1 on; 0: it has none. */
uint32_t thread_table_find(ThreadTable *table, const AdatThreadInfo *thread);

/* Each event; `role` is its role. */
void thread_table_add(ThreadTable *table, const AdatEvent *event, EventRole role);

/* Each span that has ended. */
void thread_table_span(ThreadTable *table, const Span *span);

/* Takes figures of deaths where there are no events, if `whole`: everything is reported on. */
void thread_table_finish(ThreadTable *table, bool whole);

/* Rows in the order of the set; those that went into another one are left out. NULL beyond the last. */
const ThreadRow *thread_table_row(const ThreadTable *table, size_t index);
const ThreadRow *thread_table_numbered(const ThreadTable *table, uint32_t number);

#endif
