/* SPDX-License-Identifier: MIT */
/* Calls functions, so and so often, for test_kernel.sh to see: two threads, each leaf(0) to leaf(499) and nest(5). */
#include <pthread.h>
#include <stddef.h>

long leaf(long number);
long nest(long depth);

/* By pointers that the compiler has to read: it makes no call into something else. */
static long (*volatile call_leaf)(long) = leaf;
static long (*volatile call_nest)(long) = nest;

long leaf(long number)
{
    return number;
}

long nest(long depth)
{
    return depth > 0 ? call_nest(depth - 1) + 10 : 7;
}

static void *run(void *unused)
{
    long sum = 0;

    for (long i = 0; i < 500; i++)
        sum += call_leaf(i);
    sum += call_nest(5);
    return sum == 124750 + 57 ? unused : NULL;
}

int main(void)
{
    int done = 0;
    pthread_t threads[2];
    void *result;

    for (int i = 0; i < 2; i++) {
        if (pthread_create(&threads[i], NULL, run, &done) != 0)
            return 1;
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], &result);
        if (result != &done)
            return 2;
    }
    return 0;
}
