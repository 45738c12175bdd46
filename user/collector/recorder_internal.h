/* SPDX-License-Identifier: MIT */
/*
 * A recorder from within.
 *
 *   recorder.c          setting up, the loop, the end: the same for whatever is recorded
 *   recorder_inbox.c    what other threads tell it
 *   recorder_members.c  the processes that are recorded: announcements, ends, questions about them
 *   recorder_kernel.c   what the kernel tells of them, with kernel assistance
 *   recorder_sched.c    what it does with their threads
 *   recorder_launch.c   RecorderTarget: a command that is started
 *   recorder_attach.c   RecorderTarget: processes that run already
 */
#ifndef ADA_COLLECTOR_RECORDER_INTERNAL_H
#define ADA_COLLECTOR_RECORDER_INTERNAL_H

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "user/collector/announce_server.h"
#include "user/collector/kernel_events.h"
#include "user/collector/kernel_view.h"
#include "user/collector/recorder.h"
#include "user/export/metrics_file.h"

#define RECORDER_SEGMENT_NAME 48u /* "PID-INODE" */

#define RECORDER_POLL_MS 250 /* how often ends are looked at of which nobody can say yet how they came */

/* How often the scheduler's records are looked after that do not fill their ring: rules want their moment while the rings still hold it. */
#define RECORDER_SCHED_MS 10

/* epoll data; processes have their index + RECORDER_WATCH_PROCESS. */
enum {
    RECORDER_WATCH_SIGNALS,
    RECORDER_WATCH_ANNOUNCEMENTS,
    RECORDER_WATCH_FILE,
    RECORDER_WATCH_KERNEL,
    RECORDER_WATCH_SCHED,
    RECORDER_WATCH_TARGET,
    RECORDER_WATCH_INBOX,
    RECORDER_WATCH_PROCESS,
};
#define RECORDER_WATCH_OWN 0x80000000u /* epoll data from here on is for RecorderTarget.woken() */

/* A process as the control side knows it. */
typedef struct Member {
    uint32_t number; /* in the session */
    pid_t pid;       /* attested; 0: nobody took the segment over yet */
    int pidfd;       /* -1: none, or no longer watched */
    int segment;     /* descriptor that has the claim; -1: it was released */
    int descriptor;  /* AttachedSegment.number; -1: not known */
    dev_t device;    /* which memfd it has */
    ino_t inode;
    bool ended;        /* the session was told */
    bool superseded;   /* the process runs another program */
    uint64_t taken_ns; /* CLOCK_MONOTONIC: when we learnt of it, so that it ran by then */
    uint32_t tries;    /* since it was seen to have ended */
    size_t next_free;  /* `ended`: the place is free, and so is items[next_free - 1]; 0: no other */
} Member;

/* What the kernel sees of one process, with config->sched. */
typedef struct ViewEntry {
    pid_t pid;
    uint32_t number;  /* the session's */
    KernelView *view; /* NULL: it could not be made */
    ProcessEnd end;   /* kind 0: it runs */
} ViewEntry;

typedef struct Views {
    ViewEntry *items;
    size_t count;
    size_t capacity;
} Views;

/* Each keeps its place, which the epoll set knows, until it has ended; then the next one gets it. So there are as many as ever were at a time. */
typedef struct Members {
    Member *items;
    size_t count;
    size_t capacity;
    size_t first_free; /* index + 1; 0: none */
    size_t live;
} Members;

/* What other threads told the recorder, and it did not look at yet. */
typedef struct RecorderInbox {
    pthread_mutex_t lock; /* guards the rest, but for `event` */
    int event;            /* eventfd: there is something */
    bool stop;
    Announcement *announcements; /* of ADA_ANNOUNCE_OWN; _CLAIMED: of a process that is gone */
    size_t count;
    size_t capacity;
    uint32_t *done; /* numbers of processes that the session has forgotten */
    size_t done_count;
    size_t done_capacity;
    PidList detach; /* processes to be let go */
} RecorderInbox;

/* A segment whose process has ended, and is not drained to its last record yet. */
typedef struct LastClaim {
    uint32_t number; /* in the session */
    int segment;     /* has the claim */
    char name[RECORDER_SEGMENT_NAME];
} LastClaim;

typedef struct LastClaims {
    LastClaim *items;
    size_t count;
    size_t capacity;
} LastClaims;

/* What differs between ways to come by processes. Steps return 0 or -errno and *stage; they are called in this order. */
typedef struct RecorderTarget {
    /* Before the session runs. */
    int (*prepare)(Recorder *recorder, enum recorder_stage *stage);
    /* The session runs, metrics are served: start. */
    int (*start)(Recorder *recorder, enum recorder_stage *stage);
    /* INT or TERM came. */
    void (*interrupted)(Recorder *recorder, const struct signalfd_siginfo *info);
    /* What the kernel tells, as it comes: before anything that it ends is told to the session. May be NULL. */
    void (*told)(Recorder *recorder, const AdaKernelLifecycle *record);
    /* A descriptor that was watched as RECORDER_WATCH_OWN + number became readable. May be NULL. */
    void (*woken)(Recorder *recorder, uint32_t number);
    /* recorder_detach(). May be NULL. */
    void (*detach)(Recorder *recorder, pid_t pid);
    /* Every recorder->poll_ms at least, if that is not 0. */
    void (*poll)(Recorder *recorder);
    bool (*is_over)(Recorder *recorder);
    /* Nothing more is to come: tells the session how members ended. */
    void (*finish)(Recorder *recorder);
    /* Frees what prepare and start made, also after they failed. */
    void (*destroy)(Recorder *recorder);
} RecorderTarget;

struct Recorder {
    const RecorderConfig *config;
    const RecorderTarget *target;
    Session *session;
    AnnounceServer server;
    int epoll;
    int signals;
    int file_state; /* eventfd: the session has something to tell */
    RecorderInbox inbox;
    sigset_t mask_before;
    Members members;
    LastClaims last_claims;
    uint32_t interrupts;
    bool polling;     /* some member's end is not known yet */
    uint32_t poll_ms; /* how often the target is to be asked; 0: only what is readable matters */
    uint32_t calm; /* by how much that is rarer, as nothing happens; set by the target, 1 after whatever happens */
    int write_state;
    uint64_t marks; /* that config->on_marks() was called for */
    uint64_t checked_at;
    uint64_t announced_ns; /* all that announced itself before this moment (CLOCK_MONOTONIC) was taken in */
    MetricsHub metrics;
    MetricsFile *metrics_file;     /* NULL: not wanted */
    MetricsServer *metrics_server; /* the same */

    /* recorder_kernel.c */
    KernelAssist *kernel; /* NULL: kernel_reason says why not */
    char kernel_reason[KERNEL_REASON_SIZE];
    KernelEvents kernel_events; /* that the session was not told yet */
    bool taking_kernel_events;
    bool keeps_following; /* somebody wants switches themselves */

    /* recorder_sched.c */
    Views views;

    /* recorder_launch.c; members[0] is the segment made for the command */
    int launched_segment; /* its descriptor, until the command has it */
    pid_t command;        /* 0: none */
    int command_pidfd;
    ProcessEnd command_end;

    /* recorder_attach.c */
    struct Following *following;
    int timer; /* -1: no end was set */
    bool over;
};

/* recorder_attach.c: whether the process was let go, and lives. */
bool recorder_has_let_go(const Recorder *recorder, pid_t pid);

extern const RecorderTarget recorder_launch_target;
extern const RecorderTarget recorder_attach_target;

/* ---- recorder.c */

int recorder_watch(const Recorder *recorder, int fd, uint32_t data);

/* ---- recorder_inbox.c */

/* 0, or -errno of eventfd(2); recorder_inbox_fini() may be called in any case. */
int recorder_inbox_init(RecorderInbox *inbox);
void recorder_inbox_fini(RecorderInbox *inbox);

/* Does what was asked for. */
void recorder_take_inbox(Recorder *recorder);

/* SessionConfig.on_done; the context is the recorder. */
void recorder_note_done(void *context, uint32_t number);

/* ---- recorder_members.c */

/*
 * Hands a segment over to the session. `fd` is its descriptor, which has its claim, or gets it now; `descriptor` as Member.descriptor. 0: the segment
 * and both descriptors are the recorder's; -EBUSY: another collector has it; others: session_attach(). All stays the caller's then.
 */
int recorder_add_member(Recorder *recorder, const Segment *segment, int fd, int descriptor, pid_t pid,
                        int pidfd);

/* A member with that pid whose program goes on; NULL: there is none. */
Member *recorder_find_member(Recorder *recorder, pid_t pid);

/* The member has ended: tells the session, once. Its claim goes with it. */
void recorder_end_member(Recorder *recorder, Member *member, ProcessEnd end);

/*
 * A process announced a new segment, or runs another program since `now` (CLOCK_MONOTONIC, ns): what it had before is over. The
 * ends of its threads come first, so this takes effect in recorder_end_superseded().
 */
void recorder_supersede(Recorder *recorder, pid_t pid, uint64_t now);
void recorder_end_superseded(Recorder *recorder);

/* The session has forgotten a process: its claim ends. */
void recorder_release_claim(Recorder *recorder, uint32_t number);

/* What is left of a process that is gone. The descriptor is the recorder's, or is released. */
void recorder_accept_orphan(Recorder *recorder, int fd, pid_t pid);

/* Whatever came on the socket. */
void recorder_take_announcements(Recorder *recorder);

/* A process has a segment of its own. What is taken over is gone from the announcement. */
void recorder_accept_own(Recorder *recorder, Announcement *announcement);

/* Asks after a member whose pidfd became readable, by its index; and after all. */
void recorder_check_member(Recorder *recorder, size_t index);
void recorder_check_members(Recorder *recorder);

/* The recording is over for a member, however it is. */
void recorder_finish_member(Recorder *recorder, Member *member);

void recorder_members_fini(Recorder *recorder);

/* ---- recorder_kernel.c */

/*
 * Asks for kernel assistance; without it all the rest does nothing. 0, or -errno if something was asked for that needs it and
 * cannot be had: `kernel_reason` says why.
 */
int recorder_start_kernel(Recorder *recorder, SessionConfig *session);

/* The process's threads are told of from now on, and those of its children if ADA_KERNEL_WITH_CHILDREN is in `flags`. */
void recorder_watch_process(Recorder *recorder, pid_t pid, uint32_t flags);

void recorder_unwatch_process(Recorder *recorder, pid_t pid);

/* What happened up to now; images that this ended. */
void recorder_take_kernel_events(Recorder *recorder);

/* Has switches followed as long as they are needed. */
void recorder_follow_switches(Recorder *recorder);

/* ---- recorder_sched.c */

/* Whether what the kernel sees of processes is in the trace. */
static inline bool recorder_has_views(const Recorder *recorder)
{
    return recorder->config->sched || recorder->config->syscalls || recorder->config->uprobe_count > 0;
}

/* Tells the view of a process which of its threads wait already. Once, after it is watched. */
void recorder_find_waiting(Recorder *recorder, pid_t pid);

/* Takes what the scheduler did. */
void recorder_take_sched_records(Recorder *recorder);

/* A thread ended: nothing more will come of it. */
void recorder_tell_views(Recorder *recorder, const AdaKernelLifecycle *exit);

/* Of a process that is not watched any more: takes what is left of it, and closes its view. */
void recorder_close_view(Recorder *recorder, pid_t pid);

/* Takes what is left, and closes all of them. */
void recorder_close_views(Recorder *recorder);

#endif
