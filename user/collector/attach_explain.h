/* SPDX-License-Identifier: MIT */
/* Why a process could not be attached to, for the user. */
#ifndef ADA_COLLECTOR_ATTACH_EXPLAIN_H
#define ADA_COLLECTOR_ATTACH_EXPLAIN_H

#include "user/collector/attach.h"

typedef struct AttachExplanation {
    char text[320]; /* "cannot attach to process 12 (name): why; what to do" */
} AttachExplanation;

void attach_explain(pid_t pid, const AttachFailure *failure, AttachExplanation *why);

#endif
