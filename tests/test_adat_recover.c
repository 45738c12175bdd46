/* SPDX-License-Identifier: MIT */
/* What files that were left tell of how far lanes are: as they are, cut, damaged, hostile, and several of them. */
#define _GNU_SOURCE
#include "adat_check.h"
#include "test_support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/file/adat_recover.h"

#define PID 4242u
#define STARTED_AT 777u

static AdatThreadKey key_of(uint32_t thread)
{
    return (AdatThreadKey){.started_at = STARTED_AT,
                           .pid = PID,
                           .tid = 100 + thread,
                           .registered_at = 1000 + thread,
                           .slot = thread,
                           .generation = 1};
}

static int new_file(void)
{
    int fd = memfd_create("trace", MFD_CLOEXEC);

    CU_ASSERT_FATAL(fd >= 0);
    return fd;
}

/* ---- files ------------------------------------------------------------------------------------ */

static AdatWriter *begin(int fd)
{
    const AdatProcess process = {.process = 1, .pid = PID, .started_at = STARTED_AT};
    const AdatBlockHeader header = {.type = ADAT_BLOCK_PROCESS, .process = 1};
    AdatWriter *writer = NULL;

    CU_ASSERT_EQUAL_FATAL(adat_writer_create(dup(fd), NULL, &writer), 0);
    CU_ASSERT_EQUAL_FATAL(adat_writer_put_block(writer, &header, &process, sizeof(process)), 0);
    return writer;
}

/* As if the recorder had been killed after it wrote that. */
static void leave(AdatWriter *writer)
{
    CU_ASSERT_EQUAL_FATAL(adat_writer_flush(writer), 0);
    adat_writer_destroy(writer);
}

/* Its number in the file is 10 more. `start` may be NULL. */
static void put_thread(AdatWriter *writer, uint32_t thread, const AdatThreadStart *start)
{
    const AdatThreadKey key = key_of(thread);
    const AdatBlockHeader header = {.type = ADAT_BLOCK_THREAD, .process = 1, .thread = thread + 10};
    struct {
        AdatThread thread;
        AdatThreadStart start;
    } block = {.thread = {
                   .thread = thread + 10,
                   .process = 1,
                   .tid = key.tid,
                   .slot = key.slot,
                   .generation = key.generation,
                   .registered_at = key.registered_at,
               }};

    if (start)
        block.start = *start;
    CU_ASSERT_EQUAL_FATAL(
        adat_writer_put_block(writer, &header, &block, start ? sizeof(block) : sizeof(block.thread)), 0);
}

static void put_events(AdatWriter *writer, uint32_t thread, AdatBlockHeader header)
{
    static const AdaIndexEvent events[64];

    header.process = 1;
    header.thread = thread + 10;
    CU_ASSERT_EQUAL_FATAL(adat_writer_put_block(writer, &header, events,
                                                (size_t)(header.record_count % 64) * sizeof(events[0])),
                          0);
}

static void put_entry(AdatWriter *writer, uint16_t flags, AdatLedgerEntry entry)
{
    entry.process = 1;
    entry.thread += entry.thread ? 10 : 0;
    sample_put_ledger(writer, flags, NULL, &entry, 1);
}

static AdatRecovery *scan_one(int fd, uint64_t *valid_bytes)
{
    AdatRecovery *recovery = adat_recovery_create();

    CU_ASSERT_PTR_NOT_NULL_FATAL(recovery);
    CU_ASSERT_EQUAL_FATAL(adat_recover_scan(fd, recovery, valid_bytes), 0);
    return recovery;
}

static void expect(const AdatRecovery *recovery, uint32_t thread, uint32_t lane, AdatLaneProgress expected)
{
    const AdatThreadKey key = key_of(thread);
    const AdatLaneProgress *found = adat_recovery_find(recovery, &key, lane);

    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    CU_ASSERT_EQUAL(found->next_record, expected.next_record);
    CU_ASSERT_EQUAL(found->losses.full, expected.losses.full);
    CU_ASSERT_EQUAL(found->losses.nested, expected.losses.nested);
    CU_ASSERT_EQUAL(found->losses.overwritten, expected.losses.overwritten);
    CU_ASSERT_EQUAL(found->losses.recycled, expected.losses.recycled);
}

/* ---- what a file says --------------------------------------------------------------------------- */

/* 5 refused, 10 overwritten between the blocks, 3 that no disk took; a nested one. */
static void adat_recover__blocks__then_the_last_one_tells(void)
{
    int fd = new_file();
    AdatWriter *writer = begin(fd);
    uint64_t valid_bytes = 0;
    AdatRecovery *recovery;

    put_thread(writer, 1, NULL);
    put_events(writer, 1, (AdatBlockHeader){.type = ADAT_BLOCK_INDEX, .record_count = 20, .dropped_full = 2});
    put_events(writer, 1,
               (AdatBlockHeader){.type = ADAT_BLOCK_INDEX,
                                 .first_record = 33,
                                 .record_count = 7,
                                 .dropped_full = 15,
                                 .dropped_nested = 1,
                                 .dropped_io = 3});
    put_events(
        writer, 1,
        (AdatBlockHeader){.type = ADAT_BLOCK_DETAIL, .first_record = 100, .record_count = 0, .recycled = 100});
    leave(writer);
    recovery = scan_one(fd, &valid_bytes);
    CU_ASSERT_EQUAL(valid_bytes, (uint64_t)lseek(fd, 0, SEEK_END));
    expect(recovery, 1, ADA_LANE_INDEX, (AdatLaneProgress){40, {.full = 5, .nested = 1, .overwritten = 10}});
    expect(recovery, 1, ADA_LANE_DETAIL, (AdatLaneProgress){100, {.recycled = 100}});
    CU_ASSERT_PTR_NULL(adat_recovery_find(recovery, &(AdatThreadKey){.pid = PID}, ADA_LANE_INDEX));
    CU_ASSERT_PTR_NULL(adat_recovery_find(recovery, &(const AdatThreadKey){0}, 7));
    adat_recovery_destroy(recovery);
    close(fd);
}

static void adat_recover__ledgers__then_the_later_of_block_and_entry_tells(void)
{
    int fd = new_file();
    AdatWriter *writer = begin(fd);
    uint64_t valid_bytes;
    AdatRecovery *recovery;

    for (uint32_t thread = 1; thread <= 3; thread++) {
        put_thread(writer, thread, NULL);
        put_events(writer, thread, (AdatBlockHeader){.type = ADAT_BLOCK_INDEX, .record_count = 20});
        put_entry(writer, 0,
                  (AdatLedgerEntry){.thread = thread,
                                    .attempted = 90,
                                    .in_file = 20,
                                    .dropped_full = 8,
                                    .dropped_io = 2,
                                    .pending = 60,
                                    .next_record = 25});
    }
    put_events(writer, 2,
               (AdatBlockHeader){.type = ADAT_BLOCK_INDEX,
                                 .first_record = 25,
                                 .record_count = 5,
                                 .dropped_full = 9,
                                 .dropped_io = 2});
    put_entry(writer, ADAT_FLAG_CLOSED,
              (AdatLedgerEntry){.thread = 3,
                                .attempted = 93,
                                .in_file = 20,
                                .dropped_full = 70,
                                .dropped_io = 2,
                                .torn = 1,
                                .next_record = 85});
    leave(writer);
    recovery = scan_one(fd, &valid_bytes);
    expect(recovery, 1, ADA_LANE_INDEX, (AdatLaneProgress){25, {.full = 5, .overwritten = 3}});
    expect(recovery, 2, ADA_LANE_INDEX, (AdatLaneProgress){30, {.full = 6, .overwritten = 3}});
    expect(recovery, 3, ADA_LANE_INDEX, (AdatLaneProgress){85, {.full = 8, .overwritten = 62}});
    adat_recovery_destroy(recovery);
    close(fd);
}

/* In a file that goes on where another ends, numbers of records go on, and losses begin anew. */
static void adat_recover__file_that_goes_on__then_from_its_start(void)
{
    static const AdatThreadStart start = {
        .first_record = {1000, 50},
        .losses = {{.full = 7, .nested = 2, .overwritten = 11}, {.recycled = 40}},
    };
    int fd = new_file();
    AdatWriter *writer = begin(fd);
    uint64_t valid_bytes;
    AdatRecovery *recovery;

    put_thread(writer, 1, &start);
    put_thread(writer, 2, &start);
    put_events(writer, 2,
               (AdatBlockHeader){.type = ADAT_BLOCK_INDEX,
                                 .first_record = 1004,
                                 .record_count = 6,
                                 .dropped_full = 5,
                                 .dropped_nested = 1});
    put_thread(writer, 2, &start); /* it has another name now */
    leave(writer);
    recovery = scan_one(fd, &valid_bytes);
    expect(recovery, 1, ADA_LANE_INDEX, (AdatLaneProgress){1000, start.losses[0]});
    expect(recovery, 1, ADA_LANE_DETAIL, (AdatLaneProgress){50, start.losses[1]});
    expect(recovery, 2, ADA_LANE_INDEX, (AdatLaneProgress){1010, {.full = 8, .nested = 3, .overwritten = 15}});
    expect(recovery, 2, ADA_LANE_DETAIL, (AdatLaneProgress){50, start.losses[1]});
    adat_recovery_destroy(recovery);
    close(fd);
}

static void adat_recover__several_files__then_the_last_that_has_the_thread(void)
{
    AdatRecovery *recovery = adat_recovery_create();
    uint64_t valid_bytes;

    CU_ASSERT_PTR_NOT_NULL_FATAL(recovery);
    for (uint32_t file = 1; file <= 3; file++) {
        const AdatThreadStart start = {.first_record = {file * 100, 0}};
        int fd = new_file();
        AdatWriter *writer = begin(fd);

        for (uint32_t thread = file; thread <= 3; thread++) { /* the first has all */
            put_thread(writer, 4 - thread, &start);
            put_events(
                writer, 4 - thread,
                (AdatBlockHeader){.type = ADAT_BLOCK_INDEX, .first_record = file * 100, .record_count = file});
        }
        leave(writer);
        CU_ASSERT_EQUAL(adat_recover_scan(fd, recovery, &valid_bytes), 0);
        close(fd);
    }
    CU_ASSERT_EQUAL(adat_recovery_count(recovery), 3);
    expect(recovery, 1, ADA_LANE_INDEX, (AdatLaneProgress){303, {0}});
    expect(recovery, 2, ADA_LANE_INDEX, (AdatLaneProgress){202, {0}});
    expect(recovery, 3, ADA_LANE_INDEX, (AdatLaneProgress){101, {0}});
    adat_recovery_destroy(recovery);
}

static void adat_recover__another_life_of_the_slot__then_not_it(void)
{
    int fd = new_file();
    AdatWriter *writer = begin(fd);
    uint64_t valid_bytes;
    AdatRecovery *recovery;

    put_thread(writer, 1, NULL);
    leave(writer);
    recovery = scan_one(fd, &valid_bytes);
    for (uint32_t i = 0; i < 7; i++) {
        AdatThreadKey key = key_of(1);

        key.started_at += i == 1;
        key.pid += i == 2;
        key.tid += i == 3;
        key.slot += i == 4;
        key.generation += i == 5;
        key.registered_at += i == 6;
        CU_ASSERT_EQUAL(adat_recovery_find(recovery, &key, ADA_LANE_INDEX) != NULL, i == 0);
    }
    adat_recovery_destroy(recovery);
    close(fd);
}

static void adat_recover__events_of_no_thread__then_as_many_as_were_told(void)
{
    const AdatThreadKey key = {.started_at = STARTED_AT, .pid = PID};
    const AdatLaneProgress *found;
    int fd = new_file();
    AdatWriter *writer = begin(fd);
    uint64_t valid_bytes;
    AdatRecovery *recovery;

    put_entry(writer, ADAT_FLAG_CLOSED,
              (AdatLedgerEntry){.attempted = 4, .dropped_full = 4, .next_record = 17});
    leave(writer);
    recovery = scan_one(fd, &valid_bytes);
    found = adat_recovery_find(recovery, &key, ADA_LANE_INDEX);
    CU_ASSERT_PTR_NOT_NULL_FATAL(found);
    CU_ASSERT_EQUAL(found->next_record, 17);
    adat_recovery_destroy(recovery);
    close(fd);
}

static void adat_recover__many_threads__then_all_found(void)
{
    int fd = new_file();
    AdatWriter *writer = begin(fd);
    uint64_t valid_bytes;
    AdatRecovery *recovery;

    for (uint32_t thread = 0; thread < 20000; thread++) {
        const AdatThreadStart start = {.first_record = {thread, 1}};

        put_thread(writer, thread, &start);
    }
    leave(writer);
    recovery = scan_one(fd, &valid_bytes);
    CU_ASSERT_EQUAL(adat_recovery_count(recovery), 20000);
    for (uint32_t thread = 0; thread < 20000; thread += 37)
        expect(recovery, thread, ADA_LANE_INDEX, (AdatLaneProgress){thread, {0}});
    CU_ASSERT_EQUAL(adat_recover_scan(fd, recovery, &valid_bytes), 0);
    CU_ASSERT_EQUAL(adat_recovery_count(recovery), 20000);
    adat_recovery_destroy(recovery);
    close(fd);
}

/* ---- files that are not whole -------------------------------------------------------------------- */

/* Each lane is one record further with each block, so it shows how many of them counted. */
#define STEPS 12u

static int make_steps(bool closed)
{
    int fd = new_file();
    AdatWriter *writer = begin(fd);

    put_thread(writer, 1, NULL);
    for (uint32_t i = 0; i < STEPS; i++) {
        if (i % 3 == 2)
            put_entry(
                writer, i == STEPS - 1 ? ADAT_FLAG_FINAL : 0,
                (AdatLedgerEntry){
                    .thread = 1, .attempted = i + 1, .in_file = i, .dropped_full = 1, .next_record = i + 1});
        else
            put_events(writer, 1,
                       (AdatBlockHeader){.type = ADAT_BLOCK_INDEX, .first_record = i, .record_count = 1});
    }
    if (closed) {
        CU_ASSERT_EQUAL_FATAL(adat_writer_finish(writer), 0);
        adat_writer_destroy(writer);
    } else {
        leave(writer);
    }
    return fd;
}

static uint64_t steps_in(const AdatRecovery *recovery)
{
    const AdatThreadKey key = key_of(1);
    const AdatLaneProgress *found = adat_recovery_find(recovery, &key, ADA_LANE_INDEX);

    return found ? found->next_record : 0;
}

/* Scans what there is, as the reader does; cut to its valid part it says the same. Returns how far the lane is. */
static uint64_t scan_remains(const uint8_t *bytes, size_t size)
{
    AdatRecovery *recovery = adat_recovery_create(), *again = adat_recovery_create();
    uint64_t valid_bytes = UINT64_MAX, valid_again = 0, steps;
    AdatReader *reader = NULL;
    int fd = new_file();
    int error, reader_error;

    set_content(fd, bytes, size);
    error = adat_recover_scan(fd, recovery, &valid_bytes);
    reader_error = adat_reader_open_fd(fd, &reader);
    if (error) {
        CU_ASSERT_EQUAL(error, reader_error);
        CU_ASSERT_EQUAL(valid_bytes, UINT64_MAX);
        CU_ASSERT_EQUAL(adat_recovery_count(recovery), 0);
    } else if (reader_error) {
        CU_ASSERT_EQUAL(reader_error, -ENODATA);
        CU_ASSERT_EQUAL(valid_bytes, 0);
    } else {
        CU_ASSERT_EQUAL(valid_bytes, adat_reader_info(reader)->valid_bytes);
        CU_ASSERT_EQUAL(ftruncate(fd, (off_t)valid_bytes), 0);
        CU_ASSERT_EQUAL(adat_recover_scan(fd, again, &valid_again), 0);
        CU_ASSERT_EQUAL(valid_again, valid_bytes);
        CU_ASSERT_EQUAL(steps_in(again), steps_in(recovery));
    }
    steps = steps_in(recovery);
    adat_recovery_destroy(recovery);
    adat_recovery_destroy(again);
    if (reader)
        adat_reader_close(reader);
    else
        close(fd);
    return steps;
}

static void adat_recover__cut_anywhere__then_the_whole_blocks_count(void)
{
    for (uint32_t closed = 0; closed < 2; closed++) {
        int fd = make_steps(closed);
        size_t size = 0;
        uint8_t *bytes = file_content(fd, &size);
        uint64_t last = 0;

        for (size_t cut = 0; cut <= size; cut++) {
            uint64_t steps = scan_remains(bytes, cut);

            CU_ASSERT(steps == last || steps == last + 1);
            last = steps;
        }
        CU_ASSERT_EQUAL(last, STEPS);
        free(bytes);
        close(fd);
    }
}

/* Also where nothing follows but the zeros that a writer puts ahead. */
static void adat_recover__damaged_anywhere__then_what_is_before_counts(void)
{
    int fd = make_steps(false);
    size_t size = 0;
    uint8_t *bytes = file_content(fd, &size);
    uint8_t *longer = calloc(1, size + ADAT_AHEAD_BYTES);
    uint64_t last = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(longer);
    for (size_t at = 0; at < size; at++) {
        uint64_t steps;

        bytes[at] ^= 0x41;
        steps = scan_remains(bytes, size);
        CU_ASSERT(steps >= last && steps <= STEPS);
        /* Behind the header each byte is covered by a checksum, but for the padding. */
        if (at >= sizeof(AdatFileHeader) && steps < STEPS)
            last = steps;
        bytes[at] ^= 0x41;
    }
    CU_ASSERT_EQUAL(last, STEPS - 1);
    memcpy(longer, bytes, size);
    CU_ASSERT_EQUAL(scan_remains(longer, size + ADAT_AHEAD_BYTES), STEPS);
    free(longer);
    free(bytes);
    close(fd);
}

static void adat_recover__no_trace__then_refused(void)
{
    static const char text[] = "This is no trace, and as long as the header of one: 64 bytes, and some.";
    AdatRecovery *recovery = adat_recovery_create();
    uint64_t valid_bytes = 9;
    int fd = new_file();

    CU_ASSERT_EQUAL(adat_recover_scan(fd, recovery, &valid_bytes), 0); /* killed before its first write */
    CU_ASSERT_EQUAL(valid_bytes, 0);
    set_content(fd, (const uint8_t *)text, sizeof(text));
    CU_ASSERT_EQUAL(adat_recover_scan(fd, recovery, &valid_bytes), -EINVAL);
    CU_ASSERT_EQUAL(adat_recover_scan(-1, recovery, &valid_bytes), -EBADF);
    adat_recovery_destroy(recovery);
    adat_recovery_destroy(NULL);
    close(fd);
}

/* ---- files that lie ------------------------------------------------------------------------------- */

static void adat_recover__impossible_numbers__then_bounded(void)
{
    static const AdatThreadStart start = {.first_record = {100, UINT64_MAX}};
    int fd = new_file();
    AdatWriter *writer = begin(fd);
    uint64_t valid_bytes;
    AdatRecovery *recovery;

    put_thread(writer, 1, &start);
    put_events(writer, 1, (AdatBlockHeader){.type = ADAT_BLOCK_INDEX, .first_record = 3, .record_count = 1});
    put_events(writer, 1,
               (AdatBlockHeader){.type = ADAT_BLOCK_DETAIL,
                                 .first_record = UINT64_MAX,
                                 .record_count = UINT32_MAX,
                                 .dropped_full = UINT64_MAX,
                                 .dropped_io = UINT64_MAX,
                                 .recycled = UINT64_MAX});
    put_thread(writer, 2, NULL);
    put_entry(writer, 0,
              (AdatLedgerEntry){.thread = 2, .in_file = UINT64_MAX, .dropped_full = 3, .next_record = 5});
    put_entry(writer, 0, (AdatLedgerEntry){.thread = 2, .lane = 5, .next_record = 99});
    put_entry(writer, 0, (AdatLedgerEntry){.thread = 9, .next_record = 99}); /* nobody describes it */
    put_events(writer, 8, (AdatBlockHeader){.type = ADAT_BLOCK_INDEX, .record_count = 1});
    leave(writer);
    recovery = scan_one(fd, &valid_bytes);
    CU_ASSERT_EQUAL(adat_recovery_count(recovery), 2);
    expect(recovery, 1, ADA_LANE_INDEX, (AdatLaneProgress){100, {0}}); /* before its start: no word of it */
    expect(recovery, 2, ADA_LANE_INDEX, (AdatLaneProgress){5, {.overwritten = 3}});
    expect(recovery, 2, ADA_LANE_DETAIL, (AdatLaneProgress){0, {0}});
    adat_recovery_destroy(recovery);
    close(fd);
}

/* Of each type, from nothing to more than it has. */
static void adat_recover__payloads_of_any_size__then_nothing_of_them(void)
{
    static const uint8_t ones[600] = {[0 ... 599] = 0xff};

    for (uint32_t type = 0; type <= ADAT_BLOCK_TYPES; type++) {
        int fd = new_file();
        AdatWriter *writer = begin(fd);
        uint64_t valid_bytes, begun;
        AdatRecovery *recovery;

        put_thread(writer, 1, NULL);
        begun = sizeof(AdatFileHeader) + adat_writer_buffered(writer);
        for (size_t size = 0; size <= sizeof(ones); size += 8) {
            const AdatBlockHeader header = {
                .type = (uint16_t)type, .process = UINT32_MAX, .thread = UINT32_MAX, .record_count = UINT32_MAX};

            CU_ASSERT_EQUAL_FATAL(adat_writer_put_block(writer, &header, ones, size), 0);
        }
        leave(writer);
        recovery = scan_one(fd, &valid_bytes);
        /* A block of lanes whose list makes no sense is the end. */
        CU_ASSERT_EQUAL(valid_bytes, type == ADAT_BLOCK_LANES ? begun : (uint64_t)lseek(fd, 0, SEEK_END));
        expect(recovery, 1, ADA_LANE_INDEX, (AdatLaneProgress){0, {0}});
        adat_recovery_destroy(recovery);
        close(fd);
    }
}

static void adat_recover__hostile_length__then_the_file_ends_there(void)
{
    static const uint32_t lengths[] = {ADAT_PAYLOAD_MAX, ADAT_PAYLOAD_MAX + 1, UINT32_MAX, 1u << 31};

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        int fd = make_steps(false);
        size_t size = 0;
        uint8_t *bytes = file_content(fd, &size);
        AdatBlockHeader *header = (AdatBlockHeader *)(void *)find_block(bytes, 3);

        header->payload_bytes = lengths[i];
        CU_ASSERT_EQUAL(scan_remains(bytes, size), 1);
        free(bytes);
        close(fd);
    }
}

static const TestCase tests[] = {
    TEST(adat_recover__blocks__then_the_last_one_tells),
    TEST(adat_recover__ledgers__then_the_later_of_block_and_entry_tells),
    TEST(adat_recover__file_that_goes_on__then_from_its_start),
    TEST(adat_recover__several_files__then_the_last_that_has_the_thread),
    TEST(adat_recover__another_life_of_the_slot__then_not_it),
    TEST(adat_recover__events_of_no_thread__then_as_many_as_were_told),
    TEST(adat_recover__many_threads__then_all_found),
    TEST(adat_recover__cut_anywhere__then_the_whole_blocks_count),
    TEST(adat_recover__damaged_anywhere__then_what_is_before_counts),
    TEST(adat_recover__no_trace__then_refused),
    TEST(adat_recover__impossible_numbers__then_bounded),
    TEST(adat_recover__payloads_of_any_size__then_nothing_of_them),
    TEST(adat_recover__hostile_length__then_the_file_ends_there),
};
TEST_MAIN("adat_recover", tests)
