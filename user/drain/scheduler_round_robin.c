/* SPDX-License-Identifier: MIT */
#include "user/drain/drain_scheduler.h"

static void plan(DrainScheduler *self, ThreadDrainState **threads, size_t count)
{
    drain_scheduler_rotate(self, threads, count);
    self->quantum = drain_scheduler_share(self, count);
    for (size_t i = 0; i < count; i++)
        threads[i]->budget = self->quantum;
}

const DrainSchedulerOps drain_scheduler_round_robin = {.name = "round-robin", .plan = plan};
