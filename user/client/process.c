/* SPDX-License-Identifier: MIT */
/*
 * The process's segment: made when the library is loaded, and again in a child of fork() when it
 * records its first event.
 *
 *   loaded, ADATRACE_SEGMENT   take over the segment that `adatrace record` made, if we are the first to ask
 *   loaded, ADATRACE_ANNOUNCE  make a segment, recording at once, and send it to the socket
 *   loaded, neither            make one with its gate shut and keep its descriptor, for a collector to find
 *
 * A child of fork() does as its parent did: with ADATRACE_ANNOUNCE at its first event; else at once, so that a collector
 * finds it, too, with the gate shut unless its parent's collector wants children.
 *
 * Whatever fails leaves the gate shut and the program alone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/announce_abi.h"
#include "user/client/client.h"
#include "user/lane/futex.h"
#include "user/lane/test_point.h"

/* Descriptors that stay open go up here, out of the way of programs that count on low numbers. */
#define PROCESS_FD_FLOOR 800
#define PROCESS_ANNOUNCE_TIMEOUT_S 1

/* The private mapping that is empty in a child. */
typedef struct ClientShared {
    uint32_t alive; /* 1 in the process that set it up */
    uint8_t pad[ADA_LINE - 4];
    ada_thread_context_t contexts[];
} ClientShared;

typedef struct ClientProcess {
    bool loaded;    /* the constructor ran */
    bool announces; /* children make segments of their own and send them to `announce` */
    bool is_wanted; /* in a child: its parent's collector wants it, too */
    int kept_fd;    /* our segment's, if kept_inode is not 0 */
    ino_t kept_inode;
    uint32_t starter; /* tid of the thread that starts the segment of a child; 0 = none */
    Segment segment;
    SegmentConfig config; /* of segments that we make */
    ClientShared *shared;
    struct sockaddr_un announce;
} ClientProcess;

static ClientProcess process;

static const uint32_t gate_shut = 0;
static const uint32_t gate_open = 1; /* in a child, until its first event */

const uint32_t *ada_gate = &gate_shut;

void client_wake_collector(void)
{
    SegmentHeader *header = process.segment.header;

    if (!header)
        return;
    /* By read-modify-write in any case: see announce_ring() in lane_producer.c. */
    (void)ada_fetch_add_acq_rel(&header->doorbell, 1u);
    if (ada_load_relaxed(&header->collector_sleeping) == ADA_COLLECTOR_SLEEPS)
        ada_futex_wake(&header->doorbell);
}

const Segment *client_segment(void)
{
    return process.segment.header ? &process.segment : NULL;
}

ada_thread_context_t *client_context(uint32_t slot)
{
    return &process.shared->contexts[slot];
}

/* ---- what the environment says ----------------------------------------------------------------- */

static const char *parse_number(const char *text, uint64_t *number_out)
{
    uint64_t number = 0;

    if (*text < '0' || *text > '9')
        return NULL;
    for (; *text >= '0' && *text <= '9'; text++)
        number = number * 10 + (uint64_t)(*text - '0');
    *number_out = number;
    return text;
}

/* "policy=1,threads=64,...": see shared/announce_abi.h. Unknown keys are left to newer versions. */
static void parse_options(const char *text, SegmentConfig *config)
{
    while (text && *text) {
        const char *value = strchr(text, '=');
        size_t length;
        uint64_t number;

        if (!value)
            return;
        length = (size_t)(value - text);
        if (!parse_number(value + 1, &number))
            return;
        if (length == 6 && memcmp(text, "policy", 6) == 0)
            config->policy = (uint32_t)number;
        else if (length == 6 && memcmp(text, "detail", 6) == 0)
            config->detail = (uint32_t)number;
        else if (length == 7 && memcmp(text, "threads", 7) == 0)
            config->threads = (uint32_t)number;
        else if (length == 4 && memcmp(text, "ring", 4) == 0)
            config->ring_bytes = (uint32_t)number;
        else if (length == 5 && memcmp(text, "clock", 5) == 0)
            config->clock_kind = (uint32_t)number;
        else if (length == 8 && memcmp(text, "block_ns", 8) == 0)
            config->block_timeout_ns = number;
        text = strchr(value, ',');
        text = text ? text + 1 : NULL;
    }
}

static bool parse_announce(const char *path, struct sockaddr_un *address)
{
    if (!path || !*path || strlen(path) >= sizeof(address->sun_path))
        return false;
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, strlen(path) + 1);
    return true;
}

/* ---- who we are, for the collector --------------------------------------------------------------- */

static void read_file(const char *path, char *text, size_t size, uint32_t *bytes_out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = -1;

    if (fd >= 0) {
        count = read(fd, text, size - 1);
        close(fd);
    }
    *bytes_out = count > 0 ? (uint32_t)count : 0;
}

static void describe_owner(SegmentHeader *header)
{
    ssize_t length = readlink("/proc/self/exe", header->program, sizeof(header->program) - 1);
    struct stat status;

    if (stat("/proc/self/ns/pid", &status) == 0)
        ada_store_relaxed(&header->owner_namespace, (uint64_t)status.st_ino);
    if (length < 0)
        length = 0;
    header->program[length] = '\0';
    read_file("/proc/self/cmdline", header->command, sizeof(header->command), &header->command_bytes);
    header->owner_parent_pid = (uint32_t)getppid();
    header->owner_started_at = ada_clock_ticks();
    /* Pairs with the collector's acquire: grants the description. */
    ada_store_release(&header->owner_ready, 1u);
}

/* ---- getting a segment ------------------------------------------------------------------------- */

/* Sends the segment's descriptor to the collector. 0 or -errno. */
static int announce(int segment_fd, uint32_t type)
{
    AnnounceMessage message = {ADA_ANNOUNCE_MAGIC, ADA_ANNOUNCE_VERSION, type, (uint32_t)getpid()};
    struct timeval timeout = {.tv_sec = PROCESS_ANNOUNCE_TIMEOUT_S};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec data = {&message, sizeof(message)};
    struct msghdr packet = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space)};
    int error = 0;
    int fd;

    memset(&control, 0, sizeof(control));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &segment_fd, sizeof(int));

    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* A collector that hangs must not hang us: this bounds connect(2), too. */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
        connect(fd, (const struct sockaddr *)&process.announce, sizeof(process.announce)) < 0 ||
        sendmsg(fd, &packet, MSG_NOSIGNAL) < 0)
        error = -errno;
    close(fd);
    return error;
}

/* Takes over the segment that was made for the program we were started as. */
static bool claim_segment(const char *description, Segment *segment, int *fd_out)
{
    uint64_t fd = 0, inode = 0;
    const char *rest;
    struct stat status;
    uint32_t unclaimed = 0;

    rest = description ? parse_number(description, &fd) : NULL;
    if (!rest || *rest != ':' || !parse_number(rest + 1, &inode) || fd > INT32_MAX)
        return false;
    if (fstat((int)fd, &status) < 0 || status.st_ino != inode || segment_attach((int)fd, segment) != 0)
        return false; /* the number may be the program's own by now: leave it alone */
    if (!ada_compare_exchange_acq_rel(&segment->header->owner_pid, &unclaimed, (uint32_t)getpid())) {
        segment_unmap(segment);
        close((int)fd); /* ours, but of no use any more */
        return false;
    }
    *fd_out = (int)fd;
    return true;
}

static bool make_segment(bool recording, Segment *segment, int *fd_out)
{
    SegmentConfig config = process.config;

    config.enabled = recording;
    if (segment_create(&config, segment, fd_out) != 0)
        return false;
    ada_store_relaxed(&segment->header->attached, recording);
    /* Pairs with is_owned_by() in user/collector/attach.c: from here on a collector may take it, and change `attached`. */
    ada_store_release(&segment->header->owner_pid, (uint32_t)getpid());
    return true;
}

static void keep_descriptor(int fd)
{
    struct stat status;
    int kept = fcntl(fd, F_DUPFD_CLOEXEC, PROCESS_FD_FLOOR); /* else a collector still finds the mapping */

    process.kept_inode = kept >= 0 && fstat(kept, &status) == 0 ? status.st_ino : 0;
    process.kept_fd = kept;
    close(fd);
}

/* In a child: its parent's segment shall not outlive the parent. The number may be the program's own by now. */
static void close_kept_descriptor(void)
{
    struct stat status;

    if (process.kept_inode != 0 && fstat(process.kept_fd, &status) == 0 && status.st_ino == process.kept_inode)
        close(process.kept_fd);
    process.kept_inode = 0;
}

/* The mapping that children find empty. */
static ClientShared *map_shared(uint32_t slots)
{
    size_t bytes = sizeof(ClientShared) + (size_t)slots * sizeof(ada_thread_context_t);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    if (madvise(memory, bytes, MADV_WIPEONFORK) < 0) {
        munmap(memory, bytes);
        return NULL; /* without it a child might write into our lanes: rather record nothing */
    }
    return memory;
}

/* Makes `segment` the one that this process records into. */
static bool start_recording(const Segment *segment)
{
    /* That of a parent stays where it is: interrupted code may still have addresses in it. */
    ClientShared *shared = map_shared(segment->geometry.slot_capacity);

    if (!shared)
        return false;
    ada_store_release(&process.shared, shared); /* pairs with client_process_enter() */
    process.segment = *segment;
    describe_owner(segment->header);
    return true;
}

/* ---- fork -------------------------------------------------------------------------------------- */

/*
 * Puts empty private memory where the parent's segment was mapped: if the fork happened in a handler
 * that interrupted the writing of an event, the interrupted code goes on with addresses in there.
 */
static void cut_off_parent(void)
{
    Segment *segment = &process.segment;

    if (!segment->header)
        return;
    process.is_wanted =
        ada_load_relaxed(&segment->header->enabled) && ada_load_relaxed(&segment->header->wants_children);
    if (mmap(segment->header, segment->geometry.segment_bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED)
        client_thread_mend(segment);
    segment->header = NULL;
}

static void on_fork_in_child(void)
{
    bool recording = ada_enabled();
    int saved = errno;

    /* Shut meanwhile: a preloaded library may record the calls we make, and must not start the child now. */
    ada_store_release(&ada_gate, &gate_shut);
    client_thread_forget();
    client_modules_forked();
    cut_off_parent();
    if (process.announces)
        ada_store_release(&ada_gate, recording ? &gate_open : &gate_shut);
    else
        (void)client_process_enter();
    errno = saved;
}

static bool start_child(void)
{
    Segment segment;
    bool started;
    int fd;

    client_thread_forget();
    cut_off_parent();
    close_kept_descriptor();
    if (!make_segment(process.announces || process.is_wanted, &segment, &fd))
        return false;
    started = start_recording(&segment);
    if (started) {
        client_modules_publish(&segment);
        client_events_publish(&segment);
        if (process.announces)
            started = announce(fd, ADA_ANNOUNCE_OWN) == 0;
    }
    if (started && !process.announces)
        keep_descriptor(fd);
    else
        close(fd);
    if (!started)
        process.segment.header = NULL; /* stays mapped: nobody else knows of it */
    return started;
}

/* Whether the segment belongs to this process. Each acquire pairs with the release of what it reads. */
static bool is_started(void)
{
    const ClientShared *shared = ada_load_acquire(&process.shared);

    return shared && ada_load_acquire(&shared->alive);
}

int client_process_enter(void)
{
    uint32_t nobody = 0;
    int cancellation;
    uint32_t self;

    if (!process.loaded)
        return -EAGAIN;
    if (is_started())
        return process.segment.header ? 0 : -EAGAIN;

    ADA_TEST_POINT("process.enter");
    /* A child's first event; its other threads, if it has any by now, wait for the few system calls. */
    self = (uint32_t)gettid();
    if (!ada_compare_exchange_acq_rel(&process.starter, &nobody, self)) {
        if (nobody == self)
            return -EAGAIN; /* a handler that interrupted the start */
        while (ada_load_acquire(&process.starter) == nobody && !is_started())
            sched_yield();
        return process.segment.header ? 0 : -EAGAIN;
    }
    /* Somebody may have been through with it since we looked: `alive` was stored before `starter`, which we have now. */
    if (is_started()) {
        ada_store_release(&process.starter, 0u);
        return process.segment.header ? 0 : -EAGAIN;
    }
    /* Some of the calls are cancellation points, and recording an event is none. */
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation);
    if (start_child())
        ada_store_release(&ada_gate, &process.segment.header->enabled);
    else
        ada_store_release(&ada_gate, &gate_shut);
    if (process.shared)
        ada_store_release(&process.shared->alive, 1u);
    ada_store_release(&process.starter, 0u);
    (void)pthread_setcancelstate(cancellation, NULL);
    return process.segment.header && ada_enabled() ? 0 : -EAGAIN;
}

/* ---- loading ----------------------------------------------------------------------------------- */

static void load(void)
{
    Segment segment;
    bool claimed;
    int fd = -1;

    segment_config_init(&process.config);
    process.config.clock_kind = ada_clock_detect();
    parse_options(getenv(ADA_ENV_OPTIONS), &process.config);
    process.announces = parse_announce(getenv(ADA_ENV_ANNOUNCE), &process.announce);

    claimed = claim_segment(getenv(ADA_ENV_SEGMENT), &segment, &fd);
    if (!claimed && !make_segment(process.announces, &segment, &fd))
        return;
    ada_clock_set(segment.header->clock_kind);
    if (client_thread_setup() != 0 || pthread_atfork(NULL, NULL, on_fork_in_child) != 0 ||
        !start_recording(&segment)) {
        segment_unmap(&segment);
        close(fd);
        return;
    }
    client_modules_update(&segment);
    if (process.announces) {
        int error = announce(fd, claimed ? ADA_ANNOUNCE_CLAIMED : ADA_ANNOUNCE_OWN);

        close(fd);
        if (error && !claimed) /* a claimed segment is known already */
            ada_store_relaxed(&segment.header->enabled, 0u);
    } else {
        keep_descriptor(fd);
    }
    process.loaded = true;
    ada_store_release(&process.shared->alive, 1u); /* pairs with client_process_enter() */
    ada_store_release(&ada_gate, &process.segment.header->enabled);
}

/* Before the constructors of the program and of the libraries that use us. */
__attribute__((constructor(101))) static void on_load(void)
{
    int saved = errno;

    load();
    errno = saved;
}

void ada_modules_update(void)
{
    int saved = errno;

    if (process.loaded && is_started() && process.segment.header)
        client_modules_update(&process.segment);
    errno = saved;
}
