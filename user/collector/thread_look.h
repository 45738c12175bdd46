/* SPDX-License-Identifier: MIT */
/*
 * What the threads of a process wait for just now, as /proc tells. The kernel's events tell of what begins; who waits already when one begins to look
 * may do so for hours, and is whom one looks for.
 */
#ifndef ADA_COLLECTOR_THREAD_LOOK_H
#define ADA_COLLECTOR_THREAD_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define THREAD_LOOK_NO_CALL UINT32_MAX

typedef struct ThreadLook {
    uint32_t tid;
    uint32_t own_tid; /* in its own pid namespace, as the caller finds it out; else tid */
    bool waits;       /* the rest is of who does */
    bool blocked;     /* and is not to be interrupted: mostly for a disk */
    uint32_t call; /* number of the system call that it is in; THREAD_LOOK_NO_CALL: in none, or we may not ask */
    uint64_t argument; /* its first one */
    uint32_t owner; /* for whom it waits in futex(2): the id of the thread within its own process; 0: not known */
} ThreadLook;

typedef struct ThreadLooks {
    ThreadLook *items;
    size_t count;
    size_t capacity;
} ThreadLooks;

/*
 * All threads of a process. Which system calls and mutexes they wait in takes the right to trace the process (ptrace(2),
 * "PTRACE_MODE_ATTACH_FSCREDS"). A process that has ended has none. -ENOMEM; *looks_out is the caller's to clear then as well.
 */
int thread_look_all(pid_t pid, ThreadLooks *looks_out);

void thread_looks_clear(ThreadLooks *looks);

#endif
