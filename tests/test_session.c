/* SPDX-License-Identifier: MIT */
/* A session: processes come, record, misbehave and go; the file and the accounts say so. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/collector/session.h"
#include "user/drain/thread_drain_account.h"
#include "user/lane/futex.h"
#include "user/lane/lane_producer.h"
#include "user/reader/adat_cursor.h"
#include "user/registry/thread_registry.h"

/*
 * Beyond it are the ids of processes and threads that nobody has: PID_MAX_LIMIT is 4,194,304. Were there a process of that id, housekeeping would
 * miss the thread in it, and take it for ended.
 */
#define NOBODY 5000000
#define RING_BYTES (1u << 20) /* a full lane is more than is taken of it in one iteration */

/* What a traced process has of its segment: its own mapping, one thread. */
typedef struct Client {
    Segment segment;
    int fd;
    ThreadLaneSet *lanes;
    LaneWriter writer;
    LaneProducer producer;
} Client;

static const char *const strings[] = {"command", "test", NULL};

static bool write_fails;

static ssize_t faulty_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    if (ada_load_relaxed(&write_fails)) {
        errno = ENOSPC;
        return -1;
    }
    return pwrite(fd, data, size, offset);
}

#define CLIENT_THREADS 16u

/* With metrics, if there is a hub for them. */
static Session *start_session_measured_every(int *trace_out, MetricsHub *hub, uint64_t interval_ns)
{
    SessionConfig config = {.strings = strings,
                            .writer = {.pwrite = faulty_pwrite},
                            .metrics_hub = hub,
                            .metrics_interval_ns = interval_ns,
                            .state_fd = -1};
    Session *session = NULL;
    int fd = memfd_create("trace", MFD_CLOEXEC);

    ada_store_relaxed(&write_fails, false);
    *trace_out = dup(fd);
    CU_ASSERT_EQUAL_FATAL(session_create(fd, &config, &session), 0);
    CU_ASSERT_EQUAL_FATAL(session_start(session), 0);
    return session;
}

static Session *start_measured_session(int *trace_out, MetricsHub *hub)
{
    return start_session_measured_every(trace_out, hub, 1000000);
}

static Session *start_session(int *trace_out)
{
    return start_session_measured_every(trace_out, NULL, 0);
}

static void bind(Client *client)
{
    lane_producer_init(&client->producer, &client->writer, &client->lanes->index,
                       &client->lanes->metrics.lanes[ADA_LANE_INDEX],
                       segment_at(&client->segment, client->lanes->index.ring_pool_offset),
                       client->segment.header);
    lane_producer_set_hint(&client->producer, segment_registry(&client->segment), client->lanes->slot_index);
}

/* Another thread, which record() then records for. */
static void add_thread(Client *client, uint32_t tid)
{
    int error = 0;

    client->lanes = thread_registry_register(&client->segment, tid, 1, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client->lanes);
    bind(client);
}

/* A process with one thread `tid`; without pid: one that nobody took over. */
static void create_client(Client *client, uint32_t pid, uint32_t tid)
{
    SegmentConfig config;

    memset(client, 0, sizeof(*client));
    segment_config_init(&config);
    config.threads = CLIENT_THREADS;
    config.ring_bytes = RING_BYTES;
    config.enabled = 1;
    CU_ASSERT_EQUAL_FATAL(segment_create(&config, &client->segment, &client->fd), 0);
    if (pid != 0) {
        client->segment.header->owner_pid = pid;
        strcpy(client->segment.header->program, "/bin/client");
        memcpy(client->segment.header->command, "client\0-x", 10);
        client->segment.header->command_bytes = 10;
        ada_store_release(&client->segment.header->owner_ready, 1u);
        add_thread(client, tid);
    }
}

/* Attaches it through a mapping of the collector's own. */
static uint32_t attach_client(Session *session, Client *client)
{
    Segment mapping;
    uint32_t number = 0;

    CU_ASSERT_EQUAL_FATAL(segment_attach(client->fd, &mapping), 0);
    CU_ASSERT_EQUAL_FATAL(session_attach(session, &mapping, (pid_t)client->segment.header->owner_pid, &number),
                          0);
    return number;
}

static uint32_t attach(Session *session, Client *client, uint32_t pid, uint32_t tid)
{
    create_client(client, pid, tid);
    return attach_client(session, client);
}

/* As a client does when a thread came or went, for a collector that sleeps. */
static void ring(Client *client)
{
    (void)ada_fetch_add_acq_rel(&client->segment.header->doorbell, 1u);
    ada_futex_wake(&client->segment.header->doorbell);
}

static void detach(Client *client)
{
    segment_unmap(&client->segment);
    close(client->fd);
}

static void record(Client *client, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint32_t word = ADA_WORD(ADA_KIND_INSTANT, 0, 0);

        if (!lane_write_index(&client->producer, word, 1, first + i, 0))
            CU_ASSERT_EQUAL(lane_write_index_slow(&client->producer, word, 1, first + i, 0), 0);
    }
}

static AdatReader *open_trace(int trace)
{
    AdatReader *reader = NULL;

    CU_ASSERT_EQUAL_FATAL(adat_reader_open_fd(trace, &reader), 0);
    return reader;
}

static uint64_t count_events(const AdatReader *reader, uint32_t tid)
{
    AdatCursor *cursor = NULL;
    AdatEvent event;
    uint64_t count = 0;
    int result;

    CU_ASSERT_EQUAL_FATAL(adat_cursor_create(reader, NULL, &cursor), 0);
    while ((result = adat_cursor_next(cursor, &event)) == 1)
        count += event.thread->thread.tid == tid;
    CU_ASSERT_EQUAL(result, 0);
    adat_cursor_destroy(cursor);
    return count;
}

static void session__process_ends__then_all_in_file_and_death_recorded(void)
{
    SessionResult result;
    AdatReader *reader;
    Client client;
    int trace;
    Session *session = start_session(&trace);
    uint32_t number = attach(session, &client, NOBODY + 4242, NOBODY + 4243);

    record(&client, 0, 3000);
    session_process_ended(session, number, (ProcessEnd){ADAT_DEATH_SIGNAL, 9});
    CU_ASSERT_EQUAL(session_stop(session), 0);
    session_result(session, &result);
    CU_ASSERT(result.closed);
    CU_ASSERT_EQUAL(result.processes, 1);
    CU_ASSERT_EQUAL(result.threads, 1);
    CU_ASSERT_EQUAL(result.detached, 0);
    CU_ASSERT_EQUAL(result.accounts->index.in_file, 3000);
    CU_ASSERT_EQUAL(result.accounts->index.attempted, 3000);

    reader = open_trace(trace);
    CU_ASSERT_EQUAL(count_events(reader, NOBODY + 4243), 3000);
    CU_ASSERT_EQUAL(adat_reader_process(reader, 0)->process.pid, NOBODY + 4242);
    CU_ASSERT_STRING_EQUAL(adat_strings_find(adat_reader_process(reader, 0)->strings, "command"), "client -x");
    CU_ASSERT(adat_reader_process(reader, 0)->died);
    CU_ASSERT_EQUAL(adat_reader_process(reader, 0)->death.kind, ADAT_DEATH_SIGNAL);
    CU_ASSERT_EQUAL(adat_reader_process(reader, 0)->death.code, 9);
    CU_ASSERT_EQUAL(adat_reader_process(reader, 0)->death.drain_complete, 1);
    adat_reader_close(reader);
    session_destroy(session);
    detach(&client);
}

/* Nobody recorded when it died; somebody kept its segment. */
static void session__attached_when_it_is_gone__then_drained_and_death_unknown(void)
{
    SessionResult result;
    AdatReader *reader;
    Client client;
    Segment mapping;
    uint32_t number;
    int trace;
    Session *session = start_session(&trace);

    create_client(&client, NOBODY + 4242, NOBODY + 4243);
    ada_store_relaxed(&client.segment.header->enabled, 0u);
    record(&client, 0, 300);
    add_thread(&client, NOBODY + 4244);
    record(&client, 300, 200);
    CU_ASSERT_EQUAL_FATAL(segment_attach(client.fd, &mapping), 0);
    CU_ASSERT_EQUAL_FATAL(
        session_attach_ended(session, &mapping, 4242, (ProcessEnd){.kind = ADAT_DEATH_UNKNOWN}, &number), 0);
    CU_ASSERT_EQUAL(session_stop(session), 0);
    CU_ASSERT_EQUAL(client.segment.header->enabled, 0); /* no gate is opened for nobody */
    CU_ASSERT_TRUE(thread_drain_is_settled(segment_lane_set(&client.segment, 0)));
    CU_ASSERT_TRUE(thread_drain_is_settled(segment_lane_set(&client.segment, 1)));
    session_result(session, &result);
    CU_ASSERT_EQUAL(result.detached, 0);
    CU_ASSERT_EQUAL(result.accounts->index.in_file, 500);

    reader = open_trace(trace);
    CU_ASSERT_EQUAL(count_events(reader, NOBODY + 4243), 300);
    CU_ASSERT_EQUAL(count_events(reader, NOBODY + 4244), 200);
    CU_ASSERT(adat_reader_process(reader, 0)->died);
    CU_ASSERT_EQUAL(adat_reader_process(reader, 0)->death.kind, ADAT_DEATH_UNKNOWN);
    CU_ASSERT_EQUAL(adat_reader_process(reader, 0)->death.drain_complete, 1);
    adat_reader_close(reader);
    session_destroy(session);
    detach(&client);
}

/* The full lane takes several iterations, while the others are done with after one: nobody is taken twice. */
static void session__threads_of_a_dead_process_end_apart__then_each_counted_once(void)
{
    SessionResult result;
    AdatReader *reader;
    Client client;
    int trace;
    Session *session = start_session(&trace);
    uint64_t many = 3ull * RING_BYTES / ADA_INDEX_EVENT_SIZE;

    create_client(&client, NOBODY + 600, NOBODY + 601);
    record(&client, 0, 1);
    add_thread(&client, NOBODY + 602);
    record(&client, 0, many);
    add_thread(&client, NOBODY + 603);
    record(&client, 0, 7);
    session_process_ended(session, attach_client(session, &client), (ProcessEnd){.kind = ADAT_DEATH_EXIT});
    CU_ASSERT_EQUAL(session_stop(session), 0);
    session_result(session, &result);
    CU_ASSERT_EQUAL(result.threads, 3);
    CU_ASSERT_EQUAL(result.accounts->index.in_file, many + 8);
    CU_ASSERT_EQUAL(result.accounts->index.attempted, many + 8);
    session_destroy(session);
    reader = open_trace(trace);
    CU_ASSERT_EQUAL(count_events(reader, NOBODY + 601), 1);
    CU_ASSERT_EQUAL(count_events(reader, NOBODY + 602), many);
    CU_ASSERT_EQUAL(count_events(reader, NOBODY + 603), 7);
    adat_reader_close(reader);
    detach(&client);
}

static void session__stop_while_running__then_detached_and_gate_shut(void)
{
    SessionResult result;
    Client client;
    int trace;
    Session *session = start_session(&trace);

    (void)attach(session, &client, NOBODY + 4242, NOBODY + 4243);
    record(&client, 0, 10);
    CU_ASSERT_EQUAL(session_stop(session), 0);
    session_result(session, &result);
    CU_ASSERT_EQUAL(result.detached, 1);
    CU_ASSERT_EQUAL(result.accounts->index.in_file, 10);
    CU_ASSERT_EQUAL(ada_load_relaxed(&client.segment.header->enabled), 0);
    CU_ASSERT_EQUAL(ada_load_relaxed(&client.segment.header->attached), 0);
    CU_ASSERT(!thread_registry_has_room(&client.segment));
    session_destroy(session);
    close(trace);
    detach(&client);
}

static void session__segment_never_claimed__then_not_a_process(void)
{
    SessionResult result;
    Client client;
    int trace;
    Session *session = start_session(&trace);
    uint32_t number = attach(session, &client, 0, 0);

    session_identify(session, number, 0);
    CU_ASSERT_EQUAL(session_stop(session), 0);
    session_result(session, &result);
    CU_ASSERT_EQUAL(result.processes, 0);
    CU_ASSERT_EQUAL(result.detached, 0);
    session_destroy(session);
    close(trace);
    detach(&client);
}

static void session__hostile_process__then_quarantined_and_others_unharmed(void)
{
    SessionResult result;
    Client good, bad;
    AdatReader *reader;
    int trace;
    Session *session = start_session(&trace);
    uint32_t good_number = attach(session, &good, NOBODY + 100, NOBODY + 101);
    uint32_t bad_number = attach(session, &bad, NOBODY + 200, NOBODY + 201);

    record(&good, 0, 500);
    ada_store_release(&bad.lanes->index.rings[0].published, UINT64_MAX);
    record(&good, 500, 500);
    session_process_ended(session, good_number, (ProcessEnd){ADAT_DEATH_EXIT, 0});
    session_process_ended(session, bad_number, (ProcessEnd){ADAT_DEATH_EXIT, 0});
    CU_ASSERT_EQUAL(session_stop(session), 0);
    session_result(session, &result);
    CU_ASSERT_EQUAL(result.quarantined, 1);
    CU_ASSERT_EQUAL(result.quarantine_pid, NOBODY + 200);
    CU_ASSERT_PTR_NOT_NULL(result.quarantine);
    CU_ASSERT_EQUAL(ada_load_relaxed(&bad.segment.header->enabled), 0);
    CU_ASSERT_EQUAL(ada_load_relaxed(&bad.segment.header->attached), 0);
    reader = open_trace(trace);
    CU_ASSERT_EQUAL(count_events(reader, NOBODY + 101), 1000);
    adat_reader_close(reader);
    session_destroy(session);
    detach(&good);
    detach(&bad);
}

static void session__thread_ends__then_slot_recycled(void)
{
    SessionResult result;
    Client client;
    int error = 0;
    int trace;
    Session *session = start_session(&trace);

    (void)attach(session, &client, NOBODY + 300, NOBODY + 301);
    for (uint32_t tid = NOBODY + 301; tid < NOBODY + 321; tid++) {
        ThreadLaneSet *lanes = client.lanes;

        record(&client, 0, 100);
        CU_ASSERT(thread_registry_unregister(&client.segment, lanes));
        ring(&client);
        /* The count is the last step of a release: a slot that only says FREE may not be offered yet. */
        while (ada_load_acquire(&segment_registry(&client.segment)->thread_count) != 0)
            sched_yield();
        CU_ASSERT_EQUAL(ada_load_acquire(&lanes->state), ADA_SLOT_FREE);
        client.lanes = thread_registry_register(&client.segment, tid + 1, 1, &error);
        CU_ASSERT_PTR_EQUAL_FATAL(client.lanes, lanes);
        bind(&client);
        ring(&client);
    }
    CU_ASSERT_EQUAL(session_stop(session), 0);
    session_result(session, &result);
    CU_ASSERT_EQUAL(result.threads, 21);
    CU_ASSERT_EQUAL(result.accounts->index.in_file, 2000);
    CU_ASSERT_EQUAL(result.accounts->thread_count, 21);
    session_destroy(session);
    close(trace);
    detach(&client);
}

/* A thread that the kernel does not know, of a process that it does: it ended without a word. */
static void session__thread_gone_without_destructor__then_slot_recycled(void)
{
    Client client;
    int trace;
    Session *session = start_session(&trace);

    (void)attach(session, &client, (uint32_t)getpid(), 0x7ffffff);
    record(&client, 0, 5);
    while (ada_load_acquire(&client.lanes->state) != ADA_SLOT_FREE)
        sched_yield(); /* the next housekeeping */
    CU_ASSERT_EQUAL(session_stop(session), 0);
    session_destroy(session);
    close(trace);
    detach(&client);
}

static void session__disk_full_and_free_again__then_exact_and_valid(void)
{
    SessionResult result;
    AdatReader *reader;
    Client client;
    int trace;
    Session *session = start_session(&trace);
    uint32_t number = attach(session, &client, NOBODY + 400, NOBODY + 401);

    record(&client, 0, 100);
    while (ada_load_acquire(&client.lanes->index.drained_records) < 100)
        sched_yield();
    ada_store_relaxed(&write_fails, true);
    while (session_write_error(session) == 0)
        record(&client, 0, 1), sched_yield();
    CU_ASSERT_EQUAL(session_write_error(session), -ENOSPC);
    ada_store_relaxed(&write_fails, false);
    while (session_write_error(session) != 0)
        record(&client, 0, 1), sched_yield();
    session_process_ended(session, number, (ProcessEnd){ADAT_DEATH_EXIT, 0});
    CU_ASSERT_EQUAL(session_stop(session), 0);
    session_result(session, &result);
    CU_ASSERT(result.closed);
    CU_ASSERT(result.drain.failed_writes > 0);
    CU_ASSERT(result.accounts->index.dropped_io > 0);
    CU_ASSERT_EQUAL(result.accounts->index.attempted,
                    result.accounts->index.in_file + result.accounts->index.dropped_io);
    reader = open_trace(trace);
    CU_ASSERT_EQUAL(count_events(reader, NOBODY + 401), result.accounts->index.in_file);
    CU_ASSERT_EQUAL(adat_reader_process(reader, 0)->process.pid,
                    NOBODY + 400); /* written again after the loss, if it was lost */
    adat_reader_close(reader);
    session_destroy(session);
    detach(&client);
}

static void session__many_events_and_modules__then_described(void)
{
    AdatReader *reader;
    Client client;
    int trace;
    Session *session = start_session(&trace);
    uint32_t number;
    AdaEventDescriptor *entry;
    AdaModule *module;

    number = attach(session, &client, NOBODY + 500, NOBODY + 501);
    entry = segment_event(&client.segment, 0);
    memset(entry->name, 'n', sizeof(entry->name)); /* no NUL, too many fields: a hostile entry */
    entry->field_count = 1000;
    entry->id = 77;
    ada_store_release(&entry->ready, 1u);
    module = segment_module(&client.segment, 0);
    memset(module->path, 'p', sizeof(module->path));
    module->build_id_size = 1000;
    module->size = 4096;
    module->ready = 1;
    ada_store_relaxed(&client.segment.header->event_count, UINT32_MAX);
    ada_store_release(&client.segment.header->module_count, UINT32_MAX);
    record(&client, 0, 1);
    session_process_ended(session, number, (ProcessEnd){ADAT_DEATH_EXIT, 0});
    CU_ASSERT_EQUAL(session_stop(session), 0);
    reader = open_trace(trace);
    CU_ASSERT_PTR_NOT_NULL_FATAL(adat_reader_descriptor(reader, 1, 1));
    CU_ASSERT_EQUAL(strlen(adat_reader_descriptor(reader, 1, 1)->name), ADA_EVENT_NAME_SIZE - 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(adat_reader_module(reader, 1, 100));
    CU_ASSERT_EQUAL(strlen(adat_reader_module(reader, 1, 100)->path), ADA_MODULE_PATH_SIZE - 1);
    adat_reader_close(reader);
    session_destroy(session);
    detach(&client);
}

static bool account_closes(const MetricsFigures *figures)
{
    return figures->index.attempted == adat_account_sum(&figures->index) &&
           figures->detail.attempted == adat_account_sum(&figures->detail);
}

/* Threads come and go, and at every moment what is told adds up, and is never less than before. */
static void session__metrics__then_every_snapshot_closes_and_the_last_is_the_account(void)
{
    MetricsHub hub;
    const MetricsSnapshot *snapshot;
    SessionResult result;
    Client client;
    int trace;
    Session *session;
    uint64_t sequence = 0, attempted = 0, threads = 0;
    uint32_t number, rounds = 0, ended = 0, shown = 0;

    metrics_hub_init(&hub);
    session = start_measured_session(&trace, &hub);
    number = attach(session, &client, NOBODY + 800, NOBODY + 801);
    strcpy(client.lanes->name, "measured");
    for (; rounds < 30 || (ended == 0 && rounds < 3000); rounds++) {
        ThreadLaneSet *lanes = client.lanes;

        record(&client, 0, 100);
        CU_ASSERT(thread_registry_unregister(&client.segment, lanes));
        ring(&client);
        while (ada_load_acquire(&lanes->state) != ADA_SLOT_FREE)
            sched_yield();
        add_thread(&client, NOBODY + 802 + rounds);
        ring(&client);
        do {
            snapshot = metrics_hub_acquire(&hub);
            if (snapshot && snapshot->sequence > sequence)
                break;
            metrics_snapshot_release(snapshot);
            sched_yield();
        } while (true);
        CU_ASSERT(account_closes(&snapshot->total));
        CU_ASSERT(snapshot->total.index.attempted >= attempted);
        CU_ASSERT(snapshot->threads_ever >= threads);
        CU_ASSERT(snapshot->thread_count <= 4); /* one alive, one on its way, and those that ended */
        for (size_t i = 0; i < snapshot->thread_count; i++) {
            const MetricsThread *thread = &snapshot->threads[i];

            CU_ASSERT(account_closes(&thread->figures));
            CU_ASSERT(!thread->ended || thread->figures.index.in_file == 100);
            CU_ASSERT(!thread->ended || thread->tid != shown); /* once */
            shown = thread->ended ? thread->tid : shown;
            ended += thread->ended;
        }
        for (size_t i = 0; i < snapshot->process_count; i++) {
            CU_ASSERT(account_closes(&snapshot->processes[i].figures));
            CU_ASSERT_EQUAL(snapshot->processes[i].pid, NOBODY + 800);
            CU_ASSERT_STRING_EQUAL(snapshot->processes[i].program, "/bin/client");
        }
        sequence = snapshot->sequence;
        attempted = snapshot->total.index.attempted;
        threads = snapshot->threads_ever;
        metrics_snapshot_release(snapshot);
    }
    CU_ASSERT(ended > 0 && ended <= rounds); /* each was shown in one snapshot, not all of which we saw */
    session_process_ended(session, number, (ProcessEnd){.kind = ADAT_DEATH_EXIT});
    CU_ASSERT_EQUAL(session_stop(session), 0);
    session_result(session, &result);
    snapshot = metrics_hub_acquire(&hub);
    CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
    CU_ASSERT_EQUAL(snapshot->total.index.in_file, 100 * rounds);
    CU_ASSERT_EQUAL(snapshot->total.index.attempted, result.accounts->index.attempted);
    CU_ASSERT_EQUAL(snapshot->total.index.pending, 0);
    CU_ASSERT_EQUAL(snapshot->total.bytes, 100 * rounds * ADA_INDEX_EVENT_SIZE);
    CU_ASSERT_EQUAL(snapshot->threads_ever, rounds + 1);
    CU_ASSERT_EQUAL(snapshot->threads_alive, 0);
    CU_ASSERT_EQUAL(snapshot->processes_ever, 1);
    CU_ASSERT_EQUAL(snapshot->latency.count, result.drain.latency_count);
    CU_ASSERT_EQUAL(snapshot->file_bytes, result.bytes);
    CU_ASSERT(snapshot->memory_bytes > 100000);
    metrics_snapshot_release(snapshot);
    session_destroy(session);
    metrics_hub_fini(&hub);
    close(trace);
    detach(&client);
}

/* The first snapshot after `sequence`, which becomes its. */
static const MetricsSnapshot *next_snapshot(MetricsHub *hub, uint64_t *sequence)
{
    const MetricsSnapshot *snapshot;

    while (!(snapshot = metrics_hub_acquire(hub)) || snapshot->sequence <= *sequence) {
        metrics_snapshot_release(snapshot);
        sched_yield();
    }
    *sequence = snapshot->sequence;
    return snapshot;
}

/* Threads that fall silent are not looked at any more; their figures stay, and are new ones when they record again. */
static void session__quiet_threads__then_figures_stay_until_they_record(void)
{
    Client threads[CLIENT_THREADS];
    uint64_t expected[CLIENT_THREADS], sequence = 0, all = 0, quiet = 0;
    const MetricsSnapshot *snapshot;
    MetricsHub hub;
    int trace;
    Session *session;

    metrics_hub_init(&hub);
    session = start_measured_session(&trace, &hub);
    create_client(&threads[0], NOBODY + 830, NOBODY + 831);
    expected[0] = 0;
    for (uint32_t i = 1; i < CLIENT_THREADS; i++) {
        threads[i] = threads[0]; /* of the same process */
        add_thread(&threads[i], NOBODY + 831 + i);
        expected[i] = 0;
    }
    (void)attach_client(session, &threads[0]);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = round; i < CLIENT_THREADS; i++) { /* another one falls silent each round */
            record(&threads[i], 0, 10 * (i + 1));
            expected[i] += 10 * (i + 1);
            all += 10 * (i + 1);
        }
        do {
            snapshot = next_snapshot(&hub, &sequence);
            if (snapshot->total.index.in_file == all && snapshot->total.events_per_second <= 0)
                break;
            metrics_snapshot_release(snapshot);
        } while (true);
        CU_ASSERT_EQUAL_FATAL(snapshot->thread_count, CLIENT_THREADS);
        for (uint32_t i = 0; i < CLIENT_THREADS; i++) {
            CU_ASSERT_EQUAL(snapshot->threads[i].tid, NOBODY + 831 + i);
            CU_ASSERT_EQUAL(snapshot->threads[i].figures.index.in_file, expected[i]);
            CU_ASSERT(account_closes(&snapshot->threads[i].figures));
            quiet += snapshot->threads[i].figures.events_per_second <= 0;
        }
        metrics_snapshot_release(snapshot);
    }
    CU_ASSERT(quiet >= CLIENT_THREADS);
    CU_ASSERT_EQUAL(session_stop(session), 0);
    session_destroy(session);
    metrics_hub_fini(&hub);
    close(trace);
    detach(&threads[0]);
}

/* It recorded, was drained and fell silent again, all between two snapshots. */
static void session__burst_between_snapshots__then_in_the_next(void)
{
    const MetricsSnapshot *snapshot;
    uint64_t sequence = 0, before = 0;
    MetricsHub hub;
    Client client;
    int trace;
    bool taken_in;
    Session *session;

    metrics_hub_init(&hub);
    session = start_session_measured_every(&trace, &hub, 300000000);
    (void)attach(session, &client, (uint32_t)getpid(),
                 (uint32_t)gettid()); /* it is there, and is not taken for ended */
    do {                              /* the first one may be from before it was taken in */
        snapshot = next_snapshot(&hub, &sequence);
        taken_in = snapshot->thread_count > 0;
        before = snapshot->monotonic_ns;
        metrics_snapshot_release(snapshot);
    } while (!taken_in);
    for (uint64_t burst = 0, judged = 0; judged < 3; burst++) {
        bool all_seen = true;
        double events = 0;

        for (uint32_t i = 0; i < 2; i++) { /* one of silence */
            uint64_t previous = sequence;

            snapshot = next_snapshot(&hub, &sequence);
            all_seen = all_seen && sequence == previous + 1; /* not so if this thread had to wait for a CPU */
            CU_ASSERT(snapshot->total.index.in_file <= 50 * burst);
            if (i == 1)
                CU_ASSERT_EQUAL(snapshot->threads[0].figures.index.in_file, 50 * burst);
            events += snapshot->threads[0].figures.events_per_second *
                      (double)(snapshot->monotonic_ns - before) / 1e9;
            before = snapshot->monotonic_ns;
            metrics_snapshot_release(snapshot);
        }
        if (all_seen && burst > 0) {
            CU_ASSERT_DOUBLE_EQUAL(events, 50, 0.1); /* rates are of one interval each */
            judged++;
        }
        record(&client, 0, 50);
    }
    CU_ASSERT_EQUAL(session_stop(session), 0);
    session_destroy(session);
    metrics_hub_fini(&hub);
    close(trace);
    detach(&client);
}

/* Somebody who reads the file while the recorder is alive sees what is there if it is killed now. */
static void session__file_without_an_end__then_last_figures_in_it(void)
{
    const AdatThreadInfo *thread;
    AdatReader *reader;
    Client client;
    int trace;
    Session *session = start_session(&trace);
    bool observed = false;

    (void)attach(session, &client, (uint32_t)getpid(),
                 (uint32_t)gettid()); /* it is there, and is not taken for ended */
    record(&client, 0, 1000);
    /* After the last block: none tells of it. */
    ada_store_relaxed(&client.lanes->metrics.lanes[ADA_LANE_INDEX].counters.dropped_full, 50ull);
    while (!observed) {
        (void)usleep(10000);
        CU_ASSERT_EQUAL_FATAL(adat_reader_open_fd(dup(trace), &reader), 0);
        thread = adat_reader_thread(reader, 0);
        observed = thread && thread->observed;
        if (observed) {
            CU_ASSERT_FALSE(adat_reader_info(reader)->has_ledger);
            CU_ASSERT_FALSE(thread->accounted);
            CU_ASSERT_EQUAL(thread->events.attempted, 1050);
            CU_ASSERT_EQUAL(thread->events.in_file, 1000);
            CU_ASSERT_EQUAL(thread->events.dropped_full, 50);
        }
        adat_reader_close(reader);
    }
    CU_ASSERT_EQUAL(session_stop(session), 0);
    CU_ASSERT_EQUAL_FATAL(adat_reader_open_fd(dup(trace), &reader), 0);
    thread = adat_reader_thread(reader, 0);
    CU_ASSERT_TRUE(thread->accounted);
    CU_ASSERT_FALSE(thread->observed);
    CU_ASSERT_EQUAL(thread->events.attempted, 1050);
    adat_reader_close(reader);
    session_destroy(session);
    close(trace);
    detach(&client);
}

/* Lost events in plenty: a mark in the trace, and somebody may ask. */
static void session__anomaly__then_in_the_trace_and_told_once(void)
{
    const AdatMarkInfo *mark;
    AdatReader *reader;
    MetricsHub hub;
    Client client;
    int trace;
    Session *session;
    uint32_t anomalies = 0;

    metrics_hub_init(&hub);
    session = start_measured_session(&trace, &hub);
    (void)attach(session, &client, NOBODY + 810, NOBODY + 811);
    record(&client, 0, 1000);
    /* as it would count */
    ada_store_relaxed(&client.lanes->metrics.lanes[ADA_LANE_INDEX].counters.dropped_full, 500ull);
    while (!(anomalies & 1u << METRICS_ANOMALY_DROP_BURST)) {
        anomalies |= session_take_anomalies(session);
        sched_yield();
    }
    CU_ASSERT_FALSE(session_take_anomalies(session) & 1u << METRICS_ANOMALY_DROP_BURST);
    CU_ASSERT_EQUAL(session_stop(session), 0);
    CU_ASSERT_EQUAL_FATAL(adat_reader_open_fd(dup(trace), &reader), 0);
    for (size_t i = 0; (mark = adat_reader_mark(reader, i)); i++) {
        if (strcmp(mark->mark.reason, "anomaly: drop_burst") == 0)
            break;
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(mark);
    CU_ASSERT_TRUE(mark->anomaly);
    CU_ASSERT_PTR_NULL(mark->thread);
    CU_ASSERT(mark->time_ns >= 0 && (uint64_t)mark->time_ns <= adat_reader_duration(reader));
    adat_reader_close(reader);
    session_destroy(session);
    metrics_hub_fini(&hub);
    close(trace);
    detach(&client);
}

static void session__first_write_fails__then_create_fails(void)
{
    SessionConfig config = {.strings = strings, .writer = {.pwrite = faulty_pwrite}, .state_fd = -1};
    Session *session = NULL;

    ada_store_relaxed(&write_fails, true);
    CU_ASSERT_EQUAL(session_create(memfd_create("trace", MFD_CLOEXEC), &config, &session), -ENOSPC);
    CU_ASSERT_PTR_NULL(session);
    session_destroy(NULL);
}

static const TestCase tests[] = {
    TEST(session__process_ends__then_all_in_file_and_death_recorded),
    TEST(session__attached_when_it_is_gone__then_drained_and_death_unknown),
    TEST(session__threads_of_a_dead_process_end_apart__then_each_counted_once),
    TEST(session__stop_while_running__then_detached_and_gate_shut),
    TEST(session__segment_never_claimed__then_not_a_process),
    TEST(session__hostile_process__then_quarantined_and_others_unharmed),
    TEST(session__thread_ends__then_slot_recycled),
    TEST(session__thread_gone_without_destructor__then_slot_recycled),
    TEST(session__disk_full_and_free_again__then_exact_and_valid),
    TEST(session__many_events_and_modules__then_described),
    TEST(session__metrics__then_every_snapshot_closes_and_the_last_is_the_account),
    TEST(session__quiet_threads__then_figures_stay_until_they_record),
    TEST(session__burst_between_snapshots__then_in_the_next),
    TEST(session__file_without_an_end__then_last_figures_in_it),
    TEST(session__anomaly__then_in_the_trace_and_told_once),
    TEST(session__first_write_fails__then_create_fails),
};
TEST_MAIN("session", tests)
