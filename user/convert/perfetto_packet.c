/* SPDX-License-Identifier: MIT */
#include "user/convert/perfetto_packet.h"

#include "user/base/utf8.h"

#define SEQUENCE 1u
#define STATE_CLEARED 1u
#define NEEDS_STATE 2u
#define PACKET_TAG 0x0a /* field 1 of Trace, length-delimited */
#define LENGTH_BYTES \
    4u /* of a length, which is padded: that is as good a varint, and need not be known before */

/* Categories are the kinds of events; number 1 is the first. */
static const char *const categories[] = {"none",    "function", "function", "span", "span",
                                         "instant", "counter",  "typed",    "mark", "adatrace"};
_Static_assert(sizeof(categories) / sizeof(categories[0]) == ADA_KIND_COUNT + 1, "one for each kind, and ours");

void perfetto_writer_init(PerfettoWriter *writer, OutBuffer *out)
{
    *writer = (PerfettoWriter){.out = out, .forget = true};
    writer->event_names[0] = &writer->event_name;
    for (size_t i = 0; i < PERFETTO_ANNOTATIONS_MAX; i++)
        writer->annotation_names[i] = &writer->annotation_name[i];
    perfetto__interned_data__init(&writer->interned);
}

void perfetto_writer_fini(PerfettoWriter *writer)
{
    id_map_fini(&writer->events.numbers);
    id_map_fini(&writer->annotations.numbers);
}

static void forget_names(PerfettoNames *names)
{
    names->forgotten += names->numbers.count;
    id_map_clear(&names->numbers);
}

/* 1: it is new and must be told; 0; -ENOMEM. */
static int number_name(PerfettoNames *names, const void *owner, uint64_t key, uint64_t *number_out)
{
    uint32_t number;
    int got = id_map_add(&names->numbers, (uint64_t)(uintptr_t)owner, key, &number);

    *number_out = names->forgotten + number + 1;
    return got;
}

static void set_name(Perfetto__InternedName *entry, uint64_t number, char *text)
{
    perfetto__interned_name__init(entry);
    entry->has_iid = true;
    entry->iid = number;
    entry->name = text;
}

void perfetto_writer_begin_names(PerfettoWriter *writer)
{
    if (writer->events.numbers.count >= PERFETTO_NAMES_MAX ||
        writer->annotations.numbers.count >= PERFETTO_NAMES_MAX) {
        forget_names(&writer->events);
        forget_names(&writer->annotations);
        writer->forget = true;
    }
}

int perfetto_writer_event_name(PerfettoWriter *writer, const void *owner, uint64_t key, const char *name,
                               size_t length, uint64_t *number_out)
{
    int got = number_name(&writer->events, owner, key, number_out);

    if (got <= 0)
        return got;
    (void)utf8_clean(writer->event_text, name, length);
    set_name(&writer->event_name, *number_out, writer->event_text);
    writer->interned.event_names = writer->event_names;
    writer->interned.n_event_names = 1;
    return 0;
}

int perfetto_writer_annotation_name(PerfettoWriter *writer, const void *owner, uint64_t key, const char *name,
                                    uint64_t *number_out)
{
    size_t place = writer->interned.n_debug_annotation_names;
    int got = number_name(&writer->annotations, owner, key, number_out);

    if (got <= 0)
        return got;
    (void)utf8_clean(writer->annotation_text[place], name, strnlen(name, ADA_FIELD_NAME_SIZE));
    set_name(&writer->annotation_name[place], *number_out, writer->annotation_text[place]);
    writer->interned.debug_annotation_names = writer->annotation_names;
    writer->interned.n_debug_annotation_names = place + 1;
    return 0;
}

/* Categories are told whenever names begin anew, in a packet of their own. */
static void pack(PerfettoWriter *writer, const Perfetto__TracePacket *packet)
{
    uint8_t *at = (uint8_t *)out_reserve(writer->out, OUT_RESERVE_MAX);
    size_t size = perfetto__trace_packet__pack(packet, at + 1 + LENGTH_BYTES);

    at[0] = PACKET_TAG;
    for (uint32_t i = 0; i < LENGTH_BYTES; i++)
        at[1 + i] = (uint8_t)((size >> 7 * i & 0x7f) | (i + 1 < LENGTH_BYTES ? 0x80 : 0));
    out_take(writer->out, 1 + LENGTH_BYTES + size);
}

static void put_categories(PerfettoWriter *writer)
{
    enum { COUNT = sizeof(categories) / sizeof(categories[0]) };
    Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;
    Perfetto__InternedData interned = PERFETTO__INTERNED_DATA__INIT;
    Perfetto__InternedName names[COUNT], *pointers[COUNT];

    for (size_t i = 0; i < COUNT; i++) {
        set_name(&names[i], i + 1, (char *)categories[i]);
        pointers[i] = &names[i];
    }
    interned.event_categories = pointers;
    interned.n_event_categories = COUNT;
    packet.interned_data = &interned;
    packet.has_trusted_packet_sequence_id = true;
    packet.trusted_packet_sequence_id = SEQUENCE;
    packet.has_sequence_flags = true;
    packet.sequence_flags = STATE_CLEARED;
    packet.has_first_packet_on_sequence = packet.first_packet_on_sequence = !writer->begun;
    pack(writer, &packet);
    writer->begun = true;
    writer->forget = false;
}

void perfetto_writer_put(PerfettoWriter *writer, Perfetto__TracePacket *packet)
{
    if (writer->forget)
        put_categories(writer);
    packet->has_trusted_packet_sequence_id = true;
    packet->trusted_packet_sequence_id = SEQUENCE;
    if (packet->track_event) {
        packet->has_sequence_flags = true;
        packet->sequence_flags = NEEDS_STATE;
    }
    if (writer->interned.n_event_names > 0 || writer->interned.n_debug_annotation_names > 0)
        packet->interned_data = &writer->interned;
    pack(writer, packet);
    if (packet->interned_data)
        perfetto__interned_data__init(&writer->interned);
}
