/* SPDX-License-Identifier: MIT */
/* Stands for kernel_assist.c and kernel_programs.c in a build without BPF: there is never a KernelAssist. */
#include "user/kernel/kernel_programs.h"

#include <errno.h>

#include "user/kernel/kernel_support.h"

int kernel_assist_create(const KernelAssistConfig *config, KernelAssist **assist_out,
                         char reason[KERNEL_REASON_SIZE])
{
    (void)config;
    (void)assist_out;
    return kernel_support_refuse(reason, -EOPNOTSUPP, "built without BPF");
}

int kernel_assist_adopt(const KernelHandles *handles, const KernelControl *control, KernelAssist **assist_out,
                        char reason[KERNEL_REASON_SIZE])
{
    (void)handles, (void)assist_out;
    control->destroy(control->context);
    return kernel_support_refuse(reason, -EOPNOTSUPP, "built without BPF");
}

void kernel_assist_destroy(KernelAssist *assist)
{
    (void)assist;
}

int kernel_programs_create(const KernelAssistConfig *config, KernelPrograms **programs_out,
                           char reason[KERNEL_REASON_SIZE])
{
    (void)config, (void)programs_out;
    return kernel_support_refuse(reason, -EOPNOTSUPP, "built without BPF");
}

void kernel_programs_destroy(KernelPrograms *programs)
{
    (void)programs;
}

int kernel_programs_follow(KernelPrograms *programs, bool follow)
{
    (void)programs, (void)follow;
    return -EOPNOTSUPP;
}

void kernel_programs_handles(const KernelPrograms *programs, KernelHandles *handles_out)
{
    (void)programs;
    *handles_out = (KernelHandles){.follows = false};
}

int kernel_assist_watch(KernelAssist *assist, pid_t pid, uint32_t flags)
{
    (void)assist, (void)pid, (void)flags;
    return -EOPNOTSUPP;
}

bool kernel_assist_tells_segments(const KernelAssist *assist)
{
    (void)assist;
    return false;
}

void kernel_assist_unwatch(KernelAssist *assist, pid_t pid)
{
    (void)assist, (void)pid;
}

int kernel_assist_follow(KernelAssist *assist, bool follow)
{
    (void)assist;
    (void)follow;
    return -EOPNOTSUPP;
}

bool kernel_assist_follows(const KernelAssist *assist)
{
    (void)assist;
    return false;
}

void kernel_assist_look(const KernelAssist *assist)
{
    (void)assist;
}

bool kernel_assist_is_watched(const KernelAssist *assist, pid_t pid)
{
    (void)assist, (void)pid;
    return false;
}

int kernel_assist_lifecycle_fd(const KernelAssist *assist)
{
    (void)assist;
    return -1;
}

int kernel_assist_sched_fd(const KernelAssist *assist)
{
    (void)assist;
    return -1;
}

void kernel_assist_consume_lifecycle(KernelAssist *assist, kernel_lifecycle_fn on_record, void *context)
{
    (void)assist, (void)on_record, (void)context;
}

void kernel_assist_consume_sched(KernelAssist *assist, uint32_t most, kernel_sched_fn on_record, void *context)
{
    (void)assist, (void)most, (void)on_record, (void)context;
}

void kernel_assist_counters(const KernelAssist *assist, AdaKernelCounters *sum_out)
{
    (void)assist;
    *sum_out = (AdaKernelCounters){0};
}

bool kernel_assist_find_thread(const KernelAssist *assist, uint32_t tid, uint64_t start_ns, AdaKernelThread *out)
{
    (void)assist, (void)tid, (void)start_ns, (void)out;
    return false;
}

uint32_t kernel_assist_index_of(const KernelAssist *assist, uint32_t tid)
{
    (void)assist, (void)tid;
    return ADA_KERNEL_NO_INDEX;
}

void kernel_assist_thread_at(const KernelAssist *assist, uint32_t index, AdaKernelThread *out)
{
    (void)assist, (void)index;
    *out = (AdaKernelThread){0};
}

uint32_t kernel_assist_words(const KernelAssist *assist)
{
    (void)assist;
    return 0;
}

uint64_t kernel_assist_take_on_cpu(KernelAssist *assist, uint32_t word)
{
    (void)assist, (void)word;
    return 0;
}
