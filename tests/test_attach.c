/* SPDX-License-Identifier: MIT */
/* Finding, checking and claiming segments of other processes; and sessions that follow each other on one process. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/access/process_segments.h"
#include "user/collector/attach.h"
#include "user/collector/segment_claim.h"
#include "user/collector/session.h"
#include "user/lane/lane_producer.h"
#include "user/reader/adat_verify.h"
#include "user/registry/thread_registry.h"

/* ---- other processes ----------------------------------------------------------------------------- */

/* What a child does before it waits to be killed. */
typedef void (*Preparation)(void);

/* A child that is ready when this returns. */
static pid_t start_child(Preparation prepare)
{
    int ready[2];
    char byte;
    pid_t pid;

    CU_ASSERT_EQUAL_FATAL(pipe(ready), 0);
    pid = fork();
    CU_ASSERT_TRUE_FATAL(pid >= 0);
    if (pid == 0) {
        close(ready[0]);
        prepare();
        (void)!write(ready[1], "r", 1);
        for (;;)
            pause();
    }
    close(ready[1]);
    CU_ASSERT_EQUAL_FATAL(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void end_child(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

/* A segment as the client library makes it. */
static int make_segment(Segment *segment)
{
    SegmentConfig config;
    int fd = -1;

    segment_config_init(&config);
    config.threads = 4;
    if (segment_create(&config, segment, &fd) != 0)
        _exit(1);
    segment->header->owner_pid = (uint32_t)getpid();
    return fd;
}

static void have_nothing(void)
{
}

static void have_segment(void)
{
    Segment segment;

    (void)make_segment(&segment);
}

static void have_two_segments(void)
{
    have_segment();
    have_segment();
}

static void have_mapping_alone(void)
{
    Segment segment;

    close(make_segment(&segment));
}

static void have_segment_of_parent(void)
{
    Segment segment;

    (void)make_segment(&segment);
    segment.header->owner_pid = (uint32_t)getppid();
}

static void have_segment_of_namesake(void)
{
    Segment segment;

    (void)make_segment(&segment);
    segment.header->owner_namespace = 1; /* the same pid, in another namespace */
}

static void have_other_version(void)
{
    Segment segment;

    (void)make_segment(&segment);
    segment.header->oldest_compatible = ADA_SEGMENT_MAJOR + 1;
}

static void have_unsealed_segment(void)
{
    int fd = memfd_create(ADA_SEGMENT_NAME, MFD_ALLOW_SEALING);

    if (fd < 0 || ftruncate(fd, 1 << 20) < 0)
        _exit(1);
}

static void have_contradiction(void)
{
    Segment segment;

    (void)make_segment(&segment);
    segment.header->geometry.slot_capacity++;
}

static enum attach_failure why_not(pid_t pid, AttachFailure *failure)
{
    AttachTarget target;

    if (attach_open(pid, false, &target, failure) != 0)
        return failure->what;
    attach_close(&target);
    return ATTACH_DONE;
}

static enum attach_failure why_not_child(Preparation prepare)
{
    AttachFailure failure;
    pid_t pid = start_child(prepare);
    enum attach_failure what = why_not(pid, &failure);

    end_child(pid);
    return what;
}

static size_t count_descriptors(void)
{
    size_t count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void attach_open__own_segments__then_opened_and_claimed(void)
{
    AttachTarget target, second;
    AttachFailure failure;
    size_t before = count_descriptors();
    pid_t pid = start_child(have_two_segments);
    pid_t rival;
    int status = 0;

    CU_ASSERT_EQUAL_FATAL(attach_open(pid, false, &target, &failure), 0);
    CU_ASSERT_EQUAL(target.count, 2);
    CU_ASSERT_EQUAL(target.identity.pid, pid);
    CU_ASSERT_EQUAL(target.identity.namespace_pid, pid);
    CU_ASSERT_EQUAL(target.segments[0].segment.header->owner_pid, (uint32_t)pid);
    CU_ASSERT_NOT_EQUAL(target.segments[0].inode, target.segments[1].inode);

    /* To another process it is taken, and it is told by whom. */
    rival = fork();
    if (rival == 0)
        _exit(why_not(pid, &failure) == ATTACH_CLAIMED && failure.other == getppid() ? 0 : 1);
    CU_ASSERT_EQUAL(waitpid(rival, &status, 0), rival);
    CU_ASSERT_EQUAL(status, 0);

    /* What this process has already it does not open again, as closing it would give the claims up. */
    CU_ASSERT_EQUAL(attach_open(pid, false, &second, &failure), -1);
    CU_ASSERT_EQUAL(failure.what, ATTACH_CLAIMED);
    CU_ASSERT_EQUAL(failure.other, getpid());
    CU_ASSERT_TRUE(process_segments_any(pid));
    for (int i = 0; i < 2; i++) {
        const AttachedSegment *found = &target.segments[i];

        CU_ASSERT_TRUE(process_segments_has(pid, found->number, found->device, found->inode));
        CU_ASSERT_TRUE(process_segments_has(pid, -1, found->device, found->inode));
        CU_ASSERT_TRUE(process_segments_has(pid, 0, found->device, found->inode));
        CU_ASSERT_FALSE(process_segments_has(pid, found->number, found->device, found->inode + 1000000));
    }
    attach_close(&target);
    CU_ASSERT_EQUAL(why_not(pid, &failure), ATTACH_DONE); /* the claims are gone */
    end_child(pid);
    CU_ASSERT_EQUAL(count_descriptors(), before);
}

static void attach_open__descriptor_closed__then_found_by_its_mapping(void)
{
    if (geteuid() != 0)
        TEST_SKIP("only root opens mappings of others");
    CU_ASSERT_EQUAL(why_not_child(have_mapping_alone), ATTACH_DONE);
}

static void attach_open__not_its_own__then_not_here(void)
{
    size_t before = count_descriptors();

    CU_ASSERT_EQUAL(why_not_child(have_nothing), ATTACH_NOT_HERE);
    CU_ASSERT_EQUAL(why_not_child(have_segment_of_parent), ATTACH_NOT_HERE);
    CU_ASSERT_EQUAL(why_not_child(have_segment_of_namesake), ATTACH_NOT_HERE);
    CU_ASSERT_EQUAL(count_descriptors(), before);
}

static void attach_open__unfit_segment__then_refused_with_reason(void)
{
    size_t before = count_descriptors();

    CU_ASSERT_EQUAL(why_not_child(have_other_version), ATTACH_OTHER_VERSION);
    CU_ASSERT_EQUAL(why_not_child(have_unsealed_segment), ATTACH_DAMAGED);
    CU_ASSERT_EQUAL(why_not_child(have_contradiction), ATTACH_DAMAGED);
    CU_ASSERT_EQUAL(count_descriptors(), before);
}

static void *wait_for_ever(void *argument)
{
    pid_t *tid = argument;

    ada_store_release(tid, gettid());
    for (;;)
        pause();
    return NULL;
}

static void attach_open__no_process_of_a_program__then_says_which(void)
{
    AttachFailure failure;
    pthread_t thread;
    pid_t tid = 0, zombie;
    siginfo_t info;

    CU_ASSERT_EQUAL(why_not(0x3fffffff, &failure), ATTACH_NO_PROCESS);
    CU_ASSERT_EQUAL(why_not(getpid(), &failure), ATTACH_SELF);
    if (getpid() != 1 && access("/proc/2/exe", F_OK) < 0 && errno == ENOENT)
        CU_ASSERT_EQUAL(why_not(2, &failure), ATTACH_KERNEL_THREAD);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, wait_for_ever, &tid), 0);
    while (ada_load_acquire(&tid) == 0)
        sched_yield();
    CU_ASSERT_EQUAL(why_not(tid, &failure), ATTACH_IS_THREAD);
    CU_ASSERT_EQUAL(failure.other, getpid());
    pthread_cancel(thread);
    pthread_join(thread, NULL);

    zombie = fork();
    if (zombie == 0)
        _exit(0);
    CU_ASSERT_EQUAL(waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT), 0);
    CU_ASSERT_EQUAL(why_not(zombie, &failure), ATTACH_ZOMBIE);
    CU_ASSERT_EQUAL(waitpid(zombie, NULL, 0), zombie);
    CU_ASSERT_EQUAL(why_not(zombie, &failure), ATTACH_NO_PROCESS);
}

static void attach_open__other_user__then_no_right(void)
{
    pid_t pid, user;
    int status = 0;

    if (geteuid() != 0)
        TEST_SKIP("only root can become another user");
    pid = start_child(have_segment);
    user = fork();
    if (user == 0) {
        AttachFailure failure;

        if (setgid(65534) < 0 || setuid(65534) < 0)
            _exit(2);
        _exit(why_not(pid, &failure) == ATTACH_NO_RIGHT && failure.identity.user == 0 ? 0 : 1);
    }
    CU_ASSERT_EQUAL(waitpid(user, &status, 0), user);
    CU_ASSERT_EQUAL(status, 0);
    end_child(pid);
}

/* ---- claims -------------------------------------------------------------------------------------- */

static int claimed_fd;

static void claim_inherited(void)
{
    pid_t holder;

    if (segment_claim(claimed_fd, 1, &holder) != 0)
        _exit(1);
}

/* The descriptor is the traced process's, who still has it open: a lock of the open file would be the process's, too. */
static void segment_claim__holder_killed__then_free_though_others_share_its_descriptor(void)
{
    Segment segment;
    pid_t holder = 0, collector;

    claimed_fd = make_segment(&segment);
    collector = start_child(claim_inherited);
    CU_ASSERT_EQUAL(segment_claim(claimed_fd, 1, &holder), -EBUSY);
    CU_ASSERT_EQUAL(holder, collector);
    end_child(collector);
    CU_ASSERT_EQUAL(segment_claim(claimed_fd, 1, &holder), 0);
    segment_unmap(&segment);
    segment_release(claimed_fd);
}

static void segment_claim__read_only__then_refused(void)
{
    Segment segment;
    pid_t holder;
    char path[64];
    int fd, read_only;

    fd = make_segment(&segment);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    read_only = open(path, O_RDONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL(segment_claim(read_only, 1, &holder), -EBADF);
    close(read_only);
    segment_unmap(&segment);
    close(fd);
}

/* Whether another process would be refused, and told that this one has it. */
static bool is_claimed_to_others(int fd)
{
    int status = 0;
    pid_t rival = fork();

    if (rival == 0) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

        _exit(fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_WRLCK && lock.l_pid == getppid() ? 0 : 1);
    }
    CU_ASSERT_EQUAL(waitpid(rival, &status, 0), rival);
    return status == 0;
}

static int open_again(int fd)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    fd = open(path, O_RDWR | O_CLOEXEC);
    CU_ASSERT_TRUE_FATAL(fd >= 0);
    return fd;
}

static void segment_release__other_descriptors__then_the_claim_lasts_until_its_own(void)
{
    size_t before = count_descriptors();
    struct stat status;
    Segment segment;
    pid_t holder = 0, owner = 0;
    int fd = make_segment(&segment), again, later;

    CU_ASSERT_EQUAL_FATAL(fstat(fd, &status), 0);
    CU_ASSERT_FALSE(segment_is_claimed_here(status.st_dev, status.st_ino, NULL));
    again = open_again(fd);
    CU_ASSERT_EQUAL(segment_claim(fd, 77, &holder), 0);
    CU_ASSERT_EQUAL(segment_claim(fd, 77, &holder), 0); /* it has it */
    later = open_again(fd);
    CU_ASSERT_EQUAL(segment_claim(again, 77, &holder), -EBUSY);
    CU_ASSERT_EQUAL(holder, getpid());
    segment_release(again);
    segment_release(later);
    segment_release(-1);
    CU_ASSERT_TRUE(is_claimed_to_others(fd));
    CU_ASSERT_TRUE(segment_is_claimed_here(status.st_dev, status.st_ino, &owner));
    CU_ASSERT_EQUAL(owner, 77);
    later = dup(fd);
    segment_release(fd); /* and those that waited, and one that was not ours to close */
    CU_ASSERT_FALSE(is_claimed_to_others(later));
    CU_ASSERT_FALSE(segment_is_claimed_here(status.st_dev, status.st_ino, NULL));
    CU_ASSERT_EQUAL(segment_claim(later, 78, &holder), 0);
    segment_release(later);
    segment_unmap(&segment);
    CU_ASSERT_EQUAL(count_descriptors(), before);
}

/* One that tries to attach to a process again and again, as two recorders in one process do. */
typedef struct Rival {
    pthread_t thread;
    pid_t target;
    int32_t *holders; /* of the claim, at the moment: shared */
    uint32_t won;
    uint32_t strange; /* failures that are none of the expected ones, and claims of two at once */
} Rival;

#define RIVAL_ROUNDS 300u

static void *attach_again_and_again(void *argument)
{
    Rival *rival = argument;
    AttachTarget target;
    AttachFailure failure;

    while (rival->won < RIVAL_ROUNDS) {
        if (attach_open(rival->target, false, &target, &failure) != 0) {
            rival->strange += failure.what != ATTACH_CLAIMED || failure.other != getpid();
            continue;
        }
        rival->won++;
        rival->strange += ada_fetch_add_acq_rel(rival->holders, 1) != 0;
        rival->strange += !segment_is_claimed_here(target.segments[0].device, target.segments[0].inode, NULL);
        (void)ada_fetch_add_acq_rel(rival->holders, -1);
        attach_close(&target);
    }
    return NULL;
}

static void attach_open__two_threads_one_process__then_one_at_a_time_has_it(void)
{
    size_t before = count_descriptors();
    pid_t pid = start_child(have_segment);
    Rival rivals[2] = {{.target = pid}, {.target = pid}};
    int32_t holders = 0;

    for (size_t i = 0; i < 2; i++) {
        rivals[i].holders = &holders;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&rivals[i].thread, NULL, attach_again_and_again, &rivals[i]), 0);
    }
    for (size_t i = 0; i < 2; i++) {
        pthread_join(rivals[i].thread, NULL);
        CU_ASSERT_EQUAL(rivals[i].won, RIVAL_ROUNDS);
        CU_ASSERT_EQUAL(rivals[i].strange, 0);
    }
    end_child(pid);
    CU_ASSERT_EQUAL(count_descriptors(), before);
}

/* ---- segments that are being made ---------------------------------------------------------------- */

#define SLOW_NUMBER 200 /* of the descriptor */

/* A process that makes its segment step by step, as it is told to, and ends then. */
static void make_segment_slowly(int orders)
{
    SegmentGeometry geometry;
    SegmentConfig config;
    char byte;
    void *memory;
    int fd = memfd_create(ADA_SEGMENT_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    segment_config_init(&config);
    config.threads = 4;
    if (fd < 0 || dup2(fd, SLOW_NUMBER) < 0 || close(fd) < 0 || segment_geometry_init(&geometry, &config) != 0 ||
        write(orders, "m", 1) != 1 || read(orders, &byte, 1) != 1)
        _exit(1);
    if (ftruncate(SLOW_NUMBER, (off_t)geometry.segment_bytes) < 0 ||
        fcntl(SLOW_NUMBER, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        _exit(2);
    memory = mmap(NULL, geometry.segment_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, SLOW_NUMBER, 0);
    if (memory == MAP_FAILED)
        _exit(3);
    segment_format(memory, &geometry, &config);
    if (write(orders, "f", 1) != 1 || read(orders, &byte, 1) != 1)
        _exit(4);
    ada_store_release(&((SegmentHeader *)memory)->owner_pid, (uint32_t)getpid());
    _exit(0);
}

static void attach_open_held__process_ended_since__then_its_segment_is_had(void)
{
    size_t before = count_descriptors();
    AttachFailure failure;
    AttachTarget target;
    AttachHold hold;
    int orders[2], status;
    char byte;
    pid_t pid;

    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, orders), 0);
    pid = fork();
    if (pid == 0)
        make_segment_slowly(orders[1]);
    close(orders[1]);
    CU_ASSERT_EQUAL_FATAL(read(orders[0], &byte, 1), 1);
    CU_ASSERT_EQUAL(attach_hold(pid, SLOW_NUMBER + 1, &hold), -ENOENT);
    CU_ASSERT_EQUAL_FATAL(attach_hold(pid, SLOW_NUMBER, &hold), 0);
    CU_ASSERT_EQUAL(attach_open_held(&hold, &target, &failure), -1);
    CU_ASSERT_EQUAL(failure.what, ATTACH_DAMAGED); /* as yet */
    CU_ASSERT_EQUAL(write(orders[0], "g", 1), 1);
    CU_ASSERT_EQUAL_FATAL(read(orders[0], &byte, 1), 1);
    CU_ASSERT_EQUAL(attach_open_held(&hold, &target, &failure), -1);
    CU_ASSERT_EQUAL(failure.what, ATTACH_NOT_HERE); /* it names nobody */
    CU_ASSERT_EQUAL(write(orders[0], "g", 1), 1);
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_EQUAL(status, 0);

    CU_ASSERT_EQUAL_FATAL(attach_open_held(&hold, &target, &failure), 0);
    CU_ASSERT_EQUAL(target.count, 1);
    CU_ASSERT_EQUAL(target.identity.pid, pid);
    CU_ASSERT_EQUAL(target.segments[0].number, SLOW_NUMBER);
    CU_ASSERT_EQUAL(target.segments[0].segment.header->owner_pid, (uint32_t)pid);
    CU_ASSERT_TRUE(is_claimed_to_others(target.segments[0].fd));
    attach_drop(&hold); /* has nothing any more */
    attach_close(&target);
    CU_ASSERT_EQUAL(attach_hold(pid, SLOW_NUMBER, &hold), -ESRCH);
    close(orders[0]);
    CU_ASSERT_EQUAL(count_descriptors(), before);
}

/* ---- sessions on one process ---------------------------------------------------------------------- */

/* A process as this test plays it: one thread at a time writes. */
typedef struct Client {
    Segment segment;
    int fd;
    ThreadLaneSet *lanes;
    LaneWriter writer;
    LaneProducer producer;
    uint64_t written;
    uint64_t refused;
} Client;

static void add_thread(Client *client, uint32_t tid)
{
    int error = 0;

    client->lanes = thread_registry_register(&client->segment, tid, 1, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(client->lanes);
    lane_producer_init(&client->producer, &client->writer, &client->lanes->index,
                       &client->lanes->metrics.lanes[ADA_LANE_INDEX],
                       segment_at(&client->segment, client->lanes->index.ring_pool_offset),
                       client->segment.header);
    lane_producer_set_hint(&client->producer, segment_registry(&client->segment), client->lanes->slot_index);
}

static void create_client(Client *client)
{
    memset(client, 0, sizeof(*client));
    client->fd = make_segment(&client->segment);
    strcpy(client->segment.header->program, "/bin/client");
    ada_store_release(&client->segment.header->owner_ready, 1u);
}

static void destroy_client(Client *client)
{
    segment_unmap(&client->segment);
    close(client->fd);
}

static void record(Client *client, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t word = ADA_WORD(ADA_KIND_FUNCTION_ENTRY, 0, 0);
        bool done = lane_write_index(&client->producer, word, 1, client->written, 0) ||
                    lane_write_index_slow(&client->producer, word, 1, client->written, 0) == 0;

        (*(done ? &client->written : &client->refused))++;
    }
}

static bool is_open(const Client *client)
{
    return ada_load_relaxed(&client->segment.header->enabled) != 0;
}

static Session *start_session(Client *client, int *trace_out)
{
    static const char *const strings[] = {"command", "test", NULL};
    SessionConfig config = {.strings = strings, .state_fd = -1};
    Session *session = NULL;
    uint32_t number;
    Segment mapping;
    int fd = memfd_create("trace", MFD_CLOEXEC);

    *trace_out = dup(fd);
    CU_ASSERT_EQUAL_FATAL(session_create(fd, &config, &session), 0);
    CU_ASSERT_EQUAL_FATAL(segment_attach(client->fd, &mapping), 0);
    CU_ASSERT_EQUAL_FATAL(session_attach(session, &mapping, getpid(), &number), 0);
    CU_ASSERT_EQUAL_FATAL(session_start(session), 0);
    while (!is_open(client))
        sched_yield();
    return session;
}

/* Its result; the file must be in order. */
static SessionResult stop_session(Session *session, int trace, AdatAccount *index_out)
{
    AdatReader *reader = NULL;
    AdatVerdict verdict;
    SessionResult result;

    CU_ASSERT_EQUAL(session_stop(session), 0);
    session_result(session, &result);
    *index_out = result.accounts->index;
    result.accounts = NULL;
    session_destroy(session);
    CU_ASSERT_EQUAL_FATAL(adat_reader_open_fd(trace, &reader), 0);
    CU_ASSERT_EQUAL(adat_verify(reader, &verdict), 0);
    CU_ASSERT_EQUAL(verdict.problem_count, 0);
    CU_ASSERT_EQUAL(verdict.events, index_out->in_file);
    adat_verdict_fini(&verdict);
    adat_reader_close(reader);
    return result;
}

static void session__detach_and_attach_again__then_each_event_in_one_account(void)
{
    AdatAccount index;
    uint64_t attempted = 0, in_file = 0;
    Client client;
    int trace;

    create_client(&client);
    add_thread(&client, 77);
    for (uint32_t round = 0; round < 20; round++) {
        Session *session = start_session(&client, &trace);

        record(&client, 1000 + round * 3000 % 11000);
        (void)stop_session(session, trace, &index);
        CU_ASSERT_FALSE(is_open(&client));
        CU_ASSERT_EQUAL(index.pending + index.torn, 0);
        CU_ASSERT_EQUAL(index.attempted, client.written + client.refused - attempted);
        attempted += index.attempted;
        in_file += index.in_file;
        CU_ASSERT_EQUAL(attempted, client.written + client.refused);
        CU_ASSERT_EQUAL(in_file, client.written);
        if (round % 3 == 0)
            record(&client, 5); /* had passed the gate before it was shut: of the next account */
    }
    destroy_client(&client);
}

static bool flat_out;

static void *write_flat_out(void *argument)
{
    Client *client = argument;

    while (ada_load_relaxed(&flat_out)) {
        if (is_open(client))
            record(client, 1);
    }
    return NULL;
}

static void session__detach_amid_writing__then_each_event_in_one_account(void)
{
    AdatAccount index;
    uint64_t attempted = 0, in_file = 0;
    Client client;
    pthread_t thread;
    Session *session;
    int trace;

    create_client(&client);
    add_thread(&client, 78);
    ada_store_relaxed(&flat_out, true);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, write_flat_out, &client), 0);
    for (uint32_t round = 0; round < 30; round++) {
        session = start_session(&client, &trace);
        while (lane_events_written(&client.lanes->index) < 3000 * (round + 1))
            sched_yield();
        (void)stop_session(session, trace, &index);
        CU_ASSERT_EQUAL(index.pending + index.torn, 0);
        attempted += index.attempted;
        in_file += index.in_file;
    }
    ada_store_relaxed(&flat_out, false);
    pthread_join(thread, NULL);
    session = start_session(&client, &trace); /* what the last shutting of the gate left */
    (void)stop_session(session, trace, &index);
    CU_ASSERT_EQUAL(attempted + index.attempted, client.written + client.refused);
    CU_ASSERT_EQUAL(in_file + index.in_file, client.written);
    destroy_client(&client);
}

/* Attaches and detaches, with nothing in between. */
static SessionResult attach_shortly(Client *client, AdatAccount *index_out)
{
    int trace = -1;
    Session *session = start_session(client, &trace);

    return stop_session(session, trace, index_out);
}

static void session__thread_ended_while_detached__then_its_slot_is_given_back_unseen(void)
{
    AdatAccount index;
    SessionResult result;
    Client client;

    create_client(&client);
    for (uint32_t tid = 90; tid < 93; tid++)
        add_thread(&client, tid);
    record(&client, 10);
    (void)attach_shortly(&client, &index);
    CU_ASSERT_EQUAL(index.attempted, 10);
    for (uint32_t slot = 0; slot < 3; slot++) {
        if (slot == 2)
            record(&client, 3); /* the gate had been open when they were begun */
        CU_ASSERT_TRUE(thread_registry_unregister(&client.segment, segment_lane_set(&client.segment, slot)));
    }
    result = attach_shortly(&client, &index);
    CU_ASSERT_EQUAL(result.threads, 1);
    CU_ASSERT_EQUAL(index.in_file, 3);
    CU_ASSERT_EQUAL(ada_load_acquire(&segment_registry(&client.segment)->thread_count), 0);
    result = attach_shortly(&client, &index);
    CU_ASSERT_EQUAL(result.threads, 0);
    destroy_client(&client);
}

static void session__events_without_slot__then_counted_by_one_session(void)
{
    AdatAccount index;
    Client client;
    int trace;

    create_client(&client);
    for (uint64_t round = 1; round <= 3; round++) {
        Session *session = start_session(&client, &trace);

        (void)ada_fetch_add_relaxed(&segment_registry(&client.segment)->unregistered_events, round);
        (void)stop_session(session, trace, &index);
        CU_ASSERT_EQUAL(index.attempted, round);
        CU_ASSERT_EQUAL(index.dropped_full, round);
    }
    destroy_client(&client);
}

static const TestCase tests[] = {
    TEST(attach_open__own_segments__then_opened_and_claimed),
    TEST(attach_open__descriptor_closed__then_found_by_its_mapping),
    TEST(attach_open__not_its_own__then_not_here),
    TEST(attach_open__unfit_segment__then_refused_with_reason),
    TEST(attach_open__no_process_of_a_program__then_says_which),
    TEST(attach_open__other_user__then_no_right),
    TEST(segment_claim__holder_killed__then_free_though_others_share_its_descriptor),
    TEST(segment_claim__read_only__then_refused),
    TEST(segment_release__other_descriptors__then_the_claim_lasts_until_its_own),
    TEST(attach_open__two_threads_one_process__then_one_at_a_time_has_it),
    TEST(attach_open_held__process_ended_since__then_its_segment_is_had),
    TEST(session__detach_and_attach_again__then_each_event_in_one_account),
    TEST(session__detach_amid_writing__then_each_event_in_one_account),
    TEST(session__thread_ended_while_detached__then_its_slot_is_given_back_unseen),
    TEST(session__events_without_slot__then_counted_by_one_session),
};
TEST_MAIN("attach", tests)
