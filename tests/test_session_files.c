/* SPDX-License-Identifier: MIT */
/* A session of several files: each is sound, and nothing is lost or doubled between them, whatever fails. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/collector/session.h"
#include "user/lane/futex.h"
#include "user/lane/lane_producer.h"
#include "user/reader/adat_verify.h"
#include "user/registry/thread_registry.h"

#define FILES_MAX 64u
#define FILE_BYTES (64u << 10)
#define EVENTS_AT_ONCE 2000u

/* ---- the files -------------------------------------------------------------------------------- */

/* Written by the drain thread; read when it says so, or has ended. */
typedef struct Files {
    int fds[FILES_MAX];
    bool complete[FILES_MAX];
    uint32_t finished;
    uint32_t tried; /* to open one */
    int open_error; /* for the next tries */
} Files;

static Files files;
static uint32_t failing_files; /* writes to files after the first fail */
static uint32_t failing_all;
static uint32_t failing_begins; /* so many first writes into files, after their headers */

static ssize_t faulty_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    if (ada_load_relaxed(&failing_all) || (offset == 0 && ada_load_relaxed(&failing_files))) {
        errno = ENOSPC;
        return -1;
    }
    if (offset == sizeof(AdatFileHeader) && ada_load_relaxed(&failing_begins) > 0) {
        (void)ada_fetch_sub_acq_rel(&failing_begins, 1u);
        errno = ENOSPC;
        return -1;
    }
    return pwrite(fd, data, size, offset);
}

static int open_next(void *context)
{
    Files *all = context;

    (void)ada_fetch_add_acq_rel(&all->tried, 1u);
    if (ada_load_relaxed(&all->open_error))
        return ada_load_relaxed(&all->open_error);
    return memfd_create("trace", MFD_CLOEXEC);
}

static void finished(void *context, int fd, bool complete)
{
    Files *all = context;

    CU_ASSERT_FATAL(all->finished < FILES_MAX);
    all->fds[all->finished] = fd;
    all->complete[all->finished] = complete;
    ada_store_release(&all->finished, all->finished + 1);
}

static void await(const uint32_t *counter, uint32_t count)
{
    while (ada_load_acquire(counter) < count)
        sched_yield();
}

/* ---- a session and a process ------------------------------------------------------------------ */

typedef struct Client {
    Segment segment;
    ThreadLaneSet *lanes;
    LaneWriter writer;
    LaneProducer producer;
    uint64_t recorded;
} Client;

static SessionFiles session_files = {.open_next = open_next, .finished = finished, .context = &files};

/* Another file begins after so many bytes, or ns; 0: not for that. */
static Session *start(Client *client, uint64_t bytes, uint64_t duration_ns)
{
    static const char *const strings[] = {"command", "test", NULL};
    SessionConfig config = {
        .strings = strings, .files = &session_files, .writer = {.pwrite = faulty_pwrite}, .state_fd = -1};
    SegmentConfig segment;
    Session *session = NULL;
    Segment mapping;
    uint32_t number;
    int fd, error = 0;

    session_files.bytes = bytes;
    session_files.duration_ns = duration_ns;
    memset(&files, 0, sizeof(files));
    memset(client, 0, sizeof(*client));
    ada_store_relaxed(&failing_files, 0u);
    ada_store_relaxed(&failing_all, 0u);
    ada_store_relaxed(&failing_begins, 0u);
    CU_ASSERT_EQUAL_FATAL(session_create(memfd_create("trace", MFD_CLOEXEC), &config, &session), 0);
    CU_ASSERT_EQUAL_FATAL(session_start(session), 0);

    segment_config_init(&segment);
    segment.enabled = 1;
    segment.policy = ADA_POLICY_DISCARD;
    CU_ASSERT_EQUAL_FATAL(segment_create(&segment, &client->segment, &fd), 0);
    client->segment.header->owner_pid = (uint32_t)getpid(); /* a thread that there is: somebody asks */
    ada_store_release(&client->segment.header->owner_ready, 1u);
    client->lanes = thread_registry_register(&client->segment, (uint32_t)getpid(), 1, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client->lanes);
    lane_producer_init(&client->producer, &client->writer, &client->lanes->index,
                       &client->lanes->metrics.lanes[ADA_LANE_INDEX],
                       segment_at(&client->segment, client->lanes->index.ring_pool_offset),
                       client->segment.header);
    lane_producer_set_hint(&client->producer, segment_registry(&client->segment), client->lanes->slot_index);
    CU_ASSERT_EQUAL_FATAL(segment_attach(fd, &mapping), 0);
    close(fd);
    CU_ASSERT_EQUAL_FATAL(session_attach(session, &mapping, getpid(), &number), 0);
    while (!ada_load_acquire(&client->segment.header->attached))
        sched_yield();
    return session;
}

/* Without waiting: some may be dropped. */
static void record_some(Client *client)
{
    for (uint32_t i = 0; i < EVENTS_AT_ONCE; i++) {
        uint32_t word = ADA_WORD(ADA_KIND_FUNCTION_ENTRY, 0, 0);

        if (!lane_write_index(&client->producer, word, 1, client->recorded + i, 0))
            (void)lane_write_index_slow(&client->producer, word, 1, client->recorded + i, 0);
    }
    client->recorded += EVENTS_AT_ONCE;
    (void)ada_fetch_add_acq_rel(&client->segment.header->doorbell, 1u);
    ada_futex_wake(&client->segment.header->doorbell);
}

/* Records until the counter has come to `count`. */
static void record_until(Client *client, const uint32_t *counter, uint32_t count)
{
    while (ada_load_acquire(counter) < count)
        record_some(client);
}

/* Ends it all; what became of all events, over all files, is the session's account, and it closes. */
static AdatAccount stop(Session *session, Client *client)
{
    SessionResult result;
    AdatAccount account;

    ada_store_relaxed(&failing_files, 0u);
    ada_store_relaxed(&failing_all, 0u);
    CU_ASSERT_EQUAL(session_stop(session), 0);
    session_result(session, &result);
    account = result.accounts->index;
    CU_ASSERT_EQUAL(account.attempted, client->recorded);
    CU_ASSERT_EQUAL(account.attempted, adat_account_sum(&account));
    CU_ASSERT_EQUAL(account.pending, 0);
    session_destroy(session);
    segment_unmap(&client->segment);
    return account;
}

/* Reads all files that were begun; each is sound. The sum of their ledgers, or of what blocks say where there is none. */
static AdatAccount read_files(void)
{
    AdatAccount sum = {0};

    for (uint32_t i = 0; i < files.finished; i++) {
        AdatReader *reader = NULL;
        AdatVerdict verdict = {0};
        AdatAccount account;

        if (lseek(files.fds[i], 0, SEEK_END) == 0) {
            CU_ASSERT_FALSE(files.complete[i]);
            close(files.fds[i]);
            continue;
        }
        CU_ASSERT_EQUAL_FATAL(adat_reader_open_fd(files.fds[i], &reader), 0);
        CU_ASSERT_EQUAL(adat_reader_info(reader)->closed, files.complete[i]);
        CU_ASSERT_EQUAL(adat_verify(reader, &verdict), 0);
        CU_ASSERT_EQUAL(verdict.problem_count, 0);
        for (size_t k = 0; k < verdict.kept; k++)
            printf("file %u of %u, complete %d: at %llu: %s\n", i + 1, files.finished, files.complete[i],
                   (unsigned long long)verdict.problems[k].offset, verdict.problems[k].text);
        /* Also if the first write into it failed. */
        if (files.complete[i]) {
            CU_ASSERT_PTR_NOT_NULL(adat_strings_find(adat_reader_session(reader), "command"));
            CU_ASSERT_EQUAL(adat_reader_clock_quality(reader), ADAT_CLOCK_ANCHORED);
        }
        account = adat_reader_events(reader);
        adat_account_add(&sum, &account);
        CU_ASSERT_EQUAL(verdict.events, account.in_file);
        adat_verdict_fini(&verdict);
        adat_reader_close(reader);
    }
    return sum;
}

static void expect_same(const AdatAccount *got, const AdatAccount *expected)
{
    CU_ASSERT_EQUAL(got->attempted, expected->attempted);
    CU_ASSERT_EQUAL(got->in_file, expected->in_file);
    CU_ASSERT_EQUAL(got->dropped_full, expected->dropped_full);
    CU_ASSERT_EQUAL(got->dropped_io, expected->dropped_io);
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void session_files__by_size__then_each_is_sound_and_together_they_have_all(void)
{
    AdatAccount account, sum;
    Session *session;
    Client client;

    session = start(&client, FILE_BYTES, 0);
    record_until(&client, &files.finished, 5);
    account = stop(session, &client);
    CU_ASSERT(files.finished >= 6);
    sum = read_files();
    expect_same(&sum, &account);
    CU_ASSERT(account.in_file > 0);
}

static void session_files__by_age__then_also_without_events(void)
{
    AdatAccount account, sum;
    Session *session;
    Client client;

    session = start(&client, 0, 1000000);
    record_some(&client);
    await(&files.finished, 1);
    record_until(&client, &files.finished, 4);
    account = stop(session, &client);
    sum = read_files();
    expect_same(&sum, &account);
}

static void session_files__next_cannot_be_opened__then_the_present_one_goes_on(void)
{
    AdatAccount account, sum;
    Session *session;
    Client client;

    session = start(&client, FILE_BYTES, 0);
    ada_store_relaxed(&files.open_error, -ENOSPC);
    record_until(&client, &files.tried, 2);
    CU_ASSERT_EQUAL(ada_load_acquire(&files.finished), 0);
    ada_store_relaxed(&files.open_error, 0);
    record_until(&client, &files.finished, 2);
    account = stop(session, &client);
    CU_ASSERT_EQUAL(account.dropped_io, 0);
    sum = read_files();
    expect_same(&sum, &account);
}

static void session_files__next_cannot_be_begun__then_the_present_one_goes_on(void)
{
    AdatAccount account, sum;
    Session *session;
    Client client;

    session = start(&client, FILE_BYTES, 0);
    ada_store_relaxed(&failing_files, 1u);
    record_until(&client, &files.finished, 1);
    ada_store_relaxed(&failing_files, 0u);
    CU_ASSERT_FALSE(files.complete[0]);
    record_until(&client, &files.finished, 3);
    account = stop(session, &client);
    CU_ASSERT_TRUE(files.complete[1]);
    sum = read_files();
    expect_same(&sum, &account);
}

/* What a file is of, and its clocks, come first, and are flushed at once. */
static void session_files__begin_of_a_file_fails__then_it_says_what_it_is_of_all_the_same(void)
{
    AdatAccount account, sum;
    Session *session;
    Client client;

    session = start(&client, FILE_BYTES, 0);
    ada_store_relaxed(&failing_begins, 2u);
    record_until(&client, &files.finished, 3);
    account = stop(session, &client);
    CU_ASSERT_EQUAL(ada_load_relaxed(&failing_begins), 0);
    sum = read_files();
    expect_same(&sum, &account);
}

static void session_files__disk_full_meanwhile__then_what_is_lost_is_in_an_account(void)
{
    AdatAccount account, sum;
    Session *session;
    Client client;

    session = start(&client, FILE_BYTES, 0);
    for (uint32_t i = 1; i < 4; i++) {
        record_until(&client, &files.finished, 2 * i);
        ada_store_relaxed(&failing_all, 1u);
        while (session_write_error(session) == 0)
            record_some(&client);
        ada_store_relaxed(&failing_all, 0u);
    }
    account = stop(session, &client);
    CU_ASSERT(account.dropped_io > 0);
    sum = read_files();
    CU_ASSERT_EQUAL(sum.in_file, account.in_file);
    /* A file that could not be completed has no ledger. */
    CU_ASSERT(sum.attempted <= account.attempted);
}

static const TestCase tests[] = {
    TEST(session_files__by_size__then_each_is_sound_and_together_they_have_all),
    TEST(session_files__by_age__then_also_without_events),
    TEST(session_files__next_cannot_be_opened__then_the_present_one_goes_on),
    TEST(session_files__next_cannot_be_begun__then_the_present_one_goes_on),
    TEST(session_files__begin_of_a_file_fails__then_it_says_what_it_is_of_all_the_same),
    TEST(session_files__disk_full_meanwhile__then_what_is_lost_is_in_an_account),
};
TEST_MAIN("session_files", tests)
