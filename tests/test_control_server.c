/* SPDX-License-Identifier: MIT */
/* The control socket, with real connections: hostile ones, silent ones, those of other users, and answers that come late. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/service/control_server.h"

#define STRANGER 54321u /* users and a group that exist nowhere */
#define OTHER_STRANGER 54322u
#define CONTROL_GROUP 54323u

/* ---- a server, and what it was asked ---------------------------------------------------------- */

typedef struct Fixture {
    char directory[64];
    char path[96];
    ControlServer *server;
    /* The last request. */
    unsigned handled;
    ControlPeer peer;
    enum control_command command;
    ControlTicket ticket;
    ControlTicket tickets[64]; /* of `stop`, which is answered later */
    unsigned deferred;
} Fixture;

static char big[3u << 20];

/* `stop` is answered later, `status` with a lot, `mark` refused, all else at once with {"n":N}. */
static void handle(void *context, const ControlPeer *peer, const ControlRequest *request, ControlTicket ticket)
{
    Fixture *fixture = context;
    char text[64];

    fixture->handled++;
    fixture->peer = *peer;
    fixture->command = request->command;
    fixture->ticket = ticket;
    switch (request->command) {
    case CONTROL_STOP:
        fixture->tickets[fixture->deferred++ % 64] = ticket;
        break;
    case CONTROL_STATUS:
        control_server_answer(fixture->server, ticket, big, sizeof(big));
        break;
    case CONTROL_MARK:
        control_server_refuse(fixture->server, ticket, ADA_CONTROL_NOT_FOUND, "no session '%s'\n",
                              request->session);
        break;
    default:
        (void)snprintf(text, sizeof(text), "{\"n\":%u}", fixture->handled);
        control_server_answer(fixture->server, ticket, text, strlen(text));
        break;
    }
}

static ControlServerConfig config_of(Fixture *fixture)
{
    return (ControlServerConfig){
        .path = fixture->path,
        .listener = -1,
        .group = CONTROL_GROUP,
        .clients = 16,
        .rate = 1000000,
        .burst = 1000000,
        .handle = handle,
        .context = fixture,
    };
}

static void make_directory(Fixture *fixture)
{
    *fixture = (Fixture){.directory = "/tmp/adatrace-control-XXXXXX"};
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(fixture->directory));
    CU_ASSERT_EQUAL_FATAL(chmod(fixture->directory, 0755), 0);
    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/control.sock", fixture->directory);
}

static void begin(Fixture *fixture)
{
    ControlServerConfig config;

    make_directory(fixture);
    config = config_of(fixture);
    CU_ASSERT_EQUAL_FATAL(control_server_create(&config, &fixture->server), 0);
}

static void remove_directory(Fixture *fixture)
{
    char lock[128];

    (void)snprintf(lock, sizeof(lock), "%s.lock", fixture->path);
    (void)unlink(lock);
    CU_ASSERT_EQUAL(rmdir(fixture->directory), 0);
}

static void end(Fixture *fixture)
{
    control_server_destroy(fixture->server);
    remove_directory(fixture);
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return poll(&poll_fd, 1, timeout_ms) == 1;
}

/* Serves all that there is. */
static void pump(Fixture *fixture)
{
    while (is_readable(control_server_descriptor(fixture->server), 0))
        control_server_serve(fixture->server);
}

/* ---- clients ---------------------------------------------------------------------------------- */

/* A connected socket, or -1. */
static int try_connect(const char *path, int flags)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

static int connect_to(Fixture *fixture)
{
    int fd = try_connect(fixture->path, 0);

    CU_ASSERT_FATAL(fd >= 0);
    return fd;
}

#define LIST "{\"version\":1,\"id\":7,\"command\":\"list\"}"
#define STOP "{\"version\":1,\"id\":8,\"command\":\"stop\",\"session\":\"a\"}"
#define STATUS "{\"version\":1,\"id\":9,\"command\":\"status\"}"
#define MARK "{\"version\":1,\"id\":10,\"command\":\"mark\",\"session\":\"a\"}"
#define RELOAD "{\"version\":1,\"id\":11,\"command\":\"reload\"}"

static bool ask(int fd, const char *text)
{
    return send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
}

/* What came, with its file's descriptor, or -1. "": nothing is there; "end": hung up. */
typedef struct Answer {
    char text[1024];
    int file;
} Answer;

static Answer receive(int fd, int flags)
{
    Answer answer = {.file = -1};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec data = {answer.text, sizeof(answer.text) - 1};
    struct msghdr packet = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space)};
    ssize_t size = recvmsg(fd, &packet, flags | MSG_CMSG_CLOEXEC);

    if (size < 0 && errno == ECONNRESET) /* what was sent before comes next */
        size = recvmsg(fd, &packet, flags | MSG_CMSG_CLOEXEC);
    if (size == 0 || (size < 0 && errno != EAGAIN))
        (void)strcpy(answer.text, "end");
    if (size > 0 && CMSG_FIRSTHDR(&packet))
        memcpy(&answer.file, CMSG_DATA(CMSG_FIRSTHDR(&packet)), sizeof(answer.file));
    return answer;
}

/* Asks, serves, and says what came back. */
static Answer exchange(Fixture *fixture, int fd, const char *text)
{
    CU_ASSERT(ask(fd, text));
    pump(fixture);
    return receive(fd, MSG_DONTWAIT);
}

static int lowest_free(void)
{
    int fd = fcntl(0, F_DUPFD, 0);

    close(fd);
    return fd;
}

/* ---- other users ------------------------------------------------------------------------------ */

/*
 * Runs `run` in a child as that user, in `group_count` groups, the last of them `group`, while the server serves. What it returned.
 */
static int as_user(Fixture *fixture, uid_t uid, size_t group_count, gid_t group, int (*run)(Fixture *fixture))
{
    gid_t groups[100];
    int status = -1;
    int ends[2];
    pid_t pid;

    CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_CLOEXEC), 0);
    for (size_t i = 0; i < group_count; i++)
        groups[i] = (gid_t)(60000 + i);
    if (group_count > 0)
        groups[group_count - 1] = group;
    pid = fork();
    if (pid == 0) {
        close(ends[0]);
        if (setgroups(group_count, groups) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
            _exit(100);
        _exit(run(fixture));
    }
    close(ends[1]);
    while (!is_readable(ends[0], 0)) { /* until the child ends, and the pipe with it */
        struct pollfd both[] = {{.fd = ends[0], .events = POLLIN},
                                {.fd = control_server_descriptor(fixture->server), .events = POLLIN}};

        (void)poll(both, 2, -1);
        control_server_serve(fixture->server);
    }
    close(ends[0]);
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int child_lists(Fixture *fixture)
{
    int fd = try_connect(fixture->path, 0);

    return ask(fd, LIST) && strstr(receive(fd, 0).text, "\"ok\":true") ? 0 : 1;
}

static int child_reloads(Fixture *fixture)
{
    int fd = try_connect(fixture->path, 0);
    Answer answer;

    if (!ask(fd, RELOAD))
        return 2;
    answer = receive(fd, 0);
    return strstr(answer.text, "\"ok\":true") ? 0 : strstr(answer.text, "not-permitted") ? 1 : 3;
}

/* ---- requests --------------------------------------------------------------------------------- */

static void control_server__request__then_answer_and_attested_peer(void)
{
    Fixture fixture;
    int before, fd;

    begin(&fixture);
    before = lowest_free();
    fd = connect_to(&fixture);
    CU_ASSERT_STRING_EQUAL(exchange(&fixture, fd, LIST).text,
                           "{\"version\":1,\"id\":7,\"ok\":true,\"result\":{\"n\":1}}");
    CU_ASSERT_EQUAL(fixture.peer.pid, getpid());
    CU_ASSERT_EQUAL(fixture.peer.uid, getuid());
    CU_ASSERT_TRUE(fixture.peer.privileged); /* the service's own user */
    CU_ASSERT_STRING_EQUAL(
        exchange(&fixture, fd, MARK).text,
        "{\"version\":1,\"id\":10,\"ok\":false,\"error\":{\"code\":\"not-found\",\"message\":\"no "
        "session 'a'?\"}}\n");
    CU_ASSERT_EQUAL(control_server_clients(fixture.server), 1);
    close(fd);
    pump(&fixture);
    CU_ASSERT_EQUAL(control_server_clients(fixture.server), 0);
    CU_ASSERT_EQUAL(lowest_free(), before);
    end(&fixture);
}

static void control_server__garbage__then_error_and_the_connection_goes_on(void)
{
    static const struct {
        const char *text;
        size_t size; /* 0: of the text */
        const char *code;
    } garbage[] = {
        {"\0", 1, "bad-json"},
        {"{", 0, "bad-json"},
        {"GET / HTTP/1.1\r\n\r\n", 0, "bad-json"},
        {LIST LIST, 0, "bad-json"},
        {"{\"version\":99,\"id\":1,\"command\":\"list\"}", 0, "bad-version"},
        {"{\"version\":1,\"id\":1,\"command\":\"x\"}", 0, "unknown-command"},
        {"{\"version\":1,\"id\":1,\"command\":\"stop\"}", 0, "bad-request"},
    };
    static char large[150000];
    Fixture fixture;
    int fd;

    begin(&fixture);
    fd = connect_to(&fixture);
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        size_t size = garbage[i].size ? garbage[i].size : strlen(garbage[i].text);

        CU_ASSERT_EQUAL(send(fd, garbage[i].text, size, 0), (ssize_t)size);
        pump(&fixture);
        CU_ASSERT_PTR_NOT_NULL(strstr(receive(fd, MSG_DONTWAIT).text, garbage[i].code));
    }
    memset(large, ' ', sizeof(large));
    memcpy(large, LIST, sizeof(LIST) - 1);
    for (size_t size = ADA_CONTROL_PACKET_MAX - 1; size <= ADA_CONTROL_PACKET_MAX + 1; size++) {
        const char *expected = size > ADA_CONTROL_PACKET_MAX ? "too-large" : "\"ok\":true";

        CU_ASSERT_EQUAL(send(fd, large, size, 0), (ssize_t)size);
        pump(&fixture);
        CU_ASSERT_PTR_NOT_NULL(strstr(receive(fd, MSG_DONTWAIT).text, expected));
    }
    CU_ASSERT_EQUAL(send(fd, large, sizeof(large), 0), (ssize_t)sizeof(large));
    pump(&fixture);
    CU_ASSERT_PTR_NOT_NULL(strstr(receive(fd, MSG_DONTWAIT).text, "150000 bytes"));
    CU_ASSERT_PTR_NOT_NULL(strstr(exchange(&fixture, fd, LIST).text, "\"ok\":true"));
    CU_ASSERT_EQUAL(fixture.handled, 3); /* garbage never got so far */
    close(fd);
    end(&fixture);
}

static void control_server__descriptors_sent_along__then_none_stays_open(void)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * 16)];
    } control;
    struct iovec data = {(void *)(uintptr_t)LIST, sizeof(LIST) - 1};
    struct msghdr packet = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space)};
    Fixture fixture;
    int before, fd;

    begin(&fixture);
    before = lowest_free();
    fd = connect_to(&fixture);
    pump(&fixture);
    memset(&control, 0, sizeof(control));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int) * 16);
    for (size_t i = 0; i < 16; i++)
        memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &fd, sizeof(fd));
    CU_ASSERT_EQUAL(sendmsg(fd, &packet, 0), (ssize_t)sizeof(LIST) - 1);
    pump(&fixture);
    CU_ASSERT_PTR_NOT_NULL(strstr(receive(fd, MSG_DONTWAIT).text, "\"ok\":true"));
    close(fd);
    pump(&fixture);
    CU_ASSERT_EQUAL(control_server_clients(fixture.server), 0);
    CU_ASSERT_EQUAL(lowest_free(), before);
    end(&fixture);
}

static void control_server__long_answer__then_sealed_file(void)
{
    static char text[sizeof(big) + 200];
    Fixture fixture;
    struct stat status;
    Answer answer;
    char expected[100];
    int fd;

    memset(big, ' ', sizeof(big));
    big[0] = '{';
    big[sizeof(big) - 1] = '}';
    begin(&fixture);
    fd = connect_to(&fixture);
    answer = exchange(&fixture, fd, STATUS);
    CU_ASSERT_FATAL(answer.file >= 0);
    CU_ASSERT_EQUAL_FATAL(fstat(answer.file, &status), 0);
    (void)snprintf(expected, sizeof(expected), "{\"version\":1,\"id\":9,\"answer_bytes\":%lld}",
                   (long long)status.st_size);
    CU_ASSERT_STRING_EQUAL(answer.text, expected);
    CU_ASSERT_EQUAL(pread(answer.file, text, sizeof(text), 0), status.st_size);
    CU_ASSERT_EQUAL(strncmp(text, "{\"version\":1,\"id\":9,\"ok\":true,\"result\":{  ", 42), 0);
    CU_ASSERT_STRING_EQUAL(text + status.st_size - 4, "  }}");
    CU_ASSERT_EQUAL(fcntl(answer.file, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    CU_ASSERT_EQUAL(ftruncate(answer.file, 0), -1);
    close(answer.file);

    /* Of a second file before one that does not read there is no question. */
    CU_ASSERT(ask(fd, STATUS) && ask(fd, STATUS));
    pump(&fixture);
    CU_ASSERT_EQUAL(control_server_clients(fixture.server), 0);
    answer = receive(fd, MSG_DONTWAIT);
    CU_ASSERT(answer.file >= 0); /* the first, that was there when the second was asked for */
    close(answer.file);
    CU_ASSERT_STRING_EQUAL(receive(fd, MSG_DONTWAIT).text, "end");
    close(fd);
    end(&fixture);
}

static void control_server__client_that_does_not_read__then_dropped(void)
{
    Fixture fixture;
    unsigned sent = 0;
    int fd, reader;

    begin(&fixture);
    fd = try_connect(fixture.path, SOCK_NONBLOCK);
    reader = connect_to(&fixture);
    while (sent < 100000 && (sent == 0 || control_server_clients(fixture.server) == 2)) {
        if (ask(fd, LIST))
            sent++;
        pump(&fixture);
    }
    CU_ASSERT(sent < 1000); /* the kernel takes a dozen answers, or net.unix.max_dgram_qlen */
    CU_ASSERT_EQUAL(control_server_clients(fixture.server), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(exchange(&fixture, reader, LIST).text, "\"ok\":true"));
    close(fd);
    close(reader);
    end(&fixture);
}

/* ---- answers that come later ------------------------------------------------------------------ */

static void control_server__deferred__then_answered_when_told_and_in_order(void)
{
    Fixture fixture;
    int fd;

    begin(&fixture);
    fd = connect_to(&fixture);
    CU_ASSERT(ask(fd, STOP) && ask(fd, LIST)); /* which waits for its turn */
    pump(&fixture);
    CU_ASSERT_EQUAL(fixture.handled, 1);
    CU_ASSERT_STRING_EQUAL(receive(fd, MSG_DONTWAIT).text, "");
    CU_ASSERT_TRUE(control_server_awaits(fixture.server, fixture.tickets[0]));
    control_server_answer(fixture.server, fixture.tickets[0], NULL, 0);
    CU_ASSERT_STRING_EQUAL(receive(fd, MSG_DONTWAIT).text,
                           "{\"version\":1,\"id\":8,\"ok\":true,\"result\":{}}");
    CU_ASSERT_FALSE(control_server_awaits(fixture.server, fixture.tickets[0]));
    control_server_answer(fixture.server, fixture.tickets[0], NULL, 0); /* once is enough */
    control_server_refuse(fixture.server, fixture.tickets[0], ADA_CONTROL_FAILED, "twice");
    pump(&fixture);
    CU_ASSERT_EQUAL(fixture.handled, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(receive(fd, MSG_DONTWAIT).text, "\"id\":7,\"ok\":true"));
    CU_ASSERT_STRING_EQUAL(receive(fd, MSG_DONTWAIT).text, "");
    close(fd);
    end(&fixture);
}

static void control_server__client_gone_meanwhile__then_answer_reaches_nobody_else(void)
{
    ControlTicket nonsense = {1000, 1}, none = {0, 0};
    Fixture fixture;
    int fd, next;

    begin(&fixture);
    fd = connect_to(&fixture);
    CU_ASSERT(ask(fd, STOP));
    pump(&fixture);
    close(fd);
    pump(&fixture);
    CU_ASSERT_EQUAL(control_server_clients(fixture.server), 0);
    CU_ASSERT_FALSE(control_server_awaits(fixture.server, fixture.tickets[0]));
    next = connect_to(&fixture);
    CU_ASSERT(ask(next, STOP));
    pump(&fixture);
    CU_ASSERT_EQUAL(fixture.tickets[1].place, fixture.tickets[0].place); /* it has its place */
    control_server_answer(fixture.server, fixture.tickets[0], "{\"wrong\":1}", 11);
    control_server_answer(fixture.server, nonsense, NULL, 0);
    control_server_answer(fixture.server, none, NULL, 0);
    CU_ASSERT_STRING_EQUAL(receive(next, MSG_DONTWAIT).text, "");
    control_server_refuse(fixture.server, fixture.tickets[1], ADA_CONTROL_FAILED, "%d", 5);
    CU_ASSERT_PTR_NOT_NULL(strstr(receive(next, MSG_DONTWAIT).text, "\"message\":\"5\""));
    CU_ASSERT(ask(next, STOP)); /* destroyed with a request in progress */
    pump(&fixture);
    CU_ASSERT_EQUAL(fixture.deferred, 3);
    end(&fixture);
    CU_ASSERT_STRING_EQUAL(receive(next, MSG_DONTWAIT).text, "end");
    close(next);
}

/* ---- many ------------------------------------------------------------------------------------- */

static void control_server__ten_thousand_connections_in_turn__then_nothing_is_left(void)
{
    Fixture fixture;
    unsigned answered = 0;
    int before;

    begin(&fixture);
    before = lowest_free();
    for (unsigned i = 0; i < 10000; i++) {
        int fd = connect_to(&fixture);

        if (i % 3 == 0) { /* asks nothing */
            close(fd);
            continue;
        }
        (void)ask(fd, LIST);
        if (i % 3 == 1) { /* does not wait */
            close(fd);
            pump(&fixture);
            continue;
        }
        pump(&fixture);
        answered += strstr(receive(fd, MSG_DONTWAIT).text, "\"ok\":true") != NULL;
        close(fd);
    }
    pump(&fixture);
    CU_ASSERT_EQUAL(answered, 3333);
    CU_ASSERT_EQUAL(fixture.handled, 6666);
    CU_ASSERT_EQUAL(control_server_clients(fixture.server), 0);
    CU_ASSERT_EQUAL(lowest_free(), before);
    end(&fixture);
}

/* Connects at once with the others, and asks until it has been answered so often. */
static void *ask_much(void *argument)
{
    const char *path = argument;

    for (unsigned answered = 0; answered < 20;) {
        int fd = try_connect(path, 0);

        if (fd < 0)
            continue;
        while (answered < 20 && ask(fd, LIST) && strstr(receive(fd, 0).text, "\"ok\":true"))
            answered++;
        close(fd); /* had to give way: again */
    }
    return NULL;
}

typedef struct Loop {
    Fixture *fixture;
    int stop; /* readable when the loop is to end */
} Loop;

static void *serve_until_stopped(void *argument)
{
    const Loop *loop = argument;

    while (!is_readable(loop->stop, 0)) {
        struct pollfd both[] = {{.fd = loop->stop, .events = POLLIN},
                                {.fd = control_server_descriptor(loop->fixture->server), .events = POLLIN}};

        (void)poll(both, 2, -1);
        control_server_serve(loop->fixture->server);
    }
    return NULL;
}

static void control_server__hundreds_at_once__then_each_is_answered(void)
{
    enum { CLIENTS = 300 };
    pthread_t clients[CLIENTS], server;
    Fixture fixture;
    Loop loop = {.fixture = &fixture};
    int ends[2];

    begin(&fixture);
    CU_ASSERT_EQUAL_FATAL(pipe2(ends, O_CLOEXEC), 0);
    loop.stop = ends[0];
    CU_ASSERT_EQUAL_FATAL(pthread_create(&server, NULL, serve_until_stopped, &loop), 0);
    for (size_t i = 0; i < CLIENTS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&clients[i], NULL, ask_much, fixture.path), 0);
    for (size_t i = 0; i < CLIENTS; i++)
        (void)pthread_join(clients[i], NULL);
    close(ends[1]);
    (void)pthread_join(server, NULL);
    close(ends[0]);
    CU_ASSERT(fixture.handled >= CLIENTS * 20);
    pump(&fixture);
    CU_ASSERT_EQUAL(control_server_clients(fixture.server), 0);
    end(&fixture);
}

static void control_server__silent__then_gives_way_and_times_out(void)
{
    ControlServerConfig config;
    Fixture fixture;
    int silent[16], busy, next;

    make_directory(&fixture);
    config = config_of(&fixture);
    config.clients = 4;
    config.idle_ns = 50000000;
    CU_ASSERT_EQUAL_FATAL(control_server_create(&config, &fixture.server), 0);
    busy = connect_to(&fixture);
    CU_ASSERT(ask(busy, STOP));
    pump(&fixture);
    for (size_t i = 0; i < 16; i++) {
        silent[i] = connect_to(&fixture);
        pump(&fixture);
    }
    CU_ASSERT_EQUAL(control_server_clients(fixture.server), 4);
    CU_ASSERT_STRING_EQUAL(receive(silent[0], MSG_DONTWAIT).text, "end");
    next = connect_to(&fixture);
    CU_ASSERT_PTR_NOT_NULL(strstr(exchange(&fixture, next, LIST).text, "\"ok\":true"));

    /* Time passes: only the one whose request is in progress stays. */
    while (control_server_clients(fixture.server) > 1 &&
           is_readable(control_server_descriptor(fixture.server), 60000))
        control_server_serve(fixture.server);
    CU_ASSERT_EQUAL(control_server_clients(fixture.server), 1);
    CU_ASSERT_STRING_EQUAL(receive(next, MSG_DONTWAIT).text, "end");
    CU_ASSERT_FALSE(is_readable(control_server_descriptor(fixture.server), 0));
    control_server_answer(fixture.server, fixture.tickets[0], NULL, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(receive(busy, MSG_DONTWAIT).text, "\"ok\":true"));
    for (size_t i = 0; i < 16; i++)
        close(silent[i]);
    close(busy);
    close(next);
    end(&fixture);
}

static void control_server__all_places_busy__then_told_so(void)
{
    ControlServerConfig config;
    Fixture fixture;
    int busy[2], next;

    make_directory(&fixture);
    config = config_of(&fixture);
    config.clients = 2;
    CU_ASSERT_EQUAL_FATAL(control_server_create(&config, &fixture.server), 0);
    for (size_t i = 0; i < 2; i++) {
        busy[i] = connect_to(&fixture);
        CU_ASSERT(ask(busy[i], STOP));
        pump(&fixture);
    }
    next = connect_to(&fixture);
    CU_ASSERT(ask(next, LIST)); /* is in the way when the server hangs up */
    pump(&fixture);
    CU_ASSERT_PTR_NOT_NULL(strstr(receive(next, MSG_DONTWAIT).text, "\"code\":\"busy\""));
    close(next);
    for (size_t i = 0; i < 2; i++)
        close(busy[i]);
    end(&fixture);
}

static void control_server__no_descriptors_left__then_hangs_up_and_does_not_spin(void)
{
    struct rlimit limit, small;
    Fixture fixture;
    int fd, low;

    begin(&fixture);
    fd = connect_to(&fixture);
    low = lowest_free();
    CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
    small = (struct rlimit){(rlim_t)low, limit.rlim_max};
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &small), 0);
    pump(&fixture); /* comes to an end */
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CU_ASSERT_STRING_EQUAL(receive(fd, MSG_DONTWAIT).text, "end");
    close(fd);
    fd = connect_to(&fixture);
    CU_ASSERT_PTR_NOT_NULL(strstr(exchange(&fixture, fd, LIST).text, "\"ok\":true"));
    close(fd);
    end(&fixture);
}

/* ---- rights ----------------------------------------------------------------------------------- */

static void control_server__other_users__then_rights_as_the_kernel_says(void)
{
    Fixture fixture;

    if (geteuid() != 0)
        TEST_SKIP("needs root, to become other users");
    begin(&fixture);
    CU_ASSERT_EQUAL(as_user(&fixture, STRANGER, 0, 0, child_lists), 0);
    CU_ASSERT_EQUAL(fixture.peer.uid, STRANGER);
    CU_ASSERT_FALSE(fixture.peer.privileged);
    CU_ASSERT_TRUE(control_peer_owns(&fixture.peer, STRANGER));
    CU_ASSERT_FALSE(control_peer_owns(&fixture.peer, 0));
    CU_ASSERT_EQUAL(as_user(&fixture, STRANGER, 0, 0, child_reloads), 1);
    CU_ASSERT_EQUAL(fixture.handled, 1); /* which the handler never saw */
    CU_ASSERT_EQUAL(as_user(&fixture, STRANGER, 1, CONTROL_GROUP, child_reloads), 0);
    CU_ASSERT_TRUE(fixture.peer.privileged);
    CU_ASSERT_EQUAL(fixture.peer.uid, STRANGER);
    CU_ASSERT_TRUE(control_peer_owns(&fixture.peer, 0));
    CU_ASSERT_EQUAL(as_user(&fixture, STRANGER, 100, CONTROL_GROUP, child_reloads),
                    0); /* the last of many groups */
    CU_ASSERT_EQUAL(as_user(&fixture, STRANGER, 100, 59999, child_reloads), 1);
    CU_ASSERT_EQUAL(as_user(&fixture, CONTROL_GROUP, 0, 0, child_reloads), 0); /* its first group */
    end(&fixture);
}

/* Opens ten thousand connections, and keeps 900 of them; those that are still good answer. */
static int child_floods(Fixture *fixture)
{
    for (unsigned i = 0; i < 10000; i++) {
        int fd = try_connect(fixture->path, 0);

        if (fd >= 900)
            close(fd);
        else if (fd < 0)
            return 1;
    }
    return child_lists(fixture);
}

static void control_server__user_that_floods__then_others_have_their_places(void)
{
    ControlServerConfig config;
    Fixture fixture;
    int mine[6];

    if (geteuid() != 0)
        TEST_SKIP("needs root, to become other users");
    make_directory(&fixture);
    config = config_of(&fixture);
    config.clients = 8;
    CU_ASSERT_EQUAL_FATAL(control_server_create(&config, &fixture.server), 0);
    for (size_t i = 0; i < 6; i++) {
        mine[i] = connect_to(&fixture);
        pump(&fixture);
    }
    CU_ASSERT_EQUAL(as_user(&fixture, STRANGER, 0, 0, child_floods), 0);
    for (size_t i = 0; i < 6; i++) {
        CU_ASSERT_PTR_NOT_NULL(strstr(exchange(&fixture, mine[i], LIST).text, "\"ok\":true"));
        close(mine[i]);
    }
    end(&fixture);
}

static int hold_fds[2];

/* Has as many requests in progress as it gets, and waits until the other end of the pipe is closed. */
static int child_holds(Fixture *fixture)
{
    char byte;

    close(hold_fds[1]);
    for (unsigned i = 0; i < 20; i++) {
        int fd = try_connect(fixture->path, 0);

        if (fd < 0)
            return 1;
        (void)ask(fd, STOP); /* or it was refused */
    }
    (void)!read(hold_fds[0], &byte, 1);
    return 0;
}

/* A child as that user that runs on. */
static pid_t start_holder(Fixture *fixture, uid_t uid)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
            _exit(100);
        _exit(child_holds(fixture));
    }
    return pid;
}

static void control_server__strangers_hold_requests_in_progress__then_root_gets_a_place(void)
{
    ControlServerConfig config;
    Fixture fixture;
    pid_t holders[5];
    int fd;

    if (geteuid() != 0)
        TEST_SKIP("needs root, to become other users");
    make_directory(&fixture);
    config = config_of(&fixture);
    config.clients = 8;
    CU_ASSERT_EQUAL_FATAL(control_server_create(&config, &fixture.server), 0);
    CU_ASSERT_EQUAL_FATAL(pipe2(hold_fds, O_CLOEXEC), 0);
    for (unsigned i = 0; i < 4; i++)
        holders[i] = start_holder(&fixture, STRANGER + 10 + i);
    while (fixture.deferred < 8) { /* two each: their shares */
        (void)is_readable(control_server_descriptor(fixture.server), -1);
        control_server_serve(fixture.server);
    }
    CU_ASSERT_EQUAL(control_server_clients(fixture.server), 8);
    CU_ASSERT_EQUAL(as_user(&fixture, STRANGER + 50, 0, 0, child_lists), 1); /* for a stranger there is none */
    fd = connect_to(&fixture);
    CU_ASSERT_PTR_NOT_NULL(strstr(exchange(&fixture, fd, LIST).text, "\"ok\":true"));
    CU_ASSERT_EQUAL(control_server_clients(fixture.server), 8);
    for (unsigned i = 0, still = 0; i < 8; i++) {
        still += control_server_awaits(fixture.server, fixture.tickets[i]);
        CU_ASSERT(i < 7 || still == 7);
    }
    close(hold_fds[0]);
    close(hold_fds[1]);
    for (unsigned i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(waitpid(holders[i], NULL, 0), holders[i]);
    close(fd);
    end(&fixture);
}

/* How many of 20 requests on as many connections were answered. */
static int child_counts(Fixture *fixture)
{
    int answered = 0;

    for (unsigned i = 0; i < 20; i++) {
        int fd = try_connect(fixture->path, 0);
        bool asked = ask(fd, LIST);
        Answer answer = receive(fd, 0);

        if (strstr(answer.text, "\"ok\":true"))
            answered++;
        else if (!strstr(answer.text, "too often") && (asked || strcmp(answer.text, "end") != 0))
            return 101;
        close(fd);
    }
    return answered;
}

static void control_server__user_asks_too_often__then_told_so_and_others_are_not(void)
{
    ControlServerConfig config;
    Fixture fixture;
    int fd;

    if (geteuid() != 0)
        TEST_SKIP("needs root, to become other users");
    make_directory(&fixture);
    config = config_of(&fixture);
    config.rate = 1;
    config.burst = 10;
    CU_ASSERT_EQUAL_FATAL(control_server_create(&config, &fixture.server), 0);
    /* A connection and a request are two; one more comes in each second that this takes. */
    CU_ASSERT_EQUAL(as_user(&fixture, STRANGER, 0, 0, child_counts), 5);
    CU_ASSERT_EQUAL(as_user(&fixture, OTHER_STRANGER, 0, 0, child_lists), 0);
    fd = connect_to(&fixture);
    for (unsigned i = 0; i < 100; i++)
        CU_ASSERT_PTR_NOT_NULL(strstr(exchange(&fixture, fd, LIST).text, "\"ok\":true"));
    close(fd);
    end(&fixture);
}

static void control_rates__tokens__then_as_time_passes(void)
{
    ControlRates rates = {.rate = 2, .burst = 3};
    uint64_t now = 5000000000ull;

    for (unsigned i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(control_rates_take(&rates, 1, now), i < 3);
    CU_ASSERT_TRUE(control_rates_take(&rates, 2, now)); /* another's */
    CU_ASSERT_FALSE(control_rates_take(&rates, 1, now + 400000000));
    CU_ASSERT_TRUE(control_rates_take(&rates, 1, now + 500000000));
    CU_ASSERT_FALSE(control_rates_take(&rates, 1, now + 500000000));
    now += 100000000000ull; /* never more than the burst */
    for (unsigned i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(control_rates_take(&rates, 1, now), i < 3);
    for (uid_t uid = 100; uid < 100 + CONTROL_RATE_USERS; uid++) /* more users than are kept */
        CU_ASSERT_TRUE(control_rates_take(&rates, uid, now + uid));
    CU_ASSERT_EQUAL(rates.count, CONTROL_RATE_USERS);
}

static void control_peer__options__then_those_that_reach_beyond_need_rights(void)
{
    ControlOption options[] = {{"sched", "yes"}, {"mark", "event=a"}, {"output", "/etc"}};
    ControlRequest request = {.options = options, .option_count = 2};

    CU_ASSERT_PTR_NULL(control_privileged_option(&request));
    request.option_count = 3;
    CU_ASSERT_STRING_EQUAL(control_privileged_option(&request), "output");
    options[2].key = "attach";
    CU_ASSERT_STRING_EQUAL(control_privileged_option(&request), "attach");
    options[2].key = "no_such_key";
    CU_ASSERT_STRING_EQUAL(control_privileged_option(&request), "no_such_key");
    CU_ASSERT_EQUAL(control_group_find("root"), 0);
    CU_ASSERT_EQUAL(control_group_find("no-such-group"), CONTROL_NO_GROUP);
}

/* ---- the socket ------------------------------------------------------------------------------- */

static void control_server__socket__then_made_for_everybody_and_removed(void)
{
    ControlServer *second = NULL;
    ControlServerConfig config;
    struct stat status;
    Fixture fixture;

    begin(&fixture);
    config = config_of(&fixture);
    CU_ASSERT_EQUAL(lstat(fixture.path, &status), 0);
    CU_ASSERT_EQUAL(status.st_mode & 0777u, 0666);
    CU_ASSERT_EQUAL(control_server_create(&config, &second), -EADDRINUSE);
    CU_ASSERT_EQUAL(lstat(fixture.path, &status), 0); /* which left it alone */
    control_server_destroy(fixture.server);
    CU_ASSERT_EQUAL(lstat(fixture.path, &status), -1);
    CU_ASSERT_EQUAL(control_server_create(&config, &fixture.server), 0);
    CU_ASSERT_EQUAL(unlink(fixture.path), 0);
    CU_ASSERT_EQUAL(mkdir(fixture.path, 0700), 0);
    control_server_destroy(fixture.server); /* somebody else's now */
    CU_ASSERT_EQUAL(lstat(fixture.path, &status), 0);
    CU_ASSERT_EQUAL(control_server_create(&config, &fixture.server), -EEXIST);
    CU_ASSERT_EQUAL(rmdir(fixture.path), 0);
    remove_directory(&fixture);
}

/* A bound socket; listens if told. */
static int bind_at(const char *path, int type, bool listens)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    CU_ASSERT_EQUAL_FATAL(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    if (listens)
        CU_ASSERT_EQUAL_FATAL(listen(fd, 5), 0);
    return fd;
}

static void control_server__what_is_there__then_only_a_deserted_socket_goes(void)
{
    ControlServerConfig config;
    Fixture fixture;
    int fd;

    make_directory(&fixture);
    config = config_of(&fixture);
    fd = bind_at(fixture.path, SOCK_STREAM, true); /* another kind of service */
    CU_ASSERT_EQUAL(control_server_create(&config, &fixture.server), -EADDRINUSE);
    close(fd);
    CU_ASSERT_EQUAL(unlink(fixture.path), 0);
    fd = bind_at(fixture.path, SOCK_SEQPACKET, true);
    CU_ASSERT_EQUAL(control_server_create(&config, &fixture.server), -EADDRINUSE);
    close(fd); /* as if killed */
    CU_ASSERT_EQUAL_FATAL(control_server_create(&config, &fixture.server), 0);
    fd = connect_to(&fixture);
    CU_ASSERT_PTR_NOT_NULL(strstr(exchange(&fixture, fd, LIST).text, "\"ok\":true"));
    close(fd);
    end(&fixture);
}

static void control_server__listener_given__then_taken_over_and_left_in_place(void)
{
    ControlServerConfig config;
    struct stat status;
    Fixture fixture;
    int fd, wrong;

    make_directory(&fixture);
    config = config_of(&fixture);
    wrong = bind_at(fixture.path, SOCK_STREAM, true);
    config.listener = wrong;
    CU_ASSERT_EQUAL(control_server_create(&config, &fixture.server), -EPROTOTYPE);
    CU_ASSERT_EQUAL(fcntl(wrong, F_GETFD), FD_CLOEXEC); /* still ours */
    close(wrong);
    CU_ASSERT_EQUAL(unlink(fixture.path), 0);
    config.listener = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL(control_server_create(&config, &fixture.server), -ENOTSOCK);
    close(config.listener);
    config.listener = bind_at(fixture.path, SOCK_SEQPACKET, false);
    CU_ASSERT_EQUAL(control_server_create(&config, &fixture.server), -EINVAL);
    CU_ASSERT_EQUAL(listen(config.listener, 5), 0);
    CU_ASSERT_EQUAL_FATAL(control_server_create(&config, &fixture.server), 0);
    fd = connect_to(&fixture);
    CU_ASSERT_PTR_NOT_NULL(strstr(exchange(&fixture, fd, LIST).text, "\"ok\":true"));
    close(fd);
    control_server_destroy(fixture.server);
    CU_ASSERT_EQUAL(fcntl(config.listener, F_GETFD), -1); /* was taken over */
    CU_ASSERT_EQUAL(lstat(fixture.path, &status), 0);     /* is of who made it */
    CU_ASSERT_EQUAL(unlink(fixture.path), 0);
    CU_ASSERT_EQUAL(rmdir(fixture.directory), 0);
}

static void control_server__bad_configuration__then_error_and_nothing_left(void)
{
    ControlServerConfig config;
    char longest[200], nested[128];
    Fixture fixture;
    int before;

    make_directory(&fixture);
    before = lowest_free();
    config = config_of(&fixture);
    config.clients = 0;
    CU_ASSERT_EQUAL(control_server_create(&config, &fixture.server), -EINVAL);
    config.clients = 1025;
    CU_ASSERT_EQUAL(control_server_create(&config, &fixture.server), -EINVAL);
    config.clients = 1;
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    config.path = longest;
    CU_ASSERT_EQUAL(control_server_create(&config, &fixture.server), -ENAMETOOLONG);
    config.path = "/proc/adatrace/control.sock";
    CU_ASSERT(control_server_create(&config, &fixture.server) < 0);
    (void)snprintf(nested, sizeof(nested), "%s/a/b/c.sock", fixture.directory);
    config.path = nested; /* of directories only the last is made */
    CU_ASSERT_EQUAL(control_server_create(&config, &fixture.server), -ENOENT);
    CU_ASSERT_EQUAL(lowest_free(), before);
    (void)snprintf(nested, sizeof(nested), "%s/a/c.sock", fixture.directory);
    CU_ASSERT_EQUAL_FATAL(control_server_create(&config, &fixture.server), 0);
    control_server_destroy(fixture.server);
    control_server_destroy(NULL);
    CU_ASSERT_EQUAL(lowest_free(), before);
    (void)snprintf(nested, sizeof(nested), "%s/a/c.sock.lock", fixture.directory);
    CU_ASSERT_EQUAL(unlink(nested), 0);
    (void)snprintf(nested, sizeof(nested), "%s/a", fixture.directory);
    CU_ASSERT_EQUAL(rmdir(nested), 0);
    CU_ASSERT_EQUAL(rmdir(fixture.directory), 0);
}

static const TestCase tests[] = {
    TEST(control_server__request__then_answer_and_attested_peer),
    TEST(control_server__garbage__then_error_and_the_connection_goes_on),
    TEST(control_server__descriptors_sent_along__then_none_stays_open),
    TEST(control_server__long_answer__then_sealed_file),
    TEST(control_server__client_that_does_not_read__then_dropped),
    TEST(control_server__deferred__then_answered_when_told_and_in_order),
    TEST(control_server__client_gone_meanwhile__then_answer_reaches_nobody_else),
    TEST(control_server__ten_thousand_connections_in_turn__then_nothing_is_left),
    TEST(control_server__hundreds_at_once__then_each_is_answered),
    TEST(control_server__silent__then_gives_way_and_times_out),
    TEST(control_server__all_places_busy__then_told_so),
    TEST(control_server__no_descriptors_left__then_hangs_up_and_does_not_spin),
    TEST(control_server__other_users__then_rights_as_the_kernel_says),
    TEST(control_server__user_that_floods__then_others_have_their_places),
    TEST(control_server__strangers_hold_requests_in_progress__then_root_gets_a_place),
    TEST(control_server__user_asks_too_often__then_told_so_and_others_are_not),
    TEST(control_rates__tokens__then_as_time_passes),
    TEST(control_peer__options__then_those_that_reach_beyond_need_rights),
    TEST(control_server__socket__then_made_for_everybody_and_removed),
    TEST(control_server__what_is_there__then_only_a_deserted_socket_goes),
    TEST(control_server__listener_given__then_taken_over_and_left_in_place),
    TEST(control_server__bad_configuration__then_error_and_nothing_left),
};
TEST_MAIN("control_server", tests)
