/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "test_support.h"
#include "user/convert/open_slices.h"

static OpenSlices slices;

static AdaIndexEvent event_of(uint32_t kind, uint64_t id, uint32_t depth)
{
    return (AdaIndexEvent){.id = id, .word = ADA_WORD(kind, 0, depth)};
}

static size_t begin(uint64_t id, uint32_t depth)
{
    AdaIndexEvent event = event_of(ADA_KIND_SPAN_BEGIN, id, depth);
    size_t missing = 99;

    CU_ASSERT_EQUAL(open_slices_begin(&slices, &event, &missing), 0);
    return missing;
}

/* How many ends are missing before it; -1 - that many: it was not open. */
static long end(uint64_t id, uint32_t depth)
{
    AdaIndexEvent event = event_of(ADA_KIND_SPAN_END, id, depth);
    size_t missing = 99;
    bool open = open_slices_end(&slices, &event, &missing);

    return open ? (long)missing : -1 - (long)missing;
}

static void slices__nested__then_nothing_is_missing(void)
{
    for (uint32_t depth = 0; depth < 100; depth++)
        CU_ASSERT_EQUAL(begin(depth % 3, depth), 0);
    for (uint32_t depth = 100; depth > 0; depth--)
        CU_ASSERT_EQUAL(end((depth - 1) % 3, depth - 1), 0);
    CU_ASSERT_EQUAL(open_slices_close(&slices), 0);
    open_slices_fini(&slices);
}

static void slices__ends_lost__then_put_in_where_depth_tells(void)
{
    CU_ASSERT_EQUAL(begin(1, 0), 0);
    CU_ASSERT_EQUAL(begin(2, 1), 0);
    CU_ASSERT_EQUAL(begin(3, 2), 0);
    CU_ASSERT_EQUAL(begin(4, 1), 2); /* 3 and 2 have ended */
    CU_ASSERT_EQUAL(begin(5, 2), 0);
    CU_ASSERT_EQUAL(end(1, 0), 2); /* 5 and 4 */
    CU_ASSERT_EQUAL(open_slices_close(&slices), 0);
    open_slices_fini(&slices);
}

static void slices__beginning_lost__then_its_end_is_none(void)
{
    CU_ASSERT_EQUAL(end(7, 0), -1);
    CU_ASSERT_EQUAL(begin(1, 0), 0);
    CU_ASSERT_EQUAL(end(2, 1), -1);
    CU_ASSERT_EQUAL(begin(3, 1), 0);
    CU_ASSERT_EQUAL(begin(4, 2), 0);
    CU_ASSERT_EQUAL(end(9, 1), -2); /* what is deeper has ended in any case; 3, at its depth, goes on */
    CU_ASSERT_EQUAL(end(3, 1), 0);
    CU_ASSERT_EQUAL(end(1, 0), 0);
    open_slices_fini(&slices);
}

static void slices__ended_in_another_order__then_the_outer_one_is_found(void)
{
    CU_ASSERT_EQUAL(begin(1, 0), 0);
    CU_ASSERT_EQUAL(begin(2, 1), 0);
    CU_ASSERT_EQUAL(end(1, 1), 1);
    CU_ASSERT_EQUAL(end(2, 0), -1);
    CU_ASSERT_EQUAL(open_slices_close(&slices), 0);
    open_slices_fini(&slices);
}

static void slices__function_and_span_of_one_id__then_not_mixed_up(void)
{
    AdaIndexEvent entry = event_of(ADA_KIND_FUNCTION_ENTRY, 5, 0),
                  leave = event_of(ADA_KIND_FUNCTION_EXIT, 5, 0);
    size_t missing;

    CU_ASSERT_EQUAL(open_slices_begin(&slices, &entry, &missing), 0);
    CU_ASSERT_EQUAL(end(5, 0), -1);
    CU_ASSERT(open_slices_end(&slices, &leave, &missing));
    CU_ASSERT_EQUAL(open_slices_close(&slices), 0);
    open_slices_fini(&slices);
}

static void slices__deeper_than_events_can_tell__then_bounded(void)
{
    for (uint32_t i = 0; i < 70000; i++)
        (void)begin(i, i < 0xffff ? i : 0xffff);
    CU_ASSERT_EQUAL(slices.count, 0x10000);
    CU_ASSERT_EQUAL(open_slices_close(&slices), 0x10000);
    open_slices_fini(&slices);
}

static const TestCase tests[] = {
    TEST(slices__nested__then_nothing_is_missing),
    TEST(slices__ends_lost__then_put_in_where_depth_tells),
    TEST(slices__beginning_lost__then_its_end_is_none),
    TEST(slices__ended_in_another_order__then_the_outer_one_is_found),
    TEST(slices__function_and_span_of_one_id__then_not_mixed_up),
    TEST(slices__deeper_than_events_can_tell__then_bounded),
};
TEST_MAIN("open_slices", tests)
