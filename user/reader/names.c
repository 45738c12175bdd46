/* SPDX-License-Identifier: MIT */
/* What ids and payloads mean: names of events, places in modules, fields. */
#include <stdio.h>
#include <string.h>

#include "user/base/number.h"
#include "user/reader/adat_cursor.h"
#include "user/reader/reader.h"

const AdaEventDescriptor *adat_reader_descriptor(const AdatReader *reader, uint32_t process, uint64_t id)
{
    size_t low = 0, high = reader->descriptors.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const DescriptorEntry *entry = &reader->descriptors.items[middle];

        if (entry->process == process && entry->descriptor.id == id)
            return &entry->descriptor;
        if (entry->process < process || (entry->process == process && entry->descriptor.id < id))
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const AdaModule *adat_reader_module(const AdatReader *reader, uint32_t process, uint64_t address)
{
    size_t low = 0, high = reader->modules.count;
    const ModuleEntry *entry;

    /* the first one beyond: of a later process, or with a higher base */
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        entry = &reader->modules.items[middle];
        if (entry->process < process || (entry->process == process && entry->module.base <= address))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return NULL;
    entry = &reader->modules.items[low - 1];
    if (entry->process != process || entry->replaced || address - entry->module.base >= entry->module.size)
        return NULL;
    return &entry->module;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static size_t put_text(char *out, const char *text, size_t max)
{
    size_t length = strnlen(text, max);

    memcpy(out, text, length);
    return length;
}

const char *reader_module_path(const AdatReader *reader, uint32_t process, const AdaModule *module)
{
    size_t length = strlen(module->path);
    const char *program;
    ptrdiff_t index;

    if (length > 0 && length < sizeof(module->path) - 1)
        return module->path;
    index = reader_find_process(reader, process);
    program = index < 0 ? NULL : adat_strings_find(reader->processes.items[index].info.strings, "program");
    return program && strncmp(program, module->path, length) == 0 ? program : module->path;
}

size_t reader_function_name(const AdatReader *reader, uint32_t process, uint64_t address, char *name)
{
    const AdaModule *module = adat_reader_module(reader, process, address);
    const char *path;
    size_t length = 0;

    if (module) {
        path = reader_module_path(reader, process, module);
        length = put_text(name, *path ? base_name(path) : "program", ADAT_NAME_MAX - NUMBER_CHARS_MAX - 2);
        name[length++] = '+';
        address -= module->base;
    }
    length += number_format_hex(name + length, address);
    name[length] = '\0';
    return length;
}

size_t adat_reader_event_name(const AdatReader *reader, uint32_t process, const AdaIndexEvent *event, char *name)
{
    uint32_t kind = ADA_WORD_KIND(event->word);
    const AdaEventDescriptor *descriptor;
    size_t length;

    if (kind == ADA_KIND_FUNCTION_ENTRY || kind == ADA_KIND_FUNCTION_EXIT)
        return reader_function_name(reader, process, event->id, name);

    descriptor = adat_reader_descriptor(reader, process, event->id);
    if (descriptor) {
        length = put_text(name, descriptor->name, sizeof(descriptor->name));
    } else {
        length = put_text(name, "event#", 6);
        length += number_format_u64(name + length, event->id);
    }
    name[length] = '\0';
    return length;
}

/* Bytes that the field at `bytes` takes, or 0 when it does not fit into `left`. */
static size_t decode_field(const uint8_t *bytes, size_t left, AdatField *field)
{
    uint32_t size;

    if (field->type != ADA_TYPE_STRING) {
        if (left < sizeof(field->value.u64))
            return 0;
        memcpy(&field->value.u64, bytes, sizeof(field->value.u64));
        return sizeof(field->value.u64);
    }
    if (left < sizeof(size))
        return 0;
    memcpy(&size, bytes, sizeof(size));
    if (size > left - sizeof(size))
        return 0;
    field->value.string.bytes = (const char *)bytes + sizeof(size);
    field->value.string.size = size;
    size = (uint32_t)sizeof(size) + size;
    /* the padding after the last string may be missing */
    return ADAT_PADDED((size_t)size) < left ? ADAT_PADDED((size_t)size) : left;
}

size_t adat_decode_fields(const AdaEventDescriptor *descriptor, const void *payload, size_t payload_bytes,
                          AdatField *fields)
{
    const uint8_t *next = payload;
    size_t count = 0;

    while (count < descriptor->field_count && count < ADA_EVENT_FIELDS_MAX) {
        AdatField *field = &fields[count];
        size_t used;

        field->name = descriptor->fields[count].name;
        field->type = descriptor->fields[count].type;
        if (field->type == 0 || field->type >= ADA_TYPE_COUNT)
            break; /* of unknown length */
        used = decode_field(next, payload_bytes, field);
        if (used == 0)
            break;
        next += used;
        payload_bytes -= used;
        count++;
    }
    return count;
}
