/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/recorder.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "user/collector/recorder_internal.h"
#include "user/lane/clock.h"

int recorder_watch(const Recorder *recorder, int fd, uint32_t data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = data};

    return epoll_ctl(recorder->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* ---- the loop --------------------------------------------------------------------------------- */

static void take_signals(Recorder *recorder)
{
    struct signalfd_siginfo info;

    while (read(recorder->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        recorder->interrupts++;
        recorder->target->interrupted(recorder, &info);
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

static void report_marks(Recorder *recorder)
{
    uint64_t marks = session_marks(recorder->session);

    if (marks == recorder->marks)
        return;
    recorder->marks = marks;
    if (recorder->config->on_marks)
        recorder->config->on_marks(recorder->config->context);
}

static void report_state(Recorder *recorder)
{
    int state = session_write_error(recorder->session);
    uint64_t changes;

    (void)!read(recorder->file_state, &changes, sizeof(changes));
    report_anomalies(recorder);
    report_marks(recorder);
    recorder_follow_switches(recorder);
    if ((state != 0) == (recorder->write_state != 0))
        return;
    recorder->write_state = state;
    if (recorder->config->on_write_state)
        recorder->config->on_write_state(recorder->config->context, state);
}

static void obey(Recorder *recorder, uint32_t data)
{
    if (data == RECORDER_WATCH_SIGNALS)
        take_signals(recorder);
    else if (data == RECORDER_WATCH_ANNOUNCEMENTS)
        recorder_take_announcements(recorder);
    else if (data == RECORDER_WATCH_FILE)
        report_state(recorder);
    else if (data == RECORDER_WATCH_KERNEL)
        recorder_take_kernel_events(recorder);
    else if (data == RECORDER_WATCH_SCHED)
        recorder_take_sched_records(recorder);
    else if (data == RECORDER_WATCH_INBOX)
        recorder_take_inbox(recorder);
    else if (data >= RECORDER_WATCH_OWN && recorder->target->woken)
        recorder->target->woken(recorder, data - RECORDER_WATCH_OWN);
    else if (data >= RECORDER_WATCH_PROCESS && data - RECORDER_WATCH_PROCESS < recorder->members.count)
        recorder_check_member(recorder, data - RECORDER_WATCH_PROCESS);
    /* RECORDER_WATCH_TARGET only wakes the loop. */
}

static void poll_members(Recorder *recorder)
{
    recorder_check_members(recorder);
    if (recorder->poll_ms)
        recorder->target->poll(recorder);
}

static void follow(Recorder *recorder)
{
    struct epoll_event events[16];

    while (!recorder->target->is_over(recorder)) {
        uint32_t pause = recorder->polling ? RECORDER_POLL_MS : recorder->poll_ms * recorder->calm;
        int timeout = recorder_has_views(recorder) ? RECORDER_SCHED_MS : pause ? (int)pause : -1;
        int count = epoll_wait(recorder->epoll, events, sizeof(events) / sizeof(events[0]), timeout);

        if (count > 0)
            recorder->calm = 1;
        for (int i = 0; i < count; i++)
            obey(recorder, events[i].data.u32);
        if (recorder_has_views(recorder))
            recorder_take_sched_records(recorder);
        if (pause && ada_clock_monotonic_ns() - recorder->checked_at >= pause * 1000000ull)
            poll_members(recorder);
    }
}

/* ---- setting up ------------------------------------------------------------------------------- */

static int watch_signals(Recorder *recorder)
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
    return recorder->signals < 0 ? -errno : recorder_watch(recorder, recorder->signals, RECORDER_WATCH_SIGNALS);
}

static int set_up_loop(Recorder *recorder)
{
    int error;

    recorder->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (recorder->epoll < 0)
        return -errno;
    error = recorder_watch(recorder, recorder->file_state, RECORDER_WATCH_FILE);
    if (!error)
        error = recorder_watch(recorder, recorder->inbox.event, RECORDER_WATCH_INBOX);
    if (!error && recorder->kernel)
        error = recorder_watch(recorder, kernel_assist_lifecycle_fd(recorder->kernel), RECORDER_WATCH_KERNEL);
    if (!error && recorder->kernel)
        error = recorder_watch(recorder, kernel_assist_sched_fd(recorder->kernel), RECORDER_WATCH_SCHED);
    if (error || recorder->config->embedded)
        return error;
    error = watch_signals(recorder);
    return error ? error : recorder_watch(recorder, recorder->server.epoll, RECORDER_WATCH_ANNOUNCEMENTS);
}

static int start_metrics_file(Recorder *recorder)
{
    MetricsFileConfig config = {
        .path = recorder->config->metrics_file,
        .feed = metrics_hub_feed(&recorder->metrics),
        .interval_ns = recorder->config->metrics_interval_ns,
        .on_state = recorder->config->on_metrics_state,
        .context = recorder->config->context,
    };

    return config.path ? metrics_file_create(&config, &recorder->metrics_file) : 0;
}

static int start_metrics_server(Recorder *recorder)
{
    const RecorderConfig *config = recorder->config;
    MetricsServerConfig server = {.feed = metrics_hub_feed(&recorder->metrics),
                                  .time_limit_ns = METRICS_SERVER_TIME_LIMIT_NS};
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
    session->on_done = recorder_note_done;
    session->context = recorder;
    recorder->config = config;
    recorder->calm = 1;
    recorder->target = config->argv ? &recorder_launch_target : &recorder_attach_target;
    recorder->epoll = recorder->signals = recorder->command_pidfd = recorder->timer = -1;
    recorder->file_state = session->state_fd;
    announce_server_clear(&recorder->server);
    if (recorder_inbox_init(&recorder->inbox) != 0) {
        close(recorder->file_state);
        free(recorder);
        return NULL;
    }
    (void)pthread_sigmask(SIG_SETMASK, NULL, &recorder->mask_before);
    return recorder;
}

/* All stages up to the start. 0, or -errno of *stage_out. */
static int set_up(Recorder *recorder, SessionConfig *session, bool *started_out, enum recorder_stage *stage_out)
{
    int error;

    error = recorder_start_kernel(recorder, session);
    if (error) {
        close(recorder->config->output);
        return error;
    }
    *stage_out = RECORDER_STAGE_FILE;
    error = session_create(recorder->config->output, session, &recorder->session);
    if (error)
        return error;
    *stage_out = RECORDER_STAGE_SOCKET;
    error = recorder->config->embedded ? 0 : announce_server_init(&recorder->server);
    if (error)
        return error;
    *stage_out = RECORDER_STAGE_SIGNALS;
    error = set_up_loop(recorder);
    if (!error)
        error = recorder->target->prepare(recorder, stage_out);
    if (error)
        return error;
    *stage_out = RECORDER_STAGE_SIGNALS;
    error = session_start(recorder->session);
    if (error)
        return error;
    *started_out = true;
    error = start_metrics(recorder, stage_out);
    return error ? error : recorder->target->start(recorder, stage_out);
}

int recorder_create(const RecorderConfig *config, Recorder **recorder_out, enum recorder_stage *stage_out)
{
    SessionConfig session = {
        .strings = config->strings,
        .scheduler = config->scheduler,
        .rules = config->rules,
        .metrics_interval_ns = config->metrics_interval_ns,
        .wants_children = !config->argv && config->with_children,
        .weights = config->weights,
        .files = config->files,
        .recovered = config->recovered,
    };
    Recorder *recorder = new_recorder(config, &session);
    bool started = false;
    int error;

    *stage_out = RECORDER_STAGE_FILE;
    if (!recorder) {
        error = -errno;
        close(config->output);
        return error;
    }
    *stage_out = RECORDER_STAGE_KERNEL;
    error = set_up(recorder, &session, &started, stage_out);
    if (error) {
        if (started)
            (void)session_stop(recorder->session);
        recorder_destroy(recorder);
        return error;
    }

    *stage_out = RECORDER_STAGE_NONE;
    *recorder_out = recorder;
    return 0;
}

void recorder_follow(Recorder *recorder)
{
    follow(recorder);
    recorder->target->finish(recorder);
    recorder_close_views(recorder);
    (void)session_stop(recorder->session); /* its result says what went wrong */
    metrics_file_destroy(recorder->metrics_file);
    recorder->metrics_file = NULL;
    announce_server_fini(&recorder->server);
}

ProcessEnd recorder_command_end(const Recorder *recorder)
{
    return recorder->command_end;
}

MetricsHub *recorder_metrics(Recorder *recorder)
{
    return &recorder->metrics;
}

int recorder_write_error(const Recorder *recorder)
{
    return session_write_error(recorder->session);
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
    recorder->target->destroy(recorder);
    recorder_members_fini(recorder); /* after the session: a claim is given up when nobody drains any more */
    if (recorder->signals >= 0)
        close(recorder->signals);
    if (recorder->epoll >= 0)
        close(recorder->epoll);
    close(recorder->file_state);
    recorder_inbox_fini(&recorder->inbox);
    (void)pthread_sigmask(SIG_SETMASK, &recorder->mask_before, NULL);
    free(recorder);
}
