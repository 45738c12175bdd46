/* SPDX-License-Identifier: MIT */
/*
 * One recording: a trace file, the processes that are traced into it, and the thread that drains them.
 *
 * The drain thread owns the processes and the file. Everybody else talks to it through commands that
 * are queued and never wait for a drain or a write: attach, identify, ended, stop. So a slow disk
 * delays no announcement, and no signal.
 *
 *     session_create -> session_start -> session_attach ... session_process_ended ... -> session_stop -> session_result -> session_destroy
 *
 * Functions return 0 or -errno and print nothing.
 */
#ifndef ADA_COLLECTOR_SESSION_H
#define ADA_COLLECTOR_SESSION_H

#include "user/collector/account.h"
#include "user/collector/traced_process.h"
#include "user/file/adat_writer.h"
#include "user/kernel/kernel_assist.h"
#include "user/metrics/metrics_snapshot.h"

typedef struct Session Session;

/*
 * The files of a recording, should there be several: each is whole by itself. Called from the drain thread, so neither may wait
 * long.
 */
typedef struct SessionFiles {
    uint64_t bytes;       /* when a file has so many, the next one begins; 0: however many */
    uint64_t duration_ns; /* the same of its age; 0: however old */
    /* The next one, empty and open for writing, or -errno: then the present one goes on, and it is tried again a second later. */
    int (*open_next)(void *context);
    /* This one is done with, and the caller's. `complete`: it has its ledger and its trailer. */
    void (*finished)(void *context, int fd, bool complete);
    void *context;
} SessionFiles;

typedef struct SessionConfig {
    const char *const *strings; /* "key", "value" pairs for the file's SESSION block, ended by NULL; outlive the session */
    const SessionFiles *files; /* outlives the session; NULL: there is one */
    AdatWriterConfig writer;
    enum drain_scheduler_kind scheduler;
    const MarkRules *rules;       /* outlives the session; NULL: none */
    const WeightRules *weights;   /* the same */
    MetricsHub *metrics_hub;      /* where snapshots are published; outlives the session; NULL: nowhere */
    uint64_t metrics_interval_ns; /* between snapshots; 0: none are collected */
    uint64_t housekeeping_ns;     /* between accounts of threads that go on, and the like; 0: a second */
    bool wants_children;          /* see traced_process_begin() */
    /* eventfd(2) that is written to when session_write_error() or session_marks() change or there are session_take_anomalies(); -1: nobody wants to know */
    int state_fd;
    KernelAssist *kernel; /* watches the processes; outlives the session; NULL: the kernel tells nothing */
    const char *kernel_reason; /* then: why not; outlives the session; NULL: nobody wanted it to */
    /*
     * What the files of collectors before this one have of the processes that are handed over; outlives the session; NULL: nobody has looked.
     * Without it, what one had written and not noted when it was killed is recorded twice.
     */
    const AdatRecovery *recovered;
    /*
     * The process with that number has ended, or was left, and all about it is in the file: whoever has its segment may let go. By the
     * drain thread. NULL: nobody wants to know.
     */
    void (*on_done)(void *context, uint32_t number);
    void *context;
} SessionConfig;

/* What became of kernel assistance. */
typedef struct KernelStatus {
    bool enabled;
    const char *reason; /* not enabled: why */
    AdaKernelCounters counters;
} KernelStatus;

/*
 * What a session did. Complete after session_stop(); the pointers stay valid until session_destroy().
 */
typedef struct SessionResult {
    uint64_t duration_ns;
    uint64_t bytes; /* of the file, or of all files */
    uint32_t files;
    uint32_t processes;
    uint32_t detached; /* of them still running at the end */
    uint32_t threads;
    const AccountBook *accounts;
    AdatDrainSummary drain;
    int write_error;        /* last error of writing the file, as -errno; 0 = none */
    bool closed;            /* the file has its ledger and its trailer */
    uint32_t quarantined;   /* processes given up because of impossible values */
    const char *quarantine; /* why the last of them was */
    pid_t quarantine_pid;
    KernelStatus kernel;
    const DeathBook *deaths; /* sorted */
} SessionResult;

/* Starts a file on `fd` (empty, open for writing), which it takes over, also on failure. -ENOMEM; errors of write(2). */
int session_create(int fd, const SessionConfig *config, Session **session_out);

/* NULL is allowed. A session that was started must have been stopped. */
void session_destroy(Session *session);

/* Starts the drain thread; all signals are blocked in it. Errors of pthread_create(3), negative. */
int session_start(Session *session);

/*
 * Hands a mapped segment over (the session unmaps it) and tells its number. `pid`: what the kernel
 * attests, 0 if that comes later. -ENOMEM: the segment stays the caller's.
 */
int session_attach(Session *session, const Segment *segment, pid_t pid, uint32_t *number_out);

/*
 * The same for a process that is gone, of which somebody kept the segment: it is drained to its end. `end` says how it ended, as far as is
 * known (ADAT_DEATH_UNKNOWN: it is not).
 */
int session_attach_ended(Session *session, const Segment *segment, pid_t pid, ProcessEnd end,
                         uint32_t *number_out);

/* The same for what the kernel sees of a process: a KernelView's segment. */
int session_attach_view(Session *session, const Segment *segment, pid_t pid, uint32_t *number_out);

/* The kernel told which process it is. */
void session_identify(Session *session, uint32_t number, pid_t pid);

/* Keeps the payloads around this moment, of all threads of the process with that pid; of all processes: 0. */
void session_mark(Session *session, pid_t pid);

/* Begins the next file, if there may be several. */
void session_next_file(Session *session);

/* A moment that the kernel saw, for which the payloads around it are to be kept. */
typedef struct KernelMark {
    pid_t pid;
    uint32_t tid; /* in its own pid namespace */
    uint32_t woke; /* it is marked for having woken this thread, which waited too long; 0: for what happened to itself */
    uint64_t time_ns; /* CLOCK_MONOTONIC */
    const MarkRule *rule;
} KernelMark;

/* Keeps the payloads of one thread around that moment; nothing happens if it does not record. */
void session_mark_thread(Session *session, const KernelMark *mark);

/*
 * What the kernel told of threads, in its order; empties the list. A process must have been handed over before the
 * ends of its threads are, and the ends of its threads before its own.
 */
void session_tell_kernel_events(Session *session, KernelEvents *events);

/* The process is gone; or, ADAT_DEATH_DETACHED: is to be recorded no more. */
void session_process_ended(Session *session, uint32_t number, ProcessEnd end);

/* Detaches what still runs, drains everything, writes ledger and trailer, and ends the drain thread. Waits. 0, or -errno of closing the file. */
int session_stop(Session *session);

/* -errno of a file that can't be written at the moment, or 0. Any thread. */
int session_write_error(const Session *session);

/*
 * Whether so many threads are recorded that it is worth the switches of all processes to know which of them run. Any thread; as
 * of the last second, and SessionConfig.state_fd tells when it changes.
 */
bool session_has_many_threads(const Session *session);

/* A record of the kernel (a switch, a call) cannot go into the trace: it counts as lost. One thread may call it. */
void session_lose_kernel_record(Session *session);

/* What was noticed to be odd since the last call, as bits 1 << METRICS_ANOMALY_*. Any thread. */
uint32_t session_take_anomalies(Session *session);

/* How many moments rules or commands have marked. Any thread. */
uint64_t session_marks(const Session *session);

void session_result(const Session *session, SessionResult *result);

#endif
