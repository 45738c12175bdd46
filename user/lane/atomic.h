/* SPDX-License-Identifier: MIT */
/*
 * Every atomic access of the project, with the order in the name.
 *
 * They work on plain fixed-width integers (the ABI structs in shared/ must be readable from C++ and BPF),
 * by the compilers' __atomic builtins with C11 semantics. A call site names the partner of each
 * release and acquire, or says why it needs none.
 *
 * A counter that has one writer is advanced by ada_count(): a relaxed load and store, no
 * read-modify-write, so that it costs no lock prefix and a reader never sees a torn value.
 */
#ifndef ADA_LANE_ATOMIC_H
#define ADA_LANE_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#define ada_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define ada_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define ada_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define ada_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define ada_store_seq_cst(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define ada_exchange_acq_rel(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#define ada_exchange_acquire(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE)
#define ada_fetch_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define ada_fetch_add_acq_rel(p, v) __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
#define ada_fetch_sub_acq_rel(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_ACQ_REL)
#define ada_fetch_or_release(p, v) __atomic_fetch_or((p), (v), __ATOMIC_RELEASE)

/* Strong compare-exchange: true and `desired` stored, or false and *expected updated. */
#define ada_compare_exchange_acq_rel(p, expected, desired) \
    __atomic_compare_exchange_n((p), (expected), (desired), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

/* Advances a counter that only the caller writes. */
#define ada_count(p, n) ada_store_relaxed((p), ada_load_relaxed(p) + (n))

/*
 * Orders the calling thread against its own signal handlers: the compiler moves no memory access
 * across. Costs no instruction.
 */
#define ada_signal_fence() __atomic_signal_fence(__ATOMIC_SEQ_CST)

/*
 * Orders all accesses before it against all after it, also a store against a later load. For a partner in the kernel, of which
 * ThreadSanitizer knows nothing; between threads it would have to.
 */
#define ada_fence_full() __sync_synchronize()

/*
 * Adds to a word of the calling thread and returns the old value; a signal handler of the same thread
 * comes before or after it, never in between. Not for words that other threads write: on x86-64 it
 * is an xadd without lock prefix (a lock costs about 15 ns here, this about 1).
 */
static inline uint64_t ada_local_fetch_add(uint64_t *word, uint64_t addend)
{
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
    __asm__ volatile("xaddq %0, %1" : "+r"(addend), "+m"(*word) : : "cc", "memory");
    return addend;
#else
    return ada_fetch_add_relaxed(word, addend);
#endif
}

#endif
