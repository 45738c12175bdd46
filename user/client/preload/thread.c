/* SPDX-License-Identifier: MIT */
/*
 * Group `thread`: threads' births, ends and names, and sleeping.
 *
 * A new thread runs thread_main() in front of its start routine: it is registered before its first
 * event, and records `thread_start` with the creator's tid and, however it ends, `thread_exit`. Destructors
 * of thread-specific data run after that.
 */
#include "user/client/preload/preload.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

PRELOAD_EVENT(thread_start, ADA_EVENT_INSTANT)
PRELOAD_EVENT(thread_exit, ADA_EVENT_INSTANT)

/* What a new thread needs to know. On the heap: the creator's until the thread exists, then the thread's. */
typedef struct ThreadStart {
    union {
        void *(*pthread)(void *);
        thrd_start_t c11;
    } routine;
    void *argument;
    uint64_t creator;
} ThreadStart;

/* The one allocation is the library's own and not recorded. NULL: no memory. Keeps errno. */
static ThreadStart *thread_start_create(void *argument)
{
    int saved_errno = errno;
    bool entered = preload_enter();
    ThreadStart *start = malloc(sizeof(*start));

    if (entered)
        preload_leave();
    if (start)
        *start = (ThreadStart){.argument = argument, .creator = (uint64_t)gettid()};
    errno = saved_errno;
    return start;
}

static void thread_start_destroy(ThreadStart *start)
{
    bool entered = preload_enter();

    free(start);
    if (entered)
        preload_leave();
}

/*
 * Registration may pass a cancellation point; a cancellation that is pending already must find the
 * thread in the program's code, where the handlers that it relies on are in place.
 */
static void thread_register(void)
{
    int state;

    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    if (preload_enter()) {
        (void)ada_thread_init();
        preload_leave();
    }
    (void)pthread_setcancelstate(state, NULL);
}

static ThreadStart thread_begin(ThreadStart *heap)
{
    ThreadStart start = *heap;

    thread_start_destroy(heap);
    thread_register();
    preload_record(&preload_event_thread_start, ADA_EVENT_INSTANT, start.creator);
    return start;
}

static void thread_end(const ThreadStart *start)
{
    (void)start;
    preload_record(&preload_event_thread_exit, ADA_EVENT_INSTANT, 0);
}

static void *thread_main(void *data)
{
    __attribute__((cleanup(thread_end))) ThreadStart start = thread_begin(data);

    return start.routine.pthread(start.argument);
}

static int thread_main_c11(void *data)
{
    __attribute__((cleanup(thread_end))) ThreadStart start = thread_begin(data);

    return start.routine.c11(start.argument);
}

/* Threads made while nobody records are followed, too: a recorder may come before they end. */
PRELOAD_EVENT(pthread_create, ADA_EVENT_SPAN_BEGIN)
PRELOAD_SYMBOL(pthread_create, NULL, preload_missing)
PRELOAD_EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                                  void *(*routine)(void *), void *argument)
{
    ThreadStart *start = preload_selected(PRELOAD_THREAD) ? thread_start_create(argument) : NULL;
    int error;

    if (!start)
        return PRELOAD_REAL(pthread_create)(thread, attributes, routine, argument);

    PRELOAD_SPAN span = preload_span_begin(&preload_event_pthread_create, PRELOAD_ARGUMENT(routine));
    start->routine.pthread = routine;
    error = PRELOAD_REAL(pthread_create)(thread, attributes, thread_main, start);
    if (error)
        thread_start_destroy(start);
    span.result = PRELOAD_RESULT_ERROR(error);
    return error;
}

PRELOAD_EVENT(thrd_create, ADA_EVENT_SPAN_BEGIN)
PRELOAD_SYMBOL(thrd_create, NULL, preload_missing)
PRELOAD_EXPORT int thrd_create(thrd_t *thread, thrd_start_t routine, void *argument)
{
    ThreadStart *start = preload_selected(PRELOAD_THREAD) ? thread_start_create(argument) : NULL;
    int status;

    if (!start)
        return PRELOAD_REAL(thrd_create)(thread, routine, argument);

    PRELOAD_SPAN span = preload_span_begin(&preload_event_thrd_create, PRELOAD_ARGUMENT(routine));
    start->routine.c11 = routine;
    status = PRELOAD_REAL(thrd_create)(thread, thread_main_c11, start);
    if (status != thrd_success)
        thread_start_destroy(start);
    span.result = PRELOAD_RESULT_VALUE(status);
    return status;
}

PRELOAD_EVENT(pthread_exit, ADA_EVENT_INSTANT)
PRELOAD_SYMBOL(pthread_exit, NULL, preload_missing)
PRELOAD_EXPORT void pthread_exit(void *result)
{
    if (preload_on(PRELOAD_THREAD))
        preload_record(&preload_event_pthread_exit, ADA_EVENT_INSTANT, PRELOAD_ARGUMENT(result));
    PRELOAD_REAL(pthread_exit)(result);
    __builtin_unreachable();
}

PRELOAD_EVENT(pthread_setname_np, ADA_EVENT_INSTANT)
PRELOAD_SYMBOL(pthread_setname_np, NULL, preload_missing)
PRELOAD_EXPORT int pthread_setname_np(pthread_t thread, const char *name)
{
    int error = PRELOAD_REAL(pthread_setname_np)(thread, name);

    if (error || !preload_on(PRELOAD_THREAD))
        return error;
    preload_record(&preload_event_pthread_setname_np, ADA_EVENT_INSTANT, thread);
    if (pthread_equal(thread, pthread_self()) && preload_enter()) {
        (void)ada_thread_name(name);
        preload_leave();
    }
    return 0;
}

SPAN(THREAD, pthread_join, int, ERROR, thread, (pthread_t thread, void **result), (thread, result))
SPAN(THREAD, pthread_tryjoin_np, int, ERROR, thread, (pthread_t thread, void **result), (thread, result))
SPAN(THREAD, pthread_timedjoin_np, int, ERROR, thread,
     (pthread_t thread, void **result, const struct timespec *until), (thread, result, until))
SPAN(THREAD, pthread_clockjoin_np, int, ERROR, thread,
     (pthread_t thread, void **result, clockid_t clock, const struct timespec *until),
     (thread, result, clock, until))
SPAN(THREAD, thrd_join, int, VALUE, thread, (thrd_t thread, int *result), (thread, result))
INSTANT(THREAD, pthread_detach, int, thread, (pthread_t thread), (thread))

SPAN(THREAD, sched_yield, int, ERRNO, 0, (void), ())
SPAN(THREAD, nanosleep, int, ERRNO, 0, (const struct timespec *duration, struct timespec *left),
     (duration, left))
SPAN(THREAD, clock_nanosleep, int, ERROR, clock,
     (clockid_t clock, int flags, const struct timespec *duration, struct timespec *left),
     (clock, flags, duration, left))
SPAN(THREAD, usleep, int, ERRNO, microseconds, (useconds_t microseconds), (microseconds))
SPAN(THREAD, sleep, unsigned, VALUE, seconds, (unsigned seconds), (seconds))
