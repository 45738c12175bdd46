/* SPDX-License-Identifier: MIT */
/*
 * Function addresses of traces to names, by the files that the traced programs were loaded from; and where those are not to be had, by the names that
 * are in the trace itself, if it was recorded with --embed-symbols.
 *
 *   adat_symbols_create()     knows directories to search
 *   adat_symbols_function()   what an address of a process is called
 *   adat_symbols_module()     which files were used, and which modules have none, and why
 *
 * A module of a trace names its file and its build-id. Of these files the first one with all functions is taken, else the first one
 * with those that it exports:
 *   1. the path that was recorded
 *   2. DIR/.build-id/xx/yyyy.debug of the directories given, then of /usr/lib/debug: debugging information that was split off
 *   3. DIR/PATH, DIR/NAME and DIR/NAME.debug of the directories given: another machine's files
 * only if its build-id is the module's: a file that was replaced since is not used. A module without a build-id is
 * known by its size in memory instead, which a replaced file may have, too. What was unloaded meanwhile makes no difference. Names of the trace itself count
 * before those of a file that has only what it exports.
 *
 * Files are opened when the first address of their module is asked for, and once. Names are kept in a cache of ADAT_SYMBOLS_CACHED addresses; so
 * memory does not grow with the events, and an address costs one look into it as a rule.
 *
 * One thread uses it at a time. Readers must live longer. Functions return 0 or -errno; nothing is printed.
 */
#ifndef ADA_READER_SYMBOLS_H
#define ADA_READER_SYMBOLS_H

#include "user/reader/adat_reader.h"

#define ADAT_SYMBOLS_CACHED (1u << 17)
#define ADAT_SYMBOLS_MODULES_MAX 4096u           /* others have no names */
#define ADAT_SYMBOLS_FILE_MAX ((size_t)1 << 30)  /* bytes of one file's tables */
#define ADAT_SYMBOLS_TOTAL_MAX ((size_t)2 << 30) /* of all of them */

typedef struct AdatSymbols AdatSymbols;

typedef struct AdatSymbolsConfig {
    const char *const *directories; /* borrowed for as long as the AdatSymbols lives; paths as open(2) takes them */
    size_t directory_count;
} AdatSymbolsConfig;

/* NULL as configuration: no directories. -ENOMEM. */
int adat_symbols_create(const AdatSymbolsConfig *config, AdatSymbols **symbols_out);

/* NULL is allowed. */
void adat_symbols_destroy(AdatSymbols *symbols);

typedef struct AdatFunction {
    /*
     * NUL-terminated, shorter than ADAT_NAME_MAX, cut if it ends with "...". It comes from a file that anybody may have made. "name+0xOFFSET" if
     * the address is within the function; without a symbol as adat_reader_event_name() calls it.
     */
    const char *name;
    size_t length;
    const AdaModule *module; /* NULL: it is in none */
    bool resolved;           /* the name is a symbol's */
} AdatFunction;

/* What is returned is valid until the next call. NULL: out of memory. */
const AdatFunction *adat_symbols_function(AdatSymbols *symbols, const AdatReader *reader, uint32_t process,
                                          uint64_t address);

/* What the file of a module says of an address, as it stands there. */
typedef struct AdatSymbolPlace {
    const AdaModule *module; /* the reader's */
    const char *name;        /* for as long as the AdatSymbols lives */
    uint64_t start; /* of the range around it in which that function is the innermost, from the module's base */
    uint64_t end;
    uint64_t function; /* where it begins */
} AdatSymbolPlace;

/* Without what is in the trace itself. Nothing is kept that refers to the reader. false: no module, no file, or no function in it. */
bool adat_symbols_place(AdatSymbols *symbols, const AdatReader *reader, uint32_t process, uint64_t address,
                        AdatSymbolPlace *place_out);

typedef struct AdatSymbolsModule {
    const char *path; /* as recorded; "" if unknown */
    const char *file; /* that its names are from; NULL: none */
    bool complete;    /* it has all functions, and not only those that it exports */
    int error;        /* why there is no file: -errno, as of elf_symbols_open() */
    bool unnamed;     /* an address of it that was asked for has no name, wherever from */
} AdatSymbolsModule;

/* Of the modules that were asked for so far, in that order. false: there are no more. */
bool adat_symbols_module(const AdatSymbols *symbols, size_t index, AdatSymbolsModule *module_out);

/* What such an error means to a user. */
const char *adat_symbols_error_text(int error);

#endif
