/* SPDX-License-Identifier: MIT */
/*
 * Index events as blocks hold them: whole (32 bytes each), or packed, where all events of a block allow it.
 *
 *   ADAT_FLAG_PACKED_SHORT  16 bytes: registered events without a detail record, as most are
 *   ADAT_FLAG_PACKED_LONG   24 bytes: others without a detail record, as those of functions are
 *
 * Times are kept as differences to the event before, in 32 bits: 2 s of a 2 GHz counter. Half the bytes are
 * half the pages to write, which is what most of the drain's time goes into: some 22 ns per event became 14 to 17
 * (flat out, ext4).
 */
#ifndef ADA_FILE_EVENT_PACK_H
#define ADA_FILE_EVENT_PACK_H

#include <stddef.h>

#include "user/file/adat_format.h"

/* Bytes of one event in a block with these flags. */
size_t event_pack_size(uint16_t flags);

/* The next wider form: SHORT, LONG, 0 (whole). */
uint16_t event_pack_wider(uint16_t form);

/*
 * Packs events into `out` until one does not fit the form (an ADAT_FLAG_PACKED_*, or 0); returns how many.
 * *time is the time of the event before the first (for the first of a block: its own), and then that of the last that
 * was packed. `events` is private memory.
 */
uint32_t event_pack(uint16_t form, const AdaIndexEvent *events, uint32_t count, uint64_t *time, void *out);

/* The whole events of a block: its flags, its first_time, and `count` events at any alignment. */
void event_unpack(uint16_t flags, uint64_t first_time, const void *payload, uint32_t count,
                  AdaIndexEvent *events_out);

#endif
