/* SPDX-License-Identifier: MIT */
/*
 * The segment: the shared memory between one traced process and one collector. Data only.
 *
 *   SegmentHeader   one page: identity, geometry, switches, doorbell
 *   ThreadRegistry  which slots are taken
 *   ThreadLaneSet[] one per slot: an index lane and a detail lane
 *   AdaEventDescriptor[], AdaModule[]
 *   rings           slot by slot: index rings, then detail rings
 *
 * Offsets, never pointers: each side maps it where it likes. Who writes a field and who reads it
 * stands beside it: P = producer (the thread that owns the slot), C = collector, K = creator, before
 * the segment is shared. Lines that P writes and lines that C writes are ADA_LINE apart, so that
 * neither side's stores take the other's line away (128: x86 prefetches lines in pairs).
 *
 * The collector trusts nothing in here (see user/lane/segment.h): what it needs it reads once,
 * checks, and keeps in private copies.
 */
#ifndef ADA_SHARED_SEGMENT_ABI_H
#define ADA_SHARED_SEGMENT_ABI_H

#include "metrics_abi.h"

#define ADA_SEGMENT_NAME "adatrace-v1"          /* of the memfd: what /proc/PID/fd shows */
#define ADA_SEGMENT_MAGIC 0x31474553414441ffull /* 0xff "ADASEG1", little-endian */
#define ADA_SEGMENT_MAJOR 3u
#define ADA_SEGMENT_OLDEST 3u /* oldest major that a reader must know to read this one */

#define ADA_LINE 128u
#define ADA_PAGE 4096u

#define ADA_THREADS_DEFAULT 64u
#define ADA_THREADS_MAX 4096u
#define ADA_INDEX_RINGS 4u
#define ADA_DETAIL_RINGS 2u
#define ADA_RINGS_MAX 4u
#define ADA_RING_BYTES_MIN 4096u
#define ADA_RING_BYTES_MAX (64u << 20)
#define ADA_RING_BYTES_DEFAULT (64u << 10)
#define ADA_DETAIL_RING_BYTES_MIN (32u << 10) /* several records of the largest size */
#define ADA_EVENTS_MAX 2048u
#define ADA_MODULES_MAX 512u

#define ADA_ALIGNED(n) __attribute__((aligned(n)))

/* ---- queue ------------------------------------------------------------------------------------ */

#define ADA_QUEUE_SLOTS 8u /* power of two, more than ADA_RINGS_MAX: a lane's queue is never full */

/* One single-producer single-consumer queue of ring indices. Indices run freely over 2^64. */
typedef struct SpscQueue {
    uint64_t tail; /* written by the queue's producer (release), read by its consumer (acquire) */
    uint32_t slots[ADA_QUEUE_SLOTS]; /* written by the producer before the tail that covers them */
    uint8_t pad0[ADA_LINE - 40];
    uint64_t head; /* written by the queue's consumer (release), read by its producer (acquire) */
    uint8_t pad1[ADA_LINE - 8];
} ADA_ALIGNED(128) SpscQueue;
ADA_ABI_ASSERT(sizeof(SpscQueue) == 256, "");
ADA_ABI_ASSERT(__builtin_offsetof(SpscQueue, slots) == 8, "");
ADA_ABI_ASSERT(__builtin_offsetof(SpscQueue, head) == 128, "");

/* ---- lane ------------------------------------------------------------------------------------- */

/*
 * A place within a ring, packed so that one store publishes both halves:
 * records written since the ring's start in the high half, bytes in the low half.
 */
#define ADA_POSITION(records, bytes) ((uint64_t)(records) << 32 | (uint64_t)(bytes))
#define ADA_POSITION_RECORDS(position) ((uint32_t)((uint64_t)(position) >> 32))
#define ADA_POSITION_BYTES(position) ((uint32_t)(position))

/* State of one ring. Written by P, but for `watch`; read by C. */
typedef struct RingControl {
    uint64_t base_record; /* number, within the lane, of the ring's first record; set before the ring becomes active */
    uint64_t sequence;  /* how many rings the lane had activated before this one */
    uint64_t reserved;  /* position up to which P has begun to write (relaxed) */
    uint64_t published; /* position up to which records are complete (release by P, acquire by C) */
    uint32_t watch; /* set by C when it will look no more of itself: P, when it has published, clears it and sets the slot's dirty bit */
    uint8_t pad[28];
} RingControl;
ADA_ABI_ASSERT(sizeof(RingControl) == 64, "");

/* Values of Lane.drain_owner. */
#define ADA_DRAIN_FREE 0u
#define ADA_DRAIN_COLLECTOR 1u
#define ADA_DRAIN_PRODUCER 2u

/* How many rings C has taken, modulo 2^32, and which were the last four: the latest in the lowest of the upper bytes. */
#define ADA_TAKEN(taken, ring) \
    (((uint64_t)(taken) >> 32 << 8 | (ring)) << 32 | (uint32_t)((uint32_t)(taken) + 1u))
#define ADA_TAKEN_COUNT(taken) ((uint32_t)(taken))
#define ADA_TAKEN_RING(taken, ago) ((uint32_t)((uint64_t)(taken) >> (32u + 8u * (ago))) & 0xffu)

typedef struct Lane {
    /* written at registration, before the slot becomes ACTIVE; then constant */
    uint32_t kind; /* ADA_LANE_* */
    uint32_t ring_count;
    uint32_t ring_bytes;
    uint32_t reserved0;
    uint64_t ring_pool_offset; /* of ring 0, from the start of the segment; ring i follows i * ring_bytes later */
    uint8_t pad0[ADA_LINE - 24];

    /* written by P alone */
    uint32_t active_ring_index; /* release by P, acquire by C */
    uint32_t reserved1;
    uint64_t mark_until; /* detail lane: rings with a sequence below this are to be kept (release by P, acquire by C) */
    uint32_t marked; /* detail lane: 1 once P has marked it */
    uint8_t pad1[ADA_LINE - 20];

    RingControl rings[ADA_RINGS_MAX];

    /* written by C alone */
    uint64_t drained_records; /* records up to here were taken over by C (release); P reads it with drain_owner held */
    uint64_t collector_mark_until; /* as mark_until, for marks that the collector sets */
    uint64_t taken; /* ADA_TAKEN(): rings that were taken out of the submit queue; those given back are in the free queue's tail */
    /* what is in the account of a collector, and in a file, for the one that comes after it; see lane_reader_init() */
    uint64_t settled_records; /* records below this; the rest are counters as of then */
    uint64_t settled_full;
    uint64_t settled_nested;
    uint64_t settled_overwritten;
    uint64_t settled_recycled;
    uint8_t pad2[ADA_LINE - 64];

    /* written by both with read-modify-writes, never on the event path */
    uint32_t drain_owner; /* ADA_DRAIN_*: who may take rings out of the submit queue */
    uint32_t waiting; /* futex: 1 while P sleeps for a ring, or for drained_records (C clears it and wakes) */
    uint8_t pad3[ADA_LINE - 8];

    SpscQueue submit_queue; /* full rings: P -> C */
    SpscQueue free_queue;   /* empty rings: C -> P */
} ADA_ALIGNED(128) Lane;
ADA_ABI_ASSERT(sizeof(Lane) == 1280, "");
ADA_ABI_ASSERT(__builtin_offsetof(Lane, ring_pool_offset) == 16, "");
ADA_ABI_ASSERT(__builtin_offsetof(Lane, active_ring_index) == 128, "");
ADA_ABI_ASSERT(__builtin_offsetof(Lane, mark_until) == 136, "");
ADA_ABI_ASSERT(__builtin_offsetof(Lane, marked) == 144, "");
ADA_ABI_ASSERT(__builtin_offsetof(Lane, rings) == 256, "");
ADA_ABI_ASSERT(__builtin_offsetof(Lane, drained_records) == 512, "");
ADA_ABI_ASSERT(__builtin_offsetof(Lane, taken) == 528, "");
ADA_ABI_ASSERT(__builtin_offsetof(Lane, settled_records) == 536, "");
ADA_ABI_ASSERT(__builtin_offsetof(Lane, settled_recycled) == 568, "");
ADA_ABI_ASSERT(__builtin_offsetof(Lane, drain_owner) == 640, "");
ADA_ABI_ASSERT(__builtin_offsetof(Lane, waiting) == 644, "");
ADA_ABI_ASSERT(__builtin_offsetof(Lane, submit_queue) == 768, "");
ADA_ABI_ASSERT(__builtin_offsetof(Lane, free_queue) == 1024, "");

/* ---- slots ------------------------------------------------------------------------------------ */

/* FREE -> REGISTERING -> ACTIVE by the thread; ACTIVE -> DRAINING by the thread at its end or by C on its death; DRAINING -> FREE by C. */
#define ADA_SLOT_FREE 0u
#define ADA_SLOT_REGISTERING 1u
#define ADA_SLOT_ACTIVE 2u
#define ADA_SLOT_DRAINING 3u
#define ADA_SLOT_STATES 4u

#define ADA_THREAD_NAME_SIZE 16u /* TASK_COMM_LEN */

typedef struct ThreadLaneSet {
    uint32_t state;      /* ADA_SLOT_*; release by whoever moves it, acquire by whoever acts on it */
    uint32_t generation; /* how often the slot was taken; written by the registering thread before ACTIVE */
    uint8_t pad0[ADA_LINE - 8];

    /* written by P */
    uint32_t thread_id; /* kernel tid, in the process's pid namespace */
    uint32_t slot_index;
    uint64_t registered_at; /* in ticks of the process's clock */
    uint32_t name_version;  /* odd while the name is being written (P), so that C reads a whole name */
    char name[ADA_THREAD_NAME_SIZE]; /* NUL-terminated */
    uint8_t pad1[ADA_LINE - 36];

    ada_thread_metrics_t metrics;

    Lane index;
    Lane detail;
} ADA_ALIGNED(128) ThreadLaneSet;
ADA_ABI_ASSERT(sizeof(ThreadLaneSet) == 3328, "");
ADA_ABI_ASSERT(__builtin_offsetof(ThreadLaneSet, thread_id) == 128, "");
ADA_ABI_ASSERT(__builtin_offsetof(ThreadLaneSet, registered_at) == 136, "");
ADA_ABI_ASSERT(__builtin_offsetof(ThreadLaneSet, name_version) == 144, "");
ADA_ABI_ASSERT(__builtin_offsetof(ThreadLaneSet, name) == 148, "");
ADA_ABI_ASSERT(__builtin_offsetof(ThreadLaneSet, metrics) == 256, "");
ADA_ABI_ASSERT(__builtin_offsetof(ThreadLaneSet, index) == 768, "");
ADA_ABI_ASSERT(__builtin_offsetof(ThreadLaneSet, detail) == 2048, "");

#define ADA_BITMAP_WORDS (ADA_THREADS_MAX / 64u)

typedef struct ThreadRegistry {
    /* written by K, then constant */
    uint32_t capacity;    /* slots: 1..ADA_THREADS_MAX */
    uint32_t slot_stride; /* bytes from one ThreadLaneSet to the next */
    uint64_t slots_offset;
    uint8_t pad0[ADA_LINE - 16];

    /* written by registering threads and by C, with atomic read-modify-writes: never on the event path */
    uint32_t thread_count;            /* slots that are not FREE */
    uint32_t accepting_registrations; /* C: 0 refuses new threads */
    uint32_t shutdown_requested;      /* C: 1 tells the process that the collector is leaving */
    uint32_t high_water;    /* slots with this index or above were never taken: bounds what C must look at */
    uint64_t registrations; /* ever */
    uint64_t rejected;      /* refused because all slots were taken or registration was closed */
    uint64_t unregistered_events; /* events of threads that had no slot; attempted and lost */
    uint8_t pad1[ADA_LINE - 40];

    uint64_t free_slots[ADA_BITMAP_WORDS]; /* bit set: slot is free. Claimed by the thread (acq_rel), set by C (release) */

    /* Where C should look: set by threads in slow paths (release), taken by C (exchange, acquire). Hints, no truth. */
    uint64_t dirty_slots[ADA_BITMAP_WORDS]; /* a ring was submitted, or something was published in a ring that is watched */
    uint64_t ended_slots[ADA_BITMAP_WORDS]; /* the slot became DRAINING */
} ADA_ALIGNED(128) ThreadRegistry;
ADA_ABI_ASSERT(sizeof(ThreadRegistry) == 1792, "");
ADA_ABI_ASSERT(__builtin_offsetof(ThreadRegistry, slots_offset) == 8, "");
ADA_ABI_ASSERT(__builtin_offsetof(ThreadRegistry, thread_count) == 128, "");
ADA_ABI_ASSERT(__builtin_offsetof(ThreadRegistry, accepting_registrations) == 132, "");
ADA_ABI_ASSERT(__builtin_offsetof(ThreadRegistry, shutdown_requested) == 136, "");
ADA_ABI_ASSERT(__builtin_offsetof(ThreadRegistry, unregistered_events) == 160, "");
ADA_ABI_ASSERT(__builtin_offsetof(ThreadRegistry, free_slots) == 256, "");
ADA_ABI_ASSERT(__builtin_offsetof(ThreadRegistry, dirty_slots) == 768, "");
ADA_ABI_ASSERT(__builtin_offsetof(ThreadRegistry, ended_slots) == 1280, "");

/* ---- header ----------------------------------------------------------------------------------- */

/* Where everything is. Written by K, then constant; C works on a checked private copy. */
typedef struct SegmentGeometry {
    uint64_t segment_bytes;
    uint64_t registry_offset;
    uint64_t slots_offset;
    uint64_t events_offset;
    uint64_t modules_offset;
    uint64_t rings_offset;
    uint64_t slot_ring_bytes; /* all rings of one slot */
    uint32_t slot_capacity;
    uint32_t slot_stride;
    uint32_t index_ring_count;
    uint32_t index_ring_bytes;
    uint32_t detail_ring_count;
    uint32_t detail_ring_bytes;
    uint32_t event_capacity;
    uint32_t module_capacity;
} SegmentGeometry;
ADA_ABI_ASSERT(sizeof(SegmentGeometry) == 88, "");

/* Values of SegmentHeader.collector_sleeping. */
#define ADA_COLLECTOR_AWAKE 0u
#define ADA_COLLECTOR_NAPS 1u   /* until its next tick: wake it for rings that are needed before */
#define ADA_COLLECTOR_SLEEPS 2u /* until something happens: wake it for whatever does */

#define ADA_COMMAND_SIZE 1024u

typedef struct SegmentHeader {
    uint64_t magic;
    uint32_t major;
    uint32_t oldest_compatible;
    uint64_t features; /* none defined: 0 */
    SegmentGeometry geometry;
    uint32_t clock_kind; /* ADA_CLOCK_* */
    uint32_t policy;     /* ADA_POLICY_* */
    uint32_t detail;     /* ADA_DETAIL_* */
    uint32_t reserved0;
    uint64_t block_timeout_ns; /* longest wait of one event under ADA_POLICY_BLOCK */
    uint8_t pad0[384 - 136];

    /* written by the traced process when it takes the segment over */
    uint32_t owner_pid;        /* 0 until claimed (compare-exchange) */
    uint32_t owner_parent_pid; /* what follows is valid once owner_ready is 1 */
    uint64_t owner_started_at; /* in ticks */
    uint32_t owner_ready;      /* release by the process, acquire by C */
    uint32_t command_bytes;    /* arguments, each NUL-terminated */
    uint64_t owner_namespace;  /* inode of /proc/self/ns/pid, in which owner_pid is meant; 0: not known */
    uint8_t pad1[ADA_LINE - 32];

    /* written by C */
    uint32_t enabled;              /* the gate: 0 = every event costs a load and a branch */
    uint32_t attached;             /* 1 while a collector drains this segment */
    uint64_t settled_unregistered; /* ThreadRegistry.unregistered_events that are in a collector's account */
    uint32_t wants_children; /* 1: children of fork() record into segments of their own from their first event on */
    uint8_t pad2[ADA_LINE - 20];

    /* the doorbell: P rings it when a ring was submitted and C sleeps */
    uint32_t doorbell; /* futex; added to by any thread of the process */
    uint8_t pad3[ADA_LINE - 4];
    uint32_t collector_sleeping; /* ADA_COLLECTOR_*; written by C */
    uint8_t pad4[ADA_LINE - 4];

    /* tables that grow; written by any thread of the process, read by C */
    uint32_t event_count; /* highest id in use (P, raised by compare-exchange); each entry is valid once its own `ready` is 1 */
    uint32_t module_count; /* the same */
    uint8_t pad5[ADA_LINE - 8];

    char command[ADA_COMMAND_SIZE];
    char program[256]; /* path of the executable, NUL-terminated */
    uint8_t pad6[ADA_PAGE - 1024 - 1280];
} ADA_ALIGNED(128) SegmentHeader;
ADA_ABI_ASSERT(sizeof(SegmentHeader) == ADA_PAGE, "header is one page");
ADA_ABI_ASSERT(__builtin_offsetof(SegmentHeader, geometry) == 24, "");
ADA_ABI_ASSERT(__builtin_offsetof(SegmentHeader, clock_kind) == 112, "");
ADA_ABI_ASSERT(__builtin_offsetof(SegmentHeader, block_timeout_ns) == 128, "");
ADA_ABI_ASSERT(__builtin_offsetof(SegmentHeader, owner_pid) == 384, "");
ADA_ABI_ASSERT(__builtin_offsetof(SegmentHeader, owner_namespace) == 408, "");
ADA_ABI_ASSERT(__builtin_offsetof(SegmentHeader, enabled) == 512, "");
ADA_ABI_ASSERT(__builtin_offsetof(SegmentHeader, settled_unregistered) == 520, "");
ADA_ABI_ASSERT(__builtin_offsetof(SegmentHeader, wants_children) == 528, "");
ADA_ABI_ASSERT(__builtin_offsetof(SegmentHeader, doorbell) == 640, "");
ADA_ABI_ASSERT(__builtin_offsetof(SegmentHeader, collector_sleeping) == 768, "");
ADA_ABI_ASSERT(__builtin_offsetof(SegmentHeader, event_count) == 896, "");
ADA_ABI_ASSERT(__builtin_offsetof(SegmentHeader, command) == 1024, "");
ADA_ABI_ASSERT(__builtin_offsetof(SegmentHeader, program) == 2048, "");

#endif
