/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/session_output.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "user/access/output_place.h"

static void tell(const SessionOutput *output, const char *topic, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(const SessionOutput *output, const char *topic, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    output->calls.on_error(output->calls.context, topic, text);
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

/* ---- the directory ------------------------------------------------------------------------------ */

static void on_complete(void *context, const char *name, uint32_t number, uint64_t bytes)
{
    const SessionOutput *output = context;
    char path[PATH_MAX];

    (void)number;
    (void)bytes;
    (void)snprintf(path, sizeof(path), "%s/%s", output->session->output, name);
    if (output->hook && hook_runner_add(output->hook, path) != 0)
        tell(output, "hook", "the hook is not run for '%s': out of memory", path);
    if (output->calls.on_complete)
        output->calls.on_complete(output->calls.context, path);
}

static int on_partial(void *context, int fd, uint64_t *valid_bytes_out)
{
    const SessionOutput *output = context;
    int error = adat_recover_scan(fd, output->recovered, valid_bytes_out);

    if (!error && *valid_bytes_out <= sizeof(AdatFileHeader))
        *valid_bytes_out = 0; /* just begun: it is removed */
    return error;
}

static void on_directory_error(void *context, const char *what, const char *name, int error)
{
    const SessionOutput *output = context;
    const char *why = error == -EPROTONOSUPPORT
                          ? "it is of another version's format, and stays as it is; read it with that version"
                          : strerror(-error);

    tell(output, what, "cannot %s '%s' in '%s': %s", what, name, output->session->output, why);
}

/* The file that is being written, and what the compressor writes, come on top of what is kept. */
static uint64_t bytes_to_keep(const ServiceSession *session)
{
    uint64_t beside = session->rotate_size * (session->compress ? 2 : 1);

    if (session->max_total == 0)
        return 0;
    return session->max_total > beside ? session->max_total - beside : 1;
}

static int open_directory(SessionOutput *output)
{
    const ServiceSession *session = output->session;
    TraceDirectoryConfig config = {
        .path = session->output,
        .adopt = true,
        .keep_bytes = bytes_to_keep(session),
        .keep_ns = session->max_age,
        .min_free_bytes = session->min_free,
        .compress = session->compress,
        .calls = {.on_complete = on_complete,
                  .on_partial = on_partial,
                  .on_error = on_directory_error,
                  .context = output},
    };
    int error = output_place_make_parents(session->output);

    output->recovered = adat_recovery_create();
    if (!output->recovered)
        return -ENOMEM;
    return error ? error : trace_directory_create(&config, &output->directory);
}

/* ---- hooks -------------------------------------------------------------------------------------- */

static void describe_failure(const HookResult *result, char *text, size_t size)
{
    switch (result->failure) {
    case HOOK_NO_FILE:
        (void)snprintf(text, size, "the file cannot be opened: %s", strerror(result->detail));
        break;
    case HOOK_NOT_RUN:
        (void)snprintf(text, size, "it cannot be run: %s", strerror(result->detail));
        break;
    case HOOK_STATUS:
        (void)snprintf(text, size, "exit status %d", result->detail);
        break;
    case HOOK_SIGNALLED:
        (void)snprintf(text, size, "killed by signal %d", result->detail);
        break;
    case HOOK_TIMEOUT:
        (void)snprintf(text, size, "it took longer than hook_timeout");
        break;
    default:
        (void)snprintf(text, size, "it was not run");
        break;
    }
}

static void on_hook_result(void *context, const HookResult *result)
{
    static const char *const outcomes[] = {
        [HOOK_DONE] = "done",
        [HOOK_FAILED] = "it is tried again",
        [HOOK_GIVEN_UP] = "given up",
        [HOOK_DROPPED] = "too many files wait",
        [HOOK_STOPPED] = "the session ends",
    };
    const SessionOutput *output = context;
    char why[128];

    _Static_assert(sizeof(outcomes) / sizeof(outcomes[0]) == HOOK_OUTCOMES, "a text for each");
    if (result->outcome == HOOK_DONE)
        return;
    describe_failure(result, why, sizeof(why));
    tell(output, "hook", "hook '%s' for '%s': %s; %s%s%s", output->session->hook, result->path, why,
         outcomes[result->outcome], result->last_line[0] ? "; it said: " : "", result->last_line);
}

static int start_hooks(SessionOutput *output, const char *run_user)
{
    HookRunnerConfig config = {
        .program = output->session->hook,
        .run_user = run_user,
        .session = output->session->name,
        .timeout_ns = output->session->hook_timeout,
        .on_result = on_hook_result,
        .context = output,
    };

    return config.program ? hook_runner_create(&config, &output->hook) : 0;
}

/* ---- flight recorder ---------------------------------------------------------------------------- */

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

/* ---- life --------------------------------------------------------------------------------------- */

/* The first error of completing files. */
static int close_all(SessionOutput *output)
{
    int error;

    flight_recorder_destroy(output->flight);
    error = trace_directory_destroy(output->directory);
    hook_runner_destroy(output->hook, SESSION_HOOK_GRACE_NS);
    adat_recovery_destroy(output->recovered);
    output->flight = NULL;
    output->directory = NULL;
    output->hook = NULL;
    output->recovered = NULL;
    return error;
}

static void let_read(const SessionOutput *output, uid_t reader)
{
    const char *path = output->session->output;

    if (output_place_share(path, reader) != 0)
        tell(output, "rights",
             "user %u cannot be given the right to read '%s'; root and the service's group can",
             (unsigned)reader, path);
}

static int open_first(SessionOutput *output)
{
    int error = choose_files(output);

    if (error)
        return error;
    output->fd = output->files.open_next(output->files.context);
    return output->fd < 0 ? output->fd : 0;
}

int session_output_init(SessionOutput *output, const ServiceSession *session, const char *run_user,
                        const uid_t *reader, const SessionOutputCalls *calls, const char **what_out)
{
    int error;

    *output = (SessionOutput){.session = session, .calls = *calls, .fd = -1};
    *what_out = "run its hook";
    error = start_hooks(output, run_user);
    if (!error) {
        *what_out = "use its directory";
        error = open_directory(output);
    }
    if (!error && reader)
        let_read(output, *reader);
    if (!error)
        error = open_first(output);
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
