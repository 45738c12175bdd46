/* SPDX-License-Identifier: MIT */
#include "user/base/json.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "user/base/number.h"
#include "user/base/utf8.h"

static void put_bytes(JsonWriter *json, const void *data, size_t size)
{
    fwrite_unlocked(data, 1, size, json->out);
}

static void put_char(JsonWriter *json, char c)
{
    putc_unlocked(c, json->out);
}

/* Writes at most JSON_ESCAPED_MAX bytes, and returns how many. */
static size_t escape_byte(char *out, uint8_t c)
{
    static const char names[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    const char text[JSON_ESCAPED_MAX] = {
        '\\', 'u', '0', '0', "0123456789abcdef"[c >> 4], "0123456789abcdef"[c & 15]};

    for (const char *name = names; *name; name += 2) {
        if (c == (uint8_t)name[0]) {
            out[0] = '\\';
            out[1] = name[1];
            return 2;
        }
    }
    memcpy(out, text, sizeof(text));
    return sizeof(text);
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

size_t json_escape(char *out, size_t room, const void *text, size_t size, size_t *used_out)
{
    static const char replacement[JSON_ESCAPED_MAX] = {'\\', 'u', 'f', 'f', 'f', 'd'};
    const uint8_t *bytes = text;
    size_t i = 0, length = 0;

    while (i < size && room - length >= JSON_ESCAPED_MAX) {
        size_t sequence;

        if (is_plain(bytes[i])) {
            out[length++] = (char)bytes[i++];
            continue;
        }
        sequence = utf8_length(bytes + i, size - i);
        if (sequence > 1) {
            memcpy(out + length, bytes + i, sequence);
            length += sequence;
            i += sequence;
        } else if (sequence == 1) {
            length += escape_byte(out + length, bytes[i++]);
        } else {
            memcpy(out + length, replacement, sizeof(replacement));
            length += JSON_ESCAPED_MAX;
            i++;
        }
    }
    *used_out = i;
    return length;
}

static void put_string(JsonWriter *json, const uint8_t *text, size_t size)
{
    char escaped[512];
    size_t used, length;

    put_char(json, '"');
    while (size > 0) {
        length = json_escape(escaped, sizeof(escaped), text, size, &used);
        put_bytes(json, escaped, length);
        text += used;
        size -= used;
    }
    put_char(json, '"');
}

static void begin_value(JsonWriter *json, const char *key)
{
    if (json->has_members >> json->depth & 1)
        put_char(json, ',');
    json->has_members |= 1ull << json->depth;
    if (key) {
        put_string(json, (const uint8_t *)key, strlen(key));
        put_char(json, ':');
    }
}

static void end_value(JsonWriter *json)
{
    if (json->depth > 0)
        return;
    put_char(json, '\n');
    json->has_members = 0;
}

static void begin_nest(JsonWriter *json, const char *key, char bracket)
{
    begin_value(json, key);
    put_char(json, bracket);
    assert(json->depth < JSON_DEPTH_MAX);
    json->depth++;
    json->has_members &= ~(1ull << json->depth);
}

static void end_nest(JsonWriter *json, char bracket)
{
    assert(json->depth > 0);
    json->depth--;
    put_char(json, bracket);
    end_value(json);
}

void json_init(JsonWriter *json, FILE *out)
{
    *json = (JsonWriter){.out = out};
}

void json_begin_object(JsonWriter *json, const char *key)
{
    begin_nest(json, key, '{');
}

void json_end_object(JsonWriter *json)
{
    end_nest(json, '}');
}

void json_begin_array(JsonWriter *json, const char *key)
{
    begin_nest(json, key, '[');
}

void json_end_array(JsonWriter *json)
{
    end_nest(json, ']');
}

void json_string_bytes(JsonWriter *json, const char *key, const void *value, size_t size)
{
    begin_value(json, key);
    put_string(json, value, size);
    end_value(json);
}

void json_string(JsonWriter *json, const char *key, const char *value)
{
    json_string_bytes(json, key, value, strlen(value));
}

void json_u64(JsonWriter *json, const char *key, uint64_t value)
{
    char text[NUMBER_CHARS_MAX];

    begin_value(json, key);
    put_bytes(json, text, number_format_u64(text, value));
    end_value(json);
}

void json_i64(JsonWriter *json, const char *key, int64_t value)
{
    char text[NUMBER_CHARS_MAX];

    begin_value(json, key);
    put_bytes(json, text, number_format_i64(text, value));
    end_value(json);
}

void json_f64(JsonWriter *json, const char *key, double value)
{
    char text[NUMBER_CHARS_MAX];

    if (!isfinite(value)) {
        json_null(json, key);
        return;
    }
    begin_value(json, key);
    put_bytes(json, text, number_format_f64(text, value));
    end_value(json);
}

void json_bool(JsonWriter *json, const char *key, bool value)
{
    begin_value(json, key);
    put_bytes(json, value ? "true" : "false", value ? 4 : 5);
    end_value(json);
}

void json_null(JsonWriter *json, const char *key)
{
    begin_value(json, key);
    put_bytes(json, "null", 4);
    end_value(json);
}
