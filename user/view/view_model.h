/* SPDX-License-Identifier: MIT */
/*
 * What a page shows, in memory: tracks, which are threads, with their rows; processes with the rows of their counters; names.
 *
 * A thread is a process id and a thread id within a recording: what its program told and what the kernel told of it are on one track.
 *
 * Memory is bounded. There are at most `items_max` items in all rows together. When there are as many, all rows are coarsened, at a resolution that doubles
 * until half of the room is free; so a short recording is exact to the last event, and a long one is as fine as memory allows, everywhere alike. Names and texts of
 * fields have a limit of bytes; tracks are as many as there are threads.
 *
 * Functions return 0 or -errno. One thread uses a model at a time.
 */
#ifndef ADA_VIEW_VIEW_MODEL_H
#define ADA_VIEW_VIEW_MODEL_H

#include "user/view/view_names.h"
#include "user/view/view_row.h"

#define VIEW_ITEMS_MAX ((size_t)3 << 20) /* 168 MiB of them; with the room that rows grow by, up to 252 MiB */
#define VIEW_NAME_BYTES_MAX ((size_t)32 << 20) /* of names; others are called "?" */
#define VIEW_TEXT_BYTES_MAX ((size_t)32 << 20) /* of fields; others are left out, and counted */
#define VIEW_DEPTH_MAX 256u                    /* what is deeper is left out, and counted */
#define VIEW_NO_TRACK UINT32_MAX

typedef struct ViewProcess {
    size_t recording;
    uint32_t pid;
    uint32_t program;   /* name */
    uint32_t command;   /* name */
    uint32_t *counters; /* rows */
    size_t counter_count;
    size_t counter_capacity;
} ViewProcess;

typedef struct ViewDepths {
    uint32_t *rows; /* + 1; 0: there is none yet */
    size_t count;
    size_t capacity;
} ViewDepths;

typedef struct ViewTrack {
    uint32_t process; /* index */
    uint32_t tid;
    uint32_t name;
    uint64_t lost; /* events, by its account: in all of the trace */
    ViewDepths rows[VIEW_ROW_KINDS];
} ViewTrack;

typedef struct ViewModel {
    size_t items_max;
    size_t item_count;
    uint64_t resolution_ns; /* rows were coarsened at it; 0: everything is exact */
    uint64_t added;         /* items, ever */
    uint64_t left_out;      /* of them for want of room */
    uint64_t too_deep;      /* likewise: deeper than VIEW_DEPTH_MAX */
    uint64_t texts_left_out;
    ViewNames names;
    ViewNames texts;
    ViewNames process_keys; /* what processes and tracks are found by; number n is that of index n - 1 */
    ViewNames track_keys;
    ViewRow *rows;
    size_t row_count;
    size_t row_capacity;
    ViewProcess *processes;
    size_t process_count;
    size_t process_capacity;
    ViewTrack *tracks;
    size_t track_count;
    size_t track_capacity;
} ViewModel;

/* `items_max` 0: VIEW_ITEMS_MAX. */
void view_model_init(ViewModel *model, size_t items_max);
void view_model_fini(ViewModel *model);

/* The process, or the track, that has these numbers; it is made if there is none. Tracks of a process need not be neighbours. */
int view_model_process(ViewModel *model, size_t recording, uint32_t pid, uint32_t *process_out);
int view_model_track(ViewModel *model, uint32_t process, uint32_t tid, uint32_t *track_out);

/* A name's number; that of "?" if there is no more room. */
int view_model_name(ViewModel *model, const char *text, size_t size, uint32_t *name_out);

/* The same of a text of fields; 0, and counted, if there is no more room. */
int view_model_text(ViewModel *model, const char *text, size_t size, uint32_t *text_out);

/*
 * Adds an item to the row of that kind and depth of a track; to the next deeper one with room, should something else be there at that time.
 * Track VIEW_NO_TRACK: it is the recording's. What there is no room for is counted, and no error.
 */
int view_model_add(ViewModel *model, uint32_t track, ViewRowKind kind, uint32_t depth, const ViewItem *item);

/* Adds a value of a process's counter, which is the item's name. */
int view_model_add_value(ViewModel *model, uint32_t process, const ViewItem *item);

/* The value that a counter begins with, in the place of the one that it was before: while nothing else was added of it. */
int view_model_begin_value(ViewModel *model, uint32_t process, const ViewItem *item);

/* First and last moment of all items. false: there is none. */
bool view_model_range(const ViewModel *model, int64_t *begin_out, int64_t *end_out);

#endif
