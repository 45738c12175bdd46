/* SPDX-License-Identifier: MIT */
/*
 * The program of docs/guide.md: three workers serve requests, and an auditor counts the stock now and then. Most requests take a fraction of a
 * millisecond; some take twenty, and nobody knows why.
 *
 *     cc -O2 shop.c -o shop $(pkg-config --cflags --libs adatrace) -pthread
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include <adatrace/adatrace.h>

#define WORKERS 3
#define REQUESTS 400 /* of each worker */
#define AUDITS 5

static pthread_mutex_t stock_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t stock[64];

static void rest(long microseconds)
{
    const struct timespec time = {.tv_nsec = microseconds * 1000};

    nanosleep(&time, NULL);
}

static void serve(uint64_t id)
{
    ADA_SCOPE("request");
    ADA_EVENT("request.item", (u64, id, id), (str, item, id % 7 ? "tea" : "coffee"));
    pthread_mutex_lock(&stock_lock);
    stock[id % 64]++;
    pthread_mutex_unlock(&stock_lock);
}

static void *work(void *name)
{
    pthread_setname_np(pthread_self(), name);
    for (uint64_t id = 0; id < REQUESTS; id++) {
        serve(id);
        rest(500);
    }
    return NULL;
}

static void *audit(void *name)
{
    pthread_setname_np(pthread_self(), name);
    for (int i = 0; i < AUDITS; i++) {
        ADA_SCOPE("audit");
        pthread_mutex_lock(&stock_lock);
        rest(20000); /* it writes its list to a disk, with the lock in its hands */
        pthread_mutex_unlock(&stock_lock);
        rest(20000);
    }
    return NULL;
}

int main(void)
{
    static char names[][16] = {"worker-0", "worker-1", "worker-2", "auditor"};
    pthread_t threads[WORKERS + 1];

    for (int i = 0; i < WORKERS; i++)
        pthread_create(&threads[i], NULL, work, names[i]);
    pthread_create(&threads[WORKERS], NULL, audit, names[WORKERS]);
    for (int i = 0; i < WORKERS + 1; i++)
        pthread_join(threads[i], NULL);
    return 0;
}
