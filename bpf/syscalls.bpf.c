// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * System calls of watched processes: a record when a thread enters one, and another when it leaves it. They share the scheduler's ring,
 * so that all that happens to a thread comes in its order.
 *
 * Attached only if somebody wants them, as each system call of every process takes the kernel's slow way then.
 */
#include "sched_ring.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static __always_inline bool is_recorded(long number)
{
    return (unsigned long)number < ADA_KERNEL_SYSCALLS &&
           (knob_syscalls[(unsigned long)number / 64 % (ADA_KERNEL_SYSCALLS / 64)] >>
                ((unsigned long)number % 64) &
            1) != 0;
}

static __always_inline uint64_t first_argument(struct pt_regs *regs)
{
    struct pt_regs___arm64 *arm = (void *)regs;

    if (bpf_core_field_exists(regs->di))
        return BPF_CORE_READ(regs, di);
    return bpf_core_field_exists(arm->orig_x0) ? BPF_CORE_READ(arm, orig_x0) : 0;
}

static __always_inline int handle_enter(struct pt_regs *regs, long number)
{
    uint64_t ids = bpf_get_current_pid_tgid();

    if (is_recorded(number) && find_target((uint32_t)(ids >> 32)))
        put_call(ADA_KERNEL_SYSCALL_ENTER, ids, (uint32_t)number, first_argument(regs));
    return 0;
}

static __always_inline int handle_leave(long number, long result)
{
    uint64_t ids = bpf_get_current_pid_tgid();

    if (is_recorded(number) && find_target((uint32_t)(ids >> 32)))
        put_call(ADA_KERNEL_SYSCALL_EXIT, ids, (uint32_t)number, (uint64_t)result);
    return 0;
}

/* The number of the call that is being left. */
static __always_inline long number_of(struct pt_regs *regs)
{
    struct pt_regs___x86 *x86 = (void *)regs;
    struct pt_regs___arm64 *arm = (void *)regs;

    if (bpf_core_field_exists(x86->orig_ax))
        return (long)BPF_CORE_READ(x86, orig_ax);
    return bpf_core_field_exists(arm->syscallno) ? (long)BPF_CORE_READ(arm, syscallno) : -1;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_sys_enter, struct pt_regs *regs, long number)
{
    return handle_enter(regs, number);
}

SEC("raw_tp/sys_enter")
int BPF_PROG(on_sys_enter_raw, struct pt_regs *regs, long number)
{
    return handle_enter(regs, number);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long result)
{
    return handle_leave(number_of(regs), result);
}

SEC("raw_tp/sys_exit")
int BPF_PROG(on_sys_exit_raw, struct pt_regs *regs, long result)
{
    return handle_leave(number_of(regs), result);
}
