/* SPDX-License-Identifier: MIT */
/* Kernel assistance by whoever may load programs: the opener, if there is one, or this process. */
#ifndef ADA_ACCESS_KERNEL_ACCESS_H
#define ADA_ACCESS_KERNEL_ACCESS_H

#include "user/kernel/kernel_assist.h"

/* As kernel_assist_create(), but for config->raw_tracepoints and btf, which are for tests and not passed on. */
int kernel_access_create(const KernelAssistConfig *config, KernelAssist **assist_out,
                         char reason[KERNEL_REASON_SIZE]);

#endif
