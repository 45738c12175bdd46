/* SPDX-License-Identifier: MIT */
/*
 * Calls for tools/bench-report: report_calls ROUNDS. Four threads; a round of each is 10 calls, nested up to 4 deep, so
 * 20 events. Built with -finstrument-functions and linked to nobody who serves it. Prints how many calls it makes.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 4, LEAVES = 4, DEPTH = 4, CALLS = 2 + LEAVES + DEPTH };

static uint64_t rounds;

__attribute__((noinline)) static uint64_t leaf(uint64_t value)
{
    __asm__ volatile("" : "+r"(value));
    return value + 1;
}

__attribute__((noinline)) static uint64_t middle(uint64_t value)
{
    for (int i = 0; i < LEAVES; i++)
        value += leaf(value);
    return value;
}

__attribute__((noinline)) static uint64_t descend(uint64_t depth)
{
    __asm__ volatile("" : "+r"(depth));
    return depth < 2 ? depth : descend(depth - 1) + 1;
}

__attribute__((noinline)) static uint64_t outer(uint64_t value)
{
    return middle(value) + descend(DEPTH);
}

static void *run(void *argument)
{
    uint64_t *sum = argument;

    for (uint64_t i = 0; i < rounds; i++)
        *sum += outer(i);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    uint64_t sums[THREADS] = {0};

    rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, run, &sums[i]) != 0)
            return 1;
    for (int i = 0; i < THREADS; i++)
        if (pthread_join(threads[i], NULL) != 0)
            return 1;
    printf("%" PRIu64 "\n", 1 + THREADS * (1 + rounds * CALLS));
    return 0;
}
