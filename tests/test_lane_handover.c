/* SPDX-License-Identifier: MIT */
/* A collector is killed at every step; the next one goes on with the lane as it is, while the producer writes. */
#define _GNU_SOURCE
#include "lane_fixture.h"
#include "test_support.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define INDEX_RING 4096u
#define DETAIL_RING (32u << 10)

/* scratch[] of the fixture. */
enum { WRITTEN, REFUSED, ON_ITS_WAY };

static const char *death_point;
static uint32_t death_countdown;

static void die_here(const char *point)
{
    if (strcmp(point, death_point) == 0 && --death_countdown == 0)
        (void)kill(getpid(), SIGKILL);
}

static void write_some(LaneFixture *fixture, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = fixture->scratch[WRITTEN];
        int error = fixture->lane.kind == ADA_LANE_INDEX
                        ? lane_fixture_write(fixture, 7, number)
                        : lane_fixture_write_detail(fixture, 7, (uint32_t)(100 + number * 53 % 1000));

        fixture->scratch[error ? REFUSED : WRITTEN]++;
    }
}

/*
 * One visit as the drain makes it: takes up to `limit` records, writes them, settles, gives the rings back. What is not written yet
 * stands behind record_count.
 */
static int visit(LaneFixture *fixture, uint32_t limit)
{
    LaneReader *reader = &fixture->reader;
    uint32_t copied = 0;
    LaneChunk chunk;
    int found = lane_reader_begin(reader, false);

    if (found <= 0)
        return found;
    while (copied < limit && (found = lane_reader_next(reader, &chunk)) == 1) {
        uint32_t count = chunk.records < limit - copied ? chunk.records : limit - copied;
        uint32_t bytes = lane_fixture_log(fixture, &chunk, copied, count);

        copied += count;
        lane_reader_consume(reader, &chunk, count, bytes);
    }
    lane_reader_end(reader);
    fixture->scratch[ON_ITS_WAY] = copied;
    ADA_TEST_POINT("test.copied");
    fixture->record_count += copied;
    ADA_TEST_POINT("test.written");
    ada_store_relaxed(&reader->lane->settled_records, reader->next_record);
    ADA_TEST_POINT("test.settled");
    lane_reader_return_rings(reader);
    ADA_TEST_POINT("test.returned");
    return found;
}

/* In the child: a collector, and a producer that does not die with it. */
static void collect(LaneFixture *fixture)
{
    for (uint32_t round = 0; round < 24; round++) {
        ada_test_point_hook = NULL;
        write_some(fixture, 31 + round * 67 % 190);
        ada_test_point_hook = die_here;
        (void)visit(fixture, 20 + round * 41 % 400);
    }
}

/* True: it died there; false: it never came there so often. */
static bool die_at(LaneFixture *fixture, const char *point, uint32_t occurrence)
{
    int status = 0;
    pid_t child = fork();

    CU_ASSERT_TRUE_FATAL(child >= 0);
    if (child == 0) {
        death_point = point;
        death_countdown = occurrence;
        collect(fixture);
        _exit(0);
    }
    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status);
}

/* The next collector, with the same claim to the lane. */
static void succeed(LaneFixture *fixture)
{
    const LaneReader old = fixture->reader;

    lane_reader_init(&fixture->reader, &fixture->lane, fixture->rings, old.kind, old.ring_count,
                     old.ring_bytes);
}

static void drain_all(LaneFixture *fixture)
{
    for (uint32_t i = 0; i < 50; i++)
        CU_ASSERT_TRUE(visit(fixture, 500) >= 0);
}

/* Records that came again, all at the seam. What is missing is counted in *lost_out. */
static uint32_t count_repeated(const LaneFixture *fixture, uint64_t *lost_out)
{
    uint64_t next = 0;
    uint32_t repeated = 0;

    *lost_out = 0;
    for (uint32_t i = 0; i < fixture->record_count; i++) {
        uint64_t number = fixture->records[i].number;

        CU_ASSERT_EQUAL(fixture->records[i].argument, number);
        if (number < next) {
            repeated++;
        } else {
            *lost_out += number - next;
            next = number + 1;
        }
    }
    *lost_out += fixture->scratch[WRITTEN] - next;
    return repeated;
}

static bool is_whole(const LaneFixture *fixture)
{
    const Lane *lane = &fixture->lane;

    return lane->free_queue.tail - lane->free_queue.head == lane->ring_count - 1 &&
           lane->submit_queue.tail == lane->submit_queue.head && lane->drain_owner == ADA_DRAIN_FREE;
}

static const char *const points[] = {
    "reader.active", "reader.noted", "reader.taken",    "test.copied",
    "test.written",  "test.settled", "reader.returned", "test.returned",
};

/* One death, and what came after it. False: there was none. */
static bool die_and_succeed(uint32_t kind, uint32_t policy, const char *point, uint32_t occurrence,
                            uint32_t *inherited)
{
    bool index = kind == ADA_LANE_INDEX;
    LaneFixture *fixture = lane_fixture_create(kind, index ? 4 : 2, index ? INDEX_RING : DETAIL_RING);
    uint64_t lost, written_last;
    uint32_t repeated;
    bool died;

    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture);
    fixture->header.policy = policy;
    died = die_at(fixture, point, occurrence);
    if (died) {
        written_last = fixture->scratch[ON_ITS_WAY];
        write_some(fixture, occurrence * 37); /* nobody is there */
        succeed(fixture);
        *inherited += fixture->reader.inherited_count;
        write_some(fixture, 5);
        drain_all(fixture);
        write_some(fixture, 900);
        drain_all(fixture);
        repeated = count_repeated(fixture, &lost);
        CU_ASSERT_TRUE(is_whole(fixture));
        CU_ASSERT_EQUAL(fixture->bad_payloads, 0);
        if (strcmp(point, "test.written") != 0)
            CU_ASSERT_EQUAL(repeated, 0);
        if (policy == ADA_POLICY_DISCARD) {
            CU_ASSERT_EQUAL(lost, 0);
            CU_ASSERT_EQUAL(repeated, strcmp(point, "test.written") == 0 ? written_last : 0);
        } else { /* some of them were taken back */
            CU_ASSERT_TRUE(repeated <= written_last);
        }
    }
    lane_fixture_destroy(fixture);
    return died;
}

static void die_everywhere(uint32_t kind, uint32_t policy)
{
    uint32_t deaths = 0, inherited = 0;

    for (size_t p = 0; p < sizeof(points) / sizeof(points[0]); p++) {
        for (uint32_t occurrence = 1; occurrence <= 12; occurrence++)
            deaths += die_and_succeed(kind, policy, points[p], occurrence, &inherited);
    }
    CU_ASSERT_TRUE(deaths >= 60);
    CU_ASSERT_TRUE(inherited >= 10);
}

static void collector__killed_at_any_step__then_next_one_has_every_record_once(void)
{
    die_everywhere(ADA_LANE_INDEX, ADA_POLICY_DISCARD);
}

static void collector__killed_with_payloads__then_next_one_has_every_record_once(void)
{
    die_everywhere(ADA_LANE_DETAIL, ADA_POLICY_DISCARD);
}

static void collector__killed_while_rings_are_taken_back__then_none_twice_and_all_rings_there(void)
{
    die_everywhere(ADA_LANE_INDEX, ADA_POLICY_OVERWRITE);
}

/* A record that a successor finds amid a ring, of each possible number. */
static void lane_reader_init__settled_amid_a_ring__then_begins_there(void)
{
    for (uint32_t kind = ADA_LANE_INDEX; kind <= ADA_LANE_DETAIL; kind++) {
        for (uint64_t settled = 0; settled <= 260; settled += 13) {
            bool index = kind == ADA_LANE_INDEX;
            LaneFixture *fixture = lane_fixture_create(kind, index ? 4 : 2, index ? INDEX_RING : DETAIL_RING);

            write_some(fixture, 50);
            write_some(fixture, 200);
            fixture->lane.settled_records = settled;
            succeed(fixture);
            drain_all(fixture);
            if (settled < fixture->scratch[WRITTEN]) {
                CU_ASSERT_EQUAL(fixture->record_count, fixture->scratch[WRITTEN] - settled);
                CU_ASSERT_EQUAL(fixture->records[0].number, settled);
                CU_ASSERT_TRUE(lane_fixture_is_gapless(fixture, 0, settled));
            } else {
                CU_ASSERT_EQUAL(fixture->record_count, 0);
            }
            CU_ASSERT_EQUAL(fixture->bad_payloads, 0);
            CU_ASSERT_TRUE(is_whole(fixture));
            lane_fixture_destroy(fixture);
        }
    }
}

/* What a hostile process may write where a collector left its notes: refused, or harmless. */
static void lane_reader_init__impossible_notes__then_refused_or_harmless(void)
{
    static const uint64_t taken[] = {
        1, 2, 3, 4, 5, UINT32_MAX, UINT64_MAX, 0xff00000001ull, 0x0000000300000002ull};
    static const uint64_t settled[] = {0, 1, 112, 113, 1ull << 32, UINT64_MAX, 1ull << 63};

    for (size_t t = 0; t < sizeof(taken) / sizeof(taken[0]); t++) {
        for (size_t s = 0; s < sizeof(settled) / sizeof(settled[0]); s++) {
            LaneFixture *fixture = lane_fixture_create(ADA_LANE_INDEX, 4, INDEX_RING);

            write_some(fixture, 300);
            fixture->lane.taken = taken[t];
            fixture->lane.settled_records = settled[s];
            succeed(fixture);
            for (uint32_t i = 0; i < 20; i++) {
                int found = visit(fixture, 100);

                CU_ASSERT_TRUE(found == 0 || found == 1 || found == -EPROTO);
                if (found < 0)
                    break;
            }
            lane_fixture_destroy(fixture);
        }
    }
}

/* Payload sizes that lead out of the ring, or into what is too short for a record. */
static void lane_reader_init__impossible_payload_before_the_settled__then_refused(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        LaneFixture *fixture = lane_fixture_create(ADA_LANE_DETAIL, 2, DETAIL_RING);
        LanePeek peek = {.next_record = 2};
        LaneChunk chunk;
        uint32_t end;

        write_some(fixture, 3);
        end = ADA_POSITION_BYTES(fixture->lane.rings[0].published);
        ((AdaDetailRecord *)(void *)fixture->rings)->payload_size =
            i == 0 ? ADA_PAYLOAD_MAX + 1 : end - 8 - ADA_DETAIL_HEADER_SIZE;
        fixture->lane.settled_records = 2;
        succeed(fixture);
        CU_ASSERT_EQUAL(visit(fixture, 100), -EPROTO);
        CU_ASSERT_EQUAL_FATAL(lane_reader_begin(&fixture->reader, false), 1);
        CU_ASSERT_EQUAL(lane_reader_peek(&fixture->reader, &peek, &chunk), -EPROTO);
        lane_reader_end(&fixture->reader);
        lane_fixture_destroy(fixture);
    }
}

static void lane_reader_skip_taken_back__nothing_was__then_stays_where_it_is(void)
{
    LaneFixture *fixture = lane_fixture_create(ADA_LANE_DETAIL, 2, DETAIL_RING);

    write_some(fixture, 3); /* in the ring that is being filled, the first one */
    lane_reader_skip_taken_back(&fixture->reader, false);
    CU_ASSERT_EQUAL(fixture->reader.next_record, 0);
    fixture->lane.rings[0].base_record = 2; /* as if it were a later one, by the producer's own drain */
    fixture->lane.drain_owner = ADA_DRAIN_PRODUCER;
    lane_reader_skip_taken_back(&fixture->reader, false); /* the producer has the drain: next time */
    CU_ASSERT_EQUAL(fixture->reader.next_record, 0);
    lane_reader_skip_taken_back(&fixture->reader, true); /* it died with it */
    CU_ASSERT_EQUAL(fixture->reader.next_record, 2);
    lane_fixture_destroy(fixture);
}

static const TestCase tests[] = {
    TEST(lane_reader_skip_taken_back__nothing_was__then_stays_where_it_is),
    TEST(collector__killed_at_any_step__then_next_one_has_every_record_once),
    TEST(collector__killed_with_payloads__then_next_one_has_every_record_once),
    TEST(collector__killed_while_rings_are_taken_back__then_none_twice_and_all_rings_there),
    TEST(lane_reader_init__settled_amid_a_ring__then_begins_there),
    TEST(lane_reader_init__impossible_notes__then_refused_or_harmless),
    TEST(lane_reader_init__impossible_payload_before_the_settled__then_refused),
};
TEST_MAIN("lane_handover", tests)
