/* SPDX-License-Identifier: MIT */
/*
 * In the child of a fork, a thread that finds its process without a segment and is held up right then, while another one
 * starts it: it must not start it once more, under the feet of those who record already.
 */
#include <adatrace/adatrace.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/lane/test_point.h"

#define EVENTS 1000u

static uint32_t is_late;  /* it has seen that there is no segment */
static uint32_t started;  /* by the other one */
static uint32_t finished; /* the late one is through */
static __thread int late;

static void hold_up(const char *name)
{
    if (!late || strcmp(name, "process.enter") != 0)
        return;
    late = 0;
    __atomic_store_n(&is_late, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&started, __ATOMIC_ACQUIRE))
        sched_yield();
}

static void *be_late(void *argument)
{
    (void)argument;
    late = 1;
    for (uint64_t i = 0; i < EVENTS; i++)
        ADA_INSTANT("late.tick", i);
    __atomic_store_n(&finished, 1, __ATOMIC_RELEASE);
    return NULL;
}

static int run_child(void)
{
    pthread_t thread;
    uint64_t count = 0;

    ada_test_point_hook = hold_up;
    if (pthread_create(&thread, NULL, be_late, NULL) != 0)
        return 1;
    while (!__atomic_load_n(&is_late, __ATOMIC_ACQUIRE))
        sched_yield();
    ADA_INSTANT("early.tick", count++);
    __atomic_store_n(&started, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&finished, __ATOMIC_ACQUIRE) || count < EVENTS)
        ADA_INSTANT("early.tick", count++);
    if (pthread_join(thread, NULL) != 0)
        return 1;
    printf("%llu\n", (unsigned long long)count);
    return fflush(stdout) != 0;
}

int main(void)
{
    pid_t pid;
    int status;

    ADA_INSTANT("parent.tick", 1);
    pid = fork();
    if (pid == 0)
        _exit(run_child());
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}
