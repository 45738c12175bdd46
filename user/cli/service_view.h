/* SPDX-License-Identifier: MIT */
/* What the service tells of itself and its sessions (docs/control-protocol.md), for people; to stdout. */
#ifndef ADA_CLI_SERVICE_VIEW_H
#define ADA_CLI_SERVICE_VIEW_H

#include <cjson/cJSON.h>
#include <stdbool.h>

/* One line. */
void service_view_service(const cJSON *service);

/* A table with one line for each session. */
void service_view_list(const cJSON *sessions);

/* Some lines about one session. */
void service_view_session(const cJSON *session);

/* A result as one JSON object on one line. False: no memory. */
bool service_view_json(const cJSON *result);

/* Texts of the service, for a terminal: what is missing is "-", control characters are '?'. */
void service_view_text(const cJSON *item);

#endif
