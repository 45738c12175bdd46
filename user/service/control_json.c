/* SPDX-License-Identifier: MIT */
#include "user/service/control_json.h"

#include "user/base/json.h"
#include "user/export/metrics_json.h"

static const char *const flight_names[] = {
    [FLIGHT_STATE_OFF] = "off", [FLIGHT_STATE_WAITING] = "waiting", [FLIGHT_STATE_WRITING] = "writing"};
_Static_assert(sizeof(flight_names) / sizeof(flight_names[0]) == FLIGHT_STATES, "a name for each");

const char *flight_state_name(enum flight_state state)
{
    return flight_names[state];
}

static void put_text(JsonWriter *json, const char *key, const char *text)
{
    if (text)
        json_string(json, key, text);
    else
        json_null(json, key);
}

static void put_seconds(JsonWriter *json, const char *key, uint64_t ns)
{
    json_f64(json, key, (double)ns / 1e9);
}

static void put_latency(JsonWriter *json, const MetricsPercentiles *latency)
{
    json_begin_object(json, "latency_recent_us");
    json_u64(json, "count", latency->count);
    json_f64(json, "p50", (double)latency->p50 / 1e3);
    json_f64(json, "p90", (double)latency->p90 / 1e3);
    json_f64(json, "p99", (double)latency->p99 / 1e3);
    json_f64(json, "max", (double)latency->max / 1e3);
    json_end_object(json);
}

/* What it records. */
static void put_figures(JsonWriter *json, const SessionStatus *session)
{
    json_u64(json, "processes_alive", session->processes_alive);
    json_u64(json, "processes_ever", session->processes_ever);
    json_u64(json, "threads_alive", session->threads_alive);
    json_u64(json, "threads_ever", session->threads_ever);
    adat_account_write_json(&session->events, json, "events");
    adat_account_write_json(&session->detail, json, "detail");
    json_f64(json, "events_per_s", session->events_per_second);
    put_latency(json, &session->latency);
}

/* Where it goes. */
static void put_files(JsonWriter *json, const SessionStatus *session)
{
    put_text(json, "directory", session->directory);
    json_u64(json, "files", session->files);
    json_u64(json, "file_bytes", session->bytes);
    json_u64(json, "disk_free", session->disk_free);
    json_i64(json, "write_error", session->write_error);
    json_begin_object(json, "flight_recorder");
    json_string(json, "state", flight_state_name(session->flight));
    json_u64(json, "snapshots", session->flight_snapshots);
    json_u64(json, "memory_bytes", session->flight_memory_bytes);
    json_end_object(json);
}

static void put_problems(JsonWriter *json, const SessionStatus *session)
{
    json_begin_array(json, "problems");
    for (size_t i = 0; i < session->problem_count; i++) {
        json_begin_object(json, NULL);
        put_seconds(json, "time_s", session->problems[i].realtime_ns);
        json_string(json, "text", session->problems[i].text);
        json_end_object(json);
    }
    json_end_array(json);
}

static void put_session(JsonWriter *json, const char *key, const SessionStatus *session)
{
    json_begin_object(json, key);
    json_string(json, "name", session->name);
    json_string(json, "state", session_state_name(session->state));
    put_text(json, "failure", session->failure);
    json_u64(json, "owner", session->owner);
    json_bool(json, "configured", session->configured);
    json_begin_array(json, "attach");
    for (size_t i = 0; i < session->attach_count; i++)
        json_string(json, NULL, session->attach[i]);
    json_end_array(json);
    if (session->started_at_ns > 0)
        put_seconds(json, "started_at_s", session->started_at_ns);
    else
        json_null(json, "started_at_s");
    put_seconds(json, "duration_s", session->duration_ns);
    put_figures(json, session);
    put_files(json, session);
    json_begin_object(json, "kernel");
    json_bool(json, "enabled", session->kernel_enabled);
    put_text(json, "reason", session->kernel_reason);
    json_end_object(json);
    put_problems(json, session);
    if (session->metrics)
        metrics_json_put(session->metrics, json, "metrics");
    json_end_object(json);
}

static void put_service(JsonWriter *json, const ServiceStatus *service)
{
    json_begin_object(json, "service");
    json_string(json, "version", service->version);
    json_i64(json, "pid", service->pid);
    put_seconds(json, "uptime_s", service->uptime_ns);
    json_string(json, "config", service->config_path);
    json_u64(json, "clients", service->clients);
    json_u64(json, "sessions", service->sessions);
    json_u64(json, "sessions_running", service->sessions_running);
    json_end_object(json);
}

static void begin(JsonWriter *json, FILE *out)
{
    json_init(json, out);
    json_begin_object(json, NULL);
    json_u64(json, "version", CONTROL_JSON_VERSION);
}

void control_json_write_status(const ServiceStatus *service, const SessionStatus *sessions, size_t count,
                               FILE *out)
{
    JsonWriter json;

    begin(&json, out);
    put_service(&json, service);
    json_begin_array(&json, "sessions");
    for (size_t i = 0; i < count; i++)
        put_session(&json, NULL, &sessions[i]);
    json_end_array(&json);
    json_end_object(&json);
}

void control_json_write_session(const SessionStatus *session, const char *file, FILE *out)
{
    JsonWriter json;

    begin(&json, out);
    put_session(&json, "session", session);
    put_text(&json, "file", file);
    json_end_object(&json);
}

void control_json_write_service(const ServiceStatus *service, FILE *out)
{
    JsonWriter json;

    begin(&json, out);
    put_service(&json, service);
    json_end_object(&json);
}
