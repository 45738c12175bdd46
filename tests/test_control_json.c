/* SPDX-License-Identifier: MIT */
/* What the service tells of itself and its sessions: read back by another parser. */
#define _GNU_SOURCE
#include "test_support.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/service/control_json.h"

static const char *const attach[] = {"unit=shop.service", "pid=7"};
static const SessionProblem problems[] = {{1500000000ull, "disk \"full\"\n"}, {2500000000ull, "\xff"}};
static const ServiceStatus service = {
    .version = "1.2.3",
    .pid = 99,
    .uptime_ns = 61000000000ull,
    .config_path = "/etc/adatrace/adatraced.conf",
    .clients = 3,
    .sessions = 2,
    .sessions_running = 1,
};

/* Each field with a number of its own, so that none stands for another. */
static SessionStatus sample(void)
{
    return (SessionStatus){
        .name = "shop",
        .state = SESSION_STATE_FAILED,
        .failure = "no room",
        .owner = 1000,
        .configured = true,
        .attach = attach,
        .attach_count = 2,
        .started_at_ns = 3500000000ull,
        .duration_ns = 4500000000ull,
        .processes_alive = 5,
        .processes_ever = 6,
        .threads_alive = 7,
        .threads_ever = 8,
        .events = {.attempted = 107, .in_file = 100, .dropped_full = 1, .dropped_nested = 2, .torn = 4},
        .detail = {.attempted = 20, .recycled_unmarked = 20},
        .events_per_second = 9.5,
        .latency = {.count = 10, .p50 = 11000, .p90 = 12000, .p99 = 13000, .max = 14500},
        .directory = "/var/log/adatrace/shop",
        .files = 15,
        .bytes = 16,
        .disk_free = 17,
        .write_error = -ENOSPC,
        .kernel_reason = "no BTF",
        .flight = FLIGHT_STATE_WRITING,
        .flight_snapshots = 18,
        .flight_memory_bytes = 19,
        .problems = problems,
        .problem_count = 2,
    };
}

typedef struct Result {
    char *text;
    cJSON *root;
} Result;

enum shape { STATUS, SESSION, SERVICE };

static Result write_result(enum shape shape, const SessionStatus *sessions, size_t count, const char *file)
{
    Result result = {0};
    size_t size = 0;
    FILE *out = open_memstream(&result.text, &size);

    CU_ASSERT_FATAL(out != NULL);
    if (shape == STATUS)
        control_json_write_status(&service, sessions, count, out);
    else if (shape == SESSION)
        control_json_write_session(sessions, file, out);
    else
        control_json_write_service(&service, out);
    CU_ASSERT_EQUAL_FATAL(fclose(out), 0);
    CU_ASSERT_PTR_EQUAL(strchr(result.text, '\n'), result.text + size - 1); /* one line */
    result.root = cJSON_Parse(result.text);
    CU_ASSERT_FATAL(cJSON_IsObject(result.root));
    return result;
}

static void free_result(Result *result)
{
    cJSON_Delete(result->root);
    free(result->text);
}

/* "sessions.0.name" */
static const cJSON *at(const cJSON *item, const char *path)
{
    char key[64];

    while (*path) {
        size_t length = strcspn(path, ".");

        (void)snprintf(key, sizeof(key), "%.*s", (int)length, path);
        item = cJSON_IsArray(item) ? cJSON_GetArrayItem(item, (int)strtol(key, NULL, 10))
                                   : cJSON_GetObjectItemCaseSensitive(item, key);
        path += length + (path[length] == '.');
    }
    return item;
}

static void check_number(const cJSON *root, const char *path, double expected)
{
    const cJSON *item = at(root, path);

    CU_ASSERT(cJSON_IsNumber(item));
    if (!cJSON_IsNumber(item) || item->valuedouble != expected)
        printf("%s: not %g\n", path, expected);
    CU_ASSERT(cJSON_IsNumber(item) && item->valuedouble == expected);
}

static void check_text(const cJSON *root, const char *path, const char *expected)
{
    const char *text = cJSON_GetStringValue(at(root, path));

    CU_ASSERT_PTR_NOT_NULL(text);
    if (text)
        CU_ASSERT_STRING_EQUAL(text, expected);
}

static void control_json__status__then_every_field_under_its_name(void)
{
    static const struct {
        const char *path;
        double value;
    } numbers[] = {
        {"version", 1},
        {"service.pid", 99},
        {"service.uptime_s", 61},
        {"service.clients", 3},
        {"service.sessions", 2},
        {"service.sessions_running", 1},
        {"sessions.0.owner", 1000},
        {"sessions.0.started_at_s", 3.5},
        {"sessions.0.duration_s", 4.5},
        {"sessions.0.processes_alive", 5},
        {"sessions.0.processes_ever", 6},
        {"sessions.0.threads_alive", 7},
        {"sessions.0.threads_ever", 8},
        {"sessions.0.events.attempted", 107},
        {"sessions.0.events.in_file", 100},
        {"sessions.0.events.dropped_full", 1},
        {"sessions.0.events.dropped_nested", 2},
        {"sessions.0.events.torn", 4},
        {"sessions.0.detail.recycled_unmarked", 20},
        {"sessions.0.events_per_s", 9.5},
        {"sessions.0.latency_recent_us.count", 10},
        {"sessions.0.latency_recent_us.p50", 11},
        {"sessions.0.latency_recent_us.p90", 12},
        {"sessions.0.latency_recent_us.p99", 13},
        {"sessions.0.latency_recent_us.max", 14.5},
        {"sessions.0.files", 15},
        {"sessions.0.file_bytes", 16},
        {"sessions.0.disk_free", 17},
        {"sessions.0.write_error", -ENOSPC},
        {"sessions.0.flight_recorder.snapshots", 18},
        {"sessions.0.flight_recorder.memory_bytes", 19},
        {"sessions.0.problems.0.time_s", 1.5},
        {"sessions.0.problems.1.time_s", 2.5},
    };
    static const struct {
        const char *path;
        const char *value;
    } texts[] = {
        {"service.version", "1.2.3"},
        {"service.config", "/etc/adatrace/adatraced.conf"},
        {"sessions.0.name", "shop"},
        {"sessions.0.state", "failed"},
        {"sessions.0.failure", "no room"},
        {"sessions.0.attach.0", "unit=shop.service"},
        {"sessions.0.attach.1", "pid=7"},
        {"sessions.0.directory", "/var/log/adatrace/shop"},
        {"sessions.0.flight_recorder.state", "writing"},
        {"sessions.0.kernel.reason", "no BTF"},
        {"sessions.0.problems.0.text", "disk \"full\"\n"},
        {"sessions.0.problems.1.text", "\xef\xbf\xbd"},
    };
    SessionStatus session = sample();
    Result result = write_result(STATUS, &session, 1, NULL);

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        check_number(result.root, numbers[i].path, numbers[i].value);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        check_text(result.root, texts[i].path, texts[i].value);
    CU_ASSERT(cJSON_IsTrue(at(result.root, "sessions.0.configured")));
    CU_ASSERT(cJSON_IsFalse(at(result.root, "sessions.0.kernel.enabled")));
    CU_ASSERT_PTR_NULL(at(result.root, "sessions.0.metrics"));
    free_result(&result);
}

static void control_json__nothing_known__then_null_and_empty(void)
{
    SessionStatus session = {.name = "a", .state = SESSION_STATE_STARTING, .kernel_enabled = true};
    Result result = write_result(STATUS, &session, 1, NULL);

    CU_ASSERT(cJSON_IsNull(at(result.root, "sessions.0.failure")));
    CU_ASSERT(cJSON_IsNull(at(result.root, "sessions.0.directory")));
    CU_ASSERT(cJSON_IsNull(at(result.root, "sessions.0.started_at_s")));
    CU_ASSERT(cJSON_IsNull(at(result.root, "sessions.0.kernel.reason")));
    CU_ASSERT(cJSON_IsTrue(at(result.root, "sessions.0.kernel.enabled")));
    CU_ASSERT_EQUAL(cJSON_GetArraySize(at(result.root, "sessions.0.attach")), 0);
    CU_ASSERT_EQUAL(cJSON_GetArraySize(at(result.root, "sessions.0.problems")), 0);
    check_text(result.root, "sessions.0.state", "starting");
    check_text(result.root, "sessions.0.flight_recorder.state", "off");
    free_result(&result);

    result = write_result(STATUS, NULL, 0, NULL);
    CU_ASSERT_EQUAL(cJSON_GetArraySize(at(result.root, "sessions")), 0);
    CU_ASSERT(cJSON_IsArray(at(result.root, "sessions")));
    free_result(&result);
}

static void control_json__one_session__then_it_and_its_file(void)
{
    SessionStatus session = sample();
    Result result = write_result(SESSION, &session, 1, "/var/log/adatrace/shop/000002.adat");

    check_text(result.root, "session.name", "shop");
    check_text(result.root, "file", "/var/log/adatrace/shop/000002.adat");
    free_result(&result);
    result = write_result(SESSION, &session, 1, NULL);
    CU_ASSERT(cJSON_IsNull(at(result.root, "file")));
    free_result(&result);
    result = write_result(SERVICE, NULL, 0, NULL);
    check_number(result.root, "service.pid", 99);
    CU_ASSERT_PTR_NULL(at(result.root, "sessions"));
    free_result(&result);
}

static void control_json__metrics__then_the_object_of_metrics_json(void)
{
    MetricsSnapshot *metrics = metrics_snapshot_create(1, 4096);
    SessionStatus session = sample();
    Result result;

    CU_ASSERT_PTR_NOT_NULL_FATAL(metrics);
    metrics->sequence = 42;
    metrics->process_count = 1;
    metrics->thread_count = 4096;
    memset(metrics->threads, 0, 4096 * sizeof(*metrics->threads));
    memset(&metrics->latency, 0, sizeof(metrics->latency));
    memset(&metrics->latency_recent, 0, sizeof(metrics->latency_recent));
    for (uint32_t i = 0; i < 4096; i++)
        metrics->threads[i].tid = i + 1;
    session.metrics = metrics;
    result = write_result(STATUS, &session, 1, NULL);
    check_number(result.root, "sessions.0.metrics.version", 1);
    check_number(result.root, "sessions.0.metrics.sequence", 42);
    check_number(result.root, "sessions.0.metrics.threads.4095.tid", 4096);
    CU_ASSERT(strlen(result.text) > 1u << 20); /* why answers come in files */
    free_result(&result);
    metrics_snapshot_release(metrics);
}

static const TestCase tests[] = {
    TEST(control_json__status__then_every_field_under_its_name),
    TEST(control_json__nothing_known__then_null_and_empty),
    TEST(control_json__one_session__then_it_and_its_file),
    TEST(control_json__metrics__then_the_object_of_metrics_json),
};
TEST_MAIN("control_json", tests)
