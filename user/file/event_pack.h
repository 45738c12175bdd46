/* SPDX-License-Identifier: MIT */
/*
 * Index events as blocks hold them: whole (32 bytes each), or, with ADAT_FLAG_PACKED, each as what differs from the event
 * before it. The first of a block follows an event of the block's first_time that is all 0 otherwise.
 *
 *   byte   control: the other four sizes, two bits each, from the lowest
 *   time   1, 2, 4, 8 bytes   difference to the time before (modulo 2^64: it may go back)
 *   id     0, 1, 3, 8         exclusive-or, as are the next
 *   argument 0, 2, 4, 8
 *   word   0, 1, 3, 8         the word and, 32 bits up, the link; of the word the bits 4-7 (of the kind: mostly 0) and
 *                             16-19 (of the depth) have changed places, so that kind and depth are mostly one byte
 *
 * All are little-endian; a field may stand in more bytes than it needs. So every event can be packed, into 2 to 33 bytes: mostly 7 if it is a registered
 * event, 9 if that comes after a pause, and 11 if it is a function's. Bytes are pages to write, and to read and keep. These
 * sizes have paths of their own: 2.2, 3.8 and 3.7 ns an event; choosing each field's size took 10 (Xeon, 2 GHz counter).
 */
#ifndef ADA_FILE_EVENT_PACK_H
#define ADA_FILE_EVENT_PACK_H

#include <stdbool.h>
#include <stddef.h>

#include "user/file/adat_format.h"

#define EVENT_PACKED_MIN 2u /* bytes of an event */
#define EVENT_PACKED_MAX 33u

/* The event before the next one. */
typedef struct EventPacker {
    AdaIndexEvent before;
} EventPacker;

/* For a block whose first event has this time. */
void event_packer_begin(EventPacker *packer, uint64_t first_time);

/*
 * Packs the block's next events; returns the bytes used of `out`, at any alignment, which has room for EVENT_PACKED_MAX for each.
 * `events` is private memory.
 */
size_t event_pack(EventPacker *packer, const AdaIndexEvent *events, uint32_t count, void *out);

typedef struct EventUnpacker {
    const uint8_t *at;
    const uint8_t *end;
    AdaIndexEvent before;
    bool packed;
} EventUnpacker;

/* How many events a block can have at most, as its header says and its size allows: for who makes room for them. */
uint32_t event_unpack_max(const AdatBlockHeader *header);

/* Of a block of index events: `payload` has header->payload_bytes, at any alignment. It may be anything. */
void event_unpacker_begin(EventUnpacker *unpacker, const AdatBlockHeader *header, const void *payload);

/* The block's next events, at most `count`. Fewer: there are no more, or what follows is no whole event. */
uint32_t event_unpack(EventUnpacker *unpacker, AdaIndexEvent *events_out, uint32_t count);

/* Bytes that were not unpacked. */
size_t event_unpacker_left(const EventUnpacker *unpacker);

#endif
