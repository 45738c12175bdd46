/* SPDX-License-Identifier: MIT */
/* The formats whose events are lines that need nothing but themselves: text and JSON, as `adatrace dump` prints them, and CSV. */
#include <errno.h>
#include <stdlib.h>

#include "user/convert/convert.h"
#include "user/convert/event_csv.h"
#include "user/convert/event_json.h"
#include "user/convert/event_text.h"

typedef struct Lines {
    OutBuffer *out;
    OutBuffer scratch; /* of CSV */
} Lines;

static int lines_begin(const ConvertTarget *target, void **state_out)
{
    Lines *lines = malloc(sizeof(*lines));

    if (!lines)
        return -ENOMEM;
    lines->out = target->out;
    out_init(&lines->scratch, NULL);
    *state_out = lines;
    return 0;
}

static int lines_end(void *state, int64_t time_ns)
{
    (void)state;
    (void)time_ns;
    return 0;
}

/* ---- text ------------------------------------------------------------------------------------- */

static int text_event(void *state, const ConvertThread *thread, const NamedEvent *event)
{
    (void)thread;
    event_text_line(((Lines *)state)->out, event);
    return 0;
}

static int text_mark(void *state, const ConvertThread *thread, const AdatReader *reader,
                     const AdatMarkInfo *mark)
{
    (void)thread;
    (void)reader;
    event_text_mark(((Lines *)state)->out, mark);
    return 0;
}

const ConvertFormat convert_text = {
    .name = "text",
    .what = "lines, as dump prints them",
    .symbols = true,
    .begin = lines_begin,
    .event = text_event,
    .mark = text_mark,
    .end = lines_end,
    .destroy = free,
};

/* ---- JSON ------------------------------------------------------------------------------------- */

static int json_event(void *state, const ConvertThread *thread, const NamedEvent *event)
{
    (void)thread;
    event_json_line(((Lines *)state)->out, event);
    return 0;
}

static int json_mark(void *state, const ConvertThread *thread, const AdatReader *reader,
                     const AdatMarkInfo *mark)
{
    (void)thread;
    event_json_mark(((Lines *)state)->out, reader, mark);
    return 0;
}

const ConvertFormat convert_json = {
    .name = "json",
    .what = "one JSON object a line, as dump --json prints them",
    .symbols = true,
    .begin = lines_begin,
    .event = json_event,
    .mark = json_mark,
    .end = lines_end,
    .destroy = free,
};

/* ---- CSV -------------------------------------------------------------------------------------- */

static int csv_begin(const ConvertTarget *target, void **state_out)
{
    int err = lines_begin(target, state_out);

    if (!err)
        event_csv_header(target->out);
    return err;
}

static int csv_event(void *state, const ConvertThread *thread, const NamedEvent *event)
{
    (void)thread;
    event_csv_line(((Lines *)state)->out, &((Lines *)state)->scratch, event);
    return 0;
}

static int csv_mark(void *state, const ConvertThread *thread, const AdatReader *reader, const AdatMarkInfo *mark)
{
    (void)thread;
    event_csv_mark(((Lines *)state)->out, reader, mark);
    return 0;
}

const ConvertFormat convert_csv = {
    .name = "csv",
    .what = "a table for spreadsheets and data frames (RFC 4180)",
    .symbols = true,
    .begin = csv_begin,
    .event = csv_event,
    .mark = csv_mark,
    .end = lines_end,
    .destroy = free,
};
