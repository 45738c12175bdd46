/* SPDX-License-Identifier: MIT */
/*
 * Group `lock`: mutexes, read-write locks, condition variables, semaphores, barriers, spin locks.
 * What may wait is a span that begins with the object's address; unlocking and waking are instants.
 */
#include "user/client/preload/preload.h"

#include <pthread.h>
#include <semaphore.h>
#include <time.h>

SPAN(LOCK, pthread_mutex_lock, int, ERROR, mutex, (pthread_mutex_t * mutex), (mutex))
SPAN(LOCK, pthread_mutex_trylock, int, ERROR, mutex, (pthread_mutex_t * mutex), (mutex))
SPAN(LOCK, pthread_mutex_timedlock, int, ERROR, mutex,
     (pthread_mutex_t * mutex, const struct timespec *until), (mutex, until))
SPAN(LOCK, pthread_mutex_clocklock, int, ERROR, mutex,
     (pthread_mutex_t * mutex, clockid_t clock, const struct timespec *until), (mutex, clock, until))
INSTANT(LOCK, pthread_mutex_unlock, int, mutex, (pthread_mutex_t * mutex), (mutex))

SPAN(LOCK, pthread_rwlock_rdlock, int, ERROR, lock, (pthread_rwlock_t * lock), (lock))
SPAN(LOCK, pthread_rwlock_tryrdlock, int, ERROR, lock, (pthread_rwlock_t * lock), (lock))
SPAN(LOCK, pthread_rwlock_timedrdlock, int, ERROR, lock,
     (pthread_rwlock_t * lock, const struct timespec *until), (lock, until))
SPAN(LOCK, pthread_rwlock_clockrdlock, int, ERROR, lock,
     (pthread_rwlock_t * lock, clockid_t clock, const struct timespec *until), (lock, clock, until))
SPAN(LOCK, pthread_rwlock_wrlock, int, ERROR, lock, (pthread_rwlock_t * lock), (lock))
SPAN(LOCK, pthread_rwlock_trywrlock, int, ERROR, lock, (pthread_rwlock_t * lock), (lock))
SPAN(LOCK, pthread_rwlock_timedwrlock, int, ERROR, lock,
     (pthread_rwlock_t * lock, const struct timespec *until), (lock, until))
SPAN(LOCK, pthread_rwlock_clockwrlock, int, ERROR, lock,
     (pthread_rwlock_t * lock, clockid_t clock, const struct timespec *until), (lock, clock, until))
INSTANT(LOCK, pthread_rwlock_unlock, int, lock, (pthread_rwlock_t * lock), (lock))

/* The functions of this version go with today's pthread_cond_t; libc has older ones beside them. */
#define CONDITION_VERSION "GLIBC_2.3.2"

SPAN_VERSION(LOCK, pthread_cond_wait, CONDITION_VERSION, int, ERROR, condition,
             (pthread_cond_t * condition, pthread_mutex_t *mutex), (condition, mutex))
SPAN_VERSION(LOCK, pthread_cond_timedwait, CONDITION_VERSION, int, ERROR, condition,
             (pthread_cond_t * condition, pthread_mutex_t *mutex, const struct timespec *until),
             (condition, mutex, until))
SPAN(LOCK, pthread_cond_clockwait, int, ERROR, condition,
     (pthread_cond_t * condition, pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until),
     (condition, mutex, clock, until))
INSTANT_VERSION(LOCK, pthread_cond_signal, CONDITION_VERSION, int, condition, (pthread_cond_t * condition),
                (condition))
INSTANT_VERSION(LOCK, pthread_cond_broadcast, CONDITION_VERSION, int, condition, (pthread_cond_t * condition),
                (condition))

SPAN(LOCK, sem_wait, int, ERRNO, semaphore, (sem_t * semaphore), (semaphore))
SPAN(LOCK, sem_trywait, int, ERRNO, semaphore, (sem_t * semaphore), (semaphore))
SPAN(LOCK, sem_timedwait, int, ERRNO, semaphore, (sem_t * semaphore, const struct timespec *until),
     (semaphore, until))
SPAN(LOCK, sem_clockwait, int, ERRNO, semaphore,
     (sem_t * semaphore, clockid_t clock, const struct timespec *until), (semaphore, clock, until))
INSTANT(LOCK, sem_post, int, semaphore, (sem_t * semaphore), (semaphore))

/* 1 in the thread that gets PTHREAD_BARRIER_SERIAL_THREAD (-1). */
SPAN(LOCK, pthread_barrier_wait, int, ERROR, barrier, (pthread_barrier_t * barrier), (barrier))

SPAN(LOCK, pthread_spin_lock, int, ERROR, lock, (pthread_spinlock_t * lock), (lock))
SPAN(LOCK, pthread_spin_trylock, int, ERROR, lock, (pthread_spinlock_t * lock), (lock))
INSTANT(LOCK, pthread_spin_unlock, int, lock, (pthread_spinlock_t * lock), (lock))
