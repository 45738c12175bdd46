/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/kernel/kernel_support.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define INITIAL_PID_NAMESPACE 0xEFFFFFFCu /* PROC_PID_INIT_INO of include/linux/proc_ns.h */

int kernel_support_refuse(char reason[KERNEL_REASON_SIZE], int error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(reason, KERNEL_REASON_SIZE, format, arguments);
    va_end(arguments);
    return error;
}

/* Of the effective set: what the kernel will look at. */
static bool has_capability(const struct __user_cap_data_struct *sets, unsigned capability)
{
    return (sets[capability / 32].effective & 1u << capability % 32) != 0;
}

/* CAP_SYS_ADMIN stands for both, as it did before they were. */
static int check_capabilities(char reason[KERNEL_REASON_SIZE])
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capget, &header, sets) < 0)
        return kernel_support_refuse(reason, -errno, "cannot ask for capabilities: %s", strerror(errno));
    if (has_capability(sets, CAP_SYS_ADMIN))
        return 0;
    if (!has_capability(sets, CAP_BPF))
        return kernel_support_refuse(reason, -EPERM, "missing CAP_BPF");
    if (!has_capability(sets, CAP_PERFMON))
        return kernel_support_refuse(reason, -EPERM, "missing CAP_PERFMON");
    return 0;
}

/* Makes a map that only kernels with ring buffers for BPF can make. 0 or -errno. */
static int try_ring_buffer(void)
{
    union bpf_attr attributes = {.map_type = BPF_MAP_TYPE_RINGBUF,
                                 .max_entries = (uint32_t)sysconf(_SC_PAGESIZE)};
    int fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes));

    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

static int check_kernel(char reason[KERNEL_REASON_SIZE])
{
    int error = try_ring_buffer();
    struct utsname host;

    switch (error) {
    case 0:
        return 0;
    case -EPERM:
    case -EACCES:
        return kernel_support_refuse(reason, error, "bpf() is refused (%s): seccomp or lockdown?",
                                     strerrorname_np(-error));
    case -ENOSYS:
        return kernel_support_refuse(reason, -EOPNOTSUPP, "this kernel has no bpf()");
    case -EINVAL:
        if (uname(&host) < 0)
            memset(&host, 0, sizeof(host));
        return kernel_support_refuse(reason, -EOPNOTSUPP,
                                     "kernel %s is too old: Linux 5.8 or later is needed", host.release);
    default:
        return kernel_support_refuse(reason, error, "cannot make a BPF ring buffer: %s", strerror(-error));
    }
}

int kernel_support_check(const char *btf, char reason[KERNEL_REASON_SIZE])
{
    struct stat status;
    int error;

    if (access(btf, R_OK) < 0)
        return errno == ENOENT
                   ? kernel_support_refuse(reason, -EOPNOTSUPP, "no BTF in this kernel (%s)", btf)
                   : kernel_support_refuse(reason, -errno, "cannot read '%s': %s", btf, strerror(errno));
    /* BPF sees ids of the initial namespace, which mean nothing here. */
    if (stat("/proc/self/ns/pid", &status) == 0 && status.st_ino != INITIAL_PID_NAMESPACE)
        return kernel_support_refuse(reason, -EOPNOTSUPP, "adatrace runs in a pid namespace of its own");
    error = check_capabilities(reason);
    return error ? error : check_kernel(reason);
}
