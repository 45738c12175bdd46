/* SPDX-License-Identifier: MIT */
/*
 * What systemd and the service tell each other. Without libsystemd, or where the service was started some other way, nothing is
 * told and nothing is had.
 */
#ifndef ADA_SERVICE_SERVICE_MANAGER_H
#define ADA_SERVICE_SERVICE_MANAGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lines as sd_notify(3) has them: "READY=1", "STATUS=...". */
void service_manager_notify(const char *state);

/* How often "WATCHDOG=1" is awaited, in ns; 0: not at all. */
uint64_t service_manager_watchdog_ns(void);

typedef struct ManagerDescriptor {
    int fd;
    char name[256]; /* FileDescriptorName= of the socket, or as it was stored */
} ManagerDescriptor;

/*
 * The descriptors that came with the start: sockets, and what a process before this one had stored. To be asked once; all are
 * close-on-exec. An allocated array, or NULL: none.
 */
ManagerDescriptor *service_manager_take_descriptors(size_t *count_out);

/* Has a descriptor kept for the service that comes after this one, until it is removed. 0, -errno; -ENOSYS: nobody keeps it. */
int service_manager_store(const char *name, int fd);
void service_manager_remove(const char *name);

#endif
