/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/service_manager.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#if ADA_HAVE_SYSTEMD
#include <systemd/sd-daemon.h>

void service_manager_notify(const char *state)
{
    (void)sd_notify(0, state); /* a manager that is gone needs no word */
}

uint64_t service_manager_watchdog_ns(void)
{
    uint64_t us = 0;

    return sd_watchdog_enabled(0, &us) > 0 ? us * 1000 : 0;
}

ManagerDescriptor *service_manager_take_descriptors(size_t *count_out)
{
    ManagerDescriptor *descriptors = NULL;
    char **names = NULL;
    int count = sd_listen_fds_with_names(1, &names);

    *count_out = 0;
    if (count > 0)
        descriptors = calloc((size_t)count, sizeof(*descriptors));
    for (int i = 0; i < count; i++) {
        if (descriptors) {
            descriptors[i].fd = SD_LISTEN_FDS_START + i;
            (void)snprintf(descriptors[i].name, sizeof(descriptors[i].name), "%s", names[i]);
        }
        free(names[i]);
    }
    free(names);
    if (descriptors)
        *count_out = (size_t)count;
    return descriptors;
}

int service_manager_store(const char *name, int fd)
{
    char state[300];
    int result;

    (void)snprintf(state, sizeof(state), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
    result = sd_pid_notify_with_fds(0, 0, state, &fd, 1);
    return result > 0 ? 0 : result == 0 ? -ENOSYS : result;
}

void service_manager_remove(const char *name)
{
    char state[300];

    (void)snprintf(state, sizeof(state), "FDSTOREREMOVE=1\nFDNAME=%s", name);
    (void)sd_notify(0, state);
}

#else

void service_manager_notify(const char *state)
{
    (void)state;
}

uint64_t service_manager_watchdog_ns(void)
{
    return 0;
}

ManagerDescriptor *service_manager_take_descriptors(size_t *count_out)
{
    *count_out = 0;
    return NULL;
}

int service_manager_store(const char *name, int fd)
{
    (void)name;
    (void)fd;
    return -ENOSYS;
}

void service_manager_remove(const char *name)
{
    (void)name;
}

#endif
