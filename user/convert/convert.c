/* SPDX-License-Identifier: MIT */
#include "user/convert/convert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/array.h"
#include "user/base/id_map.h"

static const ConvertFormat *const convert_formats[] = {
    &convert_ctf,
#if ADA_HAVE_PROTOBUF_C
    &convert_perfetto,
#endif
    &convert_chrome,   &convert_json, &convert_csv, &convert_text, &convert_folded,
};

/* A thread that was told, and how many of its lost events. */
typedef struct ToldThread {
    ConvertThread thread;
    uint64_t lost;
} ToldThread;

typedef struct Run {
    const AdatSet *set;
    const ConvertConfig *config;
    const ConvertFormat *format;
    void *state;
    EventWalk *walk;
    bool whole;       /* everything of the threads is wanted, from the beginning to the end */
    bool begun;       /* the format has */
    int64_t time_ns;  /* of what was told last */
    IdMap numbers;    /* by address of thread or process */
    IdMap names;      /* by pid and tid, and who tells: place in `latest` */
    uint32_t *latest; /* number of the thread that has that pid and tid now */
    size_t latest_capacity;
    ToldThread *threads;
    size_t thread_count;
    size_t thread_capacity;
    ConvertTotals *totals;
} Run;

const ConvertFormat *convert_format(size_t index)
{
    return index < sizeof(convert_formats) / sizeof(convert_formats[0]) ? convert_formats[index] : NULL;
}

const ConvertFormat *convert_format_find(const char *name)
{
    const ConvertFormat *format;

    for (size_t i = 0; (format = convert_format(i)); i++)
        if (strcmp(format->name, name) == 0)
            return format;
    return NULL;
}

/* ---- threads ---------------------------------------------------------------------------------- */

/* The kernel's view of a process says so in its command: user/collector/kernel_view.c. */
static bool is_kernel_view(const AdatProcessInfo *process)
{
    const char *command = adat_strings_find(process->strings, "command");

    return command && strncmp(command, "kernel:", 7) == 0;
}

/* The thread that had the pid and tid of this one until now. */
static int find_before(Run *run, ConvertThread *thread)
{
    uint64_t pid = thread->process->process.pid, tid = thread->thread ? thread->thread->thread.tid : 0;
    uint32_t place;
    int got = id_map_add(&run->names, pid << 32 | tid, thread->kernel, &place);

    if (got > 0 && array_reserve_one(&run->latest, &run->latest_capacity, place, sizeof(*run->latest)))
        got = -ENOMEM;
    if (got < 0)
        return got;
    thread->before = got > 0 ? CONVERT_NOBODY : run->latest[place];
    run->latest[place] = thread->number;
    return 0;
}

/* The thread, told to the format if it is new. `thread` NULL: those of the process that got no slot. */
static int find_thread(Run *run, const AdatReader *reader, const AdatProcessInfo *process,
                       const AdatThreadInfo *thread, ToldThread **told_out)
{
    ConvertThread new = {.reader = reader, .process = process, .thread = thread};
    int got = id_map_add(&run->numbers, (uint64_t)(uintptr_t)(thread ? (const void *)thread : process), 0,
                         &new.number);

    if (got < 0)
        return got;
    if (got > 0) {
        new.kernel = is_kernel_view(process);
        if (find_before(run, &new) ||
            array_reserve_one(&run->threads, &run->thread_capacity, run->thread_count, sizeof(*run->threads)))
            return -ENOMEM;
        run->threads[run->thread_count++] = (ToldThread){.thread = new};
        got = run->format->thread ? run->format->thread(run->state, &new, run->time_ns) : 0;
    }
    *told_out = &run->threads[new.number];
    return got < 0 ? got : 0;
}

/* So many events of the thread are known to be lost: tells those that were not told. */
static int tell_lost(Run *run, ToldThread *told, uint64_t lost)
{
    uint64_t count = lost - told->lost;
    int err = 0;

    if (lost <= told->lost)
        return 0;
    if (run->format->lost)
        err = run->format->lost(run->state, &told->thread, run->time_ns, count);
    told->lost = lost;
    run->totals->lost += count;
    return err;
}

/* ---- the walk --------------------------------------------------------------------------------- */

static int begin(Run *run, int64_t first_ns)
{
    const ConvertTarget target = {
        .out = run->config->out,
        .directory = run->config->directory,
        .set = run->set,
        .origin_ns = first_ns < 0 ? first_ns : 0,
    };

    run->begun = true;
    return run->format->begin(&target, &run->state);
}

static int tell_mark(Run *run, const WalkedItem *item)
{
    const AdatMarkInfo *mark = item->mark;
    ToldThread *told = NULL;
    int err = 0;

    run->totals->marks++;
    if (mark->thread && mark->process)
        err = find_thread(run, item->reader, mark->process, mark->thread, &told);
    return err ? err : run->format->mark(run->state, told ? &told->thread : NULL, item->reader, mark);
}

static int tell_event(Run *run, WalkedItem *item)
{
    const AdatEvent *event = item->event.event;
    ToldThread *told;
    int err = find_thread(run, event->reader, event->process, event->thread, &told);

    if (!err)
        err = tell_lost(run, told, event->lost);
    if (err)
        return err;
    run->totals->events++;
    return run->format->event(run->state, &told->thread, &item->event);
}

static int tell_item(Run *run, WalkedItem *item, bool *reading_out)
{
    int64_t time_ns = item->mark ? item->mark->time_ns : item->event.event->time_ns;
    int err;

    *reading_out = true;
    err = item->mark ? 0 : event_walk_fields(run->walk, &item->event);
    *reading_out = false;
    if (!err && !run->begun)
        err = begin(run, time_ns);
    if (err)
        return err;
    run->time_ns = time_ns;
    return item->mark ? tell_mark(run, item) : tell_event(run, item);
}

static int tell_items(Run *run, bool *reading_out)
{
    const ConvertConfig *config = run->config;
    WalkedItem item;
    int err = 0;

    for (uint32_t step = 0; !err; step++) {
        int got;

        if (step % CONVERT_STEP == 0 && config->go_on && !config->go_on(config->context, run->totals))
            return -ECANCELED;
        got = event_walk_next(run->walk, &item);
        *reading_out = got < 0;
        if (got <= 0)
            return got;
        err = tell_item(run, &item, reading_out);
        if (!err && config->out)
            err = config->out->error;
    }
    return err;
}

/* ---- what accounts tell besides --------------------------------------------------------------- */

static uint64_t lost_of(const AdatAccount *account)
{
    return account->attempted > account->in_file ? account->attempted - account->in_file : 0;
}

static int tell_account(Run *run, const AdatReader *reader, const AdatProcessInfo *process,
                        const AdatThreadInfo *thread, const AdatAccount *account)
{
    ToldThread *told;
    int err;

    if (lost_of(account) == 0)
        return 0;
    err = find_thread(run, reader, process, thread, &told);
    return err ? err : tell_lost(run, told, lost_of(account));
}

/* What was lost behind the last events of the threads, or of those that have none. */
static int tell_accounts(Run *run)
{
    const AdatCursorConfig *cursor = &run->config->walk.cursor;
    const AdatReader *reader;
    const AdatProcessInfo *process;
    const AdatThreadInfo *thread;
    int err = 0;

    for (size_t r = 0; !err && (reader = adat_set_reader(run->set, r)); r++) {
        for (size_t t = 0; !err && (thread = adat_reader_thread(reader, t)); t++)
            if (!cursor->select || cursor->select(thread, cursor->context))
                err = tell_account(run, reader, adat_reader_process(reader, thread->process), thread,
                                   &thread->events);
        for (size_t p = 0; !err && !cursor->select && (process = adat_reader_process(reader, p)); p++)
            err = tell_account(run, reader, process, NULL, &process->unregistered);
    }
    return err;
}

static int tell_all(Run *run, bool *reading_out)
{
    int err = tell_items(run, reading_out);

    if (!err && !run->begun)
        err = begin(run, 0);
    if (!err && run->whole)
        err = tell_accounts(run);
    if (!err)
        err = run->format->end(run->state, run->time_ns);
    if (!err && run->config->out)
        err = out_flush(run->config->out);
    return err;
}

/* Of a format that sums up: what is counted are the accounts of the threads that are wanted. */
static int run_whole(const AdatSet *set, const ConvertConfig *config, ConvertTotals *totals, bool *reading_out)
{
    const AdatCursorConfig *cursor = &config->walk.cursor;
    const AdatReader *reader;
    const AdatThreadInfo *thread;
    int err = config->format->whole(set, &config->walk, config->out->out);

    *reading_out = err && err != -ENOMEM;
    if (err)
        return err;
    for (size_t r = 0; (reader = adat_set_reader(set, r)); r++)
        for (size_t t = 0; (thread = adat_reader_thread(reader, t)); t++)
            if (!cursor->select || cursor->select(thread, cursor->context)) {
                totals->events += thread->events.in_file;
                totals->lost += lost_of(&thread->events);
                totals->threads++;
            }
    if (config->go_on && !config->go_on(config->context, totals))
        return -ECANCELED;
    return out_flush(config->out);
}

int convert_run(const AdatSet *set, const ConvertConfig *config, ConvertTotals *totals_out, bool *reading_out)
{
    Run run = {
        .set = set,
        .config = config,
        .format = config->format,
        .whole = config->walk.cursor.from_ns == INT64_MIN && config->walk.cursor.to_ns == INT64_MAX,
        .totals = totals_out,
    };
    int err;

    *totals_out = (ConvertTotals){0};
    *reading_out = false;
    if (config->format->whole)
        return run_whole(set, config, totals_out, reading_out);
    err = event_walk_create(set, &config->walk, &run.walk);
    if (!err) {
        err = tell_all(&run, reading_out);
        totals_out->vanished = event_walk_vanished(run.walk);
    }
    totals_out->threads = (uint32_t)run.thread_count;
    if (run.state)
        run.format->destroy(run.state);
    event_walk_destroy(run.walk);
    id_map_fini(&run.numbers);
    id_map_fini(&run.names);
    free(run.latest);
    free(run.threads);
    return err;
}
