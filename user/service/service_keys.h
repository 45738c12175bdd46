/* SPDX-License-Identifier: MIT */
/* The keys of both kinds of sections, in the order in which they are written. */
#ifndef ADA_SERVICE_SERVICE_KEYS_H
#define ADA_SERVICE_SERVICE_KEYS_H

#include "user/service/config_key.h"
#include "user/service/service_config.h"

#define CONFIG_KEYS_MAX 32u /* of a section */

extern const ConfigKey service_keys[]; /* of ServiceConfig */
extern const size_t service_key_count;

extern const ConfigKey session_keys[]; /* of ServiceSession */
extern const size_t session_key_count;

void service_session_fini(ServiceSession *session);

#endif
