/* SPDX-License-Identifier: MIT */
/* Every wrapped I/O call: its result, errno after success and failure, and the lowest free descriptor. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "plain_support.h"

/* What calls become under _FORTIFY_SOURCE. */
ssize_t __read_chk(int fd, void *to, size_t size, size_t to_size);
ssize_t __pread_chk(int fd, void *to, size_t size, off_t offset, size_t to_size);
ssize_t __pread64_chk(int fd, void *to, size_t size, off64_t offset, size_t to_size);
ssize_t __recv_chk(int fd, void *to, size_t size, size_t to_size, int flags);
ssize_t __recvfrom_chk(int fd, void *to, size_t size, size_t to_size, int flags, struct sockaddr *address,
                       socklen_t *address_size);
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t fds_size);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                size_t fds_size);
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int directory, const char *path, int flags);
int __openat64_2(int directory, const char *path, int flags);

static char buffer[64];
static struct iovec vector[2] = {{buffer, 8}, {buffer + 8, 8}};

/* Not constants: the compiler must neither warn of them nor check them. */
static void *volatile bad_pointer = (void *)8;
static volatile int bad_count = -1;

static unsigned mode_of(int fd)
{
    struct stat status;

    REQUIRE(fstat(fd, &status) == 0);
    return status.st_mode & 07777;
}

static void opening(void)
{
    int fd;

    umask(0);
    fd = open("a", O_CREAT | O_RDWR | O_TRUNC, 0640);
    printf("open: fd %d, mode %o\n", fd, mode_of(fd));
    fd = openat(AT_FDCWD, "b", O_CREAT | O_RDWR | O_EXCL, 0604);
    printf("openat: fd %d, mode %o\n", fd, mode_of(fd));
    fd = creat("c", 0751);
    printf("creat: fd %d, mode %o\n", fd, mode_of(fd));
    fd = open64("d", O_CREAT | O_RDWR, 0611);
    printf("open64: fd %d, mode %o\n", fd, mode_of(fd));
    fd = open(".", O_TMPFILE | O_RDWR, 0622);
    if (fd >= 0)
        printf("tmpfile: fd %d, mode %o\n", fd, mode_of(fd));

    REPORT(open("none", O_RDONLY));
    REPORT(open("a", O_CREAT | O_EXCL | O_RDWR, 0600));
    REPORT(open(bad_pointer, O_RDONLY));
    REPORT(open(bad_pointer, O_TMPFILE | O_RDONLY, 0));
    REPORT(openat(12345, "a", O_RDONLY));
    REPORT(openat(12345, bad_pointer, O_RDONLY));
    REPORT(creat("none/x", 0600));
    REPORT(close(5));
    REPORT(open("/dev/null", O_RDWR)); /* 5 again */
    REPORT(close(12345));
}

static void too_long_a_path(void)
{
    long page = sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, (size_t)page * 3, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    /* No NUL before memory that must not be touched. */
    REQUIRE(pages != MAP_FAILED && mprotect(pages + 2 * page, (size_t)page, PROT_NONE) == 0);
    memset(pages, 'x', (size_t)page * 2);
    REPORT(open(pages, O_RDONLY));
    REPORT(open(pages + page + 100, O_RDONLY));
    REQUIRE(munmap(pages, (size_t)page * 3) == 0);
}

static void files(void)
{
    struct iovec bad_vector = {NULL, 16};
    off_t offset = 0;
    off64_t from = 0, to = 0;

    REPORT(write(3, "0123456789abcdef", 16));
    REPORT(pwrite(3, "XY", 2, 3));
    REPORT(pwrite64(3, "Z", 1, 15));
    REPORT(lseek(3, 0, SEEK_SET));
    REPORT(read(3, buffer, 5));
    REPORT(pread(3, buffer + 5, 11, 5));
    printf("%.16s\n", buffer);
    REPORT(pread64(3, buffer, 100 - 50, 10));
    REPORT(readv(3, vector, 2));
    REPORT(writev(4, vector, 2));
    REPORT(preadv(3, vector, 2, 1));
    REPORT(pwritev(4, vector, 2, 40));
    REPORT(preadv2(3, vector, 2, 0, 0));
    REPORT(pwritev2(4, vector, 2, -1, RWF_APPEND));
    REPORT(lseek(4, 0, SEEK_CUR));
    REPORT(sendfile(4, 3, &offset, 7));
    REPORT(copy_file_range(3, &from, 4, &to, 9, 0));
    printf("offsets %ld %ld %ld\n", (long)offset, (long)from, (long)to);
    REPORT(fsync(4));
    REPORT(fdatasync(4));

    REPORT(read(12345, buffer, 1));
    REPORT(read(3, bad_pointer, 1));
    REPORT(write(12345, "x", 1));
    REPORT(write(3, bad_pointer, 1));
    REPORT(pread(3, buffer, 1, -5));
    REPORT(readv(3, vector, bad_count));
    REPORT(writev(3, &bad_vector, 1));
    REPORT(fsync(12345));
    REPORT(copy_file_range(3, &from, 4, &to, 9, 77));
    REPORT(sendfile(12345, 3, NULL, 1));
    REPORT(splice(3, NULL, 4, NULL, 1, 0));
}

static void twins(void)
{
    const struct timespec none = {0, 0};
    struct pollfd polled = {.fd = 3, .events = POLLIN};
    off64_t offset = 0;
    int fd = openat64(AT_FDCWD, "e", O_CREAT | O_RDWR, 0617);

    printf("openat64: fd %d, mode %o\n", fd, mode_of(fd));
    REPORT(close(fd));
    fd = creat64("e", 0600);
    REPORT(pwritev64(fd, vector, 2, 3));
    REPORT(pwritev64v2(fd, vector, 2, 3, 0));
    REPORT(sendfile64(fd, 3, &offset, 5));
    REPORT(close(fd));
    REPORT(__open_2("e", O_RDONLY));
    REPORT(close(fd));
    REPORT(__open64_2("none", O_RDONLY));
    REPORT(__openat_2(AT_FDCWD, "none", O_RDONLY));
    REPORT(__openat64_2(AT_FDCWD, "e", O_RDONLY));
    REPORT(__read_chk(fd, buffer, 4, sizeof(buffer)));
    REPORT(__pread_chk(fd, buffer, 4, 1, sizeof(buffer)));
    REPORT(__pread64_chk(fd, buffer, 4, -1, sizeof(buffer)));
    REPORT(preadv64(fd, vector, 2, 3));
    REPORT(preadv64v2(fd, vector, 2, 3, 0));
    REPORT(__recv_chk(fd, buffer, 4, sizeof(buffer), 0));
    REPORT(__recvfrom_chk(fd, buffer, 4, sizeof(buffer), 0, NULL, NULL));
    REPORT(__poll_chk(&polled, 1, 0, sizeof(polled)));
    REPORT(__ppoll_chk(&polled, 1, &none, NULL, sizeof(polled)));
    REPORT(close(fd));
    REQUIRE(unlink("e") == 0);
}

static void pipes(void)
{
    const struct timespec none = {0, 0};
    struct timeval no_time = {0, 0};
    struct epoll_event event = {.events = EPOLLIN};
    struct pollfd polled;
    fd_set set;
    int ends[2], epoll;

    REQUIRE(pipe(ends) == 0);
    printf("pipe: %d %d\n", ends[0], ends[1]);
    polled = (struct pollfd){.fd = ends[0], .events = POLLIN};
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    epoll = epoll_create1(0);
    REQUIRE(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event) == 0);

    REPORT(poll(&polled, 1, 0));
    REPORT(epoll_wait(epoll, &event, 1, 0));
    REPORT(write(ends[1], "pipe", 4));
    REPORT(poll(&polled, 1, 1000));
    REPORT(ppoll(&polled, 1, &none, NULL));
    REPORT(select(ends[0] + 1, &set, NULL, NULL, &no_time));
    REPORT(pselect(ends[0] + 1, &set, NULL, NULL, &none, NULL));
    REPORT(epoll_wait(epoll, &event, 1, 1000));
    REPORT(epoll_pwait(epoll, &event, 1, 1000, NULL));
    REPORT(epoll_pwait2(epoll, &event, 1, &none, NULL));
    REPORT(splice(ends[0], NULL, 4, NULL, 4, 0));

    REPORT(poll(bad_pointer, 1, 0));
    REPORT(select(-1, NULL, NULL, NULL, &no_time));
    REPORT(epoll_wait(12345, &event, 1, 0));
    REPORT(epoll_wait(epoll, &event, 0, 0));
    signal(SIGPIPE, SIG_IGN);
    REPORT(close(ends[0]));
    REPORT(write(ends[1], "x", 1));
}

static void sockets(void)
{
    struct sockaddr_in refused = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(1)};
    struct sockaddr_in6 refused6 = {.sin6_family = AF_INET6, .sin6_addr = {{{0x20, 1, 0xd, 0xb8, [15] = 1}}}};
    struct sockaddr_un abstract = {.sun_family = AF_UNIX, .sun_path = "\0nobody"};
    struct sockaddr_un filled = {.sun_family = AF_UNIX};
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    struct sockaddr_un local = {.sun_family = AF_UNIX, .sun_path = "socket"};
    struct sockaddr_un peer;
    socklen_t peer_size = sizeof(peer);
    struct iovec one = {buffer, 4};
    struct msghdr message = {.msg_iov = &one, .msg_iovlen = 1};
    struct mmsghdr messages[2] = {{.msg_hdr = message}, {.msg_hdr = message}};
    int pair[2], server, client;

    REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
    REPORT(send(pair[0], "send", 4, 0));
    REPORT(recv(pair[1], buffer, 8, 0));
    REPORT(sendto(pair[0], "to", 2, 0, NULL, 0));
    REPORT(recvfrom(pair[1], buffer, 8, 0, NULL, NULL));
    REPORT(sendmsg(pair[0], &message, 0));
    REPORT(recvmsg(pair[1], &message, 0));
    REPORT(sendmmsg(pair[0], messages, 2, 0));
    REPORT(recvmmsg(pair[1], messages, 2, 0, NULL));
    REPORT(recv(pair[1], buffer, 8, MSG_DONTWAIT));
    REPORT(recv(3, buffer, 8, 0));
    REPORT(send(12345, "x", 1, 0));

    server = socket(AF_UNIX, SOCK_STREAM, 0);
    client = socket(AF_UNIX, SOCK_STREAM, 0);
    printf("sockets: %d %d\n", server, client);
    REPORT(connect(client, (struct sockaddr *)&local, sizeof(local)));
    REQUIRE(bind(server, (struct sockaddr *)&local, sizeof(local)) == 0 && listen(server, 4) == 0);
    REPORT(connect(client, (struct sockaddr *)&local, sizeof(local)));
    REPORT(accept(server, (struct sockaddr *)&peer, &peer_size));
    printf("peer size %u\n", (unsigned)peer_size);
    REPORT(accept4(server, NULL, NULL, 12345));
    REPORT(accept(client, NULL, NULL));
    REPORT(connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&refused, sizeof(refused)));
    REPORT(connect(socket(AF_INET6, SOCK_DGRAM, 0), (struct sockaddr *)&refused6, sizeof(refused6)) <= 0);
    memset(filled.sun_path, 'x', sizeof(filled.sun_path));
    REPORT(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&filled, sizeof(filled)));
    REPORT(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&abstract, 9));
    REPORT(connect(socket(AF_INET, SOCK_DGRAM, 0), &none, sizeof(none)));
    REPORT(connect(client, bad_pointer, sizeof(local)));
    REPORT(connect(client, (struct sockaddr *)&local, 1));
    REPORT(connect(3, (struct sockaddr *)&local, sizeof(local)));
}

int main(void)
{
    char directory[] = "/tmp/plain_io.XXXXXX";

    REQUIRE(mkdtemp(directory) && chdir(directory) == 0);
    opening();
    too_long_a_path();
    files();
    twins();
    pipes();
    sockets();
    REQUIRE(unlink("a") == 0 && unlink("b") == 0 && unlink("c") == 0 && unlink("d") == 0 &&
            unlink("socket") == 0);
    REQUIRE(chdir("/") == 0 && rmdir(directory) == 0);
    fprintf(stderr, "plain_io is done\n");
    return 17;
}
