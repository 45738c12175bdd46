/* SPDX-License-Identifier: MIT */
#include "user/collector/uprobe_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int uprobe_text_parse(const char *text, KernelUprobe *uprobe_out, const char **why_out)
{
    const char *colon = strrchr(text, ':');
    const char *comma = colon ? strchr(colon, ',') : NULL;
    char *copy, *symbol;

    if (!colon || colon == text || colon[1] == '\0' || colon[1] == ',') {
        *why_out = "a program or a function is missing";
        return -EINVAL;
    }
    if (comma && strcmp(comma, ",ret") != 0) {
        *why_out = "after the function there is only ',ret'";
        return -EINVAL;
    }
    copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    symbol = copy + (colon - text);
    *symbol++ = '\0';
    if (comma)
        copy[comma - text] = '\0';
    *uprobe_out = (KernelUprobe){.binary = copy, .symbol = symbol, .returns = comma != NULL};
    return 0;
}

void uprobe_text_free(KernelUprobe *uprobe)
{
    free((char *)(uintptr_t)uprobe->binary);
    *uprobe = (KernelUprobe){0};
}
