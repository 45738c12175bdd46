/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/stored_segments.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/access/process_segments.h"
#include "user/base/array.h"
#include "user/collector/attach.h"
#include "user/collector/segment_claim.h"

#define PREFIX "segment/"

/* Copies up to the next slash. NULL: there is none, or no room. */
static const char *take_part(const char *text, char *part, size_t size)
{
    const char *slash = strchr(text, '/');

    if (!slash || (size_t)(slash - text) >= size)
        return NULL;
    memcpy(part, text, (size_t)(slash - text));
    part[slash - text] = '\0';
    return slash + 1;
}

bool stored_segments_take(StoredSegments *stored, const ManagerDescriptor *descriptor)
{
    StoredSegment segment = {.fd = descriptor->fd};
    const char *rest;

    if (strncmp(descriptor->name, PREFIX, strlen(PREFIX)) != 0)
        return false;
    rest = take_part(descriptor->name + strlen(PREFIX), segment.session, sizeof(segment.session));
    if (!rest || !take_part(rest, segment.key, sizeof(segment.key)) ||
        array_reserve_one(&stored->items, &stored->capacity, stored->count, sizeof(stored->items[0])) != 0)
        return false;
    memcpy(segment.name, descriptor->name, sizeof(segment.name));
    stored->items[stored->count++] = segment;
    return true;
}

void stored_segments_move(StoredSegments *from, const char *session, StoredSegments *to)
{
    for (size_t i = 0; i < from->count;) {
        if (strcmp(from->items[i].session, session) != 0 ||
            array_reserve_one(&to->items, &to->capacity, to->count, sizeof(to->items[0])) != 0) {
            i++;
            continue;
        }
        to->items[to->count++] = from->items[i];
        from->items[i] = from->items[--from->count];
    }
}

static void remove_at(StoredSegments *stored, size_t index)
{
    service_manager_remove(stored->items[index].name);
    segment_release(stored->items[index].fd);
    stored->items[index] = stored->items[--stored->count];
}

void stored_segments_note(StoredSegments *old, const char *session, const char *key, int fd)
{
    char name[256];

    (void)snprintf(name, sizeof(name), PREFIX "%s/%s/%d", session, key, (int)getpid());
    if (fd < 0) {
        service_manager_remove(name);
        return;
    }
    (void)service_manager_store(
        name, fd); /* without a store what a killed service had not drained goes with its process */
    for (size_t i = old->count; i-- > 0;) {
        if (strcmp(old->items[i].key, key) == 0)
            remove_at(old, i);
    }
}

bool stored_segment_is_alive(const StoredSegment *segment)
{
    long pid = strtol(segment->key, NULL, 10);
    ProcessIdentity identity = {.zombie = false};
    struct stat status;

    return pid > 0 && process_identity_read((pid_t)pid, &identity) != -ESRCH && !identity.zombie &&
           fstat(segment->fd, &status) == 0 &&
           process_segments_has((pid_t)pid, -1, status.st_dev, status.st_ino);
}

void stored_segments_fini(StoredSegments *stored)
{
    while (stored->count > 0)
        remove_at(stored, stored->count - 1);
    free(stored->items);
    *stored = (StoredSegments){0};
}
