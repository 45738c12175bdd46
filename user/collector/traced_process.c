/* SPDX-License-Identifier: MIT */
#include "user/collector/traced_process_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "user/collector/clock_anchor.h"
#include "user/collector/segment_recovery.h"
#include "user/drain/thread_drain_account.h"
#include "user/drain/thread_marks.h"
#include "user/lane/clock.h"
#include "user/registry/thread_registry.h"

/* Processes whose threads are quiet have their turn every so many iterations; others are looked at in each. */
#define PROCESS_TURNS 8u
#define PROCESS_HOT_ITERATIONS 16u

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

uint32_t traced_process_threads_here(const TracedProcess *process)
{
    return process->threads_here;
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

/* ---- the doorbell ------------------------------------------------------------------------------ */

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
