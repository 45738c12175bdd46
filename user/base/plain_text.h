/* SPDX-License-Identifier: MIT */
/* Text from somebody else for a terminal: what is not plain UTF-8 text is escaped, and quotes and backslashes too. */
#ifndef ADA_BASE_PLAIN_TEXT_H
#define ADA_BASE_PLAIN_TEXT_H

#include <stddef.h>

#define PLAIN_TEXT_ESCAPED_MAX 4u /* bytes that one byte of a text may become */

/*
 * As much of `text` as there is room for, of at least PLAIN_TEXT_ESCAPED_MAX bytes. Returns how many bytes it wrote; *used_out: of how
 * many of the text.
 */
size_t plain_text_escape(char *out, size_t room, const void *text, size_t size, size_t *used_out);

#endif
