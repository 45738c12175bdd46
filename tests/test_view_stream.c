/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_support.h"
#include "user/view/view_encode.h"
#include "user/view/view_stream.h"

/* The value of a sign of base 64, or -1. */
static int digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c ? strchr(digits, c) : NULL;

    return found ? (int)(found - digits) : -1;
}

/* In place. The size. */
static size_t decode_base64(char *text, size_t size)
{
    uint8_t *out = (uint8_t *)text;
    size_t count = 0;

    CU_ASSERT_EQUAL_FATAL(size % 4, 0);
    for (size_t i = 0; i < size; i += 4) {
        uint32_t bits = 0, missing = 0;

        for (size_t k = 0; k < 4; k++) {
            bool filled = text[i + k] == '=' && i + 4 == size && k >= 2;

            if (!filled && (missing || digit_of(text[i + k]) < 0))
                CU_FAIL_FATAL("no base 64");
            missing += filled ? 1 : 0;
            bits = bits << 6 | (filled ? 0 : (uint32_t)digit_of(text[i + k]));
        }
        out[count++] = (uint8_t)(bits >> 16);
        if (missing < 2)
            out[count++] = (uint8_t)(bits >> 8);
        if (missing < 1)
            out[count++] = (uint8_t)bits;
    }
    return count;
}

/* What `size` bytes become, and come back as. */
static void expect_same(const uint8_t *bytes, size_t size, size_t step)
{
    ViewStream *stream = malloc(sizeof(*stream));
    uint8_t *back = malloc(size + 1);
    uLongf back_size = size + 1;
    char *text = NULL;
    size_t text_size = 0;
    FILE *out = open_memstream(&text, &text_size);

    CU_ASSERT_FATAL(stream && out && back);
    CU_ASSERT_EQUAL_FATAL(view_stream_init(stream, out), 0);
    for (size_t at = 0; at < size; at += step)
        view_stream_put(stream, bytes + at, size - at < step ? size - at : step);
    CU_ASSERT_EQUAL(stream->taken, size);
    view_stream_end(stream);
    view_stream_fini(stream);
    CU_ASSERT_EQUAL_FATAL(fclose(out), 0);
    text_size = decode_base64(text, text_size);
    CU_ASSERT_EQUAL(uncompress(back, &back_size, (const Bytef *)text, text_size), Z_OK);
    CU_ASSERT_EQUAL(back_size, size);
    CU_ASSERT_EQUAL(memcmp(back, bytes, size), 0);
    free(text);
    free(back);
    free(stream);
}

static void stream__any_bytes_in_any_steps__then_the_same_come_back(void)
{
    enum { SIZE = 1 << 20 };
    uint8_t *bytes = malloc(SIZE);
    unsigned seed = 1;

    CU_ASSERT_FATAL(bytes != NULL);
    for (size_t i = 0; i < SIZE; i++) {
        seed = seed * 1103515245u + 12345u;
        bytes[i] = (uint8_t)(i % 3 ? seed >> 16 : 0);
    }
    for (size_t size = 0; size < 40; size++)
        expect_same(bytes, size, 1);
    expect_same(bytes, SIZE, 1000);
    expect_same(bytes, SIZE, SIZE);
    free(bytes);
}

/* The end of the data, as the page finds it: JSON, then its size. */
static void encode__model_without_anything__then_json_with_its_size(void)
{
    ViewStream *stream = malloc(sizeof(*stream));
    char *text = NULL, data[4096];
    uLongf data_size = sizeof(data);
    size_t text_size = 0;
    FILE *out = open_memstream(&text, &text_size);
    const ViewFacts facts = {.title = "</script>\xff", .version = "1", .host = ""};
    uint32_t json_size;
    ViewModel model;

    CU_ASSERT_FATAL(stream && out);
    view_model_init(&model, 0);
    CU_ASSERT_EQUAL_FATAL(view_stream_init(stream, out), 0);
    CU_ASSERT_EQUAL(view_encode(&model, &facts, -5, -5, stream), 0);
    view_stream_end(stream);
    view_stream_fini(stream);
    CU_ASSERT_EQUAL_FATAL(fclose(out), 0);
    text_size = decode_base64(text, text_size);
    CU_ASSERT_EQUAL_FATAL(uncompress((Bytef *)data, &data_size, (const Bytef *)text, text_size), Z_OK);
    memcpy(&json_size, data + data_size - sizeof(json_size), sizeof(json_size));
    CU_ASSERT_EQUAL(json_size + sizeof(json_size), data_size);
    data[json_size] = '\0';
    CU_ASSERT_PTR_NOT_NULL(strstr(data, "\"title\":\"</script>\\ufffd\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(data, "\"begin\":\"-5\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(data, "\"rows\":[]"));
    view_model_fini(&model);
    free(text);
    free(stream);
}

static const TestCase tests[] = {
    TEST(stream__any_bytes_in_any_steps__then_the_same_come_back),
    TEST(encode__model_without_anything__then_json_with_its_size),
};
TEST_MAIN("view_stream", tests)
