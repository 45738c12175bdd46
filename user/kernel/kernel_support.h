/* SPDX-License-Identifier: MIT */
/* What BPF needs of this kernel and of this process, and what to tell the user when it is not there. */
#ifndef ADA_KERNEL_KERNEL_SUPPORT_H
#define ADA_KERNEL_KERNEL_SUPPORT_H

#include "user/kernel/kernel_assist.h"

/* 0, or -errno and *reason. `btf`: where the kernel's BTF is. */
int kernel_support_check(const char *btf, char reason[KERNEL_REASON_SIZE]);

/* A reason, formatted; returns `error`. */
int kernel_support_refuse(char reason[KERNEL_REASON_SIZE], int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
