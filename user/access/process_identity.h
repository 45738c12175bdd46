/* SPDX-License-Identifier: MIT */
/* What /proc says about a process: is it one that can be traced, what is it called in its own namespace, who are its children. */
#ifndef ADA_ACCESS_PROCESS_IDENTITY_H
#define ADA_ACCESS_PROCESS_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct ProcessIdentity {
    pid_t pid;
    pid_t thread_group; /* pid, unless it is the id of a thread */
    pid_t parent;
    pid_t namespace_pid;    /* its pid in its own pid namespace */
    uint64_t pid_namespace; /* inode of that namespace; 0: we may not ask */
    uid_t user;             /* effective */
    bool one_user;          /* real and saved are the same */
    bool kernel_thread;
    bool zombie;
    char name[16];
} ProcessIdentity;

/* -ESRCH: there is no such process (any more); -EACCES, -EPERM: /proc does not show it to us; -EPROTO: /proc is not what it should be;
 * errors of the way to the opener (opener.h). */
int process_identity_read(pid_t pid, ProcessIdentity *identity_out);

/* A growing list of pids. */
typedef struct PidList {
    pid_t *items;
    size_t count;
    size_t capacity;
} PidList;

/* Adds a pid that is not in it yet. 0 or -ENOMEM. */
int pid_list_add(PidList *list, pid_t pid);
void pid_list_fini(PidList *list);

/* Adds the present children of all threads of the process. One that has ended has none. 0 or -ENOMEM. */
int process_list_children(pid_t pid, PidList *children);

#endif
