/* SPDX-License-Identifier: MIT */
/*
 * Feeds bytes to the reader as a trace. An input whose first byte is odd gets its checksums and
 * sequence numbers set right first, so that the fuzzer reaches what lies behind them.
 */
#define _GNU_SOURCE /* memfd_create */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "adat_seal.h"
#include "user/reader/adat_cursor.h"
#include "user/reader/adat_verify.h"
#include "user/reader/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const AdatReader *reader)
{
    AdatField fields[ADA_EVENT_FIELDS_MAX];
    AdatCursor *cursor;
    AdatEvent event;

    if (adat_cursor_create(reader, NULL, &cursor))
        return;
    while (adat_cursor_next(cursor, &event) > 0) {
        uint32_t process = event.process->process.process;
        const AdaEventDescriptor *descriptor = adat_reader_descriptor(reader, process, event.event.id);
        char name[ADAT_NAME_MAX];
        AdatDetail detail;

        adat_reader_event_name(reader, process, &event.event, name);
        adat_reader_realtime(reader, event.time_ns);
        if (adat_cursor_detail(cursor, &detail) > 0 && descriptor)
            adat_decode_fields(descriptor, detail.payload, detail.header.payload_size, fields);
    }
    adat_cursor_destroy(cursor);
}

/* What the trace itself says that places of its modules are called. */
static void look_embedded(const AdatReader *reader)
{
    for (size_t i = 0; i < reader->modules.count; i++) {
        for (uint64_t place = 0; place < 64; place++) {
            uint64_t function = 0;
            const char *name = embedded_find(reader, &reader->modules.items[i].module, place * 4, &function);

            if (name && (*name == '\0' || function > place * 4))
                abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    uint8_t *bytes = malloc(size + 1);
    AdatDrainSummary drain;
    AdatVerdict verdict;
    AdatReader *reader;

    if (fd < 0 || !bytes)
        abort();
    if (size > 0) {
        memcpy(bytes, data, size);
        if (data[0] & 1)
            adat_seal(bytes, size);
    }
    if (write(fd, bytes, size) != (ssize_t)size)
        abort();
    free(bytes);
    if (adat_reader_open_fd(fd, &reader)) {
        close(fd);
        return 0;
    }
    read_all(reader);
    look_embedded(reader);
    adat_reader_events(reader);
    adat_reader_duration(reader);
    adat_reader_drain(reader, &drain);
    for (size_t i = 0; i < adat_reader_mark_count(reader); i++)
        adat_reader_realtime(reader, adat_reader_mark(reader, i)->time_ns);
    if (adat_verify(reader, &verdict) == 0)
        adat_verdict_fini(&verdict);
    adat_reader_close(reader);
    return 0;
}
