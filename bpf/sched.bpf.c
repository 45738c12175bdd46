// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * When threads of watched processes run and why they do not: contexts, the bitmap of those that were on a CPU and, if
 * wanted, records of switches and wakeups. As in lifecycle.bpf.c each event has two programs.
 *
 * They cost all processes something at each switch, even those that nobody watches, so they are attached only while somebody wants
 * what only they can tell (kernel_assist_follow()). Otherwise the kernel's own sums are looked at now and then.
 */
#include "sched_ring.h"
#include "thread_table.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* ---- records ---------------------------------------------------------------------------------- */

static __always_inline bool is_wanted(uint32_t type, uint64_t duration)
{
    if (!knob_sched_records)
        return false;
    if (type == ADA_KERNEL_WAKEUP)
        return duration >= knob_off_cpu_ns;
    if (type == ADA_KERNEL_SWITCH_IN)
        return duration >= knob_runqueue_ns;
    return knob_off_cpu_ns == 0 && knob_runqueue_ns == 0;
}

static __always_inline void put_record(const AdaKernelThread *thread, uint32_t type, uint64_t now,
                                       uint32_t other_tid, uint64_t duration)
{
    AdaKernelSched *record = is_wanted(type, duration) ? reserve_sched() : NULL;

    if (!record)
        return;
    record->type = type;
    record->cpu = bpf_get_smp_processor_id();
    record->time_ns = now;
    record->tid = thread->tid;
    record->tgid = thread->tgid;
    record->other_tid = other_tid;
    record->state = thread->state;
    record->duration_ns = duration;
    submit_sched(record);
}

/* ---- switch ----------------------------------------------------------------------------------- */

static __always_inline uint32_t state_of(struct task_struct *task)
{
    struct task_struct___state *old = (void *)task;

    if (bpf_core_field_exists(task->__state))
        return BPF_CORE_READ(task, __state);
    return (uint32_t)BPF_CORE_READ(old, state);
}

static __always_inline uint32_t cpu_of(struct task_struct *task)
{
    struct task_struct___cpu *old = (void *)task;

    if (bpf_core_field_exists(task->thread_info.cpu))
        return BPF_CORE_READ(task, thread_info.cpu);
    return bpf_core_field_exists(old->cpu) ? BPF_CORE_READ(old, cpu) : ADA_KERNEL_NO_INDEX;
}

static __always_inline void note_cpu(AdaKernelThread *thread)
{
    uint32_t cpu = bpf_get_smp_processor_id();

    if (thread->last_cpu != cpu && thread->last_cpu != ADA_KERNEL_NO_INDEX)
        thread->migrations++;
    thread->last_cpu = cpu;
}

/*
 * A thread may leave a CPU that it was not seen to enter: of threads that move themselves from CPU to CPU on a busy machine, Linux 6.18
 * traces one in some 4,000 such switches to nobody (13 in 53,000; two observers miss the same one). How long it ran is not known then.
 */
static __always_inline void leave_cpu(struct task_struct *task, uint32_t tid, uint32_t next_tid, uint32_t why)
{
    uint64_t now = bpf_ktime_get_ns();
    uint32_t index;
    AdaKernelThread *thread = find_or_adopt_thread(task, tid, &index);
    bool was_seen;
    uint64_t time;

    if (!thread)
        return;
    was_seen = thread->state == ADA_KERNEL_RUNS;
    time = enter_state(thread, why, now);
    note_cpu(thread);
    thread->switches_voluntary = BPF_CORE_READ(task, nvcsw);
    thread->switches_involuntary = BPF_CORE_READ(task, nivcsw);
    note_off_cpu(index);
    put_record(thread, ADA_KERNEL_SWITCH_OUT, now, next_tid, was_seen ? time : 0);
}

static __always_inline void enter_cpu(struct task_struct *task, uint32_t tid, uint32_t prev_tid)
{
    uint64_t now = bpf_ktime_get_ns();
    uint32_t index;
    AdaKernelThread *thread = find_or_adopt_thread(task, tid, &index);
    uint64_t waited;

    if (!thread)
        return;
    note_cpu(thread);
    waited = enter_state(thread, ADA_KERNEL_RUNS, now);
    note_on_cpu(index);
    put_record(thread, ADA_KERNEL_SWITCH_IN, now, prev_tid, waited);
}

/* What a thread does that leaves its CPU. */
static __always_inline uint32_t reason_of(bool preempted, uint32_t state)
{
    if (preempted || (state & (TASK_REPORT_MAX - 1)) == 0)
        return ADA_KERNEL_PREEMPTED;
    return state & TASK_UNINTERRUPTIBLE ? ADA_KERNEL_BLOCKED : ADA_KERNEL_SLEEPS;
}

SEC("tp_btf/sched_switch")
int on_switch(uint64_t *arguments)
{
    struct task_struct *prev = (void *)arguments[1];
    struct task_struct *next = (void *)arguments[2];

    if (find_target((uint32_t)prev->tgid)) {
        uint32_t state = knob_switch_has_state ? (uint32_t)arguments[3] : state_of(prev);

        leave_cpu(prev, (uint32_t)prev->pid, (uint32_t)next->pid, reason_of(arguments[0], state));
    }
    if (find_target((uint32_t)next->tgid))
        enter_cpu(next, (uint32_t)next->pid, (uint32_t)prev->pid);
    return 0;
}

SEC("raw_tp/sched_switch")
int on_switch_raw(struct bpf_raw_tracepoint_args *context)
{
    struct task_struct *prev = (void *)context->args[1];
    struct task_struct *next = (void *)context->args[2];
    uint32_t prev_tid = (uint32_t)BPF_CORE_READ(prev, pid);
    uint32_t next_tid = (uint32_t)BPF_CORE_READ(next, pid);

    if (find_target((uint32_t)BPF_CORE_READ(prev, tgid))) {
        uint32_t state = knob_switch_has_state ? (uint32_t)context->args[3] : state_of(prev);

        leave_cpu(prev, prev_tid, next_tid, reason_of(context->args[0], state));
    }
    if (find_target((uint32_t)BPF_CORE_READ(next, tgid)))
        enter_cpu(next, next_tid, prev_tid);
    return 0;
}

/* ---- wakeup ----------------------------------------------------------------------------------- */

/* Not for new threads (sched_wakeup_new): they are runnable since their fork. */
static __always_inline int handle_wakeup(struct task_struct *task, uint32_t tgid)
{
    AdaKernelThread *thread;
    uint64_t now, slept;
    uint32_t index;

    if (!find_target(tgid))
        return 0;
    thread = find_or_adopt_thread(task, (uint32_t)BPF_CORE_READ(task, pid), &index);
    if (!thread)
        return 0;
    /* Woken before it had left its CPU: it never slept. */
    if (thread->state == ADA_KERNEL_RUNS || thread->state == ADA_KERNEL_RUNNABLE ||
        thread->state == ADA_KERNEL_PREEMPTED)
        return 0;
    now = bpf_ktime_get_ns();
    slept = enter_state(thread, ADA_KERNEL_RUNNABLE, now);
    thread->wakeups++;
    put_record(thread, ADA_KERNEL_WAKEUP, now, (uint32_t)bpf_get_current_pid_tgid(), slept);
    return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(on_wakeup, struct task_struct *task)
{
    return handle_wakeup(task, (uint32_t)task->tgid);
}

SEC("raw_tp/sched_wakeup")
int BPF_PROG(on_wakeup_raw, struct task_struct *task)
{
    return handle_wakeup(task, (uint32_t)BPF_CORE_READ(task, tgid));
}

/* ---- looking -------------------------------------------------------------------------------- */

/*
 * Every thread there is. Who is on a CPU gets its bit: the bitmap is whole when this comes after the programs above were attached,
 * as who comes on a CPU later is seen by them.
 */
SEC("iter/task")
int on_task(struct bpf_iter__task *context)
{
    struct task_struct *task = context->task;
    AdaKernelThread *thread;
    uint32_t index;

    if (!task || !find_target((uint32_t)task->tgid))
        return 0;
    thread = find_or_adopt_thread(task, (uint32_t)task->pid, &index);
    if (!thread)
        return 0;
    if (!follows_switches) {
        uint32_t state = state_of(task);

        take_sums(thread, task, bpf_ktime_get_ns());
        thread->last_cpu = cpu_of(task);
        thread->since_ns = 0; /* not known */
        if (task->on_cpu)
            thread->state = ADA_KERNEL_RUNS;
        else
            thread->state = state == 0 ? ADA_KERNEL_RUNNABLE : reason_of(false, state);
    }
    if (task->on_cpu)
        note_on_cpu(index);
    return 0;
}
