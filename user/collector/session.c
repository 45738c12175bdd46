/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/session_internal.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/base/thread.h"
#include "user/lane/clock.h"
#include "user/lane/futex.h"

/* ---- commands --------------------------------------------------------------------------------- */

/* 0 or -ENOMEM. The drain thread finds it when it looks next. */
static int post_quietly(Session *session, const Command *command)
{
    CommandQueue *inbox = &session->inbox;
    int error;

    pthread_mutex_lock(&session->lock);
    error = array_reserve_one(&inbox->items, &inbox->capacity, inbox->count, sizeof(inbox->items[0]));
    if (!error)
        inbox->items[inbox->count++] = *command;
    pthread_mutex_unlock(&session->lock);
    return error;
}

/* The same, and wakes it. */
static int post(Session *session, const Command *command)
{
    int error = post_quietly(session, command);

    /* Pairs with the acquire in sleep_until_tick(). */
    (void)ada_fetch_add_acq_rel(&session->control, 1u);
    ada_futex_wake(&session->control);
    return error;
}

static int attach(Session *session, const TracedProcessConfig *config, const Segment *segment, pid_t pid,
                  ProcessEnd end, uint32_t *number_out)
{
    Command command = {.type = COMMAND_ATTACH, .pid = pid, .end = end};
    int error;

    pthread_mutex_lock(&session->lock);
    command.number = ++session->next_number;
    pthread_mutex_unlock(&session->lock);
    error = traced_process_create(config, segment, command.number, pid, &command.process);
    if (error)
        return error;
    *number_out = command.number;
    error = post(session, &command);
    if (error)
        traced_process_destroy(command.process);
    return error;
}

int session_attach(Session *session, const Segment *segment, pid_t pid, uint32_t *number_out)
{
    return attach(session, &session->process_config, segment, pid, (ProcessEnd){0}, number_out);
}

int session_attach_ended(Session *session, const Segment *segment, pid_t pid, ProcessEnd end,
                         uint32_t *number_out)
{
    return attach(session, &session->process_config, segment, pid, end, number_out);
}

int session_attach_view(Session *session, const Segment *segment, pid_t pid, uint32_t *number_out)
{
    TracedProcessConfig config = session->process_config;

    config.is_view = true;
    config.rules = NULL;
    config.deaths = NULL;
    config.hints = &session->no_hints;
    return attach(session, &config, segment, pid, (ProcessEnd){0}, number_out);
}

void session_identify(Session *session, uint32_t number, pid_t pid)
{
    Command command = {.type = COMMAND_IDENTIFY, .number = number, .pid = pid};

    (void)post(session, &command); /* without memory the process keeps the pid that it claims */
}

void session_process_ended(Session *session, uint32_t number, ProcessEnd end)
{
    Command command = {.type = COMMAND_ENDED, .number = number, .end = end};

    (void)post(session, &command); /* without memory it counts as running until the session stops */
}

void session_mark(Session *session, pid_t pid)
{
    Command command = {.type = COMMAND_MARK, .pid = pid};

    (void)post(session, &command); /* without memory the moment passes unmarked */
}

void session_next_file(Session *session)
{
    Command command = {.type = COMMAND_NEXT_FILE};

    (void)post(session, &command); /* without memory the present one goes on */
}

void session_mark_thread(Session *session, const KernelMark *mark)
{
    Command command = {.type = COMMAND_MARK_THREAD, .mark = *mark};

    (void)post(session, &command); /* as above */
}

void session_tell_kernel_events(Session *session, KernelEvents *events)
{
    Command command = {.type = COMMAND_KERNEL, .events = *events};

    bool end = false;

    if (!events->first)
        return;
    for (const KernelEvent *event = events->first; event && !end; event = event->next)
        end = event->record.type == ADA_KERNEL_EXIT;
    /* A birth is no reason to wake: who is about to record wakes it. */
    if ((end ? post(session, &command) : post_quietly(session, &command)) != 0)
        kernel_events_free(events); /* without memory: such threads are found by asking after them */
    *events = (KernelEvents){0};
}

/* ---- life ------------------------------------------------------------------------------------- */

static int write_session_block(Session *session)
{
    const char *const *strings = session->config.strings;
    static const char recording_key[] = "recording", key[] = "file_number";
    AdatBlockHeader header = {.type = ADAT_BLOCK_SESSION};
    char number[16] = "";
    size_t size = 0;
    char *text;
    char *at;

    for (size_t i = 0; strings && strings[i]; i++)
        size += strlen(strings[i]) + 1;
    if (session->config.files)
        size += sizeof(recording_key) + sizeof(session->recording) + sizeof(key) +
                (size_t)snprintf(number, sizeof(number), "%u", session->result.files) + 1;
    text = malloc(size + 1);
    if (!text)
        return -ENOMEM;
    at = text;
    for (size_t i = 0; strings && strings[i]; i++)
        at = stpcpy(at, strings[i]) + 1;
    if (session->config.files) {
        at = stpcpy(at, recording_key) + 1;
        at = stpcpy(at, session->recording) + 1;
        at = stpcpy(at, key) + 1;
        (void)stpcpy(at, number);
    }
    drain_batch_put(&session->batch, &header, text, size);
    free(text);
    if (session->first_anchor.monotonic_ns != 0) /* from here on the rate of the clock is known in each file */
        drain_batch_put(&session->batch, &(AdatBlockHeader){.type = ADAT_BLOCK_CLOCK}, &session->first_anchor,
                        sizeof(session->first_anchor));
    session_write_clock_anchor(session);
    return session_flush(session);
}

int session_name_file(Session *session)
{
    int error = session->named ? 0 : write_session_block(session);

    session->named = error == 0;
    return error;
}

static int create_iterator(Session *session)
{
    DrainIteratorConfig config = {
        .scheduler = {.kind = session->config.scheduler},
        .callbacks = session_drain_callbacks(session),
        .topology = &session->topology,
    };
    int error;

    drain_topology_detect(&session->topology, "/sys");
    error = segment_reaper_create(&session->reaper);
    if (error)
        return error;
    error = drain_iterator_create(&config, &session->batch, &session->iterator);
    session->process_config = (TracedProcessConfig){
        .iterator = session->iterator,
        .accounts = &session->accounts,
        .thread_counter = &session->thread_counter,
        .epoch = &session->batch.epoch,
        .ns_per_cycle = &session->batch.ns_per_cycle,
        .rules = session->config.rules,
        .weights = session->config.weights,
        .metrics = &session->global,
        .deaths = session->config.kernel ? &session->deaths : NULL,
        .hints = &session->hints,
        .reaper = session->reaper,
    };
    return error ? error : kernel_hints_init(&session->hints, session->config.kernel);
}

int session_create(int fd, const SessionConfig *config, Session **session_out)
{
    Session *session = calloc(1, sizeof(*session));
    AdatWriter *writer = NULL;
    MetricsSource source;
    int error;

    if (!session) {
        close(fd);
        return -ENOMEM;
    }
    error = adat_writer_create(fd, &config->writer, &writer);
    if (error) {
        close(fd);
        goto fail;
    }
    pthread_mutex_init(&session->lock, NULL);
    session->config = *config;
    drain_batch_init(&session->batch, writer, &session->metrics);
    error = create_iterator(session);
    session->started_at = ada_clock_monotonic_ns();
    source = session_metrics_source(session);
    metrics_global_init(&session->global, &source, config->metrics_hub, config->metrics_interval_ns,
                        session->started_at);
    if (!error)
        error = session_name_recording(session);
    session->result.files = 1;
    if (!error)
        error = session_name_file(session);
    if (error) {
        session_destroy(session);
        return error;
    }
    *session_out = session;
    return 0;
fail:
    free(session);
    return error;
}

int session_start(Session *session)
{
    int error;

    error = thread_start_without_signals(&session->thread, session_drain_main, session);
    session->started = error == 0;
    return error;
}

int session_stop(Session *session)
{
    Command command = {.type = COMMAND_STOP};

    while (post(session, &command) != 0)
        sched_yield(); /* the drain thread empties the inbox, so memory comes back */
    pthread_join(session->thread, NULL);
    session->started = false;
    return session->close_error;
}

void session_destroy(Session *session)
{
    if (!session)
        return;
    drain_iterator_destroy(session->iterator);
    for (size_t i = 0; i < session->process_count; i++)
        traced_process_destroy(session->processes[i]);
    for (size_t i = 0; i < session->inbox.count; i++) {
        traced_process_destroy(session->inbox.items[i].process);
        kernel_events_free(&session->inbox.items[i].events);
    }
    segment_reaper_destroy(session->reaper);
    free(session->inbox.items);
    free(session->processes);
    metrics_global_fini(&session->global);
    account_book_fini(&session->accounts);
    death_book_fini(&session->deaths);
    kernel_hints_fini(&session->hints);
    free(session->live.items);
    free(session->live.threads);
    adat_writer_destroy(session->batch.writer);
    pthread_mutex_destroy(&session->lock);
    free(session);
}

int session_write_error(const Session *session)
{
    return ada_load_relaxed(&session->write_error);
}

bool session_has_many_threads(const Session *session)
{
    return ada_load_relaxed(&session->has_many_threads) != 0;
}

void session_lose_kernel_record(Session *session)
{
    /* One writer; the drain thread reads a figure. */
    ada_store_relaxed(&session->homeless, ada_load_relaxed(&session->homeless) + 1);
}

uint32_t session_take_anomalies(Session *session)
{
    /* A word by itself: neither this nor the other side hands anything else over. */
    return ada_exchange_acq_rel(&session->anomalies, 0u);
}

uint64_t session_marks(const Session *session)
{
    return ada_load_relaxed(&session->marks); /* a figure */
}

void session_result(const Session *session, SessionResult *result)
{
    *result = session->result;
    result->accounts = &session->accounts;
    result->deaths = &session->deaths;
}
