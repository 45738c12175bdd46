/* SPDX-License-Identifier: MIT */
/* `adatrace attach --service`: the options as those of a session of adatraced.conf(5), as they were given, for the service to judge. */
#ifndef ADA_CLI_ATTACH_SERVICE_H
#define ADA_CLI_ATTACH_SERVICE_H

#include "user/collector/discover_rule.h"

#define ATTACH_SERVICE_OPTIONS_MAX 512u

typedef struct AttachServiceOption {
    const char *key;
    const char *value; /* of argv */
} AttachServiceOption;

/* Starts as {0}. */
typedef struct AttachService {
    bool wanted;        /* --service */
    const char *socket; /* --socket; NULL: not given */
    const char *name;   /* --name; the same */
    bool json;
    const char *unfit; /* the first option that the service cannot have; NULL: none */
    size_t count;
    AttachServiceOption options[ATTACH_SERVICE_OPTIONS_MAX];
} AttachService;

/* Notes an option of `attach` other than -p and those above, by its long name; NULL: it has no argument. */
void attach_service_note(AttachService *service, const char *long_name, const char *argument);

/* Asks the service for the session, and prints its name and directory. The exit status, with the error said. */
int attach_service_run(const AttachService *service, const PidList *pids);

#endif
