/* SPDX-License-Identifier: MIT */
/* Metrics over HTTP, and what clients may do to it. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "user/export/metrics_server.h"
#include "user/lane/atomic.h"

static MetricsServer *server;
static MetricsAddress address;
static MetricsHub hub;

static void must_parse(const char *text, const char *expected, bool loopback)
{
    MetricsAddress parsed;
    char formatted[METRICS_ADDRESS_TEXT];

    CU_ASSERT_EQUAL_FATAL(metrics_address_parse(text, &parsed), 0);
    metrics_address_format(&parsed, formatted);
    CU_ASSERT_STRING_EQUAL(formatted, expected);
    CU_ASSERT_EQUAL(metrics_address_is_loopback(&parsed), loopback);
}

static void metrics_address__numbers__then_parsed(void)
{
    static const char *const bad[] = {
        "",
        ":",
        ":80",
        "x",
        "127.0.0.1:",
        "127.0.0.1",
        "localhost:80",
        "1.2.3:80",
        "65536",
        "-1",
        "80 ",
        "::1:80",
        "[::1]",
        "[::1:80",
        "[x]:80",
        "[]:80",
        "0x50",
        "1.2.3.4:65536",
        "[1111111111111111111111111111111111111111111111111111111111111111111]:80",
    };
    MetricsAddress untouched = {.size = 77};

    must_parse("9900", "127.0.0.1:9900", true);
    must_parse("0", "127.0.0.1:0", true);
    must_parse("127.5.6.7:65535", "127.5.6.7:65535", true);
    must_parse("0.0.0.0:80", "0.0.0.0:80", false);
    must_parse("128.0.0.1:80", "128.0.0.1:80", false);
    must_parse("[::1]:80", "[::1]:80", true);
    must_parse("[::]:80", "[::]:80", false);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CU_ASSERT_EQUAL(metrics_address_parse(bad[i], &untouched), -EINVAL);
        CU_ASSERT_EQUAL(untouched.size, 77);
    }
}

static void publish_of(uint64_t sequence, size_t threads)
{
    MetricsSnapshot *snapshot = metrics_snapshot_create(0, threads);

    CU_ASSERT_PTR_NOT_NULL_FATAL(snapshot);
    memset(snapshot->threads, 0, threads * sizeof(snapshot->threads[0]));
    snapshot->thread_count = threads;
    snapshot->sequence = sequence;
    snapshot->total.index.attempted = snapshot->total.index.in_file = sequence * 100;
    while (!metrics_hub_try_publish(&hub, snapshot))
        ;
}

static void publish(uint64_t sequence)
{
    publish_of(sequence, 0);
}

#define NEVER UINT64_C(3600000000000) /* a limit that no test reaches */
#define SOON UINT64_C(20000000)       /* one that a test waits for */

static bool start_with(MetricsFeed feed, uint64_t time_limit_ns)
{
    MetricsServerConfig config = {.feed = feed, .time_limit_ns = time_limit_ns};
    int error;

    metrics_hub_init(&hub);
    CU_ASSERT_EQUAL_FATAL(metrics_address_parse("0", &address), 0);
    error = metrics_server_create(&config, &address, &server);
    if (error == -ENOSYS) {
        test_skip("built without libmicrohttpd");
        return false;
    }
    CU_ASSERT_EQUAL_FATAL(error, 0);
    return true;
}

static bool start(uint64_t time_limit_ns)
{
    return start_with(metrics_hub_feed(&hub), time_limit_ns);
}

static void stop(void)
{
    metrics_server_destroy(server);
    server = NULL;
    metrics_hub_fini(&hub);
}

static int connect_to_server(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL_FATAL(connect(fd, (const struct sockaddr *)&address.socket, address.size), 0);
    return fd;
}

/* The whole answer to a request, to be freed; "" where the server hangs up. */
static char *ask(const char *request)
{
    int fd = connect_to_server();
    size_t size = strlen(request), used = 0, capacity = 1 << 20;
    char *answer = calloc(1, capacity + 1);
    ssize_t got;

    CU_ASSERT_PTR_NOT_NULL_FATAL(answer);
    while (size > 0 && (got = send(fd, request, size, MSG_NOSIGNAL)) > 0) {
        request += got;
        size -= (size_t)got;
    }
    while (used < capacity && (got = read(fd, answer + used, capacity - used)) > 0)
        used += (size_t)got;
    answer[used] = '\0';
    close(fd);
    return answer;
}

#define REQUEST(line, headers) line " HTTP/1.1\r\nHost: localhost:80\r\nConnection: close\r\n" headers "\r\n"

static void expect(const char *request, const char *status, const char *text)
{
    char *answer = ask(request);

    CU_ASSERT_EQUAL(strncmp(answer, status, strlen(status)), 0);
    if (text)
        CU_ASSERT_PTR_NOT_NULL(strstr(answer, text));
    free(answer);
}

static void metrics_server__requests__then_answers(void)
{
    char *answer;

    if (!start(NEVER))
        return;
    expect(REQUEST("GET /metrics", ""), "HTTP/1.1 503", "nothing was collected yet");
    expect(REQUEST("GET /", ""), "HTTP/1.1 200", "<title>adatrace</title>");
    publish(1);
    expect(REQUEST("GET /metrics", ""), "HTTP/1.1 200", "\nadatrace_events_attempted_total 100\n");
    expect(REQUEST("GET /metrics", ""), "HTTP/1.1 200", "Content-Type: text/plain; version=0.0.4");
    publish(2);
    expect(REQUEST("GET /metrics", ""), "HTTP/1.1 200", "\nadatrace_events_attempted_total 200\n");
    expect(REQUEST("GET /metrics", "Accept: application/openmetrics-text\r\n"), "HTTP/1.1 200", "\n# EOF\n");
    expect(REQUEST("GET /metrics.json", ""), "HTTP/1.1 200", "{\"version\":1,\"sequence\":2,");
    expect(REQUEST("GET /?x=1", ""), "HTTP/1.1 200", "<title>adatrace</title>");
    expect(REQUEST("GET /metrics/", ""), "HTTP/1.1 404", "there are /, /metrics");
    expect(REQUEST("GET /../etc/passwd", ""), "HTTP/1.1 404", NULL);
    expect(REQUEST("POST /metrics", "Content-Length: 0\r\n"), "HTTP/1.1 405", "Allow: GET, HEAD");
    expect(REQUEST("DELETE /metrics", ""), "HTTP/1.1 405", NULL);
    expect(REQUEST("GET /metrics", "Content-Length: 5\r\n") "hello", "HTTP/1.1 413", "no body");
    expect(REQUEST("GET /metrics", "Transfer-Encoding: chunked\r\n") "0\r\n\r\n", "HTTP/1.1 413", NULL);
    expect("GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", "HTTP/1.1 421",
           "localhost");
    expect("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:80\r\nConnection: close\r\n\r\n", "HTTP/1.1 200", NULL);
    expect("GET /metrics HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n", "HTTP/1.1 200", NULL);
    expect("GET /metrics HTTP/1.0\r\n\r\n", "HTTP/1.1 200", NULL);
    answer = ask(REQUEST("HEAD /metrics", ""));
    CU_ASSERT_EQUAL(strncmp(answer, "HTTP/1.1 200", 12), 0);
    CU_ASSERT_PTR_NULL(strstr(answer, "adatrace_events"));
    free(answer);
    stop();
}

/* A service with one session, of the hub; what it says of itself is for the test to change. */
typedef struct ServiceFeed {
    uint32_t error; /* atomic, as what follows: the server's thread reads them */
    uint64_t stamp;
    uint64_t running;
} ServiceFeed;

static int acquire_service(void *context, MetricsView *view)
{
    ServiceFeed *service = context;
    uint32_t error = ada_load_acquire(&service->error);

    if (error)
        return -(int)error;
    if (metrics_hub_feed(&hub).acquire(&hub, view) == 0) {
        strcpy(view->sessions[0].name, "one");
        view->sessions[0].state = "running";
    } else {
        *view = (MetricsView){0};
    }
    view->stamp = ada_load_acquire(&service->stamp);
    view->has_service = true;
    view->service = (MetricsService){
        .version = "1", .states = {{"running", ada_load_acquire(&service->running)}}, .state_count = 1};
    return 0;
}

static void metrics_server__feed_of_a_service__then_answers_are_made_with_each_stamp(void)
{
    ServiceFeed service = {.stamp = 1, .running = 1};

    if (!start_with((MetricsFeed){.acquire = acquire_service, .context = &service}, NEVER))
        return;
    expect(REQUEST("GET /metrics.json", ""), "HTTP/1.1 200", "\r\n{\"version\":1,\"sessions\":[]}\n");
    expect(REQUEST("GET /metrics", ""), "HTTP/1.1 200", "\nadatrace_service_sessions{state=\"running\"} 1\n");
    publish(7);
    ada_store_release(&service.running, UINT64_C(2));
    expect(REQUEST("GET /metrics", ""), "HTTP/1.1 200", "\nadatrace_service_sessions{state=\"running\"} 1\n");
    ada_store_release(&service.stamp, UINT64_C(2));
    expect(REQUEST("GET /metrics", ""), "HTTP/1.1 200", "\nadatrace_service_sessions{state=\"running\"} 2\n");
    expect(REQUEST("GET /metrics", ""), "HTTP/1.1 200",
           "\nadatrace_events_in_file_total{session=\"one\"} 700\n");
    expect(
        REQUEST("GET /metrics.json", ""), "HTTP/1.1 200",
        "{\"version\":1,\"sessions\":[{\"session\":\"one\",\"state\":\"running\",\"version\":1,\"sequence\":7,");
    ada_store_release(&service.error, (uint32_t)ENOMEM);
    expect(REQUEST("GET /metrics", ""), "HTTP/1.1 500", "out of memory");
    expect(REQUEST("GET /", ""), "HTTP/1.1 200", "<title>adatrace</title>");
    stop();
}

static void metrics_server__page__then_nothing_but_its_own_script_may_run(void)
{
    static const char *const wanted[] = {
        "default-src 'none'", "connect-src 'self'", "script-src 'sha256-",    "style-src 'sha256-",
        "form-action 'none'", "base-uri 'none'",    "frame-ancestors 'none'",
    };
    char *answer, *policy;

    if (!start(NEVER))
        return;
    answer = ask(REQUEST("GET /", ""));
    policy = strstr(answer, "Content-Security-Policy: ");
    CU_ASSERT_PTR_NOT_NULL(policy);
    if (policy) {
        policy[strcspn(policy, "\r")] = '\0';
        for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
            CU_ASSERT_PTR_NOT_NULL(strstr(policy, wanted[i]));
        CU_ASSERT_PTR_NULL(strstr(policy, "unsafe"));
        CU_ASSERT_PTR_NULL(strstr(policy, "''"));
    }
    free(answer);
    stop();
}

static void metrics_server__hostile_requests__then_others_are_served(void)
{
    size_t huge_size = 4 << 20;
    char *huge;
    int silent[9];

    if (!start(NEVER))
        return;
    publish(1);
    huge = malloc(huge_size + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(huge);
    for (int i = 0; i < 8; i++) { /* they begin a request, and say no more */
        silent[i] = connect_to_server();
        CU_ASSERT_EQUAL(send(silent[i], "GET /metrics HTTP/1.1\r\nX: ", 26, MSG_NOSIGNAL), 26);
    }
    memset(huge, 'a', huge_size);
    memcpy(huge, "GET /", 5);
    huge[huge_size] = '\0';
    free(ask(huge)); /* a line without end */
    memcpy(huge, "GET /metrics HTTP/1.1\r\nX: ", 26);
    free(ask(huge));                 /* a header without end */
    silent[8] = connect_to_server(); /* it says nothing, at length */
    CU_ASSERT_EQUAL(send(silent[8], "\r\n\r\n\r\n\r\n", 8, MSG_NOSIGNAL), 8);
    free(ask("\x16\x03\x01\x02\x01\xfc\x03\x03 what is this\r\n\r\n"));
    expect(REQUEST("GET /metrics", ""), "HTTP/1.1 200", "adatrace_events_attempted_total 100");
    for (int i = 0; i < 9; i++)
        close(silent[i]);
    free(huge);
    stop();
}

#define HOUSE METRICS_SERVER_CONNECTIONS_MAX
/* Their answers are one segment each. */
#define BEGUN "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nX: "
#define WHOLE "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"

static void say(int fd, const char *text)
{
    CU_ASSERT_EQUAL(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Waits for what comes next: true, and it is read, or the end of the connection. */
static bool hears(int fd)
{
    char byte[4096];

    return recv(fd, byte, sizeof(byte), 0) > 0;
}

static bool is_open(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

/* As many connections as there may be, each of which has begun a request. */
static void fill_house(int house[HOUSE])
{
    for (size_t i = 0; i < HOUSE; i++) {
        house[i] = connect_to_server();
        if (i == HOUSE - 1) { /* once it is answered, all before it are known to the server */
            say(house[i], WHOLE);
            CU_ASSERT(hears(house[i]));
        }
        say(house[i], BEGUN);
    }
}

static void leave_house(const int house[HOUSE])
{
    for (size_t i = 0; i < HOUSE; i++)
        close(house[i]);
}

static void metrics_server__house_full_of_slow_requests__then_the_first_goes_and_others_are_served(void)
{
    int house[HOUSE];
    size_t open = 0, served = 0;

    if (!start(NEVER))
        return;
    publish(1);
    fill_house(house);
    expect(REQUEST("GET /metrics", ""), "HTTP/1.1 200", "adatrace_events_attempted_total 100");
    CU_ASSERT_FALSE(hears(house[0]));
    for (size_t i = 1; i < HOUSE; i++)
        open += is_open(house[i]);
    CU_ASSERT_EQUAL(open, HOUSE - 1); /* it made room by one, and that was room enough for more after it */
    expect(REQUEST("GET /metrics", ""), "HTTP/1.1 200", "adatrace_events_attempted_total 100");
    for (size_t i = 1; i < HOUSE; i++) {
        say(house[i], "late\r\n\r\n");
        served += hears(house[i]);
    }
    CU_ASSERT_EQUAL(served, HOUSE - 1);
    leave_house(house);
    stop();
}

static void metrics_server__house_full__then_who_was_served_last_stays(void)
{
    int house[HOUSE];
    int newcomer;

    if (!start(NEVER))
        return;
    publish(1);
    fill_house(house);
    say(house[0], "x\r\n\r\n"); /* the first to come, and the last to be answered */
    CU_ASSERT(hears(house[0]));
    say(house[0], WHOLE); /* once this is answered, the server is through with the one before it */
    CU_ASSERT(hears(house[0]));
    newcomer = connect_to_server();
    say(newcomer, WHOLE);
    CU_ASSERT(hears(newcomer));
    CU_ASSERT_FALSE(hears(house[1]));
    say(house[0], WHOLE);
    CU_ASSERT(hears(house[0]));
    close(newcomer);
    leave_house(house);
    stop();
}

static void metrics_server__request_byte_by_byte__then_over_at_its_deadline(void)
{
    struct pollfd watched = {.events = POLLIN};
    int silent;

    if (!start(SOON))
        return;
    publish(1);
    silent = connect_to_server();
    watched.fd = connect_to_server();
    say(watched.fd, BEGUN);
    while (poll(&watched, 1, 1) == 0)
        (void)send(watched.fd, "x", 1, MSG_NOSIGNAL);
    CU_ASSERT_FALSE(hears(watched.fd));
    CU_ASSERT_FALSE(hears(silent)); /* nor may one wait for ever before it says the first one */
    close(watched.fd);
    close(silent);
    expect(REQUEST("GET /metrics", ""), "HTTP/1.1 200", "adatrace_events_attempted_total 100");
    stop();
}

static void metrics_server__connection_kept_alive__then_over_at_its_deadline(void)
{
    int fd;

    if (!start(SOON))
        return;
    publish(1);
    fd = connect_to_server();
    say(fd, WHOLE);
    while (hears(fd)) /* the answer, and then the end, without a word from us */
        ;
    close(fd);
    stop();
}

static void metrics_server__answers_not_taken__then_over_at_the_deadline(void)
{
    struct pollfd watched = {.events = POLLRDHUP};
    const int small = 4096;
    bool was_reset = false;

    if (!start(SOON))
        return;
    publish_of(1, 4000); /* an answer of some megabytes */
    watched.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(watched.fd >= 0);
    CU_ASSERT_EQUAL(setsockopt(watched.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    CU_ASSERT_EQUAL_FATAL(connect(watched.fd, (const struct sockaddr *)&address.socket, address.size), 0);
    for (int i = 0; i < 20 && !was_reset; i++) { /* on a busy machine the deadline comes amid this */
        static const char request[] = "GET /metrics.json HTTP/1.1\r\nHost: localhost\r\n\r\n";

        was_reset = send(watched.fd, request, strlen(request), MSG_NOSIGNAL) < 0;
        CU_ASSERT(!was_reset || errno == ECONNRESET || errno == EPIPE);
    }
    CU_ASSERT_EQUAL(poll(&watched, 1, -1), 1);
    CU_ASSERT(was_reset || watched.revents & POLLERR); /* reset: nothing of it is kept for us */
    close(watched.fd);
    stop();
}

/* Lets this process open so many files more, or a few less. What was allowed before, for setrlimit(). */
static struct rlimit limit_descriptors(rlim_t more)
{
    struct rlimit before, limit;
    int next = dup(STDIN_FILENO); /* the lowest that is free */

    CU_ASSERT_FATAL(next >= 0);
    close(next);
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)next + more;
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

static void metrics_server__no_descriptors_left__then_an_idle_connection_makes_room(void)
{
    struct rlimit before;
    int idle, other;

    if (!start(NEVER))
        return;
    publish(1);
    idle = connect_to_server();
    say(idle, WHOLE);
    CU_ASSERT(hears(idle));
    other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CU_ASSERT_FATAL(other >= 0);
    before = limit_descriptors(0);
    CU_ASSERT_EQUAL_FATAL(connect(other, (const struct sockaddr *)&address.socket, address.size), 0);
    say(other, WHOLE);
    CU_ASSERT(hears(other));
    CU_ASSERT_FALSE(hears(idle));
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
    close(other);
    close(idle);
    stop();
}

static void metrics_server__no_descriptors_to_start__then_error_and_nothing_is_left(void)
{
    MetricsServerConfig config = {.feed = metrics_hub_feed(&hub), .time_limit_ns = NEVER};
    MetricsServer *other = NULL;
    size_t no_descriptor = 0, no_daemon = 0;

    if (!start(NEVER))
        return;
    for (rlim_t more = 0; !other; more++) { /* it fails at each that it needs */
        struct rlimit before = limit_descriptors(more);
        MetricsAddress at;
        int error;

        CU_ASSERT_EQUAL(metrics_address_parse("0", &at), 0);
        error = metrics_server_create(&config, &at, &other);
        no_descriptor += error == -EMFILE;
        no_daemon += error == -ENOMEM;
        CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
    }
    CU_ASSERT(no_descriptor >= 2); /* the socket, the eventfd */
    CU_ASSERT(no_daemon >= 1);
    metrics_server_destroy(other);
    stop();
}

#define CROWD 1000

static void metrics_server__a_thousand_idle_connections__then_others_are_served(void)
{
    struct rlimit files, more;
    static int crowd[CROWD];

    if (!start(NEVER))
        return;
    publish(1);
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &files), 0);
    more = files;
    if (more.rlim_cur < 2 * CROWD + 100)
        more.rlim_cur = more.rlim_max < 2 * CROWD + 100 ? more.rlim_max : 2 * CROWD + 100;
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &more), 0);
    for (int i = 0; i < CROWD; i++)
        crowd[i] = connect_to_server();
    /* What the drain does never waits for them. */
    for (uint64_t i = 2; i < 100; i++)
        publish(i);
    expect(REQUEST("GET /metrics", ""), "HTTP/1.1 200", "adatrace_events_attempted_total 9900");
    CU_ASSERT_FALSE(hears(crowd[0]));
    say(crowd[CROWD - 1], WHOLE); /* the last ones of the crowd have their places */
    CU_ASSERT(hears(crowd[CROWD - 1]));
    for (int i = 0; i < CROWD; i++)
        close(crowd[i]);
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &files), 0);
    expect(REQUEST("GET /metrics", ""), "HTTP/1.1 200", "adatrace_events_attempted_total 9900");
    stop();
}

static void metrics_server__address_taken__then_error(void)
{
    MetricsServerConfig config = {.feed = metrics_hub_feed(&hub), .time_limit_ns = NEVER};
    MetricsServer *other = NULL;
    MetricsAddress taken;

    if (!start(NEVER))
        return;
    taken = address;
    CU_ASSERT_EQUAL(metrics_server_create(&config, &taken, &other), -EADDRINUSE);
    CU_ASSERT_PTR_NULL(other);
    CU_ASSERT_EQUAL(metrics_address_parse("192.0.2.1:1", &taken), 0); /* of no machine */
    CU_ASSERT_EQUAL(metrics_server_create(&config, &taken, &other), -EADDRNOTAVAIL);
    stop();
    metrics_server_destroy(NULL);
}

static const TestCase tests[] = {
    TEST(metrics_address__numbers__then_parsed),
    TEST(metrics_server__requests__then_answers),
    TEST(metrics_server__feed_of_a_service__then_answers_are_made_with_each_stamp),
    TEST(metrics_server__page__then_nothing_but_its_own_script_may_run),
    TEST(metrics_server__hostile_requests__then_others_are_served),
    TEST(metrics_server__house_full_of_slow_requests__then_the_first_goes_and_others_are_served),
    TEST(metrics_server__house_full__then_who_was_served_last_stays),
    TEST(metrics_server__request_byte_by_byte__then_over_at_its_deadline),
    TEST(metrics_server__connection_kept_alive__then_over_at_its_deadline),
    TEST(metrics_server__answers_not_taken__then_over_at_the_deadline),
    TEST(metrics_server__no_descriptors_left__then_an_idle_connection_makes_room),
    TEST(metrics_server__no_descriptors_to_start__then_error_and_nothing_is_left),
    TEST(metrics_server__a_thousand_idle_connections__then_others_are_served),
    TEST(metrics_server__address_taken__then_error),
};
TEST_MAIN("metrics_server", tests)
