/* SPDX-License-Identifier: MIT */
/*
 * Giving up all rights that a collector does not need once it has an opener (opener.h): capabilities of all sets, for good
 * (no_new_privs), and all system calls but those that it uses. Others fail with ENOSYS, as on a kernel that does not have them. It can run no
 * program, make no process, trace and signal none, load no BPF program, and change no mount, namespace, clock, user or group.
 *
 * Files stay as they are: a process of root can still write what belongs to root. The service's unit takes that away (ProtectSystem=).
 */
#ifndef ADA_SERVICE_CONFINE_H
#define ADA_SERVICE_CONFINE_H

#include <stdbool.h>

/* This thread, and all that it makes from then on: there should be no others. Errors of prctl(2), capset(2), seccomp(2), negative. */
int confine_thread(void);

/* Whether system calls are confined, too: not if it was built without libseccomp, or with sanitizers, which need more of them. */
bool confine_filters(void);

#endif
