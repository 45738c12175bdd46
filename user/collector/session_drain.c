/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/session_internal.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/collector/clock_anchor.h"
#include "user/lane/clock.h"
#include "user/lane/futex.h"

/* After an iteration that found lanes short of rings the next one mostly comes soon: how long to look out for it. */
#define SESSION_LINGER_NS 50000ull
/* More processes than it can wait for at once it looks after itself. */
#define SESSION_UNWATCHED_NS (10 * NS_PER_MS)
/* The rarest housekeeping of a calm session, in times of the usual pause. */
#define CALM_MAX 4u

/* Ledger entries of threads that are done with go out when there are so many, or with housekeeping. */
#define SESSION_LEDGER_ENTRIES 512u
#define SESSION_LEDGER_ENTRIES_MAX 65536u /* in one block: 8 MB */

/* ---- obeying commands ------------------------------------------------------------------------- */

static TracedProcess *find_process(const Session *session, uint32_t number)
{
    for (size_t i = 0; i < session->process_count; i++) {
        if (traced_process_number(session->processes[i]) == number)
            return session->processes[i];
    }
    return NULL;
}

/* `end`: it has ended already, if that is known. */
static void add_process(Session *session, TracedProcess *process, ProcessEnd end)
{
    if (array_reserve_one(&session->processes, &session->process_capacity, session->process_count,
                          sizeof(session->processes[0])) != 0) {
        traced_process_destroy(process); /* no memory even for a pointer: it is not traced */
        return;
    }
    traced_process_end(process, end);
    traced_process_begin(process, session->config.wants_children, session->config.recovered);
    session->processes[session->process_count++] = process;
    session->result.processes++;
}

/* All images that the process has run as; for 0, all processes. */
static void mark_processes(Session *session, pid_t pid)
{
    for (size_t i = 0; i < session->process_count; i++) {
        if (!traced_process_is_view(session->processes[i]) &&
            (pid == 0 || traced_process_pid(session->processes[i]) == pid))
            traced_process_mark(session->processes[i]);
    }
}

static void end_process(Session *session, TracedProcess *process, ProcessEnd end)
{
    if (end.kind != ADAT_DEATH_DETACHED) {
        traced_process_end(process, end);
    } else if (traced_process_ended(process).kind == 0) {
        traced_process_detach(process);
        session->result.detached++;
    }
}

static void obey(Session *session, Command *command)
{
    TracedProcess *process = find_process(session, command->number);

    switch (command->type) {
    case COMMAND_ATTACH:
        add_process(session, command->process, command->end);
        break;
    case COMMAND_IDENTIFY:
        if (process)
            traced_process_identify(process, command->pid);
        break;
    case COMMAND_ENDED:
        if (process)
            end_process(session, process, command->end);
        break;
    case COMMAND_MARK:
        mark_processes(session, command->pid);
        break;
    case COMMAND_MARK_THREAD:
        session_obey_mark(session, &command->mark);
        break;
    case COMMAND_KERNEL:
        session_obey_kernel_events(session, &command->events);
        break;
    case COMMAND_NEXT_FILE:
        session->file_due = 0;
        break;
    case COMMAND_STOP:
        session->stopping = true;
        break;
    }
}

static void obey_commands(Session *session)
{
    CommandQueue todo;

    pthread_mutex_lock(&session->lock);
    todo = session->inbox;
    session->inbox = (CommandQueue){0};
    pthread_mutex_unlock(&session->lock);
    for (size_t i = 0; i < todo.count; i++)
        obey(session, &todo.items[i]);
    free(todo.items);
    if (session->stopping) {
        for (size_t i = 0; i < session->process_count; i++) {
            if (traced_process_ended(session->processes[i]).kind == 0)
                end_process(session, session->processes[i], (ProcessEnd){.kind = ADAT_DEATH_DETACHED});
        }
    }
}

/* ---- what the iterator tells ------------------------------------------------------------------- */

static void on_deregistered(void *context, ThreadDrainState *state)
{
    TracedProcess *process = traced_process_of(state);

    (void)context;
    traced_process_close_thread(process, state, state->producer_gone || traced_process_gone(process));
}

static void on_hostile(void *context, ThreadDrainState *state)
{
    (void)context;
    traced_process_give_up(traced_process_of(state));
}

static bool has_run(void *context, ThreadDrainState *state)
{
    Session *session = context;

    return kernel_hints_has_run(&session->hints, state);
}

static void session_summarize(const Session *session, AdatDrainSummary *summary)
{
    const DrainMetrics *metrics = &session->metrics;
    struct timespec cpu = {0};

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu); /* cannot fail: the clock exists, the pointer is good */
    *summary = (AdatDrainSummary){
        .iterations = metrics->iterations,
        .iteration_ns = metrics->iteration_ns,
        .iteration_max_ns = metrics->iteration_max_ns,
        .visits = metrics->visits,
        .skips = metrics->skips,
        .sweeps = metrics->sweeps,
        .spared = metrics->spared,
        .wakeups = metrics->wakeups,
        .records = metrics->records,
        .bytes = metrics->bytes,
        .flushes = metrics->flushes,
        .failed_writes = session->batch.failures,
        .marks = metrics->marks,
        .wait_total = metrics->wait_total,
        .wait_max = metrics->wait_max,
        .cpu_ns = (uint64_t)cpu.tv_sec * NS_PER_S + (uint64_t)cpu.tv_nsec,
        .latency_count = metrics->latency.count,
        .latency_p50_ns = latency_histogram_percentile(&metrics->latency, 0.5),
        .latency_p90_ns = latency_histogram_percentile(&metrics->latency, 0.9),
        .latency_p99_ns = latency_histogram_percentile(&metrics->latency, 0.99),
        .latency_max_ns = metrics->latency.max,
        .jain_ppb = (uint64_t)(jain_index_value(&session->accounts.jain) * 1e9),
    };
    (void)snprintf(summary->scheduler, sizeof(summary->scheduler), "%s",
                   drain_scheduler_name(session->config.scheduler));
}

/* What the file is told of the drain, and of threads that are done with. */
static void put_ledger(Session *session, uint16_t flags)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_LEDGER, .flags = flags};
    size_t count = session->accounts.entry_count;
    AdatDrainSummary *summary;
    size_t bytes;

    if (count > SESSION_LEDGER_ENTRIES_MAX)
        count = SESSION_LEDGER_ENTRIES_MAX;
    /* Who waits for them goes on if they cannot be written: slots would stay taken as long as a disk is full. */
    session->accounts.entries_urgent = count < session->accounts.entry_count;
    session->ledger_tried = session->accounts.entries_added - session->accounts.entry_count + count;
    bytes = sizeof(*summary) + count * sizeof(AdatLedgerEntry);
    summary = malloc(bytes);
    if (!summary)
        return; /* tried again later */
    for (size_t i = 0; i < session->accounts.undescribed_count; i++) {
        const ThreadDescription *thread = &session->accounts.undescribed[i];
        AdatBlockHeader described = {
            .type = ADAT_BLOCK_THREAD, .process = thread->thread.process, .thread = thread->thread.thread};

        drain_batch_put(&session->batch, &described, thread, thread_description_bytes(thread));
    }
    session_summarize(session, summary);
    if (count > 0)
        memcpy(summary + 1, session->accounts.entries, count * sizeof(AdatLedgerEntry));
    if (drain_batch_put(&session->batch, &header, summary, bytes) != 0)
        count = 0; /* as without memory above */
    session->ledger_count = count;
    session->ledger_described = count > 0 ? session->accounts.undescribed_count : 0;
    session->ledger_epoch = session->batch.epoch;
    free(summary);
}

/* Of lanes in use: what a reader of the file knows of them should this process be killed within the next second. */
static void put_live_ledger(Session *session)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_LEDGER};
    LedgerEntries *live = &session->live;
    DrainBatch *batch = &session->batch;
    uint32_t epoch = batch->epoch;
    size_t count = 0;

    live->count = live->thread_count = 0;
    for (size_t i = 0; i < session->process_count; i++)
        traced_process_tell_accounts(session->processes[i], batch, live);
    for (size_t at = 0; at < live->count; at += count) {
        AdatDrainSummary *summary;

        count = live->count - at < SESSION_LEDGER_ENTRIES_MAX ? live->count - at : SESSION_LEDGER_ENTRIES_MAX;
        summary = malloc(sizeof(*summary) + count * sizeof(AdatLedgerEntry));
        if (!summary)
            return; /* told when they have changed again */
        session_summarize(session, summary);
        memcpy(summary + 1, live->items + at, count * sizeof(AdatLedgerEntry));
        (void)drain_batch_put(batch, &header, summary, sizeof(*summary) + count * sizeof(AdatLedgerEntry));
        free(summary);
        if (batch->epoch != epoch)
            return; /* what describes the threads is lost: told again once they are described */
        for (size_t i = at; i < at + count; i += 2)
            traced_process_told_account(live->threads[i / 2], live->items + i, batch);
    }
}

/* After a write: entries that were in a batch which failed stay, for the next one. */
static void settle_ledger(Session *session)
{
    if (session->ledger_count > 0 && session->ledger_epoch == session->batch.epoch)
        account_book_entries_written(&session->accounts, session->ledger_count, session->ledger_described);
    session->ledger_count = 0;
    for (size_t i = 0; i < session->process_count; i++)
        traced_process_settle_closed(session->processes[i], session->ledger_tried);
}

static void before_write(void *context)
{
    Session *session = context;
    size_t entries = session->accounts.entry_count;

    for (size_t i = 0; i < session->process_count; i++)
        traced_process_complete(session->processes[i], &session->batch);
    if (entries >= SESSION_LEDGER_ENTRIES ||
        (entries > 0 && (session->ledger_due || session->accounts.entries_urgent)))
        put_ledger(session, ADAT_FLAG_CLOSED);
    if (session->deaths.count >= SESSION_LEDGER_ENTRIES || (session->deaths.count > 0 && session->ledger_due))
        session_put_kernel(session);
    session->ledger_due = false;
}

/* ---- the drain thread ------------------------------------------------------------------------- */

void session_write_clock_anchor(Session *session)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_CLOCK};
    AdatClock anchor;

    clock_anchor_take(&anchor);
    if (session->first_anchor.monotonic_ns == 0)
        session->first_anchor = anchor;
    drain_batch_put(&session->batch, &header, &anchor, sizeof(anchor));
}

/* The longer the time since the first anchor, the better. Within the first millisecond nothing is said. */
static void measure_cycles(Session *session, uint64_t now)
{
    uint64_t elapsed = now - session->first_anchor.monotonic_ns;

    if (session->first_anchor.tsc != 0 && elapsed >= NS_PER_MS)
        session->batch.ns_per_cycle =
            (double)elapsed / (double)(ada_clock_cycles() - session->first_anchor.tsc);
}

static uint64_t housekeeping_ns(const Session *session)
{
    return session->config.housekeeping_ns ? session->config.housekeeping_ns : NS_PER_S;
}

/* Whether nobody has recorded anything, or asked for metrics, since the last housekeeping, and all that happens next is told. */
static bool is_calm(Session *session)
{
    MetricsHub *hub = session->config.metrics_hub;
    bool asked = hub && metrics_hub_was_asked(hub);
    bool silent = session->metrics.bytes == session->calm_bytes;

    session->calm_bytes = session->metrics.bytes;
    return silent && !asked && session->all_told && !session->batch.failing && !session->stopping;
}

/*
 * Once a second; in a session that is calm rarer and rarer, down to once in CALM_MAX seconds, and metrics are collected no
 * more often then: a hundred quiet processes took 0.21 to 0.23 % of a core without that. What wakes the drain thread before its time
 * ends the calm.
 */
static void keep_house(Session *session, uint64_t now)
{
    if ((int64_t)(now - session->next_housekeeping) < 0)
        return;
    session->ledger_due = true;
    session_measure_memory(session);
    session_write_clock_anchor(session);
    put_live_ledger(session);
    session_check_threads(session, now);
    session_count_threads(session);
    session->calm = !is_calm(session) ? 1 : session->calm < CALM_MAX ? 2 * session->calm : CALM_MAX;
    session->next_housekeeping = now + session->calm * housekeeping_ns(session);
}

static void end_calm(Session *session, uint64_t now)
{
    session->calm = 1;
    if (session->next_housekeeping > now + housekeeping_ns(session))
        session->next_housekeeping = now + housekeeping_ns(session);
}

static void forget_process(Session *session, size_t index)
{
    TracedProcess *process = session->processes[index];
    ProcessEnd end = traced_process_ended(process);

    if (traced_process_claimed(process)) {
        ProcessAccount account = {
            .pid = (uint32_t)traced_process_pid(process),
            .end = end.kind,
            .code = end.code,
            .threads = traced_process_threads(process),
        };

        traced_process_write_death(process, &session->batch);
        account_book_add_process(&session->accounts, &account);
    } else {
        session->result.processes--; /* a segment that nobody ever took over */
        if (end.kind == ADAT_DEATH_DETACHED)
            session->result.detached--;
    }
    if (traced_process_quarantine(process)) {
        session->result.quarantined++;
        session->result.quarantine = traced_process_quarantine(process);
        session->result.quarantine_pid = traced_process_pid(process);
    }
    session->result.threads += traced_process_threads(process);
    death_book_give_up(&session->deaths, traced_process_number(process), UINT64_MAX);
    metrics_figures_add(&session->ended, traced_process_ended_figures(process));
    if (session->config.on_done)
        session->config.on_done(session->config.context, traced_process_number(process));
    traced_process_destroy(process);
    session->processes[index] = session->processes[--session->process_count];
}

void session_tell_state(const Session *session)
{
    const uint64_t one = 1;

    if (session->config.state_fd >= 0)
        (void)!write(session->config.state_fd, &one, sizeof(one));
}

static void tell_write_state(Session *session)
{
    int32_t state = session->batch.failing ? session->batch.last_error : 0;

    if (state == session->write_error) /* ours alone to write */
        return;
    ada_store_relaxed(&session->write_error, state);
    session_tell_state(session);
}

/* One round over all processes and one write. True: do the next at once. */
static bool iterate(Session *session)
{
    DrainIteration iteration;

    measure_cycles(session, ada_clock_monotonic_ns());
    (void)session_name_file(session);
    for (size_t i = 0; i < session->process_count; i++)
        traced_process_prepare(session->processes[i], &session->batch);
    drain_iteration(session->iterator, session->stopping, &iteration);
    settle_ledger(session);
    session_settle_kernel(session);
    tell_write_state(session);
    for (size_t i = session->process_count; i-- > 0;) {
        if (traced_process_settle(session->processes[i]))
            forget_process(session, i);
    }
    if (!iteration.pressed && !iteration.more)
        return session->accounts.entries_urgent; /* slots are given back when these are written */
    session->last_busy = ada_clock_monotonic_ns();
    return true;
}

/* Whether a ring was submitted, a thread ended, or a command came. */
static bool something_waits(const Session *session, uint32_t control)
{
    if (ada_load_relaxed(&session->control) != control)
        return true;
    for (size_t i = 0; i < session->process_count; i++) {
        if (traced_process_has_hints(session->processes[i]))
            return true;
    }
    return false;
}

/*
 * While rings fill up quickly the next mostly comes within the time that falling asleep and being woken would
 * take (some 50 us in a virtual machine), so look out for it that long. Yields to producers that need the CPU.
 */
static bool linger(const Session *session, uint32_t control)
{
    uint64_t until = session->last_busy + SESSION_LINGER_NS;

    while ((int64_t)(until - ada_clock_monotonic_ns()) > 0) {
        if (something_waits(session, control))
            return true;
        sched_yield();
    }
    return false;
}

/* ---- resting ----------------------------------------------------------------------------------- */

/* Sleeps until a doorbell is rung, a command comes, or the time is over. `how`: ADA_COLLECTOR_NAPS or _SLEEPS. */
static void sleep_for(Session *session, uint32_t control, uint32_t how, uint64_t timeout_ns)
{
    uint32_t *words[ADA_FUTEX_WAIT_MAX];
    uint32_t values[ADA_FUTEX_WAIT_MAX];
    uint32_t count = 0;

    words[count] = &session->control;
    values[count++] = control;
    for (size_t i = 0; i < session->process_count && count < ADA_FUTEX_WAIT_MAX; i++, count++)
        traced_process_prepare_sleep(session->processes[i], how, &words[count], &values[count]);
    /* After the doorbells were read: see announce_ring() in lane_producer.c. */
    if (!something_waits(session, control)) {
        session->metrics.wakeups++;
        if (ada_futex_wait_any(words, values, count, timeout_ns) == -ENOSYS) {
            const struct timespec delay = {.tv_nsec = (long)NS_PER_MS};

            (void)nanosleep(&delay, NULL); /* before Linux 5.16: no waiting for several words */
        }
    }
    for (size_t i = 0; i < session->process_count && i + 1 < ADA_FUTEX_WAIT_MAX; i++)
        traced_process_awake(session->processes[i]);
}

/* Until the next iteration: a tick, or, while all threads are quiet and watched, until somebody records. */
static void rest(Session *session, uint32_t control)
{
    uint64_t metrics_due = metrics_global_due(&session->global);
    uint64_t now, next, longest;

    if (session->stopping || !drain_iterator_is_quiet(session->iterator)) {
        sleep_for(session, control, ADA_COLLECTOR_NAPS, drain_iterator_tick(session->iterator));
        return;
    }
    now = ada_clock_monotonic_ns();
    next = session->next_housekeeping;
    if (session->calm == 1 && metrics_due != 0 && metrics_due < next)
        next = metrics_due;
    if (session->calm > 1 &&
        session->file_due < next) /* no nearer than a second: it may be that it can't begin yet */
        next = session->file_due > now + housekeeping_ns(session) ? session->file_due
                                                                  : now + housekeeping_ns(session);
    longest = (int64_t)(next - now) > 0 ? next - now : 1;
    if (session->process_count >= ADA_FUTEX_WAIT_MAX && longest > SESSION_UNWATCHED_NS)
        longest = SESSION_UNWATCHED_NS;
    sleep_for(session, control, ADA_COLLECTOR_SLEEPS, longest);
    if (session->calm > 1) {
        uint64_t woken = ada_clock_monotonic_ns();

        if (woken - now < longest)
            end_calm(session, woken);
    }
}

/* ---- closing ----------------------------------------------------------------------------------- */

int session_flush(Session *session)
{
    int error = drain_batch_flush(&session->batch);

    settle_ledger(session);
    session_settle_kernel(session);
    return error;
}

/* The ends of threads that are left, and in any case what became of kernel assistance. */
static int write_deaths(Session *session)
{
    int error;

    do {
        size_t before = session->deaths.count;

        session_put_kernel(session);
        error = session_flush(session);
        if (!error && before > 0 && session->deaths.count == before)
            error = -ENOMEM;
    } while (session->deaths.count > 0 && !error);
    return error;
}

static int write_accounts(Session *session)
{
    for (;;) {
        size_t entries = session->accounts.entry_count;
        bool final = entries <= SESSION_LEDGER_ENTRIES_MAX;
        int error = 0;

        put_ledger(session, final ? ADAT_FLAG_FINAL : ADAT_FLAG_CLOSED);
        if (final ? session->ledger_count != entries : session->ledger_count == 0)
            error = -ENOMEM;
        if (!error)
            error = session_flush(session);
        if (error || final)
            return error;
    }
}

int session_write_last_accounts(Session *session)
{
    int error = session_name_file(session);

    if (error)
        return error;
    session_write_clock_anchor(session);
    error = write_deaths(session);
    return error ? error : write_accounts(session);
}

static void close_last_file(Session *session)
{
    SessionResult *result = &session->result;

    session->closing = true;
    result->kernel = session_kernel_status(session);
    session->close_error = session_write_last_accounts(session);
    if (!session->close_error)
        session->close_error = adat_writer_finish(session->batch.writer);
    death_book_sort(&session->deaths);
    result->closed = session->close_error == 0;
    result->bytes = session->finished_bytes + adat_writer_bytes(session->batch.writer);
    session_summarize(session, &result->drain);
    session_measure_memory(session);
    metrics_collect_last(&session->global, ada_clock_monotonic_ns());
    result->write_error = session->close_error ? session->close_error : session->batch.last_error;
    result->duration_ns = ada_clock_monotonic_ns() - session->started_at;
    session_finish_files(session);
}

/* Somebody may want a snapshot then. */
static void tell_marks(Session *session)
{
    if (session->metrics.marks == ada_load_relaxed(&session->marks))
        return;
    ada_store_relaxed(&session->marks, session->metrics.marks);
    session_tell_state(session);
}

void *session_drain_main(void *argument)
{
    Session *session = argument;

    /* Ticks are to come when they are due, and not up to 50 us later. */
    (void)prctl(PR_SET_TIMERSLACK, 1ul);
    session->calm = 1;
    session->next_housekeeping = ada_clock_monotonic_ns() + housekeeping_ns(session);
    session_measure_memory(session);
    session_begin_files(session);
    for (;;) {
        uint32_t control =
            ada_load_acquire(&session->control); /* pairs with post(): before we look into the inbox */
        uint64_t now;
        bool again;

        obey_commands(session);
        again = iterate(session);
        tell_marks(session);
        now = ada_clock_monotonic_ns();
        session_rotate(session, now);
        keep_house(session, now);
        (void)metrics_collect_global(&session->global, now);
        if (session->stopping && session->process_count == 0)
            break;
        if (!again && !linger(session, control))
            rest(session, control);
    }
    close_last_file(session);
    return NULL;
}

DrainCallbacks session_drain_callbacks(Session *session)
{
    return (DrainCallbacks){
        .on_deregistered = on_deregistered,
        .on_hostile = on_hostile,
        .before_write = before_write,
        .has_run = session->config.kernel ? has_run : NULL,
        .context = session,
    };
}
