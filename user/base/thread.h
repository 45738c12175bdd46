/* SPDX-License-Identifier: MIT */
#ifndef ADA_BASE_THREAD_H
#define ADA_BASE_THREAD_H

#include <pthread.h>

/* Starts a thread in which all signals are blocked: they are for others. 0, or -errno of pthread_create(3). */
int thread_start_without_signals(pthread_t *thread_out, void *(*run)(void *argument), void *argument);

#endif
