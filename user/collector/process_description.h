/* SPDX-License-Identifier: MIT */
/*
 * What the file is told about a traced process: identity, modules, event descriptors. Each is written once, and again
 * when the batch that had it was lost. All of it comes from the segment: copied, bounded, then used.
 */
#ifndef ADA_COLLECTOR_PROCESS_DESCRIPTION_H
#define ADA_COLLECTOR_PROCESS_DESCRIPTION_H

#include <sys/types.h>

#include "user/drain/drain_batch.h"

typedef struct ProcessDescription {
    const Segment *segment;
    uint32_t number;    /* of the process in the file */
    pid_t *pid;         /* 0: not known yet; then what the segment says */
    uint32_t described; /* batch epoch of the PROCESS block; 0 = never written */
    uint32_t modules_described;
    uint32_t module_count;
    uint32_t events_described; /* batch epoch to which event_written belongs */
    uint32_t events_done;      /* entries written */
    uint8_t *event_written;    /* by index: in the file already */
} ProcessDescription;

/* Segment and pid stay the caller's, and where they are. -ENOMEM. */
int process_description_init(ProcessDescription *self, const Segment *segment, uint32_t number, pid_t *pid);
void process_description_fini(ProcessDescription *self);

/* Writes what is new. */
void process_description_write(ProcessDescription *self, DrainBatch *batch);

/* The same for event descriptors alone. */
void process_description_write_events(ProcessDescription *self, DrainBatch *batch);

/* Entries of the segment's event table that may be ready. */
uint32_t process_event_count(const Segment *segment);

/* A private copy of an entry in which every length is in bounds. False: it is not ready. */
bool process_event_copy(const Segment *segment, uint32_t index, AdaEventDescriptor *copy);

#endif
