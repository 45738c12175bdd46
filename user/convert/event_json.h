/* SPDX-License-Identifier: MIT */
/* One event or mark as a JSON object on a line of its own, as `adatrace dump --json` prints them. */
#ifndef ADA_CONVERT_EVENT_JSON_H
#define ADA_CONVERT_EVENT_JSON_H

#include "user/base/out_buffer.h"
#include "user/convert/event_walk.h"

void event_json_line(OutBuffer *out, const NamedEvent *named);
void event_json_mark(OutBuffer *out, const AdatReader *reader, const AdatMarkInfo *info);

#endif
