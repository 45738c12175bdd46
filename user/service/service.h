/* SPDX-License-Identifier: MIT */
/*
 * The service: one thread that has the sockets, the signals and the table of sessions. Each session records in threads of its own,
 * so nothing here delays a drain.
 *
 * TERM and INT: all sessions drain and end; again: it ends at once. HUP: the configuration is read again. USR2: snapshots.
 */
#ifndef ADA_SERVICE_SERVICE_H
#define ADA_SERVICE_SERVICE_H

#include <stdbool.h>

#define SERVICE_STOP_NS 5000000000ull /* how long sessions have to end */

typedef struct ServiceOptions {
    const char *config_path;
    bool verbose;
} ServiceOptions;

/* Runs to the end. The exit status: 0, or 1 with the reason logged. */
int service_run(const ServiceOptions *options);

#endif
