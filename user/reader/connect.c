/* SPDX-License-Identifier: MIT */
/* The second half of opening: tables are sorted, what belongs together is connected, sums are taken. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/reader/reader.h"

#define PACKED_LEAST 4096u /* items that are not worth it */

#define COMPARE(a, b) ((a) < (b) ? -1 : (a) > (b))

/* ---- sorting: equal keys in the order of the file, of which the last counts --------------------- */

static int compare_processes(const void *a, const void *b)
{
    const ProcessEntry *x = a, *y = b;
    int order = COMPARE(x->info.process.process, y->info.process.process);

    return order ? order : COMPARE(x->order, y->order);
}

static int compare_threads(const void *a, const void *b)
{
    const ThreadEntry *x = a, *y = b;
    int order = COMPARE(x->info.thread.thread, y->info.thread.thread);

    return order ? order : COMPARE(x->order, y->order);
}

static int compare_blocks(const void *a, const void *b)
{
    const BlockRef *x = a, *y = b;
    int order = COMPARE(x->thread, y->thread);

    if (!order)
        order = COMPARE(x->lane, y->lane);
    if (!order)
        order = COMPARE(x->file, y->file);
    return order ? order : COMPARE(x->offset, y->offset);
}

static int compare_descriptors(const void *a, const void *b)
{
    const DescriptorEntry *x = a, *y = b;
    int order = COMPARE(x->process, y->process);

    if (!order)
        order = COMPARE(x->descriptor.id, y->descriptor.id);
    return order ? order : COMPARE(x->order, y->order);
}

static int compare_modules(const void *a, const void *b)
{
    const ModuleEntry *x = a, *y = b;
    int order = COMPARE(x->process, y->process);

    if (!order)
        order = COMPARE(x->module.base, y->module.base);
    return order ? order : COMPARE(x->order, y->order);
}

static int compare_marks(const void *a, const void *b)
{
    const MarkEntry *x = a, *y = b;
    int order = COMPARE(x->info.time_ns, y->info.time_ns);

    return order ? order : COMPARE(x->order, y->order);
}

/* Sorts a TABLE(); an empty one may have no memory, which qsort must not see. */
#define SORT(table, compare)                                                           \
    do {                                                                               \
        if ((table)->count > 1)                                                        \
            qsort((table)->items, (table)->count, sizeof(*(table)->items), (compare)); \
    } while (0)

/* Keeps the last of each run of items for which `same(a, b)` holds; `drop(item)` frees the others. */
#define KEEP_LAST(table, same, drop)                                                \
    do {                                                                            \
        size_t kept_ = 0;                                                           \
        for (size_t i_ = 0; i_ < (table)->count; i_++) {                            \
            if (kept_ > 0 && same((table)->items[kept_ - 1], (table)->items[i_])) { \
                drop(&(table)->items[kept_ - 1]);                                   \
                kept_--;                                                            \
            }                                                                       \
            (table)->items[kept_++] = (table)->items[i_];                           \
        }                                                                           \
        (table)->count = kept_;                                                     \
    } while (0)

#define SAME_PROCESS(a, b) ((a).info.process.process == (b).info.process.process)
#define SAME_THREAD(a, b) ((a).info.thread.thread == (b).info.thread.thread)
#define SAME_DESCRIPTOR(a, b) ((a).process == (b).process && (a).descriptor.id == (b).descriptor.id)
#define SAME_MODULE(a, b) ((a).process == (b).process && (a).module.base == (b).module.base)
#define DROP_NOTHING(item) (void)(item)
#define DROP_PROCESS(item) string_table_free(&(item)->strings)

/* ---- connecting ------------------------------------------------------------------------------ */

/* Blocks of threads that no THREAD block describes shall have a thread all the same. */
static int mention_threads(AdatReader *reader)
{
    uint32_t last = 0;

    for (size_t i = 0; i < reader->blocks.count; i++) {
        const BlockRef *block = &reader->blocks.items[i];
        ThreadEntry entry = {.info.thread = {.thread = block->thread, .process = block->process}};

        if (i > 0 && block->thread == last)
            continue;
        last = block->thread;
        if (collect_add_thread(reader, &entry))
            return -ENOMEM;
    }
    return 0;
}

static void connect_blocks(AdatReader *reader)
{
    size_t end;

    for (size_t i = 0; i < reader->blocks.count; i = end) {
        const BlockRef *first = &reader->blocks.items[i];
        ThreadEntry *thread = reader_find_thread(reader, first->thread);

        for (end = i + 1; end < reader->blocks.count; end++)
            if (first[end - i].thread != first->thread || first[end - i].lane != first->lane)
                break;
        thread->lanes[first->lane] = (BlockRange){first, end - i};
    }
}

static void connect_processes(AdatReader *reader)
{
    for (size_t i = 0; i < reader->processes.count; i++) {
        ProcessEntry *entry = &reader->processes.items[i];

        entry->info.strings = (AdatStrings){entry->strings.items, entry->strings.count};
    }
    for (size_t i = 0; i < reader->threads.count; i++) {
        AdatThreadInfo *thread = &reader->threads.items[i].info;

        thread->process = (size_t)reader_find_process(reader, thread->thread.process);
    }
    for (size_t i = 0; i < reader->deaths.count; i++) {
        const AdatDeath *death = &reader->deaths.items[i];
        AdatProcessInfo *process = &reader->processes.items[reader_find_process(reader, death->process)].info;

        process->died = true;
        process->death = *death;
    }
}

/* Of a thread that is not in the file there is nothing to say. */
static void connect_deaths(AdatReader *reader)
{
    for (size_t i = 0; i < reader->thread_deaths.count; i++) {
        const AdatKernelThread *death = &reader->thread_deaths.items[i];
        ThreadEntry *thread = reader_find_thread(reader, death->thread);

        if (!thread)
            continue;
        thread->info.died = true;
        thread->info.death = *death;
    }
    free(reader->thread_deaths.items);
    reader->thread_deaths.items = NULL;
    reader->thread_deaths.count = reader->thread_deaths.capacity = 0;
}

/* ---- time ------------------------------------------------------------------------------------ */

static void note_time(AdatReader *reader, int64_t time)
{
    if (time < reader->first_time)
        reader->first_time = time;
    if (time > reader->last_time)
        reader->last_time = time;
}

/* A mark that names no process has the clock of the recorder, as the first process has. */
static void settle_marks(AdatReader *reader)
{
    for (size_t i = 0; i < reader->marks.count; i++) {
        AdatMarkInfo *info = &reader->marks.items[i].info;
        ptrdiff_t process = reader_find_process(reader, info->mark.process);
        const ThreadEntry *thread = info->mark.thread ? reader_find_thread(reader, info->mark.thread) : NULL;

        info->thread = thread ? &thread->info : NULL;
        info->process = process >= 0 ? &reader->processes.items[process].info : NULL;
        info->time_ns = adat_reader_time(reader, process >= 0 ? (size_t)process : 0, info->mark.timestamp);
        note_time(reader, info->time_ns);
    }
    SORT(&reader->marks, compare_marks);
}

static void settle_time(AdatReader *reader, const AdatReader *before)
{
    uint64_t first_ticks = UINT64_MAX;

    for (size_t i = 0; i < reader->blocks.count; i++)
        if (reader->blocks.items[i].first_time < first_ticks)
            first_ticks = reader->blocks.items[i].first_time;
    clock_line_finish(&reader->clock, first_ticks, reader->info.header.created_realtime_ns);
    if (before)
        clock_line_continue(&reader->clock, &before->clock);

    for (size_t i = 0; i < reader->clock.count; i++)
        note_time(reader, reader->clock.points[i].monotonic - reader->clock.base);
    for (size_t i = 0; i < reader->threads.count; i++) {
        const ThreadEntry *thread = &reader->threads.items[i];
        const BlockRange *lane = &thread->lanes[ADA_LANE_INDEX];

        if (lane->count > 0) {
            note_time(reader, adat_reader_time(reader, thread->info.process, lane->blocks[0].first_time));
            note_time(reader,
                      adat_reader_time(reader, thread->info.process, lane->blocks[lane->count - 1].last_time));
        }
    }
    settle_marks(reader);
}

void sort_blocks(BlockRef *blocks, size_t count)
{
    if (count > 1)
        qsort(blocks, count, sizeof(*blocks), compare_blocks);
}

static bool is_same_code(const AdaModule *a, const AdaModule *b)
{
    if (a->base != b->base || a->size != b->size || a->build_id_size != b->build_id_size)
        return false;
    return a->build_id_size ? memcmp(a->build_id, b->build_id, a->build_id_size) == 0
                            : strcmp(a->path, b->path) == 0;
}

/* Sorted: what is, in part, where another one was before or after. Blocks do not say when. */
static void note_replaced(AdatReader *reader)
{
    ModuleEntry *before = NULL; /* what reaches furthest of those before */

    for (size_t i = 0; i < reader->modules.count; i++) {
        ModuleEntry *entry = &reader->modules.items[i];

        if (before && before->process == entry->process &&
            entry->module.base - before->module.base < before->module.size) {
            if (before->replaced || entry->replaced || !is_same_code(&before->module, &entry->module))
                before->replaced = entry->replaced = true;
            if (entry->module.size <= before->module.size - (entry->module.base - before->module.base))
                continue;
        }
        before = entry;
    }
}

/* What is described several times, last of all in the latest file. */
static void keep_last(AdatReader *reader)
{
    SORT(&reader->processes, compare_processes);
    KEEP_LAST(&reader->processes, SAME_PROCESS, DROP_PROCESS);
    SORT(&reader->threads, compare_threads);
    KEEP_LAST(&reader->threads, SAME_THREAD, DROP_NOTHING);
    SORT(&reader->descriptors, compare_descriptors);
    KEEP_LAST(&reader->descriptors, SAME_DESCRIPTOR, DROP_NOTHING);
    SORT(&reader->modules, compare_modules);
    note_replaced(reader);
    KEEP_LAST(&reader->modules, SAME_MODULE, DROP_NOTHING);
}

static size_t count_items(const AdatReader *reader)
{
    return reader->processes.count + reader->threads.count + reader->descriptors.count +
           reader->modules.count + reader->sums.count + reader->unregistered.count;
}

int pack_tables(AdatReader *reader)
{
    if (embedded_pack(reader, false))
        return -ENOMEM;
    if (count_items(reader) < 2 * reader->packed_size || count_items(reader) < PACKED_LEAST)
        return 0;
    keep_last(reader);
    accounts_pack(reader);
    reader->packed_size = count_items(reader);
    return 0;
}

int connect_tables(AdatReader *reader, const AdatReader *before)
{
    sort_blocks(reader->blocks.items, reader->blocks.count);
    if (mention_threads(reader) || embedded_pack(reader, true))
        return -ENOMEM;
    keep_last(reader);
    embedded_connect(reader);
    connect_blocks(reader);
    connect_processes(reader);
    connect_deaths(reader);
    settle_time(reader, before);
    accounts_apply(reader);
    return 0;
}
