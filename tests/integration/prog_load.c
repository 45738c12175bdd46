/* SPDX-License-Identifier: MIT */
/*
 * Records a known sequence: prog_load THREADS EVENTS [PROGRESS-FILE]
 *
 * Each of THREADS threads, which begin together, records EVENTS instants "load.tick" whose argument is its index << 40 | 0, 1, 2 ...
 * (EVENTS 0: until killed). With PROGRESS-FILE each thread notes there, after an event was recorded, how
 * many it has recorded: what a killed program must have left in the trace.
 */
#include <adatrace/adatrace.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define THREADS_MAX 256

static uint64_t events;
static pthread_barrier_t start; /* of all threads */
static uint64_t *progress;

static void *run(void *argument)
{
    uint64_t thread = (uint64_t)(uintptr_t)argument;

    pthread_barrier_wait(&start);
    for (uint64_t i = 0; events == 0 || i < events; i++) {
        ADA_INSTANT("load.tick", thread << 40 | i);
        if (progress)
            __atomic_store_n(&progress[thread * 8], i + 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    unsigned long count = argc > 2 ? strtoul(argv[1], NULL, 10) : 0;

    if (count < 1 || count > THREADS_MAX)
        return 2;
    events = strtoull(argv[2], NULL, 10);
    if (argc > 3) {
        int fd = open(argv[3], O_RDWR | O_CREAT, 0600);

        if (fd < 0 || ftruncate(fd, THREADS_MAX * 64) < 0)
            return 1;
        progress = mmap(NULL, THREADS_MAX * 64, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (progress == MAP_FAILED)
            return 1;
    }
    if (pthread_barrier_init(&start, NULL, (unsigned)count) != 0)
        return 1;
    for (unsigned long i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, run, (void *)(uintptr_t)i) != 0)
            return 1;
    }
    for (unsigned long i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
