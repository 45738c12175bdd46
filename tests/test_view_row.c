/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "test_support.h"
#include "user/view/view_row.h"

static ViewItem item_of(int64_t start, uint64_t duration, uint32_t name)
{
    return (ViewItem){.start = start, .duration = duration, .busy = duration, .name = name, .count = 1};
}

static void add(ViewRow *row, int64_t start, uint64_t duration, uint32_t name)
{
    const ViewItem item = item_of(start, duration, name);

    CU_ASSERT_TRUE_FATAL(view_row_has_room(row, start, duration));
    CU_ASSERT_EQUAL_FATAL(view_row_add(row, &item), 0);
}

/* Lengths and gaps from 0 to 2^20 ns, small ones mostly; the same each time. */
static void fill(ViewRow *row, size_t count, unsigned seed)
{
    int64_t time = -1000;

    for (size_t i = 0; i < count; i++) {
        uint64_t duration;

        seed = seed * 1103515245u + 12345u;
        duration = (seed >> 8) % (1u << (seed >> 28) * 4 / 3);
        seed = seed * 1103515245u + 12345u;
        time += (seed >> 8) % (1u << (seed >> 28));
        add(row, time, duration, seed % 3);
        time += (int64_t)duration;
    }
}

static void row__items_in_any_order__then_by_start(void)
{
    ViewRow row = {.kind = VIEW_ROW_SPAN};

    add(&row, 100, 10, 1);
    add(&row, 300, 50, 2);
    add(&row, 110, 90, 3); /* touches the first */
    add(&row, 50, 50, 4);
    add(&row, 200, 0, 5);
    CU_ASSERT_EQUAL(row.exact.count, 5);
    for (size_t i = 1; i < row.exact.count; i++)
        CU_ASSERT_TRUE(view_item_end(&row.exact.items[i - 1]) <= row.exact.items[i].start);
    CU_ASSERT_FALSE(view_row_has_room(&row, 349, 1));
    CU_ASSERT_TRUE(view_row_has_room(&row, 350, 1));
    CU_ASSERT_FALSE(view_row_has_room(&row, 299, 2));
    CU_ASSERT_FALSE(view_row_has_room(&row, 0, 1000));
    CU_ASSERT_TRUE(view_row_has_room(&row, 0, 50));
    view_row_free(&row);
}

/* What must hold of any row at any resolution. */
static void expect_coarse(const ViewItems *exact, const ViewItems *coarse, uint64_t resolution)
{
    uint64_t count = 0, busy = 0, coarse_busy = 0, span;
    size_t at = 0;

    for (size_t i = 0; i < exact->count; i++)
        busy += exact->items[i].busy;
    for (size_t i = 0; i < coarse->count; i++) {
        const ViewItem *item = &coarse->items[i];

        count += item->count;
        coarse_busy += item->busy;
        if (item->count > 1 && item->duration > resolution)
            CU_FAIL("several in one that is too long");
        if (i > 0 && (uint64_t)(view_item_end(item) - item[-1].start) <= resolution)
            CU_FAIL("neighbours that would fit");
        if (item->start != exact->items[at].start ||
            view_item_end(item) != view_item_end(&exact->items[at + item->count - 1]))
            CU_FAIL("place");
        at += item->count;
    }
    span = (uint64_t)(view_item_end(&exact->items[exact->count - 1]) - exact->items[0].start);
    CU_ASSERT_EQUAL(count, exact->count);
    CU_ASSERT_EQUAL(coarse_busy, busy);
    CU_ASSERT_TRUE(coarse->count <= 2 * span / resolution + 1);
}

static void row__coarsened__then_nothing_is_lost_and_few_are_left(void)
{
    for (unsigned seed = 1; seed <= 20; seed++) {
        ViewRow exact = {.kind = VIEW_ROW_SPAN};

        fill(&exact, 3000, seed);
        for (uint64_t resolution = 1; resolution < (1u << 24); resolution *= 8) {
            ViewRow coarse = {.kind = VIEW_ROW_SPAN};

            fill(&coarse, 3000, seed);
            view_items_coarsen(&coarse.exact, coarse.kind, resolution);
            expect_coarse(&exact.exact, &coarse.exact, resolution);
            view_row_free(&coarse);
        }
        view_row_free(&exact);
    }
}

static void row__name_with_most_of_the_time__then_stands_for_all(void)
{
    ViewRow row = {.kind = VIEW_ROW_SPAN};

    add(&row, 0, 10, 1);
    add(&row, 10, 10, 2);
    add(&row, 20, 100, 3);
    add(&row, 120, 30, 1);
    add(&row, 150, 20, 2);
    view_items_coarsen(&row.exact, row.kind, 60); /* not all at once */
    CU_ASSERT_EQUAL(row.exact.count, 3);
    view_items_coarsen(&row.exact, row.kind, 1000);
    CU_ASSERT_EQUAL(row.exact.count, 1);
    CU_ASSERT_EQUAL(row.exact.items[0].name, 3);
    CU_ASSERT_EQUAL(row.exact.items[0].count, 5);
    CU_ASSERT_EQUAL(row.exact.items[0].busy, 170);
    view_row_free(&row);
}

static void row__instants__then_the_name_that_is_most_often(void)
{
    ViewRow row = {.kind = VIEW_ROW_INSTANT};

    for (int64_t i = 0; i < 21; i++)
        add(&row, i, 0, i % 2 ? 7 : 8);
    view_items_coarsen(&row.exact, row.kind, 100);
    CU_ASSERT_EQUAL(row.exact.count, 1);
    CU_ASSERT_EQUAL(row.exact.items[0].name, 8);
    CU_ASSERT_EQUAL(row.exact.items[0].count, 21);
    view_row_free(&row);
}

static void row__values__then_lowest_and_highest(void)
{
    ViewRow row = {.kind = VIEW_ROW_COUNTER};
    static const int64_t values[] = {3, -8, INT64_MAX, INT64_MIN, 0};

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        ViewItem item = item_of((int64_t)i, 0, 1);

        item.first = item.second = (uint64_t)values[i];
        CU_ASSERT_EQUAL_FATAL(view_row_add(&row, &item), 0);
    }
    view_items_coarsen(&row.exact, row.kind, 1);
    CU_ASSERT_EQUAL(row.exact.count, 3);
    CU_ASSERT_EQUAL((int64_t)row.exact.items[0].first, -8);
    CU_ASSERT_EQUAL((int64_t)row.exact.items[0].second, 3);
    view_items_coarsen(&row.exact, row.kind, 10);
    CU_ASSERT_EQUAL((int64_t)row.exact.items[0].first, INT64_MIN);
    CU_ASSERT_EQUAL((int64_t)row.exact.items[0].second, INT64_MAX);
    view_row_free(&row);
}

static void row__losses__then_their_sum(void)
{
    ViewRow row = {.kind = VIEW_ROW_LOST};

    for (int64_t i = 0; i < 10; i++) {
        ViewItem item = item_of(10 * i, 5, 0);

        item.first = (uint64_t)i;
        CU_ASSERT_EQUAL_FATAL(view_row_add(&row, &item), 0);
    }
    view_items_coarsen(&row.exact, row.kind, 1000);
    CU_ASSERT_EQUAL(row.exact.count, 1);
    CU_ASSERT_EQUAL(row.exact.items[0].first, 45);
    view_row_free(&row);
}

static void row__levels__then_each_is_the_row_coarsened(void)
{
    ViewRow row = {.kind = VIEW_ROW_SPAN};
    ViewLevels levels;

    fill(&row, 20000, 5);
    CU_ASSERT_EQUAL_FATAL(view_row_levels(&row, &levels), 0);
    CU_ASSERT_TRUE(levels.count > 3);
    CU_ASSERT_EQUAL(levels.levels[0].items.items, row.exact.items);
    for (size_t i = 1; i < levels.count; i++) {
        CU_ASSERT_TRUE(levels.levels[i].resolution_ns > levels.levels[i - 1].resolution_ns);
        CU_ASSERT_TRUE(levels.levels[i].items.count <= levels.levels[i - 1].items.count / 2);
        CU_ASSERT_TRUE(levels.levels[i - 1].items.count > VIEW_LEVEL_ITEMS);
        expect_coarse(&row.exact, &levels.levels[i].items, levels.levels[i].resolution_ns);
    }
    view_levels_free(&levels);
    view_row_free(&row);
}

/* A row of few items, and one that nothing can make coarser: both end. */
static void row__levels_of_extremes__then_as_many_as_help(void)
{
    ViewRow few = {.kind = VIEW_ROW_SPAN}, wide = {.kind = VIEW_ROW_SPAN};
    ViewLevels levels;

    fill(&few, VIEW_LEVEL_ITEMS, 1);
    CU_ASSERT_EQUAL_FATAL(view_row_levels(&few, &levels), 0);
    CU_ASSERT_EQUAL(levels.count, 1);
    view_levels_free(&levels);
    for (int64_t i = 0; i < 1000; i++)
        add(&wide, i << 53, 1, 0);
    CU_ASSERT_EQUAL_FATAL(view_row_levels(&wide, &levels), 0);
    CU_ASSERT_TRUE(levels.count <= VIEW_LEVELS_MAX);
    view_levels_free(&levels);
    view_row_free(&few);
    view_row_free(&wide);
}

static const TestCase tests[] = {
    TEST(row__items_in_any_order__then_by_start),
    TEST(row__coarsened__then_nothing_is_lost_and_few_are_left),
    TEST(row__name_with_most_of_the_time__then_stands_for_all),
    TEST(row__instants__then_the_name_that_is_most_often),
    TEST(row__values__then_lowest_and_highest),
    TEST(row__losses__then_their_sum),
    TEST(row__levels__then_each_is_the_row_coarsened),
    TEST(row__levels_of_extremes__then_as_many_as_help),
};
TEST_MAIN("view_row", tests)
