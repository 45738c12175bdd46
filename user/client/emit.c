/* SPDX-License-Identifier: MIT */
/* The calls that record: from the public API to the calling thread's lanes. */
#include <errno.h>
#include <string.h>

#include "user/client/client.h"

#define DEPTH_MAX 0xffffu

/* The depth at which an event happens; spans and functions change it for those that follow. */
static inline __attribute__((always_inline)) uint32_t depth_of(uint32_t kind)
{
    uint32_t depth = ada_thread.depth;

    if (kind <= ADA_KIND_SPAN_END) { /* the kinds above it are points in time */
        if (kind == ADA_KIND_SPAN_BEGIN || kind == ADA_KIND_FUNCTION_ENTRY)
            ada_thread.depth = depth + 1;
        else if (depth > 0)
            ada_thread.depth = --depth;
    }
    return depth < DEPTH_MAX ? depth : DEPTH_MAX;
}

/* Everything but the common case: first event of a thread, ring full, nested in a handler, child of a fork. */
__attribute__((noinline, cold)) static int emit_index_slow(uint32_t word, uint64_t id, uint64_t argument,
                                                           uint32_t link)
{
    if (ada_thread.index.active->limit == 0) {
        int error = thread_register();

        if (error) {
            if (error != -EAGAIN)
                client_count_unregistered();
            return error == -EAGAIN ? error : -ENOBUFS;
        }
    }
    return lane_write_index_slow(&ada_thread.context->index, word, id, argument, link);
}

/* A handler wrote while the event was written, or the ring is watched. */
__attribute__((noinline, cold)) static int emit_settle_slow(void)
{
    ada_thread_context_t *context = ada_thread.context;

    if (context) /* else a handler forked meanwhile, and this is the child: the event is the parent's */
        lane_settle(&context->index);
    else
        ada_store_relaxed(&ada_thread.index.frame, (uintptr_t)0);
    return 0;
}

/* The whole path without its first question: which clock. Tail calls only, see lane_try_write_index(). */
static inline __attribute__((always_inline)) int emit_index_by(bool cycles, uint32_t word, uint64_t id,
                                                               uint64_t argument, uint32_t link)
{
    enum lane_write result = lane_try_write_index(&ada_thread.index, cycles, word, id, argument, link);

    if (__builtin_expect(result == LANE_WRITE_REFUSED, 0))
        return emit_index_slow(word, id, argument, link);
    if (__builtin_expect(result == LANE_WRITE_REST, 0))
        return emit_settle_slow();
    return 0;
}

/* Where the cycle counter is not invariant. */
__attribute__((noinline)) static int emit_index_monotonic(uint32_t word, uint64_t id, uint64_t argument,
                                                          uint32_t link)
{
    return emit_index_by(false, word, id, argument, link);
}

static inline __attribute__((always_inline)) int emit_index(uint32_t kind, uint32_t flags, uint64_t id,
                                                            uint64_t argument, uint32_t link)
{
    uint32_t word = ADA_WORD(kind, flags, depth_of(kind));

    if (__builtin_expect(ada_clock_kind != ADA_CLOCK_TSC, 0))
        return emit_index_monotonic(word, id, argument, link);
    return emit_index_by(true, word, id, argument, link);
}

__attribute__((noinline, cold)) static uint32_t event_id_slow(ada_event *event)
{
    if (client_process_enter() != 0)
        return 0;
    return client_event_register(event);
}

static inline uint32_t event_id(ada_event *event)
{
    uint32_t id = ada_load_acquire(&event->id); /* pairs with client_event_register() */

    return __builtin_expect(id != 0, 1) ? id : event_id_slow(event);
}

/* The first event of a call site. */
__attribute__((noinline, cold)) static int emit_new_slow(ada_event *event, uint32_t kind, uint64_t argument)
{
    return emit_index(kind, 0, event_id(event), argument, 0);
}

int ada_emit(ada_event *event, uint32_t kind, uint64_t argument)
{
    uint32_t id = ada_load_acquire(&event->id); /* pairs with client_event_register() */

    if (__builtin_expect(id == 0, 0))
        return emit_new_slow(event, kind, argument);
    return emit_index(kind, 0, id, argument, 0);
}

void ada_function_entry(const void *function, const void *call_site)
{
    (void)emit_index(ADA_KIND_FUNCTION_ENTRY, 0, (uintptr_t)function, (uintptr_t)call_site, 0);
}

void ada_function_exit(const void *function, const void *call_site)
{
    (void)emit_index(ADA_KIND_FUNCTION_EXIT, 0, (uintptr_t)function, (uintptr_t)call_site, 0);
}

/* ---- events with a payload -------------------------------------------------------------------- */

/* Starts a detail record. Its payload goes to the returned place; NULL and *flags_out says why there is none. */
static char *begin_detail(uint32_t id, uint64_t argument, uint32_t kind, size_t payload_size,
                          LaneReservation *reservation, uint32_t *flags_out)
{
    AdaDetailRecord *record;
    uint32_t size = ADA_DETAIL_RECORD_SIZE(payload_size);

    *flags_out = 0;
    if (ada_thread.detail.active->limit == 0 && thread_register() != 0)
        return NULL; /* the index event, which meets the same fate, counts it */
    if (ada_load_relaxed(&ada_thread.context->detail.header->detail) == ADA_DETAIL_OFF)
        return NULL;
    *flags_out = ADA_FLAG_DETAIL_LOST;
    if (lane_reserve(&ada_thread.context->detail, size, reservation) != 0)
        return NULL;
    *flags_out = ADA_FLAG_DETAIL;
    record = reservation->at;
    record->timestamp = reservation->timestamp;
    record->id = id;
    record->argument = argument;
    record->word = ADA_WORD(kind, 0, ada_thread.depth < DEPTH_MAX ? ada_thread.depth : DEPTH_MAX);
    record->payload_size = (uint32_t)payload_size;
    return (char *)(record + 1);
}

/* Ends what begin_detail() began, if it did, and writes the index event that refers to it. */
static int end_detail(uint32_t id, uint64_t argument, uint32_t kind, const char *payload,
                      const LaneReservation *reservation, uint32_t flags)
{
    uint32_t link = 0;

    if (payload) {
        lane_commit(&ada_thread.context->detail, reservation);
        link = (uint32_t)reservation->record;
    }
    return emit_index(kind, flags, id, argument, link);
}

int ada_write_event(ada_event *event, uint64_t argument, const void *payload, size_t size)
{
    LaneReservation reservation;
    uint32_t id, flags;
    char *at;

    if (size > ADA_PAYLOAD_MAX)
        return -EMSGSIZE;
    id = event_id(event);
    at = begin_detail(id, argument, event->kind, size, &reservation, &flags);
    if (at) {
        memset(at + (size & ~(size_t)7), 0, ((size + 7) & ~(size_t)7) - (size & ~(size_t)7));
        memcpy(at, payload, size);
    }
    return end_detail(id, argument, event->kind, at, &reservation, flags);
}

static size_t padded_string(size_t length)
{
    return (sizeof(uint32_t) + length + 7) & ~(size_t)7;
}

/*
 * Lengths of the strings (only theirs are set), cut so that the whole payload fits; returns the payload's size. What is used
 * and what later fields need at least are multiples of 8, as is the maximum: so a string that fits in
 * front of its padding fits with it.
 */
static size_t measure_fields(const ada_event *event, const ada_value *values, uint32_t count, uint32_t *lengths)
{
    size_t size = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (event->fields[i].type != ADA_TYPE_STRING) {
            size += sizeof(uint64_t);
        } else {
            size_t later = (count - i - 1) * sizeof(uint64_t);
            size_t room = ADA_PAYLOAD_MAX - size - later - sizeof(uint32_t);

            lengths[i] = values[i].string ? (uint32_t)strnlen(values[i].string, room) : 0;
            size += padded_string(lengths[i]);
        }
    }
    return size;
}

static void encode_fields(char *at, const ada_event *event, const ada_value *values, uint32_t count,
                          const uint32_t *lengths)
{
    for (uint32_t i = 0; i < count; i++) {
        if (event->fields[i].type == ADA_TYPE_STRING) {
            size_t size = padded_string(lengths[i]);

            memset(at + size - sizeof(uint64_t), 0, sizeof(uint64_t)); /* the padding is somewhere in the last 8 */
            memcpy(at, &lengths[i], sizeof(uint32_t));
            if (lengths[i] > 0)
                memcpy(at + sizeof(uint32_t), values[i].string, lengths[i]);
            at += size;
        } else {
            memcpy(at, &values[i], sizeof(uint64_t));
            at += sizeof(uint64_t);
        }
    }
}

int ada_emit_fields(ada_event *event, uint64_t argument, const ada_value *values, uint32_t count)
{
    uint32_t lengths[ADA_EVENT_FIELDS_MAX];
    LaneReservation reservation;
    uint32_t id, flags;
    char *at;

    if (count > event->field_count)
        count = event->field_count;
    if (count > ADA_EVENT_FIELDS_MAX)
        count = ADA_EVENT_FIELDS_MAX;
    id = event_id(event);
    at = begin_detail(id, argument, event->kind, measure_fields(event, values, count, lengths), &reservation,
                      &flags);
    if (at)
        encode_fields(at, event, values, count, lengths);
    return end_detail(id, argument, event->kind, at, &reservation, flags);
}

int ada_emit_mark(ada_event *event, uint64_t argument)
{
    if (ada_thread.detail.active->limit != 0 || thread_register() == 0)
        lane_mark(&ada_thread.context->detail);
    return ada_emit(event, ADA_KIND_MARK, argument);
}
