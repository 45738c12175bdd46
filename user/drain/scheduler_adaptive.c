/* SPDX-License-Identifier: MIT */
/*
 * Two loops of feedback, from one iteration to the next.
 *
 * Quantum: while an iteration moves less than it may, visits take what they find, for every visit has its
 * price. When it moves more, there is not enough time for all, and each gets its share.
 *
 * Tick: rings that are found half full or more before the tick is over fill too fast for it, so it is halved
 * (down to a quarter); when all is well, it grows back slowly, and a little beyond, because each tick has its
 * price, too: up to 3/2, where the median latency is still below a millisecond (0.85 ms).
 */
#include "user/drain/drain_scheduler.h"

#define TICK_GROWTH_SHARE 32u /* grows by 1/32 */

static void plan(DrainScheduler *self, ThreadDrainState **threads, size_t count)
{
    drain_scheduler_by_urgency(self, threads, count);
    for (size_t i = 0; i < count; i++)
        threads[i]->budget = self->quantum;
}

static void ended(DrainScheduler *self, const DrainLoad *load)
{
    uint64_t base = self->config.tick_ns;
    bool crowded = load->bytes > self->config.iteration_bytes;

    self->quantum = crowded ? drain_scheduler_share(self, load->visited) : self->config.quantum_max;
    if (load->fullest >= 50)
        self->tick_ns = self->tick_ns / 2 > base / 4 ? self->tick_ns / 2 : base / 4;
    else
        self->tick_ns += self->tick_ns / TICK_GROWTH_SHARE;
    if (self->tick_ns > base + base / 2)
        self->tick_ns = base + base / 2;
}

const DrainSchedulerOps drain_scheduler_adaptive = {.name = "adaptive", .plan = plan, .ended = ended};
