/* SPDX-License-Identifier: MIT */
/*
 * Threads that end in unusual ways: prog_ends WAY [NUMBER...]
 *
 *   raw THREADS ALIVE EVENTS  threads as those of prog_churn, that end by exit(2): no destructor runs, so that nobody gives
 *                             their slots back but the recorder
 *   main-first                the main thread ends before the others, which go on recording; exit status 5
 *   exec-thread               a thread that is not the main one runs this program anew, with `last`
 *   last                      one event, exit status 6
 */
#include <adatrace/adatrace.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ALIVE_MAX 4096u
#define SLOT_TIMEOUT_S 60

static uint64_t events;
static const char *self;
static pthread_t main_thread;

static void exit_thread(int status)
{
    (void)syscall(SYS_exit, status);
}

static void *run_raw(void *argument)
{
    uint64_t thread = (uint64_t)(uintptr_t)argument;
    time_t until = time(NULL) + SLOT_TIMEOUT_S;
    int error;

    while ((error = ada_thread_init()) == -ENOBUFS && time(NULL) < until)
        sched_yield();
    if (error) {
        fprintf(stderr, "prog_ends: no slot for a new thread: %s\n", strerror(-error));
        exit(1);
    }
    for (uint64_t i = 0; i < events; i++)
        ADA_INSTANT("load.tick", thread << 40 | i);
    exit_thread(0);
    return NULL;
}

static int run_raw_threads(uint64_t total, uint64_t alive)
{
    static pthread_t threads[ALIVE_MAX];
    uint64_t joined = 0;

    for (uint64_t begun = 0; joined < total;) {
        if (begun < total && begun - joined < alive) {
            if (pthread_create(&threads[begun % alive], NULL, run_raw, (void *)(uintptr_t)begun) != 0)
                return 1;
            begun++;
        } else if (pthread_join(threads[joined++ % alive], NULL) != 0) {
            return 1;
        }
    }
    return 0;
}

static void *outlive_main(void *argument)
{
    (void)argument;
    ADA_INSTANT("ends.before", 0);
    pthread_join(main_thread, NULL);
    ADA_INSTANT("ends.after", 0);
    _exit(5);
}

static void *become_last(void *argument)
{
    (void)argument;
    ADA_INSTANT("ends.exec", 0);
    execl(self, self, "last", (char *)NULL);
    _exit(1);
}

int main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "";
    pthread_t thread;

    self = "/proc/self/exe";
    main_thread = pthread_self();
    if (strcmp(way, "raw") == 0 && argc > 4) {
        uint64_t alive = strtoull(argv[3], NULL, 10);

        events = strtoull(argv[4], NULL, 10);
        return alive < 1 || alive > ALIVE_MAX ? 2 : run_raw_threads(strtoull(argv[2], NULL, 10), alive);
    }
    if (strcmp(way, "main-first") == 0) {
        ADA_INSTANT("ends.main", 0);
        if (pthread_create(&thread, NULL, outlive_main, NULL) != 0)
            return 1;
        exit_thread(7);
    }
    if (strcmp(way, "exec-thread") == 0) {
        ADA_INSTANT("ends.main", 0);
        if (pthread_create(&thread, NULL, become_last, NULL) != 0)
            return 1;
        pthread_join(thread, NULL);
        return 1;
    }
    if (strcmp(way, "last") == 0) {
        ADA_INSTANT("ends.last", 0);
        return 6;
    }
    return 2;
}
