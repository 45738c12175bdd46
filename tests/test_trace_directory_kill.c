/* SPDX-License-Identifier: MIT */
/*
 * A child process makes files, which are completed, compressed and removed, and is killed: at every step, and at any moment. Whoever adopts
 * the directory finds each file once, with what was in it.
 */
#define _GNU_SOURCE
#include "test_support.h"
#include "trace_directory_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "user/collector/trace_file.h"
#include "user/lane/atomic.h"
#include "user/lane/test_point.h"

#define FILES 8u          /* of one run of the child */
#define ROUNDS 40u        /* of kills at any moment */
#define UNIT 64u          /* a file is a multiple of it; what is behind is torn */
#define BYTES_MAX 300000u /* several chunks of the compressor */
#define RUN_FILES_MAX 4096u

/* Shared with the child, which writes it. */
typedef struct Progress {
    uint32_t points;                 /* steps that were made */
    uint32_t told;                   /* files that are done with */
    uint32_t opened;                 /* number of the last file that was opened */
    uint32_t written[RUN_FILES_MAX]; /* by number: bytes that are in there for certain */
} Progress;

static DirectoryFixture fixture;
static Progress *progress;

static uint32_t bytes_of(uint32_t number)
{
    return (number * 7919u % (BYTES_MAX / UNIT) + 1) * UNIT;
}

/* ---- the child -------------------------------------------------------------------------------- */

static const char *death_point; /* NULL: it is killed from outside */
static uint32_t death_countdown;

static void count_or_die(const char *point)
{
    (void)ada_fetch_add_acq_rel(&progress->points, 1u);
    if (death_point && strcmp(point, death_point) == 0 && ada_fetch_sub_acq_rel(&death_countdown, 1u) == 1)
        (void)kill(getpid(), SIGKILL);
}

/* What is valid: whole units. Its pattern is checked by the parent. */
static int whole_units(void *context, int fd, uint64_t *valid_bytes_out)
{
    struct stat status;

    (void)context;
    if (fstat(fd, &status) < 0)
        return -EIO;
    *valid_bytes_out = (uint64_t)status.st_size / UNIT * UNIT;
    return 0;
}

static void count_told(void *context, const char *name, uint32_t number, uint64_t bytes)
{
    (void)context;
    (void)name;
    (void)number;
    (void)bytes;
    (void)ada_fetch_add_acq_rel(&progress->told, 1u);
}

static bool write_file(int fd, uint32_t number)
{
    uint8_t data[4096 + UNIT / 2]; /* mostly ends within a unit */
    uint32_t size = bytes_of(number);

    for (uint32_t done = 0; done < size;) {
        uint32_t part = size - done < sizeof(data) ? size - done : (uint32_t)sizeof(data);

        pattern_fill(data, part, done, number);
        if (write(fd, data, part) != (ssize_t)part)
            return false;
        done += part;
        ada_store_release(&progress->written[number % RUN_FILES_MAX], done);
    }
    return true;
}

__attribute__((noreturn)) static void live(TraceDirectoryConfig config, uint32_t files)
{
    TraceDirectory *directory;
    uint32_t complete = 0;

    config.calls = (TraceDirectoryCalls){.on_partial = whole_units, .on_complete = count_told};
    ada_test_point_hook = count_or_die;
    if (trace_directory_create(&config, &directory) != 0)
        _exit(2);
    for (uint32_t i = 0; i < files; i++) {
        int fd = trace_directory_open_next(directory);
        uint32_t number;

        if (fd < 0)
            _exit(3);
        number = ada_load_relaxed(&progress->opened) + 1; /* the parent says where it begins */
        ada_store_release(&progress->opened, number);
        if (!write_file(fd, number))
            _exit(4);
        trace_directory_finished(directory, fd, i % 5 != 4);
        complete += i % 5 != 4;
    }
    while (config.keep_bytes == 0 &&
           ada_load_acquire(&progress->told) < complete) /* else compressing would be cut short */
        sched_yield();
    _exit(trace_directory_destroy(directory) == 0 ? 0 : 5);
}

/* ---- what is left ----------------------------------------------------------------------------- */

static uint8_t got[BYTES_MAX + 1], expected[BYTES_MAX];

/* Its bytes, uncompressed; all are as they were written. */
static uint32_t check_contents(const char *name, uint32_t number)
{
    gzFile file = gzopen(directory_fixture_at(&fixture, name), "rb");
    int size;

    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    size = gzread(file, got, sizeof(got));
    CU_ASSERT_EQUAL(gzclose(file), Z_OK);
    CU_ASSERT_FATAL(size > 0 && (uint32_t)size <= bytes_of(number));
    pattern_fill(expected, (size_t)size, 0, number);
    CU_ASSERT_EQUAL(memcmp(got, expected, (size_t)size), 0);
    return (uint32_t)size;
}

/* Of each number up to `opened` from `first` on there is one good file with all that was written; nothing else is there. */
static void check_files(uint32_t first, uint32_t opened)
{
    DIR *stream = opendir(fixture.path);
    uint32_t seen[RUN_FILES_MAX] = {0};
    const struct dirent *entry;

    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    while ((entry = readdir(stream))) {
        enum trace_file_kind kind;
        uint32_t number, size;

        if (entry->d_name[0] == '.')
            continue;
        CU_ASSERT_TRUE_FATAL(trace_file_name_parse(entry->d_name, &number, &kind));
        CU_ASSERT(kind == TRACE_FILE_COMPLETE || kind == TRACE_FILE_GZIP);
        CU_ASSERT_FATAL(number < RUN_FILES_MAX);
        size = check_contents(entry->d_name, number);
        CU_ASSERT(size >= progress->written[number] / UNIT * UNIT);
        seen[number]++;
    }
    (void)closedir(stream);
    for (uint32_t number = first; number <= opened; number++)
        CU_ASSERT_EQUAL(seen[number], progress->written[number] >= UNIT ? 1u : seen[number]);
    for (uint32_t number = 0; number < RUN_FILES_MAX; number++)
        CU_ASSERT(seen[number] <= 1);
}

/* The next run: the number after the last one there, as the child would take it. */
static void adopt(void)
{
    int fd;

    ada_test_point_hook = NULL;
    directory_fixture_create(&fixture);
    CU_ASSERT_EQUAL(fixture.errors.count, 0);
    fd = trace_directory_open_next(fixture.directory);
    CU_ASSERT_FATAL(fd >= 0);
    trace_directory_finished(fixture.directory, fd, false); /* empty: it goes */
    CU_ASSERT_EQUAL(directory_fixture_destroy(&fixture), 0);
    CU_ASSERT_EQUAL(fixture.errors.count, 0);
}

static void start(bool compress, uint64_t keep_bytes)
{
    directory_fixture_init(&fixture);
    fixture.config.adopt = true;
    fixture.config.compress = compress;
    fixture.config.keep_bytes = keep_bytes;
    fixture.config.calls.on_partial = whole_units;
    progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_PTR_NOT_EQUAL_FATAL(progress, MAP_FAILED);
}

static void finish(void)
{
    CU_ASSERT_EQUAL(munmap(progress, sizeof(*progress)), 0);
    directory_fixture_fini(&fixture);
}

static uint32_t highest(void)
{
    DIR *stream = opendir(fixture.path);
    const struct dirent *entry;
    enum trace_file_kind kind;
    uint32_t number, highest_number = 0;

    while (stream && (entry = readdir(stream)))
        if (trace_file_name_parse(entry->d_name, &number, &kind) && number > highest_number)
            highest_number = number;
    if (stream)
        (void)closedir(stream);
    return highest_number;
}

/* ---- tests ------------------------------------------------------------------------------------ */

static pid_t start_child(uint32_t files)
{
    pid_t child;

    progress->points = 0;
    progress->told = 0;
    progress->opened = highest();
    child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0)
        live(fixture.config, files);
    return child;
}

/* True: it died; false: it was through before. */
static bool reap(pid_t child)
{
    int status = 0;

    CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
    CU_ASSERT(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

static bool has_ended(pid_t child)
{
    siginfo_t info = {0};

    return waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child;
}

/* A child that dies where the point is passed for the nth time, for all n; now and then a second one that finds what the first left. */
static uint32_t die_at_each(const char *point, bool compress, uint64_t keep_bytes)
{
    uint32_t deaths = 0;

    for (bool died = true; died; deaths += died) {
        start(compress, keep_bytes);
        death_point = point;
        death_countdown = deaths + 1;
        died = reap(start_child(FILES));
        if (died && deaths % 2 == 0) { /* that one also dies while it adopts, if it is such a point */
            death_countdown = 1;
            (void)reap(start_child(FILES));
        }
        death_point = NULL;
        adopt();
        check_files(keep_bytes ? UINT32_MAX : 1, highest());
        finish();
    }
    return deaths;
}

static void trace_kill__while_files_are_completed__then_each_is_there_once(void)
{
    CU_ASSERT_EQUAL(die_at_each("complete.synced", false, 0), FILES - FILES / 5);
    CU_ASSERT_EQUAL(die_at_each("complete.renamed", false, 0), FILES - FILES / 5);
}

static void trace_kill__while_old_ones_are_removed__then_each_is_there_once(void)
{
    CU_ASSERT(die_at_each("limits.removed", false, BYTES_MAX) >= 3);
    CU_ASSERT(die_at_each("limits.removed", true, BYTES_MAX / 4) >= 3);
}

static void trace_kill__while_files_are_compressed__then_each_is_there_once(void)
{
    static const char *const points[] = {"compress.noted", "compress.chunk", "compress.synced",
                                         "compress.renamed", "compress.removed"};

    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        uint32_t deaths = die_at_each(points[i], true, 0);

        CU_ASSERT(deaths >= 1);
        if (deaths < 1)
            printf("  never at %s\n", points[i]);
    }
}

static void die_while_adopting(const char *point, bool compress)
{
    start(compress, 0);
    CU_ASSERT_EQUAL(mkdir(fixture.path, 0700), 0);
    for (uint32_t number = 1; number <= 4; number++) { /* what a run could leave that was killed again and again */
        char name[TRACE_FILE_NAME_SIZE];
        int fd;

        trace_file_name_format(name, number, TRACE_FILE_PARTIAL);
        fd = open(directory_fixture_at(&fixture, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
        CU_ASSERT_FATAL(fd >= 0 && write_file(fd, number));
        CU_ASSERT_EQUAL(ftruncate(fd, bytes_of(number) - UNIT / 2), 0);
        progress->written[number] -= UNIT / 2;
        close(fd);
    }
    for (uint32_t countdown = 1; countdown <= 2; countdown++) {
        death_point = point;
        death_countdown = countdown;
        CU_ASSERT_TRUE(reap(start_child(FILES)));
    }
    death_point = NULL;
    adopt();
    check_files(1, highest());
    CU_ASSERT_EQUAL(directory_fixture_count(&fixture), 4);
    finish();
}

static void trace_kill__while_a_directory_is_adopted__then_each_is_there_once(void)
{
    die_while_adopting("adopt.cut", false);
    die_while_adopting("adopt.renamed", false);
    die_while_adopting("adopt.cut", true);
    die_while_adopting("adopt.renamed", true);
}

/* One run after another is killed, each of which adopts what the others left. */
static void trace_kill__at_any_moment__then_each_is_there_once(void)
{
    uint32_t last = 0;

    start(true, 0);
    srandom(1);
    for (uint32_t round = 0; round < ROUNDS && last + FILES < RUN_FILES_MAX; round++) {
        uint32_t steps = (uint32_t)random() % 60;
        pid_t child = start_child(FILES);

        while (ada_load_acquire(&progress->points) < steps && !has_ended(child))
            sched_yield();
        (void)kill(child, SIGKILL);
        (void)reap(child);
        last = highest();
        if (round % 4 == 3) {
            adopt();
            check_files(1, last);
        }
    }
    adopt();
    check_files(1, highest());
    CU_ASSERT(highest() > ROUNDS);
    finish();
}

static const TestCase tests[] = {
    TEST(trace_kill__while_files_are_completed__then_each_is_there_once),
    TEST(trace_kill__while_old_ones_are_removed__then_each_is_there_once),
    TEST(trace_kill__while_files_are_compressed__then_each_is_there_once),
    TEST(trace_kill__while_a_directory_is_adopted__then_each_is_there_once),
    TEST(trace_kill__at_any_moment__then_each_is_there_once),
};
TEST_MAIN("trace_kill", tests)
