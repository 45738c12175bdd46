/* SPDX-License-Identifier: MIT */
/* adatrace mark: asks the recorder of a process to keep the payloads around this moment. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/announce_abi.h"
#include "user/base/parse.h"
#include "user/cli/cli.h"

#define ENVIRONMENT_MAX ((size_t)4 << 20) /* more than the kernel lets a program be started with */
#define ANSWER_TIMEOUT_S 5

static const char usage[] =
    "usage: adatrace mark -p PID\n"
    "Keeps the payloads of all threads of a process that 'adatrace record' records: those that their\n"
    "rings hold now, and those that follow, as ada_mark() in the program does.\n"
    "\n"
    "  -p, --pid PID  the process\n"
    "  -h, --help     print this\n";

/* The environment that the process was started with. Its size, or -errno. */
static ssize_t read_environment(uint64_t pid, char *text, size_t size)
{
    char path[64];
    size_t used = 0;
    ssize_t got = 1;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%llu/environ", (unsigned long long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    while (got > 0 && used < size) {
        got = read(fd, text + used, size - used);
        used += got > 0 ? (size_t)got : 0;
    }
    if (got < 0)
        got = -errno;
    close(fd);
    return got < 0 ? got : (ssize_t)used;
}

/* The value of a variable in such a text, NUL-terminated; NULL: it is not there. */
static const char *find_variable(const char *text, size_t size, const char *name)
{
    size_t length = strlen(name);

    for (size_t at = 0; at < size;) {
        size_t left = strnlen(text + at, size - at);

        if (at + left < size && left > length && memcmp(text + at, name, length) == 0 &&
            text[at + length] == '=')
            return text + at + length + 1;
        at += left + 1;
    }
    return NULL;
}

/* 0: marked; -ESRCH: the recorder does not know the process; -errno of talking to it. */
static int ask_recorder(const char *socket_path, uint64_t pid)
{
    AnnounceMessage message = {ADA_ANNOUNCE_MAGIC, ADA_ANNOUNCE_VERSION, ADA_ANNOUNCE_MARK, (uint32_t)pid};
    struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int error = 0;
    int fd;

    if (strlen(socket_path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, socket_path, strlen(socket_path) + 1);
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        send(fd, &message, sizeof(message), MSG_NOSIGNAL) < 0)
        error = -errno;
    if (!error) {
        ssize_t size = recv(fd, &message, sizeof(message), 0);

        if (size < 0)
            error = -errno;
        else if (size != (ssize_t)sizeof(message) || message.magic != ADA_ANNOUNCE_MAGIC ||
                 message.type != ADA_ANNOUNCE_MARKED)
            error = -EACCES; /* it hung up: it does not listen to this user */
        else if (message.pid == 0)
            error = -ESRCH;
    }
    close(fd);
    return error;
}

static int mark(uint64_t pid)
{
    char *environment = malloc(ENVIRONMENT_MAX);
    unsigned long long number = pid;
    const char *path;
    ssize_t size;
    int status = CLI_FAILURE;
    int error;

    if (!environment) {
        cli_error("mark", "out of memory");
        return CLI_FAILURE;
    }
    size = read_environment(pid, environment, ENVIRONMENT_MAX);
    if (size < 0) {
        cli_error("mark", "cannot ask for process %llu: %s", number,
                  size == -ENOENT ? "there is none with that pid" : strerror((int)-size));
        goto out;
    }
    path = find_variable(environment, (size_t)size, ADA_ENV_ANNOUNCE);
    if (!path) {
        cli_error("mark", "process %llu was not started under 'adatrace record': nothing records it", number);
        goto out;
    }
    error = ask_recorder(path, pid);
    if (error == -ESRCH)
        cli_error("mark", "the recorder at '%s' does not know process %llu: it has recorded nothing yet",
                  path, number);
    else if (error == -ENOENT || error == -ECONNREFUSED)
        cli_error("mark", "the recorder of process %llu is gone: nothing records it any more", number);
    else if (error)
        cli_error("mark", "cannot ask the recorder of process %llu at '%s': %s", number, path,
                  strerror(-error));
    else
        status = CLI_OK;
out:
    free(environment);
    return status;
}

int cmd_mark(int argc, char **argv)
{
    static const struct option options[] = {
        {"pid", required_argument, NULL, 'p'}, {"help", no_argument, NULL, 'h'}, {0}};
    uint64_t pid = 0;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":p:h", options, NULL)) != -1) {
        switch (option) {
        case 'p':
            if (parse_u64(optarg, 1, INT32_MAX, &pid) != 0)
                return cli_usage_error("mark", "--pid '%s' is not the number of a process", optarg);
            break;
        case 'h':
            fputs(usage, stdout);
            return cli_end_output("mark", CLI_OK);
        default:
            return cli_option_error("mark", option, argv);
        }
    }
    if (optind < argc)
        return cli_usage_error("mark", "unexpected '%s'", argv[optind]);
    if (pid == 0)
        return cli_usage_error("mark", "no process given: use -p PID");
    return mark(pid);
}
