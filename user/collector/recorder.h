/* SPDX-License-Identifier: MIT */
/*
 * One recording: of a command, which it starts, passes signals on to and follows to its end; or of processes that run already,
 * until they end, a signal comes, or the time is over.
 *
 *     recorder_create -> recorder_follow -> recorder_result -> recorder_destroy
 *
 * Two threads: this one waits for announcements, ends of processes and signals; the session's drains. So
 * neither a slow disk nor a flood of announcements delays the other.
 */
#ifndef ADA_COLLECTOR_RECORDER_H
#define ADA_COLLECTOR_RECORDER_H

#include "user/base/syscall_names.h"
#include "user/collector/announce_server.h"
#include "user/collector/attach.h"
#include "user/collector/discover_rule.h"
#include "user/collector/session.h"
#include "user/export/metrics_server.h"

typedef struct RecorderConfig {
    /* a command: */
    char *const *argv; /* ended by NULL */
    SegmentConfig segment;
    const char *preload_library; /* NULL: none */
    const char *preload_groups;
    /* or processes: what attach_open() found. What the recorder takes over is gone from them; the rest stays the caller's. NULL: a command */
    AttachTarget *targets;
    size_t target_count;
    bool with_children; /* also theirs, as they come */
    const DiscoverRules *discover; /* also all others that these mean, now or later; there may be no target then. NULL: none */
    const uid_t *only_user; /* processes of others are left alone, also when one becomes another's; NULL: anybody's */
    uint64_t duration_ns;               /* 0: no end is set */
    void (*on_attached)(void *context); /* they were handed over, and record from about now. NULL: nobody wants to know */
    /* both: */
    int output;                    /* the empty file; taken over */
    const SessionFiles *files;     /* where it goes on from there; NULL: that is the only file */
    const AdatRecovery *recovered; /* SessionConfig.recovered */
    const char *const *strings;    /* for the SESSION block */
    enum drain_scheduler_kind scheduler;
    uint64_t metrics_interval_ns; /* how often metrics are collected; 0: never */
    MetricsAddress *metrics_address; /* where they are served; its port, if 0, is set to the one chosen; NULL: nowhere */
    const char *metrics_file;    /* where they are written, as text for Prometheus; NULL: nowhere */
    const MarkRules *rules;      /* NULL: none */
    const WeightRules *weights;  /* NULL: none */
    bool sched;                  /* what the scheduler does with their threads is in the trace, too */
    const SyscallSet *syscalls;  /* these of their system calls, too; NULL: none */
    const KernelUprobe *uprobes; /* and calls of these functions */
    uint32_t uprobe_count;
    bool mark_wakers; /* also mark who woke a thread that was off its CPU for too long */
    bool no_bpf;      /* do without kernel assistance */
    /*
     * The recorder is one of several in a process that does more: it takes no signals, and has no socket; whoever has
     * them tells it, by the functions below. Not for a command.
     */
    bool embedded;
    /* Called when writing the file starts to fail (error < 0) and when it works again (0). */
    void (*on_write_state)(void *context, int error);
    /* Something is odd, once a minute and cause at most; see user/metrics/anomaly.h. NULL: nobody wants to know. */
    void (*on_anomaly)(void *context, enum metrics_anomaly anomaly);
    /*
     * A segment is recorded from now on (`fd`), or is no longer (-1): `name` tells them apart as long as they are recorded. Whoever keeps
     * descriptors for a recorder that comes after this one wants to know; else NULL. By the recorder's own thread.
     */
    void (*on_segment)(void *context, const char *name, int fd);
    /* Rules or commands have marked something since it was called last. NULL: nobody wants to know. */
    void (*on_marks)(void *context);
    /* As on_write_state, of the metrics' file, from a thread of its own. */
    void (*on_metrics_state)(void *context, int error);
    /* A rule (NULL: `sched`) needs kernel assistance, and it is not to be had for this reason: nothing is recorded. */
    void (*on_kernel_missing)(void *context, const MarkRule *rule, const char *reason);
    /* Before the command runs: metrics are served at config->metrics_address. */
    void (*on_metrics_served)(void *context);
    void *context;
} RecorderConfig;

/* What kept the recording from starting, for the error message. */
enum recorder_stage {
    RECORDER_STAGE_NONE,         /* it started */
    RECORDER_STAGE_KERNEL,       /* kernel assistance, which a rule needs; on_kernel_missing() was told why */
    RECORDER_STAGE_SEGMENT,      /* making the shared memory */
    RECORDER_STAGE_SOCKET,       /* making the announce socket */
    RECORDER_STAGE_FILE,         /* writing the file's first blocks */
    RECORDER_STAGE_SIGNALS,      /* signalfd, epoll, threads */
    RECORDER_STAGE_METRICS_FILE, /* the thread that writes config->metrics_file */
    RECORDER_STAGE_METRICS_SERVER, /* serving metrics at config->metrics_address */
    RECORDER_STAGE_PROGRAM,        /* running the command: ENOENT, EACCES ... */
    RECORDER_STAGE_TARGET,         /* taking the processes over */
};

typedef struct Recorder Recorder;

/*
 * Starts a recording, which recorder_follow() brings to its end, in the same thread. `config` outlives the recorder. 0 and
 * *recorder_out; else -errno and *stage_out.
 */
int recorder_create(const RecorderConfig *config, Recorder **recorder_out, enum recorder_stage *stage_out);

/* Records to the end. Then recorder_result() is there, even if the file could not be completed, which it says. */
void recorder_follow(Recorder *recorder);

/* ---- while recorder_follow() is to be called, or runs; from any thread. Nothing waits. */

/* Ends the recording, as a signal does. */
void recorder_stop(Recorder *recorder);

/* Begins the next file, if there may be several. */
void recorder_rotate(Recorder *recorder);

/* Keeps the payloads around this moment, of the process with that pid; of all: 0. */
void recorder_mark(Recorder *recorder, pid_t pid);

/*
 * Lets one of several processes go: what it published is recorded, and no more of it as long as it lives, whatever it runs. Nothing happens for
 * one that is not recorded, nor for those of a command.
 */
void recorder_detach(Recorder *recorder, pid_t pid);

/* A process announced a segment of its own (ADA_ANNOUNCE_OWN). Takes over its descriptors. */
void recorder_announce(Recorder *recorder, const Announcement *announcement);

/*
 * A segment that another recorder had, and whose process is gone: what it has left is recorded. Takes over the descriptor. `name`: what that one's
 * on_segment() was told.
 */
void recorder_adopt(Recorder *recorder, int fd, const char *name);

/* The figures as they were last collected: metrics_hub_acquire(). Lives as long as the recorder. */
MetricsHub *recorder_metrics(Recorder *recorder);

/* -errno of a file that cannot be written at the moment, or 0. */
int recorder_write_error(const Recorder *recorder);

/* ---- */

/* How the command ended; kind 0: there was none. */
ProcessEnd recorder_command_end(const Recorder *recorder);

void recorder_result(const Recorder *recorder, SessionResult *result);

void recorder_destroy(Recorder *recorder);

#endif
