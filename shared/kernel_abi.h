/* SPDX-License-Identifier: MIT */
/*
 * What the BPF programs (bpf/) and user space (user/kernel/) share: records of two ring buffers, and the values of
 * maps that are mapped into memory. Data only.
 *
 * Programs and their reader are built together and loaded together, so there is no version: the layout is asserted, and
 * that is all. Times are CLOCK_MONOTONIC in ns. Ids of processes and threads are those of the initial pid namespace,
 * unless a name says otherwise. A thread is its id and its birth (`tid`, `start_ns`): ids are used again.
 */
#ifndef ADA_SHARED_KERNEL_ABI_H
#define ADA_SHARED_KERNEL_ABI_H

#include "event_abi.h"

#define ADA_KERNEL_TARGETS 8192u  /* processes that can be watched at a time */
#define ADA_KERNEL_FILTER 65536u  /* counters that tell who is not watched: by tgid modulo this */
#define ADA_KERNEL_THREADS 16384u /* threads of them that have a context */
#define ADA_KERNEL_WORDS (ADA_KERNEL_THREADS / 64u)
#define ADA_KERNEL_NO_INDEX 0xffffffffu

/* AdaKernelTarget.flags */
#define ADA_KERNEL_WITH_CHILDREN \
    0x1u /* processes that it forks are watched from their first instant, the same way */

/* A watched process; written by user space and, for children, by fork. */
typedef struct AdaKernelTarget {
    uint32_t flags;
    uint32_t reserved;
} AdaKernelTarget;
ADA_ABI_ASSERT(sizeof(AdaKernelTarget) == 8, "");

/* AdaKernelThread.state: what the thread does since `since_ns`. */
#define ADA_KERNEL_UNKNOWN 0u  /* not seen yet */
#define ADA_KERNEL_RUNS 1u     /* on a CPU */
#define ADA_KERNEL_RUNNABLE 2u /* wants one, since it was woken or born */
#define ADA_KERNEL_PREEMPTED 3u
#define ADA_KERNEL_SLEEPS 4u  /* interruptible: waits for others */
#define ADA_KERNEL_BLOCKED 5u /* uninterruptible: mostly for a disk */
#define ADA_KERNEL_STATES 6u

/*
 * One thread's scheduler context, in an array that user space maps. Written by BPF, under the kernel's own
 * locks of the thread, but that user space clears `tid` of who is watched no more; a reader sees whole numbers, though not all of the same instant.
 * Sums are of what was seen while switches were followed, but for those that the kernel keeps itself. While they are not, all
 * is as of the last kernel_assist_look(), since_ns is 0, and sleep_ns has all the time off a CPU that is not known to be otherwise.
 */
typedef struct AdaKernelThread {
    uint32_t tid; /* 0: nobody has this place */
    uint32_t tgid;
    uint32_t own_tid;    /* in its own pid namespace: what the program knows it by */
    uint32_t generation; /* one more with each thread that takes this place; 0: none ever did */
    uint64_t start_ns;
    uint32_t last_cpu;
    uint32_t state; /* ADA_KERNEL_* */
    uint64_t since_ns;
    uint64_t run_ns;       /* on CPUs, since its birth; without the time since since_ns, if it runs */
    uint64_t runqueue_ns;  /* runnable, and on none */
    uint64_t preempted_ns; /* the part of it after preemption */
    uint64_t sleep_ns;     /* off CPU, until woken */
    uint64_t blocked_ns;
    uint64_t switches_voluntary; /* since its birth */
    uint64_t switches_involuntary;
    uint64_t migrations; /* it ran on another CPU than before */
    uint64_t wakeups;
    uint64_t reserved;
} AdaKernelThread;
ADA_ABI_ASSERT(sizeof(AdaKernelThread) == 120, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaKernelThread, generation) == 12, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaKernelThread, start_ns) == 16, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaKernelThread, since_ns) == 32, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaKernelThread, switches_voluntary) == 80, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaKernelThread, wakeups) == 104, "");

/*
 * Which of 64 threads, by their places in that array, were on a CPU. BPF sets both bits when a thread goes on a CPU;
 * when it leaves, it sets `ran` and then clears `runs`. A reader takes `ran` (exchange with 0) and then reads `runs`: the
 * two together are all that ran since it last did so.
 */
typedef struct AdaKernelOnCpu {
    uint64_t ran;
    uint64_t runs;
} AdaKernelOnCpu;
ADA_ABI_ASSERT(sizeof(AdaKernelOnCpu) == 16, "");

/* Per CPU; each is advanced by BPF on that CPU, and read by user space. attempted = in the ring + lost. */
typedef struct AdaKernelCounters {
    uint64_t lifecycle_attempted;
    uint64_t lifecycle_lost; /* the ring was full */
    uint64_t sched_attempted;
    uint64_t sched_lost;
    uint64_t threads_refused; /* no place in the array: lifecycle only */
    uint64_t targets_refused; /* children that are not watched for want of room */
} AdaKernelCounters;
ADA_ABI_ASSERT(sizeof(AdaKernelCounters) == 48, "");

/* AdaKernelLifecycle.type */
#define ADA_KERNEL_FORK 1u    /* a thread was born, maybe with a process of its own; it has not run yet */
#define ADA_KERNEL_EXEC 2u    /* the process runs another program; all its other threads have exited */
#define ADA_KERNEL_EXIT 3u    /* the thread will not return to its program; an AdaKernelExit */
#define ADA_KERNEL_SEGMENT 4u /* the process has made the memfd of a segment, with nothing in it yet */

/* AdaKernelLifecycle.flags */
#define ADA_KERNEL_NEW_PROCESS 0x1u /* fork: `tgid` is new, too */
#define ADA_KERNEL_LAST \
    0x2u /* exit: all threads of the process are ending; it is watched no more. Several may say so */

#define ADA_KERNEL_UNWATCHED 0x4u /* exec, segment: of a process that nobody watches (yet) */

/* A record of the lifecycle ring. */
typedef struct AdaKernelLifecycle {
    uint32_t type;
    uint32_t flags;
    uint64_t time_ns;
    uint64_t start_ns;
    uint32_t tid;
    uint32_t tgid;
    uint32_t own_tid;
    uint32_t index;       /* in the array of threads, or ADA_KERNEL_NO_INDEX */
    uint32_t parent_tgid; /* fork: the process that forked */
    uint32_t old_tid;     /* exec: the thread's id before; it has `tid` = `tgid` now */
    union {
        int32_t exit_code;  /* exit: as of wait(2) */
        int32_t descriptor; /* segment: the number that it has in the process */
    };
    uint32_t cpu;
    char name[16]; /* NUL-terminated */
} AdaKernelLifecycle;
ADA_ABI_ASSERT(sizeof(AdaKernelLifecycle) == 72, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaKernelLifecycle, time_ns) == 8, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaKernelLifecycle, tid) == 24, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaKernelLifecycle, exit_code) == 48, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaKernelLifecycle, descriptor) == 48, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaKernelLifecycle, name) == 56, "");

/* An exit has the thread's last context with it: its place in the array may be another's already. */
typedef struct AdaKernelExit {
    AdaKernelLifecycle lifecycle;
    AdaKernelThread thread; /* generation 0: it had none */
} AdaKernelExit;
ADA_ABI_ASSERT(sizeof(AdaKernelExit) == 192, "");

/* AdaKernelSched.type */
#define ADA_KERNEL_SWITCH_IN 1u     /* `duration_ns`: how long it was runnable before */
#define ADA_KERNEL_SWITCH_OUT 2u    /* `duration_ns`: how long it ran */
#define ADA_KERNEL_WAKEUP 3u        /* `duration_ns`: how long it had slept or been blocked */
#define ADA_KERNEL_SYSCALL_ENTER 4u /* an AdaKernelCall */
#define ADA_KERNEL_SYSCALL_EXIT 5u  /* the same */

/* A record of the scheduler ring. */
typedef struct AdaKernelSched {
    uint32_t type;
    uint32_t cpu;
    uint64_t time_ns;
    uint32_t tid;
    uint32_t tgid;
    uint32_t other_tid; /* wakeup: who woke it, 0 from an interrupt of an idle CPU; switch: who had the CPU before, or has it now */
    uint32_t state; /* ADA_KERNEL_* that it is in from now on */
    uint64_t duration_ns;
} AdaKernelSched;
#define ADA_KERNEL_UPROBE 6u    /* the same: a function that was asked for was called */
#define ADA_KERNEL_URETPROBE 7u /* it returns */

/* The same ring, and the same begin. */
typedef struct AdaKernelCall {
    uint32_t type;
    uint32_t cpu;
    uint64_t time_ns;
    uint32_t tid;
    uint32_t tgid;
    uint32_t number; /* of the system call, or which of the functions */
    uint32_t reserved;
    uint64_t value; /* its first argument, or what it returns */
} AdaKernelCall;
ADA_ABI_ASSERT(sizeof(AdaKernelCall) == sizeof(AdaKernelSched), "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaKernelCall, tid) == 16, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaKernelCall, value) == 32, "");

#define ADA_KERNEL_UPROBES 64u    /* functions at a time */
#define ADA_KERNEL_SYSCALLS 1024u /* numbers are below this */

ADA_ABI_ASSERT(sizeof(AdaKernelSched) == 40, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaKernelSched, tid) == 16, "");
ADA_ABI_ASSERT(__builtin_offsetof(AdaKernelSched, duration_ns) == 32, "");

#endif
