/* SPDX-License-Identifier: MIT */
/* What a recording prints when it is over. */
#ifndef ADA_CLI_SUMMARY_H
#define ADA_CLI_SUMMARY_H

#include <stdio.h>

#include "user/collector/session.h"

typedef struct RecordSummary {
    const char *path;
    const char *command;
    int exit_status; /* of the command */
    bool attached;   /* there was no command: processes that ran already */
    SessionResult result;
} RecordSummary;

/* A few lines for a person. */
void summary_print(const RecordSummary *summary, FILE *out);

/* One line with one JSON object, "version": 1. */
void summary_print_json(const RecordSummary *summary, FILE *out);

#endif
