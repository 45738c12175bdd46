/* SPDX-License-Identifier: MIT */
#include "user/view/view_encode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/number.h"

#define LEB_BYTES_MAX 10u
#define BUFFER_BYTES 4096u

/* Where a level stands in the data. */
typedef struct LevelPlace {
    uint64_t resolution_ns;
    uint64_t offset;
    size_t count;
    uint32_t has; /* VIEW_COLUMN_* */
} LevelPlace;

typedef struct RowPlaces {
    LevelPlace *levels;
    size_t count;
} RowPlaces;

/* ---- columns --------------------------------------------------------------------------------- */

typedef struct Column {
    ViewStream *stream;
    size_t used;
    uint8_t bytes[BUFFER_BYTES];
} Column;

static void column_flush(Column *column)
{
    view_stream_put(column->stream, column->bytes, column->used);
    column->used = 0;
}

static void column_put(Column *column, uint64_t value)
{
    if (column->used > BUFFER_BYTES - LEB_BYTES_MAX)
        column_flush(column);
    for (; value >= 0x80u; value >>= 7)
        column->bytes[column->used++] = (uint8_t)(value | 0x80u);
    column->bytes[column->used++] = (uint8_t)value;
}

static uint64_t zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

static uint64_t first_of(const ViewItem *item, ViewRowKind kind)
{
    /* of several it is only what their name was chosen by */
    return kind == VIEW_ROW_COUNTER || kind == VIEW_ROW_LOST || item->count == 1 ? item->first : 0;
}

static uint32_t columns_of(const ViewItems *items, ViewRowKind kind)
{
    uint32_t has = 0;

    for (size_t i = 0; i < items->count; i++) {
        const ViewItem *item = &items->items[i];

        has |= (item->count > 1 ? VIEW_COLUMN_COUNT : 0) | (first_of(item, kind) ? VIEW_COLUMN_FIRST : 0) |
               (item->second ? VIEW_COLUMN_SECOND : 0) | (item->flags ? VIEW_COLUMN_FLAGS : 0) |
               (item->text ? VIEW_COLUMN_TEXT : 0);
    }
    return has;
}

static void put_times(Column *column, const ViewItems *items, int64_t begin)
{
    int64_t end = begin;

    for (size_t i = 0; i < items->count; i++) {
        column_put(column, zigzag(items->items[i].start - end));
        end = view_item_end(&items->items[i]);
    }
    for (size_t i = 0; i < items->count; i++)
        column_put(column, items->items[i].duration);
}

static void put_counts(Column *column, const ViewItems *items)
{
    for (size_t i = 0; i < items->count; i++)
        column_put(column, items->items[i].count);
    for (size_t i = 0; i < items->count; i++) {
        const ViewItem *item = &items->items[i];

        column_put(column, item->duration > item->busy ? item->duration - item->busy : 0);
    }
}

static void put_level(ViewStream *stream, const ViewItems *items, ViewRowKind kind, int64_t begin,
                      LevelPlace *place)
{
    Column column = {.stream = stream};

    place->offset = stream->taken;
    place->count = items->count;
    place->has = columns_of(items, kind);
    put_times(&column, items, begin);
    for (size_t i = 0; i < items->count; i++)
        column_put(&column, items->items[i].name);
    if (place->has & VIEW_COLUMN_COUNT)
        put_counts(&column, items);
    for (size_t i = 0; place->has & VIEW_COLUMN_FIRST && i < items->count; i++)
        column_put(&column, first_of(&items->items[i], kind));
    for (size_t i = 0; place->has & VIEW_COLUMN_SECOND && i < items->count; i++)
        column_put(&column, items->items[i].second);
    for (size_t i = 0; place->has & VIEW_COLUMN_FLAGS && i < items->count; i++)
        column_put(&column, items->items[i].flags);
    for (size_t i = 0; place->has & VIEW_COLUMN_TEXT && i < items->count; i++)
        column_put(&column, items->items[i].text);
    column_flush(&column);
}

static int put_row(ViewStream *stream, const ViewRow *row, int64_t begin, RowPlaces *places_out)
{
    ViewLevels levels;
    int error = view_row_levels(row, &levels);

    if (error)
        return error;
    places_out->levels = calloc(levels.count, sizeof(*places_out->levels));
    places_out->count = places_out->levels ? levels.count : 0;
    for (size_t i = 0; i < places_out->count; i++) {
        places_out->levels[i].resolution_ns = levels.levels[i].resolution_ns;
        put_level(stream, &levels.levels[i].items, row->kind, begin, &places_out->levels[i]);
    }
    view_levels_free(&levels);
    return places_out->levels ? 0 : -ENOMEM;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void json_number(JsonWriter *json, const char *key, int64_t value)
{
    char text[NUMBER_CHARS_MAX];

    json_string_bytes(json, key, text, number_format_i64(text, value));
}

static void put_facts(JsonWriter *json, const ViewModel *model, const ViewFacts *facts)
{
    json_string(json, "title", facts->title);
    json_string(json, "adatrace", facts->version);
    json_string(json, "host", facts->host);
    json_number(json, "realtime", (int64_t)facts->begin_realtime_ns);
    json_u64(json, "events", facts->events);
    json_u64(json, "lost", facts->lost);
    json_u64(json, "vanished", facts->vanished);
    json_u64(json, "unmatched", facts->unmatched);
    json_bool(json, "guessed_clock", facts->guessed_clock);
    json_u64(json, "clock_error", facts->clock_error_ns);
    json_bool(json, "sched", facts->sched);
    json_bool(json, "from", facts->from_ns != INT64_MIN);
    json_bool(json, "to", facts->to_ns != INT64_MAX);
    json_u64(json, "resolution", model->resolution_ns);
    json_u64(json, "added", model->added);
    json_u64(json, "left_out", model->left_out);
    json_u64(json, "too_deep", model->too_deep);
    json_u64(json, "texts_left_out", model->texts_left_out);
}

static void put_texts(JsonWriter *json, const char *key, const ViewNames *names)
{
    json_begin_array(json, key);
    for (size_t i = 0; i < names->count; i++) {
        size_t size;
        const char *text = view_names_text(names, i, &size);

        json_string_bytes(json, NULL, text, size);
    }
    json_end_array(json);
}

static void put_processes(JsonWriter *json, const ViewModel *model)
{
    json_begin_array(json, "processes");
    for (size_t i = 0; i < model->process_count; i++) {
        const ViewProcess *process = &model->processes[i];

        json_begin_object(json, NULL);
        json_u64(json, "recording", process->recording);
        json_u64(json, "pid", process->pid);
        json_u64(json, "program", process->program);
        json_u64(json, "command", process->command);
        json_end_object(json);
    }
    json_end_array(json);
}

static void put_tracks(JsonWriter *json, const ViewModel *model)
{
    json_begin_array(json, "tracks");
    for (size_t i = 0; i < model->track_count; i++) {
        const ViewTrack *track = &model->tracks[i];

        json_begin_object(json, NULL);
        json_u64(json, "process", track->process);
        json_u64(json, "tid", track->tid);
        json_u64(json, "name", track->name);
        json_u64(json, "lost", track->lost);
        json_end_object(json);
    }
    json_end_array(json);
}

static const char *const kind_names[] = {
    [VIEW_ROW_LOST] = "lost",       [VIEW_ROW_SCHED] = "sched", [VIEW_ROW_MARK] = "mark",
    [VIEW_ROW_INSTANT] = "instant", [VIEW_ROW_SPAN] = "span",   [VIEW_ROW_CALL] = "call",
    [VIEW_ROW_COUNTER] = "counter",
};
_Static_assert(sizeof(kind_names) / sizeof(kind_names[0]) == VIEW_ROW_KINDS, "a name for each kind");

static void put_levels(JsonWriter *json, const RowPlaces *places)
{
    json_begin_array(json, "levels");
    for (size_t i = 0; i < places->count; i++) {
        const LevelPlace *place = &places->levels[i];

        json_begin_array(json, NULL); /* in this order, to be short */
        json_u64(json, NULL, place->resolution_ns);
        json_u64(json, NULL, place->offset);
        json_u64(json, NULL, place->count);
        json_u64(json, NULL, place->has);
        json_end_array(json);
    }
    json_end_array(json);
}

static void put_rows(JsonWriter *json, const ViewModel *model, const RowPlaces *places)
{
    json_begin_array(json, "rows");
    for (size_t i = 0; i < model->row_count; i++) {
        const ViewRow *row = &model->rows[i];

        json_begin_object(json, NULL);
        json_string(json, "kind", kind_names[row->kind]);
        if (row->track == VIEW_NO_TRACK)
            json_null(json, "track");
        else /* of a counter, its process */
            json_u64(json, "track", row->track);
        json_u64(json, "depth", row->depth);
        put_levels(json, &places[i]);
        json_end_object(json);
    }
    json_end_array(json);
}

static int put_json(const ViewModel *model, const ViewFacts *facts, int64_t begin, int64_t end,
                    const RowPlaces *places, ViewStream *stream)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    JsonWriter json;
    bool failed;

    if (!out)
        return -ENOMEM;
    json_init(&json, out);
    json_begin_object(&json, NULL);
    json_u64(&json, "version", 1);
    json_number(&json, "begin", begin);
    json_u64(&json, "duration", (uint64_t)(end - begin));
    put_facts(&json, model, facts);
    put_texts(&json, "names", &model->names);
    put_texts(&json, "texts", &model->texts);
    put_processes(&json, model);
    put_tracks(&json, model);
    put_rows(&json, model, places);
    json_end_object(&json);
    failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed || size > UINT32_MAX) {
        free(text);
        return -ENOMEM;
    }
    view_stream_put(stream, text, size);
    free(text);
    view_stream_put(stream, &(uint32_t){(uint32_t)size}, sizeof(uint32_t));
    return 0;
}

int view_encode(const ViewModel *model, const ViewFacts *facts, int64_t begin_ns, int64_t end_ns,
                ViewStream *stream)
{
    RowPlaces *places = calloc(model->row_count + 1, sizeof(*places));
    int error = places ? 0 : -ENOMEM;

    for (size_t i = 0; !error && i < model->row_count; i++)
        error = put_row(stream, &model->rows[i], begin_ns, &places[i]);
    if (!error)
        error = put_json(model, facts, begin_ns, end_ns, places, stream);
    for (size_t i = 0; places && i < model->row_count; i++)
        free(places[i].levels);
    free(places);
    return error;
}
