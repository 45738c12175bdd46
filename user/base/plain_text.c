/* SPDX-License-Identifier: MIT */
#include "user/base/plain_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "user/base/utf8.h"

/* Bytes that may go to a terminal as they are, or 0. C1 controls are UTF-8, but no good. */
static size_t harmless_length(const uint8_t *text, size_t size)
{
    if (text[0] < 0x20 || text[0] == 0x7f || text[0] == '\\' || text[0] == '"')
        return 0;
    if (text[0] == 0xc2 && size > 1 && text[1] < 0xa0)
        return 0;
    return utf8_length(text, size);
}

static inline bool is_plain_ascii(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '\\' && c != '"';
}

static size_t escape_byte(char *out, uint8_t c)
{
    static const char digits[] = "0123456789abcdef";

    out[0] = '\\';
    if (c == '\\' || c == '"' || c == '\n') {
        out[1] = c == '\n' ? 'n' : (char)c;
        return 2;
    }
    out[1] = 'x';
    out[2] = digits[c >> 4];
    out[3] = digits[c & 15u];
    return PLAIN_TEXT_ESCAPED_MAX;
}

size_t plain_text_escape(char *out, size_t room, const void *text, size_t size, size_t *used_out)
{
    const uint8_t *bytes = text;
    size_t i = 0, length = 0;

    while (i < size && room - length >= PLAIN_TEXT_ESCAPED_MAX) {
        size_t plain;

        if (is_plain_ascii(bytes[i])) { /* nearly all text there is */
            out[length++] = (char)bytes[i++];
            continue;
        }
        plain = harmless_length(bytes + i, size - i);
        if (plain > 0) {
            memcpy(out + length, bytes + i, plain);
            length += plain;
            i += plain;
        } else {
            length += escape_byte(out + length, bytes[i++]);
        }
    }
    *used_out = i;
    return length;
}
