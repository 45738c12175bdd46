/* SPDX-License-Identifier: MIT */
/*
 * Names of events. A call site's ada_event gets its id once per process image; the descriptor is kept in a
 * private table, so that the child of a fork can fill its own segment, and in the segment's table, where
 * the collector reads it. Two threads may register the same call site at once: one id wins, the other
 * entry stays unused.
 */
#include <string.h>

#include "user/client/client.h"

static AdaEventDescriptor descriptors[ADA_EVENTS_MAX]; /* in .bss: pages appear as they are used */
static uint32_t descriptor_count; /* handed out; may exceed ADA_EVENTS_MAX by refused ones */

static void copy_name(char *to, const char *from, size_t size)
{
    size_t i = 0;

    for (; from && from[i] && i < size - 1; i++)
        to[i] = from[i];
    to[i] = '\0';
}

static void fill_descriptor(AdaEventDescriptor *descriptor, const ada_event *event, uint32_t id)
{
    uint32_t fields = event->field_count < ADA_EVENT_FIELDS_MAX ? event->field_count : ADA_EVENT_FIELDS_MAX;

    descriptor->id = id;
    descriptor->kind = event->kind;
    descriptor->field_count = fields;
    copy_name(descriptor->name, event->name, sizeof(descriptor->name));
    for (uint32_t i = 0; i < fields; i++) {
        copy_name(descriptor->fields[i].name, event->fields[i].name, sizeof(descriptor->fields[i].name));
        descriptor->fields[i].type = (uint8_t)event->fields[i].type;
    }
}

static void publish(const Segment *segment, const AdaEventDescriptor *descriptor)
{
    AdaEventDescriptor *entry = segment_event(segment, descriptor->id - 1);

    memcpy(entry, descriptor, sizeof(*entry));
    /* Pairs with the collector's acquire: grants the entry. */
    ada_store_release(&entry->ready, 1u);
}

/* Threads that register at once may come here in any order, and be killed before they do: the collector looks at all ids up to this. */
static void raise_count(uint32_t *count, uint32_t id)
{
    uint32_t seen = ada_load_relaxed(count);

    while (seen < id && !ada_compare_exchange_acq_rel(count, &seen, id))
        ;
}

uint32_t client_event_register(ada_event *event)
{
    const Segment *segment = client_segment();
    uint32_t expected = 0;
    uint32_t id;

    if (!segment || ada_load_relaxed(&descriptor_count) >= ADA_EVENTS_MAX)
        return 0;
    id = ada_fetch_add_relaxed(&descriptor_count, 1u) + 1;
    if (id > ADA_EVENTS_MAX)
        return 0;
    fill_descriptor(&descriptors[id - 1], event, id);
    publish(segment, &descriptors[id - 1]);
    ada_store_release(&descriptors[id - 1].ready, 1u); /* pairs with client_events_publish() */
    raise_count(&segment->header->event_count, id);
    /* Who reads the id (acquire in emit.c) writes events that the collector sees after the entry. */
    return ada_compare_exchange_acq_rel(&event->id, &expected, id) ? id : expected;
}

void client_events_publish(const Segment *segment)
{
    uint32_t count = ada_load_relaxed(&descriptor_count);

    if (count > ADA_EVENTS_MAX)
        count = ADA_EVENTS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        if (ada_load_acquire(&descriptors[i].ready)) { /* pairs with client_event_register() */
            AdaEventDescriptor copy = descriptors[i];

            copy.ready = 0;
            publish(segment, &copy);
        }
    }
    ada_store_relaxed(&segment->header->event_count, count);
}
