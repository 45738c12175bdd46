/* SPDX-License-Identifier: MIT */
/*
 * One process as the kernel sees it: what the scheduler does with its threads, as events with fields.
 *
 * They go through lanes as the program's own events do, in a segment that belongs to the collector, one slot for each thread
 * of the process; so they are drained, counted, verified and shown by the same code, and no program has to know of it:
 *
 *     BPF ring -> kernel_view_sched() -> lanes -> drain -> file
 *
 * The events: sched.switch_in, sched.switch_out and sched.wakeup, whose argument is the time that ended, in ns; a span syscall.NAME
 * for each system call; an instant futex.owner of who is found waiting. Time stamps are the
 * kernel's, of CLOCK_MONOTONIC. The caller is the producer of all lanes; one thread uses a view.
 *
 * The segment is the collector's own memory and ends with it: if it is killed, what was not in the file is lost. The last ledger before that has it as
 * pending, as far as it was there then; what came after is counted nowhere.
 */
#ifndef ADA_COLLECTOR_KERNEL_VIEW_H
#define ADA_COLLECTOR_KERNEL_VIEW_H

#include <stdbool.h>
#include <sys/types.h>

#include "user/base/syscall_names.h"
#include "user/collector/thread_look.h"
#include "user/kernel/kernel_assist.h"
#include "user/lane/segment.h"

typedef struct KernelView KernelView;

/*
 * `for_session_out` is another mapping of the segment, for session_attach_view(), and the caller's. -ENOMEM, and errors of making and
 * mapping memory.
 */
int kernel_view_create(pid_t pid, KernelView **view_out, Segment *for_session_out);

/* Closes all lanes. What the session maps stays. NULL is allowed. */
void kernel_view_destroy(KernelView *view);

/*
 * Writes one record. `own_tid`: the thread's id in its own pid namespace, by which its program knows it. May wait for the drain, for
 * a bounded time, when the lane is full; what does not fit even then is counted as lost.
 */
void kernel_view_sched(KernelView *view, const AdaKernelSched *record, uint32_t own_tid);

/* The same for a system call: a span of its name, with the first argument and the result. */
void kernel_view_syscall(KernelView *view, const AdaKernelCall *call, uint32_t own_tid);

/*
 * A thread that waited already when its process began to be watched, as of `time_ns`: a span of the system call that it is in, if that is wanted
 * (`calls` may be NULL), which began earlier, and in it an instant futex.owner with the id of the thread it waits for, if that is known; with
 * `sched` an event sched.switch_out that ends 0 ns of running. Nothing, if the kernel told of the thread before, or half of the view's room is
 * taken: the rest is for threads that do something.
 */
void kernel_view_found(KernelView *view, const ThreadLook *look, uint64_t time_ns, bool sched,
                       const SyscallSet *calls);

/* As kernel_view_sched() for a function: an instant uprobe.SYMBOL with the first argument; if its returns are recorded, a span, with the result. */
void kernel_view_uprobe(KernelView *view, const AdaKernelCall *call, const KernelUprobe *uprobe,
                        uint32_t own_tid);

/*
 * Nothing more will come of this thread (its id in the initial pid namespace), which ended at this time (CLOCK_MONOTONIC). Who leaves by exit(2) does
 * not return from it: its span ends here.
 */
void kernel_view_thread_ended(KernelView *view, uint32_t tid, uint64_t time_ns);

/* Threads that have not ended. */
uint32_t kernel_view_threads(const KernelView *view);

#endif
