/* SPDX-License-Identifier: MIT */
/*
 * A program to attach to: prog_attach THREADS [churn] [payloads] [paced] [first=THREAD]
 *
 * THREADS threads record instants "load.tick" as fast as they can while somebody records, whose argument is thread << 40 |
 * number, for check_load; with `payloads`, typed events with 100 bytes of text instead. With `churn` each of them makes one thread
 * after the other that records 200 events and ends. `paced`: at most ten events a millisecond. `first`: the number of the first
 * thread, of those without churn, so that several programs differ.
 *
 * Obeys lines on stdin, and answers each with one line on stdout:
 *   on, off   waits until somebody, or nobody, records; for on, also until each thread has recorded something once: "ok"
 *   pause     stops all threads between two events: "ok"
 *   go        lets them go on: "ok"
 *   counts    {"emitted": events that found room, "refused": those that did not, "laps": rounds of the threads' loops}
 *   fork      makes a child that records "child.tick" with its pid as argument, one each millisecond, until it is killed: its pid
 *   spawn X   starts the program X, which is not waited for: its pid
 *   exec X    becomes the program X
 *   daemonize closes all descriptors but the first three: "ok"
 * and ends at the end of stdin.
 */
#include <adatrace/adatrace.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS_MAX 64
#define CHURN_EVENTS 200

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned long threads, paused;
static int pausing; /* atomic, and changed with the lock held */
static int with_churn, with_payloads, is_paced;
static uint64_t emitted, refused, laps, next_thread, begun;

static ada_event tick = {.name = "load.tick", .kind = ADA_EVENT_INSTANT};
static const ada_field text_field[] = {{"text", ADA_FIELD_STRING}};
static ada_event typed = {"load.typed", text_field, 1, ADA_EVENT_TYPED, 0};

static void rest_if_asked(void)
{
    if (!__atomic_load_n(&pausing, __ATOMIC_ACQUIRE))
        return;
    pthread_mutex_lock(&lock);
    paused++;
    pthread_cond_broadcast(&changed);
    while (pausing)
        pthread_cond_wait(&changed, &lock);
    paused--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* One event, if somebody records. True: it was attempted. */
static int record(uint64_t thread, uint64_t number)
{
    static const char text[] =
        "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";
    ada_value value = {.string = text};
    int error;

    if (!ada_enabled())
        return 0;
    if (with_payloads)
        error = ada_emit_fields(&typed, thread << 40 | number, &value, 1);
    else
        error = ada_emit(&tick, ADA_EVENT_INSTANT, thread << 40 | number);
    if (error == -EAGAIN)
        return 0;
    (void)__atomic_fetch_add(error ? &refused : &emitted, 1, __ATOMIC_RELAXED);
    return 1;
}

static void *live_shortly(void *argument)
{
    uint64_t thread = __atomic_fetch_add(&next_thread, 1, __ATOMIC_RELAXED);

    (void)argument;
    for (uint64_t i = 0; i < CHURN_EVENTS;)
        i += record(thread, i) || !ada_enabled();
    return NULL;
}

static void *run(void *argument)
{
    uint64_t thread = (uint64_t)(uintptr_t)argument, number = 0;

    for (;;) {
        rest_if_asked();
        (void)__atomic_fetch_add(&laps, 1, __ATOMIC_RELAXED);
        if (with_churn) {
            pthread_t child;

            if (pthread_create(&child, NULL, live_shortly, NULL) == 0)
                pthread_join(child, NULL);
        } else if (record(thread, number)) {
            if (number++ == 0)
                (void)__atomic_fetch_add(&begun, 1, __ATOMIC_RELAXED);
            if (is_paced && number % 10 == 0)
                usleep(1000);
        }
    }
    return NULL;
}

/* ---- orders ------------------------------------------------------------------------------------- */

static int is_on(void)
{
    return ada_enabled() && (pausing || with_churn || __atomic_load_n(&begun, __ATOMIC_RELAXED) == threads);
}

static void pause_all(void)
{
    pthread_mutex_lock(&lock);
    __atomic_store_n(&pausing, 1, __ATOMIC_RELEASE);
    while (paused < threads)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void go_all(void)
{
    pthread_mutex_lock(&lock);
    __atomic_store_n(&pausing, 0, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&changed);
    while (paused > 0)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void be_child(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        ADA_INSTANT("child.tick", getpid());
        usleep(1000);
    }
}

static pid_t start(const char *program)
{
    pid_t pid = fork();

    if (pid == 0 && !program)
        be_child();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(program, program, "1", "0", (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void obey(const char *order)
{
    if (strcmp(order, "on") == 0) {
        while (!is_on())
            usleep(1000);
    } else if (strcmp(order, "off") == 0) {
        while (ada_enabled())
            usleep(1000);
    } else if (strcmp(order, "pause") == 0) {
        pause_all();
    } else if (strcmp(order, "go") == 0) {
        go_all();
    } else if (strcmp(order, "counts") == 0) {
        printf("{\"emitted\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"laps\":%" PRIu64 "}\n",
               __atomic_load_n(&emitted, __ATOMIC_RELAXED), __atomic_load_n(&refused, __ATOMIC_RELAXED),
               __atomic_load_n(&laps, __ATOMIC_RELAXED));
        return;
    } else if (strcmp(order, "fork") == 0 || strncmp(order, "spawn ", 6) == 0) {
        printf("%d\n", (int)start(order[0] == 's' ? order + 6 : NULL));
        return;
    } else if (strncmp(order, "exec ", 5) == 0) {
        execl(order + 5, order + 5, "1", "0", (char *)NULL);
        exit(127);
    } else if (strcmp(order, "daemonize") == 0) {
        (void)close_range(3, ~0u, 0);
    } else {
        printf("what? %s\n", order);
        return;
    }
    printf("ok\n");
}

int main(int argc, char **argv)
{
    unsigned long first = 0;
    char line[1024];

    threads = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    if (threads < 1 || threads > THREADS_MAX)
        return 2;
    for (int i = 2; i < argc; i++) {
        with_churn = with_churn || strcmp(argv[i], "churn") == 0;
        with_payloads = with_payloads || strcmp(argv[i], "payloads") == 0;
        is_paced = is_paced || strcmp(argv[i], "paced") == 0;
        if (strncmp(argv[i], "first=", 6) == 0)
            first = strtoul(argv[i] + 6, NULL, 10);
    }
    for (unsigned long i = 0; i < threads; i++) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, run, (void *)(uintptr_t)(first + i)) != 0)
            return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        obey(line);
    }
    return 0;
}
