/* SPDX-License-Identifier: MIT */
/*
 * A thread's figures, from its lanes in shared memory and from what the drain knows of it.
 *
 * Nothing is counted for it while events are recorded: how many there are follows from positions. The thread goes
 * on meanwhile. Its account closes all the same, since `attempted` is the sum of what became of the events, pending
 * ones included; and no total is ever less than it was before.
 *
 * For the drain thread, between iterations.
 */
#ifndef ADA_METRICS_THREAD_FIGURES_H
#define ADA_METRICS_THREAD_FIGURES_H

#include "user/drain/drain_metrics.h"
#include "user/drain/thread_drain_state.h"
#include "user/metrics/metrics_snapshot.h"

/* Of all threads, while they are gone through. */
typedef struct MetricsWindow {
    uint64_t now;   /* CLOCK_MONOTONIC, ns */
    double seconds; /* since figures were taken before; 0: they never were */
    JainIndex jain;
    double weight;    /* of the window in moving averages */
    uint64_t drained; /* bytes, in the window */
    uint32_t stalled; /* threads with events pending all the time, none of which was taken */
} MetricsWindow;

/* `before`: when figures were last taken; 0: never. */
MetricsWindow metrics_window_begin(uint64_t now, uint64_t before);

/*
 * Has the memory that thread_figures_take() will read come meanwhile: of thousands of threads nothing is in a cache. First
 * what the drain knows of the thread, then, when that has come, what the thread shares.
 */
void thread_figures_expect(const ThreadDrainState *state);
void thread_figures_expect_shared(const ThreadDrainState *state);

/* Takes the figures of one thread, adds to *window, and begins its next window. drain_share is not known yet: it is set to the thread's bytes. `sched` is empty: see sched_figures_take(). */
void thread_figures_take(ThreadDrainState *state, MetricsWindow *window, MetricsFigures *figures);

/* In place of taking them, of a thread that has done nothing since *figures were taken, and rates were 0: begins its next window, too. */
void thread_figures_skip(ThreadDrainState *state, const MetricsWindow *window, MetricsFigures *figures);

/* The last figures of a thread whose account was closed; rates are 0. */
void thread_figures_close(const ThreadDrainState *state, const AdatLedgerEntry *index,
                          const AdatLedgerEntry *detail, MetricsFigures *figures_out);

/* The next value of a moving average, which begins with the first rate that is not 0. */
double metrics_average(double average, double rate, const MetricsWindow *window);

/* A rate over a window, 0 for one without length. */
double metrics_per_second(uint64_t now, uint64_t before, double seconds);

/* Adds a thread's figures to a sum over threads: counts and rates add up, of occupancies the largest counts. */
void metrics_figures_add(MetricsFigures *sum, const MetricsFigures *figures);

#endif
