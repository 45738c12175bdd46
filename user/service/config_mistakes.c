/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* asprintf */
#include "user/service/config_mistakes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Names of files may hold what a terminal would obey. */
static void replace_control_characters(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == '\x7f')
            *text = '?';
}

/* NULL without memory. */
static char *format_place(const char *file, uint32_t line, const char *key)
{
    char number[16] = "";
    char *place = NULL;

    if (line)
        (void)snprintf(number, sizeof(number), ":%u", line);
    if (asprintf(&place, "%s%s: %.100s%s", file, number, key ? key : "", key ? ": " : "") < 0)
        return NULL;
    return place;
}

void config_mistakes_add(ConfigMistakes *mistakes, const char *file, uint32_t line, const char *key,
                         const char *format, ...)
{
    char what[512];
    char *place, *text = NULL;
    va_list args;

    mistakes->total++;
    if (mistakes->lines.count == CONFIG_MISTAKES_MAX)
        return;
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    place = format_place(file, line, key);
    if (!place || asprintf(&text, "%s%s", place, what) < 0) {
        mistakes->out_of_memory = true;
        free(place);
        return;
    }
    replace_control_characters(text);
    if (text_list_add(&mistakes->lines, text) != 0)
        mistakes->out_of_memory = true;
    free(place);
    free(text);
}

void config_mistakes_fini(ConfigMistakes *mistakes)
{
    text_list_fini(&mistakes->lines);
    *mistakes = (ConfigMistakes){0};
}
