/* SPDX-License-Identifier: MIT */
/*
 * Sleeping on words in shared memory, and waking who sleeps there: the futexes of lanes and doorbells.
 * All are shared between processes. errno is left as it was; waits return 0, or -errno for what
 * ended them (EAGAIN: the word differed, EINTR, ETIMEDOUT): callers look at the word again either way.
 */
#ifndef ADA_LANE_FUTEX_H
#define ADA_LANE_FUTEX_H

#include <stdint.h>

/* Sleeps while *word == value, at most `timeout_ns` nanoseconds. */
int ada_futex_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns);

/* Wakes everybody who sleeps on the word. */
void ada_futex_wake(uint32_t *word);

/*
 * Sleeps while words[i] == values[i] for all i < count, at most `timeout_ns`. -ENOSYS: the kernel (before 5.16)
 * cannot wait for several words; -EINVAL: more than 128.
 */
int ada_futex_wait_any(uint32_t *const *words, const uint32_t *values, uint32_t count, uint64_t timeout_ns);

#define ADA_FUTEX_WAIT_MAX 128u /* FUTEX_WAITV_MAX in linux/futex.h */

#endif
