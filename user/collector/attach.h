/* SPDX-License-Identifier: MIT */
/*
 * Finding the segments of a process that runs, and opening them: the pull way in.
 *
 * A process of libadatrace keeps the descriptor of its memfd "adatrace-v1" open, or at least has it mapped. Both show in /proc/PID,
 * and can be opened there; where that is refused, pidfd_getfd(2) is tried, which asks for other rights (process_segments.h). Nothing of ours
 * need run in the process, and its mount, pid and user namespaces do not matter.
 *
 * Identity. A pidfd is had first and asked last: if its process lives then, all that was found under its number in /proc is its own.
 * A segment is its own if the segment names it, by its pid in its own namespace and by that namespace: a child of
 * fork() may still have its parent's descriptor. A process may have several (two copies of the library).
 *
 * Every segment is checked (segment_attach()) and claimed (segment_claim()) before it is handed out.
 * Its descriptor is closed by segment_release().
 */
#ifndef ADA_COLLECTOR_ATTACH_H
#define ADA_COLLECTOR_ATTACH_H

#include <stddef.h>

#include "user/access/process_identity.h"
#include "user/lane/segment.h"

#define ATTACH_SEGMENTS_MAX 4u /* of one process: more copies of the library than anybody has */

typedef struct AttachedSegment {
    Segment segment;
    int fd;     /* has the claim; segment_release() closes it */
    int number; /* of the descriptor in the process; -1: it was found by its mapping */
    dev_t device;
    ino_t inode;
} AttachedSegment;

typedef struct AttachTarget {
    ProcessIdentity identity;
    int pidfd;
    uint32_t count;
    AttachedSegment segments[ATTACH_SEGMENTS_MAX];
} AttachTarget;

/* Why a process could not be attached to. */
enum attach_failure {
    ATTACH_DONE,
    ATTACH_NO_PROCESS,    /* there is none with that pid */
    ATTACH_IS_THREAD,     /* `other`: the process that it is one of */
    ATTACH_KERNEL_THREAD, /* it has no user space */
    ATTACH_ZOMBIE,        /* it has ended, and its parent has not asked how */
    ATTACH_SELF,          /* this process */
    ATTACH_NO_RIGHT,      /* `error` */
    ATTACH_NOT_HERE,      /* it has no segment */
    ATTACH_CLAIMED, /* `other` collects it already, maybe this process; 0: somebody in another pid namespace */
    ATTACH_OTHER_VERSION, /* its library is not of our version */
    ATTACH_DAMAGED,       /* its segment contradicts itself */
    ATTACH_ENDED,         /* meanwhile */
    ATTACH_SYSTEM,        /* `error` */
    ATTACH_FAILURES,
};

typedef struct AttachFailure {
    enum attach_failure what;
    int error; /* -errno */
    pid_t other;
    ProcessIdentity identity; /* as far as it was read; name[0] is 0 if it was not */
} AttachFailure;

/*
 * Opens all segments of the process, at least one; none is enough if `bare` is set. 0; -1 and *failure_out: nothing is left open. One that this
 * process itself has claimed, in this thread or another, is ATTACH_CLAIMED by getpid(). Any thread.
 */
int attach_open(pid_t pid, bool bare, AttachTarget *target_out, AttachFailure *failure_out);

/* Unmaps and closes everything that was not taken over (segment.header NULL, fd -1). */
void attach_close(AttachTarget *target);

/*
 * A memfd that may become a segment: its process has made it just now, and is still setting it up. Whoever holds it has the segment even if the
 * process ends meanwhile.
 */
typedef struct AttachHold {
    ProcessIdentity identity;
    int pidfd;
    int fd;
    int number; /* of the descriptor in the process */
} AttachHold;

/* Takes hold of what the process has under that number. 0, or -errno: nothing is left open. -EBADF, -ENOENT: it is closed already. */
int attach_hold(pid_t pid, int number, AttachHold *hold_out);

/*
 * The target of that one segment, once it is complete; the hold has nothing any more. -1 and *failure_out: the hold is as before. ATTACH_DAMAGED or
 * ATTACH_NOT_HERE then mostly mean that it is not complete yet.
 */
int attach_open_held(AttachHold *hold, AttachTarget *target_out, AttachFailure *failure_out);

void attach_drop(AttachHold *hold);

#endif
