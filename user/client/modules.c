/* SPDX-License-Identifier: MIT */
/*
 * Where code is loaded: read from the dynamic linker, so that function addresses can be resolved after
 * the process is gone.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <link.h>
#include <string.h>

#include "user/client/client.h"

static AdaModule modules[ADA_MODULES_MAX]; /* what the last scan found */
static uint32_t module_count;

/* The build-id in a PT_NOTE segment: a sequence of notes, each a header, a name and a description, both padded to 4. */
static void read_build_id(AdaModule *module, const char *notes, size_t size)
{
    size_t at = 0;

    while (size - at >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        size_t name, description;

        memcpy(&note, notes + at, sizeof(note));
        name = at + sizeof(note);
        description = name + ((note.n_namesz + 3u) & ~3u);
        if (description > size || note.n_descsz > size - description)
            return;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(notes + name, "GNU", 4) == 0) {
            module->build_id_size = note.n_descsz < ADA_BUILD_ID_MAX ? note.n_descsz : ADA_BUILD_ID_MAX;
            memcpy(module->build_id, notes + description, module->build_id_size);
            return;
        }
        at = description + ((note.n_descsz + 3u) & ~3u);
        if (at > size)
            return;
    }
}

static int add_module(struct dl_phdr_info *info, size_t size, void *unused)
{
    AdaModule *module = &modules[module_count];

    (void)size;
    (void)unused;
    if (module_count >= ADA_MODULES_MAX)
        return 1;
    memset(module, 0, sizeof(*module));
    module->base = info->dlpi_addr;
    strncpy(module->path, info->dlpi_name ? info->dlpi_name : "", sizeof(module->path) - 1);
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];

        if (header->p_type == PT_LOAD && header->p_vaddr + header->p_memsz > module->size)
            module->size = header->p_vaddr + header->p_memsz;
        if (header->p_type == PT_NOTE && module->build_id_size == 0)
            read_build_id(module, (const char *)(info->dlpi_addr + header->p_vaddr),
                          header->p_memsz); // NOLINT(performance-no-int-to-ptr)
    }
    module_count++;
    return 0;
}

void client_modules_scan(const Segment *segment)
{
    module_count = 0;
    (void)dl_iterate_phdr(add_module, NULL);
    client_modules_publish(segment);
}

void client_modules_publish(const Segment *segment)
{
    for (uint32_t i = 0; i < module_count; i++) {
        AdaModule *entry = segment_module(segment, i);

        memcpy(entry, &modules[i], sizeof(*entry));
        /* The dynamic linker calls the program itself "". */
        if (entry->path[0] == '\0')
            memcpy(entry->path, segment->header->program, sizeof(entry->path) - 1);
        ada_store_release(&entry->ready, 1u); /* pairs with the collector's acquire */
    }
    ada_store_release(&segment->header->module_count, module_count);
}
