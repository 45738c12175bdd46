/* SPDX-License-Identifier: MIT */
/*
 * A service without recordings: the control server, with a handler over sessions in memory, for tests of what the commands
 * send and print. Sessions: `shop` (root's, of the configuration, runs, process 4711), `box` (root's, a flight recorder, stopped), `mine`
 * (user 1000's, failed), and those that `attach` makes.
 *
 *     prog_control_service SOCKET     prints "ready" when it listens, and ends when its standard input does
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/service/control_json.h"
#include "user/service/control_server.h"

#define SESSIONS_MAX 8u

typedef struct Session {
    char name[65];
    SessionStatus status;
    char attach[256];
    const char *attach_text;
    char directory[160];
    uint64_t marks;
} Session;

typedef struct Service {
    ControlServer *server;
    Session sessions[SESSIONS_MAX];
    uint32_t count;
    MetricsSnapshot *metrics;
} Service;

static const SessionProblem problems[] = {{1000000000ull, "cannot write\x1b[2J: no space"}};

static Session *add_session(Service *service, const char *name, uid_t owner, enum session_state state)
{
    Session *session = &service->sessions[service->count++];

    (void)snprintf(session->name, sizeof(session->name), "%s", name);
    (void)snprintf(session->directory, sizeof(session->directory), "/srv/traces/%s", name);
    (void)snprintf(session->attach, sizeof(session->attach), "pid=4711");
    session->attach_text = session->attach;
    session->status = (SessionStatus){
        .name = session->name,
        .state = state,
        .owner = owner,
        .configured = true,
        .attach = &session->attach_text,
        .attach_count = 1,
        .processes_alive = 2,
        .threads_alive = 3,
        .events = {.attempted = 1000, .in_file = 990, .dropped_full = 7, .pending = 3},
        .latency = {.count = 5, .p50 = 1000, .p90 = 2000, .p99 = 3000, .max = 4000},
        .directory = session->directory,
        .files = 4,
        .bytes = 5000000,
        .disk_free = 7000000000ull,
        .kernel_reason = "no BTF here",
    };
    return session;
}

static Session *find(Service *service, const char *name)
{
    for (uint32_t i = 0; i < service->count; i++) {
        if (strcmp(service->sessions[i].name, name) == 0)
            return &service->sessions[i];
    }
    return NULL;
}

/* ---- answers ---------------------------------------------------------------------------------- */

static ServiceStatus service_status(const Service *service)
{
    return (ServiceStatus){
        .version = "0.0.test",
        .pid = getpid(),
        .uptime_ns = 5000000000ull,
        .config_path = "/etc/adatrace/adatraced.conf",
        .clients = control_server_clients(service->server),
        .sessions = service->count,
        .sessions_running = 1,
    };
}

/* Of one session with all that is known of its threads; `session` NULL: of all, without. */
static void answer_status(Service *service, ControlTicket ticket, Session *session)
{
    ServiceStatus status = service_status(service);
    SessionStatus sessions[SESSIONS_MAX];
    uint32_t count = 0;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    for (uint32_t i = 0; i < service->count; i++) {
        if (session && session != &service->sessions[i])
            continue;
        sessions[count] = service->sessions[i].status;
        if (session && sessions[count].state == SESSION_STATE_RUNNING)
            sessions[count].metrics = service->metrics;
        count++;
    }
    if (!out)
        abort();
    control_json_write_status(&status, sessions, count, out);
    (void)fclose(out);
    control_server_answer(service->server, ticket, text, size);
    free(text);
}

static void answer_session(Service *service, ControlTicket ticket, const Session *session, const char *file)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        abort();
    control_json_write_session(&session->status, file, out);
    (void)fclose(out);
    control_server_answer(service->server, ticket, text, size);
    free(text);
}

/* ---- requests --------------------------------------------------------------------------------- */

/* What it was asked, for the test to look at. */
static void print_attach(const ControlRequest *request)
{
    printf("attach");
    for (size_t i = 0; i < request->pid_count; i++)
        printf(" pid=%d", (int)request->pids[i]);
    for (size_t i = 0; i < request->option_count; i++)
        printf(" %s=%s", request->options[i].key, request->options[i].value);
    putchar('\n');
    fflush(stdout);
}

static void attach(Service *service, const ControlPeer *peer, const ControlRequest *request,
                   ControlTicket ticket)
{
    const char *option = peer->privileged ? NULL : control_privileged_option(request);
    Session *session;

    print_attach(request);
    if (option) {
        control_server_refuse(service->server, ticket, ADA_CONTROL_NOT_PERMITTED,
                              "option '%s' is for root and the control group: leave it out", option);
        return;
    }
    if (service->count == SESSIONS_MAX || (request->name && find(service, request->name))) {
        control_server_refuse(service->server, ticket, ADA_CONTROL_WRONG_STATE,
                              "a session '%s' is there already: choose another name", request->name);
        return;
    }
    session =
        add_session(service, request->name ? request->name : "attach-1", peer->uid, SESSION_STATE_RUNNING);
    session->status.configured = false;
    answer_session(service, ticket, session, NULL);
}

static Session *session_of(Service *service, const ControlRequest *request)
{
    if (request->session)
        return find(service, request->session);
    return request->pid == 4711 ? find(service, "shop") : NULL;
}

static void change(Service *service, Session *session, enum control_command command, ControlTicket ticket)
{
    char file[256];

    switch (command) {
    case CONTROL_START:
        session->status.state = SESSION_STATE_RUNNING;
        break;
    case CONTROL_STOP:
    case CONTROL_DETACH:
        session->status.state = SESSION_STATE_STOPPED;
        break;
    case CONTROL_MARK:
        printf("marked %s\n", session->name);
        fflush(stdout);
        break;
    default:
        if (session->status.state != SESSION_STATE_RUNNING) {
            control_server_refuse(service->server, ticket, ADA_CONTROL_WRONG_STATE,
                                  "session '%s' does not run: start it with 'adatrace start %s'",
                                  session->name, session->name);
            return;
        }
        (void)snprintf(file, sizeof(file), "%s/%s.adat", session->directory, control_command_name(command));
        answer_session(service, ticket, session, file);
        return;
    }
    answer_session(service, ticket, session, NULL);
}

static void handle(void *context, const ControlPeer *peer, const ControlRequest *request, ControlTicket ticket)
{
    Service *service = context;
    bool names_one = request->session || request->pid != 0;
    Session *session = names_one ? session_of(service, request) : NULL;

    if (request->command == CONTROL_ATTACH) {
        attach(service, peer, request, ticket);
    } else if (names_one && !session) {
        control_server_refuse(service->server, ticket, ADA_CONTROL_NOT_FOUND,
                              request->session ? "there is no session '%s': see 'adatrace list'"
                                               : "that process is in no session%s",
                              request->session ? request->session : "");
    } else if (session && !control_peer_owns(peer, session->status.owner)) {
        control_server_refuse(service->server, ticket, ADA_CONTROL_NOT_PERMITTED,
                              "session '%s' belongs to user %u: ask as that user, as root, or as a member of the "
                              "control group",
                              session->name, (unsigned)session->status.owner);
    } else if (session && request->command != CONTROL_STATUS) {
        change(service, session, request->command, ticket);
    } else {
        answer_status(service, ticket, session);
    }
}

/* Enough threads that the status of a session is longer than a packet. */
static MetricsSnapshot *make_metrics(void)
{
    MetricsSnapshot *metrics = metrics_snapshot_create(1, 200);

    if (!metrics)
        abort();
    metrics->sequence = 1;
    metrics->processes_alive = 1;
    metrics->process_count = 1;
    metrics->threads_alive = 200;
    metrics->thread_count = 200;
    memset(metrics->threads, 0, 200 * sizeof(*metrics->threads));
    memset(&metrics->latency, 0, sizeof(metrics->latency));
    memset(&metrics->latency_recent, 0, sizeof(metrics->latency_recent));
    metrics->processes[0].pid = 4711;
    for (uint32_t i = 0; i < 200; i++) {
        metrics->threads[i].pid = 4711;
        metrics->threads[i].tid = 4711 + i;
        (void)snprintf(metrics->threads[i].name, sizeof(metrics->threads[i].name), "worker-%u", (unsigned)i);
    }
    return metrics;
}

int main(int argc, char **argv)
{
    static Service service;
    ControlServerConfig config = {
        .listener = -1, .group = CONTROL_NO_GROUP, .clients = 64, .handle = handle, .context = &service};
    struct pollfd both[2];
    int error;

    if (argc != 2)
        return 2;
    config.path = argv[1];
    error = control_server_create(&config, &service.server);
    if (error) {
        fprintf(stderr, "prog_control_service: %s: %s\n", argv[1], strerror(-error));
        return 1;
    }
    service.metrics = make_metrics();
    add_session(&service, "shop", 0, SESSION_STATE_RUNNING)->status.kernel_enabled = true;
    service.sessions[0].status.problems = problems;
    service.sessions[0].status.problem_count = 1;
    add_session(&service, "box", 0, SESSION_STATE_STOPPED)->status.flight = FLIGHT_STATE_WAITING;
    add_session(&service, "mine", 1000, SESSION_STATE_FAILED)->status.failure = "no room on the disk";
    puts("ready");
    fflush(stdout);
    both[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    both[1] = (struct pollfd){.fd = control_server_descriptor(service.server), .events = POLLIN};
    while (poll(both, 2, -1) >= 0 && both[0].revents == 0)
        control_server_serve(service.server);
    control_server_destroy(service.server);
    metrics_snapshot_release(service.metrics);
    return 0;
}
