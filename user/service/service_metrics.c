/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/service_metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- what is asked for, in any thread ---------------------------------------------------------- */

/* Looks up how it goes. Under the lock. */
static void look(ServiceMetrics *metrics, ListedSession *session)
{
    const MetricsSnapshot *snapshot;
    enum session_state state;

    if (!session->run)
        return;
    state = session_run_state(session->run);
    snapshot = session_run_metrics(session->run);
    if (state != session->state || (snapshot && snapshot != session->last))
        metrics->stamp++;
    session->state = state;
    if (!snapshot)
        return; /* those of the run before it are the last ones */
    metrics_snapshot_release(session->last);
    session->last = snapshot;
}

static void describe(const ServiceMetrics *metrics, MetricsService *service)
{
    *service = (MetricsService){
        .version = ADA_VERSION,
        .started_at = metrics->started_at,
        .state_count = SESSION_STATES,
        .counts_clients = metrics->counts_clients,
        .control_clients = metrics->control_clients,
    };
    for (size_t i = 0; i < SESSION_STATES; i++)
        service->states[i].name = session_state_name((enum session_state)i);
    for (size_t i = 0; i < metrics->count; i++)
        service->states[metrics->sessions[i].state].sessions++;
}

/* Under the lock. */
static int fill_view(ServiceMetrics *metrics, MetricsView *view)
{
    MetricsSession *sessions = calloc(metrics->count + 1, sizeof(*sessions));
    size_t count = 0;

    if (!sessions)
        return -ENOMEM;
    for (size_t i = 0; i < metrics->count; i++) {
        ListedSession *listed = &metrics->sessions[i];

        look(metrics, listed);
        if (!listed->last)
            continue;
        sessions[count].state = session_state_name(listed->state);
        sessions[count].snapshot = metrics_snapshot_share(listed->last);
        memcpy(sessions[count++].name, listed->name, sizeof(listed->name));
    }
    *view = (MetricsView){
        .stamp = metrics->stamp, .sessions = sessions, .session_count = count, .has_service = true};
    describe(metrics, &view->service);
    return 0;
}

static int acquire(void *context, MetricsView *view)
{
    ServiceMetrics *metrics = context;
    int error;

    pthread_mutex_lock(&metrics->lock);
    error = fill_view(metrics, view);
    pthread_mutex_unlock(&metrics->lock);
    return error;
}

MetricsFeed service_metrics_feed(ServiceMetrics *metrics)
{
    return (MetricsFeed){.acquire = acquire, .context = metrics};
}

/* ---- the list --------------------------------------------------------------------------------- */

static void release_sessions(ListedSession *sessions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        session_run_release(sessions[i].run);
        metrics_snapshot_release(sessions[i].last);
    }
    free(sessions);
}

/* With that list, which is taken over, instead of the one before. */
static void exchange_list(ServiceMetrics *metrics, ListedSession *sessions, size_t count)
{
    ListedSession *before;
    size_t before_count;

    pthread_mutex_lock(&metrics->lock);
    before = metrics->sessions;
    before_count = metrics->count;
    metrics->sessions = sessions;
    metrics->count = count;
    metrics->stamp++;
    pthread_mutex_unlock(&metrics->lock);
    release_sessions(before, before_count);
}

/* Of a session without a run. */
static enum session_state resting_state(const TableSession *session)
{
    if (session->has_run)
        return session->facts.state;
    return session->wanted ? SESSION_STATE_STARTING : SESSION_STATE_STOPPED;
}

/* Reads of the list, but not the states of runs, which are others' to write. */
static bool is_listed(const ServiceMetrics *metrics, const SessionTable *table)
{
    if (metrics->count != table->count)
        return false;
    for (size_t i = 0; i < table->count; i++) {
        const ListedSession *listed = &metrics->sessions[i];
        const TableSession *session = table->items[i];

        if (strcmp(listed->name, session->definition->name) != 0 || listed->run != session->run)
            return false;
        if (!session->run && listed->state != resting_state(session))
            return false;
    }
    return true;
}

static ListedSession *find(const ServiceMetrics *metrics, const char *name)
{
    for (size_t i = 0; i < metrics->count; i++) {
        if (strcmp(metrics->sessions[i].name, name) == 0)
            return &metrics->sessions[i];
    }
    return NULL;
}

/* `before`: as it is in the present list; NULL: it is not. */
static void list_session(ListedSession *listed, const TableSession *session, ListedSession *before)
{
    (void)snprintf(listed->name, sizeof(listed->name), "%s", session->definition->name);
    listed->run = session_run_share(session->run);
    listed->state = session->run ? session_run_state(session->run) : resting_state(session);
    /* When its run is over, nobody may have asked for the last figures yet. */
    listed->last = before && before->run ? session_run_metrics(before->run) : NULL;
    if (!listed->last && before)
        listed->last = metrics_snapshot_share(before->last);
}

void service_metrics_update(ServiceMetrics *metrics, const SessionTable *table)
{
    ListedSession *sessions;

    if (!metrics->server || is_listed(metrics, table))
        return;
    sessions = calloc(table->count + 1, sizeof(*sessions));
    if (!sessions)
        return;
    pthread_mutex_lock(&metrics->lock); /* others write `last` */
    for (size_t i = 0; i < table->count; i++)
        list_session(&sessions[i], table->items[i], find(metrics, table->items[i]->definition->name));
    pthread_mutex_unlock(&metrics->lock);
    exchange_list(metrics, sessions, table->count);
}

void service_metrics_set_clients(ServiceMetrics *metrics, uint64_t clients)
{
    pthread_mutex_lock(&metrics->lock);
    if (!metrics->counts_clients || metrics->control_clients != clients)
        metrics->stamp++;
    metrics->counts_clients = true;
    metrics->control_clients = clients;
    pthread_mutex_unlock(&metrics->lock);
}

/* ---- the server ------------------------------------------------------------------------------- */

static void stop_serving(ServiceMetrics *metrics)
{
    metrics_server_destroy(metrics->server);
    metrics->server = NULL;
    exchange_list(metrics, NULL, 0); /* nobody asks: runs need not be kept */
}

static void start_serving(ServiceMetrics *metrics)
{
    MetricsServerConfig config = {.feed = service_metrics_feed(metrics),
                                  .time_limit_ns = METRICS_SERVER_TIME_LIMIT_NS};
    MetricsAddress address = metrics->address; /* gets the port, if any will do */
    char text[METRICS_ADDRESS_TEXT];
    int error = metrics_server_create(&config, &address, &metrics->server);

    metrics_address_format(&address, text);
    if (error == -ENOSYS)
        service_log(metrics->log, LOG_ERROR, NULL,
                    "cannot serve metrics at %s: this adatraced was built without libmicrohttpd", text);
    else if (error)
        service_log(metrics->log, LOG_ERROR, NULL,
                    "cannot serve metrics at %s: %s; it is tried again when the configuration is read again",
                    text, strerror(-error));
    else
        service_log(metrics->log, LOG_TELL, NULL, "metrics are at http://%s/%s", text,
                    metrics_address_is_loopback(&address) ? "" : ", for whoever reaches that address");
}

static bool is_same_address(const MetricsAddress *left, const MetricsAddress *right)
{
    return left->size == right->size && memcmp(&left->socket, &right->socket, left->size) == 0;
}

void service_metrics_configure(ServiceMetrics *metrics, const ServiceConfig *config)
{
    if (metrics->server && config->metrics_served &&
        is_same_address(&metrics->address, &config->metrics_address))
        return;
    if (metrics->server) {
        stop_serving(metrics);
        if (!config->metrics_served)
            service_log(metrics->log, LOG_TELL, NULL, "metrics are no longer served");
    }
    metrics->address = config->metrics_address;
    if (config->metrics_served)
        start_serving(metrics);
}

/* ---- life ------------------------------------------------------------------------------------- */

void service_metrics_init(ServiceMetrics *metrics, ServiceLog *log)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
    *metrics = (ServiceMetrics){.log = log};
    metrics->started_at = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    pthread_mutex_init(&metrics->lock, NULL);
}

void service_metrics_fini(ServiceMetrics *metrics)
{
    stop_serving(metrics);
    pthread_mutex_destroy(&metrics->lock);
}
