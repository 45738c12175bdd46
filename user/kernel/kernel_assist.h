/* SPDX-License-Identifier: MIT */
/*
 * Kernel assistance: BPF programs (bpf/) that tell which threads of watched processes are born, run another program
 * and end, and when they run and why they do not.
 *
 * It is an extra. Where the kernel, its configuration or missing rights do not allow it, kernel_assist_create()
 * says why, and everything else goes on without it. What counts are capabilities, never the user id: CAP_BPF and CAP_PERFMON
 * are enough.
 *
 *     kernel_assist_create -> kernel_assist_watch ... kernel_assist_consume_lifecycle ... -> kernel_assist_destroy
 *
 * One thread consumes; watching, contexts, counters and the bitmap may be used by any thread at the same time, the
 * bitmap by one. Functions return 0 or -errno, and print nothing.
 */
#ifndef ADA_KERNEL_KERNEL_ASSIST_H
#define ADA_KERNEL_KERNEL_ASSIST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "shared/kernel_abi.h"

typedef struct KernelAssist KernelAssist;

#define KERNEL_REASON_SIZE 192u

/* A function of a program or library. */
typedef struct KernelUprobe {
    const char *binary; /* path, or a name that is looked for where commands and libraries are */
    const char *symbol;
    bool returns; /* its returns are recorded, too */
} KernelUprobe;

/* Zero fields stand for the defaults. */
typedef struct KernelAssistConfig {
    size_t lifecycle_ring_bytes; /* 2 MiB: some 10,000 exits. A power of two, of pages */
    size_t sched_ring_bytes;     /* with sched_records; 8 MiB */
    bool follow;                 /* as by kernel_assist_follow(), from the start */
    bool sched_records;  /* switches and wakeups are recorded, not only added up; they are followed then */
    uint64_t off_cpu_ns; /* of those records: only sleeps, up to the wakeup, from so long on; */
    uint64_t runqueue_ns; /* only waits for a CPU from so long on; UINT64_MAX: none. The ring's reader is woken for each then */
    const uint64_t *syscalls; /* ADA_KERNEL_SYSCALLS bits: these calls are recorded, in the scheduler's ring; NULL: none */
    const KernelUprobe *uprobes; /* calls of these are recorded there, numbered as here; every process that calls one pays for it */
    uint32_t uprobe_count; /* at most ADA_KERNEL_UPROBES */
    bool all_execs;        /* new programs of all processes are told, not only of those that are watched */
    bool segments;     /* segments that watched processes make are told: see kernel_assist_tells_segments() */
    bool all_segments; /* and those of all others */
    bool raw_tracepoints; /* never `tp_btf`, as on a kernel whose BTF does not describe the events */
    const char *btf;      /* where the kernel's BTF is: /sys/kernel/btf/vmlinux */
} KernelAssistConfig;

/*
 * Loads and attaches the programs. Else -errno, and in `reason` one line for the user: what is missing. -EOPNOTSUPP: built
 * without BPF, or the kernel cannot; -EPERM: a capability is missing, or bpf(2) is refused; others: of bpf(2).
 */
int kernel_assist_create(const KernelAssistConfig *config, KernelAssist **assist_out,
                         char reason[KERNEL_REASON_SIZE]);

/* The kernel's objects that kernel assistance works with. */
enum kernel_handle {
    KERNEL_HANDLE_LIFECYCLE_RING, /* maps */
    KERNEL_HANDLE_SCHED_RING,
    KERNEL_HANDLE_TARGETS,
    KERNEL_HANDLE_THREAD_INDICES,
    KERNEL_HANDLE_FREE_INDICES,
    KERNEL_HANDLE_COUNTERS,
    KERNEL_HANDLE_THREADS,
    KERNEL_HANDLE_ON_CPU,
    KERNEL_HANDLE_INDICES_USED,
    KERNEL_HANDLE_TARGET_FILTER,
    KERNEL_HANDLE_LOOK,    /* the link of the iterator */
    KERNEL_HANDLE_ON_FORK, /* programs, from here to the end */
    KERNEL_HANDLE_ON_EXEC,
    KERNEL_HANDLE_ON_EXIT,
    KERNEL_HANDLE_ON_MEMFD_ENTER,
    KERNEL_HANDLE_ON_MEMFD_EXIT,
    KERNEL_HANDLES,
};

typedef struct KernelHandles {
    int fds[KERNEL_HANDLES]; /* -1: there is none */
    bool follows;            /* switches and wakeups, at the moment */
    bool tells_segments;
} KernelHandles;

/* Who has loaded the programs. Called by the thread that calls kernel_assist_follow() or kernel_assist_destroy(). */
typedef struct KernelControl {
    int (*follow)(void *context, bool follow); /* 0 or -errno */
    void (*destroy)(void *context);            /* detaches all */
    void *context;
} KernelControl;

/*
 * The same with programs that were loaded elsewhere (kernel_programs.h). The descriptors are duplicated. The control is taken over, also on
 * failure.
 */
int kernel_assist_adopt(const KernelHandles *handles, const KernelControl *control, KernelAssist **assist_out,
                        char reason[KERNEL_REASON_SIZE]);

/* Detaches. NULL is allowed. */
void kernel_assist_destroy(KernelAssist *assist);

/*
 * Watches a process, given by its id in the initial pid namespace, from now on; again: changes its flags
 * (ADA_KERNEL_WITH_CHILDREN). It is watched no more when it has ended. -E2BIG: ADA_KERNEL_TARGETS are.
 */
int kernel_assist_watch(KernelAssist *assist, pid_t pid, uint32_t flags);

/*
 * Whether segments are told, as config->segments or all_segments asked for. Not if the kernel was built without tracepoints of system calls
 * (CONFIG_FTRACE_SYSCALLS), or tracefs, which says where they are, is not mounted or not to be read. While they are told, each
 * system call of every process takes the kernel's slow way, some 70 ns more (docs/architecture.md).
 */
bool kernel_assist_tells_segments(const KernelAssist *assist);

/* Nothing happens for one that is not watched. Records that are in a ring already are still to come. */
void kernel_assist_unwatch(KernelAssist *assist, pid_t pid);

/*
 * Follows the switches and wakeups of watched threads, or does so no more. That costs each switch on the machine
 * some 0.3 us, whoever it is of (docs/architecture.md), so it is for those who need
 *   - the bitmap of threads that ran (kernel_assist_take_on_cpu())
 *   - times off CPU by reason, and wakeups
 *   - scheduler records
 * Else contexts are as of the last kernel_assist_look(). By one thread. Errors of bpf(2): it stays as it was.
 */
int kernel_assist_follow(KernelAssist *assist, bool follow);
bool kernel_assist_follows(const KernelAssist *assist);

/* Brings the contexts of all watched threads up to now, if switches are not followed. It looks at each thread on the machine. */
void kernel_assist_look(const KernelAssist *assist);

bool kernel_assist_is_watched(const KernelAssist *assist, pid_t pid);

/* ---- records ---------------------------------------------------------------------------------- */

/* For poll(2) and epoll(7): readable when lifecycle records wait. */
int kernel_assist_lifecycle_fd(const KernelAssist *assist);

/* The same for the scheduler's; it becomes readable when its ring is a quarter full, so look now and then, too. */
int kernel_assist_sched_fd(const KernelAssist *assist);

/* `thread`: an exit's last context; NULL: it had none, or it is no exit. Both are valid during the call. */
typedef void (*kernel_lifecycle_fn)(void *context, const AdaKernelLifecycle *record,
                                    const AdaKernelThread *thread);
/* One of the two, the other is NULL. Valid during the call. */
typedef void (*kernel_sched_fn)(void *context, const AdaKernelSched *record, const AdaKernelCall *call);

/* Takes all that waits, in the order of the ring. */
void kernel_assist_consume_lifecycle(KernelAssist *assist, kernel_lifecycle_fn on_record, void *context);

/* Takes `most` records at most: threads may bring them as fast as they are taken. The descriptor stays readable if there are more. */
void kernel_assist_consume_sched(KernelAssist *assist, uint32_t most, kernel_sched_fn on_record, void *context);

/* Sums over all CPUs. */
void kernel_assist_counters(const KernelAssist *assist, AdaKernelCounters *sum_out);

/* ---- contexts --------------------------------------------------------------------------------- */

/*
 * The context of a thread, by its id in the initial pid namespace and its birth (0: whoever has that id now).
 * False: it has none (any more).
 */
bool kernel_assist_find_thread(const KernelAssist *assist, uint32_t tid, uint64_t start_ns,
                               AdaKernelThread *out);

/* The place of its context, for the bitmap; ADA_KERNEL_NO_INDEX: it has none. */
uint32_t kernel_assist_index_of(const KernelAssist *assist, uint32_t tid);

/* What is in a place. Memory that BPF writes: each field is whole, all of them need not be of the same instant. */
void kernel_assist_thread_at(const KernelAssist *assist, uint32_t index, AdaKernelThread *out);

/* How many words of the bitmap have places that were ever taken. */
uint32_t kernel_assist_words(const KernelAssist *assist);

/* Which of the 64 threads in places `word` * 64 and above were on a CPU since the last call. */
uint64_t kernel_assist_take_on_cpu(KernelAssist *assist, uint32_t word);

#endif
