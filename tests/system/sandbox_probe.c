/* SPDX-License-Identifier: MIT */
/*
 * What the service has to do, and what it must not be able to: run by adatraced.service in place of the service, so that each check is
 * made by the kernel under the sandbox of the unit.
 *
 *     sandbox_probe target    leaves a process behind that has a memfd, mapped and open, and prints nothing
 *     sandbox_probe PID       makes the checks, PID being such a process: `ok - ...` or `not ok - ...` a line
 *     sandbox_probe uprobes   what the drop-in uprobes.conf allows
 *     sandbox_probe network   what the drop-in network.conf allows
 *
 * It loads the BPF programs itself, as user/kernel refuses to in a container: ids of the initial pid namespace mean
 * nothing there.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "kernel.skel.h"

#define MEMFD_NAME "adatrace-probe"
#define MEMFD_SIZE 4096u
#define TARGET_FD 9
#define NOBODY 65534u

static bool failed;

/* `error`: 0, or -errno. */
static void check(const char *what, int error)
{
    if (error) {
        printf("not ok - sandbox: %s: %s\n", what, strerror(-error));
        failed = true;
    } else {
        printf("ok - sandbox: %s\n", what);
    }
}

/* What failed with one of two errors was refused; what worked was not. */
static void check_refused(const char *what, int result, int error, int other)
{
    if (result >= 0)
        printf("not ok - sandbox: refused: %s: it worked\n", what);
    else if (errno != error && errno != other)
        printf("not ok - sandbox: refused: %s: %s\n", what, strerror(errno));
    else
        printf("ok - sandbox: refused: %s\n", what);
    failed = failed || result >= 0 || (errno != error && errno != other);
}

static int result_of(long result)
{
    return result < 0 ? -errno : 0;
}

/* ---- a process of another user -------------------------------------------------------------------- */

static int become_target(void)
{
    int fd = memfd_create(MEMFD_NAME, MFD_CLOEXEC);
    pid_t child;

    if (fd < 0 || ftruncate(fd, MEMFD_SIZE) < 0 || dup2(fd, TARGET_FD) < 0 ||
        mmap(NULL, MEMFD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
        return EXIT_FAILURE;
    child = fork();
    if (child == 0) {
        for (;;)
            pause();
    }
    return child < 0 ? EXIT_FAILURE : EXIT_SUCCESS; /* systemd follows the child */
}

static int map_descriptor(int fd)
{
    char *memory;

    if (fd < 0)
        return -errno;
    memory = mmap(NULL, MEMFD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED)
        return -errno;
    memory[0] = 1;
    (void)munmap(memory, MEMFD_SIZE);
    return 0;
}

static int open_of_proc(pid_t pid)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, TARGET_FD);
    return map_descriptor(open(path, O_RDWR | O_CLOEXEC));
}

static int get_from_process(pid_t pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int error;

    if (pidfd < 0)
        return -errno;
    error = map_descriptor((int)syscall(SYS_pidfd_getfd, pidfd, TARGET_FD, 0));
    close(pidfd);
    return error;
}

static int open_of_mappings(pid_t pid)
{
    char path[128], line[512];
    int error = -ENOENT;
    FILE *maps;

    (void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    maps = fopen(path, "re");
    if (!maps)
        return -errno;
    while (error == -ENOENT && fgets(line, sizeof(line), maps)) {
        if (!strstr(line, MEMFD_NAME))
            continue;
        line[strcspn(line, " ")] = '\0';
        (void)snprintf(path, sizeof(path), "/proc/%d/map_files/%.64s", (int)pid, line);
        error = map_descriptor(open(path, O_RDWR | O_CLOEXEC));
    }
    (void)fclose(maps);
    return error;
}

static int read_program(pid_t pid)
{
    char path[64], magic[4];
    int fd, error;

    (void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    error = read(fd, magic, sizeof(magic)) == sizeof(magic) ? 0 : -EIO;
    close(fd);
    return error;
}

/* ---- BPF -------------------------------------------------------------------------------------------- */

static int read_iterator(struct bpf_program *program)
{
    struct bpf_link *link = bpf_program__attach_iter(program, NULL);
    char nothing[64];
    int fd, error;

    if (!link)
        return -errno;
    fd = bpf_iter_create(bpf_link__fd(link));
    error = fd < 0 ? fd : result_of(read(fd, nothing, sizeof(nothing)));
    if (fd >= 0)
        close(fd);
    (void)bpf_link__destroy(link);
    return error;
}

static int attach_to_malloc(struct bpf_program *program, bool returns)
{
    const struct bpf_uprobe_opts options = {.sz = sizeof(options), .retprobe = returns, .func_name = "malloc"};
    struct bpf_link *link = bpf_program__attach_uprobe_opts(program, -1, "libc.so.6", 0, &options);

    if (!link)
        return -errno;
    (void)bpf_link__destroy(link);
    return 0;
}

static void check_bpf(bool uprobes)
{
    /* With a path, libbpf does not look for BTF of modules, which takes CAP_SYS_ADMIN. */
    const struct bpf_object_open_opts options = {.sz = sizeof(options),
                                                 .btf_custom_path = "/sys/kernel/btf/vmlinux"};
    struct ada_kernel *skeleton = ada_kernel__open_opts(&options);
    int error = skeleton ? 0 : -errno;

    if (!error) {
        bpf_program__set_autoattach(skeleton->progs.on_task, false);
        bpf_program__set_autoattach(skeleton->progs.on_call, false);
        bpf_program__set_autoattach(skeleton->progs.on_return, false);
        error = ada_kernel__load(skeleton);
    }
    check("BPF programs are loaded", error);
    if (!error && !uprobes) {
        check("BPF programs are attached to tracepoints", ada_kernel__attach(skeleton));
        check("tasks are iterated", read_iterator(skeleton->progs.on_task));
    } else if (!error) {
        check("a uprobe is attached", attach_to_malloc(skeleton->progs.on_call, false));
        check("a uprobe at a return is attached", attach_to_malloc(skeleton->progs.on_return, true));
    }
    ada_kernel__destroy(skeleton);
}

/* ---- files and hooks -------------------------------------------------------------------------------- */

/* Mode and group of a file that is made for others to read are those of traces. */
static int write_file(const char *path)
{
    const struct group *group = getgrnam("adatrace");
    struct stat status;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    int error = 0;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0)
        error = -errno;
    else if (!group || status.st_gid != group->gr_gid || (status.st_mode & 0777) != 0640)
        error = -EBADF;
    close(fd);
    (void)unlink(path);
    return error;
}

/* A hook runs as another user, and is killed when it takes too long. */
static int run_hook(void)
{
    int status, ready[2];
    char byte;
    pid_t child;

    if (pipe(ready) < 0)
        return -errno;
    child = fork();
    if (child < 0)
        return -errno;
    if (child == 0) {
        close(ready[0]);
        if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
            setresuid(NOBODY, NOBODY, NOBODY) < 0 || write(ready[1], "x", 1) != 1)
            _exit(errno);
        for (;;)
            pause();
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) == 1 && kill(child, SIGKILL) < 0)
        return -errno;
    close(ready[0]);
    if (waitpid(child, &status, 0) < 0)
        return -errno;
    return WIFEXITED(status) ? -WEXITSTATUS(status) : 0;
}

static int look_at_nodes(void)
{
    void *page = (void *)((uintptr_t)&failed & ~(uintptr_t)4095);
    int node = 0;

    return result_of(syscall(SYS_move_pages, 0, 1ul, &page, NULL, &node, 0));
}

static int listen_on_network(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int error = fd < 0 || listen(fd, 1) < 0 ? -errno : 0;

    if (fd >= 0)
        close(fd);
    return error;
}

static void check_refusals(void)
{
    check_refused("writing /etc", open("/etc/adatrace/probe", O_WRONLY | O_CREAT, 0644), EROFS, EACCES);
    check_refused("writing /usr", open("/usr/probe", O_WRONLY | O_CREAT, 0644), EROFS, EACCES);
    check_refused("writing /proc/sys", open("/proc/sys/kernel/panic", O_WRONLY), EROFS, EACCES);
    check_refused("the network", socket(AF_INET, SOCK_STREAM, 0), EAFNOSUPPORT, EAFNOSUPPORT);
    check_refused("mounting", mount("none", "/tmp", "tmpfs", 0, NULL), EPERM, EPERM);
    check_refused("new namespaces", (int)syscall(SYS_unshare, 0x10000000), EPERM, EPERM);
    check_refused("files of others", chown("/var/log/adatrace", 1, 1), EPERM, EPERM);
    check_refused("set-user-ID files", chmod("/var/log/adatrace", 04750), EPERM, EPERM);
    check_refused("another clock", (int)syscall(SYS_settimeofday, NULL, NULL), EPERM, EPERM);
    check_refused(
        "executable memory",
        mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0,
        EPERM, EACCES);
}

int main(int argc, char **argv)
{
    pid_t pid;

    if (argc != 2)
        return EXIT_FAILURE;
    if (strcmp(argv[1], "target") == 0)
        return become_target();
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(argv[1], "uprobes") == 0) {
        check_bpf(true);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
    }
    if (strcmp(argv[1], "network") == 0) {
        check("listens on the network", listen_on_network());
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
    }

    pid = (pid_t)strtol(argv[1], NULL, 10);
    check("a descriptor of another user's process, by /proc", open_of_proc(pid));
    check("a descriptor of another user's process, by pidfd_getfd", get_from_process(pid));
    check("a mapping of another user's process", open_of_mappings(pid));
    check("another user's program is read", read_program(pid));
    check_bpf(false);
    check("traces are written, for the group to read", write_file("/var/log/adatrace/probe"));
    check("state is written", write_file("/var/lib/adatrace/probe"));
    check("sockets can be made", write_file("/run/adatrace/probe"));
    check("a hook runs as another user and is killed", run_hook());
    check("the node of memory is asked for", look_at_nodes());
    check_refusals();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
