/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_support.h"
#include "user/base/json.h"

/* What was written to the stream since open_text(). */
static char *text;
static size_t text_size;

static FILE *open_text(JsonWriter *json)
{
    FILE *out = open_memstream(&text, &text_size);

    json_init(json, out);
    return out;
}

static void expect_text(FILE *out, const char *expected)
{
    fclose(out);
    CU_ASSERT_STRING_EQUAL(text, expected);
    if (strcmp(text, expected) != 0)
        printf("  is: %s", text);
    free(text);
}

static void json__nested_values__then_commas_and_newline_are_right(void)
{
    JsonWriter json;
    FILE *out = open_text(&json);

    json_begin_object(&json, NULL);
    json_u64(&json, "version", 1);
    json_begin_array(&json, "list");
    json_begin_object(&json, NULL);
    json_end_object(&json);
    json_begin_array(&json, NULL);
    json_end_array(&json);
    json_bool(&json, NULL, true);
    json_bool(&json, NULL, false);
    json_null(&json, NULL);
    json_end_array(&json);
    json_string(&json, "last", "x");
    json_end_object(&json);
    expect_text(out, "{\"version\":1,\"list\":[{},[],true,false,null],\"last\":\"x\"}\n");
}

static void json__several_values__then_one_a_line(void)
{
    JsonWriter json;
    FILE *out = open_text(&json);

    for (uint64_t i = 0; i < 2; i++) {
        json_begin_object(&json, NULL);
        json_u64(&json, "i", i);
        json_end_object(&json);
    }
    json_u64(&json, NULL, 7);
    expect_text(out, "{\"i\":0}\n{\"i\":1}\n7\n");
}

static void json__special_characters__then_escaped(void)
{
    JsonWriter json;
    FILE *out = open_text(&json);

    json_string(&json, NULL, "q\" b\\ n\n r\r t\t b\b f\f \x01 \x1f \x7f /");
    json_string_bytes(&json, NULL, "a\0b", 3);
    json_string(&json, NULL, "");
    expect_text(out,
                "\"q\\\" b\\\\ n\\n r\\r t\\t b\\b f\\f \\u0001 \\u001f \\u007f /\"\n\"a\\u0000b\"\n\"\"\n");
}

static void json__key_with_quotes__then_escaped(void)
{
    JsonWriter json;
    FILE *out = open_text(&json);

    json_begin_object(&json, NULL);
    json_u64(&json, "a\"b", 1);
    json_end_object(&json);
    expect_text(out, "{\"a\\\"b\":1}\n");
}

static void json__valid_utf8__then_unchanged(void)
{
    static const char *const good[] = {"\xc2\x80",         "\xdf\xbf",         "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",     "\xee\x80\x80",     "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "h\xc3\xa9llo"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char expected[32];
        JsonWriter json;
        FILE *out = open_text(&json);

        snprintf(expected, sizeof(expected), "\"%s\"\n", good[i]);
        json_string(&json, NULL, good[i]);
        expect_text(out, expected);
    }
}

static void json__invalid_utf8__then_each_byte_is_replaced(void)
{
    static const struct {
        const char *bytes;
        const char *expected;
    } bad[] = {
        {"\x80", "\"\\ufffd\"\n"},                       /* continuation alone */
        {"\xff", "\"\\ufffd\"\n"},                       /* never valid */
        {"\xc0\x80", "\"\\ufffd\\ufffd\"\n"},            /* overlong */
        {"\xe0\x9f\xbf", "\"\\ufffd\\ufffd\\ufffd\"\n"}, /* overlong */
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"\n"}, /* surrogate */
        {"\xf0\x8f\xbf\xbf", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"\n"},
        {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"\n"}, /* beyond U+10FFFF */
        {"\xe2\x82", "\"\\ufffd\\ufffd\"\n"},                       /* cut off */
        {"\xe2\x82x", "\"\\ufffd\\ufffdx\"\n"},
        {"a\xc3", "\"a\\ufffd\"\n"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        JsonWriter json;
        FILE *out = open_text(&json);

        json_string(&json, NULL, bad[i].bytes);
        expect_text(out, bad[i].expected);
    }
}

static void json__extreme_integers__then_exact(void)
{
    JsonWriter json;
    FILE *out = open_text(&json);

    json_begin_array(&json, NULL);
    json_u64(&json, NULL, 0);
    json_u64(&json, NULL, UINT64_MAX);
    json_i64(&json, NULL, INT64_MIN);
    json_i64(&json, NULL, -1);
    json_i64(&json, NULL, INT64_MAX);
    json_end_array(&json);
    expect_text(out, "[0,18446744073709551615,-9223372036854775808,-1,9223372036854775807]\n");
}

static void json__numbers_with_fractions__then_shortest_text_that_reads_back(void)
{
    JsonWriter json;
    FILE *out = open_text(&json);

    json_begin_array(&json, NULL);
    json_f64(&json, NULL, 0.1);
    json_f64(&json, NULL, 0.1 + 0.2);
    json_f64(&json, NULL, 1e300);
    json_f64(&json, NULL, -2);
    json_f64(&json, NULL, (double)NAN);
    json_f64(&json, NULL, (double)INFINITY);
    json_end_array(&json);
    expect_text(out, "[0.1,0.30000000000000004,1e+300,-2,null,null]\n");
}

static void json__deepest_nesting__then_well_formed(void)
{
    JsonWriter json;
    FILE *out = open_text(&json);
    char expected[2 * JSON_DEPTH_MAX + 2];

    for (unsigned i = 0; i < JSON_DEPTH_MAX; i++)
        json_begin_array(&json, NULL);
    for (unsigned i = 0; i < JSON_DEPTH_MAX; i++)
        json_end_array(&json);
    memset(expected, '[', JSON_DEPTH_MAX);
    memset(expected + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    memcpy(expected + 2 * JSON_DEPTH_MAX, "\n", 2);
    expect_text(out, expected);
}

static const TestCase tests[] = {
    TEST(json__nested_values__then_commas_and_newline_are_right),
    TEST(json__several_values__then_one_a_line),
    TEST(json__special_characters__then_escaped),
    TEST(json__key_with_quotes__then_escaped),
    TEST(json__valid_utf8__then_unchanged),
    TEST(json__invalid_utf8__then_each_byte_is_replaced),
    TEST(json__extreme_integers__then_exact),
    TEST(json__numbers_with_fractions__then_shortest_text_that_reads_back),
    TEST(json__deepest_nesting__then_well_formed),
};
TEST_MAIN("json", tests)
