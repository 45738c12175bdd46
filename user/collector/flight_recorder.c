/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/flight_recorder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/base/thread.h"
#include "user/lane/clock.h"

#define COPY_BYTES (1u << 20) /* at a time */

typedef struct MemoryFile {
    int fd;
    bool complete;
    bool wanted; /* a snapshot covers some of its time */
    uint64_t bytes;
    uint64_t begun_ns; /* CLOCK_MONOTONIC; it ended when the next one began */
    uint64_t ended_ns;
} MemoryFile;

struct FlightRecorder {
    FlightRecorderConfig config;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    MemoryFile *files; /* oldest first */
    size_t count;
    size_t capacity;
    uint64_t bytes;
    uint64_t present_begun; /* of the file that is being recorded; the drain thread's */
    uint64_t begins;        /* of the file that was opened last; the same */
    uint64_t wanted_from;   /* files that have something of this time are wanted; */
    uint64_t wanted_until;  /* 0: none was yet */
    bool stopping;
    FlightRecorderFacts facts; /* what only grows */
};

/* ---- what is in memory ------------------------------------------------------------------------- */

static void forget(FlightRecorder *flight, size_t index)
{
    flight->bytes -= flight->files[index].bytes;
    flight->count--;
    memmove(&flight->files[index], &flight->files[index + 1],
            (flight->count - index) * sizeof(flight->files[0]));
}

static bool is_wanted(const FlightRecorder *flight, const MemoryFile *file)
{
    return flight->wanted_until > 0 && file->ended_ns >= flight->wanted_from &&
           file->begun_ns <= flight->wanted_until;
}

/* Lets go what no snapshot could want any more, and what there is no room for. */
static void drop_old(FlightRecorder *flight, uint64_t now)
{
    const FlightRecorderConfig *config = &flight->config;

    for (size_t i = 0; i < flight->count;) {
        const MemoryFile *file = &flight->files[i];
        bool old = !file->wanted && now - file->ended_ns > config->pre_roll_ns;

        if (!old && flight->bytes <= config->memory_bytes)
            break;
        if (file->wanted)
            flight->facts.lost++;
        close(file->fd);
        forget(flight, i);
    }
}

static void add(FlightRecorder *flight, const MemoryFile *file)
{
    if (array_reserve_one(&flight->files, &flight->capacity, flight->count, sizeof(flight->files[0])) != 0) {
        flight->facts.lost += file->wanted;
        close(file->fd);
        return;
    }
    flight->files[flight->count++] = *file;
    flight->bytes += file->bytes;
    drop_old(flight, file->ended_ns);
}

/* ---- what the drain thread calls ---------------------------------------------------------------- */

static int open_next(void *context)
{
    FlightRecorder *flight = context;
    int fd = memfd_create("adatrace-flight", MFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    pthread_mutex_lock(&flight->lock);
    flight->begins = ada_clock_monotonic_ns();
    if (flight->present_begun == 0)
        flight->present_begun = flight->begins;
    pthread_mutex_unlock(&flight->lock);
    return fd;
}

static void finished(void *context, int fd, bool complete)
{
    FlightRecorder *flight = context;
    MemoryFile file = {.fd = fd, .complete = complete};
    struct stat status = {0};

    (void)fstat(fd, &status); /* cannot fail: it is open */
    file.bytes = (uint64_t)status.st_size;
    if (file.bytes == 0) { /* it could not even be begun */
        close(fd);
        return;
    }
    pthread_mutex_lock(&flight->lock);
    file.begun_ns = flight->present_begun;
    file.ended_ns = ada_clock_monotonic_ns();
    file.wanted = is_wanted(flight, &file);
    flight->present_begun = flight->begins;
    add(flight, &file);
    pthread_cond_signal(&flight->changed);
    pthread_mutex_unlock(&flight->lock);
}

/* ---- to the disk -------------------------------------------------------------------------------- */

/* 0, -errno. */
static int copy_file(const MemoryFile *file, int target)
{
    off_t at = 0;

    while ((uint64_t)at < file->bytes) {
        ssize_t copied = sendfile(target, file->fd, &at, COPY_BYTES);

        if (copied < 0 && errno != EINTR)
            return -errno;
        if (copied == 0)
            break; /* it is shorter: as good as it can be */
    }
    return 0;
}

static int write_file(const FlightRecorder *flight, const MemoryFile *file)
{
    int target = trace_directory_open_next(flight->config.directory);
    int error;

    if (target < 0)
        return target;
    error = copy_file(file, target);
    if (error)
        (void)!ftruncate(target, 0); /* half a file is none */
    trace_directory_finished(flight->config.directory, target, file->complete && !error);
    return error;
}

/* The oldest file that is wanted. False: there is none. The lock is held. */
static bool take_wanted(FlightRecorder *flight, MemoryFile *file)
{
    for (size_t i = 0; i < flight->count; i++) {
        if (flight->files[i].wanted) {
            *file = flight->files[i];
            forget(flight, i);
            return true;
        }
    }
    return false;
}

static void *flight_main(void *argument)
{
    FlightRecorder *flight = argument;
    MemoryFile file;

    pthread_mutex_lock(&flight->lock);
    for (;;) {
        int error;

        if (!take_wanted(flight, &file)) {
            if (flight->stopping)
                break;
            pthread_cond_wait(&flight->changed, &flight->lock);
            continue;
        }
        pthread_mutex_unlock(&flight->lock);
        error = write_file(flight, &file);
        close(file.fd);
        if (flight->config.on_written)
            flight->config.on_written(flight->config.context, error);
        pthread_mutex_lock(&flight->lock);
        flight->facts.written += error == 0;
        flight->facts.lost += error != 0;
    }
    pthread_mutex_unlock(&flight->lock);
    return NULL;
}

/* ---- what others call --------------------------------------------------------------------------- */

int flight_recorder_create(const FlightRecorderConfig *config, FlightRecorder **flight_out)
{
    FlightRecorder *flight = calloc(1, sizeof(*flight));
    int error;

    if (!flight)
        return -ENOMEM;
    flight->config = *config;
    pthread_mutex_init(&flight->lock, NULL);
    pthread_cond_init(&flight->changed, NULL);
    error = thread_start_without_signals(&flight->thread, flight_main, flight);
    if (error) {
        pthread_cond_destroy(&flight->changed);
        pthread_mutex_destroy(&flight->lock);
        free(flight);
        return error;
    }
    *flight_out = flight;
    return 0;
}

SessionFiles flight_recorder_files(FlightRecorder *flight)
{
    uint64_t duration = flight->config.pre_roll_ns / FLIGHT_FILES_PER_PRE_ROLL;

    return (SessionFiles){
        .bytes = flight->config.memory_bytes / FLIGHT_FILES_PER_PRE_ROLL,
        .duration_ns = duration < FLIGHT_FILE_MIN_NS ? FLIGHT_FILE_MIN_NS : duration,
        .open_next = open_next,
        .finished = finished,
        .context = flight,
    };
}

void flight_recorder_snapshot(FlightRecorder *flight)
{
    uint64_t now = ada_clock_monotonic_ns();
    uint64_t from = now > flight->config.pre_roll_ns ? now - flight->config.pre_roll_ns : 0;

    pthread_mutex_lock(&flight->lock);
    flight->facts.snapshots++;
    if (now > flight->wanted_until) /* else it goes on from the one before */
        flight->wanted_from = from;
    flight->wanted_until = now + flight->config.post_roll_ns;
    for (size_t i = 0; i < flight->count; i++)
        flight->files[i].wanted |= is_wanted(flight, &flight->files[i]);
    pthread_cond_signal(&flight->changed);
    pthread_mutex_unlock(&flight->lock);
}

void flight_recorder_facts(FlightRecorder *flight, FlightRecorderFacts *facts)
{
    pthread_mutex_lock(&flight->lock);
    *facts = flight->facts;
    facts->bytes = flight->bytes;
    facts->files = (uint32_t)flight->count;
    facts->writing = ada_clock_monotonic_ns() <= flight->wanted_until;
    for (size_t i = 0; i < flight->count; i++)
        facts->writing |= flight->files[i].wanted;
    facts->reach_ns = flight->count > 0 ? ada_clock_monotonic_ns() - flight->files[0].begun_ns : 0;
    pthread_mutex_unlock(&flight->lock);
}

void flight_recorder_destroy(FlightRecorder *flight)
{
    if (!flight)
        return;
    pthread_mutex_lock(&flight->lock);
    flight->stopping = true;
    pthread_cond_signal(&flight->changed);
    pthread_mutex_unlock(&flight->lock);
    pthread_join(flight->thread, NULL);
    for (size_t i = 0; i < flight->count; i++)
        close(flight->files[i].fd);
    free(flight->files);
    pthread_cond_destroy(&flight->changed);
    pthread_mutex_destroy(&flight->lock);
    free(flight);
}
