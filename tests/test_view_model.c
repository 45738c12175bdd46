/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "test_support.h"
#include "user/view/view_model.h"

static ViewItem item_of(int64_t start, uint64_t duration)
{
    return (ViewItem){.start = start, .duration = duration, .busy = duration, .count = 1};
}

static uint32_t add_track(ViewModel *model, uint32_t pid, uint32_t tid)
{
    uint32_t process = 0, track = 0;

    CU_ASSERT_EQUAL_FATAL(view_model_process(model, 0, pid, &process), 0);
    CU_ASSERT_EQUAL_FATAL(view_model_track(model, process, tid, &track), 0);
    return track;
}

static void model__same_numbers__then_same_track(void)
{
    uint32_t first, other, process;
    ViewModel model;

    view_model_init(&model, 0);
    first = add_track(&model, 10, 11);
    other = add_track(&model, 10, 12);
    CU_ASSERT_NOT_EQUAL(first, other);
    CU_ASSERT_NOT_EQUAL(add_track(&model, 20, 11), first); /* another process's thread 11 */
    CU_ASSERT_EQUAL(add_track(&model, 10, 11), first);
    CU_ASSERT_EQUAL(add_track(&model, 10, 12), other);
    CU_ASSERT_EQUAL(view_model_process(&model, 1, 10, &process), 0); /* another recording's process 10 */
    CU_ASSERT_EQUAL(model.process_count, 3);
    for (uint32_t i = 0; i < 5000; i++)
        CU_ASSERT_EQUAL(add_track(&model, 30, i), 3 + i);
    CU_ASSERT_EQUAL(add_track(&model, 30, 2500), 2503);
    view_model_fini(&model);
}

static void model__something_is_there_already__then_one_row_deeper(void)
{
    ViewItem item = item_of(0, 100);
    ViewModel model;
    uint32_t track;

    view_model_init(&model, 0);
    track = add_track(&model, 1, 1);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(view_model_add(&model, track, VIEW_ROW_SPAN, 0, &item), 0);
    CU_ASSERT_EQUAL(model.tracks[track].rows[VIEW_ROW_SPAN].count, 3);
    CU_ASSERT_EQUAL(view_model_add(&model, track, VIEW_ROW_SPAN, VIEW_DEPTH_MAX - 1, &item), 0);
    CU_ASSERT_EQUAL(model.too_deep, 0);
    CU_ASSERT_EQUAL(view_model_add(&model, track, VIEW_ROW_SPAN, VIEW_DEPTH_MAX - 1, &item), 0);
    CU_ASSERT_EQUAL(view_model_add(&model, track, VIEW_ROW_SPAN, UINT32_MAX, &item), 0);
    CU_ASSERT_EQUAL(model.too_deep, 2);
    CU_ASSERT_EQUAL(model.added, 6);
    CU_ASSERT_EQUAL(model.item_count, 4);
    view_model_fini(&model);
}

/* A recording of a thousand times as many: all of it is there, within the room, and evenly. */
static void model__more_than_there_is_room_for__then_coarser_everywhere(void)
{
    enum { ROOM = 1000, ITEMS = 300000, TRACKS = 4 };
    uint64_t count = 0, busy = 0;
    uint32_t tracks[TRACKS];
    ViewModel model;

    view_model_init(&model, ROOM);
    for (uint32_t i = 0; i < TRACKS; i++)
        tracks[i] = add_track(&model, 1, i);
    for (int64_t i = 0; i < ITEMS; i++) {
        ViewItem item = item_of(i * 1000, 700);

        CU_ASSERT_EQUAL_FATAL(view_model_add(&model, tracks[i % TRACKS], VIEW_ROW_SPAN, 0, &item), 0);
        if (model.item_count > ROOM)
            CU_FAIL_FATAL("more than there is room for");
    }
    for (size_t i = 0; i < model.row_count; i++) {
        const ViewItems *items = &model.rows[i].exact;

        CU_ASSERT_TRUE(items->count > 10);
        for (size_t k = 0; k < items->count; k++) {
            count += items->items[k].count;
            busy += items->items[k].busy;
            if (items->items[k].count > 1 && items->items[k].duration > model.resolution_ns)
                CU_FAIL("coarser than it says");
        }
    }
    CU_ASSERT_EQUAL(count, ITEMS);
    CU_ASSERT_EQUAL(busy, (uint64_t)ITEMS * 700);
    CU_ASSERT_EQUAL(model.added, ITEMS);
    CU_ASSERT_EQUAL(model.left_out, 0);
    /* 300 ms into 500 to 1,000 items of 4 rows, of which each may have 2 * T / R */
    CU_ASSERT_TRUE(model.resolution_ns >= 1000000 && model.resolution_ns <= 8000000);
    view_model_fini(&model);
}

/* Each row keeps one item at least: with more rows than room the rest is counted. */
static void model__more_rows_than_room__then_counted(void)
{
    ViewItem item = item_of(0, 1);
    ViewModel model;

    view_model_init(&model, 16);
    for (uint32_t i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(view_model_add(&model, add_track(&model, 1, i), VIEW_ROW_SPAN, 0, &item), 0);
    CU_ASSERT_EQUAL(model.item_count, 16);
    CU_ASSERT_EQUAL(model.left_out, 84);
    CU_ASSERT_EQUAL(model.added, 100);
    view_model_fini(&model);
}

static void model__counters__then_a_row_for_each_of_a_process(void)
{
    uint32_t processes[2];
    ViewModel model;

    view_model_init(&model, 0);
    for (uint32_t i = 0; i < 2; i++)
        CU_ASSERT_EQUAL_FATAL(view_model_process(&model, 0, i, &processes[i]), 0);
    for (uint32_t i = 0; i < 60; i++) {
        ViewItem item = item_of(5, 0); /* all at once */

        item.name = i % 3;
        CU_ASSERT_EQUAL(view_model_add_value(&model, processes[i % 2], &item), 0);
    }
    CU_ASSERT_EQUAL(model.row_count, 6);
    for (size_t i = 0; i < model.row_count; i++)
        CU_ASSERT_EQUAL(model.rows[i].exact.count, 10);
    view_model_fini(&model);
}

static void model__counter_begins__then_with_the_last_value_of_before(void)
{
    ViewItem item = item_of(1, 0);
    const ViewItems *items;
    uint32_t process = 0;
    ViewModel model;

    view_model_init(&model, 0);
    CU_ASSERT_EQUAL_FATAL(view_model_process(&model, 0, 1, &process), 0);
    for (item.first = 1; item.first <= 3; item.first++)
        CU_ASSERT_EQUAL(view_model_begin_value(&model, process, &item), 0);
    item.start = 2;
    CU_ASSERT_EQUAL(view_model_add_value(&model, process, &item), 0);
    CU_ASSERT_EQUAL_FATAL(model.row_count, 1);
    items = &model.rows[0].exact;
    CU_ASSERT_EQUAL_FATAL(items->count, 2);
    CU_ASSERT_EQUAL(model.item_count, 2);
    CU_ASSERT_EQUAL(items->items[0].first, 3);
    CU_ASSERT_EQUAL(items->items[1].first, 4);
    view_model_fini(&model);
}

static void model__range__then_of_all_rows(void)
{
    ViewItem early = item_of(-70, 10), late = item_of(0, 500);
    int64_t begin = 0, end = 0;
    ViewModel model;
    uint32_t track;

    view_model_init(&model, 0);
    CU_ASSERT_FALSE(view_model_range(&model, &begin, &end));
    track = add_track(&model, 1, 1);
    CU_ASSERT_EQUAL(view_model_add(&model, track, VIEW_ROW_SCHED, 0, &late), 0);
    CU_ASSERT_EQUAL(view_model_add(&model, VIEW_NO_TRACK, VIEW_ROW_MARK, 0, &early), 0);
    CU_ASSERT_TRUE(view_model_range(&model, &begin, &end));
    CU_ASSERT_EQUAL(begin, -70);
    CU_ASSERT_EQUAL(end, 500);
    view_model_fini(&model);
}

static void names__any_bytes__then_a_number_for_each(void)
{
    ViewNames names = {.bytes_max = 1 << 16};
    uint32_t number = 9, again;
    char text[16];
    size_t size;

    CU_ASSERT_EQUAL(view_names_intern(&names, "", 0, &number), 0);
    CU_ASSERT_EQUAL(number, 0);
    for (uint32_t i = 1; i <= 3000; i++) {
        memset(text, 0, sizeof(text)); /* NULs, too */
        memcpy(text, &i, sizeof(i));
        CU_ASSERT_EQUAL(view_names_intern(&names, text, sizeof(text), &number), 0);
        CU_ASSERT_EQUAL(number, i);
    }
    for (uint32_t i = 1; i <= 3000; i++) {
        memcpy(text, &i, sizeof(i));
        CU_ASSERT_EQUAL(view_names_intern(&names, text, sizeof(text), &again), 0);
        CU_ASSERT_EQUAL(again, i);
        CU_ASSERT_EQUAL(memcmp(view_names_text(&names, again, &size), text, sizeof(text)), 0);
        CU_ASSERT_EQUAL(size, sizeof(text));
    }
    view_names_free(&names);
}

static void names__no_more_room__then_told(void)
{
    ViewNames names = {.bytes_max = 10};
    ViewModel model;
    uint32_t number;

    CU_ASSERT_EQUAL(view_names_intern(&names, "0123456789", 10, &number), 0);
    CU_ASSERT_EQUAL(view_names_intern(&names, "x", 1, &number), -ENOSPC);
    CU_ASSERT_EQUAL(number, 0);
    CU_ASSERT_EQUAL(view_names_intern(&names, "0123456789", 10, &number), 0);
    CU_ASSERT_EQUAL(number, 1);
    view_names_free(&names);

    view_model_init(&model, 0);
    model.names.bytes_max = 4;
    model.texts.bytes_max = 0;
    CU_ASSERT_EQUAL(view_model_name(&model, "abc", 3, &number), 0);
    CU_ASSERT_EQUAL(number, 1);
    CU_ASSERT_EQUAL(view_model_name(&model, "long", 4, &number), 0);
    CU_ASSERT_EQUAL(number, 2); /* "?" */
    CU_ASSERT_EQUAL(view_model_name(&model, "longer", 6, &number), 0);
    CU_ASSERT_EQUAL(number, 2);
    CU_ASSERT_EQUAL(view_model_text(&model, "a", 1, &number), 0);
    CU_ASSERT_EQUAL(number, 0);
    CU_ASSERT_EQUAL(model.texts_left_out, 1);
    view_model_fini(&model);
}

static const TestCase tests[] = {
    TEST(model__same_numbers__then_same_track),
    TEST(model__something_is_there_already__then_one_row_deeper),
    TEST(model__more_than_there_is_room_for__then_coarser_everywhere),
    TEST(model__more_rows_than_room__then_counted),
    TEST(model__counters__then_a_row_for_each_of_a_process),
    TEST(model__counter_begins__then_with_the_last_value_of_before),
    TEST(model__range__then_of_all_rows),
    TEST(names__any_bytes__then_a_number_for_each),
    TEST(names__no_more_room__then_told),
};
TEST_MAIN("view_model", tests)
