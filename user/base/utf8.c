/* SPDX-License-Identifier: MIT */
#include "user/base/utf8.h"

#include <string.h>

size_t utf8_length(const uint8_t *text, size_t size)
{
    uint8_t lead = text[0];
    uint8_t low = 0x80, high = 0xbf; /* what the second byte may be */
    size_t length;

    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        length = 2;
    else if (lead >= 0xe0 && lead <= 0xef)
        length = 3;
    else if (lead >= 0xf0 && lead <= 0xf4)
        length = 4;
    else
        return 0;

    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;

    if (length > size || text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

size_t utf8_clean(char *out, const char *text, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)text;
    size_t length = 0, i = 0;

    while (i < size) {
        size_t sequence;

        if (bytes[i] > 0 && bytes[i] < 0x80) {
            out[length++] = text[i++];
            continue;
        }
        sequence = bytes[i] ? utf8_length(bytes + i, size - i) : 0;
        if (sequence > 0)
            memcpy(out + length, text + i, sequence);
        else
            memcpy(out + length, "\xef\xbf\xbd", 3);
        length += sequence > 0 ? sequence : 3;
        i += sequence > 0 ? sequence : 1;
    }
    out[length++] = '\0';
    return length;
}
