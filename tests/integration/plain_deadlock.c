/* SPDX-License-Identifier: MIT */
/* A program that knows nothing of adatrace: two threads that wait for each other, for ever, and one that waits for the first of them. */
#define _GNU_SOURCE
#include <pthread.h>
#include <unistd.h>

static pthread_mutex_t mutexes[2] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};
static pthread_barrier_t both;

static void *lock_two(void *first)
{
    (void)pthread_setname_np(pthread_self(), first == &mutexes[0] ? "first" : "second");
    (void)pthread_mutex_lock(first);
    (void)pthread_barrier_wait(&both);
    (void)pthread_mutex_lock(&mutexes[first == &mutexes[0]]);
    return NULL;
}

int main(void)
{
    pthread_t threads[2];

    (void)alarm(300); /* should a test forget it */
    (void)pthread_barrier_init(&both, NULL, 2);
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, lock_two, &mutexes[i]) != 0)
            return 1;
    (void)pthread_join(threads[0], NULL);
    return 1;
}
