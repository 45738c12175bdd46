/* SPDX-License-Identifier: MIT */
/*
 * Names of functions that are in the trace itself: blocks of symbols. Each of the files of a recording has its own, mostly of the same functions; so they
 * are packed now and then, and memory is proportional to the functions that are different.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/array.h"
#include "user/reader/reader.h"

#define PACKED_LEAST ((size_t)1 << 16) /* symbols that are not worth it */

/* ---- one block ------------------------------------------------------------------------------- */

static const char *check_head(const AdatModuleSymbols *head, size_t size)
{
    if (head->build_id_size > ADA_BUILD_ID_MAX)
        return "an impossible build-id";
    if (!memchr(head->path, '\0', sizeof(head->path)))
        return "the module's path does not end";
    if (head->symbol_count > ADAT_EMBEDDED_MAX)
        return "too many";
    if (size != sizeof(*head) + (uint64_t)head->symbol_count * sizeof(AdatSymbol) + head->names_bytes)
        return "their number does not fit the block's length";
    return NULL;
}

static const char *check_symbol(const AdatSymbol *symbol, const AdatModuleSymbols *head, const char *names,
                                uint64_t end_before)
{
    size_t left;

    if (symbol->size == 0 || symbol->start > UINT64_MAX - symbol->size)
        return "an impossible range";
    if (symbol->start < end_before)
        return "they do not ascend";
    if (symbol->start + symbol->size > head->module_size)
        return "one lies outside of its module";
    if (symbol->function > symbol->start)
        return "a function begins behind itself";
    if (symbol->name >= head->names_bytes)
        return "a name lies outside of the block";
    left = head->names_bytes - symbol->name;
    names += symbol->name;
    if (*names == '\0' || !memchr(names, '\0', left < ADAT_EMBEDDED_NAME_MAX ? left : ADAT_EMBEDDED_NAME_MAX))
        return "a name is empty, or does not end";
    return NULL;
}

const char *embedded_check(const uint8_t *payload, size_t size)
{
    AdatModuleSymbols head;
    const char *wrong, *names;
    uint64_t end = 0;

    if (size < sizeof(head))
        return "the block is too short";
    memcpy(&head, payload, sizeof(head));
    wrong = check_head(&head, size);
    names = (const char *)payload + size - head.names_bytes; /* once that is within it */
    for (uint32_t i = 0; !wrong && i < head.symbol_count; i++) {
        AdatSymbol symbol;

        memcpy(&symbol, payload + sizeof(head) + i * sizeof(symbol), sizeof(symbol));
        wrong = check_symbol(&symbol, &head, names, end);
        end = symbol.start + symbol.size;
    }
    return wrong;
}

static int add_block(AdatReader *reader, const uint8_t *payload, EmbeddedModule *module)
{
    const AdatModuleSymbols *head = &module->head;
    const uint8_t *names = payload + sizeof(*head) + head->symbol_count * sizeof(AdatSymbol);
    uint32_t number = (uint32_t)reader->embedded_texts.count;
    char *text;

    if (array_reserve_one(&reader->embedded_texts.items, &reader->embedded_texts.capacity, number,
                          sizeof(EmbeddedText)) ||
        array_reserve_one(&reader->embedded.items, &reader->embedded.capacity, reader->embedded.count,
                          sizeof(EmbeddedModule)))
        return -ENOMEM;
    module->symbols = calloc((size_t)head->symbol_count + 1, sizeof(*module->symbols));
    text = malloc((size_t)head->names_bytes + 1);
    if (!module->symbols || !text) {
        free(module->symbols);
        free(text);
        return -ENOMEM;
    }
    memcpy(text, names, head->names_bytes);
    for (uint32_t i = 0; i < head->symbol_count; i++) {
        AdatSymbol symbol;

        memcpy(&symbol, payload + sizeof(*head) + i * sizeof(symbol), sizeof(symbol));
        module->symbols[i] = (EmbeddedSymbol){.start = symbol.start,
                                              .function = symbol.function,
                                              .size = symbol.size,
                                              .text = number,
                                              .name = text + symbol.name};
    }
    module->count = head->symbol_count;
    reader->embedded_texts.items[reader->embedded_texts.count++] = (EmbeddedText){text, module->count};
    reader->embedded.items[reader->embedded.count++] = *module;
    reader->embedded_symbols += module->count;
    return 0;
}

int embedded_collect(AdatReader *reader, const Block *block)
{
    EmbeddedModule module = {.order = reader->base + block->offset};

    if (embedded_check(block->payload, block->header->payload_bytes) ||
        reader->embedded_texts.count == UINT32_MAX)
        return 0;
    memcpy(&module.head, block->payload, sizeof(module.head));
    return module.head.symbol_count == 0 ? 0 : add_block(reader, block->payload, &module);
}

/* ---- modules that are the same --------------------------------------------------------------- */

/* By build-id, and those without one by size and path: which module it is, whatever the order means. */
static int compare_identities(const AdatModuleSymbols *x, const AdatModuleSymbols *y)
{
    if (x->build_id_size != y->build_id_size)
        return x->build_id_size < y->build_id_size ? -1 : 1;
    if (x->build_id_size > 0)
        return memcmp(x->build_id, y->build_id, x->build_id_size);
    if (x->module_size != y->module_size)
        return x->module_size < y->module_size ? -1 : 1;
    return strcmp(x->path, y->path);
}

static int compare_modules(const void *a, const void *b)
{
    const EmbeddedModule *x = a, *y = b;
    int order = compare_identities(&x->head, &y->head);

    return order ? order : (x->order > y->order) - (x->order < y->order);
}

static int compare_symbols(const void *a, const void *b)
{
    const EmbeddedSymbol *x = a, *y = b;

    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return (x->text > y->text) - (x->text < y->text); /* later blocks have later texts */
}

/* Makes one of `count` modules that are the same; what they held is freed. Where symbols overlap the first one stays. 0 or -ENOMEM. */
static int merge(EmbeddedModule *modules, size_t count)
{
    size_t total = 0, kept = 0;
    EmbeddedSymbol *symbols, *smaller;

    if (count == 1)
        return 0;
    for (size_t i = 0; i < count; i++)
        total += modules[i].count;
    symbols = calloc(total + 1, sizeof(*symbols));
    if (!symbols)
        return -ENOMEM;
    total = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(symbols + total, modules[i].symbols, modules[i].count * sizeof(*symbols));
        total += modules[i].count;
        free(modules[i].symbols);
    }
    qsort(symbols, total, sizeof(*symbols), compare_symbols);
    for (size_t i = 0; i < total; i++)
        if (kept == 0 || symbols[i].start - symbols[kept - 1].start >= symbols[kept - 1].size)
            symbols[kept++] = symbols[i];
    smaller = realloc(symbols, (kept + 1) * sizeof(*symbols));
    modules[0].symbols = smaller ? smaller : symbols;
    modules[0].count = kept;
    for (size_t i = 1; i < count; i++)
        modules[i].symbols = NULL;
    return 0;
}

/* Names that no symbol has any more go. */
static void drop_texts(AdatReader *reader)
{
    EmbeddedText *texts = reader->embedded_texts.items;

    for (size_t i = 0; i < reader->embedded_texts.count; i++)
        texts[i].users = 0;
    for (size_t i = 0; i < reader->embedded.count; i++) {
        const EmbeddedModule *module = &reader->embedded.items[i];

        for (size_t k = 0; k < module->count; k++)
            texts[module->symbols[k].text].users++;
    }
    for (size_t i = 0; i < reader->embedded_texts.count; i++) {
        if (texts[i].users > 0)
            continue;
        free(texts[i].text);
        texts[i].text = NULL;
    }
}

int embedded_pack(AdatReader *reader, bool always)
{
    EmbeddedModule *modules = reader->embedded.items;
    size_t kept = 0, end;

    if (reader->embedded.count == 0 || (!always && (reader->embedded_symbols < PACKED_LEAST ||
                                                    reader->embedded_symbols < 2 * reader->embedded_packed)))
        return 0;
    qsort(modules, reader->embedded.count, sizeof(*modules), compare_modules);
    for (size_t i = 0; i < reader->embedded.count; i = end) {
        for (end = i + 1; end < reader->embedded.count; end++)
            if (compare_identities(&modules[i].head, &modules[end].head) != 0)
                break;
        if (merge(&modules[i], end - i))
            return -ENOMEM;
    }
    reader->embedded_symbols = 0;
    for (size_t i = 0; i < reader->embedded.count; i++) {
        if (!modules[i].symbols)
            continue;
        reader->embedded_symbols += modules[i].count;
        modules[kept++] = modules[i];
    }
    reader->embedded.count = kept;
    reader->embedded_packed = reader->embedded_symbols;
    drop_texts(reader);
    return 0;
}

void embedded_free(AdatReader *reader)
{
    for (size_t i = 0; i < reader->embedded.count; i++)
        free(reader->embedded.items[i].symbols);
    for (size_t i = 0; i < reader->embedded_texts.count; i++)
        free(reader->embedded_texts.items[i].text);
    free(reader->embedded.items);
    free(reader->embedded_texts.items);
}

/* ---- looking up ------------------------------------------------------------------------------ */

static AdatModuleSymbols head_of(const AdaModule *module)
{
    AdatModuleSymbols head = {.build_id_size = module->build_id_size, .module_size = module->size};

    memcpy(head.build_id, module->build_id, sizeof(head.build_id));
    memcpy(head.path, module->path, sizeof(head.path));
    return head;
}

static EmbeddedModule *find_module(const AdatReader *reader, const AdatModuleSymbols *head)
{
    size_t low = 0, high = reader->embedded.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_identities(&reader->embedded.items[middle].head, head);

        if (order == 0)
            return &reader->embedded.items[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const char *embedded_find(const AdatReader *reader, const AdaModule *module, uint64_t place,
                          uint64_t *function_out)
{
    const AdatModuleSymbols head = head_of(module);
    const EmbeddedModule *found = find_module(reader, &head);
    const EmbeddedSymbol *symbol;
    size_t low = 0, high = found ? found->count : 0;

    /* the first one that begins beyond */
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (found->symbols[middle].start <= place)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return NULL;
    symbol = &found->symbols[low - 1];
    if (place - symbol->start >= symbol->size)
        return NULL;
    *function_out = symbol->function;
    return symbol->name;
}

void embedded_connect(AdatReader *reader)
{
    for (size_t i = 0; i < reader->modules.count; i++) {
        const AdatModuleSymbols head = head_of(&reader->modules.items[i].module);
        EmbeddedModule *found = find_module(reader, &head);

        if (found)
            found->known = true;
    }
}

bool embedded_is_known(const AdatReader *reader, const AdatModuleSymbols *head)
{
    const EmbeddedModule *found = find_module(reader, head);

    return !found || found->known;
}

size_t adat_reader_embedded(const AdatReader *reader, size_t *modules_out)
{
    *modules_out = reader->embedded.count;
    return reader->embedded_symbols;
}
