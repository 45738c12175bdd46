/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/session_output.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void tell(const SessionOutput *output, const char *topic, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(const SessionOutput *output, const char *topic, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    output->on_error(output->context, topic, text);
}

static int open_next(void *context)
{
    SessionOutput *output = context;
    int fd = trace_directory_open_next(output->directory);

    if (fd < 0 && fd != output->open_error)
        tell(output, "next file",
             "cannot begin another file in '%s': %s; the present one goes on, and it is tried again",
             output->session->output, strerror(-fd));
    output->open_error = fd < 0 ? fd : 0;
    return fd;
}

static void finished(void *context, int fd, bool complete)
{
    const SessionOutput *output = context;

    trace_directory_finished(output->directory, fd, complete);
}

/* The directories above it. 0, -errno of mkdir(2). */
static int make_parents(const char *path)
{
    char parent[PATH_MAX];

    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        (void)snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
        if (mkdir(parent, 0750) < 0 && errno != EEXIST)
            return -errno;
    }
    return 0;
}

static void on_flight_written(void *context, int error)
{
    const SessionOutput *output = context;

    if (error)
        tell(output, "snapshot", "a part of a snapshot could not be written in '%s', and is lost: %s",
             output->session->output, strerror(-error));
}

/* In memory, or in the directory. 0, -errno. */
static int choose_files(SessionOutput *output)
{
    const ServiceSession *session = output->session;
    FlightRecorderConfig config = {
        .pre_roll_ns = session->pre_roll,
        .post_roll_ns = session->post_roll,
        .memory_bytes = session->flight_memory,
        .directory = output->directory,
        .on_written = on_flight_written,
        .context = output,
    };
    int error;

    output->files = (SessionFiles){
        .bytes = session->rotate_size,
        .duration_ns = session->rotate_time,
        .open_next = open_next,
        .finished = finished,
        .context = output,
    };
    if (!session->flight_recorder)
        return 0;
    error = flight_recorder_create(&config, &output->flight);
    if (!error)
        output->files = flight_recorder_files(output->flight);
    return error;
}

/* Without telling of errors: whatever comes of them is told of in the end. */
static int close_all(SessionOutput *output)
{
    int error;

    flight_recorder_destroy(output->flight);
    output->flight = NULL;
    error = trace_directory_destroy(output->directory);
    output->directory = NULL;
    return error;
}

int session_output_init(SessionOutput *output, const ServiceSession *session,
                        void (*on_error)(void *context, const char *topic, const char *text), void *context)
{
    const TraceDirectoryConfig config = {.path = session->output, .keep_bytes = session->max_total};
    int error;

    *output = (SessionOutput){.session = session, .on_error = on_error, .context = context, .fd = -1};
    error = make_parents(session->output);
    if (!error)
        error = trace_directory_create(&config, &output->directory);
    if (!error)
        error = choose_files(output);
    if (!error) {
        output->fd = output->files.open_next(output->files.context);
        error = output->fd < 0 ? output->fd : 0;
    }
    if (error)
        (void)close_all(output);
    return error;
}

void session_output_snapshot(SessionOutput *output)
{
    if (output->flight)
        flight_recorder_snapshot(output->flight);
}

void session_output_fini(SessionOutput *output)
{
    int error = close_all(output);

    if (error)
        tell(output, "files", "a file in '%s' is not completed, or an old one not removed: %s",
             output->session->output, strerror(-error));
}
