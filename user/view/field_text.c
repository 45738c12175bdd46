/* SPDX-License-Identifier: MIT */
#include "user/view/field_text.h"

#include <string.h>

#include "user/base/number.h"

#define BETWEEN_FIELDS 0x1e /* "record separator" of ASCII */
#define BEFORE_VALUE 0x1f   /* "unit separator" */

static void put(FieldText *text, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = bytes[i];

        text->bytes[text->size++] = c == BETWEEN_FIELDS || c == BEFORE_VALUE ? ' ' : c;
    }
}

static void put_string(FieldText *text, const char *bytes, size_t size)
{
    put(text, bytes, size < FIELD_VALUE_MAX ? size : FIELD_VALUE_MAX);
    if (size > FIELD_VALUE_MAX)
        put(text, "...", 3);
}

static void put_value(FieldText *text, const AdatField *field)
{
    char number[NUMBER_CHARS_MAX];
    size_t length;

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
        put_string(text, field->value.string.bytes, field->value.string.size);
        return;
    default:
        length = number_format_u64(number, field->value.u64);
    }
    put(text, number, length);
}

void field_text_format(FieldText *text, const AdatField *fields, size_t count)
{
    text->size = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            text->bytes[text->size++] = BETWEEN_FIELDS;
        put(text, fields[i].name, strlen(fields[i].name));
        text->bytes[text->size++] = BEFORE_VALUE;
        put_value(text, &fields[i]);
    }
}
