/* SPDX-License-Identifier: MIT */
/* What the collector does with the cache lines of a ring: asks for them before it reads, and gives them up when it has read. */
#ifndef ADA_DRAIN_CACHE_LINES_H
#define ADA_DRAIN_CACHE_LINES_H

#include <stddef.h>

#define CACHE_LINE 64u /* x86-64, and most of aarch64 */

/* Asks for the lines of these bytes. They need not be mapped. */
static inline void cache_lines_prefetch(const char *begin, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += CACHE_LINE)
        __builtin_prefetch(begin + at);
}

/*
 * Takes the lines of these bytes out of all caches, if the processor has clflushopt; else does nothing. What they hold stays as it
 * is, so it never matters for correctness who else uses them. Any thread.
 */
void cache_lines_evict(const void *begin, size_t bytes);

/*
 * Evicts where that pays, which is on AMD's processors.
 *
 * For memory that another core writes next, and that nobody reads before: a line that both cores' caches have is slow to write, as
 * the other copy must be invalidated first, which neither the hardware's prefetching nor prefetchw does ahead. As an event has 12
 * stores, the writer's store buffer is soon full, and it waits: flat out 15 to 17 ns per event, 11 to 12 with the lines taken out (Zen 4; rings
 * of 64 KiB, of which four fit the reader's second-level cache). Costs the reader 0.3 ns for 32 bytes. With payloads, which both sides take
 * more time for, there was no difference. On Intel's (Sapphire Rapids) there is none with events either, flat out; at a million a
 * second one takes 15.6 ns with it, and 15.1 without (six pairs of runs).
 */
void cache_lines_give_up(const void *begin, size_t bytes);

#endif
