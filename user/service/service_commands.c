/* SPDX-License-Identifier: MIT */
/*
 * What is asked at the control socket. An answer that has to wait, for a session to begin or to end, or for a file to be complete, is
 * noted, and looked after whenever a session tells of a change.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/array.h"
#include "user/service/service_internal.h"

#define WAIT_NS (30 * NS_PER_S) /* for an answer: what takes longer is told as it is then */

/* ---- answers ------------------------------------------------------------------------------------ */

/* Takes the text over. */
static void answer_text(Service *service, ControlTicket ticket, char *text, size_t size)
{
    if (text)
        control_server_answer(service->control, ticket, text, size);
    else
        control_server_refuse(service->control, ticket, ADA_CONTROL_FAILED, "out of memory; ask again");
    free(text);
}

static void answer_session(Service *service, ControlTicket ticket, const TableSession *session, const char *file)
{
    size_t size;
    char *text = service_describe_session(session, file, &size);

    answer_text(service, ticket, text, size);
}

static void answer_service(Service *service, ControlTicket ticket)
{
    size_t size;
    char *text = service_describe(service, &size);

    answer_text(service, ticket, text, size);
}

static void answer_status(Service *service, ControlTicket ticket, const TableSession *only)
{
    size_t size;
    char *text = service_describe_sessions(service, only, &size);

    answer_text(service, ticket, text, size);
}

/* ---- answers that wait --------------------------------------------------------------------------- */

static void wait_for(Service *service, ControlTicket ticket, enum control_command command,
                     const TableSession *session)
{
    WaitingCommand waiting = {.ticket = ticket, .command = command, .give_up_at = service_now_ns() + WAIT_NS};
    SessionRunFacts facts;

    table_session_facts(session, &facts);
    waiting.files_before = facts.files_completed;
    (void)snprintf(waiting.session, sizeof(waiting.session), "%s", session->definition->name);
    if (array_reserve_one(&service->waiting, &service->waiting_capacity, service->waiting_count,
                          sizeof(service->waiting[0])) != 0) {
        answer_session(service, ticket, session, NULL); /* as it is now */
        return;
    }
    service->waiting[service->waiting_count++] = waiting;
    service->sessions_due = 0;
}

static bool has_ended(const TableSession *session, const SessionRunFacts *facts)
{
    return !session->run || facts->state == SESSION_STATE_STOPPED || facts->state == SESSION_STATE_FAILED;
}

/* Whether what was waited for has come about, and was answered. */
static bool answer_if_done(Service *service, const WaitingCommand *waiting, bool late)
{
    const TableSession *session = session_table_find(&service->sessions, waiting->session);
    SessionRunFacts facts;
    const char *file = NULL;
    bool done;

    if (!session) { /* the end of one by command was noticed by somebody else first */
        control_server_refuse(service->control, waiting->ticket, ADA_CONTROL_NOT_FOUND,
                              "session '%s' has gone; see adatrace list", waiting->session);
        return true;
    }
    table_session_facts(session, &facts);
    switch (waiting->command) {
    case CONTROL_START:
    case CONTROL_ATTACH:
        if (session->run && facts.state == SESSION_STATE_FAILED) {
            control_server_refuse(service->control, waiting->ticket, ADA_CONTROL_FAILED,
                                  "session '%s' cannot run: %s", waiting->session, facts.reason);
            return true;
        }
        done = session->run && facts.state != SESSION_STATE_STARTING;
        break;
    case CONTROL_ROTATE:
    case CONTROL_SNAPSHOT:
        done = facts.files_completed > waiting->files_before;
        if (done)
            file = facts.last_file;
        done |= has_ended(session, &facts);
        break;
    default:
        done = has_ended(session, &facts);
        break;
    }
    if (done || late)
        answer_session(service, waiting->ticket, session, file);
    return done || late;
}

uint64_t service_answer_waiting(Service *service, uint64_t now)
{
    uint64_t next = UINT64_MAX;

    for (size_t i = 0; i < service->waiting_count;) {
        WaitingCommand waiting = service->waiting[i];

        if (!control_server_awaits(service->control, waiting.ticket) ||
            answer_if_done(service, &waiting, now >= waiting.give_up_at)) {
            service->waiting[i] = service->waiting[--service->waiting_count];
            continue;
        }
        if (waiting.give_up_at < next)
            next = waiting.give_up_at;
        i++;
    }
    return next;
}

/* ---- which session -------------------------------------------------------------------------------- */

/* Whether it records that process now, as far as its last figures say. */
static bool has_process(const TableSession *session, pid_t pid)
{
    const MetricsSnapshot *snapshot = session->run ? session_run_metrics(session->run) : NULL;
    bool has = false;

    for (size_t i = 0; snapshot && i < snapshot->process_count && !has; i++)
        has = snapshot->processes[i].pid == (uint32_t)pid && !snapshot->processes[i].ended;
    metrics_snapshot_release(snapshot);
    for (size_t i = 0; session->run && i < session->definition->attach.pids.count && !has; i++)
        has = session->definition->attach.pids.items[i] == pid; /* of which there are no figures yet */
    return has;
}

static TableSession *find_by_pid(const Service *service, pid_t pid)
{
    for (size_t i = 0; i < service->sessions.count; i++) {
        if (has_process(service->sessions.items[i], pid))
            return service->sessions.items[i];
    }
    return NULL;
}

/* The session that the request is about, which the peer may control. NULL: it was refused. */
static TableSession *choose(Service *service, const ControlPeer *peer, const ControlRequest *request,
                            ControlTicket ticket)
{
    TableSession *session = request->session ? session_table_find(&service->sessions, request->session)
                                             : find_by_pid(service, request->pid);

    if (!session && request->session)
        control_server_refuse(service->control, ticket, ADA_CONTROL_NOT_FOUND,
                              "there is no session '%s'; see adatrace list", request->session);
    else if (!session)
        control_server_refuse(service->control, ticket, ADA_CONTROL_NOT_FOUND,
                              "no session of the service records process %d", (int)request->pid);
    if (!session)
        return NULL;
    if (control_peer_owns(peer, session->owner))
        return session;
    control_server_refuse(
        service->control, ticket, ADA_CONTROL_NOT_PERMITTED,
        "session '%s' belongs to user %u: ask as that user, as root, or as a member of group '%s'",
        session->definition->name, (unsigned)session->owner, service_config(service)->control_group);
    return NULL;
}

/* ---- commands about one session ------------------------------------------------------------------- */

static void refuse_state(Service *service, ControlTicket ticket, const TableSession *session, const char *what)
{
    control_server_refuse(service->control, ticket, ADA_CONTROL_WRONG_STATE,
                          "session '%s' %s; see adatrace status", session->definition->name, what);
}

static void start(Service *service, ControlTicket ticket, TableSession *session)
{
    session_table_start(session);
    wait_for(service, ticket, CONTROL_START, session);
}

static void stop(Service *service, ControlTicket ticket, TableSession *session)
{
    session_table_stop(session);
    wait_for(service, ticket, CONTROL_STOP, session);
}

static void rotate(Service *service, ControlTicket ticket, const TableSession *session)
{
    if (session->definition->flight_recorder)
        refuse_state(service, ticket, session, "is a flight recorder: ask for a snapshot");
    else if (!session->run || !session_run_rotate(session->run))
        refuse_state(service, ticket, session, "does not run");
    else
        wait_for(service, ticket, CONTROL_ROTATE, session);
}

static void snapshot(Service *service, ControlTicket ticket, const TableSession *session)
{
    int error = session->run ? session_run_snapshot(session->run) : -EAGAIN;

    if (error == -ENOTSUP)
        refuse_state(service, ticket, session, "is no flight recorder: its files are on the disk already");
    else if (error)
        refuse_state(service, ticket, session, "does not run");
    else
        wait_for(service, ticket, CONTROL_SNAPSHOT, session);
}

static void mark(Service *service, ControlTicket ticket, const TableSession *session, pid_t pid)
{
    if (!session->run || !session_run_mark(session->run, pid))
        refuse_state(service, ticket, session, "does not run");
    else
        answer_session(service, ticket, session, NULL);
}

/* One process of many, or the last there can be, and its session with it. */
static void detach(Service *service, ControlTicket ticket, TableSession *session, pid_t pid)
{
    const SessionAttach *attach = &session->definition->attach;

    if (pid == 0 || (attach->rules.count == 0 && attach->pids.count == 1))
        stop(service, ticket, session);
    else if (session->run && session_run_detach(session->run, pid))
        answer_session(service, ticket, session, NULL);
    else
        refuse_state(service, ticket, session, "does not run");
}

static void obey_for_session(Service *service, const ControlRequest *request, ControlTicket ticket,
                             TableSession *session)
{
    switch (request->command) {
    case CONTROL_START:
        start(service, ticket, session);
        break;
    case CONTROL_STOP:
        stop(service, ticket, session);
        break;
    case CONTROL_ROTATE:
        rotate(service, ticket, session);
        break;
    case CONTROL_SNAPSHOT:
        snapshot(service, ticket, session);
        break;
    case CONTROL_MARK:
        mark(service, ticket, session, request->pid);
        break;
    case CONTROL_DETACH:
        detach(service, ticket, session, request->pid);
        break;
    default:
        answer_status(service, ticket, session);
        break;
    }
}

/* ---- attach --------------------------------------------------------------------------------------- */

/* Whether all processes are there, and the peer's. Else it was refused. */
static bool may_attach(Service *service, const ControlPeer *peer, const ControlRequest *request,
                       ControlTicket ticket)
{
    const char *option = peer->privileged ? NULL : control_privileged_option(request);
    ProcessIdentity identity;

    if (option) {
        control_server_refuse(service->control, ticket, ADA_CONTROL_NOT_PERMITTED,
                              "option '%s' is for root and group '%s': leave it out, or ask as one of them",
                              option, service_config(service)->control_group);
        return false;
    }
    for (size_t i = 0; i < request->pid_count; i++) {
        if (process_identity_read(request->pids[i], &identity) != 0) {
            control_server_refuse(service->control, ticket, ADA_CONTROL_NOT_FOUND,
                                  "there is no process %d; see 'ps -e'", (int)request->pids[i]);
            return false;
        }
        if (!peer->privileged && !(identity.one_user && identity.user == peer->uid)) {
            control_server_refuse(service->control, ticket, ADA_CONTROL_NOT_PERMITTED,
                                  "process %d (%s) belongs to user %u: ask as root, or as a member of group '%s'",
                                  (int)request->pids[i], identity.name, (unsigned)identity.user,
                                  service_config(service)->control_group);
            return false;
        }
    }
    return true;
}

/* What could be read as something else in a line of the configuration. */
static const char *find_odd_option(const ControlRequest *request)
{
    for (size_t i = 0; i < request->option_count; i++) {
        const ControlOption *option = &request->options[i];

        if (option->key[0] == '\0' || option->key[strspn(option->key, "abcdefghijklmnopqrstuvwxyz_")] != '\0' ||
            strstr(option->value, " ;") || strstr(option->value, "\t;") || option->value[0] == ';')
            return option->key;
    }
    return NULL;
}

static void put_name(Service *service, const ControlRequest *request, FILE *out)
{
    char name[32];

    if (request->name) {
        (void)fputs(request->name, out);
        return;
    }
    do {
        (void)snprintf(name, sizeof(name), "attach-%u", ++service->next_name);
    } while (session_table_find(&service->sessions, name));
    (void)fputs(name, out);
}

/* As a file would have it; the caller's to free, or NULL. */
static char *make_section(Service *service, const ControlRequest *request, size_t *size_out)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size_out);

    if (!out)
        return NULL;
    (void)fprintf(out, "[service]\nlog_directory = %s\n[session ", service_config(service)->log_directory);
    put_name(service, request, out);
    (void)fputs("]\n", out);
    for (size_t i = 0; i < request->pid_count; i++)
        (void)fprintf(out, "%s%d", i == 0 ? "attach = pid=" : ",", (int)request->pids[i]);
    (void)fputs("\n", out);
    for (size_t i = 0; i < request->option_count; i++)
        (void)fprintf(out, "%s = %s\n", request->options[i].key, request->options[i].value);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* The first mistake, without the place in a file that there is not. */
static void refuse_mistakes(Service *service, ControlTicket ticket, const ConfigMistakes *mistakes)
{
    const char *line = mistakes->lines.count > 0 ? mistakes->lines.items[0] : ": out of memory";
    const char *text = strstr(line, ": ");

    control_server_refuse(service->control, ticket, ADA_CONTROL_BAD_REQUEST, "%s", text ? text + 2 : line);
}

/* NULL: it was refused. */
static ServiceConfig *make_config(Service *service, const ControlRequest *request, ControlTicket ticket)
{
    ConfigMistakes mistakes = {0};
    ServiceConfig *config = NULL;
    size_t size = 0;
    char *text = make_section(service, request, &size);

    if (!text || service_config_parse("command", text, size, &config, &mistakes) != 0)
        refuse_mistakes(service, ticket, &mistakes);
    config_mistakes_fini(&mistakes);
    free(text);
    return config;
}

static void attach(Service *service, const ControlPeer *peer, const ControlRequest *request,
                   ControlTicket ticket)
{
    const char *odd = find_odd_option(request);
    char name[SERVICE_SESSION_NAME_MAX + 1];
    ServiceConfig *config;
    int error;

    if (odd) {
        control_server_refuse(service->control, ticket, ADA_CONTROL_BAD_REQUEST,
                              "option '%s' cannot be a line of adatraced.conf(5)", odd);
        return;
    }
    if (!may_attach(service, peer, request, ticket))
        return;
    config = make_config(service, request, ticket);
    if (!config)
        return;
    (void)snprintf(name, sizeof(name), "%s", config->sessions[0].name);
    error = session_table_add(&service->sessions, config, peer->uid, !peer->privileged);
    if (error == -EEXIST)
        control_server_refuse(service->control, ticket, ADA_CONTROL_WRONG_STATE,
                              "there is a session '%s' already; choose another name", name);
    else if (error)
        control_server_refuse(service->control, ticket, ADA_CONTROL_FAILED, "session '%s' cannot be made: %s",
                              name, error == -EBUSY ? "there are too many; stop one" : strerror(-error));
    else
        wait_for(service, ticket, CONTROL_ATTACH, session_table_find(&service->sessions, name));
}

/* ---- all commands --------------------------------------------------------------------------------- */

static void reload(Service *service, ControlTicket ticket)
{
    if (service_reload(service) == 0)
        answer_service(service, ticket);
    else
        control_server_refuse(service->control, ticket, ADA_CONTROL_FAILED,
                              "the configuration is as before, as there are mistakes in '%s': see adatraced "
                              "--check-config",
                              service->options->config_path);
}

void service_obey(void *context, const ControlPeer *peer, const ControlRequest *request, ControlTicket ticket)
{
    Service *service = context;
    TableSession *session;

    if (service->stopping && request->command != CONTROL_LIST && request->command != CONTROL_STATUS &&
        request->command != CONTROL_VERSION) {
        control_server_refuse(service->control, ticket, ADA_CONTROL_WRONG_STATE, "the service ends");
        return;
    }
    switch (request->command) {
    case CONTROL_VERSION:
        answer_service(service, ticket);
        return;
    case CONTROL_RELOAD:
        reload(service, ticket);
        return;
    case CONTROL_ATTACH:
        attach(service, peer, request, ticket);
        return;
    default:
        break;
    }
    if (!request->session && request->pid == 0) {
        answer_status(service, ticket, NULL);
        return;
    }
    session = choose(service, peer, request, ticket);
    if (session)
        obey_for_session(service, request, ticket, session);
}
