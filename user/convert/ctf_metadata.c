/* SPDX-License-Identifier: MIT */
#include "user/convert/ctf_metadata.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/array.h"
#include "user/convert/ctf_text.h"

void ctf_metadata_fini(CtfMetadata *metadata)
{
    id_map_fini(&metadata->class_numbers);
    id_map_fini(&metadata->module_numbers);
    free(metadata->classes);
    free((void *)metadata->modules);
}

int ctf_metadata_class(CtfMetadata *metadata, const AdaEventDescriptor *descriptor, uint8_t kind,
                       uint8_t field_count, uint32_t *number_out)
{
    int got = id_map_add(&metadata->class_numbers, (uint64_t)(uintptr_t)descriptor,
                         (uint64_t)kind << 8 | field_count, number_out);

    if (got <= 0)
        return got;
    if (array_reserve_one(&metadata->classes, &metadata->class_capacity, *number_out,
                          sizeof(*metadata->classes)))
        return -ENOMEM;
    metadata->classes[*number_out] =
        (CtfClass){.descriptor = descriptor, .kind = kind, .field_count = field_count};
    return 0;
}

int ctf_metadata_module(CtfMetadata *metadata, const AdaModule *module, uint32_t *number_out)
{
    uint32_t number;
    int got;

    *number_out = 0;
    if (!module)
        return 0;
    got = id_map_add(&metadata->module_numbers, (uint64_t)(uintptr_t)module, 0, &number);
    if (got < 0)
        return got;
    if (got > 0) {
        if (array_reserve_one(&metadata->modules, &metadata->module_capacity, number,
                              sizeof(*metadata->modules)))
            return -ENOMEM;
        metadata->modules[number] = module;
    }
    *number_out = number + 1;
    return 0;
}

/* ---- text ------------------------------------------------------------------------------------- */

static const char types[] =
    "/* CTF 1.8 */\n"
    "\n"
    "typealias integer { size = 8; align = 8; signed = false; } := uint8_t;\n"
    "typealias integer { size = 16; align = 8; signed = false; } := uint16_t;\n"
    "typealias integer { size = 32; align = 8; signed = false; } := uint32_t;\n"
    "typealias integer { size = 64; align = 8; signed = false; } := uint64_t;\n"
    "typealias integer { size = 32; align = 8; signed = true; } := int32_t;\n"
    "typealias integer { size = 64; align = 8; signed = true; } := int64_t;\n"
    "typealias integer { size = 64; align = 8; signed = false; base = hexadecimal; } := pointer_t;\n"
    "typealias floating_point { exp_dig = 11; mant_dig = 53; align = 8; } := double_t;\n"
    "\n";

static const char layout[] = "typealias integer {\n"
                             "\tsize = 64; align = 8; signed = false; map = clock.adatrace.value;\n"
                             "} := timestamp_t;\n"
                             "\n"
                             "stream {\n"
                             "\tid = 0;\n"
                             "\tpacket.context := struct {\n"
                             "\t\ttimestamp_t timestamp_begin;\n"
                             "\t\ttimestamp_t timestamp_end;\n"
                             "\t\tuint64_t content_size;\n"
                             "\t\tuint64_t packet_size;\n"
                             "\t\tuint64_t events_discarded;\n"
                             "\t\tuint64_t packet_seq_num;\n"
                             "\t};\n"
                             "\tevent.header := struct {\n"
                             "\t\tuint32_t id;\n"
                             "\t\ttimestamp_t timestamp;\n"
                             "\t};\n"
                             "\tevent.context := struct {\n"
                             "\t\tint32_t _vpid;\n"
                             "\t\tint32_t _vtid;\n"
                             "\t\tstring _procname;\n"
                             "\t\tenum : uint8_t {\n";

static void put_uuid(const CtfMetadata *metadata, FILE *out)
{
    char text[ADAT_ID_SIZE];

    adat_id_format(metadata->uuid, text);
    fprintf(out, "\"%s\"", text);
}

static void put_head(const CtfMetadata *metadata, FILE *out)
{
    fputs(types, out);
    fputs("trace {\n\tmajor = 1;\n\tminor = 8;\n\tuuid = ", out);
    put_uuid(metadata, out);
    fputs(";\n\tbyte_order = le;\n\tpacket.header := struct {\n\t\tuint32_t magic;\n\t\tuint8_t uuid[16];\n"
          "\t\tuint32_t stream_id;\n\t\tuint64_t stream_instance_id;\n\t};\n};\n\n",
          out);
    fputs("clock {\n\tname = \"adatrace\";\n\tdescription = \"CLOCK_MONOTONIC since the start of the recording\";\n",
          out);
    fprintf(out,
            "\tfreq = 1000000000;\n\tprecision = %" PRIu64 ";\n\toffset_s = %" PRIu64 ";\n\toffset = %" PRIu64
            ";\n\tabsolute = false;\n};\n\n",
            metadata->precision_ns, metadata->origin_realtime / 1000000000u,
            metadata->origin_realtime % 1000000000u);
}

static void put_env(FILE *out, const char *key, const char *value)
{
    char identifier[CTF_IDENTIFIER_SIZE(64)];

    ctf_mangle(key, strnlen(key, 64), 0, identifier);
    fprintf(out, "\t%s = ", identifier);
    ctf_put_literal(out, value, strlen(value));
    fputs(";\n", out);
}

/* What the recording says of itself, and which files code was from. */
static void put_environment(const CtfMetadata *metadata, FILE *out)
{
    const char *host = adat_strings_find(metadata->session, "host");

    fputs("env {\n\ttracer_name = \"adatrace\";\n", out);
    if (host)
        put_env(out, "hostname", host);
    for (size_t i = 0; i < metadata->session.count; i++) {
        char key[80];

        (void)snprintf(key, sizeof(key), "session_%s", metadata->session.items[i].key);
        put_env(out, key, metadata->session.items[i].value);
    }
    for (size_t i = 0; i < metadata->module_numbers.count; i++) {
        const AdaModule *module = metadata->modules[i];

        fprintf(out, "\tmodule_%zu_path = ", i + 1);
        ctf_put_literal(out, module->path, strlen(module->path));
        fprintf(out, ";\n\tmodule_%zu_base = \"0x%" PRIx64 "\";\n\tmodule_%zu_build_id = \"", i + 1,
                module->base, i + 1);
        for (size_t b = 0; b < module->build_id_size && b < ADA_BUILD_ID_MAX; b++)
            fprintf(out, "%02x", module->build_id[b]);
        fputs("\";\n", out);
    }
    fputs("};\n\n", out);
}

static void put_kinds(FILE *out)
{
    for (uint32_t kind = 0; kind < ADA_KIND_COUNT; kind++) {
        const AdaIndexEvent event = {.word = ADA_WORD(kind, 0, 0)};

        fprintf(out, "\t\t\t\"%s\" = %u,\n", event_kind_name(&event), kind);
    }
    fprintf(out, "\t\t\t\"unknown\" = %u,\n\t\t\t\"marked\" = %u,\n\t\t\t\"anomaly\" = %u,\n", ADA_KIND_COUNT,
            CTF_KIND_MARKED, CTF_KIND_ANOMALY);
    fputs("\t\t} _kind;\n\t\tuint8_t _flags;\n\t\tuint16_t _depth;\n\t};\n};\n\n", out);
}

static void put_modules(const CtfMetadata *metadata, FILE *out)
{
    fputs("\t\tenum : uint32_t {\n\t\t\t\"none\" = 0,\n", out);
    for (size_t i = 0; i < metadata->module_numbers.count; i++) {
        const char *path = metadata->modules[i]->path;

        fputs("\t\t\t", out);
        ctf_put_literal(out, *path ? path : "program", strlen(*path ? path : "program"));
        fprintf(out, " = %zu,\n", i + 1);
    }
    fputs("\t\t} _module;\n", out);
}

/* Two fields may have the same name, or that of a field that all events have. */
static unsigned int count_namesakes(const AdaEventDescriptor *descriptor, size_t field)
{
    const char *name = descriptor->fields[field].name;
    unsigned int count = strcmp(name, "arg") == 0 ? 1 : 0;

    for (size_t i = 0; i < field; i++)
        if (strcmp(descriptor->fields[i].name, name) == 0)
            count++;
    return count;
}

static void put_field(const AdaEventDescriptor *descriptor, size_t field, FILE *out)
{
    static const char *const names[ADA_TYPE_COUNT] = {
        [ADA_TYPE_U64] = "uint64_t",      [ADA_TYPE_I64] = "int64_t",   [ADA_TYPE_F64] = "double_t",
        [ADA_TYPE_POINTER] = "pointer_t", [ADA_TYPE_STRING] = "string",
    };
    const AdaFieldDescriptor *entry = &descriptor->fields[field];
    char identifier[CTF_IDENTIFIER_SIZE(ADA_FIELD_NAME_SIZE)];

    ctf_mangle(entry->name, strlen(entry->name), count_namesakes(descriptor, field), identifier);
    fprintf(out, "\t\t%s _%s;\n", names[entry->type], identifier);
}

static const char *class_name(const CtfClass *class)
{
    switch (class->kind) {
    case CTF_KIND_MARKED:
        return "adatrace:marked";
    case CTF_KIND_ANOMALY:
        return "adatrace:anomaly";
    case ADA_KIND_FUNCTION_ENTRY:
        return "function_entry";
    case ADA_KIND_FUNCTION_EXIT:
        return "function_exit";
    default:
        return class->descriptor ? class->descriptor->name : "event#";
    }
}

static void put_fields(const CtfMetadata *metadata, const CtfClass *class, FILE *out)
{
    const AdaIndexEvent event = {.word = ADA_WORD(class->kind, 0, 0)};

    if (class->kind >= CTF_KIND_MARKED) {
        fputs("\t\tstring _reason;\n\t\tuint64_t _record;\n", out);
        return;
    }
    if (event_is_function(&event)) {
        fputs("\t\tpointer_t _addr;\n\t\tpointer_t _arg;\n\t\tstring _name;\n", out);
        put_modules(metadata, out);
        fputs("\t\tpointer_t _offset;\n", out);
        return;
    }
    if (!class->descriptor)
        fputs("\t\tuint64_t _id;\n", out);
    fprintf(out, "\t\t%s _arg;\n", event_argument_is_signed(&event) ? "int64_t" : "uint64_t");
    for (size_t i = 0; class->descriptor && i < class->field_count; i++)
        put_field(class->descriptor, i, out);
}

void ctf_metadata_write(const CtfMetadata *metadata, FILE *out)
{
    put_head(metadata, out);
    put_environment(metadata, out);
    fputs(layout, out);
    put_kinds(out);
    for (size_t i = 0; i < metadata->class_numbers.count; i++) {
        const CtfClass *class = &metadata->classes[i];
        const char *name = class_name(class);

        fputs("event {\n\tname = ", out);
        ctf_put_literal(out, name, strlen(name));
        fprintf(out, ";\n\tid = %zu;\n\tstream_id = 0;\n\tfields := struct {\n", i);
        put_fields(metadata, class, out);
        fputs("\t};\n};\n\n", out);
    }
}
