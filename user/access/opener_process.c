/* SPDX-License-Identifier: MIT */
/* Questions about other processes. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include "user/access/opener_client.h"

int opener_identity(pid_t pid, ProcessIdentity *identity_out)
{
    const OpenerRequest request = {.operation = OPENER_IDENTITY, .pid = pid};
    OpenerReply reply;
    int error = opener_ask(-1, &request, -1, &reply, NULL);

    if (!error)
        *identity_out = reply.identity;
    return error;
}

int opener_find(pid_t pid, bool by_tasks, SegmentPlaces *places_out)
{
    const OpenerRequest request = {.operation = OPENER_FIND, .pid = pid, .flag = by_tasks};
    OpenerReply reply;
    int error = opener_ask(-1, &request, -1, &reply, NULL);

    if (!error)
        *places_out = reply.places;
    return error;
}

int opener_open(pid_t pid, const SegmentPlace *place)
{
    const OpenerRequest request = {.operation = OPENER_OPEN, .pid = pid, .place = *place};
    OpenerReply reply;

    return opener_ask_descriptor(&request, -1, &reply);
}

int opener_take(int pidfd, pid_t pid, int number)
{
    const OpenerRequest request = {.operation = OPENER_TAKE, .pid = pid, .place = {.number = number}};
    OpenerReply reply;

    return opener_ask_descriptor(&request, pidfd, &reply);
}

bool opener_any(pid_t pid)
{
    const OpenerRequest request = {.operation = OPENER_ANY, .pid = pid};
    OpenerReply reply;

    return opener_ask(-1, &request, -1, &reply, NULL) == 0 && reply.yes != 0;
}

bool opener_has(pid_t pid, const SegmentPlace *place)
{
    const OpenerRequest request = {.operation = OPENER_HAS, .pid = pid, .place = *place};
    OpenerReply reply;

    return opener_ask(-1, &request, -1, &reply, NULL) != 0 || reply.yes != 0;
}

void opener_program(pid_t pid, char *path, size_t size)
{
    const OpenerRequest request = {.operation = OPENER_PROGRAM, .pid = pid};
    OpenerReply reply;

    path[0] = '\0';
    if (opener_ask(-1, &request, -1, &reply, NULL) == 0)
        (void)snprintf(path, size, "%s", reply.text);
}
