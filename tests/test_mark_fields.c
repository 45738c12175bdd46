/* SPDX-License-Identifier: MIT */
/* What field rules find in detail records; test_mark_matcher.c has the index events. */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mark_fixture.h"
#include "shared/segment_abi.h"
#include "test_support.h"
#include "user/reader/adat_cursor.h"

/* Ids of events. */
enum { TYPED = 4, UNKNOWN = 9 };

static MarkFixture fixture;
static AdaEventDescriptor typed; /* the event TYPED; each test adds its fields */
static MarkHit hit;              /* what a scan found */

/* What is scanned next, as it stands in a lane. */
static struct {
    uint64_t first_record;
    size_t bytes;
    char data[3 * ADA_DETAIL_RECORD_MAX];
} lane;

static long allocations = -1; /* array growths that still succeed; -1 = all */

/* Takes the place of libc's for the code under test. */
void *reallocarray(void *memory, size_t count, size_t size)
{
    if (allocations == 0) {
        errno = ENOMEM;
        return NULL;
    }
    if (allocations > 0)
        allocations--;
    return realloc(memory, count * size);
}

/* Rules, a TYPED without fields, a lane without records. */
#define SET_UP(...)                                                                                     \
    do {                                                                                                \
        MARK_RULES(&fixture, __VA_ARGS__);                                                              \
        memset(&lane, 0, sizeof(lane));                                                                 \
        typed = (AdaEventDescriptor){.ready = 1, .id = TYPED, .kind = ADA_KIND_TYPED, .name = "typed"}; \
    } while (0)

static void add_field(const char *name, uint8_t type)
{
    mark_fixture_add_field(&typed, name, type);
}

static int learn_typed(void)
{
    return mark_matcher_learn(fixture.matcher, &typed);
}

static void put_u64(uint64_t value)
{
    memcpy(lane.data + lane.bytes, &value, sizeof(value));
    lane.bytes += sizeof(value);
}

static void put_f64(double value)
{
    memcpy(lane.data + lane.bytes, &value, sizeof(value));
    lane.bytes += sizeof(value);
}

static void put_string(const char *text)
{
    uint32_t size = (uint32_t)strlen(text);

    memcpy(lane.data + lane.bytes, &size, sizeof(size));
    memcpy(lane.data + lane.bytes + sizeof(size), text, size);
    lane.bytes += (sizeof(size) + size + 7) & ~(size_t)7;
}

/* Returns where the header stands, for end_record(). */
static size_t begin_record(uint32_t kind, uint64_t id, uint64_t timestamp)
{
    const AdaDetailRecord record = {.timestamp = timestamp, .id = id, .word = ADA_WORD(kind, 0, 1)};

    memcpy(lane.data + lane.bytes, &record, sizeof(record));
    lane.bytes += sizeof(record);
    return lane.bytes - sizeof(record);
}

static void set_payload_size(size_t at, uint32_t size)
{
    memcpy(lane.data + at + offsetof(AdaDetailRecord, payload_size), &size, sizeof(size));
}

static void end_record(size_t at)
{
    set_payload_size(at, (uint32_t)(lane.bytes - at - sizeof(AdaDetailRecord)));
}

/* As scan(), of the first `bytes` of detail records; they stay for another scan. */
static bool scan_bytes(size_t bytes)
{
    char *copy = malloc(bytes + 1);
    bool found;

    memcpy(copy + 1, lane.data, bytes);
    hit = (MarkHit){.rule = 99};
    found = mark_matcher_scan_details(fixture.matcher, copy + 1, bytes, lane.first_record, &hit);
    CU_ASSERT_EQUAL(hit.rule != 99, found);
    free(copy);
    return found;
}

static bool scan_details(void)
{
    bool found = scan_bytes(lane.bytes);

    memset(lane.data, 0, lane.bytes);
    lane.bytes = 0;
    return found;
}

/* Whether the rules mean a TYPED whose only field has this content. */
static bool means_bits(uint64_t bits)
{
    size_t at = begin_record(ADA_KIND_TYPED, TYPED, 1);

    put_u64(bits);
    end_record(at);
    return scan_details();
}

static bool means_real(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return means_bits(bits);
}

static bool means_string(const char *text)
{
    size_t at = begin_record(ADA_KIND_TYPED, TYPED, 1);

    put_string(text);
    end_record(at);
    return scan_details();
}

/* ---- learning ---------------------------------------------------------------------------------- */

static void learn__field_rule__then_details_wanted(void)
{
    SET_UP("typed.x==1");
    add_field("x", ADA_TYPE_U64);
    CU_ASSERT_EQUAL(learn_typed(), 0);
    CU_ASSERT_FALSE(mark_matcher_wants_index(fixture.matcher));
    CU_ASSERT_TRUE(mark_matcher_wants_details(fixture.matcher));
}

static void learn__text_for_a_number_or_unknown_type__then_not_concerned(void)
{
    SET_UP("typed.x!=text", "typed.x==\"5\"", "typed.y==5", "typed.z==5");
    add_field("x", ADA_TYPE_U64);
    add_field("y", ADA_TYPE_COUNT);
    add_field("z", ADA_TYPE_U64);
    CU_ASSERT_EQUAL(learn_typed(), 0);
    typed.fields[1].type = 0;
    CU_ASSERT_EQUAL(learn_typed(), 0);
    CU_ASSERT_FALSE(mark_matcher_wants_details(fixture.matcher));
    typed.fields[1].type = ADA_TYPE_STRING;
    CU_ASSERT_EQUAL(learn_typed(), 0);
    CU_ASSERT_TRUE(mark_matcher_wants_details(fixture.matcher));
}

static void learn__no_memory__then_enomem_and_nothing_noted(void)
{
    SET_UP("typed.x==1", "event=typed");
    add_field("x", ADA_TYPE_U64);
    allocations = 0;
    CU_ASSERT_EQUAL(learn_typed(), -ENOMEM);
    allocations = -1;
    CU_ASSERT_FALSE(mark_matcher_wants_index(fixture.matcher));
    CU_ASSERT_FALSE(mark_matcher_wants_details(fixture.matcher));
    CU_ASSERT_EQUAL(learn_typed(), 0);
    CU_ASSERT_TRUE(mark_matcher_wants_index(fixture.matcher));
    CU_ASSERT_TRUE(mark_matcher_wants_details(fixture.matcher));
}

static void learn__same_id_again__then_as_it_was(void)
{
    SET_UP("typed.x==1");
    add_field("x", ADA_TYPE_U64);
    CU_ASSERT_EQUAL(learn_typed(), 0);
    typed.fields[0].type = ADA_TYPE_STRING;
    CU_ASSERT_EQUAL(learn_typed(), 0);
    CU_ASSERT_TRUE(means_bits(1));
}

static void learn__all_ids_of_one_name__then_all_concerned(void)
{
    SET_UP("typed.x==1");
    add_field("x", ADA_TYPE_U64);
    for (typed.id = 1; typed.id <= ADA_EVENTS_MAX; typed.id++)
        CU_ASSERT_EQUAL(learn_typed(), 0);
    for (uint32_t id = 1; id <= ADA_EVENTS_MAX; id++) {
        size_t at = begin_record(ADA_KIND_TYPED, id, id);

        put_u64(1);
        end_record(at);
        CU_ASSERT_TRUE(scan_details());
    }
}

/* ---- numbers ----------------------------------------------------------------------------------- */

/* In rising order. */
static const char *const numbers[] = {
    "-1e300",
    "-18446744073709551615",
    "-9223372036854775808",
    "-9007199254740993",
    "-9007199254740992.0",
    "-5.5",
    "-5",
    "-0.5",
    "0",
    "1e-9",
    "0x1",
    "1.5",
    "9007199254740992",
    "9007199254740993",
    "9007199254740994.0",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709549568.0",
    "18446744073709551614",
    "18446744073709551615",
    "18446744073709551616",
    "1e300",
};
#define NUMBER_COUNT (sizeof(numbers) / sizeof(numbers[0]))

/* A field with the value of numbers[place]. */
typedef struct Placed {
    uint8_t type;
    size_t place;
    uint64_t bits; /* f64: of `real` instead */
    double real;
} Placed;

static const Placed placed[] = {
    {ADA_TYPE_U64, 8, 0, 0},
    {ADA_TYPE_U64, 10, 1, 0},
    {ADA_TYPE_U64, 12, UINT64_C(1) << 53, 0},
    {ADA_TYPE_U64, 13, (UINT64_C(1) << 53) + 1, 0},
    {ADA_TYPE_U64, 14, (UINT64_C(1) << 53) + 2, 0},
    {ADA_TYPE_U64, 15, INT64_MAX, 0},
    {ADA_TYPE_U64, 16, UINT64_C(1) << 63, 0},
    {ADA_TYPE_U64, 17, UINT64_MAX - 2047, 0},
    {ADA_TYPE_U64, 18, UINT64_MAX - 1, 0},
    {ADA_TYPE_U64, 19, UINT64_MAX, 0},
    {ADA_TYPE_POINTER, 10, 1, 0},
    {ADA_TYPE_POINTER, 19, UINT64_MAX, 0},
    {ADA_TYPE_I64, 2, (uint64_t)INT64_MIN, 0},
    {ADA_TYPE_I64, 3, (uint64_t)INT64_C(-9007199254740993), 0},
    {ADA_TYPE_I64, 4, (uint64_t)INT64_C(-9007199254740992), 0},
    {ADA_TYPE_I64, 6, (uint64_t)INT64_C(-5), 0},
    {ADA_TYPE_I64, 8, 0, 0},
    {ADA_TYPE_I64, 10, 1, 0},
    {ADA_TYPE_I64, 13, (UINT64_C(1) << 53) + 1, 0},
    {ADA_TYPE_I64, 15, INT64_MAX, 0},
    {ADA_TYPE_F64, 0, 0, -1e300},
    {ADA_TYPE_F64, 2, 0, -0x1p63},
    {ADA_TYPE_F64, 4, 0, -0x1p53},
    {ADA_TYPE_F64, 5, 0, -5.5},
    {ADA_TYPE_F64, 6, 0, -5},
    {ADA_TYPE_F64, 7, 0, -0.5},
    {ADA_TYPE_F64, 8, 0, 0},
    {ADA_TYPE_F64, 8, 0, -0.0},
    {ADA_TYPE_F64, 9, 0, 1e-9},
    {ADA_TYPE_F64, 10, 0, 1},
    {ADA_TYPE_F64, 11, 0, 1.5},
    {ADA_TYPE_F64, 12, 0, 0x1p53},
    {ADA_TYPE_F64, 14, 0, 0x1p53 + 2},
    {ADA_TYPE_F64, 16, 0, 0x1p63},
    {ADA_TYPE_F64, 17, 0, 0x1p64 - 2048},
    {ADA_TYPE_F64, 20, 0, 0x1p64},
    {ADA_TYPE_F64, 21, 0, 1e300},
};

static const struct {
    const char *text;
    bool less, equal, greater; /* what it accepts */
} operators[] = {
    {"==", false, true, false}, {"!=", true, false, true}, {"<", true, false, false},
    {"<=", true, true, false},  {">", false, false, true}, {">=", false, true, true},
};
#define OPERATOR_COUNT (sizeof(operators) / sizeof(operators[0]))

/* A matcher of `typed.x OPERATOR value` for a field of this type. */
static void set_up_value(uint8_t type, const char *operator_text, const char *value)
{
    char text[100];

    snprintf(text, sizeof(text), "typed.x%s%s", operator_text, value);
    SET_UP(text);
    add_field("x", type);
    CU_ASSERT_EQUAL(learn_typed(), 0);
}

static void field_rule__numbers_of_any_type__then_compared_exactly(void)
{
    for (size_t i = 0; i < sizeof(placed) / sizeof(placed[0]); i++) {
        for (size_t value = 0; value < NUMBER_COUNT; value++) {
            for (size_t o = 0; o < OPERATOR_COUNT; o++) {
                bool expected = placed[i].place < value    ? operators[o].less
                                : placed[i].place == value ? operators[o].equal
                                                           : operators[o].greater;
                bool means;

                set_up_value(placed[i].type, operators[o].text, numbers[value]);
                means =
                    placed[i].type == ADA_TYPE_F64 ? means_real(placed[i].real) : means_bits(placed[i].bits);
                if (means != expected)
                    printf("  field %zu (%s) %s %s: %d\n", i, numbers[placed[i].place], operators[o].text,
                           numbers[value], means);
                CU_ASSERT_EQUAL(means, expected);
            }
        }
    }
}

static void field_rule__not_a_number__then_only_different(void)
{
    static const char *const values[] = {"0", "-1", "1.5", "18446744073709551616"};

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        for (size_t o = 0; o < OPERATOR_COUNT; o++) {
            set_up_value(ADA_TYPE_F64, operators[o].text, values[i]);
            CU_ASSERT_EQUAL(means_real(NAN), strcmp(operators[o].text, "!=") == 0);
        }
    }
}

static void field_rule__infinity__then_beyond_all_numbers(void)
{
    static const char *const values[] = {"18446744073709551615", "-18446744073709551615", "1e308", "-1e308"};

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        set_up_value(ADA_TYPE_F64, ">", values[i]);
        CU_ASSERT_TRUE(means_real(HUGE_VAL));
        CU_ASSERT_FALSE(means_real(-HUGE_VAL));
        set_up_value(ADA_TYPE_F64, "<", values[i]);
        CU_ASSERT_TRUE(means_real(-HUGE_VAL));
        CU_ASSERT_FALSE(means_real(HUGE_VAL));
    }
}

/* ---- texts ------------------------------------------------------------------------------------- */

static void field_rule__text__then_whole_and_byte_by_byte(void)
{
    set_up_value(ADA_TYPE_STRING, "==", "/etc/passwd");
    CU_ASSERT_TRUE(means_string("/etc/passwd"));
    CU_ASSERT_FALSE(means_string("/etc/passwd2"));
    CU_ASSERT_FALSE(means_string("/etc/passw"));
    CU_ASSERT_FALSE(means_string("/etc/Passwd"));
    CU_ASSERT_FALSE(means_string(""));
    set_up_value(ADA_TYPE_STRING, "!=", "\"a b\"");
    CU_ASSERT_FALSE(means_string("a b"));
    CU_ASSERT_TRUE(means_string("\"a b\""));
    CU_ASSERT_TRUE(means_string(""));
    set_up_value(ADA_TYPE_STRING, "==", "\"\"");
    CU_ASSERT_TRUE(means_string(""));
    CU_ASSERT_FALSE(means_string("x"));
}

static void field_rule__number_for_a_text__then_compared_as_text(void)
{
    set_up_value(ADA_TYPE_STRING, "==", "5");
    CU_ASSERT_TRUE(means_string("5"));
    CU_ASSERT_FALSE(means_string("5.0"));
    CU_ASSERT_FALSE(means_string("05"));
    set_up_value(ADA_TYPE_STRING, "!=", "0x5");
    CU_ASSERT_FALSE(means_string("0x5"));
    CU_ASSERT_TRUE(means_string("5"));
    set_up_value(ADA_TYPE_STRING, ">=", "5"); /* texts have no order */
    CU_ASSERT_FALSE(mark_matcher_wants_details(fixture.matcher));
    CU_ASSERT_FALSE(means_string("5"));
}

/* ---- payloads ---------------------------------------------------------------------------------- */

static void set_up_mixed(void)
{
    add_field("id", ADA_TYPE_U64);
    add_field("path", ADA_TYPE_STRING);
    add_field("delta", ADA_TYPE_I64);
    add_field("note", ADA_TYPE_STRING);
    add_field("ms", ADA_TYPE_F64);
    CU_ASSERT_EQUAL(learn_typed(), 0);
}

static void put_mixed(uint64_t timestamp, const char *path, const char *note, double ms)
{
    size_t at = begin_record(ADA_KIND_TYPED, TYPED, timestamp);

    put_u64(timestamp);
    put_string(path);
    put_u64((uint64_t)INT64_C(-7));
    put_string(note);
    put_f64(ms);
    end_record(at);
}

static void scan_details__strings_before_the_field__then_found_behind_them(void)
{
    static const char letters[] = "abcdefghijklmnopqrst";

    SET_UP("typed.delta<-7", "typed.ms>=2.5", "typed.note==abc");
    set_up_mixed();
    for (size_t i = 0; i < sizeof(letters); i++) {
        const char *path = letters + i;

        put_mixed(i, path, letters + sizeof(letters) - 1 - i, 2.25);
        CU_ASSERT_FALSE(scan_details());
        put_mixed(i, letters, path, 2.5);
        CU_ASSERT_TRUE(scan_details());
        CU_ASSERT_EQUAL(hit.rule, 1);
    }
    put_mixed(0, "", "abc", 99);
    CU_ASSERT_TRUE(scan_details());
    CU_ASSERT_EQUAL(hit.rule, 1);
    put_mixed(0, "", "abc", 0);
    CU_ASSERT_TRUE(scan_details());
    CU_ASSERT_EQUAL(hit.rule, 2);
}

static void scan_details__several_records__then_first_with_its_number(void)
{
    SET_UP("typed.id==3", "typed.path==hit");
    set_up_mixed();
    lane.first_record = 500;
    (void)begin_record(ADA_KIND_TYPED, UNKNOWN, 1);
    (void)begin_record(ADA_KIND_TYPED, UINT64_MAX, 1);
    (void)begin_record(ADA_KIND_TYPED, TYPED, 1); /* no payload */
    put_mixed(2, "miss", "hit", 0);
    put_mixed(4, "hit", "", 0);
    put_mixed(3, "hit", "", 0);
    CU_ASSERT_TRUE(scan_details());
    CU_ASSERT_EQUAL(hit.rule, 1);
    CU_ASSERT_EQUAL(hit.timestamp, 4);
    CU_ASSERT_EQUAL(hit.record, 504);
    put_mixed(3, "hit", "", 0);
    CU_ASSERT_TRUE(scan_details());
    CU_ASSERT_EQUAL(hit.rule, 0);
}

static void scan_details__each_kind__then_all_events_and_no_functions(void)
{
    SET_UP("typed.x==1");
    add_field("x", ADA_TYPE_U64);
    CU_ASSERT_EQUAL(learn_typed(), 0);
    for (uint32_t kind = 0; kind < 256; kind++) {
        size_t at = begin_record(kind, TYPED, 1);

        put_u64(1);
        end_record(at);
        CU_ASSERT_EQUAL(scan_details(), kind >= ADA_KIND_SPAN_BEGIN && kind <= ADA_KIND_MARK);
    }
}

static void scan_details__two_fields_of_one_name__then_either(void)
{
    SET_UP("typed.x==1");
    add_field("x", ADA_TYPE_U64);
    add_field("x", ADA_TYPE_STRING);
    CU_ASSERT_EQUAL(learn_typed(), 0);
    for (unsigned i = 0; i < 4; i++) {
        size_t at = begin_record(ADA_KIND_TYPED, TYPED, 1);

        put_u64(i & 1);
        put_string(i & 2 ? "1" : "0");
        end_record(at);
        CU_ASSERT_EQUAL(scan_details(), i != 0);
    }
}

static void scan_details__sixteen_fields__then_last_is_compared(void)
{
    static const char *const names[ADA_EVENT_FIELDS_MAX] = {"a", "b", "c", "d", "e", "f", "g", "h",
                                                            "i", "j", "k", "l", "m", "n", "o", "p"};
    size_t at;

    SET_UP("typed.p==16");
    for (size_t i = 0; i < ADA_EVENT_FIELDS_MAX; i++)
        add_field(names[i], ADA_TYPE_U64);
    CU_ASSERT_EQUAL(learn_typed(), 0);
    at = begin_record(ADA_KIND_TYPED, TYPED, 1);
    for (uint64_t i = 1; i <= ADA_EVENT_FIELDS_MAX; i++)
        put_u64(i);
    end_record(at);
    CU_ASSERT_TRUE(scan_details());
}

static void scan_details__largest_payload__then_compared_to_its_end(void)
{
    char text[ADA_PAYLOAD_MAX - sizeof(uint32_t) - 8 + 1];
    size_t at;

    SET_UP("typed.tail==77");
    add_field("text", ADA_TYPE_STRING);
    add_field("tail", ADA_TYPE_U64);
    CU_ASSERT_EQUAL(learn_typed(), 0);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    at = begin_record(ADA_KIND_TYPED, TYPED, 1);
    put_string(text);
    put_u64(77);
    end_record(at);
    CU_ASSERT_EQUAL(lane.bytes, ADA_DETAIL_RECORD_MAX);
    CU_ASSERT_TRUE(scan_details());
}

/* ---- hostile payloads -------------------------------------------------------------------------- */

static void scan_details__cut_anywhere__then_hit_only_when_whole(void)
{
    size_t first;

    SET_UP("typed.ms==5");
    set_up_mixed();
    put_mixed(1, "path", "note", 4);
    first = lane.bytes;
    put_mixed(2, "a longer path", "", 5);
    for (size_t bytes = 0; bytes <= lane.bytes; bytes++) {
        CU_ASSERT_EQUAL(scan_bytes(bytes), bytes == lane.bytes);
        CU_ASSERT(bytes < lane.bytes || hit.record == 1);
    }
    /* Each shorter payload, with and without what would follow. */
    for (uint32_t size = 0; size < lane.bytes - first - sizeof(AdaDetailRecord); size++) {
        set_payload_size(first, size);
        CU_ASSERT_FALSE(scan_bytes(first + ADA_DETAIL_RECORD_SIZE(size)));
    }
}

static void scan_details__impossible_sizes__then_scan_ends(void)
{
    static const uint32_t sizes[] = {ADA_PAYLOAD_MAX + 1, UINT32_MAX, UINT32_MAX - 6, 0x80000000u};

    SET_UP("typed.id==2");
    set_up_mixed();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t at = begin_record(ADA_KIND_TYPED, TYPED, 1);

        set_payload_size(at, sizes[i]);
        put_mixed(2, "", "", 0);
        CU_ASSERT_FALSE(scan_details());
    }
}

static void scan_details__impossible_string_sizes__then_what_follows_is_not_compared(void)
{
    static const uint32_t sizes[] = {100, 21, UINT32_MAX, UINT32_MAX - 3, UINT32_MAX - 8, 0x80000000u};

    SET_UP("typed.b!=1", "typed.a!=x");
    add_field("a", ADA_TYPE_STRING);
    add_field("b", ADA_TYPE_U64);
    CU_ASSERT_EQUAL(learn_typed(), 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t at = begin_record(ADA_KIND_TYPED, TYPED, 1);

        put_string("0123456789a");
        put_u64(2);
        memcpy(lane.data + at + sizeof(AdaDetailRecord), &sizes[i], sizeof(sizes[i]));
        end_record(at);
        CU_ASSERT_FALSE(scan_details());
    }
}

static void scan_details__padding_of_last_string_missing__then_still_compared(void)
{
    SET_UP("typed.a==abc");
    add_field("a", ADA_TYPE_STRING);
    CU_ASSERT_EQUAL(learn_typed(), 0);
    set_payload_size(begin_record(ADA_KIND_TYPED, TYPED, 1), 7);
    put_string("abc");
    CU_ASSERT_TRUE(scan_details());
}

/* The reader takes payloads apart, too: for any bytes both must find the same field. */
static void scan_details__random_payloads__then_as_the_reader_decodes_them(void)
{
    uint64_t seed = 88172645463325252u;
    unsigned hits = 0;

    SET_UP("typed.ms!=0");
    set_up_mixed();
    for (unsigned round = 0; round < 50000; round++) {
        size_t at = begin_record(ADA_KIND_TYPED, TYPED, 1);
        AdatField fields[ADA_EVENT_FIELDS_MAX];
        bool expected;

        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        for (uint32_t i = 0; i < 12; i++)
            put_u64(seed >> i * 3 & (i % 2 ? 0x13 : 0x30000001f));
        set_payload_size(at, seed >> 50 & 1 ? 96 : (uint32_t)(seed >> 51) % 97);
        expected = adat_decode_fields(&typed, lane.data + sizeof(AdaDetailRecord),
                                      seed >> 50 & 1 ? 96 : (uint32_t)(seed >> 51) % 97, fields) == 5 &&
                   fields[4].value.f64 != 0;
        CU_ASSERT_EQUAL(scan_details(), expected);
        hits += expected;
    }
    CU_ASSERT(hits > 1000 && hits < 40000);
}

static void release__used_matcher__then_nothing_leaks(void)
{
    mark_fixture_fini(&fixture); /* the leak sanitizer looks at what is left */
    CU_ASSERT_PTR_NULL(fixture.matcher);
}

static const TestCase tests[] = {
    TEST(learn__field_rule__then_details_wanted),
    TEST(learn__text_for_a_number_or_unknown_type__then_not_concerned),
    TEST(learn__no_memory__then_enomem_and_nothing_noted),
    TEST(learn__same_id_again__then_as_it_was),
    TEST(learn__all_ids_of_one_name__then_all_concerned),
    TEST(field_rule__numbers_of_any_type__then_compared_exactly),
    TEST(field_rule__not_a_number__then_only_different),
    TEST(field_rule__infinity__then_beyond_all_numbers),
    TEST(field_rule__text__then_whole_and_byte_by_byte),
    TEST(field_rule__number_for_a_text__then_compared_as_text),
    TEST(scan_details__strings_before_the_field__then_found_behind_them),
    TEST(scan_details__several_records__then_first_with_its_number),
    TEST(scan_details__each_kind__then_all_events_and_no_functions),
    TEST(scan_details__two_fields_of_one_name__then_either),
    TEST(scan_details__sixteen_fields__then_last_is_compared),
    TEST(scan_details__largest_payload__then_compared_to_its_end),
    TEST(scan_details__cut_anywhere__then_hit_only_when_whole),
    TEST(scan_details__impossible_sizes__then_scan_ends),
    TEST(scan_details__impossible_string_sizes__then_what_follows_is_not_compared),
    TEST(scan_details__padding_of_last_string_missing__then_still_compared),
    TEST(scan_details__random_payloads__then_as_the_reader_decodes_them),
    TEST(release__used_matcher__then_nothing_leaks),
};
TEST_MAIN("mark_fields", tests)
