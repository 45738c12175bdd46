/* SPDX-License-Identifier: MIT */
/* What the kernel tells of threads, with the real kernel: births, ends, programs, switches; what is lost is counted. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kernel_fixture.h"
#include "shared/segment_abi.h"

#define SOME_THREADS 5u

static const KernelAssistConfig defaults;
static const KernelAssistConfig following = {.follow = true};

static void *do_nothing(void *argument)
{
    return argument;
}

static void *wait_forever(void *argument)
{
    program_pause(true);
    return argument;
}

static void start_threads(void *(*run)(void *), size_t count, pthread_t *threads)
{
    for (size_t i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, run, NULL) != 0)
            _exit(97);
    }
}

/* A program with some threads, that ends with status 3. */
static int run_threads(void *argument)
{
    pthread_t threads[SOME_THREADS];

    (void)argument;
    start_threads(do_nothing, SOME_THREADS, threads);
    for (size_t i = 0; i < SOME_THREADS; i++)
        pthread_join(threads[i], NULL);
    return 3;
}

/* ---- births and ends -------------------------------------------------------------------------- */

static void expect_births_and_ends(const SeenRecords *seen, uint32_t pid)
{
    for (size_t i = 0; i < seen->count; i++) {
        const AdaKernelLifecycle *born = &seen->items[i].record;
        const SeenRecord *ended;

        CU_ASSERT_EQUAL(born->tgid, pid);
        CU_ASSERT_EQUAL(born->own_tid, born->tid);
        if (born->type != ADA_KERNEL_FORK)
            continue;
        CU_ASSERT_EQUAL(born->parent_tgid, pid);
        CU_ASSERT_EQUAL(born->flags, 0);
        CU_ASSERT_NOT_EQUAL(born->index, ADA_KERNEL_NO_INDEX);
        ended = seen_find(seen, ADA_KERNEL_EXIT, born->tid, 0);
        CU_ASSERT_PTR_NOT_NULL_FATAL(ended);
        CU_ASSERT_EQUAL(ended->record.start_ns, born->start_ns);
        CU_ASSERT(ended->record.time_ns > born->time_ns);
        CU_ASSERT_EQUAL(ended->record.exit_code, 0);
        CU_ASSERT_EQUAL(ended->thread.tid, born->tid);
        CU_ASSERT_EQUAL(ended->thread.start_ns, born->start_ns);
        CU_ASSERT(ended->thread.run_ns > 0);
    }
}

static void births_and_ends(const KernelAssistConfig *config)
{
    SeenRecords seen = {0};
    WatchedProgram program;
    const SeenRecord *last;
    KernelAssist *assist;

    if (!kernel_fixture_start(config, &assist))
        return;
    program = program_start(run_threads, NULL);
    CU_ASSERT_EQUAL(kernel_assist_watch(assist, program.pid, 0), 0);
    CU_ASSERT(kernel_assist_is_watched(assist, program.pid));
    program_continue(&program);
    seen_await(assist, &seen, ADA_KERNEL_EXIT, (uint32_t)program.pid, SOME_THREADS + 1);
    CU_ASSERT_EQUAL(WEXITSTATUS(program_wait(&program)), 3);

    CU_ASSERT_EQUAL(seen_count(&seen, ADA_KERNEL_FORK, 0), SOME_THREADS);
    CU_ASSERT_EQUAL(seen.count, 2 * SOME_THREADS + 1);
    expect_births_and_ends(&seen, (uint32_t)program.pid);
    last = seen_find(&seen, ADA_KERNEL_EXIT, (uint32_t)program.pid, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(last);
    CU_ASSERT_EQUAL(WEXITSTATUS(last->record.exit_code), 3);
    CU_ASSERT_EQUAL(last->record.flags, ADA_KERNEL_LAST);
    CU_ASSERT_FALSE(kernel_assist_is_watched(assist, program.pid));
    seen_free(&seen);
    kernel_assist_destroy(assist);
}

static void kernel_assist__program_with_threads__then_births_and_ends_are_told(void)
{
    births_and_ends(&defaults);
}

static void kernel_assist__switches_followed__then_births_and_ends_are_told(void)
{
    births_and_ends(&following);
}

static void kernel_assist__raw_tracepoints__then_births_and_ends_are_told(void)
{
    births_and_ends(&(KernelAssistConfig){.raw_tracepoints = true});
}

/* Its threads wait to be let go on, one by one; the main thread for all of them. */
static int run_waiting_threads(void *argument)
{
    pthread_t threads[SOME_THREADS];

    (void)argument;
    start_threads(wait_forever, SOME_THREADS, threads);
    for (size_t i = 0; i < SOME_THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void kernel_assist__killed__then_every_thread_ends_by_the_signal(void)
{
    static const int signals[] = {SIGKILL, SIGTERM, SIGABRT};
    SeenRecords seen = {0};
    KernelAssist *assist;

    if (!kernel_fixture_start(&defaults, &assist))
        return;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        WatchedProgram program = program_start(run_waiting_threads, NULL);

        CU_ASSERT_EQUAL(kernel_assist_watch(assist, program.pid, 0), 0);
        program_continue(&program);
        for (size_t t = 0; t < SOME_THREADS; t++)
            (void)program_read(&program);
        CU_ASSERT_EQUAL(kill(program.pid, signals[i]), 0);
        seen_await(assist, &seen, ADA_KERNEL_EXIT, (uint32_t)program.pid, SOME_THREADS + 1);
        (void)program_wait(&program);
        for (size_t r = 0; r < seen.count; r++) {
            if (seen.items[r].record.type == ADA_KERNEL_EXIT)
                CU_ASSERT_EQUAL(WTERMSIG(seen.items[r].record.exit_code), signals[i]);
        }
        seen.count = 0;
    }
    seen_free(&seen);
    kernel_assist_destroy(assist);
}

static void *wait_busily(void *argument)
{
    program_write(0);
    for (;;)
        ;
    return argument;
}

static int run_busily(void *argument)
{
    pthread_t thread;

    start_threads(wait_busily, 1, &thread);
    (void)wait_busily(argument);
    return 0;
}

/*
 * On two CPUs at once: each may find the other gone, and so the process ended, before its own end was told. Neither has a context that
 * could tell whose it is.
 */
static void kernel_assist__threads_killed_at_once__then_every_end_is_told(void)
{
    SeenRecords seen = {0};
    KernelAssist *assist;

    if (!kernel_fixture_start(&defaults, &assist))
        return;
    for (size_t i = 0; i < 200; i++) {
        WatchedProgram program = program_start(run_busily, NULL);

        program_continue(&program);
        (void)program_read(&program);
        (void)program_read(&program);
        CU_ASSERT_EQUAL(kernel_assist_watch(assist, program.pid, 0), 0);
        CU_ASSERT_EQUAL(kill(program.pid, SIGKILL), 0);
        (void)program_wait(&program);
        seen_consume(assist, &seen); /* who can be waited for has told all */
        CU_ASSERT_EQUAL(seen_count(&seen, ADA_KERNEL_EXIT, (uint32_t)program.pid), 2);
        CU_ASSERT_FALSE(kernel_assist_is_watched(assist, program.pid));
        seen.count = 0;
    }
    seen_free(&seen);
    kernel_assist_destroy(assist);
}

static void *end_last(void *argument)
{
    program_pause(true);
    return argument;
}

static int run_main_ends_first(void *argument)
{
    pthread_t thread;

    (void)argument;
    start_threads(end_last, 1, &thread);
    syscall(SYS_exit, 7);
    return 0;
}

static void kernel_assist__main_thread_ends_first__then_the_process_is_watched_to_its_end(void)
{
    SeenRecords seen = {0};
    WatchedProgram program;
    KernelAssist *assist;

    if (!kernel_fixture_start(&defaults, &assist))
        return;
    program = program_start(run_main_ends_first, NULL);
    CU_ASSERT_EQUAL(kernel_assist_watch(assist, program.pid, 0), 0);
    program_continue(&program);
    (void)program_read(&program);
    seen_await(assist, &seen, ADA_KERNEL_EXIT, (uint32_t)program.pid, 1);
    CU_ASSERT_EQUAL(seen.items[seen.count - 1].record.tid, (uint32_t)program.pid);
    CU_ASSERT_EQUAL(WEXITSTATUS(seen.items[seen.count - 1].record.exit_code), 7);
    CU_ASSERT_EQUAL(seen.items[seen.count - 1].record.flags, 0);
    CU_ASSERT(kernel_assist_is_watched(assist, program.pid));
    program_continue(&program);
    seen_await(assist, &seen, ADA_KERNEL_EXIT, (uint32_t)program.pid, 2);
    CU_ASSERT_EQUAL(seen.items[seen.count - 1].record.flags, ADA_KERNEL_LAST);
    CU_ASSERT_NOT_EQUAL(seen.items[seen.count - 1].record.tid, (uint32_t)program.pid);
    CU_ASSERT_FALSE(kernel_assist_is_watched(assist, program.pid));
    (void)program_wait(&program);
    seen_free(&seen);
    kernel_assist_destroy(assist);
}

/* ---- exec ------------------------------------------------------------------------------------- */

static void *become_true(void *argument)
{
    execl("/bin/true", "true", (char *)NULL);
    return argument;
}

static int run_exec_from_thread(void *argument)
{
    pthread_t threads[2];

    (void)argument;
    start_threads(wait_forever, 1, &threads[0]);
    program_pause(true);
    start_threads(become_true, 1, &threads[1]);
    pthread_join(threads[1], NULL);
    return 1;
}

static void kernel_assist__exec_from_a_thread__then_its_context_goes_on_under_the_leaders_id(void)
{
    SeenRecords seen = {0};
    const SeenRecord *born, *exec, *end;
    WatchedProgram program;
    KernelAssist *assist;

    if (!kernel_fixture_start(&defaults, &assist))
        return;
    program = program_start(run_exec_from_thread, NULL);
    CU_ASSERT_EQUAL(kernel_assist_watch(assist, program.pid, 0), 0);
    program_continue(&program);
    (void)program_read(&program);
    (void)program_read(&program);
    program_continue(&program); /* one of the two that wait: either way somebody goes on */
    program_continue(&program);
    /* The leader, the other thread, and the program that went on. */
    seen_await(assist, &seen, ADA_KERNEL_EXIT, (uint32_t)program.pid, 3);
    CU_ASSERT_EQUAL(program_wait(&program), 0);

    CU_ASSERT_EQUAL(seen_count(&seen, ADA_KERNEL_EXEC, 0), 1);
    exec = seen_find(&seen, ADA_KERNEL_EXEC, (uint32_t)program.pid, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(exec);
    CU_ASSERT_NOT_EQUAL(exec->record.old_tid, (uint32_t)program.pid);
    CU_ASSERT_STRING_EQUAL(exec->record.name, "true");
    born = seen_find(&seen, ADA_KERNEL_FORK, exec->record.old_tid, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(born);
    CU_ASSERT_EQUAL(exec->record.index, born->record.index);
    /* The leader's own end came before, under the same id. */
    end = seen_find(&seen, ADA_KERNEL_EXIT, (uint32_t)program.pid, 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(end);
    CU_ASSERT(end->record.time_ns > exec->record.time_ns);
    CU_ASSERT_EQUAL(end->record.start_ns, exec->record.start_ns);
    CU_ASSERT_EQUAL(end->thread.start_ns, exec->record.start_ns);
    CU_ASSERT_EQUAL(end->record.flags, ADA_KERNEL_LAST);
    seen_free(&seen);
    kernel_assist_destroy(assist);
}

/* ---- children, and those who are nobody's business --------------------------------------------- */

static int run_child(void *argument)
{
    pid_t child = fork();

    (void)argument;
    if (child == 0)
        _exit(run_threads(NULL));
    program_write((uint64_t)child);
    (void)waitpid(child, NULL, 0);
    return 0;
}

static void kernel_assist__with_children__then_children_are_watched_from_their_birth(void)
{
    SeenRecords seen = {0};
    const SeenRecord *born;
    WatchedProgram program;
    KernelAssist *assist;
    uint32_t child;

    if (!kernel_fixture_start(&defaults, &assist))
        return;
    program = program_start(run_child, NULL);
    CU_ASSERT_EQUAL(kernel_assist_watch(assist, program.pid, ADA_KERNEL_WITH_CHILDREN), 0);
    program_continue(&program);
    child = (uint32_t)program_read(&program);
    seen_await(assist, &seen, ADA_KERNEL_EXIT, child, SOME_THREADS + 1);
    CU_ASSERT_EQUAL(seen_count(&seen, ADA_KERNEL_FORK, child), SOME_THREADS + 1);
    born = seen_find(&seen, ADA_KERNEL_FORK, child, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(born);
    CU_ASSERT_EQUAL(born->record.flags, ADA_KERNEL_NEW_PROCESS);
    CU_ASSERT_EQUAL(born->record.parent_tgid, (uint32_t)program.pid);
    (void)program_wait(&program);
    CU_ASSERT_FALSE(kernel_assist_is_watched(assist, (pid_t)child));
    seen_free(&seen);
    kernel_assist_destroy(assist);
}

static void kernel_assist__process_that_is_not_watched__then_nothing_is_recorded_of_it(void)
{
    SeenRecords seen = {0};
    AdaKernelCounters counters;
    WatchedProgram program;
    KernelAssist *assist;

    if (!kernel_fixture_start(&(KernelAssistConfig){.sched_records = true}, &assist))
        return;
    program = program_start(run_child, NULL);
    program_continue(&program);
    (void)program_read(&program);
    (void)program_wait(&program);
    seen_consume(assist, &seen);
    kernel_assist_counters(assist, &counters);
    CU_ASSERT_EQUAL(seen.count, 0);
    CU_ASSERT_EQUAL(counters.lifecycle_attempted, 0);
    CU_ASSERT_EQUAL(counters.sched_attempted, 0);
    CU_ASSERT_EQUAL(kernel_assist_words(assist), 0);

    /* The child of one that is watched without its children is not, either. */
    program = program_start(run_child, NULL);
    CU_ASSERT_EQUAL(kernel_assist_watch(assist, program.pid, 0), 0);
    program_continue(&program);
    (void)program_read(&program);
    seen_await(assist, &seen, ADA_KERNEL_EXIT, (uint32_t)program.pid, 1);
    (void)program_wait(&program);
    CU_ASSERT_EQUAL(seen.count, 1);
    seen_free(&seen);
    kernel_assist_destroy(assist);
}

static void kernel_assist__running_process__then_its_threads_are_found_and_forgotten_again(void)
{
    SeenRecords seen = {0};
    WatchedProgram program;
    AdaKernelThread thread;
    KernelAssist *assist;

    if (!kernel_fixture_start(&following, &assist))
        return;
    program = program_start(run_waiting_threads, NULL);
    program_continue(&program);
    for (size_t t = 0; t < SOME_THREADS; t++)
        (void)program_read(&program);
    CU_ASSERT_EQUAL(kernel_assist_watch(assist, program.pid, 0), 0);
    /* One goes on, and is seen with it. */
    program_continue(&program);
    seen_await(assist, &seen, ADA_KERNEL_EXIT, (uint32_t)program.pid, 1);
    CU_ASSERT(seen.items[0].thread.generation > 0);
    kernel_assist_unwatch(assist, program.pid);
    CU_ASSERT_FALSE(kernel_assist_is_watched(assist, program.pid));
    CU_ASSERT_FALSE(kernel_assist_find_thread(assist, (uint32_t)program.pid, 0, &thread));
    seen.count = 0;
    CU_ASSERT_EQUAL(kill(program.pid, SIGKILL), 0);
    (void)program_wait(&program);
    seen_consume(assist, &seen);
    CU_ASSERT_EQUAL(seen.count, 0);
    seen_free(&seen);
    kernel_assist_destroy(assist);
}

/* ---- contexts --------------------------------------------------------------------------------- */

#define NAPS 200u
#define NAP_NS 100000u

static int run_naps(void *argument)
{
    const struct timespec nap = {.tv_nsec = NAP_NS};

    (void)argument;
    for (size_t i = 0; i < NAPS; i++)
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
    program_pause(true);
    return 0;
}

/* A number of /proc/PID/status. */
static uint64_t status_number(pid_t pid, const char *name)
{
    char path[64], line[256];
    uint64_t number = UINT64_MAX;
    size_t length = strlen(name);
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            number = strtoull(line + length + 1, NULL, 10);
    }
    fclose(file);
    return number;
}

/* What the kernel counts itself: nanoseconds on a CPU, and nanoseconds waiting for one. */
static void schedstat_of(pid_t pid, uint64_t figures[2])
{
    char path[64], line[128] = "", *end = line;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
    file = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_PTR_NOT_NULL(fgets(line, sizeof(line), file));
    fclose(file);
    for (size_t i = 0; i < 2; i++)
        figures[i] = strtoull(end, &end, 10);
    CU_ASSERT_EQUAL(*end, ' ');
}

/* Waits until the thread sleeps, so that its context and what /proc says are of the same moment. */
static AdaKernelThread await_sleep(KernelAssist *assist, pid_t pid)
{
    AdaKernelThread thread;
    uint64_t before;

    do {
        sched_yield();
        before = status_number(pid, "voluntary_ctxt_switches");
        if (!kernel_assist_find_thread(assist, (uint32_t)pid, 0, &thread))
            thread = (AdaKernelThread){0};
    } while (thread.state != ADA_KERNEL_SLEEPS || before != status_number(pid, "voluntary_ctxt_switches"));
    return thread;
}

static void switches_of(const KernelAssistConfig *config)
{
    WatchedProgram program;
    AdaKernelThread thread;
    KernelAssist *assist;
    uint64_t before;

    if (!kernel_fixture_start(config, &assist))
        return;
    program = program_start(run_naps, NULL);
    before = status_number(program.pid, "voluntary_ctxt_switches");
    CU_ASSERT_EQUAL(kernel_assist_watch(assist, program.pid, 0), 0);
    program_continue(&program);
    (void)program_read(&program);
    thread = await_sleep(assist, program.pid);
    CU_ASSERT_EQUAL(thread.switches_voluntary, status_number(program.pid, "voluntary_ctxt_switches"));
    CU_ASSERT_EQUAL(thread.switches_involuntary, status_number(program.pid, "nonvoluntary_ctxt_switches"));
    CU_ASSERT(thread.switches_voluntary > before); /* a nap may be over before it begins */
    CU_ASSERT(thread.wakeups > 0);
    CU_ASSERT(thread.sleep_ns > 0);
    CU_ASSERT(thread.run_ns > 0);
    CU_ASSERT(thread.runqueue_ns > 0);
    CU_ASSERT(thread.preempted_ns <= thread.runqueue_ns);
    CU_ASSERT_EQUAL(thread.tgid, (uint32_t)program.pid);
    CU_ASSERT(kernel_assist_find_thread(assist, (uint32_t)program.pid, thread.start_ns, &thread));
    CU_ASSERT_FALSE(kernel_assist_find_thread(assist, (uint32_t)program.pid, thread.start_ns + 1, &thread));
    program_continue(&program);
    CU_ASSERT_EQUAL(program_wait(&program), 0);
    kernel_assist_destroy(assist);
}

static void thread_context__sleeps_and_switches__then_as_proc_counts_them(void)
{
    switches_of(&following);
}

/* Nobody follows switches: the kernel's own sums, as of the look. */
static void thread_context__looked_at__then_as_proc_counts_them(void)
{
    WatchedProgram program;
    AdaKernelThread thread;
    KernelAssist *assist;
    uint64_t switches, schedstat[2];

    if (!kernel_fixture_start(&defaults, &assist))
        return;
    program = program_start(run_naps, NULL);
    CU_ASSERT_EQUAL(kernel_assist_watch(assist, program.pid, 0), 0);
    program_continue(&program);
    (void)program_read(&program);
    CU_ASSERT_FALSE(kernel_assist_follows(assist));
    CU_ASSERT_FALSE(kernel_assist_find_thread(assist, (uint32_t)program.pid, 0, &thread)); /* not looked at yet */
    do {
        switches = status_number(program.pid, "voluntary_ctxt_switches");
        kernel_assist_look(assist);
        CU_ASSERT_FATAL(kernel_assist_find_thread(assist, (uint32_t)program.pid, 0, &thread));
    } while (thread.state != ADA_KERNEL_SLEEPS ||
             switches != status_number(program.pid, "voluntary_ctxt_switches"));
    CU_ASSERT_EQUAL(thread.switches_voluntary, switches);
    CU_ASSERT_EQUAL(thread.switches_involuntary, status_number(program.pid, "nonvoluntary_ctxt_switches"));
    schedstat_of(program.pid, schedstat);
    CU_ASSERT_EQUAL(thread.run_ns, schedstat[0]);
    CU_ASSERT_EQUAL(thread.runqueue_ns, schedstat[1]);
    CU_ASSERT(thread.run_ns > 0);
    CU_ASSERT(thread.sleep_ns > 0);
    CU_ASSERT(thread.sleep_ns + thread.runqueue_ns + thread.run_ns >= NAPS * (uint64_t)NAP_NS);
    CU_ASSERT(thread.last_cpu < (uint32_t)sysconf(_SC_NPROCESSORS_CONF));
    CU_ASSERT_EQUAL(thread.since_ns, 0);
    CU_ASSERT_EQUAL(thread.wakeups, 0);

    /* From now on each switch is seen; what was summed up stays. */
    CU_ASSERT_EQUAL(kernel_assist_follow(assist, true), 0);
    CU_ASSERT_EQUAL(kernel_assist_follow(assist, true), 0);
    CU_ASSERT(kernel_assist_follows(assist));
    program_continue(&program);
    CU_ASSERT_EQUAL(program_wait(&program), 0);
    CU_ASSERT_EQUAL(kernel_assist_follow(assist, false), 0);
    CU_ASSERT_FALSE(kernel_assist_follows(assist));
    kernel_assist_destroy(assist);
}

static void thread_context__raw_tracepoints__then_as_proc_counts_them(void)
{
    switches_of(&(KernelAssistConfig){.raw_tracepoints = true, .follow = true});
}

static void *nap_in_thread(void *argument)
{
    return (void *)(intptr_t)run_naps(argument);
}

static int run_naps_in_thread(void *argument)
{
    pthread_t thread;

    (void)argument;
    start_threads(nap_in_thread, 1, &thread);
    pthread_join(thread, NULL);
    return 0;
}

/* All its time is accounted for, and nothing twice. */
static void thread_context__whole_life__then_the_times_add_up_to_it(void)
{
    SeenRecords seen = {0};
    const SeenRecord *born, *end;
    WatchedProgram program;
    KernelAssist *assist;
    uint64_t sum, life;

    if (!kernel_fixture_start(&following, &assist))
        return;
    program = program_start(run_naps_in_thread, NULL);
    CU_ASSERT_EQUAL(kernel_assist_watch(assist, program.pid, 0), 0);
    program_continue(&program);
    (void)program_read(&program);
    program_continue(&program);
    seen_await(assist, &seen, ADA_KERNEL_EXIT, (uint32_t)program.pid, 2);
    (void)program_wait(&program);
    born = &seen.items[0];
    CU_ASSERT_EQUAL_FATAL(born->record.type, ADA_KERNEL_FORK);
    end = seen_find(&seen, ADA_KERNEL_EXIT, born->record.tid, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(end);
    sum = end->thread.run_ns + end->thread.runqueue_ns + end->thread.sleep_ns + end->thread.blocked_ns;
    life = end->record.time_ns - born->record.start_ns;
    /* Between its birth and the event of it, while it could not run yet, nobody counted. */
    CU_ASSERT(sum <= life);
    CU_ASSERT(sum >= end->record.time_ns - born->record.time_ns);
    CU_ASSERT(end->thread.switches_voluntary > 0);
    seen_free(&seen);
    kernel_assist_destroy(assist);
}

#define MOVES 20u

static void move_to(size_t cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0)
        _exit(96);
}

static int run_moves(void *argument)
{
    const int *cpus = argument;

    move_to((size_t)cpus[0]);
    program_pause(true);
    for (size_t i = 0; i < MOVES; i++)
        move_to((size_t)cpus[(i + 1) % 2]);
    program_pause(true);
    return 0;
}

/* Two CPUs that we may run on. */
static bool find_two_cpus(int cpus[2])
{
    cpu_set_t set;
    int found = 0;

    CU_ASSERT_EQUAL_FATAL(sched_getaffinity(0, sizeof(set), &set), 0);
    for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++) {
        if (CPU_ISSET((size_t)cpu, &set))
            cpus[found++] = cpu;
    }
    return found == 2;
}

static void thread_context__moved_between_cpus__then_each_migration_counts(void)
{
    WatchedProgram program;
    AdaKernelThread before, after;
    KernelAssist *assist;
    int cpus[2];

    if (!find_two_cpus(cpus))
        TEST_SKIP("there is one CPU only");
    if (!kernel_fixture_start(&following, &assist))
        return;
    program = program_start(run_moves, cpus);
    CU_ASSERT_EQUAL(kernel_assist_watch(assist, program.pid, 0), 0);
    program_continue(&program);
    (void)program_read(&program);
    before = await_sleep(assist, program.pid);
    CU_ASSERT_EQUAL(before.last_cpu, (uint32_t)cpus[0]);
    program_continue(&program);
    (void)program_read(&program);
    after = await_sleep(assist, program.pid);
    CU_ASSERT_EQUAL(after.migrations, before.migrations + MOVES);
    CU_ASSERT_EQUAL(after.last_cpu, (uint32_t)cpus[MOVES % 2]);
    program_continue(&program);
    (void)program_wait(&program);
    kernel_assist_destroy(assist);
}

/* ---- the bitmap ------------------------------------------------------------------------------- */

static volatile sig_atomic_t spinning;

static void *spin(void *argument)
{
    program_write((uint64_t)gettid());
    while (spinning)
        ;
    return argument;
}

static int run_spinner(void *argument)
{
    pthread_t thread;

    (void)argument;
    spinning = 1;
    start_threads(spin, 1, &thread);
    program_pause(true);
    spinning = 0;
    pthread_join(thread, NULL);
    return 0;
}

static bool take_bit(KernelAssist *assist, uint32_t index)
{
    return (kernel_assist_take_on_cpu(assist, index / 64) & 1ull << index % 64) != 0;
}

static void on_cpu_bitmap__sleeping_and_spinning__then_only_who_runs_is_in_it(void)
{
    uint32_t sleeper, spinner;
    WatchedProgram program;
    uint64_t numbers[2];
    KernelAssist *assist;
    bool word;

    if (!kernel_fixture_start(&following, &assist))
        return;
    program = program_start(run_spinner, NULL);
    CU_ASSERT_EQUAL(kernel_assist_watch(assist, program.pid, 0), 0);
    program_continue(&program);
    numbers[0] = program_read(&program);
    numbers[1] = program_read(&program);
    spinner = kernel_assist_index_of(assist, (uint32_t)(numbers[0] + numbers[1])); /* the other number is 0 */
    (void)await_sleep(assist, program.pid);
    sleeper = kernel_assist_index_of(assist, (uint32_t)program.pid);
    CU_ASSERT_NOT_EQUAL_FATAL(sleeper, ADA_KERNEL_NO_INDEX);
    CU_ASSERT_NOT_EQUAL_FATAL(spinner, ADA_KERNEL_NO_INDEX);
    CU_ASSERT_EQUAL_FATAL(sleeper / 64, spinner / 64);
    word = take_bit(assist, sleeper);
    CU_ASSERT(word); /* it ran before it slept */
    for (size_t i = 0; i < 3; i++) {
        uint64_t bits = kernel_assist_take_on_cpu(assist, sleeper / 64);
        AdaKernelThread thread;

        CU_ASSERT_EQUAL(bits & 1ull << sleeper % 64, 0);
        /* Taken though it may never have left its CPU in between; unless it waits for one just now. */
        kernel_assist_thread_at(assist, spinner, &thread);
        CU_ASSERT((bits & 1ull << spinner % 64) != 0 || thread.state != ADA_KERNEL_RUNS);
    }
    program_continue(&program);
    CU_ASSERT_EQUAL(program_wait(&program), 0);
    kernel_assist_destroy(assist);
}

/* ---- floods ----------------------------------------------------------------------------------- */

#define FLOOD_THREADS 500u

static int run_flood(void *argument)
{
    for (size_t i = 0; i < FLOOD_THREADS; i++) {
        pthread_t thread;

        start_threads(do_nothing, 1, &thread);
        pthread_join(thread, NULL);
    }
    return run_naps(argument);
}

static void count_sched(void *context, const AdaKernelSched *record, const AdaKernelCall *call)
{
    CU_ASSERT_PTR_NOT_NULL(record);
    CU_ASSERT_PTR_NULL(call);
    ++*(uint64_t *)context;
}

static void kernel_assist__nobody_reads__then_emitted_is_read_and_lost(void)
{
    KernelAssistConfig config = {.sched_records = true,
                                 .lifecycle_ring_bytes = (size_t)sysconf(_SC_PAGESIZE),
                                 .sched_ring_bytes = (size_t)sysconf(_SC_PAGESIZE)};
    SeenRecords seen = {0};
    AdaKernelCounters counters;
    WatchedProgram program;
    KernelAssist *assist;
    uint64_t sched = 0;

    if (!kernel_fixture_start(&config, &assist))
        return;
    program = program_start(run_flood, NULL);
    CU_ASSERT_EQUAL(kernel_assist_watch(assist, program.pid, 0), 0);
    program_continue(&program);
    (void)program_read(&program);
    program_continue(&program);
    (void)program_wait(&program);
    seen_consume(assist, &seen);
    kernel_assist_consume_sched(assist, 10, count_sched, &sched);
    CU_ASSERT_EQUAL(sched, 10);
    kernel_assist_consume_sched(assist, 1, count_sched, &sched);
    CU_ASSERT_EQUAL(sched, 11);
    kernel_assist_consume_sched(assist, UINT32_MAX, count_sched, &sched);
    kernel_assist_counters(assist, &counters);
    CU_ASSERT_EQUAL(counters.lifecycle_attempted, 2 * FLOOD_THREADS + 1);
    CU_ASSERT(counters.lifecycle_lost > 0);
    CU_ASSERT(seen.count > 0);
    CU_ASSERT_EQUAL(seen.count + counters.lifecycle_lost, counters.lifecycle_attempted);
    CU_ASSERT(counters.sched_lost > 0);
    CU_ASSERT(sched > 0);
    CU_ASSERT_EQUAL(sched + counters.sched_lost, counters.sched_attempted);
    /* The table is right all the same: those that ended gave their places back. */
    CU_ASSERT_EQUAL(counters.threads_refused, 0);
    CU_ASSERT_EQUAL(kernel_assist_words(assist), 1);
    seen_free(&seen);
    kernel_assist_destroy(assist);
}

static void kernel_assist__sched_ring_full__then_no_lifecycle_record_is_lost(void)
{
    KernelAssistConfig config = {.sched_records = true, .sched_ring_bytes = (size_t)sysconf(_SC_PAGESIZE)};
    SeenRecords seen = {0};
    AdaKernelCounters counters;
    WatchedProgram program;
    KernelAssist *assist;

    if (!kernel_fixture_start(&config, &assist))
        return;
    program = program_start(run_flood, NULL);
    CU_ASSERT_EQUAL(kernel_assist_watch(assist, program.pid, 0), 0);
    program_continue(&program);
    (void)program_read(&program);
    program_continue(&program);
    seen_await(assist, &seen, ADA_KERNEL_EXIT, (uint32_t)program.pid, FLOOD_THREADS + 1);
    (void)program_wait(&program);
    kernel_assist_counters(assist, &counters);
    CU_ASSERT(counters.sched_lost > 0);
    CU_ASSERT_EQUAL(counters.lifecycle_lost, 0);
    CU_ASSERT_EQUAL(seen_count(&seen, ADA_KERNEL_FORK, 0), FLOOD_THREADS);
    seen_free(&seen);
    kernel_assist_destroy(assist);
}

static void count_by_type(void *context, const AdaKernelSched *record, const AdaKernelCall *call)
{
    uint64_t *counts = context;

    CU_ASSERT_PTR_NULL(call);
    CU_ASSERT_FATAL(record->type >= ADA_KERNEL_SWITCH_IN && record->type <= ADA_KERNEL_WAKEUP);
    counts[record->type]++;
}

static void sched_records__naps__then_a_wakeup_and_two_switches_each(void)
{
    uint64_t counts[ADA_KERNEL_WAKEUP + 1] = {0};
    AdaKernelCounters counters;
    AdaKernelThread thread;
    WatchedProgram program;
    KernelAssist *assist;

    if (!kernel_fixture_start(&(KernelAssistConfig){.sched_records = true}, &assist))
        return;
    program = program_start(run_naps, NULL);
    CU_ASSERT_EQUAL(kernel_assist_watch(assist, program.pid, 0), 0);
    program_continue(&program);
    (void)program_read(&program);
    thread = await_sleep(assist, program.pid);
    kernel_assist_consume_sched(assist, UINT32_MAX, count_by_type, counts);
    kernel_assist_counters(assist, &counters);
    CU_ASSERT_EQUAL(counters.sched_lost, 0);
    CU_ASSERT_EQUAL(counts[ADA_KERNEL_WAKEUP], thread.wakeups);
    /* It is off CPU now, and maybe it was on one when it came to be watched. */
    CU_ASSERT(counts[ADA_KERNEL_SWITCH_OUT] - counts[ADA_KERNEL_SWITCH_IN] <= 1);
    CU_ASSERT(counts[ADA_KERNEL_SWITCH_OUT] > 0);
    program_continue(&program);
    (void)program_wait(&program);
    kernel_assist_destroy(assist);
}

/* ---- life ------------------------------------------------------------------------------------- */

static int lowest_free(void)
{
    int fd = fcntl(0, F_DUPFD, 0);

    close(fd);
    return fd;
}

static void kernel_assist__created_again_and_again__then_nothing_leaks(void)
{
    KernelAssist *assist;
    int before;

    if (!kernel_fixture_start(&defaults, &assist))
        return;
    kernel_assist_destroy(assist);
    before = lowest_free();
    for (size_t i = 0; i < 5; i++) {
        char reason[KERNEL_REASON_SIZE];

        CU_ASSERT_EQUAL_FATAL(kernel_assist_create(&defaults, &assist, reason), 0);
        kernel_assist_destroy(assist);
    }
    CU_ASSERT_EQUAL(lowest_free(), before);
    kernel_assist_destroy(NULL);
}

/* ---- segments ----------------------------------------------------------------------------------- */

/* Loads with a configuration that asks for segments. False after skipping the test. */
static bool start_with_segments(const KernelAssistConfig *config, KernelAssist **assist_out)
{
    if (!kernel_fixture_start(config, assist_out))
        return false;
    if (kernel_assist_tells_segments(*assist_out))
        return true;
    kernel_assist_destroy(*assist_out);
    test_skip("no tracepoints of system calls here");
    return false;
}

static int make_memfd(const char *name, unsigned flags)
{
    return (int)syscall(SYS_memfd_create, name, flags);
}

/* Memfds of other names, calls that fail, and then the segment's, whose name is in a page that was not touched before. */
static int run_memfds(void *argument)
{
    const char *untouched;
    int file, segment;

    (void)argument;
    (void)make_memfd("adatrace-v", 0);
    (void)make_memfd("adatrace-v1x", 0);
    (void)make_memfd("adatrace-v11111111111111111111111111111111111111111111111111", 0);
    (void)make_memfd("", 0);
    (void)make_memfd(NULL, 0);
    (void)make_memfd(ADA_SEGMENT_NAME, ~0u);
    file = make_memfd("name", 0);
    if (file < 0 || write(file, ADA_SEGMENT_NAME, sizeof(ADA_SEGMENT_NAME)) != sizeof(ADA_SEGMENT_NAME))
        return 1;
    untouched = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    if (untouched == MAP_FAILED)
        return 2;
    segment = make_memfd(untouched, MFD_CLOEXEC);
    program_write((uint64_t)segment);
    return segment < 0;
}

static void expect_segment(KernelAssist *assist, bool watched)
{
    WatchedProgram program = program_start(run_memfds, NULL);
    SeenRecords seen = {0};
    const SeenRecord *told;

    if (watched)
        CU_ASSERT_EQUAL(kernel_assist_watch(assist, program.pid, 0), 0);
    program_continue(&program);
    seen_await(assist, &seen, ADA_KERNEL_SEGMENT, (uint32_t)program.pid, 1);
    told = seen_find(&seen, ADA_KERNEL_SEGMENT, (uint32_t)program.pid, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(told);
    CU_ASSERT_EQUAL(told->record.tgid, (uint32_t)program.pid);
    CU_ASSERT_EQUAL(told->record.own_tid, (uint32_t)program.pid);
    CU_ASSERT_EQUAL((uint64_t)told->record.descriptor, program_read(&program));
    CU_ASSERT_EQUAL(told->record.flags, watched ? 0 : ADA_KERNEL_UNWATCHED);
    CU_ASSERT_EQUAL(program_wait(&program), 0);
    seen_consume(assist, &seen);
    CU_ASSERT_EQUAL(seen_count(&seen, ADA_KERNEL_SEGMENT, (uint32_t)program.pid), 1);
    seen_free(&seen);
}

static void kernel_assist__all_segments__then_each_is_told_and_no_other_memfd(void)
{
    KernelAssist *assist;

    if (!start_with_segments(&(KernelAssistConfig){.all_segments = true}, &assist))
        return;
    expect_segment(assist, false);
    expect_segment(assist, true);
    kernel_assist_destroy(assist);
}

static void kernel_assist__segments__then_those_of_watched_processes_are_told(void)
{
    WatchedProgram other;
    SeenRecords seen = {0};
    KernelAssist *assist;

    if (!start_with_segments(&(KernelAssistConfig){.segments = true}, &assist))
        return;
    other = program_start(run_memfds, NULL);
    program_continue(&other);
    (void)program_read(&other);
    CU_ASSERT_EQUAL(program_wait(&other), 0);
    expect_segment(assist, true);
    seen_consume(assist, &seen);
    CU_ASSERT_EQUAL(seen_count(&seen, ADA_KERNEL_SEGMENT, 0), 0);
    seen_free(&seen);
    kernel_assist_destroy(assist);
}

#define MANY_SEGMENTS 1000u

static int run_many_memfds(void *argument)
{
    (void)argument;
    for (uint32_t i = 0; i < MANY_SEGMENTS; i++)
        close(make_memfd(ADA_SEGMENT_NAME, 0));
    return 0;
}

static void kernel_assist__nobody_reads__then_segments_without_room_are_counted(void)
{
    AdaKernelCounters counters;
    SeenRecords seen = {0};
    WatchedProgram program;
    KernelAssist *assist;

    if (!start_with_segments(&(KernelAssistConfig){.segments = true, .lifecycle_ring_bytes = 4096}, &assist))
        return;
    program = program_start(run_many_memfds, NULL);
    CU_ASSERT_EQUAL(kernel_assist_watch(assist, program.pid, 0), 0);
    program_continue(&program);
    CU_ASSERT_EQUAL(program_wait(&program), 0);
    seen_consume(assist, &seen);
    kernel_assist_counters(assist, &counters);
    CU_ASSERT(counters.lifecycle_lost > MANY_SEGMENTS / 2);
    CU_ASSERT_EQUAL(counters.lifecycle_attempted, MANY_SEGMENTS + 1); /* and its end */
    CU_ASSERT_EQUAL(seen.count, counters.lifecycle_attempted - counters.lifecycle_lost);
    CU_ASSERT_EQUAL(seen_count(&seen, ADA_KERNEL_SEGMENT, (uint32_t)program.pid), seen.count);
    seen_free(&seen);
    kernel_assist_destroy(assist);
}

static void kernel_assist__segments_not_asked_for__then_not_told(void)
{
    KernelAssist *assist;

    if (!kernel_fixture_start(&defaults, &assist))
        return;
    CU_ASSERT_FALSE(kernel_assist_tells_segments(assist));
    kernel_assist_destroy(assist);
}

static const TestCase tests[] = {
    TEST(kernel_assist__program_with_threads__then_births_and_ends_are_told),
    TEST(kernel_assist__switches_followed__then_births_and_ends_are_told),
    TEST(kernel_assist__raw_tracepoints__then_births_and_ends_are_told),
    TEST(kernel_assist__killed__then_every_thread_ends_by_the_signal),
    TEST(kernel_assist__threads_killed_at_once__then_every_end_is_told),
    TEST(kernel_assist__main_thread_ends_first__then_the_process_is_watched_to_its_end),
    TEST(kernel_assist__exec_from_a_thread__then_its_context_goes_on_under_the_leaders_id),
    TEST(kernel_assist__with_children__then_children_are_watched_from_their_birth),
    TEST(kernel_assist__process_that_is_not_watched__then_nothing_is_recorded_of_it),
    TEST(kernel_assist__running_process__then_its_threads_are_found_and_forgotten_again),
    TEST(thread_context__sleeps_and_switches__then_as_proc_counts_them),
    TEST(thread_context__looked_at__then_as_proc_counts_them),
    TEST(thread_context__raw_tracepoints__then_as_proc_counts_them),
    TEST(thread_context__whole_life__then_the_times_add_up_to_it),
    TEST(thread_context__moved_between_cpus__then_each_migration_counts),
    TEST(on_cpu_bitmap__sleeping_and_spinning__then_only_who_runs_is_in_it),
    TEST(kernel_assist__nobody_reads__then_emitted_is_read_and_lost),
    TEST(kernel_assist__sched_ring_full__then_no_lifecycle_record_is_lost),
    TEST(sched_records__naps__then_a_wakeup_and_two_switches_each),
    TEST(kernel_assist__created_again_and_again__then_nothing_leaks),
    TEST(kernel_assist__all_segments__then_each_is_told_and_no_other_memfd),
    TEST(kernel_assist__segments__then_those_of_watched_processes_are_told),
    TEST(kernel_assist__nobody_reads__then_segments_without_room_are_counted),
    TEST(kernel_assist__segments_not_asked_for__then_not_told),
};
TEST_MAIN("kernel_assist", tests)
