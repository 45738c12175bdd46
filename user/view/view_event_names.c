/* SPDX-License-Identifier: MIT */
#include "user/view/view_event_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/array.h"

#define KERNEL_PREFIX "kernel:"

void view_event_names_init(ViewEventNames *names, AdatSymbols *symbols)
{
    *names = (ViewEventNames){.symbols = symbols, .keys.bytes_max = SIZE_MAX};
}

void view_event_names_fini(ViewEventNames *names)
{
    view_names_free(&names->keys);
    free(names->names);
}

bool view_event_is_of_kernel(const AdatProcessInfo *process)
{
    const char *program = adat_strings_find(process->strings, "program");

    return program && strncmp(program, KERNEL_PREFIX, strlen(KERNEL_PREFIX)) == 0;
}

static bool is_function(const AdaIndexEvent *event)
{
    uint32_t kind = ADA_WORD_KIND(event->word);

    return kind == ADA_KIND_FUNCTION_ENTRY || kind == ADA_KIND_FUNCTION_EXIT;
}

static ViewEventClass class_of(const AdatProcessInfo *process, const char *name)
{
    static const char *const names[] = {
        [VIEW_EVENT_SWITCH_IN] = "sched.switch_in", [VIEW_EVENT_SWITCH_OUT] = "sched.switch_out", [VIEW_EVENT_WAKEUP] = "sched.wakeup"};

    for (size_t i = VIEW_EVENT_SWITCH_IN; view_event_is_of_kernel(process) && i <= VIEW_EVENT_WAKEUP; i++)
        if (strcmp(name, names[i]) == 0)
            return (ViewEventClass)i;
    return VIEW_EVENT_PLAIN;
}

static int look_up(const ViewEventNames *names, ViewModel *model, const AdatEvent *event,
                   ViewEventName *found_out)
{
    uint32_t process = event->process->process.process;
    char text[ADAT_NAME_MAX];
    size_t length;

    if (names->symbols && is_function(&event->event)) {
        const AdatFunction *function =
            adat_symbols_function(names->symbols, event->reader, process, event->event.id);

        *found_out = (ViewEventName){.class = VIEW_EVENT_PLAIN};
        return function ? view_model_name(model, function->name, function->length, &found_out->name) : -ENOMEM;
    }
    length = adat_reader_event_name(event->reader, process, &event->event, text);
    found_out->class = class_of(event->process, text);
    return view_model_name(model, text, length, &found_out->name);
}

int view_event_names_find(ViewEventNames *names, ViewModel *model, size_t recording, const AdatEvent *event,
                          ViewEventName *name_out)
{
    const uint64_t key[3] = {recording, event->event.id,
                             (uint64_t)event->process->process.process << 1 | is_function(&event->event)};
    ViewEventName found = {0};
    uint32_t number;
    int error = view_names_intern(&names->keys, (const char *)key, sizeof(key), &number);

    if (!error && number > names->count) {
        error = array_reserve_one(&names->names, &names->capacity, names->count, sizeof(*names->names));
        if (!error)
            error = look_up(names, model, event, &found);
        if (error)
            return error;
        names->names[names->count++] = found;
    }
    if (!error)
        *name_out = names->names[number - 1];
    return error;
}
