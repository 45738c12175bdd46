/* SPDX-License-Identifier: MIT */
/* The kernel's view of a thread, as figures. */
#include "test_support.h"

#include "user/metrics/sched_figures.h"

#define BEGIN 5000000000ull
#define MS 1000000ull

static void sched_figures__state_that_goes_on__then_counted_until_now(void)
{
    static const struct {
        uint32_t state;
        uint64_t run, runqueue, preempted, sleep, blocked;
    } cases[] = {
        {ADA_KERNEL_RUNS, 11, 2, 1, 3, 4},       {ADA_KERNEL_RUNNABLE, 1, 12, 1, 3, 4},
        {ADA_KERNEL_PREEMPTED, 1, 12, 11, 3, 4}, {ADA_KERNEL_SLEEPS, 1, 2, 1, 13, 4},
        {ADA_KERNEL_BLOCKED, 1, 2, 1, 3, 14},    {ADA_KERNEL_UNKNOWN, 1, 2, 1, 3, 4},
    };
    MetricsWindow window = metrics_window_begin(BEGIN + 10 * MS, 0);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AdaKernelThread context = {.state = cases[i].state,
                                   .since_ns = BEGIN,
                                   .run_ns = 1 * MS,
                                   .runqueue_ns = 2 * MS,
                                   .preempted_ns = 1 * MS,
                                   .sleep_ns = 3 * MS,
                                   .blocked_ns = 4 * MS,
                                   .last_cpu = 7,
                                   .switches_voluntary = 5,
                                   .migrations = 6};
        ThreadMeasured before = {0};
        MetricsSched sched;

        sched_figures_take(&context, &window, &before, &sched);
        CU_ASSERT_EQUAL(sched.threads, 1);
        CU_ASSERT_EQUAL(sched.state, cases[i].state);
        CU_ASSERT_EQUAL(sched.last_cpu, 7);
        CU_ASSERT_EQUAL(sched.run_ns, cases[i].run * MS);
        CU_ASSERT_EQUAL(sched.runqueue_ns, cases[i].runqueue * MS);
        CU_ASSERT_EQUAL(sched.preempted_ns, cases[i].preempted * MS);
        CU_ASSERT_EQUAL(sched.sleep_ns, cases[i].sleep * MS);
        CU_ASSERT_EQUAL(sched.blocked_ns, cases[i].blocked * MS);
        CU_ASSERT_EQUAL(sched.switches_voluntary, 5);
        CU_ASSERT_EQUAL(sched.migrations, 6);
        CU_ASSERT_EQUAL(sched.cpu_share, 0); /* there was no interval yet */
        CU_ASSERT_TRUE(before.scheduled);
    }
}

static void sched_figures__second_window__then_shares_of_it(void)
{
    AdaKernelThread context = {.state = ADA_KERNEL_SLEEPS, .since_ns = BEGIN};
    MetricsWindow window = metrics_window_begin(BEGIN, 0);
    ThreadMeasured before = {0};
    MetricsSched sched;

    sched_figures_take(&context, &window, &before, &sched);
    context.run_ns = 250 * MS;
    context.runqueue_ns = 100 * MS;
    context.since_ns = BEGIN + 900 * MS;
    window = metrics_window_begin(BEGIN + 1000 * MS, BEGIN);
    sched_figures_take(&context, &window, &before, &sched);
    CU_ASSERT_DOUBLE_EQUAL(sched.cpu_share, 0.25, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(sched.runqueue_share, 0.1, 1e-9);
    CU_ASSERT_EQUAL(sched.sleep_ns, 100 * MS);

    /* It ran all the time, and the context was read a moment after the window's end. */
    context.state = ADA_KERNEL_RUNS;
    context.run_ns = 1260 * MS;
    context.since_ns = BEGIN + 2001 * MS;
    window = metrics_window_begin(BEGIN + 2000 * MS, BEGIN + 1000 * MS);
    sched_figures_take(&context, &window, &before, &sched);
    CU_ASSERT_DOUBLE_EQUAL(sched.cpu_share, 1, 1e-9);

    /* And a moment before the time that was reached then. */
    context.run_ns = 1200 * MS;
    window = metrics_window_begin(BEGIN + 2001 * MS, BEGIN + 2000 * MS);
    sched_figures_take(&context, &window, &before, &sched);
    CU_ASSERT_EQUAL(sched.cpu_share, 0);
}

static void sched_figures__unknown__then_nothing(void)
{
    MetricsWindow window = metrics_window_begin(BEGIN, 0);
    ThreadMeasured before = {0};
    MetricsSched sched = {.threads = 1, .run_ns = 9};

    sched_figures_take(NULL, &window, &before, &sched);
    CU_ASSERT_EQUAL(sched.threads, 0);
    CU_ASSERT_EQUAL(sched.run_ns, 0);
    CU_ASSERT_FALSE(before.scheduled);
    CU_ASSERT_STRING_EQUAL(metrics_sched_state_name(ADA_KERNEL_UNKNOWN), "-");
    CU_ASSERT_STRING_EQUAL(metrics_sched_state_name(ADA_KERNEL_BLOCKED), "blocked");
    CU_ASSERT_STRING_EQUAL(metrics_sched_state_name(ADA_KERNEL_STATES), "-");
}

static void metrics_figures__added__then_contexts_add_up(void)
{
    MetricsFigures known = {.sched = {.threads = 1,
                                      .state = ADA_KERNEL_RUNS,
                                      .run_ns = 5,
                                      .runqueue_ns = 6,
                                      .preempted_ns = 1,
                                      .sleep_ns = 7,
                                      .blocked_ns = 8,
                                      .switches_voluntary = 2,
                                      .switches_involuntary = 3,
                                      .migrations = 1,
                                      .wakeups = 4,
                                      .cpu_share = 0.5,
                                      .runqueue_share = 0.25}};
    MetricsFigures unknown = {.bytes = 1};
    MetricsFigures sum = {0};

    metrics_figures_add(&sum, &known);
    metrics_figures_add(&sum, &unknown);
    metrics_figures_add(&sum, &known);
    CU_ASSERT_EQUAL(sum.sched.threads, 2);
    CU_ASSERT_EQUAL(sum.sched.run_ns, 10);
    CU_ASSERT_EQUAL(sum.sched.runqueue_ns, 12);
    CU_ASSERT_EQUAL(sum.sched.preempted_ns, 2);
    CU_ASSERT_EQUAL(sum.sched.sleep_ns, 14);
    CU_ASSERT_EQUAL(sum.sched.blocked_ns, 16);
    CU_ASSERT_EQUAL(sum.sched.switches_voluntary, 4);
    CU_ASSERT_EQUAL(sum.sched.switches_involuntary, 6);
    CU_ASSERT_EQUAL(sum.sched.migrations, 2);
    CU_ASSERT_EQUAL(sum.sched.wakeups, 8);
    CU_ASSERT_DOUBLE_EQUAL(sum.sched.cpu_share, 1, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(sum.sched.runqueue_share, 0.5, 1e-12);
}

static const TestCase tests[] = {
    TEST(sched_figures__state_that_goes_on__then_counted_until_now),
    TEST(sched_figures__second_window__then_shares_of_it),
    TEST(sched_figures__unknown__then_nothing),
    TEST(metrics_figures__added__then_contexts_add_up),
};
TEST_MAIN("sched_figures", tests)
