/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/traced_process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "user/lane/clock.h"
#include "user/registry/thread_registry.h"

/* One visit takes at most about this much of one lane, so that a busy thread does not keep the others waiting. */
#define PROCESS_LANE_BUDGET (512u << 10)

struct TracedProcess {
    Segment segment;
    uint32_t process;
    pid_t pid;
    uint32_t *thread_counter;   /* the session's */
    ThreadDrainState **threads; /* by slot; NULL = nobody known there */
    uint32_t thread_bound;      /* slots at or above it were never taken */
    uint32_t threads_found;
    ProcessEnd end;
    const char *quarantine;
    bool closed; /* the accounts of an ended process were closed */
    uint64_t torn;
    uint32_t described; /* batch epoch of the PROCESS block; 0 = never written */
    uint32_t modules_described;
    uint32_t module_count;
    uint32_t events_described; /* batch epoch to which event_written belongs */
    uint32_t events_done;      /* entries written */
    uint8_t *event_written;    /* by index: in the file already */
};

int traced_process_create(const Segment *segment, uint32_t number, pid_t pid, uint32_t *thread_counter,
                          TracedProcess **process_out)
{
    TracedProcess *process = calloc(1, sizeof(*process));

    if (!process)
        return -ENOMEM;
    process->threads = calloc(segment->geometry.slot_capacity, sizeof(process->threads[0]));
    process->event_written = calloc(segment->geometry.event_capacity, 1);
    if (!process->threads || !process->event_written) {
        free(process->threads);
        free(process->event_written);
        free(process);
        return -ENOMEM;
    }
    process->segment = *segment;
    process->process = number;
    process->pid = pid;
    process->thread_counter = thread_counter;
    *process_out = process;
    return 0;
}

void traced_process_destroy(TracedProcess *process)
{
    if (!process)
        return;
    for (uint32_t slot = 0; slot < process->segment.geometry.slot_capacity; slot++)
        free(process->threads[slot]);
    segment_unmap(&process->segment);
    free(process->threads);
    free(process->event_written);
    free(process);
}

void traced_process_identify(TracedProcess *process, pid_t pid)
{
    process->pid = pid;
}

pid_t traced_process_pid(const TracedProcess *process)
{
    return process->pid;
}

uint32_t traced_process_number(const TracedProcess *process)
{
    return process->process;
}

bool traced_process_claimed(const TracedProcess *process)
{
    return ada_load_relaxed(&process->segment.header->owner_pid) != 0;
}

void traced_process_end(TracedProcess *process, ProcessEnd end)
{
    process->end = end;
}

ProcessEnd traced_process_ended(const TracedProcess *process)
{
    return process->end;
}

const char *traced_process_quarantine(const TracedProcess *process)
{
    return process->quarantine;
}

uint32_t traced_process_threads(const TracedProcess *process)
{
    return process->threads_found;
}

/* Whether the threads can write no more. */
static bool process_gone(const TracedProcess *process)
{
    return process->end.kind != 0 && process->end.kind != ADAT_DEATH_DETACHED;
}

/* ---- what the file is told about the process ----------------------------------------------------- */

static size_t append_string(char *strings, size_t size, size_t at, const char *key, const char *value)
{
    size_t key_bytes = strlen(key) + 1;
    size_t value_bytes = strlen(value) + 1;

    if (size - at < key_bytes + value_bytes)
        return at;
    memcpy(strings + at, key, key_bytes);
    memcpy(strings + at + key_bytes, value, value_bytes);
    return at + key_bytes + value_bytes;
}

static void describe_process(TracedProcess *process, DrainBatch *batch)
{
    const SegmentHeader *shared = process->segment.header;
    AdatBlockHeader header = {.type = ADAT_BLOCK_PROCESS, .process = process->process};
    struct {
        AdatProcess block;
        char strings[sizeof(shared->program) + sizeof(shared->command) + 32];
    } payload;
    char program[sizeof(shared->program)];
    char command[sizeof(shared->command)];
    uint32_t command_bytes;
    size_t used = 0;

    if (process->described == batch->epoch ||
        !ada_load_acquire(&shared->owner_ready)) /* pairs with describe_owner() */
        return;
    if (process->pid == 0)
        process->pid = (pid_t)ada_load_relaxed(&shared->owner_pid);
    memcpy(program, shared->program, sizeof(program));
    program[sizeof(program) - 1] = '\0';
    memcpy(command, shared->command, sizeof(command));
    command_bytes = ada_load_relaxed(&shared->command_bytes);
    if (command_bytes >= sizeof(command))
        command_bytes = sizeof(command) - 1;
    command[command_bytes] = '\0';
    for (uint32_t i = 0; i + 1 < command_bytes; i++) {
        if (command[i] == '\0')
            command[i] = ' ';
    }

    memset(&payload, 0, sizeof(payload));
    payload.block = (AdatProcess){
        .process = process->process,
        .pid = (uint32_t)process->pid,
        .parent_pid = ada_load_relaxed(&shared->owner_parent_pid),
        .clock_kind = ada_load_relaxed(&shared->clock_kind),
        .started_at = ada_load_relaxed(&shared->owner_started_at),
    };
    used = append_string(payload.strings, sizeof(payload.strings), used, "program", program);
    used = append_string(payload.strings, sizeof(payload.strings), used, "command", command);
    process->described = batch->epoch;
    drain_batch_put(batch, &header, &payload, sizeof(payload.block) + used);
}

static void describe_modules(TracedProcess *process, DrainBatch *batch)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_MODULES, .process = process->process};
    uint32_t count =
        ada_load_acquire(&process->segment.header->module_count); /* pairs with client_modules_publish() */
    AdaModule *copies;
    uint32_t copied = 0;

    if (count > process->segment.geometry.module_capacity)
        count = process->segment.geometry.module_capacity;
    if (count == 0 || (count == process->module_count && process->modules_described == batch->epoch))
        return;
    copies = malloc(count * sizeof(*copies));
    if (!copies)
        return; /* tried again on the next visit */
    for (uint32_t i = 0; i < count; i++) {
        AdaModule *copy = &copies[copied];

        memcpy(copy, segment_module(&process->segment, i), sizeof(*copy));
        copy->path[sizeof(copy->path) - 1] = '\0';
        if (copy->build_id_size > ADA_BUILD_ID_MAX)
            copy->build_id_size = ADA_BUILD_ID_MAX;
        if (copy->ready == 1)
            copied++;
    }
    process->module_count = count;
    process->modules_described = batch->epoch;
    drain_batch_put(batch, &header, copies, copied * sizeof(*copies));
    free(copies);
}

/* Writes the descriptors that became ready since the last visit. */
static void describe_events(TracedProcess *process, DrainBatch *batch)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_EVENTS, .process = process->process};
    uint32_t count =
        ada_load_relaxed(&process->segment.header->event_count); /* each entry says itself when it is ready */
    AdaEventDescriptor copy;

    if (count > process->segment.geometry.event_capacity)
        count = process->segment.geometry.event_capacity;
    if (process->events_described != batch->epoch) {
        memset(process->event_written, 0, process->segment.geometry.event_capacity);
        process->events_done = 0;
        process->events_described = batch->epoch;
    }
    for (uint32_t i = 0; i < count && process->events_done < count; i++) {
        const AdaEventDescriptor *entry = segment_event(&process->segment, i);

        if (process->event_written[i] || !ada_load_acquire(&entry->ready)) /* pairs with publish() in events.c */
            continue;
        memcpy(&copy, entry, sizeof(copy));
        copy.ready = 1;
        copy.id = i + 1;
        copy.name[sizeof(copy.name) - 1] = '\0';
        if (copy.field_count > ADA_EVENT_FIELDS_MAX)
            copy.field_count = ADA_EVENT_FIELDS_MAX;
        for (uint32_t field = 0; field < ADA_EVENT_FIELDS_MAX; field++)
            copy.fields[field].name[sizeof(copy.fields[field].name) - 1] = '\0';
        process->event_written[i] = 1;
        process->events_done++;
        drain_batch_put(batch, &header, &copy, sizeof(copy));
        if (process->events_described != batch->epoch)
            return; /* the batch was lost: all over again on the next visit */
    }
}

/* ---- threads ---------------------------------------------------------------------------------- */

/* Its threads need not go on recording for nobody, nor wait for rings that will not come back. */
static void quarantine(TracedProcess *process, const char *reason)
{
    if (process->quarantine)
        return;
    process->quarantine = reason;
    ada_store_relaxed(&process->segment.header->enabled, 0u);
    ada_store_relaxed(&process->segment.header->attached, 0u);
}

/* Looks for threads that came since the last visit. A slot is reused only after we gave it back, so a known state stays right. */
static void discover_threads(TracedProcess *process)
{
    uint32_t slot = 0;

    while (thread_registry_next(&process->segment, slot, &slot) != NULL) {
        if (!process->threads[slot]) {
            ThreadDrainState *state = malloc(sizeof(*state));

            if (!state)
                return; /* found again on the next visit */
            thread_drain_init(state, &process->segment, slot, process->process, ++*process->thread_counter);
            process->threads[slot] = state;
            process->threads_found++;
        }
        if (slot >= process->thread_bound)
            process->thread_bound = slot + 1;
        slot++;
    }
}

int traced_process_drain(TracedProcess *process, DrainBatch *batch, bool in_place)
{
    bool gone = process_gone(process);
    int more = 0;

    if (process->quarantine || process->closed)
        return 0;
    describe_process(process, batch);
    describe_modules(process, batch);
    describe_events(process, batch);
    discover_threads(process);
    for (uint32_t slot = 0; slot < process->thread_bound; slot++) {
        ThreadDrainState *state = process->threads[slot];
        int result;

        if (!state)
            continue;
        /* Acquire pairs with thread_registry_unregister(): the thread's last records are visible. */
        if (gone || ada_load_acquire(&state->lanes->state) != ADA_SLOT_ACTIVE)
            state->producer_gone = true;
        result = drain_thread_lanes(state, batch, PROCESS_LANE_BUDGET, in_place);
        if (result < 0) {
            quarantine(process, "a lane in its shared memory holds impossible values");
            return 0;
        }
        state->drained = state->producer_gone && result == 0;
        more |= result;
    }
    /* Events that were registered while we drained belong to records that may be in this batch. */
    describe_events(process, batch);
    return more;
}

/* Closes one thread's account. Its memory goes; its slot is the caller's to give back. */
static void close_thread(TracedProcess *process, uint32_t slot, AccountList *accounts, bool final)
{
    ThreadDrainState *state = process->threads[slot];
    ThreadAccount account = {.pid = (uint32_t)process->pid, .tid = state->tid};

    (void)thread_lane_set_read_name(state->lanes, state->name);
    memcpy(account.name, state->name, sizeof(account.name));
    thread_drain_account(state, ADA_LANE_INDEX, final, &account.index);
    thread_drain_account(state, ADA_LANE_DETAIL, final, &account.detail);
    process->torn += account.index.torn + account.detail.torn;
    if (account_list_add(accounts, &account) != 0)
        quarantine(process, "no memory for the account of a thread");
    free(state);
    process->threads[slot] = NULL;
}

/* Events of threads that had no slot: attempted, and lost for want of room. */
static void account_unregistered(TracedProcess *process, AccountList *accounts)
{
    uint64_t events = ada_load_relaxed(&segment_registry(&process->segment)->unregistered_events);
    ThreadAccount account = {.pid = (uint32_t)process->pid};

    if (events == 0)
        return;
    memcpy(account.name, "(no slot)", sizeof("(no slot)"));
    account.index = (AdatLedgerEntry){
        .process = process->process, .lane = ADA_LANE_INDEX, .attempted = events, .dropped_full = events};
    account.detail = (AdatLedgerEntry){.process = process->process, .lane = ADA_LANE_DETAIL};
    if (account_list_add(accounts, &account) != 0)
        quarantine(process, "no memory for the account of a thread");
}

bool traced_process_settle(TracedProcess *process, AccountList *accounts)
{
    bool ended = process->end.kind != 0;
    bool all_drained = true;

    if (process->closed)
        return true;
    for (uint32_t slot = 0; slot < process->thread_bound; slot++) {
        ThreadDrainState *state = process->threads[slot];

        if (!state)
            continue;
        if (process->quarantine) {
            all_drained = all_drained && ended;
            if (ended)
                close_thread(process, slot, accounts, false);
            continue;
        }
        if (!state->drained || state->touched) {
            all_drained = false;
            continue;
        }
        if (!ended) {
            ThreadLaneSet *lanes = state->lanes;

            close_thread(process, slot, accounts, true);
            (void)thread_registry_release(&process->segment, lanes);
        }
    }
    if (!ended)
        return false;
    if (!all_drained && process->end.kind != ADAT_DEATH_DETACHED)
        return false;
    for (uint32_t slot = 0; slot < process->thread_bound; slot++) {
        if (process->threads[slot])
            close_thread(process, slot, accounts,
                         process_gone(process) || process->threads[slot]->producer_gone);
    }
    account_unregistered(process, accounts);
    process->closed = true;
    return true;
}

void traced_process_write_death(const TracedProcess *process, DrainBatch *batch)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_DEATH, .process = process->process};
    AdatDeath death = {
        .process = process->process,
        .kind = process->end.kind,
        .code = process->end.code,
        .drain_complete = process->closed && !process->quarantine,
        .torn = process->torn,
        .monotonic_ns = ada_clock_monotonic_ns(),
    };

    drain_batch_put(batch, &header, &death, sizeof(death));
}

void traced_process_check_threads(TracedProcess *process)
{
    const SegmentHeader *header = process->segment.header;
    char path[64];

    /* In another pid namespace its thread ids mean nothing here: then they are drained when the process ends. */
    if (process->end.kind != 0 || process->pid == 0 ||
        ada_load_relaxed(&header->owner_pid) != (uint32_t)process->pid)
        return;
    for (uint32_t slot = 0; slot < process->thread_bound; slot++) {
        ThreadDrainState *state = process->threads[slot];

        if (!state || state->producer_gone)
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%u", (int)process->pid, state->tid);
        if (access(path, F_OK) < 0 && errno == ENOENT)
            (void)thread_registry_unregister(state->lanes);
    }
}

void traced_process_detach(TracedProcess *process)
{
    SegmentHeader *header = process->segment.header;
    ThreadRegistry *registry = segment_registry(&process->segment);

    ada_store_relaxed(&header->enabled, 0u);
    ada_store_relaxed(&header->attached, 0u);
    ada_store_relaxed(&registry->accepting_registrations, 0u);
    ada_store_relaxed(&registry->shutdown_requested, 1u);
    process->end = (ProcessEnd){.kind = ADAT_DEATH_DETACHED};
}

bool traced_process_submitted(const TracedProcess *process)
{
    for (uint32_t slot = 0; slot < process->thread_bound; slot++) {
        const ThreadDrainState *state = process->threads[slot];

        if (state && !process->quarantine && lane_reader_submitted(&state->index.reader))
            return true;
    }
    return false;
}

void traced_process_prepare_sleep(TracedProcess *process, uint32_t **word_out, uint32_t *value_out)
{
    SegmentHeader *header = process->segment.header;

    ada_store_relaxed(&header->collector_sleeping, 1u);
    /* By read-modify-write, before looking at the queues: see ring_doorbell() in lane_producer.c. */
    *value_out = ada_fetch_add_acq_rel(&header->doorbell, 0u);
    *word_out = &header->doorbell;
}

void traced_process_awake(TracedProcess *process)
{
    ada_store_relaxed(&process->segment.header->collector_sleeping, 0u);
}
