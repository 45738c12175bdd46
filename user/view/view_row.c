/* SPDX-License-Identifier: MIT */
#include "user/view/view_row.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RESOLUTION_FIRST 256u /* ns; below it nothing is drawn in one piece */
#define RESOLUTION_STEP 4u

/* ---- adding ---------------------------------------------------------------------------------- */

/* Number of items that begin before `start`, or then and take no time. */
static size_t find_place(const ViewItems *items, int64_t start)
{
    size_t low = 0, high = items->count;

    if (high == 0 || items->items[high - 1].start <= start)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (items->items[middle].start <= start)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool view_row_has_room(const ViewRow *row, int64_t start, uint64_t duration)
{
    size_t place = find_place(&row->exact, start);

    if (place > 0 && view_item_end(&row->exact.items[place - 1]) > start)
        return false;
    return place == row->exact.count || row->exact.items[place].start >= start + (int64_t)duration;
}

/* By half of what there is: rows are many, and together they are bounded. */
static int reserve_one(ViewItems *items)
{
    size_t grown = items->capacity + items->capacity / 2 + 8;
    ViewItem *memory;

    if (items->count < items->capacity)
        return 0;
    memory = reallocarray(items->items, grown, sizeof(*memory));
    if (!memory)
        return -ENOMEM;
    items->items = memory;
    items->capacity = grown;
    return 0;
}

int view_row_add(ViewRow *row, const ViewItem *item)
{
    ViewItems *items = &row->exact;
    size_t place = find_place(items, item->start);
    int error = reserve_one(items);

    if (error)
        return error;
    memmove(items->items + place + 1, items->items + place, (items->count - place) * sizeof(*items->items));
    items->items[place] = *item;
    items->count++;
    return 0;
}

void view_row_free(ViewRow *row)
{
    free(row->exact.items);
    row->exact = (ViewItems){0};
}

/* ---- coarsening ------------------------------------------------------------------------------ */

static uint32_t add_counts(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

/* By how much the name of an item leads among those that it stands for. */
static uint64_t name_lead(const ViewItem *item)
{
    return item->count > 1 ? item->first : item->busy + 1;
}

/* The vote of Boyer and Moore: whoever has more than half of all is left. */
static void vote_name(ViewItem *into, const ViewItem *next)
{
    uint64_t lead = name_lead(into), other = name_lead(next);

    if (into->name == next->name) {
        into->first = lead + other;
    } else if (lead >= other) {
        into->first = lead - other;
    } else {
        into->first = other - lead;
        into->name = next->name;
    }
    into->second = 0;
}

static void merge_values(ViewItem *into, const ViewItem *next)
{
    if ((int64_t)next->first < (int64_t)into->first)
        into->first = next->first;
    if ((int64_t)next->second > (int64_t)into->second)
        into->second = next->second;
}

static void merge(ViewItem *into, const ViewItem *next, ViewRowKind kind)
{
    if (kind == VIEW_ROW_COUNTER)
        merge_values(into, next);
    else if (kind == VIEW_ROW_LOST)
        into->first += next->first; /* how many are lost stays exact */
    else
        vote_name(into, next);
    into->duration = (uint64_t)(view_item_end(next) - into->start);
    into->busy += next->busy;
    into->count = add_counts(into->count, next->count);
    into->flags = (into->flags | next->flags) & VIEW_FLAGS_MERGED;
    into->text = 0;
}

void view_items_coarsen(ViewItems *items, ViewRowKind kind, uint64_t resolution_ns)
{
    ViewItem *last = items->items;

    if (items->count == 0)
        return;
    for (size_t i = 1; i < items->count; i++) {
        const ViewItem *next = &items->items[i];

        if ((uint64_t)(view_item_end(next) - last->start) <= resolution_ns)
            merge(last, next, kind);
        else
            *++last = *next;
    }
    items->count = (size_t)(last - items->items) + 1;
}

/* ---- levels ---------------------------------------------------------------------------------- */

static int copy_items(const ViewItems *from, ViewItems *to_out)
{
    ViewItem *memory = reallocarray(NULL, from->count, sizeof(*memory));

    if (!memory)
        return -ENOMEM;
    memcpy(memory, from->items, from->count * sizeof(*memory));
    *to_out = (ViewItems){.items = memory, .count = from->count, .capacity = from->count};
    return 0;
}

static bool may_grow(uint64_t resolution)
{
    return resolution <= INT64_MAX / RESOLUTION_STEP;
}

int view_row_levels(const ViewRow *row, ViewLevels *levels_out)
{
    ViewLevels levels = {.levels = {{.items = row->exact}}, .count = 1};
    uint64_t resolution = RESOLUTION_FIRST;
    ViewItems coarse = {0};
    int error = 0;

    if (row->exact.count > VIEW_LEVEL_ITEMS)
        error = copy_items(&row->exact, &coarse);
    while (!error && coarse.count > VIEW_LEVEL_ITEMS && levels.count < VIEW_LEVELS_MAX) {
        view_items_coarsen(&coarse, row->kind, resolution);
        if (coarse.count <= levels.levels[levels.count - 1].items.count / 2) {
            ViewLevel *level = &levels.levels[levels.count];

            level->resolution_ns = resolution;
            error = copy_items(&coarse, &level->items);
            levels.count += error ? 0 : 1;
        }
        if (!may_grow(resolution))
            break;
        resolution *= RESOLUTION_STEP;
    }
    free(coarse.items);
    if (error)
        view_levels_free(&levels);
    else
        *levels_out = levels;
    return error;
}

void view_levels_free(ViewLevels *levels)
{
    for (size_t i = 1; i < levels->count; i++)
        free(levels->levels[i].items.items);
    levels->count = 0;
}
