/* SPDX-License-Identifier: MIT */
#include "user/convert/ctf_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "user/base/utf8.h"

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

void ctf_put_literal(FILE *out, const char *text, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)text;

    fputc('"', out);
    for (size_t i = 0, length; i < size; i += length) {
        length = utf8_length(bytes + i, size - i);
        if (length == 0) {
            fputs(replacement, out);
            length = 1;
        } else if (length == 1 && (bytes[i] < 0x20 || bytes[i] == 0x7f || bytes[i] == '"' || bytes[i] == '\\')) {
            fprintf(out, "\\%03o", bytes[i]);
        } else {
            fwrite(text + i, 1, length, out);
        }
    }
    fputc('"', out);
}

static bool is_alphanumeric(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* The underscore at `text` would be read as an escape. */
static bool looks_escaped(const char *text, size_t size)
{
    return size >= 4 && text[1] == 'x' && is_hex((uint8_t)text[2]) && is_hex((uint8_t)text[3]);
}

void ctf_mangle(const char *name, size_t size, unsigned int copy, char *identifier)
{
    char *out = identifier;

    for (size_t i = 0; i < size; i++) {
        uint8_t c = (uint8_t)name[i];

        if (is_alphanumeric(c) || (c == '_' && !looks_escaped(name + i, size - i)))
            *out++ = (char)c;
        else
            out += sprintf(out, "_x%02x", c);
    }
    if (copy > 0)
        out += sprintf(out, "_x00%u", copy);
    else if (size == 0)
        out += sprintf(out, "_x00");
    *out = '\0';
}
