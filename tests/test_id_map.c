/* SPDX-License-Identifier: MIT */
#include "test_support.h"
#include "user/base/id_map.h"

static void id_map__many_keys__then_each_has_its_number(void)
{
    IdMap map = {0};
    uint32_t number, wrong = 0;

    for (uint64_t i = 0; i < 100000; i++)
        if (id_map_add(&map, i * 4096, i % 7, &number) != 1 || number != i)
            wrong++;
    for (uint64_t i = 0; i < 100000; i++)
        if (id_map_add(&map, i * 4096, i % 7, &number) != 0 || number != i)
            wrong++;
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_EQUAL(map.count, 100000);
    CU_ASSERT(id_map_find(&map, 3 * 4096, 3, &number) && number == 3);
    CU_ASSERT_FALSE(id_map_find(&map, 3 * 4096, 4, &number));
    id_map_fini(&map);
}

static void id_map__cleared__then_begins_with_zero(void)
{
    IdMap map = {0};
    uint32_t number = 7;

    CU_ASSERT_FALSE(id_map_find(&map, 0, 0, &number));
    id_map_clear(&map);
    CU_ASSERT_EQUAL(id_map_add(&map, 0, 0, &number), 1);
    CU_ASSERT_EQUAL(number, 0);
    CU_ASSERT_EQUAL(id_map_add(&map, 0, 1, &number), 1);
    CU_ASSERT_EQUAL(number, 1);
    id_map_clear(&map);
    CU_ASSERT_FALSE(id_map_find(&map, 0, 0, &number));
    CU_ASSERT_EQUAL(id_map_add(&map, 0, 1, &number), 1);
    CU_ASSERT_EQUAL(number, 0);
    id_map_fini(&map);
}

static const TestCase tests[] = {
    TEST(id_map__many_keys__then_each_has_its_number),
    TEST(id_map__cleared__then_begins_with_zero),
};
TEST_MAIN("id_map", tests)
