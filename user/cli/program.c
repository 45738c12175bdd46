/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/cli/program.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As execvp(3): a name with a slash is a path, others are looked for along PATH. */
static int find_program(const char *name, char path[PATH_MAX])
{
    const char *search = getenv("PATH");

    if (strchr(name, '/')) {
        if (snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX)
            return -ENAMETOOLONG;
        return 0;
    }
    for (const char *at = search ? search : "/bin:/usr/bin"; *at;) {
        size_t length = strcspn(at, ":");

        if (snprintf(path, PATH_MAX, "%.*s/%s", (int)length, length ? at : ".", name) < PATH_MAX &&
            access(path, X_OK) == 0)
            return 0;
        at += length + (at[length] == ':');
    }
    return -ENOENT;
}

static void inspect_dynamic(Elf *elf, Elf_Scn *section, const GElf_Shdr *header, ProgramKind *kind)
{
    Elf_Data *data = elf_getdata(section, NULL);
    GElf_Dyn entry;

    for (int i = 0; data && gelf_getdyn(data, i, &entry); i++) {
        const char *name;

        if (entry.d_tag != DT_NEEDED)
            continue;
        name = elf_strptr(elf, header->sh_link, entry.d_un.d_val);
        if (name && strncmp(name, "libadatrace", strlen("libadatrace")) == 0)
            kind->links_adatrace = true;
    }
}

static void inspect_elf(Elf *elf, ProgramKind *kind)
{
    Elf_Scn *section = NULL;
    size_t count = 0;

    if (elf_getphdrnum(elf, &count) == 0) {
        for (size_t i = 0; i < count; i++) {
            GElf_Phdr header;

            if (gelf_getphdr(elf, (int)i, &header) && header.p_type == PT_INTERP)
                kind->dynamic = true;
        }
    }
    while ((section = elf_nextscn(elf, section)) != NULL) {
        GElf_Shdr header;

        if (gelf_getshdr(section, &header) && header.sh_type == SHT_DYNAMIC)
            inspect_dynamic(elf, section, &header, kind);
    }
}

int program_inspect(const char *name, ProgramKind *kind)
{
    char path[PATH_MAX];
    struct stat status;
    Elf *elf;
    int error;
    int fd;

    error = find_program(name, path);
    if (error)
        return error;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *kind = (ProgramKind){0};
    if (fstat(fd, &status) == 0)
        kind->changes_user = (status.st_mode & (S_ISUID | S_ISGID)) != 0 && geteuid() != 0;
    (void)elf_version(EV_CURRENT);
    elf = elf_begin(fd, ELF_C_READ, NULL);
    if (elf && elf_kind(elf) == ELF_K_ELF) {
        kind->elf = true;
        inspect_elf(elf, kind);
    }
    error = elf ? 0 : -ENOEXEC;
    (void)elf_end(elf);
    close(fd);
    return error;
}
