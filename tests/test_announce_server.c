/* SPDX-License-Identifier: MIT */
/* The announce socket: what is accepted, and what is not believed. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "user/collector/announce_server.h"

static int connect_to(const AnnounceServer *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, server->path, sizeof(server->path));
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL_FATAL(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Sends `size` bytes of a message with `count` copies of a descriptor. */
static void send_message(int connection, const void *message, size_t size, int fd, size_t count)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * 16)];
    } control;
    struct iovec data = {(void *)(uintptr_t)message, size};
    struct msghdr packet = {.msg_iov = &data, .msg_iovlen = 1};

    memset(&control, 0, sizeof(control));
    if (count > 0) {
        packet.msg_control = &control;
        packet.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int) * count);
        for (size_t i = 0; i < count; i++)
            memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &fd, sizeof(fd));
    }
    CU_ASSERT_EQUAL(sendmsg(connection, &packet, MSG_NOSIGNAL), (ssize_t)size);
}

static AnnounceMessage good_message(void)
{
    return (AnnounceMessage){ADA_ANNOUNCE_MAGIC, ADA_ANNOUNCE_VERSION, ADA_ANNOUNCE_OWN, 1};
}

/* The lowest free descriptor number: grows when something leaks. */
static int lowest_free(void)
{
    int fd = fcntl(0, F_DUPFD, 0);

    close(fd);
    return fd;
}

static void announce_server__good_message__then_attested_pid_and_descriptor(void)
{
    AnnounceMessage message = good_message();
    Announcement announcement;
    AnnounceServer server;
    struct stat sent, received;
    int segment = memfd_create("segment", MFD_CLOEXEC);
    int connection;

    CU_ASSERT_EQUAL_FATAL(announce_server_init(&server), 0);
    CU_ASSERT_EQUAL(announce_server_next(&server, &announcement), 0);
    connection = connect_to(&server);
    CU_ASSERT_EQUAL(announce_server_next(&server, &announcement), 0); /* nothing was sent yet */
    send_message(connection, &message, sizeof(message), segment, 1);
    CU_ASSERT_EQUAL_FATAL(announce_server_next(&server, &announcement), 1);
    CU_ASSERT_EQUAL(announcement.type, ADA_ANNOUNCE_OWN);
    CU_ASSERT_EQUAL(announcement.pid, getpid()); /* not the 1 of the message */
    CU_ASSERT(announcement.pidfd >= 0);
    CU_ASSERT_EQUAL(fstat(segment, &sent), 0);
    CU_ASSERT_EQUAL(fstat(announcement.segment, &received), 0);
    CU_ASSERT_EQUAL(sent.st_ino, received.st_ino);
    CU_ASSERT_EQUAL(announce_server_next(&server, &announcement), 0);
    close(announcement.segment);
    close(announcement.pidfd);
    close(connection);
    close(segment);
    announce_server_fini(&server);
}

static void announce_server__bad_messages__then_dropped_without_leak(void)
{
    AnnounceMessage message = good_message();
    Announcement announcement;
    AnnounceServer server;
    int segment = memfd_create("segment", MFD_CLOEXEC);
    int before;

    CU_ASSERT_EQUAL_FATAL(announce_server_init(&server), 0);
    before = lowest_free();
    for (int variant = 0; variant < 8; variant++) {
        AnnounceMessage bad = message;
        size_t size = sizeof(bad);
        size_t descriptors = 1;
        int connection = connect_to(&server);
        char long_message[64] = {0};
        const void *data = &bad;

        switch (variant) {
        case 0:
            bad.magic++;
            break;
        case 1:
            bad.version++;
            break;
        case 2:
            bad.type = 99;
            break;
        case 3:
            size = 3;
            break;
        case 4:
            descriptors = 0;
            break;
        case 5:
            descriptors = 16; /* more than fit: the kernel cuts them off */
            break;
        case 6:
            memcpy(long_message, &bad, sizeof(bad));
            data = long_message;
            size = sizeof(long_message);
            break;
        default:
            size = 1;
            descriptors = 0;
            break;
        }
        send_message(connection, data, size, segment, descriptors);
        CU_ASSERT_EQUAL(announce_server_next(&server, &announcement), 0);
        close(connection);
        CU_ASSERT_EQUAL(announce_server_next(&server, &announcement), 0);
    }
    CU_ASSERT_EQUAL(lowest_free(), before);
    close(segment);
    announce_server_fini(&server);
}

/* What a question is answered with, and the descriptor that came along, or -1. */
static AnnounceMessage receive_answer(int connection, int *fd_out)
{
    AnnounceMessage answer = {0};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec data = {&answer, sizeof(answer)};
    struct msghdr packet = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.space)};

    *fd_out = -1;
    CU_ASSERT_EQUAL(recvmsg(connection, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC), (ssize_t)sizeof(answer));
    if (CMSG_FIRSTHDR(&packet))
        memcpy(fd_out, CMSG_DATA(CMSG_FIRSTHDR(&packet)), sizeof(*fd_out));
    return answer;
}

static void announce_server__asked_for_metrics__then_report_comes_as_a_file(void)
{
    const AnnounceMessage question = {ADA_ANNOUNCE_MAGIC, ADA_ANNOUNCE_VERSION, ADA_ANNOUNCE_METRICS, 0};
    int report = memfd_create("report", MFD_CLOEXEC);
    Announcement announcement;
    AnnounceServer server;
    AnnounceMessage answer;
    char text[8] = "";
    int connection, fd, before;

    CU_ASSERT_EQUAL_FATAL(announce_server_init(&server), 0);
    CU_ASSERT_EQUAL(pwrite(report, "{}", 2, 0), 2);
    before = lowest_free();
    for (int with = 0; with < 2; with++) {
        connection = connect_to(&server);
        send_message(connection, &question, sizeof(question), -1, 0);
        CU_ASSERT_EQUAL_FATAL(announce_server_next(&server, &announcement), 1);
        CU_ASSERT_EQUAL(announcement.type, ADA_ANNOUNCE_METRICS);
        CU_ASSERT_EQUAL(announcement.segment, -1);
        CU_ASSERT_EQUAL(announcement.pidfd, -1);
        announce_server_report(&announcement, with ? report : -1);
        answer = receive_answer(connection, &fd);
        CU_ASSERT_EQUAL(answer.type, ADA_ANNOUNCE_REPORT);
        CU_ASSERT_EQUAL(fd >= 0, with);
        if (with)
            CU_ASSERT_EQUAL(pread(fd, text, sizeof(text), 0), 2);
        close(fd);
        close(connection);
    }
    CU_ASSERT_STRING_EQUAL(text, "{}");
    /* A question brings no descriptor of its own. */
    connection = connect_to(&server);
    send_message(connection, &question, sizeof(question), report, 1);
    CU_ASSERT_EQUAL(announce_server_next(&server, &announcement), 0);
    close(connection);
    CU_ASSERT_EQUAL(lowest_free(), before);
    announce_server_fini(&server);
    close(report);
}

static void announce_server__silent_connections__then_they_give_way(void)
{
    int silent[ANNOUNCE_PENDING_MAX + 10];
    AnnounceMessage message = good_message();
    Announcement announcement;
    AnnounceServer server;
    int segment = memfd_create("segment", MFD_CLOEXEC);
    int connection;

    CU_ASSERT_EQUAL_FATAL(announce_server_init(&server), 0);
    for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++) {
        silent[i] = connect_to(&server);
        CU_ASSERT_EQUAL(announce_server_next(&server, &announcement), 0);
    }
    connection = connect_to(&server);
    send_message(connection, &message, sizeof(message), segment, 1);
    CU_ASSERT_EQUAL_FATAL(announce_server_next(&server, &announcement), 1);
    close(announcement.segment);
    close(announcement.pidfd);
    close(connection);
    for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++)
        close(silent[i]);
    close(segment);
    announce_server_fini(&server);
}

static void announce_server__sender_died__then_message_still_counts(void)
{
    AnnounceMessage message = good_message();
    Announcement announcement;
    AnnounceServer server;
    pid_t pid;

    CU_ASSERT_EQUAL_FATAL(announce_server_init(&server), 0);
    pid = fork();
    if (pid == 0) {
        send_message(connect_to(&server), &message, sizeof(message), memfd_create("segment", 0), 1);
        _exit(0);
    }
    CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
    CU_ASSERT_EQUAL_FATAL(announce_server_next(&server, &announcement), 1);
    CU_ASSERT_EQUAL(announcement.pid, pid);
    close(announcement.segment);
    if (announcement.pidfd >= 0)
        close(announcement.pidfd);
    announce_server_fini(&server);
}

static void announce_server__fini__then_nothing_left(void)
{
    AnnounceServer server;
    char directory[sizeof(server.directory)];
    struct stat status;

    CU_ASSERT_EQUAL_FATAL(announce_server_init(&server), 0);
    memcpy(directory, server.directory, sizeof(directory));
    CU_ASSERT_EQUAL(stat(server.path, &status), 0);
    announce_server_fini(&server);
    CU_ASSERT_EQUAL(stat(directory, &status), -1);
    announce_server_clear(&server);
    announce_server_fini(&server); /* nothing to do, and nothing done */
    CU_ASSERT_EQUAL(fcntl(0, F_GETFD), 0);
}

static void announce_server__bad_directory__then_error(void)
{
    AnnounceServer server;
    char *before = getenv("TMPDIR") ? strdup(getenv("TMPDIR")) : NULL;
    char long_path[200];

    setenv("TMPDIR", "/proc/self", 1);
    CU_ASSERT(announce_server_init(&server) < 0);
    memset(long_path, 'x', sizeof(long_path) - 1);
    long_path[0] = '/';
    long_path[sizeof(long_path) - 1] = '\0';
    setenv("TMPDIR", long_path, 1); /* does not fit into a socket's address: /tmp it is */
    CU_ASSERT_EQUAL(announce_server_init(&server), 0);
    CU_ASSERT_EQUAL(strncmp(server.path, "/tmp/", 5), 0);
    announce_server_fini(&server);
    if (before)
        setenv("TMPDIR", before, 1);
    else
        unsetenv("TMPDIR");
    free(before);
}

/* A directory as a recorder makes it, of some age, whose socket nobody listens at; with `name` NULL only the directory. */
static void leave_over(const char *base, const char *directory, const char *name, time_t age)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) - age}};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    char path[64];

    (void)snprintf(path, sizeof(path), "%s/%s", base, directory);
    CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
    if (name) {
        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", path, name);
        CU_ASSERT_EQUAL(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    }
    close(fd);
    CU_ASSERT_EQUAL(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool is_there(const char *base, const char *name)
{
    char path[64];
    struct stat status;

    (void)snprintf(path, sizeof(path), "%s/%s", base, name);
    return lstat(path, &status) == 0;
}

static void announce_server__killed_recorders__then_what_they_left_is_removed(void)
{
    static const char *const stay[] = {"adatrace-young1", "adatrace-others", "adatrace-toolong",
                                       "another-abcdef", "adatrace-linked"};
    static const char *const go[] = {"adatrace-killed", "adatrace-begun0"};
    const struct timespec old[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) - 3600}};
    char base[] = "/tmp/announce-XXXXXX", path[64];
    AnnounceServer living, server;

    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(base));
    CU_ASSERT_EQUAL_FATAL(setenv("TMPDIR", base, 1), 0);
    CU_ASSERT_EQUAL_FATAL(announce_server_init(&living), 0);
    CU_ASSERT_EQUAL(utimensat(AT_FDCWD, living.directory, old, 0), 0);
    leave_over(base, "adatrace-killed", "announce.sock", 3600);
    leave_over(base, "adatrace-begun0", NULL, 3600);
    leave_over(base, "adatrace-young1", "announce.sock", 10);
    leave_over(base, "adatrace-others", "another.sock", 3600);
    leave_over(base, "adatrace-toolong", "announce.sock", 3600);
    leave_over(base, "another-abcdef", "announce.sock", 3600);
    (void)snprintf(path, sizeof(path), "%s/adatrace-linked", base);
    CU_ASSERT_EQUAL(symlink("adatrace-others", path), 0);

    CU_ASSERT_EQUAL_FATAL(announce_server_init(&server), 0);
    for (size_t i = 0; i < sizeof(stay) / sizeof(stay[0]); i++)
        CU_ASSERT(is_there(base, stay[i]));
    for (size_t i = 0; i < sizeof(go) / sizeof(go[0]); i++)
        CU_ASSERT(!is_there(base, go[i]));
    CU_ASSERT_EQUAL(access(living.path, F_OK), 0);
    CU_ASSERT_EQUAL(access(server.path, F_OK), 0);
    announce_server_fini(&server);
    announce_server_fini(&living);
    (void)unsetenv("TMPDIR");
    (void)snprintf(path, sizeof(path), "rm -r %s", base);
    CU_ASSERT_EQUAL(system(path), 0);
}

static const TestCase tests[] = {
    TEST(announce_server__good_message__then_attested_pid_and_descriptor),
    TEST(announce_server__bad_messages__then_dropped_without_leak),
    TEST(announce_server__asked_for_metrics__then_report_comes_as_a_file),
    TEST(announce_server__silent_connections__then_they_give_way),
    TEST(announce_server__sender_died__then_message_still_counts),
    TEST(announce_server__fini__then_nothing_left),
    TEST(announce_server__bad_directory__then_error),
    TEST(announce_server__killed_recorders__then_what_they_left_is_removed),
};
TEST_MAIN("announce_server", tests)
