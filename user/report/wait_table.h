/* SPDX-License-Identifier: MIT */
/*
 * Who waits, for what, and for whom, as far as the recorded events tell:
 *
 *   locks        a call of the preload library's group `lock` waits for the lock that is its argument; for whom: the thread that got it last and
 *                has not given it back; of a condition variable or semaphore the one that signalled it last, of a barrier the last to come
 *   calls        others that may wait: reading, polling, joining, sleeping; for nobody in particular
 *   sleep        time off CPUs, in whatever system call the thread was then; for whom: the thread that woke it
 *   asleep       the same, but nobody woke it: until the end
 *   runnable     time that it wanted a CPU and had none
 *   syscalls     of threads whose switches were not recorded, the time in system calls, whether they wait or not
 *
 * The same wait may stand there twice: as the program's call of a lock, and as what the kernel saw of it.
 *
 * Locks are known by address, in their process. What was lost, or before the recording, leaves `whom` unknown or, if a lock changed
 * hands unseen, wrong until it does so again.
 *
 * Memory: at most WAIT_ROWS_MAX rows and WAIT_OBJECTS_MAX locks; waits beyond are counted for no object and nobody.
 */
#ifndef ADA_REPORT_WAIT_TABLE_H
#define ADA_REPORT_WAIT_TABLE_H

#include "user/report/thread_table.h"

#define WAIT_ROWS_MAX (1u << 18)
#define WAIT_OBJECTS_MAX (1u << 18)

typedef enum WaitKind {
    WAIT_LOCK,
    WAIT_CALL,
    WAIT_SLEEP,
    WAIT_RUNNABLE,
    WAIT_SYSCALL,
    WAIT_ASLEEP,
} WaitKind;

typedef struct WaitRow {
    WaitKind kind;
    uint32_t thread;   /* number of its row in the thread table */
    uint32_t whom;     /* the same; 0: not known, or `whom_tid` */
    uint32_t whom_tid; /* of a thread without a row that woke it; 0: none */
    uint32_t event;    /* number in the role table: what it called; 0: nothing that was recorded */
    uint64_t object;   /* argument of that: an address, a descriptor; 0: none */
    uint64_t count;
    uint64_t total_ns;
    uint64_t max_ns;
} WaitRow;

/* What the scheduler's events have in their fields. */
typedef struct SchedDetail {
    uint32_t waker; /* of a wakeup: the tid; 0: not known */
    bool sleeps;    /* of a switch out: it waits for something else than a CPU */
    bool past;      /* it was before what is looked at: only what it changed counts */
} SchedDetail;

typedef struct WaitTable WaitTable;

/* Both tables must outlive it. -ENOMEM. */
int wait_table_create(ThreadTable *threads, RoleTable *roles, WaitTable **table_out);

/* NULL is allowed. */
void wait_table_destroy(WaitTable *table);

/* Spans of registered events whose role waits; of those that are past only what became of their locks counts. 0 or -ENOMEM. */
int wait_table_open(WaitTable *table, const Span *span, uint32_t event);
int wait_table_close(WaitTable *table, const Span *span, uint32_t event);

/*
 * Events that are no spans; the argument of those of the scheduler is the part of the state's time that is looked at. Of a wakeup 0 may mean that the
 * kernel did not see the thread fall asleep: then it counts from where the recorder found it asleep. 0 or -ENOMEM.
 */
int wait_table_point(WaitTable *table, const AdatEvent *event, EventRole role, const SchedDetail *detail);

/*
 * Who is asleep at the end waits, from `from_ns` at the earliest until `to_ns` at the latest, and `last_ns` where nothing says that it ended before.
 * Then orders the rows by total time, the longest first. Once. 0 or -ENOMEM.
 */
int wait_table_finish(WaitTable *table, int64_t from_ns, int64_t to_ns, int64_t last_ns);

/* NULL beyond the last. */
const WaitRow *wait_table_row(const WaitTable *table, size_t index);

#endif
