/* SPDX-License-Identifier: MIT */
/*
 * Makes good what a collector that was killed did not come to note in a segment: what its files have of each lane.
 *
 * By who has the claim to the segment. If this collector is killed before it comes to it, the one after it must look into the same files
 * once more: a file without an end may have what is not noted, whatever its name is by then (trace_directory.h).
 */
#ifndef ADA_COLLECTOR_SEGMENT_RECOVERY_H
#define ADA_COLLECTOR_SEGMENT_RECOVERY_H

#include <sys/types.h>

#include "user/file/adat_recover.h"
#include "user/lane/segment.h"

/* `pid`: what the kernel attests, 0: what the segment says. Once or several times; it only ever notes more. */
void segment_recover(const Segment *segment, pid_t pid, const AdatRecovery *recovery);

#endif
