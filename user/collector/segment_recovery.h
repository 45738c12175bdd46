/* SPDX-License-Identifier: MIT */
/*
 * Makes good what a collector that was killed did not come to note in a segment: what its files have of each lane.
 *
 * By who has the claim to the segment, and before the files that were scanned become complete ones (lose their name *.partial): if this
 * collector is killed, too, the one after it looks into those that are not.
 */
#ifndef ADA_COLLECTOR_SEGMENT_RECOVERY_H
#define ADA_COLLECTOR_SEGMENT_RECOVERY_H

#include <sys/types.h>

#include "user/file/adat_recover.h"
#include "user/lane/segment.h"

/* `pid`: what the kernel attests, 0: what the segment says. Once or several times; it only ever notes more. */
void segment_recover(const Segment *segment, pid_t pid, const AdatRecovery *recovery);

#endif
