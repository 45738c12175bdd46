/* SPDX-License-Identifier: MIT */
/*
 * Which quiet threads were on a CPU, for the drain: those that were not need not be looked at.
 *
 * The kernel keeps a bitmap by places of its own (shared/kernel_abi.h). Here each place leads to the thread that is drained;
 * taking one word of the bitmap tells of 64 threads at a time. Belongs to the drain thread.
 */
#ifndef ADA_COLLECTOR_KERNEL_HINTS_H
#define ADA_COLLECTOR_KERNEL_HINTS_H

#include "user/drain/thread_drain_state.h"
#include "user/kernel/kernel_assist.h"

typedef struct KernelHints {
    KernelAssist *assist;       /* NULL: nobody knows who ran */
    ThreadDrainState **threads; /* by place; NULL: nobody that we know */
} KernelHints;

/* `assist` may be NULL. -ENOMEM. */
int kernel_hints_init(KernelHints *hints, KernelAssist *assist);
void kernel_hints_fini(KernelHints *hints);

/* A thread of process `pid`, both in the initial pid namespace, is drained from now on; and no longer. */
void kernel_hints_found(KernelHints *hints, ThreadDrainState *state, uint32_t pid);
void kernel_hints_left(KernelHints *hints, const ThreadDrainState *state);

/* Whether the thread was on a CPU since this was last asked; true if that is not known. */
bool kernel_hints_has_run(KernelHints *hints, ThreadDrainState *state);

/*
 * The thread's context, as of now. False: the kernel tells nothing of it. A thread that was not on a CPU since its process
 * is watched gets one when it is: so it is asked for again.
 */
bool kernel_hints_context(KernelHints *hints, ThreadDrainState *state, uint32_t pid,
                          AdaKernelThread *context_out);

#endif
