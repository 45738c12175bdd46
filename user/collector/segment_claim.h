/* SPDX-License-Identifier: MIT */
/*
 * One collector per segment: a record lock (fcntl(2), F_SETLK) on the memfd itself, and a table of those that this process has.
 *
 * The lock is the kernel's, so it needs no word in memory that a hostile process could write and ends with the collector, however
 * that ends: not before its last thread has left user space. It is the inode's, so it holds across pid, mount and user
 * namespaces; and who is refused is told the holder's pid as it is in his own namespace.
 *
 * It is not a lock of the open file description (F_OFD_SETLK): descriptors that come by pidfd_getfd(2), SCM_RIGHTS or fork(2) share
 * theirs with the traced process, which would hold the lock with us, and longer. The price: a lock is the process's, so two of its
 * threads would both get it, and closing any descriptor of the segment in this process gives it up. Hence the table, the process's
 * like the locks: it refuses who comes second, and keeps every other descriptor of a claimed segment open until the claim ends. So whatever
 * may be a descriptor of a segment is closed by segment_release(), never by close(2).
 *
 * All functions may be called by any thread at any time. A child of fork(2) has neither the locks nor what the table says.
 */
#ifndef ADA_COLLECTOR_SEGMENT_CLAIM_H
#define ADA_COLLECTOR_SEGMENT_CLAIM_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Claims the segment for this process, until the descriptor, open for writing, is released; it may have the claim already. `owner`: the process whose
 * segment it is, in our pid namespace; 0: nobody's yet. 0; -EBUSY: it is claimed, *holder_out is the pid of who has it, getpid() if this process
 * does by another descriptor, 0 if the holder has none in our namespace; -ENOMEM; others: fstat(2), fcntl(2).
 */
int segment_claim(int fd, pid_t owner, pid_t *holder_out);

/*
 * Whether this process has a claim of that memfd, and as whose segment (`owner_out` may be NULL). It may be given up at any time by who holds
 * it; to ask is to spare a descriptor, which would stay open as long as the claim.
 */
bool segment_is_claimed_here(dev_t device, ino_t inode, pid_t *owner_out);

/*
 * Closes a descriptor of what may be a segment; -1: nothing happens. The claim ends if it is the one that has it. If another has it, it is kept
 * and closed with that one.
 */
void segment_release(int fd);

#endif
