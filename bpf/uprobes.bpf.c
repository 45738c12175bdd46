// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Functions of programs and libraries that were asked for: a record when a thread of a watched process calls one, and another when it
 * returns. The cookie of an attachment says which one it is.
 */
#include "sched_ring.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

static __always_inline int handle(void *context, uint32_t type, uint64_t value)
{
    uint64_t ids = bpf_get_current_pid_tgid();

    if (find_target((uint32_t)(ids >> 32)))
        put_call(type, ids, (uint32_t)bpf_get_attach_cookie(context), value);
    return 0;
}

SEC("uprobe")
int on_call(struct pt_regs *regs)
{
    struct user_pt_regs___arm64 *arm = (void *)regs;
    uint64_t argument = 0;

    if (bpf_core_field_exists(regs->di))
        argument = BPF_CORE_READ(regs, di);
    else if (bpf_core_field_exists(arm->regs))
        argument = BPF_CORE_READ(arm, regs[0]);
    return handle(regs, ADA_KERNEL_UPROBE, argument);
}

SEC("uretprobe")
int on_return(struct pt_regs *regs)
{
    struct pt_regs___x86 *x86 = (void *)regs;
    struct user_pt_regs___arm64 *arm = (void *)regs;
    uint64_t result = 0;

    if (bpf_core_field_exists(x86->ax))
        result = BPF_CORE_READ(x86, ax);
    else if (bpf_core_field_exists(arm->regs))
        result = BPF_CORE_READ(arm, regs[0]);
    return handle(regs, ADA_KERNEL_URETPROBE, result);
}
