/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/array.h"
#include "user/file/crc.h"
#include "user/reader/reader.h"

#define STRINGS_MAX 256u /* pairs of one block: more would only cost memory */

/* Makes room for one more item of a TABLE() and evaluates to 0 or -ENOMEM. */
#define RESERVE(table) \
    array_reserve_one(&(table)->items, &(table)->capacity, (table)->count, sizeof(*(table)->items))

/* ---- one block ------------------------------------------------------------------------------- */

void string_table_free(StringTable *strings)
{
    free(strings->text);
    free(strings->items);
    *strings = (StringTable){0};
}

int string_table_parse(const uint8_t *bytes, size_t size, StringTable *strings_out)
{
    StringTable strings = {0};
    size_t capacity = 0, at = 0;

    strings.text = malloc(size + 2); /* whatever the bytes are: a key and its value end in here */
    if (!strings.text)
        return -ENOMEM;
    memcpy(strings.text, bytes, size);
    strings.text[size] = strings.text[size + 1] = '\0';

    while (at < size && strings.text[at] && strings.count < STRINGS_MAX) {
        const char *key = strings.text + at;
        const char *value = key + strlen(key) + 1;

        if (array_reserve_one(&strings.items, &capacity, strings.count, sizeof(*strings.items))) {
            string_table_free(&strings);
            return -ENOMEM;
        }
        strings.items[strings.count++] = (AdatString){key, value};
        at = (size_t)(value - strings.text) + strlen(value) + 1;
    }
    *strings_out = strings;
    return 0;
}

static int collect_session(AdatReader *reader, const Block *block)
{
    StringTable strings;
    int err = string_table_parse(block->payload, block->header->payload_bytes, &strings);

    if (err)
        return err;
    string_table_free(&reader->session);
    reader->session = strings;
    return 0;
}

/* A process that something refers to; what is known of it may come later. */
static int mention_process(AdatReader *reader, uint32_t number)
{
    size_t count = reader->processes.count;

    if (count > 0 && reader->processes.items[count - 1].info.process.process == number)
        return 0;
    if (RESERVE(&reader->processes))
        return -ENOMEM;
    reader->processes.items[count] = (ProcessEntry){.info.process.process = number};
    reader->processes.count++;
    return 0;
}

static int collect_process(AdatReader *reader, const Block *block)
{
    ProcessEntry entry = {.info.described = true, .order = reader->base + block->offset};
    size_t size = block->header->payload_bytes;
    int err;

    if (size < sizeof(entry.info.process))
        return 0;
    memcpy(&entry.info.process, block->payload, sizeof(entry.info.process));
    if (RESERVE(&reader->processes))
        return -ENOMEM;
    err = string_table_parse(block->payload + sizeof(entry.info.process), size - sizeof(entry.info.process),
                             &entry.strings);
    if (err)
        return err;
    reader->processes.items[reader->processes.count++] = entry;
    return 0;
}

int collect_add_thread(AdatReader *reader, const ThreadEntry *entry)
{
    if (RESERVE(&reader->threads))
        return -ENOMEM;
    reader->threads.items[reader->threads.count++] = *entry;
    return mention_process(reader, entry->info.thread.process);
}

static int collect_thread(AdatReader *reader, const Block *block)
{
    ThreadEntry entry = {.info.described = true, .order = reader->base + block->offset};

    if (block->header->payload_bytes < sizeof(entry.info.thread))
        return 0;
    memcpy(&entry.info.thread, block->payload, sizeof(entry.info.thread));
    entry.info.thread.name[sizeof(entry.info.thread.name) - 1] = '\0';
    if (block->header->payload_bytes >= sizeof(entry.info.thread) + sizeof(entry.info.start))
        memcpy(&entry.info.start, block->payload + sizeof(entry.info.thread), sizeof(entry.info.start));
    return collect_add_thread(reader, &entry);
}

/* The place, from 1, of what was lost of a lane up to a block; 0: nothing. -ENOMEM. */
static int collect_losses(AdatReader *reader, const AdatBlockHeader *header, uint32_t *place_out)
{
    const BlockLosses losses = {header->dropped_full, header->dropped_nested, header->dropped_io,
                                header->recycled};

    *place_out = 0;
    if (!(losses.dropped_full | losses.dropped_nested | losses.dropped_io | losses.recycled))
        return 0;
    if (reader->losses.count == UINT32_MAX || RESERVE(&reader->losses))
        return -ENOMEM;
    reader->losses.items[reader->losses.count++] = losses;
    *place_out = (uint32_t)reader->losses.count;
    return 0;
}

static int collect_events(AdatReader *reader, const Block *block)
{
    const AdatBlockHeader *header = block->header;
    uint32_t losses;

    if (RESERVE(&reader->blocks) || collect_losses(reader, header, &losses))
        return -ENOMEM;
    reader->blocks.items[reader->blocks.count++] = (BlockRef){
        .offset = block->payload_offset,
        .first_record = header->first_record,
        .first_time = header->first_time,
        .last_time = header->last_time,
        .payload_bytes = header->payload_bytes,
        .record_count = header->record_count,
        .crc32 = adat_crc32(0, block->payload, header->payload_bytes),
        .process = header->process,
        .thread = header->thread,
        .lane = (uint16_t)(header->type == ADAT_BLOCK_INDEX ? ADA_LANE_INDEX : ADA_LANE_DETAIL),
        .file = (uint32_t)(reader->files.count - 1),
        .losses = losses,
        .flags = header->flags,
    };
    return 0;
}

static int collect_descriptors(AdatReader *reader, const Block *block)
{
    size_t count = block->header->payload_bytes / sizeof(AdaEventDescriptor);

    for (size_t i = 0; i < count; i++) {
        DescriptorEntry entry = {.process = block->header->process, .order = reader->base + block->offset};
        AdaEventDescriptor *descriptor = &entry.descriptor;

        memcpy(descriptor, block->payload + i * sizeof(*descriptor), sizeof(*descriptor));
        descriptor->name[sizeof(descriptor->name) - 1] = '\0';
        for (size_t f = 0; f < ADA_EVENT_FIELDS_MAX; f++)
            descriptor->fields[f].name[ADA_FIELD_NAME_SIZE - 1] = '\0';
        if (descriptor->field_count > ADA_EVENT_FIELDS_MAX)
            descriptor->field_count = ADA_EVENT_FIELDS_MAX;
        if (RESERVE(&reader->descriptors))
            return -ENOMEM;
        reader->descriptors.items[reader->descriptors.count++] = entry;
    }
    return 0;
}

static int collect_modules(AdatReader *reader, const Block *block)
{
    size_t count = block->header->payload_bytes / sizeof(AdaModule);

    for (size_t i = 0; i < count; i++) {
        ModuleEntry entry = {.process = block->header->process, .order = reader->base + block->offset};

        memcpy(&entry.module, block->payload + i * sizeof(entry.module), sizeof(entry.module));
        entry.module.path[sizeof(entry.module.path) - 1] = '\0';
        if (entry.module.build_id_size > ADA_BUILD_ID_MAX)
            entry.module.build_id_size = ADA_BUILD_ID_MAX;
        if (RESERVE(&reader->modules))
            return -ENOMEM;
        reader->modules.items[reader->modules.count++] = entry;
    }
    return 0;
}

static int collect_death(AdatReader *reader, const Block *block)
{
    AdatDeath death;

    if (block->header->payload_bytes < sizeof(death))
        return 0;
    memcpy(&death, block->payload, sizeof(death));
    if (RESERVE(&reader->deaths))
        return -ENOMEM;
    reader->deaths.items[reader->deaths.count++] = death;
    return mention_process(reader, death.process);
}

static int collect_looks(AdatReader *reader, const uint8_t *entries, size_t count)
{
    AdatLedgerEntry entry;

    for (size_t i = 0; i < count; i++) {
        memcpy(&entry, entries + i * sizeof(entry), sizeof(entry));
        if (last_look_add(reader, &entry) != 0)
            return -ENOMEM;
    }
    return 0;
}

static int collect_ledger(AdatReader *reader, const Block *block)
{
    const uint8_t *entries = block->payload + sizeof(reader->drain);
    LedgerNote note;
    size_t count;

    if (block->header->payload_bytes < sizeof(reader->drain))
        return 0;
    memcpy(&reader->drain, block->payload, sizeof(reader->drain));
    reader->drain.scheduler[sizeof(reader->drain.scheduler) - 1] = '\0';
    reader->has_drain = true;
    count = (block->header->payload_bytes - sizeof(reader->drain)) / sizeof(AdatLedgerEntry);
    if (!(block->header->flags & (ADAT_FLAG_CLOSED | ADAT_FLAG_FINAL)))
        return collect_looks(reader, entries, count);
    if (block->header->flags & ADAT_FLAG_FINAL)
        reader->info.has_ledger = true;
    for (size_t i = 0; i < count; i++) {
        if (RESERVE(&reader->ledger))
            return -ENOMEM;
        note.order = reader->ledger.count;
        memcpy(&note.entry, entries + i * sizeof(note.entry), sizeof(note.entry));
        reader->ledger.items[reader->ledger.count++] = note;
    }
    return 0;
}

static int collect_kernel(AdatReader *reader, const Block *block)
{
    const uint8_t *entries = block->payload + sizeof(reader->kernel);
    size_t count;

    if (block->header->payload_bytes < sizeof(reader->kernel))
        return 0;
    memcpy(&reader->kernel, block->payload, sizeof(reader->kernel));
    reader->kernel.reason[sizeof(reader->kernel.reason) - 1] = '\0';
    reader->has_kernel = true;
    count = (block->header->payload_bytes - sizeof(reader->kernel)) / sizeof(AdatKernelThread);
    for (size_t i = 0; i < count; i++) {
        if (RESERVE(&reader->thread_deaths))
            return -ENOMEM;
        memcpy(&reader->thread_deaths.items[reader->thread_deaths.count++],
               entries + i * sizeof(AdatKernelThread), sizeof(AdatKernelThread));
    }
    return 0;
}

static int collect_mark(AdatReader *reader, const Block *block)
{
    MarkEntry entry = {.order = reader->base + block->offset,
                       .info.anomaly = (block->header->flags & ADAT_FLAG_ANOMALY) != 0};
    AdatMark *mark = &entry.info.mark;

    if (block->header->payload_bytes < sizeof(*mark))
        return 0;
    memcpy(mark, block->payload, sizeof(*mark));
    mark->reason[sizeof(mark->reason) - 1] = '\0';
    if (RESERVE(&reader->marks))
        return -ENOMEM;
    reader->marks.items[reader->marks.count++] = entry;
    return 0;
}

static int collect_clock(AdatReader *reader, const Block *block)
{
    AdatClock anchor;

    if (block->header->payload_bytes < sizeof(anchor))
        return 0;
    memcpy(&anchor, block->payload, sizeof(anchor));
    /* Each file of a recording begins with the recording's first anchor. */
    if (reader->files.count > 1 && clock_line_is_behind(&reader->clock, &anchor))
        return 0;
    return clock_line_add(&reader->clock, &anchor);
}

int collect_block(AdatReader *reader, const Block *block)
{
    switch (block->header->type) {
    case ADAT_BLOCK_SESSION:
        return collect_session(reader, block);
    case ADAT_BLOCK_PROCESS:
        return collect_process(reader, block);
    case ADAT_BLOCK_THREAD:
        return collect_thread(reader, block);
    case ADAT_BLOCK_INDEX:
    case ADAT_BLOCK_DETAIL:
        return collect_events(reader, block);
    case ADAT_BLOCK_EVENTS:
        return collect_descriptors(reader, block);
    case ADAT_BLOCK_MODULES:
        return collect_modules(reader, block);
    case ADAT_BLOCK_CLOCK:
        return collect_clock(reader, block);
    case ADAT_BLOCK_DEATH:
        return collect_death(reader, block);
    case ADAT_BLOCK_LEDGER:
        return collect_ledger(reader, block);
    case ADAT_BLOCK_KERNEL:
        return collect_kernel(reader, block);
    case ADAT_BLOCK_MARK:
        return collect_mark(reader, block);
    case ADAT_BLOCK_SYMBOLS:
        return embedded_collect(reader, block);
    default:
        return 0;
    }
}

void collect_free(AdatReader *reader)
{
    for (size_t i = 0; i < reader->processes.count; i++)
        string_table_free(&reader->processes.items[i].strings);
    string_table_free(&reader->session);
    free(reader->processes.items);
    free(reader->threads.items);
    free(reader->blocks.items);
    free(reader->losses.items);
    free(reader->descriptors.items);
    free(reader->modules.items);
    free(reader->deaths.items);
    free(reader->thread_deaths.items);
    free(reader->ledger.items);
    free(reader->looks.items);
    free(reader->sums.items);
    free(reader->unregistered.items);
    free(reader->marks.items);
    embedded_free(reader);
    clock_line_fini(&reader->clock);
}
