/* SPDX-License-Identifier: MIT */
#include "user/collector/kernel_hints.h"

#include <errno.h>
#include <stdlib.h>

int kernel_hints_init(KernelHints *hints, KernelAssist *assist)
{
    *hints = (KernelHints){.assist = assist};
    if (!assist)
        return 0;
    hints->threads = calloc(ADA_KERNEL_THREADS, sizeof(ThreadDrainState *));
    return hints->threads ? 0 : -ENOMEM;
}

void kernel_hints_fini(KernelHints *hints)
{
    free(hints->threads);
    *hints = (KernelHints){0};
}

void kernel_hints_found(KernelHints *hints, ThreadDrainState *state, uint32_t pid)
{
    AdaKernelThread thread;
    uint32_t index;

    state->kernel_index = ADA_KERNEL_NO_INDEX;
    if (!hints->assist)
        return;
    index = kernel_assist_index_of(hints->assist, state->tid);
    if (index == ADA_KERNEL_NO_INDEX)
        return;
    kernel_assist_thread_at(hints->assist, index, &thread);
    if (thread.tgid != pid || thread.own_tid != state->tid)
        return; /* what the program says of its threads is not so, or not so in our namespace */
    state->kernel_index = index;
    state->ran = true;
    hints->threads[index] = state;
}

void kernel_hints_left(KernelHints *hints, const ThreadDrainState *state)
{
    if (hints->threads && state->kernel_index != ADA_KERNEL_NO_INDEX &&
        hints->threads[state->kernel_index] == state)
        hints->threads[state->kernel_index] = NULL;
}

bool kernel_hints_has_run(KernelHints *hints, ThreadDrainState *state)
{
    uint32_t word = state->kernel_index / 64;
    bool ran;

    /* Its place may be another's by now, when it has ended: then it is looked at for the last time anyway. */
    if (!hints->threads || !kernel_assist_follows(hints->assist) ||
        state->kernel_index == ADA_KERNEL_NO_INDEX || hints->threads[state->kernel_index] != state)
        return true;
    for (uint64_t bits = kernel_assist_take_on_cpu(hints->assist, word); bits != 0; bits &= bits - 1) {
        ThreadDrainState *other = hints->threads[word * 64 + (uint32_t)__builtin_ctzll(bits)];

        if (other)
            other->ran = true;
    }
    ran = state->ran;
    state->ran = false; /* the caller looks at it now, after the bit was taken: so nothing is missed */
    return ran;
}

bool kernel_hints_context(KernelHints *hints, ThreadDrainState *state, uint32_t pid,
                          AdaKernelThread *context_out)
{
    if (!hints->threads)
        return false;
    if (state->kernel_index == ADA_KERNEL_NO_INDEX)
        kernel_hints_found(hints, state, pid);
    if (state->kernel_index == ADA_KERNEL_NO_INDEX || hints->threads[state->kernel_index] != state)
        return false;
    kernel_assist_thread_at(hints->assist, state->kernel_index, context_out);
    return context_out->own_tid == state->tid &&
           context_out->tid != 0; /* else it has ended, and its place is another's */
}
