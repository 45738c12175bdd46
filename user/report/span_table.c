/* SPDX-License-Identifier: MIT */
#include "user/report/span_table.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/array.h"
#include "user/report/key_map.h"
#include "user/report/span_name.h"

/* Beside SPAN_FUNCTION in a key: an event that is no span; the sum of a row in one thread. */
#define KEY_POINT 0x100u
#define KEY_ROW 0x200u

/* What is added up: a row, until rows of the same name become one. */
typedef struct Sum {
    const AdatReader *reader;
    const AdatThreadInfo *thread;
    const AdatProcessInfo *process;
    uint64_t id;
    uint32_t flags;
    SpanStat stat;
} Sum;

/* A span's name in one thread. */
typedef struct Place {
    uint32_t sum;
    uint32_t leader; /* the place that counts the open spans of the sum in this thread */
    uint32_t open;
} Place;

struct SpanTable {
    SpanTableConfig config;
    Sum *sums;
    size_t sum_count;
    size_t sum_capacity;
    KeyMap sum_map; /* index + 1 */
    Place *places;
    size_t place_count;
    size_t place_capacity;
    KeyMap place_map; /* by thread, id, flags: index + 1 */
    SpanRow *rows;
    size_t row_count;
    char *texts; /* of the rows, one after the other */
    size_t text_size;
    size_t text_capacity;
};

int span_table_create(const SpanTableConfig *config, SpanTable **table_out)
{
    SpanTable *table = calloc(1, sizeof(*table));

    if (!table)
        return -ENOMEM;
    table->config = *config;
    *table_out = table;
    return 0;
}

static void stat_fini(SpanStat *stat)
{
    span_histogram_fini(&stat->durations);
    span_histogram_fini(&stat->selves);
    free(stat->windows);
}

void span_table_destroy(SpanTable *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->sum_count; i++)
        stat_fini(&table->sums[i].stat);
    for (size_t i = 0; i < table->row_count; i++)
        stat_fini(&table->rows[i].stat);
    key_map_fini(&table->sum_map);
    key_map_fini(&table->place_map);
    free(table->sums);
    free(table->places);
    free(table->rows);
    free(table->texts);
    free(table);
}

/* ---- adding up -------------------------------------------------------------------------------- */

static bool is_wanted(const SpanTable *table, uint32_t flags)
{
    switch (table->config.by) {
    case SPAN_TABLE_FUNCTIONS:
    case SPAN_TABLE_MODULES:
        return (flags & SPAN_FUNCTION) != 0;
    case SPAN_TABLE_SPANS:
        return (flags & (SPAN_FUNCTION | KEY_POINT)) == 0;
    case SPAN_TABLE_EVENTS:
        return (flags & KEY_POINT) != 0;
    case SPAN_TABLE_NAMES:
        return true;
    default:
        return (flags & KEY_POINT) == 0;
    }
}

/* What a name is a part of, as a sum. */
static Sum describe_sum(const SpanTable *table, const Sum *name)
{
    Sum sum = {.reader = name->reader, .process = name->process};

    switch (table->config.by) {
    case SPAN_TABLE_THREADS:
        sum.thread = name->thread;
        break;
    case SPAN_TABLE_PROCESSES:
        break;
    case SPAN_TABLE_MODULES: /* any address of it stands for the module */
        sum.flags = SPAN_FUNCTION;
        sum.id = (uintptr_t)adat_reader_module(name->reader, name->process->process.process, name->id);
        break;
    default:
        sum.id = name->id;
        sum.flags = name->flags;
    }
    return sum;
}

/* The number of the sum that a name is added to. 0 or -ENOMEM. */
static int get_sum(SpanTable *table, const Sum *name, uint32_t *number_out)
{
    const Sum sum = describe_sum(table, name);
    uint64_t owner = sum.thread ? (uintptr_t)sum.thread : (uintptr_t)sum.process;
    uint32_t found = key_map_find(&table->sum_map, owner, sum.id, sum.flags);

    if (found == 0) {
        if (array_reserve_one(&table->sums, &table->sum_capacity, table->sum_count, sizeof(*table->sums)) ||
            key_map_set(&table->sum_map, owner, sum.id, sum.flags, (uint32_t)table->sum_count + 1))
            return -ENOMEM;
        table->sums[table->sum_count++] = sum;
        found = (uint32_t)table->sum_count;
    }
    *number_out = found - 1;
    return 0;
}

static int add_place(SpanTable *table, const Place *place, uint64_t thread, uint64_t id, uint32_t flags,
                     uint32_t *place_out)
{
    if (array_reserve_one(&table->places, &table->place_capacity, table->place_count, sizeof(*table->places)) ||
        key_map_set(&table->place_map, thread, id, flags, (uint32_t)table->place_count + 1))
        return -ENOMEM;
    table->places[table->place_count++] = *place;
    *place_out = (uint32_t)table->place_count;
    return 0;
}

/* The place, counted from 1, of a name in its thread. 0 or -ENOMEM. */
static int get_place(SpanTable *table, const Sum *name, uint32_t *place_out)
{
    uint64_t thread = (uintptr_t)name->thread;
    Place place = {0};
    int err = 0;

    *place_out = key_map_find(&table->place_map, thread, name->id, name->flags);
    if (*place_out != 0)
        return 0;
    err = get_sum(table, name, &place.sum);
    if (err)
        return err;
    place.leader = key_map_find(&table->place_map, thread, place.sum, KEY_ROW);
    if (place.leader == 0)
        err = add_place(table, &place, thread, place.sum, KEY_ROW, &place.leader);
    if (err)
        return err;
    return add_place(table, &place, thread, name->id, name->flags, place_out);
}

int span_table_open(SpanTable *table, const Span *span, uint32_t *place_out)
{
    const Sum name = {.reader = span->reader,
                      .thread = span->thread,
                      .process = span->process,
                      .id = span->id,
                      .flags = span->flags & SPAN_FUNCTION};
    int err;

    *place_out = 0;
    if (!is_wanted(table, name.flags))
        return 0;
    err = get_place(table, &name, place_out);
    if (!err)
        table->places[table->places[*place_out - 1].leader - 1].open++;
    return err;
}

/* What only a comparison needs of a complete span. 0 or -ENOMEM. */
static int add_compared(const SpanTableConfig *config, SpanStat *stat, const Span *span)
{
    double value = log1p((double)span_duration(span));
    uint64_t window = 0;

    if (!stat->windows)
        stat->windows = calloc(1, sizeof(*stat->windows));
    if (!stat->windows)
        return -ENOMEM;
    if (span->end_ns > config->begin_ns)
        window = ((uint64_t)span->end_ns - (uint64_t)config->begin_ns) / config->window_ns;
    if (window >= SPAN_WINDOWS)
        window = SPAN_WINDOWS - 1;
    stat->windows->counts[window]++;
    stat->windows->sums[window] += value;
    stat->windows->squares += value * value;
    return span_histogram_add(&stat->selves, span->self_ns);
}

int span_table_close(SpanTable *table, const Span *span, uint32_t place)
{
    Place *leader;
    SpanStat *stat;
    uint64_t duration = span_duration(span);

    if (place == 0)
        return 0;
    leader = &table->places[table->places[place - 1].leader - 1];
    stat = &table->sums[leader->sum].stat;
    leader->open--;
    if (span->flags & SPAN_PAST)
        return 0;
    stat->count++;
    if (span_has_time(span)) {
        stat->self_ns += span->self_ns;
        stat->total_ns += leader->open == 0 ? duration : 0;
    }
    if (span->flags & SPAN_INCOMPLETE) {
        stat->incomplete++;
        return 0;
    }
    stat->complete++;
    stat->complete_ns += duration;
    stat->complete_self_ns += span->self_ns;
    if (stat->max_ns < duration)
        stat->max_ns = duration;
    if (table->config.compared && add_compared(&table->config, stat, span))
        return -ENOMEM;
    return span_histogram_add(&stat->durations, duration);
}

int span_table_point(SpanTable *table, const AdatEvent *event)
{
    const Sum name = {.reader = event->reader,
                      .thread = event->thread,
                      .process = event->process,
                      .id = event->event.id,
                      .flags = KEY_POINT};
    uint32_t place;
    int err;

    if (!is_wanted(table, KEY_POINT))
        return 0;
    err = get_place(table, &name, &place);
    if (!err)
        table->sums[table->places[place - 1].sum].stat.count++;
    return err;
}

/* ---- rows ------------------------------------------------------------------------------------- */

/* Keeps a text; returns where it is in `texts`, which may move. -ENOMEM. */
static int64_t keep_text(SpanTable *table, const char *text)
{
    size_t length = strlen(text) + 1, at = table->text_size;

    while (table->text_capacity - at < length) {
        size_t grown = table->text_capacity ? 2 * table->text_capacity : 4096;
        char *texts = realloc(table->texts, grown);

        if (!texts)
            return -ENOMEM;
        table->texts = texts;
        table->text_capacity = grown;
    }
    memcpy(table->texts + at, text, length);
    table->text_size += length;
    return (int64_t)at;
}

static const char *module_name(const AdatProcessInfo *process, const AdaModule *module)
{
    const char *slash;

    if (!module)
        return "";
    if (!*module->path)
        return process_name(process);
    slash = strrchr(module->path, '/');
    return slash && slash[1] ? slash + 1 : module->path;
}

static SpanRowKind kind_of(const SpanTable *table, const Sum *sum)
{
    switch (table->config.by) {
    case SPAN_TABLE_THREADS:
        return SPAN_ROW_THREAD;
    case SPAN_TABLE_PROCESSES:
        return SPAN_ROW_PROCESS;
    case SPAN_TABLE_MODULES:
        return SPAN_ROW_MODULE;
    default:
        if (sum->flags & KEY_POINT)
            return SPAN_ROW_EVENT;
        return sum->flags & SPAN_FUNCTION ? SPAN_ROW_FUNCTION : SPAN_ROW_SPAN;
    }
}

/* What a sum is called. 0 or -ENOMEM. */
static int name_sum(const SpanTable *table, const Sum *sum, AdatSymbols *symbols, char name[ADAT_NAME_MAX],
                    const char **module_out)
{
    const AdaModule *module = NULL;
    int length;

    *module_out = "";
    switch (table->config.by) {
    case SPAN_TABLE_THREADS:
        (void)snprintf(name, ADAT_NAME_MAX, "%s", sum->thread->thread.name);
        return 0;
    case SPAN_TABLE_PROCESSES:
        (void)snprintf(name, ADAT_NAME_MAX, "%s", process_name(sum->process));
        return 0;
    case SPAN_TABLE_MODULES:
        module = (const AdaModule *)(uintptr_t)sum->id;
        (void)snprintf(name, ADAT_NAME_MAX, "%s", module ? module_name(sum->process, module) : "?");
        return 0;
    default:
        length =
            span_name(sum->reader, sum->process->process.process, sum->id, sum->flags, symbols, name, &module);
        *module_out = module_name(sum->process, module);
        return length < 0 ? length : 0;
    }
}

/* Texts of rows, while they are kept: as places in `texts`, which moves. */
typedef struct RowTexts {
    size_t name;
    size_t module;
} RowTexts;

static int make_rows(SpanTable *table, AdatSymbols *symbols, RowTexts *texts)
{
    for (size_t i = 0; i < table->sum_count; i++) {
        Sum *sum = &table->sums[i];
        char name[ADAT_NAME_MAX];
        const char *module;
        int64_t name_at, module_at;
        int err;

        if (sum->stat.count == 0) /* all of them were past */
            continue;
        err = name_sum(table, sum, symbols, name, &module);
        if (err)
            return err;
        name_at = keep_text(table, name);
        module_at = name_at < 0 ? name_at : keep_text(table, module);
        if (module_at < 0)
            return -ENOMEM;
        texts[table->row_count] = (RowTexts){(size_t)name_at, (size_t)module_at};
        table->rows[table->row_count++] = (SpanRow){
            .kind = kind_of(table, sum), .thread = sum->thread, .process = sum->process, .stat = sum->stat};
        sum->stat = (SpanStat){0}; /* the row has it now */
    }
    return 0;
}

/* The same function, span or event, but of threads and processes each is itself. */
static int compare_names(const void *a, const void *b)
{
    const SpanRow *left = a, *right = b;
    int order = strcmp(left->name, right->name);

    if (order == 0)
        order = strcmp(left->module, right->module);
    if (order == 0)
        order = (left->kind > right->kind) - (left->kind < right->kind);
    if (order == 0 && left->kind == SPAN_ROW_THREAD)
        order = (left->thread > right->thread) - (left->thread < right->thread);
    if (order == 0 && left->kind == SPAN_ROW_PROCESS)
        order = (left->process > right->process) - (left->process < right->process);
    return order;
}

static void add_windows(SpanWindows *to, const SpanWindows *from)
{
    for (size_t i = 0; i < SPAN_WINDOWS; i++) {
        to->counts[i] += from->counts[i];
        to->sums[i] += from->sums[i];
    }
    to->squares += from->squares;
}

/* What `from` has is left to it, but for windows if `to` has none. */
static int add_stat(SpanStat *to, SpanStat *from)
{
    if (to->windows && from->windows) {
        add_windows(to->windows, from->windows);
    } else if (from->windows) {
        to->windows = from->windows;
        from->windows = NULL;
    }
    to->count += from->count;
    to->complete += from->complete;
    to->incomplete += from->incomplete;
    to->total_ns += from->total_ns;
    to->self_ns += from->self_ns;
    to->complete_ns += from->complete_ns;
    to->complete_self_ns += from->complete_self_ns;
    if (to->max_ns < from->max_ns)
        to->max_ns = from->max_ns;
    if (span_histogram_merge(&to->durations, &from->durations))
        return -ENOMEM;
    return span_histogram_merge(&to->selves, &from->selves);
}

/* Rows of the same name, which are beside each other, become one. */
static int merge_rows(SpanTable *table)
{
    size_t kept = 0;
    int err = 0;

    for (size_t i = 0; i < table->row_count; i++) {
        SpanRow *row = &table->rows[i];

        if (kept > 0 && compare_names(&table->rows[kept - 1], row) == 0) {
            if (add_stat(&table->rows[kept - 1].stat, &row->stat))
                err = -ENOMEM;
            stat_fini(&row->stat);
            continue;
        }
        if (&table->rows[kept] != row)
            table->rows[kept] = *row;
        kept++;
    }
    table->row_count = kept;
    return err;
}

int span_table_finish(SpanTable *table, AdatSymbols *symbols)
{
    RowTexts *texts = calloc(table->sum_count + 1, sizeof(*texts));
    int err = -ENOMEM;

    table->rows = calloc(table->sum_count + 1, sizeof(*table->rows));
    if (texts && table->rows)
        err = make_rows(table, symbols, texts);
    if (!err) {
        for (size_t i = 0; i < table->row_count; i++) {
            table->rows[i].name = table->texts + texts[i].name;
            table->rows[i].module = table->texts + texts[i].module;
        }
        qsort(table->rows, table->row_count, sizeof(*table->rows), compare_names);
        err = merge_rows(table);
    }
    free(texts);
    return err;
}

uint64_t span_stat_mean(const SpanStat *stat)
{
    return stat->complete > 0 ? stat->complete_ns / stat->complete : 0;
}

static uint64_t sort_value(const SpanStat *stat, SpanSort sort)
{
    switch (sort) {
    case SPAN_SORT_SELF:
        return stat->self_ns;
    case SPAN_SORT_COUNT:
        return stat->count;
    case SPAN_SORT_MEAN:
        return span_stat_mean(stat);
    case SPAN_SORT_P99:
        return span_histogram_percentile(&stat->durations, 0.99);
    case SPAN_SORT_MAX:
        return stat->max_ns;
    case SPAN_SORT_NAME:
        return 0;
    default:
        return stat->total_ns;
    }
}

static int compare_ranks(const void *a, const void *b)
{
    const SpanRow *left = a, *right = b;

    if (left->rank != right->rank)
        return left->rank < right->rank ? 1 : -1;
    return compare_names(a, b);
}

void span_table_sort(SpanTable *table, SpanSort sort)
{
    for (size_t i = 0; i < table->row_count; i++)
        table->rows[i].rank = sort_value(&table->rows[i].stat, sort);
    qsort(table->rows, table->row_count, sizeof(*table->rows), compare_ranks);
}

size_t span_table_count(const SpanTable *table)
{
    return table->row_count;
}

const SpanRow *span_table_row(const SpanTable *table, size_t index)
{
    return index < table->row_count ? &table->rows[index] : NULL;
}
