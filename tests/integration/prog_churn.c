/* SPDX-License-Identifier: MIT */
/*
 * Threads that come and go: prog_churn THREADS ALIVE EVENTS
 *
 * THREADS threads in all, at most ALIVE of them at a time, each of which records EVENTS instants "load.tick" as those
 * of prog_load, for check_load. A thread asks for a slot until it gets one: those of threads that have ended come back
 * when they are drained. If none comes back for SLOT_TIMEOUT_S the slots are lost, and the program fails.
 *
 * Prints one JSON object: {"threads", "events", "samples": [[threads so far, memory of the recorder in kB]...]}
 */
#include <adatrace/adatrace.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "prog_recorder.h"

#define ALIVE_MAX 4096u
#define SAMPLES 30u
#define SLOT_TIMEOUT_S 60

static uint64_t events;

static void wait_for_slot(void)
{
    time_t until = time(NULL) + SLOT_TIMEOUT_S;
    int error;

    while ((error = ada_thread_init()) == -ENOBUFS && time(NULL) < until)
        sched_yield();
    if (error) {
        fprintf(stderr, "prog_churn: no slot for a new thread: %s\n", strerror(-error));
        exit(1);
    }
}

static void *run(void *argument)
{
    uint64_t thread = (uint64_t)(uintptr_t)argument;

    wait_for_slot();
    for (uint64_t i = 0; i < events; i++)
        ADA_INSTANT("load.tick", thread << 40 | i);
    return NULL;
}

int main(int argc, char **argv)
{
    static pthread_t threads[ALIVE_MAX];
    static uint64_t samples[SAMPLES][2];
    uint64_t total = argc > 3 ? strtoull(argv[1], NULL, 10) : 0;
    uint64_t alive = argc > 3 ? strtoull(argv[2], NULL, 10) : 0;
    uint64_t joined = 0, taken = 0;

    if (total < 1 || alive < 1 || alive > ALIVE_MAX)
        return 2;
    events = strtoull(argv[3], NULL, 10);
    for (uint64_t begun = 0; joined < total;) {
        if (begun < total && begun - joined < alive) {
            if (pthread_create(&threads[begun % alive], NULL, run, (void *)(uintptr_t)begun) != 0)
                return 1;
            begun++;
            continue;
        }
        if (pthread_join(threads[joined % alive], NULL) != 0)
            return 1;
        joined++;
        if (joined >= total * (taken + 1) / SAMPLES && taken < SAMPLES) {
            samples[taken][0] = joined;
            samples[taken++][1] = recorder_memory_kb();
        }
    }

    printf("{\"threads\":%" PRIu64 ",\"events\":%" PRIu64 ",\"samples\":[", total, total * events);
    for (uint64_t i = 0; i < taken; i++)
        printf("%s[%" PRIu64 ",%" PRIu64 "]", i ? "," : "", samples[i][0], samples[i][1]);
    printf("]}\n");
    return 0;
}
