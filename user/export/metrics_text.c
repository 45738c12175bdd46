/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/export/metrics_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/number.h"
#include "user/base/utf8.h"
#include "user/export/accept_header.h"

/* Of a label's value, each byte of which may become U+FFFD. */
#define ESCAPED_SIZE(size) (3 * (size) + 1)

/* A session, as its samples are written. */
typedef struct TextSession {
    const MetricsSnapshot *snapshot;
    char label[sizeof("session=\"\"") + ESCAPED_SIZE(METRICS_SESSION_NAME_SIZE)]; /* "": without a name */
    const MetricsThread **threads; /* those alive, that with the highest rate first */
    size_t thread_count;
} TextSession;

enum family_type { FAMILY_COUNTER, FAMILY_GAUGE, FAMILY_HISTOGRAM };

typedef struct Family Family;

struct Family {
    const char *name;
    enum family_type type;
    const char *help;
    void (*put)(FILE *out, const Family *family, const TextSession *session);
    size_t value; /* of those that show one: its offset in MetricsSnapshot */

    /* of a series for each thread */
    double (*value_of)(const MetricsFigures *figures);
    bool largest; /* the others' largest, instead of their sum */

    bool (*is_known)(const TextSession *session); /* NULL: always */
};

const char *metrics_text_type(enum metrics_text_format format)
{
    return format == METRICS_TEXT_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                              : "text/plain; version=0.0.4; charset=utf-8";
}

enum metrics_text_format metrics_text_choose(const char *accept)
{
    static const MediaOffer offers[] = {
        [METRICS_TEXT_PROMETHEUS] = {"text", "plain", "0.0.4"},
        [METRICS_TEXT_OPENMETRICS] = {"application", "openmetrics-text", "1.0.0"},
    };

    return (enum metrics_text_format)accept_header_choose(accept, offers, sizeof(offers) / sizeof(offers[0]));
}

/* ---- words ------------------------------------------------------------------------------------ */

/* Names and help are ours: nothing in them needs an escape. */
static void begin_family(FILE *out, enum metrics_text_format format, const Family *family)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    /* The older format names a counter's samples, the newer one their family. */
    const char *suffix = family->type == FAMILY_COUNTER && format == METRICS_TEXT_PROMETHEUS ? "_total" : "";

    fprintf(out, "# HELP adatrace_%s%s %s\n# TYPE adatrace_%s%s %s\n", family->name, suffix, family->help,
            family->name, suffix, types[family->type]);
}

/* A sample up to its value. `session` and `labels` are NAME="VALUE" joined by commas, or "". */
static void begin_sample(FILE *out, const Family *family, const char *suffix, const char *session,
                         const char *labels)
{
    fprintf(out, "adatrace_%s%s", family->name, family->type == FAMILY_COUNTER ? "_total" : suffix);
    if (session[0] || labels[0])
        fprintf(out, "{%s%s%s}", session, session[0] && labels[0] ? "," : "", labels);
    (void)fputc(' ', out);
}

static void put_number(FILE *out, double value)
{
    char digits[NUMBER_CHARS_MAX];

    size_t length = number_format_f64(digits, value);

    (void)fwrite(digits, 1, length, out);
    (void)fputc('\n', out);
}

static void put_whole(FILE *out, uint64_t value)
{
    fprintf(out, "%" PRIu64 "\n", value);
}

/* A label's value, with a NUL: bytes that are not UTF-8 become U+FFFD. */
static void escape(char *escaped, const char *value, size_t size)
{
    size_t length = strnlen(value, size);

    for (size_t at = 0; at < length;) {
        size_t bytes = utf8_length((const uint8_t *)value + at, length - at);

        if (bytes == 0) {
            escaped = mempcpy(escaped, "\xef\xbf\xbd", 3);
            bytes = 1;
        } else if (value[at] == '\n') {
            escaped = mempcpy(escaped, "\\n", 2);
        } else {
            if (value[at] == '"' || value[at] == '\\')
                *escaped++ = '\\';
            escaped = mempcpy(escaped, value + at, bytes);
        }
        at += bytes;
    }
    *escaped = '\0';
}

/* ---- samples of a session --------------------------------------------------------------------- */

static const void *value_in(const Family *family, const TextSession *session)
{
    return (const char *)session->snapshot + family->value;
}

static uint64_t u64_in(const Family *family, const TextSession *session)
{
    uint64_t value;

    memcpy(&value, value_in(family, session), sizeof(value));
    return value;
}

static void put_u64(FILE *out, const Family *family, const TextSession *session)
{
    begin_sample(out, family, "", session->label, "");
    put_whole(out, u64_in(family, session));
}

static void put_u64_gauge(FILE *out, const Family *family, const TextSession *session)
{
    begin_sample(out, family, "", session->label, "");
    put_number(out, (double)u64_in(family, session));
}

static void put_u32_gauge(FILE *out, const Family *family, const TextSession *session)
{
    uint32_t value;

    memcpy(&value, value_in(family, session), sizeof(value));
    begin_sample(out, family, "", session->label, "");
    put_number(out, value);
}

static void put_f64(FILE *out, const Family *family, const TextSession *session)
{
    double value;

    memcpy(&value, value_in(family, session), sizeof(value));
    begin_sample(out, family, "", session->label, "");
    put_number(out, value);
}

/* Of nanoseconds. */
static void put_seconds(FILE *out, const Family *family, const TextSession *session)
{
    begin_sample(out, family, "", session->label, "");
    put_number(out, (double)u64_in(family, session) / 1e9);
}

static void put_duration(FILE *out, const Family *family, const TextSession *session)
{
    begin_sample(out, family, "", session->label, "");
    put_number(out, (double)(session->snapshot->monotonic_ns - session->snapshot->started_at) / 1e9);
}

static void put_lost(FILE *out, const Family *family, const TextSession *session)
{
    const AdatAccount *account = value_in(family, session);

    begin_sample(out, family, "", session->label, "cause=\"full\"");
    put_whole(out, account->dropped_full);
    begin_sample(out, family, "", session->label, "cause=\"nested\"");
    put_whole(out, account->dropped_nested);
    begin_sample(out, family, "", session->label, "cause=\"io\"");
    put_whole(out, account->dropped_io);
    begin_sample(out, family, "", session->label, "cause=\"torn\"");
    put_whole(out, account->torn);
}

static void put_anomalies(FILE *out, const Family *family, const TextSession *session)
{
    char labels[64];

    for (unsigned i = 0; i < METRICS_ANOMALIES; i++) {
        (void)snprintf(labels, sizeof(labels), "cause=\"%s\"", metrics_anomaly_name((enum metrics_anomaly)i));
        begin_sample(out, family, "", session->label, labels);
        put_whole(out, session->snapshot->anomalies[i]);
    }
}

/* 1-2-5 steps from 10 us to 10 s. */
static const uint64_t latency_bounds[] = {
    10000,     20000,      50000,      100000,     200000,      500000,    1000000,
    2000000,   5000000,    10000000,   20000000,   50000000,    100000000, 200000000,
    500000000, 1000000000, 2000000000, 5000000000, 10000000000,
};

static void put_latency(FILE *out, const Family *family, const TextSession *session)
{
    const LatencyHistogram *latency = &session->snapshot->latency;
    char labels[64];

    for (size_t i = 0; i < sizeof(latency_bounds) / sizeof(latency_bounds[0]); i++) {
        char bound[NUMBER_CHARS_MAX + 1];
        size_t length = number_format_f64(bound, (double)latency_bounds[i] / 1e9);

        bound[length] = '\0';
        (void)snprintf(labels, sizeof(labels), "le=\"%s\"", bound);
        begin_sample(out, family, "_bucket", session->label, labels);
        put_whole(out, latency_histogram_below(latency, latency_bounds[i]));
    }
    begin_sample(out, family, "_bucket", session->label, "le=\"+Inf\"");
    put_whole(out, latency->count);
    begin_sample(out, family, "_sum", session->label, "");
    put_number(out, latency_histogram_sum(latency) / 1e9);
    begin_sample(out, family, "_count", session->label, "");
    put_whole(out, latency->count);
}

/* ---- samples of its threads ------------------------------------------------------------------- */

static double rate_of(const MetricsFigures *figures)
{
    return figures->events_per_second;
}

static double attempted_of(const MetricsFigures *figures)
{
    return (double)figures->index.attempted;
}

static double lost_of(const MetricsFigures *figures)
{
    const AdatAccount *events = &figures->index;

    return (double)(events->dropped_full + events->dropped_nested + events->dropped_io + events->torn);
}

static double occupancy_of(const MetricsFigures *figures)
{
    return figures->occupancy;
}

static double stalls_of(const MetricsFigures *figures)
{
    return (double)figures->stalls;
}

static double cpu_of(const MetricsFigures *figures)
{
    return figures->sched.threads > 0 ? figures->sched.cpu_share : 0;
}

static double runqueue_of(const MetricsFigures *figures)
{
    return figures->sched.threads > 0 ? figures->sched.runqueue_share : 0;
}

static void put_others(FILE *out, const Family *family, const TextSession *session, size_t first)
{
    double rest = 0;

    for (size_t i = first; i < session->thread_count; i++) {
        double value = family->value_of(&session->threads[i]->figures);

        if (!family->largest)
            rest += value;
        else if (value > rest)
            rest = value;
    }
    begin_sample(out, family, "", session->label, "pid=\"\",tid=\"\",thread=\"other\"");
    put_number(out, rest);
}

static void put_threads(FILE *out, const Family *family, const TextSession *session)
{
    size_t single = session->thread_count < METRICS_TEXT_THREADS ? session->thread_count : METRICS_TEXT_THREADS;

    for (size_t i = 0; i < single; i++) {
        const MetricsThread *thread = session->threads[i];
        char name[ESCAPED_SIZE(sizeof(thread->name))], labels[sizeof(name) + 64];

        escape(name, thread->name, sizeof(thread->name));
        (void)snprintf(labels, sizeof(labels), "pid=\"%u\",tid=\"%u\",thread=\"%s\"", thread->pid,
                       thread->tid, name);
        begin_sample(out, family, "", session->label, labels);
        put_number(out, family->value_of(&thread->figures));
    }
    if (session->thread_count > single)
        put_others(out, family, session, single);
}

static bool has_threads(const TextSession *session)
{
    return session->thread_count > 0;
}

static bool has_sched(const TextSession *session)
{
    return session->snapshot->total.sched.threads > 0;
}

static bool has_thread_sched(const TextSession *session)
{
    return has_sched(session) && has_threads(session);
}

/* ---- the families ----------------------------------------------------------------------------- */

#define FAMILY(kind, title, put_samples, text, ...)                                               \
    {                                                                                             \
        .name = (title), .type = FAMILY_##kind, .help = (text), .put = (put_samples), __VA_ARGS__ \
    }
#define AT(member) .value = offsetof(MetricsSnapshot, member)
#define THREADS(value, known) .value_of = (value), .is_known = (known)

/* In this order. What is of threads, or what the kernel tells, is over those alive, so that sums would go backwards: gauges. */
static const Family families[] = {
    FAMILY(COUNTER, "events_attempted", put_u64, "Events that threads began to record.",
           AT(total.index.attempted)),
    FAMILY(COUNTER, "events_in_file", put_u64, "Events that are in the file.", AT(total.index.in_file)),
    FAMILY(COUNTER, "events_lost", put_lost, "Events that are not in the file, by cause.", AT(total.index)),
    FAMILY(GAUGE, "events_pending", put_u64_gauge, "Events recorded and not drained yet.",
           AT(total.index.pending)),
    FAMILY(GAUGE, "events_per_second", put_f64, "Rate over the last interval.", AT(total.events_per_second)),
    FAMILY(GAUGE, "drop_ratio", put_f64, "Part of the events of the last interval that was lost.",
           AT(drop_rate)),
    FAMILY(COUNTER, "detail_records_attempted", put_u64, "Payloads that threads began to record.",
           AT(total.detail.attempted)),
    FAMILY(COUNTER, "detail_records_in_file", put_u64, "Payloads that are in the file.",
           AT(total.detail.in_file)),
    FAMILY(COUNTER, "detail_records_lost", put_lost, "Payloads that are not in the file, by cause.",
           AT(total.detail)),
    FAMILY(COUNTER, "detail_records_recycled", put_u64,
           "Payloads that nobody marked and whose room was used again.", AT(total.detail.recycled_unmarked)),
    FAMILY(COUNTER, "written_bytes", put_u64, "Bytes that threads wrote into their rings.", AT(total.bytes)),
    FAMILY(COUNTER, "drained_bytes", put_u64, "Bytes that were taken out of the rings.",
           AT(total.drained_bytes)),
    FAMILY(COUNTER, "ring_swaps", put_u64, "Rings that were filled and exchanged.", AT(total.swaps)),
    FAMILY(COUNTER, "ring_swap_seconds", put_seconds, "Time that threads spent exchanging rings.",
           AT(total.swap_ns)),
    FAMILY(COUNTER, "ring_pool_exhausted", put_u64, "Times that a ring was wanted and none was free.",
           AT(total.pool_exhausted)),
    FAMILY(COUNTER, "stalls", put_u64, "Waits of threads for a free ring.", AT(total.stalls)),
    FAMILY(COUNTER, "stall_seconds", put_seconds, "Time that threads spent waiting.", AT(total.stall_ns)),
    FAMILY(GAUGE, "ring_occupancy_ratio", put_f64,
           "Part of the fullest thread's rings that waits for the drain.", AT(total.occupancy)),
    FAMILY(HISTOGRAM, "drain_latency_seconds", put_latency,
           "From an event to the return of the write that has it."),
    FAMILY(GAUGE, "drain_jain_index", put_f64, "Fairness of the last interval: 1 is fair.", AT(jain)),
    FAMILY(COUNTER, "drain_iterations", put_u64, "Rounds of the drain.", AT(iterations)),
    FAMILY(COUNTER, "drain_iteration_seconds", put_seconds, "Time spent in them, writing included.",
           AT(iteration_ns)),
    FAMILY(COUNTER, "drain_visits", put_u64, "Visits of threads that had something.", AT(visits)),
    FAMILY(COUNTER, "drain_skips", put_u64, "Visits in vain, because the thread held its own rings.", AT(skips)),
    FAMILY(COUNTER, "drain_wakeups", put_u64, "Times that the drain slept and woke.", AT(wakeups)),
    FAMILY(COUNTER, "drain_cpu_seconds", put_seconds, "CPU time of the drain's thread.", AT(cpu_ns)),
    FAMILY(COUNTER, "marks", put_u64, "Moments that rules or commands marked.", AT(marks)),
    FAMILY(COUNTER, "file_writes", put_u64, "Writes of the file.", AT(flushes)),
    FAMILY(COUNTER, "file_write_failures", put_u64, "Writes of the file that failed.", AT(failed_writes)),
    FAMILY(GAUGE, "file_bytes", put_u64_gauge, "Size of the file.", AT(file_bytes)),
    FAMILY(GAUGE, "resident_memory_bytes", put_u64_gauge, "Resident memory of the recorder.", AT(memory_bytes)),
    FAMILY(GAUGE, "threads", put_u32_gauge, "Threads that are registered.", AT(threads_alive)),
    FAMILY(COUNTER, "threads_registered", put_u64, "Threads that were ever registered.", AT(threads_ever)),
    FAMILY(GAUGE, "processes", put_u32_gauge, "Processes that are traced.", AT(processes_alive)),
    FAMILY(COUNTER, "processes_attached", put_u64, "Processes that were ever traced.", AT(processes_ever)),
    FAMILY(GAUGE, "recording_seconds", put_duration, "Since the recording began."),
    FAMILY(GAUGE, "snapshot_timestamp_seconds", put_seconds,
           "When these figures were collected, in seconds since 1970.", AT(realtime_ns)),
    FAMILY(COUNTER, "anomalies", put_anomalies, "What was noticed to be odd, by cause."),
    FAMILY(GAUGE, "thread_events_per_second", put_threads, "Rate over the last interval.",
           THREADS(rate_of, has_threads)),
    FAMILY(GAUGE, "thread_events_attempted", put_threads, "Events that the thread began to record.",
           THREADS(attempted_of, has_threads)),
    FAMILY(GAUGE, "thread_events_lost", put_threads, "Of them not in the file.", THREADS(lost_of, has_threads)),
    FAMILY(GAUGE, "thread_stalls", put_threads, "Waits for a free ring.", THREADS(stalls_of, has_threads)),
    FAMILY(GAUGE, "thread_ring_occupancy_ratio", put_threads, "Part of its rings that waits for the drain.",
           THREADS(occupancy_of, has_threads), .largest = true),
    FAMILY(GAUGE, "sched_threads", put_u32_gauge, "Threads that the kernel tells of.",
           AT(total.sched.threads), .is_known = has_sched),
    FAMILY(GAUGE, "sched_cpu_ratio", put_f64, "CPUs that they kept busy in the last interval.",
           AT(total.sched.cpu_share), .is_known = has_sched),
    FAMILY(GAUGE, "sched_runqueue_ratio", put_f64,
           "Of them, those that waited for a CPU, on average over the last interval.",
           AT(total.sched.runqueue_share), .is_known = has_sched),
    FAMILY(GAUGE, "thread_cpu_ratio", put_threads, "Part of the last interval that it ran.",
           THREADS(cpu_of, has_thread_sched)),
    FAMILY(GAUGE, "thread_runqueue_ratio", put_threads, "Part of the last interval that it waited for a CPU.",
           THREADS(runqueue_of, has_thread_sched)),
};

/* All samples of a family stand together. */
static void put_family(FILE *out, enum metrics_text_format format, const Family *family,
                       const TextSession *sessions, size_t count)
{
    bool begun = false;

    for (size_t i = 0; i < count; i++) {
        if (family->is_known && !family->is_known(&sessions[i]))
            continue;
        if (!begun)
            begin_family(out, format, family);
        begun = true;
        family->put(out, family, &sessions[i]);
    }
}

/* ---- the service ------------------------------------------------------------------------------ */

static void put_service(FILE *out, enum metrics_text_format format, const MetricsService *service)
{
    static const Family build = FAMILY(GAUGE, "build_info", NULL, "Always 1; the version is its label.");
    static const Family start =
        FAMILY(GAUGE, "service_start_time_seconds", NULL, "When the service started, in seconds since 1970.");
    static const Family by_state =
        FAMILY(GAUGE, "service_sessions", NULL, "Sessions of the service, by state.");
    static const Family clients =
        FAMILY(GAUGE, "service_control_clients", NULL, "Connections of the control socket.");
    char labels[64];

    begin_family(out, format, &build);
    (void)snprintf(labels, sizeof(labels), "version=\"%s\"", service->version);
    begin_sample(out, &build, "", "", labels);
    put_whole(out, 1);
    begin_family(out, format, &start);
    begin_sample(out, &start, "", "", "");
    put_number(out, (double)service->started_at / 1e9);
    begin_family(out, format, &by_state);
    for (size_t i = 0; i < service->state_count; i++) {
        (void)snprintf(labels, sizeof(labels), "state=\"%s\"", service->states[i].name);
        begin_sample(out, &by_state, "", "", labels);
        put_whole(out, service->states[i].sessions);
    }
    if (!service->counts_clients)
        return;
    begin_family(out, format, &clients);
    begin_sample(out, &clients, "", "", "");
    put_whole(out, service->control_clients);
}

/* ---- the whole -------------------------------------------------------------------------------- */

/* Highest rate first; then by age, so that equal ones keep their places. */
static int compare_threads(const void *left, const void *right)
{
    const MetricsThread *a = *(const MetricsThread *const *)left, *b = *(const MetricsThread *const *)right;

    if (a->figures.events_per_second != b->figures.events_per_second)
        return a->figures.events_per_second < b->figures.events_per_second ? 1 : -1;
    return (a->thread > b->thread) - (a->thread < b->thread);
}

static int begin_session(TextSession *text, const MetricsSession *session)
{
    const MetricsSnapshot *snapshot = session->snapshot;
    char name[ESCAPED_SIZE(sizeof(session->name))];

    text->snapshot = snapshot;
    escape(name, session->name, sizeof(session->name));
    if (name[0])
        (void)snprintf(text->label, sizeof(text->label), "session=\"%s\"", name);
    text->threads = calloc(snapshot->thread_count + 1, sizeof(text->threads[0]));
    if (!text->threads)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->thread_count; i++) {
        if (!snapshot->threads[i].ended)
            text->threads[text->thread_count++] = &snapshot->threads[i];
    }
    qsort(text->threads, text->thread_count, sizeof(text->threads[0]), compare_threads);
    return 0;
}

int metrics_text_write(const MetricsView *view, enum metrics_text_format format, FILE *out)
{
    TextSession *sessions = calloc(view->session_count + 1, sizeof(*sessions));
    int error = sessions ? 0 : -ENOMEM;

    for (size_t i = 0; i < view->session_count && !error; i++)
        error = begin_session(&sessions[i], &view->sessions[i]);
    if (error)
        goto out;
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        put_family(out, format, &families[i], sessions, view->session_count);
    if (view->has_service)
        put_service(out, format, &view->service);
    if (format == METRICS_TEXT_OPENMETRICS)
        fputs("# EOF\n", out);
out:
    for (size_t i = 0; i < view->session_count && sessions; i++)
        free(sessions[i].threads);
    free(sessions);
    return error;
}
