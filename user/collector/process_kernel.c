/* SPDX-License-Identifier: MIT */
#include "user/collector/process_kernel.h"

#include <errno.h>
#include <stdlib.h>

#include "user/lane/atomic.h"

#define HASH_SIZE 1024u /* ids of threads come in sequence, so that they spread by themselves */
#define SLOTS_AHEAD 4u
#define SLOTS_AHEAD_MAX 64u
#define SLOTS_PER_CALL 8u /* 10 us each, and the drain waits */

int process_kernel_init(ProcessKernel *kernel, const Segment *segment)
{
    uint32_t slots = segment->geometry.slot_capacity;

    kernel->segment = segment;
    kernel->births = 1; /* the one that is there from the start */
    kernel->heads = calloc(HASH_SIZE, sizeof(kernel->heads[0]));
    kernel->next = calloc(slots, sizeof(kernel->next[0]));
    kernel->tids = calloc(slots, sizeof(kernel->tids[0]));
    kernel->exit_of = calloc(slots, sizeof(KernelEvent *));
    if (kernel->heads && kernel->next && kernel->tids && kernel->exit_of)
        return 0;
    process_kernel_fini(kernel);
    return -ENOMEM;
}

void process_kernel_fini(ProcessKernel *kernel)
{
    for (uint32_t slot = 0; kernel->exit_of && slot < kernel->segment->geometry.slot_capacity; slot++)
        free(kernel->exit_of[slot]);
    kernel_events_free(&kernel->exits);
    free(kernel->heads);
    free(kernel->next);
    free(kernel->tids);
    free(kernel->exit_of);
    *kernel = (ProcessKernel){0};
}

void process_kernel_found(ProcessKernel *kernel, uint32_t slot, uint32_t tid)
{
    uint64_t bit = 1ull << slot % 64;

    if (!kernel->heads)
        return;
    if (kernel->ready[slot / 64] & bit)
        kernel->found_ready++;
    else
        kernel->found_bare++;
    kernel->ready[slot / 64] |= bit; /* once used, its pages stay */
    kernel->tids[slot] = tid;
    kernel->next[slot] = kernel->heads[tid % HASH_SIZE];
    kernel->heads[tid % HASH_SIZE] = (uint16_t)(slot + 1);
}

KernelEvent *process_kernel_left(ProcessKernel *kernel, uint32_t slot)
{
    KernelEvent *exit;
    uint16_t *link;

    if (!kernel->heads || kernel->tids[slot] == 0)
        return NULL;
    link = &kernel->heads[kernel->tids[slot] % HASH_SIZE];
    while (*link != 0 && *link != slot + 1)
        link = &kernel->next[*link - 1];
    if (*link != 0)
        *link = kernel->next[slot];
    kernel->tids[slot] = 0;
    exit = kernel->exit_of[slot];
    kernel->exit_of[slot] = NULL;
    return exit;
}

uint32_t process_kernel_find(const ProcessKernel *kernel, uint32_t tid)
{
    uint32_t next = kernel->heads ? kernel->heads[tid % HASH_SIZE] : 0;

    while (next != 0 && kernel->tids[next - 1] != tid)
        next = kernel->next[next - 1];
    return next != 0 ? next - 1 : PROCESS_KERNEL_NO_SLOT;
}

/* Makes ready up to `most` of the first `wanted` free slots. False: there is more to do. */
static bool provide(ProcessKernel *kernel, uint32_t wanted, uint32_t most)
{
    const Segment *segment = kernel->segment;
    uint32_t words = (segment->geometry.slot_capacity + 63) / 64;

    for (uint32_t word = 0; word < words; word++) {
        /* Threads claim the lowest free slot. Relaxed: who takes it meanwhile has its pages all the same. */
        uint64_t bits = ada_load_relaxed(&segment_registry(segment)->free_slots[word]);

        for (; bits != 0 && wanted > 0; bits &= bits - 1, wanted--) {
            uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);

            if (slot >= segment->geometry.slot_capacity || kernel->ready[word] & 1ull << slot % 64)
                continue;
            if (most-- == 0)
                return false;
            (void)segment_prefault_slot_start(segment, slot); /* only a matter of speed */
            kernel->ready[word] |= 1ull << slot % 64;
        }
    }
    return true;
}

void process_kernel_provide(ProcessKernel *kernel)
{
    uint32_t births = kernel->births < SLOTS_AHEAD_MAX ? kernel->births : SLOTS_AHEAD_MAX;

    if (births > 0 && provide(kernel, SLOTS_AHEAD + births, SLOTS_PER_CALL))
        kernel->births = 0;
}
