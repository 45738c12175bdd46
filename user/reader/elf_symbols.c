/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* qsort_r */
#include "user/reader/elf_symbols.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/file/block_scan.h"
#include "user/reader/debugdata.h"

#define SECTIONS_MAX (1u << 20) /* for each of which libelf takes some hundred bytes */
#define NOTES_BYTES_MAX ((uint64_t)1 << 20)
#define COMPARED_CHARS 64u  /* of names: hostile ones are long and alike */
#define UNDERSCORES_MAX 15u /* that are counted */
#define RANK_SIZELESS 0x100u

typedef struct Section {
    uint64_t start; /* both 0 if it is not in memory */
    uint64_t end;
} Section;

typedef struct Symbol {
    uint64_t start;
    uint64_t end;
    uint32_t name; /* offset in `names` */
    uint32_t rank; /* of those at one place, the lowest is taken */
} Symbol;

/* Where one function is the innermost. */
typedef struct Range {
    uint64_t start;
    uint64_t end;
    uint64_t symbol_start;
    uint32_t name;
} Range;

struct ElfSymbols {
    Range *ranges; /* ascending, apart from each other */
    size_t count;
    char *names;
    size_t names_bytes; /* without the NUL that we put behind them */
    size_t bytes;
    bool complete;
};

/* While a file is open. */
typedef struct ElfFile {
    Elf *elf;
    Section *sections;
    size_t section_count;
    Elf_Scn *symtab; /* NULL: there is none */
    Elf_Scn *dynsym;
    Elf_Scn *debugdata; /* likewise */
    ElfIdentity identity;
} ElfFile;

/* Functions of one table, or of several. */
typedef struct SymbolList {
    Symbol *items;
    size_t count;
    size_t capacity;
} SymbolList;

/* ---- the file --------------------------------------------------------------------------------- */

/* libelf would take memory for as many sections as the header says. 0, -ENOEXEC, -EBADMSG or -errno. */
static int check_header(int fd, uint64_t file_bytes)
{
    const unsigned char data = BYTE_ORDER == LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB;
    Elf64_Ehdr header;
    Elf64_Shdr first;
    uint64_t count;
    ssize_t got = read_at(fd, &header, sizeof(header), 0);

    if (got < 0)
        return (int)got;
    if ((size_t)got < sizeof(header) || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != data ||
        (header.e_type != ET_EXEC && header.e_type != ET_DYN))
        return -ENOEXEC;
    if (header.e_shoff == 0)
        return header.e_shnum == 0 && header.e_phnum != PN_XNUM ? 0 : -EBADMSG;
    if (header.e_shentsize != sizeof(first) || header.e_phnum == PN_XNUM || header.e_shoff > file_bytes)
        return -EBADMSG;
    count = header.e_shnum;
    if (count == 0) { /* the first section has it */
        got = read_at(fd, &first, sizeof(first), header.e_shoff);
        if (got < 0)
            return (int)got;
        if ((size_t)got < sizeof(first))
            return -EBADMSG;
        count = first.sh_size;
    }
    return count <= SECTIONS_MAX && count * sizeof(first) <= file_bytes - header.e_shoff ? 0 : -EBADMSG;
}

static void take_build_id(ElfFile *file, Elf_Data *data)
{
    size_t at = 0, next, name, description;
    GElf_Nhdr note;

    while ((next = gelf_getnote(data, at, &note, &name, &description)) > 0) {
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(ELF_NOTE_GNU) &&
            memcmp((const char *)data->d_buf + name, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) == 0) {
            file->identity.build_id_size = note.n_descsz < ADA_BUILD_ID_MAX ? note.n_descsz : ADA_BUILD_ID_MAX;
            memcpy(file->identity.build_id, (const char *)data->d_buf + description,
                   file->identity.build_id_size);
            return;
        }
        at = next;
    }
}

static bool has_name(const ElfFile *file, const GElf_Shdr *header, const char *name)
{
    const char *found;
    size_t names;

    if (elf_getshdrstrndx(file->elf, &names) != 0)
        return false;
    found = elf_strptr(file->elf, names, header->sh_name);
    return found && strcmp(found, name) == 0;
}

static void take_section(ElfFile *file, Elf_Scn *section, const GElf_Shdr *header)
{
    Elf_Data *data;

    if (header->sh_flags & SHF_COMPRESSED)
        return;
    switch (header->sh_type) {
    case SHT_SYMTAB:
        file->symtab = file->symtab ? file->symtab : section;
        break;
    case SHT_DYNSYM:
        file->dynsym = file->dynsym ? file->dynsym : section;
        break;
    case SHT_PROGBITS:
        if (has_name(file, header, ".gnu_debugdata"))
            file->debugdata = section;
        break;
    case SHT_NOTE:
        data = file->identity.build_id_size == 0 && header->sh_size <= NOTES_BYTES_MAX
                   ? elf_getdata(section, NULL)
                   : NULL;
        if (data && data->d_buf)
            take_build_id(file, data);
        break;
    default:
        break;
    }
}

static int take_sections(ElfFile *file)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;

    if (elf_getshdrnum(file->elf, &file->section_count) != 0)
        return -EBADMSG;
    file->sections = calloc(file->section_count + 1, sizeof(*file->sections));
    if (!file->sections)
        return -ENOMEM;
    while ((section = elf_nextscn(file->elf, section)) != NULL) {
        size_t index = elf_ndxscn(section);

        if (!gelf_getshdr(section, &header))
            return -EBADMSG;
        if (index < file->section_count && (header.sh_flags & SHF_ALLOC) &&
            header.sh_size <= UINT64_MAX - header.sh_addr)
            file->sections[index] = (Section){header.sh_addr, header.sh_addr + header.sh_size};
        take_section(file, section, &header);
    }
    return 0;
}

static int take_segments(ElfFile *file)
{
    size_t count;
    GElf_Phdr header;

    if (elf_getphdrnum(file->elf, &count) != 0)
        return -EBADMSG;
    for (size_t i = 0; i < count; i++) {
        if (!gelf_getphdr(file->elf, (int)i, &header))
            return -EBADMSG;
        if (header.p_type == PT_LOAD && header.p_memsz <= UINT64_MAX - header.p_vaddr &&
            header.p_vaddr + header.p_memsz > file->identity.memory_size)
            file->identity.memory_size = header.p_vaddr + header.p_memsz;
    }
    return 0;
}

static bool is_meant(const ElfIdentity *found, const ElfIdentity *meant)
{
    if (found->build_id_size != meant->build_id_size)
        return false;
    if (found->build_id_size == 0)
        return found->memory_size == meant->memory_size;
    return memcmp(found->build_id, meant->build_id, found->build_id_size) == 0;
}

/* ---- symbols ---------------------------------------------------------------------------------- */

static uint32_t rank_of(const GElf_Sym *symbol, const char *name)
{
    uint32_t rank, underscores = 0;

    switch (GELF_ST_BIND(symbol->st_info)) {
    case STB_GLOBAL:
    case STB_GNU_UNIQUE:
        rank = 0;
        break;
    case STB_LOCAL:
        rank = 1;
        break;
    default:
        rank = 2;
    }
    while (underscores < UNDERSCORES_MAX && name[underscores] == '_')
        underscores++;
    return (symbol->st_size == 0 ? RANK_SIZELESS : 0) | (rank << 4) | underscores;
}

/* Is it a function with a name, and in its section? Its end is where its size says, or the section's end if it has none. */
static bool read_symbol(const ElfSymbols *self, const ElfFile *file, const GElf_Sym *from, size_t names_at,
                        Symbol *symbol)
{
    unsigned type = GELF_ST_TYPE(from->st_info);
    uint64_t limit = UINT64_MAX;

    if ((type != STT_FUNC && type != STT_GNU_IFUNC) || from->st_shndx == SHN_UNDEF ||
        from->st_name >= self->names_bytes - names_at || self->names[names_at + from->st_name] == '\0')
        return false;
    if (from->st_shndx < SHN_LORESERVE) {
        const Section *section = from->st_shndx < file->section_count ? &file->sections[from->st_shndx] : NULL;

        if (!section || from->st_value < section->start || from->st_value >= section->end)
            return false;
        limit = section->end;
    } else if (from->st_shndx != SHN_XINDEX || from->st_size == 0) {
        return false;
    }
    *symbol = (Symbol){
        .start = from->st_value,
        .end = from->st_size > 0 && from->st_size < limit - from->st_value ? from->st_value + from->st_size
                                                                           : limit,
        .name = (uint32_t)(names_at + from->st_name),
        .rank = rank_of(from, self->names + names_at + from->st_name),
    };
    return true;
}

static int compare_symbols(const void *a, const void *b, void *names)
{
    const Symbol *x = a, *y = b;
    int order;

    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    order = x->name == y->name
                ? 0
                : strncmp((const char *)names + x->name, (const char *)names + y->name, COMPARED_CHARS);
    return order ? order : (x->name > y->name) - (x->name < y->name);
}

/* One symbol for each start; those without a size end where the next one begins. Returns how many remain. */
static size_t settle_symbols(Symbol *symbols, size_t count, char *names)
{
    size_t kept = 0;

    if (count > 1)
        qsort_r(symbols, count, sizeof(*symbols), compare_symbols, names);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || symbols[kept - 1].start != symbols[i].start)
            symbols[kept++] = symbols[i];
    for (size_t i = 0; i + 1 < kept; i++)
        if ((symbols[i].rank & RANK_SIZELESS) && symbols[i].end > symbols[i + 1].start)
            symbols[i].end = symbols[i + 1].start;
    return kept;
}

/* What lies between `*from` and `to` belongs to `symbol`, as far as that reaches. */
static void put_range(ElfSymbols *self, const Symbol *symbol, uint64_t *from, uint64_t to)
{
    uint64_t end = symbol->end < to ? symbol->end : to;

    if (*from >= end)
        return;
    self->ranges[self->count++] = (Range){*from, end, symbol->start, symbol->name};
    *from = end;
}

/*
 * Symbols lie within each other: a sweep over their starts, with a stack of those that are open, makes ranges that lie apart. Each symbol makes
 * at most one range when the next one begins, and one when it is taken from the stack.
 */
static int make_ranges(ElfSymbols *self, const Symbol *symbols, size_t count)
{
    const Symbol **open = calloc(count + 1, sizeof(*open));
    size_t depth = 0;
    uint64_t at = 0;

    self->ranges = calloc(2 * count + 1, sizeof(*self->ranges));
    if (!open || !self->ranges) {
        free((void *)open);
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        while (depth > 0 && open[depth - 1]->end <= symbols[i].start)
            put_range(self, open[--depth], &at, symbols[i].start);
        if (depth > 0)
            put_range(self, open[depth - 1], &at, symbols[i].start);
        at = symbols[i].start;
        open[depth++] = &symbols[i];
    }
    while (depth > 0)
        put_range(self, open[--depth], &at, UINT64_MAX);
    free((void *)open);
    return 0;
}

/* Puts the names that a table of symbols refers to behind those that are there. 0, -EFBIG, -EBADMSG or -ENOMEM. */
static int read_names(ElfSymbols *self, const ElfFile *file, const GElf_Shdr *table, size_t bytes_max)
{
    Elf_Scn *section = elf_getscn(file->elf, table->sh_link);
    GElf_Shdr header;
    Elf_Data *data;
    char *names;

    if (!section || !gelf_getshdr(section, &header) || header.sh_type != SHT_STRTAB ||
        (header.sh_flags & SHF_COMPRESSED) || table->sh_entsize != sizeof(Elf64_Sym))
        return -EBADMSG;
    bytes_max -= self->bytes;
    if (table->sh_size > bytes_max || header.sh_size > bytes_max - table->sh_size ||
        header.sh_size > UINT32_MAX - 1 - self->names_bytes)
        return -EFBIG;
    data = elf_getdata(section, NULL);
    if (!data || !data->d_buf)
        return header.sh_size == 0 ? -ENODATA : -EBADMSG;
    names = realloc(self->names, self->names_bytes + data->d_size + 1);
    if (!names)
        return -ENOMEM;
    self->names = names;
    memcpy(names + self->names_bytes, data->d_buf, data->d_size);
    self->names_bytes += data->d_size + 1; /* with a NUL that ends the last one, whatever it is */
    names[self->names_bytes - 1] = '\0';
    self->bytes += (size_t)(table->sh_size + header.sh_size);
    return 0;
}

/* Adds a table's functions to the list. 0, -ENODATA, -EFBIG, -EBADMSG or -ENOMEM. */
static int read_table(ElfSymbols *self, const ElfFile *file, Elf_Scn *section, size_t bytes_max,
                      SymbolList *list)
{
    size_t names_at = self->names_bytes, entries;
    GElf_Shdr header;
    Elf_Data *data;
    int err;

    if (!gelf_getshdr(section, &header))
        return -EBADMSG;
    err = read_names(self, file, &header, bytes_max);
    if (err)
        return err;
    data = elf_getdata(section, NULL);
    if (!data || !data->d_buf)
        return header.sh_size == 0 ? -ENODATA : -EBADMSG;
    entries = data->d_size / sizeof(Elf64_Sym);
    for (size_t i = 0; i < entries && !err; i++) {
        GElf_Sym from;
        Symbol symbol;

        if (!gelf_getsym(data, (int)i, &from) || !read_symbol(self, file, &from, names_at, &symbol))
            continue;
        err = array_reserve_one(&list->items, &list->capacity, list->count, sizeof(*list->items));
        if (!err)
            list->items[list->count++] = symbol;
    }
    return err;
}

/* Makes ranges of the list, and frees it. */
static int finish(ElfSymbols *self, SymbolList *list)
{
    int err = list->count == 0
                  ? -ENODATA
                  : make_ranges(self, list->items, settle_symbols(list->items, list->count, self->names));

    free(list->items);
    *list = (SymbolList){0};
    return err;
}

static void clear(ElfSymbols *self)
{
    free(self->ranges);
    free(self->names);
    *self = (ElfSymbols){0};
}

/* ---- opening ---------------------------------------------------------------------------------- */

static int read_whole(ElfSymbols *self, const ElfFile *file, size_t bytes_max)
{
    SymbolList list = {0};
    int err = read_table(self, file, file->symtab, bytes_max, &list);

    if (err)
        free(list.items);
    return err ? err : finish(self, &list);
}

/* The table of a file that is within another one. */
static int read_inner(ElfSymbols *self, int fd, uint64_t file_bytes, size_t bytes_max, SymbolList *list)
{
    ElfFile inner = {0};
    int err = check_header(fd, file_bytes);

    if (err)
        return err;
    inner.elf = elf_begin(fd, ELF_C_READ, NULL);
    err = inner.elf && elf_kind(inner.elf) == ELF_K_ELF ? take_sections(&inner) : -EBADMSG;
    if (!err)
        err = inner.symtab ? read_table(self, &inner, inner.symtab, bytes_max, list) : -ENODATA;
    free(inner.sections);
    (void)elf_end(inner.elf);
    return err;
}

/* What was stripped, and is there compressed: all functions but those that are exported. */
static int read_debugdata(ElfSymbols *self, const ElfFile *file, size_t bytes_max, SymbolList *list)
{
    uint64_t bytes = 0;
    GElf_Shdr header;
    Elf_Data *data;
    int fd, err;

    if (!gelf_getshdr(file->debugdata, &header) || header.sh_size > DEBUGDATA_BYTES_MAX)
        return -EBADMSG;
    data = elf_getdata(file->debugdata, NULL);
    if (!data || !data->d_buf)
        return -EBADMSG;
    fd = debugdata_unpack(data->d_buf, data->d_size, bytes_max, &bytes);
    if (fd < 0)
        return fd;
    err = read_inner(self, fd, bytes, bytes_max, list);
    close(fd);
    return err;
}

/* What cannot be read of the compressed table does not keep us from the exported functions, nor the other way round. */
static int read_parts(ElfSymbols *self, const ElfFile *file, size_t bytes_max)
{
    SymbolList list = {0};
    int exported = -ENODATA, rest = -ENODATA;

    if (file->dynsym)
        exported = read_table(self, file, file->dynsym, bytes_max, &list);
    if (file->debugdata && exported != -ENOMEM)
        rest = read_debugdata(self, file, bytes_max, &list);
    if (exported == -ENOMEM || rest == -ENOMEM) {
        free(list.items);
        return -ENOMEM;
    }
    self->complete = rest == 0;
    if (list.count > 0)
        return finish(self, &list);
    if (exported != -ENODATA && exported != 0)
        return exported;
    return rest == 0 || rest == -ENOSYS ? -ENODATA : rest;
}

/* What cannot be read of the whole table does not keep us from the exported functions. */
static int read_symbols(ElfSymbols *self, const ElfFile *file, size_t bytes_max)
{
    int err, whole = -ENODATA;

    if (file->symtab) {
        whole = read_whole(self, file, bytes_max);
        self->complete = true;
        if (!whole || whole == -ENOMEM)
            return whole;
        clear(self);
    }
    err = read_parts(self, file, bytes_max);
    return err == -ENODATA ? whole : err;
}

static int read_file(int fd, const ElfIdentity *identity, size_t bytes_max, ElfSymbols *self)
{
    ElfFile file = {0};
    int err;

    (void)elf_version(EV_CURRENT);
    file.elf = elf_begin(fd, ELF_C_READ, NULL);
    if (!file.elf || elf_kind(file.elf) != ELF_K_ELF) {
        err = -EBADMSG;
        goto out;
    }
    err = take_sections(&file);
    if (!err)
        err = take_segments(&file);
    if (!err)
        err = is_meant(&file.identity, identity) ? read_symbols(self, &file, bytes_max) : -ESTALE;
out:
    free(file.sections);
    (void)elf_end(file.elf);
    return err;
}

/* Neither a FIFO nor a device may be opened, as that alone may have effects: the first descriptor is only a place. */
static int open_regular(const char *path, uint64_t *bytes_out)
{
    char link[sizeof("/proc/self/fd/") + 16];
    struct stat status = {0};
    int place = open(path, O_PATH | O_CLOEXEC);
    int fd;

    if (place < 0)
        return -errno;
    if (fstat(place, &status) != 0) {
        fd = -errno;
    } else if (!S_ISREG(status.st_mode)) {
        fd = -ENOTSUP;
    } else {
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
        fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
            fd = -errno;
    }
    close(place);
    *bytes_out = (uint64_t)status.st_size;
    return fd;
}

int elf_symbols_open(const char *path, const ElfIdentity *identity, size_t bytes_max, ElfSymbols **symbols_out)
{
    ElfSymbols *self = NULL;
    uint64_t file_bytes = 0;
    int fd = open_regular(path, &file_bytes);
    int err;

    if (fd < 0)
        return fd;
    err = check_header(fd, file_bytes);
    if (err)
        goto out;
    self = calloc(1, sizeof(*self));
    err = self ? read_file(fd, identity, bytes_max, self) : -ENOMEM;
    if (err)
        goto out;
    *symbols_out = self;
    self = NULL;
out:
    elf_symbols_destroy(self);
    close(fd);
    return err;
}

void elf_symbols_destroy(ElfSymbols *symbols)
{
    if (!symbols)
        return;
    clear(symbols);
    free(symbols);
}

const char *elf_symbols_find(const ElfSymbols *symbols, uint64_t address, ElfRange *range_out)
{
    size_t low = 0, high = symbols->count;
    const Range *found;

    /* the first one that begins beyond */
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (symbols->ranges[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || address >= symbols->ranges[low - 1].end)
        return NULL;
    found = &symbols->ranges[low - 1];
    *range_out = (ElfRange){found->start, found->end, found->symbol_start};
    return symbols->names + found->name;
}

bool elf_symbols_are_complete(const ElfSymbols *symbols)
{
    return symbols->complete;
}

size_t elf_symbols_bytes(const ElfSymbols *symbols)
{
    return symbols->bytes;
}
