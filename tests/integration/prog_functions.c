/* SPDX-License-Identifier: MIT */
/*
 * Built with -finstrument-functions; test_functions.sh counts its entries and exits. Every function is
 * called a number of times that is known in advance, from several threads, recursively, by pointer, and by the
 * C library.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORKERS = 4, ROUNDS = 1000, DEPTH = 15, SORTED = 64 };

/* Calls of main, worker, leaf, by_pointer, fibonacci and at_exit; those of compare are counted by itself. */
#define FIBONACCI_CALLS 1973 /* of fibonacci(15): 2 * F(16) - 1 */
#define EXPECTED (1 + WORKERS * (1 + ROUNDS * 2 + FIBONACCI_CALLS) + 1)

static long compared;

__attribute__((noinline)) static int leaf(int value)
{
    __asm__ volatile("" : : "r"(value));
    return value + 1;
}

__attribute__((noinline)) static int by_pointer(int value)
{
    return leaf(value) * 2;
}

static int (*volatile called)(int) = by_pointer;

__attribute__((noinline)) static int fibonacci(int n)
{
    __asm__ volatile("" : "+r"(n));
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static int compare(const void *left, const void *right)
{
    compared++;
    return *(const int *)left - *(const int *)right;
}

static void *worker(void *argument)
{
    int *sum = argument;

    for (int i = 0; i < ROUNDS; i++)
        *sum += called(i);
    *sum += fibonacci(DEPTH);
    return NULL;
}

static void at_exit(void)
{
    fflush(stdout);
}

/* Prints how many functions were entered until the end of the program. */
int main(void)
{
    pthread_t threads[WORKERS];
    int sums[WORKERS] = {0};
    int numbers[SORTED];

    if (atexit(at_exit) != 0)
        return 1;
    for (int i = 0; i < WORKERS; i++)
        if (pthread_create(&threads[i], NULL, worker, &sums[i]) != 0)
            return 1;
    for (int i = 0; i < WORKERS; i++)
        if (pthread_join(threads[i], NULL) != 0 || sums[i] != sums[0])
            return 1;

    for (int i = 0; i < SORTED; i++)
        numbers[i] = i * 37 % SORTED;
    qsort(numbers, SORTED, sizeof(numbers[0]), compare);
    printf("%ld\n", EXPECTED + compared);
    return 0;
}
