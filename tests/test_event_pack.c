/* SPDX-License-Identifier: MIT */
/* Index events in blocks: whatever fits a form comes back the same, and what does not fit is told. */
#include "test_support.h"

#include <stdlib.h>
#include <string.h>

#include "user/file/event_pack.h"

#define COUNT 64u

static const uint16_t forms[] = {ADAT_FLAG_PACKED_SHORT, ADAT_FLAG_PACKED_LONG, 0};

static AdaIndexEvent event_of(uint64_t timestamp, uint64_t id, uint32_t word, uint32_t link)
{
    return (AdaIndexEvent){
        .timestamp = timestamp, .id = id, .argument = timestamp * 3 - id, .word = word, .link = link};
}

/* How many of one event, behind one at time `before`, fit the form. */
static uint32_t fits(uint16_t form, uint64_t before, AdaIndexEvent event)
{
    char out[sizeof(AdaIndexEvent)];
    uint64_t time = before;

    return event_pack(form, &event, 1, &time, out);
}

static void event_pack__forms__then_sizes_and_order(void)
{
    CU_ASSERT_EQUAL(event_pack_size(ADAT_FLAG_PACKED_SHORT), 16);
    CU_ASSERT_EQUAL(event_pack_size(ADAT_FLAG_PACKED_LONG), 24);
    CU_ASSERT_EQUAL(event_pack_size(0), 32);
    CU_ASSERT_EQUAL(event_pack_size(ADAT_FLAG_FINAL), 32);
    CU_ASSERT_EQUAL(event_pack_wider(ADAT_FLAG_PACKED_SHORT), ADAT_FLAG_PACKED_LONG);
    CU_ASSERT_EQUAL(event_pack_wider(ADAT_FLAG_PACKED_LONG), 0);
}

static void event_pack__whatever_fits__then_comes_back_the_same(void)
{
    AdaIndexEvent events[COUNT], back[COUNT];
    char out[1 + sizeof(events)];

    for (uint32_t i = 0; i < COUNT; i++)
        events[i] = event_of(1000 + (uint64_t)i * i * 30000000, i == 5 ? 0xffff : i,
                             ADA_WORD(i % ADA_KIND_COUNT, i % 8 & ~ADA_FLAG_DETAIL, i * 4 % 256), 0);
    for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
        uint64_t time = events[0].timestamp;

        memset(back, 0x55, sizeof(back));
        CU_ASSERT_EQUAL(event_pack(forms[f], events, COUNT, &time, out + 1), COUNT); /* at an odd place */
        CU_ASSERT_EQUAL(time, events[COUNT - 1].timestamp);
        event_unpack(forms[f], events[0].timestamp, out + 1, COUNT, back);
        CU_ASSERT_EQUAL(memcmp(events, back, sizeof(events)), 0);
    }
}

static void event_pack__beyond_the_short_form__then_told(void)
{
    const uint32_t plain = ADA_WORD(ADA_KIND_INSTANT, 0, 0);
    const uint16_t s = ADAT_FLAG_PACKED_SHORT;

    CU_ASSERT_EQUAL(fits(s, 100, event_of(100, 1, plain, 0)), 1);
    CU_ASSERT_EQUAL(fits(s, 100, event_of(100ull + UINT32_MAX, 1, plain, 0)), 1);
    CU_ASSERT_EQUAL(fits(s, 100, event_of(101ull + UINT32_MAX, 1, plain, 0)), 0);
    CU_ASSERT_EQUAL(fits(s, 100, event_of(99, 1, plain, 0)), 0); /* time went back */
    CU_ASSERT_EQUAL(fits(s, 100, event_of(100, 0xffff, plain, 0)), 1);
    CU_ASSERT_EQUAL(fits(s, 100, event_of(100, 0x10000, plain, 0)), 0);
    CU_ASSERT_EQUAL(fits(s, 100, event_of(100, UINT64_MAX, plain, 0)), 0);
    CU_ASSERT_EQUAL(fits(s, 100, event_of(100, 1, ADA_WORD(15, 15, 255), 0)), 1);
    CU_ASSERT_EQUAL(fits(s, 100, event_of(100, 1, ADA_WORD(16, 0, 0), 0)), 0);
    CU_ASSERT_EQUAL(fits(s, 100, event_of(100, 1, ADA_WORD(0, 16, 0), 0)), 0);
    CU_ASSERT_EQUAL(fits(s, 100, event_of(100, 1, ADA_WORD(0, 0, 256), 0)), 0);
    CU_ASSERT_EQUAL(fits(s, 100, event_of(100, 1, plain, 1)), 0);
}

static void event_pack__beyond_the_long_form__then_told(void)
{
    const uint16_t l = ADAT_FLAG_PACKED_LONG;

    CU_ASSERT_EQUAL(fits(l, 100, event_of(100, UINT64_MAX, UINT32_MAX, 0)), 1);
    CU_ASSERT_EQUAL(fits(l, 100, event_of(101ull + UINT32_MAX, 1, 0, 0)), 0);
    CU_ASSERT_EQUAL(fits(l, 100, event_of(99, 1, 0, 0)), 0);
    CU_ASSERT_EQUAL(fits(l, 100, event_of(100, 1, 0, UINT32_MAX)), 0);
    CU_ASSERT_EQUAL(fits(0, 100, event_of(99, UINT64_MAX, UINT32_MAX, UINT32_MAX)), 1);
}

static void event_pack__misfit_in_the_middle__then_stops_before_it(void)
{
    AdaIndexEvent events[COUNT];
    char out[sizeof(events)];

    for (uint32_t i = 0; i < COUNT; i++)
        events[i] = event_of(1000 + i, 1, ADA_WORD(ADA_KIND_INSTANT, 0, 0), i == 20);
    for (size_t f = 0; f < 2; f++) {
        uint64_t time = 1000;

        CU_ASSERT_EQUAL(event_pack(forms[f], events, COUNT, &time, out), 20);
        CU_ASSERT_EQUAL(time, 1019);
        CU_ASSERT_EQUAL(event_pack(forms[f], events, 0, &time, out), 0);
    }
}

static const TestCase tests[] = {
    TEST(event_pack__forms__then_sizes_and_order),
    TEST(event_pack__whatever_fits__then_comes_back_the_same),
    TEST(event_pack__beyond_the_short_form__then_told),
    TEST(event_pack__beyond_the_long_form__then_told),
    TEST(event_pack__misfit_in_the_middle__then_stops_before_it),
};
TEST_MAIN("event_pack", tests)
