/* SPDX-License-Identifier: MIT */
/*
 * Making, mapping and checking segments (shared/segment_abi.h).
 *
 * The creator (client library, or `adatrace record` on behalf of a program that it starts) makes a
 * sealed memfd: its size can never change again, so that nobody's mapping can ever fault. The
 * collector accepts a descriptor only if it is such a memfd, recomputes the whole geometry from the
 * few numbers that define it, and from then on uses its private copy alone.
 *
 * The functions use system calls only (no heap, no stdio, no locks), so that a child may call them right
 * after fork(). They return 0 or -errno. A Segment is a plain value; who mapped it unmaps it.
 */
#ifndef ADA_LANE_SEGMENT_H
#define ADA_LANE_SEGMENT_H

#include <stddef.h>

#include "shared/segment_abi.h"

typedef struct SegmentConfig {
    uint32_t threads;          /* slots: 1..ADA_THREADS_MAX */
    uint32_t ring_bytes;       /* index ring: multiple of ADA_PAGE, ADA_RING_BYTES_MIN..ADA_RING_BYTES_MAX */
    uint32_t policy;           /* ADA_POLICY_* */
    uint32_t detail;           /* ADA_DETAIL_* */
    uint32_t clock_kind;       /* ADA_CLOCK_* */
    uint32_t enabled;          /* initial state of the gate */
    uint64_t block_timeout_ns; /* longest wait of one event under ADA_POLICY_BLOCK */
} SegmentConfig;

#define SEGMENT_BLOCK_TIMEOUT_NS_DEFAULT \
    10000000000ull /* 10 s: outlasts a stalled disk, not a dead collector */

typedef struct Segment {
    SegmentHeader *header;    /* start of the mapping; NULL = not mapped */
    SegmentGeometry geometry; /* private, checked */
} Segment;

/* Fills in defaults: 64 threads, 64 KiB rings, discard, marked, disabled. */
void segment_config_init(SegmentConfig *config);

/* Where everything goes. -EINVAL: a number is out of range. */
int segment_geometry_init(SegmentGeometry *geometry, const SegmentConfig *config);

/* Writes header, registry and empty slots into zeroed memory of geometry.segment_bytes bytes, aligned to a page. */
void segment_format(void *memory, const SegmentGeometry *geometry, const SegmentConfig *config);

/*
 * Makes a sealed memfd with a formatted segment and maps it. *fd_out (close-on-exec) is the caller's.
 * -EINVAL: config; -EFBIG: the process's file size limit is below the segment's size; others: memfd_create, ftruncate, mmap.
 */
int segment_create(const SegmentConfig *config, Segment *segment_out, int *fd_out);

/*
 * Maps a segment that somebody else made, after checking it. The fd stays the caller's.
 * -EBADF: not a sealed memfd; -EPROTONOSUPPORT: another ABI version, or a feature that we do not know; -EPROTO: the header contradicts itself
 * or the file's size; others: mmap.
 */
int segment_attach(int fd, Segment *segment_out);

/* Allocates the pages of one slot's control block and index rings, so that its thread takes no page fault of its own. Errors of madvise(2). */
int segment_prefault_slot(const Segment *segment, uint32_t slot);

/* The same for what a thread needs to begin with: its control block and the first 16 KiB of its first ring. */
int segment_prefault_slot_start(const Segment *segment, uint32_t slot);

void segment_unmap(Segment *segment);

static inline void *segment_at(const Segment *segment, uint64_t offset)
{
    return (char *)segment->header + offset;
}

static inline ThreadRegistry *segment_registry(const Segment *segment)
{
    return segment_at(segment, segment->geometry.registry_offset);
}

static inline ThreadLaneSet *segment_lane_set(const Segment *segment, uint32_t slot)
{
    return segment_at(segment, segment->geometry.slots_offset + (uint64_t)slot * segment->geometry.slot_stride);
}

/* Offset of the first ring of a slot's lane. */
static inline uint64_t segment_rings_offset(const SegmentGeometry *geometry, uint32_t slot, uint32_t lane_kind)
{
    uint64_t offset = geometry->rings_offset + slot * geometry->slot_ring_bytes;

    if (lane_kind == ADA_LANE_DETAIL)
        offset += (uint64_t)geometry->index_ring_count * geometry->index_ring_bytes;
    return offset;
}

static inline AdaEventDescriptor *segment_event(const Segment *segment, uint32_t index)
{
    return (AdaEventDescriptor *)segment_at(segment, segment->geometry.events_offset) + index;
}

static inline AdaModule *segment_module(const Segment *segment, uint32_t index)
{
    return (AdaModule *)segment_at(segment, segment->geometry.modules_offset) + index;
}

#endif
