/* SPDX-License-Identifier: MIT */
/*
 * One collector per segment: a record lock (fcntl(2), F_SETLK) on the memfd itself.
 *
 * It is the kernel's, so it needs no word in memory that a hostile process could write and ends with the collector, however
 * that ends: not before its last thread has left user space. It is the inode's, so it holds across pid, mount and user
 * namespaces; and who is refused is told the holder's pid as it is in his own namespace.
 *
 * It is not a lock of the open file description (F_OFD_SETLK): descriptors that come by pidfd_getfd(2), SCM_RIGHTS or fork(2) share
 * theirs with the traced process, which would hold the lock with us, and longer. The price: closing any descriptor of the
 * segment in this process gives the claim up, so the one that has it stays open, and no second one is closed meanwhile.
 */
#ifndef ADA_COLLECTOR_SEGMENT_CLAIM_H
#define ADA_COLLECTOR_SEGMENT_CLAIM_H

#include <sys/types.h>

/*
 * Claims the segment for this process, until the descriptor, open for writing, is closed. 0; -EBUSY: another process
 * has it, *holder_out is its pid, or 0 if it has none in our namespace; others: fcntl(2).
 */
int segment_claim(int fd, pid_t *holder_out);

#endif
