/* SPDX-License-Identifier: MIT */
/*
 * All at once, then silence: prog_burst THREADS EVENTS [QUIET-SECONDS|forever]
 *
 * THREADS threads register, wait for each other, and record EVENTS instants "load.tick" each as those of prog_load,
 * for check_load. Then they ask the recorder to take over everything, and are silent. With QUIET-SECONDS they go on
 * being silent, and it is counted how often the recorder's threads went to sleep in that time, after one more second for it
 * to calm down: there is nothing to do, so a recorder that waits for something to do hardly wakes. With `forever`
 * they ask for nothing and are silent until killed: what they recorded must come into the file by itself.
 *
 * Prints one JSON object: {"threads", "events", "quiet_s", "switches"}
 */
#include <adatrace/adatrace.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "prog_recorder.h"

#define THREADS_MAX 4096u
#define FLUSH_TIMEOUT_MS 60000u

static uint64_t events;
static bool forever;
static pthread_barrier_t ready, taken, over;

static void must(int result, const char *what)
{
    if (result == 0)
        return;
    fprintf(stderr, "prog_burst: %s: %s\n", what, strerror(result < 0 ? -result : result));
    exit(1);
}

static void *run(void *argument)
{
    uint64_t thread = (uint64_t)(uintptr_t)argument;

    must(ada_thread_init(), "ada_thread_init()");
    (void)pthread_barrier_wait(&ready);
    for (uint64_t i = 0; i < events; i++)
        ADA_INSTANT("load.tick", thread << 40 | i);
    while (forever)
        (void)pause();
    must(ada_flush(FLUSH_TIMEOUT_MS), "ada_flush()");
    (void)pthread_barrier_wait(&taken);
    (void)pthread_barrier_wait(&over);
    return NULL;
}

int main(int argc, char **argv)
{
    static pthread_t threads[THREADS_MAX];
    uint64_t count = argc > 2 ? strtoull(argv[1], NULL, 10) : 0;
    const char *silence = argc > 3 ? argv[3] : "0";
    unsigned quiet = (unsigned)strtoul(silence, NULL, 10);
    uint64_t before, after;

    if (count < 1 || count > THREADS_MAX)
        return 2;
    events = strtoull(argv[2], NULL, 10);
    forever = strcmp(silence, "forever") == 0;
    must(pthread_barrier_init(&ready, NULL, (unsigned)count), "making a barrier");
    must(pthread_barrier_init(&taken, NULL, (unsigned)count + 1), "making a barrier");
    must(pthread_barrier_init(&over, NULL, (unsigned)count + 1), "making a barrier");
    for (uint64_t i = 0; i < count; i++)
        must(pthread_create(&threads[i], NULL, run, (void *)(uintptr_t)i), "starting a thread");

    (void)pthread_barrier_wait(&taken);
    if (quiet)
        (void)sleep(1);
    before = recorder_switches();
    if (quiet)
        (void)sleep(quiet);
    after = recorder_switches();
    if (before == UINT64_MAX || after == UINT64_MAX)
        must(-ENOENT, "looking at the recorder's threads");
    (void)pthread_barrier_wait(&over);
    for (uint64_t i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL);
    printf("{\"threads\":%" PRIu64 ",\"events\":%" PRIu64 ",\"quiet_s\":%u,\"switches\":%" PRIu64 "}\n",
           count, count * events, quiet, after - before);
    return 0;
}
