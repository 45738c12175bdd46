/* SPDX-License-Identifier: MIT */
/*
 * Trace Event Format, the JSON of chrome://tracing, which Perfetto, Speedscope and others read, too. Times are microseconds with three
 * digits behind the point. Functions and spans are slices (B, E), which are balanced (open_slices.h); an end that we put in has
 * "implied":true, and one whose beginning was lost is an instant. Counters are C, all else instants (i).
 *
 * The kernel's view of a process is a process of its own, whose number is beyond those that processes have: its slices need not nest with
 * those that the program tells.
 */
#include <errno.h>
#include <stdlib.h>

#include "user/base/array.h"
#include "user/convert/convert.h"
#include "user/convert/json_text.h"
#include "user/convert/open_slices.h"

#define KERNEL_PID 0x40000000u /* Linux has at most 2^22 */

typedef struct ChromeThread {
    uint32_t pid;
    uint32_t tid;
    OpenSlices open;
} ChromeThread;

typedef struct Chrome {
    OutBuffer *out;
    bool comma; /* an event was written */
    ChromeThread *threads;
    size_t thread_count;
    size_t thread_capacity;
} Chrome;

/* ---- pieces ----------------------------------------------------------------------------------- */

/* {"ph":"P","pid":1,"tid":2,"ts":0.001 */
static void begin_event(Chrome *chrome, char phase, uint32_t pid, uint32_t tid, int64_t time_ns)
{
    uint64_t ns = time_ns < 0 ? 0 - (uint64_t)time_ns : (uint64_t)time_ns;
    OutBuffer *out = chrome->out;

    if (chrome->comma)
        out_char(out, ',');
    chrome->comma = true;
    OUT_TEXT(out, "\n{\"ph\":\"");
    out_char(out, phase);
    OUT_TEXT(out, "\",\"pid\":");
    out_u64(out, pid);
    OUT_TEXT(out, ",\"tid\":");
    out_u64(out, tid);
    if (phase == 'M')
        return;
    OUT_TEXT(out, ",\"ts\":");
    if (time_ns < 0)
        out_char(out, '-');
    out_u64(out, ns / 1000u);
    out_char(out, '.');
    out_padded(out, ns % 1000u, 3);
}

static void put_name(OutBuffer *out, const char *name, size_t length)
{
    OUT_TEXT(out, ",\"name\":");
    json_text_string(out, name, length);
}

static void put_metadata(Chrome *chrome, const ChromeThread *thread, const char *what, const char *name,
                         const char *suffix)
{
    OutBuffer *out = chrome->out;

    begin_event(chrome, 'M', thread->pid, thread->tid, 0);
    put_name(out, what, strlen(what));
    OUT_TEXT(out, ",\"args\":{\"name\":\"");
    json_text_put(out, name, strlen(name));
    json_text_put(out, suffix, strlen(suffix));
    OUT_TEXT(out, "\"}}");
}

/* Ends of slices that are nowhere in the trace. */
static void put_missing_ends(Chrome *chrome, const ChromeThread *thread, int64_t time_ns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        begin_event(chrome, 'E', thread->pid, thread->tid, time_ns);
        OUT_TEXT(chrome->out, ",\"args\":{\"implied\":true}}");
    }
}

/* The thread is no more. */
static void close_slices(Chrome *chrome, ChromeThread *thread, int64_t time_ns)
{
    put_missing_ends(chrome, thread, time_ns, open_slices_close(&thread->open));
}

/* ---- events ----------------------------------------------------------------------------------- */

static int chrome_begin(const ConvertTarget *target, void **state_out)
{
    Chrome *chrome = calloc(1, sizeof(*chrome));

    if (!chrome)
        return -ENOMEM;
    chrome->out = target->out;
    OUT_TEXT(chrome->out, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[");
    *state_out = chrome;
    return 0;
}

static int chrome_thread(void *state, const ConvertThread *told, int64_t time_ns)
{
    const char *command = adat_strings_find(told->process->strings, "command");
    Chrome *chrome = state;
    ChromeThread *thread;

    if (told->before != CONVERT_NOBODY)
        close_slices(chrome, &chrome->threads[told->before], time_ns);
    if (array_reserve_one(&chrome->threads, &chrome->thread_capacity, chrome->thread_count,
                          sizeof(*chrome->threads)))
        return -ENOMEM;
    thread = &chrome->threads[chrome->thread_count++];
    *thread = (ChromeThread){
        .pid = told->process->process.pid | (told->kernel ? KERNEL_PID : 0),
        .tid = told->thread ? told->thread->thread.tid : 0,
    };
    put_metadata(chrome, thread, "process_name", command ? command : "", "");
    put_metadata(chrome, thread, "thread_name", told->thread ? told->thread->thread.name : "(no slot)",
                 told->kernel ? " (kernel)" : "");
    return 0;
}

static void put_args(OutBuffer *out, const NamedEvent *event)
{
    OUT_TEXT(out, ",\"args\":{\"arg\":");
    json_text_argument(out, &event->event->event);
    (void)json_text_members(out, event, true);
    if (ADA_WORD_FLAGS(event->event->event.word) & ADA_FLAG_DETAIL_LOST)
        OUT_TEXT(out, ",\"fields_lost\":true");
    OUT_TEXT(out, "}}");
}

static void put_counter(Chrome *chrome, const ChromeThread *thread, const NamedEvent *event)
{
    OutBuffer *out = chrome->out;

    begin_event(chrome, 'C', thread->pid, thread->tid, event->event->time_ns);
    put_name(out, event->name, event->name_length);
    OUT_TEXT(out, ",\"args\":{\"value\":");
    out_i64(out, (int64_t)event->event->event.argument);
    OUT_TEXT(out, "}}");
}

static void put_event(Chrome *chrome, const ChromeThread *thread, char phase, const NamedEvent *event)
{
    const char *kind = event_kind_name(&event->event->event);
    OutBuffer *out = chrome->out;

    begin_event(chrome, phase, thread->pid, thread->tid, event->event->time_ns);
    if (phase == 'i')
        OUT_TEXT(out, ",\"s\":\"t\"");
    OUT_TEXT(out, ",\"cat\":\"");
    out_text(out, kind, strlen(kind));
    out_char(out, '"');
    put_name(out, event->name, event->name_length);
    put_args(out, event);
}

static int chrome_event(void *state, const ConvertThread *told, const NamedEvent *event)
{
    Chrome *chrome = state;
    ChromeThread *thread = &chrome->threads[told->number];
    const AdaIndexEvent *raw = &event->event->event;
    char phase = 'i';
    size_t missing = 0;
    int err = 0;

    switch (ADA_WORD_KIND(raw->word)) {
    case ADA_KIND_FUNCTION_ENTRY:
    case ADA_KIND_SPAN_BEGIN:
        err = open_slices_begin(&thread->open, raw, &missing);
        phase = 'B';
        break;
    case ADA_KIND_FUNCTION_EXIT:
    case ADA_KIND_SPAN_END:
        if (open_slices_end(&thread->open, raw, &missing))
            phase = 'E';
        break;
    case ADA_KIND_COUNTER:
        put_counter(chrome, thread, event);
        return 0;
    default:
        break;
    }
    if (err)
        return err;
    put_missing_ends(chrome, thread, event->event->time_ns, missing);
    put_event(chrome, thread, phase, event);
    return 0;
}

static int chrome_mark(void *state, const ConvertThread *told, const AdatReader *reader,
                       const AdatMarkInfo *mark)
{
    Chrome *chrome = state;
    OutBuffer *out = chrome->out;
    char scope = told ? 't' : mark->process ? 'p' : 'g';

    (void)reader;
    if (told)
        begin_event(chrome, 'i', chrome->threads[told->number].pid, chrome->threads[told->number].tid,
                    mark->time_ns);
    else
        begin_event(chrome, 'i', mark->process ? mark->process->process.pid : 0, 0, mark->time_ns);
    OUT_TEXT(out, ",\"s\":\"");
    out_char(out, scope);
    if (mark->anomaly)
        OUT_TEXT(out, "\",\"cat\":\"anomaly\"");
    else
        OUT_TEXT(out, "\",\"cat\":\"marked\"");
    put_name(out, mark->mark.reason, strlen(mark->mark.reason));
    OUT_TEXT(out, ",\"args\":{}}");
    return 0;
}

static int chrome_lost(void *state, const ConvertThread *told, int64_t time_ns, uint64_t count)
{
    Chrome *chrome = state;
    const ChromeThread *thread = &chrome->threads[told->number];

    begin_event(chrome, 'i', thread->pid, thread->tid, time_ns);
    OUT_TEXT(chrome->out, ",\"s\":\"t\",\"cat\":\"lost\",\"name\":\"events lost\",\"args\":{\"count\":");
    out_u64(chrome->out, count);
    OUT_TEXT(chrome->out, "}}");
    return 0;
}

static int chrome_end(void *state, int64_t time_ns)
{
    Chrome *chrome = state;

    for (size_t i = 0; i < chrome->thread_count; i++)
        close_slices(chrome, &chrome->threads[i], time_ns);
    OUT_TEXT(chrome->out, "\n]}\n");
    return 0;
}

static void chrome_destroy(void *state)
{
    Chrome *chrome = state;

    for (size_t i = 0; i < chrome->thread_count; i++)
        open_slices_fini(&chrome->threads[i].open);
    free(chrome->threads);
    free(chrome);
}

const ConvertFormat convert_chrome = {
    .name = "chrome",
    .what = "Trace Event Format, for chrome://tracing and others",
    .symbols = true,
    .begin = chrome_begin,
    .thread = chrome_thread,
    .event = chrome_event,
    .mark = chrome_mark,
    .lost = chrome_lost,
    .end = chrome_end,
    .destroy = chrome_destroy,
};
