/* SPDX-License-Identifier: MIT */
/*
 * Threads that are killed at random moments: prog_kills THREADS PER-PROCESS EVENTS PROGRESS-FILE
 *
 * Runs processes one after the other, each with PER-PROCESS threads, until there were THREADS. Each thread records EVENTS
 * instants "load.tick" as those of prog_load, for check_load, notes in PROGRESS-FILE after each how many it has recorded, and
 * waits. The process is killed at a moment between its start and that when all its threads are done. Prints how many threads
 * recorded anything.
 */
#include <adatrace/adatrace.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRESS_STRIDE 8u

static uint64_t events;
static uint64_t per_process;
static uint64_t *progress;
static uint64_t *done; /* events recorded by the present process, shared with it */

static void *run(void *argument)
{
    uint64_t thread = (uint64_t)(uintptr_t)argument;

    for (uint64_t i = 0; i < events; i++) {
        ADA_INSTANT("load.tick", thread << 40 | i);
        __atomic_store_n(&progress[thread * PROGRESS_STRIDE], i + 1, __ATOMIC_RELEASE);
        __atomic_fetch_add(done, 1, __ATOMIC_RELEASE);
    }
    for (;;)
        pause();
    return NULL;
}

static void run_process(uint64_t first)
{
    for (uint64_t i = 1; i < per_process; i++) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, run, (void *)(uintptr_t)(first + i)) != 0)
            _exit(1);
    }
    (void)run((void *)(uintptr_t)first);
}

/* Starts one, and kills it when it has recorded so many events. */
static int kill_one(uint64_t first, uint64_t when)
{
    int status = 0;
    pid_t pid;

    __atomic_store_n(done, 0, __ATOMIC_RELEASE);
    pid = fork();
    if (pid == 0) {
        run_process(first);
        _exit(1);
    }
    if (pid < 0)
        return 1;
    while (__atomic_load_n(done, __ATOMIC_ACQUIRE) < when) {
        if (waitpid(pid, &status, WNOHANG) != 0) {
            fprintf(stderr, "prog_kills: the process ended by itself, with status %#x\n", (unsigned)status);
            return 1;
        }
        sched_yield();
    }
    if (kill(pid, SIGKILL) < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    return !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(int argc, char **argv)
{
    uint64_t threads = argc > 4 ? strtoull(argv[1], NULL, 10) : 0;
    uint64_t recorded = 0;
    size_t bytes;
    int fd;

    per_process = argc > 4 ? strtoull(argv[2], NULL, 10) : 0;
    if (threads < 1 || per_process < 1 || threads % per_process != 0)
        return 2;
    events = strtoull(argv[3], NULL, 10);
    bytes = threads * PROGRESS_STRIDE * sizeof(uint64_t);
    fd = open(argv[4], O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0)
        return 1;
    progress = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    done = mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED || done == MAP_FAILED)
        return 1;
    srandom(1);
    for (uint64_t first = 0; first < threads; first += per_process) {
        if (kill_one(first, (uint64_t)random() % (per_process * events + 1)) != 0)
            return 1;
    }
    for (uint64_t thread = 0; thread < threads; thread++)
        recorded += progress[thread * PROGRESS_STRIDE] > 0;
    printf("%llu\n", (unsigned long long)recorded);
    return 0;
}
