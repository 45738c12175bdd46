/* SPDX-License-Identifier: MIT */
#include "user/convert/json_text.h"

#include <math.h>

void json_text_put(OutBuffer *out, const char *text, size_t size)
{
    while (size > 0) {
        size_t room = 1024, used;

        out_take(out, json_escape(out_reserve(out, room), room, text, size, &used));
        text += used;
        size -= used;
    }
}

void json_text_argument(OutBuffer *out, const AdaIndexEvent *event)
{
    if (event_argument_is_signed(event))
        out_i64(out, (int64_t)event->argument);
    else
        out_u64(out, event->argument);
}

static void put_value(OutBuffer *out, const AdatField *field)
{
    switch (field->type) {
    case ADA_TYPE_I64:
        out_i64(out, field->value.i64);
        break;
    case ADA_TYPE_F64:
        if (isfinite(field->value.f64))
            out_f64(out, field->value.f64);
        else
            OUT_TEXT(out, "null");
        break;
    case ADA_TYPE_POINTER: /* as text: most JSON readers would round it */
        out_char(out, '"');
        out_hex(out, field->value.u64);
        out_char(out, '"');
        break;
    case ADA_TYPE_STRING:
        json_text_string(out, field->value.string.bytes, field->value.string.size);
        break;
    default:
        out_u64(out, field->value.u64);
    }
}

/* Where a function is, whatever it is called. */
static void put_place(OutBuffer *out, const NamedEvent *event)
{
    static const char digits[] = "0123456789abcdef";
    const AdaModule *module = event->module;

    OUT_TEXT(out, "\"module\":");
    json_text_string(out, module->path, strlen(module->path));
    OUT_TEXT(out, ",\"offset\":\"");
    out_hex(out, event->event->event.id - module->base);
    OUT_TEXT(out, "\",\"build_id\":\"");
    for (size_t i = 0; i < module->build_id_size && i < ADA_BUILD_ID_MAX; i++) {
        out_char(out, digits[module->build_id[i] >> 4]);
        out_char(out, digits[module->build_id[i] & 15u]);
    }
    out_char(out, '"');
}

bool json_text_members(OutBuffer *out, const NamedEvent *event, bool comma)
{
    if (event->module) {
        if (comma)
            out_char(out, ',');
        put_place(out, event);
        comma = true;
    }
    for (size_t i = 0; i < event->field_count; i++) {
        if (comma)
            out_char(out, ',');
        json_text_string(out, event->fields[i].name, strlen(event->fields[i].name));
        out_char(out, ':');
        put_value(out, &event->fields[i]);
        comma = true;
    }
    return comma;
}

void json_text_fields(OutBuffer *out, const NamedEvent *event)
{
    out_char(out, '{');
    (void)json_text_members(out, event, false);
    out_char(out, '}');
}
