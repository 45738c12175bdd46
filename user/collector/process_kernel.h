/* SPDX-License-Identifier: MIT */
/*
 * The threads of one process as the kernel tells of them: which slot has a thread, by its id; ends that wait for their
 * slot to be drained; memory for threads that are about to be born.
 *
 * Without kernel assistance there is none of it, and the functions do nothing. Belongs to the drain thread.
 */
#ifndef ADA_COLLECTOR_PROCESS_KERNEL_H
#define ADA_COLLECTOR_PROCESS_KERNEL_H

#include <stdbool.h>

#include "user/collector/kernel_events.h"
#include "user/lane/segment.h"

#define PROCESS_KERNEL_NO_SLOT UINT32_MAX

typedef struct ProcessKernel {
    const Segment *segment;
    uint16_t *heads; /* by hash of a thread's id: slot + 1 of the first one; NULL: no kernel assistance */
    uint16_t *next;  /* by slot: slot + 1 of the next one with that hash */
    uint32_t *tids;  /* by slot; 0: nobody known there */
    KernelEvent **exit_of;            /* by slot; NULL: its thread has not ended */
    KernelEvents exits;               /* whose threads were not looked for yet */
    uint64_t ready[ADA_BITMAP_WORDS]; /* slots whose first pages are in place */
    uint32_t births;                  /* threads whose slots were not provided for yet */
    uint64_t found_ready;             /* threads that found their slot so */
    uint64_t found_bare;
} ProcessKernel;

/* The segment stays the caller's, and where it is. -ENOMEM. */
int process_kernel_init(ProcessKernel *kernel, const Segment *segment);
void process_kernel_fini(ProcessKernel *kernel);

/* A thread was found in a slot, and left it. The end of who left is the caller's to free(3); NULL: none was told. */
void process_kernel_found(ProcessKernel *kernel, uint32_t slot, uint32_t tid);
KernelEvent *process_kernel_left(ProcessKernel *kernel, uint32_t slot);

/* The slot of a thread, or PROCESS_KERNEL_NO_SLOT. */
uint32_t process_kernel_find(const ProcessKernel *kernel, uint32_t tid);

/*
 * Provides for threads that were born, and for some more: allocates the first pages of the slots that they will take, a
 * few per call.
 */
void process_kernel_provide(ProcessKernel *kernel);

#endif
