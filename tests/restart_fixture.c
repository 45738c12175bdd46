/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "restart_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_support.h"
#include "user/base/array.h"
#include "user/collector/segment_recovery.h"
#include "user/collector/session.h"
#include "user/file/block_scan.h"
#include "user/file/event_pack.h"
#include "user/lane/futex.h"
#include "user/lane/test_point.h"
#include "user/reader/adat_verify.h"

#define FILES_MAX 4096u
#define OWNER_PID 77u /* in a namespace of its own: nobody asks after its threads */

/* ---- life ------------------------------------------------------------------------------------- */

void restart_init(RestartFixture *fixture, uint32_t policy, uint32_t detail, uint64_t file_bytes)
{
    SegmentConfig config;

    *fixture = (RestartFixture){.stop_pipe = -1, .file_bytes = file_bytes, .housekeeping_ns = 2000000};
    fixture->shared =
        mmap(NULL, sizeof(*fixture->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_FATAL(fixture->shared != MAP_FAILED);
    segment_config_init(&config);
    config.policy = policy;
    config.detail = detail;
    config.ring_bytes = ADA_RING_BYTES_MIN;
    config.block_timeout_ns = 1000000;
    config.clock_kind = ADA_CLOCK_MONOTONIC;
    CU_ASSERT_EQUAL_FATAL(segment_create(&config, &fixture->segment, &fixture->segment_fd), 0);
    fixture->segment.header->owner_pid = OWNER_PID;
    fixture->segment.header->owner_started_at = ada_clock_monotonic_ns();
    ada_store_release(&fixture->segment.header->owner_ready, 1u);
    (void)strcpy(fixture->path, "/tmp/adat-restart-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(fixture->path));
}

static int open_directory(const RestartFixture *fixture)
{
    return open(fixture->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool is_partial(const char *name)
{
    return strstr(name, ".partial") != NULL;
}

void restart_fini(RestartFixture *fixture)
{
    int directory = open_directory(fixture);
    struct dirent **names = NULL;
    int count = scandir(fixture->path, &names, is_file, by_name);

    for (int i = 0; i < count; i++) {
        (void)unlinkat(directory, names[i]->d_name, 0);
        free(names[i]);
    }
    free(names);
    close(directory);
    (void)rmdir(fixture->path);
    if (fixture->stop_pipe >= 0)
        close(fixture->stop_pipe);
    segment_unmap(&fixture->segment);
    close(fixture->segment_fd);
    (void)munmap(fixture->shared, sizeof(*fixture->shared));
}

/* ---- the collector, in a process of its own ----------------------------------------------------- */

static const char *death_point;
static uint32_t death_countdown;

static void die_here(const char *point)
{
    if (death_point && strcmp(point, death_point) == 0 &&
        ada_fetch_add_acq_rel(&death_countdown, UINT32_MAX) == 1)
        (void)kill(getpid(), SIGKILL);
}

static ssize_t mortal_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    ssize_t written;

    die_here("pwrite.before");
    if (death_point && strcmp(death_point, "pwrite.amid") == 0)
        (void)!pwrite(fd, data, size / 2, offset);
    die_here("pwrite.amid");
    written = pwrite(fd, data, size, offset);
    die_here("pwrite.after");
    return written;
}

typedef struct Files {
    const RestartFixture *fixture;
    int directory;
    uint32_t number; /* of the present file */
    uint64_t valid_bytes[64];
} Files;

static void name_file(char name[32], uint32_t number, bool partial)
{
    (void)snprintf(name, 32, "%06u.adat%s", number, partial ? ".partial" : "");
}

static int open_next(void *context)
{
    Files *files = context;
    char name[32];
    int fd;

    name_file(name, files->number + 1, true);
    fd = openat(files->directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    files->number++;
    return fd;
}

static void complete(const Files *files, uint32_t number)
{
    char from[32], to[32];

    name_file(from, number, true);
    name_file(to, number, false);
    (void)renameat(files->directory, from, files->directory, to);
}

/* The file before the one that was opened last, or the last one. */
static void finished(void *context, int fd, bool is_complete)
{
    const Files *files = context;
    struct stat file, st;
    char name[32];

    (void)is_complete;
    for (uint32_t number = files->number; number > 0; number--) {
        name_file(name, number, true);
        if (fstat(fd, &file) == 0 && fstatat(files->directory, name, &st, 0) == 0 && st.st_ino == file.st_ino) {
            complete(files, number);
            break;
        }
    }
    close(fd);
}

static void scan_file(Files *files, const char *name, AdatRecovery *recovery, uint64_t *valid_bytes)
{
    int fd = openat(files->directory, name, O_RDONLY | O_CLOEXEC);

    if (adat_recover_scan(fd, recovery, valid_bytes) != 0)
        abort();
    close(fd);
}

/* What the collector before left is looked at, noted in the segment, cut off, and complete then; in this order. */
static void adopt(Files *files, const Segment *segment, AdatRecovery *recovery)
{
    struct dirent **names = NULL;
    int count = scandir(files->fixture->path, &names, is_file, by_name);
    uint32_t left = 0;

    for (int i = 0; i < count; i++) {
        files->number = (uint32_t)strtoul(names[i]->d_name, NULL, 10);
        if (is_partial(names[i]->d_name))
            scan_file(files, names[i]->d_name, recovery, &files->valid_bytes[left++]);
    }
    die_here("restart.scanned");
    segment_recover(segment, getppid(), recovery);
    die_here("restart.recovered");
    left = 0;
    for (int i = 0; i < count; i++) {
        uint32_t number = (uint32_t)strtoul(names[i]->d_name, NULL, 10);
        uint64_t valid_bytes;
        int fd;

        if (!is_partial(names[i]->d_name))
            continue;
        valid_bytes = files->valid_bytes[left++];
        fd = openat(files->directory, names[i]->d_name, O_WRONLY | O_CLOEXEC);
        if (ftruncate(fd, (off_t)valid_bytes) != 0)
            abort();
        close(fd);
        if (valid_bytes == 0)
            (void)unlinkat(files->directory, names[i]->d_name, 0);
        else
            complete(files, number);
    }
    die_here("restart.completed");
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static void collect(const RestartFixture *fixture, int stop, bool gone)
{
    static const char *const strings[] = {"command", "test", NULL};
    Files files = {.fixture = fixture, .directory = open_directory(fixture)};
    SessionFiles session_files = {
        .bytes = fixture->file_bytes, .open_next = open_next, .finished = finished, .context = &files};
    AdatRecovery *recovery = adat_recovery_create();
    SessionConfig config = {
        .strings = strings,
        .files = &session_files,
        .writer = {.pwrite = mortal_pwrite, .buffer_bytes = 32u << 10},
        .housekeeping_ns = fixture->housekeeping_ns,
        .state_fd = -1,
        .recovered = recovery,
    };
    const ProcessEnd unknown = {.kind = ADAT_DEATH_UNKNOWN};
    Session *session;
    Segment mapping;
    uint32_t number;
    char how = 0;

    if (segment_attach(fixture->segment_fd, &mapping) != 0)
        abort();
    adopt(&files, &mapping, recovery);
    if (session_create(open_next(&files), &config, &session) != 0 || session_start(session) != 0)
        abort();
    if (gone ? session_attach_ended(session, &mapping, getppid(), unknown, &number) != 0
             : session_attach(session, &mapping, getppid(), &number) != 0)
        abort();
    (void)!read(stop, &how, 1);
    if (how == RESTART_STOP_ENDED && !gone)
        session_process_ended(session, number, unknown);
    if (session_stop(session) != 0)
        abort();
    session_destroy(session);
    adat_recovery_destroy(recovery);
    close(files.directory);
}

pid_t restart_collector(RestartFixture *fixture, const char *point, uint32_t occurrence, bool gone)
{
    int ends[2];
    pid_t child;

    ada_store_relaxed(&fixture->segment.header->attached, 0u);
    CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_CLOEXEC), 0);
    (void)fflush(stdout);
    child = fork();
    CU_ASSERT_TRUE_FATAL(child >= 0);
    if (child == 0) {
        close(ends[1]);
        death_point = point;
        death_countdown = occurrence;
        ada_test_point_hook = die_here;
        collect(fixture, ends[0], gone);
        _exit(0);
    }
    close(ends[0]);
    if (fixture->stop_pipe >= 0)
        close(fixture->stop_pipe);
    fixture->stop_pipe = ends[1];
    return child;
}

static void note_end(RestartFixture *fixture, int status)
{
    if (WIFSIGNALED(status))
        fixture->shared->deaths++;
    CU_ASSERT_TRUE_FATAL(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
}

bool restart_is_dead(RestartFixture *fixture, pid_t collector)
{
    int status = 0;

    if (waitpid(collector, &status, WNOHANG) != collector)
        return false;
    note_end(fixture, status);
    return true;
}

static void await_end(RestartFixture *fixture, pid_t collector)
{
    int status = 0;

    CU_ASSERT_EQUAL_FATAL(waitpid(collector, &status, 0), collector);
    note_end(fixture, status);
}

void restart_stop(RestartFixture *fixture, pid_t collector, char how)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)!write(fixture->stop_pipe, &how, 1);
    await_end(fixture, collector);
}

void restart_kill(RestartFixture *fixture, pid_t collector)
{
    (void)kill(collector, SIGKILL);
    await_end(fixture, collector);
}

/* ---- the traced process ------------------------------------------------------------------------- */

static void bind(RestartThread *thread, LaneProducer *producer, LaneWriter *writer, Lane *lane)
{
    const Segment *segment = &thread->fixture->segment;

    lane_producer_init(producer, writer, lane, &thread->lanes->metrics.lanes[lane->kind],
                       segment_at(segment, lane->ring_pool_offset), segment->header);
    lane_producer_set_hint(producer, segment_registry(segment), thread->lanes->slot_index);
}

bool restart_thread_begin(RestartFixture *fixture, RestartThread *thread, uint32_t tid)
{
    int error = 0;

    *thread = (RestartThread){.fixture = fixture};
    thread->lanes = thread_registry_register(&fixture->segment, tid, ada_clock_monotonic_ns(), &error);
    if (!thread->lanes) {
        (void)ada_fetch_add_relaxed(&segment_registry(&fixture->segment)->unregistered_events, 1ull);
        return false;
    }
    bind(thread, &thread->index, &thread->index_writer, &thread->lanes->index);
    bind(thread, &thread->detail, &thread->detail_writer, &thread->lanes->detail);
    return true;
}

static uint64_t refused(const ThreadLaneSet *lanes, uint32_t lane)
{
    const ada_metrics_counters_t *counters = &lanes->metrics.lanes[lane].counters;

    return ada_load_relaxed(&counters->dropped_full) + ada_load_relaxed(&counters->dropped_nested);
}

static void note_life(RestartShared *shared, const ThreadLaneSet *lanes)
{
    uint32_t number = ada_fetch_add_acq_rel(&shared->life_count, 1u);
    RestartLife *life = &shared->lives[number];

    if (number >= RESTART_LIVES_MAX)
        abort();
    life->begun[ADA_LANE_INDEX] = lane_events_reserved(&lanes->index);
    life->begun[ADA_LANE_DETAIL] = lane_events_reserved(&lanes->detail);
    for (uint32_t lane = 0; lane < 2; lane++)
        life->attempted[lane] = life->begun[lane] + refused(lanes, lane);
    life->registered_at = ada_load_relaxed(&lanes->registered_at);
    life->slot = ada_load_relaxed(&lanes->slot_index);
    life->generation = ada_load_relaxed(&lanes->generation);
    life->tid = ada_load_relaxed(&lanes->thread_id);
}

void restart_note_killed(RestartFixture *fixture)
{
    for (uint32_t slot = 0; slot < fixture->segment.geometry.slot_capacity; slot++) {
        const ThreadLaneSet *lanes = segment_lane_set(&fixture->segment, slot);

        if (ada_load_acquire(&lanes->state) == ADA_SLOT_ACTIVE)
            note_life(fixture->shared, lanes);
    }
}

static void ring_doorbell(const RestartFixture *fixture)
{
    (void)ada_fetch_add_acq_rel(&fixture->segment.header->doorbell, 1u);
    ada_futex_wake(&fixture->segment.header->doorbell);
}

void restart_thread_end(RestartThread *thread)
{
    note_life(thread->fixture->shared, thread->lanes);
    (void)thread_registry_unregister(&thread->fixture->segment, thread->lanes);
    ring_doorbell(thread->fixture);
}

/* A payload begins with the number of its record. False: no room. */
static bool write_detail(RestartThread *thread, uint32_t bytes, uint32_t *link_out)
{
    AdaDetailRecord record = {.id = 1, .word = ADA_WORD(ADA_KIND_FUNCTION_ENTRY, 0, 0), .payload_size = bytes};
    LaneReservation place;

    if (lane_reserve(&thread->detail, ADA_DETAIL_RECORD_SIZE(bytes), &place) != 0)
        return false;
    record.timestamp = place.timestamp;
    memset(place.at, 0, ADA_DETAIL_RECORD_SIZE(bytes));
    memcpy(place.at, &record, sizeof(record));
    memcpy((char *)place.at + sizeof(record), &place.record, sizeof(place.record));
    lane_commit(&thread->detail, &place);
    *link_out = (uint32_t)place.record;
    return true;
}

/* The argument of an event is its record's number. */
void restart_thread_write(RestartThread *thread, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t word = ADA_WORD(ADA_KIND_FUNCTION_ENTRY, 0, 0);
        uint32_t link = 0;

        if (i % 8 == 0 && write_detail(thread, 100 + i % 900, &link))
            word |= ADA_WORD(0, ADA_FLAG_DETAIL, 0);
        if (lane_write_index(&thread->index, word, 1, thread->index_written, link) ||
            lane_write_index_slow(&thread->index, word, 1, thread->index_written, link) == 0)
            thread->index_written++;
        if (i % 1000 == 999)
            lane_mark(&thread->detail);
    }
    ring_doorbell(thread->fixture);
}

/* ---- checking ----------------------------------------------------------------------------------- */

/* Records of one life that a block has. */
typedef struct Range {
    uint32_t life;
    uint32_t lane;
    uint64_t first;
    uint64_t end;
    uint32_t file;
} Range;

typedef struct Tally {
    const RestartFixture *fixture;
    AdatAccount accounts[RESTART_LIVES_MAX][2];
    uint64_t unregistered;
    Range *ranges;
    size_t range_count;
    size_t range_capacity;
    uint32_t file;
} Tally;

static int64_t find_life(const RestartFixture *fixture, const AdatThread *thread)
{
    for (uint32_t i = 0; i < fixture->shared->life_count; i++) {
        const RestartLife *life = &fixture->shared->lives[i];

        if (life->registered_at == thread->registered_at && life->slot == thread->slot &&
            life->generation == thread->generation && life->tid == thread->tid)
            return i;
    }
    return -1;
}

static const AdatThreadInfo *find_thread(const AdatReader *reader, uint32_t number)
{
    const AdatThreadInfo *thread;

    for (size_t i = 0; (thread = adat_reader_thread(reader, i)) != NULL; i++) {
        if (thread->thread.thread == number)
            return thread;
    }
    return NULL;
}

static void check_index_content(const Block *block)
{
    const AdatBlockHeader *header = block->header;
    AdaIndexEvent *events = calloc(header->record_count + 1, sizeof(*events));
    EventUnpacker unpacker;

    event_unpacker_begin(&unpacker, header, block->payload);
    CU_ASSERT_EQUAL_FATAL(event_unpack(&unpacker, events, header->record_count), header->record_count);
    for (uint32_t i = 0; i < header->record_count; i++)
        CU_ASSERT_EQUAL_FATAL(events[i].argument, header->first_record + i);
    free(events);
}

static void check_detail_content(const Block *block)
{
    const AdatBlockHeader *header = block->header;
    size_t at = 0;

    for (uint32_t i = 0; i < header->record_count; i++) {
        AdaDetailRecord record;
        uint64_t number;

        memcpy(&record, block->payload + at, sizeof(record));
        memcpy(&number, block->payload + at + sizeof(record), sizeof(number));
        CU_ASSERT_EQUAL_FATAL(number, header->first_record + i);
        at += ADA_DETAIL_RECORD_SIZE(record.payload_size);
    }
}

static void take_ranges(Tally *tally, const AdatReader *reader, int fd)
{
    const AdatFileInfo *info = adat_reader_info(reader);
    BlockScan scan;
    Block block;

    block_scan_init(&scan, fd, info->header.header_bytes, info->valid_bytes);
    while (block_scan_next(&scan, &block) > 0) {
        const AdatBlockHeader *header = block.header;
        const AdatThreadInfo *thread;
        int64_t life;

        if (header->type != ADAT_BLOCK_INDEX && header->type != ADAT_BLOCK_DETAIL)
            continue;
        thread = find_thread(reader, header->thread);
        CU_ASSERT_FATAL(thread && thread->described);
        life = find_life(tally->fixture, &thread->thread);
        CU_ASSERT_FATAL(life >= 0);
        if (header->type == ADAT_BLOCK_INDEX)
            check_index_content(&block);
        else
            check_detail_content(&block);
        CU_ASSERT_EQUAL_FATAL(
            array_reserve_one(&tally->ranges, &tally->range_capacity, tally->range_count, sizeof(Range)), 0);
        tally->ranges[tally->range_count++] = (Range){
            .life = (uint32_t)life,
            .lane = header->type == ADAT_BLOCK_INDEX ? ADA_LANE_INDEX : ADA_LANE_DETAIL,
            .first = header->first_record,
            .end = header->first_record + header->record_count,
            .file = tally->file,
        };
    }
    block_scan_fini(&scan);
}

static void take_accounts(Tally *tally, const AdatReader *reader)
{
    const AdatThreadInfo *thread;
    const AdatProcessInfo *process;

    for (size_t i = 0; (thread = adat_reader_thread(reader, i)) != NULL; i++) {
        int64_t life = find_life(tally->fixture, &thread->thread);

        CU_ASSERT_FATAL(life >= 0);
        adat_account_add(&tally->accounts[life][ADA_LANE_INDEX], &thread->events);
        adat_account_add(&tally->accounts[life][ADA_LANE_DETAIL], &thread->detail);
    }
    for (size_t i = 0; (process = adat_reader_process(reader, i)) != NULL; i++)
        tally->unregistered += process->unregistered.attempted;
}

static void check_file(Tally *tally, int fd)
{
    AdatReader *reader = NULL;
    AdatVerdict verdict = {0};
    int own = dup(fd);

    CU_ASSERT_EQUAL_FATAL(adat_reader_open_fd(fd, &reader), 0);
    CU_ASSERT_EQUAL(adat_reader_info(reader)->cut, ADAT_CUT_NONE);
    CU_ASSERT_EQUAL(adat_verify(reader, &verdict), 0);
    for (size_t i = 0; i < verdict.kept && i < 3; i++)
        printf("  file %u: %s\n", tally->file, verdict.problems[i].text);
    CU_ASSERT_EQUAL(verdict.problem_count, 0);
    adat_verdict_fini(&verdict);
    take_accounts(tally, reader);
    take_ranges(tally, reader, own);
    close(own);
    adat_reader_close(reader);
}

static int compare_ranges(const void *a, const void *b)
{
    const Range *x = a, *y = b;

    if (x->life != y->life)
        return x->life < y->life ? -1 : 1;
    if (x->lane != y->lane)
        return x->lane < y->lane ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

static void check_none_twice(Tally *tally)
{
    uint64_t doubled = 0;

    if (tally->range_count > 0)
        qsort(tally->ranges, tally->range_count, sizeof(Range), compare_ranges);
    for (size_t i = 1; i < tally->range_count; i++) {
        const Range *last = &tally->ranges[i - 1], *range = &tally->ranges[i];

        if (range->life != last->life || range->lane != last->lane || range->first >= last->end)
            continue;
        if (doubled++ == 0)
            printf("  life %u lane %u: %" PRIu64 " from file %u again in file %u\n", range->life, range->lane,
                   range->first, last->file, range->file);
    }
    CU_ASSERT_EQUAL(doubled, 0);
}

static uint64_t check_life(const Tally *tally, uint32_t number, uint32_t lane)
{
    const RestartLife *life = &tally->fixture->shared->lives[number];
    const AdatAccount *account = &tally->accounts[number][lane];
    uint64_t known = adat_account_sum(account) - account->pending; /* what was pending is in another file */

    if (known != life->attempted[lane])
        printf("  life %u (slot %u) lane %u: %" PRIu64 " attempted, %" PRIu64 " of them with a number; %" PRIu64
               " known: in file %" PRIu64 ", full %" PRIu64 ", recycled %" PRIu64 ", torn %" PRIu64 "\n",
               number, life->slot, lane, life->attempted[lane], life->begun[lane], known, account->in_file,
               account->dropped_full, account->recycled_unmarked, account->torn);
    CU_ASSERT_EQUAL(known, life->attempted[lane]);
    CU_ASSERT(account->in_file <= life->begun[lane]);
    return account->in_file;
}

uint64_t restart_check(RestartFixture *fixture)
{
    Tally *tally = calloc(1, sizeof(*tally));
    struct dirent **names = NULL;
    int count = scandir(fixture->path, &names, is_file, by_name);
    int directory = open_directory(fixture);
    uint64_t in_file = 0, in_ranges = 0;

    tally->fixture = fixture;
    for (int i = 0; i < count; i++) {
        CU_ASSERT_FALSE(is_partial(names[i]->d_name));
        tally->file = (uint32_t)strtoul(names[i]->d_name, NULL, 10);
        check_file(tally, openat(directory, names[i]->d_name, O_RDONLY | O_CLOEXEC));
        free(names[i]);
    }
    free(names);
    close(directory);
    check_none_twice(tally);
    for (size_t i = 0; i < tally->range_count; i++)
        in_ranges += tally->ranges[i].end - tally->ranges[i].first;
    for (uint32_t i = 0; i < fixture->shared->life_count; i++) {
        in_file += check_life(tally, i, ADA_LANE_INDEX);
        in_file += check_life(tally, i, ADA_LANE_DETAIL);
    }
    CU_ASSERT_EQUAL(in_file, in_ranges);
    CU_ASSERT_EQUAL(tally->unregistered, segment_registry(&fixture->segment)->unregistered_events);
    free(tally->ranges);
    free(tally);
    return in_file;
}
