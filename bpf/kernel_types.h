/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The kernel's types as far as the programs use them. Offsets here mean nothing: they are adapted to the running kernel's
 * BTF when the programs are loaded (CO-RE), so that building needs neither that kernel nor its BTF.
 * A name with ___ and a suffix is another version's layout of the type before it.
 */
#ifndef ADA_BPF_KERNEL_TYPES_H
#define ADA_BPF_KERNEL_TYPES_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

#define PF_EXITING 0x4u           /* task_struct.flags */
#define TASK_UNINTERRUPTIBLE 0x2u /* task_struct.__state */
#define EEXIST 17                 /* of the helpers' errors */
#define ENOSPC 28
#define TASK_REPORT_MAX 0x100u /* what is not below stands for modifiers */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
    int counter;
} atomic_t;

struct upid {
    int nr;
};

struct pid {
    unsigned int level;
    struct upid numbers[1]; /* one per level */
};

struct signal_struct {
    atomic_t live; /* threads that have not begun to exit */
};

struct sched_entity {
    uint64_t sum_exec_runtime;
    uint64_t nr_migrations;
};

struct sched_info {
    unsigned long long run_delay;
};

struct thread_info {
    uint32_t cpu;
};

struct task_struct {
    struct thread_info thread_info;
    unsigned int __state;
    int on_cpu;
    struct sched_info sched_info;
    unsigned int flags;
    struct sched_entity se;
    int exit_code;
    int pid;
    int tgid;
    struct task_struct *group_leader;
    struct pid *thread_pid;
    unsigned long nvcsw;
    unsigned long nivcsw;
    uint64_t start_time;
    char comm[16];
    struct signal_struct *signal;
};

/* Before Linux 5.14. */
struct task_struct___state {
    long state;
};

/* Before Linux 5.16, and on some architectures. */
struct task_struct___cpu {
    unsigned int cpu;
};

/* Of a system call, by architecture: the first argument. */
struct pt_regs {
    unsigned long di; /* x86-64 */
};

struct pt_regs___x86 {
    unsigned long ax;
    unsigned long orig_ax;
};

struct user_pt_regs___arm64 {
    uint64_t regs[31];
};

struct pt_regs___arm64 {
    uint64_t orig_x0;
    int syscallno;
};

struct bpf_iter__task {
    struct task_struct *task; /* NULL: that was all */
};

#pragma clang attribute pop

#endif
