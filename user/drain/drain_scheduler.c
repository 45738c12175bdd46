/* SPDX-License-Identifier: MIT */
#include "user/drain/drain_scheduler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUANTUM_MAX_DEFAULT ((uint64_t)512 << 10)
#define QUANTUM_MIN_DEFAULT ((uint64_t)4 << 10)
#define ITERATION_BYTES_DEFAULT ((uint64_t)4 << 20)
#define TICK_NS_DEFAULT 1000000u

static const DrainSchedulerOps *const kinds[] = {
    [DRAIN_SCHEDULER_ROUND_ROBIN] = &drain_scheduler_round_robin,
    [DRAIN_SCHEDULER_WEIGHTED] = &drain_scheduler_weighted,
    [DRAIN_SCHEDULER_PRIORITY] = &drain_scheduler_priority,
    [DRAIN_SCHEDULER_ADAPTIVE] = &drain_scheduler_adaptive,
};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == DRAIN_SCHEDULER_KINDS, "an implementation of each kind");

static uint64_t or_default(uint64_t value, uint64_t fallback)
{
    return value ? value : fallback;
}

int drain_scheduler_init(DrainScheduler *scheduler, const DrainSchedulerConfig *config)
{
    DrainSchedulerConfig complete = {
        .kind = config->kind,
        .quantum_max = or_default(config->quantum_max, QUANTUM_MAX_DEFAULT),
        .quantum_min = or_default(config->quantum_min, QUANTUM_MIN_DEFAULT),
        .iteration_bytes = or_default(config->iteration_bytes, ITERATION_BYTES_DEFAULT),
        .tick_ns = or_default(config->tick_ns, TICK_NS_DEFAULT),
    };

    if (complete.kind >= DRAIN_SCHEDULER_KINDS || complete.quantum_min > complete.quantum_max)
        return -EINVAL;
    *scheduler = (DrainScheduler){
        .ops = kinds[complete.kind],
        .config = complete,
        .tick_ns = complete.tick_ns,
        .quantum = complete.quantum_max,
    };
    return 0;
}

uint64_t drain_scheduler_latency_goal(const DrainScheduler *scheduler)
{
    return scheduler->config.tick_ns / 16 * 15;
}

const char *drain_scheduler_name(enum drain_scheduler_kind kind)
{
    return kind < DRAIN_SCHEDULER_KINDS ? kinds[kind]->name : NULL;
}

enum drain_scheduler_kind drain_scheduler_kind_of(const char *name)
{
    uint32_t kind = 0;

    while (kind < DRAIN_SCHEDULER_KINDS && strcmp(kinds[kind]->name, name) != 0)
        kind++;
    return (enum drain_scheduler_kind)kind;
}

static void reverse(ThreadDrainState **threads, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        ThreadDrainState *other = threads[i];

        threads[i] = threads[count - 1 - i];
        threads[count - 1 - i] = other;
    }
}

void drain_scheduler_rotate(DrainScheduler *self, ThreadDrainState **threads, size_t count)
{
    size_t first;

    if (count == 0)
        return;
    first = (size_t)(self->turn++ % count);
    reverse(threads, first);
    reverse(threads + first, count - first);
    reverse(threads, count);
}

uint64_t drain_scheduler_share(const DrainScheduler *self, size_t count)
{
    uint64_t share = count ? self->config.iteration_bytes / count : self->config.quantum_max;

    if (share < self->config.quantum_min)
        return self->config.quantum_min;
    return share < self->config.quantum_max ? share : self->config.quantum_max;
}

/* Whether `a` goes first; with equal priorities, whose turn it is. */
static bool goes_first(const ThreadDrainState *a, const ThreadDrainState *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->turn < b->turn;
}

/* One pass of insertions among those `gap` apart. False: given up, after more than `moves_max`; the list has them all yet. */
static bool insert_sorted(ThreadDrainState **threads, size_t count, size_t gap, size_t moves_max)
{
    size_t moves = 0;

    for (size_t i = gap; i < count; i++) {
        ThreadDrainState *thread = threads[i];
        size_t at = i;

        for (; at >= gap && goes_first(thread, threads[at - gap]); at -= gap) {
            threads[at] = threads[at - gap];
            moves++;
        }
        threads[at] = thread;
        if (moves > moves_max)
            return false;
    }
    return true;
}

/*
 * Needs no memory, and is linear where the list is in order already, as it mostly is. Of 4,096 threads in any order
 * insertions alone would move millions: then by Shell's method, with Ciura's gaps.
 */
static void sort_by_priority(ThreadDrainState **threads, size_t count)
{
    static const size_t gaps[] = {1750, 701, 301, 132, 57, 23, 10, 4, 1};

    for (size_t i = 0; i < count; i++)
        threads[i]->turn = (uint32_t)i;
    if (insert_sorted(threads, count, 1, 8 * count))
        return;
    for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++)
        (void)insert_sorted(threads, count, gaps[i], SIZE_MAX);
}

/*
 * Ends come first: somebody waits for their slots. Then who has waited, then who has the least room: a lane of four
 * rings with three of them full loses events within one more.
 */
#define URGENCY_FINAL 1000000
#define URGENCY_WAIT 1000

static int64_t urgency(const ThreadDrainState *thread)
{
    int64_t submitted = (int64_t)lane_reader_backlog(&thread->index.reader);
    int64_t value = submitted * 100 / (int64_t)thread->index.reader.ring_count;

    if (thread->phase == THREAD_DRAIN_FINAL)
        value += URGENCY_FINAL;
    return value + (int64_t)thread->stats.wait * URGENCY_WAIT;
}

void drain_scheduler_by_urgency(DrainScheduler *self, ThreadDrainState **threads, size_t count)
{
    drain_scheduler_rotate(self, threads, count);
    for (size_t i = 0; i < count; i++)
        threads[i]->priority = urgency(threads[i]);
    sort_by_priority(threads, count);
}
