/* SPDX-License-Identifier: MIT */
/*
 * A session from within: session.c is what others call, session_drain.c the thread that drains. They share this structure
 * and nothing else.
 */
#ifndef ADA_COLLECTOR_SESSION_INTERNAL_H
#define ADA_COLLECTOR_SESSION_INTERNAL_H

#include <pthread.h>

#include "user/collector/session.h"
#include "user/metrics/global_metrics.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

enum command_type {
    COMMAND_ATTACH,
    COMMAND_IDENTIFY,
    COMMAND_ENDED,
    COMMAND_MARK,
    COMMAND_MARK_THREAD,
    COMMAND_KERNEL,
    COMMAND_NEXT_FILE,
    COMMAND_STOP
};

typedef struct Command {
    enum command_type type;
    uint32_t number;
    pid_t pid;
    ProcessEnd end;         /* COMMAND_ENDED; COMMAND_ATTACH: if it has */
    TracedProcess *process; /* COMMAND_ATTACH */
    KernelEvents events;    /* COMMAND_KERNEL */
    KernelMark mark;        /* COMMAND_MARK_THREAD */
} Command;

typedef struct CommandQueue {
    Command *items;
    size_t count;
    size_t capacity;
} CommandQueue;

struct Session {
    /* shared between threads */
    pthread_mutex_t lock; /* guards inbox, next_number */
    CommandQueue inbox;
    uint32_t next_number;
    uint32_t control; /* futex: one more with each command */
    int32_t write_error;
    uint32_t anomalies; /* that nobody has asked after yet: bits 1 << METRICS_ANOMALY_* */
    uint32_t has_many_threads;
    uint64_t marks;    /* as session->metrics.marks when it was last told */
    uint64_t homeless; /* records of the kernel that found no segment to go into */

    SessionConfig config;
    TracedProcessConfig process_config;
    DrainTopology topology;
    pthread_t thread;
    bool started;
    SegmentReaper *reaper;

    /* the drain thread's, once started */
    uint32_t thread_counter; /* numbers of threads in the file */
    TracedProcess **processes;
    size_t process_count;
    size_t process_capacity;
    DrainIterator *iterator;
    DrainBatch batch;
    DrainMetrics metrics;
    AccountBook accounts;
    AdatClock first_anchor; /* from here on the rate of the cycle counter is measured */
    uint64_t started_at;
    uint64_t next_housekeeping;
    uint32_t calm;       /* by how much housekeeping is rarer than it was asked for: see keep_house() */
    uint64_t calm_bytes; /* taken over by the last housekeeping */
    bool all_told;       /* the kernel tells of all threads, as far as the last housekeeping knows */
    ada_global_metrics_t global;
    uint64_t memory_bytes; /* of this process, when last measured */
    MetricsFigures ended;  /* of processes that are done with */
    uint64_t last_busy;
    LedgerEntries live;
    size_t ledger_count;     /* entries that are in the batch */
    size_t ledger_described; /* the same of threads that are described with them */
    uint32_t ledger_epoch;
    uint64_t ledger_tried; /* entries of the account book, of all ever added, that are in the batch, in the file, or lost with a batch */
    bool ledger_due;
    DeathBook deaths;
    KernelHints hints;
    KernelHints no_hints; /* of views */
    size_t death_count;   /* of its entries that are in the batch */
    uint32_t death_epoch;
    uint64_t kernel_lost;    /* records, when last looked */
    uint64_t file_due;       /* when the next file is to begin; UINT64_MAX: not for the age of this one */
    uint64_t file_retry;     /* not before, as it failed */
    uint64_t finished_bytes; /* of earlier files */
    bool named; /* the present file says what it is of, and has clocks; else that is tried again */
    bool stopping;
    bool closing; /* nothing is put into the file any more */
    SessionResult result;
    int close_error;
    char recording[37]; /* uuid that all files of the recording name, as text; empty: there is one file */
};

/* The drain thread's main function. */
void *session_drain_main(void *argument);

/* What the iterator is to tell. */
DrainCallbacks session_drain_callbacks(Session *session);

/* Adds an anchor to the batch. */
void session_write_clock_anchor(Session *session);

/* Looks how much memory this process has, if somebody wants metrics: once in a while, as it takes longer than collecting. */
void session_measure_memory(Session *session);

/* Tells SessionConfig.state_fd that there is something to ask after. */
void session_tell_state(const Session *session);

/* What the kernel told, to the processes that it told of. */
void session_obey_kernel_events(Session *session, KernelEvents *events);

void session_obey_mark(Session *session, const KernelMark *mark);

/* Housekeeping: ends that nobody told of, threads of processes that the kernel tells nothing of. */
void session_check_threads(Session *session, uint64_t now);

/* Adds a KERNEL block to the batch: what became of kernel assistance, and the ends of threads; and after its write. */
void session_put_kernel(Session *session);
void session_settle_kernel(Session *session);

/* Housekeeping: whether there are so many threads that the kernel should tell which of them run. */
void session_count_threads(Session *session);

KernelStatus session_kernel_status(const Session *session);

/* Unless that is in it: begins a file with what it is of, and the clocks. 0, or -errno: not all of it is there, and the next call tries again. */
int session_name_file(Session *session);

/* Before the first file is begun: what all files of the recording have in common. 0 or -errno of getrandom(2). */
int session_name_recording(Session *session);

/* When the first file begins, between iterations, and when the last one is closed. */
void session_begin_files(Session *session);
void session_rotate(Session *session, uint64_t now);
void session_finish_files(Session *session);

/* Writes the batch, and notes which entries of accounts and deaths are in the file. 0 or -errno. */
int session_flush(Session *session);

/* Writes what is left of accounts and deaths, after which the file can be completed. 0 or -errno. */
int session_write_last_accounts(Session *session);

/* What metrics are collected from: the session's processes and its drain. For the drain thread. */
MetricsSource session_metrics_source(Session *session);

#endif
