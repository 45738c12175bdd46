/* SPDX-License-Identifier: MIT */
/*
 * A timer interrupts everything that can be interrupted. Its handler makes wrapped calls, on the thread's
 * stack and on an alternate one, and at last leaves by siglongjmp().
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "plain_support.h"

enum { CALLS = 200000, TICKS = 300 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static sem_t semaphore;
static int null_fd;
static sigjmp_buf back;
static volatile sig_atomic_t ticks, jump, errno_changed;

static void on_tick(int signal_number)
{
    (void)signal_number;
    ticks = ticks + 1;
    if (write(12345, "x", 1) != -1 || errno != EBADF)
        errno_changed = 1;
    if (write(null_fd, "x", 1) != 1)
        errno_changed = 1;
    sem_post(&semaphore);
    errno = PLAIN_ERRNO;
    if (jump)
        siglongjmp(back, 1);
}

static void start_timer(int flags)
{
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = flags | SA_RESTART};
    struct itimerval often = {{0, 200}, {0, 200}};

    ticks = 0;
    REQUIRE(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
}

static void stop_timer(const char *what)
{
    struct itimerval never = {{0, 0}, {0, 0}};

    REQUIRE(setitimer(ITIMER_REAL, &never, NULL) == 0);
    printf("%s: errno as it should be: %d\n", what, !errno_changed);
}

/* Wrapped calls and nothing else, until the timer has struck often enough. */
static long work(void)
{
    long done = 0;

    for (long i = 0; i < CALLS || ticks < TICKS; i++) {
        REQUIRE(pthread_mutex_lock(&mutex) == 0);
        REQUIRE(pthread_mutex_unlock(&mutex) == 0);
        if (i % 8 == 0)
            done += write(null_fd, "abc", 3) == 3;
    }
    return done >= CALLS / 8;
}

static volatile long landed;

static void work_and_jump(void)
{
    /* Any of the calls may be cut off: what is at stake is that the ones after it work. */
    landed = 0;
    if (sigsetjmp(back, 1))
        landed = landed + 1;
    jump = 1; /* there is somewhere to jump to now */
    while (landed < TICKS)
        (void)!write(null_fd, "abc", 3);
    jump = 0;
}

int main(void)
{
    static char alternate[65536];
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)};

    REQUIRE(sem_init(&semaphore, 0, 0) == 0);
    REQUIRE((null_fd = open("/dev/null", O_WRONLY)) >= 0);
    REQUIRE(sigaltstack(&stack, NULL) == 0);

    start_timer(0);
    printf("work done: %ld\n", work());
    stop_timer("handler on the thread's stack");

    start_timer(SA_ONSTACK);
    printf("work done: %ld\n", work());
    stop_timer("handler on its own stack");

    start_timer(0);
    work_and_jump();
    stop_timer("handler that jumps");

    REPORT(write(null_fd, "end", 3));
    REPORT(fsync(12345));
    raise(SIGTERM);
    return 0;
}
