/* SPDX-License-Identifier: MIT */
/*
 * Writes JSON to a stdio stream as it is produced: nothing is kept, nothing is allocated.
 *
 *     JsonWriter json;
 *     json_init(&json, stdout);
 *     json_begin_object(&json, NULL);
 *     json_u64(&json, "version", 1);
 *     json_begin_array(&json, "threads");
 *     ...
 *     json_end_array(&json);
 *     json_end_object(&json);          // the outermost end writes a newline: one value, one line
 *
 * `key` is the member's name inside an object, and NULL inside an array and at the top. Commas are
 * the writer's business. Write errors stay in the stream (ferror). One thread uses a writer at a time.
 */
#ifndef ADA_BASE_JSON_H
#define ADA_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_MAX 63u

typedef struct JsonWriter {
    FILE *out;
    uint32_t depth;
    uint64_t has_members; /* bit d: something was written at depth d */
} JsonWriter;

#define JSON_ESCAPED_MAX 6u /* bytes that one byte of a text may become */

/*
 * The inside of a JSON string, for who writes JSON without a writer: as much of `text` as there is room for, of at least JSON_ESCAPED_MAX bytes.
 * Bytes that are not UTF-8 become U+FFFD, one for each byte. Returns how many bytes it wrote; *used_out: of how many of the text.
 */
size_t json_escape(char *out, size_t room, const void *text, size_t size, size_t *used_out);

void json_init(JsonWriter *json, FILE *out);

void json_begin_object(JsonWriter *json, const char *key);
void json_end_object(JsonWriter *json);
void json_begin_array(JsonWriter *json, const char *key);
void json_end_array(JsonWriter *json);

/* Bytes that are not UTF-8 become U+FFFD, one for each byte. */
void json_string(JsonWriter *json, const char *key, const char *value);
void json_string_bytes(JsonWriter *json, const char *key, const void *value, size_t size);
void json_u64(JsonWriter *json, const char *key, uint64_t value);
void json_i64(JsonWriter *json, const char *key, int64_t value);
/* The shortest text that reads back as the same number; null for NaN and infinities, which JSON lacks. */
void json_f64(JsonWriter *json, const char *key, double value);
void json_bool(JsonWriter *json, const char *key, bool value);
void json_null(JsonWriter *json, const char *key);

#endif
