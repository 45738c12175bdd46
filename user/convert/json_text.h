/* SPDX-License-Identifier: MIT */
/*
 * Pieces of JSON for millions of lines whose shape is known: no commas or nesting are kept, as a JsonWriter does (user/base/json.h).
 */
#ifndef ADA_CONVERT_JSON_TEXT_H
#define ADA_CONVERT_JSON_TEXT_H

#include "user/base/json.h"
#include "user/base/out_buffer.h"
#include "user/convert/event_walk.h"

/* The inside of a string, escaped. */
void json_text_put(OutBuffer *out, const char *text, size_t size);

/* A string with its quotes. */
static inline void json_text_string(OutBuffer *out, const char *text, size_t size)
{
    out_char(out, '"');
    json_text_put(out, text, size);
    out_char(out, '"');
}

/* The fields of an event, {"name":value,...}: of a function where it is, of another event its payload. Pointers are strings. */
void json_text_fields(OutBuffer *out, const NamedEvent *event);

/* The same without braces. `comma`: there are members before. Returns whether there are any now. */
bool json_text_members(OutBuffer *out, const NamedEvent *event, bool comma);

/* A number, signed if the kind of event has it so. */
void json_text_argument(OutBuffer *out, const AdaIndexEvent *event);

#endif
