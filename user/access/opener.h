/* SPDX-License-Identifier: MIT */
/*
 * The opener: a process that has the rights, for one that has none.
 *
 * A service that looks into what other users' processes have written should not be able to do more than that if it is deceived. So it
 * forks an opener first (opener_start()) and then gives its own rights up (confine.h). What takes rights - looking at processes, opening
 * segments, loading BPF programs, making directories, running hooks as another user - is asked of the opener, which hands
 * descriptors over. The opener reads nothing of clients but what the kernel says of them, and hands out:
 *   - descriptors of memfds that are called segments (process_segments.h)
 *   - of BPF maps and programs of its own (kernel_programs.h)
 *   - of directories that belong to root or to its own user, and nobody else can write (output_place.h)
 *   - of hooks' processes, which run as one user without rights (hook_process.h)
 *
 * Threads. Each thread of the process that asks has a conversation of its own with the opener, and a thread there that answers: who waits for
 * a disk keeps nobody else waiting. What is more than a question has a further one, and ends with it: BPF programs are
 * detached, a hook is killed. All end when the process does, however it does; then the opener ends.
 *
 * The functions that need rights look whether there is an opener (opener_is_used()) and do it themselves if not, as commands do.
 */
#ifndef ADA_ACCESS_OPENER_H
#define ADA_ACCESS_OPENER_H

#include <stdbool.h>

typedef struct OpenerConfig {
    bool (*may_run_as)(void *context, const char *user); /* asked in the opener: whether hooks run as this user */
    void *context;
} OpenerConfig;

/*
 * Forks the opener; once, and while there is but one thread. It keeps the standard streams and no other descriptor, takes no notice of signals, and
 * ends with exit(3). 0 or -errno.
 */
int opener_start(const OpenerConfig *config);

bool opener_is_used(void);

/* Readable once the opener has ended, after which nothing can be opened any more; -1 without one. */
int opener_end_fd(void);

/* For tests: closes the conversations of this thread and waits until the opener has ended. There are no others by then. */
void opener_stop(void);

#endif
