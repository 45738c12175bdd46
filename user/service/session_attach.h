/* SPDX-License-Identifier: MIT */
/*
 * Which processes a session attaches to, as `attach` says it:
 *
 *     all                                every process that uses libadatrace
 *     pid=N[,N...]                       these
 *     CONDITION[,CONDITION...]           those of which all of these are so, each at most once:
 *         name=GLOB, user=NAME           as for DiscoverRules
 *         cgroup=GLOB                    the same
 *         unit=NAME                      in the control group of that systemd unit, or below it; of a service, `.service` need
 *                                        not be said. Not together with cgroup.
 *
 * Of several lines one is enough.
 */
#ifndef ADA_SERVICE_SESSION_ATTACH_H
#define ADA_SERVICE_SESSION_ATTACH_H

#include "user/collector/discover_rule.h"
#include "user/service/text_list.h"

#define SESSION_ATTACH_LINES_MAX 256u
#define SESSION_PIDS_MAX 1024u

/* Starts as {0}. */
typedef struct SessionAttach {
    PidList pids;
    DiscoverRules rules; /* a condition `unit` makes two: its control group, and those below */
    TextList texts;      /* the lines as they were given */
} SessionAttach;

/* 0; -EINVAL: `text` is none, and *why_out (static) says why; -ENOMEM. On failure what it holds is not defined, but can be freed. */
int session_attach_add(SessionAttach *attach, const char *text, const char **why_out);
void session_attach_fini(SessionAttach *attach);

#endif
