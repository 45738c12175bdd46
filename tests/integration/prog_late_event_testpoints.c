/* SPDX-License-Identifier: MIT */
/*
 * A process that is killed while one thread is amid the registration of an event, and another one has already used one
 * that it registered later: what was used is described.
 */
#include <adatrace/adatrace.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "user/lane/test_point.h"

static uint32_t is_late; /* it has an id, and nothing else */
static __thread int late;

static void hold_up(const char *name)
{
    if (!late || strcmp(name, "event.numbered") != 0)
        return;
    __atomic_store_n(&is_late, 1, __ATOMIC_RELEASE);
    for (;;)
        pause();
}

static void *be_late(void *argument)
{
    (void)argument;
    late = 1;
    ADA_INSTANT("late.event", 1);
    return NULL;
}

int main(void)
{
    pthread_t thread;

    ada_test_point_hook = hold_up;
    if (pthread_create(&thread, NULL, be_late, NULL) != 0)
        return 1;
    while (!__atomic_load_n(&is_late, __ATOMIC_ACQUIRE))
        sched_yield();
    ADA_INSTANT("early.event", 2);
    raise(SIGKILL);
    return 1;
}
