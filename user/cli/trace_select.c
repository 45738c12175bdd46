/* SPDX-License-Identifier: MIT */
#include "user/cli/trace_select.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/parse.h"
#include "user/cli/cli.h"
#include "user/cli/trace.h"

#define UNNAMED_MAX 4u /* modules without names that are told of one by one */

int trace_select_init(TraceSelect *select, int argc)
{
    *select = (TraceSelect){.from_ns = INT64_MIN, .until_ns = INT64_MAX};
    select->threads = calloc((size_t)argc, sizeof(*select->threads));
    select->processes = calloc((size_t)argc, sizeof(*select->processes));
    select->directories = calloc((size_t)argc, sizeof(*select->directories));
    return select->threads && select->processes && select->directories ? 0 : -ENOMEM;
}

void trace_select_fini(TraceSelect *select)
{
    adat_symbols_destroy(select->symbols);
    key_map_fini(&select->selected);
    free((void *)select->threads);
    free((void *)select->processes);
    free((void *)select->directories);
}

static int parse_time(const char *command, const char *option, const char *text, int64_t *time_out)
{
    uint64_t ns;

    if (parse_duration(text, 0, INT64_MAX, &ns))
        return cli_usage_error(command, "%s: '%s' is not a time, such as 1.5 or 20ms", option, text);
    *time_out = (int64_t)ns;
    return CLI_OK;
}

int trace_select_take(TraceSelect *select, const char *command, int option, const char *value)
{
    uint64_t pid;

    switch (option) {
    case TRACE_SELECT_THREAD:
        select->threads[select->thread_count++] = value;
        return CLI_OK;
    case TRACE_SELECT_PROCESS:
        if (parse_u64(value, 1, UINT32_MAX, &pid))
            return cli_usage_error(command, "--process: '%s' is not the number of a process", value);
        select->processes[select->process_count++] = value;
        return CLI_OK;
    case TRACE_SELECT_FROM:
        return parse_time(command, "--from", value, &select->from_ns);
    case TRACE_SELECT_UNTIL:
        return parse_time(command, "--until", value, &select->until_ns);
    case TRACE_SELECT_SYMBOLS:
        select->directories[select->directory_count++] = value;
        return CLI_OK;
    default:
        select->no_symbols = true;
        return CLI_OK;
    }
}

int trace_select_check(const TraceSelect *select, const char *command)
{
    if (select->from_ns > select->until_ns)
        return cli_usage_error(command, "--from is later than --until");
    if (select->no_symbols && select->directory_count > 0)
        return cli_usage_error(command, "--symbols and --no-symbols exclude each other");
    return CLI_OK;
}

/* ---- threads ---------------------------------------------------------------------------------- */

static bool is_number(const char *text, uint32_t number)
{
    uint64_t value;

    return parse_u64(text, 0, UINT32_MAX, &value) == 0 && value == number;
}

/* Whether a thread is the one, or of the process, that an argument names. */
static bool is_named(const AdatReader *reader, const AdatThreadInfo *thread, const char *text, bool process)
{
    const AdatProcessInfo *of = adat_reader_process(reader, thread->process);

    if (process)
        return of && is_number(text, of->process.pid);
    return strcmp(thread->thread.name, text) == 0 || is_number(text, thread->thread.tid);
}

static bool is_any(const AdatReader *reader, const AdatThreadInfo *thread, const char *const *texts,
                   size_t count, bool process)
{
    for (size_t i = 0; i < count; i++)
        if (is_named(reader, thread, texts[i], process))
            return true;
    return count == 0;
}

static bool is_there(const AdatSet *set, const char *text, bool process)
{
    const AdatReader *reader;
    const AdatThreadInfo *thread;

    for (size_t r = 0; (reader = adat_set_reader(set, r)); r++)
        for (size_t t = 0; (thread = adat_reader_thread(reader, t)); t++)
            if (is_named(reader, thread, text, process))
                return true;
    return false;
}

static int check_all(const char *command, const char *path, const AdatSet *set, const char *const *texts,
                     size_t count, bool process)
{
    for (size_t i = 0; i < count; i++) {
        if (is_there(set, texts[i], process))
            continue;
        cli_error(command, "no %s '%s' in '%s'; 'adatrace info' lists them", process ? "process" : "thread",
                  texts[i], path);
        return CLI_FAILURE;
    }
    return CLI_OK;
}

static bool takes_all(const TraceSelect *select)
{
    return select->thread_count == 0 && select->process_count == 0;
}

/* A name that no thread has is a slip of the user's, which an empty output would hide. */
static int select_threads(TraceSelect *select, const char *command, const char *path, const AdatSet *set)
{
    const AdatReader *reader;
    const AdatThreadInfo *thread;
    int status = check_all(command, path, set, select->threads, select->thread_count, false);

    if (status == CLI_OK)
        status = check_all(command, path, set, select->processes, select->process_count, true);
    for (size_t r = 0; status == CLI_OK && !takes_all(select) && (reader = adat_set_reader(set, r)); r++) {
        for (size_t t = 0; status == CLI_OK && (thread = adat_reader_thread(reader, t)); t++) {
            if (!is_any(reader, thread, select->threads, select->thread_count, false) ||
                !is_any(reader, thread, select->processes, select->process_count, true))
                continue;
            if (key_map_set(&select->selected, (uintptr_t)thread, 0, 0, 1)) {
                cli_error(command, "out of memory");
                status = CLI_FAILURE;
            }
        }
    }
    return status;
}

static bool is_wanted(const AdatThreadInfo *thread, void *context)
{
    const TraceSelect *select = context;

    return key_map_find(&select->selected, (uintptr_t)thread, 0, 0) != 0;
}

/* ---- what it comes to --------------------------------------------------------------------------- */

int trace_select_symbols(const TraceSelect *select, const char *command, AdatSymbols **symbols_out)
{
    const AdatSymbolsConfig config = {.directories = select->directories,
                                      .directory_count = select->directory_count};

    *symbols_out = NULL;
    if (select->no_symbols || adat_symbols_create(&config, symbols_out) == 0)
        return CLI_OK;
    cli_error(command, "out of memory");
    return CLI_FAILURE;
}

int trace_select_begin(TraceSelect *select, const char *command, const char *path, const AdatSet *set)
{
    int status = select_threads(select, command, path, set);

    return status == CLI_OK ? trace_select_symbols(select, command, &select->symbols) : status;
}

bool trace_select_is_whole(const TraceSelect *select)
{
    return takes_all(select) && select->from_ns == INT64_MIN && select->until_ns == INT64_MAX;
}

AdatCursorConfig trace_select_cursor(TraceSelect *select)
{
    return (AdatCursorConfig){.select = takes_all(select) ? NULL : is_wanted,
                              .context = select,
                              .from_ns = select->from_ns,
                              .to_ns = select->until_ns};
}

EventWalkConfig trace_select_walk(TraceSelect *select)
{
    return (EventWalkConfig){.symbols = select->symbols, .cursor = trace_select_cursor(select)};
}

void trace_select_report_unnamed(const char *command, const AdatSymbols *symbols)
{
    AdatSymbolsModule module;
    size_t unnamed = 0;

    for (size_t i = 0; symbols && adat_symbols_module(symbols, i, &module); i++) {
        char label[TRACE_LABEL_SIZE];

        if (module.file || !module.unnamed || ++unnamed > UNNAMED_MAX)
            continue;
        trace_escape(*module.path ? module.path : "program", label);
        cli_error(command, "warning: no names for functions of '%s': %s", label,
                  adat_symbols_error_text(module.error));
    }
    if (unnamed > UNNAMED_MAX)
        cli_error(command, "warning: no names for functions of %zu more modules", unnamed - UNNAMED_MAX);
}
