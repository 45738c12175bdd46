/* SPDX-License-Identifier: MIT */
/*
 * A thread that waits for another, for test_kernel.sh to find out who waited, and for whom.
 *   prog_waits wait MS   "waiter" sleeps until "waker", which computes for MS ms, wakes it; both go on until stdin ends
 *   prog_waits crash     "victim" kills its process
 */
#include <adatrace/adatrace.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAYLOADS 50u

static int wake_up[2];
static uint64_t busy_ns;

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* In short naps: these waits are not the ones that matter. */
static void await_end_of_input(void)
{
    struct pollfd input = {.fd = STDIN_FILENO};

    while (poll(&input, 1, 10) == 0)
        ;
}

static void *run_waiter(void *unused)
{
    char byte;

    ada_thread_name("waiter");
    for (uint32_t i = 0; i < PAYLOADS; i++)
        ADA_EVENT("waiter.before", (u64, number, i));
    if (read(wake_up[0], &byte, 1) != 1)
        abort();
    ADA_INSTANT("waiter.woken", 0);
    await_end_of_input();
    return unused;
}

static void *run_waker(void *unused)
{
    uint64_t until;

    ada_thread_name("waker");
    for (uint32_t i = 0; i < PAYLOADS; i++)
        ADA_EVENT("waker.before", (u64, number, i));
    until = now_ns() + busy_ns;
    while (now_ns() < until)
        ;
    if (write(wake_up[1], "x", 1) != 1)
        abort();
    await_end_of_input();
    return unused;
}

static void *run_victim(void *unused)
{
    for (uint32_t i = 0; i < PAYLOADS; i++)
        ADA_EVENT("victim.before", (u64, number, i));
    raise(SIGKILL); /* sanitizers have handlers for others */
    return unused;
}

int main(int argc, char **argv)
{
    bool waits = argc == 3 && strcmp(argv[1], "wait") == 0;
    pthread_t threads[2];

    if (!waits && (argc != 2 || strcmp(argv[1], "crash") != 0))
        return 2;
    if (pipe(wake_up) != 0)
        return 1;
    busy_ns = waits ? strtoull(argv[2], NULL, 10) * 1000000u : 0;
    if (pthread_create(&threads[0], NULL, waits ? run_waiter : run_victim, NULL) != 0 ||
        (waits && pthread_create(&threads[1], NULL, run_waker, NULL) != 0))
        return 1;
    pthread_join(threads[0], NULL);
    if (waits)
        pthread_join(threads[1], NULL);
    return 0;
}
