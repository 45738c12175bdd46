/* SPDX-License-Identifier: MIT */
/*
 * Who is at the other end of a control connection, as the kernel attests it for the moment of its connect(2), and what that
 * one may do. What messages say of it does not count.
 */
#ifndef ADA_SERVICE_CONTROL_PEER_H
#define ADA_SERVICE_CONTROL_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "user/service/control_request.h"

#define CONTROL_NO_GROUP ((gid_t)-1)

typedef struct ControlPeer {
    pid_t pid; /* in our pid namespace; 0: it is in another. May be another process's by now */
    int pidfd; /* of that very process; -1: it cannot be had (before Linux 6.5, or it has ended) */
    uid_t uid;
    bool privileged; /* root, the service's own user, or a member of the control group: may do everything */
} ControlPeer;

/* Asks the kernel about a connected socket. 0, and the peer's pidfd is the caller's to close; errors of getsockopt(2); -ENOMEM. */
int control_peer_of(int connection, gid_t control_group, ControlPeer *peer_out);

/* The group's number; CONTROL_NO_GROUP: there is none of that name. May read files, so only before the service runs. */
gid_t control_group_find(const char *name);

/* Whether the peer may do something to what belongs to `owner`, a session or a process. */
static inline bool control_peer_owns(const ControlPeer *peer, uid_t owner)
{
    return peer->privileged || peer->uid == owner;
}

/*
 * The first option of CONTROL_ATTACH that needs a privileged peer, or NULL: those that name files, programs, or processes by
 * condition, or that are about the disk as a whole.
 */
const char *control_privileged_option(const ControlRequest *request);

/* ---- how often a user may ask ----------------------------------------------------------------- */

#define CONTROL_RATE_USERS 128u /* are kept; the one that has asked least lately gives way */

/* A bucket of tokens for each user: `rate` come in a second, up to `burst`. Starts with those two set, the rest 0. */
typedef struct ControlRates {
    uint32_t rate;
    uint32_t burst;
    uint32_t count;
    struct {
        uid_t uid;
        double tokens;
        uint64_t at; /* when they were so many; ns */
    } users[CONTROL_RATE_USERS];
} ControlRates;

/* Takes a token of the user's. False: there is none. `now` in ns, never less than before. */
bool control_rates_take(ControlRates *rates, uid_t uid, uint64_t now);

#endif
