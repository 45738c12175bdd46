/* SPDX-License-Identifier: MIT */
/* Starting a program so that it records from its first instruction, and learning how processes end. */
#ifndef ADA_COLLECTOR_LAUNCH_H
#define ADA_COLLECTOR_LAUNCH_H

#include <signal.h>
#include <sys/types.h>

#include "user/collector/traced_process.h"

typedef struct LaunchConfig {
    char *const *argv; /* program and arguments, ended by NULL; found along PATH */
    int segment;       /* descriptor of the segment made for it, which it inherits under this number */
    const SegmentConfig *config; /* of segments that its children make */
    const char *announce;        /* path of the announce socket */
    const char *preload_library; /* absolute path, or NULL */
    const char *preload_groups;  /* "io,lock": with preload_library */
    const sigset_t *signal_mask; /* of the program */
    /* The process is there, and goes on when this returns: nothing of the program has run yet. NULL: nobody wants to know. */
    void (*on_forked)(void *context, pid_t pid);
    void *context;
} LaunchConfig;

/* Moves a descriptor that a program is to inherit out of the way of the numbers it will use. Returns the new one, or the same. */
int launch_raise_descriptor(int fd);

/*
 * Starts the program. 0: *pid_out and *pidfd_out (the caller's to close); else -errno: of what the exec
 * failed with (ENOENT, EACCES ...), or of fork(2) and the like.
 */
int launch_program(const LaunchConfig *config, pid_t *pid_out, int *pidfd_out);

/* Whether the process of a pidfd has ended (it may still be a zombie). */
bool process_has_ended(int pidfd);

/* Waits for a child that has ended, and says how. */
ProcessEnd process_reap(pid_t pid);

/* How a process that is no child of ours ended, if the kernel tells (Linux 6.15, once its parent has waited for it): kind 0: not known (yet). */
ProcessEnd process_ask_end(int pidfd);

/* A wait status, as ProcessEnd. */
ProcessEnd process_end_of_status(int status);

#endif
