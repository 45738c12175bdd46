/* SPDX-License-Identifier: MIT */
#include "user/drain/drain_iterator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/drain/cache_lines.h"
#include "user/drain/thread_drain_account.h"
#include "user/lane/clock.h"
#include "user/lane/test_point.h"

#define HOT_ITERATIONS_DEFAULT 16u
#define COLD_TURNS_DEFAULT 1024u /* some second: for hints that were lost with the thread that gave them */
#define IN_PLACE_NS_DEFAULT 500000u
/* For threads that lie about how far they are, or hold the drain for ever. */
#define LAST_VISITS_MAX 1024u

/* Threads in no particular order; each knows its place. */
typedef struct ThreadList {
    ThreadDrainState **items;
    size_t count;
} ThreadList;

struct DrainIterator {
    DrainScheduler scheduler;
    DrainCallbacks callbacks;
    DrainTopology topology;
    uint32_t hot_iterations;
    uint32_t cold_turns;
    uint64_t in_place_ns;
    DrainBatch *batch;

    /* Stacks that any thread pushes to (release) and the drain thread takes whole (acquire): so no ABA. */
    ThreadDrainState *arrivals;
    ThreadDrainState *departures;

    /* Each has room for all threads, so that no iteration needs memory. */
    size_t capacity;
    ThreadList hot;
    ThreadList cold;
    ThreadDrainState **work; /* of the present iteration, in the order of visits */
    size_t work_count;
    ThreadDrainState **scratch;

    uint64_t iteration;
    size_t cold_next; /* where the next turn of quiet threads begins */
    uint64_t next_in_place;
};

/* ---- arriving and leaving ---------------------------------------------------------------------- */

int register_thread_for_drain(DrainIterator *iterator, DrainSource *source, uint32_t slot, uint32_t thread,
                              ThreadDrainState **state_out)
{
    ThreadDrainState *state = malloc(sizeof(*state));
    ThreadDrainState *first;

    if (!state)
        return -ENOMEM;
    thread_drain_init(state, source, slot, thread);
    *state_out = state;
    first = ada_load_relaxed(&iterator->arrivals);
    do
        state->next_arrival = first;
    /* Release pairs with the exchange in take_arrivals(): grants the state. */
    while (!ada_compare_exchange_acq_rel(&iterator->arrivals, &first, state));
    ADA_TEST_POINT("drain.registered");
    return 0;
}

static void push_departure(DrainIterator *iterator, ThreadDrainState *state)
{
    ThreadDrainState *first = ada_load_relaxed(&iterator->departures);

    do
        state->next_departure = first;
    /* Release pairs with the exchange in take_departures(). */
    while (!ada_compare_exchange_acq_rel(&iterator->departures, &first, state));
}

void deregister_thread_from_drain(DrainIterator *iterator, ThreadDrainState *state, enum thread_leaving how)
{
    uint32_t stays = THREAD_STAYS;

    if (ada_compare_exchange_acq_rel(&state->leaving, &stays, (uint32_t)how))
        push_departure(iterator, state);
}

static void list_add(ThreadList *list, ThreadDrainState *state, bool hot)
{
    state->place = (uint32_t)list->count;
    state->hot = hot;
    list->items[list->count++] = state;
}

static void list_remove(ThreadList *list, const ThreadDrainState *state)
{
    ThreadDrainState *last = list->items[--list->count];

    list->items[state->place] = last;
    last->place = state->place;
}

static void make_hot(DrainIterator *iterator, ThreadDrainState *state)
{
    if (state->hot)
        return;
    list_remove(&iterator->cold, state);
    list_add(&iterator->hot, state, true);
    state->last_found = iterator->iteration;
    state->watched = false;
    (void)thread_drain_move(state, THREAD_DRAIN_ACTIVE);
}

static int grow(ThreadDrainState ***items, size_t capacity)
{
    ThreadDrainState **memory = reallocarray(*items, capacity, sizeof(**items));

    if (!memory)
        return -ENOMEM;
    *items = memory;
    return 0;
}

static int reserve_one_more(DrainIterator *iterator)
{
    size_t capacity = iterator->capacity ? iterator->capacity * 2 : 64;

    if (drain_iterator_threads(iterator) < iterator->capacity)
        return 0;
    if (grow(&iterator->hot.items, capacity) != 0 || grow(&iterator->cold.items, capacity) != 0 ||
        grow(&iterator->work, capacity) != 0 || grow(&iterator->scratch, capacity) != 0)
        return -ENOMEM;
    iterator->capacity = capacity;
    return 0;
}

/* Without memory for the lists the rest arrives in a later iteration. */
static void put_back_arrivals(DrainIterator *iterator, ThreadDrainState *rest)
{
    ThreadDrainState *last = rest;
    ThreadDrainState *first = ada_load_relaxed(&iterator->arrivals);

    while (last->next_arrival)
        last = last->next_arrival;
    do
        last->next_arrival = first;
    while (!ada_compare_exchange_acq_rel(&iterator->arrivals, &first, rest)); /* as in register_thread_for_drain() */
}

static ThreadDrainState *reversed(ThreadDrainState *stack)
{
    ThreadDrainState *queue = NULL;

    while (stack) {
        ThreadDrainState *next = stack->next_arrival;

        stack->next_arrival = queue;
        queue = stack;
        stack = next;
    }
    return queue;
}

static void take_arrivals(DrainIterator *iterator)
{
    /* Acquire pairs with register_thread_for_drain(). */
    ThreadDrainState *state = reversed(ada_exchange_acq_rel(&iterator->arrivals, (ThreadDrainState *)NULL));

    while (state) {
        ThreadDrainState *next = state->next_arrival;

        if (reserve_one_more(iterator) != 0) {
            put_back_arrivals(iterator, state);
            return;
        }
        state->next_arrival = NULL;
        drain_topology_place(&iterator->topology, state);
        state->last_found = iterator->iteration;
        list_add(&iterator->hot, state, true);
        if (iterator->callbacks.on_registered)
            iterator->callbacks.on_registered(iterator->callbacks.context, state);
        state = next;
    }
}

/* A state that is in no list yet: its departure must wait for its arrival. */
static bool has_arrived(const DrainIterator *iterator, const ThreadDrainState *state)
{
    const ThreadList *list = state->hot ? &iterator->hot : &iterator->cold;

    return state->place < list->count && list->items[state->place] == state;
}

static void take_departures(DrainIterator *iterator)
{
    /* Acquire pairs with deregister_thread_from_drain(). */
    ThreadDrainState *state = ada_exchange_acq_rel(&iterator->departures, (ThreadDrainState *)NULL);

    while (state) {
        ThreadDrainState *next = state->next_departure;

        if (has_arrived(iterator, state)) {
            make_hot(iterator, state);
            state->producer_gone = ada_load_relaxed(&state->leaving) == THREAD_ENDED;
            thread_drain_note_end(state);
            (void)thread_drain_move(state, THREAD_DRAIN_DEREGISTERING);
        } else {
            push_departure(iterator, state);
        }
        state = next;
    }
}

void drain_iterator_hint(DrainIterator *iterator, ThreadDrainState *state)
{
    if (!has_arrived(iterator, state))
        return;
    make_hot(iterator, state);
    /* The flag was cleared before the hint was given, be it one that we had set anew. */
    state->watched = false;
}

static void forget(DrainIterator *iterator, ThreadDrainState *state)
{
    list_remove(state->hot ? &iterator->hot : &iterator->cold, state);
    drain_batch_forget(iterator->batch, state);
}

/* Takes a state that could not arrive, for lack of memory, out of the stack of arrivals and of departures. */
static void unlink_arrival(DrainIterator *iterator, const ThreadDrainState *state)
{
    ThreadDrainState *rest = ada_exchange_acq_rel(&iterator->arrivals, (ThreadDrainState *)NULL);
    ThreadDrainState **link = &rest;

    while (*link && *link != state)
        link = &(*link)->next_arrival;
    if (*link)
        *link = state->next_arrival;
    if (rest)
        put_back_arrivals(iterator, rest);
    rest = ada_exchange_acq_rel(&iterator->departures, (ThreadDrainState *)NULL);
    while (rest) {
        ThreadDrainState *next = rest->next_departure;

        if (rest != state)
            push_departure(iterator, rest);
        rest = next;
    }
}

void drain_iterator_abandon(DrainIterator *iterator, ThreadDrainState *state)
{
    take_arrivals(iterator);
    take_departures(iterator);
    if (has_arrived(iterator, state))
        forget(iterator, state);
    else
        unlink_arrival(iterator, state);
    free(state);
}

/* ---- who has work ------------------------------------------------------------------------------ */

static void add_work(DrainIterator *iterator, ThreadDrainState *state)
{
    if (state->phase == THREAD_DRAIN_DEREGISTERING)
        (void)thread_drain_move(state, THREAD_DRAIN_FINAL);
    else
        (void)thread_drain_move(state, THREAD_DRAIN_PENDING);
    iterator->work[iterator->work_count++] = state;
}

/* A thread's first and last visits have more to do than taking records. */
static bool must_be_visited(const ThreadDrainState *state)
{
    return state->phase != THREAD_DRAIN_ACTIVE;
}

/* Whether looking at a quiet thread could find anything, as far as somebody knows. */
static bool may_have_run(const DrainIterator *iterator, ThreadDrainState *state)
{
    return !iterator->callbacks.has_run || iterator->callbacks.has_run(iterator->callbacks.context, state);
}

/*
 * A thread without work for some time is watched, and once more looked at in the iterations that follow: what it
 * recorded before it saw that it is watched is found then. After that it is quiet.
 */
static void ask_to_rest(DrainIterator *iterator, ThreadDrainState *state)
{
    if (iterator->iteration - state->last_found < iterator->hot_iterations)
        return;
    if (!state->watched) {
        state->watched = true;
        lane_reader_watch(&state->index.reader);
        (void)may_have_run(iterator, state); /* from here on it counts: it is looked at once more in any case */
    } else {
        list_remove(&iterator->hot, state);
        list_add(&iterator->cold, state, false);
        (void)thread_drain_move(state, THREAD_DRAIN_IDLE);
    }
}

static void ask_active(DrainIterator *iterator, bool in_place)
{
    for (size_t i = iterator->hot.count; i-- > 0;) {
        ThreadDrainState *state = iterator->hot.items[i];

        if (state->hostile)
            continue;
        if (must_be_visited(state) || thread_drain_has_work(state, in_place)) {
            add_work(iterator, state);
        } else if (in_place) {
            ask_to_rest(iterator, state);
        }
    }
}

static void ask_quiet(DrainIterator *iterator)
{
    size_t share = (iterator->cold.count + iterator->cold_turns - 1) / iterator->cold_turns;
    DrainMetrics *metrics = iterator->batch->metrics;

    for (size_t i = 0; i < share && iterator->cold.count > 0; i++) {
        ThreadDrainState *state;

        if (iterator->cold_next >= iterator->cold.count)
            iterator->cold_next = 0;
        state = iterator->cold.items[iterator->cold_next];
        if (!may_have_run(iterator, state)) {
            metrics->spared++;
            iterator->cold_next++;
            continue;
        }
        metrics->sweeps++;
        if (thread_drain_stirred(state)) {
            make_hot(iterator, state); /* another takes its place here */
            if (thread_drain_has_work(state, true))
                add_work(iterator, state);
        } else {
            iterator->cold_next++;
        }
    }
}

/* ---- visits ------------------------------------------------------------------------------------ */

/*
 * While a thread is visited, what the next one recorded is on its way from the core that wrote it: 16 instead of 20 us for 64
 * threads with 27 events each.
 */
#define PREFETCH_BYTES 1024u

static void prefetch_events(const ThreadDrainState *state)
{
    uint32_t bytes;
    const char *events = lane_reader_whereabouts(&state->index.reader, &bytes);

    cache_lines_prefetch(events, bytes < PREFETCH_BYTES ? bytes : PREFETCH_BYTES);
}

/* How full the lane was found, in percent of its rings. */
static uint32_t fullness(const ThreadDrainState *state)
{
    return lane_reader_backlog(&state->index.reader) * 100 / state->index.reader.ring_count;
}

static void note_visit(DrainIterator *iterator, ThreadDrainState *state, const DrainVisit *visit)
{
    DrainMetrics *metrics = iterator->batch->metrics;

    metrics->visits++;
    if (visit->skipped) {
        metrics->skips++;
        state->stats.skips++;
    }
    if (visit->bytes == 0 && visit->skipped) {
        thread_drain_waited(state);
        metrics->wait_total++;
        if (state->stats.wait > metrics->wait_max)
            metrics->wait_max = state->stats.wait;
    } else {
        thread_drain_visited(state);
    }
    if (visit->bytes > 0) {
        state->last_found = iterator->iteration;
        state->watched = false;
        state->source->last_found = iterator->iteration;
    }
}

/* Where a thread goes after its visit. True: it has more to do. */
static bool settle_phase(ThreadDrainState *state, const DrainVisit *visit)
{
    bool more = visit->more || visit->skipped;

    if (state->phase == THREAD_DRAIN_FINAL) {
        /* Who may still run is drained to where it was when it was left, however much it writes meanwhile. */
        if (!state->producer_gone)
            more = (visit->more_details || visit->skipped || !thread_drain_reached_end(state)) &&
                   state->last_visits++ < LAST_VISITS_MAX;
        if (!more)
            (void)thread_drain_move(state, THREAD_DRAIN_DRAINED);
        return more;
    }
    (void)thread_drain_move(state, more ? THREAD_DRAIN_PENDING : THREAD_DRAIN_ACTIVE);
    return more;
}

/* What the writes since the last iteration came to, and what of the next ones is asked for. */
static void take_timed(DrainIterator *iterator, DrainLoad *load)
{
    DrainBatch *batch = iterator->batch;

    load->timed = batch->timed;
    load->late = batch->late;
    batch->timed = batch->late = 0;
    batch->late_after_ns = drain_scheduler_latency_goal(&iterator->scheduler);
}

static void visit_all(DrainIterator *iterator, bool in_place, DrainIteration *result)
{
    DrainScheduler *scheduler = &iterator->scheduler;
    DrainLoad load = {0};

    take_timed(iterator, &load);
    for (size_t i = 0; i < iterator->work_count; i++) {
        ThreadDrainState *state = iterator->work[i];
        DrainLimits limits = {.bytes = state->budget, .in_place = in_place};
        uint32_t full = fullness(state);
        DrainVisit visit;

        if (i + 1 < iterator->work_count)
            prefetch_events(iterator->work[i + 1]);
        if (state->hostile) /* found so within this iteration, with its process */
            continue;
        if (state->phase == THREAD_DRAIN_PENDING)
            (void)thread_drain_move(state, THREAD_DRAIN_DRAINING);
        if (limits.bytes == 0) { /* in debt: the next grant pays it */
            visit = (DrainVisit){.more = true};
        } else if (drain_thread_lanes(state, iterator->batch, &limits, &visit) != 0) {
            state->hostile = true;
            if (iterator->callbacks.on_hostile)
                iterator->callbacks.on_hostile(iterator->callbacks.context, state);
            continue;
        }
        note_visit(iterator, state, &visit);
        if (scheduler->ops->visited)
            scheduler->ops->visited(scheduler, state, &visit);
        result->more |= settle_phase(state, &visit);
        load.bytes += visit.bytes;
        load.visited++;
        if (full > load.fullest)
            load.fullest = full;
    }
    if (scheduler->ops->ended)
        scheduler->ops->ended(scheduler, &load);
    result->pressed = load.fullest >= 50;
    result->bytes = load.bytes;
    result->visited = load.visited;
}

/* After the write. */
static void hand_back_drained(DrainIterator *iterator, DrainIteration *result)
{
    for (size_t i = 0; i < iterator->work_count; i++) {
        ThreadDrainState *state = iterator->work[i];

        if (state->phase != THREAD_DRAIN_DRAINED)
            continue;
        forget(iterator, state);
        if (iterator->callbacks.on_deregistered)
            iterator->callbacks.on_deregistered(iterator->callbacks.context, state);
        free(state);
        result->drained++;
    }
    iterator->work_count = 0;
}

void drain_iteration(DrainIterator *iterator, bool final, DrainIteration *iteration_out)
{
    DrainMetrics *metrics = iterator->batch->metrics;
    uint64_t start = ada_clock_monotonic_ns();
    bool in_place = final || (int64_t)(start - iterator->next_in_place) >= 0;
    uint64_t took;

    *iteration_out = (DrainIteration){0};
    iterator->iteration++;
    if (in_place)
        iterator->next_in_place = start + iterator->in_place_ns;
    take_arrivals(iterator);
    take_departures(iterator);
    iterator->work_count = 0;
    ask_active(iterator, in_place);
    if (in_place)
        ask_quiet(iterator);
    iterator->scheduler.ops->plan(&iterator->scheduler, iterator->work, iterator->work_count);
    drain_topology_order(&iterator->topology, iterator->work, iterator->work_count, iterator->scratch);
    visit_all(iterator, in_place, iteration_out);
    if (iterator->callbacks.before_write)
        iterator->callbacks.before_write(iterator->callbacks.context);
    iteration_out->write_error = drain_batch_flush(iterator->batch);
    hand_back_drained(iterator, iteration_out);

    took = ada_clock_monotonic_ns() - start;
    metrics->iterations++;
    metrics->iteration_ns += took;
    if (took > metrics->iteration_max_ns)
        metrics->iteration_max_ns = took;
}

/* ---- life -------------------------------------------------------------------------------------- */

int drain_iterator_create(const DrainIteratorConfig *config, DrainBatch *batch, DrainIterator **iterator_out)
{
    static const DrainTopology one_node = {.nodes = 1};
    DrainIterator *iterator = calloc(1, sizeof(*iterator));
    int error;

    if (!iterator)
        return -ENOMEM;
    error = drain_scheduler_init(&iterator->scheduler, &config->scheduler);
    if (!error)
        error = reserve_one_more(iterator);
    if (error) {
        drain_iterator_destroy(iterator);
        return error;
    }
    iterator->callbacks = config->callbacks;
    iterator->topology = config->topology ? *config->topology : one_node;
    iterator->hot_iterations = config->hot_iterations ? config->hot_iterations : HOT_ITERATIONS_DEFAULT;
    iterator->cold_turns = config->cold_turns ? config->cold_turns : COLD_TURNS_DEFAULT;
    iterator->in_place_ns = config->in_place_ns ? config->in_place_ns : IN_PLACE_NS_DEFAULT;
    iterator->batch = batch;
    *iterator_out = iterator;
    return 0;
}

static void free_all(const ThreadList *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
}

void drain_iterator_destroy(DrainIterator *iterator)
{
    if (!iterator)
        return;
    while (iterator->arrivals) {
        ThreadDrainState *next = iterator->arrivals->next_arrival;

        free(iterator->arrivals);
        iterator->arrivals = next;
    }
    free_all(&iterator->hot);
    free_all(&iterator->cold);
    free(iterator->work);
    free(iterator->scratch);
    free(iterator);
}

uint64_t drain_iterator_tick(const DrainIterator *iterator)
{
    return iterator->scheduler.tick_ns;
}

size_t drain_iterator_threads(const DrainIterator *iterator)
{
    return iterator->hot.count + iterator->cold.count;
}

bool drain_iterator_is_quiet(const DrainIterator *iterator)
{
    /* Relaxed: who arrives just now rings the doorbell, or is found by housekeeping. */
    return iterator->hot.count == 0 && !ada_load_relaxed(&iterator->arrivals) &&
           !ada_load_relaxed(&iterator->departures);
}

uint64_t drain_iterator_count(const DrainIterator *iterator)
{
    return iterator->iteration;
}
