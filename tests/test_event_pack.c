/* SPDX-License-Identifier: MIT */
/* Index events in blocks: whatever they are, they come back the same; and whatever bytes there are, none behind them is read. */
#include "test_support.h"

#include <stdlib.h>
#include <string.h>

#include "user/file/event_pack.h"

#define COUNT 64u

static AdatBlockHeader block_of(uint16_t flags, uint64_t first_time, size_t bytes, uint32_t count)
{
    return (AdatBlockHeader){
        .flags = flags, .payload_bytes = (uint32_t)bytes, .record_count = count, .first_time = first_time};
}

/* The bytes that one event takes behind another. It must come back. */
static size_t size_of(AdaIndexEvent before, AdaIndexEvent event)
{
    const AdaIndexEvent events[] = {before, event};
    AdaIndexEvent back[2];
    char out[2 * EVENT_PACKED_MAX];
    EventUnpacker unpacker;
    AdatBlockHeader header;
    EventPacker packer;
    size_t first, both;

    event_packer_begin(&packer, before.timestamp);
    first = event_pack(&packer, events, 1, out);
    both = first + event_pack(&packer, events + 1, 1, out + first);
    header = block_of(ADAT_FLAG_PACKED, before.timestamp, both, 2);
    event_unpacker_begin(&unpacker, &header, out);
    CU_ASSERT_EQUAL(event_unpack(&unpacker, back, 2), 2);
    CU_ASSERT_EQUAL(event_unpacker_left(&unpacker), 0);
    CU_ASSERT_EQUAL(memcmp(events, back, sizeof(events)), 0);
    return both - first;
}

static const AdaIndexEvent base = {.timestamp = 1000, .id = 0x41, .argument = 0x1234, .word = 0x00030002};

/* `base`, with the bits of `change` other, that much later. */
static AdaIndexEvent other(AdaIndexEvent change)
{
    return (AdaIndexEvent){
        .timestamp = base.timestamp + change.timestamp,
        .id = base.id ^ change.id,
        .argument = base.argument ^ change.argument,
        .word = base.word ^ change.word,
        .link = base.link ^ change.link,
    };
}

static void event_pack__registered_event__then_7_bytes(void)
{
    CU_ASSERT_EQUAL(size_of(base, base), 7);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.timestamp = 0xffff})), 7);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.id = 0xff})), 7);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.argument = 0xffff})), 7);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.word = ADA_WORD(15, 0, 15)})), 7);
}

static void event_pack__registered_event_after_a_pause__then_9_bytes(void)
{
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.timestamp = 0x10000})), 9);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.timestamp = UINT32_MAX})), 9);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){0x10000, 0xff, 0xffff, ADA_WORD(15, 0, 15), 0})), 9);
}

static void event_pack__function__then_11_bytes(void)
{
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.id = 0x100})), 11);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.id = 0xffffff, .argument = UINT32_MAX})), 11);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.argument = 0x10000, .timestamp = 0xffff})), 11);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.id = 0x100, .word = ADA_WORD(15, 0, 15)})), 11);
}

static void event_pack__anything_else__then_as_many_bytes_as_each_field_needs(void)
{
    const uint64_t all = UINT64_MAX;

    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.timestamp = 1ull << 32})), 1 + 8);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.timestamp = all})), 1 + 8); /* time goes back */
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.id = 1ull << 24})), 1 + 1 + 8);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.argument = 1ull << 32})), 1 + 1 + 8);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.word = ADA_WORD(0, 1, 0)})), 1 + 1 + 3);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.word = ADA_WORD(16, 0, 0)})), 1 + 1 + 3);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.word = ADA_WORD(0, 0, 255)})), 1 + 1 + 3);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.word = ADA_WORD(0, 0, 256)})), 1 + 1 + 8);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.link = 1})), 1 + 1 + 8);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.timestamp = 1ull << 32, .id = 1})), 1 + 8 + 1);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.timestamp = 1ull << 32, .argument = 1})), 1 + 8 + 2);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){.timestamp = 1ull << 32, .word = 1})), 1 + 8 + 1);
    CU_ASSERT_EQUAL(
        size_of(base, other((AdaIndexEvent){.timestamp = 0x10000, .id = 0x100, .argument = 0x10000})),
        1 + 4 + 3 + 4);
    CU_ASSERT_EQUAL(size_of(base, other((AdaIndexEvent){all, all, all, UINT32_MAX, UINT32_MAX})),
                    EVENT_PACKED_MAX);
}

/* Fields whose differences are of all sizes. */
static uint64_t random_field(void)
{
    uint64_t value = (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random();

    return value >> random() % 64 & -(uint64_t)(random() % 8 > 0);
}

static void random_events(AdaIndexEvent *events, uint32_t count)
{
    AdaIndexEvent event = {.timestamp = 1ull << 60};

    for (uint32_t i = 0; i < count; i++) {
        event.timestamp += random() % 4 ? (uint64_t)random() % 60000 : random_field();
        event.id ^= random() % 2 ? (uint64_t)random() % 256 : random_field();
        event.argument ^= random() % 2 ? (uint64_t)random() % 60000 : random_field();
        event.word ^= random() % 2 ? ADA_WORD(random() % 16, 0, random() % 16) : (uint32_t)random_field();
        event.link ^= random() % 4 ? 0 : (uint32_t)random_field();
        events[i] = event;
    }
}

static void event_pack__whatever_comes_in_whatever_pieces__then_comes_back_the_same(void)
{
    AdaIndexEvent events[COUNT] = {0}, back[COUNT + 1];
    char out[1 + COUNT * EVENT_PACKED_MAX];

    srandom(1);
    for (uint32_t round = 0; round < 20000; round++) {
        uint32_t count = 1 + (uint32_t)random() % COUNT, done = 0, got = 0;
        EventUnpacker unpacker;
        AdatBlockHeader header;
        EventPacker packer;
        size_t size = 0;

        random_events(events, count);
        event_packer_begin(&packer, events[0].timestamp);
        while (done < count) {
            uint32_t piece = 1 + (uint32_t)random() % (count - done);

            size += event_pack(&packer, events + done, piece, out + 1 + size); /* at an odd place */
            done += piece;
            CU_ASSERT_FATAL(size >= done * EVENT_PACKED_MIN && size <= done * EVENT_PACKED_MAX);
        }
        CU_ASSERT_EQUAL_FATAL(packer.before.timestamp, events[count - 1].timestamp);
        header = block_of(ADAT_FLAG_PACKED, events[0].timestamp, size, count);
        CU_ASSERT_EQUAL_FATAL(event_unpack_max(&header), count);
        event_unpacker_begin(&unpacker, &header, out + 1);
        while (got < count)
            got += event_unpack(&unpacker, back + got, 1 + (uint32_t)random() % (count - got));
        CU_ASSERT_EQUAL_FATAL(event_unpacker_left(&unpacker), 0);
        CU_ASSERT_EQUAL_FATAL(event_unpack(&unpacker, back + got, 1), 0);
        CU_ASSERT_EQUAL_FATAL(memcmp(events, back, count * sizeof(*events)), 0);
    }
}

/* Mostly narrow, as events of one kind are; now and then one field of one event is not. */
static void similar_events(AdaIndexEvent *events, uint32_t count)
{
    AdaIndexEvent event = base;

    for (uint32_t i = 0; i < count; i++) {
        event.timestamp += (uint64_t)random() % 0x10000;
        event.id ^= (uint64_t)random() % 0x100;
        event.argument ^= (uint64_t)random() % 0x10000;
        event.word ^= ADA_WORD(random() % 16, 0, random() % 16);
        switch (random() % 40) {
        case 0:
            event.timestamp += 0x10000ull << random() % 48;
            break;
        case 1:
            event.id ^= 0x100ull << random() % 56;
            break;
        case 2:
            event.argument ^= 0x10000ull << random() % 48;
            break;
        case 3:
            event.word ^= 1u << random() % 32;
            break;
        case 4:
            event.link ^= 1u << random() % 32;
            break;
        }
        events[i] = event;
    }
}

static void event_pack__all_at_once__then_the_bytes_of_one_by_one(void)
{
    AdaIndexEvent events[COUNT];
    char at_once[COUNT * EVENT_PACKED_MAX], singly[COUNT * EVENT_PACKED_MAX];

    srandom(4);
    for (uint32_t round = 0; round < 20000; round++) {
        uint32_t count = (uint32_t)random() % (COUNT + 1);
        EventPacker packer, single;
        size_t size, single_size = 0;

        similar_events(events, count);
        event_packer_begin(&packer, base.timestamp);
        event_packer_begin(&single, base.timestamp);
        size = event_pack(&packer, events, count, at_once);
        for (uint32_t i = 0; i < count; i++)
            single_size += event_pack(&single, &events[i], 1, singly + single_size);
        CU_ASSERT_EQUAL_FATAL(size, single_size);
        CU_ASSERT_EQUAL_FATAL(memcmp(at_once, singly, size), 0);
        CU_ASSERT_EQUAL_FATAL(memcmp(&packer, &single, sizeof(packer)), 0);
    }
}

/* Bytes in a heap block of their own, so that a sanitizer sees whoever reads behind them. */
static uint32_t unpack_copy(uint16_t flags, const char *bytes, size_t size, uint32_t wanted, size_t *left_out)
{
    AdatBlockHeader header = block_of(flags, 5, size, wanted);
    AdaIndexEvent *events = calloc(wanted, sizeof(*events));
    char *copy = malloc(size ? size : 1);
    EventUnpacker unpacker;
    uint32_t got;

    CU_ASSERT_FATAL(events && copy);
    memcpy(copy, bytes, size);
    event_unpacker_begin(&unpacker, &header, copy);
    got = event_unpack(&unpacker, events, wanted);
    *left_out = event_unpacker_left(&unpacker);
    free(copy);
    free(events);
    return got;
}

static void event_unpack__cut_anywhere__then_whole_events_only(void)
{
    AdaIndexEvent events[COUNT];
    char out[COUNT * EVENT_PACKED_MAX];
    size_t ends[COUNT + 1] = {0};
    EventPacker packer;
    uint32_t whole = 0;

    srandom(2);
    random_events(events, COUNT);
    event_packer_begin(&packer, events[0].timestamp);
    for (uint32_t i = 0; i < COUNT; i++)
        ends[i + 1] = ends[i] + event_pack(&packer, &events[i], 1, out + ends[i]);
    for (size_t size = 0; size <= ends[COUNT]; size++) {
        size_t left;

        while (whole < COUNT && ends[whole + 1] <= size)
            whole++;
        CU_ASSERT_EQUAL_FATAL(unpack_copy(ADAT_FLAG_PACKED, out, size, COUNT, &left), whole);
        CU_ASSERT_EQUAL_FATAL(left, size - ends[whole]);
    }
}

static void event_unpack__any_bytes__then_bounded(void)
{
    char bytes[3 * EVENT_PACKED_MAX];

    srandom(3);
    for (uint32_t round = 0; round < 20000; round++) {
        size_t size = (size_t)random() % sizeof(bytes), left;
        uint32_t got;

        for (size_t i = 0; i < size; i++)
            bytes[i] = (char)random();
        got = unpack_copy(ADAT_FLAG_PACKED, bytes, size, COUNT, &left);
        CU_ASSERT_FATAL(left <= size && got * EVENT_PACKED_MIN <= size - left);
    }
}

static void event_unpack__whole_events__then_copied(void)
{
    AdaIndexEvent events[3];
    size_t left;

    random_events(events, 3);
    CU_ASSERT_EQUAL(unpack_copy(0, (const char *)events, sizeof(events), 3, &left), 3);
    CU_ASSERT_EQUAL(left, 0);
    CU_ASSERT_EQUAL(unpack_copy(0, (const char *)events, sizeof(events) - 1, 3, &left), 2);
    CU_ASSERT_EQUAL(left, sizeof(events[0]) - 1);
    CU_ASSERT_EQUAL(unpack_copy(ADAT_FLAG_FINAL, (const char *)events, 0, 3, &left), 0);
}

static void event_unpack_max__header_that_promises_much__then_what_its_bytes_can_hold(void)
{
    AdatBlockHeader header = block_of(ADAT_FLAG_PACKED, 0, 100, UINT32_MAX);

    CU_ASSERT_EQUAL(event_unpack_max(&header), 50);
    header.record_count = 7;
    CU_ASSERT_EQUAL(event_unpack_max(&header), 7);
    header = block_of(0, 0, 100, UINT32_MAX);
    CU_ASSERT_EQUAL(event_unpack_max(&header), 3);
    header = block_of(ADAT_FLAG_PACKED, 0, UINT32_MAX, UINT32_MAX);
    CU_ASSERT_EQUAL(event_unpack_max(&header), ADAT_EVENTS_MAX);
    CU_ASSERT_EQUAL(ADAT_EVENTS_MAX, 2097152);
}

static const TestCase tests[] = {
    TEST(event_pack__registered_event__then_7_bytes),
    TEST(event_pack__registered_event_after_a_pause__then_9_bytes),
    TEST(event_pack__function__then_11_bytes),
    TEST(event_pack__anything_else__then_as_many_bytes_as_each_field_needs),
    TEST(event_pack__whatever_comes_in_whatever_pieces__then_comes_back_the_same),
    TEST(event_pack__all_at_once__then_the_bytes_of_one_by_one),
    TEST(event_unpack__cut_anywhere__then_whole_events_only),
    TEST(event_unpack__any_bytes__then_bounded),
    TEST(event_unpack__whole_events__then_copied),
    TEST(event_unpack_max__header_that_promises_much__then_what_its_bytes_can_hold),
};
TEST_MAIN("event_pack", tests)
