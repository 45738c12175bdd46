/* SPDX-License-Identifier: MIT */
/* One event or mark as a line of text, as `adatrace dump` prints them. */
#ifndef ADA_CONVERT_EVENT_TEXT_H
#define ADA_CONVERT_EVENT_TEXT_H

#include "user/base/out_buffer.h"
#include "user/convert/event_walk.h"

void event_text_line(OutBuffer *out, const NamedEvent *named);
void event_text_mark(OutBuffer *out, const AdatMarkInfo *info);

#endif
