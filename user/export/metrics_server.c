/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/export/metrics_server.h"

#include <errno.h>

#if !ADA_HAVE_MICROHTTPD

int metrics_server_create(const MetricsServerConfig *config, MetricsAddress *address, MetricsServer **server_out)
{
    (void)config;
    (void)address;
    (void)server_out;
    return -ENOSYS;
}

void metrics_server_destroy(MetricsServer *server)
{
    (void)server;
}

#else

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "user/export/dashboard.h"
#include "user/export/http_server.h"
#include "user/export/metrics_json.h"
#include "user/export/metrics_text.h"

#define STATUS_TOO_LARGE 413u /* libmicrohttpd's names for them differ between versions */
#define STATUS_MISDIRECTED 421u

enum answer { ANSWER_PROMETHEUS, ANSWER_OPENMETRICS, ANSWER_JSON, ANSWER_DASHBOARD, ANSWERS };

/* What was made last for one kind of answer. */
typedef struct Prepared {
    struct MHD_Response *response; /* NULL: nothing yet */
    uint64_t stamp;                /* of its view */
} Prepared;

struct MetricsServer {
    MetricsFeed feed;
    HttpServer *http;
    bool loopback;
    Prepared prepared[ANSWERS]; /* the thread's */
};

/* ---- answers ---------------------------------------------------------------------------------- */

static const char *type_of(enum answer answer)
{
    switch (answer) {
    case ANSWER_PROMETHEUS:
        return metrics_text_type(METRICS_TEXT_PROMETHEUS);
    case ANSWER_OPENMETRICS:
        return metrics_text_type(METRICS_TEXT_OPENMETRICS);
    case ANSWER_JSON:
        return "application/json";
    default:
        return "text/html; charset=utf-8";
    }
}

static int write_answer(const MetricsView *view, enum answer answer, FILE *out)
{
    if (answer == ANSWER_JSON) {
        metrics_json_write_view(view, out);
        return 0;
    }
    return metrics_text_write(
        view, answer == ANSWER_OPENMETRICS ? METRICS_TEXT_OPENMETRICS : METRICS_TEXT_PROMETHEUS, out);
}

/* NULL: no memory. */
static struct MHD_Response *make_answer(const MetricsView *view, enum answer answer)
{
    struct MHD_Response *response = NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    int error;

    if (!out)
        return NULL;
    error = write_answer(view, answer, out);
    if (fclose(out) == 0 && error == 0)
        response = MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(text);
    return response;
}

static struct MHD_Response *make_static(const char *text, size_t size)
{
    return MHD_create_response_from_buffer(size, (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
}

static void add_headers(struct MHD_Response *response, const char *type)
{
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(response, "Content-Security-Policy", ada_dashboard_policy);
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *text)
{
    struct MHD_Response *response = make_static(text, strlen(text));
    enum MHD_Result result;

    if (!response)
        return MHD_NO;
    add_headers(response, "text/plain; charset=utf-8");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static void replace(Prepared *prepared, struct MHD_Response *response, uint64_t stamp)
{
    if (prepared->response)
        MHD_destroy_response(prepared->response); /* those that send it just now keep it */
    prepared->response = response;
    prepared->stamp = stamp;
}

static int prepare_dashboard(Prepared *prepared)
{
    struct MHD_Response *response;

    if (prepared->response)
        return 0;
    response = make_static(ada_dashboard_begin, (size_t)(ada_dashboard_end - ada_dashboard_begin));
    if (!response)
        return -ENOMEM;
    add_headers(response, type_of(ANSWER_DASHBOARD));
    replace(prepared, response, 0);
    return 0;
}

/* The answer made from the latest figures. 0; -ENODATA: there are none yet; -ENOMEM. */
static int prepare(MetricsServer *server, enum answer answer)
{
    Prepared *prepared = &server->prepared[answer];
    struct MHD_Response *response;
    MetricsView view = {0};
    int error;

    if (answer == ANSWER_DASHBOARD)
        return prepare_dashboard(prepared);
    error = server->feed.acquire(server->feed.context, &view);
    if (error || (prepared->response && prepared->stamp == view.stamp))
        goto out;
    response = make_answer(&view, answer);
    if (!response) {
        error = -ENOMEM;
        goto out;
    }
    add_headers(response, type_of(answer));
    replace(prepared, response, view.stamp);
out:
    metrics_view_release(&view);
    return error;
}

/* ---- requests --------------------------------------------------------------------------------- */

/* ANSWERS: there is nothing of that name. */
static enum answer answer_to(struct MHD_Connection *connection, const char *path)
{
    if (strcmp(path, "/") == 0)
        return ANSWER_DASHBOARD;
    if (strcmp(path, "/metrics.json") == 0)
        return ANSWER_JSON;
    if (strcmp(path, "/metrics") != 0)
        return ANSWERS;
    return metrics_text_choose(MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
                                                           MHD_HTTP_HEADER_ACCEPT)) == METRICS_TEXT_OPENMETRICS
               ? ANSWER_OPENMETRICS
               : ANSWER_PROMETHEUS;
}

static const char *header_of(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* A body could be of any length, and nobody wants it. */
static bool has_body(struct MHD_Connection *connection)
{
    const char *length = header_of(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);

    return header_of(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING) || (length && strcmp(length, "0") != 0);
}

/*
 * On loopback: whether the client asked for this machine, by number or as localhost. A page from elsewhere whose name was
 * made to lead here could read the metrics otherwise.
 */
static bool names_us(struct MHD_Connection *connection)
{
    const char *host = header_of(connection, MHD_HTTP_HEADER_HOST);
    char name[METRICS_ADDRESS_TEXT];
    struct in_addr address;
    size_t length;

    if (!host)
        return true; /* HTTP/1.0 */
    if (host[0] == '[')
        return true; /* no name has brackets */
    length = strcspn(host, ":");
    if (length >= sizeof(name))
        return false;
    memcpy(name, host, length);
    name[length] = '\0';
    return strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, &address) == 1;
}

/* 0, or the status of a request that is not answered, whatever it asks for. */
static unsigned refusal_of(const MetricsServer *server, struct MHD_Connection *connection, const char *method,
                           const char **why_out)
{
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        *why_out = "only GET and HEAD\n";
        return MHD_HTTP_METHOD_NOT_ALLOWED;
    }
    if (server->loopback && !names_us(connection)) {
        *why_out = "ask for localhost or an address\n";
        return STATUS_MISDIRECTED;
    }
    if (has_body(connection)) {
        *why_out = "no body is taken\n";
        return STATUS_TOO_LARGE;
    }
    return 0;
}

/* NOLINTNEXTLINE(readability-function-size): libmicrohttpd wants so many parameters. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **request)
{
    static char seen;
    MetricsServer *server = context;
    const char *why;
    unsigned status;
    enum answer answer;
    int error;

    (void)version;
    (void)upload;
    (void)upload_size;
    status = refusal_of(server, connection, method, &why);
    if (status != 0)
        return refuse(connection, status, why);
    if (!*request) { /* its headers: answered when it is there as a whole */
        *request = &seen;
        return MHD_YES;
    }
    answer = answer_to(connection, path);
    if (answer == ANSWERS)
        return refuse(connection, MHD_HTTP_NOT_FOUND, "there are /, /metrics and /metrics.json\n");
    error = prepare(server, answer);
    if (error == -ENODATA)
        return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "nothing was collected yet\n");
    if (error)
        return refuse(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
    return MHD_queue_response(connection, MHD_HTTP_OK, server->prepared[answer].response);
}

/* ---- life ------------------------------------------------------------------------------------- */

int metrics_server_create(const MetricsServerConfig *config, MetricsAddress *address, MetricsServer **server_out)
{
    MetricsServer *server = calloc(1, sizeof(*server));
    HttpServerConfig http = {.connections_max = METRICS_SERVER_CONNECTIONS_MAX,
                             .time_limit_ns = config->time_limit_ns,
                             .on_request = on_request,
                             .context = server};
    int error;

    if (!server)
        return -ENOMEM;
    server->feed = config->feed;
    server->loopback = metrics_address_is_loopback(address);
    error = http_server_create(&http, address, &server->http);
    if (error) {
        free(server);
        return error;
    }
    *server_out = server;
    return 0;
}

void metrics_server_destroy(MetricsServer *server)
{
    if (!server)
        return;
    http_server_destroy(server->http);
    for (int i = 0; i < ANSWERS; i++) {
        if (server->prepared[i].response)
            MHD_destroy_response(server->prepared[i].response);
    }
    free(server);
}

#endif
