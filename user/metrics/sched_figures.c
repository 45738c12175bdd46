/* SPDX-License-Identifier: MIT */
#include "user/metrics/sched_figures.h"

/* The state that goes on has lasted until now. A switch that came after the window's time was taken: it has not begun. */
static void add_present(const AdaKernelThread *context, uint64_t now, MetricsSched *sched)
{
    uint64_t time = context->since_ns != 0 && now > context->since_ns ? now - context->since_ns : 0;

    switch (context->state) {
    case ADA_KERNEL_RUNS:
        sched->run_ns += time;
        break;
    case ADA_KERNEL_PREEMPTED:
        sched->preempted_ns += time;
        sched->runqueue_ns += time;
        break;
    case ADA_KERNEL_RUNNABLE:
        sched->runqueue_ns += time;
        break;
    case ADA_KERNEL_SLEEPS:
        sched->sleep_ns += time;
        break;
    case ADA_KERNEL_BLOCKED:
        sched->blocked_ns += time;
        break;
    default:
        break;
    }
}

/* Fields of a context are not of one instant, so that a time may be a switch ahead of the next snapshot's: no share is below 0. */
static double share(uint64_t now, uint64_t before, const MetricsWindow *window)
{
    double part = metrics_per_second(now, before, window->seconds) / 1e9;

    return part < 1 ? part : 1;
}

void sched_figures_take(const AdaKernelThread *context, const MetricsWindow *window, ThreadMeasured *before,
                        MetricsSched *sched_out)
{
    MetricsSched sched;

    if (!context) {
        *sched_out = (MetricsSched){0};
        return;
    }
    sched = (MetricsSched){
        .threads = 1,
        .state = context->state,
        .last_cpu = context->last_cpu,
        .run_ns = context->run_ns,
        .runqueue_ns = context->runqueue_ns,
        .preempted_ns = context->preempted_ns,
        .sleep_ns = context->sleep_ns,
        .blocked_ns = context->blocked_ns,
        .switches_voluntary = context->switches_voluntary,
        .switches_involuntary = context->switches_involuntary,
        .migrations = context->migrations,
        .wakeups = context->wakeups,
    };
    add_present(context, window->now, &sched);
    if (before->scheduled) {
        sched.cpu_share = share(sched.run_ns, before->run_ns, window);
        sched.runqueue_share = share(sched.runqueue_ns, before->runqueue_ns, window);
    }
    before->scheduled = true;
    before->run_ns = sched.run_ns;
    before->runqueue_ns = sched.runqueue_ns;
    *sched_out = sched;
}

void sched_figures_add(MetricsSched *sum, const MetricsSched *sched)
{
    sum->threads += sched->threads;
    sum->run_ns += sched->run_ns;
    sum->runqueue_ns += sched->runqueue_ns;
    sum->preempted_ns += sched->preempted_ns;
    sum->sleep_ns += sched->sleep_ns;
    sum->blocked_ns += sched->blocked_ns;
    sum->switches_voluntary += sched->switches_voluntary;
    sum->switches_involuntary += sched->switches_involuntary;
    sum->migrations += sched->migrations;
    sum->wakeups += sched->wakeups;
    sum->cpu_share += sched->cpu_share;
    sum->runqueue_share += sched->runqueue_share;
}
