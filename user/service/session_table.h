/* SPDX-License-Identifier: MIT */
/*
 * The sessions of the service: those of its configuration, and those that were started by command.
 *
 * A session that is wanted runs; if it fails, it is tried again. A configuration may be exchanged while sessions run: those that
 * are the same in both go on undisturbed. Everything is called by the service's own thread; nothing waits but session_table_fini().
 */
#ifndef ADA_SERVICE_SESSION_TABLE_H
#define ADA_SERVICE_SESSION_TABLE_H

#include <sys/types.h>

#include "user/service/session_run.h"

#define SESSION_RETRY_NS \
    30000000000ull /* after a failure: what kept it from running is seldom gone sooner, and is logged each time */

/* A configuration, as long as sessions of it are there. */
typedef struct HeldConfig {
    ServiceConfig *config;
    uint32_t users;
} HeldConfig;

typedef struct TableSession {
    HeldConfig *held;
    const ServiceSession *definition; /* in held->config */
    HeldConfig *next_held;            /* what it is to become once its run has ended; NULL: the same */
    const ServiceSession *next_definition;
    SessionRun *run;                     /* NULL: it does not run */
    bool wanted;                         /* it should */
    bool removed;                        /* it goes when its run has ended */
    bool by_command;                     /* not of the configuration: it goes when it has ended by itself */
    uid_t owner;                         /* who may control it besides root and the control group */
    bool restricted;                     /* it is about processes of that user alone */
    uint64_t retry_at;                   /* CLOCK_MONOTONIC, ns; 0: it did not fail */
    SessionRunFacts facts;               /* of the last run, when there is none now */
    const MetricsSnapshot *last_metrics; /* a reference: the same; NULL: none */
    bool has_run;
} TableSession;

typedef struct SessionTable {
    TableSession **items; /* in the order of the configuration, then as they were started */
    size_t count;
    size_t capacity;
    HeldConfig *present; /* the service's configuration */
    ServiceLog *log;
    int state_fd;          /* SessionRunConfig.state_fd */
    StoredSegments stored; /* of sessions that did not run yet */
} SessionTable;

/* Nothing is in it. `log` and `state_fd` outlive it. */
void session_table_init(SessionTable *table, ServiceLog *log, int state_fd);

/* Waits until all runs have ended: session_table_stop_all() comes before. */
void session_table_fini(SessionTable *table);

/* Takes a configuration over, in place of the one before. 0; -ENOMEM: as before, and it is destroyed. */
int session_table_apply(SessionTable *table, ServiceConfig *config);

/*
 * A session by command: `config` has it as its only one, and is taken over. `restricted`: it may record processes of its owner alone. 0; -EEXIST: there is one of that name; -EBUSY: there are
 * SERVICE_SESSIONS_MAX by command; -ENOMEM: it is destroyed.
 */
int session_table_add(SessionTable *table, ServiceConfig *config, uid_t owner, bool restricted);

/* The session of that name, or NULL. */
TableSession *session_table_find(const SessionTable *table, const char *name);

/* It runs with the next session_table_check(); it ends as soon as it can. */
void session_table_start(TableSession *session);
void session_table_stop(TableSession *session);
void session_table_stop_all(SessionTable *table);

/* Snapshots of all that have a flight recorder. */
void session_table_snapshot_all(const SessionTable *table);

/* After state_fd told of a change, and when due: takes note of what has ended, starts what is wanted. Returns when it is to be called next (CLOCK_MONOTONIC, ns), or UINT64_MAX. */
uint64_t session_table_check(SessionTable *table, uint64_t now);

/* Whether a run is there that has not got going yet; or is there at all. */
bool session_table_is_starting(const SessionTable *table);
bool session_table_has_runs(const SessionTable *table);

/* The first session that records and is about this process, or NULL. */
SessionRun *session_table_match(const SessionTable *table, const ProcessIdentity *identity);

/* Of its run, or of the last one. */
void table_session_facts(const TableSession *session, SessionRunFacts *facts);

#endif
