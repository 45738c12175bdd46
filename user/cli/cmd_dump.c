/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/cli/cli.h"
#include "user/cli/dump_line.h"
#include "user/cli/trace.h"
#include "user/base/parse.h"
#include "user/reader/adat_cursor.h"
#include "user/reader/symbols.h"

#define OUTPUT_BUFFER ((size_t)1 << 20)
#define UNNAMED_MAX 4u /* modules without names that are told of one by one */

typedef struct Dump {
    const AdatSet *set;
    AdatCursor *cursor;
    AdatSymbols *symbols; /* NULL: names of functions are not wanted */
    bool no_symbols;
    AdatSymbolsConfig symbols_config;
    const char **directories; /* of it */
    bool json;
    const char **threads; /* tids and names; none = all */
    size_t thread_count;
    const char **events; /* names and patterns; none = all */
    size_t event_count;
    int64_t from_ns;
    int64_t to_ns;
    uint64_t limit;
    uint64_t printed;
    int64_t no_mark_before; /* the next one of all is not earlier */
    size_t *next_marks;     /* of each recording: marks before it were printed, or were not wanted */
} Dump;

static void print_help(void)
{
    printf(
        "usage: adatrace dump [OPTION]... FILE|DIR\n"
        "Prints the events of a trace, or of all files of a directory, in the order of time, one a line: time since the start in seconds,\n"
        "pid/tid, thread, then what happened, indented by depth. Marks that the recorder set are among them.\n"
        "\n"
        "  --json            print one JSON object a line\n"
        "  --thread TID|NAME only this thread; may be repeated\n"
        "  --event NAME|GLOB only events with such names, and marks with such reasons; may be repeated\n"
        "  --from TIME       leave out what happened earlier than TIME since the start,\n"
        "  --to TIME         and what happened later: 1.5, 20ms, 300us, 4000ns; without a unit, seconds\n"
        "  --limit N         stop after N lines\n"
        "  --symbols DIR     look for files that functions' names are in here, too; may be repeated\n"
        "  --no-symbols      name functions by module and offset only\n"
        "  -h, --help        show this\n");
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

static bool is_wanted_name(const Dump *dump, const char *name)
{
    for (size_t i = 0; i < dump->event_count; i++)
        if (fnmatch(dump->events[i], name, 0) == 0)
            return true;
    return dump->event_count == 0;
}

static bool is_wanted_mark(Dump *dump, const AdatMarkInfo *info)
{
    if (info->time_ns < dump->from_ns || info->time_ns > dump->to_ns)
        return false;
    if (info->thread ? !is_wanted_thread(info->thread, dump) : dump->thread_count > 0)
        return false;
    return is_wanted_name(dump, info->mark.reason);
}

/* A name that no thread has is a slip of the user's, which an empty output would hide. */
static int check_threads(Dump *dump, const char *path)
{
    for (size_t i = 0; i < dump->thread_count; i++) {
        Dump one = {.threads = &dump->threads[i], .thread_count = 1};
        const AdatReader *reader;
        const AdatThreadInfo *thread;
        bool found = false;

        for (size_t r = 0; !found && (reader = adat_set_reader(dump->set, r)); r++)
            for (size_t t = 0; !found && (thread = adat_reader_thread(reader, t)); t++)
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

static bool is_function(const AdaIndexEvent *event)
{
    uint32_t kind = ADA_WORD_KIND(event->word);

    return kind == ADA_KIND_FUNCTION_ENTRY || kind == ADA_KIND_FUNCTION_EXIT;
}

/* Names what happened; `name` is room for a name that is nowhere else. */
static void name_event(Dump *dump, DumpedEvent *dumped, char name[ADAT_NAME_MAX])
{
    const AdatEvent *event = dumped->event;
    uint32_t process = event->process->process.process;
    const AdatFunction *function = NULL;

    if (is_function(&event->event)) {
        if (dump->symbols)
            function = adat_symbols_function(dump->symbols, event->reader, process, event->event.id);
        if (function) {
            dumped->name = function->name;
            dumped->name_length = function->length;
            dumped->module = function->module;
            return;
        }
        dumped->module = adat_reader_module(event->reader, process, event->event.id);
    }
    dumped->name_length = adat_reader_event_name(event->reader, process, &event->event, name);
}

/* Prints the event that the cursor stands at, if it is wanted. 0 or -errno. */
static int dump_event(Dump *dump, const AdatEvent *event)
{
    const AdatReader *reader = event->reader;
    uint32_t process = event->process->process.process;
    AdatField fields[ADA_EVENT_FIELDS_MAX];
    char name[ADAT_NAME_MAX];
    DumpedEvent dumped = {.event = event, .name = name, .fields = fields};

    name_event(dump, &dumped, name);
    if (!is_wanted_name(dump, dumped.name))
        return 0;
    if (ADA_WORD_FLAGS(event->event.word) & ADA_FLAG_DETAIL) {
        const AdaEventDescriptor *descriptor = adat_reader_descriptor(reader, process, event->event.id);
        AdatDetail detail;
        int got = adat_cursor_detail(dump->cursor, &detail);

        if (got < 0)
            return got;
        if (got > 0 && descriptor)
            dumped.field_count =
                adat_decode_fields(descriptor, detail.payload, detail.header.payload_size, fields);
    }
    if (dump->json)
        dump_event_json(reader, &dumped);
    else
        dump_event_text(&dumped);
    dump->printed++;
    return 0;
}

/* The recording whose next mark is the earliest, or NULL; and that mark. */
static const AdatReader *find_next_mark(const Dump *dump, size_t *recording_out, const AdatMarkInfo **info_out)
{
    const AdatReader *found = NULL, *reader;

    for (size_t i = 0; (reader = adat_set_reader(dump->set, i)); i++) {
        const AdatMarkInfo *info = adat_reader_mark(reader, dump->next_marks[i]);

        if (!info || (found && info->time_ns >= (*info_out)->time_ns))
            continue;
        found = reader;
        *recording_out = i;
        *info_out = info;
    }
    return found;
}

/* Prints the wanted marks that are earlier than this: a mark comes after the event that it is about. */
static void dump_marks(Dump *dump, int64_t before_ns)
{
    const AdatMarkInfo *info = NULL;
    const AdatReader *reader;
    size_t recording = 0;

    if (before_ns <= dump->no_mark_before)
        return;
    while (dump->printed < dump->limit && (reader = find_next_mark(dump, &recording, &info)) &&
           info->time_ns < before_ns) {
        dump->next_marks[recording]++;
        if (!is_wanted_mark(dump, info))
            continue;
        if (dump->json)
            dump_mark_json(reader, info);
        else
            dump_mark_text(info);
        dump->printed++;
    }
    dump->no_mark_before = find_next_mark(dump, &recording, &info) ? info->time_ns : INT64_MAX;
}

/* Says on stderr of which modules functions have no names, and why. */
static void report_unnamed(const Dump *dump)
{
    AdatSymbolsModule module;
    size_t unnamed = 0;

    for (size_t i = 0; dump->symbols && adat_symbols_module(dump->symbols, i, &module); i++) {
        char label[TRACE_LABEL_SIZE];

        if (module.file || ++unnamed > UNNAMED_MAX)
            continue;
        trace_escape(*module.path ? module.path : "program", label);
        cli_error("dump", "warning: no names for functions of '%s': %s", label,
                  adat_symbols_error_text(module.error));
    }
    if (unnamed > UNNAMED_MAX)
        cli_error("dump", "warning: no names for functions of %zu more modules", unnamed - UNNAMED_MAX);
}

static int dump_events(Dump *dump, const char *path)
{
    const AdatCursorConfig config = {
        .select = is_wanted_thread, .context = dump, .from_ns = dump->from_ns, .to_ns = dump->to_ns};
    AdatEvent event;
    int got = adat_cursor_create_set(dump->set, &config, &dump->cursor);

    while (got >= 0 && dump->printed < dump->limit && !cli_output_failed()) {
        got = adat_cursor_next(dump->cursor, &event);
        if (got >= 0)
            dump_marks(dump, got ? event.time_ns : INT64_MAX);
        if (got <= 0)
            break;
        if (dump->printed < dump->limit)
            got = dump_event(dump, &event);
    }
    if (got >= 0 && adat_cursor_vanished(dump->cursor) > 0)
        cli_error("dump",
                  "warning: %" PRIu64 " events of '%s' are left out, as their files were removed meanwhile",
                  adat_cursor_vanished(dump->cursor), path);
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
        {"json", no_argument, NULL, 'j'},          {"thread", required_argument, NULL, 't'},
        {"event", required_argument, NULL, 'e'},   {"from", required_argument, NULL, 'f'},
        {"to", required_argument, NULL, 'T'},      {"limit", required_argument, NULL, 'n'},
        {"symbols", required_argument, NULL, 's'}, {"no-symbols", no_argument, NULL, 'S'},
        {"help", no_argument, NULL, 'h'},          {0},
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
        case 's':
            dump->directories[dump->symbols_config.directory_count++] = optarg;
            break;
        case 'S':
            dump->no_symbols = true;
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
    if (status == CLI_OK && dump->no_symbols && dump->symbols_config.directory_count > 0)
        status = cli_usage_error("dump", "--symbols and --no-symbols exclude each other");
    return status;
}

/* What the options say must be there, and what their names need. CLI_OK, or CLI_FAILURE with the error said. */
static int prepare(Dump *dump)
{
    dump->next_marks = calloc(adat_set_recording_count(dump->set), sizeof(*dump->next_marks));
    dump->symbols_config.directories = dump->directories;
    if (dump->next_marks &&
        (dump->no_symbols || adat_symbols_create(&dump->symbols_config, &dump->symbols) == 0))
        return CLI_OK;
    cli_error("dump", "out of memory");
    return CLI_FAILURE;
}

int cmd_dump(int argc, char **argv)
{
    Dump dump = {.from_ns = INT64_MIN, .to_ns = INT64_MAX, .limit = UINT64_MAX, .no_mark_before = INT64_MIN};
    AdatSet *set = NULL;
    const char *path;
    int status = CLI_FAILURE, damage;

    /* no more of any than there are arguments */
    dump.threads = calloc((size_t)argc, sizeof(*dump.threads));
    dump.events = calloc((size_t)argc, sizeof(*dump.events));
    dump.directories = calloc((size_t)argc, sizeof(*dump.directories));
    if (!dump.threads || !dump.events || !dump.directories) {
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
    status = trace_open("dump", path, &set);
    if (status != CLI_OK)
        goto out;
    dump.set = set;
    status = prepare(&dump);
    if (status == CLI_OK)
        status = check_threads(&dump, path);
    if (status == CLI_OK) {
        status = dump_events(&dump, path);
        damage = trace_report_damage("dump", path, set);
        status = cli_end_output("dump", status != CLI_OK ? status : damage);
        /* whose output went nowhere has other worries, or had seen enough */
        if (status == CLI_OK && !ferror(stdout))
            report_unnamed(&dump);
    }
out:
    adat_symbols_destroy(dump.symbols);
    adat_set_close(set);
    free(dump.next_marks);
    free((void *)dump.directories);
    free(dump.threads);
    free(dump.events);
    return status;
}
