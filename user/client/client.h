/* SPDX-License-Identifier: MIT */
/*
 * Inside libadatrace: the process's segment, each thread's place in it, and the way from a public
 * call to a lane.
 *
 *   process.c  one segment per process: made, claimed or announced; fork
 *   thread.c   one slot per thread: registered at its first event, given back at its end
 *   events.c   names of events
 *   modules.c  where code is loaded
 *   emit.c     the public calls that record
 *
 * Everything that a child of fork() must not use any more lives in one private mapping that the kernel
 * empties in the child (MADV_WIPEONFORK): the views through which threads write, and ClientShared.alive.
 * So a child, however it was made, finds limit 0, comes to the slow path, sees that it is a child, and starts
 * a segment of its own. It never writes to its parent's.
 *
 * No heap, no locks, no stdio: every path may run in a signal handler or right after fork().
 */
#ifndef ADA_CLIENT_CLIENT_H
#define ADA_CLIENT_CLIENT_H

#include <adatrace/adatrace.h>

#include "user/lane/lane_producer.h"
#include "user/registry/thread_registry.h"

/* A thread's private side of its slot. Lives at contexts[slot], in the mapping that is wiped on fork. */
typedef struct ada_thread_context {
    ThreadLaneSet *lanes; /* shared */
    LaneProducer index;
    LaneProducer detail;
} ada_thread_context_t;

/* States of ThreadState.state. */
enum {
    THREAD_NEW = 0,     /* not registered: its first event does that */
    THREAD_REGISTERING, /* a handler that traces meanwhile is counted, not recorded */
    THREAD_ACTIVE,
    THREAD_CLOSED, /* its last destructor ran: what it still does is counted */
};

/* What a thread keeps in its static TLS block: small, because glibc has few such bytes for dlopen()ed libraries. */
typedef struct ThreadState {
    LaneWriter index;
    LaneWriter detail;
    ada_thread_context_t *context; /* while ACTIVE */
    uint32_t depth;                /* open spans and functions */
    uint16_t state;
    uint16_t destructor_rounds;
} ThreadState;

_Static_assert(sizeof(ThreadState) <= 64, "static TLS is scarce");

extern __thread ThreadState ada_thread __attribute__((tls_model("initial-exec")));

/* A view that refuses everything: where writers of unregistered threads point. */
extern LaneView ada_closed_view;

/* ---- process.c -------------------------------------------------------------------------------- */

/*
 * Sees to it that this process has a segment of its own. 0; -EAGAIN: nobody records, or a segment
 * cannot be had (then the gate is closed).
 */
int client_process_enter(void);

/* The segment; valid after client_process_enter(). */
const Segment *client_segment(void);

/* Wakes a collector that sleeps until something happens: a thread came or went. */
void client_wake_collector(void);

/* The context of a slot. */
ada_thread_context_t *client_context(uint32_t slot);

/* ---- thread.c --------------------------------------------------------------------------------- */

/* Makes the key that ends threads; once per process image. 0 or -errno. */
int client_thread_setup(void);

/*
 * Registers the calling thread if need be: "thread_register()" of the specification. 0: it is ACTIVE;
 * -EAGAIN: nobody records; -ENOSPC, -ESHUTDOWN: as thread_registry_register(); -EBUSY: interrupted while registering;
 * -ESRCH: the thread is past its end. errno is kept.
 */
int thread_register(void);

/* Counts an event of a thread that has no slot. */
void client_count_unregistered(void);

/*
 * In the child of a fork, which may have come from a handler that interrupted the recording of an event: gives the interrupted
 * code, which goes on when the handler returns, a context in place of the one that the kernel emptied. It refuses
 * everything, and leads to where the parent's segment was: `segment`, empty private memory by now.
 */
void client_thread_mend(const Segment *segment);

/* Makes the calling thread unregistered; in the child of a fork. */
void client_thread_forget(void);

/* ---- events.c --------------------------------------------------------------------------------- */

/* The id of an event, registering it at first. 0: the table is full. Any thread, any time. */
uint32_t client_event_register(ada_event *event);

/* Writes all events registered so far into a new segment's table; in the child of a fork. */
void client_events_publish(const Segment *segment);

/* ---- modules.c -------------------------------------------------------------------------------- */

/* Collects the loaded modules and adds those that are new to the segment. Not in signal handlers; any thread. */
void client_modules_update(const Segment *segment);

/* Forgets a scan of the parent's that the child of a fork will not see the end of. */
void client_modules_forked(void);

/* Writes the modules that were found so far into a new segment; in the child of a fork. */
void client_modules_publish(const Segment *segment);

#endif
