/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/session_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/array.h"
#include "user/service/session_environment.h"

/* ---- configurations --------------------------------------------------------------------------- */

/* Takes it over; NULL without memory, and it is destroyed. */
static HeldConfig *hold_config(ServiceConfig *config)
{
    HeldConfig *held = calloc(1, sizeof(*held));

    if (held)
        *held = (HeldConfig){.config = config, .users = 1};
    else
        service_config_destroy(config);
    return held;
}

static HeldConfig *share_config(HeldConfig *held)
{
    held->users++;
    return held;
}

static void release_config(HeldConfig *held)
{
    if (!held || --held->users > 0)
        return;
    service_config_destroy(held->config);
    free(held);
}

/* ---- the table -------------------------------------------------------------------------------- */

void session_table_init(SessionTable *table, ServiceLog *log, int state_fd)
{
    *table = (SessionTable){.log = log, .state_fd = state_fd};
}

static void free_session(TableSession *session)
{
    session_run_destroy(session->run);
    metrics_snapshot_release(session->last_metrics);
    release_config(session->next_held);
    release_config(session->held);
    free(session);
}

void session_table_fini(SessionTable *table)
{
    for (size_t i = 0; i < table->count; i++)
        free_session(table->items[i]);
    free(table->items);
    stored_segments_fini(&table->stored);
    release_config(table->present);
    *table = (SessionTable){.state_fd = -1};
}

TableSession *session_table_find(const SessionTable *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++) {
        if (strcmp(table->items[i]->definition->name, name) == 0)
            return table->items[i];
    }
    return NULL;
}

/* A session that does not run yet. NULL without memory. */
static TableSession *add_session(SessionTable *table, HeldConfig *held, const ServiceSession *definition)
{
    TableSession *session = calloc(1, sizeof(*session));

    if (!session ||
        array_reserve_one(&table->items, &table->capacity, table->count, sizeof(table->items[0])) != 0) {
        free(session);
        return NULL;
    }
    session->held = share_config(held);
    session->definition = definition;
    table->items[table->count++] = session;
    return session;
}

static void remove_session(SessionTable *table, size_t index)
{
    const TableSession *session = table->items[index];

    if (!session->by_command)
        session_environment_remove(session->held->config, session->definition);
    free_session(table->items[index]);
    table->count--;
    memmove(&table->items[index], &table->items[index + 1], (table->count - index) * sizeof(table->items[0]));
}

/* ---- running ---------------------------------------------------------------------------------- */

static void start_run(SessionTable *table, TableSession *session, uint64_t now)
{
    SessionRunConfig config = {
        .session = session->definition,
        .service = session->held->config,
        .only_user = session->restricted ? &session->owner : NULL,
        .stored = &table->stored,
        .log = table->log,
        .state_fd = table->state_fd,
    };
    int error = session->by_command ? 0 : session_environment_write(config.service, config.session);

    if (error)
        service_log(table->log, LOG_WARN, "environment",
                    "session %s: cannot write its environment for programs: %s", config.session->name,
                    strerror(-error));
    error = session_run_start(&config, &session->run);
    session->retry_at = error ? now + SESSION_RETRY_NS : 0;
    session->has_run |= !error;
    if (error)
        service_log(table->log, LOG_ERROR, "session threads",
                    "session %s: cannot start its thread: %s; it is tried again", session->definition->name,
                    strerror(-error));
}

/* Its run has ended: what becomes of it. */
static void settle(TableSession *session, uint64_t now)
{
    enum session_state state = session_run_state(session->run);

    if (state != SESSION_STATE_STOPPED && state != SESSION_STATE_FAILED)
        return;
    session_run_facts(session->run, &session->facts);
    metrics_snapshot_release(session->last_metrics);
    session->last_metrics = session_run_metrics(session->run);
    session_run_destroy(session->run);
    session->run = NULL;
    if (session->next_held) {
        release_config(session->held);
        session->held = session->next_held;
        session->definition = session->next_definition;
        session->next_held = NULL;
    } else if (state == SESSION_STATE_FAILED && session->wanted && !session->by_command) {
        session->retry_at = now + SESSION_RETRY_NS;
    } else {
        session->wanted = false; /* nobody is left whom it could record */
        session->removed |= session->by_command;
    }
}

uint64_t session_table_check(SessionTable *table, uint64_t now)
{
    uint64_t next = UINT64_MAX;

    for (size_t i = 0; i < table->count;) {
        TableSession *session = table->items[i];

        if (session->run)
            settle(session, now);
        if (!session->run && session->removed) {
            remove_session(table, i);
            continue;
        }
        if (!session->run && session->wanted && now >= session->retry_at)
            start_run(table, session, now);
        if (!session->run && session->wanted && session->retry_at < next)
            next = session->retry_at;
        i++;
    }
    return next;
}

void session_table_start(TableSession *session)
{
    session->wanted = true;
    session->retry_at = 0;
}

void session_table_stop(TableSession *session)
{
    session->wanted = false;
    if (session->run)
        session_run_stop(session->run);
}

void session_table_stop_all(SessionTable *table)
{
    for (size_t i = 0; i < table->count; i++)
        session_table_stop(table->items[i]);
}

void session_table_snapshot_all(const SessionTable *table)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->items[i]->run)
            (void)session_run_snapshot(table->items[i]->run);
    }
}

bool session_table_is_starting(const SessionTable *table)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->items[i]->run && session_run_state(table->items[i]->run) == SESSION_STATE_STARTING)
            return true;
    }
    return false;
}

bool session_table_has_runs(const SessionTable *table)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->items[i]->run)
            return true;
    }
    return false;
}

SessionRun *session_table_match(const SessionTable *table, const ProcessIdentity *identity)
{
    for (size_t i = 0; i < table->count; i++) {
        SessionRun *run = table->items[i]->run;

        if (run && session_run_state(run) == SESSION_STATE_RUNNING && session_run_matches(run, identity))
            return run;
    }
    return NULL;
}

void table_session_facts(const TableSession *session, SessionRunFacts *facts)
{
    if (session->run)
        session_run_facts(session->run, facts);
    else
        *facts = session->facts;
}

/* ---- configurations that change --------------------------------------------------------------- */

static const ServiceSession *find_definition(const ServiceConfig *config, const char *name)
{
    for (size_t i = 0; i < config->session_count; i++) {
        if (strcmp(config->sessions[i].name, name) == 0)
            return &config->sessions[i];
    }
    return NULL;
}

/* Becomes what the new configuration says, at once or when its run has ended. */
static void redefine(TableSession *session, HeldConfig *held, const ServiceSession *definition)
{
    bool was_enabled = session->definition->enabled;

    session->removed = false;
    if (service_session_equals(session->definition, definition)) {
        release_config(session->next_held); /* changed, and back again, while it was ending */
        session->next_held = NULL;
        return;
    }
    if (session->run) {
        release_config(session->next_held);
        session->next_held = share_config(held);
        session->next_definition = definition;
        session_run_stop(session->run);
    } else {
        release_config(session->held);
        session->held = share_config(held);
        session->definition = definition;
    }
    if (definition->enabled != was_enabled)
        session->wanted = definition->enabled;
    session->retry_at = 0;
}

/* Sessions by command stay, unless the configuration has one of that name now, which would be another. */
static void apply_to_present(SessionTable *table, HeldConfig *held)
{
    for (size_t i = 0; i < table->count; i++) {
        TableSession *session = table->items[i];
        const ServiceSession *definition = find_definition(held->config, session->definition->name);

        if (definition && !session->by_command) {
            redefine(session, held, definition);
        } else if (!session->by_command) {
            session->removed = true;
            session_table_stop(session);
        }
    }
}

int session_table_apply(SessionTable *table, ServiceConfig *config)
{
    HeldConfig *held = hold_config(config);

    if (!held)
        return -ENOMEM;
    apply_to_present(table, held);
    for (size_t i = 0; i < config->session_count; i++) {
        const ServiceSession *definition = &config->sessions[i];
        TableSession *session;

        if (session_table_find(table, definition->name))
            continue;
        session = add_session(table, held, definition);
        if (!session) {
            release_config(held);
            return -ENOMEM;
        }
        session->wanted = definition->enabled;
    }
    release_config(table->present);
    table->present = held;
    return 0;
}

int session_table_add(SessionTable *table, ServiceConfig *config, uid_t owner, bool restricted)
{
    const ServiceSession *definition = &config->sessions[0];
    TableSession *session = NULL;
    HeldConfig *held;
    size_t others = 0;
    int error = 0;

    for (size_t i = 0; i < table->count; i++)
        others += table->items[i]->by_command;
    if (session_table_find(table, definition->name))
        error = -EEXIST;
    else if (others >= SERVICE_SESSIONS_MAX)
        error = -EBUSY;
    if (error) {
        service_config_destroy(config);
        return error;
    }
    held = hold_config(config);
    if (held)
        session = add_session(table, held, definition);
    release_config(held);
    if (!session)
        return -ENOMEM;
    session->by_command = true;
    session->owner = owner;
    session->restricted = restricted;
    session->wanted = true;
    return 0;
}
