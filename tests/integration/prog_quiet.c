/* SPDX-License-Identifier: MIT */
/*
 * A process that does next to nothing: prog_quiet THREADS EVENTS
 *
 * THREADS threads record EVENTS instants "load.tick" each, as those of prog_load, and wait; all ends with standard input. Events
 * that nobody records are repeated every 10 ms until somebody does.
 */
#include <adatrace/adatrace.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 64

static uint64_t events;
static pthread_barrier_t over;

static void *run(void *argument)
{
    uint64_t thread = (uint64_t)(uintptr_t)argument;
    const struct timespec pause = {.tv_nsec = 10000000};

    while (!ada_enabled())
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    for (uint64_t i = 0; i < events; i++)
        ADA_INSTANT("load.tick", thread << 40 | i);
    (void)pthread_barrier_wait(&over);
    return NULL;
}

int main(int argc, char **argv)
{
    unsigned long count = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;
    pthread_t threads[THREADS_MAX];
    char byte;

    if (count < 1 || count > THREADS_MAX)
        return 2;
    events = strtoull(argv[2], NULL, 10);
    (void)pthread_barrier_init(&over, NULL, (unsigned)count + 1);
    for (unsigned long i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, run, (void *)(uintptr_t)i) != 0)
            return 1;
    }
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    (void)pthread_barrier_wait(&over);
    for (unsigned long i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL);
    return 0;
}
