/* SPDX-License-Identifier: MIT */
#include "user/base/thread.h"

#include <signal.h>

int thread_start_without_signals(pthread_t *thread_out, void *(*run)(void *argument), void *argument)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = -pthread_create(thread_out, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}
