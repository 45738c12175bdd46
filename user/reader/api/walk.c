/* SPDX-License-Identifier: MIT */
/* One walk over the events of a trace, and what they are called. */
#include <stdlib.h>

#include "user/reader/adat_cursor.h"
#include "user/reader/api/api.h"
#include "user/reader/symbols.h"

_Static_assert(sizeof(ada_reader_config) == CONFIG_LEAST, "");
_Static_assert(sizeof(ada_reader_event) == EVENT_LEAST, "");
_Static_assert(sizeof(ada_reader_field) == READER_FIELD_LEAST, "");
_Static_assert(sizeof(ada_reader_function) == FUNCTION_LEAST, "");
_Static_assert((int)ADA_READER_HAS_PAYLOAD == ADA_FLAG_DETAIL &&
                   (int)ADA_READER_PAYLOAD_LOST == ADA_FLAG_DETAIL_LOST &&
                   (int)ADA_READER_NESTED == ADA_FLAG_NESTED,
               "flags are those of files");

#define CONFIG_FLAGS (ADA_READER_FROM | ADA_READER_TO | ADA_READER_THREADS | ADA_READER_NO_SYMBOLS)

struct ada_reader {
    const ada_trace *trace;
    AdatCursor *cursor;
    bool no_symbols;
    char **directories; /* where to look for symbols */
    size_t directory_count;
    AdatSymbols *symbols; /* NULL: nobody has asked yet */

    AdatEvent event; /* that was returned last */
    bool has_event;
    uint32_t recording; /* of it */
    bool decoded;       /* the members below are of this event */
    bool has_payload;
    AdatDetail detail;
    size_t field_count;
    AdatField fields[ADA_EVENT_FIELDS_MAX];
    char name[ADAT_NAME_MAX];
};

/* ---- making ------------------------------------------------------------------------------------ */

/* The caller's, which may be older or newer than ours. What is newer must be 0: we could not honour it. */
static int take_config(const ada_reader_config *from, size_t size, ada_reader_config *config)
{
    *config = (ada_reader_config){0};
    if (from ? size < CONFIG_LEAST : size != 0)
        return -EINVAL;
    if (from)
        memcpy(config, from, size < sizeof(*config) ? size : sizeof(*config));
    for (size_t i = sizeof(*config); i < size; i++)
        if (((const char *)from)[i] != 0)
            return -EINVAL;
    if (!(config->flags & ADA_READER_FROM))
        config->from_ns = INT64_MIN;
    if (!(config->flags & ADA_READER_TO))
        config->to_ns = INT64_MAX;
    return (config->flags & ~(uint64_t)CONFIG_FLAGS) || config->from_ns > config->to_ns ? -EINVAL : 0;
}

/* Which threads are wanted, while the cursor asks for one after the other. */
typedef struct Selection {
    const ada_trace *trace;
    uint8_t *wanted;    /* of each thread */
    uint32_t recording; /* of the thread that was asked for last: recordings come in their order */
} Selection;

static bool is_of(const AdatReader *reader, const AdatThreadInfo *thread)
{
    uintptr_t first = (uintptr_t)reader->threads.items;

    return (uintptr_t)thread >= first &&
           (uintptr_t)thread - first < reader->threads.count * sizeof(ThreadEntry);
}

static bool is_wanted(const AdatThreadInfo *thread, void *context)
{
    Selection *selection = context;

    while (!is_of(adat_set_reader(selection->trace->set, selection->recording), thread))
        selection->recording++;
    return selection->wanted[api_thread_number(selection->trace, selection->recording, thread)];
}

static int select_threads(const ada_trace *trace, const ada_reader_config *config, Selection *selection)
{
    uint32_t count = trace->starts[trace->recordings].thread;

    *selection = (Selection){.trace = trace, .wanted = calloc((size_t)count + 1, 1)};
    if (!selection->wanted)
        return -ENOMEM;
    for (size_t i = 0; i < config->thread_count; i++) {
        if (config->threads[i] >= count)
            return -ERANGE;
        selection->wanted[config->threads[i]] = 1;
    }
    return 0;
}

static int create_cursor(ada_reader *reader, const ada_reader_config *config)
{
    AdatCursorConfig cursor = {.from_ns = config->from_ns, .to_ns = config->to_ns};
    Selection selection = {0};
    int error = 0;

    if (config->flags & ADA_READER_THREADS) {
        error = select_threads(reader->trace, config, &selection);
        cursor.select = is_wanted;
        cursor.context = &selection;
    }
    if (!error)
        error = adat_cursor_create_set(reader->trace->set, &cursor, &reader->cursor);
    free(selection.wanted); /* threads are selected once */
    return error;
}

static int copy_directories(ada_reader *reader, const ada_reader_config *config)
{
    reader->directories = calloc(config->symbol_directory_count + 1, sizeof(*reader->directories));
    if (!reader->directories)
        return -ENOMEM;
    for (size_t i = 0; i < config->symbol_directory_count; i++) {
        reader->directories[i] = strdup(config->symbol_directories[i]);
        if (!reader->directories[i])
            return -ENOMEM;
        reader->directory_count++;
    }
    return 0;
}

int ada_reader_create(const ada_trace *trace, const ada_reader_config *config, size_t size,
                      ada_reader **reader_out)
{
    ada_reader_config own;
    ada_reader *reader;
    int error = take_config(config, size, &own);

    if (error)
        return error;
    reader = calloc(1, sizeof(*reader));
    if (!reader)
        return -ENOMEM;
    reader->trace = trace;
    reader->no_symbols = (own.flags & ADA_READER_NO_SYMBOLS) != 0;
    error = copy_directories(reader, &own);
    if (!error)
        error = create_cursor(reader, &own);
    if (error) {
        ada_reader_destroy(reader);
        return error;
    }
    *reader_out = reader;
    return 0;
}

void ada_reader_destroy(ada_reader *reader)
{
    if (!reader)
        return;
    adat_symbols_destroy(reader->symbols);
    adat_cursor_destroy(reader->cursor);
    for (size_t i = 0; i < reader->directory_count; i++)
        free(reader->directories[i]);
    free((void *)reader->directories);
    free(reader);
}

/* ---- walking ----------------------------------------------------------------------------------- */

/* Mostly that of the event before: recordings follow each other. */
static uint32_t find_event_recording(const ada_reader *reader)
{
    const AdatSet *set = reader->trace->set;
    uint32_t recording = reader->recording;

    if (adat_set_reader(set, recording) == reader->event.reader)
        return recording;
    for (recording = 0; adat_set_reader(set, recording) != reader->event.reader; recording++)
        ;
    return recording;
}

int ada_reader_next(ada_reader *reader, ada_reader_event *event_out, size_t size)
{
    const RecordingStart *start;
    ada_reader_event out;
    int got;

    if (size < EVENT_LEAST)
        return -EINVAL;
    reader->decoded = false;
    got = adat_cursor_next(reader->cursor, &reader->event);
    reader->has_event = got > 0;
    if (got <= 0)
        return got;
    reader->recording = find_event_recording(reader);
    start = &reader->trace->starts[reader->recording];
    out = (ada_reader_event){
        .time_ns = reader->event.time_ns,
        .id = reader->event.event.id,
        .argument = reader->event.event.argument,
        .record = reader->event.record,
        .recording = reader->recording,
        .process = start->process + (uint32_t)reader->event.thread->process,
        .thread = api_thread_number(reader->trace, reader->recording, reader->event.thread),
        .kind = ADA_WORD_KIND(reader->event.event.word),
        .flags = ADA_WORD_FLAGS(reader->event.event.word),
        .depth = ADA_WORD_DEPTH(reader->event.event.word),
    };
    (void)put_out(event_out, size, &out, sizeof(out), EVENT_LEAST);
    return 1;
}

uint64_t ada_reader_vanished(const ada_reader *reader)
{
    return adat_cursor_vanished(reader->cursor);
}

/* ---- fields ------------------------------------------------------------------------------------ */

static int decode(ada_reader *reader)
{
    const AdaEventDescriptor *descriptor;
    int got;

    if (!reader->has_event)
        return -ENODATA;
    if (reader->decoded)
        return 0;
    got = adat_cursor_detail(reader->cursor, &reader->detail);
    if (got < 0)
        return got;
    reader->has_payload = got > 0;
    reader->field_count = 0;
    descriptor = got > 0 ? adat_reader_descriptor(reader->event.reader, reader->event.process->process.process,
                                                  reader->event.event.id)
                         : NULL;
    if (descriptor)
        reader->field_count = adat_decode_fields(descriptor, reader->detail.payload,
                                                 reader->detail.header.payload_size, reader->fields);
    reader->decoded = true;
    return 0;
}

int ada_reader_field_count(ada_reader *reader)
{
    int error = decode(reader);

    return error ? error : (int)reader->field_count;
}

int ada_reader_get_field(ada_reader *reader, uint32_t field, ada_reader_field *field_out, size_t size)
{
    int error = decode(reader);
    ada_reader_field out;
    const AdatField *from;

    if (error)
        return error;
    if (field >= reader->field_count)
        return -ERANGE;
    from = &reader->fields[field];
    out = (ada_reader_field){.name = from->name, .type = from->type};
    if (from->type == ADA_TYPE_STRING) {
        out.string_size = from->value.string.size;
        out.value.string = from->value.string.bytes;
    } else {
        out.value.u64 = from->value.u64; /* whatever it is: its bytes */
    }
    return put_out(field_out, size, &out, sizeof(out), READER_FIELD_LEAST);
}

int ada_reader_get_payload(ada_reader *reader, const void **payload_out, size_t *size_out)
{
    int error = decode(reader);

    if (error)
        return error;
    if (!reader->has_payload)
        return 0;
    *payload_out = reader->detail.payload;
    *size_out = reader->detail.header.payload_size;
    return 1;
}

/* ---- names ------------------------------------------------------------------------------------- */

static int make_symbols(ada_reader *reader)
{
    const AdatSymbolsConfig config = {.directories = (const char *const *)reader->directories,
                                      .directory_count = reader->directory_count};

    return reader->symbols ? 0 : adat_symbols_create(&config, &reader->symbols);
}

/* By no file, and by nothing that is embedded. */
static void name_plainly(ada_reader *reader, const AdatReader *from, uint32_t process, uint64_t address,
                         ada_reader_function *function)
{
    function->length = reader_function_name(from, process, address, reader->name);
    function->name = reader->name;
}

static int name_function(ada_reader *reader, uint32_t recording, uint32_t process, uint64_t address,
                         ada_reader_function *function)
{
    const AdatReader *from = adat_set_reader(reader->trace->set, recording);
    const AdaModule *module = adat_reader_module(from, process, address);
    const AdatFunction *found;

    *function = (ada_reader_function){
        .offset = module ? address - module->base : address,
        .module = api_module_number(reader->trace, recording, module),
    };
    if (reader->no_symbols) {
        name_plainly(reader, from, process, address, function);
        return 0;
    }
    if (make_symbols(reader))
        return -ENOMEM;
    found = adat_symbols_function(reader->symbols, from, process, address);
    if (!found)
        return -ENOMEM;
    function->name = found->name;
    function->length = found->length;
    function->resolved = found->resolved;
    return 0;
}

int ada_reader_get_function(ada_reader *reader, uint32_t process, uint64_t address,
                            ada_reader_function *function_out, size_t size)
{
    uint32_t recording = 0;
    const AdatProcessInfo *from = api_process(reader->trace, process, &recording);
    ada_reader_function out;
    int error;

    if (!from)
        return -ERANGE;
    error = name_function(reader, recording, from->process.process, address, &out);
    return error ? error : put_out(function_out, size, &out, sizeof(out), FUNCTION_LEAST);
}

int ada_reader_get_name(ada_reader *reader, const char **name_out, size_t *length_out)
{
    const AdatEvent *event = &reader->event;
    ada_reader_function function;
    uint32_t kind;
    int error;

    if (!reader->has_event)
        return -ENODATA;
    kind = ADA_WORD_KIND(event->event.word);
    if (kind == ADA_KIND_FUNCTION_ENTRY || kind == ADA_KIND_FUNCTION_EXIT) {
        error = name_function(reader, reader->recording, event->process->process.process, event->event.id,
                              &function);
        if (error)
            return error;
        *name_out = function.name;
        *length_out = function.length;
        return 0;
    }
    *length_out =
        adat_reader_event_name(event->reader, event->process->process.process, &event->event, reader->name);
    *name_out = reader->name;
    return 0;
}
