/* SPDX-License-Identifier: MIT */
#include "user/collector/traced_process_internal.h"

#include <stdlib.h>
#include <string.h>

#include "user/base/array.h"
#include "user/drain/thread_drain_account.h"
#include "user/lane/clock.h"
#include "user/lane/test_point.h"
#include "user/registry/thread_registry.h"

/* ---- quarantine -------------------------------------------------------------------------------- */

/* Its threads need not go on recording for nobody, nor wait for rings that will not come back. */
static void quarantine(TracedProcess *process, const char *reason)
{
    if (process->quarantine)
        return;
    process->quarantine = reason;
    ada_store_relaxed(&process->segment.header->enabled, 0u);
    ada_store_relaxed(&process->segment.header->attached, 0u);
}

void traced_process_give_up(TracedProcess *process)
{
    quarantine(process, "a lane in its shared memory holds impossible values");
}

/* ---- threads that are done with ---------------------------------------------------------------- */

static const LaneDrain *lane_of(const ThreadDrainState *state, uint32_t lane)
{
    return lane == ADA_LANE_INDEX ? &state->index : &state->detail;
}

static AdatLedgerEntry ledger_entry(const ThreadDrainState *state, uint32_t lane, const AdatAccount *account,
                                    uint64_t next_record)
{
    AdatLedgerEntry entry = adat_account_entry(account, state->process, state->thread, lane);

    entry.next_record = next_record;
    return entry;
}

static void note_visits(const ThreadDrainState *state, AdatLedgerEntry *entry)
{
    entry->visits = state->stats.visits;
    entry->skips = state->stats.skips;
    entry->bytes = state->stats.bytes;
    entry->wait_total = state->stats.wait_total;
    entry->wait_max = state->stats.wait_max;
}

/* Of a thread that may go on, the account ends where the next collector's begins. *total_out is that over all files. */
static AdatLedgerEntry close_lane(const TracedProcess *process, ThreadDrainState *state, bool final,
                                  uint32_t lane_kind, AdatLedgerEntry *total_out)
{
    AdatLedgerEntry entry;
    AdatAccount account;

    if (final)
        thread_drain_end(state, lane_kind, &account);
    else if (process->quarantine)
        thread_drain_account(state, lane_kind, false, &account);
    else
        thread_drain_leave(state, lane_kind, &account);
    entry = ledger_entry(state, lane_kind, &account, lane_of(state, lane_kind)->told.next_record);
    thread_drain_add_earlier(state, lane_kind, &account);
    *total_out = ledger_entry(state, lane_kind, &account, entry.next_record);
    return entry;
}

/* The ledger of the present file names it, so it must be described there, as it is of this file. */
static void describe_again(const TracedProcess *process, const ThreadDrainState *state,
                           const ThreadDescription *thread)
{
    if (state->described != *process->epoch)
        (void)account_book_add_undescribed(process->accounts, thread);
}

/* Whoever comes after us begins behind the account; a slot may be another thread's from here on. */
static void settle_closed(TracedProcess *process, const ClosedThread *closed)
{
    if (process->quarantine)
        return;
    thread_drain_settle_lane(&closed->lanes->index, &closed->told[ADA_LANE_INDEX]);
    ADA_TEST_POINT("closed.index");
    thread_drain_settle_lane(&closed->lanes->detail, &closed->told[ADA_LANE_DETAIL]);
    ADA_TEST_POINT("closed.settled");
    if (closed->gives_back && !traced_process_gone(process) &&
        thread_registry_release(&process->segment, closed->lanes))
        process->done[closed->slot / 64] &= ~(1ull << closed->slot % 64);
}

/* A slot is given back once its thread wrote its last; the others of a process that goes on stay taken. */
static void settle_later(TracedProcess *process, const ThreadDrainState *state)
{
    const ClosedThread closed = {
        .entries = process->accounts->entries_added,
        .lanes = state->lanes,
        .slot = state->slot,
        .gives_back = state->producer_gone,
        .told = {state->index.told, state->detail.told},
    };

    if (process->quarantine)
        return;
    if (array_reserve_one(&process->closed_threads, &process->closed_capacity, process->closed_count,
                          sizeof(closed)) != 0) {
        settle_closed(process, &closed); /* should we be killed now, its last losses are in no file */
        return;
    }
    process->closed_threads[process->closed_count++] = closed;
    process->accounts->entries_urgent = true;
}

void traced_process_settle_closed(TracedProcess *process, uint64_t entries)
{
    size_t count = 0;

    while (count < process->closed_count && process->closed_threads[count].entries <= entries)
        settle_closed(process, &process->closed_threads[count++]);
    process->closed_count -= count;
    if (count > 0 && process->closed_count > 0)
        memmove(process->closed_threads, process->closed_threads + count,
                process->closed_count * sizeof(process->closed_threads[0]));
    if (process->unregistered_entries > 0 && process->unregistered_entries <= entries) {
        ada_store_relaxed(&process->segment.header->settled_unregistered, process->unregistered_told);
        process->unregistered_entries = 0;
        ADA_TEST_POINT("closed.unregistered");
    }
}

/* The death record of a thread that is drained. */
static void note_death(TracedProcess *process, const ThreadDrainState *state, uint64_t torn)
{
    KernelEvent *exit = process_kernel_left(&process->kernel, state->slot);
    AdatKernelThread entry = {
        .process = process->process,
        .thread = state->thread,
        .tid = state->tid,
        .kind = ADAT_DEATH_UNKNOWN,
        .drain_complete = !process->quarantine && !state->hostile,
        .torn = torn,
        .freed_ns = ada_clock_monotonic_ns(),
    };

    if (!process->deaths)
        return;
    if (exit) {
        death_book_complete(&entry, exit);
        death_book_add(process->deaths, &entry);
    } else if (process->end.kind == ADAT_DEATH_DETACHED || process->end.kind == ADAT_DEATH_EXEC) {
        entry.kind = process->end.kind; /* it still runs, maybe another program: the kernel told of no end */
        death_book_add(process->deaths, &entry);
    } else {
        death_book_wait(process->deaths, &entry);
    }
    free(exit);
}

void traced_process_close_thread(TracedProcess *process, ThreadDrainState *state, bool final)
{
    ThreadAccount account = {.pid = (uint32_t)process->pid, .tid = state->tid};
    ThreadDescription description;
    AdatLedgerEntry entries[2];

    (void)thread_lane_set_read_name(state->lanes, state->name);
    memcpy(account.name, state->name, sizeof(account.name));
    if (process->source.weights)
        account.weight = state->weight;
    description = thread_drain_description(state);
    entries[ADA_LANE_INDEX] = close_lane(process, state, final, ADA_LANE_INDEX, &account.index);
    entries[ADA_LANE_DETAIL] = close_lane(process, state, final, ADA_LANE_DETAIL, &account.detail);
    note_visits(state, &account.index);
    note_visits(state, &entries[ADA_LANE_INDEX]);
    describe_again(process, state, &description);
    traced_process_measure_ended(process, state, &account);
    process->torn += account.index.torn + account.detail.torn;
    kernel_hints_left(process->hints, state);
    note_death(process, state, account.index.torn + account.detail.torn);
    if (account_book_add_thread(process->accounts, &account, entries) != 0)
        quarantine(process, "no memory for the account of a thread");
    process->threads[state->slot] = NULL;
    process->known[state->slot / 64] &= ~(1ull << state->slot % 64);
    process->threads_here--;
    process->done[state->slot / 64] |= 1ull << state->slot % 64;
    settle_later(process, state);
}

/* ---- the live ledger --------------------------------------------------------------------------- */

static uint64_t attempted_of(const AdatLedgerEntry lanes[2])
{
    return lanes[ADA_LANE_INDEX].attempted + lanes[ADA_LANE_DETAIL].attempted;
}

static uint64_t settled_of(const AdatLedgerEntry lanes[2])
{
    return attempted_of(lanes) - lanes[ADA_LANE_INDEX].pending - lanes[ADA_LANE_DETAIL].pending;
}

/* Without memory: not now. */
static void add_live(LedgerEntries *entries, ThreadDrainState *state, const AdatLedgerEntry lanes[2])
{
    if (array_reserve_one(&entries->threads, &entries->thread_capacity, entries->thread_count,
                          sizeof(entries->threads[0])) != 0)
        return;
    for (size_t i = 0; i < 2; i++) {
        if (array_reserve_one(&entries->items, &entries->capacity, entries->count + i, sizeof(lanes[0])) != 0)
            return;
        entries->items[entries->count + i] = lanes[i];
    }
    entries->count += 2;
    entries->threads[entries->thread_count++] = state;
}

static void tell_account(const TracedProcess *process, ThreadDrainState *state, DrainBatch *batch,
                         LedgerEntries *entries)
{
    AdatLedgerEntry lanes[2];

    for (uint32_t lane = 0; lane < 2; lane++) {
        AdatAccount account;

        thread_drain_tell(state, lane, &account);
        lanes[lane] = ledger_entry(state, lane, &account, lane_of(state, lane)->proposed.next_record);
    }
    if (state->told_epoch == *process->epoch && state->told_attempted == attempted_of(lanes) &&
        state->told_settled == settled_of(lanes))
        return;
    /* A file need not know a thread of which it has nothing. */
    if (state->described != *process->epoch && settled_of(lanes) == 0)
        return;
    thread_drain_describe(state, batch); /* first: who reads a file that ends within the batch knows it, too */
    add_live(entries, state, lanes);
}

void traced_process_told_account(ThreadDrainState *state, const AdatLedgerEntry entries[2], DrainBatch *batch)
{
    thread_drain_told(state);
    state->told_epoch = batch->epoch;
    state->told_attempted = attempted_of(entries);
    state->told_settled = settled_of(entries);
    drain_batch_touch(batch, state); /* settled with the write that has the entries */
}

void traced_process_tell_accounts(TracedProcess *process, DrainBatch *batch, LedgerEntries *entries)
{
    if (!process->quarantine && process->threads_here > 0)
        process_description_write(&process->description, batch);
    for (uint32_t slot = 0, left = process->quarantine ? 0 : process->threads_here; left > 0; slot++) {
        traced_process_expect_threads(process, slot);
        if (!process->threads[slot])
            continue;
        left--;
        tell_account(process, process->threads[slot], batch, entries);
    }
}

/* ---- the next file ----------------------------------------------------------------------------- */

void traced_process_next_file(TracedProcess *process)
{
    for (uint32_t slot = 0, left = process->quarantine ? 0 : process->threads_here; left > 0; slot++) {
        ThreadDrainState *state = process->threads[slot];
        ThreadDescription description;
        AdatLedgerEntry entries[2];

        if (!state)
            continue;
        left--;
        description = thread_drain_description(state);
        for (uint32_t lane = 0; lane < 2; lane++) {
            AdatAccount account;

            thread_drain_next_file(state, lane, &account);
            entries[lane] = ledger_entry(state, lane, &account, lane_of(state, lane)->told.next_record);
        }
        if (entries[0].attempted == 0 && entries[1].attempted == 0)
            continue; /* this file need not know it */
        note_visits(state, &entries[ADA_LANE_INDEX]);
        describe_again(process, state, &description);
        if (account_book_add_entries(process->accounts, entries) != 0)
            quarantine(process, "no memory for the account of a thread");
    }
}

void traced_process_settle_file(TracedProcess *process)
{
    for (uint32_t slot = 0, left = process->quarantine ? 0 : process->threads_here; left > 0; slot++) {
        ThreadDrainState *state = process->threads[slot];

        if (!state)
            continue;
        left--;
        thread_drain_settle(&state->index);
        thread_drain_settle(&state->detail);
        ADA_TEST_POINT("files.settled");
    }
}

/* ---- the end of the process -------------------------------------------------------------------- */

/* Closes the accounts of a process that is read no more with what was taken. */
static void abandon_threads(TracedProcess *process)
{
    for (uint32_t slot = 0; process->threads_here > 0 && slot < process->segment.geometry.slot_capacity;
         slot++) {
        ThreadDrainState *state = process->threads[slot];

        if (!state)
            continue;
        traced_process_close_thread(process, state, false);
        drain_iterator_abandon(process->iterator, state);
    }
}

/* Events of threads that had no slot: attempted, and lost for want of room. */
static void account_unregistered(TracedProcess *process)
{
    uint64_t counted = ada_load_relaxed(&segment_registry(&process->segment)->unregistered_events);
    uint64_t events = counted - process->unregistered_before;
    ThreadAccount account = {.pid = (uint32_t)process->pid};
    AdatLedgerEntry entries[2];

    if (events == 0)
        return;
    memcpy(account.name, "(no slot)", sizeof("(no slot)"));
    account.index = (AdatLedgerEntry){
        .process = process->process,
        .lane = ADA_LANE_INDEX,
        .attempted = events,
        .dropped_full = events,
        .next_record = counted,
    };
    account.detail = (AdatLedgerEntry){.process = process->process, .lane = ADA_LANE_DETAIL};
    entries[ADA_LANE_INDEX] = account.index;
    entries[ADA_LANE_DETAIL] = account.detail;
    process->ended.index.attempted += events;
    process->ended.index.dropped_full += events;
    if (account_book_add_thread(process->accounts, &account, entries) != 0) {
        quarantine(process, "no memory for the account of a thread");
        return;
    }
    process->unregistered_told = counted;
    process->unregistered_entries = process->accounts->entries_added;
    process->accounts->entries_urgent = true;
}

/* Nothing waits for entries that are not in the file. */
static bool is_settled(const TracedProcess *process)
{
    return process->closed_count == 0 && process->unregistered_entries == 0;
}

bool traced_process_settle(TracedProcess *process)
{
    if (process->closed)
        return is_settled(process);
    if (process->quarantine)
        abandon_threads(process);
    /* A thread that was found in this iteration is drained in the next. */
    if (process->end.kind == 0 || process->threads_here > 0 || (!process->quarantine && !process->visited))
        return false;
    account_unregistered(process);
    process->closed = true;
    return is_settled(process);
}

void traced_process_write_death(TracedProcess *process, DrainBatch *batch)
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

    process_description_write(&process->description, batch); /* the file may have begun since it was closed */
    drain_batch_put(batch, &header, &death, sizeof(death));
}
