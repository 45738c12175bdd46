/* SPDX-License-Identifier: MIT */
#include "user/report/event_name.h"

#include <string.h>

#define STANDS_FOR_ITSELF UINT32_MAX /* whatever its id */

/* FNV-1a */
static uint64_t hash_name(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return hash;
}

/* The value for `ids` of an event that is asked for the first time. 0 or -ENOMEM. */
static int find_first(EventNames *names, const AdatReader *reader, const AdatProcessInfo *process,
                      uint64_t id, uint32_t *value_out)
{
    uint32_t number = process->process.process, first;
    const AdaEventDescriptor *descriptor = adat_reader_descriptor(reader, number, id), *other;
    uint64_t hash;

    *value_out = STANDS_FOR_ITSELF;
    if (!descriptor || id == 0 || id >= STANDS_FOR_ITSELF)
        return 0;
    hash = hash_name(descriptor->name);
    first = key_map_find(&names->names, (uintptr_t)process, hash, 0);
    if (first == 0)
        return key_map_set(&names->names, (uintptr_t)process, hash, 0, (uint32_t)id);
    other = adat_reader_descriptor(reader, number, first);
    if (other && strcmp(other->name, descriptor->name) == 0)
        *value_out = first;
    return 0;
}

int event_names_get(EventNames *names, const AdatReader *reader, const AdatProcessInfo *process, uint64_t id,
                    uint64_t *id_out)
{
    uint32_t value = key_map_find(&names->ids, (uintptr_t)process, id, 0);

    if (value == 0) {
        int err = find_first(names, reader, process, id, &value);

        if (!err)
            err = key_map_set(&names->ids, (uintptr_t)process, id, 0, value);
        if (err)
            return err;
    }
    *id_out = value == STANDS_FOR_ITSELF ? id : value;
    return 0;
}

void event_names_fini(EventNames *names)
{
    key_map_fini(&names->ids);
    key_map_fini(&names->names);
}
