/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "trace_directory_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "test_support.h"
#include "user/collector/trace_file.h"

/* ---- what is told ----------------------------------------------------------------------------- */

static void tell(DirectoryFixture *fixture, Told *told, const char *line)
{
    pthread_mutex_lock(&fixture->lock);
    if (told->count < TOLD_MAX)
        (void)snprintf(told->lines[told->count], TOLD_SIZE, "%s", line);
    told->count++;
    pthread_cond_broadcast(&fixture->changed);
    pthread_mutex_unlock(&fixture->lock);
}

static void on_complete(void *context, const char *name, uint32_t number, uint64_t bytes)
{
    DirectoryFixture *fixture = context;
    enum trace_file_kind kind;
    uint32_t parsed = 0;

    CU_ASSERT(trace_file_name_parse(name, &parsed, &kind));
    CU_ASSERT_EQUAL(parsed, number);
    CU_ASSERT(fixture->others_remove || directory_fixture_size(fixture, name) == (int64_t)bytes);
    fixture->complete_bytes = bytes;
    tell(fixture, &fixture->complete, name);
}

static void on_error(void *context, const char *what, const char *name, int error)
{
    DirectoryFixture *fixture = context;
    char line[TOLD_SIZE];

    (void)snprintf(line, sizeof(line), "%s %s %s", what, name, strerrorname_np(-error));
    tell(fixture, &fixture->errors, line);
}

static void await(DirectoryFixture *fixture, const Told *told, size_t count)
{
    pthread_mutex_lock(&fixture->lock);
    while (told->count < count)
        pthread_cond_wait(&fixture->changed, &fixture->lock);
    pthread_mutex_unlock(&fixture->lock);
}

void directory_fixture_await_complete(DirectoryFixture *fixture, size_t count)
{
    await(fixture, &fixture->complete, count);
}

void directory_fixture_await_errors(DirectoryFixture *fixture, size_t count)
{
    await(fixture, &fixture->errors, count);
}

bool told_is(const Told *told, size_t index, const char *line)
{
    if (index < told->count && strcmp(told->lines[index], line) == 0)
        return true;
    printf("  %zu: '%s', not '%s'\n", index, index < told->count ? told->lines[index] : "(none)", line);
    return false;
}

/* ---- life ------------------------------------------------------------------------------------- */

void directory_fixture_init(DirectoryFixture *fixture)
{
    *fixture = (DirectoryFixture){.config = {.calls = {.on_complete = on_complete, .on_error = on_error}}};
    pthread_mutex_init(&fixture->lock, NULL);
    pthread_cond_init(&fixture->changed, NULL);
    (void)snprintf(fixture->base, sizeof(fixture->base), "/tmp/adatrace-test-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(fixture->base));
    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/trace", fixture->base);
    fixture->config.path = fixture->path;
    fixture->config.calls.context = fixture;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

void directory_fixture_fini(DirectoryFixture *fixture)
{
    (void)directory_fixture_destroy(fixture);
    CU_ASSERT_EQUAL(nftw(fixture->base, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
    pthread_cond_destroy(&fixture->changed);
    pthread_mutex_destroy(&fixture->lock);
}

void directory_fixture_create(DirectoryFixture *fixture)
{
    fixture->complete.count = 0;
    fixture->errors.count = 0;
    CU_ASSERT_EQUAL_FATAL(trace_directory_create(&fixture->config, &fixture->directory), 0);
}

int directory_fixture_destroy(DirectoryFixture *fixture)
{
    int error = trace_directory_destroy(fixture->directory);

    fixture->directory = NULL;
    return error;
}

/* ---- files ------------------------------------------------------------------------------------ */

void pattern_fill(uint8_t *data, size_t size, uint64_t position, uint32_t seed)
{
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)((position + i) * 2654435761u >> 20 ^ seed * 40503u >> (position + i) % 8);
}

static void fill(int fd, size_t bytes)
{
    uint8_t data[4096];

    for (size_t done = 0; done < bytes;) {
        size_t part = bytes - done < sizeof(data) ? bytes - done : sizeof(data);

        pattern_fill(data, part, done, 0);
        CU_ASSERT_EQUAL_FATAL(write(fd, data, part), (ssize_t)part);
        done += part;
    }
}

int directory_fixture_open(DirectoryFixture *fixture, size_t bytes)
{
    int fd = trace_directory_open_next(fixture->directory);

    CU_ASSERT_FATAL(fd >= 0);
    fill(fd, bytes);
    return fd;
}

void directory_fixture_file(DirectoryFixture *fixture, size_t bytes, bool complete)
{
    trace_directory_finished(fixture->directory, directory_fixture_open(fixture, bytes), complete);
}

const char *directory_fixture_at(const DirectoryFixture *fixture, const char *name)
{
    static __thread char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", fixture->path, name);
    return path;
}

void directory_fixture_put(const DirectoryFixture *fixture, const char *name, size_t bytes)
{
    int fd = open(directory_fixture_at(fixture, name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

    CU_ASSERT_FATAL(fd >= 0);
    fill(fd, bytes);
    close(fd);
}

int64_t directory_fixture_size(const DirectoryFixture *fixture, const char *name)
{
    struct stat status;

    return lstat(directory_fixture_at(fixture, name), &status) < 0 ? -1 : status.st_size;
}

bool directory_fixture_has(const DirectoryFixture *fixture, const char *name)
{
    return directory_fixture_size(fixture, name) >= 0;
}

size_t directory_fixture_count(const DirectoryFixture *fixture)
{
    DIR *stream = opendir(fixture->path);
    const struct dirent *entry;
    size_t count = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    while ((entry = readdir(stream)))
        count += entry->d_name[0] != '.';
    (void)closedir(stream);
    return count;
}

void directory_fixture_age(const DirectoryFixture *fixture, const char *name, uint64_t seconds)
{
    struct timespec times[2];

    (void)clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= (time_t)seconds;
    times[1] = times[0];
    CU_ASSERT_EQUAL(utimensat(AT_FDCWD, directory_fixture_at(fixture, name), times, AT_SYMLINK_NOFOLLOW), 0);
}
