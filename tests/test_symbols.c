/* SPDX-License-Identifier: MIT */
/* Addresses to names: by files that the toolchain made, and by files that were made to do harm. */
#define _GNU_SOURCE /* dl_iterate_phdr, memmem, RTLD_DEFAULT */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adat_sample.h"
#include "test_support.h"
#include "user/reader/debugdata.h"
#include "user/reader/demangle.h"
#include "user/reader/elf_symbols.h"
#include "user/reader/symbols.h"

#define BYTES_MAX ((size_t)256 << 20)

/* ---- an ELF file of our own -------------------------------------------------------------------- */

enum { NONE, TEXT, SYMBOLS, NAMES, NOTE, SECTIONS }; /* sections */

#define TEXT_ADDRESS 0x1000u
#define TEXT_SIZE 0x1000u
#define SYMBOLS_MAX 16u

typedef struct TinyElf {
    Elf64_Ehdr header;
    Elf64_Phdr segment;
    Elf64_Shdr sections[SECTIONS];
    Elf64_Sym symbols[SYMBOLS_MAX];
    struct {
        Elf64_Nhdr header;
        char name[4];
        uint8_t id[ADA_BUILD_ID_MAX];
    } note;
    char names[512];
} TinyElf;

static const ElfIdentity tiny_identity = {.build_id_size = ADA_BUILD_ID_MAX, .build_id = {0xab, 0xcd, 3}};

static void tiny_init(TinyElf *elf)
{
    *elf = (TinyElf){
        .header =
            {
                .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
                            __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB, EV_CURRENT},
                .e_type = ET_DYN,
                .e_machine = EM_X86_64,
                .e_version = EV_CURRENT,
                .e_phoff = offsetof(TinyElf, segment),
                .e_shoff = offsetof(TinyElf, sections),
                .e_ehsize = sizeof(Elf64_Ehdr),
                .e_phentsize = sizeof(Elf64_Phdr),
                .e_phnum = 1,
                .e_shentsize = sizeof(Elf64_Shdr),
                .e_shnum = SECTIONS,
            },
        .segment = {.p_type = PT_LOAD, .p_memsz = TEXT_ADDRESS + TEXT_SIZE},
        .sections =
            {
                [TEXT] = {.sh_type = SHT_NOBITS, .sh_flags = SHF_ALLOC, .sh_addr = TEXT_ADDRESS, .sh_size = TEXT_SIZE},
                [SYMBOLS] = {.sh_type = SHT_SYMTAB,
                             .sh_offset = offsetof(TinyElf, symbols),
                             .sh_size = sizeof(elf->symbols),
                             .sh_entsize = sizeof(Elf64_Sym),
                             .sh_link = NAMES},
                [NAMES] = {.sh_type = SHT_STRTAB,
                           .sh_offset = offsetof(TinyElf, names),
                           .sh_size = sizeof(elf->names)},
                [NOTE] = {.sh_type = SHT_NOTE,
                          .sh_offset = offsetof(TinyElf, note),
                          .sh_size = sizeof(elf->note),
                          .sh_addralign = 4},
            },
        .note = {.header = {.n_namesz = 4, .n_descsz = ADA_BUILD_ID_MAX, .n_type = NT_GNU_BUILD_ID},
                 .name = "GNU"},
    };
    memcpy(elf->note.id, tiny_identity.build_id, ADA_BUILD_ID_MAX);
}

static void tiny_add(TinyElf *elf, const char *name, uint64_t address, uint64_t size, unsigned bind)
{
    size_t symbol = 1, at = 1;

    while (elf->symbols[symbol].st_name)
        symbol++;
    while (elf->names[at])
        at += strlen(elf->names + at) + 1;
    CU_ASSERT_FATAL(symbol < SYMBOLS_MAX && at + strlen(name) < sizeof(elf->names));
    memcpy(elf->names + at, name, strlen(name));
    elf->symbols[symbol] = (Elf64_Sym){
        .st_name = (Elf64_Word)at,
        .st_info = (unsigned char)ELF64_ST_INFO(bind, STT_FUNC),
        .st_shndx = TEXT,
        .st_value = address,
        .st_size = size,
    };
}

static int open_bytes(const void *bytes, size_t size, const ElfIdentity *identity, ElfSymbols **symbols)
{
    int fd = sample_file(), err;

    CU_ASSERT_EQUAL_FATAL(write(fd, bytes, size), (ssize_t)size);
    *symbols = NULL;
    err = elf_symbols_open(sample_path(fd), identity, BYTES_MAX, symbols);
    close(fd);
    return err;
}

static ElfSymbols *open_tiny(const TinyElf *elf)
{
    ElfSymbols *symbols;

    CU_ASSERT_EQUAL_FATAL(open_bytes(elf, sizeof(*elf), &tiny_identity, &symbols), 0);
    return symbols;
}

/* Is the function at `address` this one, or is there none? */
static bool is_named(const ElfSymbols *symbols, uint64_t address, const char *name)
{
    ElfRange range = {0};
    const char *found = elf_symbols_find(symbols, address, &range);

    if (!name)
        return !found;
    return found && strcmp(found, name) == 0 && range.function <= range.start && range.start <= address &&
           address < range.end;
}

/* ---- which function ----------------------------------------------------------------------------- */

static void find__address_in_and_between__then_honours_the_size(void)
{
    TinyElf elf;
    ElfSymbols *symbols;

    tiny_init(&elf);
    tiny_add(&elf, "second", 0x1200, 0x10, STB_GLOBAL);
    tiny_add(&elf, "first", 0x1100, 0x10, STB_LOCAL);
    symbols = open_tiny(&elf);
    CU_ASSERT(is_named(symbols, 0, NULL));
    CU_ASSERT(is_named(symbols, 0x10ff, NULL));
    CU_ASSERT(is_named(symbols, 0x1100, "first"));
    CU_ASSERT(is_named(symbols, 0x110f, "first"));
    CU_ASSERT(is_named(symbols, 0x1110, NULL));
    CU_ASSERT(is_named(symbols, 0x1200, "second"));
    CU_ASSERT(is_named(symbols, 0x1210, NULL));
    CU_ASSERT(is_named(symbols, UINT64_MAX, NULL));
    CU_ASSERT(elf_symbols_are_complete(symbols));
    elf_symbols_destroy(symbols);
}

static void find__no_size__then_reaches_to_the_next_one_or_the_section_end(void)
{
    TinyElf elf;
    ElfSymbols *symbols;

    tiny_init(&elf);
    tiny_add(&elf, "open", 0x1100, 0, STB_GLOBAL);
    tiny_add(&elf, "next", 0x1200, 0x10, STB_GLOBAL);
    tiny_add(&elf, "last", 0x1300, 0, STB_GLOBAL);
    tiny_add(&elf, "beyond", 0x1f00, UINT64_MAX, STB_GLOBAL);
    symbols = open_tiny(&elf);
    CU_ASSERT(is_named(symbols, 0x11ff, "open"));
    CU_ASSERT(is_named(symbols, 0x1200, "next"));
    CU_ASSERT(is_named(symbols, 0x1210, NULL));
    CU_ASSERT(is_named(symbols, 0x1eff, "last"));
    CU_ASSERT(is_named(symbols, 0x1fff, "beyond"));
    CU_ASSERT(is_named(symbols, 0x2000, NULL));
    elf_symbols_destroy(symbols);
}

static void find__functions_within_others__then_the_innermost(void)
{
    TinyElf elf;
    ElfSymbols *symbols;
    ElfRange range = {0};

    tiny_init(&elf);
    tiny_add(&elf, "outer", 0x1100, 0x100, STB_GLOBAL);
    tiny_add(&elf, "inner", 0x1120, 0x20, STB_GLOBAL);
    tiny_add(&elf, "core", 0x1130, 0x8, STB_GLOBAL);
    tiny_add(&elf, "crossing", 0x11f0, 0x20, STB_GLOBAL);
    symbols = open_tiny(&elf);
    CU_ASSERT(is_named(symbols, 0x111f, "outer"));
    CU_ASSERT(is_named(symbols, 0x1120, "inner"));
    CU_ASSERT(is_named(symbols, 0x1137, "core"));
    CU_ASSERT(is_named(symbols, 0x1138, "inner"));
    CU_ASSERT(is_named(symbols, 0x1140, "outer"));
    CU_ASSERT(is_named(symbols, 0x11ef, "outer"));
    CU_ASSERT(is_named(symbols, 0x11f0, "crossing"));
    CU_ASSERT(is_named(symbols, 0x120f, "crossing"));
    CU_ASSERT(is_named(symbols, 0x1210, NULL));
    CU_ASSERT_PTR_NOT_NULL(elf_symbols_find(symbols, 0x1150, &range));
    CU_ASSERT_EQUAL(range.function, 0x1100);
    CU_ASSERT_EQUAL(range.start, 0x1140);
    CU_ASSERT_EQUAL(range.end, 0x11f0);
    elf_symbols_destroy(symbols);
}

static void find__several_names__then_the_same_one_in_any_order(void)
{
    static const struct {
        const char *name;
        unsigned bind;
        uint64_t size;
    } names[] = {{"a_weak", STB_WEAK, 8},     {"b_local", STB_LOCAL, 8},    {"d_global", STB_GLOBAL, 8},
                 {"c_global", STB_GLOBAL, 8}, {"_a_global", STB_GLOBAL, 8}, {"a_empty", STB_GLOBAL, 0}};
    static const char *const expected[] = {"c_global", "d_global", "_a_global",
                                           "b_local",  "a_weak",   "a_empty"};
    enum { COUNT = sizeof(names) / sizeof(names[0]) };

    /* without those that were found before, the next best */
    for (size_t left_out = 0; left_out < COUNT; left_out++) {
        for (size_t turn = 0; turn < COUNT; turn++) {
            TinyElf elf;
            ElfSymbols *symbols;

            tiny_init(&elf);
            for (size_t i = 0; i < COUNT; i++) {
                size_t at = (i + turn) % COUNT;
                bool out = false;

                for (size_t j = 0; j < left_out; j++)
                    out = out || strcmp(names[at].name, expected[j]) == 0;
                if (!out)
                    tiny_add(&elf, names[at].name, 0x1100, names[at].size, names[at].bind);
            }
            symbols = open_tiny(&elf);
            CU_ASSERT(is_named(symbols, 0x1104, expected[left_out]));
            elf_symbols_destroy(symbols);
        }
    }
}

static void open__symbols_that_are_no_functions_here__then_left_out(void)
{
    TinyElf elf;
    ElfSymbols *symbols;

    tiny_init(&elf);
    tiny_add(&elf, "data", 0x1100, 8, STB_GLOBAL);
    elf.symbols[1].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
    tiny_add(&elf, "elsewhere", 0x1110, 8, STB_GLOBAL);
    elf.symbols[2].st_shndx = SHN_UNDEF;
    tiny_add(&elf, "outside", 0x2000, 8, STB_GLOBAL);
    tiny_add(&elf, "nowhere", 0x1120, 8, STB_GLOBAL);
    elf.symbols[4].st_shndx = 77;
    tiny_add(&elf, "nameless", 0x1130, 8, STB_GLOBAL);
    elf.symbols[5].st_name = sizeof(elf.names);
    tiny_add(&elf, "absolute", 0x1140, 8, STB_GLOBAL);
    elf.symbols[6].st_shndx = SHN_ABS;
    CU_ASSERT_EQUAL(open_bytes(&elf, sizeof(elf), &tiny_identity, &symbols), -ENODATA);
    tiny_add(&elf, "function", 0x1150, 8, STB_GLOBAL);
    symbols = open_tiny(&elf);
    for (uint64_t address = 0x1100; address < 0x1150; address += 0x10)
        CU_ASSERT(is_named(symbols, address, NULL));
    CU_ASSERT(is_named(symbols, 0x2000, NULL));
    CU_ASSERT(is_named(symbols, 0x1150, "function"));
    elf_symbols_destroy(symbols);
}

/* ---- which file --------------------------------------------------------------------------------- */

static void open__another_file__then_stale(void)
{
    ElfIdentity identity = tiny_identity;
    ElfSymbols *symbols;
    TinyElf elf;

    tiny_init(&elf);
    tiny_add(&elf, "function", 0x1100, 8, STB_GLOBAL);
    identity.build_id[19]++;
    CU_ASSERT_EQUAL(open_bytes(&elf, sizeof(elf), &identity, &symbols), -ESTALE);
    identity = tiny_identity;
    identity.build_id_size = 8;
    CU_ASSERT_EQUAL(open_bytes(&elf, sizeof(elf), &identity, &symbols), -ESTALE);
    identity = (ElfIdentity){.memory_size = TEXT_ADDRESS + TEXT_SIZE};
    CU_ASSERT_EQUAL(open_bytes(&elf, sizeof(elf), &identity, &symbols), -ESTALE);

    /* without a build-id, it is the size */
    elf.sections[NOTE].sh_type = SHT_PROGBITS;
    CU_ASSERT_EQUAL(open_bytes(&elf, sizeof(elf), &tiny_identity, &symbols), -ESTALE);
    CU_ASSERT_EQUAL(open_bytes(&elf, sizeof(elf), &identity, &symbols), 0);
    elf_symbols_destroy(symbols);
    identity.memory_size++;
    CU_ASSERT_EQUAL(open_bytes(&elf, sizeof(elf), &identity, &symbols), -ESTALE);
}

static void open__no_elf_file__then_says_what_it_is(void)
{
    char fifo[] = "/tmp/test_symbols.XXXXXX";
    ElfSymbols *symbols = NULL;
    TinyElf elf;

    CU_ASSERT_EQUAL(elf_symbols_open("/nonexistent", &tiny_identity, BYTES_MAX, &symbols), -ENOENT);
    CU_ASSERT_EQUAL(elf_symbols_open("/", &tiny_identity, BYTES_MAX, &symbols), -ENOTSUP);
    CU_ASSERT_EQUAL(elf_symbols_open("/dev/null", &tiny_identity, BYTES_MAX, &symbols), -ENOTSUP);
    CU_ASSERT_EQUAL(elf_symbols_open("/proc/self/status", &tiny_identity, BYTES_MAX, &symbols), -ENOEXEC);
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(fifo));
    CU_ASSERT_EQUAL(rmdir(fifo), 0);
    CU_ASSERT_EQUAL_FATAL(mkfifo(fifo, 0600), 0);
    CU_ASSERT_EQUAL(elf_symbols_open(fifo, &tiny_identity, BYTES_MAX, &symbols), -ENOTSUP);
    CU_ASSERT_EQUAL(unlink(fifo), 0);
    CU_ASSERT_EQUAL(open_bytes("", 0, &tiny_identity, &symbols), -ENOEXEC);
    tiny_init(&elf);
    elf.header.e_type = ET_REL;
    CU_ASSERT_EQUAL(open_bytes(&elf, sizeof(elf), &tiny_identity, &symbols), -ENOEXEC);
    tiny_init(&elf);
    elf.header.e_ident[EI_CLASS] = ELFCLASS32;
    CU_ASSERT_EQUAL(open_bytes(&elf, sizeof(elf), &tiny_identity, &symbols), -ENOEXEC);
}

/* ---- damage ------------------------------------------------------------------------------------- */

/* Opens it, and asks for addresses if it can be opened; what matters is that it ends, and within its memory. */
static void try_bytes(const void *bytes, size_t size)
{
    ElfSymbols *symbols;
    int err = open_bytes(bytes, size, &tiny_identity, &symbols);
    ElfRange range = {0};

    CU_ASSERT(err == 0 || err == -ENOEXEC || err == -EBADMSG || err == -ESTALE || err == -ENODATA ||
              err == -EFBIG);
    for (uint64_t address = 0x1080; err == 0 && address < 0x2100; address += 0x20) {
        const char *name = elf_symbols_find(symbols, address, &range);

        CU_ASSERT(!name || (strlen(name) < sizeof(((TinyElf *)0)->names) + 1 &&
                            range.function <= range.start && range.start <= address && address < range.end));
    }
    elf_symbols_destroy(symbols);
}

static void tiny_fill(TinyElf *elf)
{
    tiny_init(elf);
    tiny_add(elf, "first", 0x1100, 0x40, STB_GLOBAL);
    tiny_add(elf, "within", 0x1110, 0x10, STB_GLOBAL);
    tiny_add(elf, "alias", 0x1110, 0x10, STB_WEAK);
    tiny_add(elf, "sizeless", 0x1200, 0, STB_LOCAL);
}

static void damage__every_length__then_an_error(void)
{
    TinyElf elf;

    tiny_fill(&elf);
    for (size_t size = 0; size <= sizeof(elf); size++)
        try_bytes(&elf, size);
}

static void damage__every_bit__then_no_harm(void)
{
    TinyElf elf;
    uint8_t *bytes = (uint8_t *)&elf;

    tiny_fill(&elf);
    for (size_t bit = 0; bit < offsetof(TinyElf, names) * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        try_bytes(&elf, sizeof(elf));
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* Memory is limited meanwhile, so that taking what a count says would fail instead of only being slow. */
static void damage__hostile_counts__then_refused_before_memory_is_taken(void)
{
    static const uint64_t hostile[] = {UINT64_MAX,        UINT64_MAX - 4095, (uint64_t)1 << 63,
                                       (uint64_t)1 << 40, UINT32_MAX,        (uint64_t)UINT32_MAX + 1,
                                       0x7fffffff,        0x10000,           0};
    ElfSymbols *symbols;
    TinyElf elf;

    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        for (size_t section = 0; section < SECTIONS; section++) {
            uint64_t *fields[] = {&elf.sections[section].sh_size, &elf.sections[section].sh_offset,
                                  &elf.sections[section].sh_entsize, &elf.sections[section].sh_addr,
                                  &elf.sections[section].sh_addralign};

            for (size_t field = 0; field < sizeof(fields) / sizeof(fields[0]); field++) {
                tiny_fill(&elf);
                *fields[field] = hostile[i];
                try_bytes(&elf, sizeof(elf));
                elf.header.e_shnum = 0; /* the first section's size counts them */
                try_bytes(&elf, sizeof(elf));
            }
        }
        tiny_fill(&elf);
        elf.header.e_shoff = hostile[i];
        try_bytes(&elf, sizeof(elf));
        tiny_fill(&elf);
        elf.header.e_phoff = hostile[i];
        try_bytes(&elf, sizeof(elf));
    }
    tiny_fill(&elf);
    elf.header.e_shnum = 0;
    elf.sections[NONE].sh_size = (uint64_t)1 << 31;
    CU_ASSERT_EQUAL(open_bytes(&elf, sizeof(elf), &tiny_identity, &symbols), -EBADMSG);
    tiny_fill(&elf);
    elf.header.e_phnum = PN_XNUM;
    elf.sections[NONE].sh_info = UINT32_MAX;
    CU_ASSERT_EQUAL(open_bytes(&elf, sizeof(elf), &tiny_identity, &symbols), -EBADMSG);
}

/* A sparse file has as many bytes as it likes. */
static void damage__sparse_giant__then_too_much(void)
{
    int fd = sample_file();
    ElfSymbols *symbols = NULL;
    TinyElf elf;

    tiny_fill(&elf);
    elf.sections[NAMES].sh_size = (uint64_t)1 << 40;
    CU_ASSERT_EQUAL_FATAL(write(fd, &elf, sizeof(elf)), sizeof(elf));
    CU_ASSERT_EQUAL_FATAL(ftruncate(fd, (off_t)1 << 41), 0);
    CU_ASSERT_EQUAL(elf_symbols_open(sample_path(fd), &tiny_identity, BYTES_MAX, &symbols), -EFBIG);
    close(fd);
}

static void damage__only_the_whole_table__then_exported_functions(void)
{
    struct {
        TinyElf elf;
        Elf64_Shdr more[SECTIONS + 1];
    } file;
    ElfSymbols *symbols;

    tiny_fill(&file.elf);
    memcpy(file.more, file.elf.sections, sizeof(file.elf.sections));
    file.more[SECTIONS] = file.more[SYMBOLS];
    file.more[SECTIONS].sh_type = SHT_DYNSYM;
    file.elf.header.e_shoff = (Elf64_Off)((char *)file.more - (char *)&file);
    file.elf.header.e_shnum = SECTIONS + 1;
    CU_ASSERT_EQUAL_FATAL(open_bytes(&file, sizeof(file), &tiny_identity, &symbols), 0);
    CU_ASSERT(elf_symbols_are_complete(symbols));
    elf_symbols_destroy(symbols);
    file.more[SYMBOLS].sh_link = NOTE;
    CU_ASSERT_EQUAL_FATAL(open_bytes(&file, sizeof(file), &tiny_identity, &symbols), 0);
    CU_ASSERT_FALSE(elf_symbols_are_complete(symbols));
    CU_ASSERT(is_named(symbols, 0x1100, "first"));
    elf_symbols_destroy(symbols);
}

/* ---- names -------------------------------------------------------------------------------------- */

static void demangle__names__then_as_in_the_source(void)
{
    char name[ADAT_NAME_MAX];

    CU_ASSERT_EQUAL(demangle("main", name, sizeof(name)), 0);
    CU_ASSERT_EQUAL(demangle("", name, sizeof(name)), 0);
    CU_ASSERT_EQUAL(demangle("_Z", name, sizeof(name)), 0);
    if (demangle("_Z1fv", name, sizeof(name)) == 0)
        TEST_SKIP("built without libiberty");
    CU_ASSERT_STRING_EQUAL(name, "f()");
    CU_ASSERT_EQUAL(demangle("_ZN3app6Engine3runERKSsi", name, sizeof(name)), strlen(name));
    CU_ASSERT_STRING_EQUAL(name, "app::Engine::run(std::string const&, int)");
    CU_ASSERT_EQUAL(demangle("_ZN3app", name, sizeof(name)), 0);
}

/* Each argument is a pair of the one before it: 2^60 names in all. */
static void demangle__bomb__then_cut(void)
{
    char mangled[1024] = "_Z1f4pairIiiE", name[ADAT_NAME_MAX];
    size_t length = strlen(mangled);
    struct rusage usage;

    if (demangle("_Z1fv", name, sizeof(name)) == 0)
        TEST_SKIP("built without libiberty");
    /* S_ is the template "pair", S0_ the type before, S1_ the one after it */
    length += (size_t)snprintf(mangled + length, sizeof(mangled) - length, "S_IS0_S0_E");
    for (int i = 1; i < 35; i++) {
        const char digit = (char)(i < 10 ? '0' + i : 'A' + i - 10);

        length += (size_t)snprintf(mangled + length, sizeof(mangled) - length, "S_IS%c_S%c_E", digit, digit);
    }
    CU_ASSERT_EQUAL(demangle(mangled, name, sizeof(name)), ADAT_NAME_MAX - 1);
    CU_ASSERT_EQUAL(strlen(name), ADAT_NAME_MAX - 1);
    CU_ASSERT_STRING_EQUAL(name + ADAT_NAME_MAX - 4, "...");
    CU_ASSERT_EQUAL(strncmp(name, "f(pair<int, int>, pair<pair<int, int>,", 38), 0);
    CU_ASSERT_EQUAL(getrusage(RUSAGE_SELF, &usage), 0);
    CU_ASSERT(usage.ru_maxrss < 4L << 20); /* KiB; sanitizers need their share */
}

static void demangle__rust__then_as_in_the_source(void)
{
    static const char *const names[][2] = {
        {"_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt"},
        {"_RNvC6_123foo3bar", "123foo::bar"},
        {"_RNvC03bar", "::bar"},
        {"_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"},
        {"_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y",
         "utf8_idents::საჭმელად_გემრიელი_სადილი"},
    };
    char name[ADAT_NAME_MAX];

    if (demangle("_Z1fv", name, sizeof(name)) == 0)
        TEST_SKIP("built without libiberty");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        CU_ASSERT_EQUAL(demangle(names[i][0], name, sizeof(name)), strlen(names[i][1]));
        CU_ASSERT_STRING_EQUAL(name, names[i][1]);
    }
    CU_ASSERT_EQUAL(demangle("_R", name, sizeof(name)), 0);
    CU_ASSERT_EQUAL(demangle("_RNv", name, sizeof(name)), 0);
    CU_ASSERT_EQUAL(demangle("_RNvC6_123foo3ba", name, sizeof(name)), 0);
    CU_ASSERT_EQUAL(demangle("_Rest", name, sizeof(name)), 0);
}

/* "B..._": what stands at `place` behind "_R" once more. */
static size_t put_backref(char *out, size_t place)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    if (place == 0 || place > (size_t)62 * 62)
        abort();
    if (place <= 62)
        return (size_t)sprintf(out, "B%c_", digits[place - 1]);
    return (size_t)sprintf(out, "B%c%c_", digits[(place - 1) / 62], digits[(place - 1) % 62]);
}

/* Of Rust, too, a short name may stand for gigabytes: tuples of two of the tuple before. */
static void demangle__rust_bomb__then_cut(void)
{
    char mangled[1024] = "_RINvC1x1fTuuE", name[ADAT_NAME_MAX];
    size_t length = strlen(mangled), before = strlen("_RINvC1x1f") - 2;

    if (demangle("_Z1fv", name, sizeof(name)) == 0)
        TEST_SKIP("built without libiberty");
    for (int i = 0; i < 60; i++) {
        size_t place = length - 2;

        mangled[length++] = 'T';
        length += put_backref(mangled + length, before);
        length += put_backref(mangled + length, before);
        mangled[length++] = 'E';
        before = place;
    }
    memcpy(mangled + length, "E", 2);
    CU_ASSERT_EQUAL(demangle(mangled, name, sizeof(name)), ADAT_NAME_MAX - 1);
    CU_ASSERT_STRING_EQUAL(name + ADAT_NAME_MAX - 4, "...");
    CU_ASSERT_EQUAL(strncmp(name, "x::f::<((), ()), (((), ()), ((), ())", 20), 0);
}

/* libiberty has memory for such a name while it hands it over. */
static void demangle__rust_beyond_ascii_without_room__then_cut_and_nothing_leaks(void)
{
    const char *mangled = "_RNvNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y3bar";
    size_t in_use = 0;
    char name[64];

    if (demangle("_Z1fv", name, sizeof(name)) == 0)
        TEST_SKIP("built without libiberty");
    for (int i = 0; i < 2000; i++) {
        for (size_t size = 16; size <= sizeof(name); size += 16) {
            CU_ASSERT(demangle(mangled, name, size) < size);
            CU_ASSERT_EQUAL(strncmp(name, "utf8_idents", 11), 0);
            CU_ASSERT_STRING_EQUAL(name + strlen(name) - 3, "...");
        }
        if (i == 0)
            in_use = mallinfo2().uordblks;
    }
    /* what malloc keeps for itself varies; leaks would be of 100 bytes or more each */
    CU_ASSERT(mallinfo2().uordblks < in_use + (64u << 10));
}

static size_t demangle_nested(const char *start, const char *unit, const char *end, size_t length, char *name)
{
    char *mangled = malloc(length + 1), *at;
    size_t result;

    if (!mangled)
        abort();
    for (at = stpcpy(mangled, start); (size_t)(at - mangled) + strlen(unit) + strlen(end) <= length;)
        at = stpcpy(at, unit);
    (void)stpcpy(at, end);
    result = demangle(mangled, name, ADAT_NAME_MAX);
    free(mangled);
    return result;
}

#ifdef __SANITIZE_THREAD__
#define LEAST_STACK ((size_t)4 << 20) /* what it keeps of a thread is there, too */
#else
#define LEAST_STACK ((size_t)512 << 10)
#endif

static void *demangle_long_names(void *context)
{
    static const char *const nested[][3] = {
        {"_Z1f", "P", "i"}, {"_Z1f", "F", "i"},   {"_Z", "Z1f", "v"},        {"_ZGV", "Z", "i"},
        {"_Z", "UlZ", ""},  {"_Z1f", "1xI", "i"}, {"_Z1fIX", "cl", "E"},     {"_R", "NM", "C1x1f"},
        {"_Z1f", "J", "i"}, {"_ZN1aE", "Z", "v"}, {"_RINvC1x1f", "R", "hE"},
    };
    char name[ADAT_NAME_MAX];

    (void)context;
    for (size_t length = 128; length <= DEMANGLE_LENGTH_MAX; length += 384) {
        /* f(a lot of ints): nothing but long */
        CU_ASSERT_EQUAL(demangle_nested("_Z1f", "i", "", length, name), ADAT_NAME_MAX - 1);
        CU_ASSERT_EQUAL(strncmp(name, "f(int, int, int", 15), 0);
        for (size_t i = 0; i < sizeof(nested) / sizeof(nested[0]); i++)
            CU_ASSERT(demangle_nested(nested[i][0], nested[i][1], nested[i][2], length, name) < ADAT_NAME_MAX);
    }
    CU_ASSERT_EQUAL(demangle_nested("_Z1f", "i", "", DEMANGLE_LENGTH_MAX, name), ADAT_NAME_MAX - 1);
    CU_ASSERT_EQUAL(demangle_nested("_Z1f", "i", "", DEMANGLE_LENGTH_MAX + 1, name), 0);
    CU_ASSERT_EQUAL(demangle_nested("_Z1f", "i", "", (size_t)1 << 20, name), 0);
    return NULL;
}

static void demangle__long_names__then_within_the_limit_and_any_stack(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    char name[8];

    if (demangle("_Z1fv", name, sizeof(name)) == 0)
        TEST_SKIP("built without libiberty");
    CU_ASSERT_EQUAL_FATAL(pthread_attr_init(&attributes), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_attr_setstacksize(&attributes, LEAST_STACK), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, &attributes, demangle_long_names, NULL), 0);
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
    CU_ASSERT_EQUAL(pthread_attr_destroy(&attributes), 0);
}

static void demangle__text_of_every_length__then_whole_or_cut(void)
{
    char text[32], name[16];

    for (size_t length = 0; length < sizeof(text); length++) {
        memset(text, 'x', length);
        text[length] = '\0';
        memset(name, '#', sizeof(name));
        CU_ASSERT_EQUAL(demangle_copy(text, name, sizeof(name)), strlen(name));
        if (length < sizeof(name))
            CU_ASSERT_STRING_EQUAL(name, text);
        if (length >= sizeof(name))
            CU_ASSERT_STRING_EQUAL(name, "xxxxxxxxxxxx...");
    }
    /* not within the character that is the twelfth to thirteenth byte */
    CU_ASSERT_EQUAL(demangle_copy("xxxxxxxxxxx\xc3\xa9xxxxxxx", name, sizeof(name)), 14);
    CU_ASSERT_STRING_EQUAL(name, "xxxxxxxxxxx...");
    /* bytes that are no characters do not lead out of it */
    CU_ASSERT_EQUAL(demangle_copy("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",
                                  name, sizeof(name)),
                    3);
}

/* ---- a trace ------------------------------------------------------------------------------------ */

/* A module of this process, as libadatrace would tell of it. */
typedef struct Loaded {
    const void *code;
    const char *path; /* "": the program */
    uint64_t base;
    ElfIdentity identity;
} Loaded;

static void take_notes(ElfIdentity *identity, const char *notes, size_t size)
{
    const char *found = memmem(notes, size, "GNU", 4);
    Elf64_Nhdr note;

    while (found && found >= notes + sizeof(note)) {
        memcpy(&note, found - sizeof(note), sizeof(note));
        if (note.n_type == NT_GNU_BUILD_ID && note.n_descsz <= ADA_BUILD_ID_MAX) {
            identity->build_id_size = note.n_descsz;
            memcpy(identity->build_id, found + 4, note.n_descsz);
            return;
        }
        found = memmem(found + 1, size - (size_t)(found + 1 - notes), "GNU", 4);
    }
}

static int find_loaded(struct dl_phdr_info *info, size_t size, void *context)
{
    Loaded *loaded = context;
    uint64_t offset = (uintptr_t)loaded->code - info->dlpi_addr;
    bool inside = false;

    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];

        inside = inside || (header->p_type == PT_LOAD && offset - header->p_vaddr < header->p_memsz);
    }
    if (!inside)
        return 0;
    loaded->base = info->dlpi_addr;
    loaded->path = info->dlpi_name;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];

        if (header->p_type == PT_NOTE && loaded->identity.build_id_size == 0)
            take_notes(&loaded->identity, (const char *)(info->dlpi_addr + header->p_vaddr), header->p_memsz);
        if (header->p_type == PT_LOAD && header->p_vaddr + header->p_memsz > loaded->identity.memory_size)
            loaded->identity.memory_size = header->p_vaddr + header->p_memsz;
    }
    return 1;
}

static void put_module(AdatWriter *writer, uint32_t process, uint64_t base, const ElfIdentity *identity,
                       const char *path)
{
    const AdatBlockHeader header = {.type = ADAT_BLOCK_MODULES, .process = process};
    AdaModule module = {
        .ready = 1, .build_id_size = identity->build_id_size, .base = base, .size = identity->memory_size};

    memcpy(module.build_id, identity->build_id, sizeof(module.build_id));
    (void)snprintf(module.path, sizeof(module.path), "%s", path);
    sample_put(writer, &header, &module, sizeof(module));
}

static AdatReader *read_trace(AdatWriter *writer, int fd)
{
    AdatReader *reader = NULL;

    CU_ASSERT_EQUAL_FATAL(adat_writer_flush(writer), 0);
    adat_writer_destroy(writer);
    CU_ASSERT_EQUAL_FATAL(adat_reader_open(sample_path(fd), &reader), 0);
    return reader;
}

static void symbols__this_process__then_programs_and_libraries(void)
{
    Loaded program = {.code = (const void *)(uintptr_t)test_run};
    Loaded library = {.code = dlsym(RTLD_DEFAULT, "CU_get_number_of_asserts")};
    ElfIdentity replaced;
    int fd = sample_file();
    AdatWriter *writer = sample_writer(dup(fd));
    char self[4096] = "";
    const AdatFunction *function;
    AdatSymbolsModule module;
    AdatSymbols *symbols;
    AdatReader *reader;

    CU_ASSERT_EQUAL_FATAL(dl_iterate_phdr(find_loaded, &program), 1);
    CU_ASSERT_EQUAL_FATAL(dl_iterate_phdr(find_loaded, &library), 1);
    CU_ASSERT_FATAL(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    replaced = program.identity;
    replaced.build_id_size = ADA_BUILD_ID_MAX;
    memcpy(replaced.build_id, tiny_identity.build_id, ADA_BUILD_ID_MAX);
    put_module(writer, 1, program.base, &program.identity, self);
    put_module(writer, 2, program.base, &replaced, self);
    put_module(writer, 3, library.base, &library.identity, library.path);
    reader = read_trace(writer, fd);
    CU_ASSERT_EQUAL_FATAL(adat_symbols_create(NULL, &symbols), 0);

    for (int round = 0; round < 2; round++) { /* of which one is answered by the cache */
        function = adat_symbols_function(symbols, reader, 1, (uintptr_t)test_run);
        CU_ASSERT_PTR_NOT_NULL_FATAL(function);
        CU_ASSERT_STRING_EQUAL(function->name, "test_run");
        CU_ASSERT_EQUAL(function->length, strlen("test_run"));
        CU_ASSERT(function->resolved);
        CU_ASSERT_EQUAL(function->module->base, program.base);
        function = adat_symbols_function(symbols, reader, 1, (uintptr_t)put_module + 1);
        CU_ASSERT_STRING_EQUAL(function->name, "put_module+0x1");
        function = adat_symbols_function(symbols, reader, 1, program.base - 1);
        CU_ASSERT(!function->resolved && !function->module);
        CU_ASSERT_EQUAL(strncmp(function->name, "0x", 2), 0);
        function = adat_symbols_function(symbols, reader, 2, (uintptr_t)test_run);
        CU_ASSERT(!function->resolved && function->module);
        CU_ASSERT_EQUAL(strncmp(function->name, "test_symbols+0x", 15), 0);
        function = adat_symbols_function(symbols, reader, 3, (uintptr_t)library.code);
        CU_ASSERT(function->resolved);
        CU_ASSERT_STRING_EQUAL(function->name, "CU_get_number_of_asserts");
    }
    CU_ASSERT_FATAL(adat_symbols_module(symbols, 0, &module));
    CU_ASSERT_STRING_EQUAL(module.file, self);
    CU_ASSERT(module.complete && module.error == 0);
    CU_ASSERT_FATAL(adat_symbols_module(symbols, 1, &module));
    CU_ASSERT_PTR_NULL(module.file);
    CU_ASSERT_EQUAL(module.error, -ESTALE);
    CU_ASSERT_FATAL(adat_symbols_module(symbols, 2, &module));
    CU_ASSERT(module.file && module.error == 0);
    CU_ASSERT_FALSE(adat_symbols_module(symbols, 3, &module));
    adat_symbols_destroy(symbols);
    adat_reader_close(reader);
    close(fd);
}

/* One directory with the file, in each of the places where it may be. */
static void symbols__directories__then_found_by_build_id(void)
{
    static const char *const places[] = {".build-id/ab/cd030000000000000000000000000000000000.debug",
                                         "opt/app/prog", "prog", "prog.debug"};
    char directory[] = "/tmp/test_symbols.XXXXXX", command[256], path[256];
    const char *list[] = {"/nonexistent", directory};
    const AdatSymbolsConfig config = {.directories = list, .directory_count = 2};
    int fd = sample_file();
    AdatWriter *writer = sample_writer(dup(fd));
    ElfIdentity identity = tiny_identity;
    AdatReader *reader;
    TinyElf elf;

    identity.memory_size = TEXT_ADDRESS + TEXT_SIZE;
    put_module(writer, 1, 0x400000, &identity, "/opt/app/prog");
    reader = read_trace(writer, fd);
    tiny_init(&elf);
    tiny_add(&elf, "function", 0x1100, 8, STB_GLOBAL);
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
    (void)snprintf(command, sizeof(command), "mkdir -p %s/.build-id/ab %s/opt/app", directory, directory);
    CU_ASSERT_EQUAL_FATAL(system(command), 0); // NOLINT(cert-env33-c)
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        const AdatFunction *function;
        AdatSymbolsModule module;
        AdatSymbols *symbols;
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/%s", directory, places[i]);
        file = fopen(path, "w");
        CU_ASSERT_PTR_NOT_NULL_FATAL(file);
        CU_ASSERT_EQUAL(fwrite(&elf, sizeof(elf), 1, file), 1);
        CU_ASSERT_EQUAL(fclose(file), 0);
        CU_ASSERT_EQUAL_FATAL(adat_symbols_create(&config, &symbols), 0);
        function = adat_symbols_function(symbols, reader, 1, 0x401100);
        CU_ASSERT_STRING_EQUAL(function->name, "function");
        CU_ASSERT(adat_symbols_module(symbols, 0, &module) && module.file);
        adat_symbols_destroy(symbols);
        CU_ASSERT_EQUAL(unlink(path), 0);
        CU_ASSERT_EQUAL_FATAL(adat_symbols_create(&config, &symbols), 0);
        function = adat_symbols_function(symbols, reader, 1, 0x401100);
        CU_ASSERT_STRING_EQUAL(function->name, "prog+0x1100");
        CU_ASSERT(adat_symbols_module(symbols, 0, &module) && !module.file);
        CU_ASSERT_EQUAL(module.error, -ENOENT);
        adat_symbols_destroy(symbols);
    }
    (void)snprintf(command, sizeof(command), "rm -r %s", directory);
    CU_ASSERT_EQUAL(system(command), 0); // NOLINT(cert-env33-c)
    adat_reader_close(reader);
    close(fd);
}

/* MiniDebugInfo, as distributions make it: of a stripped program the functions that it does not export, compressed within it. */
static const char make_debugdata[] =
    "set -e; cd $D; printf 'void seen(void){} static void unseen(void){} void (*f)(void); int main(void){f=unseen;f();seen();return 0;}' >p.c;"
    "cc -O0 -Wl,--build-id -Wl,--export-dynamic-symbol=seen -o p p.c; nm -D p --format=posix --defined-only | cut -d' ' -f1 | sort >d;"
    "nm p --format=posix --defined-only | awk '$2 ~ /[Tt]/ {print $1}' | sort | comm -13 d - >keep;"
    "objcopy --only-keep-debug p m; objcopy -S --remove-section .comment --keep-symbols=keep m m2; cp m2 inner; xz -f m2;"
    "strip -s -o stripped p; objcopy --add-section .gnu_debugdata=m2.xz stripped mini;"
    "head -c 100 m2.xz >cut; objcopy --add-section .gnu_debugdata=cut stripped damaged;"
    "head -c 100000000 /dev/zero | xz -1 >bomb; objcopy --add-section .gnu_debugdata=bomb stripped bombed;"
    "rm bomb";

static void check_debugdata(const char *path, const ElfIdentity *identity, bool whole)
{
    char command[256], name[32];
    unsigned long place;
    ElfSymbols *symbols = NULL;
    unsigned count = 0;
    FILE *places;

    CU_ASSERT_EQUAL_FATAL(elf_symbols_open(path, identity, BYTES_MAX, &symbols), 0);
    CU_ASSERT_EQUAL(elf_symbols_are_complete(symbols), whole);
    (void)snprintf(command, sizeof(command), "nm %.*s/p | awk '$3 ~ /^(un)?seen$|^main$/ { print $1, $3 }'",
                   (int)(strrchr(path, '/') - path), path);
    places = popen(command, "r"); // NOLINT(cert-env33-c)
    CU_ASSERT_PTR_NOT_NULL_FATAL(places);
    while (fscanf(places, "%lx %31s", &place, name) == 2) { // NOLINT(cert-err34-c)
        CU_ASSERT(is_named(symbols, place, whole || strcmp(name, "seen") == 0 ? name : NULL));
        count++;
    }
    CU_ASSERT_EQUAL(count, 3);
    CU_ASSERT_EQUAL(pclose(places), 0);
    elf_symbols_destroy(symbols);
}

static void open__debugdata__then_all_functions_and_bounded(void)
{
    char directory[] = "/tmp/test_symbols.XXXXXX", command[2048], path[256];
    ElfIdentity identity = {0};
    struct rusage usage;
    FILE *id;
    uint64_t bytes;
    size_t size = 0;
    unsigned byte;

    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
    (void)snprintf(command, sizeof(command), "D=%s; %s", directory, make_debugdata);
    if (system(command) != 0) // NOLINT(cert-env33-c)
        TEST_SKIP("no cc, objcopy or xz");
    (void)snprintf(command, sizeof(command),
                   "readelf -n %s/p | awk '/Build ID:/ { gsub(/../, \"& \", $3); print $3 }'", directory);
    id = popen(command, "r"); // NOLINT(cert-env33-c)
    CU_ASSERT_PTR_NOT_NULL_FATAL(id);
    while (size < ADA_BUILD_ID_MAX && fscanf(id, "%2x", &byte) == 1) // NOLINT(cert-err34-c)
        identity.build_id[size++] = (uint8_t)byte;
    CU_ASSERT_EQUAL(pclose(id), 0);
    identity.build_id_size = (uint32_t)size;
    CU_ASSERT_FATAL(size > 0);

    (void)snprintf(path, sizeof(path), "%s/p", directory);
    check_debugdata(path, &identity, true);
    (void)snprintf(path, sizeof(path), "%s/mini", directory);
    check_debugdata(path, &identity, debugdata_unpack("", 0, 1, &bytes) != -ENOSYS);
    /* what is not to be had leaves what is exported */
    (void)snprintf(path, sizeof(path), "%s/stripped", directory);
    check_debugdata(path, &identity, false);
    (void)snprintf(path, sizeof(path), "%s/damaged", directory);
    check_debugdata(path, &identity, false);
    (void)snprintf(path, sizeof(path), "%s/bombed", directory);
    check_debugdata(path, &identity, false);
    CU_ASSERT_EQUAL(getrusage(RUSAGE_SELF, &usage), 0);
    CU_ASSERT(usage.ru_maxrss < 4L << 20); /* KiB; sanitizers need their share */
    (void)snprintf(command, sizeof(command), "rm -r %s", directory);
    CU_ASSERT_EQUAL(system(command), 0); // NOLINT(cert-env33-c)
}

/* More addresses than the cache has places: the answers stay right, and so does memory. */
static void symbols__more_addresses_than_cached__then_still_right(void)
{
    int fd = sample_file();
    AdatWriter *writer = sample_writer(dup(fd));
    AdatSymbols *symbols;
    AdatReader *reader;
    size_t wrong = 0;

    put_module(writer, 1, 0x400000, &(ElfIdentity){.memory_size = UINT32_MAX}, "gone");
    reader = read_trace(writer, fd);
    CU_ASSERT_EQUAL_FATAL(adat_symbols_create(NULL, &symbols), 0);
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < 3 * (uint64_t)ADAT_SYMBOLS_CACHED; i++) {
            const AdatFunction *function = adat_symbols_function(symbols, reader, 1, 0x400000 + i * 16);
            char expected[64];

            (void)snprintf(expected, sizeof(expected), "gone+0x%lx", (unsigned long)i * 16);
            wrong += strcmp(function->name, expected) != 0;
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
    adat_symbols_destroy(symbols);
    adat_symbols_destroy(NULL);
    adat_reader_close(reader);
    close(fd);
}

static const TestCase tests[] = {
    TEST(find__address_in_and_between__then_honours_the_size),
    TEST(find__no_size__then_reaches_to_the_next_one_or_the_section_end),
    TEST(find__functions_within_others__then_the_innermost),
    TEST(find__several_names__then_the_same_one_in_any_order),
    TEST(open__symbols_that_are_no_functions_here__then_left_out),
    TEST(open__another_file__then_stale),
    TEST(open__no_elf_file__then_says_what_it_is),
    TEST(damage__every_length__then_an_error),
    TEST(damage__every_bit__then_no_harm),
    TEST(damage__hostile_counts__then_refused_before_memory_is_taken),
    TEST(damage__sparse_giant__then_too_much),
    TEST(damage__only_the_whole_table__then_exported_functions),
    TEST(open__debugdata__then_all_functions_and_bounded),
    TEST(demangle__names__then_as_in_the_source),
    TEST(demangle__bomb__then_cut),
    TEST(demangle__text_of_every_length__then_whole_or_cut),
    TEST(demangle__rust__then_as_in_the_source),
    TEST(demangle__rust_bomb__then_cut),
    TEST(demangle__rust_beyond_ascii_without_room__then_cut_and_nothing_leaks),
    TEST(demangle__long_names__then_within_the_limit_and_any_stack),
    TEST(symbols__this_process__then_programs_and_libraries),
    TEST(symbols__directories__then_found_by_build_id),
    TEST(symbols__more_addresses_than_cached__then_still_right),
};
TEST_MAIN("symbols", tests)
