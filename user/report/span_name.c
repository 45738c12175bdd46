/* SPDX-License-Identifier: MIT */
#include "user/report/span_name.h"

#include <errno.h>
#include <string.h>

#define KERNEL_PREFIX "kernel:" /* of such a process's program and command */

int span_name(const AdatReader *reader, uint32_t process, uint64_t id, uint32_t flags, AdatSymbols *symbols,
              char name[ADAT_NAME_MAX], const AdaModule **module_out)
{
    const AdaIndexEvent event = {
        .id = id, .word = flags & SPAN_FUNCTION ? ADA_KIND_FUNCTION_ENTRY : ADA_KIND_SPAN_BEGIN};
    const AdatFunction *function;

    if (module_out)
        *module_out = flags & SPAN_FUNCTION ? adat_reader_module(reader, process, id) : NULL;
    if (!symbols || !(flags & SPAN_FUNCTION))
        return (int)adat_reader_event_name(reader, process, &event, name);
    function = adat_symbols_function(symbols, reader, process, id);
    if (!function)
        return -ENOMEM;
    memcpy(name, function->name, function->length + 1);
    return (int)function->length;
}

bool process_is_kernel_view(const AdatProcessInfo *process)
{
    const char *program = adat_strings_find(process->strings, "program");

    return program && strncmp(program, KERNEL_PREFIX, strlen(KERNEL_PREFIX)) == 0;
}

const char *process_name(const AdatProcessInfo *process)
{
    const char *name = adat_strings_find(process->strings, "program"), *slash;

    if (!name || !*name)
        name = adat_strings_find(process->strings, "command");
    if (!name || !*name)
        return "?";
    slash = strrchr(name, '/');
    return slash && slash[1] ? slash + 1 : name;
}
