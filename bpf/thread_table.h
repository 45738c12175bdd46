/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The contexts of threads: taking a place in the array, giving it back, and stepping from state to state.
 *
 * A thread gets its context when it is forked, or else when it is first seen: so nothing has to be set up for the
 * threads of a process that already runs. The kernel serializes the events of one thread (its runqueue's lock, its
 * pi_lock), but for a wakeup of a thread that is just going to sleep: what that races for is one duration.
 */
#ifndef ADA_BPF_THREAD_TABLE_H
#define ADA_BPF_THREAD_TABLE_H

#include "maps.h"

#include <bpf/bpf_core_read.h>

/* Its id in its own pid namespace, the innermost of those that it has ids in. */
static __always_inline uint32_t own_tid_of(struct task_struct *task)
{
    struct pid *pid = BPF_CORE_READ(task, thread_pid);
    unsigned int level = BPF_CORE_READ(pid, level);
    const char *first = (const char *)&pid->numbers[0];
    int number = 0;

    bpf_probe_read_kernel(&number, sizeof(number),
                          first + level * bpf_core_type_size(struct upid) +
                              bpf_core_field_offset(struct upid, nr));
    return (uint32_t)number;
}

static __always_inline AdaKernelThread *thread_at(uint32_t index)
{
    return bpf_map_lookup_elem(&threads, &index);
}

static __always_inline AdaKernelThread *look_up_thread(uint32_t tid, uint32_t *index_out)
{
    uint32_t *index = bpf_map_lookup_elem(&thread_indices, &tid);

    if (!index) {
        *index_out = ADA_KERNEL_NO_INDEX;
        return NULL;
    }
    *index_out = *index;
    return thread_at(*index);
}

/*
 * Its context, or NULL; *index_out is ADA_KERNEL_NO_INDEX then. Looks twice: while another CPU takes entries out of the hash
 * and puts them back in, one in some 20,000 look-ups misses what is there.
 */
static __always_inline AdaKernelThread *find_thread(uint32_t tid, uint32_t *index_out)
{
    AdaKernelThread *thread = look_up_thread(tid, index_out);

    return thread ? thread : look_up_thread(tid, index_out);
}

static __always_inline uint32_t take_index(void)
{
    uint32_t zero = 0;
    uint64_t *used;
    uint32_t index;

    if (bpf_map_pop_elem(&free_indices, &index) == 0)
        return index;
    used = bpf_map_lookup_elem(&indices_used, &zero);
    if (!used || *used >= ADA_KERNEL_THREADS)
        return ADA_KERNEL_NO_INDEX;
    index = (uint32_t)__sync_fetch_and_add(used, 1);
    if (index < ADA_KERNEL_THREADS)
        return index;
    __sync_fetch_and_add(used, -1ll); /* others were faster */
    return ADA_KERNEL_NO_INDEX;
}

static __always_inline void give_index_back(uint32_t index)
{
    bpf_map_push_elem(&free_indices, &index, BPF_ANY); /* there is room for all */
}

/* Who it is, and what it had done before. */
static __always_inline void describe_thread(AdaKernelThread *thread, struct task_struct *task)
{
    thread->tid = (uint32_t)BPF_CORE_READ(task, pid);
    thread->tgid = (uint32_t)BPF_CORE_READ(task, tgid);
    thread->own_tid = own_tid_of(task);
    thread->start_ns = BPF_CORE_READ(task, start_time);
    thread->run_ns = BPF_CORE_READ(task, se.sum_exec_runtime);
    thread->last_cpu = ADA_KERNEL_NO_INDEX;
}

/* Gives a thread a context. NULL: there is no room; or, with BPF_NOEXIST, it has one. */
static __always_inline AdaKernelThread *adopt_thread(struct task_struct *task, uint64_t flags,
                                                     uint32_t *index_out)
{
    AdaKernelThread fresh = {};
    AdaKernelThread *thread;
    uint32_t index = take_index();
    long error = -ENOSPC;
    uint32_t tid;

    *index_out = ADA_KERNEL_NO_INDEX;
    thread = thread_at(index);
    fresh.tid = (uint32_t)BPF_CORE_READ(task, pid);
    if (thread)
        error = bpf_map_update_elem(&thread_indices, &fresh.tid, &index, flags);
    if (!thread || error != 0) {
        AdaKernelCounters *count = this_cpu_counters();

        if (thread)
            give_index_back(index);
        if (count && error != -EEXIST)
            __sync_fetch_and_add(&count->threads_refused, 1);
        return NULL;
    }
    tid = fresh.tid;
    describe_thread(&fresh, task);
    fresh.tid = 0;
    fresh.generation = thread->generation + 1;
    *thread = fresh;
    /* A full barrier: either kernel_assist_unwatch() finds the context, or who adopts sees that nobody watches any more. */
    (void)__sync_lock_test_and_set(&thread->tid, tid);
    *index_out = index;
    return thread;
}

/* The same for one that was not forked under our eyes. Who is about to end gets no context any more. */
static __always_inline AdaKernelThread *find_or_adopt_thread(struct task_struct *task, uint32_t tid,
                                                             uint32_t *index_out)
{
    AdaKernelThread *thread = find_thread(tid, index_out);

    if (thread || BPF_CORE_READ(task, flags) & PF_EXITING)
        return thread;
    thread = adopt_thread(task, BPF_NOEXIST, index_out);
    if (!thread)
        return look_up_thread(tid, index_out);
    /* Who stopped watching meanwhile may have looked for contexts already: then this one is ours to take back. */
    if (find_target(thread->tgid))
        return thread;
    thread->tid = 0;
    if (bpf_map_delete_elem(&thread_indices, &tid) == 0)
        give_index_back(*index_out);
    *index_out = ADA_KERNEL_NO_INDEX;
    return NULL;
}

static __always_inline AdaKernelOnCpu *on_cpu_word(uint32_t index)
{
    uint32_t word = index / 64;

    return bpf_map_lookup_elem(&on_cpu, &word);
}

/* See AdaKernelOnCpu. The atomics are full barriers: what the thread wrote is visible to who sees `ran`. */
static __always_inline void note_on_cpu(uint32_t index)
{
    AdaKernelOnCpu *word = on_cpu_word(index);

    if (word) {
        __sync_fetch_and_or(&word->runs, 1ull << index % 64);
        __sync_fetch_and_or(&word->ran, 1ull << index % 64);
    }
}

static __always_inline void note_off_cpu(uint32_t index)
{
    AdaKernelOnCpu *word = on_cpu_word(index);

    if (word) {
        __sync_fetch_and_or(&word->ran, 1ull << index % 64);
        __sync_fetch_and_and(&word->runs, ~(1ull << index % 64));
    }
}

/* Ends the present state, adds its time where it belongs, and enters another. Returns that time. */
static __always_inline uint64_t enter_state(AdaKernelThread *thread, uint32_t state, uint64_t now)
{
    uint64_t time = thread->since_ns && now > thread->since_ns ? now - thread->since_ns : 0;

    switch (thread->state) {
    case ADA_KERNEL_RUNS:
        thread->run_ns += time;
        break;
    case ADA_KERNEL_PREEMPTED:
        thread->preempted_ns += time;
        thread->runqueue_ns += time;
        break;
    case ADA_KERNEL_RUNNABLE:
        thread->runqueue_ns += time;
        break;
    case ADA_KERNEL_SLEEPS:
        thread->sleep_ns += time;
        break;
    case ADA_KERNEL_BLOCKED:
        thread->blocked_ns += time;
        break;
    default:
        break;
    }
    thread->state = state;
    thread->since_ns = now;
    return time;
}

/*
 * What the kernel itself keeps of a thread, since its birth. It does not keep why the thread was off its CPU: what was not seen to be
 * otherwise counts as sleep.
 */
static __always_inline void take_sums(AdaKernelThread *thread, struct task_struct *task, uint64_t now)
{
    uint64_t age = now > thread->start_ns ? now - thread->start_ns : 0;
    uint64_t known;

    thread->run_ns = BPF_CORE_READ(task, se.sum_exec_runtime);
    if (bpf_core_field_exists(task->sched_info.run_delay))
        thread->runqueue_ns = BPF_CORE_READ(task, sched_info.run_delay);
    thread->switches_voluntary = BPF_CORE_READ(task, nvcsw);
    thread->switches_involuntary = BPF_CORE_READ(task, nivcsw);
    thread->migrations = BPF_CORE_READ(task, se.nr_migrations);
    /* The kernel adds what a thread runs at its next tick or switch: of one that never had any, it is all that it did. */
    if (BPF_CORE_READ(task, on_cpu) && thread->switches_voluntary + thread->switches_involuntary == 0 &&
        age > thread->run_ns + thread->runqueue_ns)
        thread->run_ns = age - thread->runqueue_ns;
    known = thread->run_ns + thread->runqueue_ns + thread->blocked_ns;
    thread->sleep_ns = age > known ? age - known : 0;
}

#endif
