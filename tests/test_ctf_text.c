/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test_support.h"
#include "user/base/utf8.h"
#include "user/convert/ctf_text.h"

static void expect_mangled(const char *name, unsigned int copy, const char *expected)
{
    char identifier[CTF_IDENTIFIER_SIZE(32)];

    ctf_mangle(name, strlen(name), copy, identifier);
    CU_ASSERT_STRING_EQUAL(identifier, expected);
    if (strcmp(identifier, expected) != 0)
        printf("  '%s' is: %s\n", name, identifier);
}

static void mangle__names__then_identifiers(void)
{
    expect_mangled("bytes_read2", 0, "bytes_read2");
    expect_mangled("te\txt", 0, "te_x09xt");
    expect_mangled("a.b-c", 0, "a_x2eb_x2dc");
    expect_mangled("", 0, "_x00");
    expect_mangled("_x2e", 0, "_x5fx2e");
    expect_mangled("_x2E", 0, "_x2E"); /* no escape: those are lower-case */
    expect_mangled("__x09", 0, "__x5fx09");
    expect_mangled("\xc3\xa9", 0, "_xc3_xa9");
    expect_mangled("same", 2, "same_x002");
    expect_mangled("", 1, "_x001");
}

/* As a reader would take it back. Returns the length. */
static size_t unmangle(const char *identifier, char *name)
{
    size_t length = 0;

    while (*identifier) {
        if (identifier[0] == '_' && identifier[1] == 'x' && strspn(identifier + 2, "0123456789abcdef") >= 2) {
            const char digits[] = {identifier[2], identifier[3], '\0'};
            unsigned long byte = strtoul(digits, NULL, 16);

            if (byte == 0)
                break;
            name[length++] = (char)byte;
            identifier += 4;
        } else {
            name[length++] = *identifier++;
        }
    }
    return length;
}

/* All texts of up to five of the bytes that could go wrong. */
static void mangle__any_name__then_taken_back(void)
{
    static const char letters[] = {'_', 'x', '5', 'f', 'E', '"'};
    char name[8], back[64], identifier[CTF_IDENTIFIER_SIZE(8)];
    unsigned int count = 0, wrong = 0;

    for (size_t length = 0; length <= 5; length++) {
        unsigned int all = 1;

        for (size_t i = 0; i < length; i++)
            all *= sizeof(letters);
        for (unsigned int n = 0; n < all; n++, count++) {
            for (size_t i = 0, rest = n; i < length; i++, rest /= sizeof(letters))
                name[i] = letters[rest % sizeof(letters)];
            ctf_mangle(name, length, n % 3, identifier);
            if (unmangle(identifier, back) != length || memcmp(back, name, length) != 0)
                wrong++;
        }
    }
    CU_ASSERT_EQUAL(count, 1 + 6 + 36 + 216 + 1296 + 7776);
    CU_ASSERT_EQUAL(wrong, 0);
}

static void literal__hostile_names__then_cannot_end_it(void)
{
    static const char name[] = "a\"; };\n\\\x1b\xff\xc3\xa9\x7f*/";
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    ctf_put_literal(out, name, sizeof(name) - 1);
    fclose(out);
    CU_ASSERT_STRING_EQUAL(text, "\"a\\042; };\\012\\134\\033\xef\xbf\xbd\xc3\xa9\\177*/\"");
    free(text);
}

static void clean__any_bytes__then_utf8_without_nul(void)
{
    char out[64];

    CU_ASSERT_EQUAL(utf8_clean(out, "a\0b\xff\xc3\xa9\xc3", 7), 1 + 3 + 1 + 3 + 2 + 3 + 1);
    CU_ASSERT_STRING_EQUAL(out, "a\xef\xbf\xbd"
                                "b\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd");
    CU_ASSERT_EQUAL(utf8_clean(out, "", 0), 1);
    CU_ASSERT_STRING_EQUAL(out, "");
}

static const TestCase tests[] = {
    TEST(mangle__names__then_identifiers),
    TEST(mangle__any_name__then_taken_back),
    TEST(literal__hostile_names__then_cannot_end_it),
    TEST(clean__any_bytes__then_utf8_without_nul),
};
TEST_MAIN("ctf_text", tests)
