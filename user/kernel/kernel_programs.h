/* SPDX-License-Identifier: MIT */
/*
 * The part of kernel assistance that takes rights (CAP_BPF, CAP_PERFMON; CAP_SYS_ADMIN for functions): programs are loaded, attached and
 * detached. What it hands out are descriptors, which may be used by who has no rights: kernel_assist_adopt(), here or in another process.
 *
 * One thread uses it at a time. Functions return 0 or -errno, and print nothing.
 */
#ifndef ADA_KERNEL_KERNEL_PROGRAMS_H
#define ADA_KERNEL_KERNEL_PROGRAMS_H

#include "user/kernel/kernel_assist.h"

typedef struct KernelPrograms KernelPrograms;

/* As kernel_assist_create(). */
int kernel_programs_create(const KernelAssistConfig *config, KernelPrograms **programs_out,
                           char reason[KERNEL_REASON_SIZE]);

/* Detaches. NULL is allowed. */
void kernel_programs_destroy(KernelPrograms *programs);

/* Attaches those of switches and wakeups, or detaches them. Errors of bpf(2): they are detached. */
int kernel_programs_follow(KernelPrograms *programs, bool follow);

/* The descriptors stay the programs'. */
void kernel_programs_handles(const KernelPrograms *programs, KernelHandles *handles_out);

#endif
