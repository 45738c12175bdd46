/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/traced_process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/collector/clock_anchor.h"
#include "user/collector/process_description.h"
#include "user/collector/process_kernel.h"
#include "user/collector/segment_recovery.h"
#include "user/metrics/sched_figures.h"
#include "user/drain/thread_marks.h"
#include "user/lane/clock.h"
#include "user/lane/test_point.h"
#include "user/registry/thread_registry.h"

/* Processes whose threads are quiet have their turn every so many iterations; others are looked at in each. */
#define PROCESS_TURNS 8u
#define PROCESS_HOT_ITERATIONS 16u

/* A thread whose account is closed, but maybe not in the file yet. */
typedef struct ClosedThread {
    uint64_t entries; /* of the account book, up to its own */
    ThreadLaneSet *lanes;
    uint32_t slot;
    bool gives_back; /* the slot */
    AdatLaneProgress told[2];
} ClosedThread;

struct TracedProcess {
    Segment segment;
    DrainSource source;
    DrainIterator *iterator; /* the session's */
    uint32_t process;
    pid_t pid;
    uint32_t *thread_counter;   /* the session's */
    ThreadDrainState **threads; /* by slot; NULL = nobody known there */
    uint32_t threads_found;
    uint32_t threads_here; /* not NULL in `threads` */
    uint64_t known[ADA_BITMAP_WORDS]; /* the same as bits: in each iteration as many words are looked at, and not as many threads */
    uint64_t done[ADA_BITMAP_WORDS]; /* slots that were drained and not given back: not to be looked at again */
    ClosedThread *closed_threads;    /* in the order of their entries */
    size_t closed_count;
    size_t closed_capacity;
    AccountBook *accounts;         /* the session's */
    const uint32_t *epoch;         /* of the session's batch */
    ada_global_metrics_t *metrics; /* the session's */
    ProcessEnd end;
    const char *quarantine;
    uint32_t next_check;           /* slot: see traced_process_check_threads() */
    uint64_t unregistered_before;  /* events without a slot that are in another collector's account */
    uint64_t unregistered_told;    /* the same, in the account book */
    uint64_t unregistered_entries; /* as ClosedThread.entries; 0: nothing is to be settled */
    bool closed;                   /* the accounts of an ended process were closed */
    bool visited;                  /* in the present iteration */
    bool mark_requested;
    bool is_view; /* what the kernel saw of the process with that pid; see kernel_view.h */
    uint64_t torn;
    MetricsFigures ended; /* of threads that are done with */
    double average;       /* events a second */
    uint64_t measured;    /* events attempted, when metrics were last collected */
    MetricsThread *last; /* by slot: figures as they were then; NULL: they never were, or there was no memory */
    ProcessDescription description;
    DeathBook *deaths; /* the session's; NULL: the kernel tells nothing */
    ProcessKernel kernel;
    KernelHints *hints;    /* the session's */
    SegmentReaper *reaper; /* the same */
};

static void learn_events(DrainSource *source);

int traced_process_create(const TracedProcessConfig *config, const Segment *segment, uint32_t number,
                          pid_t pid, TracedProcess **process_out)
{
    TracedProcess *process = calloc(1, sizeof(*process));
    int error = -ENOMEM;

    if (!process)
        return -ENOMEM;
    process->threads = calloc(segment->geometry.slot_capacity, sizeof(process->threads[0]));
    if (!process->threads)
        goto fail;
    process->segment = *segment;
    error = process_description_init(&process->description, &process->segment, number, &process->pid);
    if (error)
        goto fail;
    if (config->rules && config->rules->count > 0) {
        error = mark_matcher_create(config->rules, &process->source.matcher);
        if (error)
            goto fail;
    }
    if (config->deaths) {
        error = process_kernel_init(&process->kernel, &process->segment);
        if (error)
            goto fail;
    }
    process->deaths = config->deaths;
    process->is_view = config->is_view;
    process->hints = config->hints;
    process->reaper = config->reaper;
    process->process = number;
    process->pid = pid;
    process->iterator = config->iterator;
    process->thread_counter = config->thread_counter;
    process->accounts = config->accounts;
    process->epoch = config->epoch;
    process->metrics = config->metrics;
    process->source.segment = &process->segment;
    process->source.process = number;
    process->source.clock_kind = ada_load_relaxed(&segment->header->clock_kind);
    process->source.ns_per_cycle = config->ns_per_cycle;
    process->source.rules = config->rules;
    process->source.weights = config->weights;
    process->source.learn = learn_events;
    process->source.owner = process;
    *process_out = process;
    return 0;

fail:
    mark_matcher_destroy(process->source.matcher);
    process_description_fini(&process->description);
    free(process->threads);
    free(process);
    return error;
}

void traced_process_destroy(TracedProcess *process)
{
    if (!process)
        return;
    mark_matcher_destroy(process->source.matcher);
    process_kernel_fini(&process->kernel);
    segment_reaper_take(process->reaper, &process->segment);
    process_description_fini(&process->description);
    free(process->last);
    free(process->closed_threads);
    free(process->threads);
    free(process);
}

/* A thread that ended while nobody was attached, and of which everything is in an account: it is no part of this recording. */
static void sweep_slot(const Segment *segment, uint32_t slot)
{
    ThreadLaneSet *lanes = thread_registry_at(segment, slot);

    if (lanes && ada_load_acquire(&lanes->state) == ADA_SLOT_DRAINING && /* pairs with its last step */
        thread_drain_is_settled(lanes))
        (void)thread_registry_release(segment, lanes);
}

static void open_gate(TracedProcess *process, bool wants_children)
{
    SegmentHeader *header = process->segment.header;
    ThreadRegistry *registry = segment_registry(&process->segment);

    ada_store_relaxed(&header->collector_sleeping, ADA_COLLECTOR_AWAKE);
    ada_store_relaxed(&header->wants_children, wants_children);
    ada_store_relaxed(&registry->shutdown_requested, 0u);
    ada_store_relaxed(&registry->accepting_registrations, 1u);
    ada_store_relaxed(&header->attached, 1u);
    /* Last: who finds the gate open may register. It needs no order, as a thread that is refused tries again with its next event. */
    ada_store_relaxed(&header->enabled, 1u);
}

void traced_process_begin(TracedProcess *process, bool wants_children, const AdatRecovery *recovered)
{
    uint32_t slots = thread_registry_words(&process->segment) * 64;

    if (recovered && !process->is_view)
        segment_recover(&process->segment, process->pid, recovered);
    process->unregistered_before = ada_load_relaxed(&process->segment.header->settled_unregistered);
    for (uint32_t slot = 0; slot < slots && slot < process->segment.geometry.slot_capacity; slot++)
        sweep_slot(&process->segment, slot);
    if (!traced_process_gone(process))
        open_gate(process, wants_children);
}

void traced_process_identify(TracedProcess *process, pid_t pid)
{
    process->pid = pid;
}

pid_t traced_process_pid(const TracedProcess *process)
{
    return process->pid;
}

bool traced_process_is_view(const TracedProcess *process)
{
    return process->is_view;
}

uint32_t traced_process_number(const TracedProcess *process)
{
    return process->process;
}

uint32_t traced_process_clock(const TracedProcess *process)
{
    return process->source.clock_kind;
}

uint64_t traced_process_ticks(const TracedProcess *process)
{
    return process->source.clock_kind == ADA_CLOCK_TSC ? ada_clock_cycles() : ada_clock_monotonic_ns();
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

bool traced_process_gone(const TracedProcess *process)
{
    return process->end.kind != 0 && process->end.kind != ADAT_DEATH_DETACHED;
}

/* Registrations that are under way: more than so many are not waited for, as the count is whatever the process says. */
#define LEARN_UNREADY_MAX 64u

/*
 * DrainSource.learn. An entry that is not ready though its id is below the count is one that a thread is just registering,
 * while others were faster: it is looked at again.
 */
static void learn_events(DrainSource *source)
{
    TracedProcess *process = source->owner;
    uint32_t seen = ada_load_relaxed(&process->segment.header->event_count);
    uint32_t count = process_event_count(&process->segment);
    AdaEventDescriptor copy;
    uint32_t unready = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (!process_event_copy(&process->segment, i, &copy))
            unready++;
        else if (mark_matcher_learn(source->matcher, &copy) != 0)
            return; /* without memory for one the count is not noted, so it is tried again */
    }
    if (unready == 0 || unready > LEARN_UNREADY_MAX)
        source->learned = seen;
}

/* ---- threads ---------------------------------------------------------------------------------- */

/* Slots ahead of the one whose figures are taken; found by trying (tests/bench/bench_metrics.c). */
#define EXPECT_STATE 8u
#define EXPECT_SHARED 4u

static void expect_threads(const TracedProcess *process, uint32_t slot)
{
    uint32_t slots = process->segment.geometry.slot_capacity;

    if (slot + EXPECT_STATE < slots && process->threads[slot + EXPECT_STATE])
        thread_figures_expect(process->threads[slot + EXPECT_STATE]);
    if (slot + EXPECT_SHARED < slots && process->threads[slot + EXPECT_SHARED])
        thread_figures_expect_shared(process->threads[slot + EXPECT_SHARED]);
}

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

TracedProcess *traced_process_of(const ThreadDrainState *state)
{
    return state->source->owner;
}

/* Whether the thread in a slot that we know ended. Acquire, in thread_registry_at(), pairs with its last step. */
static void check_ended(TracedProcess *process, uint32_t slot)
{
    ThreadLaneSet *lanes = thread_registry_at(&process->segment, slot);

    if (lanes && ada_load_acquire(&lanes->state) == ADA_SLOT_DRAINING)
        deregister_thread_from_drain(process->iterator, process->threads[slot], THREAD_ENDED);
}

/*
 * A slot that is taken and not known. It is reused only after we gave it back, so a known state stays right; and
 * its thread may have ended already.
 */
static void discover_thread(TracedProcess *process, uint32_t slot)
{
    if (!thread_registry_at(&process->segment, slot))
        return; /* it is registering: found on the next visit */
    if (register_thread_for_drain(process->iterator, &process->source, slot, ++*process->thread_counter,
                                  &process->threads[slot]) != 0)
        return; /* the same */
    process->known[slot / 64] |= 1ull << slot % 64;
    process->threads_found++;
    process->threads_here++;
    process_kernel_found(&process->kernel, slot, process->threads[slot]->tid);
    kernel_hints_found(process->hints, process->threads[slot], (uint32_t)process->pid);
    check_ended(process, slot);
}

/* Looks for what is new among 64 slots. */
static void look_at_slots(TracedProcess *process, uint32_t word)
{
    SlotHints hints = thread_registry_take_hints(&process->segment, word);
    uint64_t found = (hints.taken | hints.dirty | hints.ended) & ~process->done[word];
    uint64_t known = process->known[word];

    for (uint64_t bits = found & ~known; bits != 0; bits &= bits - 1)
        discover_thread(process, word * 64 + (uint32_t)__builtin_ctzll(bits));
    for (uint64_t bits = found & known & (hints.dirty | hints.ended); bits != 0; bits &= bits - 1) {
        uint32_t bit = (uint32_t)__builtin_ctzll(bits);
        uint32_t slot = word * 64 + bit;

        if (hints.ended & 1ull << bit)
            check_ended(process, slot);
        else
            drain_iterator_hint(process->iterator, process->threads[slot]);
    }
}

/* ---- what the kernel tells -------------------------------------------------------------------- */

uint64_t traced_process_started_ns(const TracedProcess *process, const AdatClock *anchor)
{
    uint64_t ticks = ada_load_relaxed(&process->segment.header->owner_started_at);
    AdatClock now;
    double rate;

    if (process->source.clock_kind != ADA_CLOCK_TSC)
        return ticks;
    clock_anchor_take(&now); /* both clocks at once, whatever interrupts us */
    rate = (double)(now.monotonic_ns - anchor->monotonic_ns) / (double)(now.tsc - anchor->tsc);
    return now.monotonic_ns - (uint64_t)((double)(now.tsc - ticks) * rate);
}

void traced_process_tell(TracedProcess *process, KernelEvent *event)
{
    if (event->record.type == ADA_KERNEL_EXIT && process->kernel.heads) {
        kernel_events_push(&process->kernel.exits, event);
        return;
    }
    if (event->record.type == ADA_KERNEL_FORK)
        process->kernel.births++;
    free(event);
}

/* A signal did; its last moments are still in its rings. */
static void mark_killed(TracedProcess *process, ThreadDrainState *state, DrainBatch *batch)
{
    const MarkRules *rules = process->source.rules;

    for (uint32_t i = 0; rules && i < rules->count; i++) {
        if (rules->items[i].kind == MARK_RULE_FATAL_SIGNAL) {
            thread_drain_mark(state, batch, rules->items[i].text, traced_process_ticks(process), UINT64_MAX);
            return;
        }
    }
}

/*
 * Threads that the kernel saw end, once all slots that they may have taken are known: they are drained for the last
 * time. One that had left its slot itself may be drained already; one that never recorded had none.
 */
static void take_exits(TracedProcess *process, DrainBatch *batch)
{
    KernelEvent *exit;

    while ((exit = kernel_events_pop(&process->kernel.exits)) != NULL) {
        uint32_t slot = process_kernel_find(&process->kernel, exit->record.own_tid);
        ThreadDrainState *state = slot != PROCESS_KERNEL_NO_SLOT ? process->threads[slot] : NULL;

        if (death_book_tell(process->deaths, process->process, exit) || !state ||
            process->kernel.exit_of[slot]) {
            free(exit);
            continue;
        }
        process->kernel.exit_of[slot] = exit;
        if ((exit->record.exit_code & 0x7f) != 0)
            mark_killed(process, state, batch);
        (void)thread_registry_unregister(&process->segment, state->lanes);
        deregister_thread_from_drain(process->iterator, state, THREAD_ENDED);
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

/* ---- before, in and after an iteration -------------------------------------------------------- */

void traced_process_mark(TracedProcess *process)
{
    process->mark_requested = true;
}

void traced_process_mark_thread(TracedProcess *process, DrainBatch *batch, uint32_t tid, uint64_t ticks,
                                const char *reason)
{
    uint32_t slot = process_kernel_find(&process->kernel, tid);

    if (process->quarantine || process->closed || slot == PROCESS_KERNEL_NO_SLOT || !process->threads[slot])
        return;
    drain_iterator_hint(process->iterator, process->threads[slot]);
    thread_drain_mark(process->threads[slot], batch, reason, ticks, UINT64_MAX);
}

/* Marks all threads of the process, because somebody asked for it. */
static void take_mark_request(TracedProcess *process, DrainBatch *batch)
{
    uint64_t now = traced_process_ticks(process);

    if (!process->mark_requested)
        return;
    process->mark_requested = false;
    for (uint32_t slot = 0, left = process->threads_here; left > 0; slot++) {
        if (!process->threads[slot])
            continue;
        left--;
        drain_iterator_hint(process->iterator, process->threads[slot]);
        thread_drain_mark(process->threads[slot], batch, "adatrace mark", now, UINT64_MAX);
    }
}

/* Its turn has come, or its threads were busy lately. */
static bool is_due(const TracedProcess *process)
{
    uint64_t iteration = drain_iterator_count(process->iterator);

    return process->end.kind != 0 || process->description.described != *process->epoch ||
           process->mark_requested || process->kernel.exits.first || process->kernel.births > 0 ||
           traced_process_has_hints(process) ||
           iteration - process->source.last_found < PROCESS_HOT_ITERATIONS ||
           (iteration + process->process) % PROCESS_TURNS == 0;
}

void traced_process_prepare(TracedProcess *process, DrainBatch *batch)
{
    enum thread_leaving how = traced_process_gone(process) ? THREAD_ENDED : THREAD_DETACHED;
    uint32_t words = thread_registry_words(&process->segment);

    process->visited = false;
    if (process->quarantine || process->closed || !is_due(process))
        return;
    process->visited = true;
    process_description_write(&process->description, batch);
    if (process->source.matcher)
        mark_matcher_set_rate(process->source.matcher,
                              process->source.clock_kind == ADA_CLOCK_TSC ? batch->ns_per_cycle : 1);
    take_mark_request(process, batch);
    for (uint32_t word = 0; word < words; word++)
        look_at_slots(process, word);
    take_exits(process, batch);
    process_kernel_provide(&process->kernel);
    if (process->end.kind == 0)
        return;
    for (uint32_t slot = 0; slot < words * 64 && slot < process->segment.geometry.slot_capacity; slot++) {
        if (process->threads[slot])
            deregister_thread_from_drain(process->iterator, process->threads[slot], how);
    }
}

void traced_process_complete(TracedProcess *process, DrainBatch *batch)
{
    /* Events that were registered while we drained belong to records that may be in this batch. */
    if (process->visited)
        process_description_write_events(&process->description, batch);
}

/* All but its figures. */
static void describe_measured(const TracedProcess *process, const ThreadDrainState *state, MetricsThread *thread)
{
    thread->pid = (uint32_t)process->pid;
    thread->tid = state->tid;
    thread->thread = state->thread;
    thread->slot = state->slot;
    _Static_assert(sizeof(thread->name) == sizeof(state->name), "");
    memcpy(thread->name, state->name, sizeof(thread->name));
    thread->ended = false;
}

/* Its last figures, for the sums and for the next snapshot. */
static void measure_ended(TracedProcess *process, const ThreadDrainState *state, const ThreadAccount *account)
{
    MetricsThread thread;

    describe_measured(process, state, &thread);
    thread_figures_close(state, &account->index, &account->detail, &thread.figures);
    metrics_figures_add(&process->ended, &thread.figures);
    thread.ended = true;
    metrics_global_add_ended(process->metrics, &thread);
}

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

static void note_visits(const ThreadDrainState *state, AdatLedgerEntry *entry)
{
    entry->visits = state->stats.visits;
    entry->skips = state->stats.skips;
    entry->bytes = state->stats.bytes;
    entry->wait_total = state->stats.wait_total;
    entry->wait_max = state->stats.wait_max;
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
    measure_ended(process, state, &account);
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
        expect_threads(process, slot);
        if (!process->threads[slot])
            continue;
        left--;
        tell_account(process, process->threads[slot], batch, entries);
    }
}

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

void traced_process_check_threads(TracedProcess *process, uint32_t most)
{
    const SegmentHeader *header = process->segment.header;
    uint32_t capacity = process->segment.geometry.slot_capacity;
    uint32_t asked = 0;
    char path[64];

    /* In another pid namespace its thread ids mean nothing here: then they are drained when the process ends. */
    if (process->end.kind != 0 || process->pid == 0 ||
        ada_load_relaxed(&header->owner_pid) != (uint32_t)process->pid)
        return;
    for (uint32_t i = 0; i < capacity && asked < most && asked < process->threads_here; i++) {
        ThreadDrainState *state = process->threads[process->next_check];

        process->next_check = (process->next_check + 1) % capacity;
        if (!state)
            continue;
        asked++;
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%u", (int)process->pid, state->tid);
        if (access(path, F_OK) < 0 && errno == ENOENT)
            (void)thread_registry_unregister(&process->segment, state->lanes);
    }
}

void traced_process_detach(TracedProcess *process)
{
    SegmentHeader *header = process->segment.header;
    ThreadRegistry *registry = segment_registry(&process->segment);

    ada_store_relaxed(&header->enabled, 0u);
    ada_store_relaxed(&header->attached, 0u);
    ada_store_relaxed(&header->wants_children, 0u);
    ada_store_relaxed(&registry->accepting_registrations, 0u);
    ada_store_relaxed(&registry->shutdown_requested, 1u);
    process->end = (ProcessEnd){.kind = ADAT_DEATH_DETACHED};
}

/* ---- metrics ----------------------------------------------------------------------------------- */

uint32_t traced_process_threads_here(const TracedProcess *process)
{
    return process->threads_here;
}

const MetricsFigures *traced_process_ended_figures(const TracedProcess *process)
{
    return &process->ended;
}

/* The end of the program's path, if it is too long. */
static void copy_program(const TracedProcess *process, char *out, size_t size)
{
    const char *program = process->segment.header->program;
    size_t length = strnlen(program, sizeof(process->segment.header->program));
    size_t skip = length >= size ? length - size + 1 : 0;

    memcpy(out, program + skip, length - skip);
    out[length - skip] = '\0';
}

/*
 * Figures of a quiet thread are what they were, unless it was drained since: its lanes, some 20 lines that another core wrote
 * last, need not be looked at. With 4,096 threads of which 16 record that is what collecting costs.
 */
static uint64_t in_all_files(const LaneDrain *lane)
{
    return lane->earlier.in_file + lane->in_file;
}

static bool is_unchanged(const ThreadDrainState *state, const MetricsThread *last)
{
    return !state->hot && last->thread == state->thread && last->figures.events_per_second <= 0 &&
           last->figures.drained_bytes == state->stats.bytes &&
           last->figures.index.in_file == in_all_files(&state->index) && last->figures.index.pending == 0 &&
           last->figures.detail.in_file == in_all_files(&state->detail) && last->figures.detail.pending == 0;
}

static void measure_thread(const TracedProcess *process, ThreadDrainState *state, MetricsWindow *window,
                           MetricsThread *thread)
{
    MetricsThread *last = process->last ? &process->last[state->slot] : thread;
    AdaKernelThread context;
    bool known;

    if (process->last && is_unchanged(state, last)) {
        thread_figures_skip(state, window, &last->figures);
    } else {
        describe_measured(process, state, last);
        thread_figures_take(state, window, &last->figures);
    }
    known = kernel_hints_context(process->hints, state, (uint32_t)process->pid, &context);
    sched_figures_take(known ? &context : NULL, window, &state->measured, &last->figures.sched);
    if (last != thread)
        *thread = *last;
}

void traced_process_measure(TracedProcess *process, MetricsWindow *window, MetricsSnapshot *snapshot)
{
    MetricsProcess *entry = &snapshot->processes[snapshot->process_count++];
    MetricsFigures *sum = &entry->figures;

    *entry = (MetricsProcess){
        .pid = (uint32_t)process->pid,
        .threads = process->threads_here,
        .threads_ever = process->threads_found,
        .ended = process->end.kind != 0,
        .quarantined = process->quarantine != NULL,
        .figures = process->ended,
    };
    if (!process->last)
        process->last = calloc(process->segment.geometry.slot_capacity, sizeof(process->last[0]));
    copy_program(process, entry->program, sizeof(entry->program));
    for (uint32_t slot = 0, left = process->threads_here; left > 0; slot++) {
        MetricsThread *thread = &snapshot->threads[snapshot->thread_count];

        expect_threads(process, slot);
        if (!process->threads[slot])
            continue;
        left--;
        snapshot->thread_count++;
        measure_thread(process, process->threads[slot], window, thread);
        metrics_figures_add(sum, &thread->figures);
    }
    /* Those that ended meanwhile count, too. */
    sum->events_per_second = metrics_per_second(sum->index.attempted, process->measured, window->seconds);
    process->average = metrics_average(process->average, sum->events_per_second, window);
    sum->events_per_second_average = process->average;
    process->measured = sum->index.attempted;
}

bool traced_process_has_hints(const TracedProcess *process)
{
    const ThreadRegistry *registry = segment_registry(&process->segment);
    uint32_t words = thread_registry_words(&process->segment);

    for (uint32_t word = 0; word < words && !process->quarantine; word++) {
        if (ada_load_relaxed(&registry->dirty_slots[word]) || ada_load_relaxed(&registry->ended_slots[word]))
            return true;
    }
    return false;
}

void traced_process_prepare_sleep(TracedProcess *process, uint32_t how, uint32_t **word_out, uint32_t *value_out)
{
    SegmentHeader *header = process->segment.header;

    ada_store_relaxed(&header->collector_sleeping, how);
    /* By read-modify-write, before looking at the hints: see announce_ring() in lane_producer.c. */
    *value_out = ada_fetch_add_acq_rel(&header->doorbell, 0u);
    *word_out = &header->doorbell;
}

void traced_process_awake(TracedProcess *process)
{
    ada_store_relaxed(&process->segment.header->collector_sleeping, ADA_COLLECTOR_AWAKE);
}
