/* SPDX-License-Identifier: MIT */
/*
 * Deficit round robin. What a visit takes beyond the credit (the rest of a ring is taken whole) is a debt that
 * the next grants pay; what it leaves while work remains is saved, up to one grant more; a thread without work
 * saves nothing. So over any time in which threads always have work, each is served by its weight, within one
 * ring.
 */
#include "user/drain/drain_scheduler.h"

static void plan(DrainScheduler *self, ThreadDrainState **threads, size_t count)
{
    drain_scheduler_rotate(self, threads, count);
    self->quantum = drain_scheduler_share(self, count);
    for (size_t i = 0; i < count; i++) {
        ThreadDrainState *thread = threads[i];
        int64_t grant = (int64_t)(self->quantum * thread->weight);

        thread->credit += grant;
        if (thread->credit > 2 * grant)
            thread->credit = 2 * grant;
        thread->budget = thread->credit > 0 ? (uint64_t)thread->credit : 0;
    }
}

static void visited(DrainScheduler *self, ThreadDrainState *thread, const DrainVisit *visit)
{
    (void)self;
    thread->credit -= (int64_t)visit->bytes;
    if (!visit->more && !visit->skipped && thread->credit > 0)
        thread->credit = 0;
}

const DrainSchedulerOps drain_scheduler_weighted = {.name = "weighted", .plan = plan, .visited = visited};
