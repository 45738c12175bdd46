/* SPDX-License-Identifier: MIT */
/*
 * Where code is loaded: read from the dynamic linker, so that function addresses can be resolved after
 * the process is gone. When the process begins, and when somebody says that there is more (ada_modules_update()).
 */
#define _GNU_SOURCE
#include <elf.h>
#include <link.h>
#include <string.h>

#include "user/client/client.h"

/* What scans have found, in any order; what is gone stays: events refer to it. Of whoever scans. */
static AdaModule modules[ADA_MODULES_MAX];
static uint32_t module_count;
static unsigned long long loads_seen; /* by the dynamic linker's count, as of the last scan */
static uint32_t scans_asked;          /* and not done yet; who raises it from 0 scans, until it is 0 again */

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

static bool is_known(const AdaModule *module)
{
    for (uint32_t i = 0; i < module_count; i++) {
        if (modules[i].base == module->base && memcmp(&modules[i], module, sizeof(*module)) == 0)
            return true;
    }
    return false;
}

/* `first` is whether this is the first one of a scan, when it shows whether there is anything new. */
static int add_module(struct dl_phdr_info *info, size_t size, void *first)
{
    AdaModule module = {.base = info->dlpi_addr};
    bool *is_first = first;

    (void)size;
    if (module_count >= ADA_MODULES_MAX || (*is_first && info->dlpi_adds == loads_seen))
        return 1;
    *is_first = false;
    loads_seen = info->dlpi_adds;
    strncpy(module.path, info->dlpi_name ? info->dlpi_name : "", sizeof(module.path) - 1);
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];

        if (header->p_type == PT_LOAD && header->p_vaddr + header->p_memsz > module.size)
            module.size = header->p_vaddr + header->p_memsz;
        if (header->p_type == PT_NOTE && module.build_id_size == 0)
            read_build_id(&module, (const char *)(info->dlpi_addr + header->p_vaddr),
                          header->p_memsz); // NOLINT(performance-no-int-to-ptr)
    }
    if (!is_known(&module))
        modules[module_count++] = module;
    return 0;
}

/* From `first` on. The dynamic linker calls the program itself "". */
static void publish(const Segment *segment, uint32_t first)
{
    const uint32_t room = segment->geometry.module_capacity;
    const uint32_t count = module_count < room ? module_count : room;

    for (uint32_t i = first; i < count; i++) {
        AdaModule *entry = segment_module(segment, i);

        memcpy(entry, &modules[i], sizeof(*entry));
        if (entry->path[0] == '\0')
            memcpy(entry->path, segment->header->program, sizeof(entry->path) - 1);
        ada_store_release(&entry->ready, 1u); /* pairs with the collector's acquire */
    }
    ada_store_release(&segment->header->module_count, count);
}

void client_modules_update(const Segment *segment)
{
    uint32_t asked = 1;

    if (ada_fetch_add_acq_rel(&scans_asked, 1u) != 0)
        return; /* who scans just now does it once more */
    do {
        uint32_t known = module_count;
        bool is_first = true;

        asked = ada_load_acquire(&scans_asked);
        (void)dl_iterate_phdr(add_module, &is_first);
        publish(segment, known);
    } while (!ada_compare_exchange_acq_rel(&scans_asked, &asked, 0u));
}

void client_modules_forked(void)
{
    ada_store_relaxed(&scans_asked, 0u);
}

void client_modules_publish(const Segment *segment)
{
    publish(segment, 0);
}
