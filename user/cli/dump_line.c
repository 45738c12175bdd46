/* SPDX-License-Identifier: MIT */
#include "user/cli/dump_line.h"

#include <stdio.h>
#include <string.h>

#include "user/base/number.h"
#include "user/cli/trace.h"

#define INDENT_MAX 32u /* levels: deeper ones are not indented further */

static const struct {
    const char *text;
    const char *json;
} kinds[] = {
    [ADA_KIND_NONE] = {"none", "none"},
    [ADA_KIND_FUNCTION_ENTRY] = {"entry", "function_entry"},
    [ADA_KIND_FUNCTION_EXIT] = {"exit", "function_exit"},
    [ADA_KIND_SPAN_BEGIN] = {"begin", "span_begin"},
    [ADA_KIND_SPAN_END] = {"end", "span_end"},
    [ADA_KIND_INSTANT] = {"instant", "instant"},
    [ADA_KIND_COUNTER] = {"counter", "counter"},
    [ADA_KIND_TYPED] = {"event", "typed"},
    [ADA_KIND_MARK] = {"mark", "mark"},
    [ADA_KIND_COUNT] = {"unknown", "unknown"},
};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == ADA_KIND_COUNT + 1, "a name for each kind");

static uint32_t kind_of(const AdaIndexEvent *event)
{
    uint32_t kind = ADA_WORD_KIND(event->word);

    return kind < ADA_KIND_COUNT ? kind : ADA_KIND_COUNT;
}

/* ---- text ------------------------------------------------------------------------------------ */

/* A line is put together here up to its fields; the parts that are longest by far are bounded names. */
typedef struct Line {
    char text[1024];
    size_t length;
} Line;

static void line_put(Line *line, const char *text, size_t length)
{
    memcpy(line->text + line->length, text, length);
    line->length += length;
}

static void line_pad(Line *line, size_t count)
{
    memset(line->text + line->length, ' ', count);
    line->length += count;
}

/* "   12.000000345": the point stands in the same column up to 99999 seconds. */
static void line_put_time(Line *line, int64_t time_ns)
{
    uint64_t ns = time_ns < 0 ? 0 - (uint64_t)time_ns : (uint64_t)time_ns;
    char seconds[NUMBER_CHARS_MAX + 1];
    size_t length = 0;

    if (time_ns < 0)
        seconds[length++] = '-';
    length += number_format_u64(seconds + length, ns / 1000000000u);
    if (length < 6)
        line_pad(line, 6 - length);
    line_put(line, seconds, length);
    line->text[line->length++] = '.';
    line->length += number_format_padded(line->text + line->length, ns % 1000000000u, 9);
}

/* Addresses of mutexes and of code are easier to recognize in hexadecimal; other numbers are seldom as large. */
static bool looks_like_address(uint64_t value)
{
    return value >> 40 != 0 && value >> 47 == 0;
}

/* Counters are signed, and so are results: a span that failed ends with -errno. */
static void line_put_argument(Line *line, const AdaIndexEvent *event)
{
    char *place = line->text + line->length;

    switch (ADA_WORD_KIND(event->word)) {
    case ADA_KIND_FUNCTION_ENTRY:
    case ADA_KIND_FUNCTION_EXIT:
        line->length += number_format_hex(place, event->argument);
        break;
    case ADA_KIND_COUNTER:
    case ADA_KIND_SPAN_END:
        line->length += number_format_i64(place, (int64_t)event->argument);
        break;
    default:
        if (looks_like_address(event->argument))
            line->length += number_format_hex(place, event->argument);
        else
            line->length += number_format_u64(place, event->argument);
    }
}

static void line_flush(Line *line)
{
    fwrite_unlocked(line->text, 1, line->length, stdout);
    line->length = 0;
}

/* Names come from the trace: what is harmless goes the short way. */
static void line_put_name(Line *line, const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)name[i];

        if (c < 0x20 || c >= 0x7f || c == '\\' || c == '"') {
            line_flush(line);
            trace_put_text(stdout, name, length);
            return;
        }
    }
    line_put(line, name, length);
}

static void print_field(const AdatField *field)
{
    char number[NUMBER_CHARS_MAX];
    size_t length = 0;

    putc_unlocked(' ', stdout);
    trace_put_text(stdout, field->name, strlen(field->name));
    putc_unlocked('=', stdout);
    switch (field->type) {
    case ADA_TYPE_I64:
        length = number_format_i64(number, field->value.i64);
        break;
    case ADA_TYPE_F64:
        length = number_format_f64(number, field->value.f64);
        break;
    case ADA_TYPE_POINTER:
        length = number_format_hex(number, field->value.u64);
        break;
    case ADA_TYPE_STRING:
        putc_unlocked('"', stdout);
        trace_put_text(stdout, field->value.string.bytes, field->value.string.size);
        putc_unlocked('"', stdout);
        break;
    default:
        length = number_format_u64(number, field->value.u64);
    }
    fwrite_unlocked(number, 1, length, stdout);
}

/* Time, process, thread: what all lines begin with. A number that is not known is a dash. */
static void line_begin(Line *line, int64_t time_ns, const AdatProcessInfo *process, const AdatThreadInfo *thread)
{
    const char *name = thread ? thread->thread.name : "-";
    size_t length = strlen(name);

    line->length = 0;
    line_put_time(line, time_ns);
    line_pad(line, 1);
    if (process)
        line->length += number_format_u64(line->text + line->length, process->process.pid);
    else
        line->text[line->length++] = '-';
    line->text[line->length++] = '/';
    if (thread)
        line->length += number_format_u64(line->text + line->length, thread->thread.tid);
    else
        line->text[line->length++] = '-';
    line_pad(line, 1);
    line_put_name(line, name, length);
    line_pad(line, length < 15 ? 16 - length : 1);
}

void dump_event_text(const DumpedEvent *dumped)
{
    const AdatEvent *event = dumped->event;
    uint32_t depth = ADA_WORD_DEPTH(event->event.word);
    const char *kind = kinds[kind_of(&event->event)].text;
    Line line;

    line_begin(&line, event->time_ns, event->process, event->thread);
    line_pad(&line, 2 * (size_t)(depth < INDENT_MAX ? depth : INDENT_MAX));
    line_put(&line, kind, strlen(kind));
    line_pad(&line, 1);
    line_put_name(&line, dumped->name, dumped->name_length);
    line_pad(&line, 1);
    line_put_argument(&line, &event->event);
    line_flush(&line);
    for (size_t i = 0; i < dumped->field_count; i++)
        print_field(&dumped->fields[i]);
    if (ADA_WORD_FLAGS(event->event.word) & ADA_FLAG_DETAIL_LOST)
        fputs(" (fields lost)", stdout);
    putc_unlocked('\n', stdout);
}

void dump_mark_text(const AdatMarkInfo *info)
{
    static const char record[] = " record=";
    const char *kind = info->anomaly ? "anomaly " : "marked ";
    const AdatMark *mark = &info->mark;
    Line line;

    line_begin(&line, info->time_ns, info->process, info->thread);
    line_put(&line, kind, strlen(kind));
    line_put_name(&line, mark->reason, strlen(mark->reason));
    if (mark->record != UINT64_MAX) {
        line_put(&line, record, strlen(record));
        line.length += number_format_u64(line.text + line.length, mark->record);
    }
    line_flush(&line);
    putc_unlocked('\n', stdout);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_json_field(JsonWriter *json, const AdatField *field)
{
    char number[NUMBER_CHARS_MAX];

    switch (field->type) {
    case ADA_TYPE_I64:
        json_i64(json, field->name, field->value.i64);
        break;
    case ADA_TYPE_F64:
        json_f64(json, field->name, field->value.f64);
        break;
    case ADA_TYPE_POINTER: /* as text: most JSON readers would round it */
        json_string_bytes(json, field->name, number, number_format_hex(number, field->value.u64));
        break;
    case ADA_TYPE_STRING:
        json_string_bytes(json, field->name, field->value.string.bytes, field->value.string.size);
        break;
    default:
        json_u64(json, field->name, field->value.u64);
    }
}

/* Where a function is, whatever it is called. */
static void put_json_place(JsonWriter *json, const DumpedEvent *dumped)
{
    static const char digits[] = "0123456789abcdef";
    const AdaModule *module = dumped->module;
    char number[NUMBER_CHARS_MAX];
    char id[2 * ADA_BUILD_ID_MAX];

    json_string(json, "module", module->path);
    json_string_bytes(json, "offset", number,
                      number_format_hex(number, dumped->event->event.id - module->base));
    for (size_t i = 0; i < module->build_id_size; i++) {
        id[2 * i] = digits[module->build_id[i] >> 4];
        id[2 * i + 1] = digits[module->build_id[i] & 15u];
    }
    json_string_bytes(json, "build_id", id, 2 * (size_t)module->build_id_size);
}

/* What all lines begin with. */
static void json_begin_line(JsonWriter *json, uint64_t ts_ns, const AdatProcessInfo *process,
                            const AdatThreadInfo *thread)
{
    json_init(json, stdout);
    json_begin_object(json, NULL);
    json_u64(json, "ts_ns", ts_ns);
    if (process)
        json_u64(json, "pid", process->process.pid);
    else
        json_null(json, "pid");
    if (thread)
        json_u64(json, "tid", thread->thread.tid);
    else
        json_null(json, "tid");
}

void dump_event_json(const AdatReader *reader, const DumpedEvent *dumped)
{
    const AdatEvent *event = dumped->event;
    JsonWriter json;

    json_begin_line(&json, adat_reader_realtime(reader, event->time_ns), event->process, event->thread);
    json_string(&json, "lane", "index");
    json_string(&json, "kind", kinds[kind_of(&event->event)].json);
    json_string_bytes(&json, "name", dumped->name, dumped->name_length);
    if (ADA_WORD_KIND(event->event.word) == ADA_KIND_COUNTER ||
        ADA_WORD_KIND(event->event.word) == ADA_KIND_SPAN_END)
        json_i64(&json, "arg", (int64_t)event->event.argument);
    else
        json_u64(&json, "arg", event->event.argument);
    json_begin_object(&json, "fields");
    if (dumped->module)
        put_json_place(&json, dumped);
    for (size_t i = 0; i < dumped->field_count; i++)
        put_json_field(&json, &dumped->fields[i]);
    json_end_object(&json);
    json_end_object(&json);
}

void dump_mark_json(const AdatReader *reader, const AdatMarkInfo *info)
{
    JsonWriter json;

    json_begin_line(&json, adat_reader_realtime(reader, info->time_ns), info->process, info->thread);
    if (info->anomaly)
        json_null(&json, "lane");
    else
        json_string(&json, "lane", "detail");
    json_string(&json, "kind", info->anomaly ? "anomaly" : "marked");
    json_string(&json, "name", info->mark.reason);
    if (info->mark.record != UINT64_MAX)
        json_u64(&json, "arg", info->mark.record);
    else
        json_null(&json, "arg");
    json_begin_object(&json, "fields");
    json_end_object(&json);
    json_end_object(&json);
}
