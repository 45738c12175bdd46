/* SPDX-License-Identifier: MIT */
#include "user/report/thread_table.h"

#include <errno.h>
#include <stdlib.h>

#include "user/report/span_name.h"

struct ThreadTable {
    ThreadRow *rows;
    size_t count;
    KeyMap map;   /* by thread: its row's number */
    KeyMap names; /* by recording, pid and tid: the same of the program's threads */
    const AdatThreadInfo *last;
    uint32_t last_number;
};

static int add_row(ThreadTable *table, const AdatReader *reader, const AdatThreadInfo *thread,
                   const AdatProcessInfo *process)
{
    uint64_t who = (uint64_t)process->process.pid << 32 | thread->thread.tid;
    bool kernel = process_is_kernel_view(process);
    uint32_t number = kernel ? key_map_find(&table->names, who, (uintptr_t)reader, 0) : 0;

    if (number == 0) {
        table->rows[table->count++] = (ThreadRow){
            .reader = reader, .thread = thread, .process = process, .first_ns = INT64_MAX, .last_ns = INT64_MIN};
        number = (uint32_t)table->count;
    }
    if (!kernel && key_map_set(&table->names, who, (uintptr_t)reader, 0, number))
        return -ENOMEM;
    return key_map_set(&table->map, (uintptr_t)thread, 0, 0, number);
}

/* The program's threads first, so that the kernel's find their rows. */
static int add_rows(ThreadTable *table, const AdatReader *reader, bool kernel,
                    bool (*select)(const AdatThreadInfo *thread, void *context), void *context)
{
    const AdatThreadInfo *thread;

    for (size_t i = 0; (thread = adat_reader_thread(reader, i)); i++) {
        const AdatProcessInfo *process = adat_reader_process(reader, thread->process);

        if (!process || process_is_kernel_view(process) != kernel || (select && !select(thread, context)))
            continue;
        if (add_row(table, reader, thread, process))
            return -ENOMEM;
    }
    return 0;
}

int thread_table_create(const AdatSet *set, bool (*select)(const AdatThreadInfo *thread, void *context),
                        void *context, ThreadTable **table_out)
{
    ThreadTable *table = calloc(1, sizeof(*table));
    const AdatReader *reader;
    size_t threads = 1;

    if (!table)
        return -ENOMEM;
    for (size_t i = 0; (reader = adat_set_reader(set, i)); i++)
        for (size_t t = 0; adat_reader_thread(reader, t); t++)
            threads++;
    table->rows = calloc(threads, sizeof(*table->rows));
    if (!table->rows)
        goto fail;
    for (size_t i = 0; (reader = adat_set_reader(set, i)); i++)
        if (add_rows(table, reader, false, select, context) || add_rows(table, reader, true, select, context))
            goto fail;
    *table_out = table;
    return 0;
fail:
    thread_table_destroy(table);
    return -ENOMEM;
}

void thread_table_destroy(ThreadTable *table)
{
    if (!table)
        return;
    key_map_fini(&table->map);
    key_map_fini(&table->names);
    free(table->rows);
    free(table);
}

uint32_t thread_table_find(ThreadTable *table, const AdatThreadInfo *thread)
{
    if (table->last != thread) {
        table->last_number = key_map_find(&table->map, (uintptr_t)thread, 0, 0);
        table->last = thread;
    }
    return table->last_number;
}

void thread_table_add(ThreadTable *table, const AdatEvent *event, EventRole role)
{
    uint32_t number = thread_table_find(table, event->thread);
    ThreadRow *row;
    uint64_t ns = event->event.argument;

    if (number == 0)
        return;
    row = &table->rows[number - 1];
    row->events++;
    if (row->first_ns > event->time_ns)
        row->first_ns = event->time_ns;
    if (row->last_ns < event->time_ns)
        row->last_ns = event->time_ns;
    if (role < ROLE_SWITCH_IN)
        return;
    row->source = CPU_EVENTS;
    if (role == ROLE_SWITCH_OUT)
        row->run_ns += ns;
    else if (role == ROLE_WAKEUP)
        row->sleep_ns += ns;
    else if (ns > 0) {
        row->runnable_ns += ns;
        row->runnable_count++;
        row->runnable_max_ns = row->runnable_max_ns < ns ? ns : row->runnable_max_ns;
    }
}

void thread_table_span(ThreadTable *table, const Span *span)
{
    uint32_t number = thread_table_find(table, span->thread);

    if (number == 0)
        return;
    table->rows[number - 1].spans++;
    /* Of a thread that the program tells of, the kernel's spans lie within the program's, or beside them. */
    if (span->depth == 0 && span_has_time(span) && table->rows[number - 1].thread == span->thread)
        table->rows[number - 1].span_ns += span_duration(span);
}

void thread_table_finish(ThreadTable *table, bool whole)
{
    for (size_t i = 0; whole && i < table->count; i++) {
        ThreadRow *row = &table->rows[i];
        const AdatKernelThread *death = &row->thread->death;

        if (!row->thread->died || !(death->flags & ADAT_KERNEL_CONTEXT))
            continue;
        row->source = CPU_DEATH;
        row->run_ns = death->run_ns;
        row->sleep_ns = death->sleep_ns + death->blocked_ns;
        row->runnable_ns = death->runqueue_ns;
    }
}

const ThreadRow *thread_table_row(const ThreadTable *table, size_t index)
{
    return index < table->count ? &table->rows[index] : NULL;
}

const ThreadRow *thread_table_numbered(const ThreadTable *table, uint32_t number)
{
    return number > 0 && number <= table->count ? &table->rows[number - 1] : NULL;
}
