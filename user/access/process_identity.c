/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/access/process_identity.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/access/opener.h"
#include "user/access/opener_client.h"
#include "user/access/opener_here.h"
#include "user/base/array.h"

#define STAT_KERNEL_THREAD \
    0x00200000ul /* PF_KTHREAD in include/linux/sched.h; the flags of /proc/PID/stat are these */

/* ---- /proc/PID/status: "Name:\tvalue" lines ----------------------------------------------------- */

/* The value of a line, NULL: it is another. */
static const char *value_of(const char *line, const char *name)
{
    size_t length = strlen(name);

    if (strncmp(line, name, length) != 0 || line[length] != ':')
        return NULL;
    line += length + 1;
    return line + strspn(line, "\t ");
}

/* The last of some numbers, of which the kernel writes one for each nested namespace. */
static pid_t last_number(const char *text)
{
    long number = 0;
    char *end;

    for (;;) {
        long next = strtol(text, &end, 10);

        if (end == text)
            return (pid_t)number;
        number = next;
        text = end;
    }
}

static void take_status_line(const char *line, ProcessIdentity *identity)
{
    const char *value;

    if ((value = value_of(line, "Name"))) {
        size_t length = strcspn(value, "\n");

        length = length < sizeof(identity->name) ? length : sizeof(identity->name) - 1;
        memcpy(identity->name, value, length);
        identity->name[length] = '\0';
    } else if ((value = value_of(line, "State"))) {
        identity->zombie = *value == 'Z' || *value == 'X';
    } else if ((value = value_of(line, "Tgid"))) {
        identity->thread_group = last_number(value);
    } else if ((value = value_of(line, "PPid"))) {
        identity->parent = last_number(value);
    } else if ((value = value_of(line, "NSpid"))) {
        identity->namespace_pid = last_number(value);
    } else if ((value = value_of(line, "Uid"))) {
        char *rest;
        uid_t real = (uid_t)strtoul(value, &rest, 10), saved;

        identity->user = (uid_t)strtoul(rest, &rest, 10);
        saved = (uid_t)strtoul(rest, NULL, 10);
        identity->one_user = real == identity->user && saved == identity->user;
    }
}

/* Reading may fail, and not only opening: the process ended meanwhile. */
static int read_error(FILE *file)
{
    int error = ferror(file) ? -errno : 0;

    (void)fclose(file);
    return error;
}

static int open_error(void)
{
    return errno == ENOENT ? -ESRCH : -errno;
}

static int read_status(pid_t pid, ProcessIdentity *identity)
{
    char path[64], line[512];
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return open_error();
    while (fgets(line, sizeof(line), file))
        take_status_line(line, identity);
    return read_error(file);
}

/* The ninth field of /proc/PID/stat; the second, the name in parentheses, may hold anything. */
static int read_flags(pid_t pid, ProcessIdentity *identity)
{
    char path[64], text[1024];
    const char *at;
    FILE *file;
    size_t size;
    int error;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return open_error();
    size = fread(text, 1, sizeof(text) - 1, file);
    error = read_error(file);
    text[size] = '\0';
    at = strrchr(text, ')');
    for (int field = 2; at && field < 9; field++) {
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    if (at)
        identity->kernel_thread = (strtoul(at, NULL, 10) & STAT_KERNEL_THREAD) != 0;
    else if (!error)
        error = -EPROTO;
    return error;
}

int opener_here_identity(pid_t pid, ProcessIdentity *identity_out)
{
    ProcessIdentity identity = {.pid = pid, .thread_group = pid, .namespace_pid = pid};
    char path[64];
    struct stat status;
    int error = read_status(pid, &identity);

    if (!error)
        error = read_flags(pid, &identity);
    if (error)
        return error;
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
    if (stat(path, &status) == 0)
        identity.pid_namespace = status.st_ino;
    *identity_out = identity;
    return 0;
}

int process_identity_read(pid_t pid, ProcessIdentity *identity_out)
{
    return opener_is_used() ? opener_identity(pid, identity_out) : opener_here_identity(pid, identity_out);
}

/* ---- children ---------------------------------------------------------------------------------- */

int pid_list_add(PidList *list, pid_t pid)
{
    int error;

    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i] == pid)
            return 0;
    }
    error = array_reserve_one(&list->items, &list->capacity, list->count, sizeof(list->items[0]));
    if (!error)
        list->items[list->count++] = pid;
    return error;
}

void pid_list_fini(PidList *list)
{
    free(list->items);
    *list = (PidList){0};
}

/* Of one thread: those that it made itself, with those of ended threads that came to it. */
static int list_children_of(pid_t pid, const char *thread, PidList *children)
{
    char path[320];
    FILE *file;
    int error = 0;
    long child;

    (void)snprintf(path, sizeof(path), "/proc/%d/task/%s/children", (int)pid, thread);
    file = fopen(path, "re");
    if (!file)
        return 0;
    while (!error && fscanf(file, "%ld", &child) == 1) /* NOLINT(cert-err34-c): the kernel's own numbers */
        error = pid_list_add(children, (pid_t)child);
    (void)fclose(file);
    return error;
}

int process_list_children(pid_t pid, PidList *children)
{
    char path[64];
    struct dirent *entry;
    DIR *threads;
    int error = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    threads = opendir(path);
    if (!threads)
        return 0;
    while (!error && (entry = readdir(threads))) {
        if (entry->d_name[0] != '.')
            error = list_children_of(pid, entry->d_name, children);
    }
    (void)closedir(threads);
    return error;
}
