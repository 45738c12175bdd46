/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/lane/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "user/lane/atomic.h"

#define SEGMENT_TMPFS_MAGIC 0x01021994 /* linux/magic.h: what a memfd lives on, unless it is hugetlb */
#define PREFAULT_START 16384u          /* 512 events */
#define SEGMENT_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

void segment_config_init(SegmentConfig *config)
{
    *config = (SegmentConfig){
        .threads = ADA_THREADS_DEFAULT,
        .ring_bytes = ADA_RING_BYTES_DEFAULT,
        .policy = ADA_POLICY_DISCARD,
        .detail = ADA_DETAIL_MARKED,
        .clock_kind = ADA_CLOCK_MONOTONIC,
        .block_timeout_ns = SEGMENT_BLOCK_TIMEOUT_NS_DEFAULT,
    };
}

static uint64_t align_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

int segment_geometry_init(SegmentGeometry *geometry, const SegmentConfig *config)
{
    uint32_t detail_bytes =
        config->ring_bytes < ADA_DETAIL_RING_BYTES_MIN ? ADA_DETAIL_RING_BYTES_MIN : config->ring_bytes;
    uint64_t at = sizeof(SegmentHeader);

    if (config->threads < 1 || config->threads > ADA_THREADS_MAX)
        return -EINVAL;
    if (config->ring_bytes < ADA_RING_BYTES_MIN || config->ring_bytes > ADA_RING_BYTES_MAX ||
        config->ring_bytes % ADA_PAGE != 0)
        return -EINVAL;
    if (config->policy >= ADA_POLICY_COUNT || config->detail >= ADA_DETAIL_COUNT ||
        (config->clock_kind != ADA_CLOCK_MONOTONIC && config->clock_kind != ADA_CLOCK_TSC))
        return -EINVAL;

    memset(geometry, 0, sizeof(*geometry));
    geometry->slot_capacity = config->threads;
    geometry->slot_stride = sizeof(ThreadLaneSet);
    geometry->index_ring_count = ADA_INDEX_RINGS;
    geometry->index_ring_bytes = config->ring_bytes;
    geometry->detail_ring_count = ADA_DETAIL_RINGS;
    geometry->detail_ring_bytes = detail_bytes;
    geometry->event_capacity = ADA_EVENTS_MAX;
    geometry->module_capacity = ADA_MODULES_MAX;
    geometry->slot_ring_bytes =
        (uint64_t)ADA_INDEX_RINGS * config->ring_bytes + (uint64_t)ADA_DETAIL_RINGS * detail_bytes;

    geometry->registry_offset = at;
    at += sizeof(ThreadRegistry);
    geometry->slots_offset = at;
    at += (uint64_t)config->threads * sizeof(ThreadLaneSet);
    geometry->events_offset = at = align_up(at, ADA_PAGE);
    at += (uint64_t)ADA_EVENTS_MAX * sizeof(AdaEventDescriptor);
    geometry->modules_offset = at;
    at += (uint64_t)ADA_MODULES_MAX * sizeof(AdaModule);
    geometry->rings_offset = at = align_up(at, ADA_PAGE);
    at += (uint64_t)config->threads * geometry->slot_ring_bytes;
    geometry->segment_bytes = at;
    return 0;
}

void segment_format(void *memory, const SegmentGeometry *geometry, const SegmentConfig *config)
{
    Segment segment = {.header = memory, .geometry = *geometry};
    SegmentHeader *header = memory;
    ThreadRegistry *registry = segment_registry(&segment);

    header->major = ADA_SEGMENT_MAJOR;
    header->oldest_compatible = ADA_SEGMENT_OLDEST;
    header->geometry = *geometry;
    header->clock_kind = config->clock_kind;
    header->policy = config->policy;
    header->detail = config->detail;
    header->block_timeout_ns = config->block_timeout_ns;

    registry->capacity = geometry->slot_capacity;
    registry->slot_stride = geometry->slot_stride;
    registry->slots_offset = geometry->slots_offset;
    for (uint32_t slot = 0; slot < geometry->slot_capacity; slot++)
        registry->free_slots[slot / 64] |= 1ull << slot % 64;
    /* Slots are ADA_SLOT_FREE as they are: zero. */

    ada_store_relaxed(&registry->accepting_registrations, 1u);
    ada_store_relaxed(&header->enabled, config->enabled);
    /* Pairs with the acquire in segment_attach(): who sees the magic sees the whole header. */
    ada_store_release(&header->magic, ADA_SEGMENT_MAGIC);
}

static int map_segment(int fd, uint64_t bytes, void **memory_out)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (memory == MAP_FAILED)
        return -errno;
    *memory_out = memory;
    return 0;
}

int segment_create(const SegmentConfig *config, Segment *segment_out, int *fd_out)
{
    SegmentGeometry geometry;
    struct rlimit limit;
    void *memory = NULL;
    int error;
    int fd;

    error = segment_geometry_init(&geometry, config);
    if (error)
        return error;
    /* Beyond this limit ftruncate() would not only fail but raise SIGXFSZ in the traced program. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < geometry.segment_bytes)
        return -EFBIG;

    fd = memfd_create(ADA_SEGMENT_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    /* A memfd starts as 0777, and whoever holds a read-only copy could reopen it for writing. */
    if (fchmod(fd, 0600) < 0 || ftruncate(fd, (off_t)geometry.segment_bytes) < 0 ||
        fcntl(fd, F_ADD_SEALS, SEGMENT_SEALS) < 0) {
        error = -errno;
        goto fail;
    }
    error = map_segment(fd, geometry.segment_bytes, &memory);
    if (error)
        goto fail;
    segment_format(memory, &geometry, config);

    *segment_out = (Segment){.header = memory, .geometry = geometry};
    *fd_out = fd;
    return 0;

fail:
    close(fd);
    return error;
}

/* What an ordinary file, a pipe, a FUSE file, a hugetlb or an unsealed memfd fails. */
static int check_descriptor(int fd, uint64_t *bytes_out)
{
    struct stat status;
    struct statfs system;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals < 0 || (seals & SEGMENT_SEALS) != SEGMENT_SEALS)
        return -EBADF;
    if (fstatfs(fd, &system) < 0 || system.f_type != SEGMENT_TMPFS_MAGIC || fstat(fd, &status) < 0 ||
        !S_ISREG(status.st_mode))
        return -EBADF;
    if (status.st_size < (off_t)sizeof(SegmentHeader))
        return -EPROTO;
    *bytes_out = (uint64_t)status.st_size;
    return 0;
}

/* The geometry that the header claims, recomputed from the numbers that define it; they may change while we look. */
static int check_header(const SegmentHeader *header, uint64_t bytes, SegmentGeometry *geometry_out)
{
    SegmentGeometry claimed, computed;
    SegmentConfig config;
    int error;

    if (ada_load_acquire(&header->magic) != ADA_SEGMENT_MAGIC) /* pairs with segment_format() */
        return -EPROTO;
    if (ada_load_relaxed(&header->major) < ADA_SEGMENT_OLDEST ||
        ada_load_relaxed(&header->oldest_compatible) > ADA_SEGMENT_MAJOR ||
        ada_load_relaxed(&header->features) != 0)
        return -EPROTONOSUPPORT;

    memcpy(&claimed, &header->geometry, sizeof(claimed));
    segment_config_init(&config);
    config.threads = claimed.slot_capacity;
    config.ring_bytes = claimed.index_ring_bytes;
    config.policy = ada_load_relaxed(&header->policy);
    config.detail = ada_load_relaxed(&header->detail);
    config.clock_kind = ada_load_relaxed(&header->clock_kind);
    error = segment_geometry_init(&computed, &config); /* refuses what is out of range */
    if (error || memcmp(&claimed, &computed, sizeof(claimed)) != 0 || computed.segment_bytes != bytes)
        return -EPROTO;
    *geometry_out = computed;
    return 0;
}

int segment_attach(int fd, Segment *segment_out)
{
    SegmentGeometry geometry;
    uint64_t bytes = 0;
    void *memory = NULL;
    int error;

    error = check_descriptor(fd, &bytes);
    if (error)
        return error;
    error = map_segment(fd, bytes, &memory);
    if (error)
        return error;
    error = check_header(memory, bytes, &geometry);
    if (error) {
        munmap(memory, bytes);
        return error;
    }
    *segment_out = (Segment){.header = memory, .geometry = geometry};
    return 0;
}

/* A slot's control block, and so much of its index rings. */
static int prefault(const Segment *segment, uint32_t slot, size_t ring_bytes)
{
    uintptr_t set = (uintptr_t)segment_lane_set(segment, slot);
    uintptr_t set_page = set & ~(uintptr_t)(ADA_PAGE - 1);
    char *rings = segment_at(segment, segment_rings_offset(&segment->geometry, slot, ADA_LANE_INDEX));

    if (madvise((void *)set_page, set + sizeof(ThreadLaneSet) - set_page, MADV_POPULATE_WRITE) < 0 ||
        madvise(rings, ring_bytes, MADV_POPULATE_WRITE) < 0)
        return -errno;
    return 0;
}

int segment_prefault_slot(const Segment *segment, uint32_t slot)
{
    const SegmentGeometry *geometry = &segment->geometry;

    return prefault(segment, slot, (size_t)geometry->index_ring_count * geometry->index_ring_bytes);
}

int segment_prefault_slot_start(const Segment *segment, uint32_t slot)
{
    uint32_t bytes = segment->geometry.index_ring_bytes;

    return prefault(segment, slot, bytes < PREFAULT_START ? bytes : PREFAULT_START);
}

void segment_unmap(Segment *segment)
{
    if (segment->header)
        munmap(segment->header, segment->geometry.segment_bytes);
    segment->header = NULL;
}
