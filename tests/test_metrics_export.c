/* SPDX-License-Identifier: MIT */
/* Metrics as text, as JSON and in a file; names are whatever hostile programs choose. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/kernel_abi.h"
#include "user/export/metrics_file.h"
#include "user/export/metrics_json.h"
#include "user/export/metrics_text.h"
#include "user/lane/atomic.h"

static MetricsSnapshot *sample(size_t threads)
{
    static LatencyHistogram latency;
    MetricsSnapshot *snapshot = metrics_snapshot_create(1, threads);

    CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
    snapshot->sequence = 7;
    snapshot->started_at = 1000000000;
    snapshot->monotonic_ns = 3500000000;
    snapshot->total.index = (AdatAccount){.attempted = 100,
                                          .in_file = 80,
                                          .dropped_full = 9,
                                          .dropped_nested = 4,
                                          .dropped_io = 3,
                                          .torn = 2,
                                          .pending = 2};
    snapshot->total.events_per_second = 12.5;
    snapshot->drop_rate = 0.25;
    snapshot->jain = 1;
    latency = (LatencyHistogram){0};
    latency_histogram_add(&latency, 800000, 60);
    latency_histogram_add(&latency, 30000000, 20);
    latency_histogram_copy(&snapshot->latency, &latency);
    snapshot->anomalies[METRICS_ANOMALY_RATE] = 5;
    strcpy(snapshot->scheduler, "adaptive");
    snapshot->process_count = 1;
    snapshot->processes[0] = (MetricsProcess){.pid = 42, .threads = 1, .program = "/bin/x"};
    snapshot->thread_count = threads;
    for (size_t i = 0; i < threads; i++) {
        MetricsThread *thread = &snapshot->threads[i];

        *thread = (MetricsThread){.pid = 42, .tid = (uint32_t)(100 + i), .thread = (uint32_t)i + 1};
        (void)snprintf(thread->name, sizeof(thread->name), "worker-%u", (unsigned)(i % 10000));
        thread->figures.events_per_second = (double)i;
        thread->figures.index.attempted = 10 * i;
        thread->figures.occupancy = (double)i / (double)threads;
    }
    return snapshot;
}

typedef int (*Render)(const MetricsView *view, FILE *out);

static int as_prometheus(const MetricsView *view, FILE *out)
{
    return metrics_text_write(view, METRICS_TEXT_PROMETHEUS, out);
}

static int as_openmetrics(const MetricsView *view, FILE *out)
{
    return metrics_text_write(view, METRICS_TEXT_OPENMETRICS, out);
}

static int as_json(const MetricsView *view, FILE *out)
{
    metrics_json_write_view(view, out);
    return 0;
}

/* To be freed. */
static char *rendered_view(Render render, const MetricsView *view)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CU_ASSERT_EQUAL(render(view, out), 0);
    CU_ASSERT_EQUAL(fclose(out), 0);
    return text;
}

/* The same of a recording without a service. */
static char *rendered(Render render, const MetricsSnapshot *snapshot)
{
    MetricsSession session = {.snapshot = snapshot};
    MetricsView view = {.sessions = &session, .session_count = 1};

    return rendered_view(render, &view);
}

static size_t occurrences(const char *text, const char *what)
{
    size_t count = 0;

    while ((text = strstr(text, what))) {
        count++;
        text += strlen(what);
    }
    return count;
}

static bool has_line(const char *text, const char *line)
{
    const char *at = text;
    size_t length = strlen(line);

    while ((at = strstr(at, line))) {
        if ((at == text || at[-1] == '\n') && at[length] == '\n')
            return true;
        at += length;
    }
    return false;
}

static void metrics_text__snapshot__then_samples_of_each_family(void)
{
    MetricsSnapshot *snapshot = sample(1);
    char *text = rendered(as_prometheus, snapshot);

    CU_ASSERT(has_line(text, "# TYPE adatrace_events_attempted_total counter"));
    CU_ASSERT(has_line(text, "adatrace_events_attempted_total 100"));
    CU_ASSERT(has_line(text, "adatrace_events_lost_total{cause=\"full\"} 9"));
    CU_ASSERT(has_line(text, "adatrace_events_lost_total{cause=\"nested\"} 4"));
    CU_ASSERT(has_line(text, "adatrace_events_lost_total{cause=\"io\"} 3"));
    CU_ASSERT(has_line(text, "adatrace_events_lost_total{cause=\"torn\"} 2"));
    CU_ASSERT(has_line(text, "adatrace_events_pending 2"));
    CU_ASSERT(has_line(text, "adatrace_events_per_second 12.5"));
    CU_ASSERT(has_line(text, "adatrace_drop_ratio 0.25"));
    CU_ASSERT(has_line(text, "adatrace_anomalies_total{cause=\"rate\"} 5"));
    CU_ASSERT(has_line(text, "adatrace_recording_seconds 2.5"));
    CU_ASSERT(has_line(text, "adatrace_drain_latency_seconds_bucket{le=\"0.0005\"} 0"));
    CU_ASSERT(has_line(text, "adatrace_drain_latency_seconds_bucket{le=\"0.001\"} 60"));
    CU_ASSERT(has_line(text, "adatrace_drain_latency_seconds_bucket{le=\"0.05\"} 80"));
    CU_ASSERT(has_line(text, "adatrace_drain_latency_seconds_bucket{le=\"+Inf\"} 80"));
    CU_ASSERT(has_line(text, "adatrace_drain_latency_seconds_count 80"));
    CU_ASSERT(has_line(text, "adatrace_thread_events_attempted{pid=\"42\",tid=\"100\",thread=\"worker-0\"} 0"));
    CU_ASSERT_PTR_NULL(strstr(text, "# EOF"));
    free(text);

    text = rendered(as_openmetrics, snapshot);
    CU_ASSERT(has_line(text, "# TYPE adatrace_events_attempted counter"));
    CU_ASSERT(has_line(text, "adatrace_events_attempted_total 100"));
    CU_ASSERT(has_line(text, "# EOF"));
    CU_ASSERT_STRING_EQUAL(text + strlen(text) - 6, "# EOF\n");
    free(text);
    metrics_snapshot_release(snapshot);
}

static void metrics_text__many_threads__then_few_series_and_the_rest_summed(void)
{
    MetricsSnapshot *snapshot = sample(4096);
    char *text;

    snapshot->threads[4095].ended = true;
    text = rendered(as_prometheus, snapshot);
    CU_ASSERT_EQUAL(occurrences(text, "adatrace_thread_events_per_second{"), METRICS_TEXT_THREADS + 1);
    CU_ASSERT(has_line(
        text, "adatrace_thread_events_per_second{pid=\"42\",tid=\"4194\",thread=\"worker-4094\"} 4094"));
    CU_ASSERT_PTR_NULL(strstr(text, "worker-4095\""));
    CU_ASSERT_PTR_NULL(strstr(text, "worker-4062\""));
    /* 0 + 1 + ... + 4062 */
    CU_ASSERT(has_line(text, "adatrace_thread_events_per_second{pid=\"\",tid=\"\",thread=\"other\"} 8251953"));
    /* of a share, the largest */
    CU_ASSERT(has_line(
        text, "adatrace_thread_ring_occupancy_ratio{pid=\"\",tid=\"\",thread=\"other\"} 0.99169921875"));
    free(text);
    metrics_snapshot_release(snapshot);

    snapshot = sample(0);
    text = rendered(as_openmetrics, snapshot);
    CU_ASSERT_PTR_NULL(strstr(text, "adatrace_thread_"));
    free(text);
    metrics_snapshot_release(snapshot);
}

static void metrics_text__hostile_name__then_escaped(void)
{
    MetricsSnapshot *snapshot = sample(2);
    char *text;

    memcpy(snapshot->threads[1].name, "a\"b\\c\nd\xff\xc3\xa9", 11);
    memset(snapshot->threads[0].name, 'x', sizeof(snapshot->threads[0].name)); /* no NUL */
    text = rendered(as_prometheus, snapshot);
    CU_ASSERT(has_line(
        text,
        "adatrace_thread_stalls{pid=\"42\",tid=\"101\",thread=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\xc3\xa9\"} 0"));
    CU_ASSERT(has_line(text, "adatrace_thread_stalls{pid=\"42\",tid=\"100\",thread=\"xxxxxxxxxxxxxxxx\"} 0"));
    free(text);
    text = rendered(as_json, snapshot);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"name\":\"a\\\"b\\\\c\\nd\\ufffd\xc3\xa9\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"name\":\"xxxxxxxxxxxxxxxx\""));
    CU_ASSERT_EQUAL(occurrences(text, "\n"), 1);
    free(text);
    metrics_snapshot_release(snapshot);
}

static void metrics_text__accept_header__then_format_chosen(void)
{
    CU_ASSERT_EQUAL(metrics_text_choose(NULL), METRICS_TEXT_PROMETHEUS);
    CU_ASSERT_EQUAL(metrics_text_choose("text/html, */*"), METRICS_TEXT_PROMETHEUS);
    CU_ASSERT_EQUAL(metrics_text_choose("application/openmetrics-text;q=0.5, text/plain"),
                    METRICS_TEXT_PROMETHEUS);
    CU_ASSERT_EQUAL(metrics_text_choose("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"),
                    METRICS_TEXT_OPENMETRICS);
    CU_ASSERT_PTR_NOT_NULL(strstr(metrics_text_type(METRICS_TEXT_PROMETHEUS), "0.0.4"));
    CU_ASSERT_PTR_NOT_NULL(strstr(metrics_text_type(METRICS_TEXT_OPENMETRICS), "openmetrics"));
}

static void metrics_json__more_threads_than_it_holds__then_the_rest_is_counted(void)
{
    MetricsSnapshot *snapshot = sample(METRICS_JSON_THREADS_MAX + 3);
    char *text = rendered(as_json, snapshot);

    CU_ASSERT_EQUAL(occurrences(text, "\"tid\":"), METRICS_JSON_THREADS_MAX);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"threads_omitted\":3}"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "{\"version\":1,"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "\"anomalies\":{\"drop_burst\":0,\"stalled_lane\":0,\"rate\":5,\"latency\":0}"));
    free(text);
    metrics_snapshot_release(snapshot);
    CU_ASSERT_PTR_NULL(metrics_anomaly_name(METRICS_ANOMALIES));
}

static void metrics_json__accounts__then_every_field_of_them(void)
{
    MetricsSnapshot *snapshot = sample(0);
    char *text;

    snapshot->total.detail = (AdatAccount){.attempted = 7, .recycled_unmarked = 6, .pending = 1};
    text = rendered(as_json, snapshot);
    CU_ASSERT_PTR_NOT_NULL(strstr(
        text, "\"drop_ratio\":0.25,\"total\":{\"events\":{\"attempted\":100,\"in_file\":80,\"dropped_full\":9,"
              "\"dropped_nested\":4,\"dropped_io\":3,\"recycled_unmarked\":0,\"torn\":2,\"pending\":2},"
              "\"detail\":{\"attempted\":7,\"in_file\":0,\"dropped_full\":0,\"dropped_nested\":0,"
              "\"dropped_io\":0,\"recycled_unmarked\":6,\"torn\":0,\"pending\":1},"));
    free(text);
    metrics_snapshot_release(snapshot);
}

static void metrics_file__written__then_replaced_as_a_whole(void)
{
    char directory[] = "/tmp/adatrace-test-XXXXXX";
    char path[64], temporary[80], target[80];
    MetricsSnapshot *snapshot = sample(1);
    MetricsSession session = {.snapshot = snapshot};
    MetricsView view = {.sessions = &session, .session_count = 1};
    struct stat status, before;

    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/metrics.prom", directory);
    (void)snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    CU_ASSERT_EQUAL(metrics_file_write(path, &view), 0);
    CU_ASSERT_EQUAL(stat(path, &before), 0);
    CU_ASSERT_EQUAL(before.st_mode & 07777, 0644);
    CU_ASSERT(before.st_size > 1000);
    CU_ASSERT_EQUAL(metrics_file_write(path, &view), 0);
    CU_ASSERT_EQUAL(stat(path, &status), 0);
    CU_ASSERT_EQUAL(status.st_size, before.st_size);
    CU_ASSERT_NOT_EQUAL(status.st_ino, before.st_ino);
    /* What cannot be replaced stays, and nothing else is left. */
    CU_ASSERT_EQUAL(mkdir(temporary, 0700), 0);
    CU_ASSERT_EQUAL(metrics_file_write(path, &view), -EISDIR);
    CU_ASSERT_EQUAL(rmdir(temporary), 0);
    CU_ASSERT_EQUAL(stat(path, &before), 0);
    CU_ASSERT_EQUAL(status.st_ino, before.st_ino);
    /* A link that somebody else put there is not followed. */
    (void)snprintf(target, sizeof(target), "%s/target", directory);
    CU_ASSERT_EQUAL(symlink(target, temporary), 0);
    CU_ASSERT_EQUAL(metrics_file_write(path, &view), 0);
    CU_ASSERT_EQUAL(access(target, F_OK), -1);
    CU_ASSERT_EQUAL(lstat(path, &status), 0);
    CU_ASSERT(S_ISREG(status.st_mode));
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
    CU_ASSERT_EQUAL(metrics_file_write(path, &view), -EISDIR);
    CU_ASSERT_EQUAL(access(temporary, F_OK), -1);
    CU_ASSERT_EQUAL(rmdir(path), 0);
    CU_ASSERT_EQUAL(rmdir(directory), 0);
    metrics_snapshot_release(snapshot);
}

typedef struct States {
    uint32_t count;
    int last;
} States;

static void note_state(void *context, int error)
{
    States *states = context;

    states->last = error;
    (void)ada_fetch_add_acq_rel(&states->count, 1u);
}

static void metrics_file__stopped__then_last_snapshot_is_there_and_errors_told_once(void)
{
    char directory[] = "/tmp/adatrace-test-XXXXXX";
    char path[64];
    States states = {0};
    MetricsSnapshot *snapshot;
    MetricsFile *file = NULL;
    MetricsHub hub;
    MetricsFileConfig config = {
        .path = path, .interval_ns = 1000000, .on_state = note_state, .context = &states};

    metrics_hub_init(&hub);
    config.feed = metrics_hub_feed(&hub);
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/metrics.prom", directory);
    CU_ASSERT_EQUAL_FATAL(metrics_file_create(&config, &file), 0);
    CU_ASSERT(metrics_hub_try_publish(&hub, sample(1)));
    metrics_file_destroy(file);
    CU_ASSERT_EQUAL(access(path, R_OK), 0);
    CU_ASSERT_EQUAL(states.count, 0);
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(rmdir(directory), 0);

    /* The directory is gone: said once, for however many snapshots. */
    CU_ASSERT_EQUAL_FATAL(metrics_file_create(&config, &file), 0);
    while (!metrics_hub_try_publish(&hub, sample(1)))
        ;
    while (ada_load_acquire(&states.count) == 0)
        (void)sched_yield();
    snapshot = sample(1);
    snapshot->sequence = 8;
    while (!metrics_hub_try_publish(&hub, snapshot))
        ;
    metrics_file_destroy(file);
    CU_ASSERT_EQUAL(states.count, 1);
    CU_ASSERT_EQUAL(states.last, -ENOENT);
    metrics_file_destroy(NULL);
    metrics_hub_fini(&hub);
}

/* What the kernel tells: nothing of it without kernel assistance. */
static void metrics__scheduler__then_told_if_known(void)
{
    MetricsSnapshot *snapshot = sample(2);
    MetricsSched known = {.threads = 1,
                          .state = ADA_KERNEL_BLOCKED,
                          .last_cpu = 3,
                          .run_ns = 1000,
                          .runqueue_ns = 200,
                          .preempted_ns = 100,
                          .sleep_ns = 30,
                          .blocked_ns = 40,
                          .switches_voluntary = 5,
                          .switches_involuntary = 6,
                          .migrations = 7,
                          .wakeups = 8,
                          .cpu_share = 0.25,
                          .runqueue_share = 0.5};
    char *text = rendered(as_prometheus, snapshot), *json = rendered(as_json, snapshot);

    CU_ASSERT_PTR_NULL(strstr(text, "adatrace_sched_"));
    CU_ASSERT_PTR_NULL(strstr(text, "adatrace_thread_cpu_ratio"));
    CU_ASSERT_PTR_NOT_NULL(strstr(json, "\"sched\":null"));
    free(text);
    free(json);

    snapshot->threads[1].figures.sched = known;
    snapshot->total.sched = known;
    text = rendered(as_prometheus, snapshot);
    json = rendered(as_json, snapshot);
    CU_ASSERT(has_line(text, "adatrace_sched_threads 1"));
    CU_ASSERT(has_line(text, "adatrace_sched_cpu_ratio 0.25"));
    CU_ASSERT(has_line(text, "adatrace_sched_runqueue_ratio 0.5"));
    CU_ASSERT(has_line(text, "adatrace_thread_cpu_ratio{pid=\"42\",tid=\"101\",thread=\"worker-1\"} 0.25"));
    CU_ASSERT(has_line(text, "adatrace_thread_runqueue_ratio{pid=\"42\",tid=\"101\",thread=\"worker-1\"} 0.5"));
    CU_ASSERT(has_line(text, "adatrace_thread_cpu_ratio{pid=\"42\",tid=\"100\",thread=\"worker-0\"} 0"));
    CU_ASSERT_PTR_NOT_NULL(strstr(
        json, "\"sched\":{\"state\":\"blocked\",\"last_cpu\":3,\"cpu_share\":0.25,\"runqueue_share\":0.5,"
              "\"run_ns\":1000,\"runqueue_ns\":200,\"preempted_ns\":100,\"sleep_ns\":30,\"blocked_ns\":40,"
              "\"switches_voluntary\":5,\"switches_involuntary\":6,\"migrations\":7,\"wakeups\":8}"));
    CU_ASSERT_PTR_NOT_NULL(strstr(json, "\"sched\":{\"threads\":1,\"cpu_share\":0.25"));
    free(text);
    free(json);
    metrics_snapshot_release(snapshot);
}

/* ---- several sessions ------------------------------------------------------------------------- */

#define SESSIONS 3

/* What a service would have: sessions of 1, 2, 3 threads. The snapshots are those of the caller, to be released by the view. */
static MetricsView service_view(MetricsSession sessions[SESSIONS])
{
    static const char *const names[SESSIONS] = {"shop", "batch.2", "black-box"};
    MetricsView view = {.sessions = sessions,
                        .session_count = SESSIONS,
                        .has_service = true,
                        .service = {.version = "1.2.3",
                                    .started_at = UINT64_C(1700000000500000000),
                                    .states = {{"running", 2}, {"failed", 1}},
                                    .state_count = 2,
                                    .counts_clients = true,
                                    .control_clients = 5}};

    for (size_t i = 0; i < SESSIONS; i++) {
        MetricsSnapshot *snapshot = sample(i + 1);

        snapshot->total.index.attempted = 100 * (i + 1);
        sessions[i] = (MetricsSession){.state = i < 2 ? "running" : "failed", .snapshot = snapshot};
        strcpy(sessions[i].name, names[i]);
    }
    return view;
}

static void release_sessions(const MetricsSession sessions[SESSIONS])
{
    for (size_t i = 0; i < SESSIONS; i++)
        metrics_snapshot_release(sessions[i].snapshot);
}

/* The name of a line's family, as the headers have it; of a histogram's sample without its suffix. */
static void family_of(const char *line, char *family, size_t size)
{
    static const char *const suffixes[] = {"_bucket", "_sum", "_count"};
    size_t length;

    if (strncmp(line, "# HELP ", 7) == 0 || strncmp(line, "# TYPE ", 7) == 0)
        line += 7;
    length = strcspn(line, " {\n");
    CU_ASSERT_FATAL(length < size);
    memcpy(family, line, length);
    family[length] = '\0';
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        size_t suffix = strlen(suffixes[i]);

        if (strncmp(family, "adatrace_drain_latency_seconds_", 31) == 0 && length > suffix &&
            strcmp(family + length - suffix, suffixes[i]) == 0)
            family[length - suffix] = '\0';
    }
}

/* Each family's lines stand together, HELP and TYPE before its samples. How many families there are. */
static size_t check_families(const char *text)
{
    char family[128], present[128] = "", header[160];
    size_t count = 0;

    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        family_of(line, family, sizeof(family));
        if (strcmp(family, present) == 0)
            continue;
        (void)snprintf(header, sizeof(header), "# HELP %s ", family);
        CU_ASSERT_EQUAL(strncmp(line, header, strlen(header)), 0);
        CU_ASSERT_EQUAL(occurrences(text, header), 1);
        (void)snprintf(header, sizeof(header), "# TYPE %s ", family);
        CU_ASSERT_EQUAL(occurrences(text, header), 1);
        strcpy(present, family);
        count++;
    }
    return count;
}

static void metrics_text__several_sessions__then_families_together_and_sessions_named(void)
{
    MetricsSession sessions[SESSIONS];
    MetricsView view = service_view(sessions);
    char *text = rendered_view(as_prometheus, &view);

    CU_ASSERT(check_families(text) > 40);
    CU_ASSERT(has_line(text, "adatrace_events_attempted_total{session=\"shop\"} 100"));
    CU_ASSERT(has_line(text, "adatrace_events_attempted_total{session=\"batch.2\"} 200"));
    CU_ASSERT(has_line(text, "adatrace_events_attempted_total{session=\"black-box\"} 300"));
    CU_ASSERT(has_line(text, "adatrace_events_lost_total{session=\"batch.2\",cause=\"full\"} 9"));
    CU_ASSERT(has_line(text, "adatrace_anomalies_total{session=\"shop\",cause=\"rate\"} 5"));
    CU_ASSERT(has_line(text, "adatrace_drain_latency_seconds_bucket{session=\"black-box\",le=\"+Inf\"} 80"));
    CU_ASSERT(has_line(text, "adatrace_drain_latency_seconds_count{session=\"black-box\"} 80"));
    CU_ASSERT(has_line(text, "adatrace_thread_stalls{session=\"batch.2\",pid=\"42\",tid=\"101\","
                             "thread=\"worker-1\"} 0"));
    CU_ASSERT_EQUAL(occurrences(text, "adatrace_thread_stalls{"), 1 + 2 + 3);
    CU_ASSERT(has_line(text, "adatrace_build_info{version=\"1.2.3\"} 1"));
    CU_ASSERT(has_line(text, "adatrace_service_start_time_seconds 1700000000.5"));
    CU_ASSERT(has_line(text, "adatrace_service_sessions{state=\"running\"} 2"));
    CU_ASSERT(has_line(text, "adatrace_service_sessions{state=\"failed\"} 1"));
    CU_ASSERT(has_line(text, "adatrace_service_control_clients 5"));
    free(text);

    view.service.counts_clients = false;
    text = rendered_view(as_openmetrics, &view);
    CU_ASSERT_PTR_NULL(strstr(text, "control_clients"));
    CU_ASSERT(has_line(text, "# TYPE adatrace_events_attempted counter"));
    CU_ASSERT_STRING_EQUAL(text + strlen(text) - 6, "# EOF\n");
    free(text);
    release_sessions(sessions);
}

/* The kernel tells of one session only, and only one has threads: families that others lack. */
static void metrics_text__sessions_that_differ__then_headers_where_samples_are(void)
{
    MetricsSession sessions[SESSIONS];
    MetricsView view = service_view(sessions);
    MetricsSnapshot *changed[SESSIONS];
    char *text;

    for (size_t i = 0; i < SESSIONS; i++) {
        changed[i] = (MetricsSnapshot *)sessions[i].snapshot;
        changed[i]->thread_count = i == 1 ? 2 : 0;
    }
    changed[2]->total.sched = (MetricsSched){.threads = 7};
    text = rendered_view(as_prometheus, &view);
    (void)check_families(text);
    CU_ASSERT_EQUAL(occurrences(text, "\nadatrace_thread_stalls{session=\"batch.2\","), 2);
    CU_ASSERT_EQUAL(occurrences(text, "\nadatrace_thread_stalls{"), 2);
    CU_ASSERT_EQUAL(occurrences(text, "\nadatrace_sched_threads"), 1);
    CU_ASSERT(has_line(text, "adatrace_sched_threads{session=\"black-box\"} 7"));
    CU_ASSERT_PTR_NULL(strstr(text, "adatrace_thread_cpu_ratio"));
    free(text);
    release_sessions(sessions);
}

static void metrics__service_without_sessions__then_told_of_the_service_alone(void)
{
    MetricsView view = {.has_service = true,
                        .service = {.version = "1", .states = {{"running", 0}}, .state_count = 1}};
    char *text = rendered_view(as_prometheus, &view);

    CU_ASSERT_EQUAL(check_families(text), 3);
    CU_ASSERT(has_line(text, "adatrace_service_sessions{state=\"running\"} 0"));
    free(text);
    text = rendered_view(as_json, &view);
    CU_ASSERT_STRING_EQUAL(text, "{\"version\":1,\"sessions\":[]}\n");
    free(text);
}

/* Each session's object is what a recording's is, behind its name and state. */
static void metrics_json__several_sessions__then_each_as_by_itself(void)
{
    MetricsSession sessions[SESSIONS];
    MetricsView view = service_view(sessions);
    char *text = rendered_view(as_json, &view);

    CU_ASSERT_EQUAL(
        strncmp(text, "{\"version\":1,\"sessions\":[{\"session\":\"shop\",\"state\":\"running\",", 59), 0);
    CU_ASSERT_EQUAL(occurrences(text, "\n"), 1);
    for (size_t i = 0; i < SESSIONS; i++) {
        char *alone = rendered(as_json, sessions[i].snapshot);
        char begin[512], *at;

        (void)snprintf(begin, sizeof(begin), "{\"session\":\"%s\",\"state\":\"%s\",", sessions[i].name,
                       sessions[i].state);
        at = strstr(text, begin);
        CU_ASSERT_PTR_NOT_NULL_FATAL(at);
        /* without its brace, and without its newline */
        CU_ASSERT_EQUAL(strncmp(at + strlen(begin), alone + 1, strlen(alone) - 2), 0);
        free(alone);
    }
    free(text);
    release_sessions(sessions);
}

static void metrics_json__many_threads_in_several_sessions__then_all_have_room_together(void)
{
    static const size_t threads[SESSIONS] = {10, METRICS_JSON_THREADS_MAX, METRICS_JSON_THREADS_MAX + 5};
    MetricsSession sessions[SESSIONS];
    MetricsView view = {.sessions = sessions, .session_count = SESSIONS, .has_service = true};
    size_t each = (METRICS_JSON_THREADS_MAX - threads[0]) / 2;
    char omitted[64];
    char *text;

    for (size_t i = 0; i < SESSIONS; i++)
        sessions[i] = (MetricsSession){.name = "x", .state = "running", .snapshot = sample(threads[i])};
    text = rendered_view(as_json, &view);
    CU_ASSERT_EQUAL(occurrences(text, "\"tid\":"), threads[0] + 2 * each);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"threads_omitted\":0}"));
    for (size_t i = 1; i < SESSIONS; i++) {
        (void)snprintf(omitted, sizeof(omitted), "\"threads_omitted\":%zu}", threads[i] - each);
        CU_ASSERT_PTR_NOT_NULL(strstr(text, omitted));
    }
    free(text);
    release_sessions(sessions);
}

static const TestCase tests[] = {
    TEST(metrics_text__several_sessions__then_families_together_and_sessions_named),
    TEST(metrics_text__sessions_that_differ__then_headers_where_samples_are),
    TEST(metrics__service_without_sessions__then_told_of_the_service_alone),
    TEST(metrics_json__several_sessions__then_each_as_by_itself),
    TEST(metrics_json__many_threads_in_several_sessions__then_all_have_room_together),
    TEST(metrics__scheduler__then_told_if_known),
    TEST(metrics_text__snapshot__then_samples_of_each_family),
    TEST(metrics_text__many_threads__then_few_series_and_the_rest_summed),
    TEST(metrics_text__hostile_name__then_escaped),
    TEST(metrics_text__accept_header__then_format_chosen),
    TEST(metrics_json__accounts__then_every_field_of_them),
    TEST(metrics_json__more_threads_than_it_holds__then_the_rest_is_counted),
    TEST(metrics_file__written__then_replaced_as_a_whole),
    TEST(metrics_file__stopped__then_last_snapshot_is_there_and_errors_told_once),
};
TEST_MAIN("metrics_export", tests)
