/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "user/service/service_internal.h"

/* ---- a session ---------------------------------------------------------------------------------- */

static void fill_figures(const MetricsSnapshot *snapshot, SessionStatus *status)
{
    status->processes_alive = snapshot->processes_alive;
    status->processes_ever = snapshot->processes_ever;
    status->threads_alive = snapshot->threads_alive;
    status->threads_ever = snapshot->threads_ever;
    status->events = snapshot->total.index;
    status->detail = snapshot->total.detail;
    status->events_per_second = snapshot->total.events_per_second;
    status->latency = metrics_percentiles(&snapshot->latency_recent);
    status->kernel_enabled = snapshot->kernel_enabled;
    status->kernel_reason = snapshot->kernel_enabled ? NULL : snapshot->kernel_reason;
}

/* What is in the directory, of whichever run. */
static void fill_files(const char *path, SessionStatus *status)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;
    struct statvfs space;
    struct stat file;

    if (!directory)
        return; /* not there yet, or no more */
    while ((entry = readdir(directory))) {
        if (strncmp(entry->d_name, "trace-", 6) != 0 ||
            fstatat(dirfd(directory), entry->d_name, &file, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(file.st_mode))
            continue;
        status->files++;
        status->bytes += (uint64_t)file.st_size;
    }
    if (fstatvfs(dirfd(directory), &space) == 0)
        status->disk_free = (uint64_t)space.f_bavail * space.f_frsize;
    (void)closedir(directory);
    status->directory = path;
}

static void fill_flight(const TableSession *session, SessionStatus *status)
{
    FlightRecorderFacts facts;

    if (!session->definition->flight_recorder)
        return;
    status->flight = FLIGHT_STATE_WAITING;
    if (!session->run || !session_run_flight(session->run, &facts))
        return;
    status->flight = facts.writing ? FLIGHT_STATE_WRITING : FLIGHT_STATE_WAITING;
    status->flight_snapshots = facts.snapshots;
    status->flight_memory_bytes = facts.bytes;
}

static uint64_t realtime_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t duration_of(const SessionRunFacts *facts)
{
    uint64_t end = facts->stopped_at ? facts->stopped_at : realtime_ns();

    return facts->started_at > 0 && end > facts->started_at ? end - facts->started_at : 0;
}

void service_fill_session(const TableSession *session, const MetricsSnapshot *snapshot, StatusRoom *room,
                          SessionStatus *status)
{
    const ServiceSession *definition = session->definition;

    table_session_facts(session, &room->facts);
    *status = (SessionStatus){
        .name = definition->name,
        .state = session->run || session->has_run ? room->facts.state
                 : session->wanted                ? SESSION_STATE_STARTING
                                                  : SESSION_STATE_STOPPED,
        .owner = session->owner,
        .configured = !session->by_command,
        .attach = (const char *const *)definition->attach.texts.items,
        .attach_count = definition->attach.texts.count,
        .started_at_ns = room->facts.started_at,
        .duration_ns = duration_of(&room->facts),
        .write_error = room->facts.write_error,
        .kernel_reason = "nothing is known yet",
    };
    if (status->state == SESSION_STATE_FAILED)
        status->failure = room->facts.reason;
    if (room->facts.last_error[0] != '\0') {
        room->problem = (SessionProblem){room->facts.last_error_at, room->facts.last_error};
        status->problems = &room->problem;
        status->problem_count = 1;
    }
    if (snapshot)
        fill_figures(snapshot, status);
    fill_files(definition->output, status);
    fill_flight(session, status);
}

/* ---- results ------------------------------------------------------------------------------------ */

void service_fill_service(const Service *service, ServiceStatus *status)
{
    *status = (ServiceStatus){
        .version = ADA_VERSION,
        .pid = getpid(),
        .uptime_ns = service_now_ns() - service->started_at,
        .config_path = service->options->config_path,
        .clients = control_server_clients(service->control),
        .sessions = (uint32_t)service->sessions.count,
    };
    for (size_t i = 0; i < service->sessions.count; i++)
        status->sessions_running += service->sessions.items[i]->run != NULL;
}

static const MetricsSnapshot *snapshot_of(const TableSession *session)
{
    return session->run ? session_run_metrics(session->run) : metrics_snapshot_share(session->last_metrics);
}

typedef struct Described {
    SessionStatus *statuses;
    StatusRoom *rooms;
    const MetricsSnapshot **snapshots;
    size_t count;
} Described;

static void forget(Described *described)
{
    for (size_t i = 0; i < described->count; i++)
        metrics_snapshot_release(described->snapshots[i]);
    free(described->statuses);
    free(described->rooms);
    free(described->snapshots);
}

static int describe(const Service *service, const TableSession *only, Described *described)
{
    size_t room = service->sessions.count + 1;

    *described = (Described){.statuses = calloc(room, sizeof(*described->statuses)),
                             .rooms = calloc(room, sizeof(*described->rooms)),
                             .snapshots = calloc(room, sizeof(*described->snapshots))};
    if (!described->statuses || !described->rooms || !described->snapshots)
        return -ENOMEM;
    for (size_t i = 0; i < service->sessions.count; i++) {
        const TableSession *session = service->sessions.items[i];
        size_t at = described->count;

        if (only && only != session)
            continue;
        described->snapshots[at] = snapshot_of(session);
        service_fill_session(session, described->snapshots[at], &described->rooms[at],
                             &described->statuses[at]);
        if (only && session->run)
            described->statuses[at].metrics = described->snapshots[at];
        described->count++;
    }
    return 0;
}

/* Closes the stream. The text, or NULL. */
static char *finish(FILE *out, char **text)
{
    if (out && fclose(out) == 0)
        return *text;
    free(*text);
    return NULL;
}

char *service_describe_sessions(const Service *service, const TableSession *only, size_t *size_out)
{
    ServiceStatus status;
    Described described;
    char *text = NULL;
    FILE *out = NULL;

    service_fill_service(service, &status);
    if (describe(service, only, &described) == 0)
        out = open_memstream(&text, size_out);
    if (out)
        control_json_write_status(&status, described.statuses, described.count, out);
    forget(&described);
    return finish(out, &text);
}

char *service_describe_session(const TableSession *session, const char *file, size_t *size_out)
{
    const MetricsSnapshot *snapshot = snapshot_of(session);
    char *text = NULL;
    FILE *out = open_memstream(&text, size_out);
    SessionStatus status;
    StatusRoom room;

    service_fill_session(session, snapshot, &room, &status);
    if (out)
        control_json_write_session(&status, file, out);
    metrics_snapshot_release(snapshot);
    return finish(out, &text);
}

char *service_describe(const Service *service, size_t *size_out)
{
    ServiceStatus status;
    char *text = NULL;
    FILE *out = open_memstream(&text, size_out);

    service_fill_service(service, &status);
    if (out)
        control_json_write_service(&status, out);
    return finish(out, &text);
}
