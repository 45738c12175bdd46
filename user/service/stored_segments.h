/* SPDX-License-Identifier: MIT */
/*
 * Segments whose descriptors systemd keeps for the service that comes after this one: what a process has recorded is there when the
 * process is gone, and so is whoever drained it. A segment is kept from when it is recorded until all of it is in a file.
 *
 * Its name in the store is "segment/SESSION/KEY/INSTANCE": KEY is the recorder's (RecorderConfig.on_segment), INSTANCE the pid of the
 * service that stored it, so that a new one is stored before the old one is removed.
 */
#ifndef ADA_SERVICE_STORED_SEGMENTS_H
#define ADA_SERVICE_STORED_SEGMENTS_H

#include "user/service/service_manager.h"

typedef struct StoredSegment {
    int fd; /* -1: handed on */
    char name[256];
    char session[65];
    char key[64];
} StoredSegment;

/* Starts as {0}. */
typedef struct StoredSegments {
    StoredSegment *items;
    size_t count;
    size_t capacity;
} StoredSegments;

/* Takes a descriptor over if it is one of these. False: it is not, or there is no memory, and it stays the caller's. */
bool stored_segments_take(StoredSegments *stored, const ManagerDescriptor *descriptor);

/* Moves those of a session from one list to another. Without memory some stay. */
void stored_segments_move(StoredSegments *from, const char *session, StoredSegments *to);

/* Stores a segment, and removes what another service had stored of it; fd -1: removes it. */
void stored_segments_note(StoredSegments *old, const char *session, const char *key, int fd);

/* Whether the process whose segment it is still has it: then it is found as others are. */
bool stored_segment_is_alive(const StoredSegment *segment);

/* Releases what was not handed on, and has it kept no longer. */
void stored_segments_fini(StoredSegments *stored);

#endif
