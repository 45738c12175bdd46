/* SPDX-License-Identifier: MIT */
/*
 * Few threads that record among many that do nothing: prog_idle IDLE ACTIVE EVENTS
 *
 * IDLE threads record one event each and wait. Then ACTIVE threads record EVENTS each, with 100 us between them. All events are
 * "load.tick" as those of prog_load, for check_load: the active threads are the first ones.
 */
#include <adatrace/adatrace.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 4096u

static uint64_t events;
static pthread_barrier_t ready, over;

static void *idle(void *argument)
{
    uint64_t thread = (uint64_t)(uintptr_t)argument;

    ADA_INSTANT("load.tick", thread << 40);
    (void)pthread_barrier_wait(&ready);
    (void)pthread_barrier_wait(&over);
    return NULL;
}

static void *work(void *argument)
{
    uint64_t thread = (uint64_t)(uintptr_t)argument;
    const struct timespec pause = {.tv_nsec = 100000};

    for (uint64_t i = 0; i < events; i++) {
        ADA_INSTANT("load.tick", thread << 40 | i);
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static pthread_t threads[THREADS_MAX];
    uint64_t quiet = argc > 3 ? strtoull(argv[1], NULL, 10) : 0;
    uint64_t active = argc > 3 ? strtoull(argv[2], NULL, 10) : 0;

    if (quiet < 1 || active < 1 || quiet + active > THREADS_MAX)
        return 2;
    events = strtoull(argv[3], NULL, 10);
    if (pthread_barrier_init(&ready, NULL, (unsigned)quiet + 1) != 0 ||
        pthread_barrier_init(&over, NULL, (unsigned)quiet + 1) != 0)
        return 1;
    for (uint64_t i = active; i < active + quiet; i++) {
        if (pthread_create(&threads[i], NULL, idle, (void *)(uintptr_t)i) != 0)
            return 1;
    }
    (void)pthread_barrier_wait(&ready);
    for (uint64_t i = 0; i < active; i++) {
        if (pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i) != 0)
            return 1;
    }
    for (uint64_t i = 0; i < active; i++)
        (void)pthread_join(threads[i], NULL);
    (void)pthread_barrier_wait(&over);
    for (uint64_t i = active; i < active + quiet; i++)
        (void)pthread_join(threads[i], NULL);
    return 0;
}
