/* SPDX-License-Identifier: MIT */
#include "user/file/event_pack.h"

#include <string.h>

/* The short form's id and word in one: id | kind << 16 | flags << 20 | depth << 24. */
#define SHORT_ID_MAX 0xffffu
#define SHORT_KIND_MAX 0xfu
#define SHORT_FLAGS_MAX 0xfu
#define SHORT_DEPTH_MAX 0xffu

typedef struct ShortEvent {
    uint32_t delta; /* ticks since the event before */
    uint32_t id_and_word;
    uint64_t argument;
} ShortEvent;
_Static_assert(sizeof(ShortEvent) == 16, "part of the file format");

typedef struct LongEvent {
    uint32_t delta;
    uint32_t word;
    uint64_t id;
    uint64_t argument;
} LongEvent;
_Static_assert(sizeof(LongEvent) == 24, "part of the file format");

size_t event_pack_size(uint16_t flags)
{
    if (flags & ADAT_FLAG_PACKED_SHORT)
        return sizeof(ShortEvent);
    return flags & ADAT_FLAG_PACKED_LONG ? sizeof(LongEvent) : sizeof(AdaIndexEvent);
}

uint16_t event_pack_wider(uint16_t form)
{
    return form == ADAT_FLAG_PACKED_SHORT ? ADAT_FLAG_PACKED_LONG : 0;
}

/* Both forms' conditions: any bit beyond what the form holds. One branch per event. */
static uint32_t pack_short(const AdaIndexEvent *events, uint32_t count, uint64_t *time, char *out)
{
    uint64_t before = *time;
    uint32_t i;

    for (i = 0; i < count; i++) {
        const AdaIndexEvent *event = &events[i];
        uint32_t kind = ADA_WORD_KIND(event->word), flags = ADA_WORD_FLAGS(event->word);
        uint32_t depth = ADA_WORD_DEPTH(event->word);
        uint64_t delta = event->timestamp - before;
        ShortEvent packed = {
            .delta = (uint32_t)delta,
            .id_and_word = (uint32_t)event->id | kind << 16 | flags << 20 | depth << 24,
            .argument = event->argument,
        };

        if (delta > UINT32_MAX || event->id > SHORT_ID_MAX || kind > SHORT_KIND_MAX ||
            flags > SHORT_FLAGS_MAX || depth > SHORT_DEPTH_MAX || event->link != 0)
            break;
        memcpy(out + (size_t)i * sizeof(packed), &packed, sizeof(packed));
        before = event->timestamp;
    }
    *time = before;
    return i;
}

static uint32_t pack_long(const AdaIndexEvent *events, uint32_t count, uint64_t *time, char *out)
{
    uint64_t before = *time;
    uint32_t i;

    for (i = 0; i < count; i++) {
        const AdaIndexEvent *event = &events[i];
        uint64_t delta = event->timestamp - before;
        LongEvent packed = {
            .delta = (uint32_t)delta, .word = event->word, .id = event->id, .argument = event->argument};

        if (delta > UINT32_MAX || event->link != 0)
            break;
        memcpy(out + (size_t)i * sizeof(packed), &packed, sizeof(packed));
        before = event->timestamp;
    }
    *time = before;
    return i;
}

uint32_t event_pack(uint16_t form, const AdaIndexEvent *events, uint32_t count, uint64_t *time, void *out)
{
    if (form == ADAT_FLAG_PACKED_SHORT)
        return pack_short(events, count, time, out);
    if (form == ADAT_FLAG_PACKED_LONG)
        return pack_long(events, count, time, out);
    if (count > 0) {
        memcpy(out, events, (size_t)count * sizeof(*events));
        *time = events[count - 1].timestamp;
    }
    return count;
}

static void unpack_short(uint64_t time, const char *payload, uint32_t count, AdaIndexEvent *events)
{
    for (uint32_t i = 0; i < count; i++) {
        ShortEvent packed;
        uint32_t word;

        memcpy(&packed, payload + (size_t)i * sizeof(packed), sizeof(packed));
        word = packed.id_and_word >> 16;
        time += packed.delta;
        events[i] = (AdaIndexEvent){
            .timestamp = time,
            .id = packed.id_and_word & SHORT_ID_MAX,
            .argument = packed.argument,
            .word = ADA_WORD(word & SHORT_KIND_MAX, word >> 4 & SHORT_FLAGS_MAX, word >> 8),
        };
    }
}

static void unpack_long(uint64_t time, const char *payload, uint32_t count, AdaIndexEvent *events)
{
    for (uint32_t i = 0; i < count; i++) {
        LongEvent packed;

        memcpy(&packed, payload + (size_t)i * sizeof(packed), sizeof(packed));
        time += packed.delta;
        events[i] = (AdaIndexEvent){
            .timestamp = time, .id = packed.id, .argument = packed.argument, .word = packed.word};
    }
}

void event_unpack(uint16_t flags, uint64_t first_time, const void *payload, uint32_t count,
                  AdaIndexEvent *events)
{
    if (flags & ADAT_FLAG_PACKED_SHORT)
        unpack_short(first_time, payload, count, events);
    else if (flags & ADAT_FLAG_PACKED_LONG)
        unpack_long(first_time, payload, count, events);
    else if (count > 0)
        memcpy(events, payload, (size_t)count * sizeof(*events));
}
