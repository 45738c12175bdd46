/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "test_support.h"
#include "user/convert/event_csv.h"

static OutBuffer out;

static void expect_column(const char *text, size_t size, const char *expected)
{
    out_init(&out, NULL);
    event_csv_text(&out, text, size);
    CU_ASSERT(out.length == strlen(expected) && memcmp(out.data, expected, out.length) == 0);
    if (out.length != strlen(expected) || memcmp(out.data, expected, out.length) != 0)
        printf("  is: %.*s\n", (int)out.length, out.data);
}

static void csv__plain_text__then_as_it_is(void)
{
    expect_column("worker-3", 8, "worker-3");
    expect_column("", 0, "");
    expect_column("a b;c", 5, "a b;c");
}

static void csv__separators__then_quoted(void)
{
    expect_column("a,b", 3, "\"a,b\"");
    expect_column("say \"x\"", 7, "\"say \"\"x\"\"\"");
    expect_column("a\nb", 3, "\"a\nb\"");
    expect_column("\xc3\xa9", 2, "\"\xc3\xa9\"");
}

static void csv__no_text__then_replaced(void)
{
    expect_column("a\xff", 2, "\"a\xef\xbf\xbd\"");
    expect_column("a\0b", 3,
                  "\"a\xef\xbf\xbd"
                  "b\"");
}

static void csv__formula__then_harmless_and_reversible(void)
{
    expect_column("=1+1", 4, "\"'=1+1\"");
    expect_column("+x", 2, "\"'+x\"");
    expect_column("-x", 2, "\"'-x\"");
    expect_column("@SUM(A1)", 8, "\"'@SUM(A1)\"");
    expect_column("\tx", 2, "\"'\tx\"");
    expect_column("\rx", 2, "\"'\rx\"");
    expect_column("'x", 2, "\"''x\"");
    expect_column("a=1", 3, "a=1");
}

static const TestCase tests[] = {
    TEST(csv__plain_text__then_as_it_is),
    TEST(csv__separators__then_quoted),
    TEST(csv__no_text__then_replaced),
    TEST(csv__formula__then_harmless_and_reversible),
};
TEST_MAIN("event_csv", tests)
