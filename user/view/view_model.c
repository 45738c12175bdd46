/* SPDX-License-Identifier: MIT */
#include "user/view/view_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/array.h"

#define RESOLUTION_FIRST 16u /* ns */

void view_model_init(ViewModel *model, size_t items_max)
{
    *model = (ViewModel){.items_max = items_max ? items_max : VIEW_ITEMS_MAX,
                         .names.bytes_max = VIEW_NAME_BYTES_MAX,
                         .texts.bytes_max = VIEW_TEXT_BYTES_MAX,
                         .process_keys.bytes_max = SIZE_MAX,
                         .track_keys.bytes_max = SIZE_MAX};
}

void view_model_fini(ViewModel *model)
{
    for (size_t i = 0; i < model->row_count; i++)
        view_row_free(&model->rows[i]);
    for (size_t i = 0; i < model->process_count; i++)
        free(model->processes[i].counters);
    for (size_t i = 0; i < model->track_count; i++)
        for (size_t kind = 0; kind < VIEW_ROW_KINDS; kind++)
            free(model->tracks[i].rows[kind].rows);
    free(model->rows);
    free(model->processes);
    free(model->tracks);
    view_names_free(&model->names);
    view_names_free(&model->texts);
    view_names_free(&model->process_keys);
    view_names_free(&model->track_keys);
}

/* ---- tracks ---------------------------------------------------------------------------------- */

/* The index that belongs to a key; if it is new, the next one. */
static int find_key(ViewNames *keys, uint64_t owner, uint32_t id, uint32_t *index_out)
{
    char key[sizeof(owner) + sizeof(id)];
    uint32_t number;
    int error;

    memcpy(key, &owner, sizeof(owner));
    memcpy(key + sizeof(owner), &id, sizeof(id));
    error = view_names_intern(keys, key, sizeof(key), &number);
    if (!error)
        *index_out = number - 1;
    return error;
}

int view_model_process(ViewModel *model, size_t recording, uint32_t pid, uint32_t *process_out)
{
    int error = array_reserve_one(&model->processes, &model->process_capacity, model->process_count,
                                  sizeof(*model->processes));

    if (!error)
        error = find_key(&model->process_keys, recording, pid, process_out);
    if (!error && *process_out == model->process_count)
        model->processes[model->process_count++] = (ViewProcess){.recording = recording, .pid = pid};
    return error;
}

int view_model_track(ViewModel *model, uint32_t process, uint32_t tid, uint32_t *track_out)
{
    int error =
        array_reserve_one(&model->tracks, &model->track_capacity, model->track_count, sizeof(*model->tracks));

    if (!error)
        error = find_key(&model->track_keys, process, tid, track_out);
    if (!error && *track_out == model->track_count)
        model->tracks[model->track_count++] = (ViewTrack){.process = process, .tid = tid};
    return error;
}

/* ---- names ----------------------------------------------------------------------------------- */

int view_model_name(ViewModel *model, const char *text, size_t size, uint32_t *name_out)
{
    int error = view_names_intern(&model->names, text, size, name_out);

    if (error != -ENOSPC)
        return error;
    error = view_names_intern(&model->names, "?", 1, name_out);
    return error == -ENOSPC ? 0 : error;
}

int view_model_text(ViewModel *model, const char *text, size_t size, uint32_t *text_out)
{
    int error = view_names_intern(&model->texts, text, size, text_out);

    if (error != -ENOSPC)
        return error;
    model->texts_left_out++;
    return 0;
}

/* ---- room ------------------------------------------------------------------------------------ */

static void coarsen_all(ViewModel *model, uint64_t resolution)
{
    size_t count = 0;

    for (size_t i = 0; i < model->row_count; i++) {
        ViewRow *row = &model->rows[i];

        view_items_coarsen(&row->exact, row->kind, resolution);
        count += row->exact.count;
    }
    model->item_count = count;
    model->resolution_ns = resolution;
}

/*
 * Half of the room at least is free then, if anything helps: otherwise adding would coarsen again and again. What came since the last time
 * is as fine as it was recorded, so the same resolution as then may do.
 */
static bool make_room(ViewModel *model)
{
    uint64_t resolution = model->resolution_ns ? model->resolution_ns : RESOLUTION_FIRST;

    for (; model->item_count > model->items_max / 2 && resolution <= INT64_MAX / 2; resolution *= 2)
        coarsen_all(model, resolution);
    return model->item_count < model->items_max;
}

static int add_to_row(ViewModel *model, uint32_t row, const ViewItem *item)
{
    int error;

    model->added++;
    if (model->item_count >= model->items_max && !make_room(model)) {
        model->left_out++;
        return 0;
    }
    error = view_row_add(&model->rows[row], item);
    model->item_count += error ? 0 : 1;
    return error;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static int add_row(ViewModel *model, ViewRowKind kind, uint32_t track, uint32_t depth, uint32_t *row_out)
{
    int error = array_reserve_one(&model->rows, &model->row_capacity, model->row_count, sizeof(*model->rows));

    if (error)
        return error;
    model->rows[model->row_count] = (ViewRow){.kind = kind, .track = track, .depth = depth};
    *row_out = (uint32_t)model->row_count++;
    return 0;
}

/* The recording's own rows are found by looking: there are few rows of that kind before them. */
static int find_global_row(ViewModel *model, ViewRowKind kind, uint32_t *row_out)
{
    for (size_t i = 0; i < model->row_count; i++) {
        if (model->rows[i].track == VIEW_NO_TRACK && model->rows[i].kind == kind) {
            *row_out = (uint32_t)i;
            return 0;
        }
    }
    return add_row(model, kind, VIEW_NO_TRACK, 0, row_out);
}

static int find_row(ViewModel *model, uint32_t track, ViewRowKind kind, uint32_t depth, uint32_t *row_out)
{
    ViewDepths *depths = &model->tracks[track].rows[kind];
    int error = 0;

    while (!error && depths->count <= depth) {
        error = array_reserve_one(&depths->rows, &depths->capacity, depths->count, sizeof(*depths->rows));
        if (!error)
            depths->rows[depths->count++] = 0;
    }
    if (!error && depths->rows[depth] == 0) {
        uint32_t row;

        error = add_row(model, kind, track, depth, &row);
        if (!error)
            depths->rows[depth] = row + 1;
    }
    if (!error)
        *row_out = depths->rows[depth] - 1;
    return error;
}

int view_model_add(ViewModel *model, uint32_t track, ViewRowKind kind, uint32_t depth, const ViewItem *item)
{
    uint32_t row = 0;
    int error;

    if (track == VIEW_NO_TRACK) {
        error = find_global_row(model, kind, &row);
        return error ? error : add_to_row(model, row, item);
    }
    for (; depth < VIEW_DEPTH_MAX; depth++) {
        error = find_row(model, track, kind, depth, &row);
        if (error)
            return error;
        if (view_row_has_room(&model->rows[row], item->start, item->duration))
            return add_to_row(model, row, item);
    }
    model->added++;
    model->too_deep++;
    return 0;
}

/* The row of a process's counter by name; it is made if there is none. */
static int find_counter(ViewModel *model, uint32_t process, uint32_t name, uint32_t *row_out)
{
    ViewProcess *owner = &model->processes[process];
    int error;

    for (size_t i = 0; i < owner->counter_count; i++) {
        *row_out = owner->counters[i];
        if (model->rows[*row_out].depth == name)
            return 0;
    }
    error = array_reserve_one(&owner->counters, &owner->counter_capacity, owner->counter_count,
                              sizeof(*owner->counters));
    if (!error)
        error = add_row(model, VIEW_ROW_COUNTER, process, name, row_out);
    if (!error)
        owner->counters[owner->counter_count++] = *row_out;
    return error;
}

int view_model_add_value(ViewModel *model, uint32_t process, const ViewItem *item)
{
    uint32_t row = 0;
    int error = find_counter(model, process, item->name, &row);

    return error ? error : add_to_row(model, row, item);
}

int view_model_begin_value(ViewModel *model, uint32_t process, const ViewItem *item)
{
    uint32_t row = 0;
    int error = find_counter(model, process, item->name, &row);

    if (error)
        return error;
    if (model->rows[row].exact.count == 0)
        return add_to_row(model, row, item);
    if (model->rows[row].exact.items[0].start <= item->start)
        model->rows[row].exact.items[0] = *item;
    return 0;
}

bool view_model_range(const ViewModel *model, int64_t *begin_out, int64_t *end_out)
{
    bool found = false;

    for (size_t i = 0; i < model->row_count; i++) {
        const ViewItems *items = &model->rows[i].exact;
        int64_t begin, end;

        if (items->count == 0)
            continue;
        begin = items->items[0].start;
        end = view_item_end(&items->items[items->count - 1]);
        *begin_out = found && *begin_out < begin ? *begin_out : begin;
        *end_out = found && *end_out > end ? *end_out : end;
        found = true;
    }
    return found;
}
