/* SPDX-License-Identifier: MIT */
/*
 * A thread that waits for a mutex, and one that has it: "holder" lets it go HELD_NS after "waiter" was seen to sleep in
 * its call. Both then go to a barrier, where "holder" comes last.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HELD_NS 20000000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t held, end;
static long waiter;
static int steps; /* of "waiter", told before each call that it will sleep in */

/* State of a thread as in /proc: 'S' is asleep. */
static int state_of(long tid)
{
    char path[64], text[256], *after;
    FILE *file;
    int state = '?';

    (void)snprintf(path, sizeof(path), "/proc/self/task/%ld/stat", tid);
    file = fopen(path, "r");
    if (!file)
        abort();
    if (fgets(text, sizeof(text), file)) {
        for (after = text; *after && *after != ')';)
            after++;
        state = *after ? after[2] : '?';
    }
    fclose(file);
    return state;
}

/* Returns when "waiter" sleeps in the call that it makes at that step. */
static void await_sleep(int step)
{
    while (__atomic_load_n(&steps, __ATOMIC_ACQUIRE) != step || state_of(waiter) != 'S')
        sched_yield();
}

static void *run_waiter(void *unused)
{
    waiter = syscall(SYS_gettid);
    pthread_setname_np(pthread_self(), "waiter");
    pthread_barrier_wait(&held);
    __atomic_store_n(&steps, 1, __ATOMIC_RELEASE);
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
    __atomic_store_n(&steps, 2, __ATOMIC_RELEASE);
    pthread_barrier_wait(&end);
    return unused;
}

static void *run_holder(void *unused)
{
    struct timespec rest = {.tv_nsec = HELD_NS};

    pthread_setname_np(pthread_self(), "holder");
    pthread_mutex_lock(&lock);
    pthread_barrier_wait(&held);
    await_sleep(1);
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
        ;
    pthread_mutex_unlock(&lock);
    await_sleep(2);
    pthread_barrier_wait(&end);
    return unused;
}

int main(void)
{
    pthread_t threads[2];

    if (pthread_barrier_init(&held, NULL, 2) != 0 || pthread_barrier_init(&end, NULL, 2) != 0 ||
        pthread_create(&threads[0], NULL, run_waiter, NULL) != 0 ||
        pthread_create(&threads[1], NULL, run_holder, NULL) != 0)
        return 1;
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}
