/* SPDX-License-Identifier: MIT */
/* Fields of an event as one text, for a page to take apart again: NAME 0x1f VALUE, with 0x1e between them. */
#ifndef ADA_VIEW_FIELD_TEXT_H
#define ADA_VIEW_FIELD_TEXT_H

#include <stddef.h>

#include "user/reader/adat_cursor.h"

#define FIELD_VALUE_MAX 512u /* bytes; longer values are cut, and end with "..." */
#define FIELD_TEXT_MAX (ADA_EVENT_FIELDS_MAX * (ADA_FIELD_NAME_SIZE + FIELD_VALUE_MAX + 8u))

typedef struct FieldText {
    char bytes[FIELD_TEXT_MAX]; /* not NUL-terminated; what is no UTF-8 is as it was */
    size_t size;
} FieldText;

/* At most ADA_EVENT_FIELDS_MAX fields. */
void field_text_format(FieldText *text, const AdatField *fields, size_t count);

#endif
