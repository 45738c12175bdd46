/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/cli/cli.h"
#include "user/cli/trace.h"
#include "user/base/number.h"
#include "user/base/parse.h"
#include "user/reader/adat_cursor.h"

#define OUTPUT_BUFFER ((size_t)1 << 20)
#define INDENT_MAX 32u /* levels: deeper ones are not indented further */

typedef struct Dump {
    const AdatReader *reader;
    AdatCursor *cursor;
    bool json;
    const char **threads; /* tids and names; none = all */
    size_t thread_count;
    const char **events; /* names and patterns; none = all */
    size_t event_count;
    int64_t from_ns;
    int64_t to_ns;
    uint64_t limit;
} Dump;

static void print_help(void)
{
    printf("usage: adatrace dump [OPTION]... FILE\n"
           "Prints the events of a trace in the order of time, one a line: time since the start in seconds,\n"
           "pid/tid, thread, then what happened, indented by depth.\n"
           "\n"
           "  --json            print one JSON object a line\n"
           "  --thread TID|NAME only this thread; may be repeated\n"
           "  --event NAME|GLOB only events with such names; may be repeated\n"
           "  --from TIME       leave out what happened earlier than TIME since the start,\n"
           "  --to TIME         and what happened later: 1.5, 20ms, 300us, 4000ns; without a unit, seconds\n"
           "  --limit N         stop after N events\n"
           "  -h, --help        show this\n");
}

static const struct {
    const char *text;
    const char *json;
} kinds[] = {
    [ADA_KIND_NONE] = {"none", "none"},
    [ADA_KIND_FUNCTION_ENTRY] = {"entry", "function_entry"},
    [ADA_KIND_FUNCTION_EXIT] = {"exit", "function_exit"},
    [ADA_KIND_SPAN_BEGIN] = {"begin", "span_begin"},
    [ADA_KIND_SPAN_END] = {"end", "span_end"},
    [ADA_KIND_INSTANT] = {"instant", "instant"},
    [ADA_KIND_COUNTER] = {"counter", "counter"},
    [ADA_KIND_TYPED] = {"event", "typed"},
    [ADA_KIND_MARK] = {"mark", "mark"},
    [ADA_KIND_COUNT] = {"unknown", "unknown"},
};
_Static_assert(sizeof(kinds) / sizeof(kinds[0]) == ADA_KIND_COUNT + 1, "a name for each kind");

static uint32_t kind_of(const AdaIndexEvent *event)
{
    uint32_t kind = ADA_WORD_KIND(event->word);

    return kind < ADA_KIND_COUNT ? kind : ADA_KIND_COUNT;
}

/* ---- text ------------------------------------------------------------------------------------ */

/* A line is put together here up to its fields; the parts that are longest by far are bounded names. */
typedef struct Line {
    char text[1024];
    size_t length;
} Line;

static void line_put(Line *line, const char *text, size_t length)
{
    memcpy(line->text + line->length, text, length);
    line->length += length;
}

static void line_pad(Line *line, size_t count)
{
    memset(line->text + line->length, ' ', count);
    line->length += count;
}

/* "   12.000000345": the point stands in the same column up to 99999 seconds. */
static void line_put_time(Line *line, int64_t time_ns)
{
    uint64_t ns = time_ns < 0 ? 0 - (uint64_t)time_ns : (uint64_t)time_ns;
    char seconds[NUMBER_CHARS_MAX + 1];
    size_t length = 0;

    if (time_ns < 0)
        seconds[length++] = '-';
    length += number_format_u64(seconds + length, ns / 1000000000u);
    if (length < 6)
        line_pad(line, 6 - length);
    line_put(line, seconds, length);
    line->text[line->length++] = '.';
    line->length += number_format_padded(line->text + line->length, ns % 1000000000u, 9);
}

/* Addresses of mutexes and of code are easier to recognize in hexadecimal; other numbers are seldom as large. */
static bool looks_like_address(uint64_t value)
{
    return value >> 40 != 0 && value >> 47 == 0;
}

/* Counters are signed, and so are results: a span that failed ends with -errno. */
static void line_put_argument(Line *line, const AdaIndexEvent *event)
{
    char *place = line->text + line->length;

    switch (ADA_WORD_KIND(event->word)) {
    case ADA_KIND_FUNCTION_ENTRY:
    case ADA_KIND_FUNCTION_EXIT:
        line->length += number_format_hex(place, event->argument);
        break;
    case ADA_KIND_COUNTER:
    case ADA_KIND_SPAN_END:
        line->length += number_format_i64(place, (int64_t)event->argument);
        break;
    default:
        if (looks_like_address(event->argument))
            line->length += number_format_hex(place, event->argument);
        else
            line->length += number_format_u64(place, event->argument);
    }
}

static void line_flush(Line *line)
{
    fwrite_unlocked(line->text, 1, line->length, stdout);
    line->length = 0;
}

/* Names come from the trace: what is harmless goes the short way. */
static void line_put_name(Line *line, const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)name[i];

        if (c < 0x20 || c >= 0x7f || c == '\\' || c == '"') {
            line_flush(line);
            trace_put_text(stdout, name, length);
            return;
        }
    }
    line_put(line, name, length);
}

static void print_field(const AdatField *field)
{
    char number[NUMBER_CHARS_MAX];
    size_t length = 0;

    putc_unlocked(' ', stdout);
    trace_put_text(stdout, field->name, strlen(field->name));
    putc_unlocked('=', stdout);
    switch (field->type) {
    case ADA_TYPE_I64:
        length = number_format_i64(number, field->value.i64);
        break;
    case ADA_TYPE_F64:
        length = number_format_f64(number, field->value.f64);
        break;
    case ADA_TYPE_POINTER:
        length = number_format_hex(number, field->value.u64);
        break;
    case ADA_TYPE_STRING:
        putc_unlocked('"', stdout);
        trace_put_text(stdout, field->value.string.bytes, field->value.string.size);
        putc_unlocked('"', stdout);
        break;
    default:
        length = number_format_u64(number, field->value.u64);
    }
    fwrite_unlocked(number, 1, length, stdout);
}

static void print_text(const AdatEvent *event, const char *name, size_t name_length, const AdatField *fields,
                       size_t field_count)
{
    const char *thread = event->thread->thread.name;
    size_t thread_length = strlen(thread);
    uint32_t depth = ADA_WORD_DEPTH(event->event.word);
    const char *kind = kinds[kind_of(&event->event)].text;
    Line line;

    line.length = 0;
    line_put_time(&line, event->time_ns);
    line_pad(&line, 1);
    line.length += number_format_u64(line.text + line.length, event->process->process.pid);
    line.text[line.length++] = '/';
    line.length += number_format_u64(line.text + line.length, event->thread->thread.tid);
    line_pad(&line, 1);
    line_put_name(&line, thread, thread_length);
    line_pad(&line, thread_length < 15 ? 16 - thread_length : 1);
    line_pad(&line, 2 * (size_t)(depth < INDENT_MAX ? depth : INDENT_MAX));
    line_put(&line, kind, strlen(kind));
    line_pad(&line, 1);
    line_put_name(&line, name, name_length);
    line_pad(&line, 1);
    line_put_argument(&line, &event->event);
    line_flush(&line);
    for (size_t i = 0; i < field_count; i++)
        print_field(&fields[i]);
    if (ADA_WORD_FLAGS(event->event.word) & ADA_FLAG_DETAIL_LOST)
        fputs(" (fields lost)", stdout);
    putc_unlocked('\n', stdout);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_json_field(JsonWriter *json, const AdatField *field)
{
    char number[NUMBER_CHARS_MAX];

    switch (field->type) {
    case ADA_TYPE_I64:
        json_i64(json, field->name, field->value.i64);
        break;
    case ADA_TYPE_F64:
        json_f64(json, field->name, field->value.f64);
        break;
    case ADA_TYPE_POINTER: /* as text: most JSON readers would round it */
        json_string_bytes(json, field->name, number, number_format_hex(number, field->value.u64));
        break;
    case ADA_TYPE_STRING:
        json_string_bytes(json, field->name, field->value.string.bytes, field->value.string.size);
        break;
    default:
        json_u64(json, field->name, field->value.u64);
    }
}

static void print_json(const Dump *dump, const AdatEvent *event, const char *name, size_t name_length,
                       const AdatField *fields, size_t field_count)
{
    JsonWriter json;

    json_init(&json, stdout);
    json_begin_object(&json, NULL);
    json_u64(&json, "ts_ns", adat_reader_realtime(dump->reader, event->time_ns));
    json_u64(&json, "pid", event->process->process.pid);
    json_u64(&json, "tid", event->thread->thread.tid);
    json_string(&json, "lane", "index");
    json_string(&json, "kind", kinds[kind_of(&event->event)].json);
    json_string_bytes(&json, "name", name, name_length);
    if (ADA_WORD_KIND(event->event.word) == ADA_KIND_COUNTER ||
        ADA_WORD_KIND(event->event.word) == ADA_KIND_SPAN_END)
        json_i64(&json, "arg", (int64_t)event->event.argument);
    else
        json_u64(&json, "arg", event->event.argument);
    json_begin_object(&json, "fields");
    for (size_t i = 0; i < field_count; i++)
        put_json_field(&json, &fields[i]);
    json_end_object(&json);
    json_end_object(&json);
}

/* ---- selection ------------------------------------------------------------------------------- */

static bool is_wanted_thread(const AdatThreadInfo *thread, void *context)
{
    const Dump *dump = context;

    for (size_t i = 0; i < dump->thread_count; i++) {
        uint64_t tid;

        if (strcmp(thread->thread.name, dump->threads[i]) == 0 ||
            (parse_u64(dump->threads[i], 0, UINT32_MAX, &tid) == 0 && tid == thread->thread.tid))
            return true;
    }
    return dump->thread_count == 0;
}

static bool is_wanted_event(const Dump *dump, const char *name)
{
    for (size_t i = 0; i < dump->event_count; i++)
        if (fnmatch(dump->events[i], name, 0) == 0)
            return true;
    return dump->event_count == 0;
}

/* A name that no thread has is a slip of the user's, which an empty output would hide. */
static int check_threads(Dump *dump, const char *path)
{
    for (size_t i = 0; i < dump->thread_count; i++) {
        Dump one = {.threads = &dump->threads[i], .thread_count = 1};
        const AdatThreadInfo *thread;
        bool found = false;

        for (size_t t = 0; !found && (thread = adat_reader_thread(dump->reader, t)); t++)
            found = is_wanted_thread(thread, &one);
        if (!found) {
            cli_error("dump", "no thread '%s' in '%s'; 'adatrace info' lists its threads", dump->threads[i],
                      path);
            return CLI_FAILURE;
        }
    }
    return CLI_OK;
}

/* ---- command --------------------------------------------------------------------------------- */

/* Prints the event that the cursor stands at. 1; 0: it was not wanted; -errno. */
static int dump_event(const Dump *dump, const AdatEvent *event)
{
    uint32_t process = event->process->process.process;
    AdatField fields[ADA_EVENT_FIELDS_MAX];
    size_t field_count = 0;
    char name[ADAT_NAME_MAX];
    size_t name_length = adat_reader_event_name(dump->reader, process, &event->event, name);

    if (!is_wanted_event(dump, name))
        return 0;
    if (ADA_WORD_FLAGS(event->event.word) & ADA_FLAG_DETAIL) {
        const AdaEventDescriptor *descriptor = adat_reader_descriptor(dump->reader, process, event->event.id);
        AdatDetail detail;
        int got = adat_cursor_detail(dump->cursor, &detail);

        if (got < 0)
            return got;
        if (got > 0 && descriptor)
            field_count = adat_decode_fields(descriptor, detail.payload, detail.header.payload_size, fields);
    }
    if (dump->json)
        print_json(dump, event, name, name_length, fields, field_count);
    else
        print_text(event, name, name_length, fields, field_count);
    return 1;
}

static int dump_events(Dump *dump, const char *path)
{
    const AdatCursorConfig config = {
        .select = is_wanted_thread, .context = dump, .from_ns = dump->from_ns, .to_ns = dump->to_ns};
    uint64_t printed = 0;
    AdatEvent event;
    int got = adat_cursor_create(dump->reader, &config, &dump->cursor);

    while (got >= 0 && printed < dump->limit && !cli_output_failed()) {
        got = adat_cursor_next(dump->cursor, &event);
        if (got == 0)
            break;
        if (got > 0)
            got = dump_event(dump, &event);
        if (got > 0)
            printed++;
    }
    adat_cursor_destroy(dump->cursor);
    if (got >= 0)
        return CLI_OK;
    cli_error("dump", "cannot read '%s': %s", path,
              got == -EBADMSG ? "it changed meanwhile; try again when it is complete" : strerror(-got));
    return CLI_FAILURE;
}

static int parse_time(const char *option, const char *text, int64_t *time_out)
{
    uint64_t ns;

    if (parse_duration(text, 0, INT64_MAX, &ns))
        return cli_usage_error("dump", "%s: '%s' is not a time, such as 1.5 or 20ms", option, text);
    *time_out = (int64_t)ns;
    return CLI_OK;
}

/* CLI_OK; CLI_USAGE with the error said; -1 when help was shown. */
static int parse_options(Dump *dump, int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},        {"thread", required_argument, NULL, 't'},
        {"event", required_argument, NULL, 'e'}, {"from", required_argument, NULL, 'f'},
        {"to", required_argument, NULL, 'T'},    {"limit", required_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},        {0},
    };
    int option, status = CLI_OK;

    opterr = 0;
    while (status == CLI_OK && (option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        switch (option) {
        case 'j':
            dump->json = true;
            break;
        case 't':
            dump->threads[dump->thread_count++] = optarg;
            break;
        case 'e':
            dump->events[dump->event_count++] = optarg;
            break;
        case 'f':
            status = parse_time("--from", optarg, &dump->from_ns);
            break;
        case 'T':
            status = parse_time("--to", optarg, &dump->to_ns);
            break;
        case 'n':
            if (parse_u64(optarg, 0, UINT64_MAX, &dump->limit))
                status = cli_usage_error("dump", "--limit: '%s' is not a number", optarg);
            break;
        case 'h':
            print_help();
            return -1;
        default:
            return cli_option_error("dump", option, argv);
        }
    }
    if (status == CLI_OK && dump->from_ns > dump->to_ns)
        status = cli_usage_error("dump", "--from is later than --to");
    return status;
}

int cmd_dump(int argc, char **argv)
{
    Dump dump = {.from_ns = INT64_MIN, .to_ns = INT64_MAX, .limit = UINT64_MAX};
    AdatReader *reader = NULL;
    const char *path;
    int status = CLI_FAILURE, damage;

    /* no more of either than there are arguments */
    dump.threads = calloc((size_t)argc, sizeof(*dump.threads));
    dump.events = calloc((size_t)argc, sizeof(*dump.events));
    if (!dump.threads || !dump.events) {
        cli_error("dump", "out of memory");
        goto out;
    }
    status = parse_options(&dump, argc, argv);
    if (status == -1) {
        status = cli_end_output("dump", CLI_OK);
        goto out;
    }
    if (status == CLI_OK)
        status = cli_take_file("dump", argc, argv, &path);
    if (status != CLI_OK)
        goto out;

    cli_begin_output();
    setvbuf(stdout, NULL, _IOFBF, OUTPUT_BUFFER);
    status = trace_open("dump", path, &reader);
    if (status != CLI_OK)
        goto out;
    dump.reader = reader;
    status = check_threads(&dump, path);
    if (status == CLI_OK) {
        status = dump_events(&dump, path);
        damage = trace_report_cut("dump", path, reader);
        status = cli_end_output("dump", status != CLI_OK ? status : damage);
    }
out:
    adat_reader_close(reader);
    free(dump.threads);
    free(dump.events);
    return status;
}
