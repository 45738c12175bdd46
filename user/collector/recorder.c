/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/collector/announce_server.h"
#include "user/collector/launch.h"
#include "user/export/metrics_file.h"
#include "user/export/metrics_json.h"
#include "user/lane/clock.h"

#define RECORDER_POLL_MS 250 /* how often ends are looked at of which nobody can say yet how they came */
#define RECORDER_END_TRIES 4 /* polls to wait for the parent of a process to learn its exit status */

/* epoll data; processes have their index + RECORDER_WATCH_PROCESS. */
enum {
    RECORDER_WATCH_SIGNALS,
    RECORDER_WATCH_ANNOUNCEMENTS,
    RECORDER_WATCH_FILE,
    RECORDER_WATCH_KERNEL,
    RECORDER_WATCH_PROCESS,
};

/* A process as the control side knows it. */
typedef struct Member {
    uint32_t number;   /* in the session */
    pid_t pid;         /* attested; 0: nobody took the segment over yet */
    int pidfd;         /* -1: none, or no longer watched */
    bool ended;        /* the session was told */
    bool superseded;   /* the process runs another program */
    uint64_t taken_ns; /* CLOCK_MONOTONIC: when we learnt of it, so that it ran by then */
    uint32_t tries;    /* since it was seen to have ended */
} Member;

typedef struct Members {
    Member *items;
    size_t count;
    size_t capacity;
} Members;

struct Recorder {
    const RecorderConfig *config;
    Session *session;
    AnnounceServer server;
    int epoll;
    int signals;
    int file_state; /* eventfd: the session has something to tell */
    sigset_t mask_before;
    struct stat launched_segment; /* which memfd members[0] has */
    Members members;              /* [0]: the segment made for the command */
    pid_t command;
    int command_pidfd;
    ProcessEnd command_end;
    uint32_t interrupts;
    bool polling; /* some member's end is not known yet */
    int write_state;
    uint64_t checked_at;
    KernelAssist *kernel; /* NULL: kernel_reason says why not */
    char kernel_reason[KERNEL_REASON_SIZE];
    KernelEvents kernel_events; /* that the session was not told yet */
    bool taking_kernel_events;
    uint64_t announced_ns; /* all that announced itself before this moment (CLOCK_MONOTONIC) was taken in */
    MetricsHub metrics;
    MetricsFile *metrics_file;     /* NULL: not wanted */
    MetricsServer *metrics_server; /* the same */
};

/* ---- processes -------------------------------------------------------------------------------- */

static int watch(const Recorder *recorder, int fd, uint32_t data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = data};

    return epoll_ctl(recorder->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* The member has ended: tells the session, once. The ends of its threads come first, as they did. */
static void end_member(Recorder *recorder, Member *member, ProcessEnd end)
{
    if (member->ended)
        return;
    member->ended = true;
    session_tell_kernel_events(recorder->session, &recorder->kernel_events);
    if (member->pidfd >= 0)
        close(member->pidfd); /* leaves the epoll set with it */
    member->pidfd = -1;
    session_process_ended(recorder->session, member->number, end);
}

/*
 * A process announced a new segment, or runs another program since `now`: what it had before is over. The ends of its
 * threads come first, so this takes effect in end_superseded().
 */
static void supersede(Recorder *recorder, pid_t pid, uint64_t now)
{
    for (size_t i = 0; i < recorder->members.count; i++) {
        Member *member = &recorder->members.items[i];

        member->superseded |= member->pid == pid && member->taken_ns <= now;
    }
}

static void end_superseded(Recorder *recorder)
{
    for (size_t i = 0; i < recorder->members.count; i++) {
        if (recorder->members.items[i].superseded)
            end_member(recorder, &recorder->members.items[i], (ProcessEnd){.kind = ADAT_DEATH_EXEC});
    }
}

static int add_member(Recorder *recorder, const Segment *segment, pid_t pid, int pidfd)
{
    Members *members = &recorder->members;
    Member member = {.pid = pid, .pidfd = pidfd, .taken_ns = ada_clock_monotonic_ns()};
    int error;

    error = array_reserve_one(&members->items, &members->capacity, members->count, sizeof(members->items[0]));
    if (error)
        return error;
    error = session_attach(recorder->session, segment, pid, &member.number);
    if (error)
        return error;
    members->items[members->count++] = member;
    if (pidfd >= 0)
        (void)watch(recorder, pidfd, RECORDER_WATCH_PROCESS + (uint32_t)members->count - 1);
    return 0;
}

static void take_kernel_events(Recorder *recorder);

static void accept_own(Recorder *recorder, Announcement *announcement)
{
    Segment segment;

    if (segment_attach(announcement->segment, &segment) != 0)
        return; /* not a segment of ours: whoever sent it is not traced */
    supersede(recorder, announcement->pid, UINT64_MAX);
    if (add_member(recorder, &segment, announcement->pid, announcement->pidfd) != 0)
        segment_unmap(&segment);
    else
        announcement->pidfd = -1;
    take_kernel_events(recorder);
}

/* Somebody took over the segment that was made for the command: the command itself, or what it started. */
static void accept_claimed(Recorder *recorder, Announcement *announcement)
{
    Member *member = &recorder->members.items[0];
    struct stat status;

    if (member->pid != 0 || fstat(announcement->segment, &status) < 0 ||
        status.st_ino != recorder->launched_segment.st_ino ||
        status.st_dev != recorder->launched_segment.st_dev)
        return;
    member->pid = announcement->pid;
    member->taken_ns = ada_clock_monotonic_ns();
    member->pidfd = announcement->pidfd;
    announcement->pidfd = -1;
    if (member->pidfd >= 0)
        (void)watch(recorder, member->pidfd, RECORDER_WATCH_PROCESS);
    session_identify(recorder->session, member->number, member->pid);
}

static void mark_member(Recorder *recorder, Announcement *announcement)
{
    bool known = false;

    for (size_t i = 0; i < recorder->members.count && !known; i++)
        known = recorder->members.items[i].pid == announcement->pid && !recorder->members.items[i].ended;
    if (known)
        session_mark(recorder->session, announcement->pid);
    announce_server_answer(announcement, known);
}

/* The latest metrics in a file of memory that nobody can change any more. Its descriptor, or -1: none, or no memory. */
static int make_report(MetricsHub *hub)
{
    const MetricsSnapshot *snapshot = metrics_hub_acquire(hub);
    FILE *out = NULL;
    int fd = -1;

    if (!snapshot)
        return -1;
    fd = memfd_create("adatrace-metrics", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0)
        out = fdopen(dup(fd), "w");
    if (out) {
        bool failed;

        metrics_json_write(snapshot, out);
        failed = ferror(out);
        failed |= fclose(out) != 0;
        if (!failed && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0)
            goto out;
    }
    if (fd >= 0)
        close(fd);
    fd = -1;
out:
    metrics_snapshot_release(snapshot);
    return fd;
}

static void report_metrics(Recorder *recorder, Announcement *announcement)
{
    int fd = make_report(&recorder->metrics);

    announce_server_report(announcement, fd);
    if (fd >= 0)
        close(fd);
}

static void take_announcements(Recorder *recorder)
{
    uint64_t now = ada_clock_monotonic_ns();
    Announcement announcement;

    while (announce_server_next(&recorder->server, &announcement) == 1) {
        if (announcement.type == ADA_ANNOUNCE_MARK) {
            mark_member(recorder, &announcement);
            continue;
        }
        if (announcement.type == ADA_ANNOUNCE_METRICS) {
            report_metrics(recorder, &announcement);
            continue;
        }
        if (announcement.type == ADA_ANNOUNCE_CLAIMED)
            accept_claimed(recorder, &announcement);
        else
            accept_own(recorder, &announcement);
        close(announcement.segment);
        if (announcement.pidfd >= 0)
            close(announcement.pidfd);
    }
    recorder->announced_ns = now;
}

/* ---- what the kernel tells -------------------------------------------------------------------- */

/* A process announces itself before its threads end, so whoever did so before the event must be known. */
static void on_kernel_record(void *context, const AdaKernelLifecycle *record, const AdaKernelThread *thread)
{
    Recorder *recorder = context;

    if (record->type == ADA_KERNEL_EXEC) {
        /* The image that it runs now may have announced itself already. */
        supersede(recorder, (pid_t)record->tgid, record->time_ns);
        return;
    }
    if (record->time_ns >= recorder->announced_ns)
        take_announcements(recorder);
    /* Without memory such threads are found by asking after them. */
    (void)kernel_events_add(&recorder->kernel_events, record, thread);
}

/* What happened up to now; images that this ended. */
static void take_kernel_events(Recorder *recorder)
{
    if (recorder->taking_kernel_events)
        return;
    recorder->taking_kernel_events = true;
    if (recorder->kernel)
        kernel_assist_consume_lifecycle(recorder->kernel, on_kernel_record, recorder);
    recorder->taking_kernel_events = false;
    session_tell_kernel_events(recorder->session, &recorder->kernel_events);
    end_superseded(recorder);
}

/* From its first instruction on, and so are the processes that it starts. */
static void watch_command(void *context, pid_t pid)
{
    Recorder *recorder = context;

    if (recorder->kernel)
        (void)kernel_assist_watch(recorder->kernel, pid,
                                  ADA_KERNEL_WITH_CHILDREN); /* the first of all: there is room */
}

static void start_kernel(Recorder *recorder, SessionConfig *session)
{
    const KernelAssistConfig config = {0};

    session->kernel_reason = recorder->kernel_reason;
    if (recorder->config->no_bpf)
        (void)snprintf(recorder->kernel_reason, sizeof(recorder->kernel_reason), "--no-bpf");
    else if (kernel_assist_create(&config, &recorder->kernel, recorder->kernel_reason) == 0)
        session->kernel = recorder->kernel;
}

/* ---- ends of processes ------------------------------------------------------------------------ */

/* Asks after a member whose pidfd became readable. The command's own end comes from waitpid(2), the others' from the kernel if it tells. */
static void check_member(Recorder *recorder, size_t index)
{
    Member *member = &recorder->members.items[index];
    ProcessEnd end;

    if (member->ended || member->pidfd < 0 || member->pid == recorder->command ||
        !process_has_ended(member->pidfd))
        return;
    take_kernel_events(recorder);             /* all its threads have ended: their records are there */
    member = &recorder->members.items[index]; /* others may have come */
    end = process_ask_end(member->pidfd);
    if (end.kind != 0)
        end_member(recorder, member, end);
    else if (member->tries++ >= RECORDER_END_TRIES)
        end_member(recorder, member, (ProcessEnd){.kind = ADAT_DEATH_UNKNOWN});
    else { /* a zombie: not again for every epoll_wait(), but with the next poll */
        (void)epoll_ctl(recorder->epoll, EPOLL_CTL_DEL, member->pidfd, NULL);
        recorder->polling = true;
    }
}

static void check_members(Recorder *recorder)
{
    recorder->checked_at = ada_clock_monotonic_ns();
    recorder->polling = false;
    for (size_t i = 0; i < recorder->members.count; i++)
        check_member(recorder, i);
}

/* The command is over, and with it the recording. What announced itself before is still taken in. */
static void finish_members(Recorder *recorder)
{
    take_announcements(recorder);
    take_kernel_events(recorder);
    for (size_t i = 0; i < recorder->members.count; i++) {
        Member *member = &recorder->members.items[i];
        ProcessEnd end = {.kind = ADAT_DEATH_UNKNOWN};

        if (member->ended)
            continue;
        if (member->pid == recorder->command || (i == 0 && member->pid == 0)) {
            end_member(recorder, member, recorder->command_end);
        } else if (member->pidfd < 0 || process_has_ended(member->pidfd)) {
            ProcessEnd known = process_ask_end(member->pidfd);
            end_member(recorder, member, known.kind != 0 ? known : end);
        }
    }
}

/* ---- the loop --------------------------------------------------------------------------------- */

/*
 * The first INT or TERM is passed on, unless the terminal has sent it to the command already; a second
 * one ends the command.
 */
static void take_signals(Recorder *recorder)
{
    struct signalfd_siginfo info;

    while (read(recorder->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (recorder->interrupts++ > 0)
            (void)kill(recorder->command, SIGKILL);
        else if (info.ssi_code != SI_KERNEL)
            (void)kill(recorder->command, (int)info.ssi_signo);
    }
}

static void report_anomalies(const Recorder *recorder)
{
    uint32_t anomalies = session_take_anomalies(recorder->session);

    for (uint32_t i = 0; i < METRICS_ANOMALIES && recorder->config->on_anomaly; i++) {
        if (anomalies & 1u << i)
            recorder->config->on_anomaly(recorder->config->context, (enum metrics_anomaly)i);
    }
}

static void report_state(Recorder *recorder)
{
    int state = session_write_error(recorder->session);
    uint64_t changes;

    (void)!read(recorder->file_state, &changes, sizeof(changes));
    report_anomalies(recorder);
    if ((state != 0) == (recorder->write_state != 0))
        return;
    recorder->write_state = state;
    if (recorder->config->on_write_state)
        recorder->config->on_write_state(recorder->config->context, state);
}

static void follow_command(Recorder *recorder)
{
    struct epoll_event events[16];

    while (!process_has_ended(recorder->command_pidfd)) {
        int count = epoll_wait(recorder->epoll, events, sizeof(events) / sizeof(events[0]),
                               recorder->polling ? RECORDER_POLL_MS : -1);

        for (int i = 0; i < count; i++) {
            uint32_t data = events[i].data.u32;

            if (data == RECORDER_WATCH_SIGNALS)
                take_signals(recorder);
            else if (data == RECORDER_WATCH_ANNOUNCEMENTS)
                take_announcements(recorder);
            else if (data == RECORDER_WATCH_FILE)
                report_state(recorder);
            else if (data == RECORDER_WATCH_KERNEL)
                take_kernel_events(recorder);
            else if (data - RECORDER_WATCH_PROCESS < recorder->members.count)
                check_member(recorder, data - RECORDER_WATCH_PROCESS);
        }
        if (recorder->polling &&
            ada_clock_monotonic_ns() - recorder->checked_at >= RECORDER_POLL_MS * 1000000ull)
            check_members(recorder);
    }
    recorder->command_end = process_reap(recorder->command);
}

/* ---- setting up ------------------------------------------------------------------------------- */

static int setup_signals(Recorder *recorder)
{
    sigset_t mask;
    int error;

    sigemptyset(&mask);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGTERM);
    error = -pthread_sigmask(SIG_BLOCK, &mask, NULL);
    if (error)
        return error;
    recorder->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    recorder->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (recorder->signals < 0 || recorder->epoll < 0)
        return -errno;
    error = watch(recorder, recorder->signals, RECORDER_WATCH_SIGNALS);
    if (!error)
        error = watch(recorder, recorder->file_state, RECORDER_WATCH_FILE);
    if (!error && recorder->kernel)
        error = watch(recorder, kernel_assist_lifecycle_fd(recorder->kernel), RECORDER_WATCH_KERNEL);
    return error ? error : watch(recorder, recorder->server.epoll, RECORDER_WATCH_ANNOUNCEMENTS);
}

/* The segment for the command: recording from the start, its first slot's pages in place. */
static int setup_segment(Recorder *recorder, int *fd_out)
{
    SegmentConfig config = recorder->config->segment;
    Segment segment;
    int error;
    int fd;

    config.enabled = 1;
    error = segment_create(&config, &segment, &fd);
    if (error)
        return error;
    ada_store_relaxed(&segment.header->attached, 1u);
    (void)segment_prefault_slot(&segment, 0); /* only a matter of speed */
    if (fstat(fd, &recorder->launched_segment) < 0)
        error = -errno;
    if (!error)
        error = add_member(recorder, &segment, 0, -1);
    if (error) {
        segment_unmap(&segment);
        close(fd);
        return error;
    }
    *fd_out = fd;
    return 0;
}

static int start_metrics_file(Recorder *recorder)
{
    MetricsFileConfig config = {
        .path = recorder->config->metrics_file,
        .hub = &recorder->metrics,
        .interval_ns = recorder->config->metrics_interval_ns,
        .on_state = recorder->config->on_metrics_state,
        .context = recorder->config->context,
    };

    return config.path ? metrics_file_create(&config, &recorder->metrics_file) : 0;
}

static int start_metrics_server(Recorder *recorder)
{
    const RecorderConfig *config = recorder->config;
    MetricsServerConfig server = {.hub = &recorder->metrics, .time_limit_ns = METRICS_SERVER_TIME_LIMIT_NS};
    int error;

    if (!config->metrics_address)
        return 0;
    error = metrics_server_create(&server, config->metrics_address, &recorder->metrics_server);
    if (!error && config->on_metrics_served)
        config->on_metrics_served(config->context);
    return error;
}

static int start_metrics(Recorder *recorder, enum recorder_stage *stage_out)
{
    int error;

    *stage_out = RECORDER_STAGE_METRICS_FILE;
    error = start_metrics_file(recorder);
    if (error)
        return error;
    *stage_out = RECORDER_STAGE_METRICS_SERVER;
    return start_metrics_server(recorder);
}

/* A recorder that has nothing yet but what its session needs of it. NULL: errno says why. */
static Recorder *new_recorder(const RecorderConfig *config, SessionConfig *session)
{
    Recorder *recorder = calloc(1, sizeof(*recorder));

    if (!recorder)
        return NULL;
    session->state_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (session->state_fd < 0) {
        free(recorder);
        return NULL;
    }
    metrics_hub_init(&recorder->metrics);
    session->metrics_hub = &recorder->metrics;
    recorder->config = config;
    recorder->epoll = recorder->signals = recorder->command_pidfd = -1;
    recorder->file_state = session->state_fd;
    announce_server_clear(&recorder->server);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &recorder->mask_before);
    return recorder;
}

static int launch(Recorder *recorder, int segment)
{
    LaunchConfig config = {
        .argv = recorder->config->argv,
        .segment = segment,
        .config = &recorder->config->segment,
        .announce = recorder->server.path,
        .preload_library = recorder->config->preload_library,
        .preload_groups = recorder->config->preload_groups,
        .signal_mask = &recorder->mask_before,
        .on_forked = watch_command,
        .context = recorder,
    };
    int error = launch_program(&config, &recorder->command, &recorder->command_pidfd);

    close(segment);
    if (error)
        return error;
    return watch(recorder, recorder->command_pidfd, UINT32_MAX); /* only wakes the loop */
}

int recorder_run(const RecorderConfig *config, Recorder **recorder_out, enum recorder_stage *stage_out)
{
    SessionConfig session = {
        .strings = config->strings,
        .scheduler = config->scheduler,
        .rules = config->rules,
        .metrics_interval_ns = config->metrics_interval_ns,
        .weights = config->weights,
    };
    Recorder *recorder = new_recorder(config, &session);
    bool started = false;
    int segment = -1;
    int error;

    *stage_out = RECORDER_STAGE_FILE;
    if (!recorder) {
        error = -errno;
        close(config->output);
        return error;
    }
    start_kernel(recorder, &session);
    error = session_create(config->output, &session, &recorder->session);
    if (error)
        goto fail;
    *stage_out = RECORDER_STAGE_SOCKET;
    error = announce_server_init(&recorder->server);
    if (error)
        goto fail;
    *stage_out = RECORDER_STAGE_SIGNALS;
    error = setup_signals(recorder);
    if (error)
        goto fail;
    *stage_out = RECORDER_STAGE_SEGMENT;
    error = setup_segment(recorder, &segment);
    if (error)
        goto fail;
    *stage_out = RECORDER_STAGE_SIGNALS;
    error = session_start(recorder->session);
    if (error) {
        close(segment);
        goto fail;
    }
    started = true;
    error = start_metrics(recorder, stage_out);
    if (error) {
        close(segment);
        goto fail;
    }
    *stage_out = RECORDER_STAGE_PROGRAM;
    error = launch(recorder, segment);
    if (error)
        goto fail;

    *stage_out = RECORDER_STAGE_NONE;
    follow_command(recorder);
    finish_members(recorder);
    (void)session_stop(recorder->session); /* its result says what went wrong */
    metrics_file_destroy(recorder->metrics_file);
    recorder->metrics_file = NULL;
    announce_server_fini(&recorder->server);
    *recorder_out = recorder;
    return 0;

fail:
    if (started)
        (void)session_stop(recorder->session);
    recorder_destroy(recorder);
    return error;
}

ProcessEnd recorder_command_end(const Recorder *recorder)
{
    return recorder->command_end;
}

void recorder_result(const Recorder *recorder, SessionResult *result)
{
    session_result(recorder->session, result);
}

void recorder_destroy(Recorder *recorder)
{
    if (!recorder)
        return;
    metrics_file_destroy(recorder->metrics_file);
    metrics_server_destroy(recorder->metrics_server);
    kernel_events_free(&recorder->kernel_events);
    session_destroy(recorder->session);
    kernel_assist_destroy(recorder->kernel);
    metrics_hub_fini(&recorder->metrics);
    announce_server_fini(&recorder->server);
    for (size_t i = 0; i < recorder->members.count; i++) {
        if (recorder->members.items[i].pidfd >= 0)
            close(recorder->members.items[i].pidfd);
    }
    free(recorder->members.items);
    if (recorder->command_pidfd >= 0)
        close(recorder->command_pidfd);
    if (recorder->signals >= 0)
        close(recorder->signals);
    if (recorder->epoll >= 0)
        close(recorder->epoll);
    close(recorder->file_state);
    (void)pthread_sigmask(SIG_SETMASK, &recorder->mask_before, NULL);
    free(recorder);
}
