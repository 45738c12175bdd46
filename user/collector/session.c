/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/session.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/collector/clock_anchor.h"
#include "user/lane/clock.h"
#include "user/lane/futex.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

/* How often lanes are looked at when no ring fills: often after something was found, seldom when all is quiet. */
#define SESSION_TICK_NS (1 * NS_PER_MS)
#define SESSION_QUIET_TICK_NS (10 * NS_PER_MS)
#define SESSION_QUIET_AFTER_NS (100 * NS_PER_MS)
/* Rings that are being written are read at most this often, however busy full ones keep us. */
#define SESSION_IN_PLACE_NS (500000ull)
#define SESSION_LINGER_NS 50000ull
#define SESSION_HOUSEKEEPING_NS NS_PER_S
/* An iteration that moved this much is followed by the next at once. */
#define SESSION_BUSY_BYTES (32u << 10)

enum command_type { COMMAND_ATTACH, COMMAND_IDENTIFY, COMMAND_ENDED, COMMAND_STOP };

typedef struct Command {
    enum command_type type;
    uint32_t number;
    pid_t pid;
    ProcessEnd end;
    TracedProcess *process; /* COMMAND_ATTACH */
} Command;

typedef struct CommandQueue {
    Command *items;
    size_t count;
    size_t capacity;
} CommandQueue;

struct Session {
    /* shared between threads */
    pthread_mutex_t lock; /* guards inbox, next_number, inbox_failed */
    CommandQueue inbox;
    uint32_t next_number;
    uint32_t control; /* futex: one more with each command */
    int32_t write_error;

    pthread_t thread;
    bool started;

    /* the drain thread's, once started */
    uint32_t thread_counter; /* numbers of threads in the file */
    TracedProcess **processes;
    size_t process_count;
    size_t process_capacity;
    DrainBatch batch;
    AccountList accounts;
    ProcessAccountList ended;
    uint64_t started_at;
    uint64_t next_housekeeping;
    uint64_t last_activity;
    uint64_t last_busy;
    uint64_t next_in_place;
    bool stopping;
    SessionResult result;
    int close_error;
};

/* ---- commands --------------------------------------------------------------------------------- */

/* 0 or -ENOMEM. */
static int post(Session *session, const Command *command)
{
    CommandQueue *inbox = &session->inbox;
    int error;

    pthread_mutex_lock(&session->lock);
    error = array_reserve_one(&inbox->items, &inbox->capacity, inbox->count, sizeof(inbox->items[0]));
    if (!error)
        inbox->items[inbox->count++] = *command;
    pthread_mutex_unlock(&session->lock);
    /* Pairs with the acquire in sleep_until_tick(). */
    (void)ada_fetch_add_acq_rel(&session->control, 1u);
    ada_futex_wake(&session->control);
    return error;
}

int session_attach(Session *session, const Segment *segment, pid_t pid, uint32_t *number_out)
{
    Command command = {.type = COMMAND_ATTACH, .pid = pid};
    int error;

    pthread_mutex_lock(&session->lock);
    command.number = ++session->next_number;
    pthread_mutex_unlock(&session->lock);
    error = traced_process_create(segment, command.number, pid, &session->thread_counter, &command.process);
    if (error)
        return error;
    *number_out = command.number;
    error = post(session, &command);
    if (error)
        traced_process_destroy(command.process);
    return error;
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

static TracedProcess *find_process(const Session *session, uint32_t number)
{
    for (size_t i = 0; i < session->process_count; i++) {
        if (traced_process_number(session->processes[i]) == number)
            return session->processes[i];
    }
    return NULL;
}

static void add_process(Session *session, TracedProcess *process)
{
    if (array_reserve_one(&session->processes, &session->process_capacity, session->process_count,
                          sizeof(session->processes[0])) != 0) {
        traced_process_destroy(process); /* no memory even for a pointer: it is not traced */
        return;
    }
    session->processes[session->process_count++] = process;
    session->result.processes++;
}

static void obey(Session *session, const Command *command)
{
    TracedProcess *process = find_process(session, command->number);

    switch (command->type) {
    case COMMAND_ATTACH:
        add_process(session, command->process);
        break;
    case COMMAND_IDENTIFY:
        if (process)
            traced_process_identify(process, command->pid);
        break;
    case COMMAND_ENDED:
        if (process)
            traced_process_end(process, command->end);
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
            if (traced_process_ended(session->processes[i]).kind == 0) {
                traced_process_detach(session->processes[i]);
                session->result.detached++;
            }
        }
    }
}

/* ---- the drain thread ------------------------------------------------------------------------- */

static void write_clock_anchor(Session *session)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_CLOCK};
    AdatClock anchor;

    clock_anchor_take(&anchor);
    drain_batch_put(&session->batch, &header, &anchor, sizeof(anchor));
}

static void keep_house(Session *session, uint64_t now)
{
    if ((int64_t)(now - session->next_housekeeping) < 0)
        return;
    session->next_housekeeping = now + SESSION_HOUSEKEEPING_NS;
    write_clock_anchor(session);
    for (size_t i = 0; i < session->process_count; i++)
        traced_process_check_threads(session->processes[i]);
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
        (void)process_account_list_add(&session->ended,
                                       &account); /* without memory, only the summary's list is shorter */
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
    traced_process_destroy(process);
    session->processes[index] = session->processes[--session->process_count];
}

/* One round over all processes and one write. True: do the next at once. */
static bool iterate(Session *session)
{
    uint64_t before = adat_writer_bytes(session->batch.writer);
    uint64_t now = ada_clock_monotonic_ns();
    bool in_place = session->stopping || (int64_t)(now - session->next_in_place) >= 0;
    uint64_t moved;
    int more = 0;

    if (in_place)
        session->next_in_place = now + SESSION_IN_PLACE_NS;
    for (size_t i = 0; i < session->process_count; i++)
        more |= traced_process_drain(session->processes[i], &session->batch, in_place);
    (void)drain_batch_flush(&session->batch);
    ada_store_relaxed(&session->write_error, session->batch.failing ? session->batch.last_error : 0);
    moved = adat_writer_bytes(session->batch.writer) - before;
    for (size_t i = session->process_count; i-- > 0;) {
        if (traced_process_settle(session->processes[i], &session->accounts))
            forget_process(session, i);
    }
    session->result.iterations++;
    if (moved > 0)
        session->last_activity = ada_clock_monotonic_ns();
    if (moved < SESSION_BUSY_BYTES && !more)
        return false;
    session->last_busy = ada_clock_monotonic_ns();
    return true;
}

/* Whether a ring was submitted, or a command came. */
static bool something_waits(const Session *session, uint32_t control)
{
    if (ada_load_relaxed(&session->control) != control)
        return true;
    for (size_t i = 0; i < session->process_count; i++) {
        if (traced_process_submitted(session->processes[i]))
            return true;
    }
    return false;
}

/*
 * After a busy iteration the next ring mostly comes within the time that falling asleep and being woken would
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

/* Sleeps until a ring is submitted, a command comes, or it is time to look at partly filled rings. */
static void sleep_until_tick(Session *session, uint32_t control)
{
    uint64_t quiet_for = ada_clock_monotonic_ns() - session->last_activity;
    uint32_t *words[ADA_FUTEX_WAIT_MAX];
    uint32_t values[ADA_FUTEX_WAIT_MAX];
    uint32_t count = 0;

    words[count] = &session->control;
    values[count++] = control;
    for (size_t i = 0; i < session->process_count && count < ADA_FUTEX_WAIT_MAX; i++, count++)
        traced_process_prepare_sleep(session->processes[i], &words[count], &values[count]);
    if (!something_waits(session, control)) {
        uint64_t tick = quiet_for < SESSION_QUIET_AFTER_NS ? SESSION_TICK_NS : SESSION_QUIET_TICK_NS;

        if (ada_futex_wait_any(words, values, count, tick) == -ENOSYS) {
            const struct timespec delay = {.tv_nsec = (long)SESSION_TICK_NS};

            (void)nanosleep(&delay, NULL); /* before Linux 5.16: no waiting for several words */
        }
    }
    for (size_t i = 0; i < session->process_count; i++)
        traced_process_awake(session->processes[i]);
}

static void write_ledger(Session *session)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_LEDGER, .flags = ADAT_FLAG_FINAL};
    size_t count = session->accounts.count;
    size_t bytes = sizeof(AdatDrainSummary) + 2 * count * sizeof(AdatLedgerEntry);
    AdatDrainSummary *summary = calloc(1, bytes);
    AdatLedgerEntry *entries;

    if (!summary) {
        session->close_error = -ENOMEM;
        return;
    }
    entries = (AdatLedgerEntry *)(void *)(summary + 1);
    for (size_t i = 0; i < count; i++) {
        entries[2 * i] = session->accounts.items[i].index;
        entries[2 * i + 1] = session->accounts.items[i].detail;
    }
    drain_batch_put(&session->batch, &header, summary, bytes);
    free(summary);
}

static void close_file(Session *session)
{
    SessionResult *result = &session->result;
    struct timespec cpu;

    for (size_t i = 0; i < session->accounts.count; i++) {
        const AdatAccount index = adat_account_of(&session->accounts.items[i].index);
        const AdatAccount detail = adat_account_of(&session->accounts.items[i].detail);

        adat_account_add(&result->index, &index);
        adat_account_add(&result->detail, &detail);
    }
    write_clock_anchor(session);
    write_ledger(session);
    if (!session->close_error)
        session->close_error = drain_batch_flush(&session->batch);
    if (!session->close_error)
        session->close_error = adat_writer_finish(session->batch.writer);
    result->closed = session->close_error == 0;
    result->bytes = adat_writer_bytes(session->batch.writer);
    result->failed_writes = session->batch.failures;
    result->write_error = session->close_error ? session->close_error : session->batch.last_error;
    result->duration_ns = ada_clock_monotonic_ns() - session->started_at;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu) == 0)
        result->drain_cpu_ns = (uint64_t)cpu.tv_sec * NS_PER_S + (uint64_t)cpu.tv_nsec;
}

static void *drain_main(void *argument)
{
    Session *session = argument;

    session->last_activity = ada_clock_monotonic_ns();
    session->next_housekeeping = session->last_activity + SESSION_HOUSEKEEPING_NS;
    for (;;) {
        uint32_t control =
            ada_load_acquire(&session->control); /* pairs with post(): before we look into the inbox */
        bool again;

        obey_commands(session);
        again = iterate(session);
        keep_house(session, ada_clock_monotonic_ns());
        if (session->stopping && session->process_count == 0)
            break;
        if (!again && !linger(session, control))
            sleep_until_tick(session, control);
    }
    close_file(session);
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------- */

static int write_session_block(Session *session, const char *const *strings)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_SESSION};
    size_t size = 0;
    char *text;
    char *at;

    for (size_t i = 0; strings && strings[i]; i++)
        size += strlen(strings[i]) + 1;
    text = malloc(size + 1);
    if (!text)
        return -ENOMEM;
    at = text;
    for (size_t i = 0; strings && strings[i]; i++)
        at = stpcpy(at, strings[i]) + 1;
    drain_batch_put(&session->batch, &header, text, size);
    free(text);
    write_clock_anchor(session);
    return drain_batch_flush(&session->batch);
}

int session_create(int fd, const SessionConfig *config, Session **session_out)
{
    Session *session = calloc(1, sizeof(*session));
    AdatWriter *writer = NULL;
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
    drain_batch_init(&session->batch, writer);
    session->started_at = ada_clock_monotonic_ns();
    error = write_session_block(session, config->strings);
    if (error) {
        adat_writer_destroy(writer);
        goto fail;
    }
    *session_out = session;
    return 0;
fail:
    free(session);
    return error;
}

int session_start(Session *session)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = -pthread_create(&session->thread, NULL, drain_main, session);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
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
    for (size_t i = 0; i < session->process_count; i++)
        traced_process_destroy(session->processes[i]);
    for (size_t i = 0; i < session->inbox.count; i++)
        traced_process_destroy(session->inbox.items[i].process);
    free(session->inbox.items);
    free(session->processes);
    account_list_fini(&session->accounts);
    process_account_list_fini(&session->ended);
    adat_writer_destroy(session->batch.writer);
    pthread_mutex_destroy(&session->lock);
    free(session);
}

int session_write_error(const Session *session)
{
    return ada_load_relaxed(&session->write_error);
}

void session_result(const Session *session, SessionResult *result)
{
    *result = session->result;
    result->accounts = &session->accounts;
    result->ended = &session->ended;
}
