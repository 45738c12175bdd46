/* SPDX-License-Identifier: MIT */
/* Threads, locks and cancellation: results, order of cleanup handlers and destructors, names. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdint.h>
#include <string.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include "plain_support.h"

enum { WORKERS = 8, ROUNDS = 2000, QUEUE = 16 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_spinlock_t spin;
static sem_t semaphore;
static pthread_key_t key;
static pthread_key_t end_key;
static int pipe_ends[2];
static const struct timespec past = {1, 0};

static struct {
    int items[QUEUE];
    unsigned head, tail;
    long sum, spun;
    int serial;
} shared;

static void single_threaded(void)
{
    REPORT(pthread_mutex_lock(&mutex));
    REPORT(pthread_mutex_trylock(&mutex));
    REPORT(pthread_mutex_timedlock(&mutex, &past));
    REPORT(pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &past));
    REPORT(pthread_cond_timedwait(&condition, &mutex, &past));
    REPORT(pthread_cond_clockwait(&condition, &mutex, CLOCK_MONOTONIC, &past));
    REPORT(pthread_mutex_unlock(&mutex));
    REPORT(pthread_cond_signal(&condition));
    REPORT(pthread_cond_broadcast(&condition));

    REPORT(pthread_rwlock_rdlock(&lock));
    REPORT(pthread_rwlock_tryrdlock(&lock));
    REPORT(pthread_rwlock_trywrlock(&lock));
    REPORT(pthread_rwlock_timedwrlock(&lock, &past));
    REPORT(pthread_rwlock_unlock(&lock));
    REPORT(pthread_rwlock_unlock(&lock));
    REPORT(pthread_rwlock_wrlock(&lock));
    REPORT(pthread_rwlock_rdlock(&lock));
    REPORT(pthread_rwlock_timedrdlock(&lock, &past));
    REPORT(pthread_rwlock_clockwrlock(&lock, CLOCK_MONOTONIC, &past));
    REPORT(pthread_rwlock_clockrdlock(&lock, CLOCK_MONOTONIC, &past));
    REPORT(pthread_rwlock_unlock(&lock));

    REPORT(sem_trywait(&semaphore));
    REPORT(sem_timedwait(&semaphore, &past));
    REPORT(sem_clockwait(&semaphore, CLOCK_MONOTONIC, &past));
    REPORT(sem_post(&semaphore));
    REPORT(sem_wait(&semaphore));
    REPORT(pthread_spin_lock(&spin));
    REPORT(pthread_spin_trylock(&spin));
    REPORT(pthread_spin_unlock(&spin));

    REPORT(sched_yield());
    REPORT(usleep(1));
    REPORT(sleep(0));
    REPORT(nanosleep(&(struct timespec){0, 1}, NULL));
    REPORT(nanosleep(&(struct timespec){0, -1}, NULL));
    REPORT(clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){0, 1}, NULL));
    REPORT(clock_nanosleep(12345, 0, &(struct timespec){0, 1}, NULL));
    REPORT(pthread_join(pthread_self(), NULL));
}

/* ---- work ------------------------------------------------------------------------------------- */

static void *produce(void *argument)
{
    long worker = (long)(intptr_t)argument;

    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        while (shared.head - shared.tail == QUEUE)
            pthread_cond_wait(&condition, &mutex);
        shared.items[shared.head++ % QUEUE] = i;
        pthread_cond_broadcast(&condition);
        pthread_mutex_unlock(&mutex);
        pthread_spin_lock(&spin);
        shared.spun++;
        pthread_spin_unlock(&spin);
    }
    if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
        __atomic_fetch_add(&shared.serial, 1, __ATOMIC_RELAXED);
    return (void *)(intptr_t)(worker * 1000 + 1);
}

static void *consume(void *argument)
{
    long worker = (long)(intptr_t)argument;

    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        while (shared.head == shared.tail)
            pthread_cond_wait(&condition, &mutex);
        shared.sum += shared.items[shared.tail++ % QUEUE];
        pthread_cond_broadcast(&condition);
        pthread_mutex_unlock(&mutex);
        pthread_rwlock_rdlock(&lock);
        pthread_rwlock_unlock(&lock);
    }
    if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
        __atomic_fetch_add(&shared.serial, 1, __ATOMIC_RELAXED);
    pthread_exit((void *)(intptr_t)(worker * 1000 + 2));
}

static void many_threads(void)
{
    pthread_t threads[WORKERS];
    void *result;

    for (int i = 0; i < WORKERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, i % 2 ? consume : produce, (void *)(intptr_t)i) == 0);
    for (int i = 0; i < WORKERS; i++) {
        REQUIRE(pthread_join(threads[i], &result) == 0);
        printf("thread %d returned %ld\n", i, (long)(intptr_t)result);
    }
    printf("sum %ld, spun %ld, serial %d\n", shared.sum, shared.spun, shared.serial);
}

/* ---- ends -------------------------------------------------------------------------------------- */

static void destructor(void *value)
{
    printf("destructor of %s\n", (char *)value);
}

static void cleanup(void *value)
{
    printf("cleanup in %s, errno %d\n", (char *)value, errno);
    if (strcmp(value, "pthread_cond_wait") == 0)
        printf("the mutex is ours: unlock = %d\n", pthread_mutex_unlock(&mutex));
}

/* Blocks for good in the call that its argument names. */
static void *block(void *argument)
{
    const char *name = argument;
    char byte;

    errno = PLAIN_ERRNO;
    pthread_setspecific(key, name);
    pthread_cleanup_push(cleanup, argument);
    if (strcmp(name, "read") == 0) {
        (void)!read(pipe_ends[0], &byte, 1);
    } else if (strcmp(name, "nanosleep") == 0) {
        nanosleep(&(struct timespec){1000, 0}, NULL);
    } else if (strcmp(name, "sem_wait") == 0) {
        sem_wait(&semaphore);
    } else if (strcmp(name, "pthread_cond_wait") == 0) {
        pthread_mutex_lock(&mutex);
        for (;;)
            pthread_cond_wait(&condition, &mutex);
    } else if (strcmp(name, "asynchronous") == 0) {
        pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
        for (;;)
            pthread_spin_trylock(&spin);
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void cancellation(void)
{
    static char names[][20] = {"read", "nanosleep", "sem_wait", "pthread_cond_wait", "asynchronous"};
    pthread_t thread;
    void *result;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        REQUIRE(pthread_create(&thread, NULL, block, names[i]) == 0);
        /* Now and then before it blocks or has even begun: what happens must not depend on that. */
        if (i % 2)
            sched_yield();
        REQUIRE(pthread_cancel(thread) == 0);
        REPORT(pthread_join(thread, &result));
        printf("%s was cancelled: %d\n", names[i], result == PTHREAD_CANCELED);
    }
}

static void *name_itself(void *argument)
{
    char name[16] = "";

    (void)argument;
    printf("setname = %d\n", pthread_setname_np(pthread_self(), "plain-worker"));
    printf("setname = %d\n", pthread_setname_np(pthread_self(), "much too long a name"));
    pthread_getname_np(pthread_self(), name, sizeof(name));
    printf("name %s\n", name);
    REPORT(pthread_detach(pthread_self()));
    REQUIRE(pthread_setspecific(end_key, &semaphore) == 0);
    return NULL;
}

/* Of a thread that nobody can join: it has returned from its function. */
static void say_ended(void *to)
{
    sem_post(to);
}

static int c11_thread(void *argument)
{
    return *(int *)argument + 1;
}

/* Ends when it is let go on. */
static void *wait_and_return(void *argument)
{
    sem_wait(&semaphore);
    return argument;
}

static void joins(void)
{
    static int value;
    void *result = NULL;
    pthread_t thread;

    REQUIRE(pthread_create(&thread, NULL, wait_and_return, &value) == 0);
    REPORT(pthread_tryjoin_np(thread, &result));
    REPORT(pthread_timedjoin_np(thread, &result, &past));
    REPORT(pthread_clockjoin_np(thread, &result, CLOCK_MONOTONIC, &past));
    REPORT(sem_post(&semaphore));
    REPORT(pthread_timedjoin_np(thread, &result, NULL));
    printf("joined: %d\n", result == &value);
}

static void other_ends(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    thrd_t c11;
    int value = 41, status = 0;

    REQUIRE(pthread_create(&thread, NULL, name_itself, NULL) == 0);
    REPORT(sem_wait(&semaphore));
    REQUIRE(thrd_create(&c11, c11_thread, &value) == thrd_success);
    REPORT(thrd_join(c11, &status));
    printf("C11 thread returned %d\n", status);

    /* No memory for such a stack: pthread_create() fails. */
    REQUIRE(pthread_attr_init(&attributes) == 0);
    REQUIRE(pthread_attr_setstacksize(&attributes, (size_t)1 << 46) == 0);
    REPORT(pthread_create(&thread, &attributes, name_itself, NULL));
    pthread_attr_destroy(&attributes);
}

static void *last_thread(void *main_thread)
{
    pthread_join(*(pthread_t *)main_thread, NULL);
    printf("the first thread has ended\n");
    fflush(stdout);
    exit(23);
}

int main(void)
{
    static pthread_t main_thread;
    pthread_t thread;

    REQUIRE(pthread_barrier_init(&barrier, NULL, WORKERS) == 0);
    REQUIRE(pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE) == 0);
    REQUIRE(sem_init(&semaphore, 0, 0) == 0);
    REQUIRE(pthread_key_create(&key, destructor) == 0);
    REQUIRE(pthread_key_create(&end_key, say_ended) == 0);
    REQUIRE(pipe(pipe_ends) == 0);
    printf("pipe: %d %d\n", pipe_ends[0], pipe_ends[1]);

    single_threaded();
    many_threads();
    cancellation();
    joins();
    other_ends();

    main_thread = pthread_self();
    REQUIRE(pthread_create(&thread, NULL, last_thread, &main_thread) == 0);
    pthread_exit(NULL);
}
