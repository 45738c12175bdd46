/* SPDX-License-Identifier: MIT */
#include "user/reader/symbols.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/array.h"
#include "user/base/number.h"
#include "user/reader/demangle.h"
#include "user/reader/elf_symbols.h"
#include "user/reader/reader.h"

#define WAYS 4u /* places that an address may have in the cache */
#define SETS (ADAT_SYMBOLS_CACHED / WAYS)

static const char system_directory[] = "/usr/lib/debug";

/* The file of modules that are the same. */
typedef struct Image {
    ElfIdentity identity;
    char *path;
    char *file;          /* NULL: none */
    ElfSymbols *symbols; /* NULL likewise */
    int error;
    bool unnamed; /* see AdatSymbolsModule */
} Image;

typedef struct CacheEntry {
    const AdatReader *reader;
    uint64_t address;
    uint32_t process;
    AdatFunction function; /* owns its name */
} CacheEntry;

struct AdatSymbols {
    AdatSymbolsConfig config;
    Image *images;
    size_t image_count;
    size_t image_capacity;
    size_t bytes;        /* of all tables taken in */
    CacheEntry *entries; /* in the order in which they were asked for: those of one program lie close together */
    size_t entry_count; /* at most ADAT_SYMBOLS_CACHED */
    size_t entry_capacity;
    uint32_t *places; /* ADAT_SYMBOLS_CACHED numbers of entries, from 1; 0: none. A set is filled from its start */
    uint32_t next_way; /* the one that makes room next */
};

/* ---- files ------------------------------------------------------------------------------------ */

/* Tries one file. True: it has all functions, so there is nothing more to look for. */
static bool try_file(AdatSymbols *self, Image *image, const char *path)
{
    size_t left = ADAT_SYMBOLS_TOTAL_MAX - self->bytes;
    ElfSymbols *found = NULL;
    char *file;
    int error = elf_symbols_open(path, &image->identity,
                                 left < ADAT_SYMBOLS_FILE_MAX ? left : ADAT_SYMBOLS_FILE_MAX, &found);

    if (error) {
        /* that something is wrong tells more than that something is not there */
        if (image->error == 0 || (image->error == -ENOENT && error != -ENOTDIR))
            image->error = error;
        return false;
    }
    file = image->symbols && !elf_symbols_are_complete(found) ? NULL : strdup(path);
    if (!file) {
        elf_symbols_destroy(found);
        return false;
    }
    if (image->symbols) {
        self->bytes -= elf_symbols_bytes(image->symbols);
        elf_symbols_destroy(image->symbols);
        free(image->file);
    }
    image->symbols = found;
    image->file = file;
    self->bytes += elf_symbols_bytes(found);
    return elf_symbols_are_complete(found);
}

static bool try_debug_file(AdatSymbols *self, Image *image, const char *directory)
{
    const ElfIdentity *identity = &image->identity;
    char path[PATH_MAX];
    char id[2 * ADA_BUILD_ID_MAX + 1];

    if (identity->build_id_size < 2)
        return false;
    for (size_t i = 0; i < identity->build_id_size; i++)
        (void)snprintf(id + 2 * i, 3, "%02x", identity->build_id[i]);
    return snprintf(path, sizeof(path), "%s/.build-id/%.2s/%s.debug", directory, id, id + 2) < PATH_MAX &&
           try_file(self, image, path);
}

static bool try_copies(AdatSymbols *self, Image *image, const char *directory)
{
    const char *slash = strrchr(image->path, '/');
    const char *name = slash ? slash + 1 : image->path;
    char path[PATH_MAX];

    if (!*name)
        return false;
    return (slash && snprintf(path, sizeof(path), "%s/%s", directory, image->path) < PATH_MAX &&
            try_file(self, image, path)) ||
           (snprintf(path, sizeof(path), "%s/%s", directory, name) < PATH_MAX && try_file(self, image, path)) ||
           (snprintf(path, sizeof(path), "%s/%s.debug", directory, name) < PATH_MAX &&
            try_file(self, image, path));
}

static void find_file(AdatSymbols *self, Image *image)
{
    const AdatSymbolsConfig *config = &self->config;

    image->error = -ENOENT;
    /* Others are relative to where the traced process was, which is not known. */
    if (image->path[0] == '/' && try_file(self, image, image->path))
        return;
    for (size_t i = 0; i < config->directory_count; i++)
        if (try_debug_file(self, image, config->directories[i]))
            return;
    if (try_debug_file(self, image, system_directory))
        return;
    for (size_t i = 0; i < config->directory_count; i++)
        if (try_copies(self, image, config->directories[i]))
            return;
}

/* A file that was found serves all modules of its build-id, wherever they were loaded from. */
static bool is_same(const Image *image, const ElfIdentity *identity, const char *path)
{
    if (image->identity.build_id_size != identity->build_id_size)
        return false;
    if (memcmp(image->identity.build_id, identity->build_id, identity->build_id_size) != 0)
        return false;
    if (identity->build_id_size > 0 && image->symbols)
        return true;
    return image->identity.memory_size == identity->memory_size && strcmp(image->path, path) == 0;
}

/* NULL: there are too many, or no memory. */
static Image *find_image(AdatSymbols *self, const AdaModule *module, const char *path)
{
    ElfIdentity identity = {.build_id_size = module->build_id_size, .memory_size = module->size};
    Image *image;

    memcpy(identity.build_id, module->build_id, module->build_id_size);
    for (size_t i = 0; i < self->image_count; i++)
        if (is_same(&self->images[i], &identity, path))
            return &self->images[i];
    if (self->image_count >= ADAT_SYMBOLS_MODULES_MAX ||
        array_reserve_one(&self->images, &self->image_capacity, self->image_count, sizeof(*self->images)))
        return NULL;
    image = &self->images[self->image_count];
    *image = (Image){.identity = identity, .path = strdup(path)};
    if (!image->path)
        return NULL;
    self->image_count++;
    find_file(self, image);
    return image;
}

/* ---- addresses -------------------------------------------------------------------------------- */

/* Writes a symbol's name as users know it, `distance` bytes behind where it begins; returns its length. */
static size_t write_name(const char *symbol, uint64_t distance, char name[ADAT_NAME_MAX])
{
    char suffix[NUMBER_CHARS_MAX + 1] = "";
    size_t suffix_length = 0, length;

    if (distance > 0) {
        suffix[suffix_length++] = '+';
        suffix_length += number_format_hex(suffix + suffix_length, distance);
    }
    length = demangle(symbol, name, ADAT_NAME_MAX - suffix_length);
    if (length == 0)
        length = demangle_copy(symbol, name, ADAT_NAME_MAX - suffix_length);
    memcpy(name + length, suffix, suffix_length);
    name[length + suffix_length] = '\0';
    return length + suffix_length;
}

static const char *find_in_file(const Image *image, uint64_t place, uint64_t *function_out)
{
    ElfRange range;
    const char *symbol = elf_symbols_find(image->symbols, place, &range);

    if (symbol)
        *function_out = range.function;
    return symbol;
}

/* The symbol that a place of a module is in, as it stands in the file or in the trace, and where that begins; or NULL. */
static const char *find_symbol(const Image *image, const AdatReader *reader, const AdaModule *module,
                               uint64_t place, uint64_t *function_out)
{
    bool has_file = image && image->symbols;
    const char *symbol = NULL;

    if (has_file && elf_symbols_are_complete(image->symbols))
        symbol = find_in_file(image, place, function_out);
    if (!symbol)
        symbol = embedded_find(reader, module, place, function_out);
    if (!symbol && has_file)
        symbol = find_in_file(image, place, function_out);
    return symbol;
}

static Image *image_of(AdatSymbols *self, const AdatReader *reader, uint32_t process, const AdaModule *module)
{
    return find_image(self, module, reader_module_path(reader, process, module));
}

static size_t resolve(AdatSymbols *self, const CacheEntry *key, char name[ADAT_NAME_MAX], AdatFunction *function)
{
    const AdatReader *reader = key->reader;
    const AdaModule *module = adat_reader_module(reader, key->process, key->address);
    Image *image = module ? image_of(self, reader, key->process, module) : NULL;
    uint64_t place = module ? key->address - module->base : 0, start = 0;
    const char *symbol = module ? find_symbol(image, reader, module, place, &start) : NULL;

    function->module = module;
    function->resolved = symbol != NULL;
    if (symbol)
        return write_name(symbol, place - start, name);
    if (image)
        image->unnamed = true;
    return reader_function_name(reader, key->process, key->address, name);
}

bool adat_symbols_place(AdatSymbols *symbols, const AdatReader *reader, uint32_t process, uint64_t address,
                        AdatSymbolPlace *place_out)
{
    const AdaModule *module = adat_reader_module(reader, process, address);
    const Image *image = module ? image_of(symbols, reader, process, module) : NULL;
    const char *name;
    ElfRange range;

    if (!image || !image->symbols)
        return false;
    name = elf_symbols_find(image->symbols, address - module->base, &range);
    if (!name)
        return false;
    *place_out = (AdatSymbolPlace){
        .module = module, .name = name, .start = range.start, .end = range.end, .function = range.function};
    return true;
}

static uint64_t mix(uint64_t value)
{
    value ^= value >> 32;
    value *= UINT64_C(0x9e3779b97f4a7c15); /* 2^64 divided by the golden ratio: neighbours come apart */
    return value ^ (value >> 29);
}

/* The places that an address may have. */
static uint32_t *find_set(const AdatSymbols *self, const CacheEntry *key)
{
    uint64_t hash = mix(key->address + mix(key->process + mix((uintptr_t)key->reader)));

    return &self->places[hash % SETS * WAYS];
}

static bool is_key(const CacheEntry *entry, const CacheEntry *key)
{
    return entry->address == key->address && entry->process == key->process && entry->reader == key->reader;
}

/* Puts it into the place, whose entry makes room if there is one. NULL: out of memory, and all is as before. */
static const CacheEntry *keep(AdatSymbols *self, uint32_t *place, const CacheEntry *entry)
{
    if (*place == 0) {
        if (array_reserve_one(&self->entries, &self->entry_capacity, self->entry_count, sizeof(*entry)))
            return NULL;
        *place = (uint32_t)++self->entry_count;
    } else {
        free((char *)self->entries[*place - 1].function.name);
    }
    self->entries[*place - 1] = *entry;
    return &self->entries[*place - 1];
}

/* Resolves an address that is not in the cache. NULL: out of memory. */
static const CacheEntry *add(AdatSymbols *self, uint32_t *place, CacheEntry *entry)
{
    char name[ADAT_NAME_MAX];
    const CacheEntry *kept;
    char *copy;

    entry->function.length = resolve(self, entry, name, &entry->function);
    copy = malloc(entry->function.length + 1);
    if (!copy)
        return NULL;
    memcpy(copy, name, entry->function.length + 1);
    entry->function.name = copy;
    kept = keep(self, place, entry);
    if (!kept)
        free(copy);
    return kept;
}

const AdatFunction *adat_symbols_function(AdatSymbols *symbols, const AdatReader *reader, uint32_t process,
                                          uint64_t address)
{
    CacheEntry key = {.reader = reader, .address = address, .process = process};
    uint32_t *set = find_set(symbols, &key);
    const CacheEntry *entry;
    uint32_t way;

    for (way = 0; way < WAYS && set[way] != 0; way++) {
        entry = &symbols->entries[set[way] - 1];
        if (is_key(entry, &key))
            return &entry->function;
    }
    entry = add(symbols, &set[way < WAYS ? way : symbols->next_way++ % WAYS], &key);
    return entry ? &entry->function : NULL;
}

/* ---- life ------------------------------------------------------------------------------------- */

int adat_symbols_create(const AdatSymbolsConfig *config, AdatSymbols **symbols_out)
{
    AdatSymbols *self = calloc(1, sizeof(*self));

    if (!self)
        return -ENOMEM;
    self->places = calloc(ADAT_SYMBOLS_CACHED, sizeof(*self->places));
    if (!self->places) {
        free(self);
        return -ENOMEM;
    }
    if (config)
        self->config = *config;
    *symbols_out = self;
    return 0;
}

void adat_symbols_destroy(AdatSymbols *symbols)
{
    if (!symbols)
        return;
    for (size_t i = 0; i < symbols->entry_count; i++)
        free((char *)symbols->entries[i].function.name);
    for (size_t i = 0; i < symbols->image_count; i++) {
        free(symbols->images[i].path);
        free(symbols->images[i].file);
        elf_symbols_destroy(symbols->images[i].symbols);
    }
    free(symbols->images);
    free(symbols->entries);
    free(symbols->places);
    free(symbols);
}

bool adat_symbols_module(const AdatSymbols *symbols, size_t index, AdatSymbolsModule *module_out)
{
    const Image *image;

    if (index >= symbols->image_count)
        return false;
    image = &symbols->images[index];
    *module_out = (AdatSymbolsModule){
        .path = image->path,
        .file = image->file,
        .complete = image->symbols && elf_symbols_are_complete(image->symbols),
        .error = image->symbols ? 0 : image->error,
        .unnamed = image->unnamed,
    };
    return true;
}

const char *adat_symbols_error_text(int error)
{
    switch (error) {
    case -ENOENT:
    case -ENOTDIR:
        return "no such file here; --symbols DIR names a directory that has it";
    case -ESTALE:
        return "the file was replaced since; --symbols DIR names a directory that has the one that was recorded";
    case -ENODATA:
        return "the file has no symbols; --symbols DIR names a directory that has it unstripped, or its debugging information";
    case -ENOEXEC:
        return "not a 64-bit ELF file of this byte order";
    case -ENOTSUP:
        return "not a regular file";
    case -EBADMSG:
        return "the file is damaged";
    case -EFBIG:
        return "too many symbols";
    default:
        return strerror(-error);
    }
}
