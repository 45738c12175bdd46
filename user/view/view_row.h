/* SPDX-License-Identifier: MIT */
/*
 * One row of the timeline: things that happened one after the other and do not overlap, by time. Rows are what is drawn, and
 * what is made coarser:
 *
 *   view_row_add()      a thing, with its exact times
 *   view_row_coarsen()  things that are close together become one, which says how many they are, and how much of its time they took
 *   view_row_levels()   the row as it is drawn from farther and farther away: each level is the one below it, coarsened
 *
 * Coarsened at resolution R (ns), a row keeps every item that is longer than R as it is, and no two neighbours that would fit into R
 * together remain two: so it has at most 2 * T / R + 1 items in a time of T, however many they were.
 *
 * Items are in memory, 56 bytes each. Functions return 0 or -errno; one thread uses a row at a time.
 */
#ifndef ADA_VIEW_ROW_H
#define ADA_VIEW_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIEW_OPEN_END 0x1u  /* it had not ended where the trace, or its thread, did */
#define VIEW_UNWOUND 0x2u   /* it was left at some time before its end: by longjmp(3), or an exception */
#define VIEW_UNSURE 0x4u    /* events were lost within it: its end may be another's */
#define VIEW_HAS_FIRST 0x8u /* of one item: `first` was recorded */
#define VIEW_HAS_SECOND 0x10u
#define VIEW_FLAGS_MERGED (VIEW_OPEN_END | VIEW_UNSURE)

typedef struct ViewItem {
    int64_t start; /* ns, as of AdatEvent.time_ns */
    uint64_t duration;
    uint64_t busy; /* of the items that it stands for, without the gaps between them; of one, its duration */
    /*
     * Of one item: what it began with, and what it ended with. Of a counter: the lowest and the highest value, as int64_t.
     * Of several, `first` is by how much its name leads; see view_row_coarsen().
     */
    uint64_t first;
    uint64_t second;
    uint32_t name;
    uint32_t count; /* items that it stands for, UINT32_MAX at most; 1: it is exact */
    uint32_t flags; /* VIEW_* */
    uint32_t text;  /* number of its fields' text; 0: none */
} ViewItem;

typedef struct ViewItems {
    ViewItem *items;
    size_t count;
    size_t capacity;
} ViewItems;

typedef enum ViewRowKind {
    VIEW_ROW_LOST,    /* events that are not in the trace; first = how many */
    VIEW_ROW_SCHED,   /* what the scheduler did with the thread */
    VIEW_ROW_MARK,    /* marks of the program and of the recorder */
    VIEW_ROW_INSTANT, /* single events */
    VIEW_ROW_SPAN,    /* functions and spans of one depth */
    VIEW_ROW_CALL,    /* what the kernel tells of one depth: system calls, uprobes */
    VIEW_ROW_COUNTER, /* values of one counter */
    VIEW_ROW_KINDS
} ViewRowKind;

typedef struct ViewRow {
    ViewItems exact; /* by start; none begins before the one before it ends */
    ViewRowKind kind;
    uint32_t track;
    uint32_t depth;
} ViewRow;

/* Where an item ends. */
static inline int64_t view_item_end(const ViewItem *item)
{
    return item->start + (int64_t)item->duration;
}

/* Whether it would overlap an item of the row. What only touches one does not. */
bool view_row_has_room(const ViewRow *row, int64_t start, uint64_t duration);

/* The row must have room for it; as a rule it is the last one. 0; -ENOMEM. */
int view_row_add(ViewRow *row, const ViewItem *item);

/*
 * In place. An item that stands for several has the name that took most of their time, if one took more than half of
 * it; else it is that of one of them. 1 ns more counts for each, as some take none.
 */
void view_items_coarsen(ViewItems *items, ViewRowKind kind, uint64_t resolution_ns);

#define VIEW_LEVELS_MAX 24u
#define VIEW_LEVEL_ITEMS 512u /* what has no more needs no coarser level */

typedef struct ViewLevel {
    uint64_t resolution_ns; /* 0: the row as it is */
    ViewItems items;
} ViewLevel;

typedef struct ViewLevels {
    ViewLevel levels[VIEW_LEVELS_MAX]; /* the first one is the row as it is, and borrowed from it; the rest by rising resolution */
    size_t count;
} ViewLevels;

/* Resolutions are powers of 4 ns; there is no level that has more than half as many items as the one below it. -ENOMEM. */
int view_row_levels(const ViewRow *row, ViewLevels *levels_out);
void view_levels_free(ViewLevels *levels);

void view_row_free(ViewRow *row);

#endif
