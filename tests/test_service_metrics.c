/* SPDX-License-Identifier: MIT */
/* Metrics of real sessions, of nobody's processes, that come and go while others ask for them. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "user/export/metrics_json.h"
#include "user/export/metrics_text.h"
#include "user/lane/atomic.h"
#include "user/service/service_metrics.h"

#define NOBODY "attach = name=nobody-of-this-name\n"

static char directory[64];
static int log_fd, state_fd;
static ServiceLog service_logger;
static SessionTable table;
static ServiceMetrics metrics;
static MetricsFeed feed;

/* ---- a service without its sockets ------------------------------------------------------------- */

/* With that metrics_listen, and these sections. */
static void apply(const char *listen, const char *sections)
{
    ConfigMistakes mistakes = {0};
    ServiceConfig *config = NULL;
    char text[2048];
    int length = snprintf(text, sizeof(text),
                          "[service]\nlog_directory = %s\nmetrics_listen = %s\nmetrics_interval = 100ms\n%s",
                          directory, listen, sections);

    CU_ASSERT_FATAL(length > 0 && (size_t)length < sizeof(text));
    CU_ASSERT_EQUAL_FATAL(service_config_parse("test", text, (size_t)length, &config, &mistakes), 0);
    config_mistakes_fini(&mistakes);
    CU_ASSERT_EQUAL_FATAL(session_table_apply(&table, config), 0);
    service_metrics_configure(&metrics, table.present->config);
}

static void check_sessions(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    (void)session_table_check(&table, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
    service_metrics_update(&metrics, &table);
}

/* As the service's thread does it, until `is_so`. */
static void follow_until(bool (*is_so)(void))
{
    uint64_t changes;

    check_sessions();
    while (!is_so()) {
        CU_ASSERT_EQUAL(read(state_fd, &changes, sizeof(changes)), sizeof(changes));
        check_sessions();
    }
}

static bool all_run(void)
{
    for (size_t i = 0; i < table.count; i++) {
        if (table.items[i]->removed || !table.items[i]->run || table.items[i]->next_held ||
            session_run_state(table.items[i]->run) != SESSION_STATE_RUNNING)
            return false;
    }
    return true;
}

static bool none_is_left(void)
{
    return !session_table_has_runs(&table);
}

static bool only_one_is_left(void)
{
    return table.count == 1;
}

static bool second_failed(void)
{
    return table.count == 2 && !table.items[1]->run && table.items[1]->facts.state == SESSION_STATE_FAILED;
}

static bool begin(void)
{
    strcpy(directory, "/tmp/adatrace-test-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
    log_fd = memfd_create("log", MFD_CLOEXEC);
    state_fd = eventfd(0, EFD_CLOEXEC);
    CU_ASSERT_FATAL(log_fd >= 0 && state_fd >= 0);
    service_log_init(&service_logger, log_fd, false);
    session_table_init(&table, &service_logger, state_fd);
    service_metrics_init(&metrics, &service_logger);
    feed = service_metrics_feed(&metrics);
    apply("0", "");
    if (metrics.server)
        return true;
    test_skip("built without libmicrohttpd");
    return false;
}

static void end(void)
{
    char command[128];

    session_table_stop_all(&table);
    follow_until(none_is_left);
    session_table_fini(&table);
    service_metrics_fini(&metrics);
    service_log_fini(&service_logger);
    close(state_fd);
    close(log_fd);
    (void)snprintf(command, sizeof(command), "rm -r '%s'", directory);
    CU_ASSERT_EQUAL(system(command), 0); /* NOLINT(cert-env33-c): our own directory */
}

/* Of a line of the log; how often it is there. */
static size_t logged(const char *what)
{
    char text[1 << 16];
    ssize_t size = pread(log_fd, text, sizeof(text) - 1, 0);
    size_t count = 0;

    CU_ASSERT_FATAL(size >= 0);
    text[size] = '\0';
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        count++;
    return count;
}

static const MetricsSession *session_of(const MetricsView *view, const char *name)
{
    for (size_t i = 0; i < view->session_count; i++) {
        if (strcmp(view->sessions[i].name, name) == 0)
            return &view->sessions[i];
    }
    return NULL;
}

static uint64_t sessions_in(const MetricsView *view, const char *state)
{
    for (size_t i = 0; i < view->service.state_count; i++) {
        if (strcmp(view->service.states[i].name, state) == 0)
            return view->service.states[i].sessions;
    }
    return UINT64_MAX;
}

/* Waits for figures of that session; for those of another run than `before`, if that is given. */
static void acquire_with(const char *name, const MetricsSnapshot *before, MetricsView *view)
{
    const MetricsSession *session;

    for (;;) {
        CU_ASSERT_EQUAL_FATAL(feed.acquire(feed.context, view), 0);
        session = session_of(view, name);
        if (session && (!before || session->snapshot->started_at != before->started_at))
            return;
        metrics_view_release(view);
        (void)usleep(1000); /* its own thread collects them */
    }
}

/* ---- what is told ------------------------------------------------------------------------------ */

static void service_metrics__sessions__then_each_with_its_figures_and_state(void)
{
    MetricsView view, again;

    if (!begin())
        return;
    CU_ASSERT_EQUAL(feed.acquire(feed.context, &view), 0);
    CU_ASSERT(view.has_service);
    CU_ASSERT_EQUAL(view.session_count, 0);
    CU_ASSERT_FALSE(view.service.counts_clients);
    metrics_view_release(&view);
    apply("0", "[session one]\n" NOBODY "[session off]\nenabled = no\n" NOBODY "[session two]\n" NOBODY);
    session_table_start(session_table_find(&table, "off"));
    follow_until(all_run);
    acquire_with("one", NULL, &view);
    metrics_view_release(&view);
    acquire_with("two", NULL, &view);
    CU_ASSERT_STRING_EQUAL(session_of(&view, "two")->state, "running");
    CU_ASSERT_EQUAL(sessions_in(&view, "running"), 3);
    CU_ASSERT_EQUAL(sessions_in(&view, "stopped"), 0);
    metrics_view_release(&view);

    CU_ASSERT_EQUAL(feed.acquire(feed.context, &view), 0);
    service_metrics_set_clients(&metrics, 3);
    CU_ASSERT_EQUAL(feed.acquire(feed.context, &again), 0);
    CU_ASSERT_NOT_EQUAL(again.stamp, view.stamp);
    CU_ASSERT(again.service.counts_clients);
    CU_ASSERT_EQUAL(again.service.control_clients, 3);
    metrics_view_release(&view);
    metrics_view_release(&again);
    end();
}

/* A pid that nobody has: of a child that is over. */
static pid_t pid_of_nobody(void)
{
    pid_t child = fork();

    CU_ASSERT_FATAL(child >= 0);
    if (child == 0)
        _exit(0);
    CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
    return child;
}

static void service_metrics__session_that_ended__then_its_last_figures(void)
{
    MetricsView running, view;
    char sections[256];
    uint64_t sequence;

    if (!begin())
        return;
    apply("0", "[session one]\n" NOBODY "[session two]\n" NOBODY);
    follow_until(all_run);
    acquire_with("two", NULL, &running);
    session_table_stop_all(&table);
    follow_until(none_is_left);
    CU_ASSERT_EQUAL(feed.acquire(feed.context, &view), 0);
    CU_ASSERT_EQUAL(view.session_count, 2);
    CU_ASSERT_EQUAL(sessions_in(&view, "stopped"), 2);
    CU_ASSERT_STRING_EQUAL(session_of(&view, "two")->state, "stopped");
    sequence = session_of(&view, "two")->snapshot->sequence;
    CU_ASSERT(sequence > session_of(&running, "two")->snapshot->sequence); /* the one made at the end */
    metrics_view_release(&view);

    /* The next run fails before it has any: those of the run before stay. */
    (void)snprintf(sections, sizeof(sections), "[session one]\n" NOBODY "[session two]\nattach = pid=%d\n",
                   (int)pid_of_nobody());
    apply("0", sections);
    session_table_start(session_table_find(&table, "two"));
    follow_until(second_failed);
    CU_ASSERT_EQUAL(feed.acquire(feed.context, &view), 0);
    CU_ASSERT_STRING_EQUAL(session_of(&view, "two")->state, "failed");
    CU_ASSERT_EQUAL(session_of(&view, "two")->snapshot->sequence, sequence);
    CU_ASSERT_EQUAL(sessions_in(&view, "failed"), 1);
    metrics_view_release(&view);

    /* One that has some begins anew. */
    apply("0", "[session one]\n" NOBODY "[session two]\noutput = another\n" NOBODY);
    session_table_stop(session_table_find(&table, "one"));
    session_table_start(session_table_find(&table, "two"));
    check_sessions();
    acquire_with("two", session_of(&running, "two")->snapshot, &view);
    metrics_view_release(&view);
    metrics_view_release(&running);

    /* And one that is not in the configuration any more is not told of. */
    apply("0", "[session one]\n" NOBODY);
    follow_until(only_one_is_left);
    CU_ASSERT_EQUAL(feed.acquire(feed.context, &view), 0);
    CU_ASSERT_PTR_NULL(session_of(&view, "two"));
    CU_ASSERT_PTR_NOT_NULL(session_of(&view, "one"));
    metrics_view_release(&view);
    end();
}

/* ---- under load -------------------------------------------------------------------------------- */

#define SCRAPERS 4
#define ROUNDS 6

typedef struct Scraper {
    pthread_t thread;
    uint32_t stop;
    uint64_t scrapes;
    uint64_t same; /* of them, those that were as the one before */
    uint64_t wrong;
} Scraper;

static bool is_same(const MetricsView *left, const MetricsView *right)
{
    if (left->session_count != right->session_count)
        return false;
    for (size_t i = 0; i < left->service.state_count; i++) {
        if (left->service.states[i].sessions != right->service.states[i].sessions)
            return false;
    }
    for (size_t i = 0; i < left->session_count; i++) {
        if (left->sessions[i].snapshot != right->sessions[i].snapshot ||
            left->sessions[i].state != right->sessions[i].state ||
            strcmp(left->sessions[i].name, right->sessions[i].name) != 0)
            return false;
    }
    return true;
}

/* Views with the same stamp are the same, and each can be written. */
static void *scrape(void *argument)
{
    Scraper *scraper = argument;
    MetricsView before = {0}, view;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    while (!ada_load_acquire(&scraper->stop)) {
        if (feed.acquire(feed.context, &view) != 0) {
            scraper->wrong++;
            continue;
        }
        if (scraper->scrapes > 0 && view.stamp == before.stamp) {
            scraper->same++;
            scraper->wrong += !is_same(&before, &view);
        }
        scraper->wrong += metrics_text_write(&view, METRICS_TEXT_OPENMETRICS, out) != 0;
        metrics_json_write_view(&view, out);
        rewind(out);
        metrics_view_release(&before);
        before = view;
        scraper->scrapes++;
    }
    metrics_view_release(&before);
    (void)fclose(out);
    free(text);
    return NULL;
}

static void service_metrics__sessions_vanish_while_scraped__then_each_view_is_whole(void)
{
    Scraper scrapers[SCRAPERS] = {0};
    MetricsView view;

    if (!begin())
        return;
    apply("0", "[session stays]\n" NOBODY);
    follow_until(all_run);
    acquire_with("stays", NULL, &view);
    metrics_view_release(&view);
    for (size_t i = 0; i < SCRAPERS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&scrapers[i].thread, NULL, scrape, &scrapers[i]), 0);
    for (int round = 0; round < ROUNDS; round++) {
        char sections[256];

        (void)snprintf(sections, sizeof(sections),
                       "[session stays]\n" NOBODY "[session goes]\noutput = %d\n" NOBODY, round);
        apply("0", sections);
        follow_until(all_run);
        acquire_with("goes", NULL, &view); /* kept while its session goes */
        apply("0", "[session stays]\n" NOBODY);
        follow_until(only_one_is_left);
        CU_ASSERT_EQUAL(session_of(&view, "goes")->snapshot->total.index.attempted, 0);
        metrics_view_release(&view);
    }
    for (size_t i = 0; i < SCRAPERS; i++) {
        ada_store_release(&scrapers[i].stop, 1u);
        CU_ASSERT_EQUAL(pthread_join(scrapers[i].thread, NULL), 0);
        CU_ASSERT(scrapers[i].scrapes > ROUNDS);
        CU_ASSERT(scrapers[i].same > 0);
        CU_ASSERT_EQUAL(scrapers[i].wrong, 0);
    }
    end();
}

/* ---- where it is told -------------------------------------------------------------------------- */

static void service_metrics__other_addresses__then_served_there(void)
{
    MetricsAddress address;
    MetricsServerConfig config = {.time_limit_ns = METRICS_SERVER_TIME_LIMIT_NS};
    MetricsServer *first, *other = NULL;
    char text[METRICS_ADDRESS_TEXT];

    if (!begin())
        return;
    first = metrics.server;
    CU_ASSERT_EQUAL(logged("metrics are at http://127.0.0.1:"), 1);
    apply("0", "");
    CU_ASSERT_PTR_EQUAL(metrics.server, first);
    apply("[::1]:0", "[session one]\n" NOBODY);
    CU_ASSERT_EQUAL(logged("metrics are at http://[::1]:"), 1);
    follow_until(all_run);
    apply("off", "[session one]\n" NOBODY);
    CU_ASSERT_PTR_NULL(metrics.server);
    CU_ASSERT_EQUAL(logged("metrics are no longer served"), 1);
    check_sessions();
    CU_ASSERT_EQUAL(metrics.count, 0); /* nobody asks: nothing is kept */

    config.feed = feed;
    CU_ASSERT_EQUAL_FATAL(metrics_address_parse("0", &address), 0);
    CU_ASSERT_EQUAL_FATAL(metrics_server_create(&config, &address, &other), 0);
    metrics_address_format(&address, text);
    apply(text, "[session one]\n" NOBODY);
    CU_ASSERT_PTR_NULL(metrics.server);
    CU_ASSERT_EQUAL(logged("Address already in use; it is tried again when the configuration is read again"),
                    1);
    metrics_server_destroy(other);
    apply(text, "[session one]\n" NOBODY);
    CU_ASSERT_PTR_NOT_NULL(metrics.server);
    check_sessions();
    CU_ASSERT_EQUAL(metrics.count, 1);
    end();
}

static const TestCase tests[] = {
    TEST(service_metrics__sessions__then_each_with_its_figures_and_state),
    TEST(service_metrics__session_that_ended__then_its_last_figures),
    TEST(service_metrics__sessions_vanish_while_scraped__then_each_view_is_whole),
    TEST(service_metrics__other_addresses__then_served_there),
};
TEST_MAIN("service_metrics", tests)
