/* SPDX-License-Identifier: MIT */
#include "user/drain/drain_scheduler.h"

static void plan(DrainScheduler *self, ThreadDrainState **threads, size_t count)
{
    drain_scheduler_by_urgency(self, threads, count);
    self->quantum = drain_scheduler_share(self, count);
    for (size_t i = 0; i < count; i++)
        threads[i]->budget = self->quantum;
}

const DrainSchedulerOps drain_scheduler_priority = {.name = "priority", .plan = plan};
