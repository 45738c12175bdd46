/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/control_peer.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* linux/socket.h of Linux 6.5 */
#endif

#define GROUPS_USUAL 64u       /* how many groups are asked for at first */
#define GROUP_ENTRY_MAX 65536u /* bytes of a line of group(5) */

static bool is_in(const gid_t *groups, size_t count, gid_t group)
{
    for (size_t i = 0; i < count; i++) {
        if (groups[i] == group)
            return true;
    }
    return false;
}

/* Whether the group is one of the peer's supplementary ones. 1, 0, or -errno. */
static int is_supplementary(int connection, gid_t group)
{
    gid_t usual[GROUPS_USUAL];
    socklen_t size = sizeof(usual);
    gid_t *groups;
    int result;

    if (getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, usual, &size) == 0)
        return is_in(usual, size / sizeof(gid_t), group);
    if (errno != ERANGE)
        return -errno;
    groups = malloc(size); /* as many as it is said to need: 65,536 groups at most */
    if (!groups)
        return -ENOMEM;
    if (getsockopt(connection, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0)
        result = is_in(groups, size / sizeof(gid_t), group);
    else
        result = -errno;
    free(groups);
    return result;
}

/* 1, 0, or -errno. */
static int is_privileged(int connection, const struct ucred *credentials, gid_t control_group)
{
    if (credentials->uid == 0 || credentials->uid == geteuid())
        return 1;
    if (control_group == CONTROL_NO_GROUP)
        return 0;
    return credentials->gid == control_group ? 1 : is_supplementary(connection, control_group);
}

int control_peer_of(int connection, gid_t control_group, ControlPeer *peer_out)
{
    struct ucred credentials;
    socklen_t size = sizeof(credentials);
    int pidfd = -1;
    int privileged;

    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
        return -errno;
    privileged = is_privileged(connection, &credentials, control_group);
    if (privileged < 0)
        return privileged;
    size = sizeof(pidfd);
    if (getsockopt(connection, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) < 0)
        pidfd = -1;
    *peer_out = (ControlPeer){credentials.pid, pidfd, credentials.uid, privileged == 1};
    return 0;
}

gid_t control_group_find(const char *name)
{
    char *text = malloc(GROUP_ENTRY_MAX);
    struct group entry, *found = NULL;
    gid_t group = CONTROL_NO_GROUP;

    if (text && getgrnam_r(name, &entry, text, GROUP_ENTRY_MAX, &found) == 0 && found)
        group = found->gr_gid;
    free(text);
    return group;
}

const char *control_privileged_option(const ControlRequest *request)
{
    /* What is not here needs rights: so does a key that is new. */
    static const char *const harmless[] = {
        "detail",      "mark",        "mark_wakers",     "sched",    "syscalls",  "scheduler",
        "weight",      "policy",      "threads",         "index",    "ring_size", "compress",
        "rotate_size", "rotate_time", "flight_recorder", "pre_roll", "post_roll",
    };

    for (size_t i = 0; i < request->option_count; i++) {
        bool known = false;

        for (size_t k = 0; k < sizeof(harmless) / sizeof(harmless[0]); k++)
            known = known || strcmp(request->options[i].key, harmless[k]) == 0;
        if (!known)
            return request->options[i].key;
    }
    return NULL;
}

/* ---- how often a user may ask ----------------------------------------------------------------- */

/* The user's bucket; one that is new is full. */
static uint32_t bucket_of(ControlRates *rates, uid_t uid, uint64_t now)
{
    uint32_t oldest = 0;

    for (uint32_t i = 0; i < rates->count; i++) {
        if (rates->users[i].uid == uid)
            return i;
        if (rates->users[i].at < rates->users[oldest].at)
            oldest = i;
    }
    if (rates->count < CONTROL_RATE_USERS)
        oldest = rates->count++;
    rates->users[oldest].uid = uid;
    rates->users[oldest].tokens = rates->burst;
    rates->users[oldest].at = now;
    return oldest;
}

bool control_rates_take(ControlRates *rates, uid_t uid, uint64_t now)
{
    uint32_t i = bucket_of(rates, uid, now);
    double tokens = rates->users[i].tokens + (double)(now - rates->users[i].at) / 1e9 * rates->rate;

    if (tokens > rates->burst)
        tokens = rates->burst;
    rates->users[i].at = now;
    rates->users[i].tokens = tokens < 1 ? tokens : tokens - 1;
    return tokens >= 1;
}
