/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/session_run.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "user/base/thread.h"
#include "user/collector/attach_explain.h"
#include "user/collector/segment_claim.h"
#include "user/lane/atomic.h"
#include "user/service/session_output.h"

struct SessionRun {
    SessionRunConfig config;
    uint32_t references; /* session_run_share() */
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    SessionRunFacts facts;
    bool stop_wanted;   /* before there was a recorder to tell */
    Recorder *recorder; /* NULL: not yet, or no longer */
    const MetricsSnapshot *last_metrics;

    /* its thread's */
    StoredSegments stored;
    SessionOutput output;
    AttachTarget *targets;
    size_t target_count;
};

static uint64_t realtime_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- what it tells ---------------------------------------------------------------------------- */

static void tell_change(const SessionRun *run)
{
    uint64_t one = 1;

    (void)!write(run->config.state_fd, &one, sizeof(one)); /* fails only when it is full of words to look */
}

static void set_state(SessionRun *run, enum session_state state)
{
    pthread_mutex_lock(&run->lock);
    run->facts.state = state;
    if (state == SESSION_STATE_STOPPED || state == SESSION_STATE_FAILED)
        run->facts.stopped_at = realtime_ns();
    pthread_mutex_unlock(&run->lock);
    tell_change(run);
}

/* Notes and logs an error of this session. */
static void tell_error(SessionRun *run, const char *topic, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell_error(SessionRun *run, const char *topic, const char *format, ...)
{
    const char *name = run->config.session->name;
    char full_topic[LOG_TOPIC_SIZE], text[sizeof(run->facts.last_error)];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    (void)snprintf(full_topic, sizeof(full_topic), "session %s, %s", name, topic);
    pthread_mutex_lock(&run->lock);
    memcpy(run->facts.last_error, text, sizeof(text));
    run->facts.last_error_at = realtime_ns();
    pthread_mutex_unlock(&run->lock);
    service_log(run->config.log, LOG_ERROR, full_topic, "session %s: %s", name, text);
}

static void fail(SessionRun *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The run cannot go on, or even begin. */
static void fail(SessionRun *run, const char *format, ...)
{
    char text[sizeof(run->facts.reason)];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&run->lock);
    memcpy(run->facts.reason, text, sizeof(text));
    pthread_mutex_unlock(&run->lock);
    tell_error(run, "failed", "%s", text);
}

/* ---- what the recorder tells, in its thread ---------------------------------------------------- */

static void on_write_state(void *context, int error)
{
    SessionRun *run = context;

    if (error)
        tell_error(run, "writing",
                   "writing in '%s' failed: %s; events are lost, and counted, until it works again",
                   run->config.session->output, strerror(-error));
    else
        service_log(run->config.log, LOG_TELL, NULL, "session %s: writing in '%s' works again",
                    run->config.session->name, run->config.session->output);
}

static void on_anomaly(void *context, enum metrics_anomaly anomaly)
{
    SessionRun *run = context;

    service_log(run->config.log, LOG_WARN, metrics_anomaly_name(anomaly), "session %s: %s",
                run->config.session->name, metrics_anomaly_text(anomaly));
}

static void on_kernel_missing(void *context, const MarkRule *rule, const char *reason)
{
    SessionRun *run = context;
    const ServiceSession *session = run->config.session;

    if (rule)
        fail(run, "mark = %s needs kernel assistance, which is not to be had: %s", rule->text, reason);
    else
        fail(run, "%s needs kernel assistance, which is not to be had: %s",
             session->sched             ? "sched = yes"
             : session->traces_syscalls ? "syscalls"
                                        : "uprobe",
             reason);
}

/* With a flight recorder a mark is a reason to keep what there is. */
static void on_marks(void *context)
{
    (void)session_run_snapshot(context);
}

static void on_segment(void *context, const char *key, int fd)
{
    SessionRun *run = context;

    stored_segments_note(&run->stored, run->config.session->name, key, fd);
}

static void on_file_complete(void *context, const char *path)
{
    SessionRun *run = context;

    pthread_mutex_lock(&run->lock);
    run->facts.files_completed++;
    (void)snprintf(run->facts.last_file, sizeof(run->facts.last_file), "%s", path);
    pthread_mutex_unlock(&run->lock);
    tell_change(run);
}

static void on_output_error(void *context, const char *topic, const char *text)
{
    tell_error(context, topic, "%s", text);
}

/* ---- running ---------------------------------------------------------------------------------- */

/* Those of `attach = pid=N` that can be attached to; of the others it is said why not, and of the last one in *why. 0, -ENOMEM. */
static int open_targets(SessionRun *run, AttachExplanation *why)
{
    const PidList *pids = &run->config.session->attach.pids;
    AttachFailure failure;

    run->targets = calloc(pids->count + 1, sizeof(*run->targets));
    if (!run->targets)
        return -ENOMEM;
    for (size_t i = 0; i < pids->count; i++) {
        bool bare = service_session_sees_kernel(run->config.session);

        if (attach_open(pids->items[i], bare, &run->targets[run->target_count], &failure) == 0) {
            run->target_count++;
            continue;
        }
        attach_explain(pids->items[i], &failure, why);
        tell_error(run, "attaching", "%s", why->text);
    }
    return 0;
}

static void close_targets(SessionRun *run)
{
    for (size_t i = 0; i < run->target_count; i++)
        attach_close(&run->targets[i]);
    free(run->targets);
    run->targets = NULL;
    run->target_count = 0;
}

static void tell_not_started(SessionRun *run, enum recorder_stage stage, int error)
{
    switch (stage) {
    case RECORDER_STAGE_KERNEL:
        break; /* said */
    case RECORDER_STAGE_FILE:
        fail(run, "cannot write in '%s': %s", run->config.session->output, strerror(-error));
        break;
    case RECORDER_STAGE_TARGET:
        fail(run, "cannot take the processes over: %s", strerror(-error));
        break;
    default:
        fail(run, "cannot start recording: %s", strerror(-error));
        break;
    }
}

/* From here on other threads may talk to it. */
static void publish_recorder(SessionRun *run, Recorder *recorder)
{
    pthread_mutex_lock(&run->lock);
    run->recorder = recorder;
    if (run->stop_wanted)
        recorder_stop(recorder);
    pthread_mutex_unlock(&run->lock);
    set_state(run, SESSION_STATE_RUNNING);
}

static void withdraw_recorder(SessionRun *run)
{
    pthread_mutex_lock(&run->lock);
    run->last_metrics = metrics_hub_acquire(recorder_metrics(run->recorder));
    run->recorder = NULL;
    pthread_mutex_unlock(&run->lock);
}

static void log_result(const SessionRun *run, const SessionResult *result)
{
    const AdatAccount *total = &result->accounts->index;

    service_log(run->config.log, LOG_TELL, NULL,
                "session %s: ended: %u processes, %u threads, %llu of %llu events in %u files%s",
                run->config.session->name, result->processes, result->threads,
                (unsigned long long)total->in_file, (unsigned long long)total->attempted, result->files,
                total->in_file < total->attempted ? "; see adatrace info for what was lost" : "");
}

/* What is left of processes that went while nobody drained them; those that are alive were found, if they are still meant. */
static void adopt_stored(SessionRun *run, Recorder *recorder)
{
    for (size_t i = 0; i < run->stored.count; i++) {
        StoredSegment *segment = &run->stored.items[i];

        if (stored_segment_is_alive(segment))
            continue;
        recorder_adopt(recorder, segment->fd, segment->key);
        segment->fd = -1;
    }
}

/* Brings the recording to its end. */
static void follow(SessionRun *run, Recorder *recorder)
{
    SessionResult result;
    int error;

    adopt_stored(run, recorder);
    publish_recorder(run, recorder);
    recorder_follow(recorder);
    withdraw_recorder(run);
    recorder_result(recorder, &result);
    log_result(run, &result);
    if (result.quarantined > 0)
        tell_error(run, "quarantine", "%u processes were given up, the last was %d: %s", result.quarantined,
                   (int)result.quarantine_pid, result.quarantine);
    error = result.write_error;
    if (!result.closed)
        fail(run, "the last file in '%s' could not be completed: %s", run->config.session->output,
             strerror(-error));
    recorder_destroy(recorder);
}

static void record(SessionRun *run)
{
    const ServiceSession *session = run->config.session;
    struct utsname host;
    const char *strings[] = {
        "host",      host.nodename, "kernel",      host.release, "adatrace",
        ADA_VERSION, "session",     session->name, NULL,
    };
    RecorderConfig config = {
        .targets = run->targets,
        .target_count = run->target_count,
        .discover = session->attach.rules.count > 0 ? &session->attach.rules : NULL,
        .with_children = true,
        .only_user = run->config.only_user,
        .output = run->output.fd,
        .files = &run->output.files,
        .recovered = run->output.recovered,
        .strings = strings,
        .scheduler = session->scheduler,
        .metrics_interval_ns = run->config.service->metrics_interval,
        .rules = &session->marks,
        .weights = session->weights.count > 0 ? &session->weights : NULL,
        .sched = session->sched,
        .syscalls = session->traces_syscalls ? &session->syscalls : NULL,
        .uprobes = session->uprobes,
        .uprobe_count = session->uprobe_count,
        .mark_wakers = session->mark_wakers,
        .embedded = true,
        .on_segment = on_segment,
        .on_write_state = on_write_state,
        .on_anomaly = on_anomaly,
        .on_marks = session->flight_recorder ? on_marks : NULL,
        .on_kernel_missing = on_kernel_missing,
        .context = run,
    };
    enum recorder_stage stage;
    Recorder *recorder;
    int error;

    if (uname(&host) < 0)
        memset(&host, 0, sizeof(host));
    error = recorder_create(&config, &recorder, &stage);
    if (error)
        tell_not_started(run, stage, error);
    else
        follow(run, recorder);
}

static void run_session(SessionRun *run)
{
    const ServiceSession *session = run->config.session;
    const SessionOutputCalls calls = {
        .on_error = on_output_error, .on_complete = on_file_complete, .context = run};
    const char *what;
    AttachExplanation why = {.text = ""};
    int error = open_targets(run, &why);

    if (error) {
        fail(run, "cannot start: %s", strerror(-error));
        return;
    }
    if (run->target_count == 0 && session->attach.rules.count == 0) {
        fail(run, "%s", why.text);
        return;
    }
    error = session_output_init(&run->output, session, run->config.service->run_user, run->config.only_user,
                                &calls, &what);
    if (error) {
        fail(run, "cannot %s '%s': %s", what, what[0] == 'r' ? session->hook : session->output,
             error == -EBUSY ? "another service, or session, has it" : strerror(-error));
        return;
    }
    record(run);
    session_output_fini(&run->output);
}

static void *run_main(void *argument)
{
    SessionRun *run = argument;
    bool failed;

    run_session(run);
    close_targets(run);
    stored_segments_fini(&run->stored);
    pthread_mutex_lock(&run->lock);
    failed = run->facts.reason[0] != '\0';
    pthread_mutex_unlock(&run->lock);
    set_state(run, failed ? SESSION_STATE_FAILED : SESSION_STATE_STOPPED);
    return NULL;
}

/* ---- what the service calls -------------------------------------------------------------------- */

int session_run_start(const SessionRunConfig *config, SessionRun **run_out)
{
    SessionRun *run = calloc(1, sizeof(*run));
    int error;

    if (!run)
        return -ENOMEM;
    run->config = *config;
    run->references = 1;
    run->facts.started_at = realtime_ns();
    if (config->stored)
        stored_segments_move(config->stored, config->session->name, &run->stored);
    pthread_mutex_init(&run->lock, NULL);
    error = thread_start_without_signals(&run->thread, run_main, run);
    if (error) {
        pthread_mutex_destroy(&run->lock);
        free(run);
        return error;
    }
    *run_out = run;
    return 0;
}

void session_run_stop(SessionRun *run)
{
    pthread_mutex_lock(&run->lock);
    run->stop_wanted = true;
    if (run->recorder)
        recorder_stop(run->recorder);
    if (run->facts.state <= SESSION_STATE_RUNNING)
        run->facts.state = SESSION_STATE_STOPPING;
    pthread_mutex_unlock(&run->lock);
}

SessionRun *session_run_share(SessionRun *run)
{
    if (run)
        (void)ada_fetch_add_acq_rel(&run->references, 1u);
    return run;
}

void session_run_release(SessionRun *run)
{
    /* Each release (by the others) pairs with the acquire of the last one: nobody asks it any more. */
    if (!run || ada_fetch_sub_acq_rel(&run->references, 1u) != 1)
        return;
    metrics_snapshot_release(run->last_metrics);
    pthread_mutex_destroy(&run->lock);
    free(run);
}

void session_run_destroy(SessionRun *run)
{
    if (!run)
        return;
    pthread_join(run->thread, NULL);
    session_run_release(run);
}

enum session_state session_run_state(SessionRun *run)
{
    enum session_state state;

    pthread_mutex_lock(&run->lock);
    state = run->facts.state;
    pthread_mutex_unlock(&run->lock);
    return state;
}

const ServiceSession *session_run_definition(const SessionRun *run)
{
    return run->config.session;
}

bool session_run_matches(const SessionRun *run, const ProcessIdentity *identity)
{
    const SessionAttach *attach = &run->config.session->attach;

    for (size_t i = 0; i < attach->pids.count; i++) {
        if (attach->pids.items[i] == identity->pid)
            return true;
    }
    return discover_rules_match(&attach->rules, identity, true); /* it announced a segment */
}

void session_run_announce(SessionRun *run, const Announcement *announcement)
{
    pthread_mutex_lock(&run->lock);
    if (run->recorder) {
        recorder_announce(run->recorder, announcement);
    } else {
        segment_release(announcement->segment);
        if (announcement->pidfd >= 0)
            close(announcement->pidfd);
    }
    pthread_mutex_unlock(&run->lock);
}

bool session_run_mark(SessionRun *run, pid_t pid)
{
    bool runs;

    pthread_mutex_lock(&run->lock);
    runs = run->recorder != NULL;
    if (runs)
        recorder_mark(run->recorder, pid);
    pthread_mutex_unlock(&run->lock);
    return runs;
}

bool session_run_detach(SessionRun *run, pid_t pid)
{
    bool runs;

    pthread_mutex_lock(&run->lock);
    runs = run->recorder != NULL;
    if (runs)
        recorder_detach(run->recorder, pid);
    pthread_mutex_unlock(&run->lock);
    return runs;
}

bool session_run_rotate(SessionRun *run)
{
    bool runs;

    pthread_mutex_lock(&run->lock);
    runs = run->recorder != NULL;
    if (runs)
        recorder_rotate(run->recorder);
    pthread_mutex_unlock(&run->lock);
    return runs;
}

int session_run_snapshot(SessionRun *run)
{
    int error = 0;

    if (!run->config.session->flight_recorder)
        return -ENOTSUP;
    pthread_mutex_lock(&run->lock);
    if (run->recorder) {
        session_output_snapshot(&run->output);
        recorder_rotate(run->recorder);
    } else {
        error = -EAGAIN;
    }
    pthread_mutex_unlock(&run->lock);
    return error;
}

void session_run_facts(SessionRun *run, SessionRunFacts *facts)
{
    pthread_mutex_lock(&run->lock);
    *facts = run->facts;
    facts->write_error = run->recorder ? recorder_write_error(run->recorder) : 0;
    pthread_mutex_unlock(&run->lock);
}

bool session_run_flight(SessionRun *run, FlightRecorderFacts *facts)
{
    bool has;

    pthread_mutex_lock(&run->lock);
    has = run->recorder && run->output.flight;
    if (has)
        flight_recorder_facts(run->output.flight, facts);
    pthread_mutex_unlock(&run->lock);
    return has;
}

const MetricsSnapshot *session_run_metrics(SessionRun *run)
{
    const MetricsSnapshot *snapshot;

    pthread_mutex_lock(&run->lock);
    snapshot = run->recorder ? metrics_hub_acquire(recorder_metrics(run->recorder))
                             : metrics_snapshot_share(run->last_metrics);
    pthread_mutex_unlock(&run->lock);
    return snapshot;
}
