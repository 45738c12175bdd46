/* SPDX-License-Identifier: MIT */
/*
 * One event or mark as a line of CSV, quoted as RFC 4180 says, with line feeds as ends of lines and U+FFFD for bytes that are not UTF-8.
 *
 * A spreadsheet takes a text for a formula that begins with one of = + - @, a tab or a carriage return, quoted or not. So such texts, of
 * columns that are not numbers, get an apostrophe in front; and so do those that begin with one, so that it can be taken away again.
 */
#ifndef ADA_CONVERT_EVENT_CSV_H
#define ADA_CONVERT_EVENT_CSV_H

#include "user/base/out_buffer.h"
#include "user/convert/event_walk.h"

void event_csv_header(OutBuffer *out);

/* `scratch` is overwritten, and its stream not used: fields are put together there, of which at most OUT_RESERVE_MAX bytes can be. */
void event_csv_line(OutBuffer *out, OutBuffer *scratch, const NamedEvent *named);
void event_csv_mark(OutBuffer *out, const AdatReader *reader, const AdatMarkInfo *info);

/* A text as a column. */
void event_csv_text(OutBuffer *out, const char *text, size_t size);

#endif
