/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/cli/embed_symbols.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/cli/cli.h"
#include "user/cli/trace.h"
#include "user/file/adat_append.h"
#include "user/reader/adat_cursor.h"
#include "user/reader/demangle.h"
#include "user/reader/symbols.h"

#define SUFFIX ".adat"
#define NAMES_BYTES_MAX (ADAT_PAYLOAD_MAX / 2) /* of one block */

/* An address of a process. */
typedef struct Address {
    uint64_t address;
    uint32_t process; /* 0: the place is free, for processes are numbered from 1 */
} Address;

/* Those that were met: a hash table with open addressing, at most half full. */
typedef struct AddressSet {
    Address *places;
    size_t capacity; /* a power of two */
    size_t count;
    bool full; /* there were more */
} AddressSet;

typedef struct Found {
    AdatSymbolPlace *items;
    size_t count;
    size_t capacity;
} Found;

typedef struct Blocks {
    AdatAppendedBlock *items; /* their payloads are ours */
    size_t count;
    size_t capacity;
} Blocks;

/* ---- addresses --------------------------------------------------------------------------------- */

static Address *find_place(const AddressSet *set, const Address *address)
{
    uint64_t hash = (address->address + address->process) * UINT64_C(0x9e3779b97f4a7c15); /* as in symbols.c */
    size_t at = (size_t)(hash ^ hash >> 32) & (set->capacity - 1);

    while (set->places[at].process != 0 &&
           (set->places[at].address != address->address || set->places[at].process != address->process))
        at = (at + 1) & (set->capacity - 1);
    return &set->places[at];
}

static int grow(AddressSet *set)
{
    AddressSet grown = {.capacity = set->capacity ? 2 * set->capacity : 4096, .count = set->count};

    grown.places = calloc(grown.capacity, sizeof(*grown.places));
    if (!grown.places)
        return -ENOMEM;
    for (size_t i = 0; i < set->capacity; i++)
        if (set->places[i].process != 0)
            *find_place(&grown, &set->places[i]) = set->places[i];
    free(set->places);
    *set = grown;
    return 0;
}

static int note_address(AddressSet *set, uint32_t process, uint64_t address)
{
    const Address key = {address, process};
    Address *place;

    if (process == 0)
        return 0;
    if (2 * set->count >= set->capacity && grow(set))
        return -ENOMEM;
    place = find_place(set, &key);
    if (place->process != 0)
        return 0;
    if (set->count == EMBED_ADDRESSES_MAX) {
        set->full = true;
        return 0;
    }
    *place = key;
    set->count++;
    return 0;
}

/* Those of all events. 0 or -errno. */
static int collect_addresses(const AdatReader *reader, AddressSet *set)
{
    AdatCursor *cursor;
    AdatEvent event;
    int got = adat_cursor_create(reader, NULL, &cursor);

    if (got < 0)
        return got;
    while ((got = adat_cursor_next(cursor, &event)) > 0) {
        uint32_t kind = ADA_WORD_KIND(event.event.word), process = event.process->process.process;

        if (kind != ADA_KIND_FUNCTION_ENTRY && kind != ADA_KIND_FUNCTION_EXIT)
            continue;
        if (note_address(set, process, event.event.id) || note_address(set, process, event.event.argument)) {
            got = -ENOMEM;
            break;
        }
    }
    adat_cursor_destroy(cursor);
    return got;
}

/* ---- blocks ------------------------------------------------------------------------------------ */

static int compare_modules(const AdaModule *x, const AdaModule *y)
{
    int order = memcmp(x->build_id, y->build_id, sizeof(x->build_id));

    if (x->build_id_size != y->build_id_size)
        return x->build_id_size < y->build_id_size ? -1 : 1;
    if (!order && x->size != y->size)
        return x->size < y->size ? -1 : 1;
    return order ? order : strcmp(x->path, y->path);
}

static int compare_found(const void *a, const void *b)
{
    const AdatSymbolPlace *x = a, *y = b;
    int order = compare_modules(x->module, y->module);

    return order ? order : (x->start > y->start) - (x->start < y->start);
}

/* What the addresses are in, by module and place, each once. */
static int find_symbols(AdatSymbols *symbols, const AdatReader *reader, const AddressSet *set, Found *found)
{
    size_t kept = 0;

    for (size_t i = 0; i < set->capacity; i++) {
        const Address *address = &set->places[i];
        AdatSymbolPlace place;

        if (address->process == 0 ||
            !adat_symbols_place(symbols, reader, address->process, address->address, &place))
            continue;
        if (array_reserve_one(&found->items, &found->capacity, found->count, sizeof(place)))
            return -ENOMEM;
        found->items[found->count++] = place;
    }
    if (found->count > 1)
        qsort(found->items, found->count, sizeof(*found->items), compare_found);
    for (size_t i = 0; i < found->count; i++)
        if (kept == 0 || compare_found(&found->items[kept - 1], &found->items[i]) != 0)
            found->items[kept++] = found->items[i];
    found->count = kept;
    return 0;
}

/* A name that is too long for the file goes in as readers would show it: cut. Returns its length. */
static size_t fit_name(const char *name, char short_name[ADAT_NAME_MAX], const char **name_out)
{
    size_t length = strnlen(name, ADAT_EMBEDDED_NAME_MAX);

    *name_out = name;
    if (length < ADAT_EMBEDDED_NAME_MAX)
        return length;
    length = demangle(name, short_name, ADAT_NAME_MAX);
    if (length == 0)
        length = demangle_copy(name, short_name, ADAT_NAME_MAX);
    *name_out = short_name;
    return length;
}

/* One block for as many of `count` symbols of one module as it has room for; *used_out tells how many. */
static int make_block(const AdatSymbolPlace *places, size_t count, AdatAppendedBlock *block_out,
                      size_t *used_out)
{
    const AdaModule *module = places[0].module;
    AdatModuleSymbols head = {.build_id_size = module->build_id_size, .module_size = module->size};
    char short_name[ADAT_NAME_MAX];
    size_t used = 0, names = 0, at = 0;
    const char *name;
    uint8_t *payload;

    while (used < count && used < ADAT_EMBEDDED_MAX && names < NAMES_BYTES_MAX)
        names += fit_name(places[used++].name, short_name, &name) + 1;
    payload = calloc(1, sizeof(head) + used * sizeof(AdatSymbol) + names);
    if (!payload)
        return -ENOMEM;
    memcpy(head.build_id, module->build_id, sizeof(head.build_id));
    memcpy(head.path, module->path, sizeof(head.path));
    head.symbol_count = (uint32_t)used;
    head.names_bytes = (uint32_t)names;
    memcpy(payload, &head, sizeof(head));
    for (size_t i = 0; i < used; i++) {
        /* A file whose symbols reach beyond what was loaded says more than is wanted. */
        uint64_t end = places[i].end < module->size ? places[i].end : module->size;
        uint64_t size = end - places[i].start;
        AdatSymbol symbol = {
            .start = places[i].start,
            .function = places[i].function,
            .size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX,
            .name = (uint32_t)at,
        };
        size_t length = fit_name(places[i].name, short_name, &name);

        memcpy(payload + sizeof(head) + i * sizeof(symbol), &symbol, sizeof(symbol));
        memcpy(payload + sizeof(head) + used * sizeof(symbol) + at, name, length);
        at += length + 1;
    }
    *block_out = (AdatAppendedBlock){ADAT_BLOCK_SYMBOLS, payload,
                                     (uint32_t)(sizeof(head) + used * sizeof(AdatSymbol) + names)};
    *used_out = used;
    return 0;
}

static int make_blocks(const Found *found, Blocks *blocks)
{
    size_t end, used;

    for (size_t i = 0; i < found->count; i += used) {
        for (end = i + 1; end < found->count; end++)
            if (compare_modules(found->items[i].module, found->items[end].module) != 0)
                break;
        if (array_reserve_one(&blocks->items, &blocks->capacity, blocks->count, sizeof(*blocks->items)) ||
            make_block(found->items + i, end - i, &blocks->items[blocks->count], &used))
            return -ENOMEM;
        blocks->count++;
    }
    return 0;
}

/* ---- files ------------------------------------------------------------------------------------- */

/* Who interrupts us must not leave half of it behind. */
static int append(int fd, const Blocks *blocks)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    error = adat_append_blocks(fd, blocks->items, blocks->count, NULL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return error;
}

/* The descriptor stays the caller's. */
static int embed(AdatSymbols *symbols, int fd, bool *full_out)
{
    AdatReader *reader = NULL;
    AddressSet set = {0};
    Blocks blocks = {0};
    Found found = {0};
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0), error;

    if (own < 0)
        return -errno;
    error = adat_reader_open_fd(own, &reader);
    if (error) {
        close(own);
        return error;
    }
    error = adat_reader_info(reader)->closed ? collect_addresses(reader, &set) : -ENODATA;
    if (!error)
        error = find_symbols(symbols, reader, &set, &found);
    if (!error)
        error = make_blocks(&found, &blocks);
    if (!error)
        error = append(fd, &blocks);
    *full_out = set.full;
    for (size_t i = 0; i < blocks.count; i++)
        free((void *)blocks.items[i].payload);
    free(blocks.items);
    free(found.items);
    free(set.places);
    adat_reader_close(reader);
    return error;
}

static const char *error_text(int error)
{
    switch (error) {
    case -ENODATA:
        return "it is not complete";
    case -EPERM:
        return "it is no file of ours any more";
    case -EBADMSG:
        return "it changed meanwhile";
    default:
        return strerror(-error);
    }
}

/* Below an open directory, or AT_FDCWD. It must be what we recorded into, as far as that can be told. */
static int open_ours(int directory, const char *name)
{
    int fd = openat(directory, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    int error = 0;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0)
        error = -errno;
    else if (!S_ISREG(status.st_mode) || status.st_uid != geteuid() || status.st_nlink != 1)
        error = -EPERM;
    if (!error)
        return fd;
    close(fd);
    return error;
}

static void embed_file(const char *command, AdatSymbols *symbols, int directory, const char *name,
                       const char *label)
{
    bool full = false;
    int fd = open_ours(directory, name);
    int error = fd < 0 ? fd : embed(symbols, fd, &full);

    if (fd >= 0)
        close(fd);
    if (error)
        cli_error(command,
                  "cannot put names of functions into '%s': %s; it can be read where the program's files are",
                  label, error_text(error));
    else if (full)
        cli_error(command,
                  "'%s' has more than %u addresses of functions: those behind them have no names in it",
                  label, EMBED_ADDRESSES_MAX);
}

static bool is_trace_name(const char *name)
{
    size_t length = strlen(name);

    return length > strlen(SUFFIX) && strcmp(name + length - strlen(SUFFIX), SUFFIX) == 0;
}

static void embed_directory(const char *command, AdatSymbols *symbols, const char *path)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;

    if (!directory) {
        cli_error(command, "cannot put names of functions into files of '%s': %s", path, strerror(errno));
        return;
    }
    while ((entry = readdir(directory)) != NULL) {
        char label[TRACE_LABEL_SIZE];

        if (!is_trace_name(entry->d_name))
            continue;
        trace_label(path, true, entry->d_name, label);
        embed_file(command, symbols, dirfd(directory), entry->d_name, label);
    }
    closedir(directory);
}

void embed_symbols(const char *command, const char *path, bool is_directory)
{
    AdatSymbols *symbols;

    if (adat_symbols_create(NULL, &symbols)) {
        cli_error(command, "cannot put names of functions into '%s': out of memory", path);
        return;
    }
    if (is_directory)
        embed_directory(command, symbols, path);
    else
        embed_file(command, symbols, AT_FDCWD, path, path);
    adat_symbols_destroy(symbols);
}
