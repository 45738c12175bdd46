/* SPDX-License-Identifier: MIT */
/* What the opener does for others, and a process without one for itself; as the functions of the same names without opener_here_. */
#ifndef ADA_ACCESS_OPENER_HERE_H
#define ADA_ACCESS_OPENER_HERE_H

#include "user/access/hook_process.h"
#include "user/access/process_identity.h"
#include "user/access/process_segments.h"

int opener_here_identity(pid_t pid, ProcessIdentity *identity_out);

int opener_here_find(pid_t pid, bool by_tasks, SegmentPlaces *places_out);
int opener_here_open(pid_t pid, const SegmentPlace *place);
int opener_here_take(int pidfd, pid_t pid, int number);
bool opener_here_any(pid_t pid);
bool opener_here_has(pid_t pid, const SegmentPlace *wanted);
void opener_here_program(pid_t pid, char *path, size_t size);

int opener_here_make_parents(const char *path);
int opener_here_place(const char *path, bool adopt, bool *made_out);
int opener_here_share(const char *path, uid_t reader);

/* The user is the one that the command names. */
int opener_here_hook(const HookCommand *command, const HookUser *user, HookProcess *process_out);
void opener_here_kill_hook(const HookProcess *process);
/* si_pid 0: it has not ended. Errors of waitid(2). */
int opener_here_wait_for_hook(const HookProcess *process, bool until_ended, siginfo_t *end_out);

#endif
