// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Births, ends and new programs of the threads of watched processes, and segments that processes make.
 *
 * Each event has two programs, of which one is loaded: `tp_btf`, and a raw tracepoint for kernels that do not describe the
 * event in their BTF. But segments: there is a tracepoint for each side of memfd_create(2), if the kernel was built with them.
 */
#include "../shared/segment_abi.h"
#include "thread_table.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static __always_inline void describe(AdaKernelLifecycle *record, uint32_t type, struct task_struct *task,
                                     uint32_t index)
{
    record->type = type;
    record->flags = 0;
    record->time_ns = bpf_ktime_get_ns();
    record->start_ns = BPF_CORE_READ(task, start_time);
    record->tid = (uint32_t)BPF_CORE_READ(task, pid);
    record->tgid = (uint32_t)BPF_CORE_READ(task, tgid);
    record->own_tid = own_tid_of(task);
    record->index = index;
    record->parent_tgid = 0;
    record->old_tid = 0;
    record->exit_code = 0;
    record->cpu = bpf_get_smp_processor_id();
    bpf_core_read(record->name, sizeof(record->name), &task->comm);
    record->name[sizeof(record->name) - 1] = '\0';
}

/* Room in the ring; every attempt and every failure is counted. */
static __always_inline void *reserve(uint64_t bytes)
{
    void *record = bpf_ringbuf_reserve(&lifecycle_ring, bytes, 0);
    AdaKernelCounters *count = this_cpu_counters();

    if (count) {
        __sync_fetch_and_add(&count->lifecycle_attempted, 1);
        if (!record)
            __sync_fetch_and_add(&count->lifecycle_lost, 1);
    }
    return record;
}

/* ---- fork ------------------------------------------------------------------------------------- */

/* A child of a watched process. False: it is not to be watched. */
static __always_inline bool watch_child(const AdaKernelTarget *parent, uint32_t tgid)
{
    AdaKernelTarget target = {.flags = parent->flags};
    AdaKernelCounters *count;

    if (!(parent->flags & ADA_KERNEL_WITH_CHILDREN))
        return false;
    count_target(tgid, 1);
    if (bpf_map_update_elem(&targets, &tgid, &target, BPF_NOEXIST) == 0)
        return true;
    count_target(tgid, -1);
    count = this_cpu_counters();
    if (count)
        __sync_fetch_and_add(&count->targets_refused, 1);
    return false;
}

static __always_inline int handle_fork(struct task_struct *child, uint32_t parent_tgid)
{
    AdaKernelTarget *target = find_target(parent_tgid);
    AdaKernelLifecycle *record;
    AdaKernelThread *thread;
    uint32_t index, tgid;

    if (!target)
        return 0;
    tgid = (uint32_t)BPF_CORE_READ(child, tgid);
    if (tgid != parent_tgid && !watch_child(target, tgid))
        return 0;
    thread = adopt_thread(child, BPF_ANY, &index);
    if (thread)
        enter_state(thread, ADA_KERNEL_RUNNABLE, bpf_ktime_get_ns()); /* as good as woken */
    record = reserve(sizeof(*record));
    if (!record)
        return 0;
    describe(record, ADA_KERNEL_FORK, child, index);
    record->parent_tgid = parent_tgid;
    if (tgid != parent_tgid)
        record->flags |= ADA_KERNEL_NEW_PROCESS;
    bpf_ringbuf_submit(record, 0);
    return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
    return handle_fork(child, (uint32_t)parent->tgid);
}

SEC("raw_tp/sched_process_fork")
int BPF_PROG(on_fork_raw, struct task_struct *parent, struct task_struct *child)
{
    return handle_fork(child, (uint32_t)BPF_CORE_READ(parent, tgid));
}

/* ---- exec ------------------------------------------------------------------------------------- */

/* The thread that called exec has the leader's id now, whoever it was. Its context goes with it. */
static __always_inline uint32_t follow_thread(struct task_struct *task, uint32_t tgid, uint32_t old_tid)
{
    AdaKernelThread *thread, *adopted;
    uint32_t index, other;

    if (old_tid == tgid) {
        find_thread(tgid, &index);
        return index;
    }
    thread = find_thread(old_tid, &index);
    if (!thread) {
        find_thread(tgid, &index);
        return index;
    }
    adopted = find_thread(tgid, &other);
    if (adopted) { /* under its new id, before we came */
        adopted->tid = 0;
        note_off_cpu(other);
        give_index_back(other);
    }
    bpf_map_update_elem(&thread_indices, &tgid, &index, BPF_ANY);
    bpf_map_delete_elem(&thread_indices, &old_tid);
    thread->tid = tgid;
    thread->own_tid = own_tid_of(task);
    thread->start_ns = BPF_CORE_READ(task, start_time);
    return index;
}

static __always_inline int handle_exec(struct task_struct *task, uint32_t tgid, uint32_t old_tid)
{
    AdaKernelLifecycle *record;
    bool watched = find_target(tgid) != NULL;
    uint32_t index = ADA_KERNEL_NO_INDEX;

    if (!watched && !knob_all_execs)
        return 0;
    if (watched)
        index = follow_thread(task, tgid, old_tid);
    record = reserve(sizeof(*record));
    if (!record)
        return 0;
    describe(record, ADA_KERNEL_EXEC, task, index);
    if (!watched)
        record->flags |= ADA_KERNEL_UNWATCHED;
    record->old_tid = old_tid;
    bpf_ringbuf_submit(record, 0);
    return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid)
{
    return handle_exec(task, (uint32_t)task->tgid, (uint32_t)old_pid);
}

SEC("raw_tp/sched_process_exec")
int BPF_PROG(on_exec_raw, struct task_struct *task, int old_pid)
{
    return handle_exec(task, (uint32_t)BPF_CORE_READ(task, tgid), (uint32_t)old_pid);
}

/* ---- exit ------------------------------------------------------------------------------------- */

/* Takes the thread's context out of the table: what it does until it leaves its CPU for the last time is not counted. */
static __always_inline void forget_thread(struct task_struct *task, uint32_t tid, uint64_t now,
                                          AdaKernelThread *out)
{
    AdaKernelThread *thread;
    uint32_t index;

    thread = find_thread(tid, &index);
    if (!thread) {
        if (out) {
            describe_thread(out, task);
            out->generation = 1;
            out->last_cpu = bpf_get_smp_processor_id();
            take_sums(out, task, now);
        }
        return;
    }
    if (follows_switches) {
        thread->state = ADA_KERNEL_RUNS; /* it does, even if we missed how it came to */
        enter_state(thread, ADA_KERNEL_UNKNOWN, now);
        thread->switches_voluntary = BPF_CORE_READ(task, nvcsw);
        thread->switches_involuntary = BPF_CORE_READ(task, nivcsw);
    } else {
        take_sums(thread, task, now);
        thread->last_cpu = bpf_get_smp_processor_id();
        thread->state = ADA_KERNEL_UNKNOWN;
    }
    if (out)
        *out = *thread;
    thread->tid = 0;
    note_off_cpu(index);
    /* Who deletes the entry gives the index back: user space may be at it, too (kernel_assist_unwatch()). */
    if (bpf_map_delete_elem(&thread_indices, &tid) == 0)
        give_index_back(index);
}

static __always_inline uint64_t leader_start_of(struct task_struct *task)
{
    return BPF_CORE_READ(task, group_leader, start_time);
}

/* It is, or was until just now when another of its threads was taken for the last one. */
static __always_inline bool is_watched(struct task_struct *task, uint32_t tgid)
{
    const uint64_t *leader_start;

    if (find_target(tgid))
        return true;
    leader_start = bpf_map_lookup_elem(&ended, &tgid);
    return leader_start && *leader_start == leader_start_of(task);
}

static __always_inline void end_target(struct task_struct *task, uint32_t tgid)
{
    uint64_t leader_start = leader_start_of(task);

    /*
     * In this order: who does not find it in is_watched() any more finds it here. x86 keeps the order of stores, and of loads there; where
     * it is not kept, an end may be missed that is seen when the process is gone.
     */
    bpf_map_update_elem(&ended, &tgid, &leader_start, BPF_ANY);
    if (bpf_map_delete_elem(&targets, &tgid) == 0)
        count_target(tgid, -1);
}

static __always_inline int handle_exit(struct task_struct *task, uint32_t tgid)
{
    uint32_t tid = (uint32_t)BPF_CORE_READ(task, pid);
    AdaKernelExit *record;
    bool last;

    if (!is_watched(task, tgid))
        return 0;
    last = BPF_CORE_READ(task, signal, live.counter) == 0;
    if (last)
        end_target(task, tgid);
    record = reserve(sizeof(*record));
    if (!record) {
        forget_thread(task, tid, bpf_ktime_get_ns(), NULL);
        return 0;
    }
    describe(&record->lifecycle, ADA_KERNEL_EXIT, task, ADA_KERNEL_NO_INDEX);
    record->lifecycle.exit_code = BPF_CORE_READ(task, exit_code);
    if (last)
        record->lifecycle.flags |= ADA_KERNEL_LAST;
    __builtin_memset(&record->thread, 0, sizeof(record->thread));
    forget_thread(task, tid, record->lifecycle.time_ns, &record->thread);
    bpf_ringbuf_submit(record, 0);
    return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
    return handle_exit(task, (uint32_t)task->tgid);
}

SEC("raw_tp/sched_process_exit")
int BPF_PROG(on_exit_raw, struct task_struct *task)
{
    return handle_exit(task, (uint32_t)BPF_CORE_READ(task, tgid));
}

/* ---- segments --------------------------------------------------------------------------------- */

/* A system call as its tracepoints tell of it: events/syscalls/.../format. */
struct call {
    uint64_t common;
    int64_t number;
    uint64_t value; /* enter: the first argument; exit: what it returns */
};

/* While it is entered the name may be in a page that was never touched, which cannot be read from here; the call itself brings it in. */
SEC("tracepoint/syscalls/sys_enter_memfd_create")
int on_memfd_enter(struct call *call)
{
    uint64_t thread = bpf_get_current_pid_tgid();
    uint64_t name = call->value;

    if (knob_all_segments || find_target((uint32_t)(thread >> 32)))
        bpf_map_update_elem(&memfd_names, &thread, &name, BPF_ANY);
    return 0;
}

static __always_inline bool is_segment_name(uint64_t address)
{
    static const char expected[] = ADA_SEGMENT_NAME;
    char name[sizeof(expected) + 1];

    if (bpf_probe_read_user_str(name, sizeof(name), (const void *)address) != (long)sizeof(expected))
        return false;
    for (unsigned i = 0; i < sizeof(expected); i++) {
        if (name[i] != expected[i])
            return false;
    }
    return true;
}

SEC("tracepoint/syscalls/sys_exit_memfd_create")
int on_memfd_exit(struct call *call)
{
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    uint64_t thread = bpf_get_current_pid_tgid();
    uint64_t *name = bpf_map_lookup_elem(&memfd_names, &thread);
    AdaKernelLifecycle *record;
    uint64_t address;

    if (!name)
        return 0;
    address = *name;
    bpf_map_delete_elem(&memfd_names, &thread);
    if ((int64_t)call->value < 0 || !is_segment_name(address))
        return 0;
    record = reserve(sizeof(*record));
    if (!record)
        return 0;
    describe(record, ADA_KERNEL_SEGMENT, task, ADA_KERNEL_NO_INDEX);
    record->descriptor = (int32_t)call->value;
    if (!find_target((uint32_t)(thread >> 32)))
        record->flags |= ADA_KERNEL_UNWATCHED;
    bpf_ringbuf_submit(record, 0);
    return 0;
}
