/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/lane/segment.h"
#include "user/registry/thread_registry.h"

#define ALL_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static SegmentConfig small_config(uint32_t threads)
{
    SegmentConfig config;

    segment_config_init(&config);
    config.threads = threads;
    config.ring_bytes = ADA_RING_BYTES_MIN;
    return config;
}

static void create(const SegmentConfig *config, Segment *segment, int *fd)
{
    CU_ASSERT_EQUAL_FATAL(segment_create(config, segment, fd), 0);
}

static void destroy(Segment *segment, int fd)
{
    segment_unmap(segment);
    CU_ASSERT_EQUAL(close(fd), 0);
}

/* ---- geometry ----------------------------------------------------------------------------------- */

static void segment_geometry__threads_and_rings__then_parts_disjoint_and_in_order(void)
{
    static const uint32_t threads[] = {1, 2, 64, 65, 4096};
    static const uint32_t rings[] = {ADA_RING_BYTES_MIN, 8192, ADA_DETAIL_RING_BYTES_MIN,
                                     ADA_RING_BYTES_DEFAULT, ADA_RING_BYTES_MAX};

    for (size_t t = 0; t < sizeof(threads) / sizeof(threads[0]); t++) {
        for (size_t r = 0; r < sizeof(rings) / sizeof(rings[0]); r++) {
            SegmentConfig config = small_config(threads[t]);
            SegmentGeometry g;

            config.ring_bytes = rings[r];
            CU_ASSERT_EQUAL_FATAL(segment_geometry_init(&g, &config), 0);
            CU_ASSERT_EQUAL(g.slot_capacity, threads[t]);
            CU_ASSERT_EQUAL(g.index_ring_bytes, rings[r]);
            CU_ASSERT_EQUAL(g.index_ring_count, ADA_INDEX_RINGS);
            CU_ASSERT_EQUAL(g.detail_ring_count, ADA_DETAIL_RINGS);
            CU_ASSERT_TRUE(g.detail_ring_bytes >= ADA_DETAIL_RING_BYTES_MIN && g.detail_ring_bytes >= rings[r]);
            CU_ASSERT_EQUAL(g.registry_offset, sizeof(SegmentHeader));
            CU_ASSERT_EQUAL(g.slots_offset, g.registry_offset + sizeof(ThreadRegistry));
            CU_ASSERT_TRUE(g.events_offset >= g.slots_offset + (uint64_t)g.slot_stride * threads[t]);
            CU_ASSERT_EQUAL(g.modules_offset, g.events_offset + g.event_capacity * sizeof(AdaEventDescriptor));
            CU_ASSERT_TRUE(g.rings_offset >= g.modules_offset + g.module_capacity * sizeof(AdaModule));
            CU_ASSERT_EQUAL(g.segment_bytes, g.rings_offset + g.slot_ring_bytes * threads[t]);
            CU_ASSERT_EQUAL(segment_rings_offset(&g, threads[t] - 1, ADA_LANE_DETAIL) +
                                (uint64_t)g.detail_ring_count * g.detail_ring_bytes,
                            g.segment_bytes);
            CU_ASSERT_EQUAL(g.segment_bytes % ADA_PAGE, 0);
        }
    }
}

static void segment_geometry__number_out_of_range__then_refused_and_output_untouched(void)
{
    static const struct {
        uint32_t threads, ring_bytes, policy, detail, clock_kind;
    } bad[] = {
        {0, 4096, 0, 0, 1},
        {4097, 4096, 0, 0, 1},
        {UINT32_MAX, 4096, 0, 0, 1},
        {1, 0, 0, 0, 1},
        {1, 4095, 0, 0, 1},
        {1, 2048, 0, 0, 1},
        {1, 4096 + 128, 0, 0, 1},
        {1, ADA_RING_BYTES_MAX + 4096, 0, 0, 1},
        {1, UINT32_MAX, 0, 0, 1},
        {1, 4096, ADA_POLICY_COUNT, 0, 1},
        {1, 4096, 0, ADA_DETAIL_COUNT, 1},
        {1, 4096, 0, 0, 0},
        {1, 4096, 0, 0, 3},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        SegmentConfig config = {
            bad[i].threads, bad[i].ring_bytes, bad[i].policy, bad[i].detail, bad[i].clock_kind, 0, 0};
        SegmentGeometry geometry, untouched;
        Segment segment = {0};
        int fd = -1;

        memset(&geometry, 0xa5, sizeof(geometry));
        memset(&untouched, 0xa5, sizeof(untouched));
        CU_ASSERT_EQUAL(segment_geometry_init(&geometry, &config), -EINVAL);
        CU_ASSERT_EQUAL(memcmp(&geometry, &untouched, sizeof(geometry)), 0);
        CU_ASSERT_EQUAL(segment_create(&config, &segment, &fd), -EINVAL);
        CU_ASSERT_PTR_NULL(segment.header);
        CU_ASSERT_EQUAL(fd, -1);
    }
}

/* ---- creating ----------------------------------------------------------------------------------- */

static void segment__created__then_sealed_private_and_empty(void)
{
    SegmentConfig config = small_config(65);
    Segment segment = {0};
    ThreadRegistry *registry;
    struct stat status;
    uint32_t slot;
    int fd = -1;

    config.policy = ADA_POLICY_BLOCK;
    config.detail = ADA_DETAIL_ALWAYS;
    config.clock_kind = ADA_CLOCK_TSC;
    config.enabled = 1;
    config.block_timeout_ns = 12345;
    create(&config, &segment, &fd);
    CU_ASSERT_EQUAL(fcntl(fd, F_GET_SEALS), ALL_SEALS);
    CU_ASSERT_EQUAL(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    CU_ASSERT_EQUAL(fstat(fd, &status), 0);
    CU_ASSERT_EQUAL(status.st_mode & 07777, 0600);
    CU_ASSERT_EQUAL((uint64_t)status.st_size, segment.geometry.segment_bytes);
    CU_ASSERT_TRUE(ftruncate(fd, 4096) < 0 && errno == EPERM);
    CU_ASSERT_TRUE(ftruncate(fd, status.st_size + 4096) < 0 && errno == EPERM);

    CU_ASSERT_EQUAL(segment.header->magic, ADA_SEGMENT_MAGIC);
    CU_ASSERT_EQUAL(segment.header->major, ADA_SEGMENT_MAJOR);
    CU_ASSERT_EQUAL(segment.header->policy, ADA_POLICY_BLOCK);
    CU_ASSERT_EQUAL(segment.header->detail, ADA_DETAIL_ALWAYS);
    CU_ASSERT_EQUAL(segment.header->clock_kind, ADA_CLOCK_TSC);
    CU_ASSERT_EQUAL(segment.header->enabled, 1);
    CU_ASSERT_EQUAL(segment.header->block_timeout_ns, 12345);
    CU_ASSERT_EQUAL(segment.header->owner_pid, 0);

    registry = segment_registry(&segment);
    CU_ASSERT_EQUAL(registry->capacity, 65);
    CU_ASSERT_EQUAL(registry->slot_stride, segment.geometry.slot_stride);
    CU_ASSERT_EQUAL(registry->slots_offset, segment.geometry.slots_offset);
    CU_ASSERT_EQUAL(registry->thread_count, 0);
    CU_ASSERT_EQUAL(registry->accepting_registrations, 1);
    CU_ASSERT_EQUAL(registry->free_slots[0], UINT64_MAX);
    CU_ASSERT_EQUAL(registry->free_slots[1], 1);
    CU_ASSERT_EQUAL(registry->free_slots[2], 0);
    for (slot = 0; slot < 65; slot++)
        CU_ASSERT_EQUAL(segment_lane_set(&segment, slot)->state, ADA_SLOT_FREE);
    CU_ASSERT_PTR_NULL(thread_registry_next(&segment, 0, &slot));
    /* Tables begin where the geometry says, entry by entry. */
    CU_ASSERT_PTR_EQUAL(segment_event(&segment, 2),
                        (char *)segment.header + segment.geometry.events_offset + 1024);
    CU_ASSERT_PTR_EQUAL(segment_module(&segment, 2),
                        (char *)segment.header + segment.geometry.modules_offset + 512);
    destroy(&segment, fd);
    CU_ASSERT_PTR_NULL(segment.header);
    segment_unmap(&segment); /* again: nothing happens */
}

static volatile sig_atomic_t size_signals;

static void on_size_signal(int signal_number)
{
    (void)signal_number;
    size_signals++;
}

static void segment_create__file_size_limit__then_refused_without_signal(void)
{
    SegmentConfig config = small_config(2);
    SegmentGeometry geometry;
    struct rlimit old, low;
    Segment segment = {0};
    int fd = -1;

    CU_ASSERT_EQUAL(segment_geometry_init(&geometry, &config), 0);
    CU_ASSERT_EQUAL(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, on_size_signal);
    low = old;
    low.rlim_cur = geometry.segment_bytes - 1;
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &low), 0);
    CU_ASSERT_EQUAL(segment_create(&config, &segment, &fd), -EFBIG);
    CU_ASSERT_EQUAL(fd, -1);
    low.rlim_cur = geometry.segment_bytes;
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &low), 0);
    CU_ASSERT_EQUAL(segment_create(&config, &segment, &fd), 0);
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &old), 0);
    CU_ASSERT_EQUAL(size_signals, 0);
    signal(SIGXFSZ, SIG_DFL);
    destroy(&segment, fd);
}

/* The child of the tests below leaves with this when something was not as expected. */
#define CHILD_FAILED 1

/* True when the child ended well. */
static bool child_succeeds(pid_t child)
{
    int status = 0;

    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Lowers a soft limit of the process; returns what it was. */
static rlim_t set_limit(int resource, rlim_t value)
{
    struct rlimit limit;
    rlim_t old;

    CU_ASSERT_EQUAL_FATAL(getrlimit((__rlimit_resource_t)resource, &limit), 0);
    old = limit.rlim_cur;
    limit.rlim_cur = value;
    CU_ASSERT_EQUAL_FATAL(setrlimit((__rlimit_resource_t)resource, &limit), 0);
    return old;
}

static void segment_create__no_descriptors_left__then_error(void)
{
    SegmentConfig config = small_config(1);
    Segment segment = {0};
    int fd = -1;
    rlim_t old;
    int error;

    old = set_limit(RLIMIT_NOFILE, 0);
    error = segment_create(&config, &segment, &fd);
    (void)set_limit(RLIMIT_NOFILE, old);
    CU_ASSERT_EQUAL(error, -EMFILE);
    CU_ASSERT_EQUAL(fd, -1);
    CU_ASSERT_PTR_NULL(segment.header);
}

/* What a call of the system does to segment_create() and segment_attach() when the kernel refuses it. */
typedef struct Refusal {
    struct sock_filter code[6];
    int existing; /* descriptor of a segment to attach; -1: none */
    bool refused; /* there was a filter */
    int create_error;
    int attach_error;
    bool left; /* something was handed out that does not exist */
} Refusal;

/* On a thread of its own, as the filter stays for the thread's life. */
static void *live_with_refusal(void *argument)
{
    Refusal *refusal = argument;
    struct sock_fprog program = {sizeof(refusal->code) / sizeof(refusal->code[0]), refusal->code};
    SegmentConfig config = small_config(1);
    Segment segment = {0};
    int fd = -1;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return NULL;
    refusal->refused = true;
    refusal->create_error = segment_create(&config, &segment, &fd);
    if (refusal->existing >= 0)
        refusal->attach_error = segment_attach(refusal->existing, &segment);
    refusal->left = fd != -1 || segment.header;
    return NULL;
}

/* False: no filter is to be had. */
static bool refuse(Refusal *refusal)
{
    int next_fd = dup(STDIN_FILENO);
    pthread_t thread;
    int fd;

    (void)close(next_fd);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, live_with_refusal, refusal), 0);
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
    CU_ASSERT_FALSE(refusal->left);
    fd = dup(STDIN_FILENO);
    CU_ASSERT_EQUAL(fd, next_fd); /* what failed has left no descriptor behind */
    (void)close(fd);
    return refusal->refused;
}

static void segment_create__file_cannot_grow__then_error_and_nothing_open(void)
{
    Refusal refusal = {
        .existing = -1,
        .code = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                 BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ftruncate, 0, 1),
                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)},
    };

    if (!refuse(&refusal))
        TEST_SKIP("no seccomp filter to be had");
    CU_ASSERT_EQUAL(refusal.create_error, -ENOSPC);
}

static void segment__cannot_be_mapped__then_error_and_nothing_open(void)
{
    SegmentConfig config = small_config(1);
    Segment segment;
    Refusal refusal = {
        /* What sanitizers and the C library map is private. */
        .code = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                 BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 3),
                 BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[3])),
                 BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MAP_SHARED, 0, 1),
                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM),
                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)},
    };

    create(&config, &segment, &refusal.existing);
    if (refuse(&refusal)) {
        CU_ASSERT_EQUAL(refusal.create_error, -ENOMEM);
        CU_ASSERT_EQUAL(refusal.attach_error, -ENOMEM);
    }
    destroy(&segment, refusal.existing);
    if (!refusal.refused)
        TEST_SKIP("no seccomp filter to be had");
}

/* ---- attaching ---------------------------------------------------------------------------------- */

static void segment_attach__own_segment__then_second_mapping_of_the_same(void)
{
    SegmentConfig config = small_config(4);
    Segment creator, collector = {0};
    ThreadLaneSet *set;
    uint32_t slot = 99;
    int error = 0;
    int fd = -1;

    create(&config, &creator, &fd);
    CU_ASSERT_EQUAL_FATAL(segment_attach(fd, &collector), 0);
    CU_ASSERT_PTR_NOT_EQUAL(creator.header, collector.header);
    CU_ASSERT_EQUAL(memcmp(&creator.geometry, &collector.geometry, sizeof(creator.geometry)), 0);
    set = thread_registry_register(&creator, 4711, 1, &error);
    CU_ASSERT_PTR_NOT_NULL(set);
    CU_ASSERT_PTR_EQUAL(thread_registry_next(&collector, 0, &slot), segment_lane_set(&collector, 0));
    CU_ASSERT_EQUAL(segment_lane_set(&collector, 0)->thread_id, 4711);
    segment_unmap(&collector);
    destroy(&creator, fd);
}

/* The child maps it where the parent has something else, and registers; the parent sees it. */
static void segment_attach__other_process_other_address__then_registrations_seen(void)
{
    SegmentConfig config = small_config(8);
    Segment segment;
    uint32_t slot = 99;
    int fd = -1;
    pid_t child;

    create(&config, &segment, &fd);
    child = fork();
    if (child == 0) {
        Segment mine = {0};
        void *old = segment.header;
        int error = 0;

        segment_unmap(&segment);
        /* So that the kernel cannot choose the same place again. */
        if (mmap(old, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != old)
            _exit(CHILD_FAILED);
        if (segment_attach(fd, &mine) != 0 || (void *)mine.header == old)
            _exit(CHILD_FAILED);
        for (uint32_t i = 0; i < 3; i++)
            if (!thread_registry_register(&mine, 100 + i, i, &error))
                _exit(CHILD_FAILED);
        _exit(0);
    }
    CU_ASSERT_TRUE(child_succeeds(child));
    for (uint32_t i = 0; i < 3; i++) {
        ThreadLaneSet *set = thread_registry_next(&segment, i, &slot);

        CU_ASSERT_PTR_NOT_NULL_FATAL(set);
        CU_ASSERT_EQUAL(slot, i);
        CU_ASSERT_EQUAL(set->thread_id, 100 + i);
        CU_ASSERT_EQUAL(set->index.ring_pool_offset,
                        segment_rings_offset(&segment.geometry, i, ADA_LANE_INDEX));
    }
    CU_ASSERT_PTR_NULL(thread_registry_next(&segment, 3, &slot));
    destroy(&segment, fd);
}

static void segment_attach__something_else__then_refused(void)
{
    char path[] = "/tmp/ada-segment-XXXXXX";
    Segment segment = {0};
    int pipe_fds[2] = {-1, -1};
    int fd;

    CU_ASSERT_EQUAL(pipe(pipe_fds), 0);
    CU_ASSERT_EQUAL(segment_attach(pipe_fds[0], &segment), -EBADF);
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
    CU_ASSERT_EQUAL(segment_attach(pipe_fds[0], &segment), -EBADF); /* closed */

    fd = mkstemp(path);
    CU_ASSERT_TRUE(fd >= 0);
    CU_ASSERT_EQUAL(ftruncate(fd, 1 << 20), 0);
    CU_ASSERT_EQUAL(segment_attach(fd, &segment), -EBADF);
    (void)unlink(path);
    (void)close(fd);
    CU_ASSERT_PTR_NULL(segment.header);
}

/* A memfd with the first `bytes` bytes of a good segment. */
static int copy_segment(const Segment *segment, size_t bytes, unsigned flags, int seals)
{
    int fd = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);
    size_t head = bytes < sizeof(SegmentHeader) ? bytes : sizeof(SegmentHeader);

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)bytes) < 0 ||
        (flags == 0 && pwrite(fd, segment->header, head, 0) != (ssize_t)head) ||
        (seals && fcntl(fd, F_ADD_SEALS, seals) < 0)) {
        int error = -errno;

        (void)close(fd);
        return error;
    }
    return fd;
}

static void segment_attach__seals_missing__then_refused(void)
{
    static const int seals[] = {0, F_SEAL_SHRINK | F_SEAL_GROW, F_SEAL_SHRINK | F_SEAL_SEAL,
                                F_SEAL_GROW | F_SEAL_SEAL};
    SegmentConfig config = small_config(1);
    Segment segment, other = {0};
    int fd = -1;

    create(&config, &segment, &fd);
    for (size_t i = 0; i < sizeof(seals) / sizeof(seals[0]); i++) {
        int copy = copy_segment(&segment, segment.geometry.segment_bytes, 0, seals[i]);

        CU_ASSERT_TRUE(copy >= 0);
        CU_ASSERT_EQUAL(segment_attach(copy, &other), -EBADF);
        (void)close(copy);
    }
    /* Sealed against writing it cannot be mapped as we need it. */
    {
        int copy = copy_segment(&segment, segment.geometry.segment_bytes, 0, ALL_SEALS | F_SEAL_WRITE);

        CU_ASSERT_TRUE(copy >= 0);
        CU_ASSERT_TRUE(segment_attach(copy, &other) < 0);
        (void)close(copy);
    }
    CU_ASSERT_PTR_NULL(other.header);
    destroy(&segment, fd);
}

static void segment_attach__huge_pages__then_refused(void)
{
    SegmentConfig config = small_config(1);
    Segment segment, other = {0};
    int fd = -1;
    int copy;

    create(&config, &segment, &fd);
    copy = copy_segment(&segment, 2u << 20, MFD_HUGETLB, ALL_SEALS);
    if (copy < 0) {
        destroy(&segment, fd);
        TEST_SKIP("no hugetlb memfd: %s", strerror(-copy));
    }
    CU_ASSERT_EQUAL(segment_attach(copy, &other), -EBADF);
    (void)close(copy);
    destroy(&segment, fd);
}

static void segment_attach__wrong_size__then_refused(void)
{
    SegmentConfig config = small_config(2);
    Segment segment, other = {0};
    int fd = -1;

    create(&config, &segment, &fd);
    {
        const size_t whole = segment.geometry.segment_bytes;
        const size_t sizes[] = {0,         1,         4095,         4096,     8192, whole - 4096,
                                whole - 1, whole + 1, whole + 4096, 2 * whole};

        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            int copy = copy_segment(&segment, sizes[i], 0, ALL_SEALS);

            CU_ASSERT_TRUE(copy >= 0);
            CU_ASSERT_EQUAL(segment_attach(copy, &other), -EPROTO);
            (void)close(copy);
        }
    }
    CU_ASSERT_PTR_NULL(other.header);
    destroy(&segment, fd);
}

static void segment_attach__identity_wrong__then_refused(void)
{
    SegmentConfig config = small_config(1);
    Segment segment, other = {0};
    SegmentHeader *header;
    int fd = -1;

    create(&config, &segment, &fd);
    header = segment.header;

    header->magic ^= 1;
    CU_ASSERT_EQUAL(segment_attach(fd, &other), -EPROTO);
    header->magic ^= 1;
    header->major = 0;
    CU_ASSERT_EQUAL(segment_attach(fd, &other), -EPROTONOSUPPORT);
    header->major = ADA_SEGMENT_MAJOR + 1;
    CU_ASSERT_EQUAL(segment_attach(fd, &other), 0); /* newer, but says that we can read it */
    segment_unmap(&other);
    header->oldest_compatible = ADA_SEGMENT_MAJOR + 1;
    CU_ASSERT_EQUAL(segment_attach(fd, &other), -EPROTONOSUPPORT);
    header->major = ADA_SEGMENT_MAJOR;
    header->oldest_compatible = ADA_SEGMENT_OLDEST;
    header->features = 1;
    CU_ASSERT_EQUAL(segment_attach(fd, &other), -EPROTONOSUPPORT);
    header->features = 0;
    CU_ASSERT_EQUAL(segment_attach(fd, &other), 0);
    segment_unmap(&other);
    destroy(&segment, fd);
}

/* Every number of the geometry, one step beside, at its ends, and misaligned. */
static void segment_attach__geometry_wrong__then_refused(void)
{
    SegmentConfig config = small_config(3);
    Segment segment, other = {0};
    SegmentGeometry good;
    int fd = -1;

    create(&config, &segment, &fd);
    good = segment.header->geometry;
    for (size_t at = 0; at < sizeof(good); at += at < offsetof(SegmentGeometry, slot_capacity) ? 8 : 4) {
        size_t size = at < offsetof(SegmentGeometry, slot_capacity) ? 8 : 4;
        uint64_t value = 0;

        memcpy(&value, (char *)&good + at, size);
        {
            const uint64_t bad[] = {0,           1,          value - 1,  value + 1,          value + 128,
                                    value * 2,   UINT32_MAX, UINT64_MAX, 1ull << 63 | value, value + 4096,
                                    value - 4096};

            for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                uint64_t same = 0;

                memcpy(&same, &bad[i], size);
                if (same == value)
                    continue;
                memcpy((char *)&segment.header->geometry + at, &bad[i], size);
                CU_ASSERT_EQUAL(segment_attach(fd, &other), -EPROTO);
                segment.header->geometry = good;
            }
        }
    }
    CU_ASSERT_PTR_NULL(other.header);
    CU_ASSERT_EQUAL(segment_attach(fd, &other), 0);
    segment_unmap(&other);
    destroy(&segment, fd);
}

/* ---- prefaulting -------------------------------------------------------------------------------- */

static bool is_resident(void *memory, size_t bytes)
{
    unsigned char pages[64];
    size_t count = bytes / ADA_PAGE;

    if (count > sizeof(pages) || mincore(memory, bytes, pages) < 0)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!(pages[i] & 1))
            return false;
    return true;
}

static void segment_prefault_slot__any_slot__then_its_pages_present(void)
{
    SegmentConfig config = small_config(40);
    Segment segment;
    int fd = -1;

    create(&config, &segment, &fd);
    for (uint32_t slot = 0; slot < 40; slot += 13) {
        char *rings = segment_at(&segment, segment_rings_offset(&segment.geometry, slot, ADA_LANE_INDEX));
        uintptr_t set = (uintptr_t)segment_lane_set(&segment, slot) & ~(uintptr_t)(ADA_PAGE - 1);

        CU_ASSERT_FALSE(is_resident(rings, ADA_INDEX_RINGS * ADA_RING_BYTES_MIN));
        CU_ASSERT_EQUAL(segment_prefault_slot(&segment, slot), 0);
        CU_ASSERT_TRUE(is_resident(rings, ADA_INDEX_RINGS * ADA_RING_BYTES_MIN));
        CU_ASSERT_TRUE(is_resident((void *)set, ADA_PAGE));
    }
    CU_ASSERT_EQUAL(munmap(segment_at(&segment, segment_rings_offset(&segment.geometry, 39, ADA_LANE_INDEX)),
                           segment.geometry.slot_ring_bytes),
                    0);
    CU_ASSERT_EQUAL(segment_prefault_slot(&segment, 39), -ENOMEM);
    destroy(&segment, fd);
}

static const TestCase tests[] = {
    TEST(segment_geometry__threads_and_rings__then_parts_disjoint_and_in_order),
    TEST(segment_geometry__number_out_of_range__then_refused_and_output_untouched),
    TEST(segment__created__then_sealed_private_and_empty),
    TEST(segment_create__file_size_limit__then_refused_without_signal),
    TEST(segment_create__no_descriptors_left__then_error),
    TEST(segment_create__file_cannot_grow__then_error_and_nothing_open),
    TEST(segment__cannot_be_mapped__then_error_and_nothing_open),
    TEST(segment_attach__own_segment__then_second_mapping_of_the_same),
    TEST(segment_attach__other_process_other_address__then_registrations_seen),
    TEST(segment_attach__something_else__then_refused),
    TEST(segment_attach__seals_missing__then_refused),
    TEST(segment_attach__huge_pages__then_refused),
    TEST(segment_attach__wrong_size__then_refused),
    TEST(segment_attach__identity_wrong__then_refused),
    TEST(segment_attach__geometry_wrong__then_refused),
    TEST(segment_prefault_slot__any_slot__then_its_pages_present),
};
TEST_MAIN("segment", tests)
