/* SPDX-License-Identifier: MIT */
/*
 * What a program is started with so that it records as a session wants it: NAME.env beside the announce socket, for
 * `EnvironmentFile=` of systemd.exec(5) and for shells. A process makes its shared memory before anybody attaches to it, so its rings and what
 * happens when they are full are decided then: the keys detail, policy, threads and ring_size are of such programs alone.
 */
#ifndef ADA_SERVICE_SESSION_ENVIRONMENT_H
#define ADA_SERVICE_SESSION_ENVIRONMENT_H

#include "user/service/service_config.h"

/* Writes the file, in place of the one before. 0; -ENAMETOOLONG; errors of open(2), write(2), rename(2), negative. */
int session_environment_write(const ServiceConfig *config, const ServiceSession *session);

/* Removes it, if it is there. */
void session_environment_remove(const ServiceConfig *config, const ServiceSession *session);

#endif
