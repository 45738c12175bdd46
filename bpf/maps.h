/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Maps and knobs that the programs share. They are weak, so that each object may define them; linking makes one of them.
 */
#ifndef ADA_BPF_MAPS_H
#define ADA_BPF_MAPS_H

#include "kernel_types.h"

#include <bpf/bpf_helpers.h>

#include "../shared/kernel_abi.h"

/* ---- knobs: set before loading ---------------------------------------------------------------- */

/* The tracepoint sched_switch has the previous thread's state as its last argument (since Linux 5.19). */
const volatile bool knob_switch_has_state __weak = false;
/* Switches and wakeups are put into the scheduler ring. */
const volatile bool knob_sched_records __weak = false;
/* Of those records, only waits from so long on: off the CPU until woken, and runnable without one. */
const volatile uint64_t knob_off_cpu_ns __weak = 0;
const volatile uint64_t knob_runqueue_ns __weak = 0;
/* The scheduler ring's reader is woken when so many bytes wait. */
const volatile uint64_t knob_sched_wakeup_bytes __weak = 0;

/* New programs of processes that nobody watches are told, too. */
const volatile bool knob_all_execs __weak = false;
/* The same of segments. */
const volatile bool knob_all_segments __weak = false;
/* Which system calls are recorded, by number. */
const volatile uint64_t knob_syscalls[ADA_KERNEL_SYSCALLS / 64] __weak = {};

/* Set by user space: the programs of sched.bpf.c are attached, and contexts are theirs to write. */
volatile bool follows_switches __weak = false;

/* ---- maps ------------------------------------------------------------------------------------- */

/*
 * How many watched processes have a tgid that leads here. Mostly 0, so that all others cost a load at each of their switches
 * and wakeups, and no look-up in a hash. Never too low: counted up before a process is in `targets`, and down after
 * it was taken out, by whoever did so.
 */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, ADA_KERNEL_FILTER);
    __type(key, uint32_t);
    __type(value, uint64_t); /* arrays in memory have items of 8 bytes at least */
} target_filter __weak SEC(".maps");

/* Watched processes. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, ADA_KERNEL_TARGETS);
    __type(key, uint32_t); /* tgid */
    __type(value, AdaKernelTarget);
} targets __weak SEC(".maps");

/*
 * Of watched processes whose last threads ended just now: the start time (ns) of the leader, under the tgid. A thread counts as gone
 * from signal->live before it comes to its exit event, so that one that is still to come may find its process ended, and
 * taken out of `targets`, by another.
 */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 4096);
    __type(key, uint32_t);   /* tgid */
    __type(value, uint64_t); /* start time */
} ended __weak SEC(".maps");

/*
 * Where a thread's context is. A hash, and not task storage: that cannot be had from a raw tracepoint, and would have
 * to be allocated under the locks of the scheduler when a running process is attached to.
 */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, ADA_KERNEL_THREADS);
    __type(key, uint32_t);   /* tid */
    __type(value, uint32_t); /* index */
} thread_indices __weak SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, ADA_KERNEL_THREADS);
    __type(key, uint32_t);
    __type(value, AdaKernelThread);
} threads __weak SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, ADA_KERNEL_WORDS);
    __type(key, uint32_t);
    __type(value, AdaKernelOnCpu);
} on_cpu __weak SEC(".maps");

/* Indices that were given back: taken again first, so that those in use stay low. */
struct {
    __uint(type, BPF_MAP_TYPE_STACK);
    __uint(max_entries, ADA_KERNEL_THREADS);
    __type(value, uint32_t);
} free_indices __weak SEC(".maps");

/* How many indices were ever in use. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, uint64_t);
} indices_used __weak SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, AdaKernelCounters);
} counters __weak SEC(".maps");

/*
 * Names of memfds that are being made: where they are in their processes, by tgid << 32 | tid. A thread that is killed on its way leaves its entry,
 * so the oldest ones give way.
 */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1024);
    __type(key, uint64_t);
    __type(value, uint64_t);
} memfd_names __weak SEC(".maps");

/* Apart, so that switches never crowd out exits. */
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096); /* set before loading */
} lifecycle_ring __weak SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096); /* set before loading */
} sched_ring __weak SEC(".maps");

/* ---- reading them ----------------------------------------------------------------------------- */

/* Looks twice, as find_thread() does: processes come and go, too. */
static __always_inline AdaKernelTarget *find_target(uint32_t tgid)
{
    uint32_t place = tgid % ADA_KERNEL_FILTER;
    uint64_t *count = bpf_map_lookup_elem(&target_filter, &place);
    AdaKernelTarget *target;

    if (!count || !*count)
        return NULL;
    target = bpf_map_lookup_elem(&targets, &tgid);
    return target ? target : bpf_map_lookup_elem(&targets, &tgid);
}

static __always_inline void count_target(uint32_t tgid, int64_t change)
{
    uint32_t place = tgid % ADA_KERNEL_FILTER;
    uint64_t *count = bpf_map_lookup_elem(&target_filter, &place);

    if (count)
        __sync_fetch_and_add(count, change);
}

/* Never NULL, but the verifier cannot know. Advanced atomically: a program may interrupt another. */
static __always_inline AdaKernelCounters *this_cpu_counters(void)
{
    uint32_t zero = 0;

    return bpf_map_lookup_elem(&counters, &zero);
}

#endif
