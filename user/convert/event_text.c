/* SPDX-License-Identifier: MIT */
#include "user/convert/event_text.h"

#include "user/base/plain_text.h"

#define INDENT_MAX 32u /* levels: deeper ones are not indented further */

static const struct {
    const char *text;
    size_t length;
} kinds[] = {
#define KIND(text)             \
    {                          \
        text, sizeof(text) - 1 \
    }
    [ADA_KIND_NONE] = KIND("none"),          [ADA_KIND_FUNCTION_ENTRY] = KIND("entry"),
    [ADA_KIND_FUNCTION_EXIT] = KIND("exit"), [ADA_KIND_SPAN_BEGIN] = KIND("begin"),
    [ADA_KIND_SPAN_END] = KIND("end"),       [ADA_KIND_INSTANT] = KIND("instant"),
    [ADA_KIND_COUNTER] = KIND("counter"),    [ADA_KIND_TYPED] = KIND("event"),
    [ADA_KIND_MARK] = KIND("mark"),          [ADA_KIND_COUNT] = KIND("unknown"),
#undef KIND
};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == ADA_KIND_COUNT + 1, "a name for each kind");

static void put_text(OutBuffer *out, const char *text, size_t size)
{
    while (size > 0) {
        size_t room = 1024, used;

        out_take(out, plain_text_escape(out_reserve(out, room), room, text, size, &used));
        text += used;
        size -= used;
    }
}

/* "   12.000000345": the point stands in the same column up to 99999 seconds. */
static void put_time(OutBuffer *out, int64_t time_ns)
{
    uint64_t ns = time_ns < 0 ? 0 - (uint64_t)time_ns : (uint64_t)time_ns;
    char seconds[NUMBER_CHARS_MAX + 1];
    size_t length = 0;

    if (time_ns < 0)
        seconds[length++] = '-';
    length += number_format_u64(seconds + length, ns / 1000000000u);
    if (length < 6)
        out_pad(out, 6 - length);
    out_text(out, seconds, length);
    out_char(out, '.');
    out_padded(out, ns % 1000000000u, 9);
}

/* Addresses of mutexes and of code are easier to recognize in hexadecimal; other numbers are seldom as large. */
static bool looks_like_address(uint64_t value)
{
    return value >> 40 != 0 && value >> 47 == 0;
}

static void put_argument(OutBuffer *out, const AdaIndexEvent *event)
{
    if (event_argument_is_signed(event))
        out_i64(out, (int64_t)event->argument);
    else if (event_is_function(event) || looks_like_address(event->argument))
        out_hex(out, event->argument);
    else
        out_u64(out, event->argument);
}

static void put_field(OutBuffer *out, const AdatField *field)
{
    out_char(out, ' ');
    put_text(out, field->name, strlen(field->name));
    out_char(out, '=');
    switch (field->type) {
    case ADA_TYPE_I64:
        out_i64(out, field->value.i64);
        break;
    case ADA_TYPE_F64:
        out_f64(out, field->value.f64);
        break;
    case ADA_TYPE_POINTER:
        out_hex(out, field->value.u64);
        break;
    case ADA_TYPE_STRING:
        out_char(out, '"');
        put_text(out, field->value.string.bytes, field->value.string.size);
        out_char(out, '"');
        break;
    default:
        out_u64(out, field->value.u64);
    }
}

/* Time, process, thread: what all lines begin with. A number that is not known is a dash. */
static void begin_line(OutBuffer *out, int64_t time_ns, const AdatProcessInfo *process,
                       const AdatThreadInfo *thread)
{
    const char *name = thread ? thread->thread.name : "-";
    size_t length = strlen(name);

    put_time(out, time_ns);
    out_char(out, ' ');
    if (process)
        out_u64(out, process->process.pid);
    else
        out_char(out, '-');
    out_char(out, '/');
    if (thread)
        out_u64(out, thread->thread.tid);
    else
        out_char(out, '-');
    out_char(out, ' ');
    put_text(out, name, length);
    out_pad(out, length < 15 ? 16 - length : 1);
}

void event_text_line(OutBuffer *out, const NamedEvent *named)
{
    const AdatEvent *event = named->event;
    uint32_t depth = ADA_WORD_DEPTH(event->event.word), kind = ADA_WORD_KIND(event->event.word);

    if (kind >= ADA_KIND_COUNT)
        kind = ADA_KIND_COUNT;
    begin_line(out, event->time_ns, event->process, event->thread);
    out_pad(out, 2 * (size_t)(depth < INDENT_MAX ? depth : INDENT_MAX));
    out_text(out, kinds[kind].text, kinds[kind].length);
    out_char(out, ' ');
    put_text(out, named->name, named->name_length);
    out_char(out, ' ');
    put_argument(out, &event->event);
    for (size_t i = 0; i < named->field_count; i++)
        put_field(out, &named->fields[i]);
    if (ADA_WORD_FLAGS(event->event.word) & ADA_FLAG_DETAIL_LOST)
        OUT_TEXT(out, " (fields lost)");
    out_char(out, '\n');
}

void event_text_mark(OutBuffer *out, const AdatMarkInfo *info)
{
    const AdatMark *mark = &info->mark;

    begin_line(out, info->time_ns, info->process, info->thread);
    if (info->anomaly)
        OUT_TEXT(out, "anomaly ");
    else
        OUT_TEXT(out, "marked ");
    put_text(out, mark->reason, strlen(mark->reason));
    if (mark->record != UINT64_MAX) {
        OUT_TEXT(out, " record=");
        out_u64(out, mark->record);
    }
    out_char(out, '\n');
}
