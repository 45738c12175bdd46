/* SPDX-License-Identifier: MIT */
/*
 * Where the segments of other processes are, and their descriptors. That takes the rights to trace these processes, so a process that
 * has an opener (opener.h) has it done there. Nothing in a segment is looked at; what is handed out is called one by the kernel.
 *
 * A process is known by its pid alone: who needs to know that it is still the same asks its pidfd afterwards.
 */
#ifndef ADA_ACCESS_PROCESS_SEGMENTS_H
#define ADA_ACCESS_PROCESS_SEGMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SEGMENT_PLACES_MAX 64u /* a process with more hides its own segments, and nobody else's */

/* A descriptor or a mapping of what is called a segment. */
typedef struct SegmentPlace {
    int32_t number;      /* of the descriptor; -1: it is a mapping */
    uint32_t task;       /* the thread that it was found by; 0: the process */
    uint64_t start, end; /* of the mapping */
    dev_t device;
    ino_t inode;
} SegmentPlace;

typedef struct SegmentPlaces {
    uint32_t count;
    int32_t refused; /* -EACCES or -EPERM: not all could be looked at; else 0 */
    SegmentPlace items[SEGMENT_PLACES_MAX];
} SegmentPlaces;

/*
 * Descriptors first, then mappings: daemons close what they do not know. Of a process whose main thread has ended, `by_tasks`, only the
 * other threads show descriptors. 0; without the right to look at it there are none. Errors of the way to the opener.
 */
int process_segments_find(pid_t pid, bool by_tasks, SegmentPlaces *places_out);

/* A descriptor of what is there by now, for reading and writing, close-on-exec. -EBADF: it is no segment any more; errors of open(2), pidfd_getfd(2). */
int process_segments_open(pid_t pid, const SegmentPlace *place);

/* The same of a descriptor that the process has made just now, which `pidfd` is of: nobody else's, even if it ends meanwhile. The quickest way. */
int process_segments_take(int pidfd, pid_t pid, int number);

/* Whether the process has any segment mapped, its own or a parent's, as far as we may look. */
bool process_segments_any(pid_t pid);

/* Whether it still has this one open, under the number that it had (-1: none), or mapped. Also true if we may not look. */
bool process_segments_has(pid_t pid, int number, dev_t device, ino_t inode);

/* The path of the program that it runs, cut to `size` - 1 bytes; "" if it is not to be known. */
void process_program(pid_t pid, char *path, size_t size);

#endif
