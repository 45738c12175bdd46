/* SPDX-License-Identifier: MIT */
/*
 * Which events of a trace a command takes, and how they are named: the options that commands which read traces share.
 *
 *   --thread TID|NAME   --process PID   --from TIME   --until TIME (or --to)   --symbols DIR   --no-symbols
 */
#ifndef ADA_CLI_TRACE_SELECT_H
#define ADA_CLI_TRACE_SELECT_H

#include <getopt.h>

#include "user/convert/event_walk.h"
#include "user/report/key_map.h"

/* Values of getopt_long(), beyond those of letters. */
enum {
    TRACE_SELECT_THREAD = 256,
    TRACE_SELECT_PROCESS,
    TRACE_SELECT_FROM,
    TRACE_SELECT_UNTIL,
    TRACE_SELECT_SYMBOLS,
    TRACE_SELECT_NO_SYMBOLS,
};

/* Rows of a table of options: of names alone; all of them; and a second name, for commands in which it means nothing else. */
#define TRACE_SELECT_NAME_OPTIONS                                \
    {"symbols", required_argument, NULL, TRACE_SELECT_SYMBOLS},  \
    {                                                            \
        "no-symbols", no_argument, NULL, TRACE_SELECT_NO_SYMBOLS \
    }
#define TRACE_SELECT_OPTIONS                                        \
    {"thread", required_argument, NULL, TRACE_SELECT_THREAD},       \
        {"process", required_argument, NULL, TRACE_SELECT_PROCESS}, \
        {"from", required_argument, NULL, TRACE_SELECT_FROM},       \
        {"until", required_argument, NULL, TRACE_SELECT_UNTIL}, TRACE_SELECT_NAME_OPTIONS
#define TRACE_SELECT_TO                                   \
    {                                                     \
        "to", required_argument, NULL, TRACE_SELECT_UNTIL \
    }

/* What --help says of them; `until` is "--until TIME" or with its second name. */
#define TRACE_SELECT_NAME_HELP                                                                     \
    "  --symbols DIR     look for files that functions' names are in here, too; may be repeated\n" \
    "  --no-symbols      name functions by module and offset only\n"
#define TRACE_SELECT_HELP(until)                                                             \
    "  --thread TID|NAME only this thread; may be repeated\n"                                \
    "  --process PID     only this process; may be repeated\n"                               \
    "  --from TIME       leave out what happened earlier than TIME since the start,\n" until \
    "and what happened later: 1.5, 20ms, 300us, 4000ns; without a unit, seconds\n" TRACE_SELECT_NAME_HELP
#define TRACE_SELECT_UNTIL_HELP "  --until TIME      "
#define TRACE_SELECT_TO_HELP "  --to, --until TIME  "

/* Borrowed texts. */
typedef struct TraceSelect {
    const char **threads; /* tids and names; none = all */
    size_t thread_count;
    const char **processes; /* pids; none = all */
    size_t process_count;
    int64_t from_ns;
    int64_t until_ns;
    bool no_symbols;
    const char **directories; /* of symbols */
    size_t directory_count;
    KeyMap selected;      /* threads that are taken, by where they are in memory, unless all are */
    AdatSymbols *symbols; /* NULL: names of functions are not wanted */
} TraceSelect;

/* Everything; with room for as many values as there are arguments. 0 or -ENOMEM, to be finished in any case. */
int trace_select_init(TraceSelect *select, int argc);
void trace_select_fini(TraceSelect *select);

static inline bool trace_select_takes(int option)
{
    return option >= TRACE_SELECT_THREAD && option <= TRACE_SELECT_NO_SYMBOLS;
}

/* Takes an option that it takes. CLI_OK, or CLI_USAGE with the error said. */
int trace_select_take(TraceSelect *select, const char *command, int option, const char *value);

/* Whether the options go together. CLI_OK, or CLI_USAGE with the error said. */
int trace_select_check(const TraceSelect *select, const char *command);

/* Symbols as the options say, the caller's to destroy; NULL: they are not wanted. CLI_OK, or CLI_FAILURE with the error said. */
int trace_select_symbols(const TraceSelect *select, const char *command, AdatSymbols **symbols_out);

/* Makes ready for a set, once: are its threads there that are asked for? CLI_OK, or CLI_FAILURE with the error said. */
int trace_select_begin(TraceSelect *select, const char *command, const char *path, const AdatSet *set);

/* Whether nothing is left out. */
bool trace_select_is_whole(const TraceSelect *select);

/* For adat_cursor_create_set() and event_walk_create(). The selection must outlive what they make. */
AdatCursorConfig trace_select_cursor(TraceSelect *select);
EventWalkConfig trace_select_walk(TraceSelect *select);

/* Says on stderr of which modules functions have no names, and why; `symbols` may be NULL. */
void trace_select_report_unnamed(const char *command, const AdatSymbols *symbols);

#endif
