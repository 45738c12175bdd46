/* SPDX-License-Identifier: MIT */
#include "user/convert/event_csv.h"

#include "user/base/utf8.h"
#include "user/convert/json_text.h"

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != ',';
}

static bool begins_formula(char c)
{
    return c == '=' || c == '+' || c == '-' || c == '@' || c == '\t' || c == '\r' || c == '\'';
}

/* The inside of a quoted column. */
static void put_quoted(OutBuffer *out, const char *text, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)text;

    for (size_t i = 0, length; i < size; i += length) {
        length = utf8_length(bytes + i, size - i);
        if (length == 0 || text[i] == '\0') {
            OUT_TEXT(out, "\xef\xbf\xbd");
            length = 1;
            continue;
        }
        if (text[i] == '"')
            out_char(out, '"');
        out_text(out, text + i, length);
    }
}

void event_csv_text(OutBuffer *out, const char *text, size_t size)
{
    bool formula = size > 0 && begins_formula(text[0]), plain = true;

    for (size_t i = 0; plain && i < size; i++)
        plain = is_plain((uint8_t)text[i]);
    if (plain && !formula) {
        out_text(out, text, size);
        return;
    }
    out_char(out, '"');
    if (formula)
        out_char(out, '\'');
    put_quoted(out, text, size);
    out_char(out, '"');
}

/* ---- columns ---------------------------------------------------------------------------------- */

void event_csv_header(OutBuffer *out)
{
    OUT_TEXT(out, "time_ns,ts_ns,pid,tid,thread,lane,kind,depth,name,arg,fields\n");
}

static void begin_line(OutBuffer *out, const AdatReader *reader, int64_t time_ns,
                       const AdatProcessInfo *process, const AdatThreadInfo *thread)
{
    out_i64(out, time_ns);
    out_char(out, ',');
    out_u64(out, adat_reader_realtime(reader, time_ns));
    out_char(out, ',');
    if (process)
        out_u64(out, process->process.pid);
    out_char(out, ',');
    if (thread)
        out_u64(out, thread->thread.tid);
    out_char(out, ',');
    if (thread)
        event_csv_text(out, thread->thread.name, strlen(thread->thread.name));
}

/* A JSON object, whose quotes are doubled. */
static void put_fields(OutBuffer *out, OutBuffer *scratch, const NamedEvent *event)
{
    if (event->field_count == 0 && !event->module)
        return;
    scratch->length = 0;
    json_text_fields(scratch, event);
    event_csv_text(out, scratch->data, scratch->length);
}

void event_csv_line(OutBuffer *out, OutBuffer *scratch, const NamedEvent *named)
{
    const AdatEvent *event = named->event;
    const char *kind = event_kind_name(&event->event);

    begin_line(out, event->reader, event->time_ns, event->process, event->thread);
    OUT_TEXT(out, ",index,");
    out_text(out, kind, strlen(kind));
    out_char(out, ',');
    out_u64(out, ADA_WORD_DEPTH(event->event.word));
    out_char(out, ',');
    event_csv_text(out, named->name, named->name_length);
    out_char(out, ',');
    json_text_argument(out, &event->event);
    out_char(out, ',');
    put_fields(out, scratch, named);
    out_char(out, '\n');
}

void event_csv_mark(OutBuffer *out, const AdatReader *reader, const AdatMarkInfo *info)
{
    begin_line(out, reader, info->time_ns, info->process, info->thread);
    if (info->anomaly)
        OUT_TEXT(out, ",,anomaly,,");
    else
        OUT_TEXT(out, ",detail,marked,,");
    event_csv_text(out, info->mark.reason, strlen(info->mark.reason));
    out_char(out, ',');
    if (info->mark.record != UINT64_MAX)
        out_u64(out, info->mark.record);
    OUT_TEXT(out, ",\n");
}
