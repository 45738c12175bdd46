/* SPDX-License-Identifier: MIT */
/*
 * Feedback from one iteration to the next.
 *
 * Quantum: while an iteration moves less than it may, visits take what they find, for every visit has its
 * price. When it moves more, there is not enough time for all, and each gets its share.
 *
 * Tick: each has its price, too, so it is as long as the latency allows: config.tick_ns is what the median is to stay below. An
 * event waits for half a tick, then until it is its thread's turn and the batch is written, and that takes longer on a machine that is busy: so what
 * events have waited decides. The more of them waited longer than the goal, the shorter the next tick, and the other way round;
 * where half of them did, it stays.
 * It becomes no shorter than config.tick_ns (a load that leaves no CPU to the drain is not helped by more of it), and no longer than twice that.
 *
 * Rings that are found half full or more before the tick is over fill too fast for it: then it is halved, down to a quarter of config.tick_ns.
 */
#include "user/drain/drain_scheduler.h"

#define TICK_STEP 32 /* a tick changes by up to 1/32 */

static void plan(DrainScheduler *self, ThreadDrainState **threads, size_t count)
{
    drain_scheduler_by_urgency(self, threads, count);
    for (size_t i = 0; i < count; i++)
        threads[i]->budget = self->quantum;
}

/* By how much more than half of the events were in time. Back from a tick cut short in any case. */
static uint64_t next_tick(uint64_t tick_ns, uint64_t base, const DrainLoad *load)
{
    int64_t step = (int64_t)tick_ns / TICK_STEP;
    int64_t in_time = (int64_t)(load->timed - load->late);

    if (load->timed > 0 && tick_ns > base)
        step = step * (in_time - (int64_t)load->late) / (int64_t)load->timed;
    return tick_ns + (uint64_t)step;
}

static void ended(DrainScheduler *self, const DrainLoad *load)
{
    uint64_t base = self->config.tick_ns;
    bool crowded = load->bytes > self->config.iteration_bytes;

    self->quantum = crowded ? drain_scheduler_share(self, load->visited) : self->config.quantum_max;
    if (load->fullest >= 50) {
        self->tick_ns = self->tick_ns / 2 > base / 4 ? self->tick_ns / 2 : base / 4;
        return;
    }
    self->tick_ns = next_tick(self->tick_ns, base, load);
    if (self->tick_ns > 2 * base)
        self->tick_ns = 2 * base;
}

const DrainSchedulerOps drain_scheduler_adaptive = {.name = "adaptive", .plan = plan, .ended = ended};
