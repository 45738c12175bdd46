/* SPDX-License-Identifier: MIT */
/*
 * What the kernel knows of a thread, as figures: contexts that BPF keeps (shared/kernel_abi.h) have times up to
 * the last switch; figures have them up to the moment of the snapshot, and the last interval's shares.
 *
 * For the drain thread, between iterations, after thread_figures_take() of the same thread.
 */
#ifndef ADA_METRICS_SCHED_FIGURES_H
#define ADA_METRICS_SCHED_FIGURES_H

#include "shared/kernel_abi.h"
#include "user/metrics/thread_figures.h"

/* `context` NULL: nothing is known. `before` is what the thread came to at the last snapshot; it becomes what it has come to now. */
void sched_figures_take(const AdaKernelThread *context, const MetricsWindow *window, ThreadMeasured *before,
                        MetricsSched *sched_out);

/* Adds a thread's, or a process's, to a sum over many. */
void sched_figures_add(MetricsSched *sum, const MetricsSched *sched);

#endif
